/* SPDX-License-Identifier: MIT */
/*
 * checkpoint.c - moving frames into the database and restarting the WAL, without loss and without keeping writers.
 *
 *   1. The bulk, while r keeps its transaction: r's mark is moved to the end of what was read, w backfills up to it
 *      with the fsyncs that this takes. Nobody waits. Repeated while the rest is large and shrinking.
 *   2. The seal: w begins a write transaction (the barrier; applications need a busy timeout for these milliseconds).
 *      What was committed meanwhile is read: now every frame is in a file of ours.
 *   3. r gives its transaction up, backfills the small rest, takes its transaction again at once. Nothing can be
 *      committed in between; whatever mark r gets, no unread frame can vanish.
 *   4. The barrier falls, and w writes one frame (the bump): if everything is backfilled and no reader is in the way,
 *      SQLite restarts the WAL with it.
 *   5. The new generation's first frames are read, and r's mark is put behind them (db_read_raise, by the sync).
 *
 * Modes FULL, RESTART and TRUNCATE are never used: they wait for readers while writers wait for them. The brake for a
 * WAL that has grown very large is journal_size_limit on w: the restart in step 4 then cuts the file.
 */
#include <stdio.h>

#include "lib/base/log.h"
#include "lib/db/internal.h"
#include "lib/os/clock.h"

enum {
	BULK_PASSES_MAX = 3,
	REST_PAGES_SMALL = 256, /* a rest that the barrier may cover */
	REST_BYTES_MAX = 16 << 20, /* the largest that it may cover, or else a quarter of the WAL: some 50 ms of work */
	CHECKPOINTER_WAIT_MS = 500, /* for one of the application's to finish, while nobody waits for us */
	SEALED_WAIT_MS = 100,       /* the same while the barrier keeps writers out */
	RETRY_STEP_MIN_US = 250 * 1000,
	RETRY_STEP_MAX_US = 16 * 1000 * 1000,
};

static int64_t time_due_us(const struct db *d)
{
	if (!d->r || !d->o.checkpoint_interval_ms || !d->synced_since_checkpoint ||
	    d->position.offset <= wal_offset(d->page_size, 1))
		return 0;
	return d->last_checkpoint_us + d->o.checkpoint_interval_ms * 1000;
}

/* A reader kept the last attempt from restarting the WAL, and nothing has happened since: another one would only add a
 * frame of ours to an idle database. */
static bool fruitless(const struct db *d)
{
	return d->checkpoint_retry_us && !d->synced_since_checkpoint;
}

bool db_checkpoint_presses(const struct db *d)
{
	return d->unchained && d->position.has_place && d->position.salt1 == d->unchained_salt1;
}

enum db_checkpoint_need db_checkpoint_need(const struct db *d)
{
	int64_t now = os_mono_us(), due = time_due_us(d), end = d->position.offset;

	if (!d->r || now < d->checkpoint_retry_us || fruitless(d) || atomic_load(&d->snapshotting))
		return DB_CHECKPOINT_NONE;
	if (end >= wal_offset(d->page_size, (uint64_t)d->o.truncate_pages))
		return DB_CHECKPOINT_BRAKE;
	if (end >= wal_offset(d->page_size, (uint64_t)d->o.min_checkpoint_pages))
		return DB_CHECKPOINT_NORMAL;
	if (db_checkpoint_presses(d))
		return DB_CHECKPOINT_NORMAL;
	return due && now >= due ? DB_CHECKPOINT_NORMAL : DB_CHECKPOINT_NONE;
}

int64_t db_checkpoint_due_us(const struct db *d)
{
	int64_t due = time_due_us(d);

	if (!d->r || fruitless(d) || atomic_load(&d->snapshotting))
		return 0;
	if (d->position.offset >= wal_offset(d->page_size, (uint64_t)d->o.min_checkpoint_pages) ||
	    db_checkpoint_presses(d))
		due = d->checkpoint_retry_us ? d->checkpoint_retry_us : os_mono_us();
	return due && due < d->checkpoint_retry_us ? d->checkpoint_retry_us : due;
}

