/* SPDX-License-Identifier: MIT */
/*
 * server.h - the server side of HTTP/1.1 on the event loop: listening sockets (Unix and TCP), connections without a thread
 * each, requests given to one handler, replies that may come later.
 *
 * Everything is the loop thread's. A request's body is collected (body_max, then 413) before the handler is called, so
 * handlers see whole requests. A reply is given at once or later; http_reply_stream() begins an endless one. When the
 * client goes away, request->gone is called (if set) and the request must not be touched any more.
 *
 * Besides HTTP a connection may speak another protocol when its first non-blank byte is '{' or '[' and options.raw is
 * set: one JSON value in, one out, close (control.md §2.1).
 *
 * Limits: connections_max in all (then the oldest idle one is closed, else new ones are refused with 503), head 1 MiB as
 * upstream (431), body 1 MiB (413), an idle keep-alive connection is closed after idle_ms, a half-sent request after
 * request_ms. Memory per idle connection: about 1 KB.
 */
#ifndef RIVULET_HTTP_SERVER_H
#define RIVULET_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "http/message.h"
#include "lib/os/loop.h"

struct http_server;

struct http_server_request {
	const char *method, *target; /* target as sent: path[?query], not decoded */
	const char *body;            /* NUL-terminated behind body_len */
	size_t body_len;
	const struct http_parser *head; /* for http_field(); NULL for a raw request */
	bool raw;                    /* the JSON-by-first-byte form: the reply is its bytes, then close */
	int listener;                /* which of the server's listeners it came by */
	void (*gone)(struct http_server_request *rq); /* set by the handler */
	void *ctx;                   /* the handler's */
};

struct http_server_options {
	struct loop *loop;
	void (*handle)(void *ctx, struct http_server_request *rq);
	void *ctx;
	bool raw;
	int connections_max;  /* 0 = 10000, and never more than the descriptors allow */
	size_t body_max;      /* 0 = 1 MiB */
	int64_t idle_ms, request_ms; /* 0 = 5 min, 60 s */
};
int http_server_create(const struct http_server_options *o, struct http_server **out, struct err *e);
/* The socket's life as control.md §1.7 says (probe, stale, chmod under umask); returns the listener's number or -1. */
int http_server_listen_unix(struct http_server *s, const char *path, unsigned mode, struct err *e);
/* "host:port", ":port", "[::1]:port"; control.md §4.6's messages. */
int http_server_listen_tcp(struct http_server *s, const char *addr, struct err *e);
int http_server_port(const struct http_server *s, int listener); /* the bound TCP port, for tests with port 0 */
/* No new connections; socket files are unlinked; open requests may still be answered. */
void http_server_stop(struct http_server *s);
int http_server_busy(const struct http_server *s); /* requests not answered yet */
void http_server_free(struct http_server *s);      /* closes everything */

/* The whole answer. fields: "Name: value\r\n" lines besides Content-Length, Connection, Date, or NULL. */
void http_reply(struct http_server_request *rq, int status, const char *fields, const void *body, size_t n);
/* An answer of unknown length (chunked; HTTP/1.0: until close). */
int http_reply_stream(struct http_server_request *rq, int status, const char *fields, struct err *e);
/* Queues bytes; false when more than `limit` bytes would wait for a slow reader (nothing is queued then). */
bool http_stream_write(struct http_server_request *rq, const void *bytes, size_t n, size_t limit);
void http_stream_end(struct http_server_request *rq);

#endif
