/* SPDX-License-Identifier: MIT */
/*
 * db.c - making and freeing a database object, and the facts others ask for.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/db/internal.h"

/* Exactly as long as they must be: there are thousands of them. */
static char *joined(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	char *out = malloc(n + m + 1);

	if (out) {
		memcpy(out, a, n);
		memcpy(out + n, b, m + 1);
	}
	return out;
}

/* DIR/.NAME-litestream */
static char *default_meta_path(const char *path, const char *name)
{
	static const char END[] = "-litestream";
	size_t dir = (size_t)(name - path), n = strlen(name);
	char *out = malloc(dir + 1 + n + sizeof(END));

	if (out) {
		memcpy(out, path, dir);
		out[dir] = '.';
		memcpy(out + dir + 1, name, n);
		memcpy(out + dir + 1 + n, END, sizeof(END));
	}
	return out;
}

static int check_options(const struct db_options *o, struct err *e)
{
	if (o->path[0] != '/')
		return err_set(e, ERR_INVALID, "database path must be absolute: %s", o->path);
	if (o->min_checkpoint_pages <= 0)
		return err_set(e, ERR_INVALID, "minimum checkpoint page count required");
	return 0;
}

static int copy_replicas(struct db *d)
{
	size_t n = (size_t)d->o.replica_count;

	if (!n)
		return 0;
	d->replicas = malloc(n * sizeof(*d->replicas));
	if (!d->replicas)
		return -1;
	memcpy(d->replicas, d->o.replicas, n * sizeof(*d->replicas));
	d->o.replicas = d->replicas;
	return 0;
}

int db_create(const struct db_options *o, struct db **out, struct err *e)
{
	struct db *d;

	if (check_options(o, e))
		return -1;
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_nomem(e);
	db_diag_init(d);
	d->o = *o;
	if (d->o.truncate_pages <= 0)
		d->o.truncate_pages = DB_TRUNCATE_PAGES_DEFAULT;
	d->wal.fd = d->lock.fd = -1;
	d->path = strdup(o->path);
	d->wal_path = joined(o->path, "-wal");
	if (!d->path || !d->wal_path)
		goto nomem;
	d->name = text_path_base(d->path);
	d->meta_path = o->meta_path ? strdup(o->meta_path) : default_meta_path(d->path, d->name);
	if (!d->meta_path)
		goto nomem;
	d->l0_dir = joined(d->meta_path, "/ltx/0");
	d->sidecar_path = joined(d->meta_path, "/position");
	if (!d->l0_dir || !d->sidecar_path || copy_replicas(d))
		goto nomem;
	d->o.path = d->path;
	d->o.meta_path = d->meta_path;
	*out = d;
	return 0;
nomem:
	db_free(d);
	return err_nomem(e);
}

void db_free(struct db *d)
{
	if (!d)
		return;
	db_close(d);
	free(d->path);
	free(d->wal_path);
	free(d->meta_path);
	free(d->l0_dir);
	free(d->sidecar_path);
	db_diag_free(d);
	free(d->replicas);
	free(d);
}

bool db_changed(struct db *d)
{
	return d->r && (!d->seen_valid || wal_index_changed(d->index, d->seen.raw));
}

int64_t db_unread_bytes(struct db *d)
{
	struct wal_index index;
	const struct db_position *p = &d->position;
	int64_t end;

	if (!d->r || !wal_index_read(d->index, &index))
		return 0;
	end = wal_offset(d->page_size, index.frames);
	if (p->has_place && p->salt1 == index.salt1 && p->salt2 == index.salt2)
		return end > p->offset ? end - p->offset : 0;
	return end - WAL_HEADER_SIZE;
}

bool db_is_open(const struct db *d) { return d->r; }
uint64_t db_txid(const struct db *d) { return d->position_known ? d->position.txid : 0; }
const char *db_path(const struct db *d) { return d->path; }
const char *db_wal_path(const struct db *d) { return d->wal_path; }
const char *db_meta_path(const struct db *d) { return d->meta_path; }
const char *db_name(const struct db *d) { return d->name; }
const struct db_progress *db_progress(const struct db *d) { return &d->progress; }

char *db_l0_path(const struct db *d, uint64_t txid)
{
	char name[LTX_NAME_SIZE];

	return text_path_join(d->l0_dir, ltx_name(name, txid, txid));
}
