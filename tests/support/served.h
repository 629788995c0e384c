/* SPDX-License-Identifier: MIT */
/*
 * served.h - a server for tests of HTTP clients, whose behaviour is a C function: it runs on a thread of its own for each
 * connection and says what it likes, byte by byte, in plain or over TLS.
 */
#ifndef TESTS_SUPPORT_SERVED_H
#define TESTS_SUPPORT_SERVED_H

#include <bearssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { SERVED_HEAD_MAX = 16 << 10, SERVED_CONNECTIONS_MAX = 2000 };

struct served;

struct wire {
	struct served *server;
	int fd;
	int number;                   /* of the connection, from 1 */
	char head[SERVED_HEAD_MAX];   /* of the request read last, with the blank line, NUL-terminated */
	size_t in_at, in_len;
	char in[4096];
	bool closed_by_reset;
	br_ssl_server_context *tls;   /* NULL = plain */
	br_sslio_context io;
	unsigned char *tls_buffer;
};

struct served {
	void (*serve)(struct wire *w, void *ctx);
	void *ctx;
	const char *certificate, *key; /* PEM, may be a chain; NULL = plain */
	bool no_sessions; /* remember none: BearSSL's cache is for one thread */
	/* the server's */
	int fd, port;
	atomic_int connections, requests;
	atomic_bool stopping;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_t threads[SERVED_CONNECTIONS_MAX];
	int fds[SERVED_CONNECTIONS_MAX];
	br_ssl_session_cache_lru sessions;
	unsigned char session_store[4096];
};

/* Set serve, ctx, certificate and key before. Listens on 127.0.0.1:port. 0 or -1. */
int served_start(struct served *s);
void served_stop(struct served *s); /* cuts all connections, joins all threads */

/* false: the client has closed. */
bool wire_request(struct wire *w);              /* up to the blank line, into w->head */
bool wire_read(struct wire *w, void *bytes, size_t n); /* exactly n; bytes NULL = throw away */
bool wire_say(struct wire *w, const char *text);
bool wire_send(struct wire *w, const void *bytes, size_t n);
long long wire_length(const struct wire *w);    /* Content-Length of the request; 0 = none */
bool wire_has(const struct wire *w, const char *text); /* in the head */
void wire_reset(struct wire *w);                /* the connection will end with RST */

#endif
