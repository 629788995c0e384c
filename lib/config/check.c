/* SPDX-License-Identifier: MIT */
/* What concerns more than one value of the file: the replicas of an entry, and entries that get in each other's way. */
#include <stdlib.h>
#include <string.h>

#include "lib/config/internal.h"
#include "lib/os/file.h"

int config_db_check(const struct config_db *db, struct err *e)
{
	if (!db->replica_count)
		return err_set(e, ERR_INVALID, "must specify replica for database");
	if (db->has_replica && db->has_replicas)
		return err_set(e, ERR_INVALID, "cannot specify 'replica' and 'replicas' on a database");
	if (db->replica_count > CONFIG_REPLICAS_MAX)
		return err_set(e, ERR_LIMIT, "database %s has %d replicas, of %d that are possible",
		               db->path ? db->path : db->dir, db->replica_count, CONFIG_REPLICAS_MAX);
	for (int i = 0; i < db->replica_count; i++) {
		const struct config_replica *r = &db->replicas[i];
		struct replica *none = NULL;

		if (r->settings.path && replica_is_url(r->settings.path))
			return err_set(e, ERR_INVALID,
			               "replica path cannot be a url, please use the 'url' field instead: %s",
			               r->settings.path);
		if (r->age)
			return err_set(e, ERR_INVALID,
			               "age encryption is not currently supported, if you need encryption please "
			               "revert back to Litestream v0.3.x");
		if (replica_open(&r->settings, REPLICA_OPEN_CHECK, &none, e))
			return -1;
		replica_free(none);
	}
	return 0;
}

/* ---- entries that are the same thing ---- */

struct claim {
	const struct config_db *db;
	char *place;      /* of a replica; NULL = the entry's own file */
	uint64_t dev, ino;
};

struct claims {
	struct claim *items;
	size_t count, cap;
};

static int add_claim(struct claims *c, struct claim claim, struct err *e)
{
	if (c->count == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 64;
		struct claim *items = realloc(c->items, cap * sizeof(*items));

		if (!items)
			return err_nomem(e);
		c->items = items;
		c->cap = cap;
	}
	c->items[c->count++] = claim;
	return 0;
}

static int by_order(const struct claim *a, const struct claim *b)
{
	return a->db == b->db ? 0 : a->db < b->db ? -1 : 1;
}

static int by_path(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int rc = strcmp(x->db->path, y->db->path);

	return rc ? rc : by_order(x, y);
}

static int by_inode(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return by_order(x, y);
}

static int by_place(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int rc = strcmp(x->place, y->place);

	return rc ? rc : by_order(x, y);
}

static int check_files(const struct config *c, struct claims *files, struct err *e)
{
	for (int i = 0; i < c->db_count; i++) {
		struct claim claim = { .db = &c->dbs[i] };

		if (claim.db->path && add_claim(files, claim, e))
			return -1;
	}
	if (files->count > 1)
		qsort(files->items, files->count, sizeof(*files->items), by_path);
	for (size_t i = 1; i < files->count; i++) {
		const struct config_db *a = files->items[i - 1].db, *b = files->items[i].db;

		if (strcmp(a->path, b->path) == 0)
			return err_set(e, ERR_INVALID, "database %s is configured twice, in lines %d and %d", a->path,
			               a->line, b->line);
	}
	/* A file that is not there yet has no inode; whoever makes it later makes one. */
	size_t there = 0;
	for (size_t i = 0; i < files->count; i++) {
		struct claim claim = files->items[i];
		struct os_stat st;

		if (os_stat(claim.db->path, &st, NULL) == 0 && !st.is_dir) {
			claim.dev = st.dev;
			claim.ino = st.ino;
			files->items[there++] = claim;
		}
	}
	if (there > 1)
		qsort(files->items, there, sizeof(*files->items), by_inode);
	for (size_t i = 1; i < there; i++) {
		const struct claim *a = &files->items[i - 1], *b = &files->items[i];

		if (a->dev == b->dev && a->ino == b->ino)
			return err_set(e, ERR_INVALID, "databases %s and %s are the same file", a->db->path,
			               b->db->path);
	}
	return 0;
}

static int check_places(const struct config *c, struct claims *places, struct err *e)
{
	for (int i = 0; i < c->db_count; i++) {
		const struct config_db *db = &c->dbs[i];

		for (int k = 0; db->path && k < db->replica_count; k++) {
			struct claim claim = { .db = db };

			if (replica_settings_place(&db->replicas[k].settings, &claim.place, e) ||
			    add_claim(places, claim, e)) {
				free(claim.place);
				return -1;
			}
		}
	}
	if (places->count > 1)
		qsort(places->items, places->count, sizeof(*places->items), by_place);
	for (size_t i = 1; i < places->count; i++) {
		const struct claim *a = &places->items[i - 1], *b = &places->items[i];

		if (strcmp(a->place, b->place) != 0)
			continue;
		if (a->db == b->db)
			return err_set(e, ERR_INVALID, "database %s has two replicas in one place: %s", a->db->path,
			               a->place);
		return err_set(e, ERR_INVALID, "databases %s and %s have their replicas in one place: %s", a->db->path,
		               b->db->path, a->place);
	}
	return 0;
}

/* Each would take the other's databases for its own. There are few of these. */
static int check_folders(const struct config *c, struct err *e)
{
	for (int i = 0; i < c->db_count; i++) {
		const struct config_db *a = &c->dbs[i];

		for (int k = i + 1; a->dir && k < c->db_count; k++) {
			const struct config_db *b = &c->dbs[k];

			if (b->dir && strcmp(a->dir, b->dir) == 0 && strcmp(a->pattern, b->pattern) == 0)
				return err_set(e, ERR_INVALID,
				               "directory %s with pattern %s is configured twice, in lines %d and %d",
				               a->dir, a->pattern, a->line, b->line);
		}
	}
	return 0;
}

static void free_claims(struct claims *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i].place);
	free(c->items);
}

int config_check(const struct config *c, struct err *e)
{
	struct claims files = { .items = NULL }, places = { .items = NULL };
	int rc = -1;

	for (int i = 0; i < c->db_count; i++) {
		if (config_db_check(&c->dbs[i], e))
			return -1;
	}
	if (check_folders(c, e) == 0 && check_files(c, &files, e) == 0 && check_places(c, &places, e) == 0)
		rc = 0;
	free_claims(&files);
	free_claims(&places);
	return rc;
}
