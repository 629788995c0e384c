/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdlib.h>

#include "lib/os/fault.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/levels_kit.h"

static int64_t due(struct lk *k)
{
	bool needs_db;

	return levels_due_ms(k->l, k->now_ms, k->g.upload.position, &needs_db);
}

/* Lets time pass with a run whenever something is due, until nothing is. */
static bool settle(struct lk *k)
{
	for (int i = 0; i < 1000; i++) {
		int64_t next = due(k);

		if (next == INT64_MAX)
			return true;
		if (next > k->now_ms)
			lk_pass(k, next - k->now_ms);
		if (lk_run(k)) {
			printf("run: %s\n", k->e.text);
			return false;
		}
	}
	printf("it never comes to rest\n");
	return false;
}

/* Objects that lie in the folder without any data of their own: for rules that only look at names and times. */
static bool put(struct lk *k, int level, uint64_t min, uint64_t max, int64_t age_ms)
{
	return rk_store(k->g.replica_path, level, min, max, "x", 1, k->now_ms - age_ms);
}

/* ---- schedule ---- */

TEST(grid_is_go_s)
{
	struct lk k;

	CHECK(lk_init(&k, "grid"));
	/* time.Unix(1700000000, 0).Truncate(d) + d */
	CHECK_INT(levels_next_slot(k.l, 30000, INT64_C(1700000000000)), INT64_C(1700000010000));
	CHECK_INT(levels_next_slot(k.l, 3600000, INT64_C(1700000000000)), INT64_C(1700002800000));
	CHECK_INT(levels_next_slot(k.l, 86400000, INT64_C(1700000000000)), INT64_C(1700006400000));
	CHECK_INT(levels_next_slot(k.l, 7000, INT64_C(1700000000000)), INT64_C(1700000004000));
	CHECK_INT(levels_next_slot(k.l, 7000, INT64_C(1700000003999)), INT64_C(1700000004000));
	CHECK_INT(levels_next_slot(k.l, 7000, INT64_C(1700000004000)), INT64_C(1700000011000));
	lk_free(&k);
}

TEST(jitter_is_small_and_stays)
{
	struct lk k;

	CHECK(lk_init(&k, "jitter"));
	for (uint32_t seed = 1; seed < 2000; seed += 37) {
		k.l->seed = seed * 2654435761U;
		for (int64_t interval = 1000; interval < 90000000; interval *= 3) {
			int64_t t = INT64_C(1700000000000), a = levels_next_slot(k.l, interval, t);
			int64_t off = (a + INT64_C(62135596800000)) % interval;

			CHECK(a > t && a <= t + interval);
			CHECK(off <= interval / 10 && off <= 30000);
			CHECK_INT(levels_next_slot(k.l, interval, a), a + interval);
			CHECK_INT(levels_next_slot(k.l, interval, a - 1), a);
		}
	}
	lk_free(&k);
}

TEST(levels_fill_at_their_intervals)
{
	struct lk k;
	int compactions[10] = { 0 }, snapshots = 0;
	uint64_t oldest;

	CHECK(lk_init(&k, "intervals"));
	for (int second = 0; second < 600; second++) {
		uint64_t max[4];

		CHECK(second % 2 || lk_commit(&k));
		for (int level = 1; level < 4; level++)
			max[level] = k.l->level[level].max_txid;
		CHECK_OK(lk_run(&k), &k.e);
		for (int level = 1; level < 4; level++)
			compactions[level] += k.l->level[level].max_txid != max[level];
		snapshots += k.r.snapshotted;
		CHECK_INT(k.r.verify_errors, 0);
		lk_pass(&k, 1000);
	}
	CHECK_INT(compactions[1], 59);
	CHECK_INT(compactions[2], 9);
	CHECK_INT(compactions[3], 1);
	CHECK_INT(snapshots, 2); /* at the start, and at the grid's point */
	CHECK_INT(k.f->lists, 1);
	CHECK_INT(k.f->opens, 0);
	CHECK_INT(k.f->puts, 69);
	CHECK(lk_manifest_true(&k));
	CHECK(lk_all_restore(&k, &oldest));
	for (int i = 0; i < levels_files(k.l, 1)->count; i++) /* nothing was deleted but level 0 */
		CHECK(lk_restores(&k, levels_files(k.l, 1)->items[i].max_txid, false));
	lk_free(&k);
}

