/* SPDX-License-Identifier: MIT */
#include "lib/ltx/internal.h"
#include "tests/check.h"
#include "tests/support/ltxkit.h"

enum { MAX = 8, SIZE = 512 };

static struct mem in[MAX], out;
static struct ltx_merge_input inputs[MAX];
static struct ltx_encoder en;
static struct ltx_trailer trailer;
static uint8_t page[LTX_PAGE_SIZE_MAX], frame[LTX_FRAME_MAX];
static struct err e;

static void clear(void)
{
	for (int i = 0; i < MAX; i++)
		mem_free(&in[i]);
	err_clear(&e);
}

/* Input i: these TXIDs and commit, and pages (kit_fill with 100 * i + pgno) of the numbers up to 0. */
static void file(int i, uint64_t min, uint64_t max, uint32_t commit, const uint32_t *pgnos)
{
	struct ltx_header h = kit_header(SIZE, min, max, commit);
	int n = 0;

	h.timestamp_ms = 1000 + i;
	h.wal_offset = 32;
	h.wal_salt1 = 7;
	h.node_id = 9;
	while (pgnos[n])
		n++;
	mem_free(&in[i]);
	if (kit_encode(&in[i], &h, pgnos, n, 100 * (uint32_t)i, &e))
		mem_free(&in[i]); /* the merge will say that it is empty */
}
#define PAGES(...) (const uint32_t[]){ __VA_ARGS__ __VA_OPT__(,) 0 }

static int merge(int count)
{
	struct mem idx = { .data = NULL };
	int rc;

	mem_free(&out);
	for (int i = 0; i < count; i++) {
		in[i].pos = 0;
		inputs[i].source = mem_source(&in[i]);
		inputs[i].page = malloc(LTX_PAGE_SIZE_MAX);
		inputs[i].frame = malloc(LTX_FRAME_MAX);
	}
	rc = ltx_merge(inputs, count, &en, mem_sink(&out), mem_index(&idx), frame, &trailer, &e);
	for (int i = 0; i < count; i++) {
		free(inputs[i].page);
		free(inputs[i].frame);
	}
	mem_free(&idx);
	return rc;
}

/* The merged file as text: "pgno:input pgno:input ...", after it was verified. */
static const char *text(void)
{
	static char s[1024];
	struct ltx_decoder d;
	uint32_t pgno;
	size_t n = 0;
	int rc;

	out.pos = 0;
	s[0] = 0;
	if (ltx_decoder_begin(&d, mem_source(&out), frame, &e))
		return e.text;
	while ((rc = ltx_decoder_next(&d, &pgno, page, &e)) > 0) {
		int from = -1;
		for (uint32_t i = 0; i < MAX; i++) {
			uint8_t want[SIZE];
			kit_fill(want, SIZE, 100 * i + pgno);
			if (memcmp(want, page, SIZE) == 0)
				from = (int)i;
		}
		n += (size_t)snprintf(s + n, sizeof s - n, "%s%u:%d", n ? " " : "", pgno, from);
	}
	return rc < 0 || ltx_decoder_end(&d, &e) ? e.text : s;
}

TEST(newest_wins)
{
	struct ltx_header h;
	int n;

	clear();
	file(0, 1, 1, 4, PAGES(1, 2, 3, 4));
	file(1, 2, 2, 4, PAGES(1, 3));
	file(2, 3, 5, 6, PAGES(1, 5, 6));
	CHECK_OK(merge(3), &e);
	CHECK_STR(text(), "1:2 2:0 3:1 4:0 5:2 6:2");
	CHECK_INT(en.offset, out.len);
	CHECK_OK(ltx_header_decode(out.data, &h, &e), &e);
	CHECK_INT(h.flags, LTX_FLAG_NO_CHECKSUM);
	CHECK_INT(h.page_size, SIZE);
	CHECK_INT(h.commit, 6);
	CHECK_INT(h.min_txid, 1);
	CHECK_INT(h.max_txid, 5);
	CHECK_INT(h.timestamp_ms, 1002);
	CHECK(h.pre_apply == 0 && h.wal_offset == 0 && h.wal_size == 0 && h.wal_salt1 == 0 && h.wal_salt2 == 0 &&
	      h.node_id == 0);
	CHECK_INT(trailer.post_apply, UINT64_C(0));
	CHECK_INT(trailer.checksum, ltx_get64(out.data + out.len - 8));
	CHECK_OK(kit_walk(&out, &n, &e), &e);
	CHECK_INT(n, 6);
}

