/* SPDX-License-Identifier: MIT */
/* test_store_ops.c - what a running store is asked to do: each call answered once, truly, in whatever order they come. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/support/store_kit.h"

enum { SECOND = SK_SECOND };

static struct store_kit k;

/* A call that remembers what came of it. */
struct ask {
	struct store_call c;
	int answers;
};

static void on_done(struct store_call *c)
{
	((struct ask *)(void *)c)->answers++;
}

static struct ask *fresh(struct ask *a, int64_t timeout_us)
{
	memset(a, 0, sizeof(*a));
	a->c.done = on_done;
	a->c.deadline_us = timeout_us ? os_mono_us() + timeout_us : 0;
	return a;
}

static bool run(int64_t us) { return sk_run(&k, us); }
static const char *path(int i) { return k.g[i].path; }

static void start(struct ask *a, int i) { store_start(k.store, path(i), &fresh(a, 0)->c); }
static void halt(struct ask *a, int i) { store_halt(k.store, path(i), &fresh(a, 0)->c); }
static void drop(struct ask *a, int i) { store_remove(k.store, path(i), &fresh(a, 0)->c); }
static void sync_now(struct ask *a, int i, bool wait) { store_sync(k.store, path(i), wait, &fresh(a, 0)->c); }
static void await(struct ask *a, int i, uint64_t txid) { store_wait(k.store, path(i), txid, false, &fresh(a, 0)->c); }

static bool done(const struct ask *a, enum store_outcome outcome)
{
	if (a->answers == 1 && !a->c.rc && a->c.outcome == outcome)
		return true;
	printf("%d answers, rc %d, outcome %d: %s\n", a->answers, a->c.rc, a->c.outcome, a->c.why.text);
	return false;
}

static bool refused(const struct ask *a, enum err_code code, const char *text)
{
	if (a->answers == 1 && a->c.rc == -1 && err_is(&a->c.why, code) && strstr(a->c.why.text, text))
		return true;
	printf("%d answers, rc %d, code %d: %s\n", a->answers, a->c.rc, a->c.why.code, a->c.why.text);
	return false;
}

static int insert(int i, int n)
{
	return rig_sql(&k.g[i], "INSERT OR REPLACE INTO t VALUES(%d, randomblob(100))", n);
}

TEST(start_and_halt_are_idempotent)
{
	struct ask a[4];

	CHECK(sk_begin(&k, "idem", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(SECOND));
	start(&a[0], 0);
	CHECK(done(&a[0], STORE_ALREADY));
	CHECK_INT(insert(0, 1), SQLITE_OK);
	halt(&a[0], 0);
	halt(&a[1], 0);
	start(&a[2], 0);
	halt(&a[3], 0);
	CHECK(run(5 * SECOND));
	CHECK(done(&a[0], STORE_DONE));
	CHECK(done(&a[1], STORE_ALREADY));
	CHECK(done(&a[2], STORE_DONE));
	CHECK(done(&a[3], STORE_DONE));
	CHECK_INT(sk_status(&k, 0).state, MANAGED_STOPPED);
	CHECK(!db_is_open(k.m[0]->db));
	CHECK(sk_restores(&k, 0, 0));
	CHECK(a[0].c.txid == sk_status(&k, 0).txid && a[0].c.replicated_txid == a[0].c.txid);
	CHECK_INT(k.events[STORE_EVENT_STOPPED], 2);
	start(&a[0], 0);
	CHECK(done(&a[0], STORE_DONE));
	CHECK_INT(insert(0, 2), SQLITE_OK);
	CHECK(run(5 * SECOND));
	CHECK(sk_replicated(&k, 0));
	sk_end(&k);
}

TEST(unknown_and_closed_databases)
{
	struct ask a;

	CHECK(sk_begin(&k, "unknown", 1));
	start(&a, 0);
	CHECK(refused(&a, ERR_NOT_FOUND, "database not found: "));
	halt(&a, 0);
	CHECK(refused(&a, ERR_NOT_FOUND, "database not found: "));
	sync_now(&a, 0, true);
	CHECK(refused(&a, ERR_NOT_FOUND, "database not found: "));
	await(&a, 0, 1);
	CHECK(refused(&a, ERR_NOT_FOUND, "database not found: "));
	drop(&a, 0);
	CHECK(done(&a, STORE_ALREADY));
	k.managed.enabled = false;
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(SECOND));
	CHECK_INT(sk_status(&k, 0).state, MANAGED_STOPPED);
	sync_now(&a, 0, false);
	CHECK(refused(&a, ERR_BUSY, "database not open: "));
	await(&a, 0, 0);
	CHECK(refused(&a, ERR_BUSY, "database not open: "));
	halt(&a, 0);
	CHECK(done(&a, STORE_ALREADY));
	drop(&a, 0);
	CHECK(done(&a, STORE_DONE));
	CHECK_INT(store_count(k.store), 0);
	CHECK(run(SECOND));
	sk_end(&k);
}

