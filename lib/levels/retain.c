/* SPDX-License-Identifier: MIT */
/*
 * retain.c - what is deleted, and in which order.
 *
 * Level 0: files older than the retention whose TXIDs level 1 has; from the oldest on, up to the first younger one,
 * never the last. What went into one file of level 1 goes together: of a part nothing could be restored any more.
 *
 * Snapshots: those older than the retention, never the newest. Levels 1 to 8: files that end before the *floor*, which
 * is the snapshot just before the oldest kept one, never the last of a level; only once it is seen in the replica that
 * a kept snapshot stands above the floor. The snapshot at the floor goes last: whenever a run breaks off, the next one
 * finds the same floor and goes on, and what is left is always a tail of the history.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/levels/internal.h"

/* ---- level 0 ---- */

struct l0_walk {
	struct replica_item *gone;
	int count;
};

/* Times of a clock that ran ahead would keep level 0 until they have come: they count as old. */
static bool is_young(const struct levels *l, const struct replica_item *it, int64_t now_ms)
{
	return it->created_ms > now_ms - l->policy->l0_retention_ms && it->created_ms <= now_ms + LEVELS_SKEW_MS;
}

/* Under the lock. */
static int walk_l0(struct levels *l, int64_t now_ms, struct l0_walk *w, struct levels_result *r, struct err *e)
{
	const struct replica_list *f = levels_files(l, 0);

	r->l0_eligible = r->l0_not_compacted = r->l0_too_recent = 0;
	w->gone = f->count ? malloc((size_t)f->count * sizeof(*w->gone)) : NULL;
	if (f->count && !w->gone)
		return err_nomem(e);
	for (int i = 0; i < f->count; i++) {
		const struct replica_item *it = &f->items[i];

		if (is_young(l, it, now_ms)) {
			r->l0_too_recent = f->count - i;
			while (w->count && w->gone[w->count - 1].max_txid >= levels_group_min(l, it->min_txid))
				w->count--;
			break;
		}
		if (!levels_covers(l, 1, it->min_txid, it->max_txid))
			r->l0_not_compacted++;
		else if (i < f->count - 1)
			w->gone[w->count++] = *it;
	}
	r->l0_eligible = w->count;
	return 0;
}

/*
 * Under the lock. Local files up to here serve this replica no more: level 1 has gone beyond them, and their time has
 * passed. Files that stay in the replica because level 1 lacks them will never be merged, so they hold up nothing here.
 */
static uint64_t l0_done(const struct levels *l, int64_t now_ms)
{
	const struct replica_list *f = levels_files(l, 0);
	uint64_t done = l->level[1].max_txid;

	for (int i = 0; i < f->count; i++) {
		const struct replica_item *it = &f->items[i];

		if (it->max_txid > done)
			return it->min_txid - 1 < done ? it->min_txid - 1 : done;
		if (is_young(l, it, now_ms))
			return levels_group_min(l, it->min_txid) - 1;
	}
	return done;
}

int levels_retain_l0(struct levels *l, int64_t now_ms, struct levels_result *r, struct err *e)
{
	struct l0_walk w = { 0 };
	uint64_t max_l1;
	int rc;

	if (!l->policy->l0_retention_ms || l->policy->count < 1)
		return 0;
	levels_lock(l);
	l->l0_checked_ms = now_ms;
	rc = walk_l0(l, now_ms, &w, r, e);
	max_l1 = l->level[1].max_txid;
	if (!rc && w.count && l->policy->retention_disabled)
		l->l0_local_done = w.gone[w.count - 1].max_txid;
	levels_unlock(l);
	if (!rc && w.count && !l->policy->retention_disabled) {
		rc = levels_remove(l, w.gone, w.count, e);
		if (!rc)
			log_info("l0 retention enforced", LS("system", "store"), LS("db", db_name(l->db)),
			         LI("deleted_count", w.count), LX("max_l1_txid", max_l1));
	}
	free(w.gone);
	if (rc)
		return err_wrap(e, "level 0 retention");
	levels_lock(l);
	r->l0_done = l->known ? l0_done(l, now_ms) : 0;
	levels_unlock(l);
	return 0;
}

/* ---- snapshots, and the levels under them ---- */

static int by_end(const void *a, const void *b)
{
	const struct replica_item *x = a, *y = b;

	if (x->max_txid != y->max_txid)
		return x->max_txid < y->max_txid ? -1 : 1;
	return x->level - y->level;
}

