/* SPDX-License-Identifier: MIT */
#include "http/message.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "http/head.h"

enum {
	STATE_HEAD,       /* collecting lines; scan: where the current line begins */
	STATE_LENGTH,     /* left: bytes of the body still to come */
	STATE_UNTIL_CLOSE,
	STATE_SIZE,       /* of a chunk; scan: length of the line so far, left: the size so far */
	STATE_EXTENSION,
	STATE_SIZE_LF,
	STATE_CHUNK,
	STATE_CHUNK_CR,
	STATE_CHUNK_LF,
	STATE_TRAILER,    /* at the beginning of a line; scan: length of all trailers so far */
	STATE_TRAILER_LINE,
	STATE_TRAILER_LF,
	STATE_LAST_LF,
	STATE_DONE,
	STATE_ERROR,
};
enum {
	SIZE_DIGITS_MAX = 15,      /* hex digits of a chunk's size: its value stays far from overflow */
	SIZE_LINE_MAX = 1 << 10,   /* with extensions */
	TRAILER_MAX = 16 << 10,
	BLANK_LINES_MAX = 8,       /* before a request; old clients send one behind the last body */
	INTERIM_MAX = 16,
};

void http_parser_init(struct http_parser *p, enum http_kind kind)
{
	*p = (struct http_parser){ .kind = kind };
	http_parser_next(p);
}

void http_parser_next(struct http_parser *p)
{
	struct http_parser old = *p;

	buf_reset(&old.head);
	*p = (struct http_parser){
		.kind = old.kind,
		.head_max = old.head_max,
		.head = old.head,
		.content_length = -1,
		.state = STATE_HEAD,
	};
}

void http_parser_free(struct http_parser *p)
{
	buf_free(&p->head);
}

static enum http_event fail(struct http_parser *p, struct err *e, int status, const char *text)
{
	p->state = STATE_ERROR;
	p->status = status;
	err_set(e, status == 431 || status == 414 ? ERR_LIMIT : ERR_INVALID, "%s", text);
	return HTTP_ERROR;
}

/* ---- body ---- */

/* How the message goes on behind its head. */
static int body_state(struct http_parser *p)
{
	bool none = p->kind == HTTP_RESPONSE && (p->no_body || p->status < 200 || p->status == 204 || p->status == 304);

	p->scan = 0;
	if (!none && p->chunked) {
		p->has_body = true;
		return STATE_SIZE;
	}
	if (!none && p->content_length < 0 && p->kind == HTTP_RESPONSE) {
		p->has_body = p->until_close = true;
		p->keep_alive = false;
		return STATE_UNTIL_CLOSE;
	}
	if (none || p->content_length <= 0)
		return STATE_DONE;
	p->has_body = true;
	p->left = p->content_length;
	return STATE_LENGTH;
}

static enum http_event give(struct http_parser *p, const uint8_t *bytes, size_t n, size_t *used)
{
	p->body = bytes;
	p->body_len = n;
	p->body_seen += (int64_t)n;
	*used += n;
	return HTTP_BODY;
}

/* At most `left` bytes of the body; `behind` is the state after the last of them. */
static enum http_event give_some(struct http_parser *p, const uint8_t *bytes, size_t n, size_t *used, int behind)
{
	if ((uint64_t)p->left < n)
		n = (size_t)p->left;
	p->left -= (int64_t)n;
	if (p->left == 0)
		p->state = behind;
	return give(p, bytes, n, used);
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a chunk's size line; false if it may not stand there. */
static bool take_size(struct http_parser *p, uint8_t c)
{
	int digit = hex_digit(c);

	if (++p->scan > SIZE_LINE_MAX)
		return false;
	if (p->state == STATE_SIZE_LF) {
		p->state = p->left ? STATE_CHUNK : STATE_TRAILER;
		p->scan = 0;
		return c == '\n';
	}
	if (p->state == STATE_SIZE && digit >= 0) {
		if (p->scan > SIZE_DIGITS_MAX)
			return false;
		p->left = p->left << 4 | digit;
		return true;
	}
	if (p->state == STATE_SIZE && p->scan == 1)
		return false; /* no digit at all */
	if (c == '\r')
		p->state = STATE_SIZE_LF;
	else if (p->state == STATE_SIZE)
		p->state = STATE_EXTENSION;
	else
		return http_value_byte(c);
	return c == '\r' || c == ';';
}

/* One byte of the CRLF behind a chunk. */
static bool take_chunk_end(struct http_parser *p, uint8_t c)
{
	if (p->state == STATE_CHUNK_CR) {
		p->state = STATE_CHUNK_LF;
		return c == '\r';
	}
	p->state = STATE_SIZE;
	p->scan = 0;
	p->left = 0;
	return c == '\n';
}

/* One byte of the trailers, whose lines only need an end. */
static bool take_trailer(struct http_parser *p, uint8_t c)
{
	if (++p->scan > TRAILER_MAX)
		return false;
	switch (p->state) {
	case STATE_TRAILER:
		p->state = c == '\r' ? STATE_LAST_LF : STATE_TRAILER_LINE;
		return c == '\r' || http_token_byte(c);
	case STATE_TRAILER_LINE:
		if (c == '\r')
			p->state = STATE_TRAILER_LF;
		return c == '\r' || http_value_byte(c);
	case STATE_TRAILER_LF:
		p->state = STATE_TRAILER;
		return c == '\n';
	default:
		p->state = STATE_DONE;
		return c == '\n';
	}
}

static enum http_event take_chunked(struct http_parser *p, const uint8_t *bytes, size_t n, size_t *used, struct err *e)
{
	for (; *used < n; ++*used) {
		uint8_t c = bytes[*used];

		if (p->state == STATE_CHUNK)
			return give_some(p, bytes + *used, n - *used, used, STATE_CHUNK_CR);
		if (p->state == STATE_DONE)
			break;
		if (p->state >= STATE_TRAILER) {
			if (!take_trailer(p, c))
				return fail(p, e, 400, "malformed trailer");
		} else if (p->state >= STATE_CHUNK_CR) {
			if (!take_chunk_end(p, c))
				return fail(p, e, 400, "malformed chunked encoding");
		} else if (!take_size(p, c)) {
			return fail(p, e, 400, "invalid chunk size");
		}
	}
	return p->state == STATE_DONE ? HTTP_DONE : HTTP_MORE;
}

/* ---- head ---- */

/* The head is there. */
static enum http_event end_head(struct http_parser *p, struct err *e)
{
	int rc = http_head_parse(p, e);

