/* SPDX-License-Identifier: MIT */
/*
 * buf.h - a growable byte buffer, and text built in it.
 *
 * A zeroed struct is an empty buffer. The buffer owns its bytes; buf_free() gives them back and leaves it empty again.
 * A failed growth (no memory, or beyond `limit`) is sticky: the buffer keeps what it had, later appends do nothing, and
 * buf_ok() says so. So a run of appends needs one test at its end. Not shared between threads.
 */
#ifndef RIVULET_BASE_BUF_H
#define RIVULET_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* always NUL-terminated behind len once anything was appended */
	size_t len;    /* bytes used */
	size_t cap;    /* bytes allocated */
	size_t limit;  /* most bytes it may hold; 0 = BUF_LIMIT_DEFAULT */
	bool failed;
};

enum { BUF_LIMIT_DEFAULT = 64 << 20 };

void buf_append(struct buf *b, const void *bytes, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vfmt(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Room for n more bytes: a pointer to write at, or NULL. The caller adds to len what it wrote. */
uint8_t *buf_reserve(struct buf *b, size_t n);

void buf_reset(struct buf *b); /* empty, memory kept, failure forgotten */
void buf_free(struct buf *b);

static inline bool buf_ok(const struct buf *b) { return !b->failed; }

/* The text so far; "" when empty. Valid until the next call on the buffer. */
const char *buf_text(const struct buf *b);

#endif
