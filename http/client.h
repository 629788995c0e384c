/* SPDX-License-Identifier: MIT */
/*
 * client.h - an HTTP/1.1 client for worker threads: pooled connections, TLS 1.2, proxies, time-outs, cancellation.
 *
 * Calls block, but never longer than the time-outs say, and end within 100 ms once `cancel` is set. One exchange:
 * http_begin (connects or takes an idle connection, sends head and body, reads the head of the answer), http_read until
 * it gives 0 bytes, http_end. Retries, signing and the meaning of answers belong to the caller (s3/), but one thing: a
 * request on a pooled connection that the server closed before answering is sent once more on a fresh one.
 *
 * A client may be shared by all threads; the pool inside it locks. An exchange belongs to one thread. Memory: 8 KB for
 * a plain connection, 45 KB for one over TLS (12 KB while it is idle), 64 KB more while a body is sent from a file; the
 * system's CA certificates, once they were needed, 100 KB for the whole process (10 KB when they are the built-in
 * ones). Source: s3.md §5 of the project's specification.
 */
#ifndef RIVULET_HTTP_CLIENT_H
#define RIVULET_HTTP_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/message.h"
#include "lib/base/err.h"

struct http_client;

struct http_client_options {
	int64_t connect_timeout_ms;  /* for one address, and for the name's lookup; all addresses together may take
	                              * three times that; 0 = 10 s */
	int64_t tls_timeout_ms;      /* 0 = 10 s */
	int64_t idle_timeout_ms;     /* no byte moved in either direction for so long; 0 = 30 s */
	int64_t head_timeout_ms;     /* from the request's end to the answer's head; 0 = 60 s */
	int pool_idle_max;           /* idle connections kept in all; 0 = 8 */
	int64_t pool_idle_ms;        /* kept for so long; 0 = 30 s */
	bool skip_verify;            /* TLS: accept any certificate */
	const char *ca_file;         /* trust this file only; NULL = the sources of s3.md §5.9 in order */
	bool no_proxy;               /* ignore HTTP_PROXY, HTTPS_PROXY, NO_PROXY */
	int64_t (*now_ms)(void *ctx); /* wall clock for certificates; NULL = the system's */
	void *now_ctx;
};
int http_client_create(const struct http_client_options *o, struct http_client **out, struct err *e);
void http_client_free(struct http_client *c); /* no exchange may be under way */
/* Closes what is idle in the pool (before a long rest). */
void http_client_close_idle(struct http_client *c);
/* Closes what has been idle for longer than pool_idle_ms; returns when the next one will have been (os_mono_us() time),
 * or -1 when none is left. The pool does so itself at every use only. */
int64_t http_client_sweep(struct http_client *c);

/* The body of a request. It must be able to start again from its first byte. */
struct http_body {
	const void *bytes; /* in memory, or */
	int fd;            /* in a file (bytes == NULL), from offset */
	int64_t offset;
	int64_t size;      /* exact; Content-Length is always sent; 0 = none */
};

struct http_request {
	const char *method;         /* "GET" */
	const struct http_url *url; /* scheme, host, port decide the connection */
	const char *target;         /* request-target as it goes over the wire (already escaped); NULL = url's path and
	                             * query */
	/* "Name: value\r\n" lines; Host (unless it stands in it), Content-Length and Expect are added here. */
	const char *fields;
	const struct http_body *body; /* may be NULL */
	bool expect_continue;       /* wait (1 s) for 100 before the body goes out */
	const atomic_bool *cancel;  /* may be NULL */
};

struct http_exchange {
	struct http_parser answer; /* status and fields after http_begin */
	int64_t server_time_ms;    /* the Date field; 0 = none */
	int64_t sent_bytes, received_bytes; /* of this exchange, for metrics and S3 debug */
	bool reused;               /* it went over a pooled connection */
	/* the client's */
	struct http_connection *c;
	struct http_client *client;
	const atomic_bool *cancel;
	bool finished, broken;
};

/*
 * Errors: ERR_UNAVAILABLE for what another attempt may mend (refused, reset, time-outs, resolver, closed early), with
 * sentences such as "connect to HOST:PORT: connection refused"; ERR_INVALID for what it will not (certificate, bad URL,
 * proxy refuses); ERR_CANCELLED; ERR_CORRUPT for a body whose file is shorter than it said. On failure there is nothing
 * to end.
 */
int http_begin(struct http_client *c, const struct http_request *rq, struct http_exchange *x, struct err *e);
/* Body bytes of the answer; *got == 0: it is complete (a body that ends early is an error). */
int http_read(struct http_exchange *x, void *bytes, size_t n, size_t *got, struct err *e);
/* The connection goes back to the pool if the answer was read to its end (a short rest is drained),
 * else it is closed. */
void http_end(struct http_exchange *x);

#endif
