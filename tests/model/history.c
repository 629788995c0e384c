/* SPDX-License-Identifier: MIT */
/* history.c - one history: its settings, and what happens in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/os/file.h"
#include "tests/model/model.h"

static void choose_settings(struct model *m)
{
	static const uint32_t page_sizes[] = { 512, 1024, 1024, 4096 };
	static const int vacuums[] = { 0, 0, 1, 2 };
	static const int64_t min_pages[] = { 1, 4, 15, 40, 150, 1000 }, truncate[] = { 0, 0, 30, 200 };
	static const int64_t intervals[] = { 0, 1000, 60000 }, max_bytes[] = { 0, 1, 6000, 60000, 64 << 20 };
	static const int64_t timeouts[] = { 0, 20, 1000 };
	struct settings *s = &m->set;
	struct rng *r = &m->rng;

	s->page_size = rng_pick(r, page_sizes);
	s->auto_vacuum = rng_pick(r, vacuums);
	s->big = rng_percent(r, 15);
	s->calm = rng_percent(r, 20);
	s->min_checkpoint_pages = rng_pick(r, min_pages);
	if (s->big && s->min_checkpoint_pages < 150 && rng_percent(r, 50))
		s->min_checkpoint_pages = 400;
	s->truncate_pages = rng_pick(r, truncate);
	s->checkpoint_interval_ms = rng_pick(r, intervals);
	s->max_sync_wal_bytes = rng_pick(r, max_bytes);
	s->busy_timeout_ms = rng_pick(r, timeouts);
	s->auto_recover = rng_percent(r, 50);
	s->pause_percent = rng_percent(r, 70) ? 50 : 0;
	s->rest_percent = rng_percent(r, 50) ? 12 : 0;
	s->levels_percent = rng_percent(r, 50) ? 12 : 0;
	s->replicas = rng_percent(r, 35) ? 2 : 1;
	s->bad_percent = s->calm ? 0 : 30;
	if (s->calm)
		return;
	s->kill_percent = rng_percent(r, 50) ? 10 : 0;
	s->fault_percent = rng_percent(r, 40) ? 20 : 0;
	s->operator_percent = rng_percent(r, 60) ? 12 : 0;
}

int model_replica(const struct model *m, int i, const char *name, struct replica **out, struct err *e)
{
	if (!m->bucket)
		return replica_file_create(m->replica_path[i], out, e);
	return bucket_replica(m->bucket, i ? "one" : "other", name, out, e);
}

static void serve(int fd, struct model *m)
{
	char ready = (char)bucket_start(m->bucket);

	/* Its end is that of the driver, or a signal. */
	if (write(fd, &ready, 1) == 1)
		for (;;)
			pause();
}

static void start_server(struct model *m)
{
	char ready = 1;

	memset(m->bucket, 0, sizeof(*m->bucket));
	m->bucket->dice = m->bucket_rng.s = m->seed;
	if (proc_start(&m->server, serve, m) || read(m->server.fd, &ready, 1) != 1 || ready)
		fail(m, "the bucket's server does not start");
}

static bool set_up(struct model *m)
{
	struct err why = ERR_INIT;
	struct os_owner owner = { 0755, (uint32_t)-1, (uint32_t)-1 };

	snprintf(m->db_path, sizeof(m->db_path), "%s/app.db", m->dir);
	for (int i = 0; i < REPLICAS_MAX; i++)
		snprintf(m->replica_path[i], sizeof(m->replica_path[i]), "%s/replica%d", m->dir, i);
	snprintf(m->meta_path, sizeof(m->meta_path), "%s/.app.db-litestream", m->dir);
	snprintf(m->scratch, sizeof(m->scratch), "%s/restored", m->dir);
	m->wall_ms = 1700000000000;
	m->boot = 1;
	m->mono_us = 1000000000;
	if (os_dir_remove_all(m->dir, &why) || os_dir_make(m->dir, &owner, &why))
		fail(m, "%s", why.text);
	if (m->bucket)
		start_server(m);
	for (int i = 0; i < m->set.replicas; i++) {
		if (model_replica(m, i, "driver", &m->replicas[i], &why))
			fail(m, "%s", why.text);
	}
	return !m->failed;
}

