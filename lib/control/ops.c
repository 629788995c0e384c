/* SPDX-License-Identifier: MIT */
/*
 * ops.c - one operation from its parameters to its end.
 *
 * An operation is in c->ops from op_begin() to op_finish(). Its client may leave before (op_forget): then it goes on
 * without an answer.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/control/internal.h"
#include "lib/os/clock.h"

int64_t op_deadline(int64_t seconds)
{
	const int64_t most = 365 * 24 * 3600;

	return seconds <= 0 ? 0 : os_mono_us() + (seconds < most ? seconds : most) * 1000000;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* ---- the end ---- */

static void op_free(struct op *op)
{
	*op->link = op->next;
	if (op->next)
		op->next->link = op->link;
	loop_timer_clear(op->c->o.loop, &op->poll);
	params_free(&op->p);
	free(op);
}

static void answer(struct op *op)
{
	struct http_server_request *rq = op->rq;

	op->rq = NULL;
	if (rq)
		answer_http(op, rq);
	else if (op->run)
		answer_rpc(op);
	op->run = NULL;
}

static void persisted(void *arg)
{
	struct op *op = arg;

	op->in_persist = false;
	answer(op);
	op_free(op);
}

void op_finish(struct op *op, enum op_end end)
{
	struct control *c = op->c;
	bool lasts = op->kind == OP_START || op->kind == OP_STOP;

	op->end = end;
	if (lasts && c->o.persist && (end == OP_DONE || (end == OP_ALREADY && !op->rpc))) {
		op->in_persist = true;
		c->o.persist_state(c->o.ctx, op->p.path, op->kind == OP_START, op->p.config, persisted, op);
		return;
	}
	answer(op);
	op_free(op);
}

/* The codes are too coarse here: a missing file is ERR_NOT_FOUND too. What the store says itself has fixed words. */
void op_failed(struct op *op, const struct store_call *call)
{
	const struct err *why = &call->why;

	op->why = *why;
	if (why->code == ERR_NOT_FOUND && begins(why->text, "database not found: "))
		op_finish(op, OP_NOT_FOUND);
	else if (why->code == ERR_BUSY && begins(why->text, "database not open: "))
		op_finish(op, OP_NOT_OPEN);
	else if (why->code == ERR_LIMIT && op->kind == OP_WAIT)
		op_finish(op, OP_LIMIT);
	else if (why->code == ERR_CANCELLED && op->kind == OP_WAIT)
		op_finish(op, OP_EXPIRED);
	else if (why->code == ERR_CANCELLED)
		op_finish(op, OP_TIMEOUT);
	else
		op_finish(op, OP_FAILED);
}

static void on_done(struct store_call *call)
{
	struct op *op = (struct op *)call;

	op->in_call = false;
	op->txid = call->txid;
	op->replicated_txid = call->replicated_txid;
	op->changed = call->changed;
	if (call->rc < 0)
		op_failed(op, call);
	else
		op_finish(op, call->outcome == STORE_ALREADY ? OP_ALREADY : OP_DONE);
}

/* ---- registering needs no operation of the store ---- */

static void begin_register(struct op *op)
{
	struct control *c = op->c;
	bool known = store_find(c->o.store, op->p.path) != NULL;

	if (!known && c->o.register_url(c->o.ctx, op->p.path, op->p.replica_url, &op->why) < 0) {
		known = op->why.code == ERR_EXISTS;
		if (!known) {
			op_finish(op, op->why.code == ERR_INVALID ? OP_BAD_URL : OP_FAILED);
			return;
		}
	}
	op_finish(op, !known ? OP_DONE : op->p.strict ? OP_CONFLICT : OP_ALREADY);
}

/* ---- the beginning ---- */

static int64_t default_timeout(const struct op *op)
{
	int64_t given = op->p.timeout;

	switch (op->kind) {
	case OP_SYNC:
		if (op->rpc && !op->p.wait)
			return 0;
		return given != 0 && !op->rpc ? given : op->p.wait && given <= 0 ? CONTROL_TIMEOUT_S : given;
	case OP_START:
		if (op->rpc && !op->p.wait)
			return 0;
		return given <= 0 && op->p.wait ? CONTROL_TIMEOUT_S : given;
	default:
		return given <= 0 ? CONTROL_TIMEOUT_S : given;
	}
}

static void run(struct op *op)
{
	struct store *s = op->c->o.store;

	op->call.done = on_done;
	op->call.deadline_us = op->deadline_us = op_deadline(default_timeout(op));
	op->in_call = op->kind != OP_REGISTER && op->kind != OP_START;
	switch (op->kind) {
	case OP_START:
		op_begin_start(op);
		break;
	case OP_STOP:
		store_halt(s, op->p.path, &op->call);
		break;
	case OP_UNREGISTER:
		store_remove(s, op->p.path, &op->call);
		break;
	case OP_SYNC:
		store_sync(s, op->p.path, op->p.wait, &op->call);
		break;
	case OP_WAIT:
		store_wait(s, op->p.path, op->p.txid, op->p.any, &op->call);
		break;
	default:
		begin_register(op);
		break;
	}
}

static void client_gone(struct http_server_request *rq)
{
	op_forget(rq->ctx);
}

bool op_begin(struct control *c, enum op_kind kind, struct op_params *p, struct http_server_request *rq,
              struct rpc_run *rpc)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op) {
		params_free(p);
		return false;
	}
	op->c = c;
	op->kind = kind;
	op->p = *p;
	op->rq = rq;
	op->run = rpc;
	op->rpc = rpc != NULL;
	*p = (struct op_params){ .path = NULL };
	op->next = c->ops;
	op->link = &c->ops;
	if (c->ops)
		c->ops->link = &op->next;
	c->ops = op;
	if (rq) {
		rq->ctx = op;
		rq->gone = client_gone;
	}
	run(op);
	return true;
}

void op_forget(struct op *op)
{
	op->rq = NULL;
	op->run = NULL;
	if (op->kind != OP_WAIT)
		return;
	if (op->in_call)
		store_call_forget(&op->call);
	op_free(op);
}

void op_cancel(struct op *op)
{
	if (op->in_persist) {
		answer(op); /* what was asked for is done */
		return;
	}
	if (op->in_call)
		store_call_forget(&op->call);
	op->in_call = false;
	err_set(&op->why, ERR_CANCELLED, "the daemon is shutting down");
	op_finish(op, OP_FAILED);
}
