/* SPDX-License-Identifier: MIT */
/* Timers of the loop: the heap against a plain table, slack within its bounds, timers that change each other. */
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/loop.h"
#include "lib/os/timer.h"
#include "tests/check.h"

static struct err err;

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
	int64_t due = os_mono_us() + 100300;

	loop_timer_set(l, &a.timer, due, 0);
	CHECK_OK(loop_once(l, 1, &err), &err); /* max_wait ends it, unless the machine is slower than that */
	CHECK(a.fired == 0 || os_mono_us() >= due);
	CHECK_OK(loop_run(l, &err), &err);
	CHECK_INT(a.fired, 1);
	CHECK(a.fired_at >= due);
	loop_stop(l); /* before it runs: it returns at once */
	CHECK_OK(loop_run(l, &err), &err);
	loop_free(l);
}

TEST_MAIN
