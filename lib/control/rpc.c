/* SPDX-License-Identifier: MIT */
/*
 * rpc.c - the envelope of JSON-RPC 2.0 (control.md §2.2): one call or a batch, whose elements are handled one after the
 * other; replies gather until the last is done.
 *
 * A client that leaves does not stop the elements behind the current one: a notification is nothing but that.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/control/internal.h"

struct rpc_run {
	struct control *c;
	struct http_server_request *rq;   /* NULL: the client is gone */
	struct json_doc doc;
	const struct json_node *element;  /* being handled; NULL: none is left */
	const struct json_node *id;       /* of it; NULL: none, or not one that can be echoed */
	struct buf out;
	struct json_writer w;             /* for the result */
	size_t mark;                      /* where it begins in out */
	bool batch, silent, open;         /* silent: a notification; open: element has been begun and not ended */
	bool stepping;
};

/* ---- replies ---- */

/* Behind result or error. */
static void end_reply(struct rpc_run *r)
{
	buf_str(&r->out, ",\"id\":");
	if (r->id && r->rq)
		buf_append(&r->out, r->rq->body + r->id->source, r->id->source_len);
	else
		buf_str(&r->out, "null");
	buf_char(&r->out, '}');
}

static void begin_reply(struct rpc_run *r, const char *member)
{
	buf_fmt(&r->out, "%s{\"jsonrpc\":\"2.0\",\"%s\":", r->out.len > 1 ? "," : "", member);
}

static void step(struct rpc_run *r);

/* The element is done. */
static void next_element(struct rpc_run *r)
{
	r->open = false;
	r->element = r->batch ? json_next(&r->doc, r->doc.nodes, r->element) : NULL;
	if (!r->stepping)
		step(r);
}

struct json_writer *rpc_result(struct rpc_run *r)
{
	r->mark = r->out.len;
	if (!r->silent)
		begin_reply(r, "result");
	json_writer_init(&r->w, &r->out, false);
	return &r->w;
}

void rpc_end(struct rpc_run *r)
{
	if (!r->silent)
		end_reply(r);
	else if (buf_ok(&r->out))
		r->out.len = r->mark;
	next_element(r);
}

void rpc_error(struct rpc_run *r, int code, const char *data, const char *fmt, ...)
{
	char text[ERR_TEXT_SIZE + 100];
	struct json_writer w;
	va_list args;

	if (r->silent) {
		next_element(r);
		return;
	}
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	begin_reply(r, "error");
	json_writer_init(&w, &r->out, false);
	json_object_begin(&w);
	json_key(&w, "code");
	json_int(&w, code);
	json_key(&w, "message");
	json_string(&w, text);
	if (data) {
		json_key(&w, "data");
		json_string(&w, data);
	}
	json_object_end(&w);
	end_reply(r);
	next_element(r);
}

struct control *rpc_control(struct rpc_run *r)
{
	return r->c;
}

/* ---- one element ---- */

static void invalid(struct rpc_run *r)
{
	r->silent = false; /* nobody knows whether it was meant to be a notification */
	rpc_error(r, -32600, NULL, "Invalid Request");
}

static bool is_text(const struct rpc_run *r, const struct json_node *n, const char *text)
{
	return n && n->type == JSON_STRING && (!text || strcmp(json_text(&r->doc, n), text) == 0);
}

static void handle_element(struct rpc_run *r)
{
	const struct json_doc *d = &r->doc;
	const struct json_node *n = r->element, *id = json_member(d, n, "id");
	const struct json_node *method = json_member(d, n, "method"), *params = json_member(d, n, "params");
	bool id_fits = id && (id->type == JSON_STRING || id->type == JSON_NUMBER || id->type == JSON_NULL);

	r->id = id_fits ? id : NULL;
	r->silent = !id;
	if (n->type != JSON_OBJECT || (id && !id_fits) || !is_text(r, json_member(d, n, "jsonrpc"), "2.0") ||
	    !is_text(r, method, NULL))
		invalid(r);
	else if (params && params->type != JSON_OBJECT && params->type != JSON_ARRAY && params->type != JSON_NULL)
		rpc_error(r, -32602, "params must be an object or an array", "Invalid params");
	else if (r->c->stopped)
		rpc_error(r, -32603, "the daemon is shutting down", "Internal error");
	else
		rpc_method(r, json_text(d, method), d, params);
}

/* ---- the whole ---- */

static void reply(struct http_server_request *rq, int status, struct buf *body)
{
	if (body->len > 0)
		buf_char(body, '\n');
	if (!buf_ok(body))
		reply_nomem(rq);
	else if (body->len > 0)
		http_reply(rq, status, "Content-Type: application/json\r\n", body->data, body->len);
	else
		http_reply(rq, 204, NULL, NULL, 0);
}

static void finish(struct rpc_run *r)
{
	if (r->batch && r->out.len == 1)
		buf_reset(&r->out); /* notifications only */
	else if (r->batch)
		buf_char(&r->out, ']');
	if (r->rq)
		reply(r->rq, 200, &r->out);
	buf_free(&r->out);
	json_doc_free(&r->doc);
	free(r);
}

/* In a loop, because most elements end before they return. */
static void step(struct rpc_run *r)
{
	r->stepping = true;
	while (r->element && !r->open) {
		r->open = true;
		handle_element(r);
	}
	r->stepping = false;
	if (!r->element)
		finish(r);
}

static void client_gone(struct http_server_request *rq)
{
	((struct rpc_run *)rq->ctx)->rq = NULL;
}

static void refuse(struct http_server_request *rq, int status, int code, const char *message)
{
	struct buf body = { .data = NULL };

	buf_fmt(&body, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":%d,\"message\":\"%s\"},\"id\":null}", code, message);
	reply(rq, status, &body);
	buf_free(&body);
}

void rpc_handle(struct control *c, struct http_server_request *rq)
{
	struct rpc_run *r = calloc(1, sizeof(*r));
	const struct json_node *root;

	if (!r) {
		reply_nomem(rq);
		return;
	}
	if (json_parse(&r->doc, rq->body, rq->body_len, NULL) < 0) {
		free(r);
		refuse(rq, 400, -32700, "Parse error");
		return;
	}
	root = r->doc.nodes;
	if (root->type == JSON_ARRAY && root->count == 0) {
		json_doc_free(&r->doc);
		free(r);
		refuse(rq, 200, -32600, "Invalid Request");
		return;
	}
	r->c = c;
	r->rq = rq;
	r->batch = root->type == JSON_ARRAY;
	r->element = r->batch ? json_first(&r->doc, root) : root;
	if (r->batch)
		buf_char(&r->out, '[');
	rq->ctx = r;
	rq->gone = client_gone;
	step(r);
}
