/* SPDX-License-Identifier: MIT */
/* test_db_prove.c - where the last file stands relative to the WAL: each row of the rule in lib/db/prove.c. */
#include <fcntl.h>

#include "tests/check.h"
#include "lib/ltx/file.h"
#include "lib/os/fault.h"
#include "tests/support/rig.h"
#include "tests/support/tmpdir.h"

enum { FRAME = 24 + 1024 };

static struct rig g;

/* Most tests begin with a database of some pages, one file of it, and the engine running. */
static bool begin(const char *name)
{
	return !rig_init(&g, name) && !rig_fill(&g, 40, 500) && !rig_start(&g) && rig_good(&g);
}

/* A log with room behind: what is left of an older, longer generation shows where a newer one ends. */
static bool begin_with_long_wal(const char *name)
{
	if (!begin(name) || rig_fill(&g, 40, 500) || !rig_good(&g))
		return false;
	rig_stop(&g);
	return !rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE) && !rig_fill(&g, 10, 500) && !rig_start(&g) && rig_good(&g);
}

static char where[400], other[400];

TEST(first_sync_is_a_full_copy)
{
	CHECK(begin("first"));
	CHECK_INT(db_txid(g.db), 1);
	CHECK(g.copy);
	CHECK_INT(g.wal_offset, 32);
	rig_free(&g);
}

TEST(nothing_new_means_no_file)
{
	CHECK(begin("nothing"));
	for (int i = 0; i < 3; i++) {
		CHECK_INT(rig_sync(&g), 0);
		CHECK_INT(g.r.files, 0);
		CHECK(!db_changed(g.db));
	}
	CHECK_INT(db_unread_bytes(g.db), 0);
	rig_free(&g);
}

TEST(several_commits_become_one_file)
{
	CHECK(begin("several"));
	for (int i = 0; i < 5; i++)
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=randomblob(400) WHERE id<10"), SQLITE_OK);
	CHECK(db_changed(g.db));
	CHECK(db_unread_bytes(g.db) > 5 * FRAME);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 1);
	CHECK(!g.copy);
	rig_free(&g);
}

TEST(what_was_rolled_back_is_not_there)
{
	CHECK(begin("rollback"));
	CHECK_INT(rig_sql(&g, "PRAGMA cache_size=2; BEGIN; UPDATE t SET b=randomblob(700)"), SQLITE_OK);
	CHECK(rig_size(rig_beside(&g, "-wal", where)) > 32 + 40 * FRAME); /* it has spilled */
	CHECK_INT(rig_sync(&g), 0);
	CHECK_INT(g.r.files, 0);
	CHECK_INT(rig_sql(&g, "ROLLBACK"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 0);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=1 WHERE id=3"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 1);
	rig_free(&g);
}

TEST(a_restart_of_the_engine_goes_on_where_it_was)
{
	int64_t end;

	CHECK(begin("restart"));
	end = g.wal_offset + g.wal_size;
	rig_stop(&g);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 0);
	rig_stop(&g);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=2 WHERE id=3"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 1);
	CHECK(!g.copy);
	CHECK_INT(g.wal_offset, end);
	rig_free(&g);
}

TEST(without_the_sidecar_too)
{
	CHECK(begin("sidecar"));
	rig_stop(&g);
	snprintf(where, sizeof(where), "%s/.app.db-litestream/position", g.dir);
	CHECK(rig_exists(where));
	CHECK_OK(os_unlink(where, &g.e), &g.e);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=2 WHERE id=3"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(!g.copy);
	rig_free(&g);
}

/* One generation came after ours, shorter than it, and nothing lies between: HEAD. */
TEST(a_shorter_generation_while_down)
{
	CHECK(begin_with_long_wal("head"));
	rig_stop(&g);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=3 WHERE id=4"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 1);
	CHECK(!g.copy);
	CHECK_INT(g.wal_offset, 32);
	rig_free(&g);
}

