/* SPDX-License-Identifier: MIT */
/* routes.c - from a request to who answers it (control.md §1.6). */
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/control/internal.h"

struct route {
	const char *path;
	int kind;                 /* enum op_kind of a POST, -1: a look */
	unsigned places;
	void (*look)(struct control *c, struct http_server_request *rq, const char *query);
};

static const struct route routes[] = {
	{ "/start", OP_START, PLACE_SOCKET, NULL },
	{ "/stop", OP_STOP, PLACE_SOCKET, NULL },
	{ "/register", OP_REGISTER, PLACE_SOCKET, NULL },
	{ "/unregister", OP_UNREGISTER, PLACE_SOCKET, NULL },
	{ "/sync", OP_SYNC, PLACE_SOCKET, NULL },
	{ "/wait", OP_WAIT, PLACE_SOCKET, NULL },
	{ "/txid", -1, PLACE_SOCKET, look_txid },
	{ "/debug/sync-status", -1, PLACE_SOCKET, look_sync_status },
	/* Read-only, and the page on `addr` lives on them. */
	{ "/list", -1, PLACE_SOCKET | PLACE_ADDR, look_list },
	{ "/info", -1, PLACE_SOCKET | PLACE_ADDR, look_info },
	{ "/events", -1, PLACE_SOCKET | PLACE_ADDR, events_subscribe },
};

/* ---- queries ---- */

bool query_value(const char *query, const char *name, char **out)
{
	size_t len = strlen(name);

	*out = NULL;
	while (query) {
		const char *end = strchr(query, '&');
		size_t n = end ? (size_t)(end - query) : strlen(query);

		if (n >= len && strncmp(query, name, len) == 0 && (n == len || query[len] == '=')) {
			*out = n == len ? strdup("") : strndup(query + len + 1, n - len - 1);
			if (!*out)
				return false;
			if (http_unescape(*out, true))
				return true;
			/* As Go's url.Values: what cannot be decoded is not there. */
			free(*out);
			*out = NULL;
		}
		query = end ? end + 1 : NULL;
	}
	return true;
}

/* The target's path, decoded, and its query as it stands; one block. false: answered. */
static bool split_target(struct http_server_request *rq, char **path, char **query)
{
	const char *target = rq->target, *slash;

	/* "GET http://localhost/list" as to a proxy. */
	if (strncmp(target, "http://", 7) == 0) {
		slash = strchr(target + 7, '/');
		target = slash ? slash : "/";
	}
	*path = strdup(target);
	if (!*path) {
		reply_nomem(rq);
		return false;
	}
	*query = strchr(*path, '?');
	if (*query)
		*(*query)++ = 0;
	if (http_unescape(*path, false))
		return true;
	free(*path);
	reply_text(rq, 400, NULL, "400 Bad Request\n");
	return false;
}

/* ---- what becomes of it ---- */

static bool method_is(const struct http_server_request *rq, const char *method)
{
	return strcmp(rq->method, method) == 0;
}

static bool allow_get(struct http_server_request *rq)
{
	if (method_is(rq, "GET") || method_is(rq, "HEAD"))
		return true;
	reply_text(rq, 405, "Allow: GET, HEAD\r\n", "Method Not Allowed\n");
	return false;
}

static void begin_operation(struct control *c, struct http_server_request *rq, enum op_kind kind)
{
	struct op_params p;
	struct json_doc d;
	struct err e = ERR_INIT;
	int rc;

	if (json_parse(&d, rq->body, rq->body_len, &e) < 0) {
		reply_error(rq, 400, e.text, "invalid request body");
		return;
	}
	rc = params_read(&d, d.nodes, &op_params_of[kind], false, &p, &e);
	json_doc_free(&d);
	if (rc < 0) {
		reply_error(rq, 400, e.text, "invalid request body");
		return;
	}
	if (p.path && *p.path && kind == OP_REGISTER && (!p.replica_url || !*p.replica_url))
		rc = err_set(&e, ERR_INVALID, "replica_url required");
	else
		rc = params_expand(c, &p, &e);
	if (rc < 0) {
		params_free(&p);
		reply_error(rq, 400, NULL, "%s", e.text);
	} else if (!op_begin(c, kind, &p, rq, NULL)) {
		reply_nomem(rq);
	}
}