TEST(removed_and_registered_again_at_once)
{
	struct ask a, b;

	CHECK(sk_begin(&k, "again", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(SECOND));
	CHECK_INT(insert(0, 1), SQLITE_OK);
	drop(&a, 0);
	CHECK_INT(a.answers, 0);
	CHECK(!store_find(k.store, path(0)));
	CHECK(sk_add(&k, 0, 1));
	sync_now(&b, 0, true);
	CHECK(run(10 * SECOND));
	CHECK(done(&a, STORE_DONE));
	CHECK(done(&b, STORE_DONE));
	CHECK(sk_replicated(&k, 0));
	CHECK(!k.store->leaving && !k.store->dead);
	CHECK_INT(k.events[STORE_EVENT_UNREGISTERED], 1);
	CHECK_INT(k.events[STORE_EVENT_ERROR], 0);
	sk_end(&k);
}

/* One may be open at a time (turns.c): nothing that is asked for is refused for that, it takes longer. */
TEST(calls_wait_for_their_turn)
{
	struct ask a[4];

	CHECK(sk_begin(&k, "turn", 4));
	k.options.open_max = 1;
	CHECK(sk_again(&k));
	for (int i = 0; i < 4; i++)
		CHECK(sk_add(&k, i, 1));
	CHECK(run(20 * SECOND));
	for (int i = 0; i < 4; i++)
		CHECK_INT(insert(i, 1), SQLITE_OK);
	sync_now(&a[0], 0, true);
	await(&a[1], 1, 0);
	halt(&a[2], 2);
	drop(&a[3], 3);
	CHECK(run(20 * SECOND));
	for (int i = 0; i < 4; i++)
		CHECK(done(&a[i], STORE_DONE));
	for (int i = 0; i < 4; i++)
		CHECK(sk_restores(&k, i, 0));
	CHECK_INT(k.store->starved, 0);
	CHECK(!k.store->turn_first);
	/* Asked of those that wait. */
	for (int i = 0; i < 3; i++)
		CHECK_INT(insert(i, 2), SQLITE_OK);
	start(&a[2], 2);
	CHECK(run(10));
	halt(&a[3], 2);
	drop(&a[0], 0);
	start(&a[1], 1);
	CHECK(done(&a[1], STORE_ALREADY));
	CHECK(run(20 * SECOND));
	CHECK(done(&a[0], STORE_DONE) && done(&a[3], STORE_DONE));
	for (int i = 0; i < 3; i++)
		CHECK(sk_restores(&k, i, 0));
	CHECK_INT(k.store->open_count, k.m[1]->seated);
	CHECK_INT(k.events[STORE_EVENT_ERROR], 0);
	sk_end(&k);
}

TEST(a_halt_ends_at_its_deadline)
{
	struct ask a;

	CHECK(sk_begin(&k, "deadline", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(SECOND));
	CHECK_INT(insert(0, 1), SQLITE_OK);
	k.shaky[0][0]->down = true;
	store_halt(k.store, path(0), &fresh(&a, 5 * SECOND)->c);
	CHECK(run(4 * SECOND));
	CHECK_INT(a.answers, 0);
	CHECK(run(2 * SECOND));
	CHECK_INT(a.answers, 1);
	CHECK_INT(a.c.rc, -1);
	CHECK_INT(sk_status(&k, 0).state, MANAGED_STOPPED);
	k.shaky[0][0]->down = false;
	start(&a, 0);
	CHECK(run(30 * SECOND));
	CHECK(sk_replicated(&k, 0));
	sk_end(&k);
}

TEST(a_sync_sees_what_was_committed_before)
{
	struct ask a[3];

	CHECK(sk_begin(&k, "sees", 1));
	k.managed.monitor_interval_ms = 0; /* nothing happens by itself */
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(100LL * SECOND));
	CHECK_INT((int)sk_status(&k, 0).txid, 0);
	sync_now(&a[0], 0, false);
	CHECK(run(0));
	CHECK(done(&a[0], STORE_DONE));
	CHECK(a[0].c.changed);
	sync_now(&a[0], 0, false);
	CHECK(run(0));
	CHECK(done(&a[0], STORE_DONE));
	CHECK(!a[0].c.changed);
	CHECK_INT(insert(0, 1), SQLITE_OK);
	sync_now(&a[0], 0, true);
	sync_now(&a[1], 0, true);
	CHECK_INT(insert(0, 2), SQLITE_OK);
	sync_now(&a[2], 0, true);
	CHECK(run(0));
	for (int i = 0; i < 3; i++)
		CHECK(done(&a[i], STORE_DONE));
	CHECK(sk_replicated(&k, 0));
	sk_end(&k);
}

TEST(failures_of_a_sync)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_SYNC, .errnum = EIO };
	struct ask a;

	CHECK(sk_begin(&k, "failures", 2));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(100LL * SECOND));
	k.shaky[0][0]->down = true;
	CHECK_INT(insert(0, 1), SQLITE_OK);
	sync_now(&a, 0, true);
	CHECK(run(3 * SECOND));
	CHECK(refused(&a, ERR_SYSTEM, "replica sync: the network is down"));
	sync_now(&a, 0, false);
	CHECK(run(0));
	CHECK(done(&a, STORE_DONE));
	k.shaky[0][0]->down = false;
	sync_now(&a, 0, true);
	CHECK(run(3 * SECOND)); /* whatever the backoff has grown to */
	CHECK(done(&a, STORE_DONE));
	os_fault_set(&plan);
	CHECK_INT(insert(0, 2), SQLITE_OK);
	sync_now(&a, 0, true);
	CHECK(run(0));
	CHECK(a.answers == 1 && a.c.rc && strstr(a.c.why.text, "db sync: ") == a.c.why.text);
	os_fault_set(NULL);
	rig_app_close(&k.g[1]);
	CHECK_OK(os_unlink(path(1), &k.e), &k.e);
	CHECK(sk_add(&k, 1, 1));
	CHECK(run(SECOND));
	sync_now(&a, 1, true);
	CHECK(run(SECOND));
	CHECK(refused(&a, ERR_NOT_FOUND, "replica sync: no position, waiting for data"));
	sync_now(&a, 1, false);
	CHECK(run(SECOND));
	CHECK(done(&a, STORE_DONE));
	store_sync(k.store, path(0), true, &fresh(&a, -1)->c);
	CHECK(refused(&a, ERR_CANCELLED, "context deadline exceeded"));
	sk_end(&k);
}