/* w reads while r begins anew. What was committed up to then is read before w lets go, so that a mark 0 of r's has
 * nothing unread behind it. */
int db_read_renew(struct db *d, struct db_work *w, int *files, struct err *e)
{
	int rc;

	if (db_conn_writer(d, e) || db_exec(d->w, "BEGIN; PRAGMA user_version", "begin read transaction", e)) {
		sqlite3_exec(d->w, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	db_read_end(d);
	rc = db_read_begin(d, e);
	if (rc)
		d->continuity = false;
	else
		rc = db_catch_up(d, w, DB_CATCH_NO_SNAPSHOT, files, e);
	sqlite3_exec(d->w, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/*
 * A reader that began while everything was backfilled has mark 0: it reads the database file alone, so nobody may write
 * to that. SQLite learns this late: each checkpoint first sorts the whole wal-index, then gives up - with automatic
 * checkpoints at every commit. Any other mark is seen at once, and there is one as soon as a frame is not backfilled.
 */
int db_read_raise(struct db *d, struct db_work *w, int *files, struct err *e)
{
	struct wal_index index;

	if (!d->low_mark || !d->reading)
		return 0;
	if (db_index_read(d, &index, e))
		return -1;
	if (index.backfilled == index.frames)
		return 0;
	if (db_read_renew(d, w, files, e)) {
		if (!err_is(e, ERR_BUSY))
			return -1;
		err_clear(e);
	}
	return 0;
}

static void log_result(const struct db *d, int frames, int backfilled)
{
	char result[48];

	snprintf(result, sizeof(result), "%d,%d,%d", frames < 0, frames, backfilled);
	log_debug("checkpoint", LS("system", "store"), LS("db", d->name), LS("mode", "PASSIVE"), LS("result", result));
}

/*
 * Backfills through c as far as readers allow. An application with autocheckpoint is often checkpointing at this
 * moment: only one at a time can, so its end is waited for. *rest: frames that are still to be backfilled.
 */
static int backfill(struct db *d, sqlite3 *c, int wait_ms, uint32_t *rest, struct err *e)
{
	struct wal_index index;
	int64_t until = os_mono_us() + wait_ms * 1000;
	int frames, backfilled;

	db_diag_phase(d, "checkpoint_exec");
	for (;;) {
		if (db_checkpoint_passive(c, &frames, &backfilled, e) && !err_is(e, ERR_BUSY))
			return -1;
		if (db_index_read(d, &index, e))
			return -1;
		*rest = index.frames - index.backfilled;
		if (!*rest || frames >= 0 || os_mono_us() >= until)
			break;
		os_sleep_ms(1);
	}
	log_result(d, frames, backfilled);
	return 0;
}

static int backfill_bulk(struct db *d, struct db_work *w, int *files, struct err *e)
{
	uint32_t rest = UINT32_MAX;

	for (int pass = 0; pass < BULK_PASSES_MAX; pass++) {
		struct wal_index index;
		uint32_t last_rest = rest;

		if (db_index_read(d, &index, e))
			return -1;
		if (index.frames - index.backfilled <= REST_PAGES_SMALL)
			return 0;
		db_diag_phase(d, "checkpoint_copy_before");
		if (db_read_renew(d, w, files, e) || backfill(d, d->w, CHECKPOINTER_WAIT_MS, &rest, e))
			return -1;
		if (rest >= last_rest)
			return 0;
	}
	return 0;
}

/*
 * A writer about as fast as we are leaves a rest that does not shrink. Small enough, the barrier covers it; otherwise
 * the next sync tries again. As the WAL grows writers are kept waiting for longer, and the brake takes what there is.
 */
static int small_enough(struct db *d, bool brake, bool *yes, struct err *e)
{
	struct wal_index index;
	int64_t rest, most;

	if (db_index_read(d, &index, e))
		return -1;
	rest = (int64_t)(index.frames - index.backfilled) * d->page_size;
	most = (int64_t)index.frames * d->page_size / 4;
	*yes = brake || rest <= REST_BYTES_MAX || rest <= most;
	return 0;
}

/* r's transaction must come back: without it nothing is safe, so this is tried for a while. */
static int retake(struct db *d, struct err *e)
{
	for (int i = 0; i < 10; i++) {
		if (!db_read_begin(d, e))
			return 0;
		os_sleep_ms(10);
	}
	d->continuity = false;
	return -1;
}

/* Steps 2 and 3. *sealed: the WAL was read to its end and is backfilled to its end, so that it may be restarted. */
static int seal(struct db *d, struct db_work *w, int *files, bool *sealed, struct err *e)
{
	uint32_t rest = 1;
	int rc;

	*sealed = false;
	db_diag_phase(d, "checkpoint_lock");
	if (db_exec(d->w, "BEGIN IMMEDIATE", "lock for writing", e))
		return err_is(e, ERR_BUSY) ? 0 : -1;
	rc = db_catch_up(d, w, DB_CATCH_NO_SNAPSHOT, files, e);
	if (rc) {
		/* A full copy is never made while writers wait; the next sync makes it. */
		rc = err_is(e, ERR_BUSY) ? 0 : -1;
		goto out;
	}
	db_read_end(d);
	rc = backfill(d, d->r, SEALED_WAIT_MS, &rest, e);
	if (retake(d, e))
		rc = -1;
	*sealed = !rc && !rest;
out:
	sqlite3_exec(d->w, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static int set_size_limit(struct db *d, int64_t bytes, struct err *e)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA journal_size_limit=%lld", (long long)bytes);
	return db_exec(d->w, sql, "limit the size of the WAL", e);
}

/* Step 4: true when the WAL was restarted, by this or by a writer that came first. */
static int restart(struct db *d, bool brake, bool *restarted, struct err *e)
{
	uint32_t salt1 = d->position.salt1, salt2 = d->position.salt2;
	struct wal_index index;

	db_diag_phase(d, "checkpoint_verify_restart");
	/* Not a whole number of frames, so that prove.c sees the cut. */
	if (brake && set_size_limit(d, wal_offset(d->page_size, (uint64_t)d->o.min_checkpoint_pages) + 1, e))
		return -1;
	if (db_bump(d, e) && !err_is(e, ERR_BUSY))
		return -1;
	if (brake && set_size_limit(d, -1, e))
		return -1;
	if (db_index_read(d, &index, e))
		return -1;
	*restarted = index.salt1 != salt1 || index.salt2 != salt2;
	return 0;
}

static void note_outcome(struct db *d, bool restarted, bool postponed)
{
	int64_t now = os_mono_us(), step = d->checkpoint_retry_step_us;

	d->last_checkpoint_us = now;
	d->synced_since_checkpoint = false;
	if (restarted || postponed) {
		d->checkpoint_retry_us = d->checkpoint_retry_step_us = 0;
		return;
	}
	/* Readers are in the way: asking again at every sync would only cost everybody time. */
	step = step ? step * 2 : RETRY_STEP_MIN_US;
	d->checkpoint_retry_step_us = step < RETRY_STEP_MAX_US ? step : RETRY_STEP_MAX_US;
	d->checkpoint_retry_us = now + d->checkpoint_retry_step_us;
}

int db_checkpoint(struct db *d, struct db_work *w, bool brake, int *files, bool *restarted, struct err *e)
{
	enum db_checkpoint_mode mode = brake ? DB_MODE_TRUNCATE : DB_MODE_PASSIVE;
	bool sealed = false, now = true;
	int rc = -1;

	*restarted = false;
	db_diag_checkpoint(d, mode);
	if (db_conn_writer(d, e) || backfill_bulk(d, w, files, e) || small_enough(d, brake, &now, e) ||
	    (now && seal(d, w, files, &sealed, e)))
		goto out;
	if (sealed && (restart(d, brake, restarted, e) || db_catch_up(d, w, 0, files, e)))
		goto out;
	rc = 0;
out:
	if (rc && err_is(e, ERR_BUSY)) {
		err_clear(e);
		rc = 0;
	}
	note_outcome(d, *restarted, !rc && !now);
	db_diag_checkpoint_end(d, mode, rc, e);
	sqlite3_db_release_memory(d->r);
	if (d->w)
		sqlite3_db_release_memory(d->w);
	return rc;
}