static void control_path(struct control *c, struct http_server_request *rq)
{
	if (!method_is(rq, "POST"))
		reply_text(rq, 405, "Allow: POST\r\n", "Method not allowed\n");
	else if (http_field(rq->head, "origin"))
		reply_text(rq, 403, NULL, "Forbidden\n"); /* some web page is behind it */
	else
		rpc_handle(c, rq);
}

static bool route_fits(const char *route, const char *path)
{
	size_t len = strlen(route);

	return strcmp(route, path) == 0 || (len > 1 && route[len - 1] == '/' && strncmp(route, path, len) == 0);
}

/* One of other rooms. */
static bool other_route(struct control *c, struct http_server_request *rq, const char *path)
{
	for (const struct control_route *r = c->o.routes; r && r->path; r++) {
		if (!route_fits(r->path, path))
			continue;
		if ((r->post && method_is(rq, "POST")) || allow_get(rq))
			r->handle(c->o.routes_ctx, rq);
		return true;
	}
	return false;
}

static bool own_route(struct control *c, struct http_server_request *rq, const char *path, const char *query)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *r = &routes[i];

		if (strcmp(r->path, path) != 0 || !(r->places & c->places[rq->listener]))
			continue;
		if (r->kind < 0) {
			if (allow_get(rq))
				r->look(c, rq, query);
		} else if (method_is(rq, "POST")) {
			begin_operation(c, rq, (enum op_kind)r->kind);
		} else {
			reply_text(rq, 405, "Allow: POST\r\n", "Method Not Allowed\n");
		}
		return true;
	}
	return false;
}

/* Where a path that is not clean, or lacks the slash of a folder, leads: malloc'ed, or NULL. */
static char *better_path(const struct control *c, const char *path)
{
	char *clean = text_path_clean(path);
	struct buf better = { .data = NULL };
	bool slash;

	if (!clean)
		return NULL;
	slash = path[strlen(path) - 1] == '/';
	for (const struct control_route *r = c->o.routes; r && r->path && !slash; r++)
		slash = strlen(r->path) == strlen(clean) + 1 && strncmp(r->path, clean, strlen(clean)) == 0;
	buf_str(&better, clean);
	if (slash && strcmp(clean, "/") != 0)
		buf_char(&better, '/');
	free(clean);
	if (buf_ok(&better) && strcmp(buf_text(&better), path) != 0)
		return (char *)better.data;
	buf_free(&better);
	return NULL;
}

static bool redirect(struct control *c, struct http_server_request *rq, const char *path, const char *query)
{
	char *better = path[0] == '/' ? better_path(c, path) : NULL;
	struct buf fields = { .data = NULL };

	if (!better)
		return false;
	buf_str(&fields, "Location: ");
	for (const char *s = better; *s; s++) {
		if ((unsigned char)*s <= ' ' || *s == '%' || *s == '?' || *s == '#' || *s & 0x80)
			buf_fmt(&fields, "%%%02X", (unsigned char)*s);
		else
			buf_char(&fields, *s);
	}
	if (query)
		buf_fmt(&fields, "?%s", query);
	buf_str(&fields, "\r\n");
	if (buf_ok(&fields))
		http_reply(rq, 301, buf_text(&fields), NULL, 0);
	else
		reply_nomem(rq);
	buf_free(&fields);
	free(better);
	return true;
}

void routes_handle(void *ctx, struct http_server_request *rq)
{
	struct control *c = ctx;
	char *path, *query;

	if (rq->raw) {
		rpc_handle(c, rq);
		return;
	}
	if (!split_target(rq, &path, &query))
		return;
	if (redirect(c, rq, path, query) || own_route(c, rq, path, query))
		;
	else if (strcmp(path, "/control") == 0 || strncmp(path, "/control/", 9) == 0)
		control_path(c, rq);
	else if (!other_route(c, rq, path))
		reply_text(rq, 404, NULL, "404 page not found\n");
	free(path);
}
