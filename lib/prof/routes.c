/* SPDX-License-Identifier: MIT */
#include "lib/prof/routes.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/clock.h"
#include "lib/os/file.h"
#include "lib/prof/internal.h"

#define NOSNIFF "X-Content-Type-Options: nosniff\r\n"
#define TEXT NOSNIFF "Content-Type: text/plain; charset=utf-8\r\n"

enum { CMDLINE_MAX = 128 << 10 };

/* A request that is answered when its time is over. */
struct run {
	struct prof_routes *p;
	struct run *next;
	struct http_server_request *rq;
	enum prof_kind kind;
	struct prof_set set; /* CPU: what was seen so far; else: what was there at the beginning */
	struct loop_timer timer;
	int64_t began_ms, began_us, end_us;
};

struct prof_routes {
	struct loop *loop;
	struct run *runs;
	int count;
};

struct prof_routes *prof_routes_create(struct loop *loop, struct err *e)
{
	struct prof_routes *p = calloc(1, sizeof(*p));

	if (p)
		p->loop = loop;
	else
		err_nomem(e);
	return p;
}

/* ---- replies ---- */

static void refuse(struct http_server_request *rq, int status, const char *sentence)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%s\n", sentence);

	http_reply(rq, status, TEXT "X-Go-Pprof: 1\r\n", text, (size_t)n);
}

static void reply(struct http_server_request *rq, const char *fields, struct buf *body)
{
	if (buf_ok(body))
		http_reply(rq, 200, fields, body->data, body->len);
	else
		refuse(rq, 500, "out of memory");
	buf_free(body);
}

static void reply_profile(struct http_server_request *rq, enum prof_kind kind, const struct prof_set *s,
                          struct prof_span span, const char *suffix)
{
	struct buf body = { 0 };
	char fields[200];

	snprintf(fields, sizeof(fields), NOSNIFF "Content-Type: application/octet-stream\r\n"
	         "Content-Disposition: attachment; filename=\"%s%s\"\r\n", prof_name(kind), suffix);
	prof_write(&body, kind, s, span);
	reply(rq, fields, &body);
}

/* ---- profiles over a time ---- */

/* Takes it out; what it measured is gone. */
static void run_free(struct run *r)
{
	struct run **at = &r->p->runs;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	r->p->count--;
	loop_timer_clear(r->p->loop, &r->timer);
	prof_set_free(&r->set);
	free(r);
}

static void on_gone(struct http_server_request *rq)
{
	struct run *r = rq->ctx;

	if (r->kind == PROF_CPU)
		prof_cpu_stop(&r->set);
	run_free(r);
}

static void run_finish(struct run *r)
{
	struct prof_span span = { r->began_ms * 1000000, (os_mono_us() - r->began_us) * 1000 };
	struct prof_set now = { 0 };

	r->rq->gone = NULL;
	if (r->kind == PROF_CPU) {
		prof_cpu_stop(&r->set);
		reply_profile(r->rq, r->kind, &r->set, span, "");
	} else {
		prof_collect(r->kind, &now);
		prof_set_subtract(&now, &r->set);
		reply_profile(r->rq, r->kind, &now, span, "-delta");
		prof_set_free(&now);
	}
	run_free(r);
}

static void on_timer(struct loop_timer *t)
{
	struct run *r = (struct run *)(void *)((char *)t - offsetof(struct run, timer));
	int64_t now = os_mono_us(), next = now + PROF_CPU_DRAIN_MS * 1000;

	if (now >= r->end_us) {
		run_finish(r);
		return;
	}
	if (r->kind == PROF_CPU)
		prof_cpu_drain(&r->set);
	else
		next = r->end_us;
	loop_timer_set(r->p->loop, t, next < r->end_us ? next : r->end_us, 0);
}

