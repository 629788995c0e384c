/* SPDX-License-Identifier: MIT */
/* Restores from backups of Litestream v0.3, made by hand of what SQLite wrote. */
#include <errno.h>
#include <sqlite3.h>
#include <unistd.h>

#include "lib/os/fault.h"
#include "lib/restore/v3.h"
#include "tests/check.h"
#include "tests/support/lz4_frames.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

static struct err err;

static sqlite3 *app;
static char replica[200], output[300];
static struct restore_result result;
static int warned;

static bool sql(const char *text)
{
	return sqlite3_exec(app, text, NULL, NULL, NULL) == SQLITE_OK;
}

static bool begin(const char *name)
{
	char path[300];

	snprintf(replica, sizeof(replica), "%s", tmppath(name));
	snprintf(output, sizeof(output), "%s.out", replica);
	snprintf(path, sizeof(path), "%s.db", replica);
	return sqlite3_open(path, &app) == SQLITE_OK &&
	       sql("PRAGMA page_size=1024; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a,b)");
}

static bool read_whole(const char *suffix, struct buf *b)
{
	char path[300];
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "%s.db%s", replica, suffix);
	f = fopen(path, "r");
	buf_reset(b);
	while (f && (c = getc(f)) != EOF)
		buf_char(b, (char)c);
	if (f)
		fclose(f);
	return f && buf_ok(b);
}

static const char *object(const char *generation, const char *kind, const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s/generations/%s/%s", replica, generation, kind);
	os_dir_make(path, NULL, NULL);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name);
	return path;
}

static const char *const G = "0123456789abcdef";

static bool put(const char *path, const void *bytes, size_t n)
{
	struct buf frame = { .data = NULL };
	bool ok;

	lz4_add_frame(&frame, bytes, n, 65536, 0);
	ok = rk_write(path, frame.data, frame.len);
	buf_free(&frame);
	return ok;
}

static bool put_snapshot(const char *generation, unsigned index)
{
	struct buf b = { .data = NULL };
	char name[40];
	bool ok;

	snprintf(name, sizeof(name), "%08x.snapshot.lz4", index);
	ok = read_whole("", &b) && put(object(generation, "snapshots", name), b.data ? (char *)b.data : "", b.len);
	buf_free(&b);
	return ok;
}

/* The WAL as it is, cut into parts of so many bytes. */
static bool put_wal(const char *generation, unsigned index, size_t each)
{
	struct buf b = { .data = NULL };
	char name[60];
	bool ok = read_whole("-wal", &b);

	for (size_t at = 0; ok && at < b.len; at += each) {
		/* Any number of digits from 8 to 16 will do. */
		snprintf(name, sizeof(name), "%08x_%0*zx.wal.lz4", index, each == 1000 ? 16 : each == 4000 ? 9 : 8, at);
		ok = put(object(generation, "wal", name), b.data + at, b.len - at < each ? b.len - at : each);
	}
	buf_free(&b);
	return ok;
}

static bool new_wal(void)
{
	return sql("PRAGMA wal_checkpoint(TRUNCATE)");
}

static void warn(void *ctx, const char *msg, const struct err *why)
{
	(void)ctx;
	(void)msg;
	(void)why;
	warned++;
}

static int restore_in(enum restore_check check)
{
	struct restore_options o = { .output = output, .check = check, .warn = warn };
	struct restore_target t = { .txid = 0 };
	struct restore_plan plan = { .items = NULL };
	struct replica *r = NULL;
	int rc;

	err_clear(&err);
	warned = 0;
	if (replica_file_create(replica, &r, &err))
		return -1;
	rc = restore_make(r, &t, true, &o, &plan, &result, &err);
	restore_plan_free(&plan);
	replica_free(r);
	return rc;
}

static int restore(void)
{
	unlink(output);
	return restore_in(RESTORE_CHECK_FULL);
}

/* The application's database, once all of its WAL is in it. */
static bool same(void)
{
	char path[300];

	snprintf(path, sizeof(path), "%s.db", replica);
	return new_wal() && rk_same(path, output);
}

static bool nothing_left(void)
{
	char tmp[310];

	snprintf(tmp, sizeof(tmp), "%s.tmp", output);
	return !rk_exists(output) && !rk_exists(tmp);
}

static void end(void)
{
	sqlite3_close(app);
	unlink(output);
}

