/* SPDX-License-Identifier: MIT */
/*
 * diag.h - what a database is doing at this moment, and what it has done: for /debug/sync-status (control.md §1.5) and
 * the metrics (§6.2).
 *
 * The engine notes each step under a lock of its own that is never held across anything that waits, so any thread gets
 * an answer while a sync hangs in a dead disk. Each operation begins a new record; the last one stays when it has
 * ended. The names of the phases are Litestream's where a step of ours is the same; the steps it has and we have not
 * (checkpoint_snapshot_boundary, …) never appear. A checkpoint reads what was committed meanwhile: its record then
 * shows phases of a sync.
 */
#ifndef RIVULET_DB_DIAG_H
#define RIVULET_DB_DIAG_H

#include "lib/db/db.h"

/* How checkpoints are called in labels: TRUNCATE is the one that also cuts the WAL's file (the brake). */
enum db_checkpoint_mode { DB_MODE_PASSIVE, DB_MODE_TRUNCATE, DB_MODES };
const char *db_checkpoint_mode_name(enum db_checkpoint_mode mode);

enum { DB_DIAG_ERROR_SIZE = 512 };

struct db_diag {
	const char *operation;  /* "sync", "checkpoint"; NULL = there was none in this process */
	const char *phase;
	const char *mode;       /* of a checkpoint, else NULL */
	const char *reason;     /* of the last full copy in this operation, else NULL */
	bool active;
	bool snapshotting;      /* a full copy is being written */
	int64_t started_ms, updated_ms; /* wall clock; updated: the last change of phase */
	int64_t elapsed_us;     /* since the start while active, else from start to end */
	uint64_t txid;          /* newest local one */
	int64_t wal_size;       /* bytes up to the last published frame, as last seen */
	int64_t wal_offset;     /* where in the WAL the newest local file ends */
	char error[DB_DIAG_ERROR_SIZE]; /* why the operation failed; cut at the end */
};
/* Any thread. */
void db_diag(struct db *d, struct db_diag *out);

/* Checkpoints since db_create. A cancelled one is counted, but not as an error. */
struct db_checkpoint_counters {
	uint64_t count[DB_MODES], errors[DB_MODES], us[DB_MODES];
};
/* Any thread. */
void db_checkpoint_counters(struct db *d, struct db_checkpoint_counters *out);

#endif
