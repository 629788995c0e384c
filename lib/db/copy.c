/* SPDX-License-Identifier: MIT */
/* copy.c - pages of the WAL and of the database file, on their way into an LTX file. */
#include "lib/db/internal.h"

static int put_page(struct db_copy *c, uint32_t pgno, const uint8_t *page, struct err *e)
{
	return ltx_encoder_page(&c->w->encoder, pgno, page, e) ? -1 : c->step(c->ctx, pgno, e);
}

int db_copy_wal_page(struct db_copy *c, const struct wal_page *p, struct err *e)
{
	if (os_file_read_exact(c->wal, c->w->page, c->page_size, p->offset + WAL_FRAME_HEADER_SIZE, e))
		return -1;
	return put_page(c, p->pgno, c->w->page, e);
}

/* Read in large pieces as the numbers ascend. */
int db_copy_file_page(struct db_copy *c, uint32_t pgno, struct err *e)
{
	int64_t at = (int64_t)(pgno - 1) * c->page_size;

	if (at < c->piece_start || at + c->page_size > c->piece_end) {
		int64_t size, n = DB_BUFFER_SIZE;

		if (db_handle_size(c->file, &size, e))
			return -1;
		if (at + n > size)
			n = size - at;
		if (n < (int64_t)c->page_size)
			return err_set(e, ERR_CORRUPT, "page %u of %s is neither in the WAL nor in the file",
			               (unsigned)pgno, c->path);
		n -= n % c->page_size;
		if (db_handle_read(c->file, c->path, c->w->buffer, (int)n, at, e))
			return -1;
		c->piece_start = at;
		c->piece_end = at + n;
	}
	return put_page(c, pgno, c->w->buffer + (at - c->piece_start), e);
}

int db_copy_everything(struct db_copy *c, uint32_t commit, struct err *e)
{
	uint32_t lock = ltx_lock_pgno(c->page_size);
	struct wal_page p;
	int have = wal_pages_next(c->w->pages, &p, e);

	for (uint64_t pgno = 1; pgno <= commit && have >= 0; pgno++) {
		int rc = 0;

		if (have && p.pgno == pgno) {
			if (pgno != lock)
				rc = db_copy_wal_page(c, &p, e);
			have = wal_pages_next(c->w->pages, &p, e);
		} else if (pgno != lock) {
			rc = db_copy_file_page(c, (uint32_t)pgno, e);
		}
		if (rc)
			return -1;
	}
	return have < 0 ? -1 : 0;
}
