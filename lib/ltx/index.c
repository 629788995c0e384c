/* SPDX-License-Identifier: MIT */
/*
 * index.c - the page index: its entries, walking it, and reading single pages through it.
 */
#include "lib/ltx/internal.h"

static size_t uvarint_put(uint8_t *out, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

size_t ltx_index_entry_put(uint8_t out[LTX_INDEX_ENTRY_MAX], uint32_t pgno, int64_t offset, int64_t size)
{
	size_t n = uvarint_put(out, pgno);

	n += uvarint_put(out + n, (uint64_t)offset);
	return n + uvarint_put(out + n, (uint64_t)size);
}

/* The bytes of a file from `next` to `end`, a piece at a time. */
struct cursor {
	struct ltx_random file;
	int64_t next, end; /* of the file, not yet in buf */
	size_t pos, len;
	uint8_t buf[LTX_PIECE];
};

static int64_t cursor_offset(const struct cursor *c)
{
	return c->next - (int64_t)(c->len - c->pos);
}

static int cursor_byte(struct cursor *c, uint8_t *byte, struct err *e)
{
	if (c->pos == c->len) {
		size_t n = c->end - c->next < LTX_PIECE ? (size_t)(c->end - c->next) : LTX_PIECE;
		if (n == 0)
			return CORRUPT(e, "page index has no end before byte %" PRId64, c->end);
		if (c->file.read_at(c->file.ctx, c->buf, n, c->next, e))
			return -1;
		c->next += (int64_t)n;
		c->pos = 0;
		c->len = n;
	}
	*byte = c->buf[c->pos++];
	return 0;
}

static int cursor_uvarint(struct cursor *c, uint64_t *v, struct err *e)
{
	uint8_t byte = 0;

	*v = 0;
	for (int shift = 0;; shift += 7) {
		if (cursor_byte(c, &byte, e))
			return -1;
		if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
			return CORRUPT(e, "page index has a malformed number at byte %" PRId64, cursor_offset(c) - 1);
		*v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return 0;
	}
}

/* Reads header and tail; the cursor then stands before the end marker. */
static int index_open(struct cursor *c, struct ltx_random file, struct ltx_header *h, struct err *e)
{
	uint8_t head[LTX_HEADER_SIZE], tail[LTX_INDEX_TAIL_SIZE + LTX_TRAILER_SIZE], byte;
	int64_t index_end = file.size - (int64_t)sizeof tail;
	struct ltx_trailer t;
	uint64_t size;

	if (file.size == 0)
		return CORRUPT(e, "file is empty");
	if (file.size < LTX_FILE_SIZE_MIN)
		return CORRUPT(e, "file is truncated: it has only %" PRId64 " bytes", file.size);
	if (file.read_at(file.ctx, head, sizeof head, 0, e) || ltx_header_decode(head, h, e) ||
	    file.read_at(file.ctx, tail, sizeof tail, index_end, e))
		return -1;
	ltx_trailer_get(tail + LTX_INDEX_TAIL_SIZE, &t);
	if (ltx_trailer_check(h, &t, e))
		return -1;
	size = ltx_get64(tail);
	if (size < 1 || size > (uint64_t)(index_end - LTX_HEADER_SIZE - LTX_PAGE_HEADER_SIZE))
		return CORRUPT(e, "page index size at byte %" PRId64 " is %" PRIu64 ", which the file has no room for",
		               index_end, size);
	c->file = file;
	c->next = index_end - (int64_t)size - LTX_PAGE_HEADER_SIZE;
	c->end = index_end;
	c->pos = c->len = 0;
	for (int i = 0; i < LTX_PAGE_HEADER_SIZE; i++) {
		if (cursor_byte(c, &byte, e))
			return -1;
		if (byte != 0)
			return CORRUPT(e, "no end marker before the page index, at byte %" PRId64,
			               cursor_offset(c) - 1);
	}
	return 0;
}

/* 1: an entry that fits behind the one before it, which `entry` holds on entry; 0: the end; -1. */
static int index_next(struct cursor *c, const struct ltx_header *h, struct ltx_index_entry *entry, struct err *e)
{
	int64_t at = cursor_offset(c), due = entry->offset + entry->size;
	uint64_t pgno, offset, size;

	if (cursor_uvarint(c, &pgno, e))
		return -1;
	if (pgno == 0) {
		if (cursor_offset(c) != c->end)
			return CORRUPT(e, "page index ends at byte %" PRId64 " instead of %" PRId64, at, c->end - 1);
		return 0;
	}
	if (cursor_uvarint(c, &offset, e) || cursor_uvarint(c, &size, e))
		return -1;
	if (pgno > UINT32_MAX)
		return CORRUPT(e, "page index entry at byte %" PRId64 " is for page %" PRIu64, at, pgno);
	if (ltx_order_check(h, entry->pgno, (uint32_t)pgno, e))
		return err_wrap(e, "page index entry at byte %" PRId64, at);
	if (offset != (uint64_t)due)
		return CORRUPT(e, "page index entry at byte %" PRId64 " puts page %" PRIu64 " at %" PRIu64
		               ", not %" PRId64, at, pgno, offset, due);
	if (size <= LTX_BLOCK_HEADER_SIZE || size > ltx_stored_bound(h->page_size))
		return CORRUPT(e, "page index entry at byte %" PRId64 " gives page %" PRIu64 " %" PRIu64 " bytes", at,
		               pgno, size);
	*entry = (struct ltx_index_entry){ .pgno = (uint32_t)pgno, .offset = due, .size = (int64_t)size };
	return 1;
}

int ltx_index_walk(struct ltx_random file, struct ltx_header *header,
                   int (*visit)(void *ctx, const struct ltx_index_entry *entry, struct err *e), void *ctx,
                   struct err *e)
{
	struct ltx_index_entry entry = { .offset = LTX_HEADER_SIZE };
	struct ltx_header h;
	struct cursor c;
	int64_t pages_end;
	int rc;

	if (index_open(&c, file, &h, e))
		return -1;
	if (header)
		*header = h;
	pages_end = cursor_offset(&c) - LTX_PAGE_HEADER_SIZE;
	while ((rc = index_next(&c, &h, &entry, e)) > 0) {
		if (entry.offset + entry.size > pages_end)
			return CORRUPT(e, "page index lets page %u end behind the end marker at byte %" PRId64,
			               entry.pgno, pages_end);
		if (visit && (rc = visit(ctx, &entry, e)) != 0)
			return rc;
	}
	if (rc < 0)
		return -1;
	if (entry.offset + entry.size != pages_end)
		return CORRUPT(e, "page index lists pages up to byte %" PRId64 " instead of %" PRId64,
		               entry.offset + entry.size, pages_end);
	return 0;
}

struct search {
	uint32_t pgno;
	struct ltx_index_entry entry; /* what was found; pgno 0: nothing */
};

static int search_visit(void *ctx, const struct ltx_index_entry *entry, struct err *e)
{
	struct search *s = ctx;

	(void)e;
	if (entry->pgno == s->pgno)
		s->entry = *entry;
	return entry->pgno >= s->pgno;
}

int ltx_page_read(struct ltx_random file, uint32_t pgno, uint8_t *page, uint8_t frame[LTX_FRAME_MAX], struct err *e)
{
	struct search s = { .pgno = pgno };
	struct ltx_window w = { .bytes = frame };
	struct ltx_stored stored;
	struct ltx_header h;

	if (ltx_index_walk(file, &h, search_visit, &s, e) < 0)
		return -1;
	if (s.entry.pgno == 0)
		return 0;
	w.offset = s.entry.offset;
	w.have = (size_t)s.entry.size;
	if (file.read_at(file.ctx, frame, w.have, w.offset, e))
		return -1;
	if (ltx_get32(frame) != pgno)
		return CORRUPT(e, "page index puts page %u at byte %" PRId64 ", but page %u is there", pgno, w.offset,
		               ltx_get32(frame));
	if (ltx_stored_read(&w, h.page_size, page, &stored, e))
		return -1;
	if (stored.size != w.have)
		return CORRUPT(e, "page index gives page %u %zu bytes, but it has %zu", pgno, w.have, stored.size);
	return 1;
}
