/* SPDX-License-Identifier: MIT */
#include "lib/ltx/internal.h"
#include "tests/check.h"
#include "tests/support/ltxkit.h"

TEST(facts_of_each_page_size)
{
	static const struct { uint32_t size, lock, bound; } rows[] = {
		{ 512, 2097153, 530 },   { 1024, 1048577, 1044 }, { 2048, 524289, 2072 },  { 4096, 262145, 4128 },
		{ 8192, 131073, 8240 },  { 16384, 65537, 16464 }, { 32768, 32769, 32912 }, { 65536, 16385, 65809 },
	};

	for (size_t i = 0; i < 8; i++) {
		CHECK(ltx_page_size_valid(rows[i].size));
		CHECK_INT(ltx_lock_pgno(rows[i].size), rows[i].lock);
		CHECK_INT(ltx_block_bound(rows[i].size), rows[i].bound);
		CHECK(ltx_stored_bound(rows[i].size) <= LTX_FRAME_MAX);
	}
	CHECK_INT(LTX_BLOCK_MAX, 65809);
	static const uint32_t wrong[] = { 0, 1, 256, 511, 513, 1536, 4095, 65535, 131072, 0x80000000 };
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(!ltx_page_size_valid(wrong[i]));
}

TEST(page_checksum_vectors)
{
	static uint8_t page[4096];

	CHECK_INT(ltx_page_checksum(1, page, 512), UINT64_C(0xefb1f44fecd99000));
	CHECK_INT(ltx_page_checksum(1, page, 4096), UINT64_C(0xd9328f592d9e733d));
	memset(page, 0x31, 512);
	CHECK_INT(ltx_page_checksum(1, page, 512), UINT64_C(0xeb1a999231044ddd));
}

/* The second opinion that these tests lean on, and the first one. */
TEST(crc64_vectors)
{
	uint8_t all[512];

	for (int i = 0; i < 512; i++)
		all[i] = (uint8_t)i;
	for (int i = 0; i < 2; i++) {
		uint64_t (*crc)(uint64_t, const void *, size_t) = i ? kit_crc64 : crc64;
		CHECK_INT(crc(0, "", 0), UINT64_C(0));
		CHECK_INT(crc(0, "123456789", 9), UINT64_C(0xb90956c775a41001));
		CHECK_INT(crc(0, "\0", 1), UINT64_C(0x6f90000000000000));
		CHECK_INT(crc(0, "a", 1), UINT64_C(0x3420000000000000));
		CHECK_INT(crc(0, "abc", 3), UINT64_C(0x3776c42000000000));
		CHECK_INT(crc(0, all, 256), UINT64_C(0x89f7eaa7b75c07dd));
		CHECK_INT(crc(crc(0, all, 100), all + 100, 156), UINT64_C(0x89f7eaa7b75c07dd));
	}
	memset(all, 0, sizeof all);
	CHECK_INT(crc64(0, all, 512), UINT64_C(0x7cd9900000000000));
}

TEST(names)
{
	static const char *wrong[] = {
		"", ".", "0000000000000001-0000000000000002", "0000000000000001-0000000000000002.ltx.tmp",
		"0000000000000001-0000000000000002.LTX", "000000000000000A-000000000000000B.ltx",
		"0000000000000001_0000000000000002.ltx", "000000000000001-00000000000000002.ltx",
		"00000000000000001-000000000000002.ltx", " 000000000000001-0000000000000002.ltx",
		"000000000000000g-0000000000000010.ltx", "0000000000000000-0000000000000001.ltx",
		"0000000000000003-0000000000000002.ltx", "0x00000000000001-0000000000000002.ltx",
		"+000000000000001-0000000000000002.ltx", "0000000000000001-0000000000000002.ltxx",
	};
	char name[LTX_NAME_SIZE];
	uint64_t min = 7, max = 8;

	CHECK_STR(ltx_name(name, 1, UINT64_C(0xfedcba9876543210)), "0000000000000001-fedcba9876543210.ltx");
	CHECK(ltx_name_parse(name, &min, &max));
	CHECK_INT(min, 1);
	CHECK_INT(max, UINT64_C(0xfedcba9876543210));
	CHECK(ltx_name_parse("ffffffffffffffff-ffffffffffffffff.ltx", &min, &max));
	CHECK_INT(min, UINT64_MAX);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(!ltx_name_parse(wrong[i], &min, &max));
	CHECK_INT(max, UINT64_MAX);
}

