/* SPDX-License-Identifier: MIT */
/*
 * The entries of a configuration, and what another configuration changes. An entry is known by what it names (a path, or
 * a folder and a pattern) and by a number for all that it says; so order, comments and spelling may change freely.
 */
#include "applets/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "applets/fleet_parts.h"
#include "lib/base/log.h"

int fleet_create(const struct fleet_options *o, struct fleet **out, struct err *e)
{
	struct fleet *f = calloc(1, sizeof(*f));

	if (!f)
		return err_nomem(e);
	f->o = *o;
	*out = f;
	return 0;
}

void entry_free(struct entry *en)
{
	folder_free(en->folder);
	for (size_t i = 0; i < en->count; i++)
		free(en->members[i]);
	free(en->members);
	free(en);
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++)
		entry_free(f->entries[i]);
	free(f->entries);
	census_free(&f->census);
	free(f);
}

void fleet_stop(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		folder_free(f->entries[i]->folder);
		f->entries[i]->folder = NULL;
	}
}

bool fleet_settled(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->entries[i]->folder && !f->entries[i]->settled)
			return false;
	}
	return f->restores == 0;
}

/* ---- entries ---- */

static struct entry *new_entry(struct fleet *f, const struct config_db *db, struct err *e)
{
	struct entry *en = calloc(1, sizeof(*en));

	if (!en) {
		err_nomem(e);
		return NULL;
	}
	en->f = f;
	en->db = db;
	en->identity = config_db_identity(db);
	return en;
}

static void find_members(struct entry *en, const struct census_list *found)
{
	for (size_t i = 0; i < found->count; i++)
		entry_found(en, found->items[i].path, found->items[i].relative);
	log_info("found databases in directory", LS("dir", en->db->dir), LI("count", (int64_t)en->count), LB("watch", false));
}

/* Brings in what a new entry names. restore: not at the start, where that has been done. */
static int enter(struct entry *en, const struct census_list *found, bool restore, struct err *e)
{
	if (en->db->path)
		return restore ? entry_restore_or_add(en, e) : entry_add(en, en->db->path, NULL, e);
	if (en->db->watch)
		return entry_watch(en, e);
	find_members(en, found);
	return 0;
}

/* Lets go of all that it named. */
static void leave(struct entry *en)
{
	folder_free(en->folder);
	en->folder = NULL;
	entry_lose_all(en);
	if (en->restore)
		en->dropped = true;
	else
		entry_free(en);
}

int fleet_begin(struct fleet *f, struct census *c, struct err *e)
{
	f->census = *c;
	*c = (struct census){ .found = NULL };
	f->entries = calloc((size_t)f->census.config.db_count + 1, sizeof(struct entry *));
	if (!f->entries)
		return err_nomem(e);
	for (int i = 0; i < f->census.config.db_count; i++) {
		struct entry *en = new_entry(f, &f->census.config.dbs[i], e);

		if (!en)
			return -1;
		f->entries[f->count++] = en;
		if (enter(en, &f->census.found[i], false, e))
			return -1;
	}
	return 0;
}

/* ---- another configuration ---- */

static int compare_names(const struct config_db *a, const struct config_db *b)
{
	int rc;

	if (!a->path != !b->path)
		return a->path ? -1 : 1;
	rc = strcmp(a->path ? a->path : a->dir, b->path ? b->path : b->dir);
	return rc || a->path ? rc : strcmp(a->pattern, b->pattern);
}

static int compare_entries(const void *a, const void *b)
{
	return compare_names((*(struct entry *const *)a)->db, (*(struct entry *const *)b)->db);
}

static int compare_key(const void *key, const void *element)
{
	return compare_names(key, (*(struct entry *const *)element)->db);
}

/* A folder that is not watched was looked through again. */
static void refind(struct entry *en, const struct census_list *found)
{
	char **gone = calloc(en->count + 1, sizeof(*gone));
	size_t gone_count = 0;

	for (size_t i = 0; gone && i < en->count; i++) {
		bool there = false;

		for (size_t k = 0; !there && k < found->count; k++)
			there = strcmp(found->items[k].path, en->members[i]) == 0;
		if (!there)
			gone[gone_count] = strdup(en->members[i]);
		gone_count += !there && gone[gone_count];
	}
	for (size_t i = 0; i < gone_count; i++) {
		entry_lost(en, gone[i]);
		free(gone[i]);
	}
	free(gone);
	for (size_t i = 0; i < found->count; i++) {
		if (!store_find(en->f->o.store, found->items[i].path))
			entry_found(en, found->items[i].path, found->items[i].relative);
	}
}

