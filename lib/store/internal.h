/* SPDX-License-Identifier: MIT */
/*
 * internal.h - the structs of the store, for its own files.
 *
 *   store.c     all databases: registration, lookup, the slow look, the end
 *   managed.c   one database: from events to syncs
 *   dormant.c   letting go of a quiet one, and waking it
 *   turns.c     who may be open where there are not descriptors for all
 *   outlet.c    one replica of one database: when something is due; outlet_jobs.c: uploads, the levels' work
 *   jobs.c      the jobs of a database, and the gates that bound what runs at once
 *   stop.c      last sync, last uploads, close
 *   ops.c       start, halt, remove; wait.c: sync and wait; facts.c: what others may know
 *   home.c      the folders that databases lie in
 */
#ifndef RIVULET_STORE_INTERNAL_H
#define RIVULET_STORE_INTERNAL_H

#include "lib/os/pool.h"
#include "lib/store/ops.h"
#include "lib/store/store.h"
#include "lib/store/upload.h"

enum {
	BACKOFF_MAX_MS = 5 * 60 * 1000,
	BACKOFF_FULL_MAX_MS = 5 * 1000,      /* a full disk heals when somebody makes room: look often */
	LEASE_WORKERS = 4,
	BACKOFF_WAITED_US = 1000 * 1000,     /* at most, while somebody waits */
	ERROR_LOG_EVERY_US = 30 * 1000 * 1000,
	SLOW_LOOK_US = 20 * 1000 * 1000,     /* catches what inotify cannot see */
	SLOW_LOOKS_PER_PROOF = 3,            /* every third one proves the position anew */
	SLOW_LOOKS_PER_DORMANT = 30,         /* a database at rest is looked at once in so many */
	EARLY_SYNC_BYTES = 16 << 20,         /* unread WAL that does not wait for monitor-interval */
	LOOK_MIN_US = 2000,
	LOOK_FIRST_US = 8000,
	LOOK_MAX_US = 64000,
	QUIET_LOOKS_MAX = 20,
	WATCH_AGAIN_LOOK = 4,                /* the watch is armed again with this one, after 15 ms */
	SWEEP_AFTER_US = 61 * 1000 * 1000,
	SWEEP_SLACK_US = 4 * 1000 * 1000,
	WAITING_LOOK_US = 5000,
	STARVED_LOOK_US = 5 * 1000 * 1000,   /* a database for which there was no descriptor asks again */
	TURN_IDLE_MS = 100,                  /* while others wait: quiet for so long, it is put to rest, */
	TURN_US = 2 * 1000 * 1000,           /* and open for so long, it is closed, */
	TURN_SNAPSHOT_US = 30 * 1000 * 1000, /* or so long, when it has a snapshot to take */
	WAKE_PENALTY_MS = 24 * 60 * 60 * 1000,
	WAKE_PENALTY_DOUBLINGS = 6,
	REST_DOUBLINGS = 10,
	/* What may run or be under way at once: gates of jobs.c. */
	OPENINGS_MAX = 50,
	COPIES_MAX = 2,
	UPLOAD_WORKERS_MIN = 4,
	OUTLET_RETRY_MS = 1000,
};

/* Errors of one kind in a row: when to try again, when to say so. */
struct backoff {
	int errors;
	int64_t delay_ms;
	int64_t logged_us;
};
/* Counts a failure; returns the time of the next attempt. *say: it is time for a log line. */
int64_t backoff_fail(struct backoff *b, int64_t base_ms, const struct err *why, bool *say);
/* Returns how many errors there were. */
int backoff_clear(struct backoff *b);

struct task;
/* So many of its tasks at once; the others wait in order. */
struct gate {
	int running, most;
	struct task *first, **end;
};

struct call_list {
	struct store_call *first, **end;
};

/* A folder with databases in it: one watch for all of them. */
struct home {
	struct store *s;
	struct home *next;
	struct loop_watch watch;
	int users;
	bool told;   /* that it cannot be watched */
	bool silent; /* files may change there without an event */
	char path[];
};

