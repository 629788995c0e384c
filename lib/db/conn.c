/* SPDX-License-Identifier: MIT */
/*
 * conn.c - the two SQLite connections of a database, and what is asked of them.
 *
 * r holds the read transaction that keeps the WAL from being restarted; w writes (the bump), blocks writers for a
 * moment (the barrier) and checkpoints. No statement here loads the schema: `PRAGMA user_version` reads page 1, its
 * setter writes page 1, a checkpoint is an API call. Cache size, synchronous and lookaside are compile-time settings of
 * the SQLite we link (Makefile), because the pragmas would load the schema.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/db/internal.h"
#include "lib/os/clock.h"

enum { QUICK_TRIES = 200, QUICK_US = 100, SLOW_US = 1000 };

int db_library_check(struct err *e)
{
	int version = sqlite3_libversion_number();

	if (version < 3051003 || version == 3052000)
		return err_set(e, ERR_INVALID,
		               "SQLite %s has the WAL-reset fault, which a replicator provokes: 3.51.3 or later is "
		               "needed (not 3.52.0)", sqlite3_libversion());
	return 0;
}

static enum err_code code_of(int rc, int sys)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_NOMEM:
		return ERR_NO_MEMORY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	default:
		return sys == ENOSPC || sys == EDQUOT ? ERR_FULL : ERR_SYSTEM;
	}
}

/* The text ends as Litestream's SQLite driver words it: "file is not a database (26)". */
int db_sqlite_error(sqlite3 *c, int rc, const char *what, struct err *e)
{
	int sys = c ? sqlite3_system_errno(c) : 0;
	enum err_code code = code_of(rc, sys);

	if (code == ERR_SYSTEM && sys)
		err_sys(e, sys, "%s%s%s (%d)", what, *what ? ": " : "", sqlite3_errstr(rc), rc & 0xff);
	else
		err_set(e, code, "%s%s%s (%d)", what, *what ? ": " : "", sqlite3_errstr(rc), rc & 0xff);
	if (e && sys)
		e->sys = sys;
	return -1;
}

