/* SPDX-License-Identifier: MIT */
/*
 * outlet_jobs.c - the jobs on one replica of one database, and what follows from their outcome: uploads, and the
 * levels' work.
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

enum { LOCAL_FILES_KEPT = 2, PILE_FIRST_ERRORS = 3, PILE_TOLD_BYTES = 64 << 20, PILE_TOLD_TIMES = 8 };

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

static void job_begins(struct outlet *o, bool *slot)
{
	*slot = true;
	o->m->s->outlets_busy++;
	lease_look(o);
}

static void job_ends(struct outlet *o, bool *slot)
{
	*slot = false;
	o->m->s->outlets_busy--;
	if (!o->upload.replica->local)
		store_sweep_later(o->m->s);
	lease_look(o);
	o->levels_due_ms = INT64_MAX;
	if (levels_known(o->levels))
		o->levels_due_ms = levels_due_ms(o->levels, os_wall_ms(), o->position, &o->levels_need_db);
	if (o->m->dormant && !o->uploading && !o->levelling)
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

static int waiting_visit(void *ctx, const char *name, struct err *e)
{
	struct task *t = ctx;
	uint64_t min, max;
	struct os_stat st;
	char *path;

	(void)e;
	if (!ltx_name_parse(name, &min, &max) || min != max || max <= t->replicated_txid)
		return 0;
	path = db_l0_path(t->m->db, max);
	if (path && !os_stat(path, &st, NULL)) {
		t->piled_bytes += st.size;
		t->piled_files++;
	}
	free(path);
	return 0;
}

static char *local_folder(const struct task *t) { return text_path_join(db_meta_path(t->m->db), "ltx/0"); }

static void measure_pile(struct task *t)
{
	char *folder = local_folder(t);

	if (folder)
		os_dir_list(folder, waiting_visit, t, NULL);
	free(folder);
}

static void upload_job_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;

	t->rc = upload_run(&t->outlet->upload, t->local_txid, t->max_files, &t->m->cancel, &t->why);
	if (t->rc < 0 && t->fails_again)
		measure_pile(t);
}

/* The local files are the queue of a replica that is away. It has no bound, so its size is told. */
static void tell_pile(struct outlet *o, const struct task *t)
{
	if (t->piled_bytes < (o->piled_told ? o->piled_told * PILE_TOLD_TIMES : PILE_TOLD_BYTES))
		return;
	o->piled_told = t->piled_bytes;
	log_warn("local files pile up until the replica takes them", LS("system", "store"), LS("db", db_name(o->m->db)),
	         LS("replica", kind(o)), LI("files", t->piled_files),
	         LI("bytes", t->piled_bytes), LS("error", err_text(&t->why)));
}

static void upload_failed(struct outlet *o, const struct task *t)
{
	const struct err *why = &t->why;
	bool say;

	if (err_is(why, ERR_CANCELLED))
		return;
	set_error(o, why);
	if (err_no_descriptor(why)) {
		o->retry_us = os_mono_us() + OUTLET_RETRY_MS * 1000;
		turns_tell_limit(o->m);
		return;
	}
	o->retry_us = backoff_fail(&o->errors, o->sync_interval_ms, why, &say);
	lease_refuse(o, why, &o->retry_us);
	if (say)
		log_error("monitor error", LS("system", "store"), LS("db", db_name(o->m->db)), LS("replica", kind(o)),
		          LS("error", err_text(why)));
	store_tell(o->m, STORE_EVENT_ERROR, err_text(why));
	tell_pile(o, t);
}

static void note_progress(struct outlet *o, uint64_t before)
{
	struct managed *m = o->m;

	if (o == m->outlets && !m->uncopied)
		m->behind_since_us = o->position >= m->txid ? 0 : m->last_sync_us;
	if (o->position > before)
		store_tell(m, STORE_EVENT_REPLICATED, "");
}

