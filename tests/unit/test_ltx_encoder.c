/* SPDX-License-Identifier: MIT */
#include "lib/base/crc64.h"
#include "lib/ltx/buffered.h"
#include "tests/check.h"
#include "tests/support/ltxkit.h"

static struct ltx_encoder en;
static uint8_t frame[LTX_FRAME_MAX], page[LTX_PAGE_SIZE_MAX];
static struct mem out, idx;

static int begin(const struct ltx_header *h, struct err *e)
{
	mem_free(&out);
	mem_free(&idx);
	return ltx_encoder_begin(&en, h, mem_sink(&out), mem_index(&idx), frame, e);
}

/* 9.1: all bytes of a checksummed snapshot; the block is that of the reference LZ4. */
TEST(worked_example_9_1)
{
	static const uint8_t want[] = {
		0x4c, 0x54, 0x58, 0x31, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
		1,
		0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0x0c, 0x1f, 0x31, 1, 0, 0xff, 0xe8, 0x50, 0x31, 0x31, 0x31, 0x31,
		0x31,
		0, 0, 0, 0, 0, 0, 1, 0x64, 0x16, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0xeb, 0x1a, 0x99, 0x92, 0x31, 4, 0x4d, 0xdd,
		0xbc, 0x86, 0x48, 0x32, 0x7f, 0x83, 0x90, 0xc6,
	};
	struct ltx_header h = { .page_size = 512, .commit = 1, .min_txid = 1, .max_txid = 1, .timestamp_ms = 1000 };
	struct ltx_trailer t;
	struct err e = ERR_INIT;
	bool complete = false;

	memset(page, 0x31, 512);
	CHECK_INT(sizeof want, 156);
	CHECK_OK(begin(&h, &e), &e);
	CHECK_INT(en.crc, UINT64_C(0x3bbd09b572c0c3fa));
	CHECK_OK(ltx_encoder_block(&en, 1, page, want + 110, 12, &e), &e);
	CHECK_INT(en.crc, UINT64_C(0xe9ea4e132f44c3d7));
	CHECK_OK(ltx_encoder_end(&en, UINT64_C(0xeb1a999231044ddd), &t, &e), &e);
	CHECK_INT(out.len, 156);
	CHECK_MEM(out.data, want, 156);
	CHECK_INT(en.offset, 156);
	CHECK_INT(t.post_apply, UINT64_C(0xeb1a999231044ddd));
	CHECK_INT(t.checksum, UINT64_C(0xbc8648327f8390c6));
	CHECK_OK(kit_verify(&out, &complete, &e), &e);
	CHECK(complete);
	/* Our own block may be another one; what is hashed is the same but for its size. */
	CHECK_OK(begin(&h, &e), &e);
	CHECK_OK(ltx_encoder_page(&en, 1, page, &e), &e);
	CHECK_OK(ltx_encoder_end(&en, UINT64_C(0xeb1a999231044ddd), NULL, &e), &e);
	CHECK_OK(kit_verify(&out, NULL, &e), &e);
}

/* 9.4: a first level-0 file of Litestream's kind, all literals. */
TEST(worked_example_9_4)
{
	static const uint8_t tail[] = { 0, 0, 0, 0, 0, 0, 1, 0x64, 0x8d, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0,
	                                0, 0,
	                                0x96, 0x43, 0xdd, 0x74, 0x56, 0x3e, 0x2b, 0xe7 };
	struct ltx_header h = { .flags = 2, .page_size = 512, .commit = 1, .min_txid = 1, .max_txid = 1,
	                        .timestamp_ms = 1700000000123, .wal_offset = 32, .wal_size = 536,
	                        .wal_salt1 = 0x11223344, .wal_salt2 = 0x55667788 };
	uint8_t block[515] = { 0xf0, 0xff, 0xf2 };
	struct err e = ERR_INIT;
	struct kit k;

	for (int i = 0; i < 512; i++)
		block[3 + i] = page[i] = (uint8_t)i;
	CHECK_OK(begin(&h, &e), &e);
	CHECK_OK(ltx_encoder_block(&en, 1, page, block, 515, &e), &e);
	CHECK_OK(ltx_encoder_end(&en, 0, NULL, &e), &e);
	CHECK_INT(out.len, 660);
	CHECK_MEM(out.data + 0x64, "\0\0\0\1\0\1\0\0\2\3\xf0\xff\xf2\0\1\2", 16);
	CHECK_INT(out.data[0x270], 0xff);
	CHECK_MEM(out.data + 0x271, tail, sizeof tail);
	CHECK_OK(kit_verify(&out, NULL, &e), &e);
	/* The second opinion makes the same bytes. */
	kit_begin(&k, &h);
	kit_page(&k, 1, page);
	kit_end(&k);
	CHECK_INT(k.out.len, out.len);
	CHECK_MEM(k.out.data, out.data, out.len);
	kit_free(&k);
}

