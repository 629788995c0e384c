/* SPDX-License-Identifier: MIT */
/* levels.c - life of a levels struct, and one run over all that is due. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/base/log.h"
#include "lib/levels/internal.h"

static const int64_t DAY_MS = 86400000;

struct levels *levels_create(struct db *db, struct replica *replica, const struct levels_policy *policy, struct err *e)
{
	struct levels *l = calloc(1, sizeof(*l));
	uint64_t crc;

	if (!l) {
		err_nomem(e);
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->listing, NULL);
	l->db = db;
	l->replica = replica;
	l->policy = policy;
	crc = crc64(crc64(0, db_path(db), strlen(db_path(db))), replica->url, strlen(replica->url));
	l->seed = (uint32_t)(crc ^ crc >> 32);
	return l;
}

void levels_free(struct levels *l)
{
	if (!l)
		return;
	levels_manifest_drop(l);
	replica_list_free(&l->meanwhile);
	replica_list_free(&l->bad);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->listing);
	free(l);
}

void levels_policy_changed(struct levels *l)
{
	levels_lock(l);
	memset(l->refused, 0, sizeof(l->refused));
	levels_unpack(l, NULL); /* what is due may have changed; without memory the next use tries again */
	levels_unlock(l);
}

/* ---- a run ---- */

struct run {
	struct levels *l;
	const struct levels_run_options *o;
	struct levels_result *r;
	struct err *e;
	int rc;
};

static bool cancelled(const struct run *x)
{
	return x->o->cancel && atomic_load_explicit(x->o->cancel, memory_order_relaxed);
}

/* One shot: what is asked for, whatever the time, and nothing else. */
static bool forced(const struct run *x) { return x->o->force_snapshot || x->o->force_retention; }

/* The first error is the one that is told. */
static void note(struct run *x, int rc, const struct err *why)
{
	if (rc >= 0 || x->rc)
		return;
	x->rc = -1;
	if (x->e)
		*x->e = *why;
}

/* May the next step be tried? Not without a manifest, which an error may have cost. */
static bool ready(struct run *x)
{
	struct err why = ERR_INIT;
	int rc;

	if (cancelled(x)) {
		err_set(&why, ERR_CANCELLED, "interrupted");
		note(x, -1, &why);
		return false;
	}
	rc = levels_load(x->l, &why) || levels_local_sweep(x->l, &why) ? -1 : 0;
	note(x, rc, &why);
	return !rc;
}

/* An upload may have lost the manifest since it was loaded: then nothing is due that could be told. */
static bool is_due(struct run *x, int64_t (*due)(const struct levels *l, int64_t now_ms))
{
	int64_t now = x->o->now_ms;

	levels_lock(x->l);
	bool yes = x->l->known && due(x->l, now) <= now;
	levels_unlock(x->l);
	return yes;
}

static bool compaction_is_due(struct run *x, int dst)
{
	int64_t now = x->o->now_ms;

	levels_lock(x->l);
	bool yes = x->l->known && levels_compaction_due(x->l, dst, now) <= now;
	levels_unlock(x->l);
	return yes;
}

static bool snapshot_is_due(struct run *x)
{
	int64_t now = x->o->now_ms;

	levels_lock(x->l);
	bool yes = x->l->known && levels_snapshot_due(x->l, now, x->o->replicated_txid) <= now;
	levels_unlock(x->l);
	return yes;
}

static void tried(struct run *x, int level)
{
	levels_lock(x->l);
	x->l->tried_ms[level] = x->o->now_ms;
	levels_unlock(x->l);
}

/* Once a day what we believe is compared with what is there, but only in a run that has something else to do. */
static void compare(struct run *x)
{
	struct levels *l = x->l;
	struct err why = ERR_INIT;
	int64_t age;

	levels_lock(l);
	age = l->known ? x->o->now_ms - l->listed_ms : 0;
	levels_unlock(l);
	/* A moment ago counts as now: the run's clock was read before it began. */
	if (age <= -DAY_MS || age >= DAY_MS)
		note(x, levels_manifest_list(l, &why), &why);
}

