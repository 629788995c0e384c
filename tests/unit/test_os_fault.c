/* SPDX-License-Identifier: MIT */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/file.h"
#include "sqlite3.h"
#include "tests/support/tmpdir.h"

static struct err err;

static void plan(enum os_fault_mode mode, uint64_t at, unsigned calls, int errnum)
{
	const struct os_fault_plan p = { .mode = mode, .at = at, .calls = calls, .errnum = errnum };

	os_fault_set(&p);
}

/* Six points: open, write, write, sync, look, unlink. Gives the number of calls that succeeded before the first that
 * failed, and in *failed how many failed. */
static int six_calls(const char *path, int *failed)
{
	struct os_file f;
	struct os_stat st;
	int ok = 0, rc[6] = { -1, -1, -1, -1, -1, -1 }, i;

	*failed = 0;
	rc[0] = os_file_open(&f, path, O_RDWR | O_CREAT | O_TRUNC, 0600, &err);
	if (rc[0] == 0) {
		rc[1] = os_file_write(&f, "0123456789", 10, 0, &err);
		rc[2] = os_file_write(&f, "abcdefghij", 10, 10, &err);
		rc[3] = os_file_sync(&f, &err);
		rc[4] = os_file_stat(&f, &st, &err);
		os_file_close(&f);
		rc[5] = os_unlink(path, &err);
	}
	for (i = 0; i < 6; i++)
		*failed += rc[i] < 0;
	while (ok < 6 && rc[ok] == 0)
		ok++;
	return ok;
}

TEST(off_counts)
{
	int failed;

	plan(OS_FAULT_OFF, 0, 0, 0);
	CHECK_INT(six_calls(tmppath("x"), &failed), 6);
	CHECK_INT(os_fault_count(), 6);
	CHECK(!os_fault_hit());
	os_fault_set(NULL);
	CHECK_INT(six_calls(tmppath("x"), &failed), 6);
	CHECK_INT(os_fault_count(), 6);
}

TEST(once)
{
	int at, failed;

	for (at = 1; at <= 6; at++) {
		plan(OS_FAULT_ONCE, (uint64_t)at, 0, EDQUOT);
		CHECK_INT(six_calls(tmppath("x"), &failed), at - 1);
		CHECK_INT(failed, at == 1 ? 6 : 1);
		CHECK(os_fault_hit());
		CHECK_INT(err.sys, EDQUOT);
		CHECK_INT(err.code, ERR_FULL);
	}
	plan(OS_FAULT_ONCE, 7, 0, 0);
	CHECK_INT(six_calls(tmppath("x"), &failed), 6);
	CHECK(!os_fault_hit());
	os_fault_set(NULL);
}

TEST(from)
{
	int at, failed;

	for (at = 1; at <= 6; at++) {
		plan(OS_FAULT_FROM, (uint64_t)at, 0, 0);
		CHECK_INT(six_calls(tmppath("x"), &failed), at - 1);
		CHECK_INT(failed, 7 - at);
		CHECK_INT(err.sys, EIO);
	}
	os_fault_set(NULL);
}

TEST(kinds)
{
	int failed;

	plan(OS_FAULT_FROM, 2, OS_CALL_WRITE | OS_CALL_SYNC, 0);
	CHECK_INT(six_calls(tmppath("x"), &failed), 2);
	CHECK_INT(failed, 2);
	CHECK_INT(os_fault_count(), 3);
	os_fault_set(NULL);
}

TEST(short_write)
{
	struct os_file f;
	struct os_stat st;
	int rc;

	CHECK_OK(os_file_open(&f, tmppath("short"), O_RDWR | O_CREAT, 0600, &err), &err);
	plan(OS_FAULT_SHORT, 2, OS_CALL_WRITE, ENOSPC);
	CHECK_OK(os_file_write(&f, "0123456789", 10, 0, &err), &err);
	rc = os_file_write(&f, "0123456789", 10, 10, &err);
	os_fault_set(NULL);
	CHECK_INT(rc, -1);
	CHECK_INT(err.code, ERR_FULL);
	CHECK_OK(os_file_stat(&f, &st, &err), &err);
	CHECK_INT(st.size, 15);
	os_file_close(&f);
}

