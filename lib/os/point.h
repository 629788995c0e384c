/* SPDX-License-Identifier: MIT */
/*
 * point.h - the fault point as the functions of lib/os pass it; for this room only.
 */
#ifndef RIVULET_OS_POINT_H
#define RIVULET_OS_POINT_H

#include <errno.h>

#include "lib/os/fault.h"

/* 0, or -1 with errno set: the kernel call that follows must then be left out. Nothing in the shipped build. */
static inline int os_point(enum os_call call)
{
	int errnum = os_fault_point(call, NULL);

	if (errnum == 0)
		return 0;
	errno = errnum;
	return -1;
}

#endif
