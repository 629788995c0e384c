/* SPDX-License-Identifier: MIT */
/* Which files of a replica make up the database that is asked for (replication.md §7.1). */
#include "lib/restore/restore.h"

#include <stdlib.h>

#include "lib/base/text.h"
#include "lib/restore/internal.h"
#include "lib/restore/v3.h"

/* One level's files in order, and the best of those seen so far that lead on from where the plan stands. */
struct cursor {
	const struct replica_item *const *next, *const *end;
	const struct replica_item *best;
};

struct search {
	const struct replica_item **sorted;
	struct cursor cursors[LTX_LEVEL_MAX + 1];
	const struct restore_target *target;
};

static int compare(const void *pa, const void *pb)
{
	return replica_item_compare(*(const struct replica_item *const *)pa, *(const struct replica_item *const *)pb);
}

int restore_compare_times(int64_t ms, int64_t ns)
{
	__int128 a = (__int128)ms * 1000000;

	return (a > ns) - (a < ns);
}

static bool admissible(const struct replica_item *item, const struct restore_target *t)
{
	return (t->txid == 0 || item->max_txid <= t->txid) &&
	       (!t->has_time || restore_compare_times(item->created_ms, t->time_ns) < 0);
}

static int search_begin(struct search *s, const struct replica_list *files, const struct restore_target *target,
                        struct err *e)
{
	int n = 0;

	*s = (struct search){ .target = target };
	s->sorted = malloc(((size_t)files->count + 1) * sizeof(*s->sorted));
	if (!s->sorted)
		return err_nomem(e);
	for (int i = 0; i < files->count; i++) {
		const struct replica_item *item = &files->items[i];

		if (item->level >= 0 && item->level <= LTX_LEVEL_MAX && item->min_txid > 0 &&
		    item->min_txid <= item->max_txid)
			s->sorted[n++] = item;
	}
	qsort(s->sorted, (size_t)n, sizeof(*s->sorted), compare);
	for (int level = 0, i = 0; level <= LTX_LEVEL_MAX; level++) {
		s->cursors[level].next = s->sorted + i;
		while (i < n && s->sorted[i]->level == level)
			i++;
		s->cursors[level].end = s->sorted + i;
	}
	return 0;
}

static bool is_better(const struct replica_item *a, const struct replica_item *than)
{
	if (!than)
		return true;
	if (a->max_txid != than->max_txid)
		return a->max_txid > than->max_txid;
	if (a->min_txid != than->min_txid)
		return a->min_txid < than->min_txid;
	if (a->level != than->level)
		return a->level > than->level;
	return a->created_ms < than->created_ms;
}

/* The best file of this level that leads on from cur, or NULL. Each file is looked at once in the whole search. */
static const struct replica_item *cursor_best(struct cursor *c, uint64_t cur, const struct restore_target *target)
{
	if (c->best && c->best->max_txid <= cur)
		c->best = NULL;
	for (; c->next < c->end && (*c->next)->min_txid - 1 <= cur; c->next++) {
		const struct replica_item *item = *c->next;

		if (item->max_txid > cur && admissible(item, target) && is_better(item, c->best))
			c->best = item;
	}
	return c->best;
}

static int append(struct restore_plan *p, const struct replica_item *item, struct err *e)
{
	if (p->count == p->cap) {
		int cap = p->cap ? p->cap * 2 : 16;
		struct replica_item *items = realloc(p->items, (size_t)cap * sizeof(*items));

		if (!items)
			return err_nomem(e);
		p->items = items;
		p->cap = cap;
	}
	if (p->count == 0)
		p->min_txid = item->min_txid;
	p->items[p->count++] = *item;
	p->max_txid = item->max_txid;
	return 0;
}

/* Goes on from plan->max_txid with files of levels 0 to top as long as there is one. */
static int extend(struct search *s, int top, struct restore_plan *plan, struct err *e)
{
	uint64_t goal = s->target->txid;

	while (goal == 0 || plan->max_txid < goal) {
		const struct replica_item *best = NULL;

		for (int level = top; level >= 0; level--) {
			const struct replica_item *item = cursor_best(&s->cursors[level], plan->max_txid, s->target);
			if (item && is_better(item, best))
				best = item;
		}
		if (!best)
			return 0;
		if (append(plan, best, e) != 0)
			return -1;
	}
	return 0;
}

/* A file that starts behind a hole after cur means that something is missing: the newest state cannot be had. */
static int check_no_gap(const struct search *s, uint64_t cur, struct err *e)
{
	const struct replica_item *first = NULL;
	char have[TEXT_TXID_SIZE], next[TEXT_TXID_SIZE];

	for (int level = LTX_LEVEL_SNAPSHOT - 1; level >= 0; level--) {
		const struct cursor *c = &s->cursors[level];
		if (c->next < c->end && (!first || (*c->next)->min_txid < first->min_txid))
			first = *c->next;
	}
	if (!first)
		return 0;
	return err_set(e, ERR_GAP, "non-contiguous ltx files: have up to %s but next file starts at %s",
	               text_txid(have, cur), text_txid(next, first->min_txid));
}

