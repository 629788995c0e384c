/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - the jobs of a database, and what their outcome means for its state.
 *
 * A job carries copies of all it needs and its own results; while it runs, the database (sync, close) or the upload
 * belongs to it, and the loop thread keeps its hands off.
 */
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

struct task {
	struct pool_job job;
	struct managed *m;
	int rc;
	struct err why;
	/* sync */
	unsigned flags;
	bool reset;
	struct db_sync_result result;
	/* upload */
	uint64_t local_txid;
	int max_files;
};

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

static bool submit(struct managed *m, struct task *t, void (*run)(struct pool_job *), void (*done)(struct pool_job *))
{
	if (!t) {
		/* Without memory for 2 KB nothing can be done now; the timer asks again. */
		loop_timer_set(m->s->o.loop, &m->timer, os_mono_us() + 1000 * 1000, 0);
		return false;
	}
	t->m = m;
	t->job = (struct pool_job){ .run = run, .done = done };
	pool_submit(m->s->pool, &t->job);
	return true;
}

/* ---- sync ---- */

static void sync_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct db *db = t->m->db;

	if (t->reset && db_reset(db, "files that the replica needs are gone", &t->why)) {
		t->rc = -1;
		return;
	}
	t->rc = db_sync(db, t->flags, &t->result, &t->why);
}

static void sync_failed(struct managed *m, const struct err *why)
{
	bool say;

	if (err_is(why, ERR_CANCELLED))
		return;
	m->retry_us = backoff_fail(&m->sync_errors, m->o.monitor_interval_ms, why, &say);
	if (say)
		log_error(err_is(why, ERR_FULL) ? "sync paused, disk full" : "sync error", LS("system", "store"),
		          LS("db", db_name(m->db)), LS("error", err_text(why)));
	managed_set_state(m, MANAGED_PAUSED, err_text(why));
}

static void sync_worked(struct managed *m, const struct db_sync_result *r)
{
	int errors = backoff_clear(&m->sync_errors);

	if (errors)
		log_info("sync recovered", LS("system", "store"), LS("db", db_name(m->db)), LI("previous_errors", errors));
	managed_set_state(m, r->waiting ? MANAGED_WAITING : MANAGED_ACTIVE, NULL);
	if (r->waiting)
		return;
	if (!m->synced_once)
		m->upload.verify_up_to = r->txid - (uint64_t)r->files;
	m->synced_once = true;
	m->last_look_us = os_mono_us();
	m->last_unread = 0;
}

static void sync_done(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct managed *m = t->m;

	m->syncing = false;
	if (t->reset && !t->rc) {
		m->reset_wanted = false;
		m->upload.position_known = false;
	}
	m->txid = db_txid(m->db) ? db_txid(m->db) : m->txid;
	if (t->rc)
		sync_failed(m, &t->why);
	else
		sync_worked(m, &t->result);
	if (m->stop != STOP_NOT) {
		stop_after_sync(m, t->rc, &t->why);
	} else {
		/* Written to, before the job or while it ran, and not read, because it has not been published yet. */
		if (m->state == MANAGED_ACTIVE && (!m->wal_watch.wd || t->result.unpublished))
			m->quiet_looks = 1;
		jobs_upload_if_due(m);
		managed_consider(m);
	}
	free(t);
}

void jobs_sync(struct managed *m, unsigned flags)
{
	struct task *t = calloc(1, sizeof(*t));

	if (t) {
		t->flags = flags;
		t->reset = m->reset_wanted;
	}
	m->syncing = submit(m, t, sync_run, sync_done);
}

/* ---- upload ---- */

static void upload_job_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct managed *m = t->m;

	t->rc = upload_run(&m->upload, t->local_txid, t->max_files, &m->s->cancel, &t->why);
}

static void upload_failed(struct managed *m, const struct err *why)
{
	bool say;

	if (err_is(why, ERR_CANCELLED))
		return;
	m->upload_retry_us = backoff_fail(&m->upload_errors, m->o.sync_interval_ms, why, &say);
	if (say)
		log_error("monitor error", LS("system", "store"), LS("db", db_name(m->db)),
		          LS("replica", replica_type(m->upload.replica)), LS("error", err_text(why)));
}

static void upload_done(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct managed *m = t->m;

	m->uploading = false;
	if (t->rc < 0) {
		upload_failed(m, &t->why);
	} else {
		int errors = backoff_clear(&m->upload_errors);

		m->upload_retry_us = 0;
		if (errors)
			log_info("replica sync recovered", LS("system", "store"), LS("db", db_name(m->db)),
			         LS("replica", replica_type(m->upload.replica)), LI("previous_errors", errors));
		m->reset_wanted |= t->rc == UPLOAD_NEEDS_RESET;
	}
	if (m->stop != STOP_NOT) {
		stop_after_upload(m, t->rc, &t->why);
	} else {
		jobs_upload_if_due(m);
		if (m->reset_wanted)
			managed_consider(m);
	}
	free(t);
}

void jobs_upload(struct managed *m)
{
	struct task *t = calloc(1, sizeof(*t));

	if (t) {
		t->local_txid = m->txid;
		t->max_files = m->stop == STOP_NOT ? m->o.max_upload_files : 0;
	}
	m->last_upload_us = os_mono_us();
	m->uploading = submit(m, t, upload_job_run, upload_done);
}

static void on_upload_timer(struct loop_timer *timer)
{
	jobs_upload_if_due((struct managed *)(void *)((char *)timer - offsetof(struct managed, upload_timer)));
}

void jobs_upload_if_due(struct managed *m)
{
	int64_t now = os_mono_us(), due = m->upload_retry_us;

	if (m->uploading || m->stop != STOP_NOT || !m->txid || m->reset_wanted)
		return;
	if (m->upload.position_known && m->upload.position >= m->txid)
		return;
	/* A local replica costs nothing; others get at most one batch an interval. */
	if (!m->upload.replica->local && due < m->last_upload_us + m->o.sync_interval_ms * 1000)
		due = m->last_upload_us + m->o.sync_interval_ms * 1000;
	if (due > now) {
		m->upload_timer.fire = on_upload_timer;
		loop_timer_set(m->s->o.loop, &m->upload_timer, due, 0);
		return;
	}
	jobs_upload(m);
}

/* ---- close ---- */

static void close_run(struct pool_job *job)
{
	db_close(((struct task *)(void *)job)->m->db);
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
	struct task *t = calloc(1, sizeof(*t));

	m->syncing = submit(m, t, close_run, close_done);
}