static void upload_worked(struct outlet *o, int rc, uint64_t before)
{
	struct managed *m = o->m;
	int errors = backoff_clear(&o->errors);

	o->retry_us = o->piled_told = 0;
	o->last_sync_ms = os_wall_ms();
	set_error(o, NULL);
	lease_refuse(o, NULL, NULL);
	if (errors) {
		log_info("replica sync recovered", LS("system", "store"), LS("db", db_name(m->db)),
		         LS("replica", kind(o)),
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

	if (o->forget_position)
		o->upload.position_known = o->upload.check_base = o->forget_position = false;
	o->position = o->upload.position;
	o->position_known = o->upload.position_known;
	lease_upload_ends(o);
	lease_explain(o, &t->why);
	job_ends(o, &o->uploading);
	if (t->rc < 0)
		upload_failed(o, t);
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
	t->replicated_txid = o->position;
	t->fails_again = o->errors.errors >= PILE_FIRST_ERRORS;
	t->max_files = max_files;
	o->attempt = ++m->s->attempts;
	o->last_upload_us = os_mono_us();
	job_begins(o, &o->uploading);
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
	char *folder = local_folder(t);

	if (t->levels.l0_done < t->trim_to)
		t->trim_to = t->levels.l0_done;
	if (folder && t->trim_to)
		os_dir_list(folder, trim_visit, t, NULL);
	free(folder);
}

static void levels_job_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct levels_run_options o = {
		.replicated_txid = t->replicated_txid,
		.now_ms = os_wall_ms(),
		.snapshot = t->snapshot,
		.force_snapshot = t->force_snapshot,
		.cancel = &t->m->no_levels,
	};

	t->rc = lease_keep(t->outlet, t->term, &t->why);
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
	if (err_no_descriptor(why)) {
		o->levels_retry_us = os_mono_us() + OUTLET_RETRY_MS * 1000;
		turns_tell_limit(o->m);
		return;
	}
	o->levels_retry_us = backoff_fail(&o->levels_errors, OUTLET_RETRY_MS, why, &say);
	if (say && !o->errors.errors) /* of a replica that takes no upload that has been told */
		log_error("compaction error", LS("system", "store"), LS("db", db_name(o->m->db)),
		          LS("replica", kind(o)),
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
	o->snapshotting = false;
	lease_explain(o, &t->why);
	job_ends(o, &o->levelling);
	levels_note(o, &t->levels);
	if (t->rc)
		levels_failed(o, &t->why);
	else
		backoff_clear(&o->levels_errors);
	if (!t->rc)
		o->levels_retry_us = os_mono_us() + OUTLET_RETRY_MS * 1000;
	if (stopping)
		stop_after_sync(m, 0, NULL);
	else
		go_on(m);
	job_is_over(t);
}

static void snapshot_run(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;

	t->rc = db_snapshot_begin(t->m->db, &t->snapshot, &t->why);
}

/* What a snapshot found unread it has made a file of, as a sync does. */
static void note_files_of_snapshot(struct managed *m)
{
	uint64_t txid = db_txid(m->db);

	if (txid <= m->txid)
		return;
	m->txid = txid;
	m->quiet_since_us = os_mono_us();
	if (!m->behind_since_us)
		m->behind_since_us = m->quiet_since_us;
	store_tell(m, STORE_EVENT_SYNCED, "");
}

/* What is to be copied stands fixed: the database is free again, the outlet goes on with it. */
static void snapshot_begun(struct pool_job *job)
{
	struct task *t = (struct task *)(void *)job;
	struct managed *m = t->m;
	bool stopping = m->stop != STOP_NOT, begun = !t->rc;

	m->syncing = false;
	note_files_of_snapshot(m);
	if (begun) {
		task_resubmit(t, m->s->outlet_pool, levels_job_run, levels_done);
	} else {
		task_leave_gate(t);
		t->outlet->snapshotting = false;
		job_ends(t->outlet, &t->outlet->levelling);
		levels_failed(t->outlet, &t->why);
	}
	turns_end(m);
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
		m->quiet_since_us = 0; /* nobody has written: it may rest as soon as that is done */
		return;
	}
	if (with_db && (m->syncing || m->sync_errors.errors || !db_is_open(m->db) || outlets_snapshotting(m)))
		return; /* so does the job that runs, or will */
	t = task_create(m, o);
	if (!t)
		return;
	t->local_txid = m->txid;
	t->replicated_txid = o->position;
	t->term = lease_term(o);
	t->trim_to = others_done(o);
	t->force_snapshot = o->snapshot_wanted;
	job_begins(o, &o->levelling);
	if (!with_db) {
		task_submit(t, s->outlet_pool, &s->levels, levels_job_run, levels_done);
		return;
	}
	if (s->copies.running >= s->copies.most) {
		/* Not in the queue with the database in its hand. */
		s->outlets_busy--;
		o->levelling = false;
		o->levels_retry_us = os_mono_us() + OUTLET_RETRY_MS * 1000;
		free(t);
		return;
	}
	m->syncing = o->snapshotting = true;
	loop_timer_clear(s->o.loop, &m->timer);
	task_submit(t, s->pool, &s->copies, snapshot_run, snapshot_begun);
}
