/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "lib/base/gzip.h"

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static void put32(struct buf *out, uint32_t x)
{
	uint8_t b[4] = { (uint8_t)x, (uint8_t)(x >> 8), (uint8_t)(x >> 16), (uint8_t)(x >> 24) };

	buf_append(out, b, 4);
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void gzip_store(struct buf *out, const uint8_t *bytes, size_t n)
{
	static const uint8_t head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };
	size_t at = 0;

	buf_append(out, head, sizeof(head));
	do {
		size_t part = n - at < 65535 ? n - at : 65535;
		uint8_t block[5] = { at + part == n, (uint8_t)part, (uint8_t)(part >> 8), (uint8_t)~part,
		                     (uint8_t)(~part >> 8) };

		buf_append(out, block, sizeof(block));
		if (part)
			buf_append(out, bytes + at, part);
		at += part;
	} while (at < n);
	put32(out, crc32_of(bytes, n));
	put32(out, (uint32_t)n);
}

/* ---- deflate ---- */

struct bits {
	const uint8_t *p, *end;
	uint32_t hold;
	int count;
	bool failed; /* the input has ended; zeros came instead */
};

static uint32_t take(struct bits *b, int n)
{
	uint32_t x;

	while (b->count < n) {
		if (b->p == b->end)
			b->failed = true;
		else
			b->hold |= (uint32_t)*b->p++ << b->count;
		b->count += 8;
	}
	x = b->hold & ((1u << n) - 1);
	b->hold >>= n;
	b->count -= n;
	return x;
}

enum { CODE_BITS = 15, LITERALS = 288, DISTANCES = 32 };

/* A canonical code: how many symbols of each length, and the symbols in order of their codes. */
struct code {
	uint16_t count[CODE_BITS + 1];
	uint16_t symbol[LITERALS];
};

/* false when there are more codes than fit. */
static bool make_code(struct code *c, const uint8_t *lengths, int n)
{
	uint16_t at[CODE_BITS + 2] = { 0 };
	int room = 1;

	memset(c->count, 0, sizeof(c->count));
	for (int i = 0; i < n; i++)
		c->count[lengths[i]]++;
	c->count[0] = 0;
	for (int bits = 1; bits <= CODE_BITS; bits++) {
		room = room * 2 - c->count[bits];
		if (room < 0)
			return false;
		at[bits + 1] = (uint16_t)(at[bits] + c->count[bits]);
	}
	for (int i = 0; i < n; i++)
		if (lengths[i])
			c->symbol[at[lengths[i]]++] = (uint16_t)i;
	return true;
}

/* -1: no such code. */
static int decode(struct bits *b, const struct code *c)
{
	int code = 0, first = 0, index = 0;

	for (int bits = 1; bits <= CODE_BITS; bits++) {
		code |= (int)take(b, 1);
		if (code - first < c->count[bits])
			return c->symbol[index + code - first];
		index += c->count[bits];
		first = (first + c->count[bits]) << 1;
		code <<= 1;
	}
	return -1;
}

static int copy_back(struct buf *out, size_t distance, size_t n)
{
	uint8_t *to = buf_reserve(out, n);

	if (!to || distance > out->len)
		return -1;
	for (size_t i = 0; i < n; i++)
		to[i] = to[(ptrdiff_t)i - (ptrdiff_t)distance];
	out->len += n;
	return 0;
}

/* Base values grow by the extra bits of what comes before. */
static uint32_t with_extra(struct bits *b, int symbol, int per_step, int first_base)
{
	int step = symbol / per_step, extra = step < 2 ? 0 : step - 1, n = per_step;
	uint32_t base = (uint32_t)first_base;

	/* The first two steps are without extra bits, then each has one more than the one before. */
	if (step < 2)
		return base + (uint32_t)symbol;
	base += (uint32_t)((n << extra) + (symbol % n << extra));
	return base + take(b, extra);
}

