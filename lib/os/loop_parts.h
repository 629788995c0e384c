/* SPDX-License-Identifier: MIT */
/*
 * loop_parts.h - the loop from the inside, for loop.c and watch.c only.
 */
#ifndef RIVULET_OS_LOOP_PARTS_H
#define RIVULET_OS_LOOP_PARTS_H

#include <signal.h>
#include <sys/epoll.h>

#include "lib/os/loop.h"

enum { LOOP_BATCH = 32 };

/* All watches by wd: chains through loop_watch.next; structs that watch one inode share a wd, thus a chain. */
struct watches {
	struct loop_fd inotify; /* fd < 0 until the first watch is added */
	struct loop_watch **chains;
	unsigned chain_count;      /* a power of two, or 0 */
	unsigned count;
	struct loop_watch *cursor; /* the next one to look at while events are given out */
	bool dispatching;
};

struct loop {
	int epoll;
	bool stop, in_round;
	struct loop_timer *timers; /* heap */
	struct loop_timer *due;    /* those of this round that have not fired yet */

	struct loop_fd wake;
	struct {
		void (*fn)(void *ctx);
		void *ctx;
	} wakes[LOOP_WAKES_MAX];
	int wake_count;

	struct loop_fd signals; /* fd < 0 until loop_on_signal */
	sigset_t signal_set;
	void (*on_signal)(void *ctx, const struct signalfd_siginfo *info);
	void *signal_ctx;

	struct watches watches;

	struct epoll_event batch[LOOP_BATCH];
	int batch_at, batch_count; /* batch_at: the next one to be given out */
};

void watches_init(struct watches *ws);
void watches_free(struct watches *ws);

#define LOOP_OF(part, field) ((struct loop *)(void *)((char *)(part) - offsetof(struct loop, field)))

#endif
