/* SPDX-License-Identifier: MIT */
/*
 * Follow mode in trouble (follow_kit.h): gaps and what bridges them, a replica that began anew, damage, readers in the
 * way, kills at any moment, and calls that fail.
 */
#include <errno.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/os/fault.h"
#include "tests/check.h"
#include "tests/support/follow_kit.h"

/* ---- gaps ---- */

TEST(gap_bridged_by_a_level)
{
	struct run run;

	follow_init(&run, "gap");
	CHECK(follow_resume_at(&run, 2));
	CHECK(follow_store(run.path, 1, 2, 5) && follow_store(run.path, 0, 7, 7) && follow_store(run.path, 2, 4, 6) &&
	      follow_store(run.path, 0, 8, 8));
	run.stop_at = 8;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK_INT(run.warnings, 0);
	CHECK(follow_output_is(run.output, 8));
	follow_end(&run);
}

TEST(level_zero_emptied)
{
	struct run run;

	follow_init(&run, "emptied");
	CHECK(follow_resume_at(&run, 2));
	CHECK(follow_store(run.path, 3, 2, 9));
	run.stop_at = 9;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK(follow_output_is(run.output, 9));
	follow_end(&run);
}

TEST(gap_bridged_by_a_snapshot)
{
	struct run run;

	follow_init(&run, "snapshot");
	CHECK(follow_resume_at(&run, 10)); /* larger than what comes */
	CHECK(follow_store(run.path, 9, 1, 11) && follow_store(run.path, 0, 12, 12));
	run.stop_at = 12;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK(follow_output_is(run.output, 12));
	follow_end(&run);
}

static bool stop_after_three(struct run *run)
{
	return run->warnings == 3;
}

TEST(gap_without_a_bridge_is_said)
{
	struct run run;

	follow_init(&run, "stuck");
	CHECK(follow_resume_at(&run, 2) && follow_store(run.path, 0, 4, 4));
	run.on_warn = stop_after_three;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK_STR(run.warned, "follow: error applying updates: no progress: the replica has transactions up to "
	          "0000000000000004, but none that follow 0000000000000002");
	CHECK(follow_output_is(run.output, 2));
	CHECK_INT(follow_sidecar(run.output), 2);
	follow_end(&run);
}

TEST(replica_that_began_anew)
{
	struct run run;

	follow_init(&run, "anew");
	CHECK(follow_resume_at(&run, 9));
	CHECK(follow_store(run.path, 9, 1, 3) && follow_store(run.path, 0, 4, 4));
	run.stop_at = 4;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK(follow_output_is(run.output, 4));
	CHECK_INT(follow_sidecar(run.output), 4);
	CHECK(!rk_exists(rk_path("anew.db.new")));
	follow_end(&run);
}

/* ---- trouble ---- */

static bool store_five(struct run *run)
{
	return !follow_store(run->path, 0, 5, 5);
}

TEST(damaged_file_that_is_replaced)
{
	struct run run;

	follow_init(&run, "damaged");
	CHECK(follow_resume_at(&run, 3));
	CHECK(follow_store(run.path, 0, 4, 4) && follow_store(run.path, 0, 5, 5) &&
	      rk_flip(rk_file(run.path, 0, 5, 5), 300, 1));
	run.on_warn = store_five;
	run.stop_at = 5;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK(run.warnings >= 1);
	CHECK(strstr(run.warned, "decode database: ltx/0/0000000000000005-0000000000000005.ltx: ") != NULL);
	CHECK(follow_output_is(run.output, 5));
	follow_end(&run);
}

TEST(around_a_damaged_file)
{
	struct run run;

	follow_init(&run, "bypass");
	CHECK(follow_resume_at(&run, 3));
	CHECK(follow_store(run.path, 0, 4, 4) && follow_store(run.path, 1, 2, 6) &&
	      rk_flip(rk_file(run.path, 0, 4, 4), 300, 1));
	run.stop_at = 6;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK_INT(run.warnings, 1);
	CHECK(follow_output_is(run.output, 6));
	follow_end(&run);
}

/* Nothing of a damaged file may get into the database, not even when its end alone is wrong. */
static bool check_unchanged(struct run *run)
{
	if (!follow_output_is(run->output, 3) || follow_sidecar(run->output) != 3)
		strcpy(run->warned, "changed");
	return true;
}