/* A replica at rest gets no request at all. */
TEST(rest)
{
	struct lk k;

	CHECK(lk_init(&k, "rest"));
	CHECK(lk_commits(&k, 40, 1000));
	CHECK(settle(&k));
	CHECK(strstr(lk_layout(&k), "0: 40-40 | 1: 1-40 | 2: 1-40 | 3: 1-40 | 9: 1-40"));
	int ops = k.f->ops;
	lk_pass(&k, INT64_C(90) * 86400000);
	CHECK_INT(due(&k), INT64_MAX);
	CHECK_INT(k.f->ops, ops);
	CHECK(lk_restores(&k, 40, false));
	lk_free(&k);
}

TEST(too_early_after_a_restart)
{
	struct lk k;

	CHECK(lk_init(&k, "early"));
	CHECK(lk_commits(&k, 5, 1000));
	CHECK(settle(&k));
	CHECK(lk_commits(&k, 1, 0));
	lk_restart(&k);
	CHECK_OK(levels_load(k.l, &k.e), &k.e);
	int64_t next = levels_compaction_due(k.l, 1, k.now_ms);
	CHECK(next > k.now_ms && next <= k.now_ms + 10000);
	CHECK_INT(next % 10000, 0);
	lk_pass(&k, next - k.now_ms);
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(k.r.compacted);
	lk_free(&k);
}

TEST(times_of_a_wrong_clock_hold_nothing_up)
{
	struct lk k;

	CHECK(lk_init(&k, "clock"));
	lk_pass(&k, INT64_C(40) * 86400000); /* it runs ahead */
	CHECK(lk_commits(&k, 5, 1000));
	CHECK(settle(&k));
	lk_pass(&k, -INT64_C(40) * 86400000); /* and is put right */
	CHECK(lk_commits(&k, 5, 1000));
	lk_pass(&k, 10000);
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(k.r.compacted);
	CHECK(settle(&k));
	CHECK_INT(levels_files(k.l, 0)->count, 1);
	lk_free(&k);
}

/* Stored while a run works whose time was taken before. */
TEST(file_of_a_moment_later_is_not_due)
{
	struct lk k;

	CHECK(lk_init(&k, "moment"));
	CHECK(lk_commits(&k, 5, 1000));
	CHECK(settle(&k));
	lk_pass(&k, 1234);
	CHECK(lk_commit(&k));
	int64_t next = levels_compaction_due(k.l, 1, k.now_ms);
	CHECK(next > k.now_ms);
	CHECK_INT(levels_compaction_due(k.l, 1, k.now_ms - 5), next);
	lk_free(&k);
}

TEST(no_levels_at_all)
{
	struct lk k;

	CHECK(lk_init(&k, "none"));
	k.policy.count = 0;
	CHECK(lk_commits(&k, 20, 1000));
	CHECK(settle(&k));
	CHECK_INT(k.f->puts, 0);
	CHECK_INT(k.f->creates, 1);
	CHECK_INT(k.f->removes, 0);
	lk_free(&k);
}

/* ---- snapshots ---- */

TEST(snapshot_only_of_what_is_new)
{
	struct lk k;

	CHECK(lk_init(&k, "new"));
	CHECK(lk_commits(&k, 2, 1000));
	CHECK(settle(&k));
	CHECK_INT(k.f->creates, 1);
	lk_pass(&k, 5000000);
	CHECK_INT(due(&k), INT64_MAX); /* nothing new */
	CHECK(lk_commit(&k));
	CHECK(settle(&k));
	CHECK_INT(k.f->creates, 2);
	CHECK(lk_commit(&k)); /* in the same interval: at its end */
	lk_pass(&k, 60000);
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(!k.r.snapshotted);
	CHECK(settle(&k));
	CHECK_INT(k.f->creates, 3);
	lk_free(&k);
}

TEST(snapshot_wanted_but_not_given)
{
	struct lk k;
	bool needs_db;

	CHECK(lk_init(&k, "wanted"));
	CHECK(lk_commits(&k, 2, 20000));
	CHECK(levels_due_ms(k.l, k.now_ms, 2, &needs_db) <= k.now_ms);
	struct levels_run_options o = { .replicated_txid = 2, .now_ms = k.now_ms };
	CHECK_OK(levels_run(k.l, &o, &k.r, &k.e), &k.e);
	CHECK(k.r.wants_snapshot && k.r.compacted && !k.r.snapshotted);
	CHECK(levels_due_ms(k.l, k.now_ms, 2, &needs_db) <= k.now_ms);
	CHECK(needs_db);
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(k.r.snapshotted && !k.r.wants_snapshot);
	lk_free(&k);
}