/* Kills a child at each point; what it did before is there, what comes after is not. */
TEST(kill_at_each_point)
{
	struct os_stat st;
	int at, status, failed, rc;
	pid_t pid;

	for (at = 1; at <= 7; at++) {
		os_unlink(tmppath("killed"), NULL);
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			plan(OS_FAULT_KILL, (uint64_t)at, 0, 0);
			_exit(six_calls(tmppath("killed"), &failed));
		}
		CHECK_INT(waitpid(pid, &status, 0), pid);
		rc = os_stat(tmppath("killed"), &st, &err);
		if (at == 7) {
			CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 6);
		} else {
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		}
		CHECK_INT(rc, at == 1 || at == 7 ? -1 : 0);
		if (rc == 0)
			CHECK_INT(st.size, at == 2 ? 0 : at == 3 ? 10 : 20);
	}
}

TEST(every_call_of_names_and_folders)
{
	const struct os_owner owner = { .mode = 0700, .uid = (uint32_t)-1, .gid = (uint32_t)-1 };
	char path[300];
	uint64_t at, points = 0, bytes;
	struct os_file f;
	struct os_stat st;
	char *cwd;
	int rc;

	snprintf(path, sizeof(path), "%s", tmppath("sweep"));
	for (at = 0; at <= points; at++) {
		os_dir_remove_all(path, NULL);
		os_unlink(tmppath("sweep2"), NULL);
		plan(at == 0 ? OS_FAULT_OFF : OS_FAULT_ONCE, at, 0, EACCES);
		f = (struct os_file)OS_FILE_NONE;
		cwd = NULL;
		rc = 0;
		if (os_dir_make(tmppath("sweep/a/b"), &owner, &err) < 0 || os_dir_sync(path, &err) < 0 ||
		    os_file_open(&f, tmppath("sweep/a/f"), O_RDWR | O_CREAT, 0600, &err) < 0 ||
		    os_file_truncate(&f, 100, &err) < 0 || os_file_lock(&f, &err) < 0 ||
		    os_file_read_exact(&f, &st, 10, 0, &err) < 0 ||
		    os_link(tmppath("sweep/a/f"), tmppath("sweep2"), &err) < 0 ||
		    os_rename(tmppath("sweep2"), tmppath("sweep/g"), &err) < 0 || os_set_times(tmppath("sweep/g"), 5, &err) < 0 ||
		    os_set_owner(tmppath("sweep/g"), 0600, (uint32_t)-1, (uint32_t)-1, &err) < 0 ||
		    os_stat(tmppath("sweep/g"), &st, &err) < 0 || os_free_space(path, &bytes, &err) < 0 ||
		    os_cwd(&cwd, &err) < 0 || os_dir_remove_all(path, &err) < 0)
			rc = -1;
		os_file_close(&f);
		free(cwd);
		if (at == 0)
			points = os_fault_count();
		CHECK_INT(os_fault_hit(), at > 0);
		os_fault_set(NULL);
		CHECK_INT(rc, at == 0 ? 0 : -1);
		if (at > 0)
			CHECK_INT(err.sys, EACCES);
	}
	CHECK(points >= 20);
	CHECK_OK(os_dir_remove_all(path, &err), &err);
}

static void *thousand_points(void *unused)
{
	int i;

	for (i = 0; i < 1000; i++)
		(void)os_fault_point(OS_CALL_OPEN, NULL);
	return unused;
}

