/* SPDX-License-Identifier: MIT */
#include "http/connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/clock.h"

struct http_connection *connection_create(int fd, const char *key, struct err *e)
{
	size_t key_len = strlen(key), peer_len = strcspn(key, " ");
	struct http_connection *c = malloc(sizeof(*c));
	char *texts = malloc(key_len + 1 + peer_len + 1);

	if (c == NULL || texts == NULL) {
		free(c);
		free(texts);
		os_net_close(fd);
		err_nomem(e);
		return NULL;
	}
	memset(c, 0, offsetof(struct http_connection, in));
	memcpy(texts, key, key_len + 1);
	memcpy(texts + key_len + 1, key, peer_len);
	texts[key_len + 1 + peer_len] = '\0';
	c->fd = fd;
	c->key = texts;
	c->peer = texts + key_len + 1;
	return c;
}

void connection_free(struct http_connection *c)
{
	if (c == NULL)
		return;
	if (c->tls != NULL) {
		tls_say_goodbye(c->tls);
		tls_free(c->tls);
	}
	os_net_close(c->fd);
	free(c->key);
	free(c);
}

/* Failures of a connection that stands: another one may do better, whatever the reason was. */
static int fail(const struct http_connection *c, struct err *e, const char *doing, int errnum)
{
	err_sys(e, errnum, "%s %s", doing, c->peer);
	if (e != NULL)
		e->code = ERR_UNAVAILABLE;
	return -1;
}

bool connection_timed_out(const struct err *e)
{
	return e != NULL && e->sys == ETIMEDOUT;
}

static int wait_for(const struct http_connection *c, short events, const struct patience *p, const char *doing,
                    short *seen, struct err *e)
{
	struct pollfd poll = { .fd = c->fd, .events = events };
	struct os_wait w = { .until_us = p->until_us, .cancel = p->cancel };
	int64_t idle_us = os_mono_us() + p->idle_ms * 1000;
	bool idle = p->idle_ms > 0 && idle_us < w.until_us;

	if (idle)
		w.until_us = idle_us;
	switch (os_net_poll(&poll, 1, &w)) {
	case OS_WAIT_CANCELLED:
		return err_set(e, ERR_CANCELLED, "%s %s: cancelled", doing, c->peer);
	case OS_WAIT_TIME:
		if (idle)
			err_set(e, ERR_UNAVAILABLE, "%s %s: time-out, nothing moved for %lld ms", doing, c->peer,
			        (long long)p->idle_ms);
		else
			err_set(e, ERR_UNAVAILABLE, "%s %s: time-out", doing, c->peer);
		if (e != NULL)
			e->sys = ETIMEDOUT;
		return -1;
	case OS_WAIT_READY:
		break;
	}
	if (seen != NULL)
		*seen = poll.revents;
	return 0;
}

int connection_recv(struct http_connection *c, void *bytes, size_t n, size_t *got, const struct patience *p,
                    struct err *e)
{
	assert(n > 0);
	for (;;) {
		short events = POLLIN;
		int rc;

		if (c->tls != NULL) {
			rc = tls_recv(c->tls, bytes, n, got, &events, e);
			if (rc < 0)
				return err_wrap(e, "read from %s", c->peer);
		} else {
			rc = os_net_recv(c->fd, bytes, n, got);
			if (rc != 0 && rc != EAGAIN)
				return fail(c, e, "read from", rc);
			rc = rc == 0;
		}
		if (rc > 0)
			return 0;
		if (wait_for(c, events, p, "read from", NULL, e) < 0)
			return -1;
	}
}

int connection_send(struct http_connection *c, const void *bytes, size_t n, bool more, bool *early, size_t *sent,
                    const struct patience *p, struct err *e)
{
	for (;;) {
		short events = POLLOUT, seen = 0;
		int rc;

		if (c->tls != NULL) {
			rc = tls_send(c->tls, bytes, n, more, sent, &events, e);
			if (rc < 0)
				return err_wrap(e, "write to %s", c->peer);
		} else {
			rc = os_net_send(c->fd, bytes, n, more, sent);
			if (rc != 0 && rc != EAGAIN)
				return fail(c, e, "write to", rc);
			rc = rc == 0;
		}
		if (rc > 0)
			return 0;
		if (early != NULL)
			events |= POLLIN;
		if (wait_for(c, events, p, "write to", &seen, e) < 0)
			return -1;
		if (early != NULL && (seen & POLLIN) != 0 && (seen & POLLOUT) == 0) {
			*early = true;
			return 0;
		}
	}
}

int connection_send_all(struct http_connection *c, const void *bytes, size_t n, bool more, const struct patience *p,
                        struct err *e)
{
	const uint8_t *from = bytes;
	size_t sent;

	while (n > 0) {
		if (connection_send(c, from, n, more, NULL, &sent, p, e) < 0)
			return -1;
		from += sent;
		n -= sent;
	}
	return 0;
}

int connection_handshake(struct http_connection *c, const struct patience *p, struct err *e)
{
	short events = 0;
	int rc;

	while ((rc = tls_handshake(c->tls, &events, e)) == 0)
		if (wait_for(c, events, p, "TLS with", NULL, e) < 0)
			return -1;
	return rc < 0 ? err_wrap(e, "TLS with %s", c->peer) : 0;
}

int connection_wait_input(struct http_connection *c, const struct patience *p, struct err *e)
{
	struct pollfd poll = { .fd = c->fd, .events = POLLIN };
	struct os_wait w = { .until_us = p->until_us, .cancel = p->cancel };

	if (c->in_at < c->in_len || (c->tls != NULL && tls_has_input(c->tls)))
		return 1;
	switch (os_net_poll(&poll, 1, &w)) {
	case OS_WAIT_READY:
		return 1;
	case OS_WAIT_TIME:
		return 0;
	case OS_WAIT_CANCELLED:
		break;
	}
	return err_set(e, ERR_CANCELLED, "read from %s: cancelled", c->peer);
}
