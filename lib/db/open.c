/* SPDX-License-Identifier: MIT */
/*
 * open.c - from a path to an open database, and back; and whether the files are still the ones that were opened.
 *
 * Order matters at both ends. The inode is claimed before SQLite opens the file, so that no second engine ever closes a
 * descriptor on it; the read transaction begins before the WAL is looked at; at the close the connections go first and
 * the claim last.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/db/internal.h"
#include "lib/os/clock.h"

enum { HEADER_SIZE = 100, SMALLEST_DATABASE = 512 };
static const char MAGIC[16] = "SQLite format 3";

static bool same_file(struct db_inode a, const struct os_stat *st)
{
	return a.ino == st->ino && a.dev == st->dev;
}

/* 1 = there is something to open; 0 = not yet. */
static int look_at_file(struct db *d, struct os_stat *st, struct err *e)
{
	struct err why = ERR_INIT;

	if (os_stat(d->path, st, &why)) {
		if (err_is(&why, ERR_NOT_FOUND))
			return 0;
		if (e)
			*e = why;
		return -1;
	}
	if (st->is_dir)
		return err_set(e, ERR_INVALID, "%s is a directory, not a database", d->path);
	if (!st->is_regular)
		return err_set(e, ERR_INVALID, "%s is not a regular file", d->path);
	/* An application that has just created the file may still choose page size and auto_vacuum. */
	return st->size >= SMALLEST_DATABASE;
}

/* Checks the first bytes and takes the page size from them: 1, 0 (still being made), -1. */
static int read_header(struct db *d, uint8_t header[HEADER_SIZE], struct err *e)
{
	static const uint8_t nothing[sizeof(MAGIC)];

	if (db_file_read(d, header, HEADER_SIZE, 0, e))
		return -1;
	if (!memcmp(header, nothing, sizeof(MAGIC)))
		return 0;
	if (memcmp(header, MAGIC, sizeof(MAGIC)))
		return err_set(e, ERR_CORRUPT, "file is not a database (26)");
	d->page_size = (uint32_t)header[16] << 8 | header[17];
	if (d->page_size == 1)
		d->page_size = 65536;
	if (!ltx_page_size_valid(d->page_size))
		return err_set(e, ERR_CORRUPT, "%s has the page size %u, which no database has", d->path,
		               (unsigned)d->page_size);
	return 1;
}

/* A database with a rollback journal becomes a WAL database; nobody may be using it at that moment. */
static int ensure_wal_mode(struct db *d, const uint8_t header[HEADER_SIZE], struct err *e)
{
	sqlite3_stmt *s = NULL;
	const char *mode = NULL;
	int rc;

	if (header[18] == 2 && header[19] == 2)
		return 0;
	rc = sqlite3_prepare_v2(d->r, "PRAGMA journal_mode=wal", -1, &s, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		mode = (const char *)sqlite3_column_text(s, 0);
		rc = mode && !strcmp(mode, "wal") ? SQLITE_OK : SQLITE_BUSY;
	}
	sqlite3_finalize(s);
	if (rc != SQLITE_OK) {
		db_sqlite_error(d->r, rc, "switch to WAL mode", e);
		return -1;
	}
	log_info("switched database to WAL mode", LS("system", "store"), LS("db", d->name), LS("path", d->path));
	sqlite3_db_release_memory(d->r);
	return 0;
}

static int drop_staging_file(void *ctx, const char *name, struct err *e)
{
	struct db *d = ctx;
	size_t n = strlen(name);
	char *path;

	if (n < 4 || strcmp(name + n - 4, ".tmp"))
		return 0;
	path = text_path_join(d->l0_dir, name);
	if (!path)
		return err_nomem(e);
	if (os_unlink(path, e)) {
		free(path);
		return -1;
	}
	free(path);
	return 0;
}

/* The meta directory, locked against a second daemon, without what an earlier one left half-written. */
static int take_meta_directory(struct db *d, struct err *e)
{
	char *lock_path;
	int rc = -1;

	if (os_dir_make(d->l0_dir, &d->dir_owner, e))
		return -1;
	lock_path = text_path_join(d->meta_path, "lock");
	if (!lock_path)
		return err_nomem(e);
	if (os_file_open(&d->lock, lock_path, O_RDWR | O_CREAT, 0600, e))
		goto out;
	if (os_file_lock(&d->lock, e)) {
		if (err_is(e, ERR_BUSY))
			err_set(e, ERR_BUSY, "another process replicates %s: it holds %s", d->path, lock_path);
		os_file_close(&d->lock);
		goto out;
	}
	rc = os_dir_list(d->l0_dir, drop_staging_file, d, e);
out:
	free(lock_path);
	return rc;
}

/* SQLite keeps the WAL beside the file itself, wherever a symbolic link to it may be. */
static int name_companions(struct db *d, struct err *e)
{
	const char *real = sqlite3_db_filename(d->r, "main");
	size_t n = real ? strlen(real) : 0;
	char *wal;

	if (!n || (!strncmp(d->wal_path, real, n) && !strcmp(d->wal_path + n, "-wal")))
		return 0;
	wal = malloc(n + sizeof("-wal"));
	if (!wal)
		return err_nomem(e);
	strcat(strcpy(wal, real), "-wal");
	free(d->wal_path);
	d->wal_path = wal;
	return 0;
}

static int open_connection(struct db *d, struct err *e)
{
	if (db_conn_open(d, &d->r, e))
		return -1;
	if (sqlite3_file_control(d->r, "main", SQLITE_FCNTL_FILE_POINTER, &d->r_file) != SQLITE_OK || !d->r_file ||
	    !d->r_file->pMethods)
		return err_set(e, ERR_SYSTEM, "SQLite has not opened %s", d->path);
	return name_companions(d, e);
}

