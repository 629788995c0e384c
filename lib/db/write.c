/* SPDX-License-Identifier: MIT */
/*
 * write.c - one LTX file of a range of the WAL, or of the whole database.
 *
 * Bytes: an increment costs one read of the range, one read of each distinct page, one write of the file; a full copy
 * one read of the database. Flushes: the file, then its folder after the rename. A file under its final name is
 * complete and durable; every other way out removes the staging file. Before the rename the WAL is looked at once more:
 * if what was copied may have changed under the copy, the file is thrown away (ERR_BUSY: the caller proves again).
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/db/internal.h"
#include "lib/ltx/file.h"
#include "lib/os/clock.h"

enum { INDEX_MEMORY = 64 << 10, WRITEBACK_EVERY = 8 << 20 };

/* One file under construction. */
struct writing {
	struct db *d;
	struct db_work *w;
	const struct db_proof *proof;
	struct wal_scan scan;
	struct ltx_header header;
	uint64_t txid;
	char *path, *staging;
	struct os_file file;
	struct os_spool index;
	struct ltx_file_sink sink;
	int64_t writeback;          /* bytes handed to the disk so far */
	struct db_copy copy;
};

static bool cancelled(const struct db *d)
{
	return d->o.cancel && atomic_load_explicit(d->o.cancel, memory_order_relaxed);
}

static int after_page(void *ctx, uint32_t pgno, struct err *e)
{
	struct writing *x = ctx;

	if (x->proof->step == DB_STEP_SNAPSHOT)
		atomic_store_explicit(&x->d->progress.pages_done, (int64_t)pgno, memory_order_relaxed);
	/* Without this the final fsync of a large copy would push everything at once and hold up everybody's I/O. */
	if (x->sink.offset - x->writeback >= WRITEBACK_EVERY) {
		os_file_start_writeback(&x->file, x->writeback, x->sink.offset - x->writeback);
		x->writeback = x->sink.offset;
		if (cancelled(x->d))
			return err_set(e, ERR_CANCELLED, "copy of %s was interrupted", x->d->path);
	}
	return 0;
}

/* Every page 1..commit, from the WAL where it holds one. */
static int put_everything(struct writing *x, struct err *e)
{
	struct db_progress *progress = &x->d->progress;

	atomic_store(&progress->page_size, x->header.page_size);
	atomic_store(&progress->pages_done, 0);
	atomic_store(&progress->pages_total, x->header.commit);
	return db_copy_everything(&x->copy, x->header.commit, e);
}

/*
 * The pages of the range. SQLite logs every page by which a database grows; should one be missing all the same, a
 * position was lost on the way, and the database file has the page.
 */
static int put_changes(struct writing *x, struct err *e)
{
	uint32_t lock = ltx_lock_pgno(x->header.page_size);
	uint64_t grown = (uint64_t)x->d->position.commit + 1; /* first new page not seen yet */
	unsigned filled = 0;
	struct wal_page p;
	int have;

	while ((have = wal_pages_next(x->w->pages, &p, e)) == 1) {
		for (; grown < p.pgno; grown++, filled++) {
			if (grown != lock && db_copy_file_page(&x->copy, (uint32_t)grown, e))
				return -1;
		}
		if (p.pgno == grown)
			grown++;
		if (p.pgno != lock && db_copy_wal_page(&x->copy, &p, e))
			return -1;
	}
	if (have < 0)
		return -1;
	for (; grown <= x->header.commit; grown++, filled++) {
		if (grown != lock && db_copy_file_page(&x->copy, (uint32_t)grown, e))
			return -1;
	}
	if (filled)
		log_warn("pages of a grown database were missing in the WAL and were read from the file",
		         LS("system", "store"), LS("db", x->d->name), LU("pages", filled));
	return 0;
}

static int make_header(struct writing *x, struct err *e)
{
	const struct db *d = x->d;
	const struct db_proof *proof = x->proof;
	int64_t now = os_wall_ms(), size;

	x->txid = d->position.txid + 1;
	x->header = (struct ltx_header){
		.flags = LTX_FLAG_NO_CHECKSUM,
		.page_size = d->page_size,
		.commit = x->scan.commit_pages,
		.min_txid = x->txid,
		.max_txid = x->txid,
		/* Restores by time rely on it: a clock that was put back must not make files look
		 * older than their base. */
		.timestamp_ms = now > d->position.timestamp_ms ? now : d->position.timestamp_ms,
		.wal_offset = proof->start,
		.wal_size = x->scan.commit_end - proof->start,
		.wal_salt1 = proof->salt1,
		.wal_salt2 = proof->salt2,
	};
	if (x->header.commit)
		return 0;
	/* Only a full copy can be without a commit: then the file says how large the database is. */
	assert(proof->step == DB_STEP_SNAPSHOT);
	if (db_file_size(x->d, &size, e))
		return -1;
	x->header.commit = (uint32_t)(size / d->page_size);
	return 0;
}

