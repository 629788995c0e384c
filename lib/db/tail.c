/* SPDX-License-Identifier: MIT */
/*
 * tail.c - is what the old generation holds behind our position really committed?
 *
 * A commit whose last flush failed, or whose writer died before it was published, looks complete in the log and never
 * came about. While its generation lives the wal-index tells; afterwards the database does: before the log was restarted,
 * all of the old generation was moved there. So as long as nothing of the new one has followed, each page of the tail
 * must be in the database file as the tail has it last.
 *
 * And where does it end? Where the chain does, unless SQLite left published frames there that are outside it (wal.h,
 * published_end). How many those were only the wal-index of that generation knew. They carry the generation's salts or
 * none; so does what a rollback left behind after the cache spilled, which is taken for the same: a full copy too many.
 */
#include <string.h>

#include "lib/db/internal.h"
#include "lib/wal/bytes.h"

/* 1, 0, -1 */
static int page_is_there(struct db *d, struct db_work *w, const struct wal_page *p, int64_t size, struct err *e)
{
	int64_t at = (int64_t)(p->pgno - 1) * d->page_size;

	if (p->pgno == ltx_lock_pgno(d->page_size))
		return 1;
	if (at + d->page_size > size)
		return 0;
	if (os_file_read_exact(&d->wal, w->page, d->page_size, p->offset + WAL_FRAME_HEADER_SIZE, e) ||
	    db_file_read(d, w->buffer, (int)d->page_size, at, e))
		return -1;
	return !memcmp(w->page, w->buffer, d->page_size);
}

/* Has nobody begun to move frames of the new generation? 1, 0, -1 */
static int database_is_old(struct db *d, const struct db_proof *proof, struct err *e)
{
	struct wal_index now;

	if (db_index_read(d, &now, e))
		return -1;
	return !now.attempted && now.salt1 == proof->header.salt1 && now.salt2 == proof->header.salt2;
}

int db_tail_ends(struct db *d, const struct wal_scan *s, struct err *e)
{
	uint8_t frame[WAL_FRAME_HEADER_SIZE];
	uint32_t salt1, salt2;
	size_t got;

	if (os_file_read(&d->wal, frame, sizeof(frame), s->offset, &got, e))
		return -1;
	if (got < sizeof(frame) || wal_be32(frame) == 0)
		return 1;
	salt1 = wal_be32(frame + 8);
	salt2 = wal_be32(frame + 12);
	return (salt1 != s->salt1 || salt2 != s->salt2) && (salt1 | salt2) != 0;
}

int db_tail_is_true(struct db *d, struct db_work *w, const struct db_proof *proof, const struct wal_scan *s,
                    struct err *e)
{
	struct wal_page p;
	int64_t size;
	int have, rc = db_tail_ends(d, s, e);

	if (rc <= 0)
		return rc;
	if (db_file_size(d, &size, e) || wal_pages_sort(w->pages, s->commit_pages, e))
		return -1;
	while (rc == 1 && (have = wal_pages_next(w->pages, &p, e))) {
		if (have < 0)
			return -1;
		rc = page_is_there(d, w, &p, size, e);
	}
	/* Asked last: what was read before that was not yet touched. */
	return rc == 1 ? database_is_old(d, proof, e) : rc;
}
