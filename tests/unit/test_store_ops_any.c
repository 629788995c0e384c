/* SPDX-License-Identifier: MIT */
/* test_store_ops_any.c - calls of all kinds in any order, beside faults and writers: each is answered once, and truly. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/support/store_kit.h"

enum { SECOND = SK_SECOND };

static struct store_kit k;

static bool run(int64_t us) { return sk_run(&k, us); }
static const char *path(int i) { return k.g[i].path; }

static int insert(int i, int n)
{
	return rig_sql(&k.g[i], "INSERT OR REPLACE INTO t VALUES(%d, randomblob(100))", n);
}

enum { CALLS = 60, INSTANCES = 400 };

enum life { LIFE_UNKNOWN, LIFE_OPEN, LIFE_CLOSED };

/* One call in the open, with what its answer may be compared with. */
struct open_call {
	struct store_call c;
	bool used, forgotten;
	int answers, kind, instance;
};

static struct open_call calls[CALLS];
static enum life lives[INSTANCES]; /* of each registration, by the answers so far */
static int current[SK_DATABASES], instances;
static bool legal;

static void illegal(const struct open_call *o, const char *what)
{
	printf("illegal: kind %d, instance %d: %s (rc %d, outcome %d, %s)\n", o->kind, o->instance, what, o->c.rc,
	       o->c.outcome, o->c.why.text);
	legal = false;
}

static void judge_life(struct open_call *o)
{
	enum life *life = &lives[o->instance], before = *life;
	bool already = o->c.outcome == STORE_ALREADY;

	switch (o->kind) {
	case CALL_START:
		if (o->c.rc)
			return;
		*life = LIFE_OPEN;
		if (already ? before == LIFE_CLOSED : before == LIFE_OPEN)
			illegal(o, "start");
		break;
	case CALL_HALT:
		if (o->c.rc && err_is(&o->c.why, ERR_CANCELLED)) {
			*life = LIFE_UNKNOWN; /* its time was over, it is being closed all the same */
			return;
		}
		*life = LIFE_CLOSED;
		if (already ? before == LIFE_OPEN : before == LIFE_CLOSED)
			illegal(o, "halt");
		break;
	default:
		break;
	}
}

static void judged(struct store_call *c)
{
	struct open_call *o = (struct open_call *)(void *)c;

	if (++o->answers != 1 || o->forgotten)
		illegal(o, "answered twice, or after it was forgotten");
	o->used = false;
	if (o->c.rc && !o->c.why.code)
		illegal(o, "failed without a reason");
	if (o->instance >= 0)
		judge_life(o);
	if (o->kind == CALL_WAIT && !o->c.rc && !o->c.any && o->c.replicated_txid < o->c.txid)
		illegal(o, "waited for, and not there");
}

static struct open_call *free_call(void)
{
	for (int i = 0; i < CALLS; i++) {
		if (!calls[i].used)
			return &calls[i];
	}
	return NULL;
}

static void forget_one(void)
{
	struct open_call *o = &calls[sk_below(&k, CALLS)];

	if (!o->used)
		return;
	o->forgotten = true;
	o->used = false;
	/* What was begun goes on, and nobody hears how it ends. */
	if (o->instance >= 0 && o->kind != CALL_SYNC && o->kind != CALL_WAIT)
		lives[o->instance] = LIFE_UNKNOWN;
	store_call_forget(&o->c);
}

static void register_one(int i)
{
	if (store_find(k.store, path(i)))
		return;
	k.managed.enabled = sk_below(&k, 4) != 0;
	if (!sk_add(&k, i, 1 + (int)sk_below(&k, 2)) && !store_is_stopping(k.store))
		legal = false;
	current[i] = instances++;
	lives[current[i]] = k.managed.enabled ? LIFE_OPEN : LIFE_CLOSED;
}

static void ask_something(void)
{
	static const int kinds[] = { CALL_START, CALL_START, CALL_HALT, CALL_HALT, CALL_REMOVE, CALL_SYNC, CALL_SYNC,
	                             CALL_SYNC, CALL_WAIT, CALL_WAIT };
	struct open_call *o = free_call();
	int i = (int)sk_below(&k, 2);

	if (!o)
		return;
	memset(o, 0, sizeof(*o));
	o->used = true;
	o->c.done = judged;
	o->kind = kinds[sk_below(&k, sizeof(kinds) / sizeof(kinds[0]))];
	o->instance = store_find(k.store, path(i)) ? current[i] : -1;
	if (sk_below(&k, 3) == 0)
		o->c.deadline_us = os_mono_us() + sk_below(&k, 5 * SECOND);
	switch (o->kind) {
	case CALL_START:
		store_start(k.store, path(i), &o->c);
		break;
	case CALL_HALT:
		store_halt(k.store, path(i), &o->c);
		break;
	case CALL_REMOVE:
		store_remove(k.store, path(i), &o->c);
		break;
	case CALL_SYNC:
		store_sync(k.store, path(i), sk_below(&k, 2), &o->c);
		break;
	default:
		store_wait(k.store, path(i), sk_below(&k, 3) ? 0 : 1 + sk_below(&k, 20), sk_below(&k, 2), &o->c);
		break;
	}
}

static bool steps(int n)
{
	while (n--) {
		if (loop_once(k.loop, 0, &k.e))
			return false;
		store_step(k.store, sk_below(&k, 1000));
		if (sk_below(&k, 3) == 0)
			os_fault_clock_advance(sk_below(&k, SECOND / 5));
	}
	return true;
}

static bool anything(uint64_t seed)
{
	bool ok = sk_begin(&k, "any", 2);

	memset(calls, 0, sizeof(calls));
	legal = true;
	instances = 0;
	k.seed = seed;
	k.managed.idle_timeout_ms = 2000;
	for (int i = 0; ok && i < 400 && legal; i++) {
		int which = (int)sk_below(&k, 2);

		switch (sk_below(&k, 8)) {
		case 0:
			register_one(which);
			break;
		case 1:
			insert(which, (int)sk_below(&k, 50));
			break;
		case 2:
			if (k.shaky[which][0] && store_find(k.store, path(which)))
				k.shaky[which][0]->puts_to_fail = (int)sk_below(&k, 3);
			break;
		case 3:
			forget_one();
			break;
		default:
			ask_something();
			break;
		}
		ok = steps((int)sk_below(&k, 6));
		if (sk_below(&k, 40) == 0)
			ok = ok && run(sk_below(&k, 10 * SECOND));
	}
	memset(lives, 0, sizeof(lives)); /* they all close now, and nobody has asked for it */
	store_stop(k.store);
	for (int i = 0; ok && i < 20 && legal; i++) {
		ask_something();
		ok = steps(2);
	}
	ok = ok && run(300LL * SECOND) && k.stopped == 1;
	for (int i = 0; i < CALLS; i++) {
		if (calls[i].used) {
			printf("kind %d was never answered\n", calls[i].kind);
			ok = false;
		}
	}
	sk_end(&k);
	return ok && legal;
}

TEST(anything_in_any_order)
{
	CHECK(sk_seeds(anything, 150, &k.e));
}

TEST_MAIN
