/* SPDX-License-Identifier: MIT */
/*
 * lease.c - the lock of a replica's place in the life of a database (`lease: true`).
 *
 * Every upload asks for it first, and between files; so does the levels' work. Beside them a timer prolongs it while
 * one of them runs, while files wait, and for a few minutes after the last commit. Then it lapses: a replica at rest
 * gets no request at all, and whoever writes next has it. Whoever cannot prolong it in time stops what is being
 * written.
 *
 * When another may have written there meanwhile an upload looks at what is there before anything else is done, and what
 * it does not know leads to a new history behind it, as ever.
 */
#include <stdlib.h>

#include "lib/os/clock.h"
#include "lib/store/internal.h"

#define QUIET_US (INT64_C(5) * 60 * 1000 * 1000)      /* it is kept for so long after the last commit */
#define LOOK_US (INT64_C(1000) * 1000)                /* while a job runs, which may take it at any time */
#define BUSY_RETRY_US (REPLICA_HOLD_MS * INT64_C(1000) / 2) /* another's: it lasts no longer than that */
#define UNABLE_RETRY_US (INT64_C(10) * 60 * 1000 * 1000)    /* servers do not learn it overnight */

struct lease {
	struct outlet *o;
	struct replica_hold *hold; /* the upload's too */
	struct loop_timer timer;
	atomic_bool ended;         /* the replica's `cancel`: what runs gives up */
	bool expired;              /* because it could not be prolonged */
	bool worked;               /* a job ran when it was last looked at */
	int64_t stale_us;          /* what was over already when that job began, so no reason to end it; 0 = nothing */
	bool holding;              /* a job prolongs it */
	bool refused;              /* it is another's, or cannot be had there */
	unsigned term;             /* what lies there was looked at since it began */
};

static void on_timer(struct loop_timer *t)
{
	lease_look(((struct lease *)(void *)((char *)t - offsetof(struct lease, timer)))->o);
}

int lease_create(struct outlet *o, struct err *e)
{
	struct lease *l;

	if (!o->upload.replica->lease)
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_nomem(e);
	if (replica_hold_create(o->upload.replica, &l->hold, e)) {
		free(l);
		return -1;
	}
	l->o = o;
	l->timer.fire = on_timer;
	o->upload.hold = l->hold;
	o->upload.replica->cancel = &l->ended;
	o->lease = l;
	return 0;
}

void lease_free(struct outlet *o)
{
	if (!o->lease)
		return;
	loop_timer_clear(o->m->s->o.loop, &o->lease->timer);
	replica_hold_free(o->lease->hold);
	free(o->lease);
}

void lease_start(struct outlet *o)
{
	if (!o->lease)
		return;
	o->lease->refused = o->lease->expired = false;
	atomic_store(&o->lease->ended, false);
}

void lease_cancel(struct outlet *o)
{
	if (o->lease)
		atomic_store(&o->lease->ended, true);
}

/* ---- prolonging ---- */

static bool working(const struct outlet *o)
{
	return o->uploading || o->levelling || o->lease->holding;
}

static bool wanted(const struct outlet *o, int64_t now)
{
	const struct managed *m = o->m;

	if (m->stop != STOP_NOT || m->state == MANAGED_STOPPED)
		return working(o);
	return working(o) || !outlet_drained(o) || now - m->quiet_since_us < QUIET_US;
}

static void hold_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;

	t->rc = replica_hold_keep(t->outlet->lease->hold, &t->why);
}

/* If it failed, the next upload finds out why, and says so. */
static void hold_done(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct outlet *o = t->outlet;
	struct managed *m = t->m;
	bool stopping = m->stop != STOP_NOT;

	o->lease->holding = false;
	m->s->outlets_busy--;
	lease_look(o);
	if (stopping) {
		stop_after_sync(m, 0, NULL);
	} else if (m->state != MANAGED_STOPPED) {
		outlets_consider(m);
		managed_consider(m);
	}
	if (t->s->policy_waits && !t->s->outlets_busy)
		outlets_apply_policy(t->s);
	free(t);
}

