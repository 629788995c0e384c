/* SPDX-License-Identifier: MIT */
/*
 * message.h - HTTP/1.0 and 1.1 messages from bytes (RFC 9112): one incremental parser for the server (requests) and the
 * client (responses).
 *
 * The caller feeds what the network gave, in pieces of any size; the parser keeps the head (start line and fields) in a
 * buffer of its own with a limit and gives body bytes out as pointers into the caller's piece. Everything is hostile:
 * bare CR, obs-fold, blanks before a colon, duplicate or conflicting lengths, both Content-Length and
 * Transfer-Encoding, NUL bytes and bad chunk sizes are refused, never guessed about. A line of the head may end with a
 * bare LF (RFC 9112 §2.2), lines between chunks may not. No allocation but the head's buffer. Trailers and chunk
 * extensions are dropped.
 *
 * One thread at a time. After HTTP_ERROR the parser is of no use.
 */
#ifndef RIVULET_HTTP_MESSAGE_H
#define RIVULET_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

enum { HTTP_HEAD_MAX = 64 << 10, HTTP_FIELDS_MAX = 100 };

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };

enum http_event {
	HTTP_MORE,  /* all bytes were used, more are needed */
	HTTP_HEAD,  /* the head is complete: method, target, status and fields may be asked for */
	HTTP_BODY,  /* p->body, p->body_len: bytes of the body, inside the caller's piece */
	HTTP_DONE,  /* the message is complete; unused bytes belong to the next one: http_parser_next() */
	HTTP_ERROR, /* e says why; p->status is what a server answers (400, 414, 417, 431, 501, 503, 505) */
};

struct http_field { /* offsets into the head buffer; texts are NUL-terminated, names lower-cased */
	uint32_t name, value;
};

struct http_parser {
	enum http_kind kind;
	size_t head_max;      /* 0 = HTTP_HEAD_MAX */
	bool no_body;         /* response to HEAD or a 2xx to CONNECT: set by the client before feeding */
	/* results, from HTTP_HEAD on */
	int version_minor;    /* HTTP/1.x */
	int status;           /* response's; on HTTP_ERROR see there */
	uint32_t method, target, reason; /* offsets: http_text() */
	int field_count;
	struct http_field fields[HTTP_FIELDS_MAX];
	int64_t content_length; /* as the message says; -1 = it does not, or chunked */
	bool chunked, keep_alive, expect_continue, has_body;
	bool until_close;     /* the body ends with the connection: http_parse_end() */
	const uint8_t *body;
	size_t body_len;
	/* the parser's */
	struct buf head;
	int state;
	int64_t left, body_seen;
	size_t scan;
	int interim;          /* 1xx answers skipped */
};

void http_parser_init(struct http_parser *p, enum http_kind kind);
/* For the next message on the same connection. The memory of the head is kept. */
void http_parser_next(struct http_parser *p);
void http_parser_free(struct http_parser *p);

/* Uses bytes[0 … *used); call again with the rest, even if that is none, until it says HTTP_MORE (or DONE or ERROR).
 * 1xx responses but 101 are skipped, a few of them. */
enum http_event http_parse(struct http_parser *p, const uint8_t *bytes, size_t n, size_t *used, struct err *e);
/* The connection has ended: HTTP_DONE if that completes the message, else HTTP_ERROR "connection closed in …". */
enum http_event http_parse_end(struct http_parser *p, struct err *e);

const char *http_text(const struct http_parser *p, uint32_t offset);
/* A field's value by its lower-case name; several of one name are joined with ", " (RFC 9110 §5.3), but of Set-Cookie
 * it is the first; NULL = not there. */
const char *http_field(const struct http_parser *p, const char *name);

/* ---- pieces of URLs, shared by server routes, clients and S3 ---- */

/* Percent-decodes in place; plus: '+' is a blank. false on a bad escape or an embedded NUL. */
bool http_unescape(char *s, bool plus);
/* Splits scheme://[user[:password]@]host[:port]/path?query; IPv6 in brackets. All texts are malloc'ed in one block.
 * Scheme and host are lower-cased, user and password decoded, path and query stay escaped; a fragment is dropped. */
struct http_url {
	char *scheme, *host;    /* host without brackets */
	char *user, *password;  /* NULL = none */
	char *path, *query;     /* path begins with "/" ("" becomes "/"); query without '?', NULL = none */
	int port;               /* 80, or 443 when secure, if not given */
	bool secure, has_port, host_is_ip; /* secure: https */
	char *block;
};
/* ERR_INVALID "parse \"TEXT\": …" in Go's words where Go has some. */
int http_url_parse(const char *text, struct http_url *out, struct err *e);
void http_url_free(struct http_url *u);

#endif
