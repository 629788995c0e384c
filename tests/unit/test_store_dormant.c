/* SPDX-License-Identifier: MIT */
/* test_store_dormant.c - databases at rest: what they cost, what wakes them, and that nothing is lost meanwhile. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/support/store_kit.h"

enum { SECOND = SK_SECOND };
static const int64_t DAY = 86400LL * SECOND;

static struct store_kit k;

static bool begin(const char *name, int databases)
{
	bool ok = sk_begin(&k, name, databases);

	k.options.policy.count = 0; /* the levels have their own tests */
	return ok && sk_again(&k);
}

static bool run(int64_t us) { return sk_run(&k, us); }
static bool dormant(int i) { return k.m[i]->dormant; }

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static int copies(int i)
{
	return k.m[i]->penalties;
}

/* Added, synced, its first snapshot made, and at rest. */
static bool at_rest(int i, int replicas)
{
	return sk_add(&k, i, replicas) && run(200LL * SECOND) && dormant(i) && sk_replicated(&k, i);
}

TEST(it_lets_go_of_everything)
{
	int before;

	CHECK(begin("go", 1));
	/* In one process with us, an application's locks would make SQLite keep our descriptors. */
	rig_app_close(&k.g[0]);
	before = descriptors();
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(200LL * SECOND));
	CHECK(dormant(0));
	CHECK(!db_is_open(k.m[0]->db));
	CHECK_INT(descriptors(), before + 1); /* the loop's queue of file events */
	CHECK(!loop_timer_armed(&k.m[0]->timer));
	CHECK(!loop_timer_armed(&k.m[0]->outlet_timer));
	CHECK_INT(k.events[STORE_EVENT_DORMANT], 1);
	CHECK_INT(sk_status(&k, 0).state, MANAGED_ACTIVE);
	sk_end(&k);
}

TEST(hours_at_rest_cost_nothing)
{
	struct os_fault_plan count = { .mode = OS_FAULT_OFF, .sqlite_too = true };
	struct shaky *s;
	uint64_t txid;
	int lists;

	CHECK(begin("hours", 1));
	CHECK(at_rest(0, 1));
	txid = sk_status(&k, 0).txid;
	s = k.shaky[0][0];
	s->puts = 0;
	lists = s->lists;
	os_fault_set(&count);
	CHECK(run(10 * 3600LL * SECOND));
	os_fault_set(NULL);
	CHECK(os_fault_count() < 10 * 6 * 4); /* two looks in ten minutes */
	CHECK_INT(s->puts + s->creates, 1);  /* the first snapshot */
	CHECK_INT(s->lists, lists);
	CHECK(dormant(0));
	CHECK_INT(sk_status(&k, 0).txid, txid);
	sk_end(&k);
}

TEST(the_first_write_wakes_it)
{
	int lists;

	CHECK(begin("write", 1));
	CHECK(at_rest(0, 1));
	lists = k.shaky[0][0]->lists;
	for (int i = 0; i < 3; i++) {
		CHECK_INT(rig_sql(&k.g[0], "INSERT INTO t VALUES(%d, 2)", i + 1), SQLITE_OK);
		CHECK(run(50 * 1000));
		CHECK(!dormant(0));
		CHECK(sk_replicated(&k, 0));
		CHECK(run(100LL * SECOND));
		CHECK(dormant(0));
	}
	CHECK_INT(copies(0), 0);
	CHECK_INT(k.shaky[0][0]->lists, lists); /* waking asks the replica nothing */
	CHECK_INT(k.events[STORE_EVENT_AWAKE], 3);
	sk_end(&k);
}

