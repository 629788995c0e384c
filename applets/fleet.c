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
	free(en->pattern);
	free(en->name);
	free(en);
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++) {
		for (size_t k = 0; k < f->entries[i]->count; k++)
			places_release(f, f->entries[i]->members[k]);
		entry_free(f->entries[i]);
	}
	free(f->entries);
	waiting_free(f);
	census_free(&f->census);
	free(f);
}

/* Only folders go on finding, and only what is restored or waits will still be added. */
void fleet_trim(struct fleet *f)
{
	if (f->restores || f->waiting)
		return;
	for (size_t i = 0; i < f->count; i++) {
		if (f->entries[i]->folder)
			return;
	}
	for (size_t i = 0; i < f->count; i++)
		f->entries[i]->db = NULL;
	census_free(&f->census);
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
	en->name = strdup(db->path ? db->path : db->dir);
	en->pattern = db->dir ? strdup(db->pattern) : NULL;
	if (en->name && (en->pattern || !db->dir))
		return en;
	err_nomem(e);
	entry_free(en);
	return NULL;
}

static void find_members(struct entry *en, const struct census_list *found)
{
	for (size_t i = 0; i < found->count; i++)
		entry_found(en, found->items[i].path, found->items[i].relative);
	log_info("found databases in directory", LS("dir", en->db->dir), LI("count", (int64_t)en->count),
	         LB("watch", false));
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
	fleet_trim(f);
	return 0;
}

/* ---- another configuration ---- */

static int compare_names(const char *name_a, const char *pattern_a, const char *name_b, const char *pattern_b)
{
	int rc;

	if (!pattern_a != !pattern_b)
		return pattern_a ? 1 : -1;
	rc = strcmp(name_a, name_b);
	return rc || !pattern_a ? rc : strcmp(pattern_a, pattern_b);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;

	return compare_names(x->name, x->pattern, y->name, y->pattern);
}

static int compare_key(const void *key, const void *element)
{
	const struct config_db *db = key;
	const struct entry *en = *(struct entry *const *)element;

	return compare_names(db->path ? db->path : db->dir, db->dir ? db->pattern : NULL, en->name, en->pattern);
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
	if (db->dir && !db->watch)
		refind(en, found);
	if (!db->path || en->restore || store_find(en->f->o.store, db->path))
		return;
	/* Somebody unregistered it, or it could not be added; the file says that it shall be there. */
	entry_lose_all(en);
	if (entry_add(en, db->path, NULL, &e))
		log_error("cannot add database", LS("path", db->path), LS("error", err_text(&e)));
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
	bool *taken, *kept;        /* of the old ones: named by the new configuration; in the same words */
	size_t old_count, now_count;
};

/* Takes the entry of that name out of the sorted old ones; NULL when there is none. */
static struct entry **take(struct change *ch, const struct config_db *db)
{
	struct entry **at = ch->old_count ? bsearch(db, ch->old, ch->old_count, sizeof(*ch->old), compare_key) : NULL;

	if (!at || ch->taken[at - ch->old])
		return NULL;
	ch->taken[at - ch->old] = true;
	return at;
}

/* What does not go on as it is leaves, once all have been looked for. */
static void part(struct change *ch, const struct config *next, struct fleet_changes *changes)
{
	if (ch->old_count)
		qsort(ch->old, ch->old_count, sizeof(*ch->old), compare_entries);
	for (size_t i = 0; i < ch->now_count; i++) {
		struct entry **at = take(ch, &next->dbs[i]);

		if (at && (*at)->identity == config_db_identity(&next->dbs[i])) {
			ch->now[i] = *at;
			ch->kept[at - ch->old] = true;
			continue;
		}
		changes->changed += at != NULL;
		changes->added += at == NULL;
	}
	for (size_t i = 0; i < ch->old_count; i++) {
		changes->removed += !ch->taken[i];
		if (!ch->kept[i])
			leave(ch->old[i]);
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
	ch.kept = calloc(ch.old_count + 1, sizeof(*ch.kept));
	if (!ch.now || !ch.taken || !ch.kept) {
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
		fleet_trim(f);
	}
	free(ch.taken);
	free(ch.kept);
}
