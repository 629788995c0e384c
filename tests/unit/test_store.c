/* SPDX-License-Identifier: MIT */
/*
 * test_store.c - the store on one thread: its loop, its jobs and its clock are driven from here, and SQLite's too.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/store/internal.h"
#include "tests/support/rig.h"

enum { DATABASES = 3, SECOND = 1000 * 1000 };

/* A rig is used for its application, its folders and its restore; the engine is the store's. */
static struct rig g[DATABASES];
static struct managed *m[DATABASES];
static struct loop *loop;
static struct store *store;
static struct store_options options;
static int stopped;
static uint64_t seed;
static struct err e;
static struct replica_ops broken_ops;
static int puts_seen, puts_to_fail;

static uint32_t below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((seed >> 33) % n);
}

static void on_stopped(void *ctx)
{
	(void)ctx;
	stopped++;
}

/* The file replica of a database, whose uploads fail as long as puts_to_fail says. */
static int put(struct replica *r, const struct replica_item *item, const char *staged, struct err *why)
{
	puts_seen++;
	if (puts_to_fail > 0) {
		puts_to_fail--;
		return err_set(why, ERR_SYSTEM, "the network is down");
	}
	return g[0].replica->ops->put(r, item, staged, why);
}

static bool add(int i)
{
	struct managed_options o = MANAGED_OPTIONS_DEFAULT;

	struct replica *r;

	if (replica_file_create(g[i].replica_path, &r, &e))
		return false;
	broken_ops = *r->ops;
	broken_ops.put = put;
	r->ops = &broken_ops;
	o.replicas[0].replica = r;
	o.db = g[i].o;
	if (!store_add(store, &o, &m[i], &e))
		return true;
	replica_free(r);
	return false;
}

static bool begin(const char *name)
{
	static const struct store_options defaults = STORE_OPTIONS_DEFAULT;
	char each[40];

	os_fault_vfs();
	os_fault_clock(1700000000000, 1000 * SECOND);
	stopped = puts_seen = puts_to_fail = 0;
	seed = 1;
	loop = loop_create(&e);
	options = defaults;
	options.loop = loop;
	options.workers = 0;
	options.stopped = on_stopped;
	if (!loop || store_create(&options, &store, &e))
		return false;
	for (int i = 0; i < DATABASES; i++) {
		snprintf(each, sizeof(each), "%s%d", name, i);
		if (rig_init(&g[i], each))
			return false;
	}
	return true;
}

static void end(void)
{
	os_fault_set(NULL);
	store_free(store);
	loop_free(loop);
	for (int i = 0; i < DATABASES; i++)
		rig_free(&g[i]);
	os_fault_clock(0, 0);
}

/* Everything that is due up to then, in the order of the seed; false when it does not come to rest. */
static bool run(int64_t us)
{
	int64_t until = os_mono_us() + us;

	for (int i = 0; i < 200000; i++) {
		int64_t due;

		if (loop_once(loop, 0, &e))
			return false;
		if (store_step(store, below(1000)))
			continue;
		if (loop_once(loop, 0, &e))
			return false;
		due = loop_next_due(loop);
		if (due > until) {
			if (until > os_mono_us())
				os_fault_clock_advance(until - os_mono_us());
			return true;
		}
		if (due > os_mono_us())
			os_fault_clock_advance(due - os_mono_us());
	}
	printf("it does not come to rest\n");
	return false;
}

static struct managed_status status(int i)
{
	struct managed_status s;

	store_status(store, i, &s);
	return s;
}

/* The replica holds the database as it is now. */
static bool replicated(int i)
{
	struct managed_status s = status(i);

	if (s.txid && s.replica_txid == s.txid)
		return rig_restore(&g[i], 0, true);
	printf("database %d: local TXID %llu, replica %llu, %s\n", i, (unsigned long long)s.txid,
	       (unsigned long long)s.replica_txid, managed_state_name(s.state));
	return false;
}

