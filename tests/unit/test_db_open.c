/* SPDX-License-Identifier: MIT */
/* test_db_open.c - what may lie at a path, who else may be there, and what may be exchanged while we run. */
#include <errno.h>
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

/* The application has it open and is quiet; how SQLite's next open of the end of a name for writing fails. */
static const char *denied;

static int open_file(const char *path, int flags, int mode)
{
	size_t n = strlen(path), end = denied ? strlen(denied) : 0;

	if (end && n >= end && !strcmp(path + n - end, denied) && (flags & O_ACCMODE) == O_RDWR) {
		errno = EMFILE;
		return -1;
	}
	return open(path, flags, mode);
}

/* ---- the file ---- */

/* SQLite takes a log for reading that it cannot open for writing; with that no checkpoint can be made. */
TEST(a_log_that_is_opened_for_reading_is_not_open)
{
	sqlite3_vfs *vfs;

	for (int writer = 0; writer < 2; writer++) {
		CHECK(!rig_init(&g, "for-reading") && !rig_fill(&g, 20, 500));
		g.o.min_checkpoint_pages = 10;
		CHECK_INT(rig_start(&g), 0);
		CHECK(!writer || rig_good(&g));
		sqlite3_close(g.db->w); /* as if it had not been needed yet */
		g.db->w = NULL;
		vfs = sqlite3_vfs_find("unix");
		CHECK_INT(vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)open_file), SQLITE_OK);
		denied = "-wal";
		CHECK_INT(rig_fill(&g, 20, 500), SQLITE_OK);
		CHECK_INT(rig_sync(&g), -1);
		denied = NULL;
		vfs->xSetSystemCall(vfs, "open", NULL);
		CHECK(strstr(g.e.text, "could not be opened for writing") != NULL);
		CHECK(!g.db->w);
		CHECK(rig_good(&g));
		g.db->checkpoint_retry_us = 0;
		CHECK_INT(rig_fill(&g, 20, 500), SQLITE_OK);
		CHECK(rig_good(&g));
		CHECK(g.r.restarted);
		rig_free(&g);
	}
}

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
		o.replica_count = 0;
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

TEST_MAIN
