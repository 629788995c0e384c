/* SPDX-License-Identifier: MIT */
/*
 * SQLite's own check of a database, told to leave no trace: opened as immutable, it takes no locks, looks at no log and
 * makes no file, whatever journal mode the header names.
 *
 * What a schema may need and this build not have:
 * - a module (fts5, rtree): SQLite passes such tables over; the ordinary tables behind them are checked as all others.
 * - a function or collation: in CHECK constraints it does not matter, because a database that cannot be written is read
 *   without them. In an index or a generated column it makes the whole check impossible. Then each table that can do
 *   without is checked in full; and the check of the whole runs with stand-ins for what is missing, and of what it says
 *   counts only what cannot come from them: the structure of all b-trees and of the free list, and the number of
 *   entries in each index.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/os/clock.h"
#include "lib/os/pool.h"
#include "lib/restore/internal.h"

enum { STAND_INS_MAX = 1000, CANCEL_LOOK_MS = 10 };

struct check {
	const char *path, *pragma;
	const atomic_bool *cancel;
	sqlite3 *db;
};

/* ---- the connection ---- */

/* A path as URI: what is special in one is escaped. */
static void append_uri(struct buf *b, const char *path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";

	buf_str(b, path[0] == '/' ? "file://" : "file:");
	for (const char *p = path; *p; p++) {
		if (strchr(plain, *p))
			buf_char(b, *p);
		else
			buf_fmt(b, "%%%02X", (unsigned)(unsigned char)*p);
	}
	buf_str(b, "?immutable=1");
}

