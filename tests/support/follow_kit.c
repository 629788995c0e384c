/* SPDX-License-Identifier: MIT */
#include "tests/support/follow_kit.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/os/fault.h"
#include "lib/restore/internal.h"

const char *follow_state(int n)
{
	char name[32];

	snprintf(name, sizeof(name), "state-%d.db", n);
	return rk_path(name);
}

bool follow_make_states(void)
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
		if (rc == SQLITE_OK && !rk_copy(rk_path("source.db"), follow_state(i)))
			rc = SQLITE_IOERR;
	}
	sqlite3_close(db);
	return made = rc == SQLITE_OK;
}

bool follow_store(const char *path, int level, int from, int to)
{
	return follow_make_states() &&
	       rk_diff(path, level, (uint64_t)from, (uint64_t)to, from > 1 ? follow_state(from - 1) : NULL, follow_state(to));
}

bool follow_output_is(const char *output, int n)
{
	struct mem a = { .data = NULL }, b = { .data = NULL };
	bool same = kit_load(&a, output) && kit_load(&b, follow_state(n)) && a.len == b.len;

	for (int i = 24; i < 28 && same; i++)
		a.data[i] = b.data[i];
	same = same && memcmp(a.data, b.data, a.len) == 0;
	mem_free(&a);
	mem_free(&b);
	return same;
}

int follow_sidecar(const char *output)
{
	uint64_t txid = 0;
	struct err e = ERR_INIT;

	return txid_file_read(output, &txid, &e) == 0 ? (int)txid : -1;
}

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

void follow_init(struct run *run, const char *name)
{
	char output[64];

	alarm(60); /* what spins for ever is an error */
	os_fault_clock(1000, 1000);
	snprintf(output, sizeof(output), "%s.db", name);
	*run = (struct run){ .path = rk_path(name), .output = rk_path(output) };
	replica_file_create(run->path, &run->r, NULL);
}

int follow_run(struct run *run)
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

void follow_end(struct run *run)
{
	replica_free(run->r);
}

bool follow_resume_at(struct run *run, int txid)
{
	return follow_make_states() && rk_copy(follow_state(txid), run->output) && txid_file_write(run->output, (uint64_t)txid, NULL) == 0;
}

bool follow_store_next(struct run *run)
{
	int next = (int)run->reached + 1;

	return next > STATES || !follow_store(run->path, 0, next, next);
}