TEST(applications_may_come_and_go)
{
	char wal[400];

	CHECK(begin("come", 1));
	CHECK_INT(rig_fill(&k.g[0], 40, 300), SQLITE_OK);
	CHECK(at_rest(0, 1));
	/* The last close takes the WAL away: nothing was written. */
	rig_app_close(&k.g[0]);
	CHECK(!rig_exists(rig_beside(&k.g[0], "-wal", wal)));
	CHECK(run(5 * SECOND));
	CHECK(dormant(0));
	/* A reader makes an empty one. */
	CHECK_INT(rig_app_open(&k.g[0]), 0);
	CHECK(rig_int(&k.g[0], "SELECT count(*) FROM t") == 40);
	CHECK(run(5 * SECOND));
	CHECK(dormant(0));
	rig_app_close(&k.g[0]);
	CHECK(run(5 * SECOND));
	CHECK(dormant(0));
	/* A writer's first commit in a new WAL is no reason for a full copy. */
	CHECK_INT(rig_app_open(&k.g[0]), 0);
	CHECK_INT(rig_sql(&k.g[0], "INSERT INTO t VALUES(900, 2)"), SQLITE_OK);
	CHECK(run(1 * SECOND));
	CHECK(!dormant(0));
	CHECK(sk_replicated(&k, 0));
	CHECK_INT(copies(0), 0);
	CHECK(run(100LL * SECOND));
	CHECK(dormant(0));
	/* Nor are several restarts of the WAL by the application, as long as the proof holds; else a copy makes it good. */
	for (int i = 0; i < 4; i++) {
		CHECK_INT(rig_fill(&k.g[0], 30, 200), SQLITE_OK);
		CHECK_INT(rig_checkpoint(&k.g[0], SQLITE_CHECKPOINT_RESTART), 0);
	}
	CHECK(run(1 * SECOND));
	CHECK(sk_replicated(&k, 0));
	sk_end(&k);
}

TEST(open_write_close_costs_one_copy)
{
	CHECK(begin("owc", 1));
	CHECK_INT(rig_fill(&k.g[0], 40, 300), SQLITE_OK);
	CHECK(at_rest(0, 1));
	rig_app_close(&k.g[0]);
	CHECK(run(SECOND));
	CHECK(dormant(0));
	CHECK_INT(rig_app_open(&k.g[0]), 0);
	CHECK_INT(rig_sql(&k.g[0], "INSERT INTO t VALUES(901, 2)"), SQLITE_OK);
	rig_app_close(&k.g[0]);
	CHECK(run(SECOND));
	CHECK_INT(copies(0), 1);
	CHECK_INT(rig_app_open(&k.g[0]), 0);
	CHECK(sk_replicated(&k, 0));
	/* Now it stays open, and the same application costs nothing. */
	for (int i = 0; i < 5; i++) {
		rig_app_close(&k.g[0]);
		CHECK(run(300LL * SECOND));
		CHECK(!dormant(0));
		CHECK_INT(rig_app_open(&k.g[0]), 0);
		CHECK_INT(rig_sql(&k.g[0], "INSERT INTO t VALUES(%d, 2)", 910 + i), SQLITE_OK);
	}
	CHECK(run(SECOND));
	CHECK(sk_replicated(&k, 0));
	CHECK_INT(copies(0), 1);
	CHECK(run(DAY));
	CHECK(dormant(0));
	/* The second time it is two days. */
	rig_app_close(&k.g[0]);
	CHECK(run(SECOND));
	CHECK_INT(rig_app_open(&k.g[0]), 0);
	CHECK_INT(rig_sql(&k.g[0], "INSERT INTO t VALUES(931, 2)"), SQLITE_OK);
	rig_app_close(&k.g[0]);
	CHECK(run(SECOND + DAY));
	CHECK_INT(copies(0), 2);
	CHECK(!dormant(0));
	CHECK(run(DAY + 100LL * SECOND));
	CHECK(dormant(0));
	CHECK_INT(rig_app_open(&k.g[0]), 0);
	CHECK(sk_replicated(&k, 0));
	sk_end(&k);
}

