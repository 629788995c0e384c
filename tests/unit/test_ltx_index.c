/* SPDX-License-Identifier: MIT */
/* What can be told from header, page index and trailer alone, and single pages read through the index. */
#include "tests/check.h"
#include "tests/support/ltxkit.h"

static uint8_t page[LTX_PAGE_SIZE_MAX], frame[LTX_FRAME_MAX], zeros[600];

#define REJECT(m, words)                                                                                  \
	do {                                                                                              \
		struct err e_ = ERR_INIT;                                                                 \
		int n_;                                                                                   \
		CHECK_INT(kit_walk((m), &n_, &e_), -1);                                                   \
		if (!strstr(e_.text, words))                                                              \
			CHECK_FAIL("\"%s\" in \"%s\"", words, e_.text);                                   \
		CHECK_INT(e_.code, ERR_CORRUPT);                                                          \
		mem_free(m);                                                                              \
	} while (0)

/* Pages 3 and 4 at 100 and 625, 525 bytes each; the index is the test's. */
static struct kit two_pages(uint64_t txid)
{
	struct ltx_header h = kit_header(512, txid, txid, 9);
	struct kit k;

	kit_begin(&k, &h);
	kit_fill(page, 512, 1);
	k.no_index_entries = true;
	kit_page(&k, 3, page);
	kit_page(&k, 4, page);
	return k;
}

static struct mem good(void)
{
	struct kit k = two_pages(2);

	kit_entry(&k, 3, 100, 525);
	kit_entry(&k, 4, 625, 525);
	kit_end(&k);
	mem_free(&k.index);
	return k.out;
}

TEST(good_index)
{
	struct mem m = good();
	struct err e = ERR_INIT;
	int n;

	CHECK_OK(kit_walk(&m, &n, &e), &e);
	CHECK_INT(n, 2);
	mem_free(&m);
}

TEST(too_short)
{
	struct mem m = { .data = NULL };

	REJECT(&m, "file is empty");
	m = good();
	m.len = 130;
	REJECT(&m, "file is truncated: it has only 130 bytes");
}

TEST(header_and_trailer_are_checked)
{
	struct mem m = good();

	m.data[0] = 'M';
	REJECT(&m, "not an LTX file");
	m = good();
	m.data[23] = 0;
	REJECT(&m, "minimum TXID 0");
	m = good();
	m.data[m.len - 16] = 0x80;
	REJECT(&m, "post-apply checksum");
	m = good();
	m.data[m.len - 8] &= 0x7f;
	REJECT(&m, "lacks its highest bit");
}

TEST(index_size)
{
	/* of a file of 1190 bytes: 1 to 1060 are possible, 10 is right */
	static const uint64_t impossible[] = { 0, 1061, UINT64_C(1) << 60, UINT64_C(1) << 63, UINT64_MAX };
	static const uint64_t wrong[] = { 1, 9, 11, 1000, 1060 };

	for (size_t i = 0; i < 5; i++) {
		struct kit k = two_pages(2);
		kit_entry(&k, 3, 100, 525);
		kit_entry(&k, 4, 625, 525);
		kit_index(&k, impossible[i] - 10);
		kit_trailer(&k, 0);
		mem_free(&k.index);
		CHECK_INT(k.out.len, 1190);
		REJECT(&k.out, "which the file has no room for");
	}
	for (size_t i = 0; i < 5; i++) {
		struct kit k = two_pages(2);
		kit_entry(&k, 3, 100, 525);
		kit_entry(&k, 4, 625, 525);
		kit_index(&k, wrong[i] - 10);
		kit_trailer(&k, 0);
		mem_free(&k.index);
		REJECT(&k.out, wrong[i] > 9 ? "no end marker before the page index, at byte " : "page index");
	}
}

#define INDEX(words, ...)                                                                                 \
	do {                                                                                              \
		struct kit k = two_pages(2);                                                              \
		__VA_ARGS__;                                                                              \
		kit_end(&k);                                                                              \
		mem_free(&k.index);                                                                       \
		REJECT(&k.out, words);                                                                    \
	} while (0)

