/* SPDX-License-Identifier: MIT */
/* Databases into the store and out of it, for the entries of a configuration. */
#include <stdlib.h>
#include <string.h>

#include "applets/before.h"
#include "applets/derive.h"
#include "applets/fleet_parts.h"
#include "applets/place.h"
#include "lib/base/log.h"

static int remember(struct entry *en, const char *path, struct err *e)
{
	if (en->count == en->cap) {
		size_t cap = en->cap ? en->cap * 2 : 1;
		char **members = realloc(en->members, cap * sizeof(*members));

		if (!members)
			return err_nomem(e);
		en->members = members;
		en->cap = cap;
	}
	en->members[en->count] = strdup(path);
	return en->members[en->count++] ? 0 : err_nomem(e);
}

static void forget_last(struct entry *en)
{
	free(en->members[--en->count]);
}

/* Waits for the place of its replica. */
static int wait_for_place(struct entry *en, const char *path, const char *relative, struct err *e)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (w)
		w->path = strdup(path);
	if (w && relative)
		w->relative = strdup(relative);
	if (!w || !w->path || (relative && !w->relative)) {
		if (w)
			free(w->path);
		free(w);
		return err_nomem(e);
	}
	log_info("database waits for the replica of one that is being removed", LS("path", path),
	         LS("reason", err_text(e)));
	w->en = en;
	w->next = en->f->waiting;
	en->f->waiting = w;
	return 0;
}

static int into_store(struct entry *en, const char *path, const char *relative, struct err *e)
{
	struct managed_options o;
	struct managed *m;
	char *meta;
	int rc;

	if (derive_managed(en->db, path, relative, &o, &meta, e))
		return -1;
	rc = store_add(en->f->o.store, &o, &m, e);
	if (rc) {
		derive_undo(&o);
		if (!err_is(e, ERR_EXISTS))
			err_wrap(e, "cannot open store");
	} else if (!o.enabled) {
		log_info("database registered but not auto-started", LS("path", path));
	}
	free(meta);
	return rc;
}

int entry_add(struct entry *en, const char *path, const char *relative, struct err *e)
{
	const char *mine;

	if (remember(en, path, e))
		return -1;
	mine = en->members[en->count - 1];
	if (places_claim(en->f, en->db, relative, mine, e)) {
		forget_last(en);
		return err_is(e, ERR_BUSY) ? wait_for_place(en, path, relative, e) : -1;
	}
	if (into_store(en, path, relative, e)) {
		places_release(en->f, mine);
		forget_last(en);
		return -1;
	}
	return 0;
}

static void add_or_say(struct entry *en, const char *path, const char *relative)
{
	struct err e = ERR_INIT;

	if (entry_add(en, path, relative, &e) == 0)
		return;
	if (err_is(&e, ERR_EXISTS))
		log_debug("database is known already", LS("path", path));
	else if (!err_is(&e, ERR_CANCELLED))
		log_error("cannot add database", LS("path", path), LS("error", err_text(&e)));
}

void entry_found(struct entry *en, const char *path, const char *relative)
{
	const char *ignored;
	const struct config_db *other = config_find(&en->f->census.config, path, &ignored);

	if (!other || !other->path) /* else an entry of its own says how */
		add_or_say(en, path, relative && relative[0] ? relative : NULL);
}

static void waiting_drop(struct waiting *w)
{
	free(w->path);
	free(w->relative);
	free(w);
}

/* Some place has become free. */
static void try_waiting(struct fleet *f)
{
	struct waiting *w = f->waiting;

	f->waiting = NULL;
	while (w) {
		struct waiting *next = w->next;

		if (!store_is_stopping(f->o.store))
			add_or_say(w->en, w->path, w->relative);
		waiting_drop(w);
		w = next;
	}
}

/* Of one entry, and if path is not NULL, with that path only. */
static void forget_waiting(struct entry *en, const char *path)
{
	struct waiting **link = &en->f->waiting;

	while (*link) {
		struct waiting *w = *link;

		if (w->en == en && (!path || strcmp(w->path, path) == 0)) {
			*link = w->next;
			waiting_drop(w);
		} else {
			link = &w->next;
		}
	}
}

