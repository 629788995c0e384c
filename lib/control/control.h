/* SPDX-License-Identifier: MIT */
/*
 * control.h - a running daemon is steered and inspected: HTTP on a socket file and on `addr`, JSON-RPC on both.
 *
 * The endpoints, their texts and codes are those of control.md of the project's specification: §1 the socket, §2
 * JSON-RPC and our own extensions (waiting, events), §6.1 what `addr` serves. Requests are handled on the loop's
 * thread, which never waits: whatever takes longer is an operation of the store that answers later. A client that
 * hangs up does not cancel what it began, but for /wait and /events.
 *
 * Everything here is the loop thread's.
 */
#ifndef RIVULET_CONTROL_H
#define RIVULET_CONTROL_H

#include "http/server.h"
#include "lib/store/ops.h"

struct control;

/* Further paths, of other rooms (profiles, the page). The handler gets GET and HEAD, POST too with `post`. */
struct control_route {
	const char *path; /* "/debug/pprof/": with a slash at its end everything below as well; NULL ends the list */
	bool post;
	void (*handle)(void *ctx, struct http_server_request *rq);
};

struct control_options {
	struct loop *loop;
	struct store *store;
	const char *version;
	const char *config_path;  /* "" = there is none; so are the others */
	const char *socket_path, *http_addr; /* as /info tells them */
	bool persist;             /* starts and stops are written to the configuration file (§2.5) */
	const char *cwd, *home;   /* for paths; home may be NULL */
	/* Takes a new database in. ERR_INVALID: the URL is none ("replica url scheme required: X"); else "open db: …". */
	int (*register_url)(void *ctx, const char *path, const char *url, struct err *e);
	/* Takes the database in that the file `config` describes at `path`; nothing happens when it is known already.
	 * "read config file: …", "database path P not found in config file F", "create database from config: …". */
	int (*register_config)(void *ctx, const char *path, const char *config, struct err *e);
	/* Makes the state last; only called with persist. config: the file that a start named, or NULL. done(arg) once it
	 * is over, however that went, perhaps before the return; the texts are borrowed until the return. */
	void (*persist_state)(void *ctx, const char *path, bool enabled, const char *config,
	                      void (*done)(void *arg), void *arg);
	void *ctx;
	const struct control_route *routes; /* may be NULL */
	void *routes_ctx;
	int64_t idle_ms, request_ms; /* see http_server_options */
};

/* Texts are copied. Takes over the store's listener (store_listen). */
int control_create(const struct control_options *o, struct control **out, struct err *e);
/* The control socket: §1.7. */
int control_listen_socket(struct control *c, const char *path, unsigned mode, struct err *e);
/* `addr`: HOST:PORT or unix:PATH (mode 0600): metrics, profiles, /control/, the page and its events. */
int control_listen_addr(struct control *c, const char *addr, struct err *e);
/* Of the last one that listens on TCP, for messages and tests. */
int control_port(const struct control *c);
/* No new requests; sockets go; streams end; whoever waits is told. What the store has begun goes on. Idempotent. */
void control_stop(struct control *c);
bool control_busy(const struct control *c); /* answers are still on their way */
/* Every done() of persist_state must have been called. */
void control_free(struct control *c);

#endif
