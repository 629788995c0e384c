/* SPDX-License-Identifier: MIT */
/* Which v0.3 backups there are, and which of them make up a database. */
#include "lib/restore/v3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/restore/internal.h"

/* ---- names ---- */

/* A hex number of min to max digits up to the text `end`, which is all that may follow. */
static bool parse_hex(const char *s, size_t min, size_t max, const char *end, uint64_t *value)
{
	size_t n = strspn(s, "0123456789abcdef");

	if (n < min || n > max || strcmp(s + n, end) != 0)
		return false;
	*value = strtoull(s, NULL, 16);
	return true;
}

bool v3_parse_generation(const char *name, uint64_t *generation)
{
	return parse_hex(name, 16, 16, "", generation);
}

bool v3_parse_snapshot(const char *name, uint32_t *index)
{
	uint64_t value;

	if (!parse_hex(name, 8, 8, ".snapshot.lz4", &value))
		return false;
	*index = (uint32_t)value;
	return true;
}

bool v3_parse_segment(const char *name, uint32_t *index, uint64_t *offset, int *digits)
{
	char head[9] = "";
	uint64_t value;

	if (strnlen(name, 9) < 9 || name[8] != '_')
		return false;
	memcpy(head, name, 8);
	if (!parse_hex(head, 8, 8, "", &value) || !parse_hex(name + 9, 8, 16, ".wal.lz4", offset))
		return false;
	*index = (uint32_t)value;
	*digits = (int)(strchr(name, '.') - (name + 9));
	return *offset <= INT64_MAX;
}

/* ---- listing ---- */

static int add(struct v3_objects *l, const struct v3_object *o, struct err *e)
{
	struct v3_object *items;

	if (l->count == V3_OBJECTS_MAX)
		return err_set(e, ERR_LIMIT, "too many v0.3.x files in the replica");
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		items = realloc(l->items, (size_t)l->cap * sizeof(*items));
		if (!items) {
			l->cap = l->count;
			return err_nomem(e);
		}
		l->items = items;
	}
	l->items[l->count++] = *o;
	return 0;
}

struct listing {
	struct v3_objects *out;
	uint64_t generation;
	bool snapshots;
};

static int visit_object(void *ctx, const char *name, int64_t size, int64_t created_ms, struct err *e)
{
	struct listing *l = ctx;
	struct v3_object o = { .generation = l->generation, .size = size, .created_ms = created_ms };
	bool ours = size >= 0 && (l->snapshots ? v3_parse_snapshot(name, &o.index) :
	                                         v3_parse_segment(name, &o.index, &o.offset, &o.digits));

	return ours ? add(l->out, &o, e) : 0;
}

static int visit_generation(void *ctx, const char *name, int64_t size, int64_t created_ms, struct err *e)
{
	struct v3_object o = { .created_ms = created_ms };

	return size >= 0 || !v3_parse_generation(name, &o.generation) ? 0 : add(ctx, &o, e);
}

int v3_list(struct replica *r, struct v3_backups *b, struct err *e)
{
	struct v3_objects generations = { .items = NULL };
	char folder[64];
	int rc = 0;

	*b = (struct v3_backups){ .snapshots = { .items = NULL } };
	if (!r->ops->visit_folder)
		return 0;
	rc = r->ops->visit_folder(r, "generations", visit_generation, &generations, e);
	for (int i = 0; rc == 0 && i < generations.count; i++) {
		struct listing l = { &b->snapshots, generations.items[i].generation, true };

		snprintf(folder, sizeof(folder), "generations/%016llx/snapshots", (unsigned long long)l.generation);
		rc = r->ops->visit_folder(r, folder, visit_object, &l, e);
		l.out = &b->segments;
		l.snapshots = false;
		snprintf(folder, sizeof(folder), "generations/%016llx/wal", (unsigned long long)l.generation);
		if (rc == 0)
			rc = r->ops->visit_folder(r, folder, visit_object, &l, e);
	}
	free(generations.items);
	if (rc != 0)
		v3_free(b);
	return rc;
}

void v3_free(struct v3_backups *b)
{
	free(b->snapshots.items);
	free(b->segments.items);
	*b = (struct v3_backups){ .snapshots = { .items = NULL } };
}