/* The same, but the old generation went on before: TAIL, then HEAD. */
TEST(the_old_generation_went_on_while_down)
{
	uint64_t before;

	CHECK(begin_with_long_wal("tail"));
	before = db_txid(g.db);
	rig_stop(&g);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=randomblob(300) WHERE id<9"), SQLITE_OK);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=3 WHERE id=20"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 2);
	CHECK_INT(g.applied, before + 2);
	CHECK(!g.copy);
	CHECK_INT(g.wal_offset, 32);
	rig_free(&g);
}

/* Behind the commit that begins at an offset of the log. */
static int64_t behind_commit(int64_t at)
{
	struct os_file f = OS_FILE_NONE;
	uint8_t head[8] = { 0 };

	if (os_file_open(&f, rig_beside(&g, "-wal", where), O_RDONLY, 0, NULL))
		return -1;
	while (!os_file_read_exact(&f, head, sizeof(head), at, NULL) && !(head[4] | head[5] | head[6] | head[7]))
		at += FRAME;
	os_file_close(&f);
	return at + FRAME;
}

/* As an old SQLite leaves a frame (wal.h, published_end): without salts and checksum, or with what it had before. */
static bool unchain(int64_t at, bool keep_salts)
{
	static const uint8_t zeros[16];
	struct os_file f = OS_FILE_NONE;
	int skip = keep_salts ? 8 : 0;
	int rc = os_file_open(&f, rig_beside(&g, "-wal", where), O_RDWR, 0, NULL) ||
	         os_file_write(&f, zeros, sizeof(zeros) - (size_t)skip, at + 8 + skip, NULL);

	os_file_close(&f);
	return !rc;
}

/* How many commits such an end had, the log cannot tell any more: everything is copied. */
TEST(the_old_generation_ends_outside_its_chain)
{
	for (int i = 0; i < 4; i++) {
		int64_t at;

		CHECK(begin_with_long_wal("odd"));
		at = g.wal_offset + g.wal_size;
		rig_stop(&g);
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=randomblob(300) WHERE id<9"), SQLITE_OK);
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=randomblob(300) WHERE id BETWEEN 30 AND 38"), SQLITE_OK);
		CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=3 WHERE id=20"), SQLITE_OK);
		CHECK(unchain(i & 1 ? behind_commit(at) : at, i & 2));
		CHECK_INT(rig_start(&g), 0);
		CHECK(rig_good(&g));
		CHECK(g.copy);
		rig_free(&g);
	}
}

/* SQLite would drop them when it next recovers the log: they are moved to the database at once, the log begins anew. */
TEST(frames_without_a_chain_are_saved)
{
	struct db_sync_result r;
	int64_t end;

	CHECK(begin("save"));
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=2 WHERE id=5"), SQLITE_OK);
	CHECK(rig_good(&g));
	end = g.wal_offset + g.wal_size;
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=randomblob(300) WHERE id<9"), SQLITE_OK);
	CHECK(unchain(end, false));
	CHECK_OK(db_sync(g.db, DB_SYNC_NO_CHECKPOINT, &r, &g.e), &g.e);
	CHECK(r.restarted);
	CHECK(rig_good(&g));
	CHECK(!g.copy);
	CHECK_OK(db_sync(g.db, 0, &r, &g.e), &g.e);
	CHECK_INT(r.checkpoints, 0);
	rig_free(&g);
}

/* A limit on the size of the log cuts off what the old generation got: nothing is proven. */
TEST(the_old_end_was_cut_off)
{
	CHECK(begin("cut"));
	rig_stop(&g);
	CHECK_INT(rig_sql(&g, "PRAGMA journal_size_limit=%lld", (long long)(g.wal_offset + g.wal_size + 100)), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=randomblob(300) WHERE id<9"), SQLITE_OK);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=3 WHERE id=20"), SQLITE_OK);
	CHECK_INT(rig_size(rig_beside(&g, "-wal", where)), g.wal_offset + g.wal_size + 100);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	rig_free(&g);
}

/* A commit that failed at its last flush looks complete in the log, and never came about. */
TEST(a_failed_commit_in_the_old_end)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = 1, .calls = OS_CALL_SYNC, .sqlite_too = true };

	CHECK_INT(os_fault_vfs(), 0);
	CHECK(begin_with_long_wal("phantom"));
	rig_stop(&g);
	CHECK_INT(rig_sql(&g, "PRAGMA synchronous=full"), SQLITE_OK);
	os_fault_set(&plan);
	CHECK(rig_sql(&g, "UPDATE t SET b='never' WHERE id<9") != SQLITE_OK);
	os_fault_set(NULL);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=3 WHERE id=20"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	rig_free(&g);
}

