/* SPDX-License-Identifier: MIT */
/*
 * server.h - the server side of HTTP/1.1 on the event loop: listening sockets (Unix and TCP), connections without a
 * thread each, requests given to one handler, replies that may come later.
 *
 * Everything is the loop thread's. A request's body is collected (body_max, then 413) before the handler is called, so
 * handlers see whole requests. A reply is given at once or later (http_reply), or in pieces (http_reply_stream …
 * http_stream_end); with its last function the request is gone. A client that leaves before: request->gone is called,
 * from the loop and never from within a function of this header, and the request must not be touched any more. A
 * handler that does not answer at once must set `gone`. A client that only shuts down its sending side has not left.
 *
 * Besides HTTP a connection to a socket file may speak another protocol when its first non-blank byte is '{' or '[' and
 * options.raw is set: one JSON value in, one out, close (control.md §2.1). A value that breaks off or is malformed is
 * handed over as it is.
 *
 * Limits: connections_max in all (then the one whose request is awaited longest is closed, else new ones are refused
 * with 503), head 1 MiB as upstream (431), body 1 MiB (413), an idle keep-alive connection is closed after idle_ms, a
 * half-sent request after request_ms (408), as is a client that does not take its answer. One request of a connection
 * is handled at a time; what a client sends ahead waits in the kernel. Memory: about 200 bytes for an idle connection,
 * 1.2 KB more and what was sent for one with a request.
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
	void (*gone)(struct http_server_request *rq); /* set by the handler, also while a stream goes on */
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
/* The socket's life as control.md §1.7 says (os_listen_unix); returns the listener's number (0, 1, …) or -1. */
int http_server_listen_unix(struct http_server *s, const char *path, unsigned mode, struct err *e);
/* "host:port", ":port", "[::1]:port"; 'must specify port for bind address: "X"' (ERR_INVALID) or why it cannot be
 * bound. */
int http_server_listen_tcp(struct http_server *s, const char *addr, struct err *e);
int http_server_port(const struct http_server *s, int listener); /* the bound TCP port, for tests with port 0 */
/* No new connections, socket files are unlinked, who has no request under way is closed; open requests may still be
 * answered. Idempotent. */
void http_server_stop(struct http_server *s);
int http_server_busy(const struct http_server *s); /* requests and streams not ended yet, answers not sent yet */
int http_server_connections(const struct http_server *s);
/* Closes everything; `gone` is called for open requests. Not from handlers. */
void http_server_free(struct http_server *s);

/* The whole answer; for HEAD its body is left out, for a raw request all but its body. fields: "Name: value\r\n" lines
 * besides Content-Length, Connection, Date, or NULL. */
void http_reply(struct http_server_request *rq, int status, const char *fields, const void *body, size_t n);
/* An answer of unknown length (chunked; HTTP/1.0: until close). Not for HEAD. */
void http_reply_stream(struct http_server_request *rq, int status, const char *fields);
/* Queues bytes; false when more than `limit` bytes would wait for a slow reader (nothing is queued then). What comes
 * when nothing waits is always taken. */
bool http_stream_write(struct http_server_request *rq, const void *bytes, size_t n, size_t limit);
void http_stream_end(struct http_server_request *rq);

#endif
