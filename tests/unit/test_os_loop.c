/* SPDX-License-Identifier: MIT */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/file.h"
#include "lib/os/loop.h"
#include "lib/os/timer.h"
#include "tests/support/tmpdir.h"

static struct err err;

/* ---- timers ---- */

enum { TIMERS = 500 };

struct alarm {
	struct loop_timer timer;
	struct loop *loop;
	int fired;
	int64_t fired_at;
	struct alarm *clear; /* what firing does to others, or itself */
	struct alarm *set;
	int64_t set_in_us;
	bool stop;
};

static int64_t last_fired;
static int disorder, fired_total;

static void fire(struct loop_timer *t)
{
	struct alarm *a = (struct alarm *)t;

	a->fired++;
	fired_total++;
	a->fired_at = os_mono_us();
	disorder += t->due_us < last_fired;
	last_fired = t->due_us;
	if (a->clear != NULL)
		loop_timer_clear(a->loop, &a->clear->timer);
	if (a->set != NULL)
		loop_timer_set(a->loop, &a->set->timer, os_mono_us() + a->set_in_us, 0);
	if (a->stop)
		loop_stop(a->loop);
}

static uint32_t seed = 1;

static uint32_t rnd(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* Random arming, re-arming and clearing against a plain table. */
TEST(timer_heap_against_table)
{
	static struct alarm a[TIMERS];
	static int64_t due[TIMERS]; /* 0 = not armed */
	struct loop *l = loop_create(&err);
	int64_t now = 1000, next;
	int i, k, want_total = 0;

	CHECK(l != NULL);
	fired_total = disorder = 0;
	os_fault_clock(1, now);
	for (i = 0; i < TIMERS; i++)
		a[i] = (struct alarm){ .timer.fire = fire, .loop = l };
	for (k = 0; k < 300; k++) {
		for (i = 0; i < 60; i++) {
			int n = (int)(rnd() % TIMERS);

			if (rnd() % 3 == 0) {
				loop_timer_clear(l, &a[n].timer);
				due[n] = 0;
			} else {
				due[n] = now + 1 + rnd() % 500;
				loop_timer_set(l, &a[n].timer, due[n], 0);
			}
		}
		next = INT64_MAX;
		for (i = 0; i < TIMERS; i++) {
			CHECK_INT(loop_timer_armed(&a[i].timer), due[i] != 0);
			if (due[i] != 0 && due[i] < next)
				next = due[i];
		}
		CHECK_INT(loop_next_due(l), next);
		now += rnd() % 60;
		os_fault_clock(1, now);
		last_fired = 0;
		CHECK_OK(loop_once(l, 0, &err), &err);
		for (i = 0; i < TIMERS; i++) {
			if (due[i] != 0 && due[i] <= now) {
				want_total++;
				due[i] = 0;
			}
		}
		CHECK_INT(fired_total, want_total);
	}
	CHECK_INT(disorder, 0);
	CHECK(want_total > 1000);
	os_fault_clock(0, 0);
	loop_free(l);
}

TEST(timer_slack_stays_in_bounds)
{
	int64_t due, slack, at;
	int i;

	for (i = 0; i < 100000; i++) {
		due = 1 + (int64_t)rnd() * (1 + rnd() % 100000);
		slack = rnd() % (1u << (rnd() % 24));
		at = timer_round(due, slack);
		CHECK(at >= due && at <= due + slack);
	}
	CHECK_INT(timer_round(10, 5), 12);
	CHECK_INT(timer_round(8, 7), 8);
	CHECK_INT(timer_round(1, 7), 8);
	CHECK_INT(timer_round(9, 0), 9);
	CHECK_INT(timer_round(-9, 5), -9);
	CHECK_INT(timer_round(INT64_MAX - 2, 5), INT64_MAX - 2);
}

/* A thousand timers within a second, with a second of slack, need no more than a few wake-ups. */
TEST(timer_slack_saves_wakeups)
{
	static struct alarm a[1000];
	struct loop *l = loop_create(&err);
	int rounds = 0, i;

	fired_total = 0;
	os_fault_clock(1, 7777777);
	for (i = 0; i < 1000; i++) {
		a[i] = (struct alarm){ .timer.fire = fire, .loop = l };
		loop_timer_set(l, &a[i].timer, 7777777 + rnd() % 1000000, 1000000);
	}
	while (loop_next_due(l) != INT64_MAX) {
		os_fault_clock(1, loop_next_due(l));
		CHECK_OK(loop_once(l, 0, &err), &err);
		rounds++;
	}
	os_fault_clock(0, 0);
	CHECK_INT(fired_total, 1000);
	CHECK(rounds <= 4);
	loop_free(l);
}

TEST(timers_change_each_other)
{
	struct loop *l = loop_create(&err);
	struct alarm a = { .timer.fire = fire, .loop = l }, b = a, c = a, d = a;

	os_fault_clock(1, 1000);
	a.clear = &b; /* due in the same round */
	a.set = &a;   /* at once again: next round */
	c.set = &d;   /* d is due in this round, too, and moves to a later one */
	c.set_in_us = 50;
	loop_timer_set(l, &a.timer, 10, 0);
	loop_timer_set(l, &b.timer, 20, 0);
	loop_timer_set(l, &c.timer, 30, 0);
	loop_timer_set(l, &d.timer, 40, 0);
	CHECK_OK(loop_once(l, 0, &err), &err);
	CHECK_INT(a.fired, 1);
	CHECK_INT(b.fired, 0);
	CHECK_INT(c.fired, 1);
	CHECK_INT(d.fired, 0);
	CHECK(loop_timer_armed(&a.timer) && !loop_timer_armed(&b.timer) && loop_timer_armed(&d.timer));
	CHECK_OK(loop_once(l, -1, &err), &err);
	CHECK_INT(a.fired, 2);
	CHECK_INT(d.fired, 0);
	a.set = NULL;
	os_fault_clock_advance(50);
	CHECK_OK(loop_once(l, -1, &err), &err);
	CHECK_INT(a.fired, 3);
	CHECK_INT(d.fired, 1);
	CHECK_INT(loop_next_due(l), INT64_MAX);
	os_fault_clock(0, 0);
	loop_free(l);
}

TEST(timer_in_real_time)
{
	struct loop *l = loop_create(&err);
	struct alarm a = { .timer.fire = fire, .loop = l, .stop = true };
	int64_t start = os_mono_us();

	loop_timer_set(l, &a.timer, start + 20300, 0);
	CHECK_OK(loop_once(l, 1, &err), &err); /* max_wait ends it */
	CHECK_INT(a.fired, 0);
	CHECK_OK(loop_run(l, &err), &err);
	CHECK_INT(a.fired, 1);
	CHECK(a.fired_at >= start + 20300 && a.fired_at < start + 2000000);
	loop_stop(l); /* before it runs: it returns at once */
	CHECK_OK(loop_run(l, &err), &err);
	loop_free(l);
}

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

/* ---- watches ---- */

struct eye {
	struct loop_watch watch;
	struct loop *loop;
	int events, names, wd_at_event;
	uint32_t seen;
	char name[64];
	struct eye *remove[3];
	const char *again; /* start again on this path in event() */
	int again_rc;
};

static void event(struct loop_watch *w, uint32_t mask, const char *name)
{
	struct eye *eye = (struct eye *)w;
	int i;

	eye->events++;
	eye->seen |= mask;
	eye->wd_at_event = w->wd;
	if (name != NULL) {
		eye->names++;
		snprintf(eye->name, sizeof(eye->name), "%.63s", name);
	}
	for (i = 0; i < 3; i++)
		if (eye->remove[i] != NULL)
			loop_watch_remove(eye->loop, &eye->remove[i]->watch);
	if (eye->again != NULL)
		eye->again_rc = loop_watch_add(eye->loop, w, eye->again, w->mask, &err);
}

static struct eye new_eye(struct loop *l)
{
	return (struct eye){ .watch.event = event, .loop = l };
}

static int append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static int rounds(struct loop *l, int n)
{
	while (n-- > 0)
		if (loop_once(l, 0, &err) < 0)
			return -1;
	return 0;
}

TEST(watch_file_and_folder)
{
	struct loop *l = loop_create(&err);
	struct eye file = new_eye(l), dir = new_eye(l);
	const char *path = tmppath("w1");

	CHECK_INT(append(path, "1"), 0);
	CHECK_OK(loop_watch_add(l, &file.watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &dir.watch, tmpdir(), IN_CREATE | IN_DELETE, &err), &err);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(file.events + dir.events, 0);
	CHECK_INT(append(path, "2"), 0);
	CHECK_INT(append(tmppath("w2"), "2"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(file.events, 1);
	CHECK_INT(file.seen, IN_MODIFY);
	CHECK_INT(file.names, 0);
	CHECK_INT(dir.events, 1);
	CHECK_STR(dir.name, "w2");
	loop_watch_remove(l, &file.watch);
	loop_watch_remove(l, &file.watch);
	CHECK_INT(file.watch.wd, 0);
	CHECK_INT(append(path, "3"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(file.events, 1);
	unlink(path);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(dir.events, 2);
	loop_free(l);
}

TEST(watch_shared_inode)
{
	struct loop *l = loop_create(&err);
	struct eye a = new_eye(l), b = new_eye(l), once = new_eye(l);
	const char *path = tmppath("shared"), *link_path = tmppath("hardlink");

	CHECK_INT(append(path, "1"), 0);
	CHECK_INT(link(path, link_path), 0);
	CHECK_OK(loop_watch_add(l, &a.watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &b.watch, link_path, IN_ATTRIB, &err), &err);
	CHECK_OK(loop_watch_add(l, &once.watch, path, IN_MODIFY | IN_ONESHOT, &err), &err);
	CHECK_INT(a.watch.wd, b.watch.wd);
	CHECK_INT(append(path, "2"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.events, 1); /* the second struct's mask did not replace the first one's */
	CHECK_INT(b.events, 0);
	CHECK_INT(once.events, 1);
	CHECK_INT(once.wd_at_event, 0);
	CHECK_INT(append(path, "3"), 0);
	chmod(path, 0600);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.events, 2); /* the one-shot watch of another did not end ours */
	CHECK_INT(b.events, 1);
	CHECK_INT(once.events, 1);
	loop_watch_remove(l, &a.watch);
	CHECK_INT(append(path, "4"), 0);
	chmod(path, 0644);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.events, 2);
	CHECK_INT(b.events, 2);
	CHECK_INT(b.seen, IN_ATTRIB);
	loop_free(l);
}

TEST(watch_oneshot_again)
{
	struct loop *l = loop_create(&err);
	struct eye eye = new_eye(l);
	const char *path = tmppath("again");
	int i;

	CHECK_INT(append(path, "1"), 0);
	eye.again = path;
	CHECK_OK(loop_watch_add(l, &eye.watch, path, IN_MODIFY | IN_ONESHOT, &err), &err);
	for (i = 1; i <= 3; i++) {
		CHECK_INT(append(path, "2"), 0);
		CHECK_OK(rounds(l, 3), &err);
		CHECK_INT(eye.events, i);
		CHECK_INT(eye.wd_at_event, 0);
		CHECK_INT(eye.again_rc, 0);
		CHECK(eye.watch.wd != 0);
	}
	CHECK_INT(eye.seen, IN_MODIFY); /* never the IN_IGNORED of the watch before */
	loop_free(l);
}

TEST(watch_of_deleted_file)
{
	struct loop *l = loop_create(&err);
	struct eye a = new_eye(l), b = new_eye(l);
	const char *path = tmppath("deleted");
	int wd;

	CHECK_INT(append(path, "1"), 0);
	CHECK_OK(loop_watch_add(l, &a.watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &b.watch, path, IN_MODIFY | IN_DELETE_SELF, &err), &err);
	wd = a.watch.wd;
	unlink(path);
	CHECK_INT(append(path, "2"), 0);
	CHECK_OK(rounds(l, 3), &err);
	CHECK_INT(a.seen, IN_IGNORED);
	CHECK_INT(a.wd_at_event, 0);
	CHECK_INT(b.seen, IN_DELETE_SELF | IN_IGNORED);
	CHECK_INT(b.watch.wd, 0);
	CHECK_OK(loop_watch_add(l, &a.watch, path, IN_MODIFY, &err), &err);
	CHECK(a.watch.wd != wd);
	CHECK_INT(append(path, "3"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.seen, IN_IGNORED | IN_MODIFY);
	/* Deleted again, and removed before its IN_IGNORED is read. */
	a.events = 0;
	unlink(path);
	loop_watch_remove(l, &a.watch);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.events, 0);
	loop_free(l);
}

/* Each of three structs, two of them on one inode, removes all three at its first event. */
TEST(watches_remove_each_other)
{
	struct loop *l = loop_create(&err);
	struct eye eye[3];
	char path[2][256];
	int i, k, total = 0;

	snprintf(path[0], sizeof(path[0]), "%s", tmppath("r0"));
	snprintf(path[1], sizeof(path[1]), "%s", tmppath("r1"));
	CHECK(append(path[0], "1") == 0 && append(path[1], "1") == 0);
	for (k = 0; k < 4; k++) {
		for (i = 0; i < 3; i++) {
			eye[i] = new_eye(l);
			eye[i].remove[0] = &eye[(i + k) % 3];
			eye[i].remove[1] = &eye[(i + k + 1) % 3];
			eye[i].remove[2] = k < 3 ? &eye[(i + k + 2) % 3] : NULL;
			CHECK_OK(loop_watch_add(l, &eye[i].watch, path[i == 1], IN_MODIFY, &err), &err);
		}
		CHECK(append(path[0], "2") == 0 && append(path[1], "2") == 0);
		CHECK_OK(rounds(l, 3), &err);
		total = eye[0].events + eye[1].events + eye[2].events;
		for (i = 0; i < 3; i++)
			loop_watch_remove(l, &eye[i].watch);
		if (k < 3)
			CHECK_INT(total, 1);
	}
	loop_free(l);
}

static struct eye *doomed; /* heap memory that the next event frees */

static void free_doomed(struct loop_watch *w, uint32_t mask, const char *name)
{
	event(w, mask, name);
	if (doomed == NULL)
		return;
	loop_watch_remove(doomed->loop, &doomed->watch);
	free(doomed);
	doomed = NULL;
}

/* Of three on one inode, the first that hears frees its successor; the last one still hears. */
TEST(watch_freed_by_its_neighbour)
{
	struct loop *l = loop_create(&err);
	struct eye first = new_eye(l), last = new_eye(l);
	const char *path = tmppath("neighbours");

	CHECK_INT(append(path, "1"), 0);
	doomed = malloc(sizeof(*doomed));
	CHECK(doomed != NULL);
	*doomed = new_eye(l);
	first.watch.event = last.watch.event = free_doomed;
	CHECK_OK(loop_watch_add(l, &last.watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &doomed->watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &first.watch, path, IN_MODIFY, &err), &err);
	CHECK_INT(append(path, "2"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK(doomed == NULL);
	CHECK_INT(first.events, 1);
	CHECK_INT(last.events, 1);
	loop_free(l);
}

TEST(watches_many)
{
	enum { MANY = 300 };
	static struct eye eye[MANY];
	struct loop *l = loop_create(&err);
	char name[32];
	int i;

	CHECK_OK(os_dir_make(tmppath("many"), NULL, &err), &err);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK_INT(append(tmppath(name), "1"), 0);
		eye[i] = new_eye(l);
		CHECK_OK(loop_watch_add(l, &eye[i].watch, tmppath(name), IN_MODIFY, &err), &err);
	}
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK_INT(append(tmppath(name), "1"), 0);
	}
	for (i = 0; i < MANY; i += 2)
		loop_watch_remove(l, &eye[i].watch); /* with their events waiting */
	CHECK_OK(rounds(l, 10), &err);
	for (i = 0; i < MANY; i++)
		CHECK_INT(eye[i].events, i % 2);
	loop_free(l);
}

/* The queue's bound, as the kernel says it, or 0. */
static int queue_bound(void)
{
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	int n = 0;

	if (f != NULL && fscanf(f, "%d", &n) != 1)
		n = 0;
	if (f != NULL)
		fclose(f);
	return n;
}

TEST(watch_overflow)
{
	struct loop *l = loop_create(&err);
	struct eye busy[2] = { new_eye(l), new_eye(l) }, quiet = new_eye(l), once = new_eye(l), alone = new_eye(l);
	char path[2][256];
	int i, bound = queue_bound();

	if (bound <= 0 || bound > 100000)
		SKIP("the queue is too long to fill");
	snprintf(path[0], sizeof(path[0]), "%s", tmppath("busy0"));
	snprintf(path[1], sizeof(path[1]), "%s", tmppath("busy1"));
	for (i = 0; i < 2; i++) {
		CHECK_INT(append(path[i], "1"), 0);
		CHECK_OK(loop_watch_add(l, &busy[i].watch, path[i], IN_ATTRIB, &err), &err);
	}
	CHECK_INT(append(tmppath("quiet"), "1"), 0);
	CHECK_OK(loop_watch_add(l, &quiet.watch, tmppath("quiet"), IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &once.watch, tmppath("quiet"), IN_MODIFY | IN_ONESHOT, &err), &err);
	CHECK_INT(append(tmppath("alone"), "1"), 0);
	CHECK_OK(loop_watch_add(l, &alone.watch, tmppath("alone"), IN_MODIFY | IN_ONESHOT, &err), &err);
	once.again = tmppath("quiet");
	alone.again = tmppath("alone"); /* gets a new wd, thus another chain */
	for (i = 0; i < bound + 10; i++) /* neighbours that are equal would be merged */
		chmod(path[i % 2], 0600);
	for (i = 0; i < bound && quiet.events == 0; i++)
		CHECK_OK(loop_once(l, 0, &err), &err);
	CHECK_INT(busy[0].seen, IN_ATTRIB | IN_Q_OVERFLOW);
	CHECK_INT(busy[1].seen, IN_ATTRIB | IN_Q_OVERFLOW);
	CHECK_INT(quiet.seen, IN_Q_OVERFLOW);
	CHECK_INT(quiet.events, 1);
	CHECK_INT(once.seen, IN_Q_OVERFLOW);
	CHECK_INT(once.events, 1);
	CHECK_INT(once.wd_at_event, 0);
	CHECK(once.watch.wd != 0);
	CHECK_INT(alone.events, 1);
	CHECK(alone.watch.wd != 0);
	CHECK_INT(append(tmppath("quiet"), "1"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(quiet.events, 2);
	CHECK_INT(once.events, 2);
	loop_free(l);
}

TEST(watch_errors)
{
	struct loop *l = loop_create(&err);
	struct eye eye = new_eye(l);
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = 1, .calls = OS_CALL_WATCH, .errnum = ENOSPC };
	struct rlimit old, none;
	int rc;

	CHECK_INT(loop_watch_add(l, &eye.watch, "/none/x", IN_MODIFY, &err), -1);
	CHECK_INT(err.code, ERR_NOT_FOUND);
	CHECK_STR(err.text, "watch /none/x: no such file or directory");
	CHECK_INT(eye.watch.wd, 0);
	os_fault_set(&plan);
	rc = loop_watch_add(l, &eye.watch, "/tmp", IN_MODIFY, &err);
	os_fault_set(NULL);
	CHECK_INT(rc, -1);
	CHECK_INT(err.code, ERR_LIMIT);
	CHECK(strstr(err.text, "fs.inotify.max_user_watches") != NULL);
	loop_free(l);

	/* No queue to be had: the loop works without one. */
	l = loop_create(&err);
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	rc = loop_watch_add(l, &eye.watch, "/tmp", IN_MODIFY, &err);
	setrlimit(RLIMIT_NOFILE, &old);
	CHECK_INT(rc, -1);
	CHECK_INT(err.code, ERR_LIMIT);
	CHECK(strstr(err.text, "fs.inotify.max_user_instances") != NULL);
	CHECK_OK(loop_once(l, 0, &err), &err);
	CHECK_OK(loop_watch_add(l, &eye.watch, "/tmp", IN_MODIFY, &err), &err);
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