/* Under the lock: files of levels 1 to 8 that end before the floor, but the last of each level; by their last TXID. */
static int below_floor(const struct levels *l, uint64_t floor, struct replica_list *out, struct err *e)
{
	for (int level = 1; level < LEVELS_SNAPSHOT; level++) {
		const struct replica_list *f = levels_files(l, level);

		for (int i = 0; i < f->count - 1; i++) {
			if (f->items[i].max_txid < floor && replica_list_add(out, &f->items[i], e))
				return -1;
		}
	}
	if (out->count)
		qsort(out->items, (size_t)out->count, sizeof(*out->items), by_end);
	return 0;
}

/* Is a snapshot above the floor really there? (The newest always stays.) The listing is believed, not our manifest. */
static int kept_snapshot_is_there(struct levels *l, uint64_t floor, struct err *e)
{
	struct replica_list found = { 0 };
	bool there = false;

	if (l->replica->ops->list(l->replica, LEVELS_SNAPSHOT, 0, false, &found, e)) {
		replica_list_free(&found);
		return -1;
	}
	for (int i = 0; i < found.count; i++)
		there |= found.items[i].max_txid > floor;
	replica_list_free(&found);
	if (there)
		return 0;
	levels_doubt(l);
	return err_set(e, ERR_GAP, "no snapshot is left above TXID %016" PRIx64, floor);
}

static int retain_levels(struct levels *l, uint64_t floor, struct err *e)
{
	struct replica_list gone = { 0 };
	int rc;

	levels_lock(l);
	rc = below_floor(l, floor, &gone, e);
	levels_unlock(l);
	if (!rc && gone.count)
		rc = kept_snapshot_is_there(l, floor, e) || levels_remove(l, gone.items, gone.count, e) ? -1 : 0;
	for (int i = 0; !rc && i < gone.count; i++)
		levels_local_drop(l, &gone.items[i]);
	if (!rc && gone.count)
		log_debug("retention enforced", LS("system", "store"), LS("db", db_name(l->db)),
		          LI("deleted_count", gone.count), LX("floor", floor));
	replica_list_free(&gone);
	return rc ? err_wrap(e, "level retention") : 0;
}

/* The oldest snapshot that stays: the first that is young enough, or the last one. */
static int oldest_kept(const struct replica_list *f, int64_t border)
{
	for (int i = 0; i < f->count - 1; i++) {
		if (f->items[i].created_ms >= border)
			return i;
	}
	return f->count - 1;
}

static int remove_snapshots(struct levels *l, const struct replica_item *gone, int count, struct err *e)
{
	if (!count)
		return 0;
	if (levels_remove(l, gone, count, e))
		return err_wrap(e, "snapshot retention");
	log_debug("snapshot retention enforced", LS("system", "store"), LS("db", db_name(l->db)),
	          LI("deleted_count", count));
	return 0;
}

/* Under the lock: the snapshots that go first, and the one at the floor (max_txid 0: nothing is to be done). */
static int plan(const struct levels *l, int64_t border, struct replica_list *gone, struct replica_item *at_floor,
                struct err *e)
{
	const struct replica_list *f = levels_files(l, LEVELS_SNAPSHOT);
	int kept = oldest_kept(f, border);

	at_floor->max_txid = 0;
	if (kept < 1)
		return 0;
	*at_floor = f->items[kept - 1];
	/* Files of a clock that was wrong may lie anywhere; the last stays in any case. */
	for (int i = 0; i < f->count - 1; i++) {
		if (i != kept - 1 && f->items[i].created_ms < border && replica_list_add(gone, &f->items[i], e))
			return -1;
	}
	return 0;
}

int levels_retain_snapshots(struct levels *l, int64_t now_ms, struct err *e)
{
	struct replica_list gone = { 0 };
	struct replica_item at_floor;
	int rc;

	if (l->policy->retention_disabled)
		return 0;
	levels_lock(l);
	l->l9_checked_ms = now_ms;
	rc = plan(l, now_ms - l->policy->snapshot_retention_ms, &gone, &at_floor, e);
	levels_unlock(l);
	if (!rc && at_floor.max_txid)
		rc = remove_snapshots(l, gone.items, gone.count, e) || retain_levels(l, at_floor.max_txid, e) ||
		     remove_snapshots(l, &at_floor, 1, e) ? -1 : 0;
	replica_list_free(&gone);
	return rc;
}