static int sqlite_error(struct check *c, int rc, struct err *e)
{
	enum err_code code = ERR_SYSTEM;

	if (rc == SQLITE_INTERRUPT || restore_cancelled(c->cancel))
		return restore_set_cancelled(e);
	if (rc == SQLITE_NOMEM)
		return err_nomem(e);
	if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
		code = ERR_CORRUPT;
	return err_set(e, code, "%s: %s", c->path, c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
}

static int open_database(struct check *c, struct err *e)
{
	struct buf uri = { .data = NULL };
	int rc;

	append_uri(&uri, c->path);
	if (!buf_ok(&uri)) {
		buf_free(&uri);
		return err_nomem(e);
	}
	rc = sqlite3_open_v2(buf_text(&uri), &c->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	buf_free(&uri);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(c->db, "PRAGMA cache_size=-1024", NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : sqlite_error(c, rc, e);
}

/* ---- one pragma ---- */

enum outcome { PASSED, COMPLAINED, IMPOSSIBLE, FAILED };

/* Which complaints count. */
typedef bool counts_fn(const char *complaint);

static bool all_count(const char *complaint)
{
	(void)complaint;
	return true;
}

static bool structure_counts(const char *complaint)
{
	return strncmp(complaint, "*** in database", 15) == 0 || strncmp(complaint, "wrong # of entries", 18) == 0;
}

/* Without the line that only says which database is meant. */
static int set_complaint(struct check *c, const char *text, struct err *e)
{
	const char *line = strncmp(text, "***", 3) == 0 ? strchr(text, '\n') : NULL;

	return err_set(e, ERR_CORRUPT, "integrity check failed: %s: %s", c->path, line ? line + 1 : text);
}

/* IMPOSSIBLE: it needs something that this build lacks; sqlite3_errmsg() says what. */
static enum outcome run_pragma(struct check *c, const char *sql, counts_fn *counts, struct err *e)
{
	enum outcome outcome = PASSED;
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &statement, NULL);

	if (rc == SQLITE_ERROR)
		return IMPOSSIBLE;
	while (rc == SQLITE_OK && outcome == PASSED && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(statement, 0);

		rc = SQLITE_OK;
		if (!text)
			rc = SQLITE_NOMEM;
		else if (strcmp(text, "ok") != 0 && counts(text)) {
			set_complaint(c, text, e);
			outcome = COMPLAINED;
		}
	}
	if (outcome == PASSED && rc != SQLITE_DONE && rc != SQLITE_OK) {
		sqlite_error(c, rc, e);
		outcome = FAILED;
	}
	sqlite3_finalize(statement);
	return outcome;
}

/* ---- stand-ins ---- */

static int compare_bytes(void *ctx, int an, const void *a, int bn, const void *b)
{
	int rc = memcmp(a, b, (size_t)(an < bn ? an : bn));

	(void)ctx;
	return rc ? rc : an - bn;
}

static void add_collation(void *ctx, sqlite3 *db, int encoding, const char *name)
{
	(void)ctx;
	sqlite3_create_collation(db, name, encoding, NULL, compare_bytes);
}

static void give_null(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	(void)argc;
	(void)argv;
	sqlite3_result_null(ctx);
}

/* The function that the last message is about: "unknown function: NAME()". */
static bool add_function(struct check *c)
{
	const char *message = sqlite3_errmsg(c->db), *name = strstr(message, "function: ");
	char copy[256];
	size_t n;

	if (!name)
		return false;
	name += strlen("function: ");
	n = strlen(name);
	if (n > 2 && strcmp(name + n - 2, "()") == 0)
		n -= 2;
	if (n == 0 || n >= sizeof(copy))
		return false;
	memcpy(copy, name, n);
	copy[n] = '\0';
	return sqlite3_create_function(c->db, copy, -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, give_null, NULL,
	                               NULL) == SQLITE_OK;
}

static int check_structure(struct check *c, struct err *e)
{
	sqlite3_collation_needed(c->db, NULL, add_collation);
	for (int i = 0; i < STAND_INS_MAX; i++) {
		enum outcome outcome = run_pragma(c, "PRAGMA main.quick_check", structure_counts, e);

		if (outcome == PASSED)
			return 0;
		if (outcome != IMPOSSIBLE)
			return -1;
		if (!add_function(c))
			break;
	}
	return sqlite_error(c, SQLITE_ERROR, e);
}

static enum outcome check_table(struct check *c, const char *name, struct err *e)
{
	char *sql = sqlite3_mprintf("PRAGMA main.%s(%Q)", c->pragma, name);
	enum outcome outcome = FAILED;

	if (!sql)
		err_nomem(e);
	else
		outcome = run_pragma(c, sql, all_count, e);
	sqlite3_free(sql);
	return outcome;
}

/* One whose check is impossible is passed over. */
static int check_tables(struct check *c, struct err *e)
{
	static const char select[] = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0";
	sqlite3_stmt *names = NULL;
	enum outcome outcome = check_table(c, "sqlite_schema", e);
	bool passed = outcome == PASSED || outcome == IMPOSSIBLE;
	int rc = passed ? sqlite3_prepare_v2(c->db, select, -1, &names, NULL) : SQLITE_OK;

	while (passed && rc == SQLITE_OK && (rc = sqlite3_step(names)) == SQLITE_ROW) {
		outcome = check_table(c, (const char *)sqlite3_column_text(names, 0), e);
		passed = outcome == PASSED || outcome == IMPOSSIBLE;
		rc = SQLITE_OK;
	}
	if (rc != SQLITE_DONE && rc != SQLITE_OK) {
		sqlite_error(c, rc, e);
		passed = false;
	}
	sqlite3_finalize(names);
	return passed ? 0 : -1;
}

static int check_all(struct check *c, struct err *e)
{
	char sql[40] = "PRAGMA main.";

	strcat(sql, c->pragma);
	switch (run_pragma(c, sql, all_count, e)) {
	case PASSED:
		return 0;
	case IMPOSSIBLE:
		break;
	default:
		return -1;
	}
	/* The tables first: the connection still lacks what it lacks. */
	return check_tables(c, e) != 0 ? -1 : check_structure(c, e);
}

/* ---- cancelling ---- */

/* SQLite is asked to stop from another thread, because nothing of ours runs inside a check. */
struct watch {
	struct pool_job job;
	struct check *check;
	atomic_bool ended;
	pthread_t owner;
};

static void watch_run(struct pool_job *job)
{
	struct watch *w = (struct watch *)job;

	if (pthread_equal(pthread_self(), w->owner)) /* no thread was to be had: then it cannot be cancelled */
		return;
	while (!atomic_load(&w->ended)) {
		if (restore_cancelled(w->check->cancel))
			sqlite3_interrupt(w->check->db);
		os_sleep_ms(CANCEL_LOOK_MS);
	}
}

static void watch_done(struct pool_job *job)
{
	(void)job;
}

static void no_wake(void *ctx)
{
	(void)ctx;
}

static int check_watched(struct check *c, struct err *e)
{
	struct watch w = { .job = { .run = watch_run, .done = watch_done }, .check = c, .owner = pthread_self() };
	struct pool *pool = c->cancel ? pool_create(1, no_wake, NULL, e) : NULL;
	int rc;

	if (c->cancel && !pool)
		return -1;
	if (pool)
		pool_submit(pool, &w.job);
	rc = check_all(c, e);
	atomic_store(&w.ended, true);
	while (pool && pool_pending(pool) > 0) {
		if (pool_collect(pool) == 0)
			os_sleep_ms(1);
	}
	pool_free(pool);
	return rc;
}

int restore_check_database(const char *path, enum restore_check check, const atomic_bool *cancel, struct err *e)
{
	struct check c = { .path = path, .cancel = cancel };
	int rc = -1;

	if (check == RESTORE_CHECK_NONE)
		return 0;
	c.pragma = check == RESTORE_CHECK_QUICK ? "quick_check" : "integrity_check";
	if (open_database(&c, e) == 0)
		rc = check_watched(&c, e);
	sqlite3_close(c.db);
	return rc;
}
