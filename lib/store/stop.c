/* SPDX-License-Identifier: MIT */
/*
 * stop.c - how a database stops: last sync, last uploads with retries, close. At the end of the program all go through
 * it side by side and share one time-out; by request, one does alone.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

static void after_jobs(struct managed *m);

static void keep_error(struct managed *m, const struct err *why)
{
	if (!m->stop_error)
		m->stop_error = strdup(err_text(why));
}

static void last_uploads(struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++)
		m->outlets[i].stop_done = false;
	for (int i = 0; i < m->outlet_count; i++)
		outlet_last_upload(&m->outlets[i]);
	after_jobs(m);
}

static bool leased(const struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		if (lease_held(&m->outlets[i]))
			return true;
	}
	return false;
}

static void go(struct managed *m, enum stop_step next)
{
	m->stop = next;
	switch (next) {
	case STOP_SYNC:
		m->final_sync = true;
		/* Known to be as it was, and all of it is where it belongs. */
		if (!db_is_open(m->db) && !db_stirred(m->db))
			after_jobs(m);
		else
			jobs_sync(m, DB_SYNC_NO_CHECKPOINT);
		break;
	case STOP_UPLOAD:
		last_uploads(m);
		break;
	case STOP_CLOSE:
		if (db_is_open(m->db) || leased(m))
			jobs_close(m);
		else
			stop_after_close(m);
		break;
	case STOP_NOT:
		break;
	}
}

static bool uploads_over(const struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		if (!m->outlets[i].stop_done)
			return false;
	}
	return true;
}

/* Jobs that were under way when the stop came are waited for; then the last sync sees the last commits. */
static void after_jobs(struct managed *m)
{
	if (m->syncing || m->starved || outlets_busy(m))
		return;
	if (m->stop == STOP_UPLOAD) {
		if (uploads_over(m))
			go(m, STOP_CLOSE);
	} else if (!m->final_sync) {
		go(m, STOP_SYNC);
	} else {
		go(m, m->synced_once && m->txid ? STOP_UPLOAD : STOP_CLOSE);
	}
}

static void on_retry_timer(struct loop_timer *t)
{
	struct managed *m = (struct managed *)(void *)((char *)t - offsetof(struct managed, outlet_timer));

	for (int i = 0; i < m->outlet_count; i++) {
		if (!m->outlets[i].uploading && !m->outlets[i].stop_done)
			outlet_last_upload(&m->outlets[i]);
	}
	after_jobs(m);
}

void managed_cancel(struct managed *m)
{
	atomic_store(&m->cancel, true);
	for (int i = 0; i < m->outlet_count; i++)
		lease_cancel(&m->outlets[i]);
}

static void on_deadline(struct loop_timer *t)
{
	struct managed *m = (struct managed *)(void *)((char *)t - offsetof(struct managed, timer));

	managed_cancel(m);
	if (m->starved) {
		struct err why = ERR_INIT;

		turns_leave(m);
		err_set(&why, ERR_LIMIT, "there were too few file descriptors");
		stop_after_sync(m, -1, &why);
	}
}

void stop_hurry(struct managed *m, int64_t deadline_us)
{
	const struct store *s = m->s;
	int64_t own = s->o.shutdown_timeout_ms ? os_mono_us() + s->o.shutdown_timeout_ms * 1000 : 0;

	if (deadline_us && (!own || deadline_us < own))
		own = deadline_us;
	if (m->stop_deadline_us && (!own || m->stop_deadline_us < own))
		own = m->stop_deadline_us;
	m->stop_deadline_us = own;
	m->timer.fire = on_deadline;
	if (own)
		loop_timer_set(s->o.loop, &m->timer, own, 0);
	if (s->interrupted)
		managed_cancel(m);
}

