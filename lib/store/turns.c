/* SPDX-License-Identifier: MIT */
/*
 * turns.c - who may be open where there are not descriptors for all.
 *
 * An open database takes up to eight descriptors. So many may be open at once as leave enough for everything else
 * (store_options.open_max); where others have taken those, a failure tells, and the bound comes down for a while.
 * Whoever finds no room stands in a queue. While somebody does, the others let go sooner: a quiet one is put to rest
 * soon, a busy one is closed after its turn and stands at the queue's end (its next turn begins with the proof of
 * prove.c, like a restart). What it has read by then is uploaded from local files, for which it need not be open.
 */
#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

static bool room(const struct store *s) { return !s->open_most || s->open_count < s->open_most; }

void turns_tell_limit(struct managed *m)
{
	struct store *s = m->s;
	int64_t now = os_mono_us();

	if (s->starved_told_us && now - s->starved_told_us < ERROR_LOG_EVERY_US)
		return;
	s->starved_told_us = now;
	log_error("limit of open files reached, databases take turns (raise ulimit -n)", LS("system", "store"),
	          LS("db", db_name(m->db)), LI("open", s->open_count), LI("waiting", s->starved));
}

void turns_leave(struct managed *m)
{
	struct store *s = m->s;

	if (!m->starved)
		return;
	m->starved = false;
	s->starved--;
	*m->turn_link = m->turn_next;
	if (m->turn_next)
		m->turn_next->turn_link = m->turn_link;
	else
		s->turn_end = m->turn_link;
	m->turn_next = NULL;
}

static void give_seat(struct managed *m)
{
	m->s->open_count -= m->seated;
	m->seated = false;
}

void turns_wait(struct managed *m)
{
	struct store *s = m->s;
	bool first = !s->starved && !s->stopping;

	if (m->starved)
		return;
	m->starved = true;
	s->starved++;
	m->turn_next = NULL;
	m->turn_link = s->turn_end;
	*s->turn_end = m;
	s->turn_end = &m->turn_next;
	if (m->stop == STOP_NOT)
		managed_set_state(m, MANAGED_WAITING, "waits for its turn: there are too few file descriptors");
	turns_tell_limit(m);
	/* Whoever is quiet may let go sooner than it would. */
	for (struct managed *other = s->first; first && other; other = other->next) {
		if (other != m)
			managed_consider(other);
	}
}

bool turns_begin(struct managed *m)
{
	if (m->seated)
		return true;
	if (!room(m->s)) {
		m->retry_us = 0;
		turns_wait(m);
		return false;
	}
	turns_leave(m);
	m->seated = true;
	m->s->open_count++;
	m->turn_began_us = os_mono_us();
	return true;
}

static void feed(struct store *s)
{
	while (s->turn_first && room(s) && s->turn_first->retry_us <= os_mono_us()) {
		struct managed *m = s->turn_first;

		if (m->stop != STOP_NOT)
			jobs_sync(m, DB_SYNC_NO_CHECKPOINT);
		else
			managed_begin_sync(m, 0);
		if (m == s->turn_first)
			return; /* there is no memory for its job */
	}
}

void turns_end(struct managed *m)
{
	if (!m->seated || m->syncing || db_is_open(m->db))
		return;
	give_seat(m);
	feed(m->s);
}

bool turns_failed(struct managed *m)
{
	struct store *s = m->s;

	give_seat(m);
	if (m->stop != STOP_NOT && !s->open_count)
		return false; /* nobody will make room for it */
	s->open_most = s->open_count ? s->open_count : 1;
	m->retry_us = os_mono_us() + STARVED_LOOK_US;
	turns_wait(m);
	return true;
}

int64_t turns_due(const struct managed *m)
{
	/* A snapshot has a connection of its own, and the file must stay in the table of inodes as long. */
	if (!m->s->starved || !m->seated || outlets_snapshotting(m))
		return 0;
	return m->turn_began_us + (outlets_want_snapshot(m) ? TURN_SNAPSHOT_US : TURN_US);
}

void turns_consider(struct managed *m, int64_t now)
{
	if (m->retry_us > now)
		loop_timer_set(m->s->o.loop, &m->timer, m->retry_us, 0);
	else if (room(m->s))
		managed_begin_sync(m, 0);
}

void turns_widen(struct store *s)
{
	if (s->open_most == s->o.open_max)
		return;
	s->open_most += 1 + s->open_most / 8;
	if (s->o.open_max ? s->open_most > s->o.open_max : !s->starved)
		s->open_most = s->o.open_max;
	feed(s);
}
