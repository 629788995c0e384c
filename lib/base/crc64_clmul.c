/* SPDX-License-Identifier: MIT */
/*
 * The way of processors that multiply polynomials: PCLMULQDQ on x86-64, PMULL on 64-bit ARM.
 *
 * Four lanes of 16 bytes run side by side. A lane (lo, hi) is moved on by a stride of s bytes as lo * K1 + hi * K2,
 * where K1 and K2 are powers of x mod P that belong to s; what was read at the new place is added. The residual lanes
 * are then gathered into one, and that and the last few bytes take the plain way. Constants: ltx.md §10.
 */
#include "lib/base/crc64.h"

#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <emmintrin.h>
#include <wmmintrin.h>

#define LANE_TARGET __attribute__((target("sse2,pclmul")))
typedef __m128i lane_t;

static inline LANE_TARGET lane_t lane_load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline LANE_TARGET void lane_store(uint8_t *p, lane_t a)
{
	_mm_storeu_si128((__m128i *)(void *)p, a);
}

static inline LANE_TARGET lane_t lane_make(uint64_t lo, uint64_t hi)
{
	return _mm_set_epi64x((long long)hi, (long long)lo);
}

static inline LANE_TARGET lane_t lane_add(lane_t a, lane_t b)
{
	return _mm_xor_si128(a, b);
}

static inline LANE_TARGET lane_t lane_fold(lane_t a, lane_t k, lane_t next)
{
	return lane_add(lane_add(_mm_clmulepi64_si128(a, k, 0x00), _mm_clmulepi64_si128(a, k, 0x11)), next);
}

static bool processor_can(void)
{
	unsigned a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_PCLMUL);
}

/* Before clang 16, arm_neon.h hides these from functions that ask for them by attribute. */
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && \
	(!defined(__clang__) || __clang_major__ >= 16 || defined(__ARM_FEATURE_AES))
#include <arm_neon.h>
#include <sys/auxv.h>

#define LANE_TARGET __attribute__((target("+crypto")))
#define LANE_HWCAP_PMULL (1UL << 4) /* HWCAP_PMULL of asm/hwcap.h, which musl does not have */
typedef uint64x2_t lane_t;

static inline LANE_TARGET lane_t lane_load(const uint8_t *p)
{
	return vreinterpretq_u64_u8(vld1q_u8(p));
}

static inline LANE_TARGET void lane_store(uint8_t *p, lane_t a)
{
	vst1q_u8(p, vreinterpretq_u8_u64(a));
}

static inline LANE_TARGET lane_t lane_make(uint64_t lo, uint64_t hi)
{
	return vcombine_u64(vcreate_u64(lo), vcreate_u64(hi));
}

static inline LANE_TARGET lane_t lane_add(lane_t a, lane_t b)
{
	return veorq_u64(a, b);
}

static inline LANE_TARGET lane_t lane_fold(lane_t a, lane_t k, lane_t next)
{
	poly128_t lo = vmull_p64((poly64_t)vgetq_lane_u64(a, 0), (poly64_t)vgetq_lane_u64(k, 0));
	poly128_t hi = vmull_high_p64(vreinterpretq_p64_u64(a), vreinterpretq_p64_u64(k));

	return lane_add(lane_add(vreinterpretq_u64_p128(lo), vreinterpretq_u64_p128(hi)), next);
}

static bool processor_can(void)
{
	return getauxval(AT_HWCAP) & LANE_HWCAP_PMULL;
}

#endif

#ifdef LANE_TARGET
enum { LANE = 16, STRIDE = 4 * LANE };

static LANE_TARGET uint64_t take_all(uint64_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint8_t rest[LANE];

	if (n < STRIDE)
		return crc64_plain(crc, bytes, n);

	const lane_t k16 = lane_make(0x6b70000000000001, 0xf500000000000001);
	const lane_t k64 = lane_make(0x01b001b1b0000001, 0xb100010100000001);
	lane_t a = lane_add(lane_load(p), lane_make(~crc, 0));
	lane_t b = lane_load(p + LANE), c = lane_load(p + 2 * LANE), d = lane_load(p + 3 * LANE);

	for (p += STRIDE, n -= STRIDE; n >= STRIDE; p += STRIDE, n -= STRIDE) {
		a = lane_fold(a, k64, lane_load(p));
		b = lane_fold(b, k64, lane_load(p + LANE));
		c = lane_fold(c, k64, lane_load(p + 2 * LANE));
		d = lane_fold(d, k64, lane_load(p + 3 * LANE));
	}
	d = lane_fold(lane_fold(lane_fold(a, k16, b), k16, c), k16, d);
	for (; n >= LANE; p += LANE, n -= LANE)
		d = lane_fold(d, k16, lane_load(p));
	lane_store(rest, d);
	/* All ones is the register 0, which the first residual lane already contains. */
	return crc64_plain(crc64_plain(~UINT64_C(0), rest, LANE), p, n);
}

crc64_fn *crc64_clmul(void)
{
	return processor_can() ? take_all : NULL;
}
#else
crc64_fn *crc64_clmul(void)
{
	return NULL;
}
#endif