int db_exec(sqlite3 *c, const char *sql, const char *what, struct err *e)
{
	int rc = sqlite3_exec(c, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_sqlite_error(c, rc, what, e);
}

/* A busy writer leaves its lock for microseconds at a time. Who asks as seldom as SQLite's own handler does may wait in
 * vain for seconds, while the WAL grows. */
static int wait_for_lock(void *ctx, int asked)
{
	struct db *d = ctx;
	int64_t now = os_mono_us();

	if (!asked)
		d->busy_since_us = now;
	if (now - d->busy_since_us >= d->o.busy_timeout_ms * 1000)
		return 0;
	os_sleep_us(asked < QUICK_TRIES ? QUICK_US : SLOW_US);
	return 1;
}

int db_conn_open(struct db *d, sqlite3 **out, struct err *e)
{
	sqlite3 *c = NULL;
	int persist = 1;
	int rc = sqlite3_open_v2(d->path, &c, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK) {
		db_sqlite_error(c, rc, "open database", e);
		goto fail;
	}
	if (sqlite3_db_readonly(c, "main") == 1) {
		err_set(e, ERR_SYSTEM, "%s cannot be written by this user: replication needs that for its locks",
		        d->path);
		goto fail;
	}
	sqlite3_busy_handler(c, wait_for_lock, d);
	/* Otherwise our own commits would checkpoint, and our last close would delete the WAL. */
	sqlite3_wal_autocheckpoint(c, 0);
	sqlite3_db_config(c, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_file_control(c, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	*out = c;
	return 0;
fail:
	sqlite3_close(c);
	return -1;
}

/*
 * Where SQLite cannot open the WAL or the wal-index for writing, be it for want of a descriptor at that moment, it
 * takes them for reading, and every checkpoint fails as long as the connection lives. This one does nothing but tell.
 */
int db_conn_check(struct db *d, sqlite3 *c, struct err *e)
{
	if (db_exec(c, "BEGIN; PRAGMA user_version; ROLLBACK", "begin read transaction", e))
		return -1;
	if ((sqlite3_wal_checkpoint_v2(c, "main", SQLITE_CHECKPOINT_NOOP, NULL, NULL) & 0xff) != SQLITE_READONLY)
		return 0;
	return err_set(e, ERR_SYSTEM, "%s or its wal-index could not be opened for writing", d->wal_path);
}

/*
 * SQLite opens the database, then the WAL, each by its name. Were they exchanged in between, w would write to the log
 * of one database what belongs to another: so both are opened by a read, and looked at, before w may write.
 */
int db_conn_writer(struct db *d, struct err *e)
{
	struct err why = ERR_INIT;
	sqlite3 *c = NULL;
	int rc, same;

	if (d->w)
		return 0;
	if (db_conn_open(d, &c, e))
		return -1;
	rc = db_conn_check(d, c, &why);
	same = db_identity_holds(d, e);
	if (!rc && same > 0) {
		d->w = c;
		return 0;
	}
	sqlite3_close(c);
	if (!same)
		return err_set(e, ERR_BUSY, "%s was replaced while it was opened", d->path);
	if (same > 0 && e)
		*e = why;
	return -1;
}

int db_read_begin(struct db *d, struct err *e)
{
	struct wal_index index;

	if (d->reading)
		return 0;
	d->low_mark = !d->index || !wal_index_read(d->index, &index) || index.backfilled == index.frames;
	if (db_exec(d->r, "BEGIN; PRAGMA user_version", "begin read transaction", e)) {
		sqlite3_exec(d->r, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	d->reading = true;
	return 0;
}

void db_read_end(struct db *d)
{
	if (d->reading)
		sqlite3_exec(d->r, "ROLLBACK", NULL, NULL, NULL);
	d->reading = false;
}

static int user_version(sqlite3 *c, int *value, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(c, "PRAGMA user_version", -1, &s, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		*value = sqlite3_column_int(s, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(s);
	return rc == SQLITE_OK ? 0 : db_sqlite_error(c, rc, "read user_version", e);
}

/*
 * Appends one frame to the WAL by writing user_version with its own value: makes the WAL exist, keeps it from being
 * restarted under our read lock, or restarts it when everything is backfilled and nobody reads it.
 */
int db_bump(struct db *d, struct err *e)
{
	char sql[48];
	int value = 0;

	if (db_conn_writer(d, e))
		return -1;
	if (!sqlite3_get_autocommit(d->w))
		return err_set(e, ERR_BUSY, "%s is being checkpointed", d->path);
	if (db_exec(d->w, "BEGIN IMMEDIATE", "lock for writing", e))
		return -1;
	if (user_version(d->w, &value, e))
		goto fail;
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d; COMMIT", value);
	if (db_exec(d->w, sql, "write user_version", e))
		goto fail;
	sqlite3_db_release_memory(d->w);
	return 0;
fail:
	sqlite3_exec(d->w, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

int db_checkpoint_passive(sqlite3 *c, int *frames, int *backfilled, struct err *e)
{
	int rc = sqlite3_wal_checkpoint_v2(c, "main", SQLITE_CHECKPOINT_PASSIVE, frames, backfilled);

	return rc == SQLITE_OK ? 0 : db_sqlite_error(c, rc, "checkpoint", e);
}

int db_handle_read(sqlite3_file *f, const char *path, void *bytes, int n, int64_t offset, struct err *e)
{
	int rc = f->pMethods->xRead(f, bytes, n, offset);

	if (rc == SQLITE_IOERR_SHORT_READ)
		return err_set(e, ERR_CORRUPT, "%s ends before byte %lld", path, (long long)offset + n);
	return rc == SQLITE_OK ? 0 : db_sqlite_error(NULL, rc, "read database", e);
}

int db_handle_size(sqlite3_file *f, int64_t *size, struct err *e)
{
	sqlite3_int64 bytes = 0;
	int rc = f->pMethods->xFileSize(f, &bytes);

	*size = bytes;
	return rc == SQLITE_OK ? 0 : db_sqlite_error(NULL, rc, "size of database", e);
}

int db_file_read(struct db *d, void *bytes, int n, int64_t offset, struct err *e)
{
	return db_handle_read(d->r_file, d->path, bytes, n, offset, e);
}

int db_file_size(struct db *d, int64_t *size, struct err *e)
{
	return db_handle_size(d->r_file, size, e);
}

/*
 * A torn index is one that a writer is publishing at this moment (nanoseconds), or one whose writer died doing so; the
 * next transaction to begin repairs the latter, so w begins one.
 */
int db_index_read(struct db *d, struct wal_index *index, struct err *e)
{
	for (int i = 0; i < 50; i++) {
		if (wal_index_read(d->index, index))
			return 0;
		if (i == 20) {
			if (db_conn_writer(d, e) ||
			    db_exec(d->w, "BEGIN; PRAGMA user_version; ROLLBACK", "repair wal-index", e))
				return -1;
		} else if (i > 4) {
			os_sleep_ms(1);
		}
	}
	return err_set(e, ERR_BUSY, "the wal-index of %s does not come to rest", d->path);
}
