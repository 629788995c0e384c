/* SPDX-License-Identifier: MIT */
/*
 * managed.c - one database's life: when it is looked at, and what is done then.
 *
 *             file appears                error
 *   WAITING ----------------> ACTIVE ----------------> PAUSED
 *      ^                       |  ^                      |
 *      +-------- file gone ----+  +----- sync works -----+         stop.c: any -> STOPPED
 *
 * How a commit is noticed. A one-shot inotify watch on the WAL fires at the first write after a rest; it is armed again
 * when a sync begins or when the database comes to rest, so a stream of writes costs one event a sync, not one a write.
 * SQLite publishes a commit in the wal-index just after its last write to the log, and nothing announces that: so after
 * an event the mapped wal-index is looked at (no system call) at once, then after 1, 2, 4 … ms until it has moved.
 * A change after a quiet time is taken at once; in a steady stream syncs begin monitor-interval apart, but never let
 * more than EARLY_SYNC_BYTES wait. A slow look every 20 s catches what events cannot (some file systems), and every
 * third one proves the position against the WAL from scratch.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

const char *managed_state_name(enum managed_state s)
{
	static const char *const names[] = { "waiting", "active", "paused", "stopped" };

	return names[s];
}

void managed_set_state(struct managed *m, enum managed_state state, const char *reason)
{
	if (state != m->state)
		log_debug("state", LS("system", "store"), LS("db", db_name(m->db)),
		          LS("from", managed_state_name(m->state)),
		          LS("to", managed_state_name(state)));
	if (state == MANAGED_PAUSED && m->state != MANAGED_PAUSED)
		store_tell(m, STORE_EVENT_PAUSED, reason);
	m->state = state;
	free(m->reason);
	m->reason = reason ? strdup(reason) : NULL;
}

static void arm(struct managed *m, int64_t due_us, int64_t slack_us)
{
	loop_timer_set(m->s->o.loop, &m->timer, due_us, slack_us);
}

void managed_tell_no_events(struct managed *m, const struct err *why)
{
	if (m->watch_told)
		return;
	m->watch_told = true;
	log_warn("no file events for database, looking every monitor-interval instead", LS("system", "store"),
	         LS("db", db_name(m->db)), LS("error", err_text(why)));
}

void managed_arm_wal_watch(struct managed *m)
{
	struct err why = ERR_INIT;

	if (!managed_monitored(m) || m->wal_watch.wd || (!db_is_open(m->db) && !m->dormant))
		return;
	if (loop_watch_add(m->s->o.loop, &m->wal_watch, db_wal_path(m->db), IN_MODIFY | IN_ONESHOT, &why) &&
	    !err_is(&why, ERR_NOT_FOUND))
		managed_tell_no_events(m, &why);
}

void managed_begin_sync(struct managed *m, unsigned flags)
{
	loop_timer_clear(m->s->o.loop, &m->timer);
	m->last_sync_us = os_mono_us();
	m->look_step_us = 0;
	m->files_moved = m->sync_asked = false;
	if (m->state == MANAGED_WAITING && m->quiet_looks)
		m->quiet_looks++;
	else
		m->quiet_looks = 0;
	/* Before the job reads: whatever is written later than that fires again. */
	managed_arm_wal_watch(m);
	jobs_sync(m, flags);
}

static void start_sync(struct managed *m)
{
	managed_begin_sync(m, 0);
}

void managed_sync_now(struct managed *m)
{
	if (m->dormant)
		dormant_wake(m);
	else if (m->syncing || m->blocked)
		m->sync_asked = true;
	else
		start_sync(m);
}

/* One that no commit has asked for: a checkpoint by time, a proof. The next commit after a quiet time waits for none. */
static void start_own_sync(struct managed *m)
{
	int64_t last = m->last_sync_us;

	start_sync(m);
	m->last_sync_us = last;
}

/*
 * How long may a growing WAL be left alone before EARLY_SYNC_BYTES of it are unread? Half of what its rate says,
 * because the rate may rise; and not much longer than last time, because it may rise steeply. A writer that has been
 * still for a while tells by an event that it goes on: looking at ever greater distances would let it write a second's
 * worth unseen.
 */
static int64_t time_to_grow(struct managed *m, int64_t now, int64_t unread)
{
	int64_t elapsed = now - m->last_look_us, grown = unread - m->last_unread, wait = INT64_MAX;

	if (grown > 0 && elapsed > 0)
		wait = (EARLY_SYNC_BYTES - unread) / (grown / elapsed + 1) / 2;
	m->look_step_us = m->look_step_us ? m->look_step_us * 2 : LOOK_FIRST_US;
	m->last_look_us = now;
	m->last_unread = unread;
	if (m->look_step_us > LOOK_MAX_US) {
		m->look_step_us = LOOK_MAX_US;
		if (grown <= 0 && !m->watch_told) {
			managed_arm_wal_watch(m);
			m->look_step_us = 0;
			return INT64_MAX;
		}
	}
	if (wait > m->look_step_us)
		wait = m->look_step_us;
	return wait < LOOK_MIN_US ? LOOK_MIN_US : wait;
}

