/* SPDX-License-Identifier: MIT */
/*
 * thread.h - threads as a profiler sees them: where the stack of each ends, who started it, and what it is doing now.
 *
 * Stacks are walked by frame pointers, which our own code has and libraries have not; where one of those was
 * interrupted, the frame of ours that called it is looked for above it (thread.c). So a stack has the interrupted
 * function first, then only what is certain: frames between a library's innermost function and our caller may be
 * missing, none is invented. Addresses behind the first are return addresses. Nothing here allocates.
 */
#ifndef RIVULET_OS_THREAD_H
#define RIVULET_OS_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

enum { OS_STACK_MAX = 32, OS_THREAD_NAME_SIZE = 16, OS_THREAD_SITES_MAX = 8 };

struct os_stack {
	int depth;
	uintptr_t pc[OS_STACK_MAX];
};

/* First thing in a thread's outermost function: up to that frame its stack may be read. name (at most 15 bytes) is what
 * tools show; NULL leaves it. */
#define os_thread_begin(name) os_thread_note(name, __builtin_frame_address(0))
void os_thread_note(const char *name, void *frame);

/* The stack from the caller on of the function whose __builtin_frame_address(0) this is. */
void os_stack_above(const void *frame, struct os_stack *s);

/* The program's own code in memory: what lies where. Link addresses are those less bias. */
struct os_text {
	uintptr_t from, to, bias;
	uint64_t file_offset; /* of `from` in the program's file */
};
struct os_text os_text(void);

/* Before a thread is created: notes by whom, for os_thread_sites. Any thread. */
void os_thread_creating(void);
struct os_thread_site {
	struct os_stack stack;
	uint64_t started;
};
/* How many there are; the oldest OS_THREAD_SITES_MAX places are told apart. */
int os_thread_sites(struct os_thread_site out[OS_THREAD_SITES_MAX]);

/*
 * Every hz-th part of a second of CPU time that the process uses (all threads together), sample() is called in a signal
 * handler on the thread that used it: it may touch atomics and memory of its own, nothing else. One at a time:
 * ERR_BUSY.
 */
int os_sample_start(int hz, void (*sample)(const struct os_stack *s), struct err *e);
void os_sample_stop(void);

struct os_thread_state {
	int tid;
	char name[OS_THREAD_NAME_SIZE];
	char state;            /* of /proc: R running, S sleeping, D waiting for a device, … */
	struct os_stack stack; /* depth 0: it could not be asked (it waits for a device, or has just ended) */
};
/* All threads of the process, at most max, each interrupted for an instant. Returns how many. One caller at a time. */
int os_thread_states(struct os_thread_state *out, int max);

#endif
