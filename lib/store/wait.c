/* SPDX-License-Identifier: MIT */
/*
 * wait.c - callers that want to know that something is copied (store_sync) or replicated (store_wait).
 *
 * Two steps: a sync that begins after the call, then the replicas. Whoever comes while a sync runs waits for the next
 * one, so a thousand callers cost one sync and one upload. The difference between the two kinds: a sync's caller is
 * told of the first failure, a waiting one only at its deadline.
 */
#include <stdio.h>
#include <string.h>

#include "lib/os/clock.h"
#include "lib/store/internal.h"

enum { STEP_LOCAL, STEP_REPLICAS };

static bool holds(const struct outlet *o, uint64_t txid)
{
	return o->position_known && o->position >= txid;
}

static bool replicated(const struct managed *m, const struct store_call *c)
{
	bool all = true, some = false;

	for (int i = 0; i < m->outlet_count; i++) {
		all = all && holds(&m->outlets[i], c->want);
		some = some || holds(&m->outlets[i], c->want);
	}
	return c->any ? some : all;
}

/*
 * Answers all for whom `judge` says so. done() may do anything, so what is to be answered is first taken aside: into a
 * list from which forgetting takes a call as from any other.
 */
static void answer_some(struct managed *m, bool (*judge)(struct managed *m, struct store_call *c, const void *with),
                        const void *with)
{
	struct call_list ready = { .first = NULL, .end = &ready.first };
	struct store_call *c, *next;

	for (c = m->waits.first; c; c = next) {
		next = c->next;
		if (!judge(m, c, with))
			continue;
		call_drop(c);
		call_take(&ready, c, m);
	}
	while ((c = ready.first))
		call_answer(c, c->why.code ? -1 : 0);
}

/* ---- after a sync ---- */

static bool fail_now(struct store_call *c, const struct err *why)
{
	c->why = *why;
	if (c->wait)
		err_wrap(&c->why, "db sync");
	return true;
}

static bool after_sync(struct managed *m, struct store_call *c, const void *with)
{
	const struct task *t = with;

	if (c->step != STEP_LOCAL || (int32_t)(t->number - c->seen_syncs) <= 0)
		return c->step == STEP_REPLICAS && replicated(m, c);
	if (t->rc)
		return c->kind == CALL_SYNC && fail_now(c, &t->why);
	c->changed = m->txid > c->want;
	if (c->kind == CALL_SYNC && !c->wait)
		return true;
	if (t->result.waiting && c->kind == CALL_SYNC) {
		err_set(&c->why, ERR_NOT_FOUND, "replica sync: no position, waiting for data");
		return true;
	}
	if (t->result.waiting)
		return false;
	c->step = STEP_REPLICAS;
	c->want = m->txid;
	c->seen_attempts = m->s->attempts;
	return replicated(m, c);
}

void waits_after_sync(struct managed *m, const struct task *t)
{
	if (!m->waits.first)
		return;
	answer_some(m, after_sync, t);
	/* Those who came while it ran. */
	for (const struct store_call *c = m->waits.first; c && !m->sync_asked; c = c->next)
		m->sync_asked = c->step == STEP_LOCAL && c->seen_syncs >= t->number;
}

/* ---- after an upload ---- */

struct uploaded {
	const struct outlet *o;
	int rc;
	const struct err *why;
};

static bool after_upload(struct managed *m, struct store_call *c, const void *with)
{
	const struct uploaded *u = with;

	if (c->step != STEP_REPLICAS)
		return false;
	if (replicated(m, c))
		return true;
	if (c->kind != CALL_SYNC || u->rc >= 0 || holds(u->o, c->want) || u->o->attempt <= c->seen_attempts)
		return false;
	c->why = *u->why;
	err_wrap(&c->why, "replica sync");
	return true;
}

void waits_after_upload(struct outlet *o, int rc, const struct err *why)
{
	const struct uploaded u = { o, rc, why };

	if (o->m->waits.first)
		answer_some(o->m, after_upload, &u);
}

/* ---- the end ---- */

static bool refuse(struct managed *m, struct store_call *c, const void *with)
{
	(void)with;
	if (c->step != STEP_REPLICAS || !replicated(m, c))
		err_set(&c->why, ERR_BUSY, "database not open: %s", db_path(m->db));
	return true;
}

void waits_refuse(struct managed *m)
{
	if (m->waits.first)
		answer_some(m, refuse, NULL);
}

void wait_overdue(struct store_call *c)
{
	const struct managed *m = c->m;
	const struct outlet *slow = m->outlets;

	if (c->kind == CALL_SYNC) {
		call_fail(c, ERR_CANCELLED, "%scontext deadline exceeded",
		          !c->wait ? "" : c->step == STEP_LOCAL ? "db sync: " : "replica sync: ");
		return;
	}
	for (int i = 0; i < m->outlet_count; i++) {
		if (!holds(&m->outlets[i], c->want))
			slow = &m->outlets[i];
	}
	if (slow->error)
		call_fail(c, ERR_CANCELLED, "%s", slow->error);
	else
		call_fail(c, ERR_CANCELLED, "txid %llu of %llu", (unsigned long long)slow->position,
		          (unsigned long long)(c->want ? c->want : m->txid));
}

/* ---- the beginning ---- */

static struct managed *begin(struct store *s, const char *path, struct store_call *c, int kind)
{
	struct managed *m = store_find(s, path);

	call_begin(c, s, kind);
	if (!m)
		call_fail(c, ERR_NOT_FOUND, "database not found: %s", path);
	else if (m->state == MANAGED_STOPPED || m->stop != STOP_NOT)
		call_fail(c, ERR_BUSY, "database not open: %s", path);
	else if (kind == CALL_WAIT && s->waiting >= STORE_WAITING_MAX)
		call_fail(c, ERR_LIMIT, "too many waiting requests");
	else
		return m;
	return NULL;
}

static bool overdue(const struct store_call *c)
{
	return c->deadline_us && c->deadline_us <= os_mono_us();
}

void store_sync(struct store *s, const char *path, bool wait, struct store_call *c)
{
	struct managed *m = begin(s, path, c, CALL_SYNC);

	if (!m)
		return;
	c->wait = wait;
	c->want = m->txid; /* until the sync is done: what was there before */
	c->seen_syncs = m->syncs_begun;
	call_take(&m->waits, c, m);
	if (overdue(c))
		wait_overdue(c);
	else
		managed_sync_now(m);
}

void store_wait(struct store *s, const char *path, uint64_t txid, bool any, struct store_call *c)
{
	struct managed *m = begin(s, path, c, CALL_WAIT);

	if (!m)
		return;
	c->any = any;
	c->want = txid;
	c->seen_syncs = m->syncs_begun;
	c->step = txid ? STEP_REPLICAS : STEP_LOCAL;
	call_take(&m->waits, c, m);
	if (txid && replicated(m, c))
		call_answer(c, 0);
	else if (overdue(c))
		wait_overdue(c);
	else if (!txid || txid > m->txid)
		managed_sync_now(m);
	else
		outlets_consider(m);
}
