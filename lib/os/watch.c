/* SPDX-License-Identifier: MIT */
/*
 * The loop's inotify watches.
 *
 * The kernel counts watches per inode and gives the same number (wd) to all who ask for one inode. So a wd stands for a
 * set of structs here. Its kernel mask only grows (IN_MASK_ADD) until the last struct is gone: making it smaller needs
 * the path, which may name another file by then. What a struct did not ask for is kept from it in give().
 *
 * Numbers are not used again before 2^31 others, so events of a watch that was removed are known by finding no struct.
 */
#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/os/loop_parts.h"
#include "lib/os/point.h"

enum {
	CHAINS_FIRST = 32,
	CHAINS_MAX = 1 << 16,
	EVENTS_SIZE = 4096,
	/* Marks the watches that are still to hear of a lost queue; never part of a caller's mask. */
	OWED_OVERFLOW = IN_MASK_ADD,
};

static void watches_ready(struct loop_fd *fd, uint32_t events);

void watches_init(struct watches *ws)
{
	ws->inotify = (struct loop_fd){ .ready = watches_ready, .fd = -1 };
}

void watches_free(struct watches *ws)
{
	if (ws->inotify.fd >= 0)
		close(ws->inotify.fd);
	free(ws->chains);
}

static struct loop_watch **chain_of(struct watches *ws, int wd)
{
	return &ws->chains[(unsigned)wd & (ws->chain_count - 1)];
}

/* Twice as many chains, when they are full. Failing is no harm once there are some. */
static void grow(struct watches *ws)
{
	unsigned i, old_count = ws->chain_count, count = old_count > 0 ? old_count * 2 : CHAINS_FIRST;
	struct loop_watch **old = ws->chains, **chains, **at, *w, *next;

	/* Never under the cursor of a walk over the chains. */
	if (ws->count < old_count || old_count >= CHAINS_MAX || (ws->dispatching && old_count > 0))
		return;
	chains = calloc(count, sizeof(struct loop_watch *));
	if (chains == NULL)
		return;
	ws->chains = chains;
	ws->chain_count = count;
	for (i = 0; i < old_count; i++) {
		for (w = old[i]; w != NULL; w = next) {
			next = w->next;
			at = chain_of(ws, w->wd);
			w->next = *at;
			*at = w;
		}
	}
	free(old);
}

/* The first watch opens the queue: a process without watches does not take one of the user's instances. */
static int open_queue(struct loop *l, const char *path, struct err *e)
{
	struct watches *ws = &l->watches;

	if (ws->inotify.fd >= 0)
		return 0;
	ws->inotify.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (ws->inotify.fd < 0) {
		if (errno != EMFILE && errno != ENFILE)
			return err_sys(e, errno, "watch %s: inotify_init", path);
		return err_set(e, ERR_LIMIT,
		               "watch %s: no inotify queue to be had; fs.inotify.max_user_instances, or the limit "
		               "of open files, is reached", path);
	}
	if (loop_fd_add(l, &ws->inotify, EPOLLIN, e) < 0) {
		close(ws->inotify.fd);
		ws->inotify.fd = -1;
		return -1;
	}
	return 0;
}

int loop_watch_add(struct loop *l, struct loop_watch *w, const char *path, uint32_t mask, struct err *e)
{
	struct watches *ws = &l->watches;
	struct loop_watch **chain;
	int wd = -1;

	assert(w->wd == 0 && (mask & (IN_MASK_ADD | IN_MASK_CREATE)) == 0);
	grow(ws);
	if (ws->chain_count == 0)
		return err_nomem(e);
	if (open_queue(l, path, e) < 0)
		return -1;
	if (os_point(OS_CALL_WATCH) == 0)
		wd = inotify_add_watch(ws->inotify.fd, path, (mask & ~(uint32_t)IN_ONESHOT) | IN_MASK_ADD);
	if (wd < 0) {
		if (errno == ENOSPC)
			return err_set(e, ERR_LIMIT,
			               "watch %s: the limit of watched files, fs.inotify.max_user_watches, is reached",
			               path);
		return err_sys(e, errno, "watch %s", path);
	}
	w->mask = mask;
	w->wd = wd;
	chain = chain_of(ws, wd);
	/* In front, so that a walk over this chain that is under way does not meet it. */
	w->next = *chain;
	*chain = w;
	ws->count++;
	return 0;
}

