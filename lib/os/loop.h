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
/* Everything added must have been removed, or be forgotten with the loop. */
void loop_free(struct loop *l);
/* Runs until loop_stop(), which a callback calls, or somebody before. */
int loop_run(struct loop *l, struct err *e);
/* One round: waits at most max_wait_ms (-1 = until something happens), runs what is due. Not from a callback. */
int loop_once(struct loop *l, int64_t max_wait_ms, struct err *e);
void loop_stop(struct loop *l);
/* Adds a function, at most LOOP_WAKES_MAX: all of them are called, once or more, after loop_wake(), which any thread
 * may call. loop_off_wake() takes those of that ctx away again; not from such a function. */
enum { LOOP_WAKES_MAX = 8 };
void loop_on_wake(struct loop *l, void (*fn)(void *ctx), void *ctx);
void loop_off_wake(struct loop *l, const void *ctx);
void loop_wake(void *loop);

/* Timers. The struct belongs to the caller, is zeroed before its first use and must not move while armed. */
struct loop_timer {
	void (*fire)(struct loop_timer *t);
	int64_t due_us; /* os_mono_us() time; the loop's while armed */
	/* The loop's: place in the heap. */
	struct loop_timer *child, *next, **link;
};
/*
 * Arms or re-arms. The loop moves the firing later by at most slack_us, to the roundest time in reach (most trailing
 * zero bits in microseconds), so that timers with slack meet and one waking serves many. A timer that is armed from a
 * callback fires in a later round even when it is already due, so none can starve the others. Due times are kept to
 * the microsecond, waking to the millisecond.
 */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t due_us, int64_t slack_us);
void loop_timer_clear(struct loop *l, struct loop_timer *t);
static inline bool loop_timer_armed(const struct loop_timer *t) { return t->link != 0; }
/* When the earliest armed timer fires; INT64_MAX without one. For those who move the clock (os_fault_clock). */
int64_t loop_next_due(const struct loop *l);

/* Descriptors. The struct belongs to the caller and must not move while added. */
struct loop_fd {
	void (*ready)(struct loop_fd *w, uint32_t events); /* EPOLLIN, EPOLLOUT, … */
	int fd;
};
int loop_fd_add(struct loop *l, struct loop_fd *w, uint32_t events, struct err *e);
int loop_fd_change(struct loop *l, struct loop_fd *w, uint32_t events, struct err *e);
void loop_fd_remove(struct loop *l, struct loop_fd *w);

/* Signals, delivered on the loop's thread; they are blocked in this thread and all that it starts from now on. Further
 * calls add signals; the last function counts. */
int loop_on_signal(struct loop *l, const int *signals, int count,
                   void (*fn)(void *ctx, const struct signalfd_siginfo *info), void *ctx, struct err *e);

/* Watches of files and folders (inotify). One watch per struct; several structs may watch one inode. */
struct loop_watch {
	/* name: inside a watched folder, or NULL */
	void (*event)(struct loop_watch *w, uint32_t mask, const char *name);
	uint32_t mask;
	int wd;                  /* 0 = not watching; set it to 0 before the first use */
	struct loop_watch *next; /* the loop's */
};
/*
 * Starts watching; mask as inotify (IN_MODIFY, …), without IN_MASK_ADD and IN_MASK_CREATE. The struct must not move
 * while it watches.
 *
 * With IN_ONESHOT the watch is gone after its first event (wd == 0 when event() is called). The kernel knows one watch
 * per inode, not per struct: its mask is the union of all masks added since the first, each struct is called for its
 * own events only, and "one shot" is done here, per struct.
 *
 * When the kernel ends the watch (file deleted, file system gone), every struct gets IN_IGNORED, whatever its mask,
 * with wd == 0. A lost queue (IN_Q_OVERFLOW) is given to every watch as that mask.
 *
 * ERR_LIMIT with a sentence that names fs.inotify.max_user_watches (or max_user_instances, for the first watch) when a
 * bound of the kernel is reached; ERR_NOT_FOUND for a missing path.
 */
int loop_watch_add(struct loop *l, struct loop_watch *w, const char *path, uint32_t mask, struct err *e);
void loop_watch_remove(struct loop *l, struct loop_watch *w);

#endif
