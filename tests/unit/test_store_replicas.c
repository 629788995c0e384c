/* SPDX-License-Identifier: MIT */
/* test_store_replicas.c - several replicas of one database, each with its own position, errors and levels. */
#include <stdlib.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/support/store_kit.h"

enum { SECOND = SK_SECOND };

static struct store_kit k;

static bool run(int64_t us) { return sk_run(&k, us); }

static uint64_t txid_of(int i, int replica)
{
	struct managed_replica_facts f;

	managed_replica_facts(k.m[i], replica, &f);
	return f.txid;
}

static bool both(int i)
{
	uint64_t txid = sk_status(&k, i).txid;

	if (txid_of(i, 0) == txid && txid_of(i, 1) == txid)
		return sk_restores(&k, i, 0) && sk_restores(&k, i, 1);
	printf("local %llu, replicas %llu and %llu\n", (unsigned long long)txid, (unsigned long long)txid_of(i, 0),
	       (unsigned long long)txid_of(i, 1));
	return false;
}

static int insert(int n)
{
	return rig_sql(&k.g[0], "INSERT OR REPLACE INTO t VALUES(%d, randomblob(200))", n);
}

TEST(both_hold_everything)
{
	CHECK(sk_begin(&k, "both", 1));
	CHECK(sk_add(&k, 0, 2));
	for (int i = 0; i < 5; i++) {
		CHECK_INT(insert(i), SQLITE_OK);
		CHECK(run(2 * SECOND));
	}
	CHECK(both(0));
	sk_end(&k);
}

TEST(one_that_fails_does_not_hold_up_the_other)
{
	struct managed_replica_facts f;

	CHECK(sk_begin(&k, "fails", 1));
	CHECK(sk_add(&k, 0, 2));
	CHECK(run(SECOND));
	CHECK(both(0));
	for (int which = 0; which < 2; which++) {
		k.shaky[0][which]->down = true;
		for (int i = 0; i < 8; i++) {
			CHECK_INT(insert(i), SQLITE_OK);
			CHECK(run(3 * SECOND));
			CHECK(txid_of(0, 1 - which) == sk_status(&k, 0).txid);
		}
		CHECK(sk_restores(&k, 0, 1 - which));
		managed_replica_facts(k.m[0], which, &f);
		CHECK(f.error[0] != 0);
		k.shaky[0][which]->down = false;
		CHECK(run(100LL * SECOND));
		CHECK(both(0));
		managed_replica_facts(k.m[0], which, &f);
		CHECK_STR(f.error, "");
	}
	sk_end(&k);
}

/* Days without one: what it misses is kept, and when it comes back it gets all of it. */
TEST(local_files_stay_until_all_have_them)
{
	char path[400];

	CHECK(sk_begin(&k, "stay", 1));
	CHECK(sk_add(&k, 0, 2));
	CHECK(run(SECOND));
	k.shaky[0][1]->down = true;
	for (int i = 0; i < 100; i++) {
		CHECK_INT(insert(i), SQLITE_OK);
		CHECK(run(600LL * SECOND));
	}
	CHECK(rig_exists(rig_local(&k.g[0], 3, path)));
	k.shaky[0][1]->down = false;
	CHECK(run(3600LL * SECOND));
	CHECK(both(0));
	/* Now they may go, but for the newest two. */
	CHECK_INT(insert(900), SQLITE_OK);
	CHECK(run(3600LL * SECOND));
	CHECK(!rig_exists(rig_local(&k.g[0], 3, path)));
	CHECK(rig_exists(rig_local(&k.g[0], sk_status(&k, 0).txid, path)));
	CHECK(rig_exists(rig_local(&k.g[0], sk_status(&k, 0).txid - 1, path)));
	CHECK(both(0));
	sk_end(&k);
}

TEST(what_one_misses_and_nobody_has_becomes_a_snapshot)
{
	char path[400];
	uint64_t before;

	CHECK(sk_begin(&k, "hole", 1));
	CHECK(sk_add(&k, 0, 2));
	CHECK(run(100LL * SECOND));
	k.shaky[0][1]->down = true;
	for (int i = 0; i < 6; i++) {
		CHECK_INT(insert(i), SQLITE_OK);
		CHECK(run(2 * SECOND));
	}
	before = sk_status(&k, 0).txid;
	CHECK_OK(os_unlink(rig_local(&k.g[0], before - 2, path), &k.e), &k.e);
	k.shaky[0][1]->down = false;
	CHECK(run(600LL * SECOND));
	CHECK(both(0));
	CHECK(sk_status(&k, 0).txid <= before + 2); /* the history of the other was not disturbed */
	CHECK_INT(insert(900), SQLITE_OK);
	CHECK(run(5 * SECOND));
	CHECK(both(0));
	sk_end(&k);
}

/* The local state is lost while one replica cannot be asked: the other gives the next TXID, and when the first comes back
 * it holds more. */
