/* SPDX-License-Identifier: MIT */
/*
 * levels.h - what keeps a replica short and cheap for ever: compaction, snapshots, retention, and the manifest by which
 * all three know what the replica holds without asking it.
 *
 * Level 0 holds one file per sync. Level n (1 … count) holds files that were merged from level n-1, once per interval;
 * level 9 holds full copies ("snapshots"). Retention deletes what is no longer needed for a restore to any kept point.
 * The rules are Litestream's (replication.md §6 of the project's specification) with its faults mended (its **[C]**
 * rules): a merge never publishes a hole; nothing is deleted unless what replaces it is known to be there. Where a hole
 * or a damaged file is met, a snapshot becomes due at once, and compaction goes on behind it.
 *
 * One `struct levels` belongs to one replica of one database. Its manifest is built from one listing at first use, is
 * kept current by what we write and delete ourselves, and is compared with a real listing once a day and whenever an
 * answer of the replica contradicts it (a missing file, a file in the way). A replica at rest gets no request at all:
 * levels_due_ms() is then INT64_MAX; the daily comparison is part of the next run that has something else to do.
 *
 * Threads: a run and an upload may work at the same time (a snapshot or a large merge must not hold up level 0): one
 * levels_run or levels_compact at a time, and beside it, from any thread, the functions of the manifest and
 * levels_due_ms(), which then tells of a state that the run may be about to change. Locks are held for moments, but for
 * levels_load(), which waits for a listing. levels_rest(), levels_policy_changed() and levels_free(): no run.
 *
 * Inputs come from local files where they exist: META/ltx/0, and META/ltx/N for outputs that we keep until the next
 * level has taken them (bounded: LEVELS_KEEP_FILE_MAX each, LEVELS_KEEP_TOTAL_MAX per database); else from the replica
 * by resumable readers. Memory: the manifest (40 bytes per object), and during a job fixed buffers per input, of which
 * at most LEVELS_INPUTS_MAX are open at once (more inputs are merged in groups, through unlinked files in META/ltx/N).
 */
#ifndef RIVULET_LEVELS_H
#define RIVULET_LEVELS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/db/db.h"
#include "lib/db/snapshot.h"
#include "lib/replica/replica.h"

enum {
	LEVELS_MAX = 8, /* compaction levels above 0; level 9 is the snapshots' */
	LEVELS_INPUTS_MAX = 32,
	LEVELS_INPUTS_REMOTE_MAX = 8, /* of them, streams from the replica */
	LEVELS_KEEP_FILE_MAX = 16 << 20,
	LEVELS_KEEP_TOTAL_MAX = 64 << 20,
};

/* Shared by all databases of a store; read-only while jobs run. Milliseconds. */
struct levels_policy {
	int count;                             /* levels 1 … count exist; 0 = none */
	int64_t interval_ms[LEVELS_MAX + 1];   /* [1 … count], each > 0 */
	int64_t snapshot_interval_ms;          /* > 0 */
	int64_t snapshot_retention_ms;         /* > 0 */
	int64_t l0_retention_ms;               /* 0 = level 0 is never deleted by time */
	int64_t l0_check_interval_ms;          /* > 0 */
	int64_t validation_interval_ms;        /* 0 = off */
	bool retention_disabled;               /* nothing is deleted remotely; local copies still are */
};
#define LEVELS_POLICY_DEFAULT                                                                                  \
	{                                                                                                      \
		.count = 3, .interval_ms = { 0, 30000, 300000, 3600000 }, .snapshot_interval_ms = 86400000,    \
		.snapshot_retention_ms = 86400000, .l0_retention_ms = 300000, .l0_check_interval_ms = 15000    \
	}

struct levels;

/* db and replica must live longer; db is used for its paths and names and for snapshots only (levels_run). */
struct levels *levels_create(struct db *db, struct replica *replica, const struct levels_policy *policy, struct err *e);
void levels_free(struct levels *l);
/* The policy was changed in place (SIGHUP). */
void levels_policy_changed(struct levels *l);
/* The database goes to sleep: packs the manifest (some 10 bytes per object). It stays known; the next use unpacks it.
 * No job runs. */
