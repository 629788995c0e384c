/* SPDX-License-Identifier: MIT */
/*
 * internal.h - the parts of the control room.
 *
 *   control.c  create, listen, stop     routes.c   paths to handlers, replies
 *   params.c   what a request says      ops.c      operations: begin, end, deadlines
 *   start.c    start, with its wait     answer.c   the end of an operation as an HTTP reply
 *   look.c     answers that need no operation: /list, /info, /txid, /debug/sync-status (sync_status.c)
 *   rpc.c      the JSON-RPC envelope    methods.c  its methods
 *   events.c   /events
 *
 * An operation has one form whoever asked for it: its parameters, its end. HTTP and JSON-RPC only differ in how they
 * read the former and write the latter.
 */
#ifndef RIVULET_CONTROL_INTERNAL_H
#define RIVULET_CONTROL_INTERNAL_H

#include "json/json.h"
#include "lib/control/control.h"

enum { CONTROL_LISTENERS_MAX = 4, CONTROL_TIMEOUT_S = 30, CONTROL_EVENTS_BUFFER = 64 << 10 };

enum control_place { PLACE_SOCKET = 1, PLACE_ADDR = 2 }; /* which kind of listener */

/* ---- what is asked ---- */

enum op_kind { OP_START, OP_STOP, OP_REGISTER, OP_UNREGISTER, OP_SYNC, OP_WAIT, OP_KINDS };

struct op_params {
	char *path;        /* as it came, then expanded; NULL or "" = missing */
	char *replica_url, *config;
	bool wait, any, strict;
	bool has_txid;
	uint64_t txid;
	int64_t timeout;   /* seconds */
};
void params_free(struct op_params *p);

enum param_type { PARAM_TEXT, PARAM_BOOL, PARAM_INT, PARAM_UINT };
struct param {
	const char *name;
	enum param_type type;
	size_t offset;     /* in struct op_params */
};
/* In the order in which JSON-RPC takes them by position; ends with a NULL name. request: Go's name of the struct, for
 * messages. */
struct param_table {
	const char *request;
	struct param params[6];
};
extern const struct param_table op_params_of[OP_KINDS];
extern const struct param_table path_params; /* path alone */
extern const struct param_table no_params;
/* An object, null, or (positional) an array. ERR_INVALID in Go's words. */
int params_read(const struct json_doc *d, const struct json_node *n, const struct param_table *t, bool positional,
                struct op_params *out, struct err *e);
/* The path made absolute and clean, in place. "path required", "invalid path: …"; ERR_INVALID. */
int params_expand(const struct control *c, struct op_params *p, struct err *e);

/* ---- operations ---- */

enum op_end {
	OP_DONE, OP_ALREADY,
	OP_NOT_FOUND, OP_NOT_OPEN, OP_LIMIT, OP_CONFLICT, /* refused */
	OP_BAD_URL, OP_BAD_CONFIG, OP_EXPIRED,            /* EXPIRED: the deadline of a start that waits, or of a wait */
	OP_TIMEOUT,                                       /* the deadline of anything else */
	OP_FAILED,                                        /* why says it */
};

struct rpc_run;

struct op {
	struct store_call call;  /* first */
	struct control *c;
	struct op *next, **link; /* in c->ops */
	enum op_kind kind;
	struct op_params p;
	struct http_server_request *rq; /* who gets the answer; NULL: nobody any more, or run */
	struct rpc_run *run;
	bool rpc;
	bool in_call;            /* the store has it */
	bool in_persist;         /* it is over, and being written down */
	bool already;            /* start -wait: it was running */
	int64_t deadline_us;     /* 0 = none */
	struct loop_timer poll;  /* start -wait */
	/* the end */
	enum op_end end;
	struct err why;
	uint64_t txid, replicated_txid;
	bool changed;
};
/* Takes what *p holds. rq or run is answered, perhaps before it returns. false without memory: nobody was answered. */
bool op_begin(struct control *c, enum op_kind kind, struct op_params *p, struct http_server_request *rq,
              struct rpc_run *run);
void op_finish(struct op *op, enum op_end end); /* answers and frees */
void op_forget(struct op *op);                  /* nobody wants the answer; a wait ends, all else goes on */
void op_cancel(struct op *op);                  /* the end of the room: answered now */
void op_begin_start(struct op *op);             /* start.c */
void op_failed(struct op *op, const struct store_call *call); /* from call.why to the end */
int64_t op_deadline(int64_t seconds);

/* ---- replies ---- */

void reply_json(struct http_server_request *rq, int status, struct buf *body); /* frees the body; adds the newline */
void reply_error(struct http_server_request *rq, int status, const char *details, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void reply_text(struct http_server_request *rq, int status, const char *fields, const char *text);
void reply_nomem(struct http_server_request *rq);
void answer_http(const struct op *op, struct http_server_request *rq);
void op_write(const struct op *op, struct json_writer *w); /* a success as an object */
enum { OP_TEXT_SIZE = ERR_TEXT_SIZE + 100 };
int op_refusal(const struct op *op, char text[OP_TEXT_SIZE]); /* anything else: HTTP's code and sentence */

/* The first value of a name in the query: malloc'ed in *out, NULL = not there. false without memory. */
bool query_value(const char *query, const char *name, char **out);

/* ---- looking ---- */

void look_txid(struct control *c, struct http_server_request *rq, const char *query);
void look_list(struct control *c, struct http_server_request *rq, const char *query);
void look_info(struct control *c, struct http_server_request *rq, const char *query);
void look_sync_status(struct control *c, struct http_server_request *rq, const char *query);
void sync_status_write(struct managed *m, struct json_writer *w); /* one database of it */
const char *look_status(const struct managed_facts *f); /* replicating, open, stopped */
int look_open_count(const struct control *c);
int look_count(const struct control *c);

/* ---- JSON-RPC ---- */

void rpc_handle(struct control *c, struct http_server_request *rq); /* HTTP or raw */
void answer_rpc(struct op *op);
/* methods.c: answers at once through rpc_result()/rpc_error(), or begins an operation that does later. */
void rpc_method(struct rpc_run *run, const char *method, const struct json_doc *d, const struct json_node *params);
/* rpc.c, for methods.c */
struct json_writer *rpc_result(struct rpc_run *run); /* write one value, then rpc_end() */
void rpc_error(struct rpc_run *run, int code, const char *data, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void rpc_end(struct rpc_run *run);
struct control *rpc_control(struct rpc_run *run);

/* ---- events ---- */

struct subscriber;
struct pending_event;
struct events {
	struct subscriber *first, **end;
	struct pending_event *pending, **pending_end;
	int pending_count;
	struct loop_timer flush;
};
void events_init(struct control *c);
void events_subscribe(struct control *c, struct http_server_request *rq, const char *query);
void events_end(struct control *c); /* all streams */

/* ---- the room ---- */

struct control {
	struct control_options o; /* texts owned */
	struct http_server *server;
	enum control_place places[CONTROL_LISTENERS_MAX];
	int tcp_listener;         /* -1 = none */
	int64_t started_ms, started_us;
	struct op *ops;           /* under way */
	struct events events;
	bool stopped;
};
void routes_handle(void *ctx, struct http_server_request *rq);

#endif
