/* SPDX-License-Identifier: MIT */
/*
 * outlet_jobs.c - the jobs on one replica of one database, and what follows from their outcome: uploads, and the levels'
 * work.
 *
 * A snapshot is one task in two jobs: the first has the database and fixes what is to be copied, the second has the
 * outlet and copies. It holds its place among the full copies from the first to the last moment.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

enum { LOCAL_FILES_KEPT = 2 };

static void set_error(struct outlet *o, const struct err *why)
{
	free(o->error);
	o->error = why ? strdup(err_text(why)) : NULL;
}

static const char *kind(const struct outlet *o)
{
	return replica_type(o->upload.replica);
}

/* ---- what every job ends with ---- */

static void job_begins(struct outlet *o)
{
	o->busy = true;
	o->m->s->outlets_busy++;
}

/* Whose lock is not ours does not know what lies there; an upload asks for both. */
static void check_hold(struct outlet *o)
{
	if (o->upload.hold && (replica_hold_due_us(o->upload.hold) == INT64_MAX ||
	                       replica_hold_term(o->upload.hold) != o->upload.term))
		o->upload.position_known = o->position_known = false;
}

static void job_ends(struct outlet *o)
{
	o->busy = false;
	o->m->s->outlets_busy--;
	if (!o->upload.replica->local)
		store_sweep_later(o->m->s);
	o->position = o->upload.position;
	o->position_known = o->upload.position_known;
	check_hold(o);
	o->levels_due_ms = INT64_MAX;
	if (levels_known(o->levels))
		o->levels_due_ms = levels_due_ms(o->levels, os_wall_ms(), o->position, &o->levels_need_db);
	if (o->m->dormant)
		levels_rest(o->levels);
}

static void go_on(struct managed *m)
{
	if (m->stop != STOP_NOT || m->state == MANAGED_STOPPED)
		return;
	outlets_consider(m);
	managed_consider(m);
}

/* The last thing that the end of a job does: from here on others may begin. */
static void job_is_over(struct task *t)
{
	if (t->s->policy_waits && !t->s->outlets_busy)
		outlets_apply_policy(t->s);
	free(t);
}

/* ---- upload ---- */

static void upload_job_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;

	t->rc = upload_run(&t->outlet->upload, t->local_txid, t->max_files, &t->m->cancel, &t->why);
}

/* Another has the lock, or the place cannot have one: the database counts as paused. */
static void refuse(struct outlet *o, const struct err *why)
{
	bool refused = why && (err_is(why, ERR_BUSY) || err_is(why, ERR_INVALID)) && o->upload.hold;

	if (refused && !o->refused)
		store_tell(o->m, STORE_EVENT_PAUSED, err_text(why));
	o->refused = refused;
	if (!refused && o->m->stop == STOP_NOT)
		atomic_store(&o->no_levels, false);
}

static void upload_failed(struct outlet *o, const struct err *why)
{
	bool say;

	if (err_is(why, ERR_CANCELLED))
		return;
	o->retry_us = backoff_fail(&o->errors, o->sync_interval_ms, why, &say);
	set_error(o, why);
	refuse(o, why);
	if (say)
		log_error("monitor error", LS("system", "store"), LS("db", db_name(o->m->db)), LS("replica", kind(o)),
		          LS("error", err_text(why)));
	store_tell(o->m, STORE_EVENT_ERROR, err_text(why));
}

static void note_progress(struct outlet *o, uint64_t before)
{
	struct managed *m = o->m;

	if (o == m->outlets)
		m->behind_since_us = o->position >= m->txid ? 0 : m->last_sync_us;
	if (o->position > before)
		store_tell(m, STORE_EVENT_REPLICATED, "");
}

static void upload_worked(struct outlet *o, int rc, uint64_t before)
{
	struct managed *m = o->m;
	int errors = backoff_clear(&o->errors);

	o->retry_us = 0;
	o->last_sync_ms = os_wall_ms();
	set_error(o, NULL);
	refuse(o, NULL);
	if (errors) {
		log_info("replica sync recovered", LS("system", "store"), LS("db", db_name(m->db)), LS("replica", kind(o)),
		         LI("previous_errors", errors));
		store_tell(m, STORE_EVENT_RECOVERED, "");
	}
	if (rc == UPLOAD_AHEAD || (rc == UPLOAD_NEEDS_RESET && m->outlet_count == 1))
		m->reset_wanted = true;
	else if (rc == UPLOAD_NEEDS_RESET)
		o->snapshot_wanted = true;
	note_progress(o, before);
}

