/* SPDX-License-Identifier: MIT */
/*
 * Defects behind the pages, each alone: the index, the checksums of file and database, bytes too many; a source that
 * fails, a bit that flips anywhere, and the worked examples.
 */
#include "tests/support/ltx_defect.h"

static uint8_t page[LTX_PAGE_SIZE_MAX], zeros[LTX_PAGE_SIZE_MAX];

static struct kit start(uint64_t txid, uint32_t commit)
{
	return defect_start(txid, commit, page);
}

/* Two pages at 100 and 625, 525 bytes each, and an index of the test's own. */
static struct kit two_pages(void)
{
	struct kit k = start(2, 9);

	k.no_index_entries = true;
	kit_page(&k, 3, page);
	kit_page(&k, 4, page);
	return k;
}

#define INDEX(words, ...)                                                                                 \
	do {                                                                                              \
		struct kit k = two_pages();                                                               \
		__VA_ARGS__;                                                                              \
		kit_end(&k);                                                                              \
		mem_free(&k.index);                                                                       \
		REJECT(&k.out, words);                                                                    \
	} while (0)

TEST(index_disagrees)
{
	struct kit good = two_pages();

	kit_entry(&good, 3, 100, 525);
	kit_entry(&good, 4, 625, 525);
	kit_end(&good);
	mem_free(&good.index);
	ACCEPT(&good.out);
	INDEX("page index at bytes 1156 to 1165 does not list the 2 pages as they are",
	      kit_entry(&k, 4, 625, 525), kit_entry(&k, 3, 100, 525));
	INDEX("does not list the 2 pages as they are", kit_entry(&k, 3, 101, 525), kit_entry(&k, 4, 625, 525));
	INDEX("does not list the 2 pages as they are", kit_entry(&k, 3, 100, 526), kit_entry(&k, 4, 625, 525));
	INDEX("does not list the 2 pages as they are", kit_entry(&k, 2, 100, 525), kit_entry(&k, 4, 625, 525));
	INDEX("does not list the 2 pages as they are", kit_entry(&k, 4, 625, 525));
	INDEX("does not list the 2 pages as they are", (void)0);
	INDEX("page index does not end at byte 1165, behind the last of 2 pages",
	      kit_entry(&k, 3, 100, 525), kit_entry(&k, 4, 625, 525), kit_entry(&k, 5, 1150, 525));
	/* Not the shortest form of a number. */
	INDEX("does not list the 2 pages as they are",
	      mem_add(&k.index, "\x83\0\x64\x8d\4", 5), kit_entry(&k, 4, 625, 525));
	/* A number beyond 64 bits, a page number beyond 32. */
	INDEX("does not list", mem_add(&k.index, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x64\x8d\4", 13));
	INDEX("does not list", kit_entry(&k, UINT64_C(0x100000003), 100, 525), kit_entry(&k, 4, 625, 525));
}

TEST(index_without_terminator)
{
	struct kit k = two_pages();
	uint8_t size[8] = { 0, 0, 0, 0, 0, 0, 0, 10 };

	kit_entry(&k, 3, 100, 525);
	kit_entry(&k, 4, 625, 525);
	kit_raw(&k, zeros, 6, true);
	kit_raw(&k, k.index.data, k.index.len, true);
	kit_raw(&k, size, 8, true);
	kit_trailer(&k, 0);
	mem_free(&k.index);
	REJECT(&k.out, "page index"); /* 00 is there, of the size; the size then is not */
	k = two_pages();
	kit_entry(&k, 3, 100, 525);
	kit_entry(&k, 4, 625, 525);
	kit_raw(&k, zeros, 6, true);
	kit_raw(&k, k.index.data, k.index.len, true);
	kit_raw(&k, "\1", 1, true);
	kit_raw(&k, size, 8, true);
	kit_trailer(&k, 0);
	mem_free(&k.index);
	REJECT(&k.out, "page index does not end at byte 1165, behind the last of 2 pages");
}

TEST(index_size)
{
	static const uint64_t off[] = { 1, UINT64_MAX, UINT64_C(1) << 60, UINT64_C(1) << 63, (uint64_t)-10 };

	for (size_t i = 0; i < 5; i++) {
		struct kit k = two_pages();
		kit_entry(&k, 3, 100, 525);
		kit_entry(&k, 4, 625, 525);
		kit_index(&k, off[i]);
		kit_trailer(&k, 0);
		mem_free(&k.index);
		REJECT(&k.out, "page index size at byte 1166 is ");
	}
}

TEST(post_apply_rules)
{
	struct ltx_header h = kit_header(512, 2, 2, 9);
	struct kit k = start(2, 9);

	kit_index(&k, 0);
	kit_trailer(&k, 1);
	REJECT(&k.out, "post-apply checksum is 0000000000000001, but the file has no database checksums");
	k = start(2, 9);
	kit_index(&k, 0);
	kit_trailer(&k, LTX_CHECKSUM_FLAG);
	REJECT(&k.out, "but the file has no database checksums");
	h.flags = 0;
	h.pre_apply = LTX_CHECKSUM_FLAG;
	for (uint64_t post = 0; post < 2; post++) {
		kit_begin(&k, &h);
		kit_index(&k, 0);
		kit_trailer(&k, post);
		REJECT(&k.out, "lacks its highest bit");
	}
	kit_begin(&k, &h);
	kit_index(&k, 0);
	kit_trailer(&k, LTX_CHECKSUM_FLAG | 77);
	ACCEPT(&k.out);
	/* An empty database has one checksum only. */
	h.commit = 0;
	kit_begin(&k, &h);
	kit_index(&k, 0);
	kit_trailer(&k, LTX_CHECKSUM_FLAG | 77);
	REJECT(&k.out, "is not that of an empty database");
	kit_begin(&k, &h);
	kit_index(&k, 0);
	kit_trailer(&k, LTX_CHECKSUM_FLAG);
	ACCEPT(&k.out);
	h = kit_header(512, 2, 2, 0);
	kit_begin(&k, &h);
	kit_end(&k);
	ACCEPT(&k.out);
}

TEST(file_checksum)
{
	struct kit k = start(2, 9);

	kit_end(&k);
	k.out.data[130] ^= 1;
	REJECT(&k.out, "file checksum mismatch: the trailer says ");
	k = start(2, 9);
	kit_end(&k);
	k.out.data[123] &= 0x7f;
	REJECT(&k.out, "lacks its highest bit");
	k = start(2, 9);
	kit_end(&k);
	k.out.data[39] ^= 1; /* the timestamp has no rule of its own */
	REJECT(&k.out, "file checksum mismatch");
}

TEST(database_checksum_of_a_snapshot)
{
	struct ltx_header h = kit_header(512, 1, 1, 2);
	uint64_t sum = LTX_CHECKSUM_FLAG;

	h.flags = 0;
	for (int wrong = 0; wrong < 2; wrong++) {
		struct kit k;
		kit_begin(&k, &h);
		for (uint32_t i = 1; i <= 2; i++) {
			uint8_t number[4] = { 0, 0, 0, (uint8_t)i };
			kit_fill(page, 512, i);
			kit_page(&k, i, page);
			if (!wrong)
				sum = LTX_CHECKSUM_FLAG | (sum ^ kit_crc64(kit_crc64(0, number, 4), page, 512));
		}
		kit_index(&k, 0);
		kit_trailer(&k, sum ^ (uint64_t)wrong);
		mem_free(&k.index);
		if (wrong)
			REJECT(&k.out, "but the pages make");
		else
			ACCEPT(&k.out);
	}
}

TEST(trailing_data)
{
	struct kit k = start(2, 9);

	kit_end(&k);
	mem_add(&k.out, "!", 1);
	REJECT(&k.out, "trailing data follows the end of the file at byte 131");
}

/* A source that fails is not a corrupt file: its own error comes through, from any read. */
TEST(failing_source)
{
	struct kit k = start(2, 9);
	struct err e = ERR_INIT;
	size_t calls;

	kit_page(&k, 3, page);
	kit_page_frame(&k, 4, page);
	kit_end(&k);
	CHECK_OK(kit_verify(&k.out, NULL, &e), &e);
	calls = k.out.reads;
	for (size_t n = 1; n <= calls; n++) {
		k.out.reads = 0;
		k.out.fail = n;
		CHECK_INT(kit_verify(&k.out, NULL, &e), -1);
		CHECK_STR(e.text, "the memory is on strike");
	}
	k.out.reads = 0;
	k.out.fail = calls + 1;
	CHECK_OK(kit_verify(&k.out, NULL, &e), &e);
	kit_free(&k);
}

/*
 * Any flipped bit is noticed, but for bits in compressed bytes that do not change what they unpack to: the format has
 * no checksum over those.
 */
TEST(flip_anywhere)
{
	static const uint32_t pgnos[] = { 1, 2, 3 };
	struct ltx_header h = kit_header(512, 1, 1, 3);
	struct mem m = { .data = NULL };
	struct err e = ERR_INIT;
	size_t harmless = 0;

	CHECK_OK(kit_encode(&m, &h, pgnos, 3, 7, &e), &e);
	for (size_t bit = 0; bit < m.len * 8; bit++) {
		m.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (kit_verify(&m, NULL, &e) == 0) {
			CHECK(bit / 8 >= 110 && bit / 8 < m.len - 45);
			harmless++;
		}
		m.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK(harmless <= 3 * 16);
	CHECK_OK(kit_verify(&m, NULL, &e), &e);
	mem_free(&m);
}

/* 9.2, 9.3, 9.5: files of the Go library. */
TEST(worked_examples)
{
	static const uint8_t block[] = { 0x1f, 0x31, 1, 0, 0xff, 0xda, 0, 2, 0, 0, 2, 0, 0xb0, 0x31, 0x31, 0x31, 0x31,
	                                 0x31,
	                                 0x31, 0x31, 0x31, 0x31, 0x31, 0x31 };
	static const uint8_t go_end[] = { 0, 0, 0, 0, 0, 0, 1, 0x64, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 4,
	                                  0xeb, 0x1a, 0x99, 0x92, 0x31, 4, 0x4d, 0xdd, 0xbc, 0xa7, 0xfa, 0xcc, 0x31,
	                                  0x21, 0x44, 0xc6 };
	static const uint8_t old_head[] = { 0, 0, 0, 1, 0, 0, 4, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0x18, 0, 0, 0 };
	static const uint8_t old_end[] = { 0, 0, 0, 0, 0x5e, 0x2d, 0x21, 0x98, 0, 0, 0, 0, 0, 0, 1, 0x64, 0x31, 0,
	                                   0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0xf6, 0xd0, 0x8b, 0xe7, 0x3e,
	                                   0x53, 0x97, 0x84 };
	static const uint8_t gone_end[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0,
	                                    0xef, 0x75, 0x2d, 0x54, 0x4a, 0xc8, 0xc4, 0x8f };
	struct ltx_header h = { .page_size = 512, .commit = 1, .min_txid = 1, .max_txid = 1, .timestamp_ms = 1000 };
	struct kit k;

	kit_begin(&k, &h);
	mem_add(&k.out, "\0\0\0\1\0\1\0\0\0\x18", 10);
	mem_add(&k.out, block, sizeof block);
	mem_add(&k.out, go_end, sizeof go_end);
	CHECK_INT(k.out.len, 168);
	ACCEPT(&k.out);
	h.flags = LTX_FLAG_NO_CHECKSUM;
	kit_begin(&k, &h);
	mem_add(&k.out, old_head, sizeof old_head);
	mem_add(&k.out, block, sizeof block);
	mem_add(&k.out, old_end, sizeof old_end);
	CHECK_INT(k.out.len, 183);
	ACCEPT(&k.out);
	h = (struct ltx_header){ .page_size = 512, .min_txid = 1, .max_txid = 1 };
	kit_begin(&k, &h);
	mem_add(&k.out, gone_end, sizeof gone_end);
	CHECK_INT(k.out.len, 131);
	ACCEPT(&k.out);
}

TEST_MAIN