static int open_staging(struct writing *x, struct err *e)
{
	struct db *d = x->d;

	x->path = db_l0_path(d, x->txid);
	x->staging = x->path ? malloc(strlen(x->path) + sizeof(".tmp")) : NULL;
	if (!x->staging)
		return err_nomem(e);
	strcat(strcpy(x->staging, x->path), ".tmp");
	if (os_dir_make(d->l0_dir, &d->dir_owner, e))
		return -1;
	return os_file_open(&x->file, x->staging, O_RDWR | O_CREAT | O_TRUNC, 0600, e);
}

static int encode(struct writing *x, struct err *e)
{
	struct db_work *w = x->w;
	bool everything = x->proof->step == DB_STEP_SNAPSHOT;

	db_diag_phase(x->d, everything ? "write_ltx_from_db" : "write_ltx_from_wal");
	if (ltx_encoder_begin(&w->encoder, &x->header, ltx_file_sink(&x->sink, &x->file, 0, w->sink, sizeof(w->sink)),
	                      ltx_spool_index(&x->index), w->frame, e) ||
	    wal_pages_sort(w->pages, x->header.commit, e))
		return -1;
	x->copy = (struct db_copy){
		.file = x->d->r_file, .wal = &x->d->wal, .path = x->d->path, .page_size = x->d->page_size, .w = w,
		.step = after_page, .ctx = x,
	};
	if (everything ? put_everything(x, e) : put_changes(x, e))
		return -1;
	db_diag_phase(x->d, "close_ltx");
	return ltx_encoder_end(&w->encoder, 0, NULL, e) || ltx_file_sink_flush(&x->sink, e) ? -1 : 0;
}

/* Is what was copied still what the WAL holds? */
static int still_true(struct writing *x, struct err *e)
{
	struct db *d = x->d;
	const struct db_proof *proof = x->proof;
	uint8_t bytes[WAL_HEADER_SIZE];
	struct wal_header now;
	struct wal_scan again;
	size_t got;

	if (os_file_read(&d->wal, bytes, sizeof(bytes), 0, &got, e))
		return -1;
	if (wal_header_parse(bytes, got, &now, NULL) != WAL_HEADER_OK || now.salt1 != proof->header.salt1 ||
	    now.salt2 != proof->header.salt2)
		return err_set(e, ERR_BUSY, "%s was restarted while it was read", d->wal_path);
	if (proof->step != DB_STEP_TAIL)
		return 0;
	/* The old generation's end has no protection: the new one may have grown into it. */
	wal_scan_begin(&again, d->page_size, proof->big_endian, proof->salt1, proof->salt2, proof->start,
	               proof->checksum);
	if (wal_scan_run(&again, db_wal_source(d), x->scan.commit_end, 0, NULL, x->w->buffer, sizeof(x->w->buffer),
	                 e) < 0)
		return -1;
	if (again.commit_end != x->scan.commit_end)
		return err_set(e, ERR_BUSY, "%s was written over while it was read", d->wal_path);
	return 0;
}

static int publish(struct writing *x, struct err *e)
{
	struct db *d = x->d;
	int rc;

	db_diag_phase(d, "fsync_ltx");
	/* The replica's copy carries the header's time as its own; a hard link shares it, so it is set here. */
	if (os_set_owner(x->staging, d->file_owner.mode, d->file_owner.uid, d->file_owner.gid, e) ||
	    os_set_times(x->staging, x->header.timestamp_ms, e) || os_file_sync(&x->file, e))
		return -1;
	db_diag_phase(d, "rename_ltx");
	rc = os_rename(x->staging, x->path, e);
	if (!rc)
		rc = os_dir_sync(d->l0_dir, e);
	/* What the disk holds now is not known: look again before the next TXID is chosen. */
	if (rc)
		d->position_known = false;
	return rc;
}