TEST(forced_snapshot_is_always_written)
{
	struct lk k;

	CHECK(lk_init(&k, "forced"));
	CHECK(lk_commits(&k, 2, 1000));
	CHECK_OK(lk_force(&k, true, false), &k.e);
	CHECK_OK(lk_force(&k, true, false), &k.e);
	CHECK_INT(k.f->creates, 2);
	CHECK(strstr(lk_layout(&k), "9: 1-2"));
	CHECK(lk_manifest_true(&k));
	CHECK(!k.g.db->snapshotting);
	lk_free(&k);
}

/* A snapshot may be ahead of level 0. It does not count as position. */
TEST(position_is_without_snapshots)
{
	struct lk k;
	struct db_snapshot *s = NULL;

	CHECK(lk_init(&k, "position"));
	CHECK(lk_commits(&k, 3, 1000));
	CHECK_OK(levels_load(k.l, &k.e), &k.e);
	CHECK_INT(rig_sql(&k.g, "DELETE FROM t WHERE id=3"), 0);
	CHECK_OK(db_snapshot_begin(k.g.db, &s, &k.e), &k.e);
	CHECK_OK(levels_take_snapshot(k.l, s, NULL, &k.e), &k.e);
	db_snapshot_end(s);
	CHECK_INT(levels_position(k.l), 3);
	CHECK_INT(levels_snapshot_position(k.l), 4);
	lk_free(&k);
}

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
		CHECK(put(&k, 0, i, i, 100000));
	CHECK(put(&k, 1, 1, 3, 90000));
	CHECK(put(&k, 1, 6, 9, 80000)); /* somebody published a hole */
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
	CHECK(settle(&k));
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
		CHECK(settle(&k));
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
	CHECK(put(&k, 9, 1, 10, 7200000));
	CHECK(put(&k, 9, 1, 20, 1800000));
	CHECK(put(&k, 9, 1, 30, 300000));
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
	CHECK(put(&k, 1, 1, 2, 9000000) && put(&k, 1, 3, 5, 8000000) && put(&k, 1, 6, 10, 7000000));
	CHECK(put(&k, 2, 1, 2, 9000000));
	CHECK(put(&k, 3, 1, 4, 9000000) && put(&k, 3, 5, 10, 9000000));
	CHECK(put(&k, 9, 1, 3, 6500000) && put(&k, 9, 1, 5, 6000000) && put(&k, 9, 1, 8, 1000000) && put(&k, 9, 1, 10, 0));
	CHECK_OK(lk_force(&k, false, true), &k.e);
	CHECK_STR(lk_layout(&k), "1: 3-5 6-10 | 2: 1-2 | 3: 5-10 | 9: 1-8 1-10");
	CHECK(lk_manifest_true(&k));
	lk_free(&k);

	/* The first snapshot is kept: nothing is deleted. */
	CHECK(lk_init(&k, "first"));
	lk_only_retention(&k);
	CHECK(put(&k, 1, 1, 2, 9000000) && put(&k, 1, 3, 5, 8000000) && put(&k, 9, 1, 5, 1000));
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
	CHECK(put(&k, 1, 1, 2, 9000000) && put(&k, 1, 3, 5, 8000000) && put(&k, 1, 6, 10, 7000000));
	CHECK(put(&k, 9, 1, 5, 6000000) && put(&k, 9, 1, 8, 1000));
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
		CHECK(put(&k, 1, 1, 2, 9000000) && put(&k, 1, 3, 4, 8000000) && put(&k, 1, 5, 10, 7000000));
		CHECK(put(&k, 2, 1, 4, 8000000) && put(&k, 2, 5, 10, 7000000));
		CHECK(put(&k, 9, 1, 3, 6500000) && put(&k, 9, 1, 6, 6000000) && put(&k, 9, 1, 10, 1000));
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

/* ---- the manifest ---- */

