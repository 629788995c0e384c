/* SPDX-License-Identifier: MIT */
/*
 * ops.h - what a running daemon may be asked to do with its databases, and what it tells: the interface between the
 * store and everything that steers it (control socket, folders, SIGHUP, -once).
 *
 * Every operation is begun on the loop's thread, never blocks, and answers exactly once through call->done on the
 * loop's thread, perhaps before the function that began it returns. Operations on one database are serialised: each
 * caller gets an answer that was true at some moment between asking and being answered (replication.md §9, control.md
 * §1.5). A caller that is no longer interested calls store_call_forget(): done is not called any more, what was begun
 * goes on. done() may begin and forget other operations. At the end of the store whoever still waits is answered
 * ERR_CANCELLED.
 *
 * Paths are absolute and clean (text_path_expand); look-up is by exact text.
 */
#ifndef RIVULET_STORE_OPS_H
#define RIVULET_STORE_OPS_H

#include "lib/store/store.h"

enum store_outcome {
	STORE_DONE,      /* started, stopped, registered, unregistered, synced, reached */
	STORE_ALREADY,   /* it was so before: already_running, already_stopped, already_registered, already_unregistered */
};

struct call_list;

/* Zeroed, but for done and deadline_us, before the operation; not touched until done() or forgotten. May be used again. */
struct store_call {
	void (*done)(struct store_call *c);
	int64_t deadline_us; /* os_mono_us() time; 0 = none. When it passes: ERR_CANCELLED "context deadline exceeded" */
	/* results, valid in done() */
	int rc;              /* 0 or -1 */
	struct err why;      /* ERR_NOT_FOUND "database not found: P"; ERR_BUSY "database not open: P" (stopped); else the reason */
	enum store_outcome outcome;
	uint64_t txid;            /* newest local TXID; of store_wait: the one waited for */
	uint64_t replicated_txid; /* of the first replica; 0 = not known */
	bool changed;             /* sync: txid grew by this call */
	/* the store's */
	struct store *s;
	struct managed *m;
	struct loop_timer timer;
	struct call_list *list;
	struct store_call *next, **link;
	uint64_t want, seen_attempts;
	int64_t since_ms;
	uint32_t seen_syncs;
	int kind, step;
	bool any, wait;
};

/* Begins to look after a stopped database. That the file is missing, or cannot be opened now, is seen in its state. */
void store_start(struct store *s, const char *path, struct store_call *c);
/* Last sync, last upload (retried until the deadline or the store's shutdown time-out), close; it stays registered. A
 * failed last sync or upload is rc -1 "…", but the database is closed nevertheless. */
void store_halt(struct store *s, const char *path, struct store_call *c);
/* The same, then forgotten. Out of store_find() and the list at once. */
void store_remove(struct store *s, const char *path, struct store_call *c);
/*
 * A sync now. Everything committed before the call is in local files when it answers; with wait it is in the replicas
 * too. Callers that come while a sync runs share the next one. Errors begin "db sync: " / "replica sync: " when wait
 * is set. A database whose file does not exist: wait fails with "replica sync: no position, waiting for data", else
 * nothing changed.
 */
void store_sync(struct store *s, const char *path, bool wait, struct store_call *c);
/*
 * Waits until txid (0 = everything committed before this call) is in every replica (any: in one). Shares syncs and
 * uploads with all others. At the deadline: ERR_CANCELLED, why = the last replica error or "txid N of M".
 */
void store_wait(struct store *s, const char *path, uint64_t txid, bool any, struct store_call *c);
void store_call_forget(struct store_call *c);
enum { STORE_WAITING_MAX = 10000 }; /* store_wait beyond it: ERR_LIMIT "too many waiting requests" */

struct managed *store_find(struct store *s, const char *path); /* NULL = not registered */
/* In order of registration; NULL = the end. */
struct managed *store_next(struct store *s, struct managed *after);

/* ---- facts for /list, /debug/sync-status, metrics, the page; valid until the loop goes on ---- */

struct managed_replica_facts {
	const char *name, *type;
	uint64_t txid;          /* 0 = not known */
	int64_t last_sync_ms;   /* wall clock of the last successful sync in this process; 0 = none */
	const char *error;      /* of the last attempt; "" = it worked */
};
struct managed_facts {
	const char *path, *name; /* name: base name */
	enum managed_state state;
	const char *reason;      /* PAUSED: why */
	bool locked_out;         /* paused, because the place of a replica is another's, or cannot be locked (`lease`) */
	bool monitored;          /* monitor-interval > 0 */
	bool dormant;
	bool opening;              /* its first sync since it was started is still to come */
	bool initialized;        /* page size known in this process */
	uint64_t txid;
	int64_t db_size, wal_size, wal_offset; /* bytes as of the last sync; wal_size: logical end */
	int64_t lag_ms;          /* age of the oldest commit that is not in the first replica yet, as far as noticed; 0 = none */
	int64_t last_sync_ms;    /* the first replica's */
	int replica_count;
	uint64_t syncs, sync_errors, sync_ns, wal_bytes; /* counters since registration */
	uint64_t checkpoints, checkpoint_errors, checkpoint_ns;
	uint64_t compaction_verify_errors;
	int l0_eligible, l0_not_compacted, l0_too_recent;
	bool disk_full;          /* the last sync failed for want of space */
	int waiting;             /* callers that wait for this database (executor_waiter_count) */
	int64_t waiting_since_ms;
};
void managed_facts(struct managed *m, struct managed_facts *out);
void managed_replica_facts(struct managed *m, int i, struct managed_replica_facts *out);
struct db *managed_db(struct managed *m); /* for db_diag() and other "any thread" functions */

/* ---- what happens ---- */

enum store_event {
	STORE_EVENT_REGISTERED, STORE_EVENT_UNREGISTERED, STORE_EVENT_STARTED, STORE_EVENT_STOPPED, STORE_EVENT_SYNCED,
	STORE_EVENT_REPLICATED, STORE_EVENT_CHECKPOINT, STORE_EVENT_SNAPSHOT, STORE_EVENT_COMPACTED, STORE_EVENT_ERROR,
	STORE_EVENT_RECOVERED, STORE_EVENT_PAUSED, STORE_EVENT_RESUMED, STORE_EVENT_DORMANT, STORE_EVENT_AWAKE,
};
/* One listener (the control room fans out). detail: an error's text, else "". */
void store_listen(struct store *s,
                  void (*event)(void *ctx, enum store_event what, struct managed *m, const char *detail),
                  void *ctx);

#endif
