/* SPDX-License-Identifier: MIT */
#include "lib/base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 64 };

static size_t buf_most(const struct buf *b)
{
	size_t most = b->limit ? b->limit : (size_t)BUF_LIMIT_DEFAULT;

	return most < SIZE_MAX ? most : SIZE_MAX - 1; /* the NUL behind it must be countable too */
}

/* Makes cap at least len + n + 1: one byte more than asked for, so that the closing NUL always has its place. */
static bool buf_grow(struct buf *b, size_t n)
{
	size_t most = buf_most(b);

	if (b->failed)
		return false;
	assert(b->cap == 0 || b->len < b->cap);
	if (b->cap - b->len > n && n <= most && b->len <= most - n)
		return true;
	if (b->len > most || n > most - b->len) {
		b->failed = true;
		return false;
	}

	size_t need = b->len + n + 1;
	size_t cap = b->cap > BUF_FIRST / 2 ? b->cap : BUF_FIRST / 2;

	while (cap < need)
		cap = cap > most / 2 ? most + 1 : cap * 2;

	uint8_t *data = realloc(b->data, cap);

	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (!buf_grow(b, n))
		return NULL;
	b->data[b->len] = 0;
	return b->data + b->len;
}

void buf_append(struct buf *b, const void *bytes, size_t n)
{
	if (!buf_grow(b, n))
		return;
	if (n > 0)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = 0;
}

void buf_str(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	if (!buf_grow(b, 1))
		return;
	b->data[b->len++] = (uint8_t)c;
	b->data[b->len] = 0;
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vfmt(b, fmt, ap);
	va_end(ap);
}

void buf_vfmt(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	size_t room;
	int n;

	if (b->failed)
		return;
	/* Most text fits at the first try; else the length is known then, and the second try has the room. */
	va_copy(again, ap);
	room = b->cap - b->len;
	n = vsnprintf(room ? (char *)b->data + b->len : NULL, room, fmt, ap);
	if (n < 0) {
		b->failed = true;
	} else if (buf_grow(b, (size_t)n)) {
		if ((size_t)n >= room)
			(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	if (b->failed && room)
		b->data[b->len] = 0;
	va_end(again);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->cap)
		b->data[0] = 0;
}

void buf_free(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
	b->failed = false;
}

const char *buf_text(const struct buf *b)
{
	if (!b->cap)
		return "";
	/* Bytes written through buf_reserve() have no NUL behind them yet. */
	assert(b->len < b->cap);
	b->data[b->len] = 0;
	return (const char *)b->data;
}
