/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "lib/wal/wal.h"
#include "tests/check.h"
#include "tests/support/wal_build.h"

/* Parses a fresh header in which byte `at` was changed, with or without a new checksum. */
static int parse_changed(size_t at, uint8_t change, bool seal, struct err *e)
{
	struct wal_build b;
	struct wal_header h;
	wal_build_init(&b, 4096, true, 1, 2);
	b.bytes[at] ^= change;
	if (seal)
		wal_build_seal_header(&b);
	int rc = wal_header_parse(b.bytes, b.len, &h, e);
	wal_build_free(&b);
	return rc;
}

TEST(header_all_page_sizes_and_orders)
{
	for (uint32_t size = 512; size <= 65536; size *= 2)
		for (int big = 0; big < 2; big++) {
			struct wal_build b;
			struct wal_header h;
			struct err e = ERR_INIT;
			wal_build_init(&b, size, big, 0xdeadbeef, 0x01020304);
			int rc = wal_header_parse(b.bytes, WAL_HEADER_SIZE, &h, &e);
			wal_build_free(&b);
			CHECK_OK(rc, &e);
			CHECK_INT(h.page_size, size);
			CHECK_INT(h.big_endian, big);
			CHECK_INT(h.sequence, 7);
			CHECK_INT(h.salt1, 0xdeadbeef);
			CHECK_INT(h.salt2, 0x01020304);
			CHECK_INT(h.checksum.s0, b.checksum.s0);
			CHECK_INT(h.checksum.s1, b.checksum.s1);
		}
}

TEST(header_short_is_none)
{
	struct wal_header h;
	struct err e = ERR_INIT;
	uint8_t bytes[WAL_HEADER_SIZE - 1] = {0};
	for (size_t n = 0; n < WAL_HEADER_SIZE; n++)
		CHECK_INT(wal_header_parse(bytes, n, &h, &e), WAL_HEADER_NONE);
}

TEST(header_each_flipped_bit_is_seen)
{
	struct err e = ERR_INIT;
	for (size_t at = 0; at < WAL_HEADER_SIZE; at++)
		for (int bit = 0; bit < 8; bit++) {
			bool magic = at < 4 && !(at == 3 && bit == 0);
			CHECK_INT(parse_changed(at, (uint8_t)(1 << bit), false, &e), magic ? -1 : WAL_HEADER_NONE);
		}
}

TEST(header_not_ours)
{
	struct err e = ERR_INIT;
	CHECK_INT(parse_changed(0, 0x10, true, &e), -1);
	CHECK_STR(e.text, "invalid wal header magic: 277f0683");
	CHECK(err_is(&e, ERR_CORRUPT));
	CHECK_INT(parse_changed(7, 0x01, true, &e), -1);
	CHECK_STR(e.text, "unsupported wal version: 3007001");
	/* page size 4096 = 0x1000 at bytes 8..11 */
	CHECK_INT(parse_changed(10, 0x30, true, &e), WAL_HEADER_OK); /* 0x2000: other, but fine */
	CHECK_INT(parse_changed(10, 0x20, true, &e), -1);
	CHECK_STR(e.text, "invalid wal page size: 12288");
}

TEST(header_bad_page_sizes)
{
	static const uint32_t sizes[] = {0, 1, 8, 256, 511, 513, 1000, 4095, 4097, 65535, 65537, 131072, 0x80000000u};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct wal_build b;
		struct wal_header h;
		struct err e = ERR_INIT;
		wal_build_init(&b, sizes[i], false, 1, 2);
		int rc = wal_header_parse(b.bytes, b.len, &h, &e);
		wal_build_free(&b);
		CHECK_INT(rc, -1);
		CHECK(strstr(e.text, "page size") != NULL);
	}
}

TEST(checksum_in_pieces_is_the_same)
{
	uint8_t bytes[1024 + 3];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 131 + (i >> 3));
	for (int big = 0; big < 2; big++)
		for (size_t shift = 0; shift < 4; shift++)
			for (size_t cut = 0; cut <= 1024; cut += 8) {
				struct wal_checksum want = {3, 4}, got = {3, 4};
				want = wal_build_checksum(want, big, bytes + shift, 1024);
				wal_checksum_add(&got, big, bytes + shift, cut);
				wal_checksum_add(&got, big, bytes + shift + cut, 1024 - cut);
				CHECK_INT(got.s0, want.s0);
				CHECK_INT(got.s1, want.s1);
			}
}

/* By hand: words 1, 2 after (0, 0) give s0 = 1, s1 = 3; words 3, 4 then s0 = 7, s1 = 14. */
TEST(checksum_by_hand)
{
	static const uint8_t big[] = {0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
	static const uint8_t little[] = {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0};
	struct wal_checksum c = {0, 0};
	wal_checksum_add(&c, true, big, sizeof(big));
	CHECK_INT(c.s0, 7);
	CHECK_INT(c.s1, 14);
	c = (struct wal_checksum){0, 0};
	wal_checksum_add(&c, false, little, sizeof(little));
	CHECK_INT(c.s0, 7);
	CHECK_INT(c.s1, 14);
}

TEST(offsets_are_64_bit)
{
	CHECK_INT(wal_offset(65536, UINT32_MAX), 32 + (int64_t)UINT32_MAX * 65560);
	CHECK_INT(wal_offset(4096, 0), 32);
}

TEST_MAIN
