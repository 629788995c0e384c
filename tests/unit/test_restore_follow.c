/* SPDX-License-Identifier: MIT */
/*
 * Follow mode, driven by its callbacks: what happens to the replica happens when it says that it has started, has
 * applied something, or could not. Sleeping only moves a clock, so nothing here waits.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "lib/os/fault.h"
#include "lib/restore/internal.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

enum { STATES = 12 };

/* ---- states of a database: state(n) is what TXID n leaves ---- */

static const char *state(int n)
{
	char name[32];

	snprintf(name, sizeof(name), "state-%d.db", n);
	return rk_path(name);
}

/* Grows, shrinks and grows again. Not every transaction writes page 1 anew in what follows. */
static bool make_states(void)
{
	static const char *const sql[STATES + 1] = {
		[1] = "PRAGMA page_size=1024; PRAGMA auto_vacuum=FULL; CREATE TABLE t(a INTEGER PRIMARY KEY, b)",
		[2] = "INSERT INTO t SELECT value, hex(zeroblob(200)) || value FROM json_each('[1,2,3,4,5,6,7,8,9]')",
		[3] = "UPDATE t SET b = 'three' || b WHERE a = 3",
		[4] = "INSERT INTO t SELECT a + 100, b FROM t",
		[5] = "DELETE FROM t WHERE a > 50",
		[6] = "UPDATE t SET b = 'six' || b WHERE a IN (1, 9)",
		[7] = "INSERT INTO t SELECT a + 200, 'seven' || b FROM t",
		[8] = "CREATE INDEX i ON t(b)",
		[9] = "DELETE FROM t WHERE a % 2",
		[10] = "INSERT INTO t SELECT a + 1000, b FROM t",
		[11] = "UPDATE t SET b = 'eleven'",
		[12] = "INSERT INTO t VALUES(5000, 'twelve')",
	};
	static bool made;
	sqlite3 *db;
	int rc;

	if (made)
		return true;
	rc = sqlite3_open(rk_path("source.db"), &db);
	for (int i = 1; i <= STATES && rc == SQLITE_OK; i++) {
		rc = sqlite3_exec(db, sql[i], NULL, NULL, NULL);
		if (rc == SQLITE_OK && !rk_copy(rk_path("source.db"), state(i)))
			rc = SQLITE_IOERR;
	}
	sqlite3_close(db);
	return made = rc == SQLITE_OK;
}

/* Stores TXIDs from..to as one file; a snapshot when from is 1. */
static bool store(const char *path, int level, int from, int to)
{
	return make_states() &&
	       rk_diff(path, level, (uint64_t)from, (uint64_t)to, from > 1 ? state(from - 1) : NULL, state(to));
}

/* The output is state n, but for the bytes that follow mode has to make its own. */
static bool output_is(const char *output, int n)
{
	struct mem a = { .data = NULL }, b = { .data = NULL };
	bool same = kit_load(&a, output) && kit_load(&b, state(n)) && a.len == b.len;

	for (int i = 24; i < 28 && same; i++)
		a.data[i] = b.data[i];
	same = same && memcmp(a.data, b.data, a.len) == 0;
	mem_free(&a);
	mem_free(&b);
	return same;
}

static int sidecar(const char *output)
{
	uint64_t txid = 0;
	struct err e = ERR_INIT;

	return txid_file_read(output, &txid, &e) == 0 ? (int)txid : -1;
}

/* ---- a run ---- */

struct run {
	struct replica *r;
	const char *path, *output;
	struct restore_follow_options o;
	struct err e;
	int rc;
	atomic_bool cancel;
	/* what is done when something happens; returns true to stop */
	bool (*on_started)(struct run *run);
	bool (*on_applied)(struct run *run);
	bool (*on_warn)(struct run *run);
	int stop_at;  /* TXID */
	/* what happened */
	int started, resumed, applied, warnings;
	uint64_t started_at, reached;
	char warned[1500];
	void *extra;
};

