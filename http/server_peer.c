/* SPDX-License-Identifier: MIT */
/* Reading requests: bytes of a connection become calls of the handler. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "http/server_parts.h"
#include "json/json.h"
#include "lib/os/net.h"

void exchange_end(struct peer *p)
{
	if (!p->x)
		return;
	http_parser_free(&p->x->head);
	buf_free(&p->x->body);
	free(p->x);
	p->x = NULL;
}

/* A request is there: the handler's turn. It may answer before it returns. */
static void hand_over(struct peer *p)
{
	struct exchange *x = p->x;

	x->rq.body = buf_text(&x->body);
	x->rq.body_len = x->body.len;
	x->rq.listener = p->listener;
	if (x->rq.raw) {
		p->close_after = true;
		x->rq.method = x->rq.target = "";
	} else {
		p->close_after = !x->head.keep_alive || p->s->stopping;
		x->rq.head = &x->head;
		x->rq.method = http_text(&x->head, x->head.method);
		x->rq.target = http_text(&x->head, x->head.target);
	}
	p->fresh = false;
	p->s->open_requests++;
	peer_state(p, PEER_HANDLING);
	if (!p->broken)
		loop_timer_clear(p->s->o.loop, &p->timer);
	p->depth++;
	p->s->o.handle(p->s->o.ctx, &x->rq);
	p->depth--;
	assert(p->dead || (p->state != PEER_HANDLING && p->state != PEER_STREAMING) || p->x->rq.gone);
}

static void refuse_body(struct peer *p)
{
	peer_refuse(p, 413, "Content-Type: application/json\r\n", "{\"error\":\"request body too large\"}\n");
}

static bool add_to_body(struct peer *p, const uint8_t *bytes, size_t n)
{
	struct exchange *x = p->x;

	if (n > p->s->o.body_max - x->body.len)
		return false;
	buf_append(&x->body, bytes, n);
	return buf_ok(&x->body);
}

/* ---- HTTP ---- */

static void refuse_message(struct peer *p, int status, const char *why)
{
	struct buf text = { .data = NULL };

	buf_fmt(&text, "%s\n", why);
	peer_refuse(p, status, "Content-Type: text/plain; charset=utf-8\r\n", buf_text(&text));
	buf_free(&text);
}

/* Feeds bytes until they are used up or the message is complete; returns how many were used. */
static size_t take_http(struct peer *p, const uint8_t *bytes, size_t n)
{
	struct exchange *x = p->x;
	size_t at = 0;

	while (p->state == PEER_READING) {
		struct err e = ERR_INIT;
		size_t used;

		switch (http_parse(&x->head, bytes + at, n - at, &used, &e)) {
		case HTTP_HEAD:
			if (x->head.content_length > (int64_t)p->s->o.body_max)
				refuse_body(p);
			else if (x->head.expect_continue && x->head.has_body)
				peer_continue(p);
			break;
		case HTTP_BODY:
			if (!add_to_body(p, x->head.body, x->head.body_len))
				refuse_body(p);
			break;
		case HTTP_DONE:
			at += used;
			hand_over(p);
			return at;
		case HTTP_ERROR:
			refuse_message(p, x->head.status, e.text);
			break;
		case HTTP_MORE:
			return at + used;
		}
		if (p->dead)
			return n;
		at += used;
	}
	return n;
}

/* ---- one JSON value ---- */

/* Does the value end here? Brackets are counted; what is malformed is found by trying to read it, each time that twice
 * as much is there. */
static bool raw_complete(struct exchange *x)
{
	struct json_doc d;
	struct err e = ERR_INIT;

	for (; x->scanned < x->body.len; x->scanned++) {
		uint8_t c = x->body.data[x->scanned];

		if (x->in_string) {
			x->in_string = c != '"' || x->escaped;
			x->escaped = c == '\\' && !x->escaped;
		} else if (c == '"') {
			x->in_string = true;
		} else if (c == '{' || c == '[') {
			x->depth++;
		} else if ((c == '}' || c == ']') && --x->depth <= 0) {
			return true;
		}
	}
	if (x->body.len < x->next_try)
		return false;
	x->next_try = 2 * x->body.len;
	if (json_parse(&d, buf_text(&x->body), x->body.len, &e) < 0)
		return e.sys != 1;
	json_doc_free(&d);
	return true;
}

