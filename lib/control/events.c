/* SPDX-License-Identifier: MIT */
/*
 * events.c - GET /events: one line per change (control.md §2.7), for any number of readers, none of whom can make the
 * daemon wait or grow.
 *
 * A change is written 50 ms after it happened, so that changes of one kind that follow each other become one line with
 * the facts of then. While nobody listens the store tells us nothing and no timer runs.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/control/internal.h"
#include "lib/os/clock.h"

enum { MERGE_US = 50000, QUIET_US = 15000000, PENDING_MAX = 4096 };

struct subscriber {
	struct control *c;
	struct subscriber *next, **link;
	struct http_server_request *rq;
	struct loop_timer quiet;
	char *path;        /* only this one; NULL = all */
	bool sse;
	uint64_t dropped;  /* lines since the reader fell behind */
};

struct pending_event {
	struct pending_event *next;
	struct managed *m;
	enum store_event what;
	char detail[];
};

static const char *const names[] = {
	[STORE_EVENT_REGISTERED] = "registered", [STORE_EVENT_UNREGISTERED] = "unregistered",
	[STORE_EVENT_STARTED] = "started", [STORE_EVENT_STOPPED] = "stopped", [STORE_EVENT_SYNCED] = "synced",
	[STORE_EVENT_REPLICATED] = "replicated", [STORE_EVENT_CHECKPOINT] = "checkpoint",
	[STORE_EVENT_SNAPSHOT] = "snapshot", [STORE_EVENT_COMPACTED] = "compacted", [STORE_EVENT_ERROR] = "error",
	[STORE_EVENT_RECOVERED] = "recovered", [STORE_EVENT_PAUSED] = "paused", [STORE_EVENT_RESUMED] = "resumed",
	[STORE_EVENT_DORMANT] = "dormant", [STORE_EVENT_AWAKE] = "awake",
};

void events_init(struct control *c)
{
	c->events.end = &c->events.first;
	c->events.pending_end = &c->events.pending;
}

/* ---- lines ---- */

static void put(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value);
}

static void put_number(struct json_writer *w, const char *key, uint64_t value)
{
	json_key(w, key);
	json_uint(w, value);
}

static void begin_line(struct json_writer *w, struct buf *out, const char *event)
{
	char time[TEXT_TIME_SIZE];

	json_writer_init(w, out, false);
	json_object_begin(w);
	put(w, "time", text_time_ms(time, os_wall_ms()));
	put(w, "event", event);
}

/* What is wrong with it now, if the event itself does not say. */
static const char *trouble(struct managed *m, const struct managed_facts *f, const char *detail)
{
	struct managed_replica_facts r;

	if (*detail || *f->reason)
		return *detail ? detail : f->reason;
	for (int i = 0; i < f->replica_count; i++) {
		managed_replica_facts(m, i, &r);
		if (*r.error)
			return r.error;
	}
	return "";
}

static void write_state(struct buf *out, const char *event, struct managed *m, const char *detail)
{
	struct managed_replica_facts r = { .txid = 0 };
	struct managed_facts f;
	struct json_writer w;

	managed_facts(m, &f);
	if (f.replica_count > 0)
		managed_replica_facts(m, 0, &r);
	begin_line(&w, out, event);
	put(&w, "path", f.path);
	put(&w, "status", look_status(&f));
	put_number(&w, "txid", f.txid);
	put_number(&w, "replicated_txid", r.txid);
	put_number(&w, "lag_ms", (uint64_t)(f.lag_ms > 0 ? f.lag_ms : 0));
	put_number(&w, "wal_size", (uint64_t)f.wal_size);
	if (*trouble(m, &f, detail))
		put(&w, "error", trouble(m, &f, detail));
	json_object_end(&w);
}

static void write_lagged(struct buf *out, uint64_t dropped)
{
	struct json_writer w;

	begin_line(&w, out, "lagged");
	put_number(&w, "dropped", dropped);
	json_object_end(&w);
}

/* The line as this reader wants it. */
static void frame(const struct subscriber *s, struct buf *out, const char *event, const struct buf *line)
{
	if (s->sse)
		buf_fmt(out, "event: %s\ndata: ", event);
	buf_append(out, line->data, line->len);
	buf_str(out, s->sse ? "\n\n" : "\n");
}

/* ---- readers ---- */

static void rest(struct subscriber *s)
{
	loop_timer_set(s->c->o.loop, &s->quiet, os_mono_us() + QUIET_US, 500000);
}

static void on_quiet(struct loop_timer *t)
{
	struct subscriber *s = (struct subscriber *)(void *)((char *)t - offsetof(struct subscriber, quiet));
	const char *line = s->sse ? ":\n\n" : "\n";

	http_stream_write(s->rq, line, strlen(line), CONTROL_EVENTS_BUFFER);
	rest(s);
}

static void send_line(struct subscriber *s, const char *event, const struct buf *line)
{
	struct buf out = { .data = NULL }, lagged = { .data = NULL };

	if (s->dropped) {
		write_lagged(&lagged, s->dropped);
		frame(s, &out, "lagged", &lagged);
	}
	frame(s, &out, event, line);
	if (buf_ok(&out) && buf_ok(&lagged) && http_stream_write(s->rq, out.data, out.len, CONTROL_EVENTS_BUFFER))
		s->dropped = 0;
	else
		s->dropped++;
	buf_free(&lagged);
	buf_free(&out);
	rest(s);
}

