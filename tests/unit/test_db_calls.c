/* SPDX-License-Identifier: MIT */
/*
 * test_db_calls.c - what may happen at any kernel call of a sync with a checkpoint in it, SQLite's calls included: it
 * fails, or the application does something. Every call has its turn.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/check.h"
#include "lib/os/fault.h"
#include "tests/support/rig.h"

static struct rig g;

static bool begin(const char *name)
{
	if (os_fault_vfs() || rig_init(&g, name))
		return false;
	/* Retries and waits take no time. */
	os_fault_clock(1700000000000, 1000000);
	g.o.min_checkpoint_pages = 10;
	return !rig_fill(&g, 30, 500) && !rig_start(&g) && rig_good(&g);
}

static void end(void)
{
	os_fault_set(NULL);
	os_fault_hook(NULL, NULL);
	os_fault_clock(0, 0);
	rig_free(&g);
}

/* ---- failures ---- */

/* One plan, n = 1, 2, … until a run passes untouched; after each a sync without faults must bring a true chain. */
static bool fail_each(struct os_fault_plan plan, int *runs)
{
	for (*runs = 1; *runs < 2000; ++*runs) {
		bool hit;

		plan.at = (uint64_t)*runs;
		if (rig_sql(&g, "UPDATE t SET b=randomblob(600) WHERE id<20")) {
			printf("the application cannot write: %s\n", sqlite3_errmsg(g.app));
			return false;
		}
		/* Checkpoints that readers or faults kept from working are not tried again at once. */
		os_fault_clock_advance(20 * 1000000);
		os_fault_set(&plan);
		if (rig_sync(&g) && !g.e.text[0]) {
			printf("a failure without a word, call %d\n", *runs);
			return false;
		}
		hit = os_fault_hit();
		os_fault_set(NULL);
		if (!rig_good(&g)) {
			printf("after errno %d at call %d, mode %d, calls %x\n", plan.errnum, *runs, (int)plan.mode, plan.calls);
			return false;
		}
		if (!hit)
			return true;
	}
	return false;
}

/* From the opening on, with the meta directory as it is: a new engine each time. */
static bool fail_each_start(struct os_fault_plan plan, int *runs)
{
	for (*runs = 1; *runs < 2000; ++*runs) {
		bool hit;

		plan.at = (uint64_t)*runs;
		rig_stop(&g);
		if (rig_sql(&g, "UPDATE t SET b=randomblob(600) WHERE id<5") || rig_start(&g))
			return false;
		os_fault_set(&plan);
		(void)rig_sync(&g);
		hit = os_fault_hit();
		os_fault_set(NULL);
		if (!rig_good(&g)) {
			printf("after errno %d at call %d of a start, mode %d\n", plan.errnum, *runs, (int)plan.mode);
			return false;
		}
		if (!hit)
			return true;
	}
	return false;
}

static bool all_plans(bool (*each)(struct os_fault_plan plan, int *runs), int runs_min)
{
	static const int errnums[] = { ENOSPC, EIO, EMFILE };
	static const enum os_fault_mode modes[] = { OS_FAULT_ONCE, OS_FAULT_FROM, OS_FAULT_SHORT };

	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 3; j++) {
			struct os_fault_plan plan = { .mode = modes[j], .errnum = errnums[i], .sqlite_too = true };
			int runs = 0;

			if (modes[j] == OS_FAULT_SHORT)
				plan.calls = OS_CALL_WRITE;
			if (!each(plan, &runs) || (modes[j] == OS_FAULT_ONCE && runs < runs_min)) {
				printf("stopped in run %d\n", runs);
				return false;
			}
		}
	}
	return true;
}

TEST(any_call_of_a_sync_fails)
{
	bool ok = begin("fail") && all_plans(fail_each, 60);
	int64_t copies = ok && g.applied > 200;

	ok = ok && rig_upload(&g) == UPLOAD_DRAINED && rig_restore(&g, 0, true);
	end();
	CHECK(ok);
	CHECK(copies);
}

TEST(any_call_of_a_start_fails)
{
	bool ok = begin("start") && all_plans(fail_each_start, 40);

	end();
	CHECK(ok);
}

/* Older files would only be more to list. */
static bool keep_newest(struct rig *k)
{
	struct replica_list files = { 0 };
	bool ok = !replica_list_levels(k->replica, 0, 0, false, &files, &k->e) &&
	          !k->replica->ops->remove(k->replica, files.items, files.count - 1, &k->e);

	replica_list_free(&files);
	return ok;
}

