/* SPDX-License-Identifier: MIT */
/*
 * Follow mode as it should go (follow_kit.h): file after file, readers that see what is new, the first restore, and
 * where a later run takes it up.
 */
#include <sqlite3.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/follow_kit.h"

TEST(from_the_first_to_the_last)
{
	struct run run;
	struct mem m = { .data = NULL };

	follow_init(&run, "ordinary");
	CHECK(follow_store(run.path, 9, 1, 2));
	run.on_started = run.on_applied = follow_store_next;
	run.stop_at = STATES;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK_INT(run.started, 1);
	CHECK_INT(run.resumed, 0);
	CHECK_INT(run.started_at, 2);
	CHECK_INT(run.applied, STATES - 2);
	CHECK_INT(run.warnings, 0);
	CHECK(follow_output_is(run.output, STATES));
	CHECK(kit_load(&m, rk_path("ordinary.db-txid")));
	CHECK_INT(m.len, 17);
	CHECK_MEM(m.data, "000000000000000c\n", 17);
	mem_free(&m);
	CHECK(!rk_exists(rk_path("ordinary.db.tmp")) && !rk_exists(rk_path("ordinary.db-txid.tmp")));
	follow_end(&run);
}

TEST(many_files_in_one_batch)
{
	struct run run;

	follow_init(&run, "batch");
	CHECK(follow_store(run.path, 9, 1, 1));
	run.stop_at = 1;
	CHECK_OK(follow_run(&run), &run.e);
	for (int i = 2; i <= STATES; i++)
		CHECK(follow_store(run.path, 0, i, i));
	run.stop_at = STATES;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK_INT(run.resumed, 1);
	CHECK_INT(run.started_at, 1);
	CHECK_INT(run.applied, 1);
	CHECK(follow_output_is(run.output, STATES));
	follow_end(&run);
}

/* A connection that is open all the time, and one that the header of a WAL database would mislead. */
static int count_rows(sqlite3 *db)
{
	sqlite3_stmt *s = NULL;
	int n = -1;

	if (sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
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
	return follow_store_next(run);
}

TEST(readers_see_what_is_new)
{
	static const int want[STATES + 1] = { 0, 0, 9, 9, 18, 9, 9, 18, 18, 8, 16, 16, 17 };
	struct run run;

	follow_init(&run, "readers");
	CHECK(follow_store(run.path, 9, 1, 2));
	run.on_started = run.on_applied = read_and_store;
	run.stop_at = STATES;
	CHECK_OK(follow_run(&run), &run.e);
	sqlite3_close(run.extra);
	for (int i = 2; i <= STATES; i++)
		CHECK_INT(rows[i], want[i]);
	CHECK(!rk_exists(rk_path("readers.db-wal")));
	follow_end(&run);
}

/* The first output is in rollback mode too, so that no reader starts a log. */
TEST(wal_header_is_patched)
{
	struct run run;
	struct mem m = { .data = NULL };
	const char *wal = rk_path("wal-mode.db");

	follow_init(&run, "patched");
	CHECK(follow_make_states() && rk_copy(follow_state(2), wal) && rk_flip(wal, 18, 3) && rk_flip(wal, 19, 3));
	CHECK(rk_diff(run.path, 9, 1, 2, NULL, wal));
	run.stop_at = 2;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK(kit_load(&m, run.output));
	int b18 = m.data[18], b19 = m.data[19];
	mem_free(&m);
	CHECK_INT(b18, 1);
	CHECK_INT(b19, 1);
	/* also when what comes has no page 1, and when it has */
	CHECK(rk_flip(run.output, 18, 3) && rk_flip(run.output, 19, 3));
	CHECK(follow_store(run.path, 0, 3, 3));
	run.stop_at = 3;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK(follow_output_is(run.output, 3));
	follow_end(&run);
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

	follow_init(&run, "nopage1");
	CHECK(follow_resume_at(&run, 2) && kit_load(&a, follow_state(2)) && kit_load(&b, follow_state(3)) &&
	      a.len == b.len);
	memcpy(b.data, a.data, 1024);
	CHECK(memcmp(a.data, b.data, a.len) != 0 && rk_write(mixed, b.data, b.len));
	CHECK(rk_diff(run.path, 0, 3, 3, follow_state(2), mixed));
	mem_free(&a);
	mem_free(&b);
	run.on_started = run.on_applied = read_three;
	run.stop_at = 3;
	CHECK_OK(follow_run(&run), &run.e);
	sqlite3_close(run.extra);
	CHECK_INT(rows[2], 0);
	CHECK_INT(rows[3], 1);
	follow_end(&run);
}

/* ---- the start ---- */

#define SIDECAR "read txid file for crash recovery: parse txid file: "

TEST(resume_needs_its_sidecar)
{
	struct run run;
	char want[1400];

	follow_init(&run, "nosidecar");
	CHECK(follow_store(run.path, 9, 1, 2));
	CHECK(rk_write(run.output, "", 0));
	CHECK_INT(follow_run(&run), -1);
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
		CHECK_INT(follow_run(&run), -1);
		CHECK_STR(run.e.text, bad[i][1]);
	}
	CHECK(rk_write(side, " 0000000000000002 \r\n", 20));
	CHECK_INT(follow_run(&run), -1);
	CHECK_STR(run.e.text, "read page size from database header: EOF");
	follow_end(&run);
}

TEST(nothing_to_restore)
{
	struct run run;

	follow_init(&run, "void");
	CHECK_INT(follow_run(&run), -1);
	CHECK_STR(run.e.text, "no matching backup files available");
	CHECK_INT(run.e.code, ERR_UNAVAILABLE);
	CHECK(!rk_exists(run.output) && !rk_exists(rk_path("void.db-txid")));
	follow_end(&run);
}

TEST(pruned_history)
{
	struct run run;
	char want[2600];

	follow_init(&run, "pruned");
	CHECK(follow_resume_at(&run, 1));
	CHECK(rk_store(run.path, 9, 100, 200, "x", 1, 0));
	CHECK_INT(follow_run(&run), -1);
	snprintf(want, sizeof(want),
	         "cannot resume follow mode: saved TXID 0000000000000001 is behind the earliest snapshot "
	         "(min TXID 0000000000000064); replica history has been pruned -- delete %s and %s-txid to re-restore",
	         run.output, run.output);
	want[ERR_TEXT_SIZE - 1] = '\0';
	CHECK_STR(run.e.text, want);
	follow_end(&run);
}

/* Increments run ahead of snapshots: that is how it always is. */
TEST(ahead_of_the_snapshot)
{
	struct run run;

	follow_init(&run, "ahead");
	CHECK(follow_resume_at(&run, 9));
	CHECK(follow_store(run.path, 9, 1, 5));
	for (int i = 6; i <= 10; i++)
		CHECK(follow_store(run.path, 0, i, i));
	run.stop_at = 10;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK_INT(run.started_at, 9);
	CHECK(follow_output_is(run.output, 10));
	follow_end(&run);
}

TEST(stale_log_is_refused)
{
	struct run run;
	const char *wal;

	follow_init(&run, "stale");
	wal = rk_path("stale.db-wal");
	CHECK(follow_resume_at(&run, 2) && follow_store(run.path, 9, 1, 2) && rk_write(wal, "x", 1));
	CHECK_INT(follow_run(&run), -1);
	CHECK_INT(run.e.code, ERR_EXISTS);
	CHECK(strstr(run.e.text, wal) != NULL);
	unlink(wal);
	follow_end(&run);
}

TEST_MAIN