TEST(counted_over_all_threads)
{
	pthread_t t[4];
	int i;

	plan(OS_FAULT_ONCE, 3999, 0, EIO);
	for (i = 0; i < 4; i++)
		CHECK_INT(pthread_create(&t[i], NULL, thousand_points, NULL), 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_INT(os_fault_count(), 4000);
	CHECK(os_fault_hit());
	os_fault_set(NULL);
}

/* ---- SQLite ---- */

static int sql(sqlite3 *db, const char *text)
{
	return sqlite3_exec(db, text, NULL, NULL, NULL);
}

/* The first column of the first row, or -1. */
static int64_t number(sqlite3 *db, const char *text)
{
	sqlite3_stmt *stmt = NULL;
	int64_t n = -1;

	if (sqlite3_prepare_v2(db, text, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

static int open_db(const char *name, sqlite3 **db)
{
	int rc = sqlite3_open(tmppath(name), db);

	if (rc == SQLITE_OK)
		rc = sql(*db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0");
	return rc;
}

TEST(vfs_forwards)
{
	sqlite3 *db = NULL, *other = NULL;
	sqlite3_file *file = NULL;
	uint8_t head[16];
	sqlite3_int64 size = 0;

	CHECK_INT(os_fault_vfs(), SQLITE_OK);
	CHECK_INT(os_fault_vfs(), SQLITE_OK);
	CHECK_STR(sqlite3_vfs_find(NULL)->zName, "fault");
	CHECK_INT(open_db("v.db", &db), SQLITE_OK);
	CHECK_INT(sql(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1),(2); PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
	CHECK_INT(number(db, "SELECT sum(x) FROM t"), 3);
	CHECK_INT(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
	CHECK(file != NULL && file->pMethods != NULL);
	CHECK_INT(file->pMethods->xRead(file, head, 16, 0), SQLITE_OK);
	CHECK_MEM(head, "SQLite format 3", 16);
	CHECK_INT(file->pMethods->xFileSize(file, &size), SQLITE_OK);
	CHECK_INT(size, 8192);
	/* A lock taken by hand on the wal-index holds off a writer in another connection. */
	CHECK_INT(open_db("v.db", &other), SQLITE_OK);
	CHECK_INT(file->pMethods->xShmLock(file, 0, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE), SQLITE_OK);
	CHECK_INT(sql(other, "INSERT INTO t VALUES(3)"), SQLITE_BUSY);
	CHECK_INT(file->pMethods->xShmLock(file, 0, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE), SQLITE_OK);
	CHECK_INT(sql(other, "INSERT INTO t VALUES(3)"), SQLITE_OK);
	CHECK_INT(number(db, "SELECT sum(x) FROM t"), 6);
	/* Without sqlite_too, nothing of SQLite is counted. */
	plan(OS_FAULT_FROM, 1, 0, EIO);
	CHECK_INT(sql(db, "INSERT INTO t VALUES(4)"), SQLITE_OK);
	CHECK_INT(os_fault_count(), 0);
	os_fault_set(NULL);
	os_fault_clock(1500000000000, 1000);
	size = number(db, "SELECT unixepoch('now')");
	os_fault_clock(0, 0);
	CHECK_INT(size, 1500000000);
	CHECK_INT(sqlite3_close(other), SQLITE_OK);
	CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

TEST(vfs_codes)
{
	static const struct {
		enum os_call call;
		int errnum, code;
	} cases[] = {
		{ OS_CALL_WRITE, ENOSPC, SQLITE_FULL },    { OS_CALL_WRITE, EIO, SQLITE_IOERR_WRITE },
		{ OS_CALL_SYNC, EIO, SQLITE_IOERR_FSYNC }, { OS_CALL_LOCK, EIO, SQLITE_IOERR_SHMLOCK },
		{ OS_CALL_LOCK, EAGAIN, SQLITE_BUSY },     { OS_CALL_READ, EIO, SQLITE_IOERR_READ },
	};
	struct os_fault_plan p = { .mode = OS_FAULT_ONCE, .at = 1, .sqlite_too = true };
	sqlite3 *db = NULL;
	size_t i;
	int rc;

	CHECK_INT(os_fault_vfs(), SQLITE_OK);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_INT(open_db("codes.db", &db), SQLITE_OK);
		CHECK_INT(sql(db, "CREATE TABLE IF NOT EXISTS t(x)"), SQLITE_OK);
		CHECK_INT(sql(db, "INSERT INTO t VALUES(zeroblob(50000)); PRAGMA cache_size=2"), SQLITE_OK);
		/* A reader's lock that is busy would be tried again and again; so only the writer's is still to be taken. */
		if (cases[i].call == OS_CALL_LOCK)
			CHECK_INT(sql(db, "BEGIN; SELECT * FROM t"), SQLITE_OK);
		p.calls = cases[i].call;
		p.errnum = cases[i].errnum;
		os_fault_set(&p);
		rc = sql(db, cases[i].call == OS_CALL_READ ? "SELECT sum(length(hex(x))) FROM t" : "INSERT INTO t VALUES(2)");
		os_fault_set(NULL);
		CHECK(rc != SQLITE_OK && os_fault_hit());
		CHECK_INT(sqlite3_extended_errcode(db), cases[i].code);
		if ((cases[i].code & 0xff) == SQLITE_IOERR)
			CHECK_INT(sqlite3_system_errno(db), cases[i].errnum);
		CHECK_INT(sqlite3_close(db), SQLITE_OK);
	}
	p.calls = OS_CALL_OPEN;
	os_fault_set(&p);
	rc = open_db("codes.db", &db);
	os_fault_set(NULL);
	sqlite3_close(db);
	CHECK_INT(rc, SQLITE_CANTOPEN);
}

static int write_some(const char *name, bool checkpoint)
{
	sqlite3 *db = NULL;
	int rc = open_db(name, &db);

	if (rc == SQLITE_OK)
		rc = sql(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1); INSERT INTO t VALUES(2)");
	if (rc == SQLITE_OK && checkpoint)
		rc = sql(db, "PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(3)");
	sqlite3_close(db);
	return rc;
}

/* SQLite meets a failure, then a full disk, then a kill, at each of its points; afterwards the database is whole. */
TEST(vfs_sweep)
{
	static const enum os_fault_mode modes[] = { OS_FAULT_ONCE, OS_FAULT_SHORT, OS_FAULT_FROM, OS_FAULT_KILL };
	struct os_fault_plan p = { .mode = OS_FAULT_OFF, .errnum = ENOSPC, .sqlite_too = true };
	uint64_t points;
	sqlite3 *db = NULL;
	int64_t tables;
	int rc, status;
	pid_t pid;

	CHECK_INT(os_fault_vfs(), SQLITE_OK);
	os_fault_set(&p);
	CHECK_INT(write_some("s.db", true), SQLITE_OK);
	points = os_fault_count();
	os_fault_set(NULL);
	CHECK(points > 40 && points < 2000);
	for (size_t m = 0; m < 4; m++) {
		for (p.at = 1 + m; p.at <= points; p.at += 7) {
			unlink(tmppath("s.db"));
			unlink(tmppath("s.db-wal"));
			unlink(tmppath("s.db-shm"));
			p.mode = modes[m];
			if (p.mode == OS_FAULT_KILL) {
				fflush(stdout);
				pid = fork();
				if (pid == 0) {
					os_fault_set(&p);
					_exit(write_some("s.db", true) != SQLITE_OK);
				}
				CHECK_INT(waitpid(pid, &status, 0), pid);
				CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
			} else {
				os_fault_set(&p);
				(void)write_some("s.db", true);
				os_fault_set(NULL);
				CHECK(os_fault_hit());
			}
			rc = sqlite3_open(tmppath("s.db"), &db);
			CHECK_INT(rc, SQLITE_OK);
			CHECK_INT(sql(db, "PRAGMA integrity_check"), SQLITE_OK);
			tables = number(db, "SELECT count(*) FROM sqlite_schema");
			CHECK(tables == 0 || tables == 1);
			if (tables == 1)
				CHECK(number(db, "SELECT count(*) FROM t") <= 3);
			CHECK_INT(sqlite3_close(db), SQLITE_OK);
		}
	}
}

TEST_MAIN
