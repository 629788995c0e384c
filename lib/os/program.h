/* SPDX-License-Identifier: MIT */
/*
 * program.h - what a program on a command line needs of the kernel: its standard streams, its own name, signals that
 * ask it to stop, links to itself.
 */
#ifndef RIVULET_OS_PROGRAM_H
#define RIVULET_OS_PROGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

/* Descriptors 0, 1 and 2 that came closed are filled with one that refuses reads and writes. Without this the next file
 * opened would become the standard output, and log lines would land in a database. First thing in main(). */
void os_std_reserve(void);

/* Makes what the start of the program has relocated (tables of function pointers) read-only. Once, in main(). */
void os_protect_self(void);

/* All n bytes to standard output (1) or standard error (2): "write /dev/stdout: no space left on device". */
int os_std_write(int fd, const void *bytes, size_t n, struct err *e);
bool os_std_is_terminal(int fd);

/* From here on the first SIGINT or SIGTERM sets *flag, the second does what it always did. One flag per process; it
 * must outlive the program. Blocking calls are restarted: who waits must look at the flag now and then. */
void os_stop_on_signal(atomic_bool *flag);

/* The file that this process runs, malloc'ed: absolute, links resolved. Needs /proc. */
int os_self_path(char **path, struct err *e);
/* Who this is, for others to read: HOST:PID. */
void os_program_identity(char *out, size_t size);
int os_symlink(const char *target, const char *path, struct err *e);

#endif
