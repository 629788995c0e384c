/* SPDX-License-Identifier: MIT */
/*
 * restore.h - from a replica back to a database: plan, fetch, apply, verify, follow.
 *
 * The output is complete or it is not there: pages go into OUTPUT.tmp, newest file first, each page once; every file's
 * checksum is verified to its end, every page up to the final size must have been written (the lock page is zeros), an
 * integrity check runs if asked for, and only then the file is fsynced and renamed. Memory: one bit per page of the
 * database and a few hundred KiB per parallel file.
 *
 * Runs on the caller's thread (an applet's, or a worker); `parallelism` files are read at once by threads of its own.
 */
#ifndef RIVULET_RESTORE_H
#define RIVULET_RESTORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/replica/replica.h"

enum restore_check { RESTORE_CHECK_NONE, RESTORE_CHECK_QUICK, RESTORE_CHECK_FULL };

struct restore_target {
	uint64_t txid;       /* 0 = not given */
	bool has_time;
	int64_t time_ns;     /* since 1970: files created strictly before it */
};

struct restore_plan {
	struct replica_item *items; /* in the order in which they apply, oldest first */
	int count, cap;
	uint64_t min_txid, max_txid;
};
void restore_plan_free(struct restore_plan *p);

/*
 * replication.md §7.1 over a listing (pure; the listing need not be sorted). Errors: ERR_UNAVAILABLE "no matching
 * backup files available", ERR_GAP "non-contiguous ltx files: have up to H but next file starts at H".
 */
int restore_plan_calc(const struct replica_list *files, const struct restore_target *target, struct restore_plan *plan,
                      struct err *e);
/*
 * How files lead on from a database at from_txid: the same search without a snapshot to start from. with_snapshots
 * takes level 9 in too. An empty plan is no error; plan->max_txid is then from_txid. to_txid: no file may pass it, 0 =
 * as far as it goes.
 */
int restore_plan_extend(const struct replica_list *files, uint64_t from_txid, uint64_t to_txid, bool with_snapshots,
                        struct restore_plan *plan, struct err *e);
/* Lists the replica, then restore_plan_calc. With check_bounds a time outside of what the replica covers is
 * ERR_UNAVAILABLE "timestamp does not exist" / "no backups found" (the URL form of the command line). */
int restore_plan_make(struct replica *r, const struct restore_target *target, bool check_bounds,
                      struct restore_plan *plan, struct err *e);

/* What a long restore tells while it runs; called from one thread, at most ten times a second. */
struct restore_progress {
	void (*report)(void *ctx, int64_t done_bytes, int64_t total_bytes); /* bytes of LTX files */
	void *ctx;
};

struct restore_options {
	const char *output;
	int parallelism;             /* files read at once; < 1 = 8 */
	enum restore_check check;
	bool replace;                /* an OUTPUT that exists stays until the new one is whole, then goes
	                              * with its sidecars */
	struct os_owner dir_owner;   /* of parent folders that must be made; mode 0 = 0700 */
	uint32_t file_mode;          /* 0 = 0644, umask applies */
	bool rollback_header;        /* page 1 bytes 18, 19 = 1 (follow mode) */
	const atomic_bool *cancel;   /* may be NULL; set from a signal: ERR_CANCELLED soon */
	struct restore_progress progress;
	/* What went wrong and was got over; may be NULL. */
	void (*warn)(void *ctx, const char *msg, const struct err *why);
	void *warn_ctx;
};

struct restore_result {
	uint64_t txid;
	int64_t pages;
	uint32_t page_size;
	int64_t bytes_read;
	bool has_bad;            /* the failure is this object's: damaged, or no longer there */
	struct replica_item bad;
};

/*
 * Executes a plan. OUTPUT must not exist, nor a non-empty OUTPUT-wal, -shm or -journal, which SQLite would mix into the
 * fresh database (ERR_EXISTS, naming it); on any failure neither OUTPUT nor OUTPUT.tmp remains. *result is filled as
 * far as it got.
 */
int restore_run(struct replica *r, const struct restore_plan *plan, const struct restore_options *o,
                struct restore_result *result, struct err *e);
/*
 * restore_plan_make and restore_run in one. Where no TXID is asked for and a backup of Litestream v0.3 is the only or
 * the newer one (v3.h), it is restored instead: *plan is empty then, and the result has no TXID. When a planned file
 * turns out to be damaged or gone, and the others lead to the very same TXID, it tells warn and goes on without it;
 * when that does not help and the file is gone, it lists and plans anew, at most three times in all (a daemon's
 * retention); else the first failure stands. *plan: what was planned last.
 */
int restore_make(struct replica *r, const struct restore_target *target, bool check_bounds,
                 const struct restore_options *o, struct restore_plan *plan, struct restore_result *result,
                 struct err *e);

/*
 * Several replicas of one database (count > 0): asks all of them and chooses the first whose plan reaches the highest
 * TXID; v0.3 backups only where no replica has LTX files for it. o->warn hears of each replica that could not be asked
 * or has a gap; o->cancel is looked at. When none has an answer: the first failure, or else that there is nothing.
 */
int restore_choose(struct replica *const *replicas, int count, const struct restore_target *target, bool check_bounds,
                   const struct restore_options *o, int *chosen, struct err *e);
/*
 * restore_choose and restore_make in one. When the chosen replica fails on the way, another one that reaches the very
 * same TXID is taken instead, and o->warn told; else the last failure stands. *chosen: the one that was used last, -1 =
 * none. e may not be NULL.
 */
int restore_make_any(struct replica *const *replicas, int count, const struct restore_target *target, bool check_bounds,
                     const struct restore_options *o, struct restore_plan *plan, struct restore_result *result,
                     int *chosen, struct err *e);

/*
 * PRAGMA quick_check / integrity_check on a file that nobody writes; its -wal and -journal are not looked at. The file
 * is not changed and nothing is made beside it. Where the schema needs a module, a function or a collation that this
 * build lacks, every b-tree's structure is checked still, and every table that can be is checked in full.
 */
int restore_check_database(const char *path, enum restore_check check, const atomic_bool *cancel, struct err *e);

/*
 * Follow mode: OUTPUT is a copy that stays behind the replica by about one interval, for readers on other machines. It
 * is kept in rollback-journal mode, and readers are locked out while a batch of transactions is written. Only a crash
 * in the middle of that leaves a state that is none, until follow mode runs again and repeats the batch from
 * OUTPUT-txid.
 */
struct restore_follow_options {
	struct restore_options restore; /* rollback_header is implied */
	int64_t interval_ms;   /* <= 0: 1000 */
	/* Once, when OUTPUT is there; may be NULL. resumed: it was there before. */
	void (*started)(void *ctx, uint64_t txid, bool resumed);
	void (*applied)(void *ctx, uint64_t from_txid, uint64_t to_txid); /* after each batch; may be NULL */
	void (*warn)(void *ctx, const char *msg, const struct err *why);  /* errors that are retried; may be NULL */
	void *ctx;
};
/*
 * Restores OUTPUT if it is not there, or resumes from its sidecar OUTPUT-txid, then applies what the replica gets until
 * restore.cancel is set (returns 0). Files are verified before the database is locked; a gap is bridged by any level,
 * snapshots included; where the replica begins anew with lower TXIDs, the database is restored anew beside it and
 * renamed over. A sleep between looks is cut short by `cancel` within 100 ms. While nothing comes, a replica with
 * latency is asked for level 0 at each look, and for all levels at growing intervals up to a minute.
 */
int restore_follow(struct replica *r, const struct restore_follow_options *o, struct err *e);

#endif
