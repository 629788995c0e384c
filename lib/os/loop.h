/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the event loop: descriptors, timers, inotify, signals, wake-ups from other threads. One thread owns it.
 *
 * Timers stand in one heap of due times, so a thousand of them cost nothing while none is due; a timer that is not
 * armed costs only its struct. Callbacks run on the loop's thread, must not block, and may arm, disarm, add or remove
 * anything, themselves included.
 */
#ifndef RIVULET_OS_LOOP_H
#define RIVULET_OS_LOOP_H

#include <sys/signalfd.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct loop;

struct loop *loop_create(struct err *e);
void loop_free(struct loop *l);
/* Runs until loop_stop(). */
int loop_run(struct loop *l, struct err *e);
/* One round: waits at most max_wait_ms (-1 = until something happens), runs what is due. */
int loop_once(struct loop *l, int64_t max_wait_ms, struct err *e);
void loop_stop(struct loop *l);
/* From any thread: makes the loop call the function set here, once or more. */
void loop_on_wake(struct loop *l, void (*fn)(void *ctx), void *ctx);
void loop_wake(void *loop);

/* Timers. The struct belongs to the caller and must not move while armed. */
struct loop_timer {
	void (*fire)(struct loop_timer *t);
	int64_t due_us; /* os_mono_us() time */
	int heap_index; /* 0 = not armed; set it to 0 before the first use */
};
/* Arms or re-arms. slack_us > 0 lets the loop move the firing later by up to that much, to wake once for many. */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t due_us, int64_t slack_us);
void loop_timer_clear(struct loop *l, struct loop_timer *t);
static inline bool loop_timer_armed(const struct loop_timer *t) { return t->heap_index != 0; }

/* Descriptors. The struct belongs to the caller and must not move while added. */
struct loop_fd {
	void (*ready)(struct loop_fd *w, uint32_t events); /* EPOLLIN, EPOLLOUT, … */
	int fd;
};
int loop_fd_add(struct loop *l, struct loop_fd *w, uint32_t events, struct err *e);
int loop_fd_change(struct loop *l, struct loop_fd *w, uint32_t events, struct err *e);
void loop_fd_remove(struct loop *l, struct loop_fd *w);

/* Signals, delivered on the loop's thread; they are blocked in all threads from this call on. */
int loop_on_signal(struct loop *l, const int *signals, int count, void (*fn)(void *ctx, const struct signalfd_siginfo *info),
                   void *ctx, struct err *e);

/* Watches of files and folders (inotify). One watch per struct; several structs may watch one inode. */
struct loop_watch {
	void (*event)(struct loop_watch *w, uint32_t mask, const char *name); /* name: inside a watched folder, or NULL */
	uint32_t mask;
	int wd;                  /* 0 = not watching */
	struct loop_watch *next; /* the loop's */
};
/*
 * Starts watching; mask as inotify (IN_MODIFY, …). With IN_ONESHOT the watch is gone after its first event (wd == 0 when
 * event() is called). ERR_LIMIT with a sentence that names fs.inotify.max_user_watches when the kernel's bound is
 * reached; ERR_NOT_FOUND for a missing path. A lost queue (IN_Q_OVERFLOW) is given to every watch as that mask.
 */
int loop_watch_add(struct loop *l, struct loop_watch *w, const char *path, uint32_t mask, struct err *e);
void loop_watch_remove(struct loop *l, struct loop_watch *w);

#endif