struct seen {
	int count;
	uint32_t pgno[8];
};

static int see(void *ctx, const struct ltx_index_entry *entry, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	s->pgno[s->count++ & 7] = entry->pgno;
	return 0;
}

/* Every page size, there and back, in all ways of reading. */
TEST(round_trip)
{
	static const uint32_t pgnos[] = { 1, 2, 7, 127, 128, 16384, 70000 };
	static uint8_t want[LTX_PAGE_SIZE_MAX];

	for (uint32_t size = 512; size <= 65536; size *= 2) {
		struct ltx_header h = kit_header(size, 5, 9, 70000);
		struct ltx_decoder d;
		struct seen s = { 0 };
		struct err e = ERR_INIT;
		uint32_t pgno;

		mem_free(&out);
		CHECK_OK(kit_encode(&out, &h, pgnos, 7, size, &e), &e);
		out.chunk = size / 3;
		CHECK_OK(ltx_decoder_begin(&d, mem_source(&out), frame, &e), &e);
		for (int i = 0; i < 7; i++) {
			CHECK_INT(ltx_decoder_next(&d, &pgno, page, &e), 1);
			CHECK_INT(pgno, pgnos[i]);
			kit_fill(want, size, size + pgno);
			CHECK_MEM(page, want, size);
			CHECK(d.block_size > size / 2 && d.block_size < size);
		}
		CHECK_INT(ltx_decoder_next(&d, &pgno, page, &e), 0);
		CHECK_OK(ltx_decoder_end(&d, &e), &e);
		CHECK_INT(d.offset, out.len);
		CHECK_OK(ltx_index_walk(mem_random(&out), &h, see, &s, &e), &e);
		CHECK_INT(s.count, 7);
		CHECK_INT(h.max_txid, 9);
		for (int i = 6; i >= 0; i--) {
			CHECK_INT(s.pgno[i], pgnos[i]);
			CHECK_INT(ltx_page_read(mem_random(&out), pgnos[i], page, frame, &e), 1);
			kit_fill(want, size, size + pgnos[i]);
			CHECK_MEM(page, want, size);
		}
		CHECK_INT(ltx_page_read(mem_random(&out), 3, page, frame, &e), 0);
		CHECK_INT(ltx_page_read(mem_random(&out), 80000, page, frame, &e), 0);
	}
}

TEST(incompressible_and_empty_pages)
{
	struct err e = ERR_INIT;

	for (uint32_t size = 512; size <= 65536; size *= 2) {
		struct ltx_header h = kit_header(size, 1, 1, 2);
		uint64_t v = size;
		CHECK_OK(begin(&h, &e), &e);
		for (uint32_t i = 0; i < size; i++) {
			v = v * UINT64_C(6364136223846793005) + 1442695040888963407;
			page[i] = (uint8_t)(v >> 56);
		}
		CHECK_OK(ltx_encoder_page(&en, 1, page, &e), &e);
		CHECK(en.offset > 110 + size && en.offset <= 110 + ltx_block_bound(size));
		memset(page, 0, size);
		CHECK_OK(ltx_encoder_page(&en, 2, page, &e), &e);
		CHECK_OK(ltx_encoder_end(&en, 0, NULL, &e), &e);
		CHECK_OK(kit_verify(&out, NULL, &e), &e);
	}
}

#define REFUSED(call, words)                                                                              \
	do {                                                                                              \
		err_clear(&e);                                                                            \
		CHECK_INT(call, -1);                                                                      \
		CHECK_STR(e.text, words);                                                                 \
		CHECK_INT(e.code, ERR_CORRUPT);                                                           \
	} while (0)