TEST(a_commit_that_is_not_published_waits)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = 1, .calls = OS_CALL_SYNC, .sqlite_too = true };

	CHECK_INT(os_fault_vfs(), 0);
	CHECK(begin("unpublished"));
	CHECK_INT(rig_sql(&g, "PRAGMA synchronous=full"), SQLITE_OK);
	os_fault_set(&plan);
	CHECK(rig_sql(&g, "UPDATE t SET b='never' WHERE id<9") != SQLITE_OK);
	os_fault_set(NULL);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 0);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b='ever' WHERE id=1"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 1);
	rig_free(&g);
}

TEST(two_restarts_while_down)
{
	CHECK(begin_with_long_wal("two"));
	rig_stop(&g);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=randomblob(10) WHERE id=%d", 4 + i), SQLITE_OK);
	}
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 1);
	CHECK(g.copy);
	rig_free(&g);
}

TEST(the_wal_grew_past_the_old_place_while_down)
{
	CHECK(begin("regrown"));
	rig_stop(&g);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
	CHECK_INT(rig_fill(&g, 60, 500), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	rig_free(&g);
}

TEST(the_wal_was_deleted_or_truncated_while_down)
{
	CHECK(begin("gone"));
	rig_stop(&g);
	rig_app_close(&g);
	CHECK(!rig_exists(rig_beside(&g, "-wal", where)));
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=9 WHERE id=1"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 2);
	CHECK(g.copy);
	rig_stop(&g);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 3);
	CHECK(g.copy);
	rig_free(&g);
}

/* An older copy of database and log, which then went another way; in place, so that the inodes are the same. */
TEST(an_older_copy_was_restored)
{
	char wal[400], kept[400], kept_wal[400];

	CHECK(begin("older"));
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=1 WHERE id=1"), SQLITE_OK);
	CHECK_INT(rig_copy(g.path, rig_beside(&g, ".kept", kept)), 0);
	CHECK_INT(rig_copy(rig_beside(&g, "-wal", wal), rig_beside(&g, ".kept-wal", kept_wal)), 0);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=2 WHERE id=1"), SQLITE_OK);
	CHECK(rig_good(&g));
	rig_stop(&g);
	rig_app_close(&g);
	CHECK_INT(rig_copy(kept, g.path), 0);
	CHECK_INT(rig_copy(kept_wal, wal), 0);
	CHECK_OK(os_unlink(rig_beside(&g, "-shm", where), &g.e), &g.e);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_int(&g, "SELECT b FROM t WHERE id=1"), 1);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=5 WHERE id=2"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	CHECK_INT(g.applied, 3);
	rig_free(&g);
}

/* Power loss: the end of the log is gone, the application writes again, and the last frame we know has the same page. */
TEST(the_same_page_in_the_same_place_proves_nothing)
{
	uint8_t zeros[FRAME * 2] = { 0 };
	int64_t end;

	CHECK(begin("power"));
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=zeroblob(500) WHERE id=1"), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=zeroblob(500) WHERE id=40"), SQLITE_OK);
	CHECK(rig_good(&g));
	end = g.wal_offset + g.wal_size;
	rig_stop(&g);
	/* The last two commits, a frame each, have not reached the disk; neither has what the sidecar says of them. */
	CHECK_INT(g.wal_size, 2 * FRAME);
	rig_beside(&g, "-wal", where);
	CHECK_INT(rig_copy(where, rig_beside(&g, ".cut", other)), 0);
	CHECK_INT(rig_write_at(other, end - 2 * FRAME, zeros, sizeof(zeros)), 0);
	rig_app_close(&g);
	CHECK_INT(rig_copy(other, where), 0);
	CHECK_OK(os_unlink(rig_beside(&g, "-shm", other), &g.e), &g.e);
	snprintf(other, sizeof(other), "%s/.app.db-litestream/position", g.dir);
	CHECK_INT(rig_write_at(other, 15, "\1", 1), 0);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=zeroblob(500) WHERE id=20"), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=zeroblob(500) WHERE id=40"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	rig_free(&g);
}

