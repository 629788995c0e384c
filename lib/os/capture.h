/* SPDX-License-Identifier: MIT */
/*
 * capture.h - the output of a shell command. Any thread; blocks.
 */
#ifndef RIVULET_OS_CAPTURE_H
#define RIVULET_OS_CAPTURE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/*
 * Runs `/bin/sh -c command` with our environment and standard error, and stores what it writes to its standard output.
 * More than cap bytes are ERR_LIMIT. It is killed when the time is over or *cancel becomes true (within 100 ms). A
 * status other than 0 is ERR_INVALID, where it can be known: a daemon that reaps all children may be faster.
 */
int os_capture(const char *command, char *out, size_t cap, size_t *n, int64_t timeout_ms, const atomic_bool *cancel,
               struct err *e);

#endif