/* Takes the struct out of its chain; true when it was the last one of its wd. */
static bool unlink_watch(struct watches *ws, struct loop_watch *w)
{
	struct loop_watch **at, *other;
	bool last = true;

	if (ws->cursor == w)
		ws->cursor = w->next;
	at = chain_of(ws, w->wd);
	while ((other = *at) != w) {
		assert(other != NULL);
		last = last && other->wd != w->wd;
		at = &other->next;
	}
	*at = w->next;
	for (other = w->next; other != NULL; other = other->next)
		last = last && other->wd != w->wd;
	w->next = NULL;
	ws->count--;
	return last;
}

void loop_watch_remove(struct loop *l, struct loop_watch *w)
{
	struct watches *ws = &l->watches;

	if (w->wd == 0)
		return;
	/* The kernel may have ended it already; then this says EINVAL, and its IN_IGNORED will find no struct. */
	if (unlink_watch(ws, w))
		(void)inotify_rm_watch(ws->inotify.fd, w->wd);
	w->wd = 0;
}

/* Gives one event to one struct. */
static void give(struct loop *l, struct loop_watch *w, uint32_t mask, const char *name)
{
	if ((mask & IN_IGNORED) != 0) {
		unlink_watch(&l->watches, w);
		w->wd = 0;
	} else if ((w->mask & IN_ONESHOT) != 0) {
		loop_watch_remove(l, w);
	}
	w->event(w, mask, name);
}

/* Callbacks may remove any struct, the next one included: unlink_watch() moves the cursor on then. */
static void give_event(struct loop *l, const struct inotify_event *event)
{
	struct watches *ws = &l->watches;
	const char *name = event->len > 0 ? event->name : NULL;
	struct loop_watch *w;

	for (ws->cursor = *chain_of(ws, event->wd); (w = ws->cursor) != NULL;) {
		ws->cursor = w->next;
		if (w->wd == event->wd && (event->mask & ((w->mask & IN_ALL_EVENTS) | IN_IGNORED | IN_UNMOUNT)) != 0)
			give(l, w, event->mask, name);
	}
}

/* Only the watches of this moment are told: one that its owner starts again in event() has lost nothing. */
static void give_overflow(struct loop *l)
{
	struct watches *ws = &l->watches;
	struct loop_watch *w;
	unsigned i;

	for (i = 0; i < ws->chain_count; i++)
		for (w = ws->chains[i]; w != NULL; w = w->next)
			w->mask |= OWED_OVERFLOW;
	for (i = 0; i < ws->chain_count; i++) {
		for (ws->cursor = ws->chains[i]; (w = ws->cursor) != NULL;) {
			ws->cursor = w->next;
			if ((w->mask & OWED_OVERFLOW) == 0)
				continue;
			w->mask &= ~(uint32_t)OWED_OVERFLOW;
			give(l, w, IN_Q_OVERFLOW, NULL);
		}
	}
}

/* One buffer per round: what is left makes the descriptor ready again, after the others had their turn. */
static void watches_ready(struct loop_fd *fd, uint32_t events)
{
	struct loop *l = LOOP_OF(fd, watches.inotify);
	char bytes[EVENTS_SIZE] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *event;
	const char *at = bytes;
	ssize_t n;

	(void)events;
	n = read(fd->fd, bytes, sizeof(bytes));
	l->watches.dispatching = true;
	for (; n > 0 && at < bytes + n; at += sizeof(*event) + event->len) {
		event = (const void *)at;
		if ((event->mask & IN_Q_OVERFLOW) != 0)
			give_overflow(l);
		else
			give_event(l, event);
	}
	l->watches.dispatching = false;
	l->watches.cursor = NULL;
}
