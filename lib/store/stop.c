/* SPDX-License-Identifier: MIT */
/*
 * stop.c - how a database stops: last sync, last uploads with retries, close. All databases go through it side by side
 * and share one time-out.
 */
#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

static void go(struct managed *m, enum stop_step next)
{
	m->stop = next;
	switch (next) {
	case STOP_SYNC:
		m->final_sync = true;
		jobs_sync(m, DB_SYNC_NO_CHECKPOINT);
		break;
	case STOP_UPLOAD:
		jobs_upload(m);
		break;
	case STOP_CLOSE:
		jobs_close(m);
		break;
	case STOP_NOT:
	case STOP_DONE:
		break;
	}
}

/* Jobs that were under way when the stop came are waited for; then the last sync sees the last commits. */
static void after_jobs(struct managed *m)
{
	if (m->syncing || m->uploading)
		return;
	if (!m->final_sync)
		go(m, STOP_SYNC);
	else
		go(m, m->txid ? STOP_UPLOAD : STOP_CLOSE);
}

static void on_retry_timer(struct loop_timer *t)
{
	go((struct managed *)(void *)((char *)t - offsetof(struct managed, timer)), STOP_UPLOAD);
}

void stop_begin(struct managed *m)
{
	loop_timer_clear(m->s->o.loop, &m->timer);
	loop_timer_clear(m->s->o.loop, &m->upload_timer);
	loop_watch_remove(m->s->o.loop, &m->wal_watch);
	loop_watch_remove(m->s->o.loop, &m->dir_watch);
	m->stop = STOP_SYNC;
	after_jobs(m);
}

void stop_after_sync(struct managed *m, int rc, const struct err *why)
{
	if (rc && m->final_sync)
		log_error("failed to close database", LS("system", "store"), LS("db", db_name(m->db)), LS("error", err_text(why)));
	after_jobs(m);
}

void stop_after_upload(struct managed *m, int rc, const struct err *why)
{
	const struct store *s = m->s;
	int64_t now = os_mono_us();

	if (m->stop == STOP_SYNC) {
		after_jobs(m);
		return;
	}
	m->stop_attempts++;
	if (rc == UPLOAD_DRAINED) {
		if (m->stop_attempts > 1)
			log_info("shutdown sync succeeded after retry", LS("system", "store"), LS("db", db_name(m->db)),
			         LI("attempts", m->stop_attempts));
	} else if (rc >= 0) {
		log_warn("shutdown sync left files that need a full copy at the next start", LS("system", "store"),
		         LS("db", db_name(m->db)));
	} else if (atomic_load(&s->cancel)) {
		log_warn("shutdown sync interrupted by signal", LS("system", "store"), LS("db", db_name(m->db)));
	} else if (now + s->o.shutdown_interval_ms * 1000 < s->stop_deadline_us) {
		log_warn("shutdown sync failed, retrying (press Ctrl+C again to skip)", LS("system", "store"),
		         LS("db", db_name(m->db)), LI("attempts", m->stop_attempts), LS("error", err_text(why)),
		         LD("elapsed", (now - s->stop_began_us) * 1000), LD("remaining", (s->stop_deadline_us - now) * 1000));
		m->timer.fire = on_retry_timer;
		loop_timer_set(s->o.loop, &m->timer, now + s->o.shutdown_interval_ms * 1000, 0);
		return;
	} else {
		log_error("shutdown sync failed after timeout", LS("system", "store"), LS("db", db_name(m->db)),
		          LI("attempts", m->stop_attempts), LS("error", err_text(why)));
	}
	go(m, STOP_CLOSE);
}

void stop_after_close(struct managed *m)
{
	struct store *s = m->s;

	m->stop = STOP_DONE;
	managed_set_state(m, MANAGED_STOPPED, NULL);
	if (--s->left == 0 && s->o.stopped)
		s->o.stopped(s->o.ctx);
}
