/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - the database as it stood at a TXID, while it changes.
 *
 * A connection c of our own begins a read transaction at some mark M of the WAL; then a sync reads everything up to M
 * and perhaps more: the position P, P >= M. As long as c reads, nobody moves frames beyond M into the database file, so
 * the file never holds anything newer than P, and whatever it lacks lies in the WAL before P:
 *
 *   image at P = for each page the newest frame before P, else the page of the file.
 *
 * The WAL cannot be restarted under us where c holds a mark on it. There is one case where it does not: everything was
 * backfilled when c began, so c reads the file alone (mark 0). Then the file holds all up to M and nobody writes to it.
 * If P is M, the WAL is not needed; if P is beyond, there are frames that cannot be backfilled, and these keep the WAL
 * from being restarted. That this reasoning held is checked at the end: the WAL's header must be the one of the
 * beginning.
 *
 * c is ours alone (its file handle is not shared with the syncs that go on), and the WAL is read through a descriptor
 * of our own. Neither opens or closes a database file by itself (db.h).
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/db/snapshot.h"
#include "lib/db/internal.h"
#include "lib/ltx/file.h"
#include "lib/os/clock.h"

enum { INDEX_MEMORY = 64 << 10, BEGIN_TRIES = 4, CANCEL_LOOK_PAGES = 256 };

struct db_snapshot {
	struct db *d;
	sqlite3 *c;
	sqlite3_file *file;
	struct os_file wal;
	struct wal_index index; /* as it stood when c began */
	bool index_certain;     /* it stood still meanwhile */
	struct db_position position;
	uint32_t page_size;
	uint8_t header_bytes[WAL_HEADER_SIZE];
	struct wal_header header;
	int64_t bound; /* frames before it count; WAL_HEADER_SIZE: none is needed */
	int64_t created_ms;
	const atomic_bool *cancel;
};

/* ---- begin ---- */

static int begin_reading(struct db_snapshot *s, struct err *e)
{
	struct db *d = s->d;
	struct wal_index after;

	for (int i = 0; i < BEGIN_TRIES && !s->index_certain; i++) {
		if (i)
			sqlite3_exec(s->c, "ROLLBACK", NULL, NULL, NULL);
		if (db_index_read(d, &s->index, e) ||
		    db_exec(s->c, "BEGIN; PRAGMA user_version", "begin read transaction", e) ||
		    db_index_read(d, &after, e))
			return -1;
		s->index_certain = !memcmp(s->index.raw, after.raw, sizeof(after.raw)) &&
		                   s->index.backfilled == after.backfilled;
	}
	return 0;
}

static int take_connection(struct db_snapshot *s, struct err *e)
{
	struct db *d = s->d;
	int same;

	if (db_conn_open(d, &s->c, e) || begin_reading(s, e))
		return -1;
	if (sqlite3_file_control(s->c, "main", SQLITE_FCNTL_FILE_POINTER, &s->file) != SQLITE_OK || !s->file ||
	    !s->file->pMethods)
		return err_set(e, ERR_SYSTEM, "SQLite has not opened %s", d->path);
	if (os_file_open(&s->wal, d->wal_path, O_RDONLY, 0, e))
		return -1;
	same = db_identity_holds(d, e);
	if (!same)
		return err_set(e, ERR_BUSY, "%s was replaced while it was opened", d->path);
	return same > 0 ? 0 : -1;
}

/* Has the engine still the files that c has? */
static int same_files(struct db_snapshot *s, struct err *e)
{
	const struct db *d = s->d;
	struct os_stat st;

	if (os_file_stat(&s->wal, &st, e))
		return -1;
	if (!d->r || st.ino != d->wal_inode.ino || st.dev != d->wal_inode.dev)
		return err_set(e, ERR_BUSY, "%s was replaced", d->path);
	return 0;
}

