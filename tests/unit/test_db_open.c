/* SPDX-License-Identifier: MIT */
/* test_db_open.c - what may lie at a path, who else may be there, and what the local files and the replica say. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "lib/os/fault.h"
#include "tests/support/rig.h"

static struct rig g;
static char where[400], other[400];

static bool begin(const char *name)
{
	return !rig_init(&g, name) && !rig_fill(&g, 20, 500) && !rig_start(&g) && rig_good(&g);
}

/* ---- the file ---- */

TEST(options_are_checked)
{
	CHECK(!rig_init(&g, "options"));
	g.o.min_checkpoint_pages = 0;
	CHECK_INT(rig_start(&g), -1);
	CHECK(err_is(&g.e, ERR_INVALID));
	g.o.min_checkpoint_pages = 1;
	g.o.path = "relative.db";
	CHECK_INT(rig_start(&g), -1);
	CHECK_OK(db_library_check(&g.e), &g.e);
	rig_free(&g);
}

TEST(a_database_that_is_not_there_yet_is_waited_for)
{
	CHECK(!rig_init(&g, "waiting"));
	rig_app_close(&g);
	CHECK_OK(os_unlink(g.path, &g.e), &g.e);
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(rig_sync(&g), 0);
	CHECK(g.r.waiting);
	CHECK(!rig_exists(g.path)); /* and not made */
	CHECK_INT(rig_write_at(g.path, 0, "", 0), 0);
	CHECK_INT(rig_sync(&g), 0);
	CHECK(g.r.waiting);
	CHECK_INT(rig_size(g.path), 0);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_sql(&g, "CREATE TABLE t(id INTEGER PRIMARY KEY, b)"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK(!g.r.waiting);
	CHECK_INT(g.applied, 1);
	rig_free(&g);
}

TEST(what_is_no_database_is_refused)
{
	char text[600];

	CHECK(!rig_init(&g, "nothing"));
	rig_app_close(&g);
	CHECK_OK(os_unlink(g.path, &g.e), &g.e);
	for (int i = 0; i < 600; i++)
		text[i] = 'x';
	CHECK_INT(rig_write_at(g.path, 0, text, sizeof(text)), 0);
	CHECK_INT(rig_start(&g), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(rig_sync(&g), -1);
		CHECK(strstr(g.e.text, "file is not a database") != NULL);
		CHECK(!db_is_open(g.db));
	}
	CHECK_OK(os_unlink(g.path, &g.e), &g.e);
	CHECK_INT(mkdir(g.path, 0755), 0);
	CHECK_INT(rig_sync(&g), -1);
	CHECK(strstr(g.e.text, "directory") != NULL);
	CHECK_INT(rmdir(g.path), 0);
	CHECK_INT(mkfifo(g.path, 0644), 0);
	CHECK_INT(rig_sync(&g), -1); /* and does not hang */
	CHECK_OK(os_unlink(g.path, &g.e), &g.e);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_sql(&g, "CREATE TABLE t(id INTEGER PRIMARY KEY, b)"), SQLITE_OK);
	CHECK(rig_good(&g));
	rig_free(&g);
}

TEST(a_rollback_journal_database_is_converted)
{
	CHECK(!rig_init(&g, "journal"));
	CHECK_INT(rig_sql(&g, "PRAGMA journal_mode=delete"), SQLITE_OK);
	CHECK(!rig_exists(rig_beside(&g, "-wal", where)));
	CHECK_INT(rig_start(&g), 0);
	/* Not while somebody reads. */
	CHECK_INT(rig_sql(&g, "BEGIN; SELECT count(*) FROM t"), SQLITE_OK);
	CHECK_INT(rig_sync(&g), -1);
	CHECK(err_is(&g.e, ERR_BUSY));
	CHECK_INT(rig_sql(&g, "COMMIT"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	CHECK(rig_exists(where));
	CHECK(rig_good(&g));
	rig_free(&g);
}

TEST(an_exclusive_application_is_waited_for)
{
	CHECK(!rig_init(&g, "exclusive"));
	CHECK_INT(rig_sql(&g, "PRAGMA locking_mode=exclusive; INSERT INTO t VALUES(1, 2)"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(rig_sync(&g), -1);
	CHECK(err_is(&g.e, ERR_BUSY));
	rig_app_close(&g);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK(rig_good(&g));
	rig_free(&g);
}

TEST(names_are_bytes)
{
	CHECK(!rig_init(&g, "names"));
	rig_app_close(&g);
	snprintf(g.path, sizeof(g.path), "%s/a?mode=ro#%%20 b'.db", g.dir);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_sql(&g, "CREATE TABLE t(id INTEGER PRIMARY KEY, b)"), SQLITE_OK);
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(rig_sync(&g), 0);
	CHECK_INT(g.r.txid, 1);
	CHECK_STR(db_name(g.db), "a?mode=ro#%20 b'.db");
	rig_free(&g);
}

TEST(the_log_outlives_the_last_close_of_ours)
{
	CHECK(begin("persist"));
	rig_app_close(&g);
	rig_stop(&g);
	CHECK(rig_size(rig_beside(&g, "-wal", where)) > 32);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.r.files, 0);
	db_close(g.db);
	db_close(g.db); /* twice does no harm */
	CHECK(rig_good(&g));
	rig_free(&g);
}

/* ---- who else ---- */

TEST(one_file_has_one_engine)
{
	struct db_options o;
	struct db_sync_result r;
	struct db *second = NULL;
	char alias[400];

	CHECK(begin("inodes"));
	snprintf(alias, sizeof(alias), "%s/alias.db", g.dir);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(i ? link(g.path, alias) : symlink(g.path, alias), 0);
		o = g.o;
		o.path = alias;
		o.replica = NULL;
		CHECK_OK(db_create(&o, &second, &g.e), &g.e);
		CHECK_INT(db_sync(second, 0, &r, &g.e), -1);
		CHECK(err_is(&g.e, ERR_EXISTS));
		CHECK(strstr(g.e.text, g.path) != NULL);
		db_free(second);
		CHECK_INT(unlink(alias), 0);
	}
	/* Its refusal has not cost us our locks: nobody can truncate the log now. */
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(100, 2)"), SQLITE_OK);
	CHECK(rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE) != SQLITE_OK);
	/* Free again with the close. */
	CHECK_INT(link(g.path, alias), 0);
	rig_stop(&g);
	CHECK_OK(db_inode_claim((struct db_inode){ 1, 2 }, "x", &g.e), &g.e);
	db_inode_release((struct db_inode){ 1, 2 });
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	rig_free(&g);
}

