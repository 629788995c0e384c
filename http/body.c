/* SPDX-License-Identifier: MIT */
/* The body of an answer, and what becomes of the connection behind it. */
#include <assert.h>
#include <string.h>

#include "http/connection.h"
#include "lib/os/clock.h"

enum {
	DIRECT_MIN = 4 << 10, /* reads of so much go into the caller's memory straight */
	DRAIN_MAX = 64 << 10,
	DRAIN_MS = 1000,
};

struct patience exchange_patience(const struct http_exchange *x)
{
	return (struct patience){
		.idle_ms = x->client->o.idle_timeout_ms, .until_us = INT64_MAX, .cancel = x->cancel
	};
}

/* One piece of received bytes through the parser; body bytes are moved to `to`, where there is room for all n. */
static int take_piece(struct http_exchange *x, const uint8_t *piece, size_t n, uint8_t *to, size_t *got, size_t *left,
                      struct err *e)
{
	size_t used;

	*got = 0;
	for (*left = n; !x->finished;) {
		enum http_event event = http_parse(&x->answer, piece + (n - *left), *left, &used, e);

		*left -= used;
		if (event == HTTP_BODY) {
			memmove(to + *got, x->answer.body, x->answer.body_len);
			*got += x->answer.body_len;
		} else if (event == HTTP_DONE) {
			x->finished = true;
		} else if (event == HTTP_MORE) {
			return 0;
		} else {
			if (e != NULL)
				e->code = ERR_UNAVAILABLE;
			x->broken = true;
			return err_wrap(e, "answer of %s", x->c->peer);
		}
	}
	return 0;
}

/* The connection has ended. */
static int take_end(struct http_exchange *x, struct err *e)
{
	x->broken = true;
	/* A TLS peer that just went away may have been cut off by somebody else. */
	if (x->answer.until_close && x->c->tls != NULL && tls_truncated(x->c->tls))
		return err_set(e, ERR_UNAVAILABLE, "answer of %s: the connection was cut", x->c->peer);
	if (http_parse_end(&x->answer, e) == HTTP_DONE) {
		x->finished = true;
		return 0;
	}
	if (e != NULL)
		e->code = ERR_UNAVAILABLE;
	return err_wrap(e, "answer of %s", x->c->peer);
}

static int read_some(struct http_exchange *x, uint8_t *bytes, size_t n, size_t *got, const struct patience *p,
                     struct err *e)
{
	struct http_connection *c = x->c;
	size_t left, received;

	if (c->in_at < c->in_len || !x->answer.has_body) {
		size_t have = c->in_len - c->in_at, piece = have < n ? have : n;
		int rc = take_piece(x, c->in + c->in_at, piece, bytes, got, &left, e);

		c->in_at += piece - left;
		return rc;
	}
	*got = 0;
	if (n >= DIRECT_MIN) {
		if (connection_recv(c, bytes, n, &received, p, e) < 0)
			return -1;
		x->received_bytes += (int64_t)received;
		if (received == 0)
			return take_end(x, e);
		if (take_piece(x, bytes, received, bytes, got, &left, e) < 0)
			return -1;
		x->broken = x->broken || left > 0; /* more than the answer: nobody can trust what follows */
		return 0;
	}
	c->in_at = c->in_len = 0;
	if (connection_recv(c, c->in, sizeof(c->in), &received, p, e) < 0)
		return -1;
	x->received_bytes += (int64_t)received;
	c->in_len = received;
	return received == 0 ? take_end(x, e) : 0;
}

/* A short rest of the body costs less than a new connection. */
static void drain(struct http_exchange *x)
{
	struct patience p = { .until_us = os_mono_us() + DRAIN_MS * 1000, .cancel = x->cancel };
	uint8_t bytes[4 << 10];
	size_t total = 0, got;

	if (x->answer.content_length > 0 && x->answer.content_length - x->answer.body_seen > DRAIN_MAX)
		return;
	while (!x->finished && total <= DRAIN_MAX) {
		if (read_some(x, bytes, sizeof(bytes), &got, &p, NULL) < 0) {
			x->broken = true;
			return;
		}
		total += got;
	}
}

void exchange_release(struct http_exchange *x)
{
	struct http_connection *c = x->c;

	if (!x->finished && !x->broken && x->answer.keep_alive && !x->answer.until_close)
		drain(x);
	x->c = NULL;
	if (x->finished && !x->broken && x->answer.keep_alive && c->in_at == c->in_len)
		pool_put(x->client, c);
	else
		connection_free(c);
}

int http_read(struct http_exchange *x, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct patience p = exchange_patience(x);

	assert(n > 0);
	*got = 0;
	while (!x->finished && *got == 0) {
		if (read_some(x, bytes, n, got, &p, e) == 0)
			continue;
		x->broken = true;
		*got = 0;
		return -1;
	}
	return 0;
}

void http_end(struct http_exchange *x)
{
	if (x->c == NULL)
		return;
	exchange_release(x);
	http_parser_free(&x->answer);
}
