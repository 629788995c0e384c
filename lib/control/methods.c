/* SPDX-License-Identifier: MIT */
/* methods.c - what may be called by JSON-RPC (control.md §2.3), and how the ends of operations are told there. */
#include <string.h>

#include "lib/base/text.h"
#include "lib/control/internal.h"
#include "lib/os/process.h"

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

/* ---- at once ---- */

static const char *open_or_closed(struct managed *m)
{
	struct managed_facts f;

	managed_facts(m, &f);
	return f.state == MANAGED_STOPPED ? "closed" : "open";
}

static void write_state(struct json_writer *w, struct managed *m)
{
	struct managed_facts f;

	managed_facts(m, &f);
	json_object_begin(w);
	put_text(w, "path", f.path);
	put_text(w, "status", open_or_closed(m));
	json_object_end(w);
}

static void call_status(struct rpc_run *r, struct managed *m)
{
	write_state(rpc_result(r), m);
	rpc_end(r);
}

static void call_txid(struct rpc_run *r, struct managed *m)
{
	struct json_writer *w = rpc_result(r);
	struct managed_facts f;

	managed_facts(m, &f);
	json_object_begin(w);
	json_key(w, "txid");
	json_uint(w, f.txid);
	json_object_end(w);
	rpc_end(r);
}

static void call_list(struct rpc_run *r, struct managed *none)
{
	struct store *s = rpc_control(r)->o.store;
	struct json_writer *w = rpc_result(r);

	(void)none;
	json_array_begin(w);
	for (struct managed *m = store_next(s, NULL); m; m = store_next(s, m))
		write_state(w, m);
	json_array_end(w);
	rpc_end(r);
}

static void call_info(struct rpc_run *r, struct managed *none)
{
	const struct control *c = rpc_control(r);
	struct json_writer *w = rpc_result(r);
	char time[TEXT_TIME_SIZE];

	(void)none;
	json_object_begin(w);
	put_text(w, "version", c->o.version);
	put_int(w, "pid", os_pid());
	put_text(w, "config_path", c->o.config_path);
	put_text(w, "socket_path", c->o.socket_path);
	put_text(w, "http_addr", c->o.http_addr);
	json_key(w, "persist_to_config");
	json_bool(w, c->o.persist);
	put_int(w, "databases", look_count(c));
	put_int(w, "open_databases", look_open_count(c));
	put_text(w, "started_at", text_time_s(time, c->started_ms));
	json_object_end(w);
	rpc_end(r);
}

/* ---- the table ---- */

static const struct method {
	const char *name;
	int kind; /* enum op_kind; -1: at once */
	bool of_database;
	void (*call)(struct rpc_run *r, struct managed *m);
} methods[] = {
	{ "start", OP_START, true, NULL }, { "stop", OP_STOP, true, NULL }, { "sync", OP_SYNC, true, NULL },
	{ "wait", OP_WAIT, true, NULL }, { "register", OP_REGISTER, true, NULL },
	{ "unregister", OP_UNREGISTER, true, NULL }, { "status", -1, true, call_status },
	{ "txid", -1, true, call_txid }, { "list", -1, false, call_list }, { "databases", -1, false, call_list },
	{ "info", -1, false, call_info },
};

static const struct param_table *table_of(const struct method *m)
{
	return m->kind >= 0 ? &op_params_of[m->kind] : m->of_database ? &path_params : &no_params;
}

/* false: answered. */
static bool read_params(struct rpc_run *r, const struct method *m, const struct json_doc *d, const struct json_node *n,
                        struct op_params *p)
{
	struct err e = ERR_INIT;

	*p = (struct op_params){ .path = NULL };
	if (n && params_read(d, n, table_of(m), true, p, &e) < 0) {
		rpc_error(r, -32602, e.text, "Invalid params");
		return false;
	}
	if (!m->of_database)
		return true;
	if (m->kind == OP_REGISTER && p->path && *p->path && (!p->replica_url || !*p->replica_url))
		err_set(&e, ERR_INVALID, "replica_url required");
	else if (params_expand(rpc_control(r), p, &e) == 0)
		return true;
	params_free(p);
	rpc_error(r, -32602, NULL, "%s", e.text);
	return false;
}

void rpc_method(struct rpc_run *r, const char *name, const struct json_doc *d, const struct json_node *params)
{
	struct control *c = rpc_control(r);
	const struct method *m = NULL;
	struct managed *database = NULL;
	struct op_params p;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]) && !m; i++)
		if (strcmp(methods[i].name, name) == 0)
			m = &methods[i];
	if (!m) {
		rpc_error(r, -32601, NULL, "Method not found");
		return;
	}
	if (!read_params(r, m, d, params, &p))
		return;
	if (m->kind >= 0) {
		if (!op_begin(c, (enum op_kind)m->kind, &p, NULL, r))
			rpc_error(r, -32603, "out of memory", "Internal error");
		return;
	}
	if (m->of_database)
		database = store_find(c->o.store, p.path);
	if (m->of_database && !database)
		rpc_error(r, -32001, NULL, "database not found: %s", p.path);
	else
		m->call(r, database);
	params_free(&p);
}

/* ---- the ends of operations ---- */

static void answer_done(struct op *op)
{
	struct json_writer *w = rpc_result(op->run);

	if (op->kind == OP_REGISTER || op->kind == OP_UNREGISTER || op->kind == OP_WAIT) {
		op_write(op, w);
		rpc_end(op->run);
		return;
	}
	json_object_begin(w);
	put_text(w, "status", op->kind == OP_START ? "started" : op->kind == OP_STOP ? "stopped" : "synced");
	put_text(w, "path", op->p.path);
	if (op->kind == OP_SYNC) {
		json_key(w, "txid");
		json_uint(w, op->txid);
		json_key(w, "replicated_txid");
		json_uint(w, op->replicated_txid);
		json_key(w, "changed");
		json_bool(w, op->changed);
	}
	json_object_end(w);
	rpc_end(op->run);
}

static void answer_refused(struct op *op)
{
	static const char *const prefixes[OP_KINDS] = {
		[OP_START] = "open db", [OP_STOP] = "close db", [OP_SYNC] = "sync failed",
	};
	char text[OP_TEXT_SIZE];

	if (op->end == OP_EXPIRED) {
		op_refusal(op, text);
		rpc_error(op->run, -32004, op->kind == OP_WAIT ? op->why.text : NULL, "%s", text);
	} else if (op->end == OP_ALREADY) {
		rpc_error(op->run, -32001, NULL, "database already %s: %s",
		          op->kind == OP_START ? "enabled" : "disabled",
		          op->p.path);
	} else if (prefixes[op->kind] && op->end != OP_NOT_FOUND && op->end != OP_BAD_CONFIG) {
		rpc_error(op->run, -32001, NULL, "%s: %s", prefixes[op->kind], op->why.text);
	} else {
		op_refusal(op, text);
		rpc_error(op->run, -32001, NULL, "%s", text);
	}
}

void answer_rpc(struct op *op)
{
	bool already_counts = op->kind == OP_START || op->kind == OP_STOP;

	if (op->end == OP_DONE || (op->end == OP_ALREADY && !already_counts))
		answer_done(op);
	else
		answer_refused(op);
}
