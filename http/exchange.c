/* SPDX-License-Identifier: MIT */
/*
 * The request and the head of its answer. The server may answer before it has the whole request (it refuses the body);
 * then the rest of the body is not sent, the answer is given to the caller, and the connection is not used again.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/connection.h"
#include "http/date.h"
#include "lib/os/clock.h"
#include "lib/os/file.h"

enum {
	CONTINUE_WAIT_MS = 1000,
	STAGE_SIZE = 64 << 10, /* body bytes read from a file at a time */
};

/* What http_begin works with. */
struct attempt {
	const struct http_request *rq;
	struct http_exchange *x;
	struct buf head;
	bool expect;     /* sent with Expect: 100-continue */
	bool early;      /* bytes of the answer came before the request was out */
	bool head_done;  /* the answer's head is complete */
	bool whole;      /* the request went out to its end */
};

/* ---- the request's head ---- */

static bool has_field(const char *fields, const char *name)
{
	size_t n = strlen(name);

	while (fields != NULL && *fields != '\0') {
		if (strncasecmp(fields, name, n) == 0 && fields[n] == ':')
			return true;
		fields = strchr(fields, '\n');
		fields += fields != NULL;
	}
	return false;
}

static void write_host(struct buf *b, const struct http_url *url)
{
	bool six = strchr(url->host, ':') != NULL;

	buf_fmt(b, six ? "[%s]" : "%s", url->host);
	if (url->port != (url->secure ? 443 : 80))
		buf_fmt(b, ":%d", url->port);
}

/* A method with a body has a length even when that is 0: some servers insist. */
static bool wants_length(const struct http_request *rq)
{
	return rq->body != NULL || strcmp(rq->method, "PUT") == 0 || strcmp(rq->method, "POST") == 0;
}

static int write_head(struct attempt *a, const struct destination *d, struct err *e)
{
	const struct http_request *rq = a->rq;
	struct buf *b = &a->head;

	assert(rq->target == NULL || (*rq->target != '\0' && strpbrk(rq->target, " \r\n") == NULL));
	buf_reset(b);
	buf_fmt(b, "%s ", rq->method);
	if (d->proxy != NULL && !rq->url->secure) {
		buf_fmt(b, "%s://", rq->url->scheme);
		write_host(b, rq->url);
	}
	if (rq->target != NULL)
		buf_str(b, rq->target);
	else if (rq->url->query != NULL)
		buf_fmt(b, "%s?%s", rq->url->path, rq->url->query);
	else
		buf_str(b, rq->url->path);
	buf_str(b, " HTTP/1.1\r\n");
	if (!has_field(rq->fields, "Host")) {
		buf_str(b, "Host: ");
		write_host(b, rq->url);
		buf_str(b, "\r\n");
	}
	if (d->proxy != NULL && !rq->url->secure && d->proxy->authorization != NULL)
		buf_str(b, d->proxy->authorization);
	if (rq->fields != NULL)
		buf_str(b, rq->fields);
	if (wants_length(rq))
		buf_fmt(b, "Content-Length: %lld\r\n", rq->body != NULL ? (long long)rq->body->size : 0LL);
	if (a->expect)
		buf_str(b, "Expect: 100-continue\r\n");
	buf_str(b, "\r\n");
	return buf_ok(b) ? 0 : err_nomem(e);
}

/* ---- the answer's bytes ---- */

/* Gives the parser what was received. 0: it wants more or has the head (a->head_done). */
static int parse_head(struct attempt *a, struct err *e)
{
	struct http_exchange *x = a->x;
	struct http_connection *c = x->c;
	size_t used;

	while (!a->head_done) {
		switch (http_parse(&x->answer, c->in + c->in_at, c->in_len - c->in_at, &used, e)) {
		case HTTP_HEAD:
			a->head_done = true;
			break;
		case HTTP_MORE:
			c->in_at = c->in_len = 0;
			return 0;
		default:
			if (e != NULL)
				e->code = ERR_UNAVAILABLE;
			return err_wrap(e, "answer of %s", c->peer);
		}
		c->in_at += used;
	}
	return 0;
}

