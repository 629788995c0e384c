/* SPDX-License-Identifier: MIT */
#include "tests/support/store_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"

/* ---- a replica with moods ---- */

static struct shaky *of(struct replica *r) { return (struct shaky *)(void *)r; }

static int mood(const struct shaky *s, struct err *e)
{
	return s->down ? err_set(e, ERR_SYSTEM, "the network is down") : 0;
}

static void writes(struct shaky *s)
{
	if (s->lock && (s->lock->by != s || s->lock->until_ms <= os_mono_us() / 1000))
		s->unguarded++;
}

static int shaky_hold(struct replica *r, const char *owner, int64_t lease_ms, bool *fresh, int64_t *until_ms, struct err *e)
{
	struct shaky_lock *l = of(r)->lock;
	int64_t now = os_mono_us() / 1000;

	(void)owner;
	l->asks++;
	if (l->down || mood(of(r), e))
		return err_set(e, ERR_SYSTEM, "the lock cannot be asked for");
	if (l->unable)
		return err_set(e, ERR_INVALID, "there is no lock here");
	if ((l->next && l->next != of(r)) || (l->by && l->by != of(r) && l->until_ms > now))
		return err_set(e, ERR_BUSY, "held by another");
	*fresh = l->by != of(r);
	l->by = of(r);
	l->next = NULL;
	*until_ms = l->until_ms = now + lease_ms;
	return 0;
}

static int shaky_let_go(struct replica *r, struct err *e)
{
	(void)e;
	of(r)->lock->given_back++;
	of(r)->lock->by = NULL;
	return 0;
}

static int shaky_list(struct replica *r, int level, uint64_t seek, bool exact, struct replica_list *out, struct err *e)
{
	of(r)->lists++;
	return mood(of(r), e) ? -1 : of(r)->inner->ops->list(of(r)->inner, level, seek, exact, out, e);
}

static int shaky_open(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
                      struct replica_reader **reader, struct err *e)
{
	of(r)->opens++;
	return mood(of(r), e) ? -1 : of(r)->inner->ops->open(of(r)->inner, item, offset, length, reader, e);
}

static int shaky_put(struct replica *r, const struct replica_item *item, const char *path, struct err *e)
{
	struct shaky *s = of(r);

	writes(s);
	s->puts++;
	s->l0_puts += !item->level;
	if (mood(s, e))
		return -1;
	if (s->puts_to_fail > 0) {
		s->puts_to_fail--;
		return err_set(e, ERR_SYSTEM, "the network is down");
	}
	return s->inner->ops->put(s->inner, item, path, e);
}

static int shaky_create(struct replica *r, const struct replica_item *item, struct replica_writer **writer, struct err *e)
{
	writes(of(r));
	of(r)->creates++;
	return mood(of(r), e) ? -1 : of(r)->inner->ops->create(of(r)->inner, item, writer, e);
}

static int shaky_remove(struct replica *r, const struct replica_item *items, int count, struct err *e)
{
	writes(of(r));
	of(r)->removes++;
	return mood(of(r), e) ? -1 : of(r)->inner->ops->remove(of(r)->inner, items, count, e);
}

static void shaky_free(struct replica *r)
{
	replica_free(of(r)->inner);
	free(r);
}

static const struct replica_ops shaky_ops = {
	.type = "file", .list = shaky_list, .open = shaky_open, .put = shaky_put, .create = shaky_create,
	.remove = shaky_remove, .hold = shaky_hold, .let_go = shaky_let_go, .free = shaky_free,
};

struct shaky *shaky_over(struct replica *inner, const char *name, struct err *e)
{
	struct shaky *s = calloc(1, sizeof(*s));

	if (!s || replica_init(&s->base, &shaky_ops, name, name, e))
		abort();
	s->inner = inner;
	s->base.local = inner->local;
	return s;
}

struct shaky *shaky_make(const char *path, struct err *e)
{
	struct replica *inner;

	if (replica_file_create(path, &inner, e))
		abort();
	return shaky_over(inner, path, e);
}

/* ---- the store ---- */

static void on_stopped(void *ctx)
{
	((struct store_kit *)ctx)->stopped++;
}

static void on_event(void *ctx, enum store_event what, struct managed *m, const char *detail)
{
	(void)m;
	(void)detail;
	((struct store_kit *)ctx)->events[what]++;
}

bool sk_again(struct store_kit *k)
{
	store_free(k->store);
	k->store = NULL;
	if (store_create(&k->options, &k->store, &k->e))
		return false;
	store_listen(k->store, on_event, k);
	return true;
}

