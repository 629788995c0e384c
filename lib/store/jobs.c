/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - the jobs of a database, what their outcome means for its state, and the gates.
 *
 * A job carries copies of all it needs and its own results; while it runs, the database (sync, close) or the outlet
 * (upload, levels) belongs to it, and the loop thread keeps its hands off. A gate bounds how many jobs of a kind run or
 * wait in a pool; the others stand in its queue. A sync first runs without leave to make a large full copy; if it needs
 * one, it goes again through the gate of copies.
 */
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

int64_t backoff_fail(struct backoff *b, int64_t base_ms, const struct err *why, bool *say)
{
	int64_t now = os_mono_us(), max = err_is(why, ERR_FULL) ? BACKOFF_FULL_MAX_MS : BACKOFF_MAX_MS;

	b->delay_ms = b->errors ? b->delay_ms * 2 : (base_ms > 0 ? base_ms : 1000);
	if (b->delay_ms > max)
		b->delay_ms = max;
	*say = !b->errors || now - b->logged_us >= ERROR_LOG_EVERY_US;
	if (*say)
		b->logged_us = now;
	b->errors++;
	return now + b->delay_ms * 1000;
}

int backoff_clear(struct backoff *b)
{
	int errors = b->errors;

	*b = (struct backoff){ 0 };
	return errors;
}

/* ---- tasks ---- */

struct task *task_create(struct managed *m, struct outlet *o)
{
	struct task *t = calloc(1, sizeof(*t));

	if (t) {
		t->s = m->s;
		t->m = m;
		t->outlet = o;
	}
	return t;
}

void task_submit(struct task *t, struct pool *pool, struct gate *gate, void (*run)(struct pool_job *),
                 void (*done)(struct pool_job *))
{
	t->job = (struct pool_job){ .run = run, .done = done };
	t->pool = pool;
	t->gate = gate;
	if (gate && gate->running >= gate->most) {
		t->next = NULL;
		*gate->end = t;
		gate->end = &t->next;
		return;
	}
	if (gate)
		gate->running++;
	pool_submit(pool, &t->job);
}

void task_resubmit(struct task *t, struct pool *pool, void (*run)(struct pool_job *), void (*done)(struct pool_job *))
{
	t->job = (struct pool_job){ .run = run, .done = done };
	t->pool = pool;
	pool_submit(pool, &t->job);
}

void task_leave_gate(struct task *t)
{
	struct gate *gate = t->gate;
	struct task *next;

	t->gate = NULL;
	if (!gate)
		return;
	next = gate->first;
	if (!next) {
		gate->running--;
		return;
	}
	gate->first = next->next;
	if (!gate->first)
		gate->end = &gate->first;
	pool_submit(next->pool, &next->job);
}

/* ---- sync ---- */

static void sync_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct db *db = t->m->db;
	int64_t began = os_mono_us();

	if (t->reset) {
		t->rc = db_reset(db, "files that the replica needs are gone", &t->why);
		t->was_reset = !t->rc;
		t->reset = false; /* not again when the same task goes for its full copy */
	}
	if (!t->rc)
		t->rc = db_sync(db, t->flags & ~(unsigned)SYNC_YIELDS, &t->result, &t->why);
	/* It could be opened, but not go on: nothing depends on its lock yet, and others need what it has taken. */
	if ((t->rc && t->fresh && err_no_descriptor(&t->why)) || (t->flags & SYNC_YIELDS && !t->result.wants_copy))
		db_close(db);
	t->ns += (os_mono_us() - began) * 1000;
}

static void sync_failed(struct managed *m, const struct err *why)
{
	bool say;

	if (err_is(why, ERR_CANCELLED))
		return;
	m->sums.errors++;
	m->disk_full = err_is(why, ERR_FULL);
	/* What cannot even be opened may hold anything. */
	m->uncopied = !db_is_open(m->db) || db_changed(m->db);
	if (m->uncopied && !m->behind_since_us)
		m->behind_since_us = m->last_sync_us;
	if (err_no_descriptor(why) && !db_is_open(m->db) && turns_failed(m))
		return;
	m->retry_us = backoff_fail(&m->sync_errors, m->monitor_interval_ms, why, &say);
	if (err_no_descriptor(why))
		turns_tell_limit(m);
	else if (say)
		log_error(m->disk_full ? "sync paused, disk full" : "sync error", LS("system", "store"),
		          LS("db", db_name(m->db)), LS("error", err_text(why)));
	managed_set_state(m, MANAGED_PAUSED, err_text(why));
	store_tell(m, STORE_EVENT_ERROR, err_text(why));
}

static void add_up(struct managed *m, const struct db_sync_result *r)
{
	m->sums.wal_bytes += (uint64_t)r->wal_bytes;
	m->sums.checkpoints += (uint64_t)r->checkpoints;
	m->sums.checkpoint_errors += (uint64_t)r->checkpoint_errors;
	m->sums.checkpoint_ns += (uint64_t)r->checkpoint_ns;
	if (r->db_size) {
		m->sums.db_size = r->db_size;
		m->sums.wal_size = r->wal_size;
		m->sums.wal_offset = r->wal_offset;
	}
}