/* Something is committed: now, or when monitor-interval or the size says so. */
static void consider_change(struct managed *m, int64_t now)
{
	int64_t allowed = m->last_sync_us + (int64_t)m->monitor_interval_ms * 1000, unread = db_unread_bytes(m->db), wait;

	m->quiet_looks = 0;
	if (now >= allowed || unread >= EARLY_SYNC_BYTES) {
		start_sync(m);
		return;
	}
	wait = time_to_grow(m, now, unread);
	arm(m, wait < allowed - now ? now + wait : allowed, 0);
}

/* Written to, but nothing is published yet: look again, at growing distances, then trust the watch. */
static void consider_silence(struct managed *m, int64_t now)
{
	int step = m->quiet_looks++ - 1;

	/* A transaction that is still growing would fire all the time; soon it may: what comes next must not wait for a look. */
	if (step >= WATCH_AGAIN_LOOK)
		managed_arm_wal_watch(m);
	if (m->quiet_looks > QUIET_LOOKS_MAX)
		m->quiet_looks = 0;
	else
		arm(m, now + ((int64_t)1000 << (step < 10 ? step : 10)), 0);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* Nothing is going on: the watch is armed; what remains is a checkpoint by time, letting go, or polling where events do not
 * work. */
static void rest(struct managed *m, int64_t now)
{
	int64_t due = db_checkpoint_due_us(m->db), sleep_us = 0;

	managed_arm_wal_watch(m);
	if (m->outlets[0].position_known && m->outlets[0].position >= m->txid)
		m->behind_since_us = 0; /* what was written was no commit */
	if (dormant_try(m, now, &sleep_us))
		return;
	/* What will be moved to the database when it is let go of needs no checkpoint before. */
	if (due && dormant_expected(m))
		due = 0;
	if (due && due <= now) {
		start_own_sync(m);
		return;
	}
	due = earlier(due, sleep_us);
	if (m->watch_told && (!due || due > now + (int64_t)m->monitor_interval_ms * 1000))
		due = now + (int64_t)m->monitor_interval_ms * 1000;
	if (due)
		arm(m, due, m->s->starved ? 0 : 500 * 1000);
}

/* A file that has just appeared gets its first page within milliseconds, and nothing tells us when. */
static void consider_waiting(struct managed *m, int64_t now)
{
	int64_t interval = (int64_t)m->monitor_interval_ms * 1000, allowed = m->last_sync_us + interval;

	if (m->quiet_looks && m->quiet_looks < QUIET_LOOKS_MAX) {
		int64_t soon = m->last_sync_us + ((int64_t)WAITING_LOOK_US << (m->quiet_looks < 8 ? m->quiet_looks : 8));

		allowed = soon < allowed ? soon : allowed;
	}
	if (now >= allowed)
		start_sync(m);
	else
		arm(m, allowed, 0);
}

static void consider_paused(struct managed *m, int64_t now)
{
	int64_t due = m->retry_us;

	if (m->waits.first && due > m->last_sync_us + BACKOFF_WAITED_US)
		due = m->last_sync_us + BACKOFF_WAITED_US;
	if (now >= due)
		start_sync(m);
	else
		arm(m, due, 0);
}

static void consider_active(struct managed *m, int64_t now)
{
	int64_t again = m->last_sync_us + (int64_t)m->monitor_interval_ms * 1000;

	if ((m->reset_wanted && outlets_reset_possible(m)) || m->files_moved || (!db_is_open(m->db) && now >= again))
		start_sync(m);
	else if (!db_is_open(m->db))
		arm(m, again, 0);
	else if (db_changed(m->db))
		consider_change(m, now);
	else if (m->quiet_looks && !m->s->starved) /* while others wait, the sync that ends its turn will soon tell */
		consider_silence(m, now);
	else
		rest(m, now);
}

/* Others wait to be open: at the end of its turn it is closed. true: the job for that has begun. */
static bool makes_way(struct managed *m, int64_t now)
{
	int64_t due = turns_due(m);

	if (!due || m->syncing)
		return false;
	if (now < due) {
		if (!loop_timer_armed(&m->timer) || m->timer.due_us > due)
			arm(m, due, 0);
		return false;
	}
	managed_begin_sync(m, SYNC_YIELDS | (dormant_possible(m) && outlets_drained(m) ? DB_SYNC_REST : 0));
	return true;
}

void managed_consider(struct managed *m)
{
	int64_t now = os_mono_us();

	if (m->syncing || m->stop != STOP_NOT || m->dormant || m->blocked || m->state == MANAGED_STOPPED)
		return;
	if (m->starved) {
		turns_consider(m, now);
		return;
	}
	if (m->sync_asked) {
		start_sync(m);
		return;
	}
	if (makes_way(m, now) || !managed_monitored(m))
		return;
	switch ((enum managed_state)m->state) {
	case MANAGED_WAITING:
		consider_waiting(m, now);
		break;
	case MANAGED_PAUSED:
		consider_paused(m, now);
		break;
	case MANAGED_ACTIVE:
		consider_active(m, now);
		break;
	case MANAGED_STOPPED:
		break;
	}
	makes_way(m, now);
}

static void on_timer(struct loop_timer *t)
{
	managed_consider((struct managed *)(void *)((char *)t - offsetof(struct managed, timer)));
}

static void on_wal_event(struct loop_watch *w, uint32_t mask, const char *name)
{
	struct managed *m = (struct managed *)(void *)((char *)w - offsetof(struct managed, wal_watch));

	(void)name;
	if (m->dormant) {
		if (mask & IN_MODIFY)
			dormant_wake(m);
		else
			dormant_look(m);
		return;
	}
	if (!m->behind_since_us)
		m->behind_since_us = os_mono_us();
	m->quiet_looks = 1;
	m->overlooked = 0;
	if (!loop_timer_armed(&m->timer) || m->state == MANAGED_ACTIVE)
		managed_consider(m);
}

void managed_files_moved(struct managed *m, const char *which, uint32_t mask)
{
	bool companion = which && which[0];

	if (m->stop != STOP_NOT || m->blocked || m->state == MANAGED_STOPPED || !managed_monitored(m))
		return;
	if (m->dormant) {
		dormant_look(m);
		return;
	}
	/* Our own connections make -wal and -shm; what matters comes as a rename or a deletion before. */
	if (m->state == MANAGED_ACTIVE && (mask & IN_CREATE))
		return;
	if (m->syncing) {
		m->files_moved = true; /* perhaps after the job had looked: another one will */
		return;
	}
	/* What cannot be used is tried later and later, unless another file has taken its place. */
	if (m->state == MANAGED_PAUSED && (companion || (mask & (IN_DELETE | IN_MOVED_FROM))))
		return;
	m->quiet_looks = m->state == MANAGED_WAITING;
	start_sync(m);
}

/* A commit that should have been taken by now, and for which nothing is under way but perhaps a checkpoint some day. */
static bool overlooked(struct managed *m)
{
	return !m->quiet_looks && os_mono_us() >= m->last_sync_us + (int64_t)m->monitor_interval_ms * 1000 &&
	       db_changed(m->db);
}

void managed_slow_look(struct managed *m, bool prove)
{
	if (m->syncing || m->stop != STOP_NOT || m->blocked || m->state == MANAGED_STOPPED || !managed_monitored(m))
		return;
	home_watch(m);
	if (m->state == MANAGED_ACTIVE && overlooked(m)) {
		m->overlooked++;
		if (m->overlooked == 2 && m->wal_watch.wd) {
			/* Commits without events: this file system tells nobody. */
			struct err why = ERR_INIT;

			err_set(&why, ERR_SYSTEM, "commits came without an event");
			managed_tell_no_events(m, &why);
		}
		start_sync(m);
		return;
	}
	if (m->state == MANAGED_WAITING && !m->starved)
		start_sync(m);
	else if (prove && m->state == MANAGED_ACTIVE)
		start_own_sync(m);
	else if (!loop_timer_armed(&m->timer))
		managed_consider(m);
}

static bool predecessor_leaves(const struct managed *m)
{
	for (const struct managed *old = m->s->leaving; old; old = old->next) {
		if (!strcmp(db_path(old->db), db_path(m->db)))
			return true;
	}
	return false;
}

void managed_start(struct managed *m)
{
	bool waited = m->blocked;

	m->timer = (struct loop_timer){ .fire = on_timer };
	m->wal_watch = (struct loop_watch){ .event = on_wal_event };
	m->opening = true;
	m->synced_once = m->final_sync = false;
	m->stop_attempts = m->penalties = m->rest_failures = 0;
	m->awake_until_us = m->retry_us = 0;
	m->quiet_since_us = os_mono_us();
	backoff_clear(&m->sync_errors);
	outlets_start(m);
	atomic_store(&m->cancel, false);
	atomic_store(&m->no_levels, false);
	/* It still has the files; whoever buries it starts this one. */
	m->blocked = predecessor_leaves(m);
	managed_set_state(m, MANAGED_WAITING, m->blocked ? "its predecessor is still being closed" : NULL);
	if (!waited)
		store_tell(m, STORE_EVENT_STARTED, "");
	if (m->blocked)
		return;
	home_watch(m);
	if (managed_monitored(m) || m->sync_asked)
		start_sync(m);
}