static int map_index(struct db *d, struct err *e)
{
	volatile void *map = NULL;
	int rc = d->r_file->pMethods->xShmMap(d->r_file, 0, WAL_INDEX_SIZE, 0, &map);

	if (rc != SQLITE_OK)
		return db_sqlite_error(d->r, rc, "map wal-index", e);
	if (!map)
		return err_set(e, ERR_BUSY, "%s has no wal-index yet", d->path);
	d->index = map;
	return 0;
}

/* The wal-index's name; malloc'ed. */
static char *shm_path(const struct db *d)
{
	char *path = strdup(d->wal_path);

	if (path)
		strcpy(path + strlen(path) - 3, "shm");
	return path;
}

/* The WAL's and the wal-index's own files, as they are now. */
static int open_wal(struct db *d, struct err *e)
{
	struct os_stat st;
	char *path;
	int rc;

	if (os_file_open(&d->wal, d->wal_path, O_RDONLY, 0, e) || os_file_stat(&d->wal, &st, e))
		return -1;
	d->wal_inode = (struct db_inode){ st.dev, st.ino };
	path = shm_path(d);
	if (!path)
		return err_nomem(e);
	rc = os_stat(path, &st, e);
	free(path);
	if (rc)
		return -1;
	d->shm_inode = (struct db_inode){ st.dev, st.ino };
	return 0;
}

static void remember_owners(struct db *d, const struct os_stat *st)
{
	char *path = text_path_dir(d->path);
	struct os_stat dir;

	d->file_owner = (struct os_owner){ st->mode, st->uid, st->gid };
	d->dir_owner = (struct os_owner){ 0700, (uint32_t)-1, (uint32_t)-1 };
	if (path && !os_stat(path, &dir, NULL))
		d->dir_owner = (struct os_owner){ dir.mode, dir.uid, dir.gid };
	free(path);
	for (int i = 0; i < d->o.replica_count; i++)
		replica_set_owner(d->o.replicas[i], &d->file_owner, &d->dir_owner);
}

enum { OPEN_AGAIN = -2, OPEN_TRIES = 8 };

/* enum db_open_result, OPEN_AGAIN or -1; the caller closes what was opened when the answer is not DB_OPEN_OK. */
static int open_steps(struct db *d, struct err *e)
{
	uint8_t header[HEADER_SIZE];
	struct os_stat st;
	int rc = look_at_file(d, &st, e);

	if (rc <= 0)
		return rc < 0 ? -1 : DB_OPEN_WAITING;
	d->inode = (struct db_inode){ st.dev, st.ino };
	if (db_inode_claim(d->inode, d->path, e))
		return -1;
	d->registered = true;
	remember_owners(d, &st);
	if (open_connection(d, e))
		return -1;
	rc = read_header(d, header, e);
	if (rc <= 0)
		return rc < 0 ? -1 : DB_OPEN_WAITING;
	if (take_meta_directory(d, e) || ensure_wal_mode(d, header, e) || db_conn_check(d, d->r, e) ||
	    db_read_begin(d, e) || map_index(d, e) || open_wal(d, e))
		return -1;
	/* Each was opened by its name: an exchange between two of them would mix two databases. */
	rc = db_identity_holds(d, e);
	if (!rc)
		err_set(e, ERR_BUSY, "%s was replaced while it was opened", d->path);
	if (rc <= 0)
		return rc < 0 ? -1 : OPEN_AGAIN;
	if (!d->position_known && db_position_load(d, e))
		return -1;
	if (!d->told)
		log_info("initialized db", LS("system", "store"), LS("path", d->path));
	d->told = true;
	return DB_OPEN_OK;
}

int db_open(struct db *d, struct err *e)
{
	int rc = OPEN_AGAIN;

	for (int i = 0; i < OPEN_TRIES && rc == OPEN_AGAIN; i++) {
		if (i) {
			os_sleep_ms(i);
			err_clear(e);
		}
		rc = open_steps(d, e);
		/* A file that was there a moment ago: somebody is exchanging them. */
		if (rc == -1 && err_is(e, ERR_NOT_FOUND))
			rc = OPEN_AGAIN;
		if (rc != DB_OPEN_OK)
			db_close(d);
	}
	if (rc == OPEN_AGAIN)
		rc = -1;
	d->last_checkpoint_us = os_mono_us();
	return rc;
}

void db_close(struct db *d)
{
	db_read_end(d);
	sqlite3_close(d->w);
	sqlite3_close(d->r);
	d->r = d->w = NULL;
	d->r_file = NULL;
	d->index = NULL;
	os_file_close(&d->wal);
	os_file_close(&d->lock);
	if (d->registered)
		db_inode_release(d->inode);
	d->registered = false;
	d->continuity = false;
	d->seen_valid = false;
	d->recovered = false;
	d->position_known = false;
}

/* 1, 0, -1: what cannot be looked at now has not changed. */
static int path_is(const char *path, struct db_inode inode, struct err *e)
{
	struct err why = ERR_INIT;
	struct os_stat st;

	if (!os_stat(path, &st, &why))
		return same_file(inode, &st);
	if (err_is(&why, ERR_NOT_FOUND))
		return 0;
	if (e)
		*e = why;
	return -1;
}

int db_identity_holds(const struct db *d, struct err *e)
{
	int rc = path_is(d->path, d->inode, e);
	char *path;

	if (rc > 0)
		rc = path_is(d->wal_path, d->wal_inode, e);
	if (rc <= 0)
		return rc;
	path = shm_path(d);
	rc = path ? path_is(path, d->shm_inode, e) : err_nomem(e);
	free(path);
	return rc;
}
