/* SPDX-License-Identifier: MIT */
/* test_db_rest.c - letting go of a database, and what is proven when it is taken up again. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/support/rig.h"

static struct rig g;

static int rest(void)
{
	err_clear(&g.e);
	return db_sync(g.db, DB_SYNC_REST | DB_SYNC_NO_CHECKPOINT, &g.r, &g.e);
}

/* Started, everything copied, and let go of. */
static bool at_rest(void)
{
	return !rig_start(&g) && rig_fill(&g, 40, 200) == SQLITE_OK && rig_good(&g) && !rest() && g.r.rests &&
	       !db_is_open(g.db);
}

TEST(all_is_moved_before_it_lets_go)
{
	CHECK_INT(rig_init(&g, "moved"), 0);
	CHECK(at_rest());
	CHECK(!db_stirred(g.db));
	rig_app_close(&g);
	CHECK(!db_stirred(g.db)); /* the WAL is gone, the database is what it was */
	CHECK_INT(rig_app_open(&g), 0);
	CHECK(rig_int(&g, "SELECT count(*) FROM t") == 40);
	CHECK(!db_stirred(g.db));
	CHECK(rig_good(&g));
	CHECK(!g.copy);
	rig_free(&g);
}

/* It comes first and goes last: it recovers the log, finds nothing moved, moves all at its close, and deletes the log. */
TEST(who_only_reads_costs_no_copy)
{
	uint64_t before;

	for (int large = 0; large < 2; large++) {
		CHECK_INT(rig_init(&g, "reads"), 0);
		CHECK(!large || rig_fill(&g, 300, 20000) == SQLITE_OK);
		CHECK(at_rest());
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=7 WHERE id=3"), SQLITE_OK);
		rig_app_close(&g);
		CHECK_OK(rig_sync(&g), &g.e);
		CHECK(!rest() && g.r.rests);
		before = g.r.txid;
		for (int i = 0; i < 2; i++) {
			CHECK_INT(rig_app_open(&g), 0);
			CHECK(rig_int(&g, "SELECT count(*) FROM t") > 0);
			rig_app_close(&g);
		}
		CHECK(db_stirred(g.db));
		CHECK_OK(rig_sync(&g), &g.e);
		CHECK_INT(g.r.copies, large); /* the sum of a large one would take too long */
		CHECK(db_txid(g.db) <= before + 1);
		/* With a write in between it is none of that. */
		CHECK(!rest() && g.r.rests);
		CHECK_INT(rig_app_open(&g), 0);
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=8 WHERE id=3"), SQLITE_OK);
		rig_app_close(&g);
		CHECK_INT(rig_app_open(&g), 0);
		CHECK_OK(rig_sync(&g), &g.e);
		CHECK_INT(g.r.copies, 1);
		CHECK(rig_good(&g));
		rig_free(&g);
	}
}

TEST(not_while_something_is_new_or_in_the_way)
{
	CHECK_INT(rig_init(&g, "new"), 0);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	CHECK_OK(rest(), &g.e);
	CHECK(!g.r.rests); /* it found a commit: that must be replicated first */
	CHECK(db_stirred(g.db));
	CHECK_INT(rig_sql(&g, "BEGIN"), SQLITE_OK);
	CHECK(rig_int(&g, "SELECT count(*) FROM t") == 1);
	CHECK_OK(rest(), &g.e);
	CHECK(g.r.rests); /* a reader at the end of the log hinders nobody */
	CHECK_INT(rig_sql(&g, "COMMIT"), SQLITE_OK);
	rig_free(&g);
}

TEST(every_change_is_seen)
{
	CHECK_INT(rig_init(&g, "seen"), 0);
	for (int i = 0; i < 5; i++) {
		if (!i)
			CHECK(at_rest());
		else
			CHECK(!rest() && (g.r.rests || (!rest() && g.r.rests)));
		CHECK(!db_stirred(g.db));
		switch (i) {
		case 0:
			CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(100, 2)"), SQLITE_OK);
			break;
		case 1:
			CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(101, 2)"), SQLITE_OK);
			CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE), 0);
			break;
		case 2:
			CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(102, 2)"), SQLITE_OK);
			rig_app_close(&g);
			CHECK_INT(rig_app_open(&g), 0);
			break;
		case 3:
			rig_app_close(&g);
			CHECK_INT(rig_app_open(&g), 0);
			CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(103, 2)"), SQLITE_OK);
			break;
		default:
			CHECK_INT(rig_sql(&g, "DELETE FROM t WHERE id=100"), SQLITE_OK);
			break;
		}
		CHECK(db_stirred(g.db));
		CHECK(rig_good(&g));
	}
	rig_free(&g);
}

/* In one process with the application: each of its closes and openings between two looks of ours. */
TEST(a_new_log_is_read_from_its_first_frame)
{
	CHECK_INT(rig_init(&g, "head"), 0);
	CHECK(at_rest());
	rig_app_close(&g);
	CHECK_INT(rig_app_open(&g), 0);
	for (int i = 0; i < 3; i++)
		CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(%d, 2)", 200 + i), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK(!g.copy);
	/* One that was moved to the database and thrown away cannot be: a full copy. */
	CHECK(!rest());
	CHECK(g.r.rests);
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(300, 2)"), SQLITE_OK);
	rig_app_close(&g);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(301, 2)"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	rig_free(&g);
}