bool sk_begin(struct store_kit *k, const char *name, int databases)
{
	static const struct store_options options = STORE_OPTIONS_DEFAULT;
	static const struct managed_options managed = MANAGED_OPTIONS_DEFAULT;
	char each[60];

	memset(k, 0, sizeof(*k));
	os_fault_vfs();
	os_fault_clock(1700000000000, 1000 * (int64_t)SK_SECOND);
	k->seed = 1;
	k->options = options;
	k->managed = managed;
	k->loop = loop_create(&k->e);
	k->options.loop = k->loop;
	k->options.workers = 0;
	k->options.stopped = on_stopped;
	k->options.ctx = k;
	if (!k->loop || !sk_again(k))
		return false;
	for (int i = 0; i < databases; i++) {
		snprintf(each, sizeof(each), "%s%d", name, i);
		if (rig_init(&k->g[i], each))
			return false;
	}
	return true;
}

void sk_end(struct store_kit *k)
{
	os_fault_set(NULL);
	/* What a test that has failed left under way: it shall be the check that is told of, not this. */
	for (int i = 0; k->store && i < 400000 && store_step(k->store, 0); i++)
		;
	store_free(k->store);
	loop_free(k->loop);
	for (int i = 0; i < SK_DATABASES; i++) {
		if (k->g[i].dir[0])
			rig_free(&k->g[i]);
	}
	os_fault_clock(0, 0);
}

bool sk_add(struct store_kit *k, int i, int replicas)
{
	static const struct managed_replica_options defaults = MANAGED_REPLICA_DEFAULT;
	struct managed_options o = k->managed;
	char path[400];

	o.db = k->g[i].o;
	o.replica_count = replicas;
	for (int n = 0; n < replicas; n++) {
		snprintf(path, sizeof(path), n ? "%s-%d" : "%s", k->g[i].replica_path, n);
		k->shaky[i][n] = shaky_make(path, &k->e);
		k->shaky[i][n]->lock = k->lock;
		k->shaky[i][n]->base.lease = k->lock != NULL;
		o.replicas[n] = defaults;
		o.replicas[n].replica = &k->shaky[i][n]->base;
	}
	if (!store_add(k->store, &o, &k->m[i], &k->e))
		return true;
	for (int n = 0; n < replicas; n++)
		replica_free(o.replicas[n].replica);
	return false;
}

uint32_t sk_below(struct store_kit *k, uint32_t n)
{
	k->seed = k->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((k->seed >> 33) % n);
}

bool sk_run(struct store_kit *k, int64_t us)
{
	int64_t until = os_mono_us() + us;

	for (int i = 0; i < 400000; i++) {
		int64_t due;

		if (loop_once(k->loop, 0, &k->e))
			return false;
		if (store_step(k->store, sk_below(k, 1000)))
			continue;
		if (loop_once(k->loop, 0, &k->e))
			return false;
		due = loop_next_due(k->loop);
		if (due > until) {
			if (until > os_mono_us())
				os_fault_clock_advance(until - os_mono_us());
			return true;
		}
		if (due > os_mono_us())
			os_fault_clock_advance(due - os_mono_us());
	}
	printf("it does not come to rest\n");
	return false;
}

struct managed_status sk_status(struct store_kit *k, int i)
{
	struct managed_status s;

	store_status(k->store, i, &s);
	return s;
}

bool sk_restores(struct store_kit *k, int i, int replica)
{
	struct rig *g = &k->g[i];
	struct replica *other = NULL, *first = g->replica;
	char path[400];
	bool ok;

	snprintf(path, sizeof(path), replica ? "%s-%d" : "%s", g->replica_path, replica);
	if (replica_file_create(path, &other, &k->e))
		return false;
	g->replica = other;
	ok = rig_restore(g, 0, true);
	g->replica = first;
	replica_free(other);
	return ok;
}

bool sk_replicated(struct store_kit *k, int i)
{
	struct managed_status s = sk_status(k, i);

	if (s.txid && s.replica_txid == s.txid)
		return sk_restores(k, i, 0);
	printf("database %d: local TXID %llu, replica %llu, %s\n", i, (unsigned long long)s.txid,
	       (unsigned long long)s.replica_txid, managed_state_name(s.state));
	return false;
}

int sk_sql(struct store_kit *k, int i, const char *sql)
{
	return rig_sql(&k->g[i], "%s", sql);
}

bool sk_seeds(bool (*history)(uint64_t seed), int count, const struct err *e)
{
	const char *from = getenv("STORE_SEED");
	uint64_t first = from ? strtoull(from, NULL, 10) : 1;

	for (uint64_t s = first; s < first + (from ? 1 : (uint64_t)count); s++) {
		if (!history(s * 7919)) {
			printf("again: STORE_SEED=%llu: %s\n", (unsigned long long)s, err_text(e));
			return false;
		}
	}
	return true;
}