static int read_header(struct db_snapshot *s, uint8_t bytes[WAL_HEADER_SIZE], struct err *e)
{
	size_t got;

	if (os_file_read(&s->wal, bytes, WAL_HEADER_SIZE, 0, &got, e))
		return -1;
	if (wal_header_parse(bytes, got, &s->header, e) != WAL_HEADER_OK)
		return err_set(e, ERR_BUSY, "%s is being restarted", s->d->wal_path);
	return 0;
}

/* c sees the position's very state, and all of it is in the file? Then nobody changes it as long as c reads. */
static bool file_is_all(const struct db_snapshot *s)
{
	const struct wal_index *x = &s->index;
	const struct db_position *p = &s->position;

	if (!s->index_certain || x->backfilled != x->frames)
		return false;
	if (p->salt1 == x->salt1 && p->salt2 == x->salt2)
		return p->offset == wal_offset(s->page_size, x->frames);
	/* The WAL was restarted and holds nothing yet: the position is at the old end, if nothing came since. */
	return !x->frames && s->d->seen_valid && !memcmp(s->d->seen.raw, x->raw, sizeof(x->raw));
}

static int capture(struct db_snapshot *s, struct err *e)
{
	struct db *d = s->d;

	s->position = d->position;
	d->snapshot_txid = s->position.txid;
	s->page_size = d->page_size;
	if (!s->position.has_place || !s->position.commit)
		return err_set(e, ERR_BUSY, "%s has not been synced", d->path);
	if (read_header(s, s->header_bytes, e))
		return -1;
	if (file_is_all(s)) {
		s->bound = WAL_HEADER_SIZE;
	} else {
		if (s->header.salt1 != s->position.salt1 || s->header.salt2 != s->position.salt2 ||
		    s->header.page_size != s->page_size)
			return err_set(e, ERR_BUSY, "%s was restarted while it was opened", d->wal_path);
		s->bound = s->position.offset;
	}
	s->created_ms = os_wall_ms();
	if (s->created_ms < s->position.timestamp_ms)
		s->created_ms = s->position.timestamp_ms;
	return 0;
}

static int sync_now(struct db *d, struct err *e)
{
	struct db_sync_result r;

	if (db_sync(d, DB_SYNC_NO_CHECKPOINT, &r, e))
		return -1;
	return r.waiting ? err_set(e, ERR_BUSY, "%s is not there yet", d->path) : 0;
}

int db_snapshot_begin(struct db *d, struct db_snapshot **out, struct err *e)
{
	struct db_snapshot *s;

	*out = NULL;
	if (atomic_load(&d->snapshotting))
		return err_set(e, ERR_BUSY, "a snapshot of %s is being written already", d->path);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_nomem(e);
	s->d = d;
	s->wal.fd = -1;
	d->snapshot_txid = 0;
	atomic_store(&d->snapshotting, true);
	if (sync_now(d, e) || take_connection(s, e) || sync_now(d, e) || same_files(s, e) || capture(s, e)) {
		db_snapshot_end(s);
		return -1;
	}
	*out = s;
	return 0;
}