TEST(a_database_that_is_replaced_or_deleted_at_rest)
{
	char copy[400], shm[400];

	CHECK(begin("replaced", 1));
	CHECK_INT(rig_fill(&k.g[0], 40, 300), SQLITE_OK);
	CHECK_INT(rig_checkpoint(&k.g[0], SQLITE_CHECKPOINT_TRUNCATE), 0);
	CHECK_INT(rig_copy(k.g[0].path, rig_beside(&k.g[0], ".copy", copy)), 0);
	CHECK_INT(rig_sql(&k.g[0], "INSERT INTO t VALUES(900, 2)"), SQLITE_OK);
	CHECK(at_rest(0, 1));
	rig_app_close(&k.g[0]);
	CHECK(run(SECOND));
	CHECK(dormant(0));
	CHECK_OK(os_rename(copy, k.g[0].path, &k.e), &k.e);
	CHECK_INT(rig_app_open(&k.g[0]), 0);
	CHECK(run(SECOND));
	CHECK(sk_replicated(&k, 0));
	CHECK(run(DAY + 200LL * SECOND));
	CHECK(dormant(0));
	rig_app_close(&k.g[0]);
	CHECK(run(SECOND));
	CHECK_OK(os_unlink(k.g[0].path, &k.e), &k.e);
	CHECK_OK(os_unlink(rig_beside(&k.g[0], "-shm", shm), &k.e), &k.e);
	CHECK(run(SECOND));
	CHECK_INT(sk_status(&k, 0).state, MANAGED_WAITING);
	CHECK_INT(rig_app_open(&k.g[0]), 0);
	CHECK_INT(rig_sql(&k.g[0], "CREATE TABLE t(id INTEGER PRIMARY KEY, b)"), SQLITE_OK);
	CHECK(run(25 * SECOND));
	CHECK(sk_replicated(&k, 0));
	sk_end(&k);
}

TEST(never_where_it_is_not_wanted_or_not_possible)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_WATCH, .errnum = ENOSPC };

	CHECK(begin("never", 2));
	k.managed.idle_timeout_ms = 0;
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(1000LL * SECOND));
	CHECK(!dormant(0));
	k.managed.idle_timeout_ms = 60000;
	os_fault_set(&plan);
	CHECK(sk_add(&k, 1, 1));
	CHECK(run(1000LL * SECOND));
	CHECK(!dormant(1));
	os_fault_set(NULL);
	sk_end(&k);
}

TEST(not_before_it_is_replicated_everywhere)
{
	CHECK(begin("everywhere", 1));
	CHECK(sk_add(&k, 0, 2));
	k.shaky[0][1]->down = true;
	CHECK(run(1000LL * SECOND));
	CHECK(!dormant(0));
	k.shaky[0][1]->down = false;
	CHECK(run(1000LL * SECOND));
	CHECK(dormant(0));
	CHECK(sk_restores(&k, 0, 1));
	sk_end(&k);
}

TEST(a_reader_keeps_it_awake)
{
	CHECK(begin("reader", 1));
	CHECK_INT(rig_sql(&k.g[0], "BEGIN"), SQLITE_OK);
	CHECK(rig_int(&k.g[0], "SELECT count(*) FROM t") == 0);
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(10 * SECOND));
	CHECK_INT(rig_sql(&k.g[0], "COMMIT"), SQLITE_OK);
	CHECK(run(1000LL * SECOND));
	CHECK(dormant(0));
	CHECK(sk_replicated(&k, 0));
	sk_end(&k);
}

TEST(a_stop_of_those_at_rest_opens_nothing)
{
	struct os_fault_plan count = { .mode = OS_FAULT_OFF, .calls = OS_CALL_OPEN | OS_CALL_LOCK, .sqlite_too = true };

	CHECK(begin("stop", 2));
	CHECK(at_rest(0, 1) && at_rest(1, 1));
	os_fault_set(&count);
	store_stop(k.store);
	CHECK(run(0));
	CHECK_INT(k.stopped, 1);
	CHECK_INT((int)os_fault_count(), 0);
	sk_end(&k);
	/* Unless something has just happened. */
	CHECK(begin("stop2", 1));
	CHECK(at_rest(0, 1));
	CHECK_INT(rig_sql(&k.g[0], "INSERT INTO t VALUES(900, 2)"), SQLITE_OK);
	store_stop(k.store);
	CHECK(run(0));
	CHECK_INT(k.stopped, 1);
	CHECK(sk_restores(&k, 0, 0));
	sk_end(&k);
}

TEST(without_descriptors_they_wait_and_the_others_go_on)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_OPEN, .errnum = EMFILE,
	                              .sqlite_too = true };

	CHECK(begin("starve", 2));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(SECOND));
	os_fault_set(&plan);
	CHECK(sk_add(&k, 1, 1));
	CHECK(run(3 * SECOND));
	CHECK_INT(sk_status(&k, 1).state, MANAGED_WAITING);
	CHECK(sk_status(&k, 1).reason[0] != 0);
	CHECK(k.store->starved >= 1); /* the first one, too, if it has made way by now */
	os_fault_set(NULL);
	/* It is quiet, and lets go sooner because somebody waits for what it has. */
	CHECK(run(30 * SECOND));
	CHECK_INT(sk_status(&k, 1).state, MANAGED_ACTIVE);
	CHECK_INT(k.store->starved, 0);
	CHECK(sk_replicated(&k, 1));
	sk_end(&k);
}