TEST(a_commit_goes_its_way)
{
	CHECK(begin("way"));
	CHECK(add(0));
	CHECK(run(0));
	CHECK_INT(status(0).state, MANAGED_ACTIVE);
	CHECK(replicated(0));
	/* After a quiet time at once, by the event of its write: no clock moves but the few looks of a millisecond. */
	CHECK(run(5 * SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	CHECK(run(20 * 1000));
	CHECK(replicated(0));
	/* In a stream, one file an interval. */
	for (int i = 0; i < 10; i++) {
		CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(%d, 2)", 10 + i), SQLITE_OK);
		CHECK(run(SECOND / 20));
	}
	CHECK(status(0).txid <= 4);
	CHECK(run(2 * SECOND));
	CHECK(replicated(0));
	end();
}

TEST(an_idle_database_costs_nothing)
{
	struct os_fault_plan count = { .mode = OS_FAULT_OFF, .sqlite_too = true };
	uint64_t txid;

	CHECK(begin("idle"));
	CHECK(add(0));
	CHECK_INT(rig_fill(&g[0], 50, 500), SQLITE_OK);
	CHECK(run(300 * SECOND)); /* the checkpoint by time is behind us */
	txid = status(0).txid;
	puts_seen = 0;
	os_fault_set(&count);
	CHECK(run(3600LL * SECOND));
	os_fault_set(NULL);
	CHECK_INT(status(0).txid, txid);
	CHECK_INT(puts_seen, 0);
	CHECK(replicated(0));
	CHECK(os_fault_count() < 3600 / 20 * 20);
	end();
}

TEST(a_database_that_appears)
{
	CHECK(begin("appears"));
	rig_app_close(&g[0]);
	CHECK_OK(os_unlink(g[0].path, &e), &e);
	CHECK(add(0));
	CHECK(run(10 * SECOND));
	CHECK_INT(status(0).state, MANAGED_WAITING);
	CHECK_INT(rig_app_open(&g[0]), 0);
	CHECK_INT(rig_sql(&g[0], "CREATE TABLE t(id INTEGER PRIMARY KEY, b)"), SQLITE_OK);
	CHECK(run(25 * SECOND));
	CHECK_INT(status(0).state, MANAGED_ACTIVE);
	CHECK(replicated(0));
	end();
}

TEST(a_path_is_taken_once)
{
	CHECK(begin("once"));
	CHECK(add(0));
	CHECK(!add(0));
	CHECK(err_is(&e, ERR_EXISTS));
	CHECK_INT(store_count(store), 1);
	CHECK(run(SECOND));
	CHECK(replicated(0));
	end();
}

TEST(errors_pause_it_and_are_retried_later_and_later)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_SYNC, .errnum = EIO };
	int64_t last = 0, gap = 0, began;
	int attempts = 0;
	uint64_t seen = 0;

	CHECK(begin("backoff"));
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	os_fault_set(&plan);
	began = os_mono_us();
	while (os_mono_us() - began < 1800LL * SECOND) {
		CHECK(run(SECOND / 2));
		if (os_fault_count() == seen)
			continue;
		seen = os_fault_count();
		attempts++;
		if (last) {
			CHECK(os_mono_us() - last >= gap - SECOND);
			gap = os_mono_us() - last;
		}
		last = os_mono_us();
	}
	CHECK(attempts >= 10 && attempts < 20); /* 1 s doubling, 5 min at most */
	CHECK_INT(status(0).state, MANAGED_PAUSED);
	CHECK(status(0).reason[0] != 0);
	os_fault_set(NULL);
	CHECK(run(301 * SECOND));
	CHECK_INT(status(0).state, MANAGED_ACTIVE);
	CHECK_STR(status(0).reason, "");
	CHECK(replicated(0));
	end();
}

TEST(a_full_disk_is_looked_at_often)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_WRITE, .errnum = ENOSPC };

	CHECK(begin("full"));
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	os_fault_set(&plan);
	CHECK(run(600LL * SECOND));
	CHECK_INT(status(0).state, MANAGED_PAUSED);
	CHECK(rig_exists(g[0].path));
	os_fault_set(NULL);
	CHECK(run(6 * SECOND));
	CHECK(replicated(0));
	end();
}

TEST(uploads_that_fail_are_tried_again)
{
	CHECK(begin("upload"));
	CHECK(add(0));
	CHECK(run(SECOND));
	puts_to_fail = 4;
	for (int i = 0; i < 5; i++) {
		CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(%d, 2)", i), SQLITE_OK);
		CHECK(run(2 * SECOND));
	}
	CHECK_INT(status(0).state, MANAGED_ACTIVE); /* the local side goes on */
	CHECK(run(30 * SECOND));
	CHECK_INT(puts_to_fail, 0);
	CHECK(replicated(0));
	end();
}

TEST(local_files_that_are_gone_lead_to_a_full_copy)
{
	char path[400];

	CHECK(begin("reset"));
	CHECK(add(0));
	CHECK(run(SECOND));
	puts_to_fail = 1000;
	for (int i = 0; i < 4; i++) {
		CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(%d, 2)", i), SQLITE_OK);
		CHECK(run(2 * SECOND));
	}
	CHECK_INT(status(0).txid, 5);
	CHECK_OK(os_unlink(rig_local(&g[0], 3, path), &e), &e);
	puts_to_fail = 0;
	CHECK(run(600LL * SECOND));
	CHECK(replicated(0));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(90, 2)"), SQLITE_OK);
	CHECK(run(5 * SECOND));
	CHECK(replicated(0));
	end();
}

/* ---- stop ---- */