TEST(a_thousand_waiting_callers_share_one_upload)
{
	static struct ask a[1000];
	int puts;

	CHECK(sk_begin(&k, "thousand", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(100LL * SECOND));
	puts = k.shaky[0][0]->l0_puts;
	CHECK_INT(insert(0, 1), SQLITE_OK);
	for (int i = 0; i < 1000; i++)
		await(&a[i], 0, 0);
	CHECK(run(SECOND));
	for (int i = 0; i < 1000; i++)
		CHECK(a[i].answers == 1 && !a[i].c.rc && a[i].c.replicated_txid >= a[i].c.txid && a[i].c.txid);
	CHECK_INT(k.shaky[0][0]->l0_puts - puts, 1);
	sk_end(&k);
}

TEST(waiting_lasts_until_it_is_true_or_over)
{
	struct ask a, b;

	CHECK(sk_begin(&k, "lasts", 1));
	CHECK(sk_add(&k, 0, 2));
	CHECK(run(100LL * SECOND));
	await(&a, 0, 1);
	CHECK(done(&a, STORE_DONE)); /* at once */
	k.shaky[0][1]->down = true;
	CHECK_INT(insert(0, 1), SQLITE_OK);
	store_wait(k.store, path(0), 0, false, &fresh(&a, 60 * SECOND)->c);
	store_wait(k.store, path(0), 0, true, &fresh(&b, 60 * SECOND)->c);
	CHECK(run(20 * SECOND));
	CHECK_INT(a.answers, 0);
	CHECK(done(&b, STORE_DONE)); /* any */
	k.shaky[0][1]->down = false;
	CHECK(run(3 * SECOND)); /* nobody waits through a long backoff */
	CHECK(done(&a, STORE_DONE));
	/* A TXID that does not come. */
	store_wait(k.store, path(0), 1000, false, &fresh(&a, 10 * SECOND)->c);
	CHECK(run(11 * SECOND));
	CHECK(refused(&a, ERR_CANCELLED, "of 1000"));
	k.shaky[0][1]->down = true;
	CHECK_INT(insert(0, 2), SQLITE_OK);
	store_wait(k.store, path(0), 0, false, &fresh(&a, 10 * SECOND)->c);
	CHECK(run(11 * SECOND));
	CHECK(refused(&a, ERR_CANCELLED, "the network is down"));
	/* One that leaves is forgotten, one that stays hears of the end. */
	await(&a, 0, 0);
	await(&b, 0, 0);
	store_call_forget(&a.c);
	store_stop(k.store);
	CHECK(run(60 * SECOND));
	CHECK_INT(a.answers, 0);
	CHECK_INT(b.answers, 1);
	CHECK_INT(b.c.rc, -1);
	sk_end(&k);
}

TEST(too_many_waiting)
{
	struct ask *a = calloc(STORE_WAITING_MAX + 1, sizeof(*a));

	CHECK(sk_begin(&k, "many", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(100LL * SECOND));
	for (int i = 0; i <= STORE_WAITING_MAX; i++)
		await(&a[i], 0, 1000);
	CHECK(refused(&a[STORE_WAITING_MAX], ERR_LIMIT, "too many waiting requests"));
	store_call_forget(&a[0].c);
	await(&a[0], 0, 1000);
	CHECK_INT(a[0].answers, 0);
	CHECK(run(0));
	store_free(k.store);
	k.store = NULL;
	for (int i = 0; i < STORE_WAITING_MAX; i++)
		CHECK(a[i].answers == 1 && err_is(&a[i].c.why, ERR_CANCELLED));
	free(a);
	sk_end(&k);
}

TEST(a_call_wakes_what_is_at_rest)
{
	struct ask a;

	CHECK(sk_begin(&k, "wakes", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(1000LL * SECOND));
	CHECK(k.m[0]->dormant);
	sync_now(&a, 0, true);
	CHECK(run(SECOND));
	CHECK(done(&a, STORE_DONE));
	CHECK(!a.c.changed);
	CHECK(run(1000LL * SECOND));
	CHECK(k.m[0]->dormant);
	halt(&a, 0);
	CHECK(run(0));
	CHECK(done(&a, STORE_DONE));
	sk_end(&k);
}

TEST(facts_and_sums)
{
	struct managed_facts f;

	CHECK(sk_begin(&k, "facts", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(run(SECOND));
	k.shaky[0][0]->down = true;
	CHECK_INT(insert(0, 1), SQLITE_OK);
	CHECK(run(10 * SECOND));
	managed_facts(k.m[0], &f);
	CHECK(f.lag_ms >= 9000 && f.lag_ms <= 11000);
	CHECK(f.initialized && f.monitored && f.syncs >= 2 && f.wal_bytes > 0 && f.db_size > 0 && f.wal_size > 0);
	k.shaky[0][0]->down = false;
	CHECK(run(30 * SECOND));
	managed_facts(k.m[0], &f);
	CHECK_INT((int)f.lag_ms, 0);
	CHECK(f.last_sync_ms > 0);
	CHECK(k.events[STORE_EVENT_SYNCED] >= 2 && k.events[STORE_EVENT_REPLICATED] >= 2);
	CHECK(k.events[STORE_EVENT_ERROR] >= 1 && k.events[STORE_EVENT_RECOVERED] >= 1);
	sk_end(&k);
}

TEST(a_new_policy_counts_once_nothing_runs)
{
	struct levels_policy p = LEVELS_POLICY_DEFAULT;

	CHECK(sk_begin(&k, "policy", 1));
	CHECK(sk_add(&k, 0, 1));
	CHECK(loop_once(k.loop, 0, &k.e) == 0);
	p.count = 1;
	p.interval_ms[1] = 5000;
	store_set_policy(k.store, &p);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(insert(0, i), SQLITE_OK);
		CHECK(run(10 * SECOND));
	}
	CHECK_INT(k.store->o.policy.count, 1);
	CHECK(k.events[STORE_EVENT_COMPACTED] >= 5);
	CHECK(sk_replicated(&k, 0));
	sk_end(&k);
}

/* Also when it is a snapshot that found the commit. */
TEST(each_new_local_file_is_an_event)
{
	struct levels_policy p = LEVELS_POLICY_DEFAULT;
	int missed = 0, by_snapshot = 0;

	CHECK(sk_begin(&k, "told", 1));
	CHECK(sk_add(&k, 0, 1));
	p.snapshot_interval_ms = 1000;
	store_set_policy(k.store, &p);
	CHECK(run(3 * SECOND));
	for (int i = 0; i < 300; i++) {
		uint64_t before = sk_status(&k, 0).txid;
		int told = k.events[STORE_EVENT_SYNCED], snapshots = k.events[STORE_EVENT_SNAPSHOT];

		CHECK_INT(insert(0, i), SQLITE_OK);
		for (int j = 0; j < 50 && sk_status(&k, 0).txid == before; j++)
			CHECK(run(SECOND / 50));
		CHECK(run(SECOND / 50));
		missed += sk_status(&k, 0).txid > before && k.events[STORE_EVENT_SYNCED] == told;
		by_snapshot += k.events[STORE_EVENT_SNAPSHOT] > snapshots;
	}
	CHECK(by_snapshot > 10);
	CHECK_INT(missed, 0);
	sk_end(&k);
}

TEST_MAIN
