/* SPDX-License-Identifier: MIT */
/* store.c - the registry of databases: taking them in, finding them, the slow look at all of them, the end. */
#include "lib/store/store.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/store/internal.h"

enum { TABLE_FIRST = 64 };

/* ---- the table ---- */

static uint32_t hash_of(const char *path)
{
	uint64_t h = crc64(0, path, strlen(path));

	return (uint32_t)(h ^ h >> 32);
}

static int grow(struct store *s, struct err *e)
{
	uint32_t size = s->table_size ? s->table_size * 2 : TABLE_FIRST;
	struct managed **table;

	if ((uint32_t)s->count < s->table_size)
		return 0;
	table = calloc(size, sizeof(struct managed *));
	if (!table)
		return s->table_size ? 0 : err_nomem(e);
	for (struct managed *m = s->first; m; m = m->next) {
		m->chain = table[m->hash & (size - 1)];
		table[m->hash & (size - 1)] = m;
	}
	free(s->table);
	s->table = table;
	s->table_size = size;
	return 0;
}

struct managed *store_find(struct store *s, const char *path)
{
	uint32_t hash = hash_of(path);
	struct managed *m = s->table_size ? s->table[hash & (s->table_size - 1)] : NULL;

	while (m && (m->hash != hash || strcmp(db_path(m->db), path)))
		m = m->chain;
	return m;
}

struct managed *store_next(struct store *s, struct managed *after)
{
	return after ? after->next : s->first;
}

static void put_in_list(struct managed **first, struct managed ***end, struct managed *m)
{
	struct managed **at = end ? *end : first;

	m->next = end ? NULL : *first;
	m->link = at;
	*at = m;
	if (m->next)
		m->next->link = &m->next;
	if (end)
		*end = &m->next;
}

static void take_out_of_list(struct store *s, struct managed *m)
{
	*m->link = m->next;
	if (m->next)
		m->next->link = m->link;
	else if (s->end == &m->next)
		s->end = m->link;
	m->next = NULL;
}

void store_forget(struct managed *m)
{
	struct store *s = m->s;
	struct managed **at = &s->table[m->hash & (s->table_size - 1)];

	while (*at != m)
		at = &(*at)->chain;
	*at = m->chain;
	s->count--;
	take_out_of_list(s, m);
	m->leaving = true;
	put_in_list(&s->leaving, NULL, m);
}

static void managed_free(struct managed *m)
{
	loop_timer_clear(m->s->o.loop, &m->timer);
	loop_timer_clear(m->s->o.loop, &m->outlet_timer);
	loop_watch_remove(m->s->o.loop, &m->wal_watch);
	home_leave(m);
	turns_leave(m);
	for (int i = 0; i < m->outlet_count; i++)
		outlet_free(&m->outlets[i]);
	db_free(m->db);
	free(m->outlets);
	free(m->reason);
	free(m->stop_error);
	free(m);
}

/* Once after the last use; at rest there is nothing to sweep, and no timer. */
static void on_sweep_timer(struct loop_timer *t)
{
	struct store *s = (struct store *)(void *)((char *)t - offsetof(struct store, sweep_timer));
	int64_t next = replica_sweep();

	if (next != INT64_MAX)
		loop_timer_set(s->o.loop, t, next, SWEEP_SLACK_US);
}

void store_sweep_later(struct store *s)
{
	if (!loop_timer_armed(&s->sweep_timer))
		loop_timer_set(s->o.loop, &s->sweep_timer, os_mono_us() + SWEEP_AFTER_US, SWEEP_SLACK_US);
}

static void on_dead_timer(struct loop_timer *t)
{
	struct store *s = (struct store *)(void *)((char *)t - offsetof(struct store, dead_timer));

	while (s->dead) {
		struct managed *m = s->dead;

		s->dead = m->next;
		managed_free(m);
	}
}

void store_bury(struct managed *m)
{
	struct store *s = m->s;
	struct managed *heir = store_find(s, db_path(m->db));

	take_out_of_list(s, m);
	m->leaving = false;
	m->next = s->dead;
	s->dead = m;
	if (!loop_timer_armed(&s->dead_timer))
		loop_timer_set(s->o.loop, &s->dead_timer, os_mono_us(), 0);
	if (heir && heir->blocked && heir->stop == STOP_NOT)
		managed_start(heir);
}

/* ---- the slow look ---- */

/* Those at rest are looked at in turns. */
static void on_slow_timer(struct loop_timer *t)
{
	struct store *s = (struct store *)(void *)((char *)t - offsetof(struct store, slow_timer));
	bool prove = ++s->slow_looks % SLOW_LOOKS_PER_PROOF == 0;
	int turn = 0;

	for (struct managed *m = s->first; m; m = m->next) {
		if (!m->dormant)
			managed_slow_look(m, prove);
		else if (++turn % SLOW_LOOKS_PER_DORMANT == s->slow_looks % SLOW_LOOKS_PER_DORMANT)
			dormant_look(m);
	}
	turns_widen(s);
	loop_timer_set(s->o.loop, t, os_mono_us() + SLOW_LOOK_US, SLOW_LOOK_US / 8);
}

