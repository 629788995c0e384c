/* SPDX-License-Identifier: MIT */
/* test_db_checkpoint.c - our own checkpoints: when, how far, and that an idle database is left alone. */
#include "tests/check.h"
#include "lib/os/fault.h"
#include "tests/support/rig.h"

enum { FRAME = 24 + 1024 };

static struct rig g;
static char where[400];

static bool begin_small(const char *name)
{
	if (rig_init(&g, name))
		return false;
	g.o.min_checkpoint_pages = 20;
	return !rig_fill(&g, 60, 500) && !rig_start(&g) && rig_good(&g);
}

TEST(our_checkpoint_restarts_the_log_without_a_copy)
{
	CHECK(begin_small("ours"));
	for (int i = 0; i < 10; i++) {
		CHECK_INT(rig_fill(&g, 40, 400), SQLITE_OK);
		CHECK(rig_good(&g));
		CHECK(g.r.restarted);
		CHECK(!g.copy);
		/* What older generations left in the file does not count. */
		CHECK_INT(db_checkpoint_need(g.db), DB_CHECKPOINT_NONE);
	}
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK(rig_restore(&g, 0, true));
	rig_free(&g);
}

TEST(a_reader_keeps_the_log_and_nobody_is_hurt)
{
	sqlite3 *reader = NULL;

	CHECK(begin_small("reader"));
	CHECK_INT(sqlite3_open(g.path, &reader), SQLITE_OK);
	CHECK_INT(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < 5; i++) {
		CHECK_INT(rig_fill(&g, 40, 400), SQLITE_OK);
		CHECK(rig_good(&g));
		CHECK(!g.r.restarted);
	}
	/* Fruitless attempts do not go on for ever in an idle database. */
	for (int i = 0; i < 5; i++) {
		CHECK_INT(rig_sync(&g), 0);
		CHECK_INT(g.r.files, 0);
	}
	sqlite3_close(reader);
	g.db->checkpoint_retry_us = 0;
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=1 WHERE id=1"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK(g.r.restarted);
	rig_free(&g);
}

TEST(a_large_log_is_moved_in_bulk)
{
	CHECK(begin_small("bulk"));
	CHECK_INT(rig_fill(&g, 60, 20000), SQLITE_OK); /* more than a barrier may cover */
	CHECK(rig_good(&g));
	CHECK(g.r.restarted);
	rig_free(&g);
}

TEST(the_brake_cuts_the_file)
{
	CHECK(!rig_init(&g, "brake"));
	g.o.min_checkpoint_pages = 20;
	g.o.truncate_pages = 200;
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(rig_fill(&g, 60, 9000), SQLITE_OK);
	CHECK(rig_size(rig_beside(&g, "-wal", where)) > 300 * FRAME);
	CHECK(rig_good(&g));
	CHECK(g.r.restarted);
	CHECK(rig_size(where) <= 32 + 20 * FRAME + 1); /* not whole frames: prove.c sees by that that it was cut */
	rig_free(&g);
}

/* Pieces of a backlog end at commits, and the brake does not wait for the last one. */
TEST(a_backlog_comes_in_pieces)
{
	CHECK(!rig_init(&g, "pieces"));
	g.o.max_sync_wal_bytes = 10 * FRAME;
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	for (int i = 0; i < 30; i++)
		CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(%d, randomblob(3000))", i), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK(g.r.files > 5);
	CHECK(g.wal_size <= 16 * FRAME);
	rig_free(&g);
}

TEST(an_idle_database_is_left_alone)
{
	int64_t version;

	CHECK_INT(os_fault_vfs(), 0);
	os_fault_clock(1700000000000, 1000000);
	CHECK(begin_small("idle"));
	CHECK_INT(rig_sql(&g, "PRAGMA user_version=77"), SQLITE_OK);
	version = rig_int(&g, "SELECT count(*) FROM sqlite_master");
	for (int i = 0; i < 50; i++) {
		CHECK_INT(rig_sync(&g), 0);
		CHECK(i < 3 || g.r.files == 0);
		os_fault_clock_advance(61 * 1000000);
	}
	CHECK(rig_true(&g));
	CHECK_INT(rig_int(&g, "PRAGMA user_version"), 77);
	CHECK_INT(rig_int(&g, "SELECT count(*) FROM sqlite_master"), version);
	CHECK_INT(db_checkpoint_due_us(g.db), 0);
	rig_free(&g);
	os_fault_clock(0, 0);
}

TEST(thresholds_do_not_overflow)
{
	CHECK_INT(wal_offset(65536, 1 << 20), 32 + (INT64_C(65536) + 24) * (1 << 20));
	CHECK_INT(wal_offset(65536, UINT32_MAX), 32 + (INT64_C(65536) + 24) * UINT32_MAX);
}

TEST_MAIN
