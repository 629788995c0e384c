/* SPDX-License-Identifier: MIT */
/*
 * buffered.c - see buffered.h.
 */
#include "lib/ltx/buffered.h"

#include <string.h>

void ltx_buffered_init(struct ltx_buffered *b, struct ltx_source source, uint8_t *buf, size_t cap)
{
	*b = (struct ltx_buffered){ .source = source, .buf = buf, .cap = cap };
}

static int buffered_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct ltx_buffered *b = ctx;

	if (b->pos == b->len) {
		if (n >= b->cap)
			return b->source.read(b->source.ctx, bytes, n, got, e);
		b->pos = b->len = 0;
		if (b->source.read(b->source.ctx, b->buf, b->cap, &b->len, e)) {
			b->len = 0;
			return -1;
		}
	}
	*got = n < b->len - b->pos ? n : b->len - b->pos;
	memcpy(bytes, b->buf + b->pos, *got);
	b->pos += *got;
	return 0;
}

struct ltx_source ltx_buffered_source(struct ltx_buffered *b)
{
	return (struct ltx_source){ .read = buffered_read, .ctx = b };
}

void ltx_gather_init(struct ltx_gather *g, struct ltx_sink sink, uint8_t *buf, size_t cap)
{
	*g = (struct ltx_gather){ .sink = sink, .buf = buf, .cap = cap };
}

int ltx_gather_flush(struct ltx_gather *g, struct err *e)
{
	size_t n = g->len;

	g->len = 0;
	return n == 0 ? 0 : g->sink.write(g->sink.ctx, g->buf, n, e);
}

static int gather_write(void *ctx, const void *bytes, size_t n, struct err *e)
{
	struct ltx_gather *g = ctx;
	const uint8_t *p = bytes;

	/* Full buffers only, so that what reaches the file starts at multiples of the buffer's size. */
	while (n > 0) {
		size_t part = g->cap - g->len < n ? g->cap - g->len : n;
		if (part == g->cap) {
			if (g->sink.write(g->sink.ctx, p, part, e))
				return -1;
		} else {
			memcpy(g->buf + g->len, p, part);
			g->len += part;
			if (g->len == g->cap && ltx_gather_flush(g, e))
				return -1;
		}
		p += part;
		n -= part;
	}
	return 0;
}

struct ltx_sink ltx_gather_sink(struct ltx_gather *g)
{
	return (struct ltx_sink){ .write = gather_write, .ctx = g };
}