static void run_begin(struct prof_routes *p, struct http_server_request *rq, enum prof_kind kind, int64_t seconds)
{
	struct run *r = p->count < PROF_RUNS_MAX ? calloc(1, sizeof(*r)) : NULL;
	struct err e = ERR_INIT;
	char text[160];

	if (!r) {
		refuse(rq, 500, "too many profiles at once");
		return;
	}
	if (kind == PROF_CPU && prof_cpu_start(&e)) {
		free(r);
		snprintf(text, sizeof(text), "Could not enable CPU profiling: %.100s", err_text(&e));
		refuse(rq, 500, text);
		return;
	}
	if (kind != PROF_CPU)
		prof_collect(kind, &r->set);
	r->p = p;
	r->next = p->runs;
	p->runs = r;
	p->count++;
	r->rq = rq;
	rq->ctx = r;
	rq->gone = on_gone;
	r->kind = kind;
	r->began_ms = os_wall_ms();
	r->began_us = os_mono_us();
	r->end_us = r->began_us + seconds * 1000000;
	r->timer.fire = on_timer;
	on_timer(&r->timer);
}

void prof_routes_finish(struct prof_routes *p)
{
	while (p->runs)
		run_finish(p->runs);
}

void prof_routes_free(struct prof_routes *p)
{
	while (p && p->runs) {
		p->runs->rq->gone = NULL;
		on_gone(p->runs->rq);
	}
	free(p);
}

/* ---- the query ---- */

/* A whole number in a query: 1, 0 = not there, -1 = not a number that may be. Limits are those of a profile: a year. */
static int query_number(const char *query, const char *name, int64_t *value)
{
	size_t n = strlen(name);
	char *end;

	for (; query && *query; query += strcspn(query, "&"), query += *query == '&') {
		if (strncmp(query, name, n) || query[n] != '=')
			continue;
		*value = strtoll(query + n + 1, &end, 10);
		return end > query + n + 1 && (!*end || *end == '&') && *value > -(1 << 25) && *value < 1 << 25 ? 1 :
		       -1;
	}
	return 0;
}

static void handle_cpu(struct prof_routes *p, struct http_server_request *rq, const char *query)
{
	int64_t seconds;

	if (query_number(query, "seconds", &seconds) < 1 || seconds <= 0)
		seconds = 30;
	run_begin(p, rq, PROF_CPU, seconds);
}

static void handle_collected(struct prof_routes *p, struct http_server_request *rq, enum prof_kind kind,
                             const char *query)
{
	int64_t seconds, debug = 0;
	int timed = query_number(query, "seconds", &seconds);
	struct prof_set s = { 0 };
	struct buf body = { 0 };

	if (query_number(query, "debug", &debug) < 1)
		debug = 0;
	if (timed < 0 || (timed && seconds <= 0)) {
		refuse(rq, 400, "invalid value for \"seconds\" - must be a positive integer");
	} else if (timed && debug) {
		refuse(rq, 400, "seconds and debug params are incompatible");
	} else if (timed) {
		run_begin(p, rq, kind, seconds);
	} else if (debug >= 2 && kind == PROF_GOROUTINE) {
		prof_write_threads(&body);
		reply(rq, TEXT, &body);
	} else {
		prof_collect(kind, &s);
		if (debug) {
			prof_write_text(&body, kind, &s);
			reply(rq, TEXT, &body);
		} else {
			reply_profile(rq, kind, &s, (struct prof_span){ os_wall_ms() * 1000000, 0 }, "");
		}
		prof_set_free(&s);
	}
}

/* ---- the others ---- */

static void handle_cmdline(struct http_server_request *rq)
{
	struct os_file f = OS_FILE_NONE;
	struct buf body = { 0 };
	uint8_t *room = buf_reserve(&body, CMDLINE_MAX);
	size_t got = 0;

	if (room && os_file_open(&f, "/proc/self/cmdline", O_RDONLY, 0, NULL) == 0) {
		if (os_file_read(&f, room, CMDLINE_MAX, 0, &got, NULL) == 0 && got)
			body.len = got - 1; /* the last one ends with a NUL too */
		os_file_close(&f);
	}
	reply(rq, TEXT, &body);
}

