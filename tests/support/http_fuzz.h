/* SPDX-License-Identifier: MIT */
/*
 * http_fuzz.h - what every run of the HTTP parser must keep to, for both kinds of messages: the same comes out of the
 * same bytes in one piece and in pieces, bodies lie inside the piece, texts end.
 */
#ifndef TESTS_SUPPORT_HTTP_FUZZ_H
#define TESTS_SUPPORT_HTTP_FUZZ_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "http/message.h"

static inline void note_head(struct http_parser *p, struct buf *out)
{
	const char *texts[] = { http_text(p, p->method), http_text(p, p->target), http_text(p, p->reason) };

	assert(p->field_count <= HTTP_FIELDS_MAX);
	assert(p->kind == HTTP_REQUEST || (p->status >= 100 && p->status <= 999));
	assert(!p->chunked || p->content_length == -1);
	if (p->kind == HTTP_REQUEST)
		buf_fmt(out, "%s %s", texts[0], texts[1]);
	else
		buf_fmt(out, "%d %s", p->status, texts[2]);
	for (int i = 0; i < p->field_count; i++) {
		const char *name = http_text(p, p->fields[i].name), *value = http_text(p, p->fields[i].value);

		assert(*name && !strpbrk(name, " \t:\r\n") && !strpbrk(value, "\r\n"));
		assert(http_field(p, name));
		buf_fmt(out, " %s=%s", name, value);
	}
	buf_fmt(out, " %d%d%d%d %lld\n", p->keep_alive, p->chunked, p->expect_continue, p->until_close,
	        (long long)p->content_length);
}

/* The connection's messages as text; pieces of `step` bytes. */
static inline void run(enum http_kind kind, const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	struct http_parser p;
	struct err e = ERR_INIT;
	enum http_event event = HTTP_MORE;
	int messages = 0;

	http_parser_init(&p, kind);
	while (size > 0 && event != HTTP_ERROR) {
		size_t n = size < step ? size : step, used;

		do {
			event = http_parse(&p, data, n, &used, &e);
			assert(used <= n);
			if (event == HTTP_BODY) {
				assert(p.body >= data && p.body_len > 0 && p.body + p.body_len == data + used);
				buf_append(out, p.body, p.body_len);
			}
			data += used;
			size -= used;
			n -= used;
			if (event == HTTP_HEAD)
				note_head(&p, out);
			if (event == HTTP_DONE) {
				buf_str(out, " done\n");
				messages++;
				http_parser_next(&p);
			}
		} while (event != HTTP_MORE && event != HTTP_ERROR);
		assert(event == HTTP_ERROR || n == 0);
	}
	if (event != HTTP_ERROR)
		buf_fmt(out, " end %d", http_parse_end(&p, &e));
	buf_fmt(out, " %d %d %s", messages, p.status, e.text);
	http_parser_free(&p);
}

/* data[0]: the size of the pieces; the rest: the connection's bytes. */
static inline void http_fuzz(enum http_kind kind, const uint8_t *data, size_t size)
{
	struct buf whole = { .data = NULL }, pieces = { .data = NULL };

	if (size == 0)
		return;
	run(kind, data + 1, size - 1, size, &whole);
	run(kind, data + 1, size - 1, (size_t)data[0] % 64 + 1, &pieces);
	assert(whole.len == pieces.len && memcmp(buf_text(&whole), buf_text(&pieces), whole.len) == 0);
	buf_free(&whole);
	buf_free(&pieces);
}

#endif