/* ---- life ---- */

static void on_wake(void *ctx)
{
	struct store *s = ctx;

	pool_collect(s->pool);
	pool_collect(s->outlet_pool);
	pool_collect(s->lease_pool);
}

static void gate_init(struct gate *g, int most)
{
	*g = (struct gate){ .most = most > 1 ? most : 1 };
	g->end = &g->first;
}

static int make_pools(struct store *s, struct err *e)
{
	int workers = s->o.workers, uploaders = s->o.upload_workers;

	if (uploaders < UPLOAD_WORKERS_MIN)
		uploaders = UPLOAD_WORKERS_MIN;
	gate_init(&s->openings, OPENINGS_MAX);
	gate_init(&s->copies, workers && workers <= COPIES_MAX ? workers - 1 : COPIES_MAX);
	gate_init(&s->levels, uploaders / 2);
	s->pool = pool_create(workers, loop_wake, s->o.loop, e);
	if (s->pool)
		s->outlet_pool = pool_create(workers ? uploaders : 0, loop_wake, s->o.loop, e);
	if (s->outlet_pool)
		s->lease_pool = pool_create(workers ? LEASE_WORKERS : 0, loop_wake, s->o.loop, e);
	return s->lease_pool ? 0 : -1;
}

int store_create(const struct store_options *o, struct store **out, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(e);
	s->o = *o;
	s->end = &s->first;
	s->turn_end = &s->turn_first;
	s->open_most = o->open_max;
	if (make_pools(s, e)) {
		pool_free(s->pool);
		free(s);
		return -1;
	}
	loop_on_wake(o->loop, on_wake, s);
	s->slow_timer.fire = on_slow_timer;
	s->dead_timer.fire = on_dead_timer;
	s->sweep_timer.fire = on_sweep_timer;
	loop_timer_set(o->loop, &s->slow_timer, os_mono_us() + SLOW_LOOK_US, SLOW_LOOK_US / 8);
	*out = s;
	return 0;
}

static void give_up(struct store *s, struct managed *first)
{
	s->interrupted = true;
	for (struct managed *m = first; m; m = m->next) {
		managed_cancel(m);
		if (m->starved && m->stop != STOP_NOT)
			loop_timer_set(s->o.loop, &m->timer, os_mono_us(), 0);
		atomic_store(&m->no_levels, true);
	}
}

static void answer_all(struct managed *m)
{
	while (m->ops.first)
		call_fail(m->ops.first, ERR_CANCELLED, "the daemon is shutting down");
	while (m->waits.first)
		call_fail(m->waits.first, ERR_CANCELLED, "the daemon is shutting down");
}

static void free_list(struct managed *m)
{
	while (m) {
		struct managed *next = m->next;

		answer_all(m);
		managed_free(m);
		m = next;
	}
}

void store_free(struct store *s)
{
	if (!s)
		return;
	s->stopping = true;
	loop_off_wake(s->o.loop, s);
	give_up(s, s->first);
	give_up(s, s->leaving);
	loop_timer_clear(s->o.loop, &s->slow_timer);
	loop_timer_clear(s->o.loop, &s->dead_timer);
	loop_timer_clear(s->o.loop, &s->sweep_timer);
	pool_free(s->pool);
	pool_free(s->outlet_pool);
	pool_free(s->lease_pool);
	free_list(s->first);
	free_list(s->leaving);
	free_list(s->dead);
	free(s->table);
	free(s);
}

/* ---- registration ---- */

static int check(struct store *s, const struct managed_options *o, struct err *e)
{
	if (s->stopping)
		return err_set(e, ERR_CANCELLED, "the daemon is shutting down");
	if (o->replica_count < 1 || o->replica_count > MANAGED_REPLICAS_MAX)
		return err_set(e, ERR_LIMIT, "%s: 1 to %d replicas are possible, not %d", o->db.path,
		               MANAGED_REPLICAS_MAX,
		               o->replica_count);
	if (store_find(s, o->db.path))
		return err_set(e, ERR_EXISTS, "database is registered already: %s", o->db.path);
	return 0;
}

static int clamp(int64_t ms)
{
	return ms > INT32_MAX ? INT32_MAX : ms < 0 ? 0 : (int)ms;
}

