/* SPDX-License-Identifier: MIT */
/* driver.c - commands to the application and to the engine, and the books that the model keeps about them. */
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
	return (struct request){ .cmd = cmd, .seed = rng_next(&m->rng), .wall_ms = m->wall_ms, .mono_us = m->mono_us };
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
	static const int errnums[] = { 5 /* EIO */, 28 /* ENOSPC */, 24 /* EMFILE */, 11 /* EAGAIN */, 12 /* ENOMEM */ };
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
	}
	if (rng_percent(&m->rng, (uint32_t)m->set.pause_percent)) {
		static const uint32_t densities[] = { 3, 10, 40, 150 };

		q->pause_per_mille = rng_pick(&m->rng, densities);
		q->pauses_max = 1 + rng_below(&m->rng, 6);
	}
}

/* ---- application ---- */

static bool app_started(struct model *m)
{
	if (m->app.pid)
		return true;
	m->app_starts++;
	m->connections = m->reading = m->writing = 0;
	if (proc_start(&m->app, app_run, m))
		fail(m, "the application cannot be started");
	return !m->failed;
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

void drive_state(struct model *m)
{
	struct request q = request(m, APP_STATE);
	struct reply r;

	if (m->failed || m->app_paused || !app_started(m))
		return;
	if (!proc_call(&m->app, &q, &r, NULL, m)) {
		ended(m, "application", &m->app, &q);
		return;
	}
	if (r.exists)
		add_state(m, image_hash(m->shared, r.size, m->set.page_size));
}

static void in_app_pause(struct model *m)
{
	bool outer = m->app_paused;

	m->stats.pauses++;
	m->app_paused = true;
	trace(m, "  -- pause of the application");
	drive_sync(m, false);
	trace(m, "  -- goes on");
	m->app_paused = outer;
}

void drive_app(struct model *m, uint32_t steps, bool noise)
{
	/* One at a time: each may commit, and every commit is a state. */
	for (uint32_t i = 0; i < steps && !m->failed; i++) {
		struct request q = request(m, APP_STEPS);
		struct reply r;

		if (!app_started(m))
			return;
		q.count = 1;
		if (noise)
			add_noise(m, &q);
		if (!m->engine.pid)
			q.pauses_max = 0;
		if (!proc_call(&m->app, &q, &r, in_app_pause, m)) {
			ended(m, "application", &m->app, &q);
			m->connections = m->reading = m->writing = 0;
		} else {
			note_clock(m, &r);
			m->stats.faults += r.hit;
			m->connections = r.connections;
			m->reading = r.reading;
			m->writing = r.writing;
			trace(m, "app: %s%s", r.text, r.hit ? " [fault]" : "");
		}
		/* Without a connection anywhere nothing changes, and looking would be a first opening and a last closing. */
		if (m->connections || (m->engine.pid && !m->app_paused))
			drive_state(m);
	}
}

void drive_app_close(struct model *m, bool kill)
{
	struct request q = request(m, APP_CLOSE_ALL);
	struct reply r;

	if (!m->app.pid)
		return;
	trace(m, "app: %s", kill ? "killed" : "closes all");
	if (kill)
		proc_end(&m->app);
	else if (!proc_call(&m->app, &q, &r, NULL, m))
		ended(m, "application", &m->app, &q);
	m->connections = m->reading = m->writing = 0;
}

/* ---- engine ---- */

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
}

static void in_engine_pause(struct model *m)
{
	m->stats.pauses++;
	trace(m, "  -- pause of the engine");
	drive_state(m);
	drive_app(m, 1 + rng_below(&m->rng, 3), false);
	trace(m, "  -- goes on");
}

bool drive_sync(struct model *m, bool quiet)
{
	struct request q = request(m, ENGINE_SYNC);
	struct reply r;

	if (m->failed || !drive_engine_start(m))
		return false;
	if (!quiet)
		add_noise(m, &q);
	if (!proc_call(&m->engine, &q, &r, m->app_paused ? NULL : in_engine_pause, m)) {
		ended(m, "engine", &m->engine, &q);
		return false;
	}
	note_clock(m, &r);
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

void drive_upload(struct model *m, bool quiet)
{
	struct request q = request(m, ENGINE_UPLOAD);
	struct reply r;

	if (m->failed || !m->engine.pid)
		return;
	if (!quiet) {
		add_noise(m, &q);
		q.pauses_max = 0;
	}
	if (!proc_call(&m->engine, &q, &r, NULL, m)) {
		ended(m, "engine", &m->engine, &q);
		return;
	}
	m->stats.uploads++;
	trace(m, "engine: upload %s %d%s", r.rc < 0 ? r.text : "ok", r.upload, r.hit ? " [fault]" : "");
	if (quiet && r.rc < 0)
		fail(m, "a quiet upload failed: %s", r.text);
	m->damaged |= r.upload == UPLOAD_NEEDS_RESET;
}
