/* SPDX-License-Identifier: MIT */
/* Looking for databases: the names of one folder, and a whole tree at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/db/db.h"
#include "lib/os/file.h"
#include "lib/store/folder_parts.h"

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && !strcmp(name + n - m, end);
}

bool folder_name_ignored(const char *name)
{
	return ends_in(name, "-wal") || ends_in(name, "-shm") || ends_in(name, "-journal");
}

static bool is_skipped(const struct folder_rule *rule, const char *path, const char *name)
{
	size_t n = strlen(path);

	if (name[0] == '.' && ends_in(name, "-litestream"))
		return true;
	for (const char *const *skip = rule->skip; skip && *skip; skip++)
		if (!strncmp(*skip, path, n) && (*skip)[n] == '/' && !strcmp(*skip + n + 1, name))
			return true;
	return false;
}

bool folder_name_matters(const struct folder_rule *rule, const char *path, const char *name, bool is_dir)
{
	if (is_dir)
		return rule->recursive && !is_skipped(rule, path, name);
	return !folder_name_ignored(name) && text_glob_match(rule->pattern, name);
}

void folder_names_free(struct folder_names *names)
{
	for (int i = 0; i < names->count; i++)
		free(names->items[i].name);
	free(names->items);
	*names = (struct folder_names){ .items = NULL };
}

static int add_name(struct folder_names *names, const char *name, const struct os_stat *st, struct err *e)
{
	struct folder_name *item;

	if (names->count == FOLDER_DATABASES_MAX + FOLDER_DIRS_MAX) {
		names->too_many = true;
		return 0;
	}
	if (names->count == names->cap) {
		int cap = names->cap ? names->cap * 2 : 16;
		struct folder_name *items = realloc(names->items, (size_t)cap * sizeof(*items));

		if (!items)
			return err_nomem(e);
		names->items = items;
		names->cap = cap;
	}
	item = &names->items[names->count];
	*item = (struct folder_name){ .is_dir = st->is_dir, .dev = st->dev, .ino = st->ino, .name = strdup(name) };
	if (!item->name)
		return err_nomem(e);
	names->count++;
	return 0;
}

struct walk {
	const struct folder_rule *rule;
	const char *path;
	const atomic_bool *cancel;
	struct folder_names *out;
};

/* Missing is what is not there; of anything else the error is kept from the caller, and a file that nothing is known of
 * is left in st: looking at it will say what is wrong. */
static bool is_missing(int rc, const struct err *why, struct os_stat *st)
{
	if (!rc)
		return false;
	*st = (struct os_stat){ .is_regular = true };
	return err_is(why, ERR_NOT_FOUND) || why->sys == ELOOP;
}

/* The kernel is asked only for what matters by its name and kind. */
static int visit_name(void *ctx, const char *name, enum os_name_type type, struct err *e)
{
	struct walk *w = ctx;
	struct os_stat st = { .is_dir = type == OS_NAME_DIR };
	struct err why = ERR_INIT;
	bool missing = false;
	char *path;

	if (w->cancel && *w->cancel)
		return err_set(e, ERR_CANCELLED, "cancelled");
	if (type == OS_NAME_OTHER)
		return 0;
	if (type != OS_NAME_UNKNOWN && !folder_name_matters(w->rule, w->path, name, st.is_dir))
		return 0;
	if (type == OS_NAME_DIR)
		return add_name(w->out, name, &st, e);
	path = text_path_join(w->path, name);
	if (!path)
		return err_nomem(e);
	if (type == OS_NAME_UNKNOWN)
		missing = is_missing(os_lstat(path, &st, &why), &why, &st);
	if (!missing && !st.is_dir) {
		missing = is_missing(os_stat(path, &st, &why), &why, &st);
		missing = missing || !st.is_regular;
	}
	free(path);
	if (missing || !folder_name_matters(w->rule, w->path, name, st.is_dir))
		return 0;
	return add_name(w->out, name, &st, e);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct folder_name *)a)->name, ((const struct folder_name *)b)->name);
}

