/* SPDX-License-Identifier: MIT */
#include "applets/local.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/db/db.h"
#include "lib/os/file.h"
#include "lib/replica/replica.h"

int local_meta_path(const char *path, const struct config_db *db, const char *relative, char **meta, struct err *e)
{
	struct db_options o = DB_OPTIONS_DEFAULT;
	struct db *d;

	*meta = NULL;
	if (db && config_db_meta(db, relative, meta, e))
		return -1;
	if (*meta)
		return 0;
	o.path = path;
	if (db_create(&o, &d, e))
		return -1;
	*meta = strdup(db_meta_path(d));
	db_free(d);
	return *meta ? 0 : err_nomem(e);
}

int local_txid(const char *meta, uint64_t *txid, struct err *e)
{
	struct replica_list list = { .items = NULL };
	struct replica *r;
	int rc;

	/* The layout is that of a file replica. */
	*txid = 0;
	if (replica_file_create(meta, &r, e))
		return -1;
	rc = replica_list_levels(r, 0, 0, false, &list, e);
	for (int i = 0; i < list.count; i++) {
		if (list.items[i].max_txid > *txid)
			*txid = list.items[i].max_txid;
	}
	replica_list_free(&list);
	replica_free(r);
	return rc;
}

/* ---- files below META/ltx ---- */

struct names {
	char **items;
	size_t count, cap;
};

static int add_name(void *ctx, const char *name, struct err *e)
{
	struct names *n = ctx;

	if (n->count == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 64;
		char **items = realloc(n->items, cap * sizeof(*items));

		if (!items)
			return err_nomem(e);
		n->items = items;
		n->cap = cap;
	}
	n->items[n->count] = strdup(name);
	return n->items[n->count++] ? 0 : err_nomem(e);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

enum { DEPTH_MAX = 8 };

static int walk(const char *dir, int depth, int (*visit)(void *ctx, const char *path, struct err *e), void *ctx,
                struct err *e)
{
	struct names names = { .items = NULL };
	int rc = os_dir_list(dir, add_name, &names, e);

	if (names.count > 1)
		qsort(names.items, names.count, sizeof(*names.items), compare_names);
	for (size_t i = 0; i < names.count; i++) {
		char *path = rc ? NULL : text_path_join(dir, names.items[i]);
		struct os_stat st;

		if (!rc && !path)
			rc = err_nomem(e);
		if (!rc && os_stat(path, &st, NULL) == 0 && st.is_dir && depth < DEPTH_MAX)
			rc = walk(path, depth + 1, visit, ctx, e);
		else if (!rc)
			rc = visit(ctx, path, e);
		free(path);
		free(names.items[i]);
	}
	free(names.items);
	return rc;
}

int local_files(const char *meta, int (*visit)(void *ctx, const char *path, struct err *e), void *ctx, struct err *e)
{
	char *dir = text_path_join(meta, "ltx");
	struct err why = ERR_INIT;
	int rc;

	if (!dir)
		return err_nomem(e);
	rc = walk(dir, 0, visit, ctx, &why);
	free(dir);
	if (rc < 0 && err_is(&why, ERR_NOT_FOUND))
		return 0;
	if (rc < 0 && e)
		*e = why;
	return rc;
}

/* ---- reset ---- */

static int remove_state(const char *meta, struct err *e)
{
	char *ltx = text_path_join(meta, "ltx"), *position = text_path_join(meta, "position");
	int rc = -1;

	if (!ltx || !position)
		err_nomem(e);
	else if (os_unlink(position, e) == 0 && os_dir_remove_all(ltx, e) == 0)
		rc = os_dir_sync(meta, e);
	free(position);
	free(ltx);
	return rc;
}

int local_reset(const char *path, const char *meta, struct err *e)
{
	struct os_file lock = OS_FILE_NONE;
	char *lock_path = text_path_join(meta, "lock");
	struct err why = ERR_INIT;
	int rc = -1;

	if (!lock_path)
		return err_nomem(e);
	if (os_file_open(&lock, lock_path, O_RDWR | O_CREAT, 0600, e) == 0) {
		if (os_file_lock(&lock, &why) == 0)
			rc = remove_state(meta, e);
		else if (err_is(&why, ERR_BUSY))
			err_set(e, ERR_BUSY, "another process replicates %s: it holds %s", path, lock_path);
		else
			*e = why;
	}
	os_file_close(&lock);
	free(lock_path);
	return rc;
}
