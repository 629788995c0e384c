/* SPDX-License-Identifier: MIT */
/* app.c - the application: up to four connections that do whatever an application may do to its database. */
#include <stdio.h>
#include <string.h>

#include "lib/os/fault.h"
#include "sqlite3.h"
#include "tests/model/model.h"

enum { CONNECTIONS = 4, IDS = 60 };

struct conn {
	sqlite3 *c;
	bool reading, writing, ready;
};

struct app {
	struct conn conns[CONNECTIONS];
	struct rng rng;
	struct model *m;
	struct reply *r;
};

static void say(struct app *a, const char *what, int rc)
{
	size_t n = strlen(a->r->text);

	snprintf(a->r->text + n, sizeof(a->r->text) - n, "%s%s%s", n ? ", " : "", what, rc ? "(!)" : "");
}

static int run(struct app *a, struct conn *k, const char *sql)
{
	int rc = sqlite3_exec(k->c, sql, NULL, NULL, NULL);

	(void)a;
	/* An error may have ended the transaction. */
	if (sqlite3_get_autocommit(k->c))
		k->reading = k->writing = false;
	return rc;
}

static void close_conn(struct conn *k)
{
	sqlite3_close(k->c);
	memset(k, 0, sizeof(*k));
}

static void open_conn(struct app *a, struct conn *k)
{
	static const int checkpoints[] = { 0, 0, 8, 30, 1000 }, timeouts[] = { 0, 5, 2000 }, caches[] = { 2, 10, 100 };
	static const int limits[] = { -1, -1, -1, 0, 9000, 20000 };
	char sql[400];
	int timeout = rng_pick(&a->rng, timeouts);

	if (sqlite3_open_v2(a->m->db_path, &k->c, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
		close_conn(k);
		return;
	}
	sqlite3_busy_timeout(k->c, timeout);
	snprintf(sql, sizeof(sql), "PRAGMA page_size=%u; PRAGMA auto_vacuum=%d; PRAGMA journal_mode=wal;"
	         "PRAGMA wal_autocheckpoint=%d; PRAGMA cache_size=%d; PRAGMA synchronous=%s;"
	         "PRAGMA journal_size_limit=%d",
	         (unsigned)a->m->set.page_size, a->m->set.auto_vacuum, rng_pick(&a->rng, checkpoints),
	         rng_pick(&a->rng, caches), rng_percent(&a->rng, 70) ? "normal" : "full",
	         /* Near a whole number of frames, but none: that is what the proof takes for a log that was not cut. */
	         rng_percent(&a->rng, 10) ? 33 + 10 * (24 + (int)a->m->set.page_size) : rng_pick(&a->rng, limits));
	if (run(a, k, sql) != SQLITE_OK)
		close_conn(k);
}

/* One that may write, or NULL. */
static struct conn *idle_conn(struct app *a)
{
	uint32_t first = rng_below(&a->rng, CONNECTIONS);

	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		struct conn *k = &a->conns[(first + i) % CONNECTIONS];

		if (k->c && !k->reading && !k->writing)
			return k;
	}
	return NULL;
}

static void write_rows(struct app *a, struct conn *k)
{
	uint32_t kind = rng_below(&a->rng, 100), id = 1 + rng_below(&a->rng, IDS), most = a->m->set.big ? 60000 : 2500;
	uint32_t n = 1 + rng_below(&a->rng, most), tag = rng_below(&a->rng, 1000000);
	char sql[300];

	if (kind < 45)
		snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO t VALUES(%u, zeroblob(%u))", id, n);
	else if (kind < 60)
		snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO t VALUES(%u, '%u' || hex(zeroblob(%u)))", id, tag, n / 2);
	else if (kind < 80)
		snprintf(sql, sizeof(sql), "UPDATE t SET b='%u' || substr(b, 1, %u) WHERE id BETWEEN %u AND %u", tag,
		         rng_below(&a->rng, 900), id, id + rng_below(&a->rng, 4));
	else if (kind < 88)
		snprintf(sql, sizeof(sql), "DELETE FROM t WHERE id>%u", 10 + rng_below(&a->rng, IDS));
	else if (kind < 91)
		snprintf(sql, sizeof(sql), "DELETE FROM t WHERE id<%u", id);
	else if (kind < 93)
		snprintf(sql, sizeof(sql), "PRAGMA user_version=%u", tag);
	else if (kind < 95)
		snprintf(sql, sizeof(sql), "CREATE TABLE IF NOT EXISTS u%u(x, y UNIQUE)", id % 3);
	else if (kind < 97)
		snprintf(sql, sizeof(sql), "DROP TABLE IF EXISTS u%u", id % 3);
	else if (kind < 99)
		snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%u)", 1 + id);
	else
		snprintf(sql, sizeof(sql), "VACUUM");
	say(a, kind >= 99 ? "vacuum" : "write", run(a, k, sql));
}

