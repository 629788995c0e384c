/* SPDX-License-Identifier: MIT */
/*
 * store.h - all databases of one daemon, on one event loop: when each syncs, uploads, waits, pauses and stops.
 *
 * Events only mark what is due; the loop decides; jobs on the pool do the work, at most one on a database's WAL and one
 * on its replica. The life of a database is the state machine in managed.c:
 *
 *   WAITING  the file is not there yet (or empty): the folder is watched
 *   ACTIVE   open, its WAL watched; idle until somebody commits
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
#include "lib/os/loop.h"
#include "lib/replica/replica.h"

struct store;
struct managed;

struct store_options {
	struct loop *loop;
	int workers;                      /* threads at most; 0 = none: jobs run by store_step (tests) */
	int64_t shutdown_timeout_ms;      /* for the last uploads of all databases together; 0 = one attempt */
	int64_t shutdown_interval_ms;     /* between attempts */
	void (*stopped)(void *ctx);       /* store_stop has come to its end */
	void *ctx;
};
#define STORE_OPTIONS_DEFAULT { .workers = 4, .shutdown_timeout_ms = 30000, .shutdown_interval_ms = 500 }

struct managed_options {
	struct db_options db;        /* replica and cancel are set by the store */
	struct replica *replica;     /* owned by the store from a successful store_add on */
	int64_t monitor_interval_ms; /* least time between two L0 files of a steady stream; <= 0: no monitoring */
	int64_t sync_interval_ms;    /* the same for uploads to replicas that cost something; base of the backoff */
	int max_upload_files;        /* in one go; 0 = all */
};
#define MANAGED_OPTIONS_DEFAULT                                                                                \
	{                                                                                                      \
		.db = DB_OPTIONS_DEFAULT, .monitor_interval_ms = 1000, .sync_interval_ms = 1000,               \
		.max_upload_files = 256                                                                        \
	}

enum managed_state { MANAGED_WAITING, MANAGED_ACTIVE, MANAGED_PAUSED, MANAGED_STOPPED };
const char *managed_state_name(enum managed_state s);

int store_create(const struct store_options *o, struct store **out, struct err *e);
/* All databases must be stopped (or the process is about to end and nobody cares). */
void store_free(struct store *s);

/* Takes a database in and starts looking after it. ERR_EXISTS when the path is there already. */
int store_add(struct store *s, const struct managed_options *o, struct managed **out, struct err *e);

/*
 * Every database: last sync, last uploads (retried until the time-out), close; then options.stopped. A second call
 * gives the retries up: what is not uploaded stays staged and goes on at the next start.
 */
void store_stop(struct store *s);
bool store_is_stopping(const struct store *s);

/* With workers == 0: runs one waiting job, chosen by pick, and what follows from it; false when none waits. */
bool store_step(struct store *s, uint64_t pick);

struct managed_status {
	enum managed_state state;
	const char *path;
	uint64_t txid, replica_txid; /* replica_txid: 0 = not known */
	const char *reason;          /* of PAUSED; "" otherwise */
	const struct db_progress *progress;
};
int store_count(const struct store *s);
void store_status(const struct store *s, int i, struct managed_status *out);

#endif
