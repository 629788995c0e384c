/* SPDX-License-Identifier: MIT */
/*
 * ops.c - callers, and the three operations that change whether a database is looked after.
 *
 * They stand in one queue per database and are done one after the other, so each finds a database that is either looked
 * after or closed, never half of it. A call belongs to exactly one list until it is answered or forgotten; answering
 * takes it out first and calls done() last, so done() may ask anything of the store.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/clock.h"
#include "lib/store/internal.h"

/* ---- calls ---- */

static void on_overdue(struct loop_timer *t)
{
	struct store_call *c = (struct store_call *)(void *)((char *)t - offsetof(struct store_call, timer));

	if (c->kind == CALL_WAIT || c->kind == CALL_SYNC)
		wait_overdue(c);
	else
		call_fail(c, ERR_CANCELLED, "context deadline exceeded");
}

/* Everything but done and deadline_us is the store's from here on. */
void call_begin(struct store_call *c, struct store *s, int kind)
{
	void (*done)(struct store_call *) = c->done;
	int64_t deadline_us = c->deadline_us;

	memset(c, 0, sizeof(*c));
	c->done = done;
	c->deadline_us = deadline_us;
	c->kind = kind;
	c->s = s;
	c->timer.fire = on_overdue;
	c->since_ms = os_wall_ms();
}

void call_take(struct call_list *l, struct store_call *c, struct managed *m)
{
	c->m = m;
	c->list = l;
	c->next = NULL;
	c->link = l->end;
	*l->end = c;
	l->end = &c->next;
	if (c->kind == CALL_WAIT)
		c->s->waiting++;
	if (c->deadline_us)
		loop_timer_set(c->s->o.loop, &c->timer, c->deadline_us, 0);
}

void call_drop(struct store_call *c)
{
	loop_timer_clear(c->s->o.loop, &c->timer);
	if (c->m && c->m->op == c)
		c->m->op = NULL;
	if (!c->link)
		return;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	else
		c->list->end = c->link;
	c->link = NULL;
	c->next = NULL;
	if (c->kind == CALL_WAIT)
		c->s->waiting--;
}

void call_answer(struct store_call *c, int rc)
{
	struct managed *m = c->m;

	call_drop(c);
	c->rc = rc;
	if (m) {
		c->txid = c->kind == CALL_WAIT ? c->want : m->txid;
		c->replicated_txid = m->outlets[0].position_known ? m->outlets[0].position : 0;
	}
	c->m = NULL;
	c->done(c);
}

int call_fail(struct store_call *c, enum err_code code, const char *fmt, ...)
{
	char text[ERR_TEXT_SIZE];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	err_set(&c->why, code, "%s", text);
	call_answer(c, -1);
	return -1;
}

void store_call_forget(struct store_call *c)
{
	if (c->s)
		call_drop(c);
	c->m = NULL;
}

/* ---- the queue ---- */

/* NULL: it was answered. */
static struct managed *begin(struct store *s, const char *path, struct store_call *c, int kind)
{
	struct managed *m = store_find(s, path);

	call_begin(c, s, kind);
	if (!m && kind == CALL_REMOVE) {
		c->outcome = STORE_ALREADY;
		call_answer(c, 0);
		return NULL;
	}
	if (!m) {
		call_fail(c, ERR_NOT_FOUND, "database not found: %s", path);
		return NULL;
	}
	if (kind != CALL_REMOVE && c->deadline_us && c->deadline_us <= os_mono_us()) {
		call_fail(c, ERR_CANCELLED, "context deadline exceeded");
		return NULL;
	}
	return m;
}

static void answer_outcome(struct store_call *c, enum store_outcome outcome)
{
	if (!c)
		return;
	c->outcome = outcome;
	call_answer(c, 0);
}

static void start(struct managed *m, struct store_call *c)
{
	if (m->state != MANAGED_STOPPED) {
		answer_outcome(c, STORE_ALREADY);
	} else if (m->s->stopping) {
		call_fail(c, ERR_CANCELLED, "the daemon is shutting down");
	} else {
		managed_start(m);
		answer_outcome(c, STORE_DONE);
	}
}

/* The next in the queue; a stop that is under way is waited for. */
void ops_go_on(struct managed *m)
{
	while (m->stop == STOP_NOT && m->ops.first) {
		struct store_call *c = m->ops.first;

		if (c->kind == CALL_START) {
			start(m, c);
		} else if (m->state == MANAGED_STOPPED) {
			answer_outcome(c, c->kind == CALL_HALT ? STORE_ALREADY : STORE_DONE);
		} else {
			m->op = c;
			stop_begin(m, c->deadline_us);
		}
	}
	if (!m->leaving || m->stop != STOP_NOT)
		return;
	if (m->state == MANAGED_STOPPED)
		store_bury(m);
	else
		stop_begin(m, 0); /* whoever asked has gone */
}

void ops_stopped(struct managed *m)
{
	struct store_call *c = m->op;

	m->op = NULL;
	if (c && m->stop_error)
		call_fail(c, ERR_SYSTEM, "%s", m->stop_error);
	else
		answer_outcome(c, STORE_DONE);
	ops_go_on(m);
}

static void queue(struct managed *m, struct store_call *c)
{
	call_take(&m->ops, c, m);
	ops_go_on(m);
}

void store_start(struct store *s, const char *path, struct store_call *c)
{
	struct managed *m = begin(s, path, c, CALL_START);

	if (m)
		queue(m, c);
}

void store_halt(struct store *s, const char *path, struct store_call *c)
{
	struct managed *m = begin(s, path, c, CALL_HALT);

	if (m)
		queue(m, c);
}

void store_remove(struct store *s, const char *path, struct store_call *c)
{
	struct managed *m = begin(s, path, c, CALL_REMOVE);

	if (!m)
		return;
	store_forget(m);
	store_tell(m, STORE_EVENT_UNREGISTERED, "");
	queue(m, c);
}