TEST(entries)
{
	INDEX("page index entry at byte 1160: page 3 follows page 4",
	      kit_entry(&k, 4, 100, 525), kit_entry(&k, 3, 625, 525));
	INDEX("page 3 follows page 3", kit_entry(&k, 3, 100, 525), kit_entry(&k, 3, 625, 525));
	INDEX("page index entry at byte 1160: page 10 is beyond",
	      kit_entry(&k, 3, 100, 525), kit_entry(&k, 10, 625, 525));
	INDEX("is for page 4294967299", kit_entry(&k, UINT64_C(0x100000003), 100, 525));
	INDEX("page index entry at byte 1156 puts page 3 at 101, not 100", kit_entry(&k, 3, 101, 525));
	INDEX("puts page 3 at 9223372036854775808, not 100", kit_entry(&k, 3, UINT64_C(1) << 63, 525));
	INDEX("puts page 4 at 624, not 625", kit_entry(&k, 3, 100, 525), kit_entry(&k, 4, 624, 526));
	INDEX("gives page 3 10 bytes", kit_entry(&k, 3, 100, 10));
	INDEX("gives page 3 546 bytes", kit_entry(&k, 3, 100, 546));
	INDEX("gives page 3 9223372036854775808 bytes", kit_entry(&k, 3, 100, UINT64_C(1) << 63));
	INDEX("page index lists pages up to byte 625 instead of 1150", kit_entry(&k, 3, 100, 525));
	INDEX("page index lists pages up to byte 100 instead of 1150", (void)0);
	INDEX("page index lists pages up to byte 1149 instead of 1150",
	      kit_entry(&k, 3, 100, 525), kit_entry(&k, 4, 625, 524));
	INDEX("page index lets page 4 end behind the end marker at byte 1150",
	      kit_entry(&k, 3, 100, 525), kit_entry(&k, 4, 625, 526));
	INDEX("page index lets page 5 end behind",
	      kit_entry(&k, 3, 100, 525), kit_entry(&k, 4, 625, 525), kit_entry(&k, 5, 1150, 11));
	INDEX("malformed number at byte 1165", mem_add(&k.index, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10));
	INDEX("malformed number at byte 1157", mem_add(&k.index, "\x83\0\x64\x8d\4", 5));
	INDEX("page index ends at byte 1156 instead of 1158", mem_add(&k.index, "\0\0", 2));
}

TEST(lock_page_and_holes)
{
	struct ltx_header h = kit_header(65536, 2, 2, 20000);
	struct kit k;

	kit_begin(&k, &h);
	kit_page(&k, 16385, page);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "page 16385 is the lock page");
	k = two_pages(1);
	kit_entry(&k, 1, 100, 525);
	kit_entry(&k, 3, 625, 525);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "the snapshot lacks page 2");
}

TEST(index_without_terminator)
{
	struct kit k = two_pages(2);
	uint8_t size[8] = { 0, 0, 0, 0, 0, 0, 0, 9 };

	kit_entry(&k, 3, 100, 525);
	kit_entry(&k, 4, 625, 525);
	kit_raw(&k, zeros, 6, true);
	kit_raw(&k, k.index.data, k.index.len, true);
	kit_raw(&k, size, 8, true);
	kit_trailer(&k, 0);
	mem_free(&k.index);
	REJECT(&k.out, "page index has no end before byte 1165");
	k = two_pages(2); /* in the middle of a number */
	kit_raw(&k, "\0\0\0\0\0\0\3\x64\x8d", 9, true);
	size[7] = 3;
	kit_raw(&k, size, 8, true);
	kit_trailer(&k, 0);
	mem_free(&k.index);
	REJECT(&k.out, "page index has no end before byte 1159");
}

static int stop(void *ctx, const struct ltx_index_entry *entry, struct err *e)
{
	(void)e;
	++*(int *)ctx;
	return entry->pgno == 3 ? 42 : 0;
}

TEST(walk_ends_when_the_visitor_says_so)
{
	struct mem m = good();
	struct err e = ERR_INIT;
	int n = 0;

	CHECK_INT(ltx_index_walk(mem_random(&m), NULL, stop, &n, &e), 42);
	CHECK_INT(n, 1);
	CHECK_OK(ltx_index_walk(mem_random(&m), NULL, NULL, NULL, &e), &e);
	m.data[1150 + 6 + 5]++;
	CHECK_INT(ltx_index_walk(mem_random(&m), NULL, NULL, NULL, &e), -1);
	mem_free(&m);
}