TEST(header_layout)
{
	/* 9.4: a first level-0 file of Litestream's kind. */
	struct ltx_header h = { .flags = 2, .page_size = 512, .commit = 1, .min_txid = 1, .max_txid = 1,
	                        .timestamp_ms = 1700000000123, .wal_offset = 32, .wal_size = 536,
	                        .wal_salt1 = 0x11223344, .wal_salt2 = 0x55667788 }, back;
	static const uint8_t want[100] = {
		0x4c, 0x54, 0x58, 0x31, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
		1,
		0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0x7b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0,
		0, 2, 0x18,
		0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
	};
	uint8_t bytes[100], again[100];
	struct err e = ERR_INIT;
	struct kit k;

	CHECK_OK(ltx_header_encode(&h, bytes, &e), &e);
	CHECK_MEM(bytes, want, 100);
	CHECK_OK(ltx_header_decode(bytes, &back, &e), &e);
	CHECK_OK(ltx_header_encode(&back, again, &e), &e);
	CHECK_MEM(again, want, 100);
	/* Every field at its own place, and reserved bytes of no meaning. */
	h = (struct ltx_header){ .flags = 0, .page_size = 65536, .commit = 0x01020304,
	                         .min_txid = UINT64_C(0x0a0b0c0d0e0f1011),
	                         .max_txid = UINT64_MAX, .timestamp_ms = -5, .pre_apply = UINT64_C(0x8877665544332211),
	                         .wal_offset = INT64_MAX, .wal_size = INT64_MAX - 1, .wal_salt1 = 5,
	                         .wal_salt2 = UINT32_MAX,
	                         .node_id = UINT64_MAX - 7 };
	CHECK_OK(ltx_header_encode(&h, bytes, &e), &e);
	kit_begin(&k, &h);
	CHECK_MEM(bytes, k.out.data, 100);
	kit_free(&k);
	memset(bytes + 80, 0xaa, 20);
	CHECK_OK(ltx_header_decode(bytes, &back, &e), &e);
	CHECK_INT(back.min_txid, UINT64_C(0x0a0b0c0d0e0f1011));
	CHECK_INT(back.timestamp_ms, -5);
	memset(bytes + 80, 0, 20);
	CHECK_OK(ltx_header_encode(&back, again, &e), &e);
	CHECK_MEM(again, bytes, 100);
}

#define HEADER_ERROR(words, size, ...)                                                                    \
	do {                                                                                              \
		struct ltx_header h_ = { .page_size = (size), .commit = 9, __VA_ARGS__ };                 \
		struct kit k_;                                                                            \
		struct err e_ = ERR_INIT;                                                                 \
		uint8_t bytes_[100], head_[100];                                                          \
		int rc_;                                                                                  \
		CHECK_INT(ltx_header_encode(&h_, bytes_, &e_), -1);                                       \
		if (!strstr(e_.text, words))                                                              \
			CHECK_FAIL("\"%s\" in \"%s\"", words, e_.text);                                   \
		kit_begin(&k_, &h_);                                                                      \
		memcpy(head_, k_.out.data, 100);                                                          \
		kit_free(&k_);                                                                            \
		err_clear(&e_);                                                                           \
		rc_ = ltx_header_decode(head_, &h_, &e_);                                                 \
		CHECK_INT(rc_, -1);                                                                       \
		CHECK_INT(e_.code, ERR_CORRUPT);                                                          \
		if (!strstr(e_.text, words))                                                              \
			CHECK_FAIL("\"%s\" in \"%s\"", words, e_.text);                                   \
	} while (0)

