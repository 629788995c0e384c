/* SPDX-License-Identifier: MIT */
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

/* ---- databases ---- */

static void give_argument(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	(void)argc;
	sqlite3_result_value(ctx, argv[0]);
}

static int compare_backwards(void *ctx, int an, const void *a, int bn, const void *b)
{
	int n = an < bn ? an : bn, rc = memcmp(a, b, (size_t)n);

	(void)ctx;
	return rc ? -rc : bn - an;
}

/* Two filled tables t and u with an index each, in WAL mode, after what sql makes of t. Knows mine() and BACKWARDS. */
static bool make(const char *path, const char *sql)
{
	static const char *const after[] = {
		"CREATE TABLE u(a, b)", "CREATE INDEX u_b ON u(b)",
		("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
		 "INSERT INTO t(a, b) SELECT i, hex(i * 7919) || ' text of a row' FROM n"),
		"INSERT INTO u SELECT a, b FROM t",
		"COMMIT", "PRAGMA wal_checkpoint(TRUNCATE)",
	};
	sqlite3 *db;
	char *message = NULL;
	int rc = sqlite3_open(path, &db);

	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(db, "mine", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, give_argument, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_collation(db, "backwards", SQLITE_UTF8, NULL, compare_backwards);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; BEGIN;", NULL, NULL, &message);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql, NULL, NULL, &message);
	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]) && rc == SQLITE_OK; i++)
		rc = sqlite3_exec(db, after[i], NULL, NULL, &message);
	if (rc != SQLITE_OK)
		printf("%s: %s\n", sql, message ? message : sqlite3_errmsg(db));
	sqlite3_close(db);
	return rc == SQLITE_OK;
}

static long root_page(const char *path, const char *name)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	long page = 0;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", -1, &s, NULL) == SQLITE_OK) {
		sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
		if (sqlite3_step(s) == SQLITE_ROW)
			page = (long)sqlite3_column_int64(s, 0);
	}
	sqlite3_finalize(s);
	sqlite3_close(db);
	return page;
}

static unsigned byte_at(const char *path, long offset)
{
	struct mem m = { .data = NULL };
	unsigned c = kit_load(&m, path) && (size_t)offset < m.len ? m.data[offset] : 0;

	mem_free(&m);
	return c;
}

/* A child of a root page that is an inner one: its right-most pointer. */
static long last_leaf(const char *path, const char *name)
{
	long at = (root_page(path, name) - 1) * 1024, page = 0;

	for (int i = 8; i < 12; i++)
		page = page << 8 | byte_at(path, at + i);
	return page;
}

/* The type byte of a page in the middle of a b-tree: no structure survives that. */
static bool break_tree(const char *path, const char *name)
{
	return rk_flip(path, (last_leaf(path, name) - 1) * 1024, 0x44);
}

/* The last byte of the page is inside of a key or row: the structure stays, the content does not fit any more. */
static bool break_row(const char *path, const char *name)
{
	return rk_flip(path, last_leaf(path, name) * 1024 - 3, 0x01);
}

/* ---- checking ---- */

static struct err err;

/* "quick full" of a copy, after damage (may be NULL): p = passed, f = found something. Also: nothing was changed. */
static const char *outcome(const char *path, bool (*damage)(const char *, const char *), const char *name)
{
	static char out[3];
	const char *copy = rk_path("copy.db"), *before = rk_path("before.db");

	if (!rk_copy(path, copy) || (damage && !damage(copy, name)) || !rk_copy(copy, before))
		return "copy failed";
	err_clear(&err);
	out[0] = restore_check_database(copy, RESTORE_CHECK_QUICK, NULL, &err) == 0 ? 'p' : 'f';
	out[1] = restore_check_database(copy, RESTORE_CHECK_FULL, NULL, &err) == 0 ? 'p' : 'f';
	if (!rk_same(copy, before))
		return "changed";
	if (rk_exists(tmppath("copy.db-wal")) || rk_exists(tmppath("copy.db-shm")) || rk_exists(tmppath("copy.db-journal")))
		return "left something";
	return out;
}

#define SCHEMA(text) "PRAGMA writable_schema=ON; INSERT INTO sqlite_schema VALUES" text "; PRAGMA writable_schema=OFF;"

