/* SPDX-License-Identifier: MIT */
/* look.c - answers from what is known: no operation, no file, no waiting. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/control/internal.h"
#include "lib/os/clock.h"
#include "lib/os/process.h"

const char *look_status(const struct managed_facts *f)
{
	/* Litestream has no word for it, and no locks. */
	if (f->locked_out)
		return "paused";
	return f->state == MANAGED_STOPPED ? "stopped" : f->monitored ? "replicating" : "open";
}

int look_count(const struct control *c)
{
	int n = 0;

	for (struct managed *m = store_next(c->o.store, NULL); m; m = store_next(c->o.store, m))
		n++;
	return n;
}

int look_open_count(const struct control *c)
{
	struct managed_facts f;
	int n = 0;

	for (struct managed *m = store_next(c->o.store, NULL); m; m = store_next(c->o.store, m)) {
		managed_facts(m, &f);
		n += f.state != MANAGED_STOPPED;
	}
	return n;
}

/* The database that the query names. NULL: answered. With `optional`, *all is true when it names none. */
static struct managed *find(struct control *c, struct http_server_request *rq, const char *query, bool *all)
{
	struct op_params p = { .path = NULL };
	struct managed *m = NULL;
	struct err e = ERR_INIT;

	if (all)
		*all = false;
	if (!query_value(query, "path", &p.path)) {
		reply_nomem(rq);
	} else if (all && (!p.path || !*p.path)) {
		*all = true;
	} else if (params_expand(c, &p, &e) < 0) {
		reply_error(rq, 400, NULL, "%s", e.text);
	} else {
		m = store_find(c->o.store, p.path);
		if (!m)
			reply_error(rq, 404, NULL, "database not found");
	}
	params_free(&p);
	return m;
}

void look_txid(struct control *c, struct http_server_request *rq, const char *query)
{
	struct managed *m = find(c, rq, query, NULL);
	struct managed_replica_facts r;
	struct managed_facts f;
	struct buf body = { .data = NULL };
	char *replicated = NULL;
	bool both;

	if (!m)
		return;
	managed_facts(m, &f);
	buf_fmt(&body, "{\"txid\":%llu", (unsigned long long)f.txid);
	both = query_value(query, "replicated", &replicated) && replicated && text_parse_bool(replicated, &both) &&
		both;
	free(replicated);
	if (both && f.replica_count > 0) {
		managed_replica_facts(m, 0, &r);
		buf_fmt(&body, ",\"replicated_txid\":%llu", (unsigned long long)r.txid);
	}
	buf_char(&body, '}');
	reply_json(rq, 200, &body);
}

static void list_one(struct managed *m, struct json_writer *w)
{
	char time[TEXT_TIME_SIZE];
	struct managed_facts f;

	managed_facts(m, &f);
	json_object_begin(w);
	json_key(w, "path");
	json_string(w, f.path);
	json_key(w, "status");
	json_string(w, look_status(&f));
	if (f.last_sync_ms) {
		json_key(w, "last_sync_at");
		json_string(w, text_time_trim(time, f.last_sync_ms));
	}
	json_object_end(w);
}

static void databases_begin(struct json_writer *w, struct buf *body)
{
	json_writer_init(w, body, false);
	json_object_begin(w);
	json_key(w, "databases");
	json_array_begin(w);
}

static void databases_end(struct json_writer *w, struct http_server_request *rq, struct buf *body)
{
	json_array_end(w);
	json_object_end(w);
	reply_json(rq, 200, body);
}

void look_list(struct control *c, struct http_server_request *rq, const char *query)
{
	struct buf body = { .data = NULL };
	struct json_writer w;

	(void)query;
	databases_begin(&w, &body);
	for (struct managed *m = store_next(c->o.store, NULL); m; m = store_next(c->o.store, m))
		list_one(m, &w);
	databases_end(&w, rq, &body);
}

static void put_text(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value ? value : "");
}

static void put_int(struct json_writer *w, const char *key, int64_t value)
{
	json_key(w, key);
	json_int(w, value);
}

void look_info(struct control *c, struct http_server_request *rq, const char *query)
{
	struct buf body = { .data = NULL };
	char time[TEXT_TIME_SIZE];
	struct json_writer w;
	int count = look_count(c);

	(void)query;
	json_writer_init(&w, &body, false);
	json_object_begin(&w);
	put_text(&w, "version", c->o.version);
	put_int(&w, "pid", os_pid());
	put_int(&w, "uptime_seconds", (os_mono_us() - c->started_us) / 1000000);
	put_text(&w, "started_at", text_time_trim(time, c->started_ms));
	put_int(&w, "database_count", count);
	put_text(&w, "config_path", c->o.config_path);
	put_text(&w, "socket_path", c->o.socket_path);
	put_text(&w, "http_addr", c->o.http_addr);
	json_key(&w, "persist_to_config");
	json_bool(&w, c->o.persist);
	put_int(&w, "databases", count);
	put_int(&w, "open_databases", look_open_count(c));
	json_object_end(&w);
	reply_json(rq, 200, &body);
}

void look_sync_status(struct control *c, struct http_server_request *rq, const char *query)
{
	struct buf body = { .data = NULL };
	struct json_writer w;
	bool all;
	struct managed *one = find(c, rq, query, &all);

	if (!one && !all)
		return;
	databases_begin(&w, &body);
	for (struct managed *m = one ? one : store_next(c->o.store, NULL); m; m = one ? NULL : store_next(c->o.store, m))
		sync_status_write(m, &w);
	databases_end(&w, rq, &body);
}