static bool begin_hold(struct outlet *o)
{
	struct task *t = task_create(o->m, o);

	if (!t)
		return false;
	o->lease->holding = true;
	o->m->s->outlets_busy++;
	task_submit(t, o->m->s->lease_pool, NULL, hold_run, hold_done);
	return true;
}

/* What runs ends when the lock does. */
static void check_end(struct outlet *o, int64_t now)
{
	struct lease *l = o->lease;
	int64_t until = replica_hold_until_us(l->hold);

	if (!working(o)) {
		if (l->expired)
			atomic_store(&l->ended, atomic_load(&o->m->cancel));
		l->worked = l->expired = false;
		return;
	}
	if (!l->worked || now < until)
		l->stale_us = now < until ? 0 : until;
	l->worked = true;
	if (now >= until && until != l->stale_us && !l->expired) {
		l->expired = true;
		atomic_store(&l->ended, true);
	}
}

void lease_look(struct outlet *o)
{
	struct lease *l = o->lease;
	int64_t now = os_mono_us(), due, next = INT64_MAX;

	if (!l)
		return;
	check_end(o, now);
	due = replica_hold_due_us(l->hold);
	if (due <= now && !l->holding && !l->expired && wanted(o, now) && !begin_hold(o))
		next = now + LOOK_US;
	if (working(o))
		next = now + LOOK_US;
	else if (due > now && due != INT64_MAX && wanted(o, due))
		next = due;
	if (next == INT64_MAX)
		loop_timer_clear(o->m->s->o.loop, &l->timer);
	else
		loop_timer_set(o->m->s->o.loop, &l->timer, next, 0);
}

/* ---- what is known of it ---- */

bool lease_busy(const struct outlet *o)
{
	return o->lease && o->lease->holding;
}

bool lease_held(const struct outlet *o)
{
	return o->lease && os_mono_us() < replica_hold_until_us(o->lease->hold);
}

unsigned lease_term(const struct outlet *o)
{
	return o->lease ? o->lease->term : 0;
}

bool lease_settled(const struct outlet *o)
{
	const struct lease *l = o->lease;

	return !l || (l->term == replica_hold_term(l->hold) && replica_hold_due_us(l->hold) != INT64_MAX);
}

void lease_upload_ends(struct outlet *o)
{
	if (o->lease)
		o->lease->term = o->upload.term;
}

void lease_explain(struct outlet *o, struct err *why)
{
	if (o->lease && o->lease->expired && err_is(why, ERR_CANCELLED) && !atomic_load(&o->m->cancel))
		err_set(why, ERR_SYSTEM, "the lock of replica %s could not be prolonged in time, writing was stopped",
		        o->upload.replica->url);
}

bool lease_refuse(struct outlet *o, const struct err *why, int64_t *retry_us)
{
	struct lease *l = o->lease;
	enum err_code code = l && why ? replica_hold_refused(l->hold) : ERR_NONE;

	if (!l)
		return false;
	if (code != ERR_NONE && !l->refused)
		store_tell(o->m, STORE_EVENT_PAUSED, err_text(why));
	l->refused = code != ERR_NONE;
	if (l->refused)
		*retry_us = os_mono_us() + (code == ERR_BUSY ? BUSY_RETRY_US : UNABLE_RETRY_US);
	return l->refused;
}

bool lease_refused(const struct outlet *o)
{
	return o->lease && o->lease->refused;
}

/* ---- on workers ---- */

int lease_keep(const struct outlet *o, unsigned term, struct err *e)
{
	if (!o->lease)
		return 0;
	if (replica_hold_keep(o->lease->hold, e))
		return -1;
	/* An upload settles first what lies there. */
	return replica_hold_term(o->lease->hold) == term ? 0 :
	       err_set(e, ERR_CANCELLED, "the lock has just been taken");
}

void lease_let_go(struct outlet *o)
{
	if (o->lease)
		replica_hold_let_go(o->lease->hold);
}