TEST(the_replica_is_not_asked_again)
{
	struct replica_ops none;
	struct replica *r;

	CHECK_INT(rig_init(&g, "asked"), 0);
	CHECK(at_rest());
	r = g.replica;
	none = *r->ops;
	none.list = NULL; /* would crash */
	r->ops = &none;
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(100, 2)"), SQLITE_OK);
	CHECK(rig_good(&g));
	rig_free(&g);
}

/* Frames in the log that nothing counts yet: a transaction that is too large for its cache. */
static int spill(void)
{
	return rig_sql(&g, "PRAGMA cache_size=2; BEGIN; WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE "
	               "i < 60) INSERT OR REPLACE INTO t SELECT i + 700, randomblob(700) FROM c");
}

TEST(a_growing_transaction_is_in_the_way_and_its_leftovers_are_not)
{
	CHECK_INT(rig_init(&g, "grows"), 0);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(spill(), SQLITE_OK);
	CHECK_OK(rest(), &g.e);
	CHECK(!g.r.rests);
	CHECK_INT(rig_sql(&g, "ROLLBACK"), SQLITE_OK);
	CHECK_OK(rest(), &g.e);
	CHECK(g.r.rests);
	CHECK(!db_stirred(g.db));
	rig_free(&g);
}

static uint64_t spill_at, spill_call;

static void spill_now(void *ctx, enum os_call kind)
{
	(void)ctx;
	(void)kind;
	if (++spill_call == spill_at)
		spill();
}

/* Such a transaction begins at any moment of letting go: its commit, of which no event will tell, must be seen. */
TEST(a_commit_under_way_is_not_slept_through)
{
	int slept = 0;

	for (spill_at = 1;; spill_at++) {
		char name[40];

		snprintf(name, sizeof(name), "way%d", (int)spill_at);
		CHECK_INT(rig_init(&g, name), 0);
		CHECK_INT(rig_start(&g), 0);
		CHECK(rig_good(&g));
		spill_call = 0;
		os_fault_hook(spill_now, NULL);
		CHECK_OK(rest(), &g.e);
		os_fault_hook(NULL, NULL);
		if (spill_call < spill_at)
			break;
		rig_sql(&g, "COMMIT");
		if (g.r.rests && rig_int(&g, "SELECT count(*) FROM t"))
			CHECK(db_stirred(g.db));
		slept += g.r.rests;
		CHECK(rig_good(&g));
		rig_free(&g);
	}
	rig_free(&g);
	CHECK(spill_at > 10 && slept > 0);
}

TEST(failures_on_the_way_to_rest)
{
	CHECK_INT(rig_init(&g, "fail"), 0);
	CHECK_INT(rig_start(&g), 0);
	for (uint64_t at = 1;; at++) {
		struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = at, .sqlite_too = true };
		bool hit;

		CHECK_INT(rig_fill(&g, 20, 200), SQLITE_OK);
		CHECK(rig_good(&g));
		os_fault_set(&plan);
		rest();
		hit = os_fault_hit();
		os_fault_set(NULL);
		CHECK_INT(rig_sql(&g, "INSERT OR REPLACE INTO t VALUES(%d, 2)", 500 + (int)at), SQLITE_OK);
		CHECK(rig_good(&g));
		if (!hit)
			break;
	}
	rig_free(&g);
}

/* The new generation grows over our frame and on while we look for what the old one got behind it (a TAIL that would be
 * missed). At each kernel call of that sync in turn. */
static uint64_t call, act_at;

static void grow(void *ctx, enum os_call kind)
{
	(void)ctx;
	(void)kind;
	if (++call == act_at)
		rig_fill(&g, 40, 400);
}

TEST(a_log_that_is_written_over_while_it_is_looked_at)
{
	for (act_at = 1;; act_at++) {
		char name[40];

		snprintf(name, sizeof(name), "over%d", (int)act_at);
		CHECK_INT(rig_init(&g, name), 0);
		CHECK_INT(rig_sql(&g, "CREATE TABLE u(a)"), SQLITE_OK);
		CHECK_INT(rig_start(&g), 0);
		CHECK_INT(rig_fill(&g, 20, 400), SQLITE_OK);
		CHECK(rig_good(&g));
		rig_stop(&g);
		/* The old generation gets one more commit, then a short new one begins. */
		CHECK_INT(rig_sql(&g, "INSERT INTO u VALUES(randomblob(500))"), SQLITE_OK);
		CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), 0);
		CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(601, 2)"), SQLITE_OK);
		CHECK_INT(rig_start(&g), 0);
		call = 0;
		os_fault_hook(grow, NULL);
		CHECK_INT(rig_sync(&g), 0);
		os_fault_hook(NULL, NULL);
		CHECK(rig_good(&g));
		rig_free(&g);
		if (call < act_at)
			break;
	}
	CHECK(act_at > 20);
}

TEST_MAIN
