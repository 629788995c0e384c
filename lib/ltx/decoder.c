/* SPDX-License-Identifier: MIT */
/*
 * decoder.c - reads a whole LTX file in order.
 */
#include "lib/ltx/internal.h"

static struct ltx_window window_at(const struct ltx_decoder *d)
{
	return (struct ltx_window){ .bytes = d->frame, .offset = d->offset, .source = &d->source };
}

int ltx_decoder_begin(struct ltx_decoder *d, struct ltx_source source, uint8_t frame[LTX_FRAME_MAX], struct err *e)
{
	struct ltx_window w;

	*d = (struct ltx_decoder){ .source = source, .frame = frame, .rolling = LTX_CHECKSUM_FLAG };
	w = window_at(d);
	if (ltx_window_fill(&w, LTX_HEADER_SIZE, "in the header", e) || ltx_header_decode(frame, &d->header, e))
		return -1;
	d->crc = crc64(0, frame, LTX_HEADER_SIZE);
	d->offset = LTX_HEADER_SIZE;
	return 0;
}

int ltx_decoder_next(struct ltx_decoder *d, uint32_t *pgno, uint8_t *page, struct err *e)
{
	struct ltx_window w = window_at(d);
	uint8_t entry[LTX_INDEX_ENTRY_MAX];
	uint32_t page_size = d->header.page_size;
	struct ltx_stored s;
	size_t n;

	assert(!d->pages_done);
	d->block_size = 0;
	if (ltx_window_fill(&w, LTX_PAGE_HEADER_SIZE, "where a page or the end marker must be", e))
		return -1;
	*pgno = ltx_get32(w.bytes);
	if (*pgno == 0) {
		if (ltx_get16(w.bytes + 4) != 0)
			return CORRUPT(e, "page 0 at byte %" PRId64 " has flags", d->offset);
		d->crc = crc64(d->crc, w.bytes, w.have);
		d->offset += LTX_PAGE_HEADER_SIZE;
		d->pages_done = true;
		return 0;
	}
	if (ltx_order_check(&d->header, d->last_pgno, *pgno, e))
		return err_wrap(e, "page header at byte %" PRId64, d->offset);
	if (ltx_stored_read(&w, page_size, page, &s, e))
		return -1;
	d->block = s.block;
	d->block_size = s.block_size;
	d->crc = crc64(crc64(d->crc, w.bytes, s.hashed), page, page_size);
	if (ltx_is_snapshot(&d->header) && ltx_has_checksums(&d->header))
		d->rolling = LTX_CHECKSUM_FLAG | (d->rolling ^ ltx_page_checksum(*pgno, page, page_size));
	n = ltx_index_entry_put(entry, *pgno, d->offset, (int64_t)s.size);
	d->index_crc = crc64(d->index_crc, entry, n);
	d->index_size += (int64_t)n;
	d->last_pgno = *pgno;
	d->page_count++;
	d->offset += (int64_t)s.size;
	return 1;
}

/* Reads n bytes of the end of the file and hashes those of them that are. */
static int take(struct ltx_decoder *d, size_t n, size_t hashed, struct err *e)
{
	struct ltx_window w = window_at(d);

	if (ltx_window_fill(&w, n, "in the page index or the trailer", e))
		return -1;
	d->crc = crc64(d->crc, w.bytes, hashed);
	d->offset += (int64_t)n;
	return 0;
}

/* The index is not kept: its length and checksum are known from the pages, which is enough to compare. */
static int check_index(struct ltx_decoder *d, struct err *e)
{
	int64_t start = d->offset, end = start + d->index_size;
	uint64_t crc = 0, size;

	while (d->offset < end) {
		size_t n = end - d->offset < LTX_PIECE ? (size_t)(end - d->offset) : LTX_PIECE;
		if (take(d, n, n, e))
			return -1;
		crc = crc64(crc, d->frame, n);
	}
	if (crc != d->index_crc)
		return CORRUPT(e,
		               "page index at bytes %" PRId64 " to %" PRId64 " does not list the %u pages as they are",
		               start, end, d->page_count);
	if (take(d, 1 + LTX_INDEX_TAIL_SIZE, 1 + LTX_INDEX_TAIL_SIZE, e))
		return -1;
	if (d->frame[0] != 0)
		return CORRUPT(e, "page index does not end at byte %" PRId64 ", behind the last of %u pages", end,
		               d->page_count);
	size = ltx_get64(d->frame + 1);
	if (size != (uint64_t)d->index_size + 1)
		return CORRUPT(e, "page index size at byte %" PRId64 " is %" PRIu64 " instead of %" PRId64, end + 1,
		               size, d->index_size + 1);
	return 0;
}

int ltx_decoder_end(struct ltx_decoder *d, struct err *e)
{
	const struct ltx_header *h = &d->header;
	struct ltx_trailer *t = &d->trailer;
	size_t got;

	assert(d->pages_done);
	if (check_index(d, e) || take(d, LTX_TRAILER_SIZE, 8, e))
		return -1;
	ltx_trailer_get(d->frame, t);
	if (ltx_trailer_check(h, t, e))
		return -1;
	if (t->checksum != (LTX_CHECKSUM_FLAG | d->crc))
		return CORRUPT(e, "file checksum mismatch: the trailer says %016" PRIx64 ", the bytes make %016" PRIx64,
		               t->checksum, LTX_CHECKSUM_FLAG | d->crc);
	if (ltx_is_snapshot(h) && ltx_has_checksums(h) && t->post_apply != d->rolling)
		return CORRUPT(e, "post-apply checksum is %016" PRIx64 ", but the pages make %016" PRIx64,
		               t->post_apply, d->rolling);
	if (d->source.read(d->source.ctx, d->frame, 1, &got, e))
		return -1;
	if (got != 0)
		return CORRUPT(e, "trailing data follows the end of the file at byte %" PRId64, d->offset);
	return 0;
}

int ltx_verify(struct ltx_source source, uint8_t frame[LTX_FRAME_MAX], uint8_t page[LTX_PAGE_SIZE_MAX],
               struct ltx_header *header, struct ltx_trailer *trailer, bool *complete, struct err *e)
{
	struct ltx_decoder d;
	uint32_t pgno;
	int rc;

	if (ltx_decoder_begin(&d, source, frame, e))
		return -1;
	while ((rc = ltx_decoder_next(&d, &pgno, page, e)) > 0)
		;
	if (rc < 0 || ltx_decoder_end(&d, e))
		return -1;
	if (header)
		*header = d.header;
	if (trailer)
		*trailer = d.trailer;
	if (complete)
		*complete = ltx_is_complete(&d.header, d.last_pgno);
	return 0;
}
