/* SPDX-License-Identifier: MIT */
/* Answers: composing and sending them. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http/date.h"
#include "http/server_parts.h"
#include "lib/os/clock.h"
#include "lib/os/net.h"

enum { OUT_KEPT_MAX = 4 << 10 }; /* memory that a stream keeps for its next piece */

static const char *reason(int status)
{
	static const struct {
		short status;
		const char *text;
	} reasons[] = {
		{ 200, "OK" }, { 204, "No Content" }, { 301, "Moved Permanently" }, { 304, "Not Modified" },
		{ 307, "Temporary Redirect" }, { 400, "Bad Request" }, { 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 409, "Conflict" },
		{ 413, "Request Entity Too Large" }, { 414, "Request URI Too Long" }, { 417, "Expectation Failed" },
		{ 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
		{ 501, "Not Implemented" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "";
}

/* ---- sending ---- */

static void lost(struct peer *p)
{
	p->broken = true;
	buf_free(&p->out);
	p->sent = 0;
	/* From the loop, not from here: the handler may be in the middle of something. */
	peer_timeout(p, 0);
}

/* The answer is out: the next request, or the end. */
static void answered(struct peer *p)
{
	if (!p->close_after && !p->s->stopping) {
		peer_state(p, PEER_READING);
		/* Inside take() the next request is in its hands. */
		peer_timeout(p, p->in.len ? 0 : p->s->o.idle_ms);
		return;
	}
	os_finish_sending(p->w.fd);
	buf_free(&p->in);
	peer_state(p, PEER_LINGER);
	peer_timeout(p, HTTP_LINGER_MS);
}

void peer_flush(struct peer *p)
{
	size_t before = p->sent;

	while (!p->broken && p->sent < p->out.len) {
		size_t sent;
		int errnum = os_net_send(p->w.fd, p->out.data + p->sent, p->out.len - p->sent, false, &sent);

		p->sent += sent;
		if (errnum == EAGAIN)
			break;
		if (errnum != 0)
			lost(p);
	}
	if (!p->broken && p->sent == p->out.len) {
		if (p->out.cap > OUT_KEPT_MAX || p->state != PEER_STREAMING)
			buf_free(&p->out);
		buf_reset(&p->out);
		p->sent = 0;
		if (p->state == PEER_SENDING)
			answered(p);
	} else if (!p->broken && p->state == PEER_SENDING && (p->sent > before || !loop_timer_armed(&p->timer))) {
		peer_timeout(p, p->s->o.request_ms);
	}
	peer_watch(p);
}

/* What has been composed is sent as far as it goes; without memory for it there is no answer. */
static void send_out(struct peer *p)
{
	if (p->broken || !buf_ok(&p->out))
		lost(p);
	else
		peer_flush(p);
}

/* ---- composing ---- */

enum { HEAD_EXPECTED = 400 }; /* bytes; longer ones cost another allocation */

/* A hundred callers may be answered in one go, and printf would be a third of that. */
static void put_head(struct peer *p, int status, const char *fields, const char *length)
{
	char date[HTTP_DATE_SIZE];
	const char code[] = { (char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), ' ', 0 };

	buf_str(&p->out, "HTTP/1.1 ");
	buf_str(&p->out, code);
	buf_str(&p->out, reason(status));
	buf_str(&p->out, "\r\n");
	buf_str(&p->out, fields ? fields : "");
	buf_str(&p->out, "Date: ");
	buf_str(&p->out, http_date(date, os_wall_ms()));
	buf_str(&p->out, "\r\n");
	buf_str(&p->out, length);
	if (p->close_after || p->s->stopping)
		buf_str(&p->out, "Connection: close\r\n");
	else if (p->x && p->x->head.version_minor == 0)
		buf_str(&p->out, "Connection: keep-alive\r\n");
	buf_str(&p->out, "\r\n");
}

static void put_answer(struct peer *p, int status, const char *fields, const void *body, size_t n)
{
	bool head_only = p->x && strcmp(p->x->rq.method, "HEAD") == 0;
	char length[48] = "";

	p->out.limit = SIZE_MAX;
	(void)buf_reserve(&p->out, HEAD_EXPECTED + (head_only ? 0 : n));
	if (status != 204 && status != 304)
		(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", n);
	put_head(p, status, fields, length);
	if (!head_only)
		buf_append(&p->out, body, n);
}

void peer_continue(struct peer *p)
{
	buf_str(&p->out, "HTTP/1.1 100 Continue\r\n\r\n");
	send_out(p);
}

void peer_refuse(struct peer *p, int status, const char *fields, const char *body)
{
	p->close_after = true;
	exchange_end(p);
	put_answer(p, status, fields, body, strlen(body));
	peer_state(p, PEER_SENDING);
	send_out(p);
}

/* The request is answered; what is composed goes out. */
static void close_exchange(struct peer *p)
{
	p->s->open_requests--;
	exchange_end(p);
	peer_state(p, PEER_SENDING);
	send_out(p);
}

void http_reply(struct http_server_request *rq, int status, const char *fields, const void *body, size_t n)
{
	struct peer *p = ((struct exchange *)rq)->peer;

	assert(p->state == PEER_HANDLING && p->x && &p->x->rq == rq);
	if (rq->raw) {
		p->out.limit = SIZE_MAX;
		buf_append(&p->out, body, n);
	} else {
		put_answer(p, status, fields, body, n);
	}
	close_exchange(p);
}

/* ---- streams ---- */

void http_reply_stream(struct http_server_request *rq, int status, const char *fields)
{
	struct exchange *x = (struct exchange *)rq;
	struct peer *p = x->peer;

	assert(p->state == PEER_HANDLING && p->x == x && !rq->raw && strcmp(rq->method, "HEAD") != 0);
	x->chunked = x->head.version_minor > 0;
	if (!x->chunked)
		p->close_after = true;
	put_head(p, status, fields, x->chunked ? "Transfer-Encoding: chunked\r\n" : "");
	peer_state(p, PEER_STREAMING);
	send_out(p);
}

bool http_stream_write(struct http_server_request *rq, const void *bytes, size_t n, size_t limit)
{
	struct exchange *x = (struct exchange *)rq;
	struct peer *p = x->peer;
	size_t waiting = p->out.len - p->sent;

	assert(p->state == PEER_STREAMING && p->x == x);
	if (p->broken || n == 0)
		return true;
	if (waiting > 0 && (waiting > limit || n > limit - waiting))
		return false;
	if (p->sent > 0) {
		memmove(p->out.data, p->out.data + p->sent, waiting);
		p->out.len = waiting;
		p->sent = 0;
	}
	if (x->chunked)
		buf_fmt(&p->out, "%zx\r\n", n);
	buf_append(&p->out, bytes, n);
	if (x->chunked)
		buf_str(&p->out, "\r\n");
	send_out(p);
	return true;
}

void http_stream_end(struct http_server_request *rq)
{
	struct exchange *x = (struct exchange *)rq;
	struct peer *p = x->peer;

	assert(p->state == PEER_STREAMING && p->x == x);
	if (x->chunked && !p->broken)
		buf_str(&p->out, "0\r\n\r\n");
	close_exchange(p);
}