/* One replica of one database. */
struct outlet {
	struct managed *m;
	struct upload upload;   /* the job's while uploading */
	struct levels *levels;  /* locks itself */
	int64_t sync_interval_ms;
	int max_upload_files;
	/* Two slots, each for one job: a long merge or snapshot does not hold up level 0. */
	bool uploading;
	bool levelling;
	bool snapshotting;      /* the levels' job takes a snapshot; one at a time of a database */
	bool forget_position;   /* reset while an upload ran: what that one knows is of the past */
	struct lease *lease;    /* NULL: it wants none */
	bool position_known;
	bool snapshot_wanted;   /* what it needs next is gone: only a snapshot leads on */
	bool levels_need_db;
	bool stop_done;         /* its last upload is over */
	uint64_t position;      /* the upload's, as of the last job */
	uint64_t attempt;       /* number of the last upload begun, counted over the store */
	int64_t retry_us, last_upload_us, last_sync_ms;
	struct backoff errors;
	int64_t piled_told;     /* bytes of waiting files that were told of; 0 = none */
	int64_t levels_due_ms;  /* wall clock; INT64_MAX = nothing is due */
	int64_t levels_retry_us;
	struct backoff levels_errors;
	uint64_t l0_done;
	int l0_eligible, l0_not_compacted, l0_too_recent, verify_errors;
	char *error;            /* of the last attempt; owned, NULL = it worked */
};

enum stop_step { STOP_NOT, STOP_SYNC, STOP_UPLOAD, STOP_CLOSE };

struct managed {
	struct store *s;
	struct managed *next, **link; /* in order of registration, or among those that leave */
	struct managed *chain;        /* with the same hash */
	struct home *home;
	struct db *db;
	struct outlet *outlets;
	char *reason;                 /* of PAUSED; owned */
	uint32_t hash;
	int monitor_interval_ms, idle_timeout_ms;
	uint8_t outlet_count;
	uint8_t state;                /* enum managed_state */
	uint8_t stop;                 /* enum stop_step */
	atomic_bool cancel;           /* jobs give up */
	atomic_bool no_levels;        /* the levels' work gives up */

	/* the database side */
	bool syncing;              /* a job has db */
	bool opening;              /* its first sync since the start is still to come */
	bool synced_once;          /* since the start */
	bool sync_asked;           /* by a caller that came while one ran */
	bool reset_wanted;         /* a replica needs files that are gone */
	bool files_moved;          /* one of the database's files came or went while a sync ran */
	bool watch_told;           /* that events cannot be had */
	bool dormant;
	bool woken;                /* the next sync is the first after a rest */
	bool starved;              /* it waits for its turn to be open */
	bool seated;               /* it has its turn */
	bool disk_full;
	bool blocked;              /* started, but another one with this path is still being closed */
	bool leaving;              /* removed: out of the table; freed once it has stopped */
	uint8_t overlooked;        /* commits that only a slow look found, in a row */
	uint8_t quiet_looks;       /* looks since an event whose effect is not to be seen yet; 0 = none is awaited */
	uint8_t penalties;         /* wakings that ended in a full copy */
	uint8_t rest_failures;     /* letting go was tried in vain since the last change */
	uint32_t syncs_begun;
	uint64_t txid;             /* newest local one, as of the last sync */
	struct loop_timer timer;   /* the next look, attempt or checkpoint; while stopping, the time-out */
	struct loop_watch wal_watch;
	int64_t last_sync_us;      /* when the last sync began */
	int64_t last_look_us, last_unread, look_step_us; /* to tell how fast the WAL grows */
	int64_t retry_us;
	int64_t quiet_since_us;    /* nothing was committed since */
	int64_t awake_until_us;    /* not put to rest before */
	int64_t behind_since_us;   /* something is committed that the first replica has not got; 0 = nothing */
	struct backoff sync_errors;
	int64_t turn_began_us;
	struct managed *turn_next, **turn_link; /* in the queue of those that wait */

	/* the replica side */
	struct loop_timer outlet_timer;

	/* callers */
	struct call_list ops, waits;
	struct store_call *op;     /* the one that a stop is for */
	char *stop_error;          /* owned */
	int64_t stop_deadline_us;
	int stop_attempts;
	bool final_sync;           /* the sync of STOP_SYNC has begun */

	struct {
		uint64_t syncs, errors, ns, wal_bytes, checkpoints, checkpoint_errors, checkpoint_ns;
		int64_t db_size, wal_size, wal_offset;
	} sums;
};

