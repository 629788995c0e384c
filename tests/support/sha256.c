/* SPDX-License-Identifier: MIT */
#include "tests/support/sha256.h"

#include <stdio.h>
#include <string.h>

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

/* The constants are the fractions of the cube roots of the first 64 primes (and square roots of the first 8). */
static uint32_t root_fraction(int prime, int power)
{
	/* The largest x with x^power <= prime * 2^(32*power), found bit by bit; 128 bits hold what is compared. */
	uint64_t x = 0;

	for (int bit = 35; bit >= 0; bit--) {
		uint64_t t = x | 1ull << bit;
		unsigned __int128 square = (unsigned __int128)t * t;

		if (power == 2 ? square <= (unsigned __int128)(unsigned)prime << 64
		               : square <= (((unsigned __int128)(unsigned)prime << 96) - 1) / t)
			x = t;
	}
	return (uint32_t)x;
}

static uint32_t constants[64], start[8];

static void make_constants(void)
{
	for (int n = 0, p = 2; n < 64; p++) {
		bool prime = true;

		for (int d = 2; d * d <= p; d++)
			prime = prime && p % d != 0;
		if (!prime)
			continue;
		if (n < 8)
			start[n] = root_fraction(p, 2);
		constants[n++] = root_fraction(p, 3);
	}
}

static void add_block(struct sha256 *s, const uint8_t *block)
{
	uint32_t w[64] = { 0 }, v[8];

	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 4; j++)
			w[i] = w[i] << 8 | block[4 * i + j];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
		       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
	memcpy(v, s->h, sizeof(v));
	for (int i = 0; i < 64; i++) {
		uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
		uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[i] + w[i];
		uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
		uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		s->h[i] += v[i];
}

void sha256_init(struct sha256 *s)
{
	if (constants[0] == 0)
		make_constants();
	memcpy(s->h, start, sizeof(s->h));
	s->size = 0;
}

void sha256_add(struct sha256 *s, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		size_t used = s->size % 64, part = 64 - used < n ? 64 - used : n;

		memcpy(s->block + used, p, part);
		s->size += part;
		p += part;
		n -= part;
		if (s->size % 64 == 0)
			add_block(s, s->block);
	}
}

void sha256_hex(struct sha256 *s, char out[65])
{
	uint64_t bits = s->size * 8;
	uint8_t size[8];

	for (int i = 0; i < 8; i++)
		size[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(s, "\x80", 1);
	while (s->size % 64 != 56)
		sha256_add(s, "", 1);
	sha256_add(s, size, 8);
	for (int i = 0; i < 8; i++)
		snprintf(out + 8 * i, 9, "%08x", (unsigned)s->h[i]);
}

bool sha256_file(const char *path, char out[65])
{
	static uint8_t buffer[1 << 16];
	struct sha256 s;
	size_t n;
	FILE *f = fopen(path, "rb");

	if (!f)
		return false;
	sha256_init(&s);
	while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
		sha256_add(&s, buffer, n);
	fclose(f);
	sha256_hex(&s, out);
	return true;
}