void levels_rest(struct levels *l);

/* ---- the manifest; any thread, levels_load() in a job ---- */

/* Makes sure that the manifest is there (one listing of all levels if it is not). */
int levels_load(struct levels *l, struct err *e);
/* An answer of the replica contradicted the manifest, or an upload's outcome is not known:
 * list again at the next use. */
void levels_doubt(struct levels *l);
bool levels_known(struct levels *l);
/*
 * levels_load, and both positions of one moment. An upload that works beside a run must ask this way: the run may lose
 * the manifest (levels_doubt) between two calls, and "nothing known" must not be taken for "nothing there".
 */
int levels_load_position(struct levels *l, uint64_t *position, uint64_t *snapshot, struct err *e);
/*
 * Lists the replica now, and says what db_options.newest wants to know of it: so a start lists once, for the next TXID
 * and for the manifest.
 */
int levels_list_newest(struct levels *l, struct db_newest *out, struct err *e);
/* The highest TXID of levels 0 … 8, and that of level 9; 0 = none, or not known. */
uint64_t levels_position(struct levels *l);
uint64_t levels_snapshot_position(struct levels *l);
/* The upload job stored this object. */
int levels_note_put(struct levels *l, const struct replica_item *item, struct err *e);

/* ---- what is due ---- */

/*
 * Loop thread: the wall-clock time (ms since 1970) from which levels_run has something to do; INT64_MAX = nothing is,
 * until something is uploaded. needs_db: it would take a snapshot, for which the database must be open and synced.
 * replicated_txid: what the upload has brought there. Times are the multiples of the interval counted from the year 1,
 * moved by a jitter that a database keeps (a tenth of the interval, at most 30 s), so that a thousand databases do not
 * start at once. After a failed run nothing is due for 10 s, doubling up to 5 min.
 */
int64_t levels_due_ms(struct levels *l, int64_t now_ms, uint64_t replicated_txid, bool *needs_db);

struct levels_run_options {
	uint64_t replicated_txid;
	int64_t now_ms;
	/*
	 * What db_snapshot_begin gave in a job of the database, when levels_due_ms said needs_db (or force_snapshot is
	 * set); NULL = none can be taken now. Always taken over: levels_run ends it, also when it was not needed after
	 * all.
	 */
	struct db_snapshot *snapshot;
	/* For -once. With either set only that is done, whatever the time. */
	bool force_snapshot;  /* -force-snapshot: write one now, even where one exists at that TXID */
	bool force_retention; /* -enforce-retention: of snapshots, and of the levels under them */
	const atomic_bool *cancel;
};
struct levels_result {
	bool compacted, snapshotted, wants_snapshot; /* wants_snapshot: one is due, but none was given */
	uint64_t l0_done;     /* local level-0 files with max <= this are no longer needed for this replica; 0 = none,
	                       * or not looked at in this run: keep the highest that was said */
	int l0_eligible, l0_not_compacted, l0_too_recent; /* counts of the last walk (metrics) */
	int verify_errors;    /* holes or overlaps seen right after a compaction */
};
/*
 * A job: does what is due, in order: compaction from level 1 up, level-0 retention, snapshot, snapshot retention, level
 * retention, validation. Logs control.md §5.2's lines ("compaction complete", "snapshot complete", "l0 retention
 * enforced"). An error of one step does not keep the later ones from being tried where that is safe; the first is
 * returned.
 */
int levels_run(struct levels *l, const struct levels_run_options *o, struct levels_result *r, struct err *e);

/* For tests and -once: level `dst` from dst-1 now, whatever the time. 1 = done, 0 = nothing to do, -1. */
int levels_compact(struct levels *l, int dst, const atomic_bool *cancel, struct err *e);

#endif