/* An index of many pieces: entries cross their borders; and so many reads as pieces, not more. */
TEST(long_index)
{
	enum { N = 3000 };
	static uint32_t pgnos[N];
	struct ltx_header h = kit_header(512, 2, 2, 100000);
	struct mem m = { .data = NULL };
	struct err e = ERR_INIT;
	int n;

	for (uint32_t i = 0; i < N; i++)
		pgnos[i] = i * 30 + 1;
	CHECK_OK(kit_encode(&m, &h, pgnos, N, 1, &e), &e);
	m.reads = 0;
	CHECK_OK(kit_walk(&m, &n, &e), &e);
	CHECK_INT(n, N);
	CHECK(m.reads >= 2 + 5 && m.reads <= 2 + N * 9 / 4096 + 1);
	CHECK_INT(ltx_page_read(mem_random(&m), 2999 * 30 + 1, page, frame, &e), 1);
	kit_fill(frame, 512, 1 + 2999 * 30 + 1);
	CHECK_MEM(page, frame, 512);
	CHECK_INT(ltx_page_read(mem_random(&m), 2999 * 30, page, frame, &e), 0);
	mem_free(&m);
}

TEST(pages_of_both_forms)
{
	struct ltx_header h = kit_header(512, 2, 2, 9);
	struct err e = ERR_INIT;
	struct kit k;
	uint8_t want[512];

	kit_begin(&k, &h);
	for (uint32_t i = 1; i <= 4; i++) {
		kit_fill(want, 512, i);
		(i % 2 ? kit_page : kit_page_frame)(&k, i * 2, want);
	}
	kit_end(&k);
	for (uint32_t i = 1; i <= 4; i++) {
		CHECK_INT(ltx_page_read(mem_random(&k.out), i * 2, page, frame, &e), 1);
		kit_fill(want, 512, i);
		CHECK_MEM(page, want, 512);
		CHECK_INT(ltx_page_read(mem_random(&k.out), i * 2 - 1, page, frame, &e), 0);
	}
	CHECK_INT(ltx_page_read(mem_random(&k.out), 0, page, frame, &e), 0);
	kit_free(&k);
}

TEST(page_defects)
{
	struct mem m = good();
	struct err e = ERR_INIT;
	struct kit k;

	m.data[103] = 7;
	CHECK_INT(ltx_page_read(mem_random(&m), 3, page, frame, &e), -1);
	CHECK_STR(e.text, "page index puts page 3 at byte 100, but page 7 is there");
	m.data[103] = 3;
	m.data[105] = 2;
	CHECK_INT(ltx_page_read(mem_random(&m), 3, page, frame, &e), -1);
	CHECK_STR(e.text, "page 3 at byte 100 has unknown flags 0x0002");
	mem_free(&m);
	/* 525 bytes of which the index knows more or fewer: 100 + 526 - 1 byte taken from the next page. */
	k = two_pages(2);
	kit_entry(&k, 3, 100, 526);
	kit_entry(&k, 4, 626, 524);
	kit_end(&k);
	CHECK_INT(ltx_page_read(mem_random(&k.out), 3, page, frame, &e), -1);
	CHECK_STR(e.text, "page index gives page 3 526 bytes, but it has 525");
	kit_free(&k);
	k = two_pages(2);
	kit_entry(&k, 3, 100, 524);
	kit_entry(&k, 4, 624, 526);
	kit_end(&k);
	CHECK_INT(ltx_page_read(mem_random(&k.out), 3, page, frame, &e), -1);
	CHECK_STR(e.text, "page ends at byte 624, in the bytes of a page");
	kit_free(&k);
}

TEST(failing_reads)
{
	struct mem m = good();
	struct err e = ERR_INIT;

	for (size_t n = 1; n <= 4; n++) { /* header, tail, index, page */
		m.reads = 0;
		m.fail = n;
		CHECK_INT(ltx_page_read(mem_random(&m), 3, page, frame, &e), -1);
		CHECK_STR(e.text, "the memory is on strike");
	}
	m.fail = 0;
	m.reads = 0;
	CHECK_INT(ltx_page_read(mem_random(&m), 3, page, frame, &e), 1);
	CHECK_INT(m.reads, 4);
	mem_free(&m);
}

TEST_MAIN
