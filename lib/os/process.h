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
/*
 * Tells a service manager about us ("READY=1"), as systemd's sd_notify does: one datagram to the socket that
 * NOTIFY_SOCKET names. Nothing happens when there is none.
 */
int os_notify(const char *text, struct err *e);
/* Takes over a descriptor that our parent opened for us: children of ours will not have it. ERR_INVALID when it is not
 * open, or is one of the first three. */
int os_inherit(int fd, struct err *e);
/* Writes one newline and closes it: how s6 and others are told that we are ready. */
int os_ready(int fd, struct err *e);
/* Writing to a pipe or socket that nobody reads is an error then, and no end of the process. */
void os_ignore_broken_pipes(void);
/* Raises the soft limit of descriptors to the hard one; returns what holds now. */
long os_raise_descriptor_limit(void);

#endif
