/* SPDX-License-Identifier: MIT */
/* levels.c - life of a levels struct, and one run over all that is due. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/base/log.h"
#include "lib/levels/internal.h"

static const int64_t DAY_MS = 86400000;
enum { RETRY_FIRST_MS = 10000, RETRY_MAX_MS = 300000 };

struct levels *levels_create(struct db *db, struct replica *replica, const struct levels_policy *policy, struct err *e)
{
	struct levels *l = calloc(1, sizeof(*l));
	uint64_t crc;

	if (!l) {
		err_nomem(e);
		return NULL;
	}
	l->db = db;
	l->replica = replica;
	l->policy = policy;
	crc = crc64(crc64(0, db_path(db), strlen(db_path(db))), replica->url, strlen(replica->url));
	l->seed = (uint32_t)(crc ^ crc >> 32);
	return l;
}

void levels_free(struct levels *l)
{
	if (l)
		levels_manifest_drop(l);
	free(l);
}

void levels_policy_changed(struct levels *l)
{
	memset(l->refused, 0, sizeof(l->refused));
	levels_unpack(l, NULL); /* what is due may have changed; without memory the next use tries again */
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
	rc = levels_load(x->l, &why);
	note(x, rc, &why);
	return !rc;
}

/* Once a day what we believe is compared with what is there, but only in a run that has something else to do. */
static void compare(struct run *x)
{
	struct levels *l = x->l;
	struct err why = ERR_INIT;

	if (l->known && x->o->now_ms >= l->listed_ms && x->o->now_ms - l->listed_ms < DAY_MS)
		return;
	note(x, levels_manifest_list(l, &why), &why);
}

static void compact_levels(struct run *x)
{
	struct levels *l = x->l;

	for (int dst = 1; dst <= l->policy->count && ready(x); dst++) {
		struct err why = ERR_INIT;
		int rc = LEVELS_NOTHING;

		if (levels_compaction_due(l, dst, x->o->now_ms) > x->o->now_ms)
			continue;
		/* A hole that a snapshot covers divides what is there into several files. */
		do {
			rc = levels_compact_step(l, dst, x->o->cancel, &x->r->verify_errors, &why);
			x->r->compacted |= rc == LEVELS_DONE;
		} while (rc == LEVELS_DONE && l->level[dst].max_txid < l->level[dst - 1].max_txid && !cancelled(x));
		if (rc >= 0)
			l->tried_ms[dst] = x->o->now_ms;
		note(x, rc, &why);
	}
}

static void retain_l0(struct run *x)
{
	struct err why = ERR_INIT;

	if (!ready(x) || (!x->r->compacted && !x->o->force_retention && levels_l0_due(x->l, x->o->now_ms) > x->o->now_ms))
		return;
	note(x, levels_retain_l0(x->l, x->o->now_ms, x->r, &why), &why);
}

static void snapshot(struct run *x)
{
	struct levels *l = x->l;
	struct err why = ERR_INIT;
	int rc;

	if (!ready(x))
		return;
	if (!x->o->force_snapshot && levels_snapshot_due(l, x->o->now_ms, x->o->replicated_txid) > x->o->now_ms)
		return;
	if (!x->o->snapshot) {
		x->r->wants_snapshot = true;
		return;
	}
	rc = levels_take_snapshot(l, x->o->snapshot, x->o->cancel, &why);
	if (!rc) {
		l->tried_ms[LEVELS_SNAPSHOT] = x->o->now_ms;
		x->r->snapshotted = true;
	}
	note(x, rc, &why);
}

static void retain_snapshots(struct run *x)
{
	struct err why = ERR_INIT;

	if (!ready(x) || (!x->r->snapshotted && !x->o->force_retention && levels_l9_due(x->l, x->o->now_ms) > x->o->now_ms))
		return;
	note(x, levels_retain_snapshots(x->l, x->o->now_ms, &why), &why);
}

static void validate(struct run *x)
{
	struct err why = ERR_INIT;

	if (ready(x) && levels_validation_due(x->l, x->o->now_ms) <= x->o->now_ms)
		note(x, levels_validate(x->l, x->o->now_ms, &why), &why);
}

/* After a failure nothing is tried for a while; whoever caused it may need that while. */
static void settle(struct run *x)
{
	struct levels *l = x->l;
	int64_t wait = RETRY_FIRST_MS;

	if (!x->rc || err_is(x->e, ERR_CANCELLED)) {
		l->retry_ms = 0;
		l->failures = 0;
		return;
	}
	for (int i = 0; i < l->failures && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	l->failures++;
	l->retry_ms = x->o->now_ms + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
}

int levels_run(struct levels *l, const struct levels_run_options *o, struct levels_result *r, struct err *e)
{
	struct err why = ERR_INIT;
	struct run x = { .l = l, .o = o, .r = r, .e = e ? e : &why };

	*r = (struct levels_result){ 0 };
	if (ready(&x)) {
		compare(&x);
		compact_levels(&x);
		retain_l0(&x);
		snapshot(&x);
		retain_snapshots(&x);
		validate(&x);
	}
	db_snapshot_end(o->snapshot);
	settle(&x);
	return x.rc;
}

int levels_compact(struct levels *l, int dst, const atomic_bool *cancel, struct err *e)
{
	int faults = 0, rc;

	if (levels_load(l, e))
		return -1;
	rc = levels_compact_step(l, dst, cancel, &faults, e);
	if (rc == LEVELS_REFUSED)
		return err_set(e, ERR_GAP, "compact to level %d: files are missing in the replica", dst);
	return rc < 0 ? -1 : rc == LEVELS_DONE;
}
