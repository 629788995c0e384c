/* SPDX-License-Identifier: MIT */
#include "applets/census.h"

#include <stdlib.h>
#include <string.h>

#include "applets/place.h"

static int add(void *ctx, const char *path, const char *relative, struct err *e)
{
	struct census_list *l = ctx;
	struct census_found *f;

	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct census_found *items = realloc(l->items, cap * sizeof(*items));

		if (!items)
			return err_nomem(e);
		l->items = items;
		l->cap = cap;
	}
	f = &l->items[l->count];
	f->path = strdup(path);
	f->relative = relative ? strdup(relative) : NULL;
	l->count++;
	return f->path && (f->relative || !relative) ? 0 : err_nomem(e);
}

int census_take(struct config *config, bool watched_too, struct census *out, struct err *e)
{
	*out = (struct census){ .config = *config };
	*config = (struct config){ .memory = NULL };
	if (config_check(&out->config, e))
		goto fail;
	out->found = calloc((size_t)out->config.db_count + 1, sizeof(*out->found));
	if (!out->found) {
		err_nomem(e);
		goto fail;
	}
	for (int i = 0; i < out->config.db_count; i++) {
		const struct config_db *db = &out->config.dbs[i];

		if (db->dir && (watched_too || !db->watch) && place_scan(db, add, &out->found[i], e))
			goto fail;
	}
	return 0;
fail:
	census_free(out);
	return -1;
}

void census_free(struct census *c)
{
	for (int i = 0; c->found && i < c->config.db_count; i++) {
		for (size_t k = 0; k < c->found[i].count; k++) {
			free(c->found[i].items[k].path);
			free(c->found[i].items[k].relative);
		}
		free(c->found[i].items);
	}
	free(c->found);
	config_free(&c->config);
	*c = (struct census){ .found = NULL };
}
