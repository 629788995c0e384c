/* SPDX-License-Identifier: MIT */
/* driver.c - commands to the application and to the engine, and the books that the model keeps about them. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/os/fault.h"
#include "lib/store/upload.h"
#include "tests/model/model.h"

void fail(struct model *m, const char *fmt, ...)
{
	va_list args;

	if (m->failed)
		return;
	m->failed = true;
	va_start(args, fmt);
	vsnprintf(m->why, sizeof(m->why), fmt, args);
	va_end(args);
	trace(m, "FAILED: %s", m->why);
}

void trace(struct model *m, const char *fmt, ...)
{
	va_list args;

	if (!m->trace)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

void drive_clock(struct model *m, int64_t us)
{
	m->mono_us += us;
	m->wall_ms += us / 1000;
}

static struct request request(struct model *m, enum command cmd)
{
	if (m->bucket)
		atomic_store(&m->bucket->wall_ms, m->wall_ms);
	return (struct request){ .cmd = cmd, .seed = rng_next(&m->rng), .wall_ms = m->wall_ms, .mono_us = m->mono_us,
	                         .boot = m->boot };
}

/* Who can be reached, for a command of the engine. Where local state was lost all must be asked which TXID is next. */
static struct request engine_request(struct model *m, enum command cmd, bool quiet)
{
	struct request q = request(m, cmd);

	q.down = quiet || m->damaged ? 0 : m->down;
	return q;
}

static void ended(struct model *m, const char *who, const struct proc *p, const struct request *q)
{
	if (q->fault_mode == OS_FAULT_KILL && WIFSIGNALED(p->status) && WTERMSIG(p->status) == SIGKILL) {
		m->stats.kills++;
		trace(m, "%s killed at kernel call %llu", who, (unsigned long long)q->fault_at);
	} else {
		fail(m, "%s ended by itself: status %x, signal %d", who, (unsigned)p->status,
		     WIFSIGNALED(p->status) ? WTERMSIG(p->status) : 0);
	}
}

static void note_clock(struct model *m, const struct reply *r)
{
	if (r->mono_us > m->mono_us)
		drive_clock(m, r->mono_us - m->mono_us);
}

/* What may happen during a command: a death, or a fault, at one of its first kernel calls. */
static void add_noise(struct model *m, struct request *q)
{
	static const int errnums[] = { EIO, ENOSPC, EMFILE, EAGAIN, ENOMEM };
	static const uint32_t reach[] = { 10, 40, 150, 500 };
	static const uint32_t modes[] = { OS_FAULT_ONCE, OS_FAULT_FROM, OS_FAULT_SHORT };

	q->fault_at = 1 + rng_below(&m->rng, rng_pick(&m->rng, reach));
	if (rng_percent(&m->rng, (uint32_t)m->set.kill_percent)) {
		q->fault_mode = OS_FAULT_KILL;
	} else if (rng_percent(&m->rng, (uint32_t)m->set.fault_percent)) {
		q->fault_mode = rng_pick(&m->rng, modes);
		q->fault_errnum = rng_pick(&m->rng, errnums);
		if (rng_percent(&m->rng, 30))
			q->fault_calls = OS_CALL_SYNC | OS_CALL_WRITE;
		else if (q->fault_errnum == EAGAIN) /* from a ready socket that would be an endless loop, by a clock that stands */
			q->fault_calls = OS_CALL_ALL & ~(uint32_t)OS_CALL_NET;
	}
	if (rng_percent(&m->rng, (uint32_t)m->set.pause_percent)) {
		static const uint32_t densities[] = { 3, 10, 40, 150 };

		q->pause_per_mille = rng_pick(&m->rng, densities);
		q->pauses_max = 1 + rng_below(&m->rng, 6);
	}
}

/* ---- applications ---- */

static void count_connections(struct model *m)
{
	m->connections = m->reading = m->writing = 0;
	for (int i = 0; i < APPS; i++) {
		m->connections += m->has[i].connections;
		m->reading += m->has[i].reading;
		m->writing += m->has[i].writing;
	}
}

static bool app_started(struct model *m, int i)
{
	if (m->app[i].pid)
		return true;
	m->app_starts++;
	if (proc_start(&m->app[i], app_run, m))
		fail(m, "the application cannot be started");
	return !m->failed;
}

static void app_ended(struct model *m, int i)
{
	m->has[i].connections = m->has[i].reading = m->has[i].writing = 0;
	count_connections(m);
}

static void add_state(struct model *m, uint64_t hash)
{
	if (m->state_count && m->states[m->state_count - 1] == hash)
		return;
	if (m->state_count == m->state_cap) {
		m->state_cap = m->state_cap * 2 + 64;
		m->states = realloc(m->states, (size_t)m->state_cap * sizeof(*m->states));
		if (!m->states)
			abort();
	}
	m->states[m->state_count++] = hash;
}

