/* SPDX-License-Identifier: MIT */
/* test_levels_retain.c - what is removed, when, and what must stay. */
#include <stdlib.h>

#include "lib/os/fault.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/levels_kit.h"

/* ---- level 0 retention ---- */

TEST(l0_retention)
{
	struct lk k;

	/* Nothing while there is no level 1. */
	CHECK(lk_init(&k, "l0"));
	lk_only_retention(&k);
	CHECK(lk_commits(&k, 2, 1000));
	lk_pass(&k, 60000);
	CHECK_OK(lk_retain_l0(&k), &k.e);
	CHECK_STR(lk_layout(&k), "0: 1-1 2-2");
	CHECK_INT(k.r.l0_not_compacted, 2);
	/* Old and compacted: all but the last. */
	CHECK(lk_commits(&k, 1, 1000));
	CHECK_INT(levels_compact(k.l, 1, NULL, &k.e), 1);
	lk_pass(&k, 60000);
	CHECK_OK(lk_retain_l0(&k), &k.e);
	CHECK_STR(lk_layout(&k), "0: 3-3 | 1: 1-3");
	CHECK_INT(k.r.l0_eligible, 2);
	CHECK_INT(k.r.l0_done, 3);
	/* Up to the first young one. */
	CHECK(lk_commits(&k, 3, 20000));
	CHECK_INT(levels_compact(k.l, 1, NULL, &k.e), 1);
	CHECK_OK(lk_retain_l0(&k), &k.e);
	CHECK_STR(lk_layout(&k), "0: 4-4 5-5 6-6 | 1: 1-3 4-6"); /* what went into one file goes together */
	CHECK_INT(k.r.l0_too_recent, 1);
	CHECK_INT(k.r.l0_done, 3);
	int64_t next = levels_l0_due(k.l, k.now_ms);
	CHECK_INT(next, k.now_ms + 15000); /* the check interval; TXID 6 is old enough 5 s before */
	lk_pass(&k, next - k.now_ms);
	CHECK_OK(lk_retain_l0(&k), &k.e);
	CHECK_STR(lk_layout(&k), "0: 6-6 | 1: 1-3 4-6");
	CHECK_INT(k.r.l0_done, 6);
	CHECK_INT(levels_l0_due(k.l, k.now_ms), INT64_MAX);
	lk_free(&k);
}

TEST(l0_that_level_1_lacks_stays)
{
	struct lk k;

	CHECK(lk_init(&k, "lacks"));
	lk_only_retention(&k);
	for (uint64_t i = 1; i <= 9; i++)
		CHECK(lk_put(&k, 0, i, i, 100000));
	CHECK(lk_put(&k, 1, 1, 3, 90000));
	CHECK(lk_put(&k, 1, 6, 9, 80000)); /* somebody published a hole */
	CHECK_OK(lk_retain_l0(&k), &k.e);
	CHECK_STR(lk_layout(&k), "0: 4-4 5-5 9-9 | 1: 1-3 6-9");
	CHECK_INT(k.r.l0_not_compacted, 2);
	CHECK_INT(k.r.l0_done, 9);
	lk_free(&k);
}

TEST(l0_retention_of_zero_is_never)
{
	struct lk k;

	CHECK(lk_init(&k, "zero"));
	k.policy.l0_retention_ms = 0;
	CHECK(lk_commits(&k, 20, 1000));
	CHECK(lk_settle(&k));
	lk_pass(&k, 3600000);
	CHECK_OK(lk_retain_l0(&k), &k.e);
	CHECK(strstr(lk_layout(&k), "0: 1-1 2-2"));
	CHECK_INT(k.r.l0_done, 0);
	lk_free(&k);
}

TEST(retention_disabled)
{
	struct lk k;

	CHECK(lk_init(&k, "disabled"));
	k.policy.retention_disabled = true;
	for (int i = 0; i < 4; i++) {
		CHECK(lk_commits(&k, 10, 1000));
		CHECK(lk_settle(&k));
		lk_pass(&k, 3000000);
	}
	CHECK_INT(k.f->removes, 0);
	CHECK(k.f->creates >= 4);
	CHECK_INT(k.l->l0_local_done, 39); /* local files go all the same */
	for (uint64_t txid = 1; txid <= db_txid(k.g.db); txid++)
		CHECK(lk_restores(&k, txid, false));
	lk_free(&k);
}

