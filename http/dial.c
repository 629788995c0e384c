/* SPDX-License-Identifier: MIT */
/*
 * From a destination to a connection that requests can go over: lookup, race of the addresses (RFC 8305), the proxy's
 * CONNECT, TLS.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/connection.h"
#include "lib/os/clock.h"

/* ---- where to ---- */

/* "host:port", "[::1]:port"; malloc'ed. */
static char *authority(const struct http_url *url)
{
	bool six = strchr(url->host, ':') != NULL;
	char *text;

	return asprintf(&text, "%s%s%s:%d", six ? "[" : "", url->host, six ? "]" : "", url->port) < 0 ? NULL : text;
}

int destination_make(struct http_client *c, const struct http_url *url, struct destination *d, struct err *e)
{
	char *peer, *via = NULL;
	int rc = -1;

	memset(d, 0, sizeof(*d));
	d->url = url;
	if (proxies_choose(&c->proxies, url, &d->proxy, e) < 0)
		return -1;
	peer = authority(url);
	if (d->proxy != NULL)
		via = authority(&d->proxy->url);
	if (peer == NULL || (d->proxy != NULL && via == NULL))
		goto out;
	/* Plain requests to all hosts may share a connection to the proxy. */
	if (d->proxy != NULL && !url->secure)
		rc = asprintf(&d->key, "%s proxy", via);
	else if (d->proxy != NULL)
		rc = asprintf(&d->key, "%s %s via %s", peer, url->scheme, via);
	else
		rc = asprintf(&d->key, "%s %s", peer, url->scheme);
	if (rc < 0)
		d->key = NULL;
out:
	free(peer);
	free(via);
	return rc < 0 ? err_nomem(e) : 0;
}

void destination_free(struct destination *d)
{
	free(d->key);
	memset(d, 0, sizeof(*d));
}

/* ---- the race ---- */

enum { STAGGER_MS = 250 };

struct race {
	struct os_addr addrs[OS_ADDRS_MAX]; /* in the order of trying */
	struct pollfd fds[OS_ADDRS_MAX];    /* under way: fds[0 … open) */
	int from[OS_ADDRS_MAX];             /* which address each belongs to */
	int64_t until_us[OS_ADDRS_MAX];     /* by address */
	int count, next, open;
	int64_t next_us;                    /* when addrs[next] may start */
	int errnum;                         /* why the last one failed */
};

/* The first address not used yet, of that family if there is one. */
static int pick(const struct os_addr *found, int count, const bool *used, int family)
{
	int any = -1;

	for (int i = 0; i < count; i++) {
		if (used[i])
			continue;
		if (found[i].u.any.sa_family == family)
			return i;
		if (any < 0)
			any = i;
	}
	return any;
}

/* Families take turns; `family` begins, or (0) that of the first address. */
static void interleave(struct race *r, const struct os_addr *found, int count, int family)
{
	bool used[OS_ADDRS_MAX] = { false };

	if (family == 0)
		family = found[0].u.any.sa_family;
	while (r->count < count) {
		int i = pick(found, count, used, family);

		used[i] = true;
		r->addrs[r->count++] = found[i];
		family = found[i].u.any.sa_family == AF_INET ? AF_INET6 : AF_INET;
	}
}

static void drop(struct race *r, int i, int errnum)
{
	os_net_close(r->fds[i].fd);
	r->errnum = errnum;
	r->open--;
	r->fds[i] = r->fds[r->open];
	r->from[i] = r->from[r->open];
	r->next_us = 0; /* the next one need not wait for its turn */
}

/* Starts addresses whose time has come. A connected descriptor, or -1. */
static int start_due(struct race *r, int64_t each_ms, int *winner)
{
	while (r->next < r->count && (r->open == 0 || os_mono_us() >= r->next_us)) {
		int i = r->next++, fd, errnum;
		bool done;

		errnum = os_connect_start(&r->addrs[i], &fd, &done);
		if (errnum != 0) {
			r->errnum = errnum;
			r->next_us = 0;
			continue;
		}
		if (done) {
			*winner = i;
			return fd;
		}
		r->fds[r->open] = (struct pollfd){ .fd = fd, .events = POLLOUT };
		r->from[r->open++] = i;
		r->until_us[i] = os_mono_us() + each_ms * 1000;
		r->next_us = os_mono_us() + STAGGER_MS * 1000;
	}
	return -1;
}

