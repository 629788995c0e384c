/* SPDX-License-Identifier: MIT */
/*
 * sync.c - one sync: open, hold, prove, write, and a checkpoint when one is due.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/db/internal.h"
#include "lib/os/clock.h"

enum { ATTEMPTS_MAX = 8 };

struct db_work *db_work_create(struct db *d, struct err *e)
{
	struct db_work *w = malloc(sizeof(*w));

	if (w && !(w->pages = wal_pages_create(d->meta_path))) {
		free(w);
		w = NULL;
	}
	if (w) {
		w->copies = 0;
		w->wal_bytes = 0;
	} else {
		err_nomem(e);
	}
	return w;
}

void db_work_free(struct db_work *w)
{
	if (w)
		wal_pages_free(w->pages);
	free(w);
}

/*
 * The read lock is held, and nothing that we have not read can vanish. A lock taken while everything was backfilled
 * (mark 0) does not keep a writer from restarting the WAL; one more frame does, unless there is nothing to lose because
 * we have read to the very end.
 */
static int take_lock(struct db *d, struct err *e)
{
	const struct db_position *p = &d->position;
	struct wal_index index;
	struct os_stat st;

	if (!d->reading)
		d->continuity = false;
	if (db_read_begin(d, e) || os_file_stat(&d->wal, &st, e))
		return -1;
	if (st.size < WAL_HEADER_SIZE)
		return db_bump(d, e);
	if (d->continuity)
		return 0;
	if (db_index_read(d, &index, e))
		return -1;
	if (index.backfilled < index.frames)
		return 0;
	if (p->has_place && !d->snapshot_reason && p->salt1 == index.salt1 && p->salt2 == index.salt2 &&
	    p->offset == wal_offset(d->page_size, index.frames))
		return 0;
	return db_bump(d, e);
}

static int hold(struct db *d, struct db_work *w, struct err *e)
{
	if (take_lock(d, e))
		return -1;
	db_rest_look(d, w);
	return 0;
}

/*
 * Is there more in the log than its index says? A writer puts its frames into the log, flushes them, and only then
 * publishes them in the index, of which nothing tells; so whoever waits for that must know that there is something to
 * wait for. It may be a leftover of a rollback.
 */
static bool has_unpublished(struct db *d, const struct db_proof *proof)
{
	const struct wal_index *index = &proof->index;
	uint8_t frame[WAL_FRAME_HEADER_SIZE];
	size_t got;

	if (index->salt1 != proof->header.salt1 || index->salt2 != proof->header.salt2)
		return true;
	if (os_file_read(&d->wal, frame, sizeof(frame), wal_offset(d->page_size, index->frames), &got, NULL))
		return true;
	/* Both hold the salts in the log's byte order. */
	return got == sizeof(frame) && !memcmp(frame + 8, index->raw + 32, 8);
}

/* One file. 1 = look again (more may follow at once), 0 = the log holds nothing more that was there at the start. */
static int catch_up_once(struct db *d, struct db_work *w, unsigned flags, int *files, struct err *e)
{
	struct db_proof proof;
	struct db_written written;
	int64_t size;

	db_diag_phase(d, "verify");
	if (db_prove(d, w, &proof, e))
		return -1;
	db_diag_wal(d, proof.index.frames ? wal_offset(d->page_size, proof.index.frames) : 0);
	if (proof.step == DB_STEP_SNAPSHOT && (flags & DB_CATCH_NO_SNAPSHOT))
		return err_set(e, ERR_BUSY, "%s needs a full copy first", d->path);
	if (proof.step == DB_STEP_SNAPSHOT && (flags & DB_CATCH_NO_LARGE_COPY)) {
		if (db_file_size(d, &size, e))
			return -1;
		d->copy_wanted = size > DB_COPY_SMALL;
		if (d->copy_wanted)
			return 0;
	}
	memset(&written, 0, sizeof(written));
	if (proof.step != DB_STEP_NONE && db_write(d, w, &proof, d->o.max_sync_wal_bytes, &written, e))
		return -1;
	if (written.created) {
		++*files;
		w->copies += proof.step == DB_STEP_SNAPSHOT;
		w->wal_bytes += d->position.offset - proof.start;
	}
	if (written.limited || proof.step == DB_STEP_TAIL)
		return 1;
	d->continuity = true;
	d->rest.valid = d->untouched = false;
	d->seen = proof.index;
	d->seen_valid = true;
	d->unpublished = has_unpublished(d, &proof);
	return 0;
}

static bool reached(const struct db *d, const struct wal_index *end)
{
	const struct db_position *p = &d->position;

	return p->has_place && p->salt1 == end->salt1 && p->salt2 == end->salt2 &&
	       p->offset >= wal_offset(d->page_size, end->frames);
}