TEST(compared_once_a_day_with_the_next_run)
{
	struct lk k;

	CHECK(lk_init(&k, "day"));
	CHECK(lk_commits(&k, 5, 1000));
	/* The clock goes on between the decision and the run. */
	struct levels_run_options o = { .replicated_txid = 5, .now_ms = k.now_ms - 30 };
	CHECK_OK(levels_run(k.l, &o, &k.r, &k.e), &k.e);
	CHECK(settle(&k));
	CHECK_INT(k.f->lists, 1);
	/* Somebody takes a file away, and adds another. */
	CHECK_INT(os_unlink(rk_file(k.g.replica_path, 3, 1, 5), NULL), 0);
	CHECK(put(&k, 5, 1, 2, 0));
	lk_pass(&k, 86400000);
	CHECK_INT(due(&k), INT64_MAX); /* not by itself */
	CHECK_INT(k.f->lists, 1);
	CHECK(lk_commit(&k));
	lk_pass(&k, 20000);
	CHECK_OK(lk_run(&k), &k.e);
	CHECK_INT(k.f->lists, 2);
	CHECK(lk_manifest_true(&k));
	CHECK(lk_commit(&k));
	lk_pass(&k, 20000);
	CHECK_OK(lk_run(&k), &k.e);
	CHECK_INT(k.f->lists, 2);
	lk_free(&k);
}

TEST(sleeping)
{
	struct lk k;
	struct replica_list before[10];

	CHECK(lk_init(&k, "sleep"));
	CHECK(lk_commits(&k, 300, 1000));
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(put(&k, 8, 7, UINT64_MAX, -50000000)); /* numbers of all sizes */
	lk_restart(&k);
	CHECK_OK(levels_load(k.l, &k.e), &k.e);
	int64_t next = due(&k);
	for (int level = 0; level < 10; level++) {
		const struct replica_list *f = levels_files(k.l, level);

		before[level] = *f;
		before[level].items = f->count ? malloc((size_t)f->count * sizeof(*f->items)) : NULL;
		if (f->count)
			memcpy(before[level].items, f->items, (size_t)f->count * sizeof(*f->items));
	}
	levels_rest(k.l);
	CHECK(k.l->packed && k.l->packed_size < 310 * 12);
	CHECK(levels_known(k.l));
	CHECK_INT(due(&k), next);
	CHECK_INT(levels_snapshot_position(k.l), 300);
	CHECK_INT(levels_position(k.l), UINT64_MAX);
	levels_rest(k.l);
	CHECK_OK(levels_load(k.l, &k.e), &k.e);
	for (int level = 0; level < 10; level++) {
		CHECK_INT(levels_files(k.l, level)->count, before[level].count);
		for (int i = 0; i < before[level].count; i++)
			CHECK(lk_same_item(&levels_files(k.l, level)->items[i], &before[level].items[i]));
		free(before[level].items);
	}
	CHECK_INT(k.f->lists, 1);
	levels_rest(k.l);
	struct replica_item item = { .min_txid = 301, .max_txid = 301, .size = 5, .created_ms = k.now_ms };
	CHECK_OK(levels_note_put(k.l, &item, &k.e), &k.e);
	CHECK_INT(levels_files(k.l, 0)->count, before[0].count + 1);
	levels_rest(k.l);
	lk_free(&k);
}

TEST(policy_may_change)
{
	struct lk k;
	int64_t before;

	CHECK(lk_init(&k, "policy"));
	k.policy.interval_ms[1] = 1000000000;
	CHECK(lk_commits(&k, 3, 1000));
	CHECK_OK(lk_run(&k), &k.e);
	levels_rest(k.l);
	before = due(&k);
	k.policy.interval_ms[1] = 10000;
	levels_policy_changed(k.l);
	CHECK(due(&k) < before && due(&k) <= k.now_ms + 10000);
	lk_free(&k);
}

/* ---- failures ---- */

TEST(failure_waits_longer_each_time)
{
	struct lk k;
	int64_t last = 0;

	CHECK(lk_init(&k, "backoff"));
	CHECK(lk_commits(&k, 3, 20000));
	for (int i = 0; i < 8; i++) {
		k.f->fail_op = k.f->ops + (k.l->known ? 1 : 2);
		CHECK_INT(lk_run(&k), -1);
		int64_t wait = due(&k) - k.now_ms;
		CHECK(wait >= 10000 && wait >= last && wait <= 300000);
		last = wait;
		lk_pass(&k, wait);
	}
	CHECK_INT(last, 300000);
	k.f->fail_op = 0;
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(k.r.compacted);
	CHECK_INT(k.l->retry_ms, 0);
	lk_free(&k);
}

