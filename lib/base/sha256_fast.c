/* SPDX-License-Identifier: MIT */
/*
 * The ways of processors that know SHA-256: SHA-NI on x86-64, the SHA2 instructions of ARMv8. Both keep the eight words
 * of state in two vectors and do four rounds per step; the message schedule rolls through four vectors.
 */
#include "lib/base/sha256.h"

#if defined(__x86_64__) || defined(__aarch64__)
static const uint32_t round_keys[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))

static inline SHA_TARGET __m128i load(const void *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

static inline SHA_TARGET void store(void *p, __m128i v)
{
	_mm_storeu_si128((__m128i *)p, v);
}

/* The instructions want the words as (A B E F) and (C D G H), highest first. */
static SHA_TARGET void take_blocks(uint32_t state[8], const uint8_t *p, size_t count)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i badc = _mm_shuffle_epi32(load(state), 0xb1), hgfe = _mm_shuffle_epi32(load(state + 4), 0x1b);
	__m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);

	for (; count > 0; count--, p += SHA256_BLOCK) {
		__m128i abef0 = abef, cdgh0 = cdgh, w[4];

#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			__m128i now;

			if (i < 4) {
				now = _mm_shuffle_epi8(load(p + 16 * i), swap);
			} else { /* w[i] from the four before it; w[i % 4] holds w[i - 4] */
				now = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);
				now = _mm_add_epi32(now, _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4));
				now = _mm_sha256msg2_epu32(now, w[(i + 3) % 4]);
			}
			w[i % 4] = now;
			now = _mm_add_epi32(now, load(round_keys + 4 * i));
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, now);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(now, 0x0e));
		}
		abef = _mm_add_epi32(abef, abef0);
		cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	__m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
	store(state, _mm_blend_epi16(feba, dchg, 0xf0));
	store(state + 4, _mm_alignr_epi8(dchg, feba, 8));
}

sha256_blocks_fn *sha256_blocks_fast(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3))
		return NULL;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_SHA))
		return NULL;
	return take_blocks;
}

/* Before clang 16, arm_neon.h hides these from functions that ask for them by attribute. */
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && \
	(!defined(__clang__) || __clang_major__ >= 16 || defined(__ARM_FEATURE_SHA2))
#include <arm_neon.h>
#include <sys/auxv.h>

#define SHA_TARGET __attribute__((target("+crypto")))
#define HWCAP_SHA2_BIT (1UL << 6) /* HWCAP_SHA2 of asm/hwcap.h, which musl does not have */

static SHA_TARGET void take_blocks(uint32_t state[8], const uint8_t *p, size_t count)
{
	uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);

	for (; count > 0; count--, p += SHA256_BLOCK) {
		uint32x4_t abcd0 = abcd, efgh0 = efgh, w[4];

#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			if (i < 4)
				w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p + 16 * i)));
			else
				w[i % 4] = vsha256su1q_u32(vsha256su0q_u32(w[i % 4], w[(i + 1) % 4]), w[(i + 2) % 4],
				                           w[(i + 3) % 4]);
			uint32x4_t now = vaddq_u32(w[i % 4], vld1q_u32(round_keys + 4 * i)), before = abcd;

			abcd = vsha256hq_u32(abcd, efgh, now);
			efgh = vsha256h2q_u32(efgh, before, now);
		}
		abcd = vaddq_u32(abcd, abcd0);
		efgh = vaddq_u32(efgh, efgh0);
	}
	vst1q_u32(state, abcd);
	vst1q_u32(state + 4, efgh);
}

sha256_blocks_fn *sha256_blocks_fast(void)
{
	return getauxval(AT_HWCAP) & HWCAP_SHA2_BIT ? take_blocks : NULL;
}

#else
sha256_blocks_fn *sha256_blocks_fast(void)
{
	return NULL;
}
#endif
