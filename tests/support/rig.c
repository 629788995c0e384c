/* SPDX-License-Identifier: MIT */
#include "tests/support/rig.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/ltx/file.h"
#include "lib/restore/restore.h"
#include "tests/support/tmpdir.h"

int rig_init(struct rig *g, const char *name)
{
	static const struct os_owner owner = { 0755, (uint32_t)-1, (uint32_t)-1 };
	static const struct db_options defaults = DB_OPTIONS_DEFAULT;

	/* These tests flush much: in memory, where there is some. */
	if (!getenv("TMPDIR") && !access("/dev/shm", W_OK))
		setenv("TMPDIR", "/dev/shm", 1);
	log_set_fd(getenv("RIG_LOG") ? 1 : -1);
	log_set_level(LOG_DEBUG);
	memset(g, 0, sizeof(*g));
	snprintf(g->dir, sizeof(g->dir), "%s/%s", tmpdir(), name);
	snprintf(g->path, sizeof(g->path), "%s/app.db", g->dir);
	snprintf(g->replica_path, sizeof(g->replica_path), "%s/replica", g->dir);
	snprintf(g->restored, sizeof(g->restored), "%s/restored", g->dir);
	if (os_dir_make(g->dir, &owner, &g->e) || replica_file_create(g->replica_path, &g->replica, &g->e))
		return -1;
	g->o = defaults;
	g->o.path = g->path;
	g->o.replicas = &g->replica;
	g->o.replica_count = 1;
	g->o.busy_timeout_ms = 20;
	return rig_app_open(g) || rig_sql(g, "CREATE TABLE t(id INTEGER PRIMARY KEY, b)") ? -1 : 0;
}

void rig_free(struct rig *g)
{
	rig_stop(g);
	rig_app_close(g);
	replica_free(g->replica);
	image_free(&g->chain);
	os_dir_remove_all(g->dir, NULL);
}

int rig_sql(struct rig *g, const char *fmt, ...)
{
	char sql[2000];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sql, sizeof(sql), fmt, args);
	va_end(args);
	return sqlite3_exec(g->app, sql, NULL, NULL, NULL);
}

