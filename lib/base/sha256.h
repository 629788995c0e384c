/* SPDX-License-Identifier: MIT */
/*
 * sha256.h - SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), for signatures of requests and sums of bodies.
 *
 * Every uploaded byte passes here once, so the fastest way that the processor has (SHA-NI, ARMv8's instructions, else
 * BearSSL's portable code) is chosen at the first call. No memory is allocated; any thread may use its own struct.
 */
#ifndef RIVULET_BASE_SHA256_H
#define RIVULET_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32, SHA256_BLOCK = 64, SHA256_HEX_SIZE = 2 * SHA256_SIZE + 1 };

struct sha256 {
	uint32_t state[8];
	uint64_t size; /* bytes taken in so far */
	uint8_t block[SHA256_BLOCK];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *bytes, size_t n);
void sha256_end(struct sha256 *s, uint8_t out[SHA256_SIZE]);
/* In one go. */
void sha256(const void *bytes, size_t n, uint8_t out[SHA256_SIZE]);

/* out may be the key. */
void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t n, uint8_t out[SHA256_SIZE]);

/* Lower-case digits and a NUL; returns out. */
char *sha256_hex(char out[SHA256_HEX_SIZE], const uint8_t sum[SHA256_SIZE]);

/* The ways, for the tests that compare them. sha256_blocks_fast is NULL where the processor has none. */
typedef void sha256_blocks_fn(uint32_t state[8], const uint8_t *blocks, size_t count);
void sha256_blocks_plain(uint32_t state[8], const uint8_t *blocks, size_t count);
sha256_blocks_fn *sha256_blocks_fast(void);

#endif