TEST(the_log_is_shorter_than_what_was_read)
{
	CHECK(begin("shorter"));
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=2 WHERE id=1"), SQLITE_OK);
	CHECK(rig_good(&g));
	/* We close last, so the log stays. */
	rig_app_close(&g);
	rig_stop(&g);
	CHECK_INT(rig_write_at(rig_beside(&g, "-wal", where), g.wal_offset + 30, "torn", 4), 0);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK(rig_int(&g, "SELECT b FROM t WHERE id=1") != 2);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	CHECK_INT(g.applied, 3);
	rig_free(&g);
}

/* What Litestream leaves: files, and nothing beside them. Then the page in the last frame must be the one of the file. */
TEST(files_of_litestream_are_compared_by_their_page)
{
	struct os_file f = OS_FILE_NONE;
	uint8_t header[LTX_HEADER_SIZE];
	struct ltx_header h;

	CHECK(begin("litestream"));
	CHECK_OK(os_file_open(&f, rig_local(&g, 1, where), 0, 0, &g.e), &g.e);
	CHECK_OK(os_file_read_exact(&f, header, sizeof(header), 0, &g.e), &g.e);
	os_file_close(&f);
	CHECK_OK(ltx_header_decode(header, &h, &g.e), &g.e);
	CHECK_INT(h.node_id, 0); /* as Litestream writes it */
	rig_stop(&g);
	snprintf(other, sizeof(other), "%s/.app.db-litestream/position", g.dir);
	CHECK_OK(os_unlink(other, &g.e), &g.e);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=9 WHERE id=2"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(!g.copy);
	rig_free(&g);
}

/* A log with a header and no commit: after a recovery the wal-index does not know its page size. */
TEST(a_log_without_a_commit)
{
	struct os_file f = OS_FILE_NONE;

	CHECK(begin("empty_log"));
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	rig_stop(&g);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	rig_app_close(&g);
	rig_stop(&g);
	/* Everything but what the engine wrote is in the database. */
	CHECK_OK(os_file_open(&f, rig_beside(&g, "-wal", where), O_RDWR, 0, &g.e), &g.e);
	CHECK_OK(os_file_truncate(&f, 32, &g.e), &g.e);
	os_file_close(&f);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_int(&g, "SELECT count(*) FROM t"), 40);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	CHECK_INT(rig_sync(&g), 0);
	CHECK_INT(g.r.files, 0);
	CHECK_INT(rig_sql(&g, "UPDATE t SET b=2 WHERE id=1"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK(!g.copy);
	rig_free(&g);
}

TEST(vacuum_shrinks_and_the_next_rows_grow)
{
	CHECK(begin("vacuum"));
	CHECK_INT(rig_sql(&g, "DELETE FROM t WHERE id>5"), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "VACUUM"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK(g.chain.pages < 10);
	CHECK_INT(rig_fill(&g, 100, 900), SQLITE_OK);
	CHECK(rig_good(&g));
	/* Shrunk and grown again within one file. */
	CHECK_INT(rig_sql(&g, "DELETE FROM t WHERE id>5"), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "VACUUM"), SQLITE_OK);
	CHECK_INT(rig_fill(&g, 50, 700), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 1);
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK(rig_restore(&g, 0, true));
	rig_free(&g);
}

TEST(others_restart_the_log_while_we_hold_it)
{
	CHECK(begin("foreign"));
	/* We hold mark 0 or a full log: each mode, then more commits. */
	for (int i = 0; i < 12; i++) {
		static const int modes[] = { SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
		                             SQLITE_CHECKPOINT_TRUNCATE };

		rig_checkpoint(&g, modes[i % 4]);
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=randomblob(100) WHERE id=%d", 1 + i), SQLITE_OK);
		if (i % 3 == 0)
			CHECK(rig_good(&g));
		rig_checkpoint(&g, modes[(i + 1) % 4]);
		CHECK(rig_good(&g));
		CHECK(!g.copy || g.applied == 1);
	}
	rig_free(&g);
}

TEST_MAIN