/* Receives once and parses. */
static int hear(struct attempt *a, const struct patience *p, struct err *e)
{
	struct http_exchange *x = a->x;
	struct http_connection *c = x->c;
	size_t got;

	assert(c->in_at == c->in_len);
	c->in_at = c->in_len = 0;
	if (connection_recv(c, c->in, sizeof(c->in), &got, p, e) < 0)
		return -1;
	if (got == 0)
		return err_set(e, ERR_UNAVAILABLE, "read from %s: the server closed the connection before it answered",
		               c->peer);
	/* What speaks first thing of something else will not come to an end as HTTP either. */
	if (x->received_bytes == 0 && memcmp(c->in, "HTTP/", got < 5 ? got : 5) != 0)
		return err_set(e, ERR_UNAVAILABLE, "answer of %s: is not HTTP", c->peer);
	x->received_bytes += (int64_t)got;
	c->in_len = got;
	return parse_head(a, e);
}

static int read_head(struct attempt *a, struct err *e)
{
	struct http_exchange *x = a->x;
	int64_t limit_ms = x->client->o.head_timeout_ms;
	struct patience p = { .until_us = os_mono_us() + limit_ms * 1000, .cancel = x->cancel };

	while (!a->head_done) {
		if (hear(a, &p, e) == 0)
			continue;
		if (connection_timed_out(e))
			return err_set(e, ERR_UNAVAILABLE, "read from %s: no answer within %lld ms", x->c->peer,
			               (long long)limit_ms);
		return -1;
	}
	return 0;
}

/* ---- the request's bytes ---- */

/* The peer speaks while we send: perhaps only an interim answer. */
static int hear_early(struct attempt *a, struct err *e)
{
	struct patience p = exchange_patience(a->x);

	a->early = false;
	return hear(a, &p, e);
}

/* All n bytes, unless the answer comes first (a->head_done). */
static int send_bytes(struct attempt *a, const void *bytes, size_t n, bool more, struct err *e)
{
	struct patience p = exchange_patience(a->x);
	const uint8_t *from = bytes;
	size_t sent;

	while (n > 0 && !a->head_done) {
		if (connection_send(a->x->c, from, n, more, &a->early, &sent, &p, e) < 0)
			return -1;
		from += sent;
		n -= sent;
		a->x->sent_bytes += (int64_t)sent;
		if (a->early && hear_early(a, e) < 0)
			return -1;
	}
	return 0;
}

static int send_file(struct attempt *a, const struct http_body *body, struct err *e)
{
	uint8_t *stage = malloc(STAGE_SIZE);
	struct os_file f = { .fd = body->fd, .path = (char *)(uintptr_t)"the request's body" };
	int64_t done = 0;
	int rc = 0;

	if (stage == NULL)
		return err_nomem(e);
	while (rc == 0 && done < body->size && !a->head_done) {
		size_t n = body->size - done < STAGE_SIZE ? (size_t)(body->size - done) : STAGE_SIZE;

		rc = os_file_read_exact(&f, stage, n, body->offset + done, e);
		if (rc == 0)
			rc = send_bytes(a, stage, n, done + (int64_t)n < body->size, e);
		done += (int64_t)n;
	}
	free(stage);
	return rc;
}

/* Waits a second for leave to send the body; a server that knows nothing of it says nothing. */
static int await_continue(struct attempt *a, struct err *e)
{
	struct patience p = { .until_us = os_mono_us() + CONTINUE_WAIT_MS * 1000, .cancel = a->x->cancel };

	while (!a->head_done && a->x->answer.interim == 0) {
		int rc = connection_wait_input(a->x->c, &p, e);

		if (rc <= 0)
			return rc;
		if (hear_early(a, e) < 0)
			return -1;
	}
	return 0;
}

static int send_request(struct attempt *a, struct err *e)
{
	const struct http_body *body = a->rq->body;
	bool has_body = body != NULL && body->size > 0;

	if (send_bytes(a, a->head.data, a->head.len, has_body && !a->expect, e) < 0)
		return -1;
	if (a->expect && await_continue(a, e) < 0)
		return -1;
	if (a->head_done)
		return 0;
	if (has_body && (body->bytes != NULL ? send_bytes(a, body->bytes, (size_t)body->size, false, e)
	                                     : send_file(a, body, e)) < 0)
		return -1;
	a->whole = !a->head_done;
	return 0;
}

