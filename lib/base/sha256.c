/* SPDX-License-Identifier: MIT */
#include "lib/base/sha256.h"

#include <bearssl_hash.h>
#include <endian.h>
#include <stdatomic.h>
#include <string.h>

void sha256_blocks_plain(uint32_t state[8], const uint8_t *blocks, size_t count)
{
	br_sha256_context c;
	uint32_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = htobe32(state[i]);
	br_sha256_init(&c);
	br_sha256_set_state(&c, bytes, 0);
	br_sha256_update(&c, blocks, count * SHA256_BLOCK);
	br_sha256_state(&c, bytes);
	for (int i = 0; i < 8; i++)
		state[i] = be32toh(bytes[i]);
}

static void take_blocks(uint32_t state[8], const uint8_t *blocks, size_t count)
{
	/* Threads that come here first at the same moment all find the same answer. */
	static _Atomic(sha256_blocks_fn *) way;
	sha256_blocks_fn *fn = atomic_load_explicit(&way, memory_order_relaxed);

	if (!fn) {
		fn = sha256_blocks_fast();
		if (!fn)
			fn = sha256_blocks_plain;
		atomic_store_explicit(&way, fn, memory_order_relaxed);
	}
	fn(state, blocks, count);
}

void sha256_init(struct sha256 *s)
{
	static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	memcpy(s->state, first, sizeof(first));
	s->size = 0;
}

void sha256_add(struct sha256 *s, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t have = s->size % SHA256_BLOCK;

	if (n == 0)
		return;
	s->size += n;
	if (have > 0) {
		size_t take = n < SHA256_BLOCK - have ? n : SHA256_BLOCK - have;

		memcpy(s->block + have, p, take);
		p += take;
		n -= take;
		if (have + take < SHA256_BLOCK)
			return;
		take_blocks(s->state, s->block, 1);
	}
	if (n >= SHA256_BLOCK)
		take_blocks(s->state, p, n / SHA256_BLOCK);
	memcpy(s->block, p + n / SHA256_BLOCK * SHA256_BLOCK, n % SHA256_BLOCK);
}

void sha256_end(struct sha256 *s, uint8_t out[SHA256_SIZE])
{
	size_t have = s->size % SHA256_BLOCK;
	uint64_t bits = htobe64(s->size * 8);
	uint8_t tail[2 * SHA256_BLOCK] = { 0 };
	size_t blocks = have < SHA256_BLOCK - 8 ? 1 : 2;

	memcpy(tail, s->block, have);
	tail[have] = 0x80;
	memcpy(tail + blocks * SHA256_BLOCK - 8, &bits, 8);
	take_blocks(s->state, tail, blocks);
	for (int i = 0; i < 8; i++) {
		uint32_t word = htobe32(s->state[i]);

		memcpy(out + i * 4, &word, 4);
	}
}

void sha256(const void *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	struct sha256 s;

	sha256_init(&s);
	sha256_add(&s, bytes, n);
	sha256_end(&s, out);
}

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	uint8_t block[SHA256_BLOCK] = { 0 };
	struct sha256 s;

	if (key_len > SHA256_BLOCK)
		sha256(key, key_len, block);
	else if (key_len > 0)
		memcpy(block, key, key_len);
	for (int i = 0; i < SHA256_BLOCK; i++)
		block[i] ^= 0x36;
	sha256_init(&s);
	sha256_add(&s, block, sizeof(block));
	sha256_add(&s, bytes, n);
	sha256_end(&s, out);
	for (int i = 0; i < SHA256_BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha256_init(&s);
	sha256_add(&s, block, sizeof(block));
	sha256_add(&s, out, SHA256_SIZE);
	sha256_end(&s, out);
}

char *sha256_hex(char out[SHA256_HEX_SIZE], const uint8_t sum[SHA256_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < SHA256_SIZE; i++) {
		out[2 * i] = digits[sum[i] >> 4];
		out[2 * i + 1] = digits[sum[i] & 15];
	}
	out[2 * SHA256_SIZE] = '\0';
	return out;
}