/* The first error is told; steps that do not depend on it are done. */
TEST(one_step_fails_others_go_on)
{
	struct lk k;

	CHECK(lk_init(&k, "steps"));
	CHECK(lk_commits(&k, 3, 20000));
	k.f->fail_op = 2; /* after the listing: the put into level 1 */
	CHECK_INT(lk_run(&k), -1);
	CHECK(strstr(k.e.text, "compact to level 1"));
	CHECK(k.r.snapshotted);
	lk_free(&k);
}

/* A whole life in which each call to the replica fails once, done or not. */
static bool life(struct lk *k, int at, bool lose, int *ops)
{
	bool ok = lk_init(k, "each");

	k->policy.snapshot_interval_ms = 60000;
	k->policy.snapshot_retention_ms = 100000;
	k->f->fail_op = at;
	k->f->lose_answer = lose;
	for (int round = 0; ok && round < 12; round++) {
		ok = lk_commits(k, 4, 5000);
		lk_run(k);
		ok = ok && lk_manifest_true(k) && !k->g.db->snapshotting;
	}
	*ops = k->f->ops;
	/* Nothing is left of the failure. */
	for (int i = 0; ok && i < 3; i++) {
		lk_pass(k, 400000);
		ok = settle(k);
	}
	ok = ok && lk_restores(k, db_txid(k->g.db), false) &&
	     levels_files(k->l, 0)->count == 1 && k->l->level[3].max_txid == db_txid(k->g.db);
	if (!ok)
		printf("at %d, %s: %s; %s\n", at, lose ? "done" : "not done", k->e.text, lk_layout(k));
	lk_free(k);
	return ok;
}

TEST(every_call_fails_once)
{
	struct lk k;
	int ops = 0;

	CHECK(life(&k, 0, false, &ops));
	CHECK(ops > 30);
	for (int at = 1, n = ops; at <= n; at++) {
		CHECK(life(&k, at, false, &ops));
		CHECK(life(&k, at, true, &ops));
	}
}

static unsigned draw(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 12) % n;
}

/* Restarts, failures, lost local copies, quiet times, in any order. */
TEST(random_lives)
{
	for (unsigned seed = 1; seed <= 12; seed++) {
		struct lk k;
		unsigned s = seed;
		uint64_t oldest = 0;

		CHECK(lk_init(&k, "lives"));
		k.policy.snapshot_interval_ms = 60000 + draw(&s, 200000);
		k.policy.snapshot_retention_ms = 100000 + draw(&s, 400000);
		k.policy.count = 1 + (int)draw(&s, 3);
		for (int round = 0; round < 60; round++) {
			char local[400];

			CHECK(lk_commits(&k, 1 + (int)draw(&s, 5), draw(&s, 9000)));
			switch (draw(&s, 6)) {
			case 0:
				lk_restart(&k);
				break;
			case 1:
				k.f->fail_op = k.f->ops + 1 + (int)draw(&s, 6);
				k.f->lose_answer = draw(&s, 2);
				break;
			case 2:
				snprintf(local, sizeof(local), "%s/.app.db-litestream/ltx/%u", k.g.dir, draw(&s, 3) + 1);
				CHECK_OK(os_dir_remove_all(local, &k.e), &k.e);
				break;
			case 3:
				lk_pass(&k, draw(&s, 400000));
				break;
			case 4:
				levels_rest(k.l);
				break;
			}
			lk_run(&k);
			CHECK(lk_manifest_true(&k));
			CHECK_INT(k.r.verify_errors, 0);
			if (round % 12 == 11 && !lk_all_restore(&k, &oldest))
				CHECK_FAIL("seed %u, round %d: %s", seed, round, lk_layout(&k));
		}
		k.f->fail_op = 0;
		CHECK(settle(&k));
		CHECK(lk_all_restore(&k, &oldest));
		CHECK(k.policy.count < 1 || levels_files(k.l, 0)->count == 1);
		lk_free(&k);
	}
}

TEST(cancelled)
{
	struct lk k;
	atomic_bool cancel;

	atomic_init(&cancel, true);
	CHECK(lk_init(&k, "cancelled"));
	CHECK(lk_commits(&k, 3, 20000));
	struct levels_run_options o = { .replicated_txid = 3, .now_ms = k.now_ms, .cancel = &cancel };
	CHECK_OK(db_snapshot_begin(k.g.db, &o.snapshot, &k.e), &k.e);
	CHECK_INT(levels_run(k.l, &o, &k.r, &k.e), -1);
	CHECK_INT(k.e.code, ERR_CANCELLED);
	CHECK_INT(k.l->retry_ms, 0);
	CHECK_INT(k.f->ops, 0);
	CHECK(!k.g.db->snapshotting);
	lk_free(&k);
}