TEST(one_input)
{
	clear();
	file(0, 7, 9, 4, PAGES(2, 4));
	CHECK_OK(merge(1), &e);
	CHECK_STR(text(), "2:0 4:0");
	file(0, 7, 9, 4, PAGES());
	CHECK_OK(merge(1), &e);
	CHECK_STR(text(), "");
}

TEST(what_may_follow_what)
{
	static const struct { uint64_t prev, min, max; const char *why; } rows[] = {
		{ 5, 6, 6, NULL },
		{ 5, 6, 9, NULL },
		{ 5, 3, 9, NULL },
		{ 5, 1, 6, NULL },
		{ 5, 7, 9,
		  "0000000000000007-0000000000000009.ltx: "
		  "TXIDs from 0000000000000006 to 0000000000000006 are missing before it" },
		{ 5, 9, 9,
		  "0000000000000009-0000000000000009.ltx: "
		  "TXIDs from 0000000000000006 to 0000000000000008 are missing before it" },
		{ 5, 3, 5,
		  "0000000000000003-0000000000000005.ltx: "
		  "it does not go beyond TXID 0000000000000005 of the file before" },
		{ 5, 3, 4, "it does not go beyond" },
		{ 5, 1, 5, "it does not go beyond" },
		{ UINT64_MAX, 6, 6, "it does not go beyond" },
		{ UINT64_MAX, UINT64_MAX, UINT64_MAX, "it does not go beyond" },
		{ UINT64_MAX - 1, UINT64_MAX, UINT64_MAX, NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		clear();
		file(0, 2, rows[i].prev, 3, PAGES(2));
		file(1, rows[i].min, rows[i].max, 3, rows[i].min == 1 ? PAGES(1, 2, 3) : PAGES(3));
		if (!rows[i].why) {
			CHECK_OK(merge(2), &e);
			continue;
		}
		CHECK_INT(merge(2), -1);
		CHECK_INT(e.code, rows[i].max > rows[i].prev ? ERR_GAP : ERR_CORRUPT);
		if (!strstr(e.text, rows[i].why))
			CHECK_FAIL("\"%s\" in \"%s\"", rows[i].why, e.text);
	}
}

/* Only the last commit filters. */
TEST(shrink)
{
	clear();
	file(0, 1, 1, 6, PAGES(1, 2, 3, 4, 5, 6));
	file(1, 2, 2, 3, PAGES(1, 3));
	CHECK_OK(merge(2), &e);
	CHECK_STR(text(), "1:1 2:0 3:1");
}

TEST(shrink_and_regrow)
{
	clear();
	file(0, 1, 1, 6, PAGES(1, 2, 3, 4, 5, 6));
	file(1, 2, 2, 3, PAGES(1));
	file(2, 3, 3, 6, PAGES(1, 6));
	CHECK_OK(merge(3), &e);
	CHECK_STR(text(), "1:2 2:0 3:0 4:0 5:0 6:2"); /* 4 and 5 are back from the file before the shrink */
}

TEST(snapshot_with_a_hole_is_not_made)
{
	clear();
	file(0, 1, 1, 3, PAGES(1, 2, 3));
	file(1, 2, 2, 6, PAGES(1, 6));
	CHECK_INT(merge(2), -1);
	CHECK_STR(e.text, "the snapshot lacks page 4");
	file(1, 2, 2, 6, PAGES(1, 4, 5));
	CHECK_INT(merge(2), -1);
	CHECK_STR(e.text, "the snapshot lacks page 6");
	/* Not a snapshot: holes are its nature. */
	file(0, 2, 2, 3, PAGES(1, 3));
	file(1, 3, 3, 6, PAGES(6));
	CHECK_OK(merge(2), &e);
	CHECK_STR(text(), "1:0 3:0 6:1");
}

TEST(page_sizes_must_agree)
{
	struct ltx_header h = kit_header(1024, 2, 2, 1);

	clear();
	file(0, 1, 1, 1, PAGES(1));
	CHECK_OK(kit_encode(&in[1], &h, PAGES(1), 1, 0, &e), &e);
	CHECK_INT(merge(2), -1);
	CHECK_STR(e.text, "0000000000000002-0000000000000002.ltx: page size is 1024, that of the file before is 512");
}

TEST(broken_inputs)
{
	clear();
	file(0, 1, 1, 3, PAGES(1, 2, 3));
	file(1, 2, 2, 3, PAGES(1));
	file(2, 3, 3, 3, PAGES(3));
	in[1].data[0]++;
	CHECK_INT(merge(3), -1);
	CHECK_STR(e.text, "input 2 of 3: not an LTX file: it starts with 4d545831 instead of 4c545831");
	in[1].data[0]--;
	/* A damage that only the very end of an input shows. */
	for (int i = 0; i < 3; i++) {
		char words[120];
		in[i].data[in[i].len - 1] ^= 1;
		CHECK_INT(merge(3), -1);
		snprintf(words, sizeof words, "000000000000000%d-000000000000000%d.ltx: file checksum mismatch", i + 1,
		         i + 1);
		if (!strstr(e.text, words))
			CHECK_FAIL("\"%s\" in \"%s\"", words, e.text);
		CHECK_INT(e.code, ERR_CORRUPT);
		in[i].data[in[i].len - 1] ^= 1;
	}
	in[2].len--;
	CHECK_INT(merge(3), -1);
	CHECK(strstr(e.text, "0000000000000003-0000000000000003.ltx: file is truncated"));
	in[2].len++;
	CHECK_OK(merge(3), &e);
	/* And of pages that the merge would drop. */
	file(2, 3, 3, 1, PAGES(1));
	in[0].data[in[0].len - 1] ^= 1;
	CHECK_INT(merge(3), -1);
	in[0].data[in[0].len - 1] ^= 1;
	CHECK_OK(merge(3), &e);
	CHECK_STR(text(), "1:2");
}

TEST(removed_database_is_not_written)
{
	struct kit k;
	struct ltx_header h = kit_header(SIZE, 2, 2, 0);

	clear();
	file(0, 1, 1, 1, PAGES(1));
	kit_begin(&k, &h);
	kit_end(&k);
	mem_add(&in[1], k.out.data, k.out.len);
	kit_free(&k);
	CHECK_INT(merge(2), -1);
	CHECK_STR(e.text, "a file that removes the database is not written");
	/* In between it does not matter. */
	file(2, 3, 3, 1, PAGES(1));
	CHECK_OK(merge(3), &e);
	CHECK_STR(text(), "1:2");
}

TEST(database_checksums_are_dropped)
{
	struct ltx_header h = { .page_size = SIZE, .min_txid = 2, .max_txid = 2, .commit = 2,
	                        .pre_apply = LTX_CHECKSUM_FLAG | 1 };
	struct kit k;

	clear();
	kit_begin(&k, &h);
	kit_fill(page, SIZE, 2);
	kit_page(&k, 2, page);
	kit_index(&k, 0);
	kit_trailer(&k, LTX_CHECKSUM_FLAG | 2);
	mem_add(&in[0], k.out.data, k.out.len);
	kit_free(&k);
	CHECK_OK(merge(1), &e);
	CHECK_STR(text(), "2:0");
	CHECK_INT(trailer.post_apply, UINT64_C(0));
}

/* Frame form goes in, block form comes out; compressed bytes are kept as they are. */
TEST(forms)
{
	struct ltx_header h = kit_header(SIZE, 2, 2, 4);
	static const uint8_t packed[] = { 0x1f, 0x31, 1, 0, 0xff, 0xda, 0, 2, 0, 0, 2, 0, 0xb0, 0x31, 0x31, 0x31, 0x31,
	                                  0x31,
	                                  0x31, 0x31, 0x31, 0x31, 0x31, 0x31 };
	uint8_t f[100] = { 0, 0, 0, 1, 0, 0, 4, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0x18, 0, 0, 0 };
	struct kit k;

	clear();
	kit_begin(&k, &h);
	memset(page, 0x31, SIZE);
	memcpy(f + 17, packed, 24);
	memcpy(f + 17 + 24, "\0\0\0\0\x5e\x2d\x21\x98", 8);
	kit_frame(&k, f, 49, 6, page);
	kit_page_frame(&k, 2, page);
	kit_page(&k, 3, page);
	kit_end(&k);
	mem_add(&in[0], k.out.data, k.out.len);
	kit_free(&k);
	CHECK_OK(merge(1), &e);
	CHECK_OK(kit_verify(&out, NULL, &e), &e);
	CHECK_MEM(out.data + 100, "\0\0\0\1\0\1\0\0\0\x18", 10);
	CHECK_MEM(out.data + 110, packed, 24);
	CHECK_MEM(out.data + 134, "\0\0\0\2\0\1\0\0\0", 9); /* was raw: packed here */
	CHECK(out.data[143] < 40);
	CHECK_MEM(out.data + 144 + out.data[143], "\0\0\0\3\0\1\0\0\2\3\xf0\xff\xf2\x31", 14); /* literals, kept */
}

/* A block that only some decoders take is made anew. */
TEST(odd_blocks_are_not_passed_on)
{
	static const uint8_t zero_distance[] = { 0x1f, 0, 0, 0, 0xff, 0xe8, 0x50, 0, 0, 0, 0, 0 };
	static const uint8_t last_token[] = { 0x1f, 0, 1, 0, 0xff, 0xe8, 0x53, 0, 0, 0, 0, 0 };
	struct ltx_header h = kit_header(SIZE, 2, 2, 4);

	for (int i = 0; i < 2; i++) {
		uint8_t f[22] = { 0, 0, 0, 1, 0, 1, 0, 0, 0, 12 };
		struct kit k;

		clear();
		memcpy(f + 10, i ? last_token : zero_distance, 12);
		memset(page, 0, SIZE);
		kit_begin(&k, &h);
		kit_frame(&k, f, 22, 10, page);
		kit_end(&k);
		mem_add(&in[0], k.out.data, k.out.len);
		kit_free(&k);
		CHECK_OK(merge(1), &e);
		CHECK_OK(kit_verify(&out, NULL, &e), &e);
		CHECK(memcmp(out.data + 110, f + 10, 12) != 0);
	}
}

/* Random histories against the plain rule: for each page, the last file that holds it. */
TEST(random_histories)
{
	uint32_t seed = 12345;

	for (int round = 0; round < 300; round++) {
		uint32_t newest[41] = { 0 }, commit = 0;
		char want[1024];
		size_t n = 0;
		int count;

		clear();
#define RANDOM(below) ((seed = seed * 1664525 + 1013904223) >> 16) % (below)
		count = 1 + (int)(RANDOM(MAX));
		for (int i = 0; i < count; i++) {
			uint32_t pgnos[42], k = 0;
			commit = 1 + RANDOM(40);
			for (uint32_t p = 1; p <= commit; p++)
				if (RANDOM(3) == 0) {
					pgnos[k++] = p;
					newest[p] = (uint32_t)i + 1;
				}
			pgnos[k] = 0;
			file(i, 2 + (uint64_t)i, 2 + (uint64_t)i, commit, pgnos);
		}
		CHECK_OK(merge(count), &e);
		want[0] = 0;
		for (uint32_t p = 1; p <= commit; p++)
			if (newest[p])
				n += (size_t)snprintf(want + n, sizeof want - n, "%s%u:%u", n ? " " : "", p,
				                      newest[p] - 1);
		CHECK_STR(text(), want);
	}
}

TEST_MAIN