/* ---- retention of snapshots and levels ---- */

TEST(l9_retention)
{
	struct lk k;

	CHECK(lk_init(&k, "l9"));
	lk_only_retention(&k);
	k.policy.snapshot_retention_ms = 3600000;
	CHECK(lk_put(&k, 9, 1, 10, 7200000));
	CHECK(lk_put(&k, 9, 1, 20, 1800000));
	CHECK(lk_put(&k, 9, 1, 30, 300000));
	CHECK_OK(lk_force(&k, false, true), &k.e);
	CHECK_STR(lk_layout(&k), "9: 1-20 1-30");
	lk_pass(&k, 86400000);
	CHECK_OK(lk_force(&k, false, true), &k.e);
	CHECK_STR(lk_layout(&k), "9: 1-30"); /* the newest never */
	lk_free(&k);
}

TEST(level_retention)
{
	struct lk k;

	/* Below the snapshot before the oldest kept one. */
	CHECK(lk_init(&k, "floor"));
	lk_only_retention(&k);
	CHECK(lk_put(&k, 1, 1, 2, 9000000) && lk_put(&k, 1, 3, 5, 8000000) && lk_put(&k, 1, 6, 10, 7000000));
	CHECK(lk_put(&k, 2, 1, 2, 9000000));
	CHECK(lk_put(&k, 3, 1, 4, 9000000) && lk_put(&k, 3, 5, 10, 9000000));
	CHECK(lk_put(&k, 9, 1, 3, 6500000) && lk_put(&k, 9, 1, 5, 6000000) && lk_put(&k, 9, 1, 8, 1000000) && lk_put(&k, 9, 1, 10, 0));
	CHECK_OK(lk_force(&k, false, true), &k.e);
	CHECK_STR(lk_layout(&k), "1: 3-5 6-10 | 2: 1-2 | 3: 5-10 | 9: 1-8 1-10");
	CHECK(lk_manifest_true(&k));
	lk_free(&k);

	/* The first snapshot is kept: nothing is deleted. */
	CHECK(lk_init(&k, "first"));
	lk_only_retention(&k);
	CHECK(lk_put(&k, 1, 1, 2, 9000000) && lk_put(&k, 1, 3, 5, 8000000) && lk_put(&k, 9, 1, 5, 1000));
	CHECK_OK(lk_force(&k, false, true), &k.e);
	CHECK_STR(lk_layout(&k), "1: 1-2 3-5 | 9: 1-5");
	CHECK_INT(k.f->removes, 0);
	lk_free(&k);
}

TEST(levels_stay_when_the_snapshot_above_is_gone)
{
	struct lk k;

	CHECK(lk_init(&k, "recheck"));
	lk_only_retention(&k);
	CHECK(lk_put(&k, 1, 1, 2, 9000000) && lk_put(&k, 1, 3, 5, 8000000) && lk_put(&k, 1, 6, 10, 7000000));
	CHECK(lk_put(&k, 9, 1, 5, 6000000) && lk_put(&k, 9, 1, 8, 1000));
	CHECK_OK(levels_load(k.l, &k.e), &k.e);
	CHECK_INT(os_unlink(rk_file(k.g.replica_path, 9, 1, 8), NULL), 0);
	CHECK_INT(lk_force(&k, false, true), -1);
	CHECK_INT(k.e.code, ERR_GAP);
	CHECK_STR(lk_layout(&k), "1: 1-2 3-5 6-10 | 9: 1-5");
	CHECK_INT(k.f->removes, 0);
	/* What is really there says: nothing to delete. */
	CHECK_OK(lk_force(&k, false, true), &k.e);
	CHECK_STR(lk_layout(&k), "1: 1-2 3-5 6-10 | 9: 1-5");
	lk_free(&k);
}

