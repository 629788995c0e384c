/* SPDX-License-Identifier: MIT */
/*
 * Input: one byte of settings, then an LZ4 frame. SEAL: the checksums of header, blocks and content are made right first, so
 * that what lies behind them is reached. However the bytes come in, the reader must give the same answer.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/restore/v3_frame.h"

enum { SEAL = 1, FRAME_MAX = 1 << 20, CONTENT_MAX = 64 << 20 };

struct source {
	struct replica_reader reader;
	const uint8_t *bytes;
	size_t size, at, step;
};

static int read_source(struct replica_reader *reader, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct source *s = (struct source *)reader;

	(void)e;
	if (n > s->size - s->at)
		n = s->size - s->at;
	if (s->step && n > s->step)
		n = s->step;
	memcpy(bytes, s->bytes + s->at, n);
	s->at += n;
	*got = n;
	return 0;
}

/* The answer: 0 or -1, and a hash of what was given out. */
static int read_all(const uint8_t *bytes, size_t size, size_t step, uint64_t *sum, uint32_t *end_hash)
{
	struct source s = { .reader.read = read_source, .bytes = bytes, .size = size, .step = step };
	struct err e = ERR_INIT;
	struct v3_frame f;
	const uint8_t *out;
	int64_t total = 0;
	size_t n;
	int rc;

	*sum = 0;
	v3_frame_begin(&f, &s.reader);
	while ((rc = v3_frame_next(&f, &out, &n, &e)) > 0) {
		if (n == 0 || n > f.block_max)
			abort();
		for (size_t i = 0; i < n; i++)
			*sum = *sum * 31 + out[i];
		total += (int64_t)n;
		if (total > CONTENT_MAX)
			break;
	}
	if (rc < 0 && e.text[0] == '\0')
		abort();
	if (rc == 0 && (s.at != size || f.given != total || v3_frame_next(&f, &out, &n, &e) != 0))
		abort();
	*end_hash = xxh32_end(&f.hash);
	v3_frame_end(&f);
	return rc;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void seal(uint8_t *b, size_t n)
{
	size_t descriptor, at;
	uint64_t sum;
	uint32_t hash;

	if (n < 7)
		return;
	put32(b, 0x184d2204);
	descriptor = b[4] & 0x08 ? 10 : 2;
	if (n < 5 + descriptor)
		return;
	b[4 + descriptor] = (uint8_t)(xxh32(b + 4, descriptor) >> 8);
	at = 5 + descriptor;
	while (n - at >= 4 && get32(b + at) != 0) {
		size_t size = get32(b + at) & 0x7fffffff;

		if (size > n - at - 4 || n - at - 4 - size < 4)
			return;
		if (b[4] & 0x10) {
			put32(b + at + 4 + size, xxh32(b + at + 4, size));
			at += 4;
		}
		at += 4 + size;
	}
	if (n - at >= 8 && (b[4] & 0x04)) {
		read_all(b, n, 0, &sum, &hash);
		put32(b + at + 4, hash);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t one, other;
	uint32_t hash;
	uint8_t *copy;
	int a, b;

	if (size < 1 || size > FRAME_MAX)
		return 0;
	copy = malloc(size);
	memcpy(copy, data + 1, size - 1);
	if (data[0] & SEAL)
		seal(copy, size - 1);
	a = read_all(copy, size - 1, 0, &one, &hash);
	b = read_all(copy, size - 1, 1 + (data[0] >> 1), &other, &hash);
	if (a != b || one != other)
		abort();
	free(copy);
	return 0;
}
