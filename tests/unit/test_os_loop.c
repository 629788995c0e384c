/* SPDX-License-Identifier: MIT */
/* The loop itself: descriptors, waking from another thread, signals, and what a failing call leaves. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/loop.h"
#include "tests/check.h"

static struct err err;

/* ---- descriptors ---- */

struct pipe_end {
	struct loop_fd fd;
	struct loop *loop;
	struct pipe_end *remove[2];
	uint32_t events;
	int ready;
};

static void ready(struct loop_fd *w, uint32_t events)
{
	struct pipe_end *p = (struct pipe_end *)w;
	int i;

	p->ready++;
	p->events = events;
	for (i = 0; i < 2; i++)
		if (p->remove[i] != NULL)
			loop_fd_remove(p->loop, &p->remove[i]->fd);
}

TEST(descriptors)
{
	struct loop *l = loop_create(&err);
	struct pipe_end a = { .fd.ready = ready, .loop = l }, b = a;
	int pa[2], pb[2];

	CHECK(pipe(pa) == 0 && pipe(pb) == 0);
	a.fd.fd = pa[0];
	b.fd.fd = pb[0];
	CHECK_OK(loop_fd_add(l, &a.fd, EPOLLIN, &err), &err);
	CHECK_OK(loop_fd_add(l, &b.fd, EPOLLIN, &err), &err);
	CHECK_INT(loop_fd_add(l, &b.fd, EPOLLIN, &err), -1);
	CHECK_INT(err.code, ERR_EXISTS);
	CHECK_OK(loop_once(l, 0, &err), &err);
	CHECK_INT(a.ready + b.ready, 0);
	CHECK(write(pa[1], "x", 1) == 1 && write(pb[1], "x", 1) == 1);
	CHECK_OK(loop_once(l, -1, &err), &err);
	CHECK_INT(a.ready, 1);
	CHECK_INT(b.ready, 1);
	CHECK_INT(a.events, EPOLLIN);
	CHECK_OK(loop_fd_change(l, &b.fd, 0, &err), &err);
	CHECK_OK(loop_once(l, -1, &err), &err);
	CHECK_INT(a.ready, 2);
	CHECK_INT(b.ready, 1);
	CHECK_OK(loop_fd_change(l, &b.fd, EPOLLIN, &err), &err);
	/* Both are ready; whichever comes first removes both. */
	a.remove[0] = b.remove[1] = &a;
	a.remove[1] = b.remove[0] = &b;
	CHECK_OK(loop_once(l, -1, &err), &err);
	CHECK_INT(a.ready + b.ready, 4);
	CHECK_OK(loop_once(l, 0, &err), &err);
	CHECK_INT(a.ready + b.ready, 4);
	close(pa[0]);
	close(pa[1]);
	close(pb[0]);
	close(pb[1]);
	loop_free(l);
}

/* ---- waking and signals ---- */

static int woken;

static void on_wake(void *ctx)
{
	if (++woken == 3)
		loop_stop(ctx);
}

static void *wake_thrice(void *ctx)
{
	int i;

	for (i = 0; i < 3; i++) {
		loop_wake(ctx);
		os_sleep_ms(20);
	}
	return NULL;
}

TEST(wake_from_thread)
{
	struct loop *l = loop_create(&err);
	pthread_t t;

	loop_on_wake(l, on_wake, l);
	CHECK_INT(pthread_create(&t, NULL, wake_thrice, l), 0);
	CHECK_OK(loop_run(l, &err), &err);
	pthread_join(t, NULL);
	CHECK_INT(woken, 3);
	CHECK_OK(loop_once(l, 0, &err), &err);
	CHECK_INT(woken, 3);
	loop_free(l);
}

static int got_signals[2];

static void on_signal(void *ctx, const struct signalfd_siginfo *info)
{
	got_signals[0] -= ctx != got_signals;
	got_signals[0] += info->ssi_signo == SIGUSR1;
	got_signals[1] += info->ssi_signo == SIGUSR2;
}

TEST(signals)
{
	struct loop *l = loop_create(&err);
	const int one = SIGUSR1, two = SIGUSR2;

	CHECK_OK(loop_on_signal(l, &one, 1, on_signal, got_signals, &err), &err);
	CHECK_OK(loop_on_signal(l, &two, 1, on_signal, got_signals, &err), &err);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	CHECK_OK(loop_once(l, 5000, &err), &err);
	CHECK_INT(got_signals[0], 1);
	CHECK_INT(got_signals[1], 1);
	loop_free(l);
}

TEST(create_fails_cleanly)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .calls = OS_CALL_OTHER, .errnum = EMFILE };
	struct loop *l;

	for (plan.at = 1; plan.at <= 2; plan.at++) {
		os_fault_set(&plan);
		l = loop_create(&err);
		os_fault_set(NULL);
		CHECK(l == NULL);
		CHECK_INT(err.sys, EMFILE);
	}
}

TEST_MAIN