TEST(damage_is_seen_before_anything_is_written)
{
	struct run run;

	follow_init(&run, "untouched");
	CHECK(follow_resume_at(&run, 3));
	CHECK(follow_store(run.path, 0, 4, 4) && rk_flip(rk_file(run.path, 0, 4, 4), -1, 1));
	run.on_warn = check_unchanged;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK(strstr(run.warned, "ltx/0/0000000000000004-0000000000000004.ltx") != NULL);
	follow_end(&run);
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

	follow_init(&run, "busy");
	CHECK(follow_resume_at(&run, 3) && follow_store(run.path, 0, 4, 4));
	CHECK_INT(sqlite3_open(run.output, &db), SQLITE_OK);
	CHECK_INT(sqlite3_exec(db, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
	run.extra = db;
	run.on_warn = end_read;
	run.stop_at = 4;
	CHECK_OK(follow_run(&run), &run.e);
	CHECK_INT(run.warnings, 2);
	CHECK(strstr(run.warned, "database is locked") != NULL);
	CHECK(follow_output_is(run.output, 4));
	/* and nobody is locked out afterwards */
	CHECK_INT(sqlite3_exec(db, "BEGIN IMMEDIATE; ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	follow_end(&run);
}

/* ---- kills ---- */

/* A child that is killed at its n-th call of these kinds; then we go on where it was. */
static bool kill_and_resume(const char *name, int from, unsigned calls, uint64_t at, bool *killed)
{
	struct run run;
	int status = 0;

	follow_init(&run, name);
	pid_t pid = fork();
	if (pid == 0) {
		run.stop_at = STATES;
		os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_KILL, .at = at, .calls = calls });
		_exit(follow_run(&run) != 0);
	}
	waitpid(pid, &status, 0);
	*killed = WIFSIGNALED(status);
	/* before it had a name there may be nothing; with a name there is a sidecar */
	bool ok = !rk_exists(run.output) || follow_sidecar(run.output) >= from;
	run.stop_at = STATES;
	if (follow_sidecar(run.output) != STATES || !rk_exists(run.output))
		ok = ok && follow_run(&run) == 0;
	ok = ok && follow_output_is(run.output, STATES) && follow_sidecar(run.output) == STATES;
	if (!ok)
		printf("%s: kill at %d of %x: %s %s\n", name, (int)at, calls, run.e.text, run.warned);
	follow_end(&run);
	return ok;
}

TEST(killed_at_any_moment)
{
	const unsigned calls = OS_CALL_WRITE | OS_CALL_SYNC | OS_CALL_TRUNCATE | OS_CALL_NAME;
	const char *path = rk_path("killed");
	bool killed = true;
	uint64_t at;

	CHECK(follow_store(path, 9, 1, 3));
	for (int i = 4; i <= STATES; i++)
		CHECK(follow_store(path, 0, i, i));
	for (at = 1; killed && at < 200; at++) {
		unlink(rk_path("killed.db"));
		unlink(rk_path("killed.db-txid"));
		CHECK(kill_and_resume("killed", 3, calls, at, &killed));
	}
	CHECK(at > 10);
	/* in the middle of following */
	killed = true;
	for (at = 1; killed && at < 200; at++) {
		CHECK(rk_copy(follow_state(3), rk_path("killed.db")) &&
		      rk_write(rk_path("killed.db-txid"), "0000000000000003\n", 17));
		CHECK(kill_and_resume("killed", 3, calls, at, &killed));
	}
	CHECK(at > 6);
}

/* ---- failing calls ---- */

/* The n-th call fails, once: it is tried again, or it was the first restore, which then has left nothing. */
TEST(failing_calls)
{
	static const unsigned kinds[] = {
		OS_CALL_OPEN, OS_CALL_READ, OS_CALL_WRITE, OS_CALL_SYNC, OS_CALL_TRUNCATE, OS_CALL_NAME, OS_CALL_LOOK,
		OS_CALL_LOCK,
	};
	const char *path = rk_path("failing"), *output = rk_path("failing.db");
	struct run run;

	CHECK(follow_store(path, 9, 1, 3));
	for (int i = 4; i <= STATES; i++)
		CHECK(follow_store(path, 0, i, i));
	for (size_t i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++) {
		bool hit = true, resume = i % 2;

		for (uint64_t at = 1; hit && at < 100; at++) {
			follow_init(&run, "failing");
			unlink(output);
			unlink(rk_path("failing.db-txid"));
			CHECK(!resume || follow_resume_at(&run, 3));
			run.stop_at = STATES;
			os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = at, .calls = kinds[i / 2],
			                                      .errnum = EIO });
			follow_run(&run);
			hit = os_fault_hit();
			os_fault_set(NULL);
			if (run.rc != 0) {
				CHECK(run.e.text[0] != '\0');
				CHECK(!rk_exists(output) || follow_sidecar(output) == 3 ||
				      follow_sidecar(output) == STATES);
				CHECK_OK(follow_run(&run), &run.e);
			}
			CHECK(follow_output_is(output, STATES));
			CHECK_INT(follow_sidecar(output), STATES);
			follow_end(&run);
		}
		CHECK(!hit);
	}
}

TEST_MAIN
