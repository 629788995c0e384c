/* SPDX-License-Identifier: MIT */
/*
 * encoder.c - writes LTX files in block form.
 */
#include "lib/ltx/internal.h"

#include "lz4.h"

_Static_assert(sizeof(LZ4_stream_t) <= sizeof ((struct ltx_encoder *)0)->lz4_state, "room for the state of LZ4");

/* Every byte of the output passes here; what is hashed is said by the callers, because pages are hashed unpacked. */
static int put(struct ltx_encoder *en, const void *bytes, size_t n, struct err *e)
{
	if (en->sink.write(en->sink.ctx, bytes, n, e))
		return -1;
	en->offset += (int64_t)n;
	return 0;
}

static int put_hashed(struct ltx_encoder *en, const void *bytes, size_t n, struct err *e)
{
	en->crc = crc64(en->crc, bytes, n);
	return put(en, bytes, n, e);
}

int ltx_encoder_begin(struct ltx_encoder *en, const struct ltx_header *h, struct ltx_sink sink,
                      struct ltx_index_store index, uint8_t frame[LTX_FRAME_MAX], struct err *e)
{
	uint8_t head[LTX_HEADER_SIZE];

	en->sink = sink;
	en->index = index;
	en->header = *h;
	en->offset = en->index_size = 0;
	en->last_pgno = en->page_count = 0;
	en->crc = 0;
	en->rolling = LTX_CHECKSUM_FLAG;
	en->frame = frame;
	if (ltx_header_encode(h, head, e))
		return -1;
	if (h->commit == 0)
		return CORRUPT(e, "a file that removes the database is not written");
	return put_hashed(en, head, sizeof head, e);
}

static void page_head(uint8_t head[LTX_BLOCK_HEADER_SIZE], uint32_t pgno, uint32_t block_size)
{
	ltx_put32(head, pgno);
	ltx_put16(head + 4, LTX_PAGE_FLAG_BLOCK);
	ltx_put32(head + 6, block_size);
}

/* Accounts for a page whose bytes were put from `start` on. */
static int page_done(struct ltx_encoder *en, const uint8_t *head, const uint8_t *page, int64_t start, struct err *e)
{
	uint8_t entry[LTX_INDEX_ENTRY_MAX];
	uint32_t pgno = ltx_get32(head), page_size = en->header.page_size;
	size_t n = ltx_index_entry_put(entry, pgno, start, en->offset - start);

	en->crc = crc64(crc64(en->crc, head, LTX_BLOCK_HEADER_SIZE), page, page_size);
	if (ltx_is_snapshot(&en->header) && ltx_has_checksums(&en->header))
		en->rolling = LTX_CHECKSUM_FLAG | (en->rolling ^ ltx_page_checksum(pgno, page, page_size));
	en->last_pgno = pgno;
	en->page_count++;
	en->index_size += (int64_t)n;
	return en->index.append(en->index.ctx, entry, n, e);
}

int ltx_encoder_page(struct ltx_encoder *en, uint32_t pgno, const uint8_t *page, struct err *e)
{
	uint32_t page_size = en->header.page_size;
	int64_t start = en->offset;
	int n;

	if (ltx_order_check(&en->header, en->last_pgno, pgno, e))
		return -1;
	n = LZ4_compress_fast_extState(en->lz4_state, (const char *)page, (char *)en->frame + LTX_BLOCK_HEADER_SIZE,
	                               (int)page_size, (int)ltx_block_bound(page_size), 1);
	assert(n > 0); /* with that much room it cannot fail */
	page_head(en->frame, pgno, (uint32_t)n);
	if (put(en, en->frame, LTX_BLOCK_HEADER_SIZE + (size_t)n, e))
		return -1;
	return page_done(en, en->frame, page, start, e);
}

int ltx_encoder_block(struct ltx_encoder *en, uint32_t pgno, const uint8_t *page, const uint8_t *block,
                      uint32_t block_size, struct err *e)
{
	uint8_t head[LTX_BLOCK_HEADER_SIZE];
	int64_t start = en->offset;

	assert(block_size >= 1 && block_size <= ltx_block_bound(en->header.page_size));
	if (ltx_order_check(&en->header, en->last_pgno, pgno, e))
		return -1;
	page_head(head, pgno, block_size);
	if (put(en, head, sizeof head, e) || put(en, block, block_size, e))
		return -1;
	return page_done(en, head, page, start, e);
}

static int put_index(struct ltx_encoder *en, struct err *e)
{
	uint8_t tail[1 + LTX_INDEX_TAIL_SIZE] = { 0 };

	for (int64_t at = 0; at < en->index_size;) {
		size_t n = en->index_size - at < LTX_PIECE ? (size_t)(en->index_size - at) : LTX_PIECE;
		if (en->index.read(en->index.ctx, en->frame, n, at, e) || put_hashed(en, en->frame, n, e))
			return -1;
		at += (int64_t)n;
	}
	ltx_put64(tail + 1, (uint64_t)en->index_size + 1);
	return put_hashed(en, tail, sizeof tail, e);
}

int ltx_encoder_end(struct ltx_encoder *en, uint64_t post_apply, struct ltx_trailer *trailer, struct err *e)
{
	static const uint8_t end_marker[LTX_PAGE_HEADER_SIZE];
	const struct ltx_header *h = &en->header;
	struct ltx_trailer t = { .post_apply = post_apply, .checksum = LTX_CHECKSUM_FLAG };
	uint8_t bytes[LTX_TRAILER_SIZE];

	if (!ltx_is_complete(h, en->last_pgno))
		return CORRUPT(e, "the snapshot lacks page %u", ltx_next_pgno(h, en->last_pgno));
	if (ltx_trailer_check(h, &t, e))
		return -1;
	if (ltx_is_snapshot(h) && ltx_has_checksums(h) && post_apply != en->rolling)
		return CORRUPT(e, "post-apply checksum is %016" PRIx64 ", but the pages make %016" PRIx64, post_apply,
		               en->rolling);
	if (put_hashed(en, end_marker, sizeof end_marker, e) || put_index(en, e))
		return -1;
	ltx_put64(bytes, post_apply);
	t.checksum = LTX_CHECKSUM_FLAG | crc64(en->crc, bytes, 8);
	ltx_put64(bytes + 8, t.checksum);
	if (trailer)
		*trailer = t;
	return put(en, bytes, sizeof bytes, e);
}