static void spill_and_roll_back(struct app *a, struct conn *k)
{
	char sql[200];
	int rc = run(a, k, "BEGIN IMMEDIATE; PRAGMA cache_size=2");

	for (int i = 0; !rc && i < 20; i++) {
		snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO t VALUES(%d, zeroblob(%u))", 100 + i, 300 + a->m->set.page_size);
		rc = run(a, k, sql);
	}
	if (!sqlite3_get_autocommit(k->c))
		run(a, k, "ROLLBACK");
	say(a, "rolled-back spill", rc);
}

static void transaction(struct app *a, struct conn *k)
{
	int rc = run(a, k, "BEGIN IMMEDIATE"), n = 1 + (int)rng_below(&a->rng, 6);

	if (!rc && rng_percent(&a->rng, 25)) {
		k->writing = true;
		say(a, "begin", 0);
	} else if (!rc) {
		for (int i = 0; i < n && !sqlite3_get_autocommit(k->c); i++)
			write_rows(a, k);
		if (!sqlite3_get_autocommit(k->c))
			rc = run(a, k, rng_percent(&a->rng, 85) ? "COMMIT" : "ROLLBACK");
		if (!sqlite3_get_autocommit(k->c))
			run(a, k, "ROLLBACK");
	}
	say(a, "transaction", rc);
}

static void end_open_transaction(struct app *a, struct conn *k)
{
	int rc;

	if (k->writing)
		write_rows(a, k);
	rc = run(a, k, k->writing && rng_percent(&a->rng, 70) ? "COMMIT" : "ROLLBACK");
	if (!sqlite3_get_autocommit(k->c))
		run(a, k, "ROLLBACK");
	say(a, "end", rc);
}

/* A commit that is complete in the log, but not flushed: it never came about, and its frames stay behind the end. */
static void fail_to_flush(struct app *a, struct conn *k)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .calls = OS_CALL_SYNC, .sqlite_too = true };

	plan.at = 1 + rng_below(&a->rng, 2);
	run(a, k, "PRAGMA synchronous=full");
	os_fault_set(&plan);
	write_rows(a, k);
	os_fault_set(NULL);
	run(a, k, "PRAGMA synchronous=normal");
	say(a, "no flush", 0);
}

static void checkpoint(struct app *a, struct conn *k)
{
	static const int modes[] = { SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL,
	                             SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE };
	static const char *const names[] = { "passive", "full", "restart", "truncate" };
	int mode = rng_pick(&a->rng, modes), frames = 0, done = 0;
	int rc = sqlite3_wal_checkpoint_v2(k->c, "main", mode, &frames, &done);
	char what[60];

	snprintf(what, sizeof(what), "%s %d/%d", names[mode], done, frames);
	say(a, what, rc);
}