TEST(header_rules_both_ways)
{
	HEADER_ERROR("unknown flags 0x00000001", 512, .min_txid = 1, .max_txid = 1, .flags = 1);
	HEADER_ERROR("unknown flags 0x80000002", 512, .min_txid = 1, .max_txid = 1, .flags = 0x80000002);
	HEADER_ERROR("page size 1,", 1, .min_txid = 1, .max_txid = 1);
	HEADER_ERROR("page size 0,", 0, .min_txid = 1, .max_txid = 1);
	HEADER_ERROR("page size 131072,", 131072, .min_txid = 1, .max_txid = 1);
	HEADER_ERROR("minimum TXID 0", 512, .min_txid = 0, .max_txid = 1);
	HEADER_ERROR("minimum TXID 0", 512, .min_txid = 0, .max_txid = 0);
	HEADER_ERROR("0000000000000003 above maximum TXID 0000000000000002", 512, .min_txid = 3, .max_txid = 2,
	             .flags = 2);
	HEADER_ERROR("negative WAL offset", 512, .min_txid = 1, .max_txid = 1, .wal_offset = -1);
	HEADER_ERROR("negative WAL offset", 512, .min_txid = 1, .max_txid = 1, .wal_offset = 32, .wal_size = -1);
	HEADER_ERROR("salts without WAL offset", 512, .min_txid = 1, .max_txid = 1, .wal_salt1 = 1);
	HEADER_ERROR("salts without WAL offset", 512, .min_txid = 1, .max_txid = 1, .wal_salt2 = 1);
	HEADER_ERROR("size without WAL offset", 512, .min_txid = 1, .max_txid = 1, .wal_size = 1);
	HEADER_ERROR("which a snapshot cannot have", 512, .min_txid = 1, .max_txid = 1, .pre_apply = LTX_CHECKSUM_FLAG);
	HEADER_ERROR("which a snapshot cannot have", 512, .min_txid = 1, .max_txid = 5, .flags = 2, .pre_apply = 1);
	HEADER_ERROR("file without database checksums", 512, .min_txid = 2, .max_txid = 2, .flags = 2,
	             .pre_apply = LTX_CHECKSUM_FLAG);
	HEADER_ERROR("lacks the pre-apply checksum", 512, .min_txid = 2, .max_txid = 2);
	HEADER_ERROR("lacks the pre-apply checksum", 512, .min_txid = 2, .max_txid = 2, .pre_apply = INT64_MAX);
}

TEST(header_rules_allow)
{
	struct ltx_header h = { .page_size = 512, .min_txid = 1, .max_txid = 1 };
	struct err e = ERR_INIT;

	CHECK_OK(ltx_header_check(&h, &e), &e);
	h.wal_offset = 32; /* and no size */
	CHECK_OK(ltx_header_check(&h, &e), &e);
	h.timestamp_ms = INT64_MIN;
	CHECK_OK(ltx_header_check(&h, &e), &e);
	h.min_txid = h.max_txid = UINT64_MAX;
	h.pre_apply = LTX_CHECKSUM_FLAG;
	CHECK_OK(ltx_header_check(&h, &e), &e);
}

TEST(order_around_the_lock_page)
{
	struct ltx_header h = kit_header(65536, 1, 1, 20000);
	struct err e = ERR_INIT;

	CHECK_OK(ltx_order_check(&h, 0, 1, &e), &e);
	CHECK_OK(ltx_order_check(&h, 16383, 16384, &e), &e);
	CHECK_OK(ltx_order_check(&h, 16384, 16386, &e), &e);
	CHECK_INT(ltx_order_check(&h, 16384, 16385, &e), -1);
	CHECK_STR(e.text, "page 16385 is the lock page, which is never stored");
	CHECK_INT(ltx_order_check(&h, 16384, 16387, &e), -1);
	CHECK_STR(e.text, "the snapshot lacks page 16386");
	CHECK_INT(ltx_order_check(&h, 16382, 16384, &e), -1);
	CHECK_STR(e.text, "the snapshot lacks page 16383");
	h.min_txid = h.max_txid = 2;
	CHECK_OK(ltx_order_check(&h, 16382, 16384, &e), &e);
	CHECK_INT(ltx_order_check(&h, 16382, 16385, &e), -1);
	/* Complete: up to commit, or to the page before when commit is the lock page. */
	h = kit_header(65536, 1, 1, 16385);
	CHECK(ltx_is_complete(&h, 16384));
	CHECK(!ltx_is_complete(&h, 16383));
	h.commit = 16386;
	CHECK(!ltx_is_complete(&h, 16384));
	CHECK(ltx_is_complete(&h, 16386));
	h.min_txid = h.max_txid = 2;
	CHECK(ltx_is_complete(&h, 0));
	/* The largest page number there is. */
	h = kit_header(512, 2, 2, UINT32_MAX);
	CHECK_OK(ltx_order_check(&h, UINT32_MAX - 1, UINT32_MAX, &e), &e);
}

TEST_MAIN
