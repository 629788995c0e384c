/* SPDX-License-Identifier: MIT */
/* Defects of headers and pages, each alone: files that are cut, both forms of a page, order, and what is missing. */
#include "tests/support/ltx_defect.h"

static uint8_t page[LTX_PAGE_SIZE_MAX], zeros[LTX_PAGE_SIZE_MAX];

static struct kit start(uint64_t txid, uint32_t commit)
{
	return defect_start(txid, commit, page);
}

/* One page frame of these bytes in an otherwise good file. */
static struct mem one_frame(const void *bytes, size_t n, size_t hashed)
{
	struct kit k = start(2, 9);

	kit_frame(&k, bytes, n, hashed, page);
	kit_end(&k);
	mem_free(&k.index);
	return k.out;
}

/* A frame-form page 1 of 512 bytes stored raw: all of its 537 bytes, to be spoilt. */
static uint8_t *frame_form(void)
{
	static uint8_t f[600];
	struct kit k = start(2, 9);

	kit_page_frame(&k, 1, page);
	memcpy(f, k.out.data + 100, 537);
	kit_free(&k);
	return f;
}

static void set_checksums(uint8_t *f, size_t descriptor)
{
	f[10 + descriptor] = (uint8_t)(kit_xxh32(f + 10, descriptor) >> 8);
}

TEST(good_files_by_hand)
{
	struct kit k = start(2, 9);

	kit_page(&k, 3, page);
	kit_page_frame(&k, 4, page);
	kit_page(&k, 9, page);
	kit_end(&k);
	mem_free(&k.index);
	ACCEPT(&k.out);
	k = start(2, 9);
	kit_end(&k);
	CHECK_INT(k.out.len, 131);
	kit_free(&k);
}

TEST(xxh32_is_right)
{
	CHECK_INT(kit_xxh32("", 0), 0x02cc5d05);
	CHECK_INT(kit_xxh32("\x64\x40", 2) >> 8 & 0xff, 0xa7);
	memset(page, 0x31, 512);
	CHECK_INT(kit_xxh32(page, 512), 0x98212d5e);
}

TEST(shorter_than_a_header)
{
	struct mem m = { .data = NULL };

	REJECT(&m, "file is empty");
	mem_add(&m, "L", 1);
	REJECT(&m, "file is truncated: it ends at byte 1, in the header");
	mem_add(&m, "LTX1", 4);
	mem_add(&m, zeros, 95);
	REJECT(&m, "file is truncated: it ends at byte 99, in the header");
}

TEST(wrong_magic)
{
	struct kit k = start(2, 9);

	kit_end(&k);
	mem_free(&k.index);
	k.out.data[3] = '2';
	REJECT(&k.out, "not an LTX file: it starts with 4c545832 instead of 4c545831");
}

TEST(header_rule_broken)
{
	struct kit k = start(2, 9);

	kit_end(&k);
	mem_free(&k.index);
	k.out.data[7] = 6;
	REJECT(&k.out, "header has unknown flags 0x00000006");
}

TEST(reserved_bytes_are_hashed_as_they_are)
{
	struct ltx_header h = kit_header(512, 2, 2, 9);
	struct kit k;
	uint8_t head[100];

	kit_begin(&k, &h);
	memcpy(head, k.out.data, 100);
	kit_free(&k);
	memset(head + 80, 0xee, 20);
	k = (struct kit){ .page_size = 512 };
	kit_raw(&k, head, 100, true);
	kit_end(&k);
	mem_free(&k.index);
	ACCEPT(&k.out);
}

/* Cut at every byte: always refused, always at once, with the place where it ends. */
TEST(cut_anywhere)
{
	struct kit k = start(2, 9);
	struct err e = ERR_INIT;
	char words[64];

	kit_page(&k, 1, page);
	kit_page_frame(&k, 2, page);
	kit_end(&k);
	for (size_t n = 0; n < k.out.len; n++) {
		struct mem m = { .data = malloc(n + 1), .len = n, .cap = n + 1 };
		memcpy(m.data, k.out.data, n);
		snprintf(words, sizeof words, "file is truncated: it ends at byte %zu, ", n);
		if (n == 0)
			snprintf(words, sizeof words, "file is empty");
		REJECT(&m, words);
	}
	CHECK_OK(kit_verify(&k.out, NULL, &e), &e);
	kit_free(&k);
}

TEST(cut_between_pages_is_no_end)
{
	struct kit k = start(2, 9);

	kit_page(&k, 1, page);
	mem_free(&k.index);
	REJECT(&k.out, "file is truncated: it ends at byte 625, where a page or the end marker must be");
	k = start(2, 9);
	kit_raw(&k, zeros, 6, true);
	kit_raw(&k, zeros, 7, true);
	REJECT(&k.out, "file is truncated: it ends at byte 113, in the page index or the trailer");
}

