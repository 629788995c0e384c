/* SPDX-License-Identifier: MIT */
/* test_store_threads.c - the store as it runs in life: threads, the kernel's clock, several databases, callers at all times. */
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"
#include "tests/support/rig.h"

enum { DATABASES = 5, CALLS = 40, ROUNDS = 3000 };

struct ask {
	struct store_call c;
	bool used;
	int answers;
};

static struct rig g[DATABASES];
static struct ask asks[CALLS];
static struct loop *loop;
static struct store *store;
static struct err e;
static bool stopped;
static uint64_t seed = 7;

static uint32_t below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((seed >> 33) % n);
}

static void on_stopped(void *ctx)
{
	(void)ctx;
	stopped = true;
}

static void on_done(struct store_call *c)
{
	struct ask *a = (struct ask *)(void *)c;

	a->answers++;
	a->used = false;
}

static bool add(int i)
{
	struct managed_options o = MANAGED_OPTIONS_DEFAULT;
	static const struct managed_replica_options r = MANAGED_REPLICA_DEFAULT;
	char path[400];

	o.db = g[i].o;
	o.monitor_interval_ms = 20;
	o.idle_timeout_ms = 60;
	o.replica_count = 2;
	for (int n = 0; n < 2; n++) {
		snprintf(path, sizeof(path), n ? "%s-1" : "%s", g[i].replica_path);
		o.replicas[n] = r;
		if (replica_file_create(path, &o.replicas[n].replica, &e))
			return false;
	}
	return !store_add(store, &o, NULL, &e);
}

static void ask(void)
{
	struct ask *a = &asks[below(CALLS)];
	const char *path = g[below(DATABASES)].path;

	if (a->used)
		return;
	memset(a, 0, sizeof(*a));
	a->used = true;
	a->c.done = on_done;
	if (below(2))
		a->c.deadline_us = os_mono_us() + below(200000);
	switch (below(8)) {
	case 0:
		store_halt(store, path, &a->c);
		break;
	case 1:
	case 2:
		store_start(store, path, &a->c);
		break;
	case 3:
	case 4:
		store_wait(store, path, 0, below(2), &a->c);
		break;
	case 5:
		if (below(4) == 0)
			store_remove(store, path, &a->c);
		else
			store_start(store, path, &a->c);
		break;
	default:
		store_sync(store, path, below(2), &a->c);
		break;
	}
}

TEST(everything_at_once)
{
	struct store_options o = STORE_OPTIONS_DEFAULT;
	struct levels_policy quick = LEVELS_POLICY_DEFAULT;

	loop = loop_create(&e);
	CHECK(loop != NULL);
	quick.interval_ms[1] = 100;
	quick.interval_ms[2] = 300;
	quick.interval_ms[3] = 900;
	quick.snapshot_interval_ms = 400;
	quick.l0_retention_ms = 200;
	quick.l0_check_interval_ms = 50;
	o.policy = quick;
	o.loop = loop;
	o.stopped = on_stopped;
	CHECK_OK(store_create(&o, &store, &e), &e);
	for (int i = 0; i < DATABASES; i++) {
		char name[20];

		snprintf(name, sizeof(name), "threads%d", i);
		CHECK_INT(rig_init(&g[i], name), 0);
		CHECK(add(i));
	}
	for (int i = 0; i < ROUNDS; i++) {
		struct rig *r = &g[below(DATABASES)];

		ask();
		if (below(3) == 0)
			rig_fill(r, 1 + (int)below(20), 200);
		if (below(20) == 0) {
			rig_app_close(r);
			/* The engine may have it for a moment. */
			for (int n = 0; rig_app_open(r) && n < 1000; n++) {
				rig_app_close(r);
				os_sleep_ms(5);
			}
		}
		if (below(30) == 0)
			store_set_policy(store, &quick);
		for (int d = 0; d < DATABASES; d++) {
			if (!store_find(store, g[d].path))
				CHECK(add(d));
		}
		CHECK_OK(loop_once(loop, (int64_t)below(12), &e), &e);
	}
	/* All of them run at the end, and what was written is in both replicas. */
	for (int i = 0; i < DATABASES; i++) {
		struct ask a = { .c.done = on_done }, b = { .c.done = on_done };

		store_start(store, g[i].path, &a.c);
		while (!a.answers)
			CHECK_OK(loop_once(loop, 100, &e), &e);
		store_wait(store, g[i].path, 0, false, &b.c);
		while (!b.answers)
			CHECK_OK(loop_once(loop, 100, &e), &e);
		CHECK_OK(b.c.rc, &b.c.why);
	}
	store_stop(store);
	while (!stopped)
		CHECK_OK(loop_once(loop, 100, &e), &e);
	for (int i = 0; i < CALLS; i++)
		CHECK(!asks[i].used && asks[i].answers <= 1);
	CHECK_OK(loop_once(loop, 0, &e), &e);
	store_free(store);
	loop_free(loop);
	for (int i = 0; i < DATABASES; i++) {
		CHECK(rig_restore(&g[i], 0, true));
		rig_free(&g[i]);
	}
}

TEST_MAIN
