/* SPDX-License-Identifier: MIT */
/* test_store_lease.c - the lock of a replica's place: taken before the first write, kept, lost, at rest, given back. */
#include <stdlib.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "tests/support/store_kit.h"

enum { SECOND = SK_SECOND };

static struct store_kit k;
static struct shaky_lock lock;
static int other; /* somebody else, by its address */

static bool run(int64_t us) { return sk_run(&k, us); }

static bool begin(const char *name, int databases)
{
	lock = (struct shaky_lock){ 0 };
	if (!sk_begin(&k, name, databases))
		return false;
	/* All have one place. */
	for (int i = 1; i < databases; i++)
		memcpy(k.g[i].replica_path, k.g[0].replica_path, sizeof(k.g[i].replica_path));
	k.lock = &lock;
	return true;
}

static void taken_by_other(int64_t seconds)
{
	lock.by = &other;
	lock.until_ms = os_mono_us() / 1000 + seconds * 1000;
}

static int insert(int i, int n)
{
	return rig_sql(&k.g[i], "INSERT OR REPLACE INTO t VALUES(%d, randomblob(200))", n);
}

static struct managed_facts facts(int i)
{
	struct managed_facts f;

	managed_facts(k.m[i], &f);
	return f;
}

static const char *error_of(int replica)
{
	struct managed_replica_facts f;

	managed_replica_facts(k.m[0], replica, &f);
	return f.error;
}

TEST(taken_first_and_kept_while_written_to)
{
	CHECK(begin("kept", 1));
	CHECK(sk_add(&k, 0, 1));
	for (int i = 0; i < 60; i++) {
		CHECK_INT(insert(0, i), SQLITE_OK);
		CHECK(run(2 * SECOND));
		CHECK(lock.by == k.shaky[0][0] && lock.until_ms > os_mono_us() / 1000 + 15000);
	}
	CHECK(sk_replicated(&k, 0));
	CHECK_INT(k.shaky[0][0]->unguarded, 0);
	CHECK(lock.asks >= 11 && lock.asks <= 16);
	sk_end(&k);
}

/* It lapses, nothing is asked, and the next write has it again without a new look at what is there. */
TEST(at_rest_nothing_is_asked)
{
	int asks, lists;

	CHECK(begin("rest", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK_INT(insert(0, 1), SQLITE_OK);
	CHECK(run(3600LL * SECOND));
	asks = lock.asks;
	CHECK(asks >= 20 && asks <= 60);
	CHECK(run(3600LL * SECOND));
	CHECK_INT(lock.asks, asks);
	CHECK(lock.until_ms < os_mono_us() / 1000);
	lists = k.shaky[0][0]->lists;
	CHECK_INT(insert(0, 2), SQLITE_OK);
	CHECK(run(5 * SECOND));
	CHECK_INT(lock.asks, asks + 1);
	CHECK_INT(k.shaky[0][0]->lists, lists);
	CHECK(sk_replicated(&k, 0));
	CHECK_INT(k.shaky[0][0]->unguarded, 0);
	sk_end(&k);
}

TEST(who_is_kept_out_is_paused)
{
	int asks;

	CHECK(begin("paused", 1));
	taken_by_other(100);
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(50LL * SECOND));
	CHECK_INT(facts(0).state, MANAGED_PAUSED);
	CHECK_STR(facts(0).reason, "held by another");
	CHECK_INT(k.events[STORE_EVENT_PAUSED], 1);
	CHECK_INT(k.shaky[0][0]->puts + k.shaky[0][0]->creates + k.shaky[0][0]->removes, 0);
	asks = lock.asks;
	CHECK(asks >= 3 && asks <= 6);
	CHECK_INT(insert(0, 1), SQLITE_OK);
	CHECK(run(70LL * SECOND));
	CHECK_INT(facts(0).state, MANAGED_ACTIVE);
	CHECK(sk_replicated(&k, 0));
	CHECK_INT(k.shaky[0][0]->unguarded, 0);
	sk_end(&k);
}

TEST(where_there_is_none_nothing_is_written)
{
	CHECK(begin("unable", 1));
	lock.unable = true;
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(300LL * SECOND));
	CHECK_INT(facts(0).state, MANAGED_PAUSED);
	CHECK_STR(facts(0).reason, "there is no lock here");
	CHECK_INT(lock.asks, 1);
	CHECK_INT(k.shaky[0][0]->puts, 0);
	store_stop(k.store);
	CHECK(run(60LL * SECOND));
	CHECK_INT(k.stopped, 1);
	sk_end(&k);
}

TEST(one_replica_is_refused_the_other_goes_on)
{
	CHECK(begin("two", 1));
	CHECK(sk_add(&k, 0, 2));
	/* Both want the same lock here; one can have it. */
	CHECK(run(5 * SECOND));
	for (int i = 0; i < 5; i++) {
		CHECK_INT(insert(0, i), SQLITE_OK);
		CHECK(run(5 * SECOND));
	}
	int has = lock.by == k.shaky[0][0] ? 0 : 1;
	CHECK(sk_restores(&k, 0, has));
	CHECK_STR(error_of(1 - has), "held by another");
	CHECK_INT(k.shaky[0][0]->unguarded + k.shaky[0][1]->unguarded, 0);
	sk_end(&k);
}