static int not_available(struct err *e)
{
	return err_set(e, ERR_UNAVAILABLE, "no matching backup files available");
}

int restore_plan_calc(const struct replica_list *files, const struct restore_target *target, struct restore_plan *plan,
                      struct err *e)
{
	struct search s;
	const struct replica_item *base = NULL;
	int rc = -1;

	plan->count = 0;
	plan->min_txid = plan->max_txid = 0;
	if (target->txid != 0 && target->has_time)
		return err_set(e, ERR_INVALID, "cannot specify index & timestamp to restore");
	if (search_begin(&s, files, target, e) != 0)
		return -1;
	/* Only a file that begins with the first transaction holds all pages. */
	struct cursor *snapshots = &s.cursors[LTX_LEVEL_SNAPSHOT];
	for (; snapshots->next < snapshots->end && (*snapshots->next)->min_txid == 1; snapshots->next++) {
		if (admissible(*snapshots->next, target))
			base = *snapshots->next;
	}
	if (base && append(plan, base, e) != 0)
		goto out;
	if (extend(&s, LTX_LEVEL_SNAPSHOT - 1, plan, e) != 0)
		goto out;
	if (plan->count == 0 || (target->txid != 0 && plan->max_txid < target->txid)) {
		not_available(e);
		goto out;
	}
	if (target->txid == 0 && !target->has_time && check_no_gap(&s, plan->max_txid, e) != 0)
		goto out;
	rc = 0;
out:
	if (rc != 0)
		plan->count = 0;
	free(s.sorted);
	return rc;
}

int restore_plan_extend(const struct replica_list *files, uint64_t from_txid, uint64_t to_txid, bool with_snapshots,
                        struct restore_plan *plan, struct err *e)
{
	struct restore_target target = { .txid = to_txid };
	struct search s;

	plan->count = 0;
	plan->min_txid = 0;
	plan->max_txid = from_txid;
	if (search_begin(&s, files, &target, e) != 0)
		return -1;
	int rc = extend(&s, with_snapshots ? LTX_LEVEL_SNAPSHOT : LTX_LEVEL_SNAPSHOT - 1, plan, e);
	free(s.sorted);
	return rc;
}

static void widen(const struct replica_list *files, int64_t *first, int64_t *last)
{
	for (int i = 0; i < files->count; i++) {
		int64_t t = files->items[i].created_ms;

		*first = t < *first ? t : *first;
		*last = t > *last ? t : *last;
	}
}

/* A remote place covers the times of its transactions and those of their uploads:
 * Litestream takes the latter for bounds. */
static int check_time(struct replica *r, const struct replica_list *files, const struct v3_backups *old,
                      int64_t time_ns, struct err *e)
{
	struct replica_list uploads = { .items = NULL };
	int64_t first = INT64_MAX, last = INT64_MIN;
	int rc = 0;

	widen(files, &first, &last);
	v3_widen(old, &first, &last);
	if (first > last)
		return err_set(e, ERR_UNAVAILABLE, "no backups found");
	if (!r->local && restore_compare_times(last, time_ns) < 0) {
		rc = replica_list_levels(r, 0, LTX_LEVEL_MAX, false, &uploads, e);
		widen(&uploads, &first, &last);
		replica_list_free(&uploads);
	}
	if (rc == 0 && (restore_compare_times(first, time_ns) > 0 || restore_compare_times(last, time_ns) < 0))
		rc = err_set(e, ERR_UNAVAILABLE, "timestamp does not exist");
	return rc;
}

int restore_list(struct replica *r, const struct restore_target *target, bool check_bounds, struct replica_list *files,
                 struct v3_backups *old, struct err *e)
{
	*old = (struct v3_backups){ .snapshots = { .items = NULL } };
	if (replica_list_levels(r, 0, LTX_LEVEL_MAX, target->has_time, files, e) != 0)
		return -1;
	if (target->txid == 0 && v3_list(r, old, e) != 0)
		return -1;
	return check_bounds && target->has_time ? check_time(r, files, old, target->time_ns, e) : 0;
}

int restore_plan_list(struct replica *r, const struct restore_target *target, struct replica_list *files,
                      struct restore_plan *plan, struct err *e)
{
	if (replica_list_levels(r, 0, LTX_LEVEL_MAX, target->has_time, files, e) != 0)
		return -1;
	return restore_plan_calc(files, target, plan, e);
}

int restore_plan_make(struct replica *r, const struct restore_target *target, bool check_bounds,
                      struct restore_plan *plan, struct err *e)
{
	struct replica_list files = { .items = NULL };
	struct v3_backups old;
	int rc = restore_list(r, target, check_bounds, &files, &old, e);

	if (rc == 0)
		rc = restore_plan_calc(&files, target, plan, e);
	v3_free(&old);
	replica_list_free(&files);
	return rc;
}

void restore_plan_free(struct restore_plan *p)
{
	free(p->items);
	*p = (struct restore_plan){ .items = NULL };
}