TEST(order_is_kept)
{
	struct ltx_header h = kit_header(512, 2, 2, 5);
	struct err e = ERR_INIT;

	CHECK_OK(begin(&h, &e), &e);
	CHECK_OK(ltx_encoder_page(&en, 3, page, &e), &e);
	REFUSED(ltx_encoder_page(&en, 3, page, &e), "page 3 follows page 3");
	REFUSED(ltx_encoder_page(&en, 2, page, &e), "page 2 follows page 3");
	REFUSED(ltx_encoder_page(&en, 6, page, &e), "page 6 is beyond the database's 5 pages");
	REFUSED(ltx_encoder_block(&en, 3, page, page, 5, &e), "page 3 follows page 3");
	CHECK_OK(begin(&h, &e), &e);
	REFUSED(ltx_encoder_page(&en, 0, page, &e), "page 0 follows page 0");
	h.commit = 3000000;
	CHECK_OK(begin(&h, &e), &e);
	CHECK_OK(ltx_encoder_page(&en, 2097152, page, &e), &e);
	REFUSED(ltx_encoder_page(&en, 2097153, page, &e), "page 2097153 is the lock page, which is never stored");
	CHECK_OK(ltx_encoder_page(&en, 2097154, page, &e), &e);
	CHECK_OK(ltx_encoder_end(&en, 0, NULL, &e), &e);
	CHECK_OK(kit_verify(&out, NULL, &e), &e);
}

TEST(snapshots_have_no_holes)
{
	struct ltx_header h = kit_header(512, 1, 4, 3);
	struct err e = ERR_INIT;

	CHECK_OK(begin(&h, &e), &e);
	REFUSED(ltx_encoder_page(&en, 2, page, &e), "the snapshot lacks page 1");
	CHECK_OK(begin(&h, &e), &e);
	REFUSED(ltx_encoder_end(&en, 0, NULL, &e), "the snapshot lacks page 1");
	CHECK_OK(begin(&h, &e), &e);
	CHECK_OK(ltx_encoder_page(&en, 1, page, &e), &e);
	REFUSED(ltx_encoder_page(&en, 3, page, &e), "the snapshot lacks page 2");
	CHECK_OK(ltx_encoder_page(&en, 2, page, &e), &e);
	REFUSED(ltx_encoder_end(&en, 0, NULL, &e), "the snapshot lacks page 3");
}

TEST(deletion_is_not_written)
{
	struct ltx_header h = kit_header(512, 1, 1, 0);
	struct err e = ERR_INIT;

	REFUSED(begin(&h, &e), "a file that removes the database is not written");
}

TEST(file_without_pages)
{
	struct ltx_header h = kit_header(512, 3, 3, 5);
	struct err e = ERR_INIT;
	int n;

	CHECK_OK(begin(&h, &e), &e);
	CHECK_OK(ltx_encoder_end(&en, 0, NULL, &e), &e);
	CHECK_INT(out.len, LTX_FILE_SIZE_MIN);
	CHECK_OK(kit_verify(&out, NULL, &e), &e);
	CHECK_OK(kit_walk(&out, &n, &e), &e);
	CHECK_INT(n, 0);
}