void db_snapshot_end(struct db_snapshot *s)
{
	if (!s)
		return;
	if (s->c)
		sqlite3_exec(s->c, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(s->c);
	os_file_close(&s->wal);
	atomic_store(&s->d->snapshotting, false);
	free(s);
}

uint64_t db_snapshot_txid(const struct db_snapshot *s) { return s->position.txid; }
uint32_t db_snapshot_pages(const struct db_snapshot *s) { return s->position.commit; }
int64_t db_snapshot_created_ms(const struct db_snapshot *s) { return s->created_ms; }

/* ---- write ---- */

static int after_page(void *ctx, uint32_t pgno, struct err *e)
{
	const struct db_snapshot *s = ctx;

	if (pgno % CANCEL_LOOK_PAGES == 0 && s->cancel && atomic_load_explicit(s->cancel, memory_order_relaxed))
		return err_set(e, ERR_CANCELLED, "snapshot of %s was interrupted", s->d->path);
	return 0;
}

static int wal_read(void *ctx, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e)
{
	return os_file_read(ctx, bytes, n, offset, got, e);
}

/* Which frame before the bound holds which page; the chain must lead to the very place that the position remembers. */
static int map_wal(struct db_snapshot *s, struct db_work *w, struct err *e)
{
	const struct db_position *p = &s->position;
	struct wal_scan scan;

	if (s->bound > WAL_HEADER_SIZE) {
		wal_scan_begin(&scan, s->page_size, s->header.big_endian, s->header.salt1, s->header.salt2,
		               WAL_HEADER_SIZE, s->header.checksum);
		scan.published_end = s->bound; /* syncs have read up to there */
		if (wal_scan_run(&scan, (struct wal_source){ wal_read, &s->wal }, s->bound, 0, w->pages, w->buffer,
		                 sizeof(w->buffer), e) < 0)
			return -1;
		if (scan.commit_end != s->bound || scan.commit_pages != p->commit ||
		    (p->has_checksum &&
		     (scan.commit_checksum.s0 != p->checksum.s0 || scan.commit_checksum.s1 != p->checksum.s1)))
			return err_set(e, ERR_BUSY, "%s was written over while it was read", s->wal.path);
	}
	return wal_pages_sort(w->pages, p->commit, e);
}

/* Where the file alone is copied the WAL may be restarted as often as its writers like. */
static int still_true(struct db_snapshot *s, struct err *e)
{
	uint8_t now[WAL_HEADER_SIZE];

	if (s->bound == WAL_HEADER_SIZE)
		return 0;
	if (read_header(s, now, e))
		return -1;
	if (memcmp(now, s->header_bytes, sizeof(now)))
		return err_set(e, ERR_BUSY, "%s was restarted while it was read", s->wal.path);
	return 0;
}

static struct ltx_header make_header(const struct db_snapshot *s)
{
	int64_t frame = wal_frame_size(s->page_size);
	bool frames = s->bound > WAL_HEADER_SIZE;

	return (struct ltx_header){
		.flags = LTX_FLAG_NO_CHECKSUM,
		.page_size = s->page_size,
		.commit = s->position.commit,
		.min_txid = 1,
		.max_txid = s->position.txid,
		.timestamp_ms = s->created_ms,
		.wal_offset = frames ? s->bound - frame : WAL_HEADER_SIZE,
		.wal_size = frames ? frame : 0,
		.wal_salt1 = s->header.salt1,
		.wal_salt2 = s->header.salt2,
	};
}

static int encode(struct db_snapshot *s, struct db_work *w, struct ltx_gather *gather, struct os_spool *index,
                  struct err *e)
{
	struct ltx_header h = make_header(s);
	struct db_copy copy = {
		.file = s->file, .wal = &s->wal, .path = s->d->path, .page_size = s->page_size, .w = w,
		.step = after_page, .ctx = s,
	};

	if (map_wal(s, w, e) ||
	    ltx_encoder_begin(&w->encoder, &h, ltx_gather_sink(gather), ltx_spool_index(index), w->frame, e) ||
	    db_copy_everything(&copy, h.commit, e) || still_true(s, e))
		return -1;
	return ltx_encoder_end(&w->encoder, 0, NULL, e) || ltx_gather_flush(gather, e) ? -1 : 0;
}

int db_snapshot_write(struct db_snapshot *s, struct ltx_sink sink, const atomic_bool *cancel, int64_t *size,
                      struct err *e)
{
	struct db_work *w = db_work_create(s->d, e);
	struct ltx_gather gather;
	struct os_spool index;
	int rc;

	if (!w)
		return -1;
	s->cancel = cancel;
	ltx_gather_init(&gather, sink, w->sink, sizeof(w->sink));
	os_spool_init(&index, s->d->meta_path, INDEX_MEMORY);
	rc = encode(s, w, &gather, &index, e);
	*size = w->encoder.offset;
	os_spool_free(&index);
	db_work_free(w);
	return rc;
}
