/* SPDX-License-Identifier: MIT */
#include "lib/base/xxh32.h"

#include <string.h>

static const uint32_t A = 0x9e3779b1, B = 0x85ebca77, C = 0xc2b2ae3d, D = 0x27d4eb2f, E = 0x165667b1;

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t rotl(uint32_t v, int n)
{
	return v << n | v >> (32 - n);
}

static void add_stripe(uint32_t lane[4], const uint8_t *p)
{
	for (int i = 0; i < 4; i++)
		lane[i] = rotl(lane[i] + le32(p + 4 * i) * B, 13) * A;
}

void xxh32_begin(struct xxh32 *x)
{
	*x = (struct xxh32){ .lane = { A + B, B, 0, 0 - A } };
}

void xxh32_add(struct xxh32 *x, const uint8_t *bytes, size_t n)
{
	size_t have = x->total % 16, room = 16 - have;

	x->total += n;
	if (have > 0 && n >= room) {
		memcpy(x->tail + have, bytes, room);
		add_stripe(x->lane, x->tail);
		bytes += room;
		n -= room;
		have = 0;
	}
	if (have == 0)
		for (; n >= 16; bytes += 16, n -= 16)
			add_stripe(x->lane, bytes);
	if (n > 0)
		memcpy(x->tail + have, bytes, n);
}

uint32_t xxh32_end(const struct xxh32 *x)
{
	const uint8_t *p = x->tail;
	size_t left = x->total % 16;
	uint32_t h = E;

	if (x->total >= 16)
		h = rotl(x->lane[0], 1) + rotl(x->lane[1], 7) + rotl(x->lane[2], 12) + rotl(x->lane[3], 18);
	h += (uint32_t)x->total;
	for (; left >= 4; p += 4, left -= 4)
		h = rotl(h + le32(p) * C, 17) * D;
	for (; left > 0; p++, left--)
		h = rotl(h + *p * E, 11) * A;
	h = (h ^ h >> 15) * B;
	h = (h ^ h >> 13) * C;
	return h ^ h >> 16;
}

uint32_t xxh32(const uint8_t *bytes, size_t n)
{
	struct xxh32 x;

	xxh32_begin(&x);
	xxh32_add(&x, bytes, n);
	return xxh32_end(&x);
}