void stop_begin(struct managed *m, int64_t deadline_us)
{
	struct loop *l = m->s->o.loop;

	loop_timer_clear(l, &m->timer);
	loop_timer_clear(l, &m->outlet_timer);
	loop_watch_remove(l, &m->wal_watch);
	turns_leave(m);
	m->stop = STOP_SYNC;
	m->final_sync = false;
	m->stop_attempts = 0;
	m->stop_deadline_us = 0;
	free(m->stop_error);
	m->stop_error = NULL;
	atomic_store(&m->no_levels, true);
	stop_hurry(m, deadline_us);
	if (m->blocked)
		go(m, STOP_CLOSE); /* it never began */
	else
		after_jobs(m);
}

void stop_after_sync(struct managed *m, int rc, const struct err *why)
{
	if (rc && m->final_sync) {
		log_error("failed to close database", LS("system", "store"), LS("db", db_name(m->db)),
		          LS("error", err_text(why)));
		keep_error(m, why);
	}
	after_jobs(m);
}

static void upload_ended(struct outlet *o, int rc, const struct err *why)
{
	struct managed *m = o->m;
	const struct store *s = m->s;
	int64_t now = os_mono_us(), until = m->stop_deadline_us;

	m->stop_attempts++;
	o->stop_done = true;
	if (rc == UPLOAD_DRAINED) {
		if (m->stop_attempts > m->outlet_count)
			log_info("shutdown sync succeeded after retry", LS("system", "store"), LS("db", db_name(m->db)),
			         LI("attempts", m->stop_attempts));
	} else if (rc >= 0) {
		log_warn("shutdown sync left files that need a full copy at the next start", LS("system", "store"),
		         LS("db", db_name(m->db)));
	} else if (s->interrupted) {
		log_warn("shutdown sync interrupted by signal", LS("system", "store"), LS("db", db_name(m->db)));
		keep_error(m, why);
	} else if (lease_refused(o)) {
		log_warn("shutdown sync left files: the replica is not ours", LS("system", "store"),
		         LS("db", db_name(m->db)),
		         LS("error", err_text(why)));
		keep_error(m, why);
	} else if (until && now + s->o.shutdown_interval_ms * 1000 < until && !atomic_load(&m->cancel)) {
		log_warn("shutdown sync failed, retrying (press Ctrl+C again to skip)", LS("system", "store"),
		         LS("db", db_name(m->db)), LI("attempts", m->stop_attempts), LS("error", err_text(why)),
		         LD("elapsed", (now - m->last_sync_us) * 1000), LD("remaining", (until - now) * 1000));
		o->stop_done = false;
		m->outlet_timer.fire = on_retry_timer;
		if (!loop_timer_armed(&m->outlet_timer))
			loop_timer_set(s->o.loop, &m->outlet_timer, now + s->o.shutdown_interval_ms * 1000, 0);
	} else {
		log_error("shutdown sync failed after timeout", LS("system", "store"), LS("db", db_name(m->db)),
		          LI("attempts", m->stop_attempts), LS("error", err_text(why)));
		keep_error(m, why);
	}
}

void stop_after_upload(struct outlet *o, int rc, const struct err *why)
{
	if (o->m->stop == STOP_UPLOAD)
		upload_ended(o, rc, why);
	after_jobs(o->m);
}

void stop_after_close(struct managed *m)
{
	struct store *s = m->s;

	loop_timer_clear(s->o.loop, &m->timer);
	loop_timer_clear(s->o.loop, &m->outlet_timer);
	turns_leave(m);
	m->stop = STOP_NOT;
	m->dormant = m->woken = m->blocked = m->sync_asked = false;
	m->behind_since_us = 0;
	m->uncopied = false;
	managed_set_state(m, MANAGED_STOPPED, NULL);
	store_tell(m, STORE_EVENT_STOPPED, "");
	waits_refuse(m);
	turns_end(m);
	ops_stopped(m);
	if (s->stopping && --s->left == 0 && s->o.stopped)
		s->o.stopped(s->o.ctx);
}