static size_t take_raw(struct peer *p, const uint8_t *bytes, size_t n)
{
	struct exchange *x = p->x;

	/* One that is too long is as good as one that breaks off. */
	if (!add_to_body(p, bytes, n) || raw_complete(x))
		hand_over(p);
	return n;
}

/* ---- both ---- */

/* The first byte of a request. false: the peer is gone. */
static bool begin(struct peer *p, uint8_t first)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x) {
		peer_drop(p);
		return false;
	}
	x->peer = p;
	x->rq.raw = p->fresh && p->is_unix && p->s->o.raw && (first == '{' || first == '[');
	http_parser_init(&x->head, HTTP_REQUEST);
	x->head.head_max = HTTP_SERVER_HEAD_MAX;
	x->body.limit = p->s->o.body_max;
	p->x = x;
	peer_timeout(p, p->s->o.request_ms);
	return true;
}

static size_t leading_blanks(const struct peer *p, const uint8_t *bytes, size_t n)
{
	size_t i = 0;

	if (p->fresh && p->is_unix && p->s->o.raw)
		while (i < n && memchr(" \t\r\n", bytes[i], 4))
			i++;
	return i;
}

static void take(struct peer *p, const uint8_t *bytes, size_t n)
{
	size_t at = 0;

	p->depth++;
	while (at < n && !p->dead && p->state == PEER_READING) {
		if (!p->x) {
			at += leading_blanks(p, bytes + at, n - at);
			if (at == n || !begin(p, bytes[at]))
				break;
		}
		at += p->x->rq.raw ? take_raw(p, bytes + at, n - at) : take_http(p, bytes + at, n - at);
	}
	p->depth--;
	if (p->dead) {
		if (p->depth == 0)
			free(p);
		return;
	}
	/* The next request stays here until this one is answered. */
	if (at < n && p->state != PEER_LINGER)
		buf_append(&p->in, bytes + at, n - at);
	if (!buf_ok(&p->in)) {
		p->broken = true;
		peer_timeout(p, 0);
	}
	if (p->state == PEER_READING && !p->x)
		peer_timeout(p, p->in.len ? 0 : p->s->o.idle_ms);
	peer_watch(p);
}

/* What was read ahead. */
static void take_pending(struct peer *p)
{
	struct buf in = p->in;

	p->in = (struct buf){ .data = NULL };
	take(p, in.data, in.len);
	buf_free(&in);
}

static void read_more(struct peer *p)
{
	uint8_t piece[HTTP_PIECE];
	size_t got;
	int errnum = os_net_recv(p->w.fd, piece, sizeof(piece), &got);

	if (errnum == EAGAIN)
		return;
	if (errnum == 0 && got > 0) {
		take(p, piece, got);
	} else if (errnum == 0 && p->x && p->x->rq.raw) {
		p->depth++;
		hand_over(p);
		p->depth--;
		if (p->dead)
			free(p);
		else
			peer_watch(p);
	} else {
		peer_drop(p);
	}
}

/* After the last answer: whatever comes is of no use, but reading it lets the client read what we sent. */
static void discard(struct peer *p)
{
	uint8_t piece[HTTP_PIECE];
	size_t got;
	int errnum = os_net_recv(p->w.fd, piece, sizeof(piece), &got);

	p->discarded += got;
	if (errnum != EAGAIN && (errnum != 0 || got == 0 || p->discarded > HTTP_LINGER_MAX))
		peer_drop(p);
}

void peer_ready(struct loop_fd *w, uint32_t events)
{
	struct peer *p = (struct peer *)w;
	bool left = (events & (EPOLLHUP | EPOLLERR)) != 0;

	if (p->broken || (left && p->state != PEER_READING)) {
		peer_drop(p);
		return;
	}
	if (events & EPOLLOUT)
		peer_flush(p);
	if ((events & EPOLLIN || left) && p->state == PEER_READING && p->in.len == 0)
		read_more(p);
	else if (events & EPOLLIN && p->state == PEER_LINGER)
		discard(p);
}

void peer_timer(struct loop_timer *t)
{
	struct peer *p = (struct peer *)((char *)t - offsetof(struct peer, timer));

	if (p->broken)
		peer_drop(p);
	else if (p->state == PEER_READING && p->in.len > 0)
		take_pending(p);
	else if (p->state == PEER_READING && p->x && !p->x->rq.raw)
		refuse_message(p, 408, "request timeout");
	else
		peer_drop(p);
}