static void tear_down(struct model *m)
{
	proc_end(&m->engine);
	for (int i = 0; i < APPS; i++)
		proc_end(&m->app[i]);
	for (int i = 0; i < REPLICAS_MAX; i++)
		replica_free(m->replicas[i]);
	if (m->bucket)
		m->stats.wrong_requests += (uint64_t)atomic_load(&m->bucket->wrong);
	proc_end(&m->server);
	image_free(&m->chain);
	free(m->states);
	free(m->facts);
}

/* A log with much in it, a stop, and short generations one after the other while nobody looks. */
static void short_generations(struct model *m)
{
	int n = 1 + (int)rng_below(&m->rng, 4);

	drive_app(m, rng_below(&m->rng, 12), false);
	if (rng_percent(&m->rng, 70))
		drive_sync(m, false);
	verify_new_files(m);
	drive_engine_stop(m, (int)rng_below(&m->rng, 3));
	while (n--)
		drive_app_cycle(m);
	if (rng_percent(&m->rng, 50))
		drive_sync(m, false);
	verify_quiet(m);
}

/* Hours may go by between two: what is due then depends on it. */
static void levels_act(struct model *m)
{
	static const int64_t waits_s[] = { 1, 40, 400, 4000, 90000, 200000 };

	verify_new_files(m);
	drive_clock(m, rng_pick(&m->rng, waits_s) * 1000000);
	drive_upload(m, false);
	drive_levels(m);
	verify_new_files(m);
	if (rng_percent(&m->rng, 40))
		verify_restore(m);
}

static void one_act(struct model *m)
{
	uint32_t kind = rng_below(&m->rng, 100);
	const struct settings *s = &m->set;

	drive_clock(m, rng_percent(&m->rng, 10) ? 70 * 1000000 : (int64_t)rng_below(&m->rng, 400000));
	if (s->replicas > 1 && rng_percent(&m->rng, 15))
		m->down = rng_below(&m->rng, 3);
	if (rng_percent(&m->rng, (uint32_t)s->operator_percent)) {
		operator_act(m);
	} else if (rng_percent(&m->rng, (uint32_t)s->rest_percent)) {
		drive_rest(m);
		verify_new_files(m);
	} else if (rng_percent(&m->rng, (uint32_t)s->levels_percent)) {
		levels_act(m);
	} else if (kind < 38) {
		drive_app(m, 1 + rng_below(&m->rng, 8), true);
	} else if (kind < 64) {
		drive_sync(m, false);
		verify_new_files(m);
	} else if (kind < 74) {
		drive_upload(m, false);
	} else if (kind < 88) {
		verify_quiet(m);
		if (rng_percent(&m->rng, 40))
			drive_upload(m, true);
	} else if (kind < 93 && !s->calm) {
		drive_engine_stop(m, (int)rng_below(&m->rng, 3));
		drive_app(m, rng_below(&m->rng, 20), true);
	} else if (kind < 95 && !s->calm) {
		short_generations(m);
	} else if (kind < 97 && !s->calm) {
		drive_app_close(m, 30);
	} else {
		verify_restore(m);
	}
}

bool history_run(struct model *m)
{
	int acts;

	m->busy_app = -1;
	m->rng.s = m->seed * 0x2545f4914f6cdd1d;
	choose_settings(m);
	trace(m, "page size %u, auto_vacuum %d%s%s, checkpoint at %lld pages, brake at %lld, interval %lld ms, "
	      "%lld bytes a file, busy timeout %lld ms", (unsigned)m->set.page_size, m->set.auto_vacuum,
	      m->set.big ? ", big" : "", m->set.calm ? ", calm" : "", (long long)m->set.min_checkpoint_pages,
	      (long long)m->set.truncate_pages, (long long)m->set.checkpoint_interval_ms,
	      (long long)m->set.max_sync_wal_bytes, (long long)m->set.busy_timeout_ms);
	if (!set_up(m))
		goto out;
	acts = 8 + (int)rng_below(&m->rng, 40);
	if (rng_percent(&m->rng, 80))
		drive_app(m, 1 + rng_below(&m->rng, 20), true);
	for (int i = 0; i < acts && !m->failed; i++)
		one_act(m);
	/* At the end everything comes to rest: all of it is in the replica. */
	drive_app_close(m, 0);
	verify_quiet(m);
	drive_upload(m, true);
	if (!m->damaged)
		verify_all_restore(m);
	verify_restore(m);
out:
	tear_down(m);
	return !m->failed;
}