static void widen(const struct v3_objects *l, int64_t *first_ms, int64_t *last_ms)
{
	for (int i = 0; i < l->count; i++) {
		int64_t t = l->items[i].created_ms;

		*first_ms = t < *first_ms ? t : *first_ms;
		*last_ms = t > *last_ms ? t : *last_ms;
	}
}

void v3_widen(const struct v3_backups *b, int64_t *first_ms, int64_t *last_ms)
{
	widen(&b->snapshots, first_ms, last_ms);
	widen(&b->segments, first_ms, last_ms);
}

/* ---- choosing ---- */

static bool in_time(const struct v3_object *o, const struct restore_target *t)
{
	return !t->has_time || restore_compare_times(o->created_ms, t->time_ns) <= 0;
}

/* The newest; of several of one time the one with the highest number. */
static const struct v3_object *best_snapshot(const struct v3_backups *b, const struct restore_target *t)
{
	const struct v3_object *best = NULL;

	for (int i = 0; i < b->snapshots.count; i++) {
		const struct v3_object *o = &b->snapshots.items[i];

		if (in_time(o, t) && (!best || o->created_ms > best->created_ms ||
		                      (o->created_ms == best->created_ms && o->index > best->index)))
			best = o;
	}
	return best;
}

bool v3_is_better(const struct v3_backups *b, const struct replica_list *files, const struct restore_target *target)
{
	const struct v3_object *best = best_snapshot(b, target);
	int64_t newest = INT64_MIN, unused = INT64_MAX, ours = INT64_MIN;

	if (!best || target->txid != 0)
		return false;
	for (int i = 0; i < files->count; i++) {
		const struct replica_item *item = &files->items[i];

		if (target->has_time && (item->level != LTX_LEVEL_SNAPSHOT ||
		                         restore_compare_times(item->created_ms, target->time_ns) >= 0))
			continue;
		newest = item->created_ms > newest ? item->created_ms : newest;
	}
	if (target->has_time)
		return best->created_ms > newest;
	v3_widen(b, &unused, &ours);
	return ours > newest;
}

static int compare_segments(const void *pa, const void *pb)
{
	const struct v3_object *a = pa, *b = pb;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Each WAL must begin, and follow the one before; whether a WAL's parts fit is known only when they are unpacked. */
static int check_indices(const struct v3_plan *plan, struct err *e)
{
	uint32_t index = plan->snapshot.index;
	bool begun = false;

	for (int i = 0; i < plan->segments.count; i++) {
		const struct v3_object *o = &plan->segments.items[i];

		if (o->offset == 0 && begun)
			index++;
		if (o->index != index || (o->offset != 0 && !begun)) {
			if (begun && o->offset != 0)
				index++;
			return err_set(e, ERR_GAP, "missing WAL index: expected %08x/0, got %08x/%llx", index, o->index,
			               (unsigned long long)o->offset);
		}
		begun = true;
	}
	return 0;
}

int v3_plan_make(const struct v3_backups *b, const struct restore_target *target, struct v3_plan *plan, struct err *e)
{
	const struct v3_object *snapshot = best_snapshot(b, target);

	*plan = (struct v3_plan){ .segments = { .items = NULL } };
	if (!snapshot)
		return err_set(e, ERR_UNAVAILABLE, "no matching backup files available");
	plan->snapshot = *snapshot;
	plan->total_bytes = snapshot->size;
	for (int i = 0; i < b->segments.count; i++) {
		const struct v3_object *o = &b->segments.items[i];

		if (o->generation != snapshot->generation || o->index < snapshot->index || !in_time(o, target))
			continue;
		if (add(&plan->segments, o, e) != 0)
			return -1;
		plan->total_bytes += o->size;
	}
	if (plan->segments.count > 0)
		qsort(plan->segments.items, (size_t)plan->segments.count, sizeof(*plan->segments.items),
		      compare_segments);
	return check_indices(plan, e);
}

void v3_plan_free(struct v3_plan *plan)
{
	free(plan->segments.items);
	plan->segments = (struct v3_objects){ .items = NULL };
}
