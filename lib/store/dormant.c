/* SPDX-License-Identifier: MIT */
/*
 * dormant.c - letting go of a database that nobody writes to, and taking it up again.
 *
 * A database at rest has no connection, no descriptor, no lock, no timer of its own; what remains is a watch on its WAL
 * and its share in the watch on its folder. That is enough only where events can be had. What lies between letting go
 * and taking up is settled by lib/db (rest.c, prove.c). Where that ends in a full copy, the application is one that
 * opens, writes and closes at once: such a database is kept open for a day, then two, and so on.
 *
 * The order everywhere: first the watch is armed, then the files are looked at, so nothing falls in between.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

/* SQLite keeps the WAL of a linked database beside the file itself, in a folder that nobody watches. */
static bool wal_is_at_home(const struct managed *m)
{
	const char *path = db_path(m->db), *wal = db_wal_path(m->db);
	size_t n = strlen(path);

	return !strncmp(wal, path, n) && !strcmp(wal + n, "-wal");
}

bool dormant_possible(const struct managed *m)
{
	return m->idle_timeout_ms > 0 && managed_monitored(m) && !m->watch_told && m->home->watch.wd &&
	       !m->home->silent && wal_is_at_home(m);
}

bool dormant_expected(const struct managed *m)
{
	return dormant_possible(m) && !m->rest_failures && os_mono_us() >= m->awake_until_us;
}

bool dormant_try(struct managed *m, int64_t now, int64_t *due_us)
{
	int64_t idle_ms = m->idle_timeout_ms, due, last = m->last_sync_us;

	if (!dormant_possible(m))
		return false;
	if (m->s->starved && idle_ms > TURN_IDLE_MS)
		idle_ms = TURN_IDLE_MS;
	due = m->quiet_since_us + (idle_ms * 1000 << m->rest_failures);
	if (due < m->awake_until_us && !m->s->starved)
		due = m->awake_until_us;
	/* What is still under way asks again at its end. */
	if (m->waits.first || outlets_busy(m) || !outlets_drained(m) || outlets_want_snapshot(m))
		return false;
	if (now < due || !m->wal_watch.wd) {
		*due_us = due > now ? due : now + STARVED_LOOK_US;
		return false;
	}
	managed_begin_sync(m, DB_SYNC_REST | DB_SYNC_NO_CHECKPOINT);
	m->last_sync_us = last; /* the next commit waits for nothing */
	return true;
}

void dormant_begin(struct managed *m)
{
	m->dormant = true;
	m->files_moved = false;
	m->quiet_looks = m->rest_failures = 0;
	loop_timer_clear(m->s->o.loop, &m->timer);
	for (int i = 0; i < m->outlet_count; i++) {
		if (!m->outlets[i].uploading && !m->outlets[i].levelling)
			levels_rest(m->outlets[i].levels);
	}
	log_debug("database is at rest", LS("system", "store"), LS("db", db_name(m->db)));
	store_tell(m, STORE_EVENT_DORMANT, "");
	if (m->sync_asked)
		dormant_wake(m);
	else
		dormant_look(m);
}

void dormant_wake(struct managed *m)
{
	if (!m->dormant)
		return;
	managed_arm_wal_watch(m);
	m->dormant = false;
	m->woken = true;
	m->quiet_since_us = os_mono_us();
	if (!m->behind_since_us)
		m->behind_since_us = m->quiet_since_us;
	log_debug("database wakes up", LS("system", "store"), LS("db", db_name(m->db)));
	store_tell(m, STORE_EVENT_AWAKE, "");
	managed_begin_sync(m, 0);
}

void dormant_look(struct managed *m)
{
	if (!m->dormant)
		return;
	managed_arm_wal_watch(m);
	if (!home_watch(m) || m->watch_told || db_stirred(m->db))
		dormant_wake(m);
}

void dormant_woken(struct managed *m, const struct db_sync_result *r)
{
	int64_t day_us = (int64_t)WAKE_PENALTY_MS * 1000;

	m->woken = false;
	if (!r->copies)
		return;
	m->awake_until_us = os_mono_us() + (day_us << m->penalties);
	if (m->penalties < WAKE_PENALTY_DOUBLINGS)
		m->penalties++;
	log_info("a database that was let go of needed a full copy, keeping it open", LS("system", "store"),
	         LS("db", db_name(m->db)), LD("for", (m->awake_until_us - os_mono_us()) * 1000));
}
