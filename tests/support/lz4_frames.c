/* SPDX-License-Identifier: MIT */
#include "tests/support/lz4_frames.h"

#include <stdlib.h>

#include "lib/restore/v3_frame.h"
#include "lz4.h"

static void add32(struct buf *b, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		buf_char(b, (char)(v >> 8 * i & 0xff));
}

void lz4_add_frame(struct buf *b, const void *bytes, size_t n, size_t each, unsigned flags)
{
	size_t head = b->len + 4;
	uint8_t flg = 0x60 | (flags & F_BLOCK_SUMS ? 0x10 : 0) | (flags & F_SIZE ? 0x08 : 0) | (flags & F_NO_SUM ? 0 : 0x04);
	char *packed = malloc((size_t)LZ4_compressBound((int)each));
	const char *p = bytes;

	add32(b, 0x184d2204);
	buf_char(b, (char)flg);
	buf_char(b, 0x40);
	if (flags & F_SIZE) {
		add32(b, (uint32_t)n);
		add32(b, 0);
	}
	buf_char(b, (char)(xxh32(b->data + head, b->len - head) >> 8 & 0xff));
	for (size_t at = 0, m; at < n; at += m) {
		m = n - at < each ? n - at : each;
		int size = flags & F_RAW ? 0 : LZ4_compress_default(p + at, packed, (int)m, LZ4_compressBound((int)each));
		const char *block = size > 0 ? packed : p + at;
		size_t stored = size > 0 ? (size_t)size : m;

		add32(b, (uint32_t)stored | (size > 0 ? 0 : 0x80000000u));
		buf_append(b, block, stored);
		if (flags & F_BLOCK_SUMS)
			add32(b, xxh32((const uint8_t *)block, stored));
	}
	add32(b, 0);
	if (!(flags & F_NO_SUM))
		add32(b, xxh32(bytes, n));
	free(packed);
}