static const struct schema {
	const char *what, *sql;
	bool t_rows; /* t can be checked in full without what is missing */
} schemas[] = {
	{ "plain", "CREATE TABLE t(a, b); CREATE INDEX t_b ON t(b)", true },
	{ "fts5", "CREATE TABLE t(a, b); CREATE INDEX t_b ON t(b);"
	          SCHEMA("('table', 'f', 'f', 0, 'CREATE VIRTUAL TABLE f USING fts5(x)')"), true },
	{ "rtree", "CREATE TABLE t(a, b); CREATE INDEX t_b ON t(b);"
	           SCHEMA("('table', 'r', 'r', 0, 'CREATE VIRTUAL TABLE r USING rtree(id, a, b)')"), true },
	{ "check", "CREATE TABLE t(a, b CHECK(mine(b) <> '')); CREATE INDEX t_b ON t(b)", true },
	{ "expression index", "CREATE TABLE t(a, b); CREATE INDEX t_b ON t(b); CREATE INDEX t_x ON t(mine(b))", false },
	{ "partial index", "CREATE TABLE t(a, b); CREATE INDEX t_b ON t(b);"
	                   "CREATE INDEX t_x ON t(a) WHERE mine(b) > ''", false },
	{ "virtual column", "CREATE TABLE t(a, b, c TEXT NOT NULL AS (mine(b)) VIRTUAL); CREATE INDEX t_b ON t(b)", false },
	{ "stored column", "CREATE TABLE t(a, b, c TEXT NOT NULL AS (mine(b)) STORED); CREATE INDEX t_b ON t(b)", true },
	{ "strict", "CREATE TABLE t(a INT, b TEXT, c INT AS (mine(a)) VIRTUAL) STRICT; CREATE INDEX t_b ON t(b)", false },
	{ "collation", "CREATE TABLE t(a, b TEXT COLLATE backwards); CREATE INDEX t_b ON t(b)", false },
	{ "collation, no rowid", "CREATE TABLE t(a, b TEXT COLLATE backwards, PRIMARY KEY(b, a)) WITHOUT ROWID;"
	                         "CREATE INDEX t_b ON t(a)", false },
	{ "view and trigger", "CREATE TABLE t(a, b); CREATE INDEX t_b ON t(b); CREATE VIEW v AS SELECT mine(a) FROM t;"
	                      "CREATE TRIGGER r AFTER DELETE ON t BEGIN SELECT mine(old.a); END", true },
	{ "odd names", "CREATE TABLE \"it's 5\"(x); INSERT INTO \"it's 5\" VALUES(1); CREATE TABLE \"5\"(x);"
	               "CREATE TABLE t(a, b);"
	               "CREATE INDEX t_b ON t(b); CREATE INDEX t_x ON t(mine(b))", false },
};

TEST(schemas_of_all_kinds)
{
	const char *path = rk_path("schema.db");
	char have[200], want[200];

	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		const struct schema *s = &schemas[i];
		const struct { const char *what; bool (*damage)(const char *, const char *); const char *name, *want; } tries[] = {
			{ "whole", NULL, NULL, "pp" },
			{ "tree of u", break_tree, "u", "ff" },
			{ "index of u", break_tree, "u_b", "ff" },
			{ "tree of t", break_tree, "t", "ff" },
			{ "index of t", break_tree, "t_b", "ff" },
			{ "row of u", break_row, "u", "pf" },
			{ "key of u", break_row, "u_b", "pf" },
			{ "key of t", break_row, "t_b", s->t_rows ? "pf" : "pp" },
		};

		unlink(path);
		CHECK(make(path, s->sql));
		for (size_t j = 0; j < sizeof(tries) / sizeof(tries[0]); j++) {
			if (strcmp(s->what, "collation, no rowid") == 0 && tries[j].name && strcmp(tries[j].name, "t") == 0)
				continue; /* has no root page of that name */
			snprintf(have, sizeof(have), "%s, %s: %s", s->what, tries[j].what, outcome(path, tries[j].damage, tries[j].name));
			snprintf(want, sizeof(want), "%s, %s: %s", s->what, tries[j].what, tries[j].want);
			CHECK_STR(have, want);
		}
	}
}

TEST(complaint_is_told)
{
	const char *path = rk_path("complaint.db"), *copy;

	CHECK(make(path, "CREATE TABLE t(a, b)"));
	copy = outcome(path, break_row, "u");
	CHECK_STR(copy, "pf");
	CHECK_INT(err.code, ERR_CORRUPT);
	CHECK(strstr(err.text, "integrity check failed: ") == err.text);
	CHECK(strstr(err.text, " missing from index u_b") != NULL);
	CHECK_STR(outcome(path, break_tree, "u"), "ff");
	CHECK(strstr(err.text, "***") == NULL);
	CHECK(strstr(err.text, ": Tree ") != NULL);
}