TEST(a_stop_takes_the_last_commits_along)
{
	CHECK(begin("stop"));
	for (int i = 0; i < DATABASES; i++)
		CHECK(add(i));
	CHECK(run(SECOND));
	for (int i = 0; i < DATABASES; i++)
		CHECK_INT(rig_sql(&g[i], "INSERT INTO t VALUES(1, %d)", i), SQLITE_OK);
	store_stop(store);
	CHECK(store_is_stopping(store));
	CHECK(run(0));
	CHECK_INT(stopped, 1);
	for (int i = 0; i < DATABASES; i++) {
		CHECK_INT(status(i).state, MANAGED_STOPPED);
		CHECK(!db_is_open(m[i]->db));
		CHECK(rig_restore(&g[i], 0, true));
	}
	end();
}

TEST(a_stop_without_databases)
{
	CHECK(begin("none"));
	store_stop(store);
	CHECK_INT(stopped, 1);
	end();
}

TEST(a_stop_before_the_first_sync)
{
	CHECK(begin("early"));
	CHECK(add(0));
	store_stop(store);
	CHECK(run(SECOND));
	CHECK_INT(stopped, 1);
	CHECK(rig_restore(&g[0], 0, true));
	end();
}

TEST(a_stop_tries_again_until_its_time_is_over)
{
	int64_t began;

	CHECK(begin("retry"));
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	puts_to_fail = 10;
	store_stop(store);
	CHECK(run(4 * SECOND));
	CHECK_INT(stopped, 0);
	CHECK(run(20 * SECOND));
	CHECK_INT(stopped, 1);
	CHECK(rig_restore(&g[0], 0, true));
	end();
	/* For ever: given up after the time-out, and everything is closed. */
	CHECK(begin("retry2"));
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	puts_to_fail = 1 << 30;
	began = os_mono_us();
	store_stop(store);
	while (!stopped && os_mono_us() - began < 100 * SECOND)
		CHECK(run(SECOND / 10));
	CHECK_INT(stopped, 1);
	CHECK(os_mono_us() - began >= 29 * SECOND && os_mono_us() - began <= 31 * SECOND);
	CHECK(puts_seen > 40);
	CHECK(!db_is_open(m[0]->db));
	end();
}

TEST(a_second_signal_ends_the_retries)
{
	CHECK(begin("signal"));
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	puts_to_fail = 1 << 30;
	store_stop(store);
	CHECK(run(3 * SECOND));
	CHECK_INT(stopped, 0);
	store_stop(store);
	CHECK(run(SECOND));
	CHECK_INT(stopped, 1);
	CHECK_INT(status(0).state, MANAGED_STOPPED);
	end();
}

TEST(without_a_time_out_there_is_one_attempt)
{
	CHECK(begin("timeout0"));
	store_free(store);
	options.shutdown_timeout_ms = 0;
	CHECK_OK(store_create(&options, &store, &e), &e);
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	puts_seen = 0;
	puts_to_fail = 1 << 30;
	store_stop(store);
	CHECK(run(0));
	CHECK_INT(stopped, 1);
	CHECK_INT(puts_seen, 1);
	end();
}

/* ---- anything ---- */

static bool anything(uint64_t with)
{
	static const int errnums[] = { EIO, ENOSPC, EMFILE };
	bool ok = begin("any");

	seed = with;
	for (int i = 0; ok && i < DATABASES; i++) {
		g[i].o.min_checkpoint_pages = 20 + below(100);
		ok = add(i);
	}
	for (int i = 0; ok && i < 60; i++) {
		struct rig *k = &g[below(DATABASES)];
		struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .sqlite_too = true };

		switch (below(6)) {
		case 0:
		case 1:
			rig_fill(k, 1 + (int)below(30), 300);
			break;
		case 2:
			rig_sql(k, "DELETE FROM t WHERE id>%u", below(30));
			rig_sql(k, "PRAGMA wal_checkpoint");
			break;
		case 3:
			puts_to_fail = (int)below(4);
			break;
		case 4:
			plan.at = 1 + below(80);
			plan.errnum = errnums[below(3)];
			os_fault_set(&plan);
			ok = run(below(SECOND));
			os_fault_set(NULL);
			break;
		default:
			break;
		}
		ok = ok && run(below(3) ? below(20000) : below(30 * SECOND));
	}
	puts_to_fail = 0;
	ok = ok && run(620LL * SECOND);
	for (int i = 0; ok && i < DATABASES; i++)
		ok = status(i).state == MANAGED_ACTIVE && replicated(i);
	if (ok)
		store_stop(store);
	ok = ok && run(60 * SECOND) && stopped == 1;
	for (int i = 0; ok && i < DATABASES; i++)
		ok = rig_restore(&g[i], 0, true);
	end();
	return ok;
}

TEST(anything_in_any_order)
{
	const char *from = getenv("STORE_SEED");
	uint64_t first = from ? strtoull(from, NULL, 10) : 1;

	for (uint64_t s = first; s < first + (from ? 1 : 25); s++) {
		bool ok = anything(s * 7919);

		if (!ok)
			printf("again: STORE_SEED=%llu: %s\n", (unsigned long long)s, e.text);
		CHECK(ok);
	}
}

TEST_MAIN