TEST(snapshot_alone)
{
	CHECK(begin("alone") && sql("INSERT INTO t VALUES(1, randomblob(100000))") && new_wal() && put_snapshot(G, 0));
	CHECK_OK(restore(), &err);
	CHECK(same());
	CHECK_INT(result.txid, 0);
	CHECK_INT(result.page_size, 1024);
	CHECK(result.pages > 90);
	end();
}

TEST(several_wals_and_generations)
{
	CHECK(begin("several"));
	/* An older generation, and older numbers in this one that nobody needs. */
	CHECK(put_snapshot("ffffffffffffffff", 3) && put_wal("ffffffffffffffff", 3, 4096));
	usleep(20000);
	CHECK(put_wal(G, 1, 1000) && new_wal() && put_snapshot(G, 7));
	CHECK(sql("INSERT INTO t VALUES(1, randomblob(50000))") && sql("INSERT INTO t VALUES(2, randomblob(5000))"));
	CHECK(put_wal(G, 7, 10000));
	CHECK(new_wal() && sql("DELETE FROM t WHERE a=1") && sql("VACUUM") && put_wal(G, 8, 1000));
	CHECK(new_wal() && sql("INSERT INTO t VALUES(3, randomblob(300000))") && put_wal(G, 9, 77777));
	CHECK_OK(restore(), &err);
	CHECK_INT(warned, 0);
	CHECK(same());
	/* The last part of the last WAL is not missed by anybody; one between is. */
	CHECK_OK(unlink(object(G, "wal", "00000009_00025fa2.wal.lz4")), &err);
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "missing WAL segment: expected 00000009/25fa2, got 00000009/38f73");
	CHECK_OK(unlink(object(G, "wal", "00000009_00038f73.wal.lz4")), &err);
	CHECK_OK(unlink(object(G, "wal", "00000009_0004bf44.wal.lz4")), &err);
	CHECK_OK(restore(), &err);
	CHECK_INT(warned, 1); /* it ends within a frame */
	CHECK_OK(unlink(object(G, "wal", "00000008_0000000000000000.wal.lz4")), &err);
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "missing WAL index: expected 00000008/0, got 00000008/3e8");
	CHECK(nothing_left());
	end();
}

/* A database that was never checkpointed has all of its pages in the WAL; v0.3 may have seen an empty file. */
TEST(an_empty_snapshot)
{
	CHECK(begin("empty") && sql("INSERT INTO t VALUES(1, 2)"));
	CHECK(put(object(G, "snapshots", "00000000.snapshot.lz4"), "", 0));
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "decode database: the backup holds no page");
	CHECK(sql("VACUUM") && put_wal(G, 0, 1 << 20));
	CHECK_OK(restore(), &err);
	CHECK(same());
	end();
}

/* Uncommitted frames at the end are no damage, but no part of the database either. */
TEST(an_unfinished_transaction)
{
	char before[310];

	CHECK(begin("unfinished") && new_wal() && put_snapshot(G, 0) && sql("INSERT INTO t VALUES(1, 2)"));
	CHECK(put_wal(G, 0, 1 << 20));
	CHECK_OK(restore(), &err);
	snprintf(before, sizeof(before), "%s.before", output);
	CHECK_OK(rename(output, before), &err);
	CHECK(sql("PRAGMA cache_size=5") && sql("BEGIN") && sql("INSERT INTO t VALUES(1, randomblob(100000))"));
	CHECK(put_wal(G, 0, 1 << 20));
	CHECK_OK(restore(), &err);
	CHECK_INT(warned, 0);
	CHECK(rk_same(before, output));
	end();
}