/* The server is away: what we have counts until it is over, then everything waits. */
TEST(it_cannot_be_prolonged)
{
	int puts;

	CHECK(begin("away", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(SECOND));
	lock.down = true;
	for (int i = 0; i < 20; i++) {
		CHECK_INT(insert(0, i), SQLITE_OK);
		CHECK(run(SECOND));
	}
	CHECK(sk_replicated(&k, 0));
	CHECK(run(20 * SECOND));
	puts = k.shaky[0][0]->puts;
	CHECK_INT(insert(0, 100), SQLITE_OK);
	CHECK(run(60LL * SECOND));
	CHECK_INT(k.shaky[0][0]->puts, puts);
	CHECK_INT(facts(0).state, MANAGED_ACTIVE);
	CHECK(strstr(error_of(0), "cannot be asked") != NULL);
	lock.down = false;
	CHECK(run(400LL * SECOND));
	CHECK(sk_replicated(&k, 0));
	CHECK_INT(k.shaky[0][0]->unguarded, 0);
	sk_end(&k);
}

/* Two databases, one place: whoever has the lock goes on behind what the other has written, with a copy of its own. */
TEST(they_take_turns)
{
	CHECK(begin("turns", 2));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(5 * SECOND));
	CHECK(sk_add(&k, 1, 1));
	CHECK(run(5 * SECOND));
	for (int round = 0; round < 6; round++) {
		int now = lock.by == k.shaky[0][0] ? 0 : 1;

		for (int i = 0; i < 4; i++) {
			CHECK_INT(insert(now, round * 10 + i), SQLITE_OK);
			CHECK_INT(insert(1 - now, round * 10 + i), SQLITE_OK);
			CHECK(run(2 * SECOND));
			CHECK(sk_replicated(&k, now));
		}
		CHECK_INT(facts(1 - now).state, MANAGED_PAUSED);
		/* It does not come through any more, and the other is there first. */
		lock.next = k.shaky[1 - now][0];
		CHECK(run(60LL * SECOND));
		CHECK(lock.by == k.shaky[1 - now][0]);
		CHECK(sk_replicated(&k, 1 - now));
	}
	CHECK_INT(k.shaky[0][0]->unguarded + k.shaky[1][0]->unguarded, 0);
	sk_end(&k);
}

/* Files of an earlier process wait here, and another has gone on from ours meanwhile, with the same TXIDs. */
TEST(what_waits_from_an_earlier_life_is_not_mixed_with_anothers)
{
	for (int more = 0; more < 3; more++) {
		CHECK(begin("earlier", 2));
		CHECK(sk_add(&k, 0, 1));
		CHECK(run(5 * SECOND));
		lock.next = &other;
		for (int i = 0; i < 6; i++) {
			CHECK_INT(insert(0, i), SQLITE_OK);
			CHECK(run(10 * SECOND));
		}
		CHECK(sk_status(&k, 0).txid > sk_status(&k, 0).replica_txid + 2);
		uint64_t local = sk_status(&k, 0).txid;
		store_stop(k.store);
		CHECK(run(100LL * SECOND));
		/* The other one: as many files as wait here, one less, one more. */
		lock = (struct shaky_lock){ 0 };
		CHECK(sk_again(&k));
		CHECK(sk_add(&k, 1, 1));
		CHECK(run(5 * SECOND));
		while (sk_status(&k, 0).txid + 1 < local + (uint64_t)more) {
			CHECK_INT(insert(1, (int)sk_status(&k, 0).txid), SQLITE_OK);
			CHECK(run(2 * SECOND));
		}
		store_stop(k.store);
		CHECK(run(100LL * SECOND));
		CHECK(sk_restores(&k, 1, 0));
		CHECK(sk_again(&k));
		CHECK(sk_add(&k, 0, 1));
		CHECK(run(20 * SECOND));
		CHECK_INT(insert(0, 100), SQLITE_OK);
		CHECK(run(20 * SECOND));
		CHECK(sk_replicated(&k, 0));
		sk_end(&k);
	}
}

TEST(given_back_at_the_end)
{
	CHECK(begin("back", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(SECOND));
	CHECK_INT(insert(0, 1), SQLITE_OK);
	store_stop(k.store);
	CHECK(run(10 * SECOND));
	CHECK_INT(k.stopped, 1);
	CHECK_INT(lock.given_back, 1);
	CHECK(!lock.by);
	CHECK(sk_restores(&k, 0, 0));
	CHECK_INT(k.shaky[0][0]->unguarded, 0);
	sk_end(&k);
}

TEST_MAIN