TEST(a_second_daemon_is_refused)
{
	struct os_file lock = OS_FILE_NONE;

	CHECK(begin("daemon"));
	rig_stop(&g);
	snprintf(where, sizeof(where), "%s/.app.db-litestream/lock", g.dir);
	CHECK_OK(os_file_open(&lock, where, O_RDWR, 0, &g.e), &g.e);
	CHECK_OK(os_file_lock(&lock, &g.e), &g.e);
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(rig_sync(&g), -1);
	CHECK(err_is(&g.e, ERR_BUSY));
	CHECK(strstr(g.e.text, "another process replicates") != NULL);
	CHECK(!db_is_open(g.db));
	os_file_close(&lock);
	CHECK(rig_good(&g));
	rig_free(&g);
}

/* ---- files exchanged while running ---- */

TEST(a_database_renamed_over_is_noticed)
{
	char fresh[400];
	sqlite3 *c = NULL;

	CHECK(begin("renamed"));
	rig_app_close(&g);
	snprintf(fresh, sizeof(fresh), "%s/fresh", g.dir);
	CHECK_INT(sqlite3_open(fresh, &c), SQLITE_OK);
	CHECK_INT(sqlite3_exec(c, "PRAGMA page_size=1024; CREATE TABLE t(id INTEGER PRIMARY KEY, b); INSERT INTO t VALUES(1,'new')",
	                       NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(c);
	CHECK_OK(os_rename(fresh, g.path, &g.e), &g.e);
	CHECK_OK(os_unlink(rig_beside(&g, "-wal", where), &g.e), &g.e);
	CHECK_OK(os_unlink(rig_beside(&g, "-shm", other), &g.e), &g.e);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 2);
	CHECK(g.copy);
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK(rig_restore(&g, 0, true));
	rig_free(&g);
}

TEST(a_database_that_vanishes_and_comes_back)
{
	CHECK(begin("vanish"));
	rig_app_close(&g);
	CHECK_OK(os_unlink(g.path, &g.e), &g.e);
	CHECK_OK(os_unlink(rig_beside(&g, "-wal", where), &g.e), &g.e);
	CHECK_OK(os_unlink(rig_beside(&g, "-shm", other), &g.e), &g.e);
	CHECK_INT(rig_sync(&g), 0);
	CHECK(g.r.waiting);
	CHECK(!db_is_open(g.db));
	CHECK(!rig_exists(g.path));
	CHECK_INT(rig_app_open(&g), 0);
	CHECK_INT(rig_sql(&g, "CREATE TABLE t(id INTEGER PRIMARY KEY, b)"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK_INT(g.applied, 2); /* its history goes on */
	CHECK(g.copy);
	rig_free(&g);
}

TEST(a_wal_index_or_log_that_vanishes_is_noticed)
{
	CHECK(begin("shm"));
	rig_app_close(&g);
	CHECK_OK(os_unlink(rig_beside(&g, "-shm", where), &g.e), &g.e);
	CHECK_INT(rig_sync(&g), 0);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK(rig_true(&g));
	CHECK(g.copy);
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(100, 2)"), SQLITE_OK);
	CHECK(rig_good(&g));
	CHECK(!g.copy);
	rig_app_close(&g);
	CHECK_OK(os_unlink(rig_beside(&g, "-wal", where), &g.e), &g.e);
	CHECK_OK(os_unlink(rig_beside(&g, "-shm", where), &g.e), &g.e);
	CHECK_INT(rig_sync(&g), 0);
	CHECK_INT(rig_app_open(&g), 0);
	CHECK(rig_true(&g));
	CHECK(g.copy);
	rig_free(&g);
}

TEST(what_cannot_be_looked_at_has_not_been_replaced)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_LOOK, .errnum = 5 };

	CHECK(begin("look"));
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(100, 2)"), SQLITE_OK);
	os_fault_set(&plan);
	CHECK_INT(rig_sync(&g), -1);
	os_fault_set(NULL);
	CHECK(rig_good(&g));
	CHECK(!g.copy);
	rig_free(&g);
}

TEST(another_page_size_is_another_history)
{
	CHECK(begin("pagesize"));
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	rig_stop(&g);
	CHECK_INT(rig_sql(&g, "PRAGMA journal_mode=delete; PRAGMA page_size=4096; VACUUM; PRAGMA journal_mode=wal"), SQLITE_OK);
	CHECK_INT(rig_int(&g, "PRAGMA page_size"), 4096);
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	CHECK(g.copy);
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	CHECK(rig_restore(&g, 0, true));
	CHECK(rig_restore(&g, 1, false));
	rig_free(&g);
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
	CHECK(!g.copy);
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

static int no_list(struct replica *r, int level, uint64_t seek, bool exact_times, struct replica_list *out, struct err *e)
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
	CHECK(!g.copy); /* nothing was lost meanwhile */
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