static void upload_done(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct outlet *o = t->outlet;
	struct managed *m = t->m;
	bool stopping = m->stop != STOP_NOT;
	uint64_t before = o->position;

	job_ends(o);
	if (t->rc < 0)
		upload_failed(o, &t->why);
	else
		upload_worked(o, t->rc, before);
	waits_after_upload(o, t->rc, &t->why);
	if (stopping)
		stop_after_upload(o, t->rc, &t->why);
	else
		go_on(m);
	job_is_over(t);
}

bool outlet_begin_upload(struct outlet *o, int max_files)
{
	struct managed *m = o->m;
	struct task *t = task_create(m, o);

	if (!t)
		return false;
	t->local_txid = m->txid;
	t->max_files = max_files;
	o->attempt = ++m->s->attempts;
	o->last_upload_us = os_mono_us();
	job_begins(o);
	task_submit(t, m->s->outlet_pool, NULL, upload_job_run, upload_done);
	return true;
}

void outlet_last_upload(struct outlet *o)
{
	o->stop_done = outlet_drained(o);
	if (!o->stop_done && !outlet_begin_upload(o, 0)) {
		struct err why = ERR_INIT;

		err_nomem(&why);
		stop_after_upload(o, -1, &why);
	}
}

/* ---- the lock ---- */

static void hold_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;

	t->rc = replica_hold_keep(t->outlet->upload.hold, &t->why);
	if (t->rc)
		atomic_store(&t->outlet->no_levels, true);
}

static void hold_done(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct outlet *o = t->outlet;
	struct managed *m = t->m;

	o->holding = false;
	m->s->outlets_busy--;
	if (t->rc < 0)
		upload_failed(o, &t->why);
	if (!o->busy)
		check_hold(o);
	if (m->stop != STOP_NOT)
		stop_after_upload(o, -1, &t->why);
	else
		go_on(m);
	job_is_over(t);
}

void outlet_begin_hold(struct outlet *o)
{
	struct task *t = task_create(o->m, o);

	if (!t)
		return;
	o->holding = true;
	o->m->s->outlets_busy++;
	task_submit(t, o->m->s->outlet_pool, NULL, hold_run, hold_done);
}

/* ---- levels ---- */

static int trim_visit(void *ctx, const char *name, struct err *e)
{
	const struct task *t = ctx;
	uint64_t min, max;
	char *path;

	(void)e;
	if (!ltx_name_parse(name, &min, &max) || max > t->trim_to || max + LOCAL_FILES_KEPT > t->local_txid)
		return 0;
	path = min == max ? db_l0_path(t->m->db, max) : NULL;
	if (path)
		os_unlink(path, NULL);
	free(path);
	return 0;
}

/* Local files that no replica needs any more, but for the newest ones. */
static void trim(struct task *t)
{
	char *folder = text_path_join(db_meta_path(t->m->db), "ltx/0");

	if (t->levels.l0_done < t->trim_to)
		t->trim_to = t->levels.l0_done;
	if (folder && t->trim_to)
		os_dir_list(folder, trim_visit, t, NULL);
	free(folder);
}

/* When the lock was taken anew, an upload settles first what lies there. */
static int keep_hold(struct upload *u, struct err *e)
{
	if (!u->hold)
		return 0;
	if (replica_hold_keep(u->hold, e))
		return -1;
	return replica_hold_term(u->hold) == u->term ? 0 : err_set(e, ERR_CANCELLED, "the lock has just been taken");
}

static void levels_job_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct levels_run_options o = {
		.replicated_txid = t->outlet->upload.position,
		.now_ms = os_wall_ms(),
		.snapshot = t->snapshot,
		.force_snapshot = t->force_snapshot,
		.cancel = &t->outlet->no_levels,
	};

	t->rc = keep_hold(&t->outlet->upload, &t->why);
	if (t->rc && t->snapshot)
		db_snapshot_end(t->snapshot);
	if (!t->rc)
		t->rc = levels_run(t->outlet->levels, &o, &t->levels, &t->why);
	trim(t);
}