int64_t rig_int(struct rig *g, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int64_t value = -1;

	if (sqlite3_prepare_v2(g->app, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		value = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return value;
}

int rig_app_open(struct rig *g)
{
	if (sqlite3_open(g->path, &g->app))
		return -1;
	return rig_sql(g, "PRAGMA page_size=1024; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0");
}

void rig_app_close(struct rig *g)
{
	sqlite3_close(g->app);
	g->app = NULL;
}

int rig_fill(struct rig *g, int n, int bytes)
{
	return rig_sql(g, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
	               "INSERT OR REPLACE INTO t SELECT i, randomblob(%d) FROM c", n, bytes);
}

int rig_checkpoint(struct rig *g, int mode)
{
	int frames = 0, done = 0, rc = sqlite3_wal_checkpoint_v2(g->app, "main", mode, &frames, &done);

	return rc ? rc : frames == done ? 0 : SQLITE_BUSY;
}

int rig_start(struct rig *g)
{
	static const struct levels_policy policy = LEVELS_POLICY_DEFAULT;

	if (db_create(&g->o, &g->db, &g->e))
		return -1;
	g->levels = levels_create(g->db, g->replica, &policy, &g->e);
	if (!g->levels)
		return -1;
	g->upload = (struct upload){ .db = g->db, .replica = g->replica, .levels = g->levels,
	                             .auto_recover = g->o.auto_recover };
	return 0;
}

void rig_stop(struct rig *g)
{
	levels_free(g->levels);
	db_free(g->db);
	g->levels = NULL;
	g->db = NULL;
}

int rig_sync(struct rig *g)
{
	err_clear(&g->e);
	return db_sync(g->db, 0, &g->r, &g->e);
}

int rig_upload(struct rig *g)
{
	err_clear(&g->e);
	return upload_run(&g->upload, db_txid(g->db), 0, NULL, &g->e);
}

char *rig_local(struct rig *g, uint64_t txid, char out[400])
{
	char name[LTX_NAME_SIZE];

	snprintf(out, 400, "%s/.app.db-litestream/ltx/0/%s", g->dir, ltx_name(name, txid, txid));
	return out;
}

static int read_header(struct rig *g, const char *path)
{
	struct os_file f = OS_FILE_NONE;
	uint8_t bytes[LTX_HEADER_SIZE];
	struct ltx_header h;
	int rc = os_file_open(&f, path, O_RDONLY, 0, &g->e) || os_file_read_exact(&f, bytes, sizeof(bytes), 0, &g->e) ||
	         ltx_header_decode(bytes, &h, &g->e);

	os_file_close(&f);
	if (!rc) {
		g->wal_offset = h.wal_offset;
		g->wal_size = h.wal_size;
	}
	return rc;
}

static bool is_database(struct rig *g, const struct image *im, const char *what)
{
	sqlite3_int64 size = 0;
	unsigned char *bytes = sqlite3_serialize(g->app, "main", &size, 0);
	bool same = bytes && size == (int64_t)im->page_size * im->pages;

	for (int64_t i = 0; same && i < size; i++) {
		if (bytes[i] == im->bytes[i])
			continue;
		printf("%s: page %lld differs from the database\n", what, (long long)(i / im->page_size + 1));
		same = false;
	}
	if (size != (int64_t)im->page_size * im->pages)
		printf("%s: %lld bytes, the database has %lld\n", what, (long long)im->page_size * im->pages, (long long)size);
	sqlite3_free(bytes);
	return same;
}

bool rig_true(struct rig *g)
{
	char path[400];
	int64_t time_ms;

	while (rig_exists(rig_local(g, g->applied + 1, path))) {
		if (image_apply(&g->chain, path, g->applied + 1, &g->copy, &time_ms, &g->e) || read_header(g, path)) {
			printf("%s\n", g->e.text);
			return false;
		}
		g->applied++;
	}
	if (g->applied != db_txid(g->db)) {
		printf("the engine is at TXID %llu, its files at %llu\n", (unsigned long long)db_txid(g->db),
		       (unsigned long long)g->applied);
		return false;
	}
	return is_database(g, &g->chain, "the chain");
}

bool rig_good(struct rig *g)
{
	if (!rig_sync(g))
		return rig_true(g);
	printf("sync: %s\n", g->e.text);
	return false;
}

void rig_forget(struct rig *g, uint64_t txid)
{
	image_free(&g->chain);
	g->applied = txid;
}

bool rig_restore(struct rig *g, uint64_t txid, bool same)
{
	struct restore_options o = { .output = g->restored, .parallelism = 1, .check = RESTORE_CHECK_QUICK };
	struct restore_target target = { .txid = txid };
	struct restore_plan plan = { 0 };
	struct restore_result result;
	struct image im = { 0 };
	bool ok = false;

	os_unlink(g->restored, NULL);
	if (restore_make(g->replica, &target, false, &o, &plan, &result, &g->e) || image_load(&im, g->restored, &g->e))
		printf("restore: %s\n", g->e.text);
	else
		ok = !same || is_database(g, &im, "the restored database");
	os_unlink(g->restored, NULL);
	restore_plan_free(&plan);
	image_free(&im);
	return ok;
}

bool rig_exists(const char *path)
{
	return rig_size(path) >= 0;
}

int64_t rig_size(const char *path)
{
	struct os_stat st;

	return os_stat(path, &st, NULL) ? -1 : st.size;
}

int rig_write_at(const char *path, int64_t offset, const void *bytes, size_t n)
{
	struct os_file f = OS_FILE_NONE;
	int rc = os_file_open(&f, path, O_RDWR | O_CREAT, 0644, NULL) || os_file_write(&f, bytes, n, offset, NULL) ? -1 : 0;

	os_file_close(&f);
	return rc;
}

int rig_copy(const char *from, const char *to)
{
	struct os_file f = OS_FILE_NONE;
	int64_t size = rig_size(from);
	char *bytes = size < 0 ? NULL : malloc((size_t)size + 1);
	int rc = -1;

	if (bytes && !os_file_open(&f, from, O_RDONLY, 0, NULL) && !os_file_read_exact(&f, bytes, (size_t)size, 0, NULL) &&
	    !os_unlink(to, NULL))
		rc = rig_write_at(to, 0, bytes, (size_t)size);
	os_file_close(&f);
	free(bytes);
	return rc;
}

char *rig_beside(struct rig *g, const char *suffix, char out[400])
{
	snprintf(out, 400, "%s%s", g->path, suffix);
	return out;
}