/* ---- begin ---- */

/* A server that refuses a body may answer and close, which breaks our sending; the answer is worth more than that. */
static int look_for_last_words(struct attempt *a, const struct err *sending, struct err *e)
{
	struct patience p = { .idle_ms = 1000, .until_us = os_mono_us() + CONTINUE_WAIT_MS * 1000,
	                      .cancel = a->x->cancel };

	if (!err_is(sending, ERR_UNAVAILABLE) || connection_timed_out(sending))
		return -1;
	while (!a->head_done)
		if (hear(a, &p, NULL) < 0)
			return -1;
	err_clear(e);
	return 0;
}

static int try_once(struct attempt *a, struct err *e)
{
	struct err sending = ERR_INIT;
	struct http_exchange *x = a->x;

	a->early = a->head_done = a->whole = false;
	x->finished = x->broken = false;
	x->sent_bytes = x->received_bytes = 0;
	http_parser_next(&x->answer);
	x->answer.no_body = strcmp(a->rq->method, "HEAD") == 0;
	if (send_request(a, &sending) < 0 && look_for_last_words(a, &sending, e) < 0) {
		if (e != NULL)
			*e = sending;
		return -1;
	}
	return a->head_done ? 0 : read_head(a, e);
}

static void close_connection(struct http_exchange *x)
{
	connection_free(x->c);
	x->c = NULL;
}

/* A pooled connection may have been closed by the server when the request was under way to it. That says nothing about
 * the request, so it goes out once more. */
static int try_pooled_then_fresh(struct attempt *a, const struct destination *d, struct err *e)
{
	struct http_exchange *x = a->x;

	x->c = pool_take(x->client, d->key);
	x->reused = x->c != NULL;
	if (x->reused) {
		if (try_once(a, e) == 0)
			return 0;
		close_connection(x);
		if (!err_is(e, ERR_UNAVAILABLE) || x->received_bytes > 0 || connection_timed_out(e))
			return -1;
		x->reused = false;
	}
	x->c = dial(x->client, d, x->cancel, e);
	if (x->c == NULL)
		return -1;
	if (try_once(a, e) == 0)
		return 0;
	close_connection(x);
	return -1;
}

/* The answer's head is there: what it means for the rest of the exchange. */
static int settle(struct attempt *a, const struct destination *d, struct err *e)
{
	struct http_exchange *x = a->x;
	const char *date = http_field(&x->answer, "date");

	x->server_time_ms = date != NULL ? http_date_parse(date) : 0;
	x->broken = !a->whole;
	if (d->proxy != NULL && !a->rq->url->secure && x->answer.status == 407)
		return proxy_refuses(x->c->peer, 407, "", e);
	return 0;
}

static int begin(struct attempt *a, const struct destination *d, struct err *e)
{
	struct http_exchange *x = a->x;

	a->expect = a->rq->expect_continue && a->rq->body != NULL && a->rq->body->size > 0;
	if (write_head(a, d, e) < 0 || try_pooled_then_fresh(a, d, e) < 0)
		return -1;
	if (a->expect && x->answer.status == 417) {
		x->broken = !a->whole;
		exchange_release(x);
		a->expect = false;
		if (write_head(a, d, e) < 0 || try_pooled_then_fresh(a, d, e) < 0)
			return -1;
	}
	return settle(a, d, e);
}

int http_begin(struct http_client *c, const struct http_request *rq, struct http_exchange *x, struct err *e)
{
	struct attempt a = { .rq = rq, .x = x };
	struct err own = ERR_INIT; /* its code is looked at here even when the caller wants none */
	struct destination d;
	int rc;

	memset(x, 0, sizeof(*x));
	x->client = c;
	x->cancel = rq->cancel;
	http_parser_init(&x->answer, HTTP_RESPONSE);
	rc = destination_make(c, rq->url, &d, &own);
	if (rc == 0)
		rc = begin(&a, &d, &own);
	destination_free(&d);
	buf_free(&a.head);
	if (rc == 0)
		return 0;
	close_connection(x);
	http_parser_free(&x->answer);
	if (e != NULL)
		*e = own;
	return -1;
}
