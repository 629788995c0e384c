/* SPDX-License-Identifier: MIT */
/*
 * local.c - copies of what we merged, in META/ltx/1 … 8, so that the next level need not fetch it again.
 *
 * They are a cache: never flushed for their own sake, found again after a restart, and whoever misses one asks the
 * replica. A replica that answers without delay needs none. Several replicas of one database share the folders: a
 * file's name says what it holds, and staging names carry the replica.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/levels/internal.h"

char *levels_local_folder(const struct levels *l, int level)
{
	char *folder = NULL;

	return asprintf(&folder, "%s/ltx/%d", db_meta_path(l->db), level) < 0 ? NULL : folder;
}

char *levels_local_path(const struct levels *l, const struct replica_item *item)
{
	char name[LTX_NAME_SIZE], *path = NULL;

	ltx_name(name, item->min_txid, item->max_txid);
	return asprintf(&path, "%s/ltx/%d/%s", db_meta_path(l->db), item->level, name) < 0 ? NULL : path;
}

char *levels_staging_path(const struct levels *l, const struct replica_item *item)
{
	char name[LTX_NAME_SIZE], *path = NULL;

	ltx_name(name, item->min_txid, item->max_txid);
	return asprintf(&path, "%s/ltx/%d/%s.%08x.tmp", db_meta_path(l->db), item->level, name, l->seed) < 0 ?
	       NULL : path;
}

void levels_local_drop(struct levels *l, const struct replica_item *item)
{
	char *path;
	struct os_stat st;

	if (l->replica->local || item->level == 0 || item->level >= LEVELS_SNAPSHOT)
		return;
	path = levels_local_path(l, item);
	if (path && !os_stat(path, &st, NULL) && !os_unlink(path, NULL))
		l->kept_bytes = l->kept_bytes > st.size ? l->kept_bytes - st.size : 0;
	free(path);
}

void levels_local_keep(struct levels *l, const struct replica_item *item, const char *staging)
{
	bool wanted = !l->replica->local && item->level < l->policy->count && item->size <= LEVELS_KEEP_FILE_MAX &&
	              l->kept_bytes + item->size <= LEVELS_KEEP_TOTAL_MAX;
	char *path = wanted ? levels_local_path(l, item) : NULL;

	if (path && !os_rename(staging, path, NULL))
		l->kept_bytes += item->size;
	else
		os_unlink(staging, NULL);
	free(path);
}

struct sweep {
	struct levels *l;
	int level;
};

/* "….SEED.tmp" of this replica. */
static bool is_our_staging(const struct levels *l, const char *name)
{
	char end[16];
	size_t n = strlen(name), m = (size_t)snprintf(end, sizeof(end), ".%08x.tmp", l->seed);

	return n > m && !strcmp(name + n - m, end);
}

static bool of_use(struct levels *l, const struct replica_item *item)
{
	bool used;

	if (l->replica->local || item->level >= l->policy->count)
		return false;
	levels_lock(l);
	used = item->max_txid > l->level[item->level + 1].max_txid &&
	       levels_covers(l, item->level, item->min_txid, item->max_txid);
	levels_unlock(l);
	return used;
}

static int sweep_visit(void *ctx, const char *name, struct err *e)
{
	struct sweep *s = ctx;
	struct replica_item item = { .level = s->level };
	char *folder, *path;
	struct os_stat st;

	if (!ltx_name_parse(name, &item.min_txid, &item.max_txid) && !is_our_staging(s->l, name))
		return 0;
	folder = levels_local_folder(s->l, s->level);
	path = folder ? text_path_join(folder, name) : NULL;
	free(folder);
	if (!path)
		return err_nomem(e);
	if (item.min_txid && of_use(s->l, &item) && !os_stat(path, &st, NULL))
		s->l->kept_bytes += st.size;
	else
		os_unlink(path, NULL);
	free(path);
	return 0;
}

int levels_local_sweep(struct levels *l, struct err *e)
{
	if (l->local_swept)
		return 0;
	l->kept_bytes = 0;
	for (int level = 1; level <= LEVELS_MAX; level++) {
		struct sweep s = { l, level };
		struct err why = ERR_INIT;
		char *folder = levels_local_folder(l, level);
		int rc = folder ? os_dir_list(folder, sweep_visit, &s, &why) : err_nomem(&why);

		free(folder);
		if (rc && !err_is(&why, ERR_NOT_FOUND)) {
			if (e)
				*e = why;
			return -1;
		}
	}
	l->local_swept = true;
	return 0;
}