static void tell_outcome(struct managed *m, const struct db_sync_result *r)
{
	if (r->files)
		store_tell(m, STORE_EVENT_SYNCED, "");
	if (r->checkpoints)
		store_tell(m, STORE_EVENT_CHECKPOINT, "");
}

static void sync_worked(struct managed *m, const struct db_sync_result *r)
{
	int errors = backoff_clear(&m->sync_errors);
	int64_t now = os_mono_us();

	m->disk_full = m->uncopied = false;
	if (errors) {
		log_info("sync recovered", LS("system", "store"), LS("db", db_name(m->db)),
		         LI("previous_errors", errors));
		store_tell(m, STORE_EVENT_RECOVERED, "");
		store_tell(m, STORE_EVENT_RESUMED, "");
	}
	managed_set_state(m, r->waiting ? MANAGED_WAITING : MANAGED_ACTIVE, NULL);
	if (r->waiting)
		return;
	if (r->files) {
		m->quiet_since_us = now;
		m->rest_failures = 0;
		if (!m->behind_since_us)
			m->behind_since_us = m->last_sync_us;
	}
	if (!m->synced_once)
		outlets_started(m, r);
	m->synced_once = true;
	if (m->woken)
		dormant_woken(m, r);
	m->last_look_us = now;
	m->last_unread = 0;
	tell_outcome(m, r);
}

/* What comes next for a database that is not stopping. */
static void sync_goes_on(struct managed *m, const struct task *t)
{
	if (!t->rc && t->result.rests) {
		dormant_begin(m);
		return;
	}
	if (!t->rc && t->flags & SYNC_YIELDS && m->state == MANAGED_ACTIVE && managed_monitored(m)) {
		turns_wait(m);
		outlets_consider(m);
		return;
	}
	if (!t->rc && (t->flags & DB_SYNC_REST) && !t->result.files) {
		/* A reader is in the way, or the file system's stamps say too little: less and less often. */
		m->rest_failures += m->rest_failures < REST_DOUBLINGS;
		m->quiet_since_us = os_mono_us();
	}
	/* Written to, before the job or while it ran, and not read, because it has not been published yet. */
	if (m->state == MANAGED_ACTIVE && (!m->wal_watch.wd || t->result.unpublished))
		m->quiet_looks = 1;
	outlets_consider(m);
	managed_consider(m);
}

static void sync_done(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct managed *m = t->m;
	bool stopping = m->stop != STOP_NOT;
	uint64_t txid;

	add_up(m, &t->result);
	task_leave_gate(t);
	if (!t->rc && t->result.wants_copy) {
		t->flags &= ~(unsigned)DB_SYNC_NO_COPY;
		task_submit(t, m->s->pool, &m->s->copies, sync_run, sync_done);
		return;
	}
	m->syncing = m->opening = false;
	m->sums.syncs++;
	m->sums.ns += (uint64_t)t->ns;
	if (t->was_reset) {
		m->reset_wanted = false;
		outlets_reset(m);
	}
	txid = db_is_open(m->db) ? db_txid(m->db) : t->result.txid;
	m->txid = txid ? txid : m->txid;
	if (t->rc)
		sync_failed(m, &t->why);
	else
		sync_worked(m, &t->result);
	if (!m->starved) /* else it has not failed, it waits */
		waits_after_sync(m, t);
	turns_end(m);
	if (stopping && !m->starved)
		stop_after_sync(m, t->rc, &t->why);
	else if (m->stop == STOP_NOT && m->state != MANAGED_STOPPED && !m->syncing)
		sync_goes_on(m, t);
	free(t);
}

void jobs_sync(struct managed *m, unsigned flags)
{
	struct task *t = task_create(m, NULL);

	if (!t) {
		/* Without memory for 2 KB nothing can be done now; the timer asks again. */
		loop_timer_set(m->s->o.loop, &m->timer, os_mono_us() + 1000 * 1000, 0);
		return;
	}
	if (!turns_begin(m)) {
		free(t);
		return;
	}
	m->syncing = true;
	t->flags = flags | DB_SYNC_NO_COPY;
	t->reset = m->reset_wanted && outlets_reset_possible(m);
	t->fresh = !db_is_open(m->db);
	t->number = ++m->syncs_begun;
	task_submit(t, m->s->pool, m->opening ? &m->s->openings : NULL, sync_run, sync_done);
}

/* ---- close ---- */

static void close_run(struct pool_job *job)
{
	struct managed *m = ((struct task *)(void *)job)->m;

	db_close(m->db);
	for (int i = 0; i < m->outlet_count; i++)
		lease_let_go(&m->outlets[i]);
}

static void close_done(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;

	t->m->syncing = false;
	stop_after_close(t->m);
	free(t);
}

void jobs_close(struct managed *m)
{
	struct task *t = task_create(m, NULL);

	if (!t) {
		db_close(m->db);
		stop_after_close(m);
		return;
	}
	m->syncing = true;
	task_submit(t, m->s->pool, NULL, close_run, close_done);
}
