/* SPDX-License-Identifier: MIT */
/* test_db_position.c - what the local files and the replica say about how far the history goes. */
#include "tests/check.h"
#include "lib/os/fault.h"
#include "tests/support/rig.h"

static struct rig g;
static char where[400], other[400];

static bool begin(const char *name)
{
	return !rig_init(&g, name) && !rig_fill(&g, 20, 500) && !rig_start(&g) && rig_good(&g);
}

/* ---- local files ---- */

static int damage(uint64_t txid)
{
	return rig_write_at(rig_local(&g, txid, where), 20, "\xff\xff\xff\xff", 4);
}

TEST(a_damaged_local_file_is_told_and_kept)
{
	CHECK(begin("damaged"));
	rig_stop(&g);
	CHECK_INT(damage(1), 0);
	CHECK_INT(rig_start(&g), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(rig_sync(&g), -1);
		CHECK(err_is(&g.e, ERR_CORRUPT));
		CHECK(strstr(g.e.text, "auto-recover") != NULL);
		CHECK(rig_exists(where));
	}
	rig_free(&g);
}

TEST(with_auto_recover_it_starts_over)
{
	CHECK(begin("recover"));
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(100, 2)"), SQLITE_OK);
	CHECK(rig_good(&g)); /* TXID 2 stays here */
	rig_stop(&g);
	CHECK_INT(rig_copy(rig_local(&g, 2, where), rig_beside(&g, ".x", other)), 0);
	CHECK_INT(rig_copy(other, where), 0);
	CHECK_INT(damage(2), 0);
	g.o.auto_recover = true;
	CHECK_INT(rig_start(&g), 0);
	/* The replica holds TXID 1, whose place in the log is still there: the history goes on behind it. */
	CHECK_INT(rig_sync(&g), 0);
	CHECK_INT(g.r.txid, 2);
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK(rig_restore(&g, 0, true));
	rig_free(&g);
}

TEST(a_file_that_cannot_be_read_is_no_reason_to_start_over)
{
	static const int errnums[] = { 5, 13, 24 };

	CHECK(begin("eio"));
	rig_stop(&g);
	g.o.auto_recover = true;
	CHECK_INT(rig_start(&g), 0);
	for (int i = 0; i < 3; i++) {
		struct os_fault_plan plan = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_READ, .errnum = errnums[i] };

		os_fault_set(&plan);
		CHECK_INT(rig_sync(&g), -1);
		os_fault_set(NULL);
		CHECK(rig_exists(rig_local(&g, 1, where)));
	}
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 0);
	rig_free(&g);
}

TEST(names_that_are_none_and_staging_files)
{
	CHECK(begin("strange"));
	rig_stop(&g);
	snprintf(where, sizeof(where), "%s/.app.db-litestream/ltx/0/00000000000000ff-00000000000000ff.ltx.tmp", g.dir);
	snprintf(other, sizeof(other), "%s/.app.db-litestream/ltx/0/notes.txt", g.dir);
	CHECK_INT(rig_write_at(where, 0, "half", 4), 0);
	CHECK_INT(rig_write_at(other, 0, "mine", 4), 0);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(db_txid(g.db), 1);
	CHECK(!rig_exists(where));
	CHECK(rig_exists(other));
	rig_free(&g);
}

/* ---- the replica ---- */

static int lose_meta(void)
{
	snprintf(where, sizeof(where), "%s/.app.db-litestream", g.dir);
	return os_dir_remove_all(where, &g.e);
}

/* The log may be the one that was read: without the sidecar nothing proves it. */
TEST(the_replica_is_ahead_and_the_log_still_fits)
{
	CHECK(begin("ahead"));
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(100, 2)"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	rig_stop(&g);
	CHECK_INT(lose_meta(), 0);
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(101, 2)"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 3);
	CHECK(g.copy);
	rig_free(&g);
}

TEST(the_replica_is_ahead_and_the_log_is_another)
{
	CHECK(begin("ahead2"));
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	rig_stop(&g);
	CHECK_INT(lose_meta(), 0);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK);
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(101, 2)"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 2);
	CHECK(g.copy);
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK(rig_restore(&g, 0, true));
	rig_free(&g);
}