TEST(no_databases)
{
	const char *path = rk_path("none.db");
	static uint8_t junk[5000];
	struct err e = ERR_INIT;

	CHECK_INT(restore_check_database(path, RESTORE_CHECK_FULL, NULL, &e), -1);
	CHECK(!rk_exists(path));
	CHECK(rk_write(path, "", 0));
	CHECK_OK(restore_check_database(path, RESTORE_CHECK_FULL, NULL, &e), &e);
	memset(junk, 'x', sizeof(junk));
	CHECK(rk_write(path, junk, sizeof(junk)));
	CHECK_INT(restore_check_database(path, RESTORE_CHECK_FULL, NULL, &e), -1);
	CHECK_INT(e.code, ERR_CORRUPT);
	CHECK_OK(restore_check_database(path, RESTORE_CHECK_NONE, NULL, &e), &e);
}

/* A log from elsewhere must neither be read nor be touched. */
TEST(stale_log_is_left_alone)
{
	const char *path = rk_path("stale.db"), *wal = rk_path("stale.db-wal"), *copy = rk_path("stale.copy");
	static uint8_t junk[5000];
	struct err e = ERR_INIT;

	CHECK(make(path, "CREATE TABLE t(a, b)"));
	CHECK(rk_write(wal, junk, sizeof(junk)) && rk_copy(wal, copy));
	CHECK_OK(restore_check_database(path, RESTORE_CHECK_FULL, NULL, &e), &e);
	CHECK(rk_same(wal, copy));
}

TEST(paths_that_look_like_uris)
{
	const char *path = rk_path("a?b=c#d %41&\xc3\xa9.db");
	struct err e = ERR_INIT;
	char cwd[1000];

	CHECK(make(path, "CREATE TABLE t(a, b)"));
	CHECK_OK(restore_check_database(path, RESTORE_CHECK_FULL, NULL, &e), &e);
	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	CHECK_INT(chdir(tmpdir()), 0);
	int rc = restore_check_database(path + strlen(tmpdir()) + 1, RESTORE_CHECK_FULL, NULL, &e);
	CHECK_INT(chdir(cwd), 0);
	CHECK_OK(rc, &e);
	CHECK(break_tree(path, "u"));
	CHECK_INT(restore_check_database(path, RESTORE_CHECK_FULL, NULL, &e), -1);
}

TEST(cancelled)
{
	const char *path = rk_path("cancelled.db");
	atomic_bool cancel = false;
	struct err e = ERR_INIT;
	sqlite3 *db;

	/* unset, it does no harm */
	CHECK(make(path, "CREATE TABLE t(a, b)"));
	CHECK_OK(restore_check_database(path, RESTORE_CHECK_FULL, &cancel, &e), &e);
	/* set, it stops a check that would take long */
	CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
	int rc = sqlite3_exec(db, "PRAGMA synchronous=OFF;"
	                      "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
	                      "INSERT INTO u SELECT i, i * 7919 % 100000 || ' and more text to make it long' FROM n",
	                      NULL, NULL, NULL);
	sqlite3_close(db);
	CHECK_INT(rc, SQLITE_OK);
	cancel = true;
	CHECK_INT(restore_check_database(path, RESTORE_CHECK_FULL, &cancel, &e), -1);
	CHECK_INT(e.code, ERR_CANCELLED);
}

/* What went wrong before it was ever replicated is found before the output gets its name. */
TEST(restore_with_check)
{
	const char *db = rk_path("source.db"), *path = rk_path("replica"), *output = rk_path("out.db");
	struct restore_options o = { .output = output, .check = RESTORE_CHECK_FULL };
	struct restore_target target = { .txid = 0 };
	struct restore_result result;
	struct restore_plan plan = { .items = NULL };
	struct replica *r = NULL;
	struct err e = ERR_INIT;

	CHECK(make(db, "CREATE TABLE t(a, b); CREATE INDEX t_b ON t(b)"));
	CHECK(rk_diff(path, 9, 1, 1, NULL, db));
	CHECK_OK(replica_file_create(path, &r, &e), &e);
	CHECK_OK(restore_make(r, &target, false, &o, &plan, &result, &e), &e);
	CHECK(rk_same(output, db));
	CHECK(!rk_exists(rk_path("out.db-wal")) && !rk_exists(rk_path("out.db-shm")));
	unlink(output);
	CHECK(break_row(db, "u_b") && rk_diff(path, 9, 1, 1, NULL, db));
	o.check = RESTORE_CHECK_QUICK;
	CHECK_OK(restore_make(r, &target, false, &o, &plan, &result, &e), &e);
	unlink(output);
	o.check = RESTORE_CHECK_FULL;
	CHECK_INT(restore_make(r, &target, false, &o, &plan, &result, &e), -1);
	CHECK(strncmp(e.text, "post-restore integrity check: integrity check failed: ", 54) == 0);
	CHECK(!rk_exists(output) && !rk_exists(rk_path("out.db.tmp")) && !rk_exists(rk_path("out.db.tmp-shm")));
	restore_plan_free(&plan);
	replica_free(r);
}

TEST_MAIN