static int expand_block(struct bits *b, const struct code *literals, const struct code *distances, struct buf *out)
{
	for (;;) {
		int symbol = decode(b, literals);
		size_t length;

		if (symbol < 0 || b->failed || !buf_ok(out))
			return -1;
		if (symbol < 256) {
			buf_char(out, (char)symbol);
			continue;
		}
		if (symbol == 256)
			return 0;
		if (symbol > 285)
			return -1;
		length = symbol == 285 ? 258 : with_extra(b, symbol - 257, 4, 3);
		symbol = decode(b, distances);
		if (symbol < 0 || symbol > 29 || copy_back(out, with_extra(b, symbol, 2, 1), length))
			return -1;
	}
}

static int read_codes(struct bits *b, struct code *literals, struct code *distances)
{
	static const uint8_t order[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
	uint8_t lengths[LITERALS + DISTANCES + 138] = { 0 };
	int literal_count = (int)take(b, 5) + 257, distance_count = (int)take(b, 5) + 1, n = (int)take(b, 4) + 4;
	int total = literal_count + distance_count;

	if (literal_count > 286 || distance_count > 30)
		return -1;
	for (int i = 0; i < n; i++)
		lengths[order[i]] = (uint8_t)take(b, 3);
	if (!make_code(literals, lengths, 19))
		return -1;
	memset(lengths, 0, sizeof(lengths));
	for (int i = 0; i < total;) {
		int symbol = decode(b, literals), times;

		if (symbol < 0 || b->failed || (symbol == 16 && !i))
			return -1;
		if (symbol < 16) {
			lengths[i++] = (uint8_t)symbol;
			continue;
		}
		times = symbol == 16 ? 3 + (int)take(b, 2) : symbol == 17 ? 3 + (int)take(b, 3) : 11 + (int)take(b, 7);
		memset(lengths + i, symbol == 16 ? lengths[i - 1] : 0, (size_t)times);
		i += times;
		if (i > total)
			return -1;
	}
	return make_code(literals, lengths, literal_count) &&
	       make_code(distances, lengths + literal_count, distance_count) ? 0 : -1;
}

static int fixed_codes(struct code *literals, struct code *distances)
{
	uint8_t lengths[LITERALS];

	for (int i = 0; i < LITERALS; i++)
		lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	make_code(literals, lengths, LITERALS);
	memset(lengths, 5, DISTANCES);
	make_code(distances, lengths, DISTANCES);
	return 0;
}

static int stored_block(struct bits *b, struct buf *out)
{
	uint32_t n;

	b->hold = 0;
	b->count = 0;
	if (b->end - b->p < 4)
		return -1;
	n = b->p[0] | (uint32_t)b->p[1] << 8;
	if ((b->p[2] | (uint32_t)b->p[3] << 8) != (~n & 0xffff) || (size_t)(b->end - b->p - 4) < n)
		return -1;
	buf_append(out, b->p + 4, n);
	b->p += 4 + n;
	return buf_ok(out) ? 0 : -1;
}

static int inflate(struct bits *b, struct buf *out)
{
	struct code literals, distances;
	bool last;
	int rc;

	do {
		uint32_t type;

		last = take(b, 1);
		type = take(b, 2);
		if (b->failed || type == 3)
			return -1;
		if (type == 0) {
			rc = stored_block(b, out);
		} else {
			rc = type == 2 ? read_codes(b, &literals, &distances) : fixed_codes(&literals, &distances);
			if (!rc)
				rc = expand_block(b, &literals, &distances, out);
		}
	} while (!rc && !last);
	return rc;
}

int gzip_expand(const uint8_t *bytes, size_t n, struct buf *out, struct err *e)
{
	struct bits b = { .p = bytes + 10, .end = bytes + n - 8 };

	if (n < 18 || bytes[0] != 0x1f || bytes[1] != 0x8b || bytes[2] != 8 || bytes[3])
		return err_set(e, ERR_CORRUPT, "not a plain gzip file");
	buf_reset(out);
	if (inflate(&b, out))
		return buf_ok(out) ? err_set(e, ERR_CORRUPT, "gzip: bad compressed data")
		                   : err_set(e, ERR_LIMIT, "gzip: the content is too large");
	if (get32(bytes + n - 8) != crc32_of(out->data, out->len) || get32(bytes + n - 4) != (uint32_t)out->len)
		return err_set(e, ERR_CORRUPT, "gzip: checksum does not fit");
	return 0;
}