static void started(void *ctx, uint64_t txid, bool resumed)
{
	struct run *run = ctx;

	run->started++;
	run->resumed = resumed;
	run->started_at = run->reached = txid;
	if ((run->on_started && run->on_started(run)) || (int)txid == run->stop_at)
		run->cancel = true;
}

static void applied(void *ctx, uint64_t from, uint64_t to)
{
	struct run *run = ctx;

	(void)from;
	run->applied++;
	run->reached = to;
	if ((run->on_applied && run->on_applied(run)) || (int)to == run->stop_at)
		run->cancel = true;
}

static void warned(void *ctx, const char *msg, const struct err *why)
{
	struct run *run = ctx;

	run->warnings++;
	snprintf(run->warned, sizeof(run->warned), "%s: %s", msg, why->text);
	if ((run->on_warn && run->on_warn(run)) || run->warnings > 20)
		run->cancel = true;
}

static void run_init(struct run *run, const char *name)
{
	char output[64];

	alarm(60); /* what spins for ever is an error */
	os_fault_clock(1000, 1000);
	snprintf(output, sizeof(output), "%s.db", name);
	*run = (struct run){ .path = rk_path(name), .output = rk_path(output) };
	replica_file_create(run->path, &run->r, NULL);
}

static int run_follow(struct run *run)
{
	run->o = (struct restore_follow_options){
		.restore = { .output = run->output, .cancel = &run->cancel },
		.interval_ms = 100,
		.started = started,
		.applied = applied,
		.warn = warned,
		.ctx = run,
	};
	run->cancel = false;
	run->started = run->resumed = run->applied = run->warnings = 0;
	err_clear(&run->e);
	run->rc = restore_follow(run->r, &run->o, &run->e);
	return run->rc;
}

static void run_end(struct run *run)
{
	replica_free(run->r);
}

static bool resume_at(struct run *run, int txid)
{
	return make_states() && rk_copy(state(txid), run->output) && txid_file_write(run->output, (uint64_t)txid, NULL) == 0;
}

/* ---- the ordinary way ---- */

static bool store_next(struct run *run)
{
	int next = (int)run->reached + 1;

	return next > STATES || !store(run->path, 0, next, next);
}

TEST(from_the_first_to_the_last)
{
	struct run run;
	struct mem m = { .data = NULL };

	run_init(&run, "ordinary");
	CHECK(store(run.path, 9, 1, 2));
	run.on_started = run.on_applied = store_next;
	run.stop_at = STATES;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK_INT(run.started, 1);
	CHECK_INT(run.resumed, 0);
	CHECK_INT(run.started_at, 2);
	CHECK_INT(run.applied, STATES - 2);
	CHECK_INT(run.warnings, 0);
	CHECK(output_is(run.output, STATES));
	CHECK(kit_load(&m, rk_path("ordinary.db-txid")));
	CHECK_INT(m.len, 17);
	CHECK_MEM(m.data, "000000000000000c\n", 17);
	mem_free(&m);
	CHECK(!rk_exists(rk_path("ordinary.db.tmp")) && !rk_exists(rk_path("ordinary.db-txid.tmp")));
	run_end(&run);
}

TEST(many_files_in_one_batch)
{
	struct run run;

	run_init(&run, "batch");
	CHECK(store(run.path, 9, 1, 1));
	run.stop_at = 1;
	CHECK_OK(run_follow(&run), &run.e);
	for (int i = 2; i <= STATES; i++)
		CHECK(store(run.path, 0, i, i));
	run.stop_at = STATES;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK_INT(run.resumed, 1);
	CHECK_INT(run.started_at, 1);
	CHECK_INT(run.applied, 1);
	CHECK(output_is(run.output, STATES));
	run_end(&run);
}

