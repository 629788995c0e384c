/* SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "lib/base/crc64.h"
#include "tests/check.h"

/* The definition, bit by bit. */
static uint64_t by_bits(uint64_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	crc = ~crc;
	for (; n > 0; n--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ 0xd800000000000000 : crc >> 1;
	}
	return ~crc;
}

static uint64_t seed = 88172645463325252;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint8_t data[8192];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(random64() >> 32);
}

/* Lengths 0..300 and some longer ones, at 17 alignments, from random and from special start values. */
static int differences(crc64_fn *fn)
{
	static const size_t longer[] = { 511, 512, 513, 1000, 4095, 4096, 4097, 8100 };
	int wrong = 0;

	fill();
	for (size_t n = 0; n <= 300 + sizeof(longer) / sizeof(longer[0]); n++) {
		size_t len = n <= 300 ? n : longer[n - 301];

		for (size_t start = 0; start < (n <= 300 ? 17 : 3); start++) {
			uint64_t crc = start == 0 ? 0 : start == 1 ? ~UINT64_C(0) : random64();

			wrong += fn(crc, data + start, len) != by_bits(crc, data + start, len);
		}
	}
	return wrong;
}

static int vectors_wrong(crc64_fn *fn)
{
	uint8_t up[256], zero[512] = { 0 };

	for (int i = 0; i < 256; i++)
		up[i] = (uint8_t)i;
	return (fn(0, "", 0) != 0) + (fn(0, "123456789", 9) != 0xb90956c775a41001) +
	       (fn(0, "\0", 1) != 0x6f90000000000000) + (fn(0, "a", 1) != 0x3420000000000000) +
	       (fn(0, "abc", 3) != 0x3776c42000000000) + (fn(0, up, 256) != 0x89f7eaa7b75c07dd) +
	       (fn(0, zero, 512) != 0x7cd9900000000000);
}

TEST(vectors)
{
	CHECK_INT(vectors_wrong(by_bits), 0);
	CHECK_INT(vectors_wrong(crc64), 0);
	CHECK_INT(vectors_wrong(crc64_plain), 0);
}

TEST(plain_equals_definition)
{
	CHECK_INT(differences(crc64_plain), 0);
}

TEST(chosen_equals_definition)
{
	CHECK_INT(differences(crc64), 0);
}

TEST(clmul_equals_definition)
{
	if (!crc64_clmul())
		SKIP("the processor does not multiply polynomials");
	CHECK_INT(vectors_wrong(crc64_clmul()), 0);
	CHECK_INT(differences(crc64_clmul()), 0);
}

TEST(pieces_chain)
{
	int wrong = 0;

	fill();
	uint64_t whole = crc64(0, data, sizeof(data));

	for (int round = 0; round < 200; round++) {
		uint64_t crc = 0;

		for (size_t at = 0, n; at < sizeof(data); at += n) {
			n = random64() % (round < 100 ? 3000 : 90);
			if (n > sizeof(data) - at)
				n = sizeof(data) - at;
			crc = crc64(crc, data + at, n);
		}
		wrong += crc != whole;
	}
	CHECK_INT(wrong, 0);
}

TEST(every_bit_counts)
{
	uint64_t whole;
	int same = 0;

	fill();
	whole = crc64(0, data, 200);
	for (int bit = 0; bit < 1600; bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		same += crc64(0, data, 200) == whole;
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK_INT(same, 0);
}

TEST_MAIN