/* Addresses, separated by '+' (a blank once decoded), as a query or a body. */
static void handle_symbol(struct http_server_request *rq, const char *query)
{
	const char *at = rq->body_len ? rq->body : query;
	struct prof_names names;
	struct buf body = { 0 };
	char *end;

	prof_names_load(&names);
	buf_str(&body, "num_symbols: 1\n"); /* Go's: that there are any, not how many */
	while (at && *at) {
		unsigned long long pc = strtoull(at, &end, 0);
		int f = prof_names_find(&names, (uintptr_t)pc);

		if (end == at)
			break;
		if (f >= 0)
			buf_fmt(&body, "%#llx %s\n", pc, names.functions[f].name);
		at = end + strspn(end, "+ ");
	}
	prof_names_free(&names);
	reply(rq, TEXT, &body);
}

static void handle_index(struct http_server_request *rq)
{
	static const char head[] = "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>/debug/pprof/</title>"
		"<meta name=viewport content='width=device-width'><style>body{font:16px/1.6 system-ui;margin:2em}"
		"td{padding-right:2em}</style><h1>Profiles</h1><table><tr><th>Count<th>Profile</tr>";
	static const char foot[] = "</table><p>For <code>go tool pprof</code>; <a href='goroutine?debug=2'>stacks of all threads</a></p>";
	struct buf body = { 0 };

	buf_str(&body, head);
	for (int kind = 0; kind < PROF_CPU; kind++) {
		struct prof_set s = { 0 };
		int64_t n = 0;

		prof_collect((enum prof_kind)kind, &s);
		for (int i = 0; i < s.count; i++)
			n += kind == PROF_GOROUTINE || kind == PROF_THREADCREATE ? s.items[i].value[0] : 1;
		buf_fmt(&body, "<tr><td>%lld<td><a href='%s?debug=1'>%s</a></tr>", (long long)n,
		        prof_name((enum prof_kind)kind), prof_name((enum prof_kind)kind));
		prof_set_free(&s);
	}
	buf_str(&body, "<tr><td><td><a href=cmdline>cmdline</a></tr><tr><td><td><a href='profile?seconds=30'>profile</a> (30 s of CPU)"
	               "</tr><tr><td><td><a href=symbol>symbol</a></tr><tr><td><td>trace (not supported)</tr>");
	buf_str(&body, foot);
	reply(rq, NOSNIFF "Content-Type: text/html; charset=utf-8\r\n", &body);
}

static bool is(const char *name, size_t n, const char *wanted)
{
	return strlen(wanted) == n && !memcmp(name, wanted, n);
}

/* What follows /debug/pprof/, also in the form that proxies get ("GET http://localhost/debug/pprof/"). */
static const char *below(const char *target)
{
	static const char prefix[] = "/debug/pprof/";

	if (!strncmp(target, "http://", 7))
		target += 7 + strcspn(target + 7, "/");
	return strncmp(target, prefix, sizeof(prefix) - 1) ? NULL : target + sizeof(prefix) - 1;
}

bool prof_handle(struct prof_routes *p, struct http_server_request *rq)
{
	static const char no_trace[] = "{\"error\":\"execution trace not supported\"}\n";
	const char *name = below(rq->target), *query;
	size_t n;

	if (!name)
		return false;
	n = strcspn(name, "?");
	query = name[n] ? name + n + 1 : NULL;
	if (!n)
		handle_index(rq);
	else if (is(name, n, "profile"))
		handle_cpu(p, rq, query);
	else if (is(name, n, "cmdline"))
		handle_cmdline(rq);
	else if (is(name, n, "symbol"))
		handle_symbol(rq, query);
	else if (is(name, n, "trace"))
		http_reply(rq, 501, NOSNIFF "Content-Type: application/json\r\n", no_trace, sizeof(no_trace) - 1);
	else if (prof_find(name, n) != PROF_KINDS)
		handle_collected(p, rq, prof_find(name, n), query);
	else
		refuse(rq, 404, "Unknown profile");
	return true;
}