int folder_names(const struct folder_rule *rule, const char *path, const atomic_bool *cancel, struct folder_names *out,
                 struct err *e)
{
	struct walk w = { rule, path, cancel, out };
	struct os_stat st;
	int rc;

	*out = (struct folder_names){ .items = NULL };
	if (os_stat(path, &st, e))
		return -1;
	out->dev = st.dev;
	out->ino = st.ino;
	if (st.is_regular) {
		if (!folder_name_matters(rule, "", text_path_base(path), false))
			return 0;
		rc = add_name(out, "", &st, e);
	} else {
		rc = os_dir_walk(path, visit_name, &w, e);
	}
	if (rc)
		folder_names_free(out);
	else if (out->count > 0)
		qsort(out->items, (size_t)out->count, sizeof(*out->items), compare_names);
	return rc;
}

/* ---- a whole tree ---- */

struct scan {
	const struct folder_rule *rule;
	int (*visit)(void *ctx, const char *path, const char *relative, struct err *e);
	void *ctx;
	int dirs, databases;
	bool told;
};

static void tell(const struct scan *s, const char *path, const struct err *why)
{
	if (!err_is(why, ERR_NOT_FOUND))
		log_warn("cannot look at path in directory", LS("system", "store"), LS("dir", s->rule->dir),
		         LS("path", path),
		         LS("error", err_text(why)));
}

static void tell_limit(struct scan *s, const char *what, int limit)
{
	if (!s->told)
		log_error("directory is too large, the rest is left out", LS("system", "store"),
		          LS("dir", s->rule->dir),
		          LS("limit", what), LI("max", limit));
	s->told = true;
}

static int scan_file(struct scan *s, const char *path, const char *relative, struct err *e)
{
	struct err why = ERR_INIT;
	struct db_file file;
	struct os_stat st;
	char *real = NULL;
	int rc = 0;

	if (db_file_look(path, &file, &why) || os_lstat(path, &st, &why) ||
	    (st.is_link && os_real_path(path, &real, &why))) {
		tell(s, path, &why);
		return 0;
	}
	if (file.kind != DB_FILE_DATABASE)
		;
	else if (s->databases == FOLDER_DATABASES_MAX)
		tell_limit(s, "databases", FOLDER_DATABASES_MAX);
	else {
		s->databases++;
		rc = s->visit(s->ctx, real ? real : path, relative, e);
	}
	free(real);
	return rc;
}

static int scan_dir(struct scan *s, const char *path, const char *relative, int depth, struct err *e)
{
	struct folder_names names;
	struct err why = ERR_INIT;
	int rc = folder_names(s->rule, path, NULL, &names, &why);

	if (rc && depth > 0) {
		tell(s, path, &why);
		return 0;
	}
	if (rc) {
		if (e)
			*e = why;
		return err_wrap(e, "failed to scan directory %s", s->rule->dir);
	}
	for (int i = 0; !rc && i < names.count; i++) {
		char *each = text_path_join(path, names.items[i].name), *below = text_path_join(relative, names.items[i].name);

		if (!each || !below)
			rc = err_nomem(e);
		else if (!names.items[i].is_dir)
			rc = scan_file(s, each, below, e);
		else if (depth == FOLDER_DEPTH_MAX)
			tell_limit(s, "depth", FOLDER_DEPTH_MAX);
		else if (++s->dirs > FOLDER_DIRS_MAX)
			tell_limit(s, "directories", FOLDER_DIRS_MAX);
		else
			rc = scan_dir(s, each, below, depth + 1, e);
		free(each);
		free(below);
	}
	folder_names_free(&names);
	return rc;
}

int folder_scan(const struct folder_rule *rule,
                int (*visit)(void *ctx, const char *path, const char *relative, struct err *e), void *ctx, struct err *e)
{
	struct scan s = { .rule = rule, .visit = visit, .ctx = ctx };
	struct os_stat st;

	if (os_lstat(rule->dir, &st, e) || text_glob_check(rule->pattern, e))
		return err_wrap(e, "failed to scan directory %s", rule->dir);
	return scan_dir(&s, rule->dir, "", 0, e);
}