/* Local state lost, replica ahead: the fetch of its newest file may fail anywhere, and no TXID may come twice. */
TEST(any_call_of_a_recovery_fails)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .errnum = EIO, .sqlite_too = true };
	bool ok = begin("recovery"), hit = true;
	char meta[400];

	snprintf(meta, sizeof(meta), "%s/.app.db-litestream", g.dir);
	ok = ok && rig_upload(&g) == UPLOAD_DRAINED;
	for (plan.at = 1; ok && hit && plan.at < 2000; plan.at++) {
		uint64_t newest = g.applied;
		char path[400];

		rig_stop(&g);
		ok = !os_dir_remove_all(meta, &g.e) && !rig_sql(&g, "UPDATE t SET b=randomblob(600) WHERE id<5") && !rig_start(&g);
		os_fault_set(&plan);
		if (ok)
			(void)rig_sync(&g);
		hit = os_fault_hit();
		os_fault_set(NULL);
		ok = ok && rig_good(&g) && db_txid(g.db) > newest && !rig_exists(rig_local(&g, newest - 1, path)) &&
		     rig_upload(&g) == UPLOAD_DRAINED && keep_newest(&g);
		if (!ok)
			printf("call %llu\n", (unsigned long long)plan.at);
	}
	ok = ok && plan.at > 40 && plan.at < 2000;
	end();
	CHECK(ok);
}

TEST(any_call_of_an_upload_fails)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .errnum = ENOSPC };
	bool ok = begin("upload"), hit = true;

	for (plan.at = 1; ok && hit && plan.at < 500; plan.at++) {
		ok = !rig_sql(&g, "UPDATE t SET b=randomblob(600) WHERE id<5") && rig_good(&g);
		os_fault_set(&plan);
		if (ok)
			(void)rig_upload(&g);
		hit = os_fault_hit();
		os_fault_set(NULL);
		ok = ok && rig_upload(&g) == UPLOAD_DRAINED && g.upload.position == g.applied;
		if (!ok)
			printf("call %llu: %s\n", (unsigned long long)plan.at, g.e.text);
	}
	ok = ok && plan.at > 10 && rig_restore(&g, 0, true);
	end();
	CHECK(ok);
}

/* ---- the application acts ---- */

enum act { WRITES, CHECKPOINTS, RESTARTS, TRUNCATES, VACUUMS, GOES };

static struct {
	enum act act;
	int at, seen;
} guest;

static void on_call(void *ctx, enum os_call call)
{
	(void)ctx;
	(void)call;
	if (++guest.seen != guest.at)
		return;
	/* Much of it fails, as it should: a lock is held. */
	switch (guest.act) {
	case WRITES:
		break;
	case CHECKPOINTS:
		rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE);
		break;
	case RESTARTS:
		rig_checkpoint(&g, SQLITE_CHECKPOINT_RESTART);
		break;
	case TRUNCATES:
		rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE);
		break;
	case VACUUMS:
		rig_sql(&g, "DELETE FROM t WHERE id>40");
		rig_sql(&g, "VACUUM");
		rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE);
		break;
	case GOES:
		rig_app_close(&g);
		rig_app_open(&g);
		break;
	}
	rig_sql(&g, "UPDATE t SET b=randomblob(300) WHERE id BETWEEN 3 AND 6");
	rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE);
	rig_sql(&g, "INSERT OR REPLACE INTO t VALUES(50, randomblob(2000))");
}

/* before: what the sync will find; stride: every call, or some of many. */
static bool act_at_each(enum act act, const char *before, bool fresh_engine, int stride)
{
	for (int at = 1; at < 6000; at += at < 60 ? 1 : stride) {
		os_fault_hook(NULL, NULL);
		if (fresh_engine)
			rig_stop(&g);
		if (rig_sql(&g, "%s", before) || (fresh_engine && rig_start(&g)))
			return false;
		os_fault_clock_advance(20 * 1000000);
		guest.act = act;
		guest.at = at;
		guest.seen = 0;
		os_fault_hook(on_call, NULL);
		(void)rig_sync(&g);
		os_fault_hook(NULL, NULL);
		if (!rig_good(&g)) {
			printf("act %d at call %d of %d\n", (int)act, at, guest.seen);
			return false;
		}
		if (guest.seen < at)
			return true;
	}
	return false;
}

TEST(the_application_acts_at_any_call_of_a_checkpoint)
{
	bool ok = begin("act");

	for (int act = WRITES; ok && act <= GOES; act++)
		ok = act_at_each((enum act)act, "UPDATE t SET b=randomblob(600) WHERE id<20", false, 1);
	end();
	CHECK(ok);
}

