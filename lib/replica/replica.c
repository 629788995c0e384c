/* SPDX-License-Identifier: MIT */
/* What all kinds of replicas have in common: lists of objects, names, what they are called. */
#include "lib/replica/replica.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"

enum { LISTING_FRESH_US = 10 * 1000 * 1000 };

void replica_list_free(struct replica_list *l)
{
	free(l->items);
	*l = (struct replica_list){ .items = NULL };
}

int replica_list_add(struct replica_list *l, const struct replica_item *item, struct err *e)
{
	if (l->count == l->cap) {
		if (l->cap > INT32_MAX / 4)
			return err_set(e, ERR_LIMIT, "too many files in the replica");
		int cap = l->cap ? l->cap * 2 : 32;
		struct replica_item *items = realloc(l->items, (size_t)cap * sizeof(*items));
		if (!items)
			return err_nomem(e);
		l->items = items;
		l->cap = cap;
	}
	l->items[l->count++] = *item;
	return 0;
}

struct kept_listing {
	struct replica_list all;
	int64_t since_us;
};

static void drop_listing(struct kept_listing *k)
{
	if (k)
		replica_list_free(&k->all);
	free(k);
}

void replica_listing_keep(struct replica *r, struct replica_list *all)
{
	struct kept_listing *k = r->local || r->lease ? NULL : malloc(sizeof(*k));

	if (!k)
		return;
	*k = (struct kept_listing){ .all = *all, .since_us = os_mono_us() };
	*all = (struct replica_list){ .items = NULL };
	drop_listing(atomic_exchange(&r->kept, k));
}

bool replica_listing_take(struct replica *r, struct replica_list *all)
{
	struct kept_listing *k = atomic_exchange(&r->kept, NULL);
	bool fresh = k && os_mono_us() - k->since_us < LISTING_FRESH_US;

	if (fresh) {
		*all = k->all;
		k->all = (struct replica_list){ .items = NULL };
	}
	drop_listing(k);
	return fresh;
}

int replica_item_compare(const struct replica_item *a, const struct replica_item *b)
{
	if (a->level != b->level)
		return a->level < b->level ? -1 : 1;
	if (a->min_txid != b->min_txid)
		return a->min_txid < b->min_txid ? -1 : 1;
	if (a->max_txid != b->max_txid)
		return a->max_txid < b->max_txid ? -1 : 1;
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	return replica_item_compare(a, b);
}

void replica_list_sort(struct replica_list *l)
{
	if (l->count > 1)
		qsort(l->items, (size_t)l->count, sizeof(*l->items), compare_items);
}

int replica_list_levels(struct replica *r, int from, int to, bool exact_times, struct replica_list *out, struct err *e)
{
	out->count = 0;
	if (from == 0 && to == LTX_LEVEL_MAX && r->ops->list_all) {
		if (r->ops->list_all(r, exact_times, out, e) != 0)
			return -1;
		replica_list_sort(out);
		return 0;
	}
	for (int level = from; level <= to; level++) {
		if (r->ops->list(r, level, 0, exact_times, out, e) != 0)
			return -1;
	}
	replica_list_sort(out);
	return 0;
}

int replica_init(struct replica *r, const struct replica_ops *ops, const char *url, const char *path, struct err *e)
{
	r->ops = ops;
	r->url = strdup(url);
	r->path = path ? strdup(path) : NULL;
	if (r->url && (r->path || !path))
		return 0;
	free(r->url);
	free(r->path);
	r->url = r->path = NULL;
	return err_nomem(e);
}

void replica_set_owner(struct replica *r, const struct os_owner *file, const struct os_owner *dir)
{
	/* Said anew whenever a database is opened, while others may be using the replica. */
	if (r->owner_known && !memcmp(&r->file_owner, file, sizeof(*file)) && !memcmp(&r->dir_owner, dir, sizeof(*dir)))
		return;
	r->file_owner = *file;
	r->dir_owner = *dir;
	r->owner_known = true;
}

void replica_free(struct replica *r)
{
	if (!r)
		return;
	char *url = r->url, *path = r->path, *name = r->name;
	drop_listing(atomic_exchange(&r->kept, NULL));
	r->ops->free(r);
	free(url);
	free(path);
	free(name);
}

const char *replica_type(const struct replica *r)
{
	return r->ops->type;
}

const char *replica_path(const struct replica *r)
{
	return r->path ? r->path : r->prefix ? r->prefix : "";
}

void replica_log_target(const struct replica *r, int64_t sync_interval_ms)
{
	int64_t interval = sync_interval_ms * 1000000;

	if (r->bucket)
		log_info("replicating to", LS("type", replica_type(r)), LD("sync-interval", interval),
		         LS("bucket", r->bucket),
		         LS("path", replica_path(r)), LS("region", r->region ? r->region : ""),
		         LS("endpoint", r->endpoint ? r->endpoint : ""));
	else
		log_info("replicating to", LS("type", replica_type(r)), LD("sync-interval", interval),
		         LS("path", replica_path(r)));
}

char *replica_item_name(char out[REPLICA_NAME_SIZE], const struct replica_item *item)
{
	char name[LTX_NAME_SIZE];

	snprintf(out, REPLICA_NAME_SIZE, "ltx/%d/%s", item->level, ltx_name(name, item->min_txid, item->max_txid));
	return out;
}