static bool more_to_compact(struct run *x, int dst)
{
	levels_lock(x->l);
	bool more = x->l->level[dst].max_txid < x->l->level[dst - 1].max_txid;
	levels_unlock(x->l);
	return more && !cancelled(x);
}

static void compact_levels(struct run *x)
{
	for (int dst = 1; dst <= x->l->policy->count && ready(x); dst++) {
		struct err why = ERR_INIT;
		int rc;

		if (!compaction_is_due(x, dst))
			continue;
		/* A hole that a snapshot covers divides what is there into several files. */
		do {
			rc = levels_compact_step(x->l, dst, x->o->cancel, &x->r->verify_errors, &why);
			x->r->compacted |= rc == LEVELS_DONE;
		} while (rc == LEVELS_DONE && more_to_compact(x, dst));
		if (rc >= 0 && levels_known(x->l))
			tried(x, dst);
		note(x, rc, &why);
	}
}

static void retain_l0(struct run *x)
{
	struct err why = ERR_INIT;

	if (ready(x) && (x->r->compacted || is_due(x, levels_l0_due)))
		note(x, levels_retain_l0(x->l, x->o->now_ms, x->r, &why), &why);
}

static void snapshot(struct run *x)
{
	struct err why = ERR_INIT;
	int rc;

	if (!ready(x) || (!x->o->force_snapshot && (forced(x) || !snapshot_is_due(x))))
		return;
	if (!x->o->snapshot) {
		x->r->wants_snapshot = true;
		return;
	}
	rc = levels_take_snapshot(x->l, x->o->snapshot, x->o->cancel, &why);
	if (!rc) {
		tried(x, LEVELS_SNAPSHOT);
		x->r->snapshotted = true;
	}
	note(x, rc, &why);
}

static void retain_snapshots(struct run *x)
{
	struct err why = ERR_INIT;

	if (!ready(x))
		return;
	if (forced(x) ? x->o->force_retention : x->r->snapshotted || is_due(x, levels_l9_due))
		note(x, levels_retain_snapshots(x->l, x->o->now_ms, &why), &why);
}

static void validate(struct run *x)
{
	struct err why = ERR_INIT;

	if (ready(x) && is_due(x, levels_validation_due))
		note(x, levels_validate(x->l, x->o->now_ms, &why), &why);
}

/* After a failure nothing is tried for a while; whoever caused it may need that while. */
static void settle(struct run *x)
{
	struct levels *l = x->l;
	int64_t wait = LEVELS_RETRY_FIRST_MS;
	bool failed = x->rc && !err_is(x->e, ERR_CANCELLED), starved = failed && err_no_descriptor(x->e);

	levels_lock(l);
	for (int i = 0; i < l->failures && !starved && wait < LEVELS_RETRY_MAX_MS; i++)
		wait *= 2;
	l->failures = starved ? l->failures : failed ? l->failures + 1 : 0;
	l->retry_ms = failed ? x->o->now_ms + (wait < LEVELS_RETRY_MAX_MS ? wait : LEVELS_RETRY_MAX_MS) : 0;
	levels_unlock(l);
}

int levels_run(struct levels *l, const struct levels_run_options *o, struct levels_result *r, struct err *e)
{
	struct err why = ERR_INIT;
	struct run x = { .l = l, .o = o, .r = r, .e = e ? e : &why };

	*r = (struct levels_result){ 0 };
	if (ready(&x) && !forced(&x)) {
		compare(&x);
		compact_levels(&x);
		retain_l0(&x);
	}
	snapshot(&x);
	retain_snapshots(&x);
	if (!forced(&x))
		validate(&x);
	db_snapshot_end(o->snapshot);
	settle(&x);
	return x.rc;
}

int levels_compact(struct levels *l, int dst, const atomic_bool *cancel, struct err *e)
{
	int faults = 0, rc;

	if (levels_load(l, e) || levels_local_sweep(l, e))
		return -1;
	rc = levels_compact_step(l, dst, cancel, &faults, e);
	if (rc == LEVELS_REFUSED)
		return err_set(e, ERR_GAP, "compact to level %d: files are missing in the replica", dst);
	return rc < 0 ? -1 : rc == LEVELS_DONE;
}
