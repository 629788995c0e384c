/* SPDX-License-Identifier: MIT */
/*
 * crc64.h - CRC-64/GO-ISO, the checksum of LTX files (polynomial x^64 + x^4 + x^3 + x + 1, reflected D800000000000000).
 *
 * Values are the finalised ones, as Go's hash/crc64 takes and returns them: start with 0, pass the previous result on.
 * crc64(0, "123456789", 9) == 0xb90956c775a41001. Pure; any thread; the fastest way the processor has (PCLMULQDQ,
 * PMULL, else shifts and sums, without tables) is chosen once, at the first call.
 */
#ifndef RIVULET_BASE_CRC64_H
#define RIVULET_BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

uint64_t crc64(uint64_t crc, const void *bytes, size_t n);

/* The ways, for the tests that compare them and for `make bench`. crc64_clmul is NULL where the processor has none. */
typedef uint64_t crc64_fn(uint64_t crc, const void *bytes, size_t n);
uint64_t crc64_plain(uint64_t crc, const void *bytes, size_t n);
crc64_fn *crc64_clmul(void);

#endif