TEST(the_replica_is_ahead_in_a_snapshot_only)
{
	struct replica_item snapshot = { .level = LTX_LEVEL_SNAPSHOT, .min_txid = 1, .max_txid = 7, .created_ms = 1 };
	struct replica_item first = { .level = 0, .min_txid = 1, .max_txid = 1 };

	CHECK(begin("ahead9"));
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	rig_beside(&g, ".snapshot", other);
	CHECK_OK(image_save(&g.chain, other, 7, 1, &g.e), &g.e);
	snapshot.size = rig_size(other);
	CHECK_OK(g.replica->ops->put(g.replica, &snapshot, other, &g.e), &g.e);
	CHECK_OK(g.replica->ops->remove(g.replica, &first, 1, &g.e), &g.e);
	rig_stop(&g);
	CHECK_INT(lose_meta(), 0);
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(101, 2)"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	rig_forget(&g, 7);
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 8);
	CHECK(g.copy);
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK_INT(g.upload.position, 8);
	CHECK(rig_restore(&g, 0, true));
	rig_free(&g);
}

TEST(a_damaged_file_of_the_replica_is_not_taken)
{
	CHECK(begin("badahead"));
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	rig_stop(&g);
	CHECK_INT(lose_meta(), 0);
	snprintf(other, sizeof(other), "%s/ltx/0/0000000000000001-0000000000000001.ltx", g.replica_path);
	CHECK_INT(rig_write_at(other, 300, "\xff\xff\xff\xff", 4), 0);
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(rig_sync(&g), -1);
	CHECK(err_is(&g.e, ERR_CORRUPT));
	CHECK(!rig_exists(rig_local(&g, 1, where)));
	rig_free(&g);
}

static int no_list(struct replica *r, int level, uint64_t seek, bool exact_times, struct replica_list *out,
                   struct err *e)
{
	(void)r, (void)level, (void)seek, (void)exact_times, (void)out;
	return err_set(e, ERR_SYSTEM, "the network is down");
}

/* The replica cannot be asked: no TXID is safe, but the log is held until it can. */
TEST(a_replica_that_is_away_at_the_start)
{
	const struct replica_ops *ops;
	struct replica_ops away;

	CHECK(begin("away"));
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	rig_stop(&g);
	CHECK_INT(lose_meta(), 0);
	ops = g.replica->ops;
	away = *ops;
	away.list = no_list;
	away.list_all = NULL;
	g.replica->ops = &away;
	CHECK_INT(rig_start(&g), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(rig_sync(&g), -1);
		CHECK(db_is_open(g.db));
		CHECK_INT(db_txid(g.db), 0);
		CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(%d, 2)", 100 + i), SQLITE_OK);
		CHECK(rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE) != SQLITE_OK); /* held */
	}
	g.replica->ops = ops;
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 2);
	CHECK(g.copy);
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK(rig_restore(&g, 0, true));
	rig_free(&g);
}

/* But not at any price: the host's disk comes first. */
TEST(a_replica_that_stays_away)
{
	const struct replica_ops *ops;
	struct replica_ops away;

	CHECK(!rig_init(&g, "stays"));
	g.o.truncate_pages = 100;
	ops = g.replica->ops;
	away = *ops;
	away.list = no_list;
	away.list_all = NULL;
	g.replica->ops = &away;
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(rig_sync(&g), -1);
	CHECK_INT(rig_fill(&g, 60, 4000), SQLITE_OK);
	CHECK_INT(rig_sync(&g), -1);
	CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK);
	g.replica->ops = ops;
	CHECK(rig_good(&g));
	CHECK(g.copy);
	rig_free(&g);
}

TEST(a_reset_goes_on_behind_the_replica)
{
	CHECK(begin("reset"));
	for (int i = 0; i < 3; i++) {
		CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(%d, 2)", 100 + i), SQLITE_OK);
		CHECK(rig_good(&g));
		if (i == 0)
			CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	}
	CHECK_INT(db_txid(g.db), 4);
	CHECK_OK(os_unlink(rig_local(&g, 3, where), &g.e), &g.e);
	CHECK_INT(rig_upload(&g), UPLOAD_NEEDS_RESET);
	CHECK_OK(db_reset(g.db, "files that the replica needs are gone", &g.e), &g.e);
	rig_forget(&g, 2);
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 3);
	CHECK(g.copy);
	g.upload.position_known = false;
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK(rig_restore(&g, 0, true));
	CHECK(rig_restore(&g, 2, false));
	rig_free(&g);
}

TEST(uploads_check_what_an_earlier_process_wrote)
{
	CHECK(begin("verify"));
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(100, 2)"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK_INT(rig_write_at(rig_local(&g, 1, where), rig_size(where) / 2, "\xff\xff\xff\xff", 4), 0);
	g.upload.verify_up_to = 2;
	CHECK_INT(rig_upload(&g), -1);
	CHECK(err_is(&g.e, ERR_CORRUPT));
	CHECK(strstr(g.e.text, "auto-recover") != NULL);
	g.upload.auto_recover = true;
	CHECK_INT(rig_upload(&g), UPLOAD_NEEDS_RESET);
	rig_free(&g);
}

TEST_MAIN