static void levels_failed(struct outlet *o, const struct err *why)
{
	bool say;

	if (err_is(why, ERR_CANCELLED))
		return;
	o->levels_retry_us = backoff_fail(&o->levels_errors, OUTLET_RETRY_MS, why, &say);
	if (say)
		log_error("compaction error", LS("system", "store"), LS("db", db_name(o->m->db)), LS("replica", kind(o)),
		          LS("error", err_text(why)));
	store_tell(o->m, STORE_EVENT_ERROR, err_text(why));
}

static void levels_note(struct outlet *o, const struct levels_result *r)
{
	if (r->l0_done > o->l0_done)
		o->l0_done = r->l0_done;
	o->l0_eligible = r->l0_eligible;
	o->l0_not_compacted = r->l0_not_compacted;
	o->l0_too_recent = r->l0_too_recent;
	o->verify_errors += r->verify_errors;
	if (r->wants_snapshot)
		o->levels_need_db = true;
	if (r->snapshotted && o->snapshot_wanted) {
		/* Behind it the upload finds its way. */
		o->snapshot_wanted = false;
		o->upload.position_known = o->position_known = false;
	}
	if (r->compacted)
		store_tell(o->m, STORE_EVENT_COMPACTED, "");
	if (r->snapshotted)
		store_tell(o->m, STORE_EVENT_SNAPSHOT, "");
}

static void levels_done(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct outlet *o = t->outlet;
	struct managed *m = t->m;
	bool stopping = m->stop != STOP_NOT;

	task_leave_gate(t);
	job_ends(o);
	levels_note(o, &t->levels);
	if (t->rc)
		levels_failed(o, &t->why);
	else
		backoff_clear(&o->levels_errors);
	if (!t->rc)
		o->levels_retry_us = os_mono_us() + OUTLET_RETRY_MS * 1000;
	if (stopping)
		stop_after_upload(o, -1, &t->why);
	else
		go_on(m);
	job_is_over(t);
}

static void snapshot_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;

	t->rc = db_snapshot_begin(t->m->db, &t->snapshot, &t->why);
}

/* What is to be copied stands fixed: the database is free again, the outlet goes on with it. */
static void snapshot_begun(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct managed *m = t->m;
	bool stopping = m->stop != STOP_NOT, begun = !t->rc;

	m->syncing = false;
	if (db_txid(m->db) > m->txid) {
		m->txid = db_txid(m->db);
		m->quiet_since_us = os_mono_us();
	}
	if (begun) {
		task_resubmit(t, m->s->outlet_pool, levels_job_run, levels_done);
	} else {
		task_leave_gate(t);
		job_ends(t->outlet);
		levels_failed(t->outlet, &t->why);
	}
	if (stopping)
		stop_after_sync(m, 0, NULL);
	else
		go_on(m);
	if (!begun)
		job_is_over(t);
}

static uint64_t others_done(const struct outlet *o)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < o->m->outlet_count; i++) {
		const struct outlet *other = &o->m->outlets[i];

		if (other != o && other->l0_done < least)
			least = other->l0_done;
	}
	return least;
}

void outlet_begin_levels(struct outlet *o)
{
	struct managed *m = o->m;
	struct store *s = m->s;
	bool with_db = o->snapshot_wanted || o->levels_need_db;
	struct task *t;

	if (with_db && m->dormant) {
		dormant_wake(m); /* its sync asks again */
		return;
	}
	if (with_db && (m->syncing || !db_is_open(m->db)))
		return; /* so does the one that runs, or will */
	t = task_create(m, o);
	if (!t)
		return;
	t->local_txid = m->txid;
	t->trim_to = others_done(o);
	t->force_snapshot = o->snapshot_wanted;
	job_begins(o);
	if (!with_db) {
		task_submit(t, s->outlet_pool, &s->levels, levels_job_run, levels_done);
		return;
	}
	if (s->copies.running >= s->copies.most) {
		/* Not in the queue with the database in its hand. */
		s->outlets_busy--;
		o->busy = false;
		o->levels_retry_us = os_mono_us() + OUTLET_RETRY_MS * 1000;
		free(t);
		return;
	}
	m->syncing = true;
	loop_timer_clear(s->o.loop, &m->timer);
	task_submit(t, s->pool, &s->copies, snapshot_run, snapshot_begun);
}
