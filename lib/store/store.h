/* SPDX-License-Identifier: MIT */
/*
 * store.h - all databases of one daemon, on one event loop: when each syncs, uploads, waits, pauses and stops.
 *
 * Events only mark what is due; the loop decides; jobs do the work, at most one on a database's WAL and one on each of
 * its replicas. Two pools of threads, so that neither kind waits for the other: one for the databases, one for the
 * replicas. In the first at most two, in the second at most half of the threads may be held by work that can be long
 * (full copies; the levels' work), and at most two full copies of databases are read at once: so a sync always finds a
 * thread soon, and so does an upload. The life of a database is the state machine in managed.c:
 *
 *   WAITING  the file is not there yet (or empty): the folder is watched
 *   ACTIVE   open, its WAL watched; idle until somebody commits. After idle_timeout_ms without a commit it is let go of
 *            (dormant): no connection, no descriptor, no timer; the next write wakes it
 *   PAUSED   the last sync failed for a reason that is kept and retried, later and later
 *   STOPPED  not looked after
 *
 * All functions are the loop thread's. Logging as control.md §5.2.
 */
#ifndef RIVULET_STORE_H
#define RIVULET_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/db/db.h"
#include "lib/levels/levels.h"
#include "lib/os/loop.h"
#include "lib/replica/replica.h"

struct store;
struct managed;

struct store_options {
	struct loop *loop;
	int workers;                      /* threads for databases, at most; 0 = none: jobs run by store_step (tests) */
	int upload_workers;               /* threads for replicas, at most; at least 4 */
	int open_max;                     /* databases that may be open at once, the others wait; 0 = any number */
	struct levels_policy policy;
	int64_t shutdown_timeout_ms;      /* for the last uploads of all databases together; 0 = one attempt */
	int64_t shutdown_interval_ms;     /* between attempts */
	void (*stopped)(void *ctx);       /* store_stop has come to its end */
	void *ctx;
};
#define STORE_OPTIONS_DEFAULT                                                                                  \
	{                                                                                                      \
		.workers = 4, .upload_workers = 8, .policy = LEVELS_POLICY_DEFAULT, .shutdown_timeout_ms = 30000, \
		.shutdown_interval_ms = 500                                                                    \
	}

struct managed_replica_options {
	struct replica *replica;     /* owned by the store from a successful store_add on */
	int64_t sync_interval_ms;    /* least time between uploads, where they cost something; base of the backoff */
	int max_upload_files;        /* in one go; 0 = all */
	bool auto_recover;           /* a damaged local file is as good as none */
};
#define MANAGED_REPLICA_DEFAULT { .sync_interval_ms = 1000, .max_upload_files = 256 }

enum { MANAGED_REPLICAS_MAX = 8 };

struct managed_options {
	struct db_options db;        /* replicas and cancel are set by the store; paths are copied */
	/* Each has its own position, queue and levels, and fails for itself. */
	struct managed_replica_options replicas[MANAGED_REPLICAS_MAX];
	int replica_count;           /* 1 … MANAGED_REPLICAS_MAX */
	int64_t monitor_interval_ms; /* least time between two L0 files of a steady stream; <= 0: no monitoring */
	int64_t idle_timeout_ms;     /* let go of it after so much quiet; 0 = never */
	bool enabled;                /* false: registered only, store_start() begins */
};
#define MANAGED_OPTIONS_DEFAULT                                                                                \
	{                                                                                                      \
		.db = DB_OPTIONS_DEFAULT, .replicas = { MANAGED_REPLICA_DEFAULT }, .replica_count = 1,         \
		.monitor_interval_ms = 1000, .idle_timeout_ms = 60000, .enabled = true                         \
	}

enum managed_state { MANAGED_WAITING, MANAGED_ACTIVE, MANAGED_PAUSED, MANAGED_STOPPED };
const char *managed_state_name(enum managed_state s);

int store_create(const struct store_options *o, struct store **out, struct err *e);
/* All databases must be stopped (or the process is about to end and nobody cares). Callers that still wait are answered
 * with ERR_CANCELLED. */
void store_free(struct store *s);

/* Takes a database in and, if it is enabled, starts looking after it. ERR_EXISTS when the path is there already,
 * ERR_CANCELLED when the store is stopping. The rest of its life is in ops.h. */
int store_add(struct store *s, const struct managed_options *o, struct managed **out, struct err *e);

/*
 * Every database: last sync, last uploads (retried until the time-out), close; then options.stopped. A second call
 * gives the retries up: what is not uploaded stays staged and goes on at the next start.
 */
void store_stop(struct store *s);
bool store_is_stopping(const struct store *s);
/* Counts from the moment on when no job on a replica runs. */
void store_set_policy(struct store *s, const struct levels_policy *p);

/* With workers == 0: runs one waiting job, chosen by pick, and what follows from it; false when none waits. */
bool store_step(struct store *s, uint64_t pick);

struct managed_status {
	enum managed_state state;
	const char *path;
	uint64_t txid, replica_txid; /* replica_txid: of the first replica; 0 = not known */
	const char *reason;          /* of PAUSED; "" otherwise */
	const struct db_progress *progress;
};
int store_count(const struct store *s);
void store_status(const struct store *s, int i, struct managed_status *out);

#endif
