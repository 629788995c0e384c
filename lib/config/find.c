/* SPDX-License-Identifier: MIT */
/* Which entry looks after a file, what it says about that file, and whether two entries say the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/base/text.h"
#include "lib/config/internal.h"

/* The name below the folder, when a scan of it would look at a file of that name. */
static const char *name_below(const struct config_db *db, const char *path)
{
	size_t n = strlen(db->dir);
	const char *relative;

	if (n == 1)
		n = 0; /* "/" */
	if (strncmp(path, db->dir, n) != 0 || path[n] != '/')
		return NULL;
	relative = path + n + 1;
	if ((!db->recursive && strchr(relative, '/')) || !text_glob_match(db->pattern, text_path_base(path)))
		return NULL;
	return relative;
}

const struct config_db *config_find(const struct config *c, const char *path, const char **relative)
{
	*relative = NULL;
	for (int i = 0; i < c->db_count; i++) {
		if (c->dbs[i].path && strcmp(c->dbs[i].path, path) == 0)
			return &c->dbs[i];
	}
	for (int i = 0; i < c->db_count; i++) {
		if (!c->dbs[i].dir)
			continue;
		*relative = name_below(&c->dbs[i], path);
		/* A `dir` that names a file stands for that file. */
		if (*relative || strcmp(c->dbs[i].dir, path) == 0)
			return &c->dbs[i];
	}
	return NULL;
}

int config_db_meta(const struct config_db *db, const char *relative, char **out, struct err *e)
{
	const char *base;
	size_t n;

	*out = NULL;
	if (!db->meta_path && !db->meta_dir)
		return 0;
	if (!relative) {
		*out = db->meta_path ? strdup(db->meta_path) : NULL;
		return *out || !db->meta_path ? 0 : err_nomem(e);
	}
	base = text_path_base(relative);
	n = strlen(relative) + strlen(db->meta_path ? db->meta_path : db->meta_dir) + 32;
	*out = malloc(n);
	if (!*out)
		return err_nomem(e);
	if (db->meta_path)
		snprintf(*out, n, "%s/%.*s.%s-litestream", db->meta_path, (int)(base - relative), relative, base);
	else
		snprintf(*out, n, "%s/%s-litestream", db->meta_dir, relative);
	return 0;
}

/* ---- identity ---- */

static uint64_t add_text(uint64_t crc, const char *s)
{
	return s ? crc64(crc, s, strlen(s) + 1) : crc64(crc, "\1", 2);
}

static uint64_t add_number(uint64_t crc, int64_t v)
{
	return crc64(crc, &v, sizeof(v));
}

static uint64_t add_replica(uint64_t crc, const struct config_replica *r)
{
	const struct replica_settings *s = &r->settings;
	const char *const texts[] = {
		s->type, s->url, s->path, s->name, s->bucket, s->region, s->endpoint,
		s->access_key_id, s->secret_access_key, s->session_token, s->storage_class,
		s->sse_customer_algorithm, s->sse_customer_key, s->sse_customer_key_path, s->sse_customer_key_md5,
		s->sse_kms_key_id, s->host, s->user, s->webdav_url, s->client_cert, s->client_key,
	};
	const int64_t numbers[] = {
		s->force_path_style, s->sign_payload, s->require_content_md5, s->skip_verify, s->part_size,
		s->concurrency, s->lease, r->sync_interval_ns, r->max_sync_ltx_files, r->auto_recover, r->age,
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		crc = add_text(crc, texts[i]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		crc = add_number(crc, numbers[i]);
	return crc;
}

uint64_t config_db_identity(const struct config_db *db)
{
	const char *const texts[] = { db->path, db->dir, db->pattern, db->meta_path, db->meta_dir };
	/* The snapshot times are the store's, not the entry's. */
	const int64_t numbers[] = {
		db->recursive, db->watch, db->monitor_interval_ns, db->checkpoint_interval_ns, db->busy_timeout_ns,
		db->min_checkpoint_pages, db->truncate_pages, db->max_sync_wal_bytes, db->idle_timeout_ns, db->enabled,
		db->auto_replicate, db->replica_count,
	};
	uint64_t crc = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		crc = add_text(crc, texts[i]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		crc = add_number(crc, numbers[i]);
	for (int i = 0; i < db->replica_count; i++)
		crc = add_replica(crc, &db->replicas[i]);
	return crc;
}
