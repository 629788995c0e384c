/* SPDX-License-Identifier: MIT */
#include "lib/store/store.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

static void on_slow_timer(struct loop_timer *t)
{
	struct store *s = (struct store *)(void *)((char *)t - offsetof(struct store, slow_timer));
	bool prove = ++s->slow_looks % SLOW_LOOKS_PER_PROOF == 0;

	for (struct managed *m = s->first; m; m = m->next)
		managed_slow_look(m, prove);
	loop_timer_set(s->o.loop, t, os_mono_us() + SLOW_LOOK_US, SLOW_LOOK_US / 8);
}

static void on_deadline(struct loop_timer *t)
{
	struct store *s = (struct store *)(void *)((char *)t - offsetof(struct store, deadline_timer));

	atomic_store(&s->cancel, true);
}

static void on_wake(void *ctx)
{
	struct store *s = ctx;

	pool_collect(s->pool);
}

int store_create(const struct store_options *o, struct store **out, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(e);
	s->o = *o;
	atomic_init(&s->cancel, false);
	s->pool = pool_create(o->workers, loop_wake, o->loop, e);
	if (!s->pool) {
		free(s);
		return -1;
	}
	loop_on_wake(o->loop, on_wake, s);
	s->slow_timer.fire = on_slow_timer;
	s->deadline_timer.fire = on_deadline;
	loop_timer_set(o->loop, &s->slow_timer, os_mono_us() + SLOW_LOOK_US, SLOW_LOOK_US / 8);
	*out = s;
	return 0;
}

static void managed_free(struct managed *m)
{
	if (!m)
		return;
	loop_timer_clear(m->s->o.loop, &m->timer);
	loop_timer_clear(m->s->o.loop, &m->upload_timer);
	loop_watch_remove(m->s->o.loop, &m->wal_watch);
	loop_watch_remove(m->s->o.loop, &m->dir_watch);
	db_free(m->db);
	replica_free(m->upload.replica);
	free(m->reason);
	free(m);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	atomic_store(&s->cancel, true);
	loop_timer_clear(s->o.loop, &s->slow_timer);
	loop_timer_clear(s->o.loop, &s->deadline_timer);
	pool_free(s->pool);
	while (s->first) {
		struct managed *m = s->first;

		s->first = m->next;
		managed_free(m);
	}
	free(s);
}

int store_add(struct store *s, const struct managed_options *o, struct managed **out, struct err *e)
{
	struct managed *m, **end;

	for (end = &s->first; *end; end = &(*end)->next) {
		if (!strcmp(db_path((*end)->db), o->db.path))
			return err_set(e, ERR_EXISTS, "database is registered already: %s", o->db.path);
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_nomem(e);
	m->s = s;
	m->o = *o;
	m->o.db.replica = o->replica;
	m->o.db.cancel = &s->cancel;
	if (db_create(&m->o.db, &m->db, e)) {
		free(m);
		return -1;
	}
	m->upload = (struct upload){ .db = m->db, .replica = o->replica, .auto_recover = o->db.auto_recover };
	m->state = MANAGED_WAITING;
	*end = m;
	s->count++;
	log_info("replicating to", LS("type", replica_type(o->replica)), LD("sync-interval", o->sync_interval_ms * 1000000),
	         LS("path", replica_path(o->replica)));
	managed_start(m);
	if (out)
		*out = m;
	return 0;
}

void store_stop(struct store *s)
{
	int64_t now = os_mono_us();

	if (s->stopping) {
		atomic_store(&s->cancel, true);
		return;
	}
	s->stopping = true;
	s->stop_began_us = now;
	s->stop_deadline_us = now + s->o.shutdown_timeout_ms * 1000;
	loop_timer_clear(s->o.loop, &s->slow_timer);
	if (s->o.shutdown_timeout_ms)
		loop_timer_set(s->o.loop, &s->deadline_timer, s->stop_deadline_us, 0);
	s->left = s->count;
	if (!s->count && s->o.stopped)
		s->o.stopped(s->o.ctx);
	for (struct managed *m = s->first; m; m = m->next)
		stop_begin(m);
}

bool store_is_stopping(const struct store *s)
{
	return s->stopping;
}

bool store_step(struct store *s, uint64_t pick)
{
	bool ran = pool_step(s->pool, pick);

	pool_collect(s->pool);
	return ran;
}

int store_count(const struct store *s)
{
	return s->count;
}

void store_status(const struct store *s, int i, struct managed_status *out)
{
	const struct managed *m = s->first;

	while (i-- && m)
		m = m->next;
	*out = (struct managed_status){ 0 };
	if (!m)
		return;
	out->state = m->state;
	out->path = db_path(m->db);
	out->txid = m->txid;
	out->replica_txid = m->uploading ? 0 : m->upload.position;
	out->reason = m->reason ? m->reason : "";
	out->progress = db_progress(m->db);
}
