/* SPDX-License-Identifier: MIT */
/*
 * connection.h - one connection of the client to a server, plain or TLS, and what the parts of the client share; for
 * this room only.
 *
 * From below: connection.c moves bytes and waits, dial.c makes connections (race.c, proxy.c, tls.c), pool.c keeps the
 * idle ones, exchange.c sends requests over them, body.c reads what comes back.
 */
#ifndef RIVULET_HTTP_CONNECTION_H
#define RIVULET_HTTP_CONNECTION_H

#include <pthread.h>

#include "http/client.h"
#include "http/hosts.h"
#include "http/proxy.h"
#include "http/tls.h"
#include "http/trust.h"
#include "lib/os/net.h"

enum { CONNECTION_IN_SIZE = 8 << 10 };

struct http_connection {
	int fd;
	struct tls *tls;              /* NULL = plain */
	char *key;                    /* what a request must ask for to get it: "host:port https", "… via proxy:port" */
	const char *peer;             /* "host:port" for messages, in key's block */
	bool via_proxy;               /* plain HTTP through a proxy: targets in absolute form */
	int64_t idle_since_us;
	struct http_connection *next; /* in the pool */
	size_t in_at, in_len;         /* received and not parsed yet: in[in_at … in_len) */
	uint8_t in[CONNECTION_IN_SIZE];
};

struct http_client {
	struct http_client_options o; /* defaults filled in */
	struct proxies proxies;
	struct trust *trust;          /* of o.ca_file, from the first TLS connection on */
	pthread_mutex_t lock;         /* over all below, and trust */
	struct http_connection *idle; /* the newest first */
	int idle_count;
	struct hosts hosts;
};

/* Patience of one step: no byte moved for idle_ms, or until_us reached, ends it. */
struct patience {
	int64_t idle_ms;
	int64_t until_us;          /* INT64_MAX = no end */
	const atomic_bool *cancel; /* may be NULL */
};

/* Copies the key, which begins with the peer's name and a blank. Owns fd from now on, even on failure. */
struct http_connection *connection_create(int fd, const char *key, struct err *e);
void connection_free(struct http_connection *c); /* closes; says so to a TLS peer as far as that needs no waiting */

/* At least one byte, or *got == 0: the peer has closed. */
int connection_recv(struct http_connection *c, void *bytes, size_t n, size_t *got, const struct patience *p,
                    struct err *e);
/*
 * Sends some of the bytes; more: others follow at once. With `early` it also looks out for bytes from the peer, which
 * speaks before it has heard everything only if it has something to say: *early is true, and perhaps *sent 0, when they
 * came first.
 */
int connection_send(struct http_connection *c, const void *bytes, size_t n, bool more, bool *early, size_t *sent,
                    const struct patience *p, struct err *e);
int connection_send_all(struct http_connection *c, const void *bytes, size_t n, bool more, const struct patience *p,
                        struct err *e);
bool connection_timed_out(const struct err *e); /* patience ended, or the kernel's did */
int connection_handshake(struct http_connection *c, const struct patience *p, struct err *e); /* c->tls is set */
/* Has something come? Waits for it until until_us. 1, 0, -1. */
int connection_wait_input(struct http_connection *c, const struct patience *p, struct err *e);

/* ---- dial.c ---- */
struct destination {
	const struct http_url *url;
	const struct proxy *proxy; /* NULL = straight */
	char *key;                 /* malloc'ed */
};
int destination_make(struct http_client *c, const struct http_url *url, struct destination *d, struct err *e);
void destination_free(struct destination *d);
struct http_connection *dial(struct http_client *c, const struct destination *d, const atomic_bool *cancel,
                             struct err *e);
/* The proxy's answer is not what was asked for. -1 */
int proxy_refuses(const char *proxy, int status, const char *reason, struct err *e);

/* ---- body.c ---- */
struct patience exchange_patience(const struct http_exchange *x); /* while bodies move */
/* The connection back to the pool if the answer was read to its end (a short rest is read here), else closed. */
void exchange_release(struct http_exchange *x);

/* ---- pool.c ---- */
/* The newest idle connection with that key that still stands; NULL = none. */
struct http_connection *pool_take(struct http_client *c, const char *key);
void pool_put(struct http_client *c, struct http_connection *x);

#endif
