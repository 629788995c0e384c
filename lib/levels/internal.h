/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of this room share.
 */
#ifndef RIVULET_LEVELS_INTERNAL_H
#define RIVULET_LEVELS_INTERNAL_H

#include <pthread.h>

#include "lib/levels/levels.h"

enum {
	LEVELS_SNAPSHOT = LTX_LEVEL_SNAPSHOT,
	LEVELS_ALL = LTX_LEVEL_MAX + 1,
	LEVELS_RETRY_FIRST_MS = 10000, /* after a failure; doubling */
	LEVELS_RETRY_MAX_MS = 300000,
	LEVELS_SKEW_MS = 60000, /* a time that far ahead of ours is of a clock that was wrong */
	LEVELS_BAD_MAX = 8, /* damaged files that are remembered; more than that stop their level */
};

/* One per level; sorted by min, then max. */
struct levels_list {
	struct replica_list files;
	uint64_t max_txid; /* the highest of all, 0 = none */
};

struct levels {
	struct db *db;
	struct replica *replica;
	const struct levels_policy *policy;

	/* Protects all that stands below it. Nothing is asked of the replica or the disk while it is held. */
	pthread_mutex_t lock;
	/* Held while the replica is listed and while objects are removed, so that no listing shows what is about to go.
	 * Taken before `lock`. */
	pthread_mutex_t listing;
	bool is_listing;
	struct replica_list meanwhile; /* stored during a listing, which may not show it */
	unsigned doubts;               /* a listing that began before the last of them is not believed */

	struct levels_list level[LEVELS_ALL];
	bool known;
	uint8_t *packed; /* the lists above while the database sleeps */
	size_t packed_size;
	int64_t packed_due_ms;
	bool packed_needs_db;

	uint32_t seed;     /* of the jitter and of staging names: differs with the database and the replica */
	int64_t start_ms;  /* when the manifest was first there */
	int64_t listed_ms; /* the last real listing */
	int64_t tried_ms[LEVELS_ALL]; /* the last compaction or snapshot, or that there was nothing to be done */
	int64_t l0_checked_ms, l9_checked_ms, validated_ms;
	bool changed;      /* the replica was written to since the last validation */
	/* A merge into [n] would have published a hole, as long as level n-1 ends at this TXID. */
	uint64_t refused[LEVELS_ALL];
	uint64_t heal_txid;       /* a snapshot that reaches it covers the hole; 0 = there is none */
	struct replica_list bad;  /* damaged in the replica: as good as missing; at most LEVELS_BAD_MAX */
	uint64_t l0_local_done;   /* with retention off: level-0 files up to it were reported */
	int faults[LEVELS_ALL];   /* gaps and overlaps that were reported */
	int64_t alarm_us;
	int64_t retry_ms; /* after a failure nothing is tried before; 0 = there was none */
	int failures;

	/* The run's alone. */
	int64_t kept_bytes; /* local copies in META/ltx/1 … 8 */
	bool local_swept;
};

static inline void levels_lock(struct levels *l) { pthread_mutex_lock(&l->lock); }
static inline void levels_unlock(struct levels *l) { pthread_mutex_unlock(&l->lock); }

/* ---- manifest.c ---- */
int levels_manifest_list(struct levels *l, struct err *e); /* one real listing; tells what had changed without us */
/* Under the lock, as all down to levels_snapshot_before: */
int levels_manifest_add(struct levels *l, const struct replica_item *item, struct err *e);
void levels_manifest_remove(struct levels *l, const struct replica_item *item);
void levels_manifest_drop(struct levels *l);
static inline const struct replica_list *levels_files(const struct levels *l, int level)
{
	return &l->level[level].files;
}
/* Does level `level` hold all of from … to? */
bool levels_covers(const struct levels *l, int level, uint64_t from, uint64_t to);
/* The file of level 1 that has this TXID; the TXID itself where there is none. */
uint64_t levels_group_min(const struct levels *l, uint64_t txid);
uint64_t levels_group_max(const struct levels *l, uint64_t txid);
/* Is there a snapshot from which a restore may go on at `from`? */
bool levels_snapshot_before(const struct levels *l, uint64_t from);
/* Removes them from the replica and the manifest, in the given order. */
int levels_remove(struct levels *l, const struct replica_item *items, int count, struct err *e);

/* ---- pack.c; under the lock ---- */
int levels_unpack(struct levels *l, struct err *e);

/* ---- due.c; under the lock ---- */
/* The first point of the interval's grid behind t, moved by this database's jitter. */
int64_t levels_next_slot(const struct levels *l, int64_t interval_ms, int64_t t_ms);
/* Times from which a step is due; INT64_MAX = it is not. */
int64_t levels_compaction_due(const struct levels *l, int dst, int64_t now_ms);
int64_t levels_snapshot_due(const struct levels *l, int64_t now_ms, uint64_t replicated_txid);
int64_t levels_l0_due(const struct levels *l, int64_t now_ms);
int64_t levels_l9_due(const struct levels *l, int64_t now_ms);
int64_t levels_validation_due(const struct levels *l, int64_t now_ms);
int64_t levels_due(const struct levels *l, int64_t now_ms, uint64_t replicated_txid, bool *needs_db);

/* ---- local.c: the copies in META/ltx/N ---- */
/* malloc'ed; NULL only without memory. */
char *levels_local_folder(const struct levels *l, int level);
char *levels_local_path(const struct levels *l, const struct replica_item *item);
char *levels_staging_path(const struct levels *l, const struct replica_item *item);
/* Removes what an earlier process left half-written or is of no use any more, and counts the rest. */
int levels_local_sweep(struct levels *l, struct err *e);
/* The staged file of an output that the replica has: kept for the next level, or unlinked. */
void levels_local_keep(struct levels *l, const struct replica_item *item, const char *staging);
void levels_local_drop(struct levels *l, const struct replica_item *item);

/* ---- merge.c ---- */
struct levels_merge {
	struct levels *l;
	const struct replica_item *inputs; /* oldest first, contiguous */
	int count;
	const char *path;  /* of the output */
	bool remote_only;  /* do not use local copies */
	const atomic_bool *cancel;
	/* results */
	bool used_local;
	bool missing;                /* the replica does not hold an input that the manifest names */
	struct replica_item output;  /* but its level */
};
int levels_merge_run(struct levels_merge *m, struct err *e);

/* ---- diagnose.c ---- */
/* How many of the inputs can be merged, from the first on: up to a damaged one, which is marked, or to one of another
 * page size. count: nothing was found (or could be looked at). */
int levels_diagnose(struct levels *l, const struct replica_item *inputs, int count, const atomic_bool *cancel);
bool levels_is_bad(const struct levels *l, const struct replica_item *item); /* under the lock */

/* ---- compact.c ---- */
enum levels_compaction { LEVELS_NOTHING, LEVELS_DONE, LEVELS_REFUSED };
/* One merge. enum levels_compaction or -1. */
int levels_compact_step(struct levels *l, int dst, const atomic_bool *cancel, int *faults, struct err *e);
/* Under the lock: gaps and overlaps of a level; *text (of at least ERR_TEXT_SIZE) describes the first. */
int levels_check(const struct levels *l, int level, char *text);

/* ---- snapshot.c, retain.c, validate.c ---- */
int levels_take_snapshot(struct levels *l, struct db_snapshot *s, const atomic_bool *cancel, struct err *e);
int levels_retain_l0(struct levels *l, int64_t now_ms, struct levels_result *r, struct err *e);
int levels_retain_snapshots(struct levels *l, int64_t now_ms, struct err *e);
int levels_validate(struct levels *l, int64_t now_ms, struct err *e);

#endif