/* A run that breaks off anywhere leaves a tail of the history, and the next one finishes the work. */
TEST(retention_that_breaks_off)
{
	for (int at = 1;; at++) {
		struct lk k;
		bool hit;

		CHECK(lk_init(&k, "break"));
		lk_only_retention(&k);
		CHECK(lk_put(&k, 1, 1, 2, 9000000) && lk_put(&k, 1, 3, 4, 8000000) && lk_put(&k, 1, 5, 10, 7000000));
		CHECK(lk_put(&k, 2, 1, 4, 8000000) && lk_put(&k, 2, 5, 10, 7000000));
		CHECK(lk_put(&k, 9, 1, 3, 6500000) && lk_put(&k, 9, 1, 6, 6000000) && lk_put(&k, 9, 1, 10, 1000));
		k.f->fail_op = at;
		k.f->lose_answer = at % 2;
		lk_force(&k, false, true);
		hit = k.f->ops >= at;
		CHECK(lk_manifest_true(&k));
		CHECK(strstr(lk_layout(&k), "1-10"));
		CHECK_OK(lk_force(&k, false, true), &k.e);
		CHECK_STR(lk_layout(&k), "1: 5-10 | 2: 5-10 | 9: 1-10");
		lk_free(&k);
		if (!hit)
			break;
	}
}

/* A busy database: what must be restorable is, before and after every retention, and nothing piles up. */
TEST(long_life)
{
	struct lk k;
	uint64_t oldest, lowest = 0;
	int files = 0;

	CHECK(lk_init(&k, "life"));
	k.policy.snapshot_interval_ms = 200000;
	k.policy.snapshot_retention_ms = 400000;
	for (int round = 0; round < 120; round++) {
		CHECK(lk_commits(&k, 4, 7000));
		CHECK(round % 5 || lk_all_restore(&k, &oldest));
		CHECK_OK(lk_run(&k), &k.e);
		CHECK(lk_manifest_true(&k));
		if (round % 5)
			continue;
		CHECK(lk_all_restore(&k, &oldest));
		/* All that is younger than the retention: back to the snapshot before its border. */
		CHECK(levels_files(k.l, 9)->count == k.f->creates ||
		      k.times_ms[oldest] <= k.now_ms - k.policy.snapshot_retention_ms + k.policy.snapshot_interval_ms);
		CHECK(oldest >= lowest);
		lowest = oldest;
	}
	CHECK(lowest > 300);
	for (int level = 0; level < 10; level++)
		files += levels_files(k.l, level)->count;
	CHECK(files < 120);
	lk_free(&k);
}

/* A restore that was planned before a retention run completes after it. */
TEST(planned_restores_complete)
{
	struct lk k;
	int plans = 0;

	CHECK(lk_init(&k, "planned"));
	k.policy.snapshot_interval_ms = 200000;
	k.policy.snapshot_retention_ms = 400000;
	for (int round = 0; round < 60; round++) {
		struct restore_target target = { 0 };
		struct restore_plan plan = { 0 };
		struct restore_options o = { .output = k.g.restored, .parallelism = 1 };
		struct restore_result result;
		struct image im = { 0 };

		CHECK(lk_commits(&k, 4, 7000));
		CHECK_OK(restore_plan_make(k.g.replica, &target, false, &plan, &k.e), &k.e);
		uint64_t txid = db_txid(k.g.db);
		int removed = k.f->removed;
		CHECK_OK(lk_run(&k), &k.e);
		plans += k.f->removed > removed;
		/* Level 0 files that a plan to the newest needs are young. */
		CHECK_OK(restore_run(k.g.replica, &plan, &o, &result, &k.e), &k.e);
		CHECK_INT(result.txid, txid);
		CHECK_OK(image_load(&im, k.g.restored, &k.e), &k.e);
		image_free(&im);
		os_unlink(k.g.restored, NULL);
		restore_plan_free(&plan);
	}
	CHECK(plans > 10);
	lk_free(&k);
}

TEST_MAIN