/* A log so long that it is moved in bulk first. */
TEST(the_application_acts_at_any_call_of_a_long_checkpoint)
{
	bool ok = begin("long");

	for (int act = WRITES; ok && act <= TRUNCATES; act++)
		ok = act_at_each((enum act)act, "INSERT OR REPLACE INTO t VALUES(60, randomblob(300000))", false, 29);
	end();
	CHECK(ok);
}

TEST(the_application_acts_at_any_call_of_a_start)
{
	bool ok = begin("act_start");

	for (int act = WRITES; ok && act <= TRUNCATES; act++)
		ok = act_at_each((enum act)act, "UPDATE t SET b=randomblob(600) WHERE id<20; PRAGMA wal_checkpoint", true, 1);
	end();
	CHECK(ok);
}

/* The full copy of a log that was moved completely: nothing but our lock and our looking twice protects it. */
TEST(the_application_acts_at_any_call_of_a_full_copy)
{
	bool ok = begin("act_copy");

	for (int act = WRITES; ok && act <= TRUNCATES; act++)
		ok = act_at_each((enum act)act, "UPDATE t SET b=randomblob(600) WHERE id<20; PRAGMA wal_checkpoint(truncate);"
		                 "UPDATE t SET b=1 WHERE id=1; PRAGMA wal_checkpoint", true, 1);
	end();
	CHECK(ok);
}

/* ---- the operator acts ---- */

/*
 * Database, log and wal-index are deleted and made anew, while the engine is in the middle of something. By another
 * process, which then stays connected: two databases of one name in one process would share what they must not.
 */
static struct {
	pid_t pid;
	int go; /* closed: the other process may end */
} owner;

static void own_new_database(int ready, int go)
{
	char byte = 0;

	os_fault_hook(NULL, NULL);
	if (rig_app_open(&g) || rig_sql(&g, "CREATE TABLE t(id INTEGER PRIMARY KEY, b); CREATE INDEX tb ON t(b)") ||
	    rig_fill(&g, 40, 300) || write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 0)
		_exit(1);
	_exit(0);
}

static void exchange(void *ctx, enum os_call call)
{
	int ready[2], go[2];
	char path[400];

	(void)ctx;
	(void)call;
	if (++guest.seen != guest.at)
		return;
	rig_app_close(&g);
	os_unlink(g.path, NULL);
	os_unlink(rig_beside(&g, "-wal", path), NULL);
	os_unlink(rig_beside(&g, "-shm", path), NULL);
	if (pipe(ready) || pipe(go))
		return;
	owner.pid = fork();
	if (owner.pid == 0) {
		close(go[1]);
		own_new_database(ready[1], go[0]);
	}
	close(ready[1]);
	close(go[0]);
	(void)!read(ready[0], path, 1);
	close(ready[0]);
	owner.go = go[1];
}

/* The application is ours again. */
static bool come_back(void)
{
	int status = 0;

	if (!owner.pid)
		return true;
	close(owner.go);
	waitpid(owner.pid, &status, 0);
	owner.pid = 0;
	return status == 0 && !rig_app_open(&g);
}

static bool is_sound(void)
{
	sqlite3_stmt *s = NULL;
	bool ok = sqlite3_prepare_v2(g.app, "PRAGMA integrity_check", -1, &s, NULL) == SQLITE_OK &&
	          sqlite3_step(s) == SQLITE_ROW && !strcmp((const char *)sqlite3_column_text(s, 0), "ok");

	if (!ok)
		printf("the database is damaged: %s\n", sqlite3_errmsg(g.app));
	sqlite3_finalize(s);
	return ok && rig_int(&g, "SELECT count(*) FROM t WHERE id <= 40") == 40;
}

static bool exchange_at_each(bool fresh_engine)
{
	for (int at = 1; at < 2000; at++) {
		if (fresh_engine)
			rig_stop(&g);
		if (rig_sql(&g, "UPDATE t SET b=randomblob(200) WHERE id<20; PRAGMA wal_checkpoint") ||
		    (fresh_engine && rig_start(&g)))
			return false;
		os_fault_clock_advance(20 * 1000000);
		guest.at = at;
		guest.seen = 0;
		os_fault_hook(exchange, NULL);
		(void)rig_sync(&g);
		os_fault_hook(NULL, NULL);
		if (!come_back() || !is_sound() || !rig_good(&g) || !is_sound()) {
			printf("exchanged at call %d%s\n", at, fresh_engine ? " of a start" : "");
			return false;
		}
		if (guest.seen < at)
			return true;
	}
	return false;
}

/* The engine must not write what belongs to the old files to the new ones. */
TEST(the_files_are_exchanged_at_any_call)
{
	bool ok = begin("exchange") && exchange_at_each(true) && exchange_at_each(false);

	end();
	CHECK(ok);
}

TEST_MAIN
