/* SPDX-License-Identifier: MIT */
/* answer.c - the end of an operation as HTTP says it (control.md §1.5, §2.7), and replies in general. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/control/internal.h"

#define JSON_TYPE "Content-Type: application/json\r\n"

/* ---- replies ---- */

void reply_nomem(struct http_server_request *rq)
{
	static const char text[] = "{\"error\":\"out of memory\"}\n";

	http_reply(rq, 500, JSON_TYPE, text, sizeof(text) - 1);
}

void reply_json(struct http_server_request *rq, int status, struct buf *body)
{
	buf_char(body, '\n');
	if (buf_ok(body))
		http_reply(rq, status, JSON_TYPE, body->data, body->len);
	else
		reply_nomem(rq);
	buf_free(body);
}

void reply_error(struct http_server_request *rq, int status, const char *details, const char *fmt, ...)
{
	struct buf body = { .data = NULL };
	struct json_writer w;
	char text[ERR_TEXT_SIZE + 100];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_writer_init(&w, &body, false);
	json_object_begin(&w);
	json_key(&w, "error");
	json_string(&w, text);
	if (details) {
		json_key(&w, "details");
		json_string(&w, details);
	}
	json_object_end(&w);
	reply_json(rq, status, &body);
}

void reply_text(struct http_server_request *rq, int status, const char *fields, const char *text)
{
	struct buf head = { .data = NULL };

	buf_str(&head, fields ? fields : "");
	buf_str(&head, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n");
	if (buf_ok(&head))
		http_reply(rq, status, buf_text(&head), text, strlen(text));
	else
		reply_nomem(rq);
	buf_free(&head);
}

/* ---- refusals ---- */

/* How an operation is called in its messages; the code of "database not found". */
static const struct {
	const char *prefix;
	short not_found;
} words[OP_KINDS] = {
	[OP_START] = { "open database", 500 },
	[OP_STOP] = { "close database", 500 },
	[OP_REGISTER] = { "failed to register database", 500 },
	[OP_UNREGISTER] = { "failed to unregister database: close db", 500 },
	[OP_SYNC] = { "sync database", 404 },
	[OP_WAIT] = { "wait", 404 },
};

int op_refusal(const struct op *op, char text[OP_TEXT_SIZE])
{
	const char *prefix = words[op->kind].prefix, *separator = ": ";
	int status = 500;

	switch (op->end) {
	case OP_NOT_FOUND:
		status = words[op->kind].not_found;
		prefix = separator = "";
		break;
	case OP_NOT_OPEN:
		status = 409;
		prefix = separator = "";
		break;
	case OP_LIMIT:
		status = 503;
		prefix = separator = "";
		break;
	case OP_CONFLICT:
		(void)snprintf(text, OP_TEXT_SIZE, "database already registered");
		return 409;
	case OP_BAD_URL:
		status = 400;
		prefix = "invalid replica url";
		break;
	case OP_BAD_CONFIG:
		prefix = "failed to load config";
		break;
	case OP_EXPIRED:
		(void)snprintf(text, OP_TEXT_SIZE, "timeout waiting for %s",
		               op->kind == OP_START ? "start" : "replication");
		return 504;
	case OP_TIMEOUT:
		prefix = op->kind == OP_START ? "enable database" : prefix;
		break;
	default:
		break;
	}
	(void)snprintf(text, OP_TEXT_SIZE, "%s%s%s", prefix, separator, op->why.text);
	return status;
}

/* ---- successes ---- */

static const char *status_word(const struct op *op)
{
	static const char *const done[OP_KINDS] = {
		[OP_START] = "started", [OP_STOP] = "stopped", [OP_REGISTER] = "registered",
		[OP_UNREGISTER] = "unregistered", [OP_WAIT] = "replicated",
	};
	static const char *const already[OP_KINDS] = {
		[OP_START] = "already_running", [OP_STOP] = "already_stopped", [OP_REGISTER] = "already_registered",
		[OP_UNREGISTER] = "already_unregistered",
	};

	if (op->kind == OP_SYNC)
		return !op->changed ? "no_change" : op->p.wait ? "synced" : "synced_local";
	return op->end == OP_ALREADY ? already[op->kind] : done[op->kind];
}

void op_write(const struct op *op, struct json_writer *w)
{
	json_object_begin(w);
	json_key(w, "status");
	json_string(w, status_word(op));
	json_key(w, "path");
	json_string(w, op->p.path);
	if (op->kind != OP_REGISTER) {
		json_key(w, "txid");
		json_uint(w, op->txid);
	}
	if (op->kind == OP_SYNC || op->kind == OP_WAIT) {
		json_key(w, "replicated_txid");
		json_uint(w, op->replicated_txid);
	}
	json_object_end(w);
}

void answer_http(const struct op *op, struct http_server_request *rq)
{
	struct buf body = { .data = NULL };
	struct json_writer w;

	if (op->end != OP_DONE && op->end != OP_ALREADY) {
		char text[OP_TEXT_SIZE];
		int status = op_refusal(op, text);

		reply_error(rq, status, status == 504 && op->kind == OP_WAIT ? op->why.text : NULL, "%s", text);
		return;
	}
	json_writer_init(&w, &body, false);
	op_write(op, &w);
	reply_json(rq, 200, &body);
}