	if (rc != 0) {
		p->state = STATE_ERROR;
		p->status = rc;
		return HTTP_ERROR;
	}
	if (p->kind == HTTP_RESPONSE && p->status < 200 && p->status != 101) {
		int interim = p->interim + 1;
		bool no_body = p->no_body;

		if (interim > INTERIM_MAX)
			return fail(p, e, 400, "too many 1xx informational responses");
		http_parser_next(p);
		p->interim = interim;
		p->no_body = no_body;
		return HTTP_MORE;
	}
	p->state = body_state(p);
	return HTTP_HEAD;
}

/* A line has been completed in p->head, from p->scan. */
static enum http_event end_line(struct http_parser *p, struct err *e)
{
	const uint8_t *line = p->head.data + p->scan;
	size_t len = p->head.len - p->scan;
	bool blank = len == 1 || (len == 2 && line[0] == '\r');

	if (!blank) {
		p->scan = p->head.len;
		return HTTP_MORE;
	}
	if (p->scan > 0)
		return end_head(p, e);
	if (p->kind == HTTP_RESPONSE || ++p->interim > BLANK_LINES_MAX)
		return fail(p, e, 400, "malformed HTTP message: blank line at its beginning");
	buf_reset(&p->head);
	return HTTP_MORE;
}

static enum http_event take_head(struct http_parser *p, const uint8_t *bytes, size_t n, size_t *used, struct err *e)
{
	size_t max = p->head_max ? p->head_max : (size_t)HTTP_HEAD_MAX;

	while (*used < n) {
		const uint8_t *from = bytes + *used, *lf = memchr(from, '\n', n - *used);
		size_t len = lf ? (size_t)(lf + 1 - from) : n - *used;
		enum http_event event;

		if (len > max - p->head.len)
			return p->scan == 0 && p->kind == HTTP_REQUEST ? fail(p, e, 414, "request line too long")
			                                               : fail(p, e, 431, "header fields too large");
		/* Fields of one name that are joined need some more. */
		p->head.limit = 2 * max + 1024;
		buf_append(&p->head, from, len);
		if (!buf_ok(&p->head)) {
			fail(p, e, 503, "");
			err_nomem(e);
			return HTTP_ERROR;
		}
		*used += len;
		event = lf ? end_line(p, e) : HTTP_MORE;
		if (event != HTTP_MORE)
			return event;
	}
	return HTTP_MORE;
}

/* ---- interface ---- */

enum http_event http_parse(struct http_parser *p, const uint8_t *bytes, size_t n, size_t *used, struct err *e)
{
	*used = 0;
	p->body = NULL;
	p->body_len = 0;
	switch (p->state) {
	case STATE_HEAD:
		return take_head(p, bytes, n, used, e);
	case STATE_LENGTH:
		return n ? give_some(p, bytes, n, used, STATE_DONE) : HTTP_MORE;
	case STATE_UNTIL_CLOSE:
		return n ? give(p, bytes, n, used) : HTTP_MORE;
	case STATE_DONE:
		return HTTP_DONE;
	case STATE_ERROR:
		return fail(p, e, p->status, "the message was refused before");
	default:
		return take_chunked(p, bytes, n, used, e);
	}
}

enum http_event http_parse_end(struct http_parser *p, struct err *e)
{
	const char *place = "its body";

	switch (p->state) {
	case STATE_DONE:
		return HTTP_DONE;
	case STATE_UNTIL_CLOSE:
		p->state = STATE_DONE;
		return HTTP_DONE;
	case STATE_ERROR:
		return fail(p, e, p->status, "the message was refused before");
	case STATE_HEAD:
		place = p->head.len ? "its head" : "front of it";
		break;
	default:
		break;
	}
	p->state = STATE_ERROR;
	p->status = 400;
	err_set(e, ERR_INVALID, "%s: connection closed in %s", p->kind == HTTP_REQUEST ? "request" : "response", place);
	return HTTP_ERROR;
}

const char *http_text(const struct http_parser *p, uint32_t offset)
{
	return p->head.data ? (const char *)p->head.data + offset : "";
}

const char *http_field(const struct http_parser *p, const char *name)
{
	for (int i = 0; i < p->field_count; i++)
		if (strcmp(http_text(p, p->fields[i].name), name) == 0)
			return http_text(p, p->fields[i].value);
	return NULL;
}
