/* SPDX-License-Identifier: MIT */
#include "http/race.h"

#include <assert.h>
#include <errno.h>

#include "lib/os/clock.h"

enum { STAGGER_MS = 250 };

struct race {
	struct os_addr addrs[OS_ADDRS_MAX]; /* in the order of trying */
	struct pollfd fds[OS_ADDRS_MAX];    /* under way: fds[0 … open) */
	int from[OS_ADDRS_MAX];             /* which address each belongs to */
	int64_t until_us[OS_ADDRS_MAX];     /* by address */
	int count, next, open;
	int64_t next_us;                    /* when addrs[next] may start */
	int errnum;                         /* why the last one failed */
};

/* The first address not used yet, of that family if there is one. */
static int pick(const struct os_addr *found, int count, const bool *used, int family)
{
	int any = -1;

	for (int i = 0; i < count; i++) {
		if (used[i])
			continue;
		if (found[i].u.any.sa_family == family)
			return i;
		if (any < 0)
			any = i;
	}
	return any;
}

/* Families take turns; `family` begins, or (0) that of the first address. */
static void interleave(struct race *r, const struct os_addr *found, int count, int family)
{
	bool used[OS_ADDRS_MAX] = { false };

	if (family == 0)
		family = found[0].u.any.sa_family;
	while (r->count < count) {
		int i = pick(found, count, used, family);

		used[i] = true;
		r->addrs[r->count++] = found[i];
		family = found[i].u.any.sa_family == AF_INET ? AF_INET6 : AF_INET;
	}
}

static void drop(struct race *r, int i, int errnum)
{
	os_net_close(r->fds[i].fd);
	r->errnum = errnum;
	r->open--;
	r->fds[i] = r->fds[r->open];
	r->from[i] = r->from[r->open];
	r->next_us = 0; /* the next one need not wait for its turn */
}

/* Starts addresses whose time has come. A connected descriptor, or -1. */
static int start_due(struct race *r, int64_t each_ms, int *winner)
{
	while (r->next < r->count && (r->open == 0 || os_mono_us() >= r->next_us)) {
		int i = r->next++, fd, errnum;
		bool done;

		errnum = os_connect_start(&r->addrs[i], &fd, &done);
		if (errnum != 0) {
			r->errnum = errnum;
			r->next_us = 0;
			continue;
		}
		if (done) {
			*winner = i;
			return fd;
		}
		r->fds[r->open] = (struct pollfd){ .fd = fd, .events = POLLOUT };
		r->from[r->open++] = i;
		r->until_us[i] = os_mono_us() + each_ms * 1000;
		r->next_us = os_mono_us() + STAGGER_MS * 1000;
	}
	return -1;
}

/* Looks at those under way. A connected descriptor, which is no longer among them, or -1. */
static int finish_ready(struct race *r, int *winner)
{
	int64_t now_us = os_mono_us();

	for (int i = r->open - 1; i >= 0; i--) {
		int errnum;

		if (r->fds[i].revents == 0) {
			if (now_us >= r->until_us[r->from[i]])
				drop(r, i, ETIMEDOUT);
			continue;
		}
		errnum = os_connect_result(r->fds[i].fd);
		if (errnum == 0) {
			int fd = r->fds[i].fd;

			*winner = r->from[i];
			r->fds[i].fd = -1;
			drop(r, i, 0);
			return fd;
		}
		drop(r, i, errnum);
	}
	return -1;
}

static int64_t next_event(const struct race *r, int64_t until_us)
{
	if (r->next < r->count && r->next_us < until_us)
		until_us = r->next_us;
	for (int i = 0; i < r->open; i++)
		if (r->until_us[r->from[i]] < until_us)
			until_us = r->until_us[r->from[i]];
	return until_us;
}

static int run(struct race *r, int64_t each_ms, const atomic_bool *cancel, int *winner)
{
	int64_t until_us = os_mono_us() + 3 * each_ms * 1000;

	for (;;) {
		struct os_wait w = { .cancel = cancel };
		int fd = start_due(r, each_ms, winner);

		if (fd >= 0 || r->open == 0)
			return fd;
		w.until_us = next_event(r, until_us);
		for (int i = 0; i < r->open; i++)
			r->fds[i].revents = 0;
		if (os_net_poll(r->fds, r->open, &w) == OS_WAIT_CANCELLED) {
			r->errnum = ECANCELED;
			return -1;
		}
		fd = finish_ready(r, winner);
		if (fd >= 0)
			return fd;
		if (os_mono_us() >= until_us) {
			r->errnum = ETIMEDOUT;
			return -1;
		}
	}
}

int race_connect(const struct os_addr *addrs, int count, int *family, int64_t each_ms, const atomic_bool *cancel,
                 int *errnum)
{
	struct race r = { .errnum = ETIMEDOUT };
	int winner = 0, fd;

	assert(count > 0 && count <= OS_ADDRS_MAX);
	interleave(&r, addrs, count, *family);
	fd = run(&r, each_ms, cancel, &winner);
	*errnum = r.errnum;
	while (r.open > 0)
		drop(&r, r.open - 1, 0);
	if (fd >= 0)
		*family = r.addrs[winner].u.any.sa_family;
	return fd;
}
