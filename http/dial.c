/* SPDX-License-Identifier: MIT */
/*
 * From a destination to a connection that requests can go over: lookup, race of the addresses, the proxy's
 * CONNECT, TLS.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/connection.h"
#include "http/race.h"
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

/* ---- connecting ---- */

static int connect_to(struct http_client *c, const struct http_url *url, const atomic_bool *cancel, struct err *e)
{
	struct os_wait w = { .until_us = os_mono_us() + c->o.connect_timeout_ms * 1000, .cancel = cancel };
	struct os_addr found[OS_ADDRS_MAX];
	char *peer;
	int count, fd, family, errnum;

	if (os_resolve(url->host, url->port, &w, found, &count, e) < 0)
		return -1;
	peer = authority(url);
	if (peer == NULL)
		return err_nomem(e);
	pthread_mutex_lock(&c->lock);
	family = hosts_family(&c->hosts, peer);
	pthread_mutex_unlock(&c->lock);
	fd = race_connect(found, count, &family, c->o.connect_timeout_ms, cancel, &errnum);
	if (fd >= 0 && count > 1) {
		pthread_mutex_lock(&c->lock);
		hosts_set_family(&c->hosts, peer, family);
		pthread_mutex_unlock(&c->lock);
	} else if (fd < 0 && errnum == ECANCELED) {
		err_set(e, ERR_CANCELLED, "connect to %s: cancelled", peer);
	} else if (fd < 0) {
		err_sys(e, errnum, "connect to %s", peer);
		if (e != NULL)
			e->code = ERR_UNAVAILABLE;
	}
	free(peer);
	return fd;
}

/* ---- through a proxy ---- */

int proxy_refuses(const char *proxy, int status, const char *reason, struct err *e)
{
	if (status == 407)
		return err_set(e, ERR_INVALID,
		               "proxy %s wants other credentials (407): put user:password@ into its URL", proxy);
	return err_set(e, status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID, "proxy %s refuses the connection: %d %s",
	               proxy, status, reason);
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

	if (find_trust(c, &o.trust, e) < 0) {
		if (e != NULL && e->code != ERR_NO_MEMORY)
			e->code = ERR_INVALID;
		return err_wrap(e, "TLS with %s", x->peer);
	}
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