/* The same entry, in the new configuration. */
static void keep(struct entry *en, const struct config_db *db, const struct census_list *found)
{
	struct err e = ERR_INIT;

	en->db = db;
	if (en->db->dir && !en->db->watch)
		refind(en, found);
	if (!en->db->path || en->restore || store_find(en->f->o.store, en->db->path))
		return;
	/* Somebody unregistered it; the file says that it shall be. */
	entry_lose_all(en);
	if (entry_add(en, en->db->path, NULL, &e))
		log_error("cannot add database", LS("path", en->db->path), LS("error", err_text(&e)));
}

static void enter_or_say(struct entry *en, const struct census_list *found)
{
	struct err e = ERR_INIT;

	if (enter(en, found, true, &e) == 0)
		return;
	log_error(en->db->path ? "cannot add database" : "cannot watch directory",
	          LS("path", en->db->path ? en->db->path : en->db->dir), LS("error", err_text(&e)));
}

struct change {
	struct entry **old, **now; /* now: NULL where the entry is new, or new in what it says */
	bool *taken;               /* of the old ones: they go on, or were replaced */
	size_t old_count, now_count;
};

/* Takes the entry of that name out of the sorted old ones; NULL when there is none. */
static struct entry *take(struct change *ch, const struct config_db *db)
{
	struct entry **at = ch->old_count ? bsearch(db, ch->old, ch->old_count, sizeof(*ch->old), compare_key) : NULL;

	if (!at || ch->taken[at - ch->old])
		return NULL;
	ch->taken[at - ch->old] = true;
	return *at;
}

/* What does not go on as it is leaves. */
static void part(struct change *ch, const struct config *next, struct fleet_changes *changes)
{
	if (ch->old_count)
		qsort(ch->old, ch->old_count, sizeof(*ch->old), compare_entries);
	for (size_t i = 0; i < ch->now_count; i++) {
		struct entry *en = take(ch, &next->dbs[i]);

		if (en && en->identity == config_db_identity(&next->dbs[i])) {
			ch->now[i] = en;
			continue;
		}
		changes->changed += en != NULL;
		changes->added += en == NULL;
		if (en)
			leave(en);
	}
	for (size_t i = 0; i < ch->old_count; i++) {
		if (ch->taken[i])
			continue;
		leave(ch->old[i]);
		changes->removed++;
	}
}

static void gather(struct fleet *f, struct change *ch)
{
	f->entries = ch->now;
	f->count = 0;
	for (size_t i = 0; i < ch->now_count; i++) {
		const struct config_db *db = &f->census.config.dbs[i];
		const struct census_list *found = &f->census.found[i];
		struct entry *en = ch->now[i];
		bool is_new = !en;
		struct err e = ERR_INIT;

		if (is_new)
			en = new_entry(f, db, &e);
		if (!en) {
			log_error("cannot add database", LS("error", err_text(&e)));
			continue;
		}
		f->entries[f->count++] = en;
		if (is_new)
			enter_or_say(en, found);
		else
			keep(en, db, found);
	}
}

void fleet_change(struct fleet *f, struct census *c, struct fleet_changes *changes)
{
	struct census before = f->census;
	struct change ch = { .old = f->entries, .old_count = f->count, .now_count = (size_t)c->config.db_count };

	*changes = (struct fleet_changes){ .added = 0 };
	ch.now = calloc(ch.now_count + 1, sizeof(struct entry *));
	ch.taken = calloc(ch.old_count + 1, sizeof(*ch.taken));
	if (!ch.now || !ch.taken) {
		log_error("cannot change the configuration", LS("error", "out of memory"));
		free(ch.now);
		census_free(c);
	} else {
		part(&ch, &c->config, changes);
		f->census = *c;
		*c = (struct census){ .found = NULL };
		gather(f, &ch);
		free(ch.old);
		census_free(&before);
	}
	free(ch.taken);
}