static void send_all(struct control *c, const char *event, struct managed *m, const char *detail)
{
	struct buf line = { .data = NULL };
	struct managed_facts f;

	managed_facts(m, &f);
	write_state(&line, event, m, detail);
	for (struct subscriber *s = c->events.first; s && buf_ok(&line); s = s->next)
		if (!s->path || strcmp(s->path, f.path) == 0)
			send_line(s, event, &line);
	buf_free(&line);
}

/* ---- what happens ---- */

static void flush(struct control *c)
{
	struct pending_event *p;

	loop_timer_clear(c->o.loop, &c->events.flush);
	while ((p = c->events.pending)) {
		c->events.pending = p->next;
		send_all(c, names[p->what], p->m, p->detail);
		free(p);
	}
	c->events.pending_end = &c->events.pending;
	c->events.pending_count = 0;
}

static void on_flush(struct loop_timer *t)
{
	flush((struct control *)(void *)((char *)t - offsetof(struct control, events.flush)));
}

/* The newest one of this database, if it is of this kind: it may stand for both. */
static bool merges(const struct control *c, enum store_event what, const struct managed *m, const char *detail)
{
	const struct pending_event *last = NULL;

	for (const struct pending_event *p = c->events.pending; p; p = p->next)
		if (p->m == m)
			last = p;
	return last && last->what == what && strcmp(last->detail, detail) == 0;
}

static void on_event(void *ctx, enum store_event what, struct managed *m, const char *detail)
{
	struct control *c = ctx;
	struct pending_event *p;
	struct managed_facts f;

	if (merges(c, what, m, detail))
		return;
	p = malloc(sizeof(*p) + strlen(detail) + 1);
	if (!p)
		return;
	*p = (struct pending_event){ .m = m, .what = what };
	strcpy(p->detail, detail);
	*c->events.pending_end = p;
	c->events.pending_end = &p->next;
	c->events.pending_count++;
	/* A database that goes cannot be asked later; that begins with its being forgotten. */
	managed_facts(m, &f);
	if (store_find(c->o.store, f.path) != m || c->events.pending_count >= PENDING_MAX) {
		flush(c);
	} else if (!loop_timer_armed(&c->events.flush)) {
		c->events.flush.fire = on_flush;
		loop_timer_set(c->o.loop, &c->events.flush, os_mono_us() + MERGE_US, 0);
	}
}

/* ---- coming and going ---- */

static void leave(struct subscriber *s)
{
	struct control *c = s->c;
	struct pending_event *p;

	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	else
		c->events.end = s->link;
	loop_timer_clear(c->o.loop, &s->quiet);
	free(s->path);
	free(s);
	if (c->events.first)
		return;
	store_listen(c->o.store, NULL, NULL);
	loop_timer_clear(c->o.loop, &c->events.flush);
	while ((p = c->events.pending)) {
		c->events.pending = p->next;
		free(p);
	}
	c->events.pending_end = &c->events.pending;
	c->events.pending_count = 0;
}

static void gone(struct http_server_request *rq)
{
	leave(rq->ctx);
}

/* The states of all (or one) at the beginning, in one piece. */
static void greet(struct subscriber *s)
{
	struct buf out = { .data = NULL }, line = { .data = NULL };

	for (struct managed *m = store_next(s->c->o.store, NULL); m; m = store_next(s->c->o.store, m)) {
		struct managed_facts f;

		managed_facts(m, &f);
		if (s->path && strcmp(s->path, f.path) != 0)
			continue;
		buf_reset(&line);
		write_state(&line, "state", m, "");
		frame(s, &out, "state", &line);
	}
	if (buf_ok(&out) && buf_ok(&line))
		http_stream_write(s->rq, out.data, out.len, CONTROL_EVENTS_BUFFER);
	buf_free(&line);
	buf_free(&out);
	rest(s);
}

/* false: answered. */
static bool read_filter(struct subscriber *s, const char *query)
{
	struct op_params p = { .path = NULL };
	struct err e = ERR_INIT;

	if (!query_value(query, "path", &p.path)) {
		reply_nomem(s->rq);
		return false;
	}
	if (p.path && *p.path && params_expand(s->c, &p, &e) < 0) {
		reply_error(s->rq, 400, NULL, "%s", e.text);
		params_free(&p);
		return false;
	}
	s->path = p.path && *p.path ? p.path : NULL;
	if (!s->path)
		params_free(&p);
	return true;
}

void events_subscribe(struct control *c, struct http_server_request *rq, const char *query)
{
	const char *accept = http_field(rq->head, "accept");
	bool sse = accept && strstr(accept, "text/event-stream");
	const char *fields = sse ? "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
	                         : "Content-Type: application/x-ndjson\r\nCache-Control: no-cache\r\n";
	struct subscriber *s;

	if (strcmp(rq->method, "HEAD") == 0) {
		http_reply(rq, 200, fields, NULL, 0);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		reply_nomem(rq);
		return;
	}
	s->c = c;
	s->rq = rq;
	s->sse = sse;
	s->quiet.fire = on_quiet;
	if (!read_filter(s, query)) {
		free(s);
		return;
	}
	rq->ctx = s;
	rq->gone = gone;
	if (!c->events.first)
		store_listen(c->o.store, on_event, c);
	s->link = c->events.end;
	*c->events.end = s;
	c->events.end = &s->next;
	http_reply_stream(rq, 200, fields);
	greet(s);
}

void events_end(struct control *c)
{
	while (c->events.first) {
		struct http_server_request *rq = c->events.first->rq;

		leave(c->events.first);
		http_stream_end(rq);
	}
}
