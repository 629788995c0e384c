/* SPDX-License-Identifier: MIT */
/*
 * usage.h - what the kernel counts for this process, from /proc/self. Any thread.
 */
#ifndef RIVULET_OS_USAGE_H
#define RIVULET_OS_USAGE_H

#include <stdint.h>

#include "lib/base/err.h"

struct os_usage {
	double cpu_seconds;         /* user and system */
	double start_seconds;       /* of the process, since 1970; the same at every call */
	int64_t resident_bytes, virtual_bytes;
	int64_t virtual_max_bytes;  /* RLIMIT_AS; -1 = none */
	int64_t anonymous_bytes;    /* resident memory that no file backs: heap, stacks, written data */
	int64_t data_bytes;         /* mapped for data and stacks, resident or not */
	int threads;
	int64_t open_fds, max_fds;
};
/* ERR_NOT_FOUND without /proc. */
int os_usage(struct os_usage *u, struct err *e);

#endif
