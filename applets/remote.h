/* SPDX-License-Identifier: MIT */
/*
 * remote.h - what the applets have in common that ask a running daemon (control.md §3.3).
 *
 * Functions that can fail return the exit status after they have said why, or -1 to go on.
 */
#ifndef RIVULET_APPLETS_REMOTE_H
#define RIVULET_APPLETS_REMOTE_H

#include "applets/applet.h"
#include "applets/output.h"
#include "json/json.h"

struct remote {
	const char *name;    /* of the applet */
	const char *socket;
	int64_t timeout_s;
	bool json, rpc;
};
#define REMOTE_DEFAULT(n, seconds) { .name = (n), .socket = "/var/run/litestream.sock", .timeout_s = (seconds) }
/* Seconds, or a Go duration, rounded up. */
int remote_set_timeout(void *value, const char *text, struct err *e);
#define REMOTE_FLAGS(r)                                                           \
	{ "socket", FLAG_TEXT, &(r).socket, NULL },                               \
	{ "timeout", FLAG_OTHER, &(r).timeout_s, remote_set_timeout },            \
	{ "json", FLAG_BOOL, &(r).json, NULL }

/* The one positional: a database. hint: behind "Try: PROGRAM ". As it goes to the daemon: malloc'ed in *path. */
int remote_path(int argc, char **argv, int first, const char *hint, char **path);
/* -timeout, if `positive`, and -socket. */
int remote_check(const struct remote *r, bool positive);

/* A request body is built in members: *w inside an object that remote_ask() closes. */
struct remote_body {
	struct buf text;
	struct json_writer w;
};
void remote_body_begin(struct remote_body *b);
/* Asks; body NULL: GET. The answer's object in *d, to be freed. *ms: how long it took; may be NULL. */
int remote_ask(const struct remote *r, const char *target, struct remote_body *body, struct json_doc *d, int64_t *ms);
/* Calls a method by JSON-RPC and prints its result; params are those of the body, or NULL. Never -1. */
int remote_call(const struct remote *r, const char *method, struct remote_body *params);
/* The answer as it is, with indents. Never -1. */
int remote_print(struct json_doc *d, const struct json_node *n);

/* Of an answer; "" and 0 when it is not there. */
const char *remote_text(const struct json_doc *d, const char *key);
uint64_t remote_uint(const struct json_doc *d, const char *key);

/* What is shown: "key: value" lines, or a JSON object. text NULL: number. Ends with a NULL key; those with skip are
 * left out. */
struct remote_field {
	const char *key, *text;
	uint64_t number;
	bool skip;
};
int remote_report(const struct remote *r, const struct remote_field *fields);

#endif