bool drive_look(struct model *m, int64_t *size)
{
	struct request q = { .cmd = APP_STATE, .seed = 1, .wall_ms = m->wall_ms, .mono_us = m->mono_us,
	                         .boot = m->boot };
	int i = m->busy_app == 0 ? 1 : 0;
	struct reply r;

	if (m->failed || !app_started(m, i))
		return false;
	if (!proc_call(&m->app[i], &q, &r, NULL, m)) {
		ended(m, "application", &m->app[i], &q);
		return false;
	}
	*size = r.size;
	return r.exists && r.size >= 512;
}

void drive_state(struct model *m)
{
	int64_t size;

	/* Without a connection anywhere nothing changes, and looking would be a first opening and a last closing. */
	if ((m->connections || m->engine.pid) && drive_look(m, &size))
		add_state(m, image_hash(m->shared, size));
}

static void in_app_pause(struct model *m)
{
	int busy = m->busy_app;

	m->stats.pauses++;
	trace(m, "  -- pause of application %d", busy);
	drive_state(m);
	if (rng_percent(&m->rng, 30))
		drive_app(m, 1, false);
	if (m->engine.pid || rng_percent(&m->rng, 20)) {
		drive_sync(m, false);
		verify_new_files(m);
	}
	trace(m, "  -- goes on");
}

static void app_step(struct model *m, int i, struct request *q)
{
	struct reply r;

	m->busy_app = i;
	if (!proc_call(&m->app[i], q, &r, in_app_pause, m)) {
		m->busy_app = -1;
		ended(m, "application", &m->app[i], q);
		app_ended(m, i);
		return;
	}
	m->busy_app = -1;
	note_clock(m, &r);
	m->stats.faults += r.hit;
	m->has[i].connections = r.connections;
	m->has[i].reading = r.reading;
	m->has[i].writing = r.writing;
	count_connections(m);
	trace(m, "app %d: %s%s", i, r.text, r.hit ? " [fault]" : "");
}

void drive_app(struct model *m, uint32_t steps, bool noise)
{
	/* One at a time: each commits at most once, and every commit is a state. */
	for (; steps && !m->failed; steps--) {
		struct request q = request(m, APP_STEPS);
		int i = m->busy_app >= 0 ? 1 - m->busy_app : rng_percent(&m->rng, 70) ? 0 : 1, outer = m->busy_app;

		if (!app_started(m, i))
			return;
		q.count = 1;
		if (noise)
			add_noise(m, &q);
		app_step(m, i, &q);
		m->busy_app = outer;
		drive_state(m);
	}
}

void drive_app_cycle(struct model *m)
{
	struct request q = request(m, APP_CYCLE);
	int i = m->has[0].connections ? 0 : 1;

	if (m->failed || !app_started(m, i))
		return;
	app_step(m, i, &q);
	drive_state(m);
}

void drive_app_close(struct model *m, int kill_percent)
{
	for (int i = 0; i < APPS; i++) {
		struct request q = request(m, APP_CLOSE_ALL);
		bool kill = rng_percent(&m->rng, (uint32_t)kill_percent);
		struct reply r;

		if (!m->app[i].pid || i == m->busy_app)
			continue;
		trace(m, "app %d: %s", i, kill ? "killed" : "closes all");
		if (kill)
			proc_end(&m->app[i]);
		else if (!proc_call(&m->app[i], &q, &r, NULL, m))
			ended(m, "application", &m->app[i], &q);
		app_ended(m, i);
	}
}

/* ---- engine ---- */

/* The engine's requests go wrong now and then; what is asked meanwhile and afterwards is answered. */
static bool engine_call(struct model *m, struct request *q, struct reply *r, bool quiet, void (*paused)(struct model *m))
{
	static const unsigned shares[] = { 50, 200, 500, 950 };
	bool lived;

	if (m->bucket && !quiet && rng_percent(&m->bucket_rng, (uint32_t)m->set.bad_percent))
		atomic_store(&m->bucket->bad_per_mille, rng_pick(&m->bucket_rng, shares));
	lived = proc_call(&m->engine, q, r, paused, m);
	if (m->bucket)
		atomic_store(&m->bucket->bad_per_mille, 0);
	return lived;
}

bool drive_engine_start(struct model *m)
{
	if (m->engine.pid)
		return true;
	m->engine_starts++;
	trace(m, "engine: start");
	if (proc_start(&m->engine, engine_run, m))
		fail(m, "the engine cannot be started");
	return !m->failed;
}