TEST(no_txid_gets_a_second_meaning)
{
	char meta[400];
	uint64_t high;

	CHECK(sk_begin(&k, "twice", 1));
	CHECK(sk_add(&k, 0, 2));
	CHECK(run(SECOND));
	k.shaky[0][0]->down = true;
	for (int i = 0; i < 10; i++) {
		CHECK_INT(insert(i), SQLITE_OK);
		CHECK(run(2 * SECOND));
	}
	high = txid_of(0, 1);
	CHECK(high >= 10);
	store_stop(k.store);
	CHECK(run(100LL * SECOND));
	CHECK_INT(k.stopped, 1);
	CHECK(sk_again(&k));
	snprintf(meta, sizeof(meta), "%s/.app.db-litestream", k.g[0].dir);
	CHECK_OK(os_dir_remove_all(meta, &k.e), &k.e);
	CHECK(sk_add(&k, 0, 2));
	k.shaky[0][1]->down = true;
	CHECK(run(5 * SECOND));
	CHECK_INT(insert(700), SQLITE_OK);
	CHECK(run(5 * SECOND));
	CHECK(txid_of(0, 0) && txid_of(0, 0) < high);
	CHECK(sk_restores(&k, 0, 0));
	k.shaky[0][1]->down = false;
	CHECK(run(900LL * SECOND));
	CHECK(sk_status(&k, 0).txid > high);
	CHECK(both(0));
	sk_end(&k);
}

TEST(if_none_can_be_asked_at_first_it_waits)
{
	CHECK(sk_begin(&k, "none", 1));
	CHECK(sk_add(&k, 0, 2));
	k.shaky[0][0]->down = k.shaky[0][1]->down = true;
	CHECK(run(5 * SECOND));
	CHECK_INT(sk_status(&k, 0).state, MANAGED_PAUSED);
	k.shaky[0][1]->down = false;
	CHECK(run(60LL * SECOND));
	CHECK_INT(sk_status(&k, 0).state, MANAGED_ACTIVE);
	CHECK(sk_restores(&k, 0, 1));
	k.shaky[0][0]->down = false;
	CHECK(run(600LL * SECOND));
	CHECK(both(0));
	sk_end(&k);
}

TEST(a_stop_is_the_last_upload_to_all)
{
	CHECK(sk_begin(&k, "stop", 1));
	CHECK(sk_add(&k, 0, 2));
	CHECK(run(SECOND));
	CHECK_INT(insert(1), SQLITE_OK);
	k.shaky[0][1]->puts_to_fail = 5;
	store_stop(k.store);
	CHECK(run(10 * SECOND));
	CHECK_INT(k.stopped, 1);
	CHECK(sk_restores(&k, 0, 0) && sk_restores(&k, 0, 1));
	sk_end(&k);
	CHECK(sk_begin(&k, "stop2", 1));
	CHECK(sk_add(&k, 0, 2));
	CHECK(run(SECOND));
	CHECK_INT(insert(1), SQLITE_OK);
	k.shaky[0][0]->down = true;
	store_stop(k.store);
	CHECK(run(20 * SECOND));
	CHECK_INT(k.stopped, 0);
	CHECK(run(20 * SECOND));
	CHECK_INT(k.stopped, 1);
	CHECK(sk_restores(&k, 0, 1));
	sk_end(&k);
}

TEST(levels_and_retention_of_each)
{
	CHECK(sk_begin(&k, "levels", 1));
	CHECK(sk_add(&k, 0, 2));
	for (int i = 0; i < 200; i++) {
		CHECK_INT(insert(i), SQLITE_OK);
		CHECK(run(20LL * SECOND));
		k.shaky[0][1]->down = i > 50 && i < 90;
	}
	CHECK(run(600LL * SECOND));
	CHECK(both(0));
	CHECK(k.events[STORE_EVENT_COMPACTED] > 10);
	CHECK(k.events[STORE_EVENT_SNAPSHOT] >= 2);
	CHECK(k.shaky[0][0]->removes > 0 && k.shaky[0][1]->removes > 0);
	/* At the start only, level by level: the next TXID and the manifest come from the same listing. */
	CHECK_INT(k.shaky[0][0]->lists, 10);
	sk_end(&k);
}

static bool anything(uint64_t seed)
{
	bool ok = sk_begin(&k, "any", 1) && sk_add(&k, 0, 2) && run(SECOND);
	char path[400];

	k.seed = seed;
	for (int i = 0; ok && i < 60; i++) {
		uint64_t txid = sk_status(&k, 0).txid;

		for (int r = 0; r < 2; r++) {
			if (sk_below(&k, 4) == 0)
				k.shaky[0][r]->down = !k.shaky[0][r]->down;
			if (sk_below(&k, 8) == 0)
				k.shaky[0][r]->puts_to_fail = (int)sk_below(&k, 3);
		}
		insert((int)sk_below(&k, 40));
		if (sk_below(&k, 12) == 0 && txid > 4)
			os_unlink(rig_local(&k.g[0], txid - 2 - sk_below(&k, 3), path), NULL);
		if (sk_below(&k, 20) == 0) {
			store_stop(k.store);
			ok = run(100LL * SECOND) && sk_again(&k) && sk_add(&k, 0, 2);
		}
		ok = ok && run(sk_below(&k, 3) ? sk_below(&k, 2 * SECOND) : sk_below(&k, 200) * (int64_t)SECOND);
	}
	k.shaky[0][0]->down = k.shaky[0][1]->down = false;
	k.shaky[0][0]->puts_to_fail = k.shaky[0][1]->puts_to_fail = 0;
	ok = ok && run(1000LL * SECOND) && both(0);
	sk_end(&k);
	return ok;
}

TEST(anything_in_any_order)
{
	CHECK(sk_seeds(anything, 30, &k.e));
}

TEST_MAIN
