/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of a database: what is in one, page sizes, the header, when one is refused or breaks off, and every call
 * that can fail.
 */
#include <stdlib.h>

#include "lib/os/fault.h"
#include "tests/check.h"
#include "tests/support/shot.h"

TEST(quiet)
{
	struct rig g;
	struct shot s;

	CHECK(shot_start(&g, "quiet"));
	struct db_snapshot *snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	CHECK(shot_finish(&s, snapshot));
	CHECK(rig_good(&g));
	rig_free(&g);
}

/* What was committed before begin is in it, even if no sync has seen it. */
TEST(takes_what_was_not_synced)
{
	struct rig g;
	struct shot s;

	CHECK(shot_start(&g, "unsynced"));
	CHECK_INT(rig_sql(&g, "DELETE FROM t WHERE id%%3=0"), 0);
	uint64_t before = db_txid(g.db);
	struct db_snapshot *snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(db_txid(g.db), before + 1);
	CHECK(shot_finish(&s, snapshot));
	rig_free(&g);
}

TEST(page_sizes)
{
	for (int size = 512; size <= 65536; size *= 2) {
		struct rig g;
		struct shot s;
		char name[32];

		snprintf(name, sizeof(name), "size%d", size);
		CHECK_INT(rig_init(&g, name), 0);
		CHECK_INT(rig_sql(&g, "PRAGMA journal_mode=delete; PRAGMA page_size=%d; VACUUM", size), 0);
		CHECK_INT(rig_sql(&g, "PRAGMA journal_mode=wal"), 0);
		CHECK_INT(rig_fill(&g, 800, 900), 0);
		CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), 0);
		CHECK_INT(rig_start(&g), 0);
		CHECK(rig_good(&g));
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=zeroblob(3000) WHERE id%%5=0"), 0);
		struct db_snapshot *snapshot = shot_begin(&s, &g);
		CHECK(snapshot);
		CHECK_INT(s.want.page_size, size);
		s.disturb = shot_passive;
		CHECK(shot_finish(&s, snapshot));
		rig_free(&g);
	}
}

/* The header tells where in the WAL it ends. */
TEST(header_names_the_last_frame)
{
	struct rig g;
	struct shot s;
	struct image im = { 0 };
	struct ltx_header h;
	int64_t size;

	CHECK(shot_start(&g, "header"));
	struct db_snapshot *snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, NULL, &size, &s.e), 0);
	CHECK(shot_decode(&s, &im, &h));
	CHECK_INT(h.wal_size, wal_frame_size(1024));
	CHECK_INT(h.wal_offset + h.wal_size, g.db->position.offset);
	CHECK_INT(h.wal_salt1, g.db->position.salt1);
	CHECK_INT(h.flags, LTX_FLAG_NO_CHECKSUM);
	free(im.bytes);
	shot_forget(&s);
	db_snapshot_end(snapshot);
	rig_free(&g);
}

TEST(no_checkpoint_meanwhile)
{
	struct rig g;
	struct shot s;

	CHECK_INT(rig_init(&g, "nockpt"), 0);
	g.o.min_checkpoint_pages = 10;
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	struct db_snapshot *snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(rig_fill(&g, 100, 500), 0);
	CHECK(rig_good(&g));
	CHECK(!g.r.restarted);
	CHECK_INT(db_checkpoint_due_us(g.db), 0);
	CHECK(shot_finish(&s, snapshot));
	CHECK(rig_good(&g));
	CHECK(g.r.restarted);
	/* Right behind the restart, when the WAL holds next to nothing. */
	snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	s.disturb = shot_passive;
	CHECK(shot_finish(&s, snapshot));
	rig_free(&g);
}

TEST(interrupted)
{
	struct rig g;
	struct shot s;
	int64_t size;

	CHECK(shot_start(&g, "interrupted"));
	struct db_snapshot *snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	atomic_store(&s.cancel, true);
	CHECK_INT(db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, &s.cancel, &size, &s.e), -1);
	CHECK_INT(s.e.code, ERR_CANCELLED);
	db_snapshot_end(snapshot);
	shot_forget(&s);

	snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	s.fail_at = 3;
	CHECK_INT(db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, NULL, &size, &s.e), -1);
	CHECK_INT(s.e.code, ERR_FULL);
	CHECK(g.db->snapshotting);
	db_snapshot_end(snapshot);
	CHECK(!g.db->snapshotting);
	shot_forget(&s);
	CHECK(rig_good(&g));
	rig_free(&g);
}

TEST(one_at_a_time_and_not_without_a_database)
{
	struct rig g;
	struct shot s;
	struct db_snapshot *second;
	char path[400];

	CHECK(shot_start(&g, "one"));
	struct db_snapshot *snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(db_snapshot_begin(g.db, &second, &s.e), -1);
	CHECK_INT(s.e.code, ERR_BUSY);
	CHECK(!second);
	/* The engine may even close meanwhile. */
	db_close(g.db);
	CHECK(shot_finish(&s, snapshot));
	rig_free(&g);

	CHECK_INT(rig_init(&g, "none"), 0);
	rig_app_close(&g);
	CHECK_INT(os_unlink(rig_beside(&g, "", path), NULL), 0);
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(db_snapshot_begin(g.db, &second, &s.e), -1);
	CHECK_INT(s.e.code, ERR_BUSY);
	CHECK(!g.db->snapshotting);
	db_snapshot_end(NULL);
	rig_free(&g);
}

/* A WAL whose protection failed: the answer is an error, not an image. */
TEST(restarted_under_it)
{
	struct rig g;
	struct shot s;
	int64_t size;
	char wal[400];

	CHECK(shot_start(&g, "restarted"));
	struct db_snapshot *snapshot = shot_begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(rig_write_at(rig_beside(&g, "-wal", wal), 16, "\1\2\3\4", 4), 0); /* salt1 */
	CHECK_INT(db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, NULL, &size, &s.e), -1);
	CHECK_INT(s.e.code, ERR_BUSY);
	db_snapshot_end(snapshot);
	shot_forget(&s);
	rig_free(&g);
}

/* Whatever call fails, of ours or of SQLite's: an error or the right image, and nothing stays behind. */
TEST(every_call_fails_once)
{
	int failed = 0;

	os_fault_vfs();
	for (uint64_t at = 1;; at += 1 + at / 100) {
		struct rig g;
		struct shot s;
		struct db_snapshot *snapshot = NULL;
		struct image im = { 0 };
		struct ltx_header h;
		int64_t size;
		int rc;

		CHECK(!rig_init(&g, "faults") && !rig_fill(&g, 100, 500) &&
		      !rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE) && !rig_start(&g) && rig_good(&g));
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=1 WHERE id<9"), 0);
		s = (struct shot){ .g = &g };
		os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = at, .sqlite_too = true });
		rc = db_snapshot_begin(g.db, &snapshot, &s.e);
		if (!rc)
			rc = db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, NULL, &size, &s.e);
		bool hit = os_fault_hit();
		os_fault_set(NULL);
		failed += rc != 0;
		CHECK(!rc || s.e.text[0]);
		CHECK(rc || (shot_decode(&s, &im, &h) && h.max_txid == db_snapshot_txid(snapshot)));
		free(im.bytes);
		shot_forget(&s);
		db_snapshot_end(snapshot);
		CHECK(!g.db->snapshotting);
		CHECK(rig_good(&g));
		rig_free(&g);
		if (!hit)
			break;
	}
	CHECK(failed > 20);
}

TEST_MAIN