int db_catch_up(struct db *d, struct db_work *w, unsigned flags, int *files, struct err *e)
{
	struct wal_index end;
	int attempts = 0, rc;

	if (db_index_read(d, &end, e))
		return -1;
	for (;;) {
		struct err why = ERR_INIT;

		rc = catch_up_once(d, w, flags, files, &why);
		if (!rc)
			return 0;
		if (rc > 0) {
			/* A writer as fast as we are would be chased for ever, and no checkpoint be made. */
			if (reached(d, &end)) {
				d->seen_valid = false; /* what it has written since is still to be read */
				return 0;
			}
			attempts = 0;
			continue;
		}
		/* The log moved under a copy without our lock's protection: what it is now must be proven anew. */
		if (!err_is(&why, ERR_BUSY) || (flags & DB_CATCH_NO_SNAPSHOT) || ++attempts == ATTEMPTS_MAX) {
			if (e)
				*e = why;
			return -1;
		}
		d->continuity = false;
		if (hold(d, w, e))
			return -1;
	}
}

/* Reopens what was replaced; enum db_open_result or -1. */
static int ensure_open(struct db *d, struct err *e)
{
	int same;

	db_diag_phase(d, "ensure_wal");
	same = d->r ? db_identity_holds(d, e) : 1;

	if (same < 0)
		return -1;
	if (!same) {
		log_warn("database, WAL or wal-index was replaced, opening again", LS("system", "store"),
		         LS("db", d->name), LS("path", d->path));
		db_close(d);
		d->snapshot_reason = "database file was replaced";
	}
	return d->r ? DB_OPEN_OK : db_open(d, e);
}

/*
 * A sync failed: the replica cannot be asked which TXID is next, the disk is full, … The lock stays, so that nothing is
 * lost meanwhile - until the WAL has grown to the brake's size: then the host's disk comes first. The application's own
 * checkpoints can restart the WAL again, and what cannot be proven afterwards becomes a full copy.
 */
static void let_go_if_large(struct db *d)
{
	struct wal_index index;

	if (!d->reading || db_index_read(d, &index, NULL) || index.frames < d->o.truncate_pages)
		return;
	log_warn("sync fails and the WAL has grown large: no longer holding it", LS("system", "store"),
	         LS("db", d->name), LI("wal_pages", index.frames));
	db_read_end(d);
	d->continuity = false;
}

static int checkpoint_if_due(struct db *d, struct db_work *w, struct db_sync_result *r, struct err *e)
{
	enum db_checkpoint_need need = db_checkpoint_need(d);
	int64_t began = os_mono_us();
	int rc;

	if (need == DB_CHECKPOINT_NONE)
		return 0;
	rc = db_checkpoint(d, w, need == DB_CHECKPOINT_BRAKE, &r->files, &r->restarted, e);
	r->checkpoints++;
	r->checkpoint_errors += rc != 0;
	r->checkpoint_ns += (os_mono_us() - began) * 1000;
	return rc;
}

static void tell_sizes(const struct db *d, struct db_sync_result *r)
{
	r->db_size = (int64_t)d->position.commit * d->page_size;
	r->wal_size = d->seen_valid ? wal_offset(d->page_size, d->seen.frames) : d->position.offset;
	r->wal_offset = d->position.offset;
}

static int sync_open(struct db *d, unsigned flags, struct db_sync_result *r, struct err *e)
{
	struct db_work *w = db_work_create(d, e);
	unsigned catch = flags & DB_SYNC_NO_COPY ? DB_CATCH_NO_LARGE_COPY : 0;
	int rc = -1, rests = 0;

	if (!w)
		return -1;
	d->copy_wanted = false;
	if (!d->position_known && db_position_load(d, e))
		goto out;
	if (hold(d, w, e) || db_position_recover(d, e) || db_catch_up(d, w, catch, &r->files, e))
		goto out;
	r->wants_copy = d->copy_wanted;
	if (r->wants_copy) {
		rc = 0;
		goto out;
	}
	db_diag_phase(d, "checkpoint_if_needed");
	if (((!(flags & DB_SYNC_NO_CHECKPOINT) || db_checkpoint_presses(d)) && checkpoint_if_due(d, w, r, e)) ||
	    db_read_raise(d, w, &r->files, e))
		goto out;
	tell_sizes(d, r);
	if ((flags & DB_SYNC_REST) && !r->files && (rests = db_rest(d, w, &r->files, e)) < 0)
		goto out;
	r->rests = rests;
	rc = 0;
out:
	r->txid = rests > 0 ? d->rest.txid : db_txid(d);
	r->unpublished = d->unpublished;
	r->copies = w->copies;
	r->wal_bytes = w->wal_bytes;
	db_work_free(w);
	return rc;
}

static int sync_once(struct db *d, unsigned flags, struct db_sync_result *r, struct err *e)
{
	int rc = ensure_open(d, e);

	if (rc < 0)
		return -1;
	if (rc == DB_OPEN_WAITING) {
		r->waiting = true;
		return 0;
	}
	rc = sync_open(d, flags, r, e);
	/* After a failed transaction of ours the lock may be gone with it: nothing is taken for granted. */
	if (rc && d->r && sqlite3_get_autocommit(d->r)) {
		d->reading = false;
		d->continuity = false;
	}
	if (rc)
		let_go_if_large(d);
	return rc;
}

int db_sync(struct db *d, unsigned flags, struct db_sync_result *r, struct err *e)
{
	int rc;

	*r = (struct db_sync_result){ 0 };
	db_diag_sync(d);
	rc = sync_once(d, flags, r, e);
	db_diag_sync_end(d, rc, e);
	return rc;
}