void waiting_free(struct fleet *f)
{
	while (f->waiting) {
		struct waiting *w = f->waiting;

		f->waiting = w->next;
		waiting_drop(w);
	}
}

/* ---- out ---- */

struct leaving {
	struct store_call call;
	struct fleet *f;
	char *path;
};

static void on_removed(struct store_call *c)
{
	struct leaving *l = (struct leaving *)(void *)c;

	if (c->rc && !err_is(&c->why, ERR_NOT_FOUND))
		log_warn("database removed, its last sync failed", LS("path", l->path), LS("error", err_text(&c->why)));
	else
		log_info("database removed", LS("path", l->path), LX("txid", c->txid));
	places_release(l->f, l->path);
	free(l->path);
	try_waiting(l->f);
	fleet_trim(l->f);
	free(l);
}

static void remove_path(struct fleet *f, char *path)
{
	struct leaving *l = calloc(1, sizeof(*l));

	/* Or it was unregistered by somebody else. */
	if (!l || store_is_stopping(f->o.store) || !store_find(f->o.store, path)) {
		places_release(f, path);
		free(path);
		free(l);
		return;
	}
	places_leave(f, path);
	l->call.done = on_removed;
	l->f = f;
	l->path = path;
	store_remove(f->o.store, path, &l->call);
}

void entry_lost(struct entry *en, const char *path)
{
	forget_waiting(en, path);
	for (size_t i = 0; i < en->count; i++) {
		char *mine = en->members[i];

		if (strcmp(mine, path) != 0)
			continue;
		en->members[i] = en->members[--en->count];
		remove_path(en->f, mine);
		return;
	}
}

void entry_lose_all(struct entry *en)
{
	forget_waiting(en, NULL);
	while (en->count)
		remove_path(en->f, en->members[--en->count]);
}

/* ---- watched folders ---- */

static void on_found(void *ctx, const char *path, const char *relative)
{
	entry_found(ctx, path, relative);
}

static void on_lost(void *ctx, const char *path)
{
	entry_lost(ctx, path);
}

/* Its replica's place follows from its name: it begins anew there. */
static void on_moved(void *ctx, const char *old_path, const char *path, const char *relative)
{
	entry_lost(ctx, old_path);
	entry_found(ctx, path, relative);
}

static void on_ready(void *ctx)
{
	struct entry *en = ctx;

	en->settled = true;
	log_info("found databases in directory", LS("dir", en->name), LI("count", (int64_t)en->count),
	         LB("watch", true));
}

int entry_watch(struct entry *en, struct err *e)
{
	const char *skip[PLACE_SKIPS];
	const struct folder_options o = {
		.loop = en->f->o.loop,
		.pool = en->f->o.pool,
		.rule = place_rule(en->db, skip),
		.found = on_found,
		.lost = on_lost,
		.moved = on_moved,
		.ready = on_ready,
		.ctx = en,
	};

	if (folder_watch(&o, &en->folder, e))
		return err_wrap(e, "start directory monitor for %s", en->db->dir);
	return 0;
}

/* ---- restored first ---- */

static void on_restored(struct before *b)
{
	struct entry *en = b->ctx;
	struct fleet *f = en->f;

	en->restore = NULL;
	f->restores--;
	if (en->dropped) {
		entry_free(en);
	} else if (b->rc) {
		/* Replicating an empty database over the backup that could not be read is what must not happen. */
		log_error("cannot add database", LS("path", en->name), LS("error", err_text(&b->why)));
	} else if (!store_is_stopping(f->o.store)) {
		add_or_say(en, en->name, NULL);
	}
	before_free(b);
	fleet_trim(f);
}

int entry_restore_or_add(struct entry *en, struct err *e)
{
	const struct fleet_options *o = &en->f->o;

	if (en->db->enabled && en->db->auto_replicate &&
	    before_begin(en->db, o->restore_all, o->pool, o->cancel, on_restored, en, &en->restore, e))
		return -1;
	if (!en->restore)
		return entry_add(en, en->db->path, NULL, e);
	en->f->restores++;
	return 0;
}