static void advance(struct writing *x)
{
	const struct db_proof *proof = x->proof;
	struct db_position next = {
		.txid = x->txid,
		.has_place = true,
		.commit = x->header.commit,
		.offset = x->scan.commit_end,
		.salt1 = proof->salt1,
		.salt2 = proof->salt2,
		.timestamp_ms = x->header.timestamp_ms,
		.has_checksum = true,
		.same_boot = true,
		.big_endian = proof->big_endian,
		.checksum = x->scan.commit_checksum,
	};

	if (proof->step == DB_STEP_SNAPSHOT)
		x->d->snapshot_reason = NULL;
	x->d->synced_since_checkpoint = true;
	db_position_set(x->d, &next);
	db_diag_written(x->d);
}

static int write_file(struct writing *x, struct err *e)
{
	struct db *d = x->d;
	bool everything = x->proof->step == DB_STEP_SNAPSHOT;
	int rc = -1;

	db_diag_phase(d, "sync_prepare_ltx");
	if (everything)
		db_diag_snapshot(d, x->proof->reason);
	os_spool_init(&x->index, d->l0_dir, INDEX_MEMORY);
	if (make_header(x, e) || open_staging(x, e))
		goto out;
	log_debug("sync", LS("system", "store"), LS("db", d->name), LX("txid", x->txid), LI("offset", x->proof->start),
	          everything ? LB("snap", true) : LOG_END, LS("reason", x->proof->reason));
	if (encode(x, e) || still_true(x, e) || publish(x, e))
		goto out;
	advance(x);
	rc = 0;
out:
	atomic_store(&d->progress.pages_total, 0);
	os_spool_free(&x->index);
	os_file_close(&x->file);
	if (rc && x->staging)
		os_unlink(x->staging, NULL);
	free(x->staging);
	free(x->path);
	return rc;
}

/*
 * A commit that the index counts must be in the file, whatever has become of the chain (wal.h, published_end): who went
 * on without it would lose it at the next restart of the WAL.
 */
static int check_end(struct writing *x, int64_t end, struct err *e)
{
	const struct wal_scan *s = &x->scan;
	const struct wal_checksum *want = &x->proof->index.checksum;

	if (s->commit_end != end)
		return err_set(e, ERR_BUSY, "%s holds commits up to byte %lld, its index counts %lld", x->d->wal_path,
		               (long long)s->commit_end, (long long)end);
	if (!s->unchained)
		return 0;
	if ((s->commit_checksum.s0 | s->commit_checksum.s1) != 0 &&
	    (s->commit_checksum.s0 != want->s0 || s->commit_checksum.s1 != want->s1))
		return err_set(e, ERR_BUSY, "the last commit in %s is not the one that its index counts",
		               x->d->wal_path);
	x->d->unchained = true;
	x->d->unchained_salt1 = x->proof->salt1;
	log_warn("the application's SQLite left frames without a checksum in the WAL, taken as its index says",
	         LS("system", "store"), LS("db", x->d->name), LI("frames", s->unchained));
	return 0;
}

int db_write(struct db *d, struct db_work *w, const struct db_proof *p, int64_t max_bytes, struct db_written *out,
             struct err *e)
{
	struct writing x = { .d = d, .w = w, .proof = p, .file = OS_FILE_NONE };
	bool everything = p->step == DB_STEP_SNAPSHOT, tail = p->step == DB_STEP_TAIL;
	int rc;

	*out = (struct db_written){ 0 };
	db_diag_phase(d, "sync_page_map");
	wal_pages_reset(w->pages);
	wal_scan_begin(&x.scan, d->page_size, p->big_endian, p->salt1, p->salt2, p->start, p->checksum);
	if (!tail)
		x.scan.published_end = p->end_max;
	rc = wal_scan_run(&x.scan, db_wal_source(d), p->end_max, everything || tail ? 0 : max_bytes, w->pages,
	                  w->buffer, sizeof(w->buffer), e);
	if (rc < 0)
		return -1;
	if (!tail && rc != WAL_SCAN_LIMITED && check_end(&x, p->end_max, e))
		return -1;
	if (!everything && x.scan.commit_end == p->start)
		return 0;
	if (tail && (rc = db_tail_is_true(d, w, p, &x.scan, e)) <= 0) {
		if (rc < 0)
			return -1;
		d->snapshot_reason = "the old end of the wal is not proven";
		return err_set(e, ERR_BUSY, "%s: %s", d->wal_path, d->snapshot_reason);
	}
	if (write_file(&x, e))
		return -1;
	out->created = true;
	out->limited = rc == WAL_SCAN_LIMITED;
	return 0;
}
