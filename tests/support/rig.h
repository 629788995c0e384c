/* SPDX-License-Identifier: MIT */
/*
 * rig.h - a database, an application's connection to it, the engine and a file replica, for tests of lib/db.
 *
 * All in one process and one fresh folder. What a step gave stays in the struct for the test to look at; rig_true() is
 * the question of most tests: do the files, applied one after the other, make the database as it is now?
 */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include "lib/db/internal.h"
#include "lib/store/upload.h"
#include "tests/support/image.h"

struct rig {
	char dir[300], path[340], replica_path[340], restored[340];
	sqlite3 *app;             /* page size 1024, autocheckpoint off */
	struct db_options o;      /* may be changed before rig_start */
	struct db *db;
	struct replica *replica;
	struct levels *levels;
	struct upload upload;
	struct db_sync_result r;  /* of the last sync */
	struct err e;             /* of the last failure */
	/* the newest local file, after rig_true */
	struct image chain;
	uint64_t applied;
	bool copy;                /* it held every page */
	int64_t wal_offset, wal_size;
};

/* A folder of its own, the application's connection and the table t(id, b); the engine is not started. 0 or -1. */
int rig_init(struct rig *g, const char *name);
void rig_free(struct rig *g);

/* The application. Formats, runs, gives SQLite's code. */
int rig_sql(struct rig *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t rig_int(struct rig *g, const char *sql); /* first column of the first row; -1 */
int rig_app_open(struct rig *g);
void rig_app_close(struct rig *g); /* as the last connection: takes the WAL away, if the engine does not hold it */
/* Rows 1..n with about that many bytes each, one transaction. */
int rig_fill(struct rig *g, int n, int bytes);
int rig_checkpoint(struct rig *g, int mode); /* SQLite's code; everything must have been moved */

/* The engine. */
int rig_start(struct rig *g); /* db_create */
void rig_stop(struct rig *g); /* db_free; no last sync */
int rig_sync(struct rig *g);
int rig_upload(struct rig *g); /* enum upload_result or -1 */
/* Takes the files that have come; false, with a line on stdout, when they do not make the database. */
bool rig_true(struct rig *g);
/* rig_sync and rig_true. */
bool rig_good(struct rig *g);
/* The chain begins anew behind TXID txid, with nothing: the next file must be a full copy. */
void rig_forget(struct rig *g, uint64_t txid);
/* Restores a TXID (0 = the newest) from the replica; with `same` it must be the database as it is now. */
bool rig_restore(struct rig *g, uint64_t txid, bool same);

/* Files. */
char *rig_local(struct rig *g, uint64_t txid, char out[400]);
bool rig_exists(const char *path);
int64_t rig_size(const char *path); /* -1: there is none */
int rig_copy(const char *from, const char *to);
int rig_write_at(const char *path, int64_t offset, const void *bytes, size_t n);
char *rig_beside(struct rig *g, const char *suffix, char out[400]); /* path of the database + suffix */

#endif
