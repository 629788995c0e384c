/* SPDX-License-Identifier: MIT */
/*
 * internal.h - the structs of the store, for its own files.
 */
#ifndef RIVULET_STORE_INTERNAL_H
#define RIVULET_STORE_INTERNAL_H

#include "lib/os/pool.h"
#include "lib/store/store.h"
#include "lib/store/upload.h"

enum {
	BACKOFF_MAX_MS = 5 * 60 * 1000,
	BACKOFF_FULL_MAX_MS = 5 * 1000,      /* a full disk heals when somebody makes room: look often */
	ERROR_LOG_EVERY_US = 30 * 1000 * 1000,
	SLOW_LOOK_US = 20 * 1000 * 1000,     /* catches what inotify cannot see */
	SLOW_LOOKS_PER_PROOF = 3,            /* every third one proves the position anew */
	EARLY_SYNC_BYTES = 16 << 20,         /* unread WAL that does not wait for monitor-interval */
	LOOK_MIN_US = 2000,
	LOOK_FIRST_US = 8000,
	LOOK_MAX_US = 64000,
	QUIET_LOOKS_MAX = 20,
	WATCH_AGAIN_LOOK = 4,                /* the watch is armed again with this one, after 15 ms */
	WAITING_LOOK_US = 5000,
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

enum stop_step { STOP_NOT, STOP_SYNC, STOP_UPLOAD, STOP_CLOSE, STOP_DONE };

struct managed {
	struct store *s;
	struct managed *next;
	struct managed_options o;
	struct db *db;
	enum managed_state state;
	char *reason; /* of PAUSED; owned */
	uint64_t txid; /* newest local one, as of the last sync */

	/* the database side */
	bool syncing;
	bool reset_wanted;         /* an upload needs files that are gone */
	bool synced_once;
	struct loop_timer timer;   /* the next look, attempt or checkpoint */
	struct loop_watch wal_watch, dir_watch;
	bool files_moved;          /* one of the database's files came or went while a sync ran */
	int overlooked;            /* commits that only a slow look found, in a row */
	bool watch_told;           /* that events cannot be had */
	int quiet_looks;           /* looks since an event whose effect is not to be seen yet; 0 = none is awaited */
	int64_t last_sync_us;      /* when the last sync began */
	int64_t last_look_us, last_unread, look_step_us; /* to tell how fast the WAL grows */
	int64_t retry_us;
	struct backoff sync_errors;

	/* the replica side */
	struct upload upload;
	bool uploading;
	struct loop_timer upload_timer;
	int64_t upload_retry_us, last_upload_us;
	struct backoff upload_errors;

	/* stopping */
	enum stop_step stop;
	bool final_sync; /* the sync of STOP_SYNC has begun */
	int stop_attempts;
};

struct store {
	struct store_options o;
	struct pool *pool;
	struct managed *first;
	int count;
	struct loop_timer slow_timer, deadline_timer;
	int slow_looks;
	bool stopping;
	int64_t stop_began_us, stop_deadline_us;
	int left;            /* databases that have not stopped yet */
	atomic_bool cancel;  /* long jobs give up */
};

/* ---- managed.c: from events to syncs ---- */
void managed_start(struct managed *m);
/* Looks at what is due and does it, or arms the timer. */
void managed_consider(struct managed *m);
void managed_slow_look(struct managed *m, bool prove);
void managed_set_state(struct managed *m, enum managed_state state, const char *reason);

/* ---- jobs.c: the jobs and what follows from them ---- */
void jobs_sync(struct managed *m, unsigned flags);
void jobs_upload(struct managed *m);
void jobs_close(struct managed *m);
/* Starts an upload if there is something to send and nothing against it. */
void jobs_upload_if_due(struct managed *m);

/* ---- stop.c ---- */
void stop_begin(struct managed *m);
/* The next step; called whenever a job of a stopping database is done. */
void stop_after_sync(struct managed *m, int rc, const struct err *why);
void stop_after_upload(struct managed *m, int rc, const struct err *why);
void stop_after_close(struct managed *m);

#endif