struct store {
	struct store_options o;
	struct pool *pool;        /* of the databases' jobs */
	struct pool *outlet_pool; /* of the replicas' */
	struct pool *lease_pool;  /* of their locks', which cannot wait behind an upload */
	struct gate openings, copies, levels;
	struct managed *first, **end;
	struct managed *leaving, *dead;
	struct managed **table;
	uint32_t table_size; /* a power of two */
	struct home *homes;
	struct managed *turn_first, **turn_end; /* those that wait for their turn to be open */
	int open_count, open_most; /* those that have it; 0 = any number may */
	int count, starved, waiting;
	uint64_t attempts;
	int outlets_busy;
	bool policy_waits;
	struct levels_policy next_policy;
	struct loop_timer slow_timer, dead_timer, sweep_timer; /* sweep: connections that have become idle */
	int slow_looks;
	bool stopping, interrupted;
	int64_t stop_began_us, starved_told_us;
	int left;            /* databases that have not stopped yet */
	void (*event)(void *ctx, enum store_event what, struct managed *m, const char *detail);
	void *event_ctx;
};

static inline bool managed_monitored(const struct managed *m) { return m->monitor_interval_ms > 0; }

/* ---- store.c ---- */
/* A connection may have been used. */
void store_sweep_later(struct store *s);
void store_forget(struct managed *m); /* out of the table and the list, into that of those that leave */
void store_bury(struct managed *m);   /* one that leaves has stopped: freed as soon as nobody looks at it */

/* ---- managed.c: from events to syncs ---- */
/* A stopped one begins, or waits for its like-named predecessor to be gone. */
void managed_start(struct managed *m);
/* Looks at what is due and does it, or arms the timer. */
void managed_consider(struct managed *m);
void managed_sync_now(struct managed *m);
void managed_begin_sync(struct managed *m, unsigned flags);
void managed_slow_look(struct managed *m, bool prove);
void managed_set_state(struct managed *m, enum managed_state state, const char *reason);
void managed_arm_wal_watch(struct managed *m);
void managed_tell_no_events(struct managed *m, const struct err *why);
/* One of its files, by the end of its name ("", "-wal", "-shm"), came or went; NULL: the kernel has lost events. */
void managed_files_moved(struct managed *m, const char *which, uint32_t mask);

/* ---- dormant.c ---- */
/* Puts it to rest if it is time; else *due_us, when not 0, is when to ask again. true: a job has begun. */
bool dormant_try(struct managed *m, int64_t now, int64_t *due_us);
bool dormant_possible(const struct managed *m); /* events can be had, and it is wanted */
bool dormant_expected(const struct managed *m); /* it will be tried once it is quiet */
void dormant_begin(struct managed *m);
void dormant_wake(struct managed *m);
void dormant_look(struct managed *m);           /* wakes it if something has happened to it */
void dormant_woken(struct managed *m, const struct db_sync_result *r);

/* ---- turns.c ---- */
/* Before each job that may open it; false: it waits, and is synced when its turn comes. */
bool turns_begin(struct managed *m);
void turns_end(struct managed *m);              /* after a job: if it is closed now, the next one's turn comes */
void turns_wait(struct managed *m);             /* to the end of the queue, if it is not in it */
void turns_leave(struct managed *m);            /* out of the queue */
bool turns_failed(struct managed *m);           /* it had its turn, and yet could not be opened. false: let it fail */
/* When it has to be closed for others; 0 = nobody waits. */
int64_t turns_due(const struct managed *m);
void turns_consider(struct managed *m, int64_t now); /* for one in the queue, instead of managed_consider */
void turns_widen(struct store *s);              /* now and then: the bound may have become too low */
void turns_tell_limit(struct managed *m);       /* once in a while */

/* ---- jobs.c ---- */
struct task {
	struct pool_job job;
	struct store *s;
	struct managed *m;
	struct outlet *outlet;
	struct task *next; /* in a gate's queue */
	struct gate *gate;
	struct pool *pool;
	int rc;
	struct err why;
	/* sync */
	unsigned flags;
	bool reset, was_reset;
	bool fresh;    /* it was not open before */
	uint32_t number;
	int64_t ns;
	struct db_sync_result result;
	/* upload, levels */
	uint64_t local_txid, replicated_txid, trim_to;
	unsigned term; /* of the replica's lock */
	int64_t piled_bytes, piled_files;
	bool fails_again;
	int max_files;
	bool force_snapshot;
	struct db_snapshot *snapshot;
	struct levels_result levels;
};
/* false: no memory. */
struct task *task_create(struct managed *m, struct outlet *o);
void task_submit(struct task *t, struct pool *pool, struct gate *gate, void (*run)(struct pool_job *),
                 void (*done)(struct pool_job *));
/* The same task goes on with another job and keeps its place in the gate. */
void task_resubmit(struct task *t, struct pool *pool, void (*run)(struct pool_job *), void (*done)(struct pool_job *));
void task_leave_gate(struct task *t);
enum { SYNC_YIELDS = 1 << 16 }; /* with db_sync's flags: afterwards it is closed, whatever came out */
void jobs_sync(struct managed *m, unsigned flags);
void jobs_close(struct managed *m);

