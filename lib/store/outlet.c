/* SPDX-License-Identifier: MIT */
/*
 * outlet.c - one replica of one database: when files are uploaded to it, and when its levels are worked on.
 *
 * Each outlet stands for itself: its position, its errors, its backoff. One upload and one job of the levels may work
 * on it side by side. What it needs next and is gone here leads to a full copy: with one replica under the next TXID
 * (db_reset), with several as a snapshot of that replica alone, because the others have, or can still get, what it
 * lacks.
 *
 * One timer serves all outlets of a database, and only while one of them has something to do.
 */
#include <stdlib.h>

#include "lib/os/clock.h"
#include "lib/store/internal.h"

enum { LEVELS_SLACK_US = 500 * 1000 };

bool outlets_busy(const struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		if (m->outlets[i].uploading || m->outlets[i].levelling || lease_busy(&m->outlets[i]))
			return true;
	}
	return false;
}

/* Not beside a snapshot that is on its way: its TXID would get a second meaning. */
bool outlets_reset_possible(const struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		if (m->outlets[i].levelling)
			return false;
	}
	return true;
}

bool outlet_drained(const struct outlet *o)
{
	return o->position_known && o->position >= o->m->txid && !o->snapshot_wanted && lease_settled(o);
}

bool outlets_drained(const struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		if (!outlet_drained(&m->outlets[i]))
			return false;
	}
	return true;
}

/* ---- when ---- */

static int64_t upload_due(const struct outlet *o)
{
	const struct managed *m = o->m;
	int64_t due = o->retry_us, calm;

	if (m->reset_wanted || (o->snapshot_wanted && lease_settled(o)) || outlet_drained(o))
		return INT64_MAX;
	/* A local replica costs nothing; others get at most one batch an interval, unless somebody waits for it. */
	calm = o->last_upload_us + o->sync_interval_ms * 1000;
	if (m->waits.first)
		return due < o->last_upload_us + BACKOFF_WAITED_US ? due : o->last_upload_us + BACKOFF_WAITED_US;
	return !o->upload.replica->local && due < calm ? calm : due;
}

static int64_t levels_due(const struct outlet *o, int64_t now)
{
	int64_t due = now;

	if (!lease_settled(o))
		return INT64_MAX;
	if (!o->snapshot_wanted) {
		if (o->levels_due_ms == INT64_MAX)
			return INT64_MAX;
		due += (o->levels_due_ms - os_wall_ms()) * 1000;
	}
	return due < o->levels_retry_us ? o->levels_retry_us : due;
}

bool outlets_snapshotting(const struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		if (m->outlets[i].snapshotting)
			return true;
	}
	return false;
}

bool outlets_want_snapshot(const struct managed *m)
{
	int64_t soon = os_mono_us() + OUTLET_RETRY_MS * 1000;

	for (int i = 0; i < m->outlet_count; i++) {
		const struct outlet *o = &m->outlets[i];

		if ((o->snapshot_wanted || o->levels_need_db) && !o->levels_errors.errors && !m->sync_errors.errors &&
		    levels_due(o, soon) <= soon)
			return true;
	}
	return false;
}

/* Begins an upload if one is due; returns when one will be. */
static int64_t consider_upload(struct outlet *o, int64_t now)
{
	int64_t due;

	if (o->uploading)
		return INT64_MAX;
	due = upload_due(o);
	if (due > now)
		return due;
	return outlet_begin_upload(o, o->max_upload_files) ? INT64_MAX : now + OUTLET_RETRY_MS * 1000; /* no memory */
}

static int64_t consider_levels(struct outlet *o, int64_t now)
{
	int64_t due;

	if (o->levelling)
		return INT64_MAX;
	due = levels_due(o, now);
	if (due > now)
		return due;
	outlet_begin_levels(o);
	if (o->levelling || o->m->starved)
		return INT64_MAX; /* its sync, or the end of the job, asks again */
	return o->levels_retry_us > now ? o->levels_retry_us : now + OUTLET_RETRY_MS * 1000;
}

static void on_timer(struct loop_timer *t)
{
	outlets_consider((struct managed *)(void *)((char *)t - offsetof(struct managed, outlet_timer)));
}

void outlets_consider(struct managed *m)
{
	int64_t now = os_mono_us(), first = INT64_MAX;

	if (m->stop != STOP_NOT || !m->synced_once || m->s->policy_waits)
		return;
	for (int i = 0; i < m->outlet_count; i++) {
		int64_t upload = consider_upload(&m->outlets[i], now), levels = consider_levels(&m->outlets[i], now);

		first = upload < first ? upload : first;
		first = levels < first ? levels : first;
	}
	m->outlet_timer.fire = on_timer;
	if (first == INT64_MAX)
		loop_timer_clear(m->s->o.loop, &m->outlet_timer);
	else
		loop_timer_set(m->s->o.loop, &m->outlet_timer, first,
		               first > now + 10 * LEVELS_SLACK_US ? LEVELS_SLACK_US : 0);
}

/* ---- life ---- */

int outlet_create(struct managed *m, struct outlet *o, const struct managed_replica_options *r, struct err *e)
{
	*o = (struct outlet){
		.m = m,
		.sync_interval_ms = r->sync_interval_ms,
		.max_upload_files = r->max_upload_files,
		.levels_due_ms = INT64_MAX,
	};
	r->replica->cancel = &m->cancel;
	o->levels = levels_create(m->db, r->replica, &m->s->o.policy, e);
	if (!o->levels)
		return -1;
	o->upload = (struct upload){ .db = m->db, .replica = r->replica, .levels = o->levels,
	                             .auto_recover = r->auto_recover };
	if (lease_create(o, e)) {
		levels_free(o->levels);
		return -1;
	}
	return 0;
}

int outlets_newest(void *ctx, int replica, struct db_newest *out, struct err *e)
{
	return levels_list_newest(((struct managed *)ctx)->outlets[replica].levels, out, e);
}

void outlet_free(struct outlet *o)
{
	levels_free(o->levels);
	lease_free(o);
	replica_free(o->upload.replica);
	free(o->error);
}

void outlets_start(struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		struct outlet *o = &m->outlets[i];

		backoff_clear(&o->errors);
		backoff_clear(&o->levels_errors);
		o->retry_us = o->levels_retry_us = o->last_upload_us = 0;
		lease_start(o);
	}
}

/* The first sync since the start is done: what lay there before was written by somebody else. */
void outlets_started(struct managed *m, const struct db_sync_result *first)
{
	for (int i = 0; i < m->outlet_count; i++) {
		struct upload *u = &m->outlets[i].upload;

		u->verify_up_to = u->base = first->txid - (uint64_t)first->files;
		u->check_base = m->outlet_count > 1;
	}
}

void outlets_reset(struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		struct outlet *o = &m->outlets[i];

		o->forget_position = o->uploading;
		o->position_known = false;
		if (o->uploading)
			continue;
		o->upload.position_known = o->upload.check_base = false;
	}
}

void outlets_apply_policy(struct store *s)
{
	s->policy_waits = false;
	s->o.policy = s->next_policy;
	for (struct managed *m = s->first; m; m = m->next) {
		for (int i = 0; i < m->outlet_count; i++) {
			struct outlet *o = &m->outlets[i];

			levels_policy_changed(o->levels);
			if (levels_known(o->levels))
				o->levels_due_ms = levels_due_ms(o->levels, os_wall_ms(), o->position,
				                                 &o->levels_need_db);
		}
		outlets_consider(m);
	}
}