/* The replicas become the outlets' only when nothing can fail any more. */
static int make_parts(struct managed *m, const struct managed_options *o, struct err *e)
{
	struct replica *replicas[MANAGED_REPLICAS_MAX];
	struct db_options db = o->db;

	for (int i = 0; i < o->replica_count; i++)
		replicas[i] = o->replicas[i].replica;
	db.replicas = replicas;
	db.replica_count = o->replica_count;
	db.cancel = &m->cancel;
	db.newest = outlets_newest;
	db.newest_ctx = m;
	if (db_create(&db, &m->db, e) || home_enter(m, e))
		return -1;
	m->outlets = calloc((size_t)o->replica_count, sizeof(*m->outlets));
	if (!m->outlets)
		return err_nomem(e);
	for (int i = 0; i < o->replica_count; i++) {
		if (outlet_create(m, &m->outlets[i], &o->replicas[i], e))
			return -1;
		m->outlet_count++;
	}
	return 0;
}

static void log_replicas(const struct managed *m)
{
	for (int i = 0; i < m->outlet_count; i++) {
		const struct outlet *o = &m->outlets[i];

		replica_log_target(o->upload.replica, o->sync_interval_ms);
	}
}

static struct managed *make(struct store *s, const struct managed_options *o, struct err *e)
{
	struct managed *m = calloc(1, sizeof(*m));

	if (!m) {
		err_nomem(e);
		return NULL;
	}
	m->s = s;
	m->state = MANAGED_STOPPED;
	m->monitor_interval_ms = clamp(o->monitor_interval_ms);
	m->idle_timeout_ms = clamp(o->idle_timeout_ms);
	m->ops.end = &m->ops.first;
	m->waits.end = &m->waits.first;
	if (!make_parts(m, o, e))
		return m;
	for (int i = 0; i < m->outlet_count; i++)
		m->outlets[i].upload.replica = NULL; /* the caller's still */
	managed_free(m);
	return NULL;
}

int store_add(struct store *s, const struct managed_options *o, struct managed **out, struct err *e)
{
	struct managed *m;

	if (check(s, o, e) || grow(s, e))
		return -1;
	m = make(s, o, e);
	if (!m)
		return -1;
	m->txid = db_local_txid(m->db);
	m->hash = hash_of(o->db.path);
	m->chain = s->table[m->hash & (s->table_size - 1)];
	s->table[m->hash & (s->table_size - 1)] = m;
	put_in_list(&s->first, &s->end, m);
	s->count++;
	log_replicas(m);
	store_tell(m, STORE_EVENT_REGISTERED, "");
	if (o->enabled)
		managed_start(m);
	if (out)
		*out = m;
	return 0;
}

/* ---- the end ---- */

static int count_open(struct managed *m)
{
	int n = 0;

	for (; m; m = m->next)
		n += m->state != MANAGED_STOPPED;
	return n;
}

void store_stop(struct store *s)
{
	struct managed *next;

	if (s->stopping) {
		give_up(s, s->first);
		give_up(s, s->leaving);
		return;
	}
	s->stopping = true;
	s->stop_began_us = os_mono_us();
	loop_timer_clear(s->o.loop, &s->slow_timer);
	s->left = count_open(s->first) + count_open(s->leaving);
	if (!s->left && s->o.stopped)
		s->o.stopped(s->o.ctx);
	for (struct managed *m = s->leaving; m; m = m->next)
		stop_hurry(m, 0);
	for (struct managed *m = s->first; m; m = next) {
		next = m->next;
		if (m->stop != STOP_NOT)
			stop_hurry(m, 0);
		else if (m->state != MANAGED_STOPPED)
			stop_begin(m, 0);
	}
}

bool store_is_stopping(const struct store *s)
{
	return s->stopping;
}

bool store_step(struct store *s, uint64_t pick)
{
	struct pool *first = pick & 1 ? s->pool : s->outlet_pool, *second = pick & 1 ? s->outlet_pool : s->pool;
	bool ran = pool_step(s->lease_pool, pick >> 1) || pool_step(first, pick >> 1) || pool_step(second, pick >> 1);

	on_wake(s);
	return ran;
}

void store_set_policy(struct store *s, const struct levels_policy *p)
{
	s->next_policy = *p;
	s->policy_waits = true;
	if (!s->outlets_busy)
		outlets_apply_policy(s);
}

int store_count(const struct store *s)
{
	return s->count;
}

void store_status(const struct store *s, int i, struct managed_status *out)
{
	const struct managed *m = s->first;

	while (i-- && m)
		m = m->next;
	*out = (struct managed_status){ 0 };
	if (!m)
		return;
	out->state = (enum managed_state)m->state;
	out->path = db_path(m->db);
	out->txid = m->txid;
	out->replica_txid = m->outlets[0].position_known ? m->outlets[0].position : 0;
	out->reason = m->reason ? m->reason : "";
	out->progress = db_progress(m->db);
}
