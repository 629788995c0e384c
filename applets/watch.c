/* SPDX-License-Identifier: MIT */
#include "applets/watch.h"

#include <stdlib.h>
#include <string.h>

#include "applets/output.h"
#include "applets/socket_client.h"
#include "json/json.h"
#include "lib/base/text.h"
#include "lib/os/program.h"

enum { ROWS_MAX = 10000, LINE_MAX_BYTES = 1 << 20 };

/* The last line about a database. */
struct row {
	char *path, *status, *event, *error, *time;
	uint64_t txid, replicated, lag_ms, wal_size;
};

struct watch {
	struct row *rows;
	size_t count, cap;
	bool terminal, json;
};

/* ---- rows ---- */

static void free_row(struct row *r)
{
	free(r->path);
	free(r->status);
	free(r->event);
	free(r->error);
	free(r->time);
}

/* Text from outside does not get to steer the terminal. */
static char *clean(const struct json_doc *d, const char *key)
{
	const struct json_node *n = json_member(d, d->nodes, key);
	char *text = strdup(n && n->type == JSON_STRING ? json_text(d, n) : "");

	for (char *s = text; s && *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	return text;
}

static uint64_t number(const struct json_doc *d, const char *key)
{
	const struct json_node *n = json_member(d, d->nodes, key);
	uint64_t value;

	return n && json_uint64(d, n, &value) ? value : 0;
}

static struct row *row_of(struct watch *w, const char *path)
{
	size_t i = 0;

	while (i < w->count && strcmp(w->rows[i].path, path) != 0)
		i++;
	if (i < w->count)
		return &w->rows[i];
	if (w->count == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 16;
		struct row *rows = cap <= 2 * ROWS_MAX ? realloc(w->rows, cap * sizeof(*rows)) : NULL;

		if (!rows)
			return NULL;
		w->rows = rows;
		w->cap = cap;
	}
	w->rows[w->count] = (struct row){ .path = NULL };
	return &w->rows[w->count++];
}

/* ---- showing ---- */

static void cell(const void *ctx, size_t i, int column, struct buf *out)
{
	const struct row *r = &((const struct watch *)ctx)->rows[i];
	char text[TEXT_DURATION_SIZE + TEXT_SIZE_SIZE];

	switch (column) {
	case 0:
		buf_str(out, r->path);
		break;
	case 1:
		buf_str(out, r->status);
		break;
	case 2:
		buf_fmt(out, "%llu", (unsigned long long)r->txid);
		break;
	case 3:
		buf_fmt(out, "%llu", (unsigned long long)r->replicated);
		break;
	case 4:
		buf_str(out, text_duration(text, (int64_t)(r->lag_ms % 9000000000000) * 1000000));
		break;
	case 5:
		buf_str(out, text_size(text, r->wal_size));
		break;
	default:
		buf_str(out, *r->error ? r->error : r->event);
	}
}

static int draw(const struct watch *w)
{
	static const char *const header[] = { "database", "status", "txid", "replicated", "lag", "wal size", "last" };
	const struct table t = { .columns = 7, .header = header, .rows = w->count, .cell = cell, .ctx = w };
	int status = output_text("\033[H\033[J");

	return status ? status : output_table(&t);
}

static int show_line(const struct row *r)
{
	struct buf out = { .data = NULL };
	int status;

	buf_fmt(&out, "%s %s %s [%s] txid=%llu replicated=%llu%s%s\n", r->time, r->event, r->path, r->status,
	        (unsigned long long)r->txid, (unsigned long long)r->replicated, *r->error ? " error: " : "", r->error);
	status = output_buf(&out);
	buf_free(&out);
	return status;
}

static int take_event(struct watch *w, const struct json_doc *d)
{
	const struct json_node *path = json_member(d, d->nodes, "path");
	struct row *r, new = { .path = NULL };
	int status;

	if (!path || path->type != JSON_STRING)
		return 0; /* "lagged" */
	new = (struct row){
		.path = clean(d, "path"), .status = clean(d, "status"), .event = clean(d, "event"), .error = clean(d, "error"),
		.time = clean(d, "time"), .txid = number(d, "txid"), .replicated = number(d, "replicated_txid"),
		.lag_ms = number(d, "lag_ms"), .wal_size = number(d, "wal_size"),
	};
	r = new.path && new.status && new.event && new.error && new.time ? row_of(w, new.path) : NULL;
	if (!r) {
		free_row(&new);
		return output_errorf("too many databases");
	}
	free_row(r);
	*r = new;
	status = w->terminal ? draw(w) : show_line(r);
	if (strcmp(r->event, "unregistered") == 0) {
		free_row(r);
		*r = w->rows[--w->count];
	}
	return status;
}

static int take_line(struct watch *w, const char *line, size_t n)
{
	struct json_doc d;
	int status = 0;

	if (n == 0)
		return 0;
	if (w->json) {
		struct buf out = { .data = NULL };

		buf_append(&out, line, n);
		buf_char(&out, '\n');
		status = output_buf(&out);
		buf_free(&out);
		return status;
	}
	if (json_parse(&d, line, n, NULL) < 0)
		return output_errorf("failed to parse response: not an event");
	if (d.nodes->type == JSON_OBJECT)
		status = take_event(w, &d);
	json_doc_free(&d);
	return status;
}

/* ---- reading ---- */

/* Whole lines out of what has come. */
static int take_bytes(struct watch *w, struct buf *pending, const uint8_t *bytes, size_t n)
{
	const char *from, *lf;
	int status = 0;

	buf_append(pending, bytes, n);
	if (!buf_ok(pending))
		return output_errorf("failed to parse response: a line is too long");
	from = buf_text(pending);
	while (status == 0 && (lf = strchr(from, '\n')) != NULL) {
		status = take_line(w, from, (size_t)(lf - from));
		from = lf + 1;
	}
	n = pending->len - (size_t)(from - buf_text(pending));
	memmove(pending->data, from, n);
	pending->len = n;
	return status;
}

int watch_databases(const char *socket, bool json)
{
	struct watch w = { .json = json, .terminal = !json && os_std_is_terminal(1) };
	struct buf pending = { .limit = LINE_MAX_BYTES };
	struct socket_client c;
	struct err e = ERR_INIT;
	const uint8_t *bytes;
	size_t n;
	int status = 0;

	if (socket_client_begin(&c, socket, 0, "/events", NULL, &e) < 0 || socket_client_head(&c, &e) < 0)
		return output_error(&e);
	if (c.answer.status != 200)
		return output_errorf("list failed: the daemon has no events");
	while (status == 0) {
		if (socket_client_read(&c, &bytes, &n, &e) < 0)
			status = output_error(&e);
		else if (n == 0)
			break;
		else
			status = take_bytes(&w, &pending, bytes, n);
	}
	for (size_t i = 0; i < w.count; i++)
		free_row(&w.rows[i]);
	free(w.rows);
	buf_free(&pending);
	socket_client_end(&c);
	return status;
}