/* ---- outlet.c ---- */
int outlet_create(struct managed *m, struct outlet *o, const struct managed_replica_options *r, struct err *e);
void outlet_free(struct outlet *o);
/* db_options.newest; ctx: the managed. */
int outlets_newest(void *ctx, int replica, struct db_newest *out, struct err *e);
/* Starts what is due on any of them, or arms the timer. */
void outlets_consider(struct managed *m);
void outlets_start(struct managed *m); /* as if nothing had failed yet */
void outlets_started(struct managed *m, const struct db_sync_result *first);
void outlets_reset(struct managed *m);
bool outlets_busy(const struct managed *m);
bool outlets_reset_possible(const struct managed *m);
bool outlets_drained(const struct managed *m); /* all hold everything */
bool outlets_snapshotting(const struct managed *m);
bool outlets_want_snapshot(const struct managed *m); /* one is due */
bool outlet_drained(const struct outlet *o);
void outlets_apply_policy(struct store *s);

/* ---- outlet_jobs.c ---- */
bool outlet_begin_upload(struct outlet *o, int max_files); /* false: no memory */
void outlet_begin_levels(struct outlet *o);                /* or makes sure that it will be asked again */
void outlet_last_upload(struct outlet *o);

/* ---- lease.c: the lock of a replica's place ---- */
int lease_create(struct outlet *o, struct err *e); /* none when the replica wants none: all below do nothing then */
void lease_free(struct outlet *o);
void lease_start(struct outlet *o);
void lease_cancel(struct outlet *o);           /* what runs gives up, as by m->cancel */
/* Keeps it while there is work or was a moment ago; to be called whenever a job begins or ends. */
void lease_look(struct outlet *o);
bool lease_busy(const struct outlet *o);
bool lease_held(const struct outlet *o);
unsigned lease_term(const struct outlet *o);   /* the one that the last upload has looked at */
/* What lies there is known, as far as others are concerned; else an upload must look. */
bool lease_settled(const struct outlet *o);
void lease_upload_ends(struct outlet *o);
/* What became of a job that failed: an end of the lease is no wish of the caller's. */
void lease_explain(struct outlet *o, struct err *why);
/* Pauses it, or, with NULL, no more. true: *retry_us is when to ask again. */
bool lease_refuse(struct outlet *o, const struct err *why, int64_t *retry_us);
bool lease_refused(const struct outlet *o);
/* On a worker, before anything is written but by an upload. */
int lease_keep(const struct outlet *o, unsigned term, struct err *e);
void lease_let_go(struct outlet *o);           /* on a worker */

/* ---- stop.c ---- */
void managed_cancel(struct managed *m); /* all its jobs give up */
/* deadline_us: of the caller, 0 = none. */
void stop_begin(struct managed *m, int64_t deadline_us);
void stop_hurry(struct managed *m, int64_t deadline_us); /* it is stopping already: not later than that */
/* The next step; called whenever a job of a stopping database is done. */
void stop_after_sync(struct managed *m, int rc, const struct err *why);
void stop_after_upload(struct outlet *o, int rc, const struct err *why);
void stop_after_close(struct managed *m);

/* ---- ops.c ---- */
void ops_go_on(struct managed *m);
void ops_stopped(struct managed *m);
void call_begin(struct store_call *c, struct store *s, int kind);
void call_take(struct call_list *l, struct store_call *c, struct managed *m);
void call_drop(struct store_call *c);                 /* out of its list */
void call_answer(struct store_call *c, int rc);       /* c->why is filled when rc is -1 */
int call_fail(struct store_call *c, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
enum call_kind { CALL_START = 1, CALL_HALT, CALL_REMOVE, CALL_SYNC, CALL_WAIT };

/* ---- wait.c ---- */
void waits_after_sync(struct managed *m, const struct task *t);
void waits_after_upload(struct outlet *o, int rc, const struct err *why);
void waits_refuse(struct managed *m); /* it has stopped */
void wait_overdue(struct store_call *c);

/* ---- facts.c ---- */
void store_tell(struct managed *m, enum store_event what, const char *detail);

/* ---- home.c ---- */
int home_enter(struct managed *m, struct err *e);
void home_leave(struct managed *m);
bool home_watch(struct managed *m); /* arms; false: no events are to be had */

#endif
