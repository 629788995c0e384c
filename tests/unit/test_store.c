/* SPDX-License-Identifier: MIT */
/*
 * test_store.c - the store on one thread: its loop, its jobs and its clock are driven from here, and SQLite's too.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/support/store_kit.h"

enum { DATABASES = 3, SECOND = SK_SECOND };

static struct store_kit k;
#define g k.g
#define e k.e
#define puts_seen k.shaky[0][0]->puts
#define puts_to_fail k.shaky[0][0]->puts_to_fail

static bool begin(const char *name)
{
	return sk_begin(&k, name, DATABASES);
}

static void end(void)
{
	sk_end(&k);
}

static bool add(int i) { return sk_add(&k, i, 1); }
static bool run(int64_t us) { return sk_run(&k, us); }
static struct managed_status status(int i) { return sk_status(&k, i); }
static int64_t lag_ms(int i)
{
	struct managed_facts f;

	managed_facts(k.m[i], &f);
	return f.lag_ms;
}
static bool replicated(int i) { return sk_replicated(&k, i); }
static uint32_t below(uint32_t n) { return sk_below(&k, n); }

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
	k.managed.idle_timeout_ms = 0;
	CHECK(add(0));
	CHECK_INT(rig_fill(&g[0], 50, 500), SQLITE_OK);
	/* The checkpoint by time and the levels' work are behind us; one that stays open costs no more than one at rest. */
	CHECK(run(3 * 3600LL * SECOND));
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
	CHECK_INT(store_count(k.store), 1);
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
	k.options.policy.count = 0;
	CHECK(sk_again(&k));
	CHECK(add(0));
	CHECK(run(50 * SECOND)); /* the first snapshot is made */
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
	CHECK(lag_ms(0) > 590 * 1000 && lag_ms(0) <= 601 * 1000);
	os_fault_set(NULL);
	CHECK(run(6 * SECOND));
	CHECK(replicated(0));
	CHECK_INT(lag_ms(0), 0);
	end();
}

/* What a file holds gets away; the commits that none holds count on, and only if there are any. */
TEST(uploads_do_not_hide_what_a_full_disk_holds_up)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_WRITE, .errnum = ENOSPC };

	CHECK(begin("hidden"));
	CHECK_INT(chmod(g[0].path, 0600), 0); /* uploads link then, and write nothing */
	CHECK(add(0));
	CHECK(run(SECOND));
	puts_to_fail = 3;
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	CHECK(run(SECOND / 2));
	CHECK_INT(status(0).txid, 2);
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(2, 2)"), SQLITE_OK);
	os_fault_set(&plan);
	CHECK(run(100 * SECOND));
	CHECK_INT(status(0).state, MANAGED_PAUSED);
	CHECK_INT(status(0).replica_txid, 2);
	CHECK(lag_ms(0) > 90 * 1000 && lag_ms(0) <= 101 * 1000);
	os_fault_set(NULL);
	CHECK(run(6 * SECOND));
	CHECK(replicated(0));
	CHECK_INT(lag_ms(0), 0);
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
	store_stop(k.store);
	CHECK(store_is_stopping(k.store));
	CHECK(run(0));
	CHECK_INT(k.stopped, 1);
	for (int i = 0; i < DATABASES; i++) {
		CHECK_INT(status(i).state, MANAGED_STOPPED);
		CHECK(!db_is_open(k.m[i]->db));
		CHECK(rig_restore(&g[i], 0, true));
	}
	end();
}

TEST(a_stop_without_databases)
{
	CHECK(begin("none"));
	store_stop(k.store);
	CHECK_INT(k.stopped, 1);
	end();
}

TEST(a_stop_before_the_first_sync)
{
	CHECK(begin("early"));
	CHECK(add(0));
	store_stop(k.store);
	CHECK(run(SECOND));
	CHECK_INT(k.stopped, 1);
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
	store_stop(k.store);
	CHECK(run(4 * SECOND));
	CHECK_INT(k.stopped, 0);
	CHECK(run(20 * SECOND));
	CHECK_INT(k.stopped, 1);
	CHECK(rig_restore(&g[0], 0, true));
	end();
	/* For ever: given up after the time-out, and everything is closed. */
	CHECK(begin("retry2"));
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	puts_to_fail = 1 << 30;
	began = os_mono_us();
	store_stop(k.store);
	while (!k.stopped && os_mono_us() - began < 100 * SECOND)
		CHECK(run(SECOND / 10));
	CHECK_INT(k.stopped, 1);
	CHECK(os_mono_us() - began >= 29 * SECOND && os_mono_us() - began <= 31 * SECOND);
	CHECK(puts_seen > 40);
	CHECK(!db_is_open(k.m[0]->db));
	end();
}

TEST(a_second_signal_ends_the_retries)
{
	CHECK(begin("signal"));
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	puts_to_fail = 1 << 30;
	store_stop(k.store);
	CHECK(run(3 * SECOND));
	CHECK_INT(k.stopped, 0);
	store_stop(k.store);
	CHECK(run(SECOND));
	CHECK_INT(k.stopped, 1);
	CHECK_INT(status(0).state, MANAGED_STOPPED);
	end();
}

TEST(without_a_time_out_there_is_one_attempt)
{
	CHECK(begin("timeout0"));
	k.options.shutdown_timeout_ms = 0;
	CHECK(sk_again(&k));
	CHECK(add(0));
	CHECK(run(SECOND));
	CHECK_INT(rig_sql(&g[0], "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	puts_seen = 0;
	puts_to_fail = 1 << 30;
	store_stop(k.store);
	CHECK(run(0));
	CHECK_INT(k.stopped, 1);
	CHECK_INT(puts_seen, 1);
	end();
}

/* ---- anything ---- */

static bool anything(uint64_t with)
{
	static const int errnums[] = { EIO, ENOSPC, EMFILE };
	bool ok = begin("any");

	k.seed = with;
	for (int i = 0; ok && i < DATABASES; i++) {
		g[i].o.min_checkpoint_pages = 20 + below(100);
		ok = add(i);
	}
	for (int i = 0; ok && i < 60; i++) {
		struct rig *r = &g[below(DATABASES)];
		struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .sqlite_too = true };

		switch (below(6)) {
		case 0:
		case 1:
			rig_fill(r, 1 + (int)below(30), 300);
			break;
		case 2:
			rig_sql(r, "DELETE FROM t WHERE id>%u", below(30));
			rig_sql(r, "PRAGMA wal_checkpoint");
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
		store_stop(k.store);
	ok = ok && run(60 * SECOND) && k.stopped == 1;
	for (int i = 0; ok && i < DATABASES; i++)
		ok = rig_restore(&g[i], 0, true);
	if (!ok)
		printf("states %d %d %d: %s\n", status(0).state, status(1).state, status(2).state, e.text);
	end();
	return ok;
}

TEST(anything_in_any_order)
{
	CHECK(sk_seeds(anything, 25, &e));
}

TEST_MAIN