TEST(what_is_damaged)
{
	struct buf wal = { .data = NULL };

	CHECK(begin("damaged") && new_wal() && put_snapshot(G, 0));
	CHECK(sql("INSERT INTO t VALUES(1, 2)") && sql("INSERT INTO t VALUES(2, randomblob(5000))") &&
	      read_whole("-wal", &wal));
	/* The second transaction's last frame is torn: the last WAL still leads to the first one. */
	wal.data[wal.len - 1] ^= 1;
	CHECK(put(object(G, "wal", "00000000_00000000.wal.lz4"), wal.data, wal.len));
	CHECK_OK(restore(), &err);
	CHECK_INT(warned, 1);
	/* But nothing may follow it. */
	CHECK(new_wal() && sql("INSERT INTO t VALUES(3, 4)") && put_wal(G, 1, 1 << 20));
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "decode database: WAL 00000000 of generation 0123456789abcdef has a damaged frame");
	CHECK(nothing_left());
	wal.data[0] ^= 1;
	CHECK(put(object(G, "wal", "00000000_00000000.wal.lz4"), wal.data, wal.len));
	CHECK_INT(restore(), -1);
	CHECK(strstr(err.text, "has no valid header"));
	CHECK(put(object(G, "wal", "00000000_00000000.wal.lz4"), wal.data, 31));
	CHECK_INT(restore(), -1);
	CHECK(strstr(err.text, "has no valid header"));
	CHECK(rk_write(object(G, "wal", "00000000_00000000.wal.lz4"), "", 0));
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "decode database: generations/0123456789abcdef/wal/00000000_00000000.wal.lz4: the file is "
	                    "truncated: it ends at byte 0");
	CHECK(put(object(G, "snapshots", "00000000.snapshot.lz4"), "no database", 11));
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "decode database: generations/0123456789abcdef/snapshots/00000000.snapshot.lz4: "
	                    "its content is not a database");
	CHECK(nothing_left());
	buf_free(&wal);
	end();
}

TEST(another_page_size)
{
	CHECK(begin("size") && new_wal() && put_snapshot(G, 0));
	sqlite3_close(app);
	unlink(tmppath("size.db"));
	CHECK(sqlite3_open(tmppath("size.db"), &app) == SQLITE_OK);
	CHECK(sql("PRAGMA page_size=4096; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a)"));
	CHECK(put_wal(G, 0, 1 << 20));
	CHECK_INT(restore(), -1);
	CHECK(strstr(err.text, "has another page size than its database"));
	end();
}

TEST(an_output_that_is_there)
{
	CHECK(begin("there") && new_wal() && put_snapshot(G, 0));
	CHECK_OK(restore(), &err);
	CHECK_INT(restore_in(RESTORE_CHECK_NONE), -1);
	CHECK(strstr(err.text, "already exists"));
	CHECK(rk_exists(output));
	end();
}

TEST(other_names_do_not_matter)
{
	CHECK(begin("names") && new_wal() && put_snapshot(G, 0));
	CHECK(rk_write(object(G, "snapshots", "00000001.snapshot.lz4.tmp"), "x", 1));
	CHECK(rk_write(object(G, "wal", "00000000_0.wal.lz4"), "x", 1));
	CHECK(rk_write(object("not-a-generation", "wal", "x"), "x", 1));
	CHECK(object(G, "snapshots/0000000f.snapshot.lz4", "") != NULL);
	CHECK_OK(restore(), &err);
	CHECK(same());
	end();
}

/* A kind without v0.3 backups: LTX alone counts. */
TEST(a_kind_that_cannot)
{
	struct restore_target t = { .txid = 0 };
	struct replica *r = NULL;
	struct replica_ops ops;
	struct v3_backups b;
	struct restore_options o = { .output = output };
	struct restore_plan plan = { .items = NULL };

	CHECK(begin("cannot") && new_wal() && put_snapshot(G, 0));
	CHECK_OK(replica_file_create(replica, &r, &err), &err);
	ops = *r->ops;
	ops.visit_folder = NULL;
	ops.open_path = NULL;
	r->ops = &ops;
	CHECK_OK(v3_list(r, &b, &err), &err);
	CHECK_INT(b.snapshots.count, 0);
	CHECK_INT(restore_make(r, &t, true, &o, &plan, &result, &err), -1);
	CHECK_STR(err.text, "no matching backup files available");
	replica_free(r);
	end();
}

TEST(every_call_fails_once)
{
	uint64_t n = 0;

	CHECK(begin("faults") && new_wal() && put_snapshot(G, 0) && sql("INSERT INTO t VALUES(1, randomblob(9000))"));
	CHECK(put_wal(G, 0, 4000));
	os_fault_clock(1000, 1000);
	do {
		struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = ++n, .errnum = EIO };

		unlink(output);
		os_fault_set(&plan);
		int rc = restore_in(RESTORE_CHECK_NONE);
		os_fault_set(NULL);
		if (rc)
			CHECK(err.text[0] && nothing_left());
	} while (os_fault_hit());
	CHECK(n > 20);
	os_fault_clock(0, 0);
	CHECK(same());
	end();
}

TEST_MAIN