/* A connection that is open all the time, and one that the header of a WAL database would mislead. */
static int count_rows(sqlite3 *db)
{
	sqlite3_stmt *s = NULL;
	int n = -1;

	if (sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return n;
}

static int rows[STATES + 1];

static bool read_and_store(struct run *run)
{
	if (!run->extra && sqlite3_open(run->output, (sqlite3 **)&run->extra) != SQLITE_OK)
		return true;
	rows[run->reached] = count_rows(run->extra);
	return store_next(run);
}

TEST(readers_see_what_is_new)
{
	static const int want[STATES + 1] = { 0, 0, 9, 9, 18, 9, 9, 18, 18, 8, 16, 16, 17 };
	struct run run;

	run_init(&run, "readers");
	CHECK(store(run.path, 9, 1, 2));
	run.on_started = run.on_applied = read_and_store;
	run.stop_at = STATES;
	CHECK_OK(run_follow(&run), &run.e);
	sqlite3_close(run.extra);
	for (int i = 2; i <= STATES; i++)
		CHECK_INT(rows[i], want[i]);
	CHECK(!rk_exists(rk_path("readers.db-wal")));
	run_end(&run);
}

/* The first output is in rollback mode too, so that no reader starts a log. */
TEST(wal_header_is_patched)
{
	struct run run;
	struct mem m = { .data = NULL };
	const char *wal = rk_path("wal-mode.db");

	run_init(&run, "patched");
	CHECK(make_states() && rk_copy(state(2), wal) && rk_flip(wal, 18, 3) && rk_flip(wal, 19, 3));
	CHECK(rk_diff(run.path, 9, 1, 2, NULL, wal));
	run.stop_at = 2;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK(kit_load(&m, run.output));
	int b18 = m.data[18], b19 = m.data[19];
	mem_free(&m);
	CHECK_INT(b18, 1);
	CHECK_INT(b19, 1);
	/* also when what comes has no page 1, and when it has */
	CHECK(rk_flip(run.output, 18, 3) && rk_flip(run.output, 19, 3));
	CHECK(store(run.path, 0, 3, 3));
	run.stop_at = 3;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK(output_is(run.output, 3));
	run_end(&run);
}

/* A transaction of a WAL database need not have page 1; readers must notice all the same. */
static bool read_three(struct run *run)
{
	sqlite3_stmt *s = NULL;

	if (!run->extra && sqlite3_open(run->output, (sqlite3 **)&run->extra) != SQLITE_OK)
		return true;
	rows[run->reached] = -1;
	sqlite3_prepare_v2(run->extra, "SELECT b LIKE 'three%' FROM t WHERE a = 3", -1, &s, NULL);
	if (sqlite3_step(s) == SQLITE_ROW)
		rows[run->reached] = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return false;
}

TEST(transaction_without_page_one)
{
	struct run run;
	struct mem a = { .data = NULL }, b = { .data = NULL };
	const char *mixed = rk_path("mixed.db");

	run_init(&run, "nopage1");
	CHECK(resume_at(&run, 2) && kit_load(&a, state(2)) && kit_load(&b, state(3)) && a.len == b.len);
	memcpy(b.data, a.data, 1024);
	CHECK(memcmp(a.data, b.data, a.len) != 0 && rk_write(mixed, b.data, b.len));
	CHECK(rk_diff(run.path, 0, 3, 3, state(2), mixed));
	mem_free(&a);
	mem_free(&b);
	run.on_started = run.on_applied = read_three;
	run.stop_at = 3;
	CHECK_OK(run_follow(&run), &run.e);
	sqlite3_close(run.extra);
	CHECK_INT(rows[2], 0);
	CHECK_INT(rows[3], 1);
	run_end(&run);
}

/* ---- the start ---- */

#define SIDECAR "read txid file for crash recovery: parse txid file: "

TEST(resume_needs_its_sidecar)
{
	struct run run;
	char want[1400];

	run_init(&run, "nosidecar");
	CHECK(store(run.path, 9, 1, 2));
	CHECK(rk_write(run.output, "", 0));
	CHECK_INT(run_follow(&run), -1);
	snprintf(want, sizeof(want), "cannot resume follow mode: database exists but no -txid file found; "
	         "delete the database to re-restore: %s", run.output);
	CHECK_STR(run.e.text, want);
	CHECK_INT(run.started, 0);

	const char *side = rk_path("nosidecar.db-txid");
	static const char *const bad[][2] = {
		{ "zz\n", SIDECAR "invalid formatted transaction id length: \"zz\"" },
		{ "", SIDECAR "invalid formatted transaction id length: \"\"" },
		{ "000000000000000g\n", SIDECAR "invalid transaction id format: \"000000000000000g\"" },
		{ "00000000000000001\n", SIDECAR "invalid formatted transaction id length: \"00000000000000001\"" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(rk_write(side, bad[i][0], strlen(bad[i][0])));
		CHECK_INT(run_follow(&run), -1);
		CHECK_STR(run.e.text, bad[i][1]);
	}
	CHECK(rk_write(side, " 0000000000000002 \r\n", 20));
	CHECK_INT(run_follow(&run), -1);
	CHECK_STR(run.e.text, "read page size from database header: EOF");
	run_end(&run);
}

TEST(nothing_to_restore)
{
	struct run run;

	run_init(&run, "void");
	CHECK_INT(run_follow(&run), -1);
	CHECK_STR(run.e.text, "no matching backup files available");
	CHECK_INT(run.e.code, ERR_UNAVAILABLE);
	CHECK(!rk_exists(run.output) && !rk_exists(rk_path("void.db-txid")));
	run_end(&run);
}

TEST(pruned_history)
{
	struct run run;
	char want[2600];

	run_init(&run, "pruned");
	CHECK(resume_at(&run, 1));
	CHECK(rk_store(run.path, 9, 100, 200, "x", 1, 0));
	CHECK_INT(run_follow(&run), -1);
	snprintf(want, sizeof(want), "cannot resume follow mode: saved TXID 0000000000000001 is behind the earliest snapshot "
	         "(min TXID 0000000000000064); replica history has been pruned -- delete %s and %s-txid to re-restore",
	         run.output, run.output);
	want[ERR_TEXT_SIZE - 1] = '\0';
	CHECK_STR(run.e.text, want);
	run_end(&run);
}

/* Increments run ahead of snapshots: that is how it always is. */
TEST(ahead_of_the_snapshot)
{
	struct run run;

	run_init(&run, "ahead");
	CHECK(resume_at(&run, 9));
	CHECK(store(run.path, 9, 1, 5));
	for (int i = 6; i <= 10; i++)
		CHECK(store(run.path, 0, i, i));
	run.stop_at = 10;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK_INT(run.started_at, 9);
	CHECK(output_is(run.output, 10));
	run_end(&run);
}

TEST(stale_log_is_refused)
{
	struct run run;
	const char *wal;

	run_init(&run, "stale");
	wal = rk_path("stale.db-wal");
	CHECK(resume_at(&run, 2) && store(run.path, 9, 1, 2) && rk_write(wal, "x", 1));
	CHECK_INT(run_follow(&run), -1);
	CHECK_INT(run.e.code, ERR_EXISTS);
	CHECK(strstr(run.e.text, wal) != NULL);
	unlink(wal);
	run_end(&run);
}

/* ---- gaps ---- */

TEST(gap_bridged_by_a_level)
{
	struct run run;

	run_init(&run, "gap");
	CHECK(resume_at(&run, 2));
	CHECK(store(run.path, 1, 2, 5) && store(run.path, 0, 7, 7) && store(run.path, 2, 4, 6) && store(run.path, 0, 8, 8));
	run.stop_at = 8;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK_INT(run.warnings, 0);
	CHECK(output_is(run.output, 8));
	run_end(&run);
}

TEST(level_zero_emptied)
{
	struct run run;

	run_init(&run, "emptied");
	CHECK(resume_at(&run, 2));
	CHECK(store(run.path, 3, 2, 9));
	run.stop_at = 9;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK(output_is(run.output, 9));
	run_end(&run);
}

TEST(gap_bridged_by_a_snapshot)
{
	struct run run;

	run_init(&run, "snapshot");
	CHECK(resume_at(&run, 10)); /* larger than what comes */
	CHECK(store(run.path, 9, 1, 11) && store(run.path, 0, 12, 12));
	run.stop_at = 12;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK(output_is(run.output, 12));
	run_end(&run);
}

static bool stop_after_three(struct run *run)
{
	return run->warnings == 3;
}

TEST(gap_without_a_bridge_is_said)
{
	struct run run;

	run_init(&run, "stuck");
	CHECK(resume_at(&run, 2) && store(run.path, 0, 4, 4));
	run.on_warn = stop_after_three;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK_STR(run.warned, "follow: error applying updates: no progress: the replica has transactions up to "
	          "0000000000000004, but none that follow 0000000000000002");
	CHECK(output_is(run.output, 2));
	CHECK_INT(sidecar(run.output), 2);
	run_end(&run);
}

TEST(replica_that_began_anew)
{
	struct run run;

	run_init(&run, "anew");
	CHECK(resume_at(&run, 9));
	CHECK(store(run.path, 9, 1, 3) && store(run.path, 0, 4, 4));
	run.stop_at = 4;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK(output_is(run.output, 4));
	CHECK_INT(sidecar(run.output), 4);
	CHECK(!rk_exists(rk_path("anew.db.new")));
	run_end(&run);
}

/* ---- trouble ---- */

static bool store_five(struct run *run)
{
	return !store(run->path, 0, 5, 5);
}

TEST(damaged_file_that_is_replaced)
{
	struct run run;

	run_init(&run, "damaged");
	CHECK(resume_at(&run, 3));
	CHECK(store(run.path, 0, 4, 4) && store(run.path, 0, 5, 5) && rk_flip(rk_file(run.path, 0, 5, 5), 300, 1));
	run.on_warn = store_five;
	run.stop_at = 5;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK(run.warnings >= 1);
	CHECK(strstr(run.warned, "decode database: ltx/0/0000000000000005-0000000000000005.ltx: ") != NULL);
	CHECK(output_is(run.output, 5));
	run_end(&run);
}

TEST(around_a_damaged_file)
{
	struct run run;

	run_init(&run, "bypass");
	CHECK(resume_at(&run, 3));
	CHECK(store(run.path, 0, 4, 4) && store(run.path, 1, 2, 6) && rk_flip(rk_file(run.path, 0, 4, 4), 300, 1));
	run.stop_at = 6;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK_INT(run.warnings, 1);
	CHECK(output_is(run.output, 6));
	run_end(&run);
}

/* Nothing of a damaged file may get into the database, not even when its end alone is wrong. */
static bool check_unchanged(struct run *run)
{
	if (!output_is(run->output, 3) || sidecar(run->output) != 3)
		strcpy(run->warned, "changed");
	return true;
}

TEST(damage_is_seen_before_anything_is_written)
{
	struct run run;

	run_init(&run, "untouched");
	CHECK(resume_at(&run, 3));
	CHECK(store(run.path, 0, 4, 4) && rk_flip(rk_file(run.path, 0, 4, 4), -1, 1));
	run.on_warn = check_unchanged;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK(strstr(run.warned, "ltx/0/0000000000000004-0000000000000004.ltx") != NULL);
	run_end(&run);
}

static bool end_read(struct run *run)
{
	if (run->warnings == 2)
		sqlite3_exec(run->extra, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

TEST(reader_in_the_way)
{
	struct run run;
	sqlite3 *db = NULL;

	run_init(&run, "busy");
	CHECK(resume_at(&run, 3) && store(run.path, 0, 4, 4));
	CHECK_INT(sqlite3_open(run.output, &db), SQLITE_OK);
	CHECK_INT(sqlite3_exec(db, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
	run.extra = db;
	run.on_warn = end_read;
	run.stop_at = 4;
	CHECK_OK(run_follow(&run), &run.e);
	CHECK_INT(run.warnings, 2);
	CHECK(strstr(run.warned, "database is locked") != NULL);
	CHECK(output_is(run.output, 4));
	/* and nobody is locked out afterwards */
	CHECK_INT(sqlite3_exec(db, "BEGIN IMMEDIATE; ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	run_end(&run);
}

/* ---- kills ---- */

/* A child that is killed at its n-th call of these kinds; then we go on where it was. */
static bool kill_and_resume(const char *name, int from, unsigned calls, uint64_t at, bool *killed)
{
	struct run run;
	int status = 0;

	run_init(&run, name);
	pid_t pid = fork();
	if (pid == 0) {
		run.stop_at = STATES;
		os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_KILL, .at = at, .calls = calls });
		_exit(run_follow(&run) != 0);
	}
	waitpid(pid, &status, 0);
	*killed = WIFSIGNALED(status);
	/* before it had a name there may be nothing; with a name there is a sidecar */
	bool ok = !rk_exists(run.output) || sidecar(run.output) >= from;
	run.stop_at = STATES;
	if (sidecar(run.output) != STATES || !rk_exists(run.output))
		ok = ok && run_follow(&run) == 0;
	ok = ok && output_is(run.output, STATES) && sidecar(run.output) == STATES;
	if (!ok)
		printf("%s: kill at %d of %x: %s %s\n", name, (int)at, calls, run.e.text, run.warned);
	run_end(&run);
	return ok;
}

TEST(killed_at_any_moment)
{
	const unsigned calls = OS_CALL_WRITE | OS_CALL_SYNC | OS_CALL_TRUNCATE | OS_CALL_NAME;
	const char *path = rk_path("killed");
	bool killed = true;
	uint64_t at;

	CHECK(store(path, 9, 1, 3));
	for (int i = 4; i <= STATES; i++)
		CHECK(store(path, 0, i, i));
	for (at = 1; killed && at < 200; at++) {
		unlink(rk_path("killed.db"));
		unlink(rk_path("killed.db-txid"));
		CHECK(kill_and_resume("killed", 3, calls, at, &killed));
	}
	CHECK(at > 10);
	/* in the middle of following */
	killed = true;
	for (at = 1; killed && at < 200; at++) {
		CHECK(rk_copy(state(3), rk_path("killed.db")) && rk_write(rk_path("killed.db-txid"), "0000000000000003\n", 17));
		CHECK(kill_and_resume("killed", 3, calls, at, &killed));
	}
	CHECK(at > 6);
}

/* ---- failing calls ---- */

/* The n-th call fails, once: it is tried again, or it was the first restore, which then has left nothing. */
TEST(failing_calls)
{
	static const unsigned kinds[] = {
		OS_CALL_OPEN, OS_CALL_READ, OS_CALL_WRITE, OS_CALL_SYNC, OS_CALL_TRUNCATE, OS_CALL_NAME, OS_CALL_LOOK, OS_CALL_LOCK,
	};
	const char *path = rk_path("failing"), *output = rk_path("failing.db");
	struct run run;

	CHECK(store(path, 9, 1, 3));
	for (int i = 4; i <= STATES; i++)
		CHECK(store(path, 0, i, i));
	for (size_t i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++) {
		bool hit = true, resume = i % 2;

		for (uint64_t at = 1; hit && at < 100; at++) {
			run_init(&run, "failing");
			unlink(output);
			unlink(rk_path("failing.db-txid"));
			CHECK(!resume || resume_at(&run, 3));
			run.stop_at = STATES;
			os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = at, .calls = kinds[i / 2], .errnum = EIO });
			run_follow(&run);
			hit = os_fault_hit();
			os_fault_set(NULL);
			if (run.rc != 0) {
				CHECK(run.e.text[0] != '\0');
				CHECK(!rk_exists(output) || sidecar(output) == 3 || sidecar(output) == STATES);
				CHECK_OK(run_follow(&run), &run.e);
			}
			CHECK(output_is(output, STATES));
			CHECK_INT(sidecar(output), STATES);
			run_end(&run);
		}
		CHECK(!hit);
	}
}

TEST_MAIN