/* An application that comes, writes and goes. */
static bool visit(int i)
{
	bool ok = (k.g[i].app || !rig_app_open(&k.g[i])) && !rig_sql(&k.g[i], "INSERT INTO t VALUES((SELECT coalesce(max(id), 0) + 1 FROM t), 2)");

	rig_app_close(&k.g[i]);
	return ok;
}

static bool held(int i, int replica)
{
	return (k.g[i].app || !rig_app_open(&k.g[i])) && (replica >= 0 ? sk_restores(&k, i, replica) : sk_replicated(&k, i));
}

TEST(they_take_turns)
{
	CHECK(begin("turns", 4));
	k.options.open_max = 1;
	k.managed.idle_timeout_ms = 0;
	CHECK(sk_again(&k));
	for (int i = 0; i < 4; i++)
		CHECK(sk_add(&k, i, 1));
	CHECK(run(20 * SECOND));
	for (int i = 0; i < 4; i++)
		CHECK(held(i, -1));
	/* One of them is written to without end, and holds up nobody. */
	for (int n = 0; n < 200; n++) {
		CHECK_INT(sk_sql(&k, 0, "INSERT OR REPLACE INTO t VALUES(1, randomblob(50))"), SQLITE_OK);
		for (int i = 1; i < 4; i++)
			CHECK(n % 40 || visit(i));
		CHECK(run(100 * 1000));
		CHECK(k.store->open_count <= 1);
	}
	CHECK(run(20 * SECOND));
	for (int i = 0; i < 4; i++)
		CHECK(held(i, -1));
	CHECK_INT(k.events[STORE_EVENT_ERROR], 0);
	sk_end(&k);
}

TEST(at_the_end_all_have_their_turn)
{
	for (int late = 0; late < 2; late++) {
		CHECK(begin("end", 4));
		k.options.open_max = 1;
		CHECK(sk_again(&k));
		for (int i = 0; i < 4; i++)
			CHECK(sk_add(&k, i, 1));
		CHECK(run(late * 300 * SECOND));
		for (int i = 0; i < 4; i++)
			CHECK(visit(i));
		store_stop(k.store);
		CHECK(run(SECOND));
		CHECK_INT(k.stopped, 1);
		for (int i = 0; i < 4; i++)
			CHECK(held(i, 0));
		CHECK_INT(k.events[STORE_EVENT_ERROR], 0);
		sk_end(&k);
	}
}

TEST(a_stop_waits_for_its_turn_but_not_for_ever)
{
	CHECK(begin("forever", 2));
	k.options.open_max = 1;
	k.options.shutdown_timeout_ms = 4000;
	CHECK(sk_again(&k));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(500 * 1000));
	CHECK_INT(rig_sql(&k.g[0], "INSERT INTO t VALUES(900, 2)"), SQLITE_OK);
	k.shaky[0][0]->down = true;
	CHECK(run(500 * 1000));
	CHECK(sk_add(&k, 1, 1));
	CHECK_INT(k.store->starved, 1);
	store_stop(k.store);
	CHECK(run(3 * SECOND));
	CHECK_INT(k.stopped, 0);
	CHECK_INT(k.store->starved, 1);
	CHECK(run(2 * SECOND));
	CHECK_INT(k.stopped, 1);
	CHECK_INT(k.store->starved, 0);
	sk_end(&k);
}

static void limit_descriptors(int more)
{
	static struct rlimit before;
	struct rlimit few;

	if (!before.rlim_cur)
		getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	if (more)
		few.rlim_cur = (rlim_t)(descriptors() + more);
	setrlimit(RLIMIT_NOFILE, &few);
}