TEST(page_header_flags)
{
	uint8_t f[537];
	struct mem m;

	memcpy(f, frame_form(), 537);
	f[5] = 3;
	m = one_frame(f, 537, 6);
	REJECT(&m, "page 1 at byte 100 has unknown flags 0x0003");
	f[5] = 0;
	f[4] = 0x80;
	m = one_frame(f, 537, 6);
	REJECT(&m, "page 1 at byte 100 has unknown flags 0x8000");
	f[4] = 0;
	f[3] = 0;
	f[5] = 1;
	m = one_frame(f, 537, 6);
	REJECT(&m, "page 0 at byte 100 has flags");
}

TEST(compressed_size)
{
	uint8_t f[10 + 531] = { 0, 0, 0, 1, 0, 1, 0xff, 0xff, 0xff, 0xff };
	struct mem m = one_frame(f, sizeof f, 10);

	REJECT(&m, "page 1 at byte 100 has 4294967295 compressed bytes, which is not 1 to 530");
	memcpy(f + 6, "\0\0\2\x13", 4);
	m = one_frame(f, sizeof f, 10);
	REJECT(&m, "has 531 compressed bytes");
	memcpy(f + 6, "\0\0\0\0", 4);
	m = one_frame(f, 10, 10);
	REJECT(&m, "has 0 compressed bytes");
}

static struct mem one_block(const void *block, size_t n)
{
	uint8_t f[600] = { 0, 0, 0, 1, 0, 1 };

	f[8] = (uint8_t)(n >> 8);
	f[9] = (uint8_t)n;
	memcpy(f + 10, block, n);
	return one_frame(f, 10 + n, 10);
}

TEST(block_of_another_length)
{
	uint8_t block[530] = { 0xf0, 0xff, 0xf1 };
	struct mem m;

	/* 511 literals; what the buffer held before must not pass as the last byte of the page */
	memcpy(block + 3, page, 511);
	m = one_block(block, 514);
	REJECT(&m, "page 1 at byte 100 expands to 511 bytes instead of 512");
	block[2] = 0xf3;
	m = one_block(block, 516);
	REJECT(&m, "page 1 at byte 100 has a malformed LZ4 block");
}

TEST(malformed_blocks)
{
	struct mem m = one_block("\xf0", 1);

	REJECT(&m, "malformed LZ4 block");
	m = one_block("\xf0\xff\xf2short", 8);
	REJECT(&m, "malformed LZ4 block");
	m = one_block("\x1f\x31\x02\x00\xff\xe8\x50\x31\x31\x31\x31\x31", 12); /* a match before the beginning */
	REJECT(&m, "malformed LZ4 block");
	m = one_block("\x1f\x31\x01\x00\xff\xe8\x50\x31\x31\x31\x31\x31!", 13); /* something left over */
	REJECT(&m, "malformed LZ4 block");
}