static void step(struct app *a)
{
	uint32_t kind = rng_below(&a->rng, 100);
	struct conn *k = &a->conns[rng_below(&a->rng, CONNECTIONS)];

	if (k->writing || (k->reading && kind < 25)) {
		end_open_transaction(a, k);
		return;
	}
	if (!k->c && kind < 30) {
		open_conn(a, k);
		say(a, "open", !k->c);
		return;
	}
	k = idle_conn(a);
	if (!k) {
		k = &a->conns[0];
		if (!k->c)
			open_conn(a, k);
		say(a, "open", !k->c);
		return;
	}
	if (!k->ready) {
		/* By itself: a step commits once. */
		k->ready = !run(a, k, "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, b);"
		                      "CREATE INDEX IF NOT EXISTS tb ON t(substr(b,1,8)); COMMIT");
		if (!sqlite3_get_autocommit(k->c))
			run(a, k, "ROLLBACK");
		say(a, "schema", !k->ready);
	} else if (kind < 55)
		write_rows(a, k);
	else if (kind < 68)
		transaction(a, k);
	else if (kind < 72)
		spill_and_roll_back(a, k);
	else if (kind < 75)
		fail_to_flush(a, k);
	else if (kind < 86)
		checkpoint(a, k);
	else if (kind < 92) {
		k->reading = run(a, k, "BEGIN; SELECT count(*) FROM t") == SQLITE_OK;
		say(a, "long read", !k->reading);
	} else if (kind < 97 || a->m->set.calm) {
		close_conn(k);
		say(a, "close", 0);
	} else {
		/* Away from WAL mode; the next connection brings it back. Refused while anybody else is there. */
		say(a, "leave wal", run(a, k, "PRAGMA journal_mode=delete"));
	}
}

static void cycle(struct app *a)
{
	int frames = 0, done = 0;
	struct conn *k;
	char what[60];

	for (int i = 0; i < CONNECTIONS; i++) {
		if (a->conns[i].writing || a->conns[i].reading)
			run(a, &a->conns[i], "ROLLBACK");
	}
	k = idle_conn(a);
	if (!k)
		return;
	if (rng_percent(&a->rng, 60))
		sqlite3_wal_checkpoint_v2(k->c, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &done);
	snprintf(what, sizeof(what), "UPDATE t SET b='%u' WHERE id=%u", rng_below(&a->rng, 1000000), 1 + rng_below(&a->rng, 5));
	run(a, k, what);
	snprintf(what, sizeof(what), "cycle %d/%d", done, frames);
	say(a, what, 0);
}

/* By a connection of its own that leaves no trace: nothing is checkpointed or deleted when it closes. */
static void state(struct app *a)
{
	sqlite3_int64 size = 0;
	unsigned char *bytes = NULL;
	sqlite3_stmt *s = NULL;
	sqlite3 *c = NULL;
	int persist = 1;

	a->r->rc = sqlite3_open_v2(a->m->db_path, &c, SQLITE_OPEN_READWRITE, NULL);
	if (a->r->rc == SQLITE_OK) {
		sqlite3_db_config(c, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		sqlite3_file_control(c, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
		a->r->rc = sqlite3_prepare_v2(c, "PRAGMA page_count", -1, &s, NULL);
	}
	/* It must not be empty: to serialise that would be to write its first page. */
	if (a->r->rc == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int(s, 0) > 0 &&
	    sqlite3_reset(s) == SQLITE_OK)
		bytes = sqlite3_serialize(c, "main", &size, 0);
	if (bytes && size <= IMAGE_MAX) {
		memcpy(a->m->shared, bytes, (size_t)size);
		a->r->exists = true;
		a->r->size = size;
	}
	sqlite3_free(bytes);
	sqlite3_finalize(s);
	sqlite3_close(c);
}

void app_run(int fd, struct model *m)
{
	struct app a = { .m = m };
	struct request q;
	struct reply r;

	os_fault_vfs();
	sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(m->seed * 7 + (uint64_t)m->app_starts) | 1, NULL);
	for (;;) {
		child_next(fd, &q);
		memset(&r, 0, sizeof(r));
		a.r = &r;
		a.rng.s = q.seed;
		if (q.cmd == APP_STATE)
			state(&a);
		for (uint32_t i = 0; q.cmd == APP_STEPS && i < q.count; i++)
			step(&a);
		if (q.cmd == APP_CYCLE)
			cycle(&a);
		for (int i = 0; q.cmd == APP_CLOSE_ALL && i < CONNECTIONS; i++)
			close_conn(&a.conns[i]);
		for (int i = 0; i < CONNECTIONS; i++) {
			r.connections += a.conns[i].c != NULL;
			r.writing += a.conns[i].writing;
			r.reading += a.conns[i].reading;
		}
		child_reply(fd, &r);
	}
}
