/* SPDX-License-Identifier: MIT */
/*
 * stat.h - the kernel's struct stat as file.h's os_stat; for this room only.
 */
#ifndef RIVULET_OS_STAT_H
#define RIVULET_OS_STAT_H

#include "lib/os/file.h"

struct stat;

void os_stat_convert(const struct stat *raw, struct os_stat *st);

#endif
