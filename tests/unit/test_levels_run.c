/* SPDX-License-Identifier: MIT */
/* test_levels_run.c - what is due when: the schedule of levels and snapshots, and what the manifest knows of them. */
#include <stdlib.h>

#include "lib/os/fault.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/levels_kit.h"

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
	CHECK(lk_settle(&k));
	CHECK(strstr(lk_layout(&k), "0: 40-40 | 1: 1-40 | 2: 1-40 | 3: 1-40 | 9: 1-40"));
	int ops = k.f->ops;
	lk_pass(&k, INT64_C(90) * 86400000);
	CHECK_INT(lk_due(&k), INT64_MAX);
	CHECK_INT(k.f->ops, ops);
	CHECK(lk_restores(&k, 40, false));
	lk_free(&k);
}

TEST(too_early_after_a_restart)
{
	struct lk k;

	CHECK(lk_init(&k, "early"));
	CHECK(lk_commits(&k, 5, 1000));
	CHECK(lk_settle(&k));
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
	CHECK(lk_settle(&k));
	lk_pass(&k, -INT64_C(40) * 86400000); /* and is put right */
	CHECK(lk_commits(&k, 5, 1000));
	lk_pass(&k, 10000);
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(k.r.compacted);
	CHECK(lk_settle(&k));
	CHECK_INT(levels_files(k.l, 0)->count, 1);
	lk_free(&k);
}

/* Stored while a run works whose time was taken before. */
TEST(file_of_a_moment_later_is_not_due)
{
	struct lk k;

	CHECK(lk_init(&k, "moment"));
	CHECK(lk_commits(&k, 5, 1000));
	CHECK(lk_settle(&k));
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
	CHECK(lk_settle(&k));
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
	CHECK(lk_settle(&k));
	CHECK_INT(k.f->creates, 1);
	lk_pass(&k, 5000000);
	CHECK_INT(lk_due(&k), INT64_MAX); /* nothing new */
	CHECK(lk_commit(&k));
	CHECK(lk_settle(&k));
	CHECK_INT(k.f->creates, 2);
	CHECK(lk_commit(&k)); /* in the same interval: at its end */
	lk_pass(&k, 60000);
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(!k.r.snapshotted);
	CHECK(lk_settle(&k));
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

/* ---- the manifest ---- */

TEST(compared_once_a_day_with_the_next_run)
{
	struct lk k;

	CHECK(lk_init(&k, "day"));
	CHECK(lk_commits(&k, 5, 1000));
	/* The clock goes on between the decision and the run. */
	struct levels_run_options o = { .replicated_txid = 5, .now_ms = k.now_ms - 30 };
	CHECK_OK(levels_run(k.l, &o, &k.r, &k.e), &k.e);
	CHECK(lk_settle(&k));
	CHECK_INT(k.f->lists, 1);
	/* Somebody takes a file away, and adds another. */
	CHECK_INT(os_unlink(rk_file(k.g.replica_path, 3, 1, 5), NULL), 0);
	CHECK(lk_put(&k, 5, 1, 2, 0));
	lk_pass(&k, 86400000);
	CHECK_INT(lk_due(&k), INT64_MAX); /* not by itself */
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
	CHECK(lk_put(&k, 8, 7, UINT64_MAX, -50000000)); /* numbers of all sizes */
	lk_restart(&k);
	CHECK_OK(levels_load(k.l, &k.e), &k.e);
	int64_t next = lk_due(&k);
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
	CHECK_INT(lk_due(&k), next);
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
	before = lk_due(&k);
	k.policy.interval_ms[1] = 10000;
	levels_policy_changed(k.l);
	CHECK(lk_due(&k) < before && lk_due(&k) <= k.now_ms + 10000);
	lk_free(&k);
}

TEST_MAIN
