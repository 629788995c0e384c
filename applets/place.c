/* SPDX-License-Identifier: MIT */
#include "applets/place.h"

#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/file.h"

static bool has_folder(const char *path, const char *name)
{
	struct os_stat st;
	char *folder = text_path_join(path, name);
	bool has = folder != NULL && os_stat(folder, &st, NULL) == 0 && st.is_dir;

	free(folder);
	return has;
}

/* generations: what Litestream v0.3 has left. */
static bool is_file_replica(const char *path)
{
	return has_folder(path, "ltx") || has_folder(path, "generations");
}

bool place_is_replica(const char *word, const struct place_flags *f)
{
	return replica_is_url(word) || (f->config[0] == '\0' && is_file_replica(word));
}

int place_expand(const char *word, char **path, struct err *e)
{
	char *cwd = NULL, *home;
	int rc;

	*path = NULL;
	if (os_cwd(&cwd, e))
		return -1;
	home = os_home();
	rc = text_path_expand(word, cwd, home, path, e);
	free(home);
	free(cwd);
	return rc;
}

int place_read_config(const struct place_flags *f, struct config *c, struct err *e)
{
	const char *path = f->config, *from_env = getenv("LITESTREAM_CONFIG");

	if (!path[0])
		path = from_env && from_env[0] ? from_env : "/etc/litestream.yml";
	return config_load(path, !f->no_expand_env, c, e);
}

int place_config(const struct place_flags *f, int log_fd, struct config *c, struct err *e)
{
	if (place_read_config(f, c, e))
		return -1;
	applet_log_as(&c->logging, log_fd);
	return 0;
}

/* ---- one word ---- */

static int add_replica(struct place *p, struct replica *r, struct err *e)
{
	struct replica **grown = realloc(p->replicas, (size_t)(p->count + 1) * sizeof(*grown));

	if (!grown) {
		replica_free(r);
		return err_nomem(e);
	}
	p->replicas = grown;
	p->replicas[p->count++] = r;
	return 0;
}

static bool is_called(const struct replica *r, const char *name)
{
	return strcmp(r->name ? r->name : replica_type(r), name) == 0;
}

static int open_replicas(const struct config_db *db, const char *relative, const char *only, struct place *out,
                         struct err *e)
{
	if (config_db_check(db, e))
		return -1;
	for (int i = 0; i < db->replica_count; i++) {
		struct replica_settings s = db->replicas[i].settings;
		struct replica *r;

		/* What is not asked for need not be a kind that we have. */
		if (only[0] && s.name && strcmp(s.name, only) != 0)
			continue;
		s.relative = relative;
		if (replica_open(&s, 0, &r, e))
			return -1;
		if (only[0] && !is_called(r, only))
			replica_free(r);
		else if (add_replica(out, r, e))
			return -1;
	}
	if (!out->count)
		return err_set(e, ERR_NOT_FOUND, "database %s has no replica called %s", out->database, only);
	return 0;
}

static int open_configured(const char *word, const struct place_flags *f, const char *only, int log_fd,
                           struct place *out, struct err *e)
{
	const struct config_db *db;
	const char *relative;
	struct config c;
	int rc = -1;

	if (place_config(f, log_fd, &c, e))
		return -1;
	if (place_expand(word, &out->database, e))
		goto out;
	db = config_find(&c, out->database, &relative);
	if (!db)
		err_set(e, ERR_NOT_FOUND, "database not found in config: %s", out->database);
	else
		rc = open_replicas(db, relative, only, out, e);
out:
	config_free(&c);
	return rc;
}

int place_open(const char *word, const struct place_flags *f, const char *only, int log_fd, struct place *out,
               struct err *e)
{
	struct replica *r = NULL;
	int rc;

	*out = (struct place){ .database = NULL };
	if (!place_is_replica(word, f))
		rc = open_configured(word, f, only, log_fd, out, e);
	else if (replica_is_url(word))
		rc = replica_from_url(word, &r, e) ? -1 : add_replica(out, r, e);
	else
		rc = replica_file_create(word, &r, e) ? -1 : add_replica(out, r, e);
	if (rc)
		place_free(out);
	return rc;
}

void place_free(struct place *p)
{
	for (int i = 0; i < p->count; i++)
		replica_free(p->replicas[i]);
	free(p->replicas);
	free(p->database);
	*p = (struct place){ .database = NULL };
}

/* ---- all of them ---- */

struct folder_rule place_rule(const struct config_db *db, const char *skip[PLACE_SKIPS])
{
	int n = 0;

	if (db->meta_path)
		skip[n++] = db->meta_path;
	if (db->meta_dir)
		skip[n++] = db->meta_dir;
	/* A replica below the folder holds no databases, and many files. */
	if (db->replica_count && db->replicas[0].settings.path && db->replicas[0].settings.path[0] == '/')
		skip[n++] = db->replicas[0].settings.path;
	skip[n] = NULL;
	return (struct folder_rule){ .dir = db->dir, .pattern = db->pattern, .recursive = db->recursive, .skip = skip };
}

struct scan {
	int (*visit)(void *ctx, const char *path, const char *relative, struct err *e);
	void *ctx;
	bool any;
};

static int visit_found(void *ctx, const char *path, const char *relative, struct err *e)
{
	struct scan *s = ctx;

	s->any = true;
	return s->visit(s->ctx, path, relative[0] ? relative : NULL, e);
}

int place_scan(const struct config_db *db,
               int (*visit)(void *ctx, const char *path, const char *relative, struct err *e),
               void *ctx, struct err *e)
{
	const char *skip[PLACE_SKIPS];
	const struct folder_rule rule = place_rule(db, skip);
	struct scan s = { .visit = visit, .ctx = ctx };
	int rc = folder_scan(&rule, visit_found, &s, e);

	if (!rc && !s.any && !db->watch)
		return err_set(e, ERR_NOT_FOUND, "no SQLite databases found in directory %s with pattern %s", db->dir,
		               db->pattern);
	return rc;
}

struct each {
	const struct config_db *db;
	int (*visit)(void *ctx, const struct config_db *db, const char *path, const char *relative, struct err *e);
	void *ctx;
};

static int visit_one(void *ctx, const char *path, const char *relative, struct err *e)
{
	struct each *each = ctx;

	return each->visit(each->ctx, each->db, path, relative, e);
}

int place_each(const struct config *c, int (*visit)(void *ctx, const struct config_db *db, const char *path,
                                                    const char *relative, struct err *e),
               void *ctx, struct err *e)
{
	for (int i = 0; i < c->db_count; i++) {
		struct each each = { .db = &c->dbs[i], .visit = visit, .ctx = ctx };
		int rc = each.db->dir ? place_scan(each.db, visit_one, &each, e) :
			visit(ctx, each.db, each.db->path, NULL, e);

		if (rc)
			return rc;
	}
	return 0;
}
