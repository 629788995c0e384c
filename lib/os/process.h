/* SPDX-License-Identifier: MIT */
/*
 * process.h - child processes for -exec, and limits of our own process. The loop's thread only.
 */
#ifndef RIVULET_OS_PROCESS_H
#define RIVULET_OS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

/*
 * Starts argv[0] (looked up in PATH) with our environment, stdout and stderr, /dev/null as stdin, no signal blocked,
 * the default action for SIGPIPE, and the limit of descriptors that we were started with.
 * Errors read as Go's: `fork/exec /x: no such file or directory`, `exec: "x": executable file not found in $PATH`.
 */
int os_spawn(char *const argv[], pid_t *pid, struct err *e);
/* Reaps one ended child, whoever it is (PID 1 reaps strangers too): 1 and its wait status, 0 when none ended. */
int os_reap(pid_t *pid, int *status);
int os_kill(pid_t pid, int signal_number);
pid_t os_pid(void); /* our own */
/* A number for this boot of the machine, the same for all processes; 0 = cannot be known (no /proc). */
uint64_t os_boot_id(void);
/* "killed", "terminated": as Go names signals. Valid until the next call. */
const char *os_signal_name(int signal_number);
/* Writing to a pipe or socket that nobody reads is an error then, and no end of the process. */
void os_ignore_broken_pipes(void);
/* Raises the soft limit of descriptors to the hard one; returns what holds now. */
long os_raise_descriptor_limit(void);

#endif