/* Looks at those under way. A connected descriptor, which is no longer among them, or -1. */
static int finish_ready(struct race *r, int *winner)
{
	int64_t now_us = os_mono_us();

	for (int i = r->open - 1; i >= 0; i--) {
		int errnum;

		if (r->fds[i].revents == 0) {
			if (now_us >= r->until_us[r->from[i]])
				drop(r, i, ETIMEDOUT);
			continue;
		}
		errnum = os_connect_result(r->fds[i].fd);
		if (errnum == 0) {
			int fd = r->fds[i].fd;

			*winner = r->from[i];
			r->fds[i].fd = -1;
			drop(r, i, 0);
			return fd;
		}
		drop(r, i, errnum);
	}
	return -1;
}

static int64_t next_event(const struct race *r, int64_t until_us)
{
	if (r->next < r->count && r->next_us < until_us)
		until_us = r->next_us;
	for (int i = 0; i < r->open; i++)
		if (r->until_us[r->from[i]] < until_us)
			until_us = r->until_us[r->from[i]];
	return until_us;
}

static int run_race(struct race *r, int64_t each_ms, const atomic_bool *cancel, int *winner, bool *cancelled)
{
	int64_t until_us = os_mono_us() + 3 * each_ms * 1000;
	int fd;

	*cancelled = false;
	for (;;) {
		struct os_wait w = { .cancel = cancel };

		fd = start_due(r, each_ms, winner);
		if (fd >= 0 || r->open == 0)
			break;
		w.until_us = next_event(r, until_us);
		for (int i = 0; i < r->open; i++)
			r->fds[i].revents = 0;
		*cancelled = os_net_poll(r->fds, r->open, &w) == OS_WAIT_CANCELLED;
		if (*cancelled)
			break;
		fd = finish_ready(r, winner);
		if (fd >= 0)
			break;
		if (os_mono_us() >= until_us) {
			r->errnum = ETIMEDOUT;
			break;
		}
	}
	while (r->open > 0)
		drop(r, r->open - 1, r->errnum);
	return fd;
}

static int connect_to(struct http_client *c, const struct http_url *url, const atomic_bool *cancel, struct err *e)
{
	struct os_wait w = { .until_us = os_mono_us() + c->o.connect_timeout_ms * 1000, .cancel = cancel };
	struct os_addr found[OS_ADDRS_MAX];
	struct race r = { .errnum = ETIMEDOUT };
	char *peer;
	int count, fd, winner = 0, first;
	bool cancelled;

	if (os_resolve(url->host, url->port, &w, found, &count, e) < 0)
		return -1;
	peer = authority(url);
	if (peer == NULL)
		return err_nomem(e);
	pthread_mutex_lock(&c->lock);
	first = hosts_family(&c->hosts, peer);
	pthread_mutex_unlock(&c->lock);
	interleave(&r, found, count, first);
	fd = run_race(&r, c->o.connect_timeout_ms, cancel, &winner, &cancelled);
	if (fd >= 0 && count > 1) {
		pthread_mutex_lock(&c->lock);
		hosts_set_family(&c->hosts, peer, r.addrs[winner].u.any.sa_family);
		pthread_mutex_unlock(&c->lock);
	} else if (cancelled) {
		err_set(e, ERR_CANCELLED, "connect to %s: cancelled", peer);
	} else if (fd < 0) {
		err_sys(e, r.errnum, "connect to %s", peer);
		if (e != NULL)
			e->code = ERR_UNAVAILABLE;
	}
	free(peer);
	return fd;
}

/* ---- through a proxy ---- */

static int proxy_refuses(const char *proxy, int status, const char *reason, struct err *e)
{
	if (status == 407)
		return err_set(e, ERR_INVALID, "proxy %s wants other credentials (407): put user:password@ into its URL", proxy);
	return err_set(e, status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID, "proxy %s refuses the connection: %d %s", proxy,
	               status, reason);
}

static int read_connect_answer(struct http_connection *c, const char *proxy, const struct patience *p,
                               struct http_parser *answer, struct err *e)
{
	uint8_t bytes[512];
	size_t got, used;

	for (;;) {
		if (connection_recv(c, bytes, sizeof(bytes), &got, p, e) < 0)
			return err_wrap(e, "proxy %s", proxy);
		if (got == 0)
			return err_set(e, ERR_UNAVAILABLE, "proxy %s: closed the connection", proxy);
		switch (http_parse(answer, bytes, got, &used, e)) {
		case HTTP_HEAD:
			if (answer->status < 200 || answer->status > 299)
				return proxy_refuses(proxy, answer->status, http_text(answer, answer->reason), e);
			/* The other end of a tunnel that carries TLS waits for us to speak. */
			if (used < got)
				return err_set(e, ERR_UNAVAILABLE, "proxy %s: bytes behind its answer", proxy);
			return 0;
		case HTTP_MORE:
			break;
		default:
			if (e != NULL)
				e->code = ERR_UNAVAILABLE;
			return err_wrap(e, "proxy %s", proxy);
		}
	}
}

