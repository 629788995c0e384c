/* SPDX-License-Identifier: MIT */
#include "applets/socket_client.h"

#include <errno.h>
#include <string.h>

#include "lib/os/clock.h"
#include "lib/os/net.h"
#include "lib/os/socket.h"

enum { ANSWER_MAX = 64 << 20 };

/* ---- sending ---- */

static int no_connection(struct err *e) { return err_wrap(e, "failed to connect to control socket"); }

static int too_late(struct err *e) { return err_set(e, ERR_CANCELLED, "context deadline exceeded"); }

static bool wait_for(struct socket_client *c, short events)
{
	const struct os_wait w = { .until_us = c->until_us };
	struct pollfd p = { .fd = c->fd, .events = events };

	return os_net_poll(&p, 1, &w) == OS_WAIT_READY;
}

/* The daemon's queue may be full for a moment. */
static int dial(struct socket_client *c, const char *path, struct err *e)
{
	int errnum;

	while ((errnum = os_connect_unix(path, &c->fd)) == EAGAIN && os_mono_us() < c->until_us)
		os_sleep_ms(5);
	if (errnum == 0 && os_mono_us() < c->until_us)
		return 0;
	os_net_close(c->fd);
	if (errnum == EAGAIN || errnum == 0)
		return err_set(e, ERR_CANCELLED, "dial unix %s: i/o timeout", path);
	return err_sys(e, errnum, "dial unix %s: connect", path);
}

static int send_all(struct socket_client *c, const struct buf *request, struct err *e)
{
	size_t at = 0, sent;

	if (!buf_ok(request))
		return err_nomem(e);
	while (at < request->len) {
		int errnum = os_net_send(c->fd, request->data + at, request->len - at, false, &sent);

		at += sent;
		if (errnum == EAGAIN && !wait_for(c, POLLOUT))
			return too_late(e);
		/* Whoever closes on us has perhaps said why. */
		if (errnum == EPIPE || errnum == ECONNRESET)
			return 0;
		if (errnum != 0 && errnum != EAGAIN)
			return err_sys(e, errnum, "write");
	}
	return 0;
}

int socket_client_begin(struct socket_client *c, const char *path, int64_t timeout_s, const char *target,
                        const char *body, struct err *e)
{
	const int64_t most = INT64_MAX / 4000000;
	struct buf request = { .data = NULL };
	int rc;

	c->fd = -1;
	c->at = c->len = 0;
	c->until_us = timeout_s == 0 ? INT64_MAX : os_mono_us() + (timeout_s < most ? timeout_s : most) * 1000000;
	http_parser_init(&c->answer, HTTP_RESPONSE);
	if (dial(c, path, e) < 0)
		return no_connection(e);
	buf_fmt(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\n", body ? "POST" : "GET", target);
	if (body)
		buf_fmt(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	buf_fmt(&request, "Connection: close\r\n\r\n%s", body ? body : "");
	rc = send_all(c, &request, e);
	buf_free(&request);
	if (rc == 0)
		return 0;
	socket_client_end(c);
	return no_connection(e);
}

void socket_client_end(struct socket_client *c)
{
	os_net_close(c->fd);
	c->fd = -1;
	http_parser_free(&c->answer);
}

/* ---- receiving ---- */

/* Until something happens to the answer: anything but HTTP_MORE. */
static enum http_event next_event(struct socket_client *c, struct err *e)
{
	for (;;) {
		size_t used;
		enum http_event event = http_parse(&c->answer, c->piece + c->at, c->len - c->at, &used, e);
		int errnum;

		c->at += used;
		if (event != HTTP_MORE)
			return event;
		while ((errnum = os_net_recv(c->fd, c->piece, sizeof(c->piece), &c->len)) == EAGAIN) {
			if (!wait_for(c, POLLIN)) {
				too_late(e);
				return HTTP_ERROR;
			}
		}
		c->at = 0;
		if (errnum != 0) {
			c->len = 0;
			err_sys(e, errnum, "read");
			return HTTP_ERROR;
		}
		if (c->len == 0)
			return http_parse_end(&c->answer, e);
	}
}

int socket_client_head(struct socket_client *c, struct err *e)
{
	return next_event(c, e) == HTTP_HEAD ? 0 : no_connection(e);
}

int socket_client_read(struct socket_client *c, const uint8_t **bytes, size_t *n, struct err *e)
{
	enum http_event event = next_event(c, e);

	*bytes = c->answer.body;
	*n = event == HTTP_BODY ? c->answer.body_len : 0;
	return event == HTTP_ERROR ? err_wrap(e, "failed to read response") : 0;
}

int socket_client_ask(const char *path, int64_t timeout_s, const char *target, const char *body, int *status,
                      struct buf *answer, struct err *e)
{
	struct socket_client c;
	const uint8_t *bytes;
	size_t n;
	int rc = socket_client_begin(&c, path, timeout_s, target, body, e);

	if (rc < 0)
		return -1;
	answer->limit = ANSWER_MAX;
	rc = socket_client_head(&c, e);
	if (rc == 0)
		*status = c.answer.status;
	while (rc == 0 && (rc = socket_client_read(&c, &bytes, &n, e)) == 0 && n > 0)
		buf_append(answer, bytes, n);
	if (rc == 0 && !buf_ok(answer))
		rc = err_set(e, ERR_LIMIT, "failed to read response: it is too large");
	socket_client_end(&c);
	return rc;
}
