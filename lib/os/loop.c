/* SPDX-License-Identifier: MIT */
#include "lib/os/loop.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/loop_parts.h"
#include "lib/os/point.h"
#include "lib/os/timer.h"

enum { SIGNALS_PER_ROUND = 16 };

static void wake_ready(struct loop_fd *w, uint32_t events)
{
	struct loop *l = LOOP_OF(w, wake);
	uint64_t count;

	(void)events;
	/* Reading resets the counter before the function looks for work, so a wake-up during its run is not lost. */
	if (read(w->fd, &count, sizeof(count)) < 0)
		return;
	for (int i = 0; i < l->wake_count; i++)
		l->wakes[i].fn(l->wakes[i].ctx);
}

struct loop *loop_create(struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		err_nomem(e);
		return NULL;
	}
	l->epoll = l->wake.fd = l->signals.fd = -1;
	sigemptyset(&l->signal_set);
	watches_init(&l->watches);
	l->wake.ready = wake_ready;
	if (os_point(OS_CALL_OTHER) == 0)
		l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		err_sys(e, errno, "epoll_create");
		goto fail;
	}
	l->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake.fd < 0) {
		err_sys(e, errno, "eventfd");
		goto fail;
	}
	if (loop_fd_add(l, &l->wake, EPOLLIN, e) < 0)
		goto fail;
	return l;
fail:
	loop_free(l);
	return NULL;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	assert(!l->in_round);
	watches_free(&l->watches);
	if (l->signals.fd >= 0)
		close(l->signals.fd);
	if (l->wake.fd >= 0)
		close(l->wake.fd);
	if (l->epoll >= 0)
		close(l->epoll);
	free(l);
}

/* Milliseconds to wait, rounded up: a timer must not find that it is a little too early. */
static int wait_ms(const struct loop *l, int64_t max_wait_ms)
{
	int64_t ms = max_wait_ms, us;

	if (l->timers != NULL) {
		us = l->timers->due_us - os_mono_us();
		us = us > 0 ? us / 1000 + (us % 1000 != 0) : 0;
		if (ms < 0 || us < ms)
			ms = us;
	}
	if (ms < 0)
		return -1;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void fire_timers(struct loop *l)
{
	struct loop_timer *t;

	if (l->timers == NULL)
		return;
	timer_take_due(&l->timers, os_mono_us(), &l->due);
	while (l->due != NULL) {
		t = l->due;
		timer_remove(t);
		t->fire(t);
	}
}

int loop_once(struct loop *l, int64_t max_wait_ms, struct err *e)
{
	struct loop_fd *w;
	int n;

	assert(!l->in_round);
	n = epoll_wait(l->epoll, l->batch, LOOP_BATCH, wait_ms(l, max_wait_ms));
	if (n < 0 && errno != EINTR)
		return err_sys(e, errno, "epoll_wait");
	l->in_round = true;
	l->batch_count = n > 0 ? n : 0;
	for (l->batch_at = 0; l->batch_at < l->batch_count;) {
		n = l->batch_at++;
		w = l->batch[n].data.ptr;
		if (w != NULL) /* else removed by a callback of this round */
			w->ready(w, l->batch[n].events);
	}
	l->batch_count = 0;
	fire_timers(l);
	l->in_round = false;
	return 0;
}

int loop_run(struct loop *l, struct err *e)
{
	int rc = 0;

	while (!l->stop && rc == 0)
		rc = loop_once(l, -1, e);
	l->stop = false;
	return rc;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

void loop_on_wake(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	assert(l->wake_count < LOOP_WAKES_MAX);
	l->wakes[l->wake_count].fn = fn;
	l->wakes[l->wake_count++].ctx = ctx;
}

void loop_off_wake(struct loop *l, const void *ctx)
{
	int kept = 0;

	for (int i = 0; i < l->wake_count; i++)
		if (l->wakes[i].ctx != ctx)
			l->wakes[kept++] = l->wakes[i];
	l->wake_count = kept;
}

void loop_wake(void *loop)
{
	struct loop *l = loop;
	const uint64_t one = 1;
	ssize_t rc;

	/* Only a full counter makes it fail, and then the loop is going to wake up anyway. */
	do
		rc = write(l->wake.fd, &one, sizeof(one));
	while (rc < 0 && errno == EINTR);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t due_us, int64_t slack_us)
{
	if (loop_timer_armed(t))
		timer_remove(t);
	t->due_us = timer_round(due_us, slack_us);
	timer_insert(&l->timers, t);
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
	(void)l;
	if (loop_timer_armed(t))
		timer_remove(t);
}

int64_t loop_next_due(const struct loop *l)
{
	return l->timers != NULL ? l->timers->due_us : INT64_MAX;
}

static int fd_control(struct loop *l, int op, struct loop_fd *w, uint32_t events, struct err *e)
{
	struct epoll_event event = { .events = events, .data.ptr = w };

	if (os_point(OS_CALL_OTHER) < 0 || epoll_ctl(l->epoll, op, w->fd, &event) < 0)
		return err_sys(e, errno, "epoll_ctl");
	return 0;
}

int loop_fd_add(struct loop *l, struct loop_fd *w, uint32_t events, struct err *e)
{
	return fd_control(l, EPOLL_CTL_ADD, w, events, e);
}

int loop_fd_change(struct loop *l, struct loop_fd *w, uint32_t events, struct err *e)
{
	return fd_control(l, EPOLL_CTL_MOD, w, events, e);
}

void loop_fd_remove(struct loop *l, struct loop_fd *w)
{
	struct epoll_event unused = { .events = 0 };
	int i;

	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, &unused);
	for (i = l->batch_at; i < l->batch_count; i++)
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
}

static void signals_ready(struct loop_fd *w, uint32_t events)
{
	struct loop *l = LOOP_OF(w, signals);
	struct signalfd_siginfo info;
	int i;

	(void)events;
	for (i = 0; i < SIGNALS_PER_ROUND; i++) {
		if (read(w->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
			return;
		l->on_signal(l->signal_ctx, &info);
	}
}

int loop_on_signal(struct loop *l, const int *signals, int count,
                   void (*fn)(void *ctx, const struct signalfd_siginfo *info), void *ctx, struct err *e)
{
	sigset_t set = l->signal_set;
	int fd = -1, i;

	for (i = 0; i < count; i++)
		sigaddset(&set, signals[i]);
	if (os_point(OS_CALL_OTHER) == 0)
		fd = signalfd(l->signals.fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "signalfd");
	if (l->signals.fd < 0) {
		l->signals = (struct loop_fd){ .ready = signals_ready, .fd = fd };
		if (loop_fd_add(l, &l->signals, EPOLLIN, e) < 0) {
			close(fd);
			l->signals.fd = -1;
			return -1;
		}
	}
	l->signal_set = set;
	l->on_signal = fn;
	l->signal_ctx = ctx;
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return 0;
}
