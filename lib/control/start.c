/* SPDX-License-Identifier: MIT */
/*
 * start.c - starting a database, from a configuration file of its own if the request names one, and waiting until it is
 * really open (control.md §2.3, §2.4): a first sync at once, then a look every 100 ms.
 */
#include <stddef.h>

#include "lib/control/internal.h"
#include "lib/os/clock.h"

enum { POLL_US = 100000 };

static void finish(struct op *op)
{
	op_finish(op, op->already ? OP_ALREADY : OP_DONE);
}

/* Open and its page size known? Else later, or it is over. */
static void look(struct op *op)
{
	struct managed *m = store_find(op->c->o.store, op->p.path);
	struct managed_facts f;
	int64_t now = os_mono_us();

	if (!m) {
		err_set(&op->why, ERR_NOT_FOUND, "database not found: %s", op->p.path);
		op_finish(op, OP_NOT_FOUND);
		return;
	}
	managed_facts(m, &f);
	op->txid = f.txid;
	if (f.state == MANAGED_ACTIVE && f.initialized)
		finish(op);
	else if (op->deadline_us && now >= op->deadline_us)
		op_finish(op, OP_EXPIRED);
	else
		loop_timer_set(op->c->o.loop, &op->poll,
		               op->deadline_us && op->deadline_us < now + POLL_US ? op->deadline_us : now + POLL_US, 0);
}

static void on_poll(struct loop_timer *t)
{
	look((struct op *)(void *)((char *)t - offsetof(struct op, poll)));
}

static void on_synced(struct store_call *call)
{
	struct op *op = (struct op *)call;

	/* Whether it worked is seen in the database's state. */
	op->in_call = false;
	look(op);
}

static void on_started(struct store_call *call)
{
	struct op *op = (struct op *)call;

	op->in_call = false;
	op->txid = call->txid;
	op->already = call->outcome == STORE_ALREADY;
	if (call->rc < 0) {
		op_failed(op, call);
	} else if (!op->p.wait || (op->already && op->rpc)) {
		finish(op);
	} else {
		op->poll.fire = on_poll;
		op->call = (struct store_call){ .done = on_synced, .deadline_us = op->deadline_us };
		op->in_call = true;
		store_sync(op->c->o.store, op->p.path, false, &op->call);
	}
}

void op_begin_start(struct op *op)
{
	struct control *c = op->c;

	if (op->p.config && *op->p.config && c->o.register_config(c->o.ctx, op->p.path, op->p.config, &op->why) < 0) {
		op_finish(op, OP_BAD_CONFIG);
		return;
	}
	op->call.done = on_started;
	op->in_call = true;
	store_start(c->o.store, op->p.path, &op->call);
}
