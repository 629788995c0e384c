/* SPDX-License-Identifier: MIT */
/*
 * manifest.c - what the replica holds, as far as we know: made of one listing, kept current by what we do there.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/levels/internal.h"
#include "lib/os/clock.h"

enum { REMOVE_BATCH = 1000, LOAD_TRIES = 8 };

static bool valid_level(int level) { return level >= 0 && level < LEVELS_ALL; }

static bool before(const struct replica_item *it, uint64_t min, uint64_t max)
{
	return it->min_txid < min || (it->min_txid == min && it->max_txid < max);
}

/* Index of the first item that does not come before (min, max). */
static int find(const struct replica_list *f, uint64_t min, uint64_t max)
{
	int low = 0, high = f->count;

	/* What is new comes last. */
	if (high && before(&f->items[high - 1], min, max))
		return high;
	while (low < high) {
		int mid = low + (high - low) / 2;

		if (before(&f->items[mid], min, max))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_at(const struct replica_list *f, int i, const struct replica_item *item)
{
	return i < f->count && f->items[i].min_txid == item->min_txid && f->items[i].max_txid == item->max_txid;
}

int levels_manifest_add(struct levels *l, const struct replica_item *item, struct err *e)
{
	struct levels_list *list = &l->level[item->level];
	struct replica_list *f = &list->files;
	int i = find(f, item->min_txid, item->max_txid);

	assert(valid_level(item->level));
	if (is_at(f, i, item)) {
		f->items[i] = *item;
		return 0;
	}
	if (replica_list_add(f, item, e))
		return -1;
	memmove(f->items + i + 1, f->items + i, (size_t)(f->count - 1 - i) * sizeof(*f->items));
	f->items[i] = *item;
	if (item->max_txid > list->max_txid)
		list->max_txid = item->max_txid;
	return 0;
}

void levels_manifest_remove(struct levels *l, const struct replica_item *item)
{
	struct levels_list *list = &l->level[item->level];
	struct replica_list *f = &list->files;
	int i = find(f, item->min_txid, item->max_txid);

	if (!is_at(f, i, item))
		return;
	f->count--;
	memmove(f->items + i, f->items + i + 1, (size_t)(f->count - i) * sizeof(*f->items));
	list->max_txid = 0;
	for (i = 0; i < f->count; i++) {
		if (f->items[i].max_txid > list->max_txid)
			list->max_txid = f->items[i].max_txid;
	}
}

void levels_manifest_drop(struct levels *l)
{
	l->doubts++;
	for (int level = 0; level < LEVELS_ALL; level++) {
		replica_list_free(&l->level[level].files);
		l->level[level].max_txid = 0;
	}
	free(l->packed);
	l->packed = NULL;
	l->known = false;
}

/* ---- listing ---- */

/* The place where the objects of a level begin in a sorted list, and how many there are. */
static int slice(const struct replica_list *all, int level, int *count)
{
	int from = 0, to;

	while (from < all->count && all->items[from].level < level)
		from++;
	for (to = from; to < all->count && all->items[to].level == level; to++)
		;
	*count = to - from;
	return from;
}

/* Objects of one sorted list that the other lacks. */
static int lacking(const struct replica_item *a, int n, const struct replica_item *b, int m)
{
	int count = 0;

	for (int i = 0, k = 0; i < n; i++) {
		while (k < m && replica_item_compare(&b[k], &a[i]) < 0)
			k++;
		count += k == m || replica_item_compare(&b[k], &a[i]);
	}
	return count;
}

static int take_over(struct levels *l, const struct replica_list *all, struct err *e)
{
	levels_manifest_drop(l);
	for (int level = 0; level < LEVELS_ALL; level++) {
		struct replica_list *f = &l->level[level].files;
		int count, from = slice(all, level, &count);

		if (!count)
			continue;
		f->items = malloc((size_t)count * sizeof(*f->items));
		if (!f->items) {
			levels_manifest_drop(l);
			return err_nomem(e);
		}
		memcpy(f->items, all->items + from, (size_t)count * sizeof(*f->items));
		f->count = f->cap = count;
		for (int i = 0; i < count; i++) {
			if (f->items[i].max_txid > l->level[level].max_txid)
				l->level[level].max_txid = f->items[i].max_txid;
		}
	}
	l->known = true;
	return 0;
}

static void tell_differences(const struct levels *l, const struct replica_list *all)
{
	int gone = 0, new = 0;

	for (int level = 0; level < LEVELS_ALL; level++) {
		const struct replica_list *f = levels_files(l, level);
		int count, from = slice(all, level, &count);

		gone += lacking(f->items, f->count, all->items + from, count);
		new += lacking(all->items + from, count, f->items, f->count);
	}
	if (gone || new)
		log_warn("replica was changed by somebody else", LS("system", "store"), LS("db", db_name(l->db)),
		         LS("replica", replica_type(l->replica)), LI("missing", gone), LI("unknown", new));
}

/* What was stored during the listing is there, whether it shows it or not. */
static int add_meanwhile(const struct levels *l, struct replica_list *all, struct err *e)
{
	int kept = 0;

	for (int i = 0; i < l->meanwhile.count; i++) {
		if (replica_list_add(all, &l->meanwhile.items[i], e))
			return -1;
	}
	replica_list_sort(all);
	for (int i = 0; i < all->count; i++) {
		if (!kept || replica_item_compare(&all->items[kept - 1], &all->items[i]))
			all->items[kept++] = all->items[i];
	}
	all->count = kept;
	return 0;
}

/* Under the lock. Where somebody came to doubt meanwhile it stays unknown. */
static int believe(struct levels *l, struct replica_list *all, unsigned doubts, struct err *e)
{
	bool doubted = l->doubts != doubts;

	if (add_meanwhile(l, all, e))
		return -1;
	if (l->known)
		tell_differences(l, all);
	if (take_over(l, all, e))
		return -1;
	if (doubted)
		levels_manifest_drop(l);
	l->listed_ms = os_wall_ms();
	if (!l->start_ms)
		l->start_ms = l->listed_ms;
	memset(l->refused, 0, sizeof(l->refused));
	return 0;
}

/* With `listing` held. */
static int list_now(struct levels *l, struct err *e)
{
	struct replica_list all = { 0 };
	unsigned doubts;
	bool first;
	int rc;

	levels_lock(l);
	l->is_listing = true;
	first = !l->listed_ms;
	doubts = l->doubts;
	levels_unlock(l);
	rc = 0;
	if (!replica_listing_take(l->replica, &all) || !first)
		rc = replica_list_levels(l->replica, 0, LTX_LEVEL_MAX, false, &all, e);
	if (rc)
		err_wrap(e, "list replica");
	levels_lock(l);
	l->is_listing = false;
	if (!rc)
		rc = believe(l, &all, doubts, e);
	replica_list_free(&l->meanwhile);
	levels_unlock(l);
	replica_list_free(&all);
	return rc;
}

int levels_manifest_list(struct levels *l, struct err *e)
{
	int rc;

	pthread_mutex_lock(&l->listing);
	rc = list_now(l, e);
	pthread_mutex_unlock(&l->listing);
	return rc;
}

int levels_load(struct levels *l, struct err *e)
{
	int rc;
	bool known;

	pthread_mutex_lock(&l->listing);
	levels_lock(l);
	rc = levels_unpack(l, e);
	known = l->known;
	levels_unlock(l);
	if (!rc && !known)
		rc = list_now(l, e);
	pthread_mutex_unlock(&l->listing);
	return rc;
}

void levels_doubt(struct levels *l)
{
	levels_lock(l);
	levels_manifest_drop(l);
	levels_unlock(l);
}

bool levels_known(struct levels *l)
{
	levels_lock(l);
	bool known = l->known;
	levels_unlock(l);
	return known;
}

static uint64_t position(const struct levels *l)
{
	uint64_t max = 0;

	for (int level = 0; level < LEVELS_SNAPSHOT; level++) {
		if (l->level[level].max_txid > max)
			max = l->level[level].max_txid;
	}
	return max;
}

uint64_t levels_position(struct levels *l)
{
	levels_lock(l);
	uint64_t txid = position(l);
	levels_unlock(l);
	return txid;
}

uint64_t levels_snapshot_position(struct levels *l)
{
	levels_lock(l);
	uint64_t txid = l->level[LEVELS_SNAPSHOT].max_txid;
	levels_unlock(l);
	return txid;
}

static int not_known(struct err *e)
{
	return err_set(e, ERR_BUSY, "what the replica holds is not known: it changes while it is listed");
}

int levels_load_position(struct levels *l, uint64_t *at, uint64_t *snapshot, struct err *e)
{
	bool known = false;

	for (int i = 0; i < LOAD_TRIES && !known; i++) {
		if (levels_load(l, e))
			return -1;
		levels_lock(l);
		known = l->known;
		*at = position(l);
		*snapshot = l->level[LEVELS_SNAPSHOT].max_txid;
		levels_unlock(l);
	}
	return known ? 0 : not_known(e);
}

static void newest(const struct levels *l, struct db_newest *out)
{
	const struct replica_list *f = levels_files(l, 0);

	*out = (struct db_newest){ .txid = position(l) };
	if (l->level[LEVELS_SNAPSHOT].max_txid > out->txid)
		out->txid = l->level[LEVELS_SNAPSHOT].max_txid;
	for (int i = f->count - 1; i >= 0 && !out->l0.max_txid; i--) {
		if (f->items[i].min_txid == f->items[i].max_txid)
			out->l0 = f->items[i];
	}
}

static int list_anew(struct levels *l, struct err *e)
{
	int rc;

	levels_lock(l);
	rc = levels_unpack(l, e);
	levels_unlock(l);
	return rc ? -1 : levels_manifest_list(l, e);
}

int levels_list_newest(struct levels *l, struct db_newest *out, struct err *e)
{
	bool known = false;

	for (int i = 0; i < LOAD_TRIES && !known; i++) {
		if (list_anew(l, e))
			return -1;
		levels_lock(l);
		known = l->known;
		newest(l, out);
		levels_unlock(l);
	}
	return known ? 0 : not_known(e);
}

/* Under the lock. */
static int note_put(struct levels *l, const struct replica_item *item, struct err *e)
{
	l->changed = true;
	if (levels_unpack(l, e) || (l->is_listing && replica_list_add(&l->meanwhile, item, e)))
		return -1;
	return l->known ? levels_manifest_add(l, item, e) : 0;
}

int levels_note_put(struct levels *l, const struct replica_item *item, struct err *e)
{
	int rc;

	levels_lock(l);
	rc = note_put(l, item, e);
	/* It is there, and we could not take it down: the next use lists. */
	if (rc)
		levels_manifest_drop(l);
	levels_unlock(l);
	return rc;
}

/* ---- questions ---- */

bool levels_covers(const struct levels *l, int level, uint64_t from, uint64_t to)
{
	const struct replica_list *f = levels_files(l, level);
	int i = find(f, from, UINT64_MAX);

	/* The last one that begins at or before `from`;
	 * files do not contain each other but in replicas of strangers. */
	for (i = i > 0 ? i - 1 : 0; i < f->count && f->items[i].min_txid <= from; i++) {
		if (f->items[i].max_txid >= to)
			return true;
		if (f->items[i].max_txid >= from)
			from = f->items[i].max_txid + 1;
	}
	return false;
}

static const struct replica_item *group_of(const struct levels *l, uint64_t txid)
{
	const struct replica_list *f = levels_files(l, 1);
	int i = find(f, txid, UINT64_MAX);

	return i > 0 && f->items[i - 1].max_txid >= txid ? &f->items[i - 1] : NULL;
}

uint64_t levels_group_min(const struct levels *l, uint64_t txid)
{
	const struct replica_item *group = group_of(l, txid);

	return group ? group->min_txid : txid;
}

uint64_t levels_group_max(const struct levels *l, uint64_t txid)
{
	const struct replica_item *group = group_of(l, txid);

	return group ? group->max_txid : txid;
}

bool levels_snapshot_before(const struct levels *l, uint64_t from)
{
	return l->level[LEVELS_SNAPSHOT].max_txid >= from - 1 && from > 1;
}

static int remove_batch(struct levels *l, const struct replica_item *items, int n, struct err *e)
{
	int rc;

	pthread_mutex_lock(&l->listing);
	rc = l->replica->ops->remove(l->replica, items, n, e);
	levels_lock(l);
	if (rc)
		levels_manifest_drop(l); /* some of them may be gone */
	for (int i = 0; !rc && i < n; i++)
		levels_manifest_remove(l, &items[i]);
	l->changed = true;
	levels_unlock(l);
	pthread_mutex_unlock(&l->listing);
	return rc;
}

int levels_remove(struct levels *l, const struct replica_item *items, int count, struct err *e)
{
	for (int i = 0; i < count; i += REMOVE_BATCH) {
		if (remove_batch(l, items + i, count - i < REMOVE_BATCH ? count - i : REMOVE_BATCH, e))
			return err_wrap(e, "remove from replica");
	}
	return 0;
}