/* Nobody has said how many may be open: the kernel does. */
TEST(the_bound_is_learned)
{
	CHECK(begin("learn", 4));
	for (int i = 0; i < 4; i++)
		rig_app_close(&k.g[i]);
	limit_descriptors(14);
	for (int i = 0; i < 4; i++)
		CHECK(sk_add(&k, i, 1));
	CHECK(run(60 * SECOND));
	for (int i = 0; i < 4; i++) {
		struct managed_status s = sk_status(&k, i);

		CHECK(s.txid > 0);
		CHECK_INT(s.replica_txid, s.txid);
	}
	CHECK(k.store->starved_told_us > 0);
	store_stop(k.store);
	CHECK(run(SECOND));
	limit_descriptors(0);
	CHECK_INT(k.stopped, 1);
	for (int i = 0; i < 4; i++)
		CHECK(held(i, 0));
	sk_end(&k);
}

TEST(a_folder_is_watched_once)
{
	struct managed_options o = MANAGED_OPTIONS_DEFAULT;
	char path[400], to[400];

	CHECK(begin("folder", 1));
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "%s/none%d.db", k.g[0].dir, i);
		snprintf(to, sizeof(to), "%s/to%d", k.g[0].dir, i);
		o.db.path = path;
		CHECK_OK(replica_file_create(to, &o.replicas[0].replica, &k.e), &k.e);
		CHECK_OK(store_add(k.store, &o, NULL, &k.e), &k.e);
	}
	CHECK(k.store->homes && !k.store->homes->next);
	CHECK_INT(k.store->homes->users, 300);
	CHECK_INT(store_count(k.store), 300);
	snprintf(path, sizeof(path), "%s/none%d.db", k.g[0].dir, 299);
	CHECK(store_find(k.store, path) != NULL);
	CHECK(store_find(k.store, "/none") == NULL);
	CHECK(run(SECOND));
	sk_end(&k);
}

TEST(it_is_small)
{
	/* Besides: its paths, and the manifest of each replica. */
	CHECK(sizeof(struct managed) <= 512);
	CHECK(sizeof(struct outlet) <= 320);
}

/* ---- anything ---- */

static void act(struct rig *g)
{
	switch (sk_below(&k, 8)) {
	case 0:
		rig_app_close(g);
		break;
	case 1:
		rig_app_close(g);
		if (!rig_app_open(g))
			rig_sql(g, "INSERT OR REPLACE INTO t VALUES(%u, randomblob(300))", sk_below(&k, 60));
		rig_app_close(g);
		break;
	case 2:
		if (g->app)
			rig_checkpoint(g, (int)sk_below(&k, 4));
		break;
	case 3:
		if (g->app)
			rig_sql(g, "PRAGMA journal_size_limit=%u", sk_below(&k, 40000));
		break;
	default:
		if (!g->app)
			rig_app_open(g);
		rig_fill(g, 1 + (int)sk_below(&k, 30), 300);
		break;
	}
}

static bool anything(uint64_t seed)
{
	bool ok = begin("any", 2);

	k.seed = seed;
	for (int i = 0; ok && i < 2; i++) {
		k.managed.idle_timeout_ms = 1000 + sk_below(&k, 20000);
		k.g[i].o.min_checkpoint_pages = 20 + sk_below(&k, 100);
		ok = sk_add(&k, i, 1 + (int)sk_below(&k, 2));
	}
	for (int i = 0; ok && i < 50; i++) {
		struct rig *g = &k.g[sk_below(&k, 2)];

		/* Let go of whatever was learned, so that there is more to see. */
		if (sk_below(&k, 3) == 0)
			k.m[0]->awake_until_us = k.m[1]->awake_until_us = 0;
		if (k.shaky[1][1])
			k.shaky[1][1]->down = sk_below(&k, 3) == 0;
		act(g);
		ok = run(sk_below(&k, 3) ? sk_below(&k, 40000) : sk_below(&k, 60 * SECOND));
	}
	if (k.shaky[1][1])
		k.shaky[1][1]->down = false;
	for (int i = 0; ok && i < 2; i++) {
		if (!k.g[i].app)
			rig_app_open(&k.g[i]);
	}
	ok = ok && run(700LL * SECOND);
	for (int i = 0; ok && i < 2; i++)
		ok = sk_replicated(&k, i) && (!k.shaky[i][1] || sk_restores(&k, i, 1));
	sk_end(&k);
	return ok;
}

TEST(anything_in_any_order)
{
	CHECK(sk_seeds(anything, 40, &k.e));
}

TEST_MAIN
