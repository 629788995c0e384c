/* SPDX-License-Identifier: MIT */
/* Each defect that a file can have, alone: index and checksums fit whatever else is wrong. */
#include "lib/ltx/internal.h"
#include "tests/check.h"
#include "tests/support/ltxkit.h"

static uint8_t page[LTX_PAGE_SIZE_MAX], zeros[LTX_PAGE_SIZE_MAX];

/* The end of a test of a bad file: it is refused with these words, and at any size of reads. */
#define REJECT(m, words)                                                                                  \
	do {                                                                                              \
		struct err e_ = ERR_INIT;                                                                 \
		for (size_t chunk_ = 0; chunk_ < 6; chunk_ += 5) {                                        \
			(m)->chunk = chunk_;                                                              \
			CHECK_INT(kit_verify((m), NULL, &e_), -1);                                        \
			if (!strstr(e_.text, words))                                                      \
				CHECK_FAIL("\"%s\" in \"%s\"", words, e_.text);                           \
			CHECK_INT(e_.code, ERR_CORRUPT);                                                  \
		}                                                                                         \
		mem_free(m);                                                                              \
	} while (0)

#define ACCEPT(m)                                                                                         \
	do {                                                                                              \
		struct err e_ = ERR_INIT;                                                                 \
		CHECK_OK(kit_verify((m), NULL, &e_), &e_);                                                \
		mem_free(m);                                                                              \
	} while (0)

static struct kit start(uint64_t txid, uint32_t commit)
{
	struct ltx_header h = kit_header(512, txid, txid, commit);
	struct kit k;

	kit_begin(&k, &h);
	kit_fill(page, 512, 1);
	return k;
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