static int open_tunnel(struct http_connection *c, const struct destination *d, const struct patience *p, struct err *e)
{
	char *target = authority(d->url), *proxy = authority(&d->proxy->url);
	struct http_parser answer;
	struct buf request = { .data = NULL };
	int rc = -1;

	http_parser_init(&answer, HTTP_RESPONSE);
	answer.no_body = true;
	if (target != NULL && proxy != NULL)
		buf_fmt(&request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, target,
		        d->proxy->authorization != NULL ? d->proxy->authorization : "");
	if (target == NULL || proxy == NULL || !buf_ok(&request))
		err_nomem(e);
	else if (connection_send_all(c, request.data, request.len, false, p, e) == 0)
		rc = read_connect_answer(c, proxy, p, &answer, e);
	http_parser_free(&answer);
	buf_free(&request);
	free(target);
	free(proxy);
	return rc;
}

/* ---- TLS ---- */

/* The one store of this client, or that of the process. */
static int find_trust(struct http_client *c, const struct trust **out, struct err *e)
{
	int rc = 0;

	*out = NULL;
	if (c->o.skip_verify)
		return 0;
	if (c->o.ca_file == NULL)
		return trust_system(out, e);
	pthread_mutex_lock(&c->lock);
	if (c->trust == NULL)
		rc = trust_load(c->o.ca_file, &c->trust, e);
	*out = c->trust;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void remember_session(struct http_client *c, const struct http_connection *x)
{
	struct tls_session session;
	bool ok = tls_session(x->tls, &session);

	pthread_mutex_lock(&c->lock);
	hosts_set_session(&c->hosts, x->key, ok ? &session : NULL);
	pthread_mutex_unlock(&c->lock);
	explicit_bzero(&session, sizeof(session));
}

static int start_tls(struct http_client *c, struct http_connection *x, const struct destination *d,
                     const atomic_bool *cancel, struct err *e)
{
	struct patience p = { .until_us = os_mono_us() + c->o.tls_timeout_ms * 1000, .cancel = cancel };
	struct tls_session session;
	struct tls_options o = {
		.host = d->url->host,
		.host_is_ip = d->url->host_is_ip,
		.skip_verify = c->o.skip_verify,
		.now_ms = c->o.now_ms != NULL ? c->o.now_ms(c->o.now_ctx) : os_wall_ms(),
	};
	int rc;

	if (find_trust(c, &o.trust, e) < 0)
		return err_wrap(e, "TLS with %s", x->peer);
	pthread_mutex_lock(&c->lock);
	if (hosts_session(&c->hosts, x->key, &session))
		o.session = &session;
	pthread_mutex_unlock(&c->lock);
	rc = tls_create(&o, x->fd, &x->tls, e);
	explicit_bzero(&session, sizeof(session));
	if (rc == 0)
		rc = connection_handshake(x, &p, e);
	if (rc == 0) {
		remember_session(c, x);
		return 0;
	}
	pthread_mutex_lock(&c->lock);
	hosts_set_session(&c->hosts, x->key, NULL);
	pthread_mutex_unlock(&c->lock);
	return -1;
}

struct http_connection *dial(struct http_client *c, const struct destination *d, const atomic_bool *cancel,
                             struct err *e)
{
	struct patience p = { .idle_ms = c->o.idle_timeout_ms, .cancel = cancel };
	const struct http_url *to = d->proxy != NULL ? &d->proxy->url : d->url;
	struct http_connection *x;
	int fd = connect_to(c, to, cancel, e), rc = 0;

	if (fd < 0) {
		if (d->proxy != NULL)
			err_wrap(e, "proxy");
		return NULL;
	}
	x = connection_create(fd, d->key, e);
	if (x == NULL)
		return NULL;
	p.until_us = os_mono_us() + c->o.head_timeout_ms * 1000;
	x->via_proxy = d->proxy != NULL && !d->url->secure;
	if (d->proxy != NULL && d->url->secure)
		rc = open_tunnel(x, d, &p, e);
	if (rc == 0 && d->url->secure)
		rc = start_tls(c, x, d, cancel, e);
	if (rc == 0)
		return x;
	connection_free(x);
	return NULL;
}