TEST(database_checksums)
{
	struct ltx_header h = { .page_size = 512, .commit = 2, .min_txid = 1, .max_txid = 1 };
	uint64_t sum = LTX_CHECKSUM_FLAG;
	struct err e = ERR_INIT;

	for (int with = 0; with < 4; with++) {
		CHECK_OK(begin(&h, &e), &e);
		for (uint32_t i = 1; i <= 2; i++) {
			kit_fill(page, 512, i);
			sum = (i == 1 ? LTX_CHECKSUM_FLAG : sum) ^ ltx_page_checksum(i, page, 512);
			sum |= LTX_CHECKSUM_FLAG;
			CHECK_OK(ltx_encoder_page(&en, i, page, &e), &e);
		}
		switch (with) {
		case 0:
			CHECK_OK(ltx_encoder_end(&en, sum, NULL, &e), &e);
			CHECK_OK(kit_verify(&out, NULL, &e), &e);
			break;
		case 1:
			CHECK_INT(ltx_encoder_end(&en, sum ^ 1, NULL, &e), -1);
			CHECK(strstr(e.text, "but the pages make"));
			break;
		case 2:
			REFUSED(ltx_encoder_end(&en, 0, NULL, &e),
			        "post-apply checksum 0000000000000000 lacks its highest bit");
			break;
		case 3:
			CHECK_INT(ltx_encoder_end(&en, sum & INT64_MAX, NULL, &e), -1);
			break;
		}
	}
	/* Not a snapshot: whatever the caller knows. */
	h.min_txid = h.max_txid = 2;
	h.pre_apply = LTX_CHECKSUM_FLAG | 5;
	CHECK_OK(begin(&h, &e), &e);
	CHECK_OK(ltx_encoder_end(&en, LTX_CHECKSUM_FLAG | 6, NULL, &e), &e);
	CHECK_OK(kit_verify(&out, NULL, &e), &e);
	h.flags = LTX_FLAG_NO_CHECKSUM;
	h.pre_apply = 0;
	CHECK_OK(begin(&h, &e), &e);
	CHECK_INT(ltx_encoder_end(&en, LTX_CHECKSUM_FLAG, NULL, &e), -1);
	CHECK(strstr(e.text, "but the file has no database checksums"));
}

/* An output or an index store that fails at any call fails the encoder with the same words. */
TEST(failing_ends)
{
	struct ltx_header h = kit_header(512, 1, 1, 2);
	struct err e = ERR_INIT;
	int failed = 0;

	for (size_t n = 1; n <= 12; n++) {
		int rc = begin(&h, &e);
		out.fail = n > 6 ? 0 : n + 1; /* begin was call 1 */
		idx.fail = n > 6 ? n - 6 : 0;
		for (uint32_t i = 1; i <= 2 && rc == 0; i++)
			rc = ltx_encoder_page(&en, i, page, &e);
		if (rc == 0)
			rc = ltx_encoder_end(&en, 0, NULL, &e);
		if (rc != 0) {
			CHECK_STR(e.text, "the memory is on strike");
			failed++;
		}
	}
	/* out: two pages, end marker, index, its end, trailer; index: two appends, one read. */
	CHECK_INT(failed, 6 + 3);
}

/* Through buffers of any size, the bytes are the same; the sink behind sees whole buffers. */
TEST(gathered)
{
	static const uint32_t pgnos[] = { 1, 2, 3, 4, 5 };
	struct ltx_header h = kit_header(1024, 1, 1, 5);
	struct err e = ERR_INIT;
	struct mem plain = { .data = NULL }, got = { .data = NULL };
	static const size_t caps[] = { 1, 7, 100, 1000, 4096, 65536 };

	CHECK_OK(kit_encode(&plain, &h, pgnos, 5, 3, &e), &e);
	for (size_t i = 0; i < 6; i++) {
		struct ltx_gather g;
		struct ltx_buffered b;
		uint8_t *buf = malloc(caps[i]);

		mem_free(&got);
		mem_free(&idx);
		ltx_gather_init(&g, mem_sink(&got), buf, caps[i]);
		CHECK_OK(ltx_encoder_begin(&en, &h, ltx_gather_sink(&g), mem_index(&idx), frame, &e), &e);
		for (uint32_t p = 1; p <= 5; p++) {
			kit_fill(page, 1024, 3 + p);
			CHECK_OK(ltx_encoder_page(&en, p, page, &e), &e);
		}
		CHECK_OK(ltx_encoder_end(&en, 0, NULL, &e), &e);
		CHECK_OK(ltx_gather_flush(&g, &e), &e);
		CHECK_OK(ltx_gather_flush(&g, &e), &e);
		CHECK_INT(got.len, plain.len);
		CHECK_INT(got.reads, (got.len + caps[i] - 1) / caps[i]);
		CHECK_MEM(got.data, plain.data, plain.len);
		got.reads = 0;
		ltx_buffered_init(&b, mem_source(&got), buf, caps[i]);
		CHECK_OK(ltx_verify(ltx_buffered_source(&b), frame, page, NULL, NULL, NULL, &e), &e);
		if (caps[i] >= 1000)
			CHECK(got.reads <= got.len / caps[i] + 12);
		free(buf);
	}
	mem_free(&plain);
	mem_free(&got);
}

TEST_MAIN