void drive_engine_stop(struct model *m, int how)
{
	struct request q = request(m, how ? CMD_EXIT : ENGINE_CLOSE);
	struct reply r;

	if (!m->engine.pid)
		return;
	trace(m, "engine: %s", how == 0 ? "close" : how == 1 ? "exit" : "killed");
	if (how == 0 && !proc_call(&m->engine, &q, &r, NULL, m))
		ended(m, "engine", &m->engine, &q);
	proc_end(&m->engine);
	m->resting = false;
}

static void in_engine_pause(struct model *m)
{
	m->stats.pauses++;
	trace(m, "  -- pause of the engine");
	drive_state(m);
	if (rng_percent(&m->rng, (uint32_t)m->set.operator_percent / 2))
		operator_in_pause(m);
	else
		drive_app(m, 1 + rng_below(&m->rng, 3), false);
	trace(m, "  -- goes on");
}

/* What it says to have found untouched, it must find so. */
static bool stirred(struct model *m)
{
	struct request q = request(m, ENGINE_STIRRED);
	struct reply r;

	if (!proc_call(&m->engine, &q, &r, NULL, m)) {
		ended(m, "engine", &m->engine, &q);
		return true;
	}
	trace(m, "engine: %s", r.stirred ? "stirred" : "untouched");
	return r.stirred;
}

static bool sync_with(struct model *m, enum command cmd, bool quiet)
{
	struct request q;
	struct reply r;

	m->untouched = false;
	if (m->failed || !drive_engine_start(m))
		return false;
	m->untouched = m->resting && quiet && verify_has_newest(m) && !stirred(m);
	m->stats.wakes += m->resting;
	q = engine_request(m, cmd, quiet);
	if (!quiet)
		add_noise(m, &q);
	if (!engine_call(m, &q, &r, quiet, m->busy_app >= 0 ? NULL : in_engine_pause)) {
		ended(m, "engine", &m->engine, &q);
		m->resting = false;
		return false;
	}
	note_clock(m, &r);
	m->resting = r.rests;
	m->stats.rests += r.rests;
	/* It may need a frame of its own to hold the log, or a checkpoint. */
	if (m->untouched && !r.rc && r.copies && !r.was_reset)
		fail(m, "a database said to be untouched needed a full copy");
	m->stats.syncs++;
	m->stats.faults += r.hit;
	m->stats.restarts += r.restarted;
	m->stats.resets += r.was_reset;
	m->damaged |= r.was_reset;
	trace(m, "engine: sync %s txid %llu files %d%s%s, %llu calls%s", r.rc ? r.text : r.waiting ? "waits" : "ok",
	      (unsigned long long)r.txid, r.files, r.restarted ? " restarted" : "", r.was_reset ? " after a reset" : "",
	      (unsigned long long)r.points, r.hit ? " [fault]" : "");
	if (!quiet || !r.rc)
		return !r.rc;
	if (r.code == ERR_BUSY && (m->writing || (m->reading && strstr(r.text, "switch to WAL"))))
		return false;
	if (r.code == ERR_CORRUPT && m->meta_bad)
		return false;
	fail(m, "a quiet sync failed: %s", r.text);
	return false;
}

bool drive_sync(struct model *m, bool quiet)
{
	return sync_with(m, ENGINE_SYNC, quiet);
}

void drive_rest(struct model *m)
{
	if (!m->resting)
		sync_with(m, ENGINE_REST, false);
}

void drive_levels(struct model *m)
{
	struct request q = engine_request(m, ENGINE_LEVELS, false);
	struct reply r;

	if (m->failed || !m->engine.pid || m->damaged)
		return;
	add_noise(m, &q);
	q.pauses_max = 0;
	if (!engine_call(m, &q, &r, false, NULL)) {
		ended(m, "engine", &m->engine, &q);
		m->resting = false;
		return;
	}
	note_clock(m, &r);
	m->stats.levels += (uint64_t)r.files;
	trace(m, "engine: levels %s, %d made%s", r.rc ? r.text : "ok", r.files, r.hit ? " [fault]" : "");
}

void drive_upload(struct model *m, bool quiet)
{
	struct request q = engine_request(m, ENGINE_UPLOAD, quiet);
	struct reply r;

	if (m->failed || !m->engine.pid)
		return;
	if (!quiet) {
		add_noise(m, &q);
		q.pauses_max = 0;
	}
	if (!engine_call(m, &q, &r, quiet, NULL)) {
		ended(m, "engine", &m->engine, &q);
		return;
	}
	m->stats.uploads++;
	trace(m, "engine: upload %s %d%s", r.rc < 0 ? r.text : "ok", r.upload, r.hit ? " [fault]" : "");
	if (quiet && r.rc < 0)
		fail(m, "a quiet upload failed: %s", r.text);
	m->damaged |= r.upload == UPLOAD_NEEDS_RESET;
}
