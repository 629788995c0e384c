/* SPDX-License-Identifier: MIT */
/*
 * frame.c - one stored page: block form, and the frame form of Litestream 0.5.0 to 0.5.15.
 *
 * Frame form is one LZ4 frame with one block and a checksum of its content, which is all that these versions wrote. A
 * page never needs a second block, so the frame is read here by hand.
 */
#include "lib/ltx/internal.h"

#include "lib/base/xxh32.h"
#include "lz4.h"

enum {
	LZ4_MAGIC = 0x184d2204,
	FLG_RESERVED = 0x02,
	FLG_DICTIONARY = 0x01,
	FLG_CONTENT_CHECKSUM = 0x04,
	FLG_CONTENT_SIZE = 0x08,
	FLG_BLOCK_CHECKSUM = 0x10,
};
#define BLOCK_RAW 0x80000000u

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t ltx_stored_bound(uint32_t page_size)
{
	/* In frame form: header, frame header with content size, block size, raw page, end mark and checksum. */
	uint32_t block = LTX_BLOCK_HEADER_SIZE + ltx_block_bound(page_size);
	uint32_t frame = LTX_PAGE_HEADER_SIZE + 15 + 4 + page_size + 8;
	return block > frame ? block : frame;
}

int ltx_window_fill(struct ltx_window *w, size_t want, const char *where, struct err *e)
{
	size_t got;

	assert(want <= LTX_FRAME_MAX);
	while (w->have < want) {
		got = 0;
		if (w->source && w->source->read(w->source->ctx, w->bytes + w->have, want - w->have, &got, e))
			return -1;
		assert(got <= want - w->have);
		if (got == 0 && w->source && w->offset + (int64_t)w->have == 0)
			return CORRUPT(e, "file is empty");
		if (got == 0)
			return CORRUPT(e, "%s at byte %" PRId64 ", %s",
			               w->source ? "file is truncated: it ends" : "page ends",
			               w->offset + (int64_t)w->have, where);
		w->have += got;
	}
	return 0;
}

static int bad(const struct ltx_window *w, const char *what, struct err *e)
{
	return CORRUPT(e, "page %u at byte %" PRId64 " has %s", ltx_get32(w->bytes), w->offset, what);
}

static int unpack(const struct ltx_window *w, const uint8_t *block, uint32_t n, uint8_t *page, uint32_t page_size,
                  struct err *e)
{
	int made = LZ4_decompress_safe((const char *)block, (char *)page, (int)n, (int)page_size);

	if (made < 0)
		return bad(w, "a malformed LZ4 block", e);
	if ((uint32_t)made != page_size)
		return CORRUPT(e, "page %u at byte %" PRId64 " expands to %d bytes instead of %u", ltx_get32(w->bytes),
		               w->offset, made, page_size);
	return 0;
}

/* Reads the header of the LZ4 frame behind the page header; *at is then the place of what follows it. */
static int frame_header(struct ltx_window *w, uint32_t page_size, size_t *at, struct err *e)
{
	const uint8_t *f = w->bytes + LTX_PAGE_HEADER_SIZE;
	size_t descriptor = 2;

	if (ltx_window_fill(w, LTX_PAGE_HEADER_SIZE + 7, "in the header of an LZ4 frame", e))
		return -1;
	if (le32(f) != LZ4_MAGIC)
		return bad(w, "no LZ4 frame", e);
	if ((f[4] & (0xc0 | FLG_RESERVED)) != 0x40 || (f[5] & 0x8f) != 0 || f[5] < 0x40)
		return bad(w, "an LZ4 frame of an unknown version", e);
	if (f[4] & (FLG_DICTIONARY | FLG_BLOCK_CHECKSUM))
		return bad(w, "an LZ4 frame with a dictionary or block checksums", e);
	if (!(f[4] & FLG_CONTENT_CHECKSUM))
		return bad(w, "an LZ4 frame without content checksum", e);
	if (f[4] & FLG_CONTENT_SIZE)
		descriptor += 8;
	*at = LTX_PAGE_HEADER_SIZE + 4 + descriptor + 1;
	if (ltx_window_fill(w, *at, "in the header of an LZ4 frame", e))
		return -1;
	if ((xxh32(f + 4, descriptor) >> 8 & 0xff) != f[4 + descriptor])
		return bad(w, "an LZ4 frame with a wrong header checksum", e);
	if (descriptor > 2 && (le32(f + 6) != page_size || le32(f + 10) != 0))
		return bad(w, "an LZ4 frame of another size than the page's", e);
	return 0;
}

static int frame_read(struct ltx_window *w, uint32_t page_size, uint8_t *page, struct ltx_stored *s, struct err *e)
{
	uint32_t n, raw;
	size_t at = 0;

	if (frame_header(w, page_size, &at, e) || ltx_window_fill(w, at + 4, "in the size of an LZ4 block", e))
		return -1;
	n = le32(w->bytes + at);
	raw = n & BLOCK_RAW;
	n &= ~BLOCK_RAW;
	at += 4;
	if (n == 0)
		return bad(w, "an empty LZ4 frame", e);
	/* Every writer stores a block raw that would not be smaller than the page. */
	if (n > page_size)
		return bad(w, "an LZ4 frame longer than the page", e);
	if (raw && n < page_size)
		return bad(w, "an LZ4 frame shorter than the page", e);
	if (ltx_window_fill(w, at + n, "in an LZ4 frame", e))
		return -1;
	if (raw) {
		memcpy(page, w->bytes + at, n);
	} else {
		if (unpack(w, w->bytes + at, n, page, page_size, e))
			return -1;
		s->block = w->bytes + at;
		s->block_size = n;
	}
	at += n;
	if (ltx_window_fill(w, at + 8, "at the end of an LZ4 frame", e))
		return -1;
	if (le32(w->bytes + at) != 0)
		return bad(w, "an LZ4 frame with a second block", e);
	if (le32(w->bytes + at + 4) != xxh32(page, page_size))
		return bad(w, "an LZ4 frame with a wrong content checksum", e);
	s->size = at + 8;
	return 0;
}

int ltx_stored_read(struct ltx_window *w, uint32_t page_size, uint8_t *page, struct ltx_stored *s, struct err *e)
{
	uint32_t flags = ltx_get16(w->bytes + 4), n;

	*s = (struct ltx_stored){ .hashed = LTX_PAGE_HEADER_SIZE };
	if (flags & ~(uint32_t)LTX_PAGE_FLAG_BLOCK)
		return CORRUPT(e, "page %u at byte %" PRId64 " has unknown flags 0x%04x", ltx_get32(w->bytes),
		               w->offset, flags);
	if (!flags)
		return frame_read(w, page_size, page, s, e);
	if (ltx_window_fill(w, LTX_BLOCK_HEADER_SIZE, "in the size of a page", e))
		return -1;
	n = ltx_get32(w->bytes + LTX_PAGE_HEADER_SIZE);
	if (n == 0 || n > ltx_block_bound(page_size))
		return CORRUPT(e, "page %u at byte %" PRId64 " has %u compressed bytes, which is not 1 to %u",
		               ltx_get32(w->bytes), w->offset, n, ltx_block_bound(page_size));
	if (ltx_window_fill(w, LTX_BLOCK_HEADER_SIZE + n, "in the bytes of a page", e))
		return -1;
	s->hashed = LTX_BLOCK_HEADER_SIZE;
	s->block = w->bytes + LTX_BLOCK_HEADER_SIZE;
	s->block_size = n;
	s->size = LTX_BLOCK_HEADER_SIZE + n;
	return unpack(w, s->block, n, page, page_size, e);
}
