/* SPDX-License-Identifier: MIT */
/*
 * server_parts.h - what the files of the server share; for them only.
 *
 * server.c has the listeners and the list of peers, server_peer.c reads requests, server_reply.c sends answers.
 *
 * Nobody frees a peer under the feet of a caller: peer_drop() closes it at once, but the struct stays until the
 * function that called a handler (peer->depth) has returned.
 */
#ifndef RIVULET_HTTP_SERVER_PARTS_H
#define RIVULET_HTTP_SERVER_PARTS_H

#include "http/server.h"
#include "lib/os/socket.h"

enum {
	HTTP_PIECE = 16 << 10,        /* read at once */
	HTTP_LINGER_MAX = 1 << 20,    /* bytes thrown away after the last answer, so that the client gets to read it */
	HTTP_LINGER_MS = 2000,
	HTTP_SERVER_HEAD_MAX = 1 << 20,
};

enum peer_state {
	PEER_READING,   /* a request is awaited or half there */
	PEER_HANDLING,  /* the handler has it */
	PEER_STREAMING, /* the answer goes on */
	PEER_SENDING,   /* the answer is complete, the rest of it waits */
	PEER_LINGER,    /* everything is sent; until the client closes */
};

/* A request and what was read of it. */
struct exchange {
	struct http_server_request rq; /* first: http_reply() finds the rest by it */
	struct peer *peer;
	struct http_parser head;
	struct buf body;
	size_t scanned, next_try; /* raw: see raw_complete() */
	int depth;
	bool in_string, escaped;
	bool chunked;             /* the stream */
};

struct listening {
	struct loop_fd w;
	struct http_server *s;
	struct os_listener socket;
	int number;
};

struct peer {
	struct loop_fd w;
	struct loop_timer timer;   /* idle, half a request, a stalled answer, lingering; or `soon` */
	struct http_server *s;
	struct peer *next, **link; /* in s->waiting (READING, oldest first) or s->busy */
	struct exchange *x;
	struct buf in, out;        /* in: read ahead, while the request before is handled */
	size_t sent;               /* of out */
	size_t discarded;
	uint32_t events;           /* what the loop watches for */
	int listener, depth;
	enum peer_state state;
	bool fresh;                /* no request yet: it may be a raw one */
	bool is_unix, close_after, broken, dead;
};

struct peer_list {
	struct peer *first, **end;
};

enum { HTTP_LISTENERS_MAX = 4 };

struct http_server {
	struct http_server_options o;
	struct listening *listeners[HTTP_LISTENERS_MAX];
	int listener_count;
	struct peer_list waiting, busy;
	int count, open_requests;
	struct loop_timer accept_later; /* no descriptors were left */
	bool stopping;
};

/* server.c */
void peer_drop(struct peer *p);                 /* closes; tells the handler of an open request */
void peer_state(struct peer *p, enum peer_state state); /* also moves it to the list where it belongs */
void peer_timeout(struct peer *p, int64_t ms);  /* 0: as soon as the loop goes on */
void peer_watch(struct peer *p);                /* asks the loop for what the state needs */

/* server_peer.c */
void peer_ready(struct loop_fd *w, uint32_t events);
void peer_timer(struct loop_timer *t);
void exchange_end(struct peer *p);              /* frees p->x */

/* server_reply.c */
void peer_flush(struct peer *p);
void peer_continue(struct peer *p);             /* "100 Continue" */
/* The parser's or a limit's answer. */
void peer_refuse(struct peer *p, int status, const char *fields, const char *body);

#endif
