/* SPDX-License-Identifier: MIT */
/*
 * xml.h - a pull parser for the XML that S3 and STS answer with (s3.md §7).
 *
 * It reads through a callback and holds one piece of input and one text, however long the document is. Elements are
 * told apart by their local names; attributes, comments and processing instructions are skipped. No document type is
 * accepted, so nothing can be declared and nothing expands. Depth, names, tags and texts have limits.
 *
 *   while ((event = xml_next(&x, e)) == XML_START || event == XML_END) …
 *
 * One thread. Errors: the callback's own, or ERR_CORRUPT "malformed XML: …".
 */
#ifndef RIVULET_S3_XML_H
#define RIVULET_S3_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

enum { XML_DEPTH_MAX = 8, XML_NAME_SIZE = 64, XML_TEXT_MAX = 8 << 10, XML_PIECE = 4 << 10 };

enum xml_event {
	XML_START, /* x->name opens, x->depth counts it (the root: 1) */
	XML_END,   /* x->name closes; xml_text() is its text if it has no elements inside; depth counts it no more */
	XML_EOF,   /* the document is complete */
	XML_ERROR,
};

struct xml {
	int depth;
	const char *name; /* local name of the element of the last event */
	/* the parser's */
	int (*read)(void *ctx, void *bytes, size_t n, size_t *got, struct err *e);
	void *ctx;
	char names[XML_DEPTH_MAX + 1][XML_NAME_SIZE]; /* of the open elements; [depth + 1] was closed last */
	struct buf text;
	bool text_too_long, leaf, close_now, seen_root, skipping;
	size_t at, len;
	uint8_t piece[XML_PIECE];
};

/* *got == 0 from read: the input has ended. */
void xml_init(struct xml *x, int (*read)(void *ctx, void *bytes, size_t n, size_t *got, struct err *e), void *ctx);
void xml_free(struct xml *x);
enum xml_event xml_next(struct xml *x, struct err *e);
/* After XML_START: goes behind the end of that element, whatever is in it. 0 or -1. */
int xml_skip(struct xml *x, struct err *e);
/* The text of the element that has just ended, entities resolved; bytes are not checked to be UTF-8. */
const char *xml_text(const struct xml *x);

#endif