TEST(frame_form_defects)
{
	uint8_t f[700], *orig;
	struct mem m;

#define FRAME(words, n, ...)                                                                              \
	do {                                                                                              \
		orig = frame_form();                                                                      \
		memcpy(f, orig, 537);                                                                     \
		__VA_ARGS__;                                                                              \
		m = one_frame(f, (n), 6);                                                                 \
		REJECT(&m, words);                                                                        \
	} while (0)

	FRAME("page 1 at byte 100 has no LZ4 frame", 537, f[6] = 5);
	FRAME("no LZ4 frame", 537, memcpy(f + 6, "\x50\x2a\x4d\x18", 4)); /* skippable */
	FRAME("no LZ4 frame", 537, memcpy(f + 6, "\x02\x21\x4c\x18", 4)); /* legacy */
	FRAME("of an unknown version", 537, f[10] = 0xa4; set_checksums(f, 2));
	FRAME("of an unknown version", 537, f[10] = 0x24; set_checksums(f, 2));
	FRAME("of an unknown version", 537, f[10] = 0x66; set_checksums(f, 2));
	FRAME("of an unknown version", 537, f[11] = 0x30; set_checksums(f, 2));
	FRAME("of an unknown version", 537, f[11] = 0xc0; set_checksums(f, 2));
	FRAME("of an unknown version", 537, f[11] = 0x41; set_checksums(f, 2));
	FRAME("with a dictionary or block checksums", 537, f[10] = 0x65; set_checksums(f, 2));
	FRAME("with a dictionary or block checksums", 537, f[10] = 0x74; set_checksums(f, 2));
	FRAME("without content checksum", 537, f[10] = 0x60; set_checksums(f, 2));
	FRAME("with a wrong header checksum", 537, f[12] ^= 1);
	FRAME("with a wrong content checksum", 537, f[533] ^= 1);
	FRAME("with a wrong content checksum", 537, f[17] ^= 1);
	FRAME("an empty LZ4 frame", 537, memset(f + 13, 0, 4));                            /* at once the end mark */
	FRAME("an empty LZ4 frame", 537, memcpy(f + 13, "\0\0\0\x80", 4));
	FRAME("frame shorter than the page", 537, memcpy(f + 13, "\xff\1\0\x80", 4));
	FRAME("frame longer than the page", 537, memcpy(f + 13, "\1\2\0\x80", 4));
	FRAME("frame longer than the page", 537, memcpy(f + 13, "\xff\xff\xff\xff", 4));
	FRAME("frame longer than the page", 537, memcpy(f + 13, "\1\2\0\0", 4));
	FRAME("with a second block", 537, f[529] = 1);
	FRAME("has a malformed LZ4 block", 537, memcpy(f + 13, "\0\2\0\0", 4), memset(f + 17, 0xff, 512));
	/* Blocks that are sound but make another number of bytes. */
	FRAME("expands to 10 bytes instead of 512", 17 + 11 + 8,
	      memcpy(f + 13, "\x0b\0\0\0\xa0""0123456789", 4 + 11); memset(f + 28, 0, 8));
	/* The content size, when given, is the page's. */
	FRAME("of another size than the page's", 545, memmove(f + 20, f + 12, 525); f[10] = 0x6c;
	      memcpy(f + 12, "\1\2\0\0\0\0\0\0", 8); set_checksums(f, 10));
	FRAME("of another size than the page's", 545, memmove(f + 20, f + 12, 525); f[10] = 0x6c;
	      memcpy(f + 12, "\0\2\0\0\1\0\0\0", 8); set_checksums(f, 10));
}

TEST(frame_form_variants)
{
	uint8_t f[700];
	struct mem m;

	/* Linked blocks (there is only one), larger block sizes, content size: all fine. */
	memcpy(f, frame_form(), 537);
	f[10] = 0x44;
	f[11] = 0x70;
	set_checksums(f, 2);
	m = one_frame(f, 537, 6);
	ACCEPT(&m);
	memcpy(f, frame_form(), 537);
	memmove(f + 20, f + 12, 525);
	f[10] = 0x6c;
	memcpy(f + 12, "\0\2\0\0\0\0\0\0", 8);
	set_checksums(f, 10);
	m = one_frame(f, 545, 6);
	ACCEPT(&m);
}

TEST(pages_out_of_order)
{
	struct kit k = start(2, 9);

	kit_page(&k, 4, page);
	kit_page(&k, 3, page);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "page header at byte 625: page 3 follows page 4");
	k = start(2, 9);
	kit_page(&k, 4, page);
	kit_page(&k, 4, page);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "page 4 follows page 4");
}

TEST(pages_that_may_not_be)
{
	struct ltx_header h = kit_header(65536, 2, 2, 20000);
	struct kit k = start(2, 9);

	kit_page(&k, 10, page);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "page header at byte 100: page 10 is beyond the database's 9 pages");
	k = start(2, 0);
	kit_page(&k, 1, page);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "page 1 is beyond the database's 0 pages");
	kit_begin(&k, &h);
	kit_page(&k, 16385, page);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "page 16385 is the lock page, which is never stored");
}

TEST(snapshot_with_holes)
{
	struct kit k = start(1, 9);
	struct err e = ERR_INIT;
	bool complete = true;

	kit_page(&k, 2, page);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "page header at byte 100: the snapshot lacks page 1");
	k = start(1, 9);
	kit_page(&k, 1, page);
	kit_page(&k, 3, page);
	kit_end(&k);
	mem_free(&k.index);
	REJECT(&k.out, "page header at byte 625: the snapshot lacks page 2");
	/* A missing tail is something to be told, not an error. */
	k = start(1, 3);
	kit_page(&k, 1, page);
	kit_page(&k, 2, page);
	kit_end(&k);
	CHECK_OK(kit_verify(&k.out, &complete, &e), &e);
	CHECK(!complete);
	kit_free(&k);
	k = start(1, 1);
	kit_page(&k, 1, page);
	kit_end(&k);
	CHECK_OK(kit_verify(&k.out, &complete, &e), &e);
	CHECK(complete);
	kit_free(&k);
}

TEST_MAIN