/* ---- threads ---- */

struct uploads {
	struct lk *k;
	atomic_bool ended, ok;
};

/* Stores one file as a replica does: it is there whole or not at all. */
static bool store_file(struct lk *k, uint64_t txid, struct replica_item *item)
{
	const uint32_t pgno = 1;
	char stage[400], file[400], stored[400];

	*item = (struct replica_item){ .min_txid = txid, .max_txid = txid, .created_ms = k->now_ms };
	snprintf(stage, sizeof(stage), "%s/stage", k->g.dir);
	snprintf(file, sizeof(file), "%s", rk_file(stage, 0, txid, txid));
	snprintf(stored, sizeof(stored), "%s", rk_file(k->g.replica_path, 0, txid, txid));
	if (!rk_pages(stage, 0, txid, txid, 512, 1, &pgno, 1, (uint32_t)txid) || os_set_times(file, item->created_ms, NULL))
		return false;
	item->size = rig_size(file);
	return !os_rename(file, stored, NULL);
}

/* As an upload would; and it doubts now and then. */
static void *upload_files(void *arg)
{
	struct uploads *u = arg;
	struct levels *l = u->k->l;

	for (uint64_t txid = 1; txid <= 400 && u->ok; txid++) {
		struct replica_item item;
		bool needs_db;

		if (!levels_known(l)) {
			uint64_t position, snapshot;
			struct err e;

			/* The other thread may doubt as fast as this one lists. */
			do
				err_clear(&e);
			while (levels_load_position(l, &position, &snapshot, &e) && err_is(&e, ERR_BUSY));
			if (e.code || position != txid - 1 || snapshot)
				u->ok = false;
		}
		if (!store_file(u->k, txid, &item) || levels_note_put(l, &item, NULL))
			u->ok = false;
		if (txid % 37 == 0)
			levels_doubt(l);
		levels_due_ms(l, u->k->now_ms + 1000000, txid, &needs_db);
	}
	atomic_store(&u->ended, true);
	if (!u->ok)
		printf("the upload failed; %s\n", lk_layout(u->k));
	return NULL;
}

TEST(beside_uploads)
{
	struct lk k;
	struct uploads u = { .k = &k };
	pthread_t thread;
	int64_t later = 0;

	CHECK(lk_init(&k, "uploads"));
	k.policy.snapshot_interval_ms = INT64_C(100000000000000);
	/* Makes the folder. */
	CHECK(rk_store(k.g.replica_path, 0, 1, 1, "", 0, 0) && !os_unlink(rk_file(k.g.replica_path, 0, 1, 1), NULL));
	u.ok = true;
	CHECK_INT(pthread_create(&thread, NULL, upload_files, &u), 0);
	for (bool last = false; !last;) {
		last = atomic_load(&u.ended);
		if (!last && later % 70000 == 0)
			levels_doubt(k.l); /* as a failed put or removal does */
		struct levels_run_options o = { .now_ms = k.now_ms + (later += 30000) };
		if (levels_run(k.l, &o, &k.r, &k.e) || k.r.verify_errors) {
			printf("%s; %d verify errors\n", k.e.text, k.r.verify_errors);
			u.ok = false;
		}
	}
	pthread_join(thread, NULL);
	CHECK(u.ok);
	CHECK_OK(levels_load(k.l, &k.e), &k.e);
	CHECK(lk_manifest_true(&k));
	CHECK_INT(k.l->level[1].max_txid, 400);
	CHECK(levels_covers(k.l, 1, 1, 400));
	CHECK_INT(levels_files(k.l, 0)->count, 1);
	lk_free(&k);
}

TEST(validation)
{
	struct lk k;

	CHECK(lk_init(&k, "validation"));
	k.policy.validation_interval_ms = 3600000;
	CHECK(lk_commits(&k, 3, 1000));
	CHECK(settle(&k));
	int lists = k.f->lists;
	CHECK(lists > 1);
	lk_pass(&k, 36000000);
	CHECK_INT(due(&k), INT64_MAX); /* nothing has changed since */
	CHECK(lk_commit(&k));
	CHECK_INT(k.f->lists, lists);
	CHECK(settle(&k));
	CHECK(k.f->lists > lists);
	lk_free(&k);
}

TEST_MAIN
