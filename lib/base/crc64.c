/* SPDX-License-Identifier: MIT */
/*
 * The portable way, which needs no tables because the polynomial is sparse.
 *
 * A register of 64 bits is a polynomial whose highest power sits in bit 0, so that `>> k` multiplies by x^k. As
 * x^64 = 1 + x + x^3 + x^4 (mod P), taking in a word means: times x^64, that is four shifts and sums; the up to four
 * bits that fall off on the right are again a multiple of x^64 and are folded the same way, once. Squaring keeps the
 * form: x^512 = 1 + x^8 + x^24 + x^32. So eight words side by side can each be moved on by 64 bytes, independently
 * of each other, and the compiler puts two of them into one vector register.
 */
#include "lib/base/crc64.h"

#include <endian.h>
#include <stdatomic.h>
#include <string.h>

/* v * x^64 mod P */
static inline uint64_t times_x64(uint64_t v)
{
	v ^= v << 63 ^ v << 61 ^ v << 60;
	return v ^ v >> 1 ^ v >> 3 ^ v >> 4;
}

static uint64_t take_bytes(uint64_t reg, const uint8_t *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		reg = times_x64(reg ^ le64toh(word));
	}
	for (; n > 0; p++, n--) {
		uint64_t v = (reg ^ *p) << 56;

		reg = reg >> 8 ^ v ^ v >> 1 ^ v >> 3 ^ v >> 4;
	}
	return reg;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
typedef uint64_t pair __attribute__((vector_size(16)));

enum { LANES = 4, STRIDE = LANES * sizeof(pair) };

/* Takes all whole strides of [*p, *p + *n); both move on. */
static uint64_t take_strides(uint64_t reg, const uint8_t **p, size_t *n)
{
	pair lane[LANES];

	memcpy(lane, *p, STRIDE);
	lane[0][0] ^= reg;
	for (*p += STRIDE, *n -= STRIDE; *n >= STRIDE; *p += STRIDE, *n -= STRIDE) {
		for (int i = 0; i < LANES; i++) {
			pair v = lane[i], off = v << 56 ^ v << 40 ^ v << 32, next;

			memcpy(&next, *p + i * (int)sizeof(pair), sizeof(next));
			v ^= v >> 8 ^ v >> 24 ^ v >> 32;
			lane[i] = v ^ off ^ off >> 1 ^ off >> 3 ^ off >> 4 ^ next;
		}
	}
	return take_bytes(0, (const uint8_t *)lane, STRIDE);
}
#else
enum { STRIDE = 64 };

static uint64_t take_strides(uint64_t reg, const uint8_t **p, size_t *n)
{
	size_t all = *n / STRIDE * STRIDE;

	reg = take_bytes(reg, *p, all);
	*p += all;
	*n -= all;
	return reg;
}
#endif

uint64_t crc64_plain(uint64_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t reg = ~crc;

	if (n >= STRIDE)
		reg = take_strides(reg, &p, &n);
	return ~take_bytes(reg, p, n);
}

uint64_t crc64(uint64_t crc, const void *bytes, size_t n)
{
	/* Threads that come here first at the same moment all find the same answer. */
	static _Atomic(crc64_fn *) way;
	crc64_fn *fn = atomic_load_explicit(&way, memory_order_relaxed);

	if (!fn) {
		fn = crc64_clmul();
		if (!fn)
			fn = crc64_plain;
		atomic_store_explicit(&way, fn, memory_order_relaxed);
	}
	return fn(crc, bytes, n);
}
