/* SPDX-License-Identifier: MIT */
/*
 * once.c - `replicate -once`: one sync, one upload, done, one database after the other. No loop, no monitors.
 *
 * What was committed while the others had their turn goes along at the end, as at every shutdown. Descriptors are let go
 * of in between when there are many databases.
 */
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/before.h"
#include "applets/derive.h"
#include "applets/output.h"
#include "applets/replicate.h"
#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/os/process.h"
#include "lib/os/program.h"
#include "lib/store/upload.h"

enum { OPEN_MAX_DBS = 50, RESTORERS = 4, TURN_MS = 5, KEEPER_LOOK_MS = 200 };

/* One replica of one database. */
struct outgoing {
	struct upload upload;
	struct levels *levels;
	int64_t sync_interval_ms;
	atomic_bool ended; /* its calls give up: everything does, or its lock is not ours any more */
	bool held;         /* the keeper's: it was ours */
};

struct one {
	struct db *db;
	char *meta;
	struct outgoing out[MANAGED_REPLICAS_MAX];
	int count;
	bool done;
};

struct all {
	const struct replicate *r;
	struct census census;
	struct one *dbs;
	size_t count;
	struct pool_job keeper; /* keeps locks beside writes that take long */
	struct pool *keepers;   /* NULL: there are no locks */
	atomic_bool over;
};

static atomic_bool stop;

/* ---- made and freed ---- */

static void one_free(struct one *d)
{
	for (int i = 0; i < d->count; i++)
		levels_free(d->out[i].levels);
	db_free(d->db);
	for (int i = 0; i < d->count; i++) {
		if (d->out[i].upload.hold)
			replica_hold_let_go(d->out[i].upload.hold);
		replica_hold_free(d->out[i].upload.hold);
		replica_free(d->out[i].upload.replica);
	}
	free(d->meta);
}

static int newest(void *ctx, int replica, struct db_newest *out, struct err *e)
{
	return levels_list_newest(((struct one *)ctx)->out[replica].levels, out, e);
}

static int one_make(struct one *d, const struct config_db *entry, const char *path, const char *relative,
                    const struct levels_policy *policy, struct err *e)
{
	struct replica *replicas[MANAGED_REPLICAS_MAX];
	struct managed_options o;

	if (derive_managed(entry, path, relative, &o, &d->meta, e))
		return -1;
	d->count = o.replica_count;
	for (int i = 0; i < d->count; i++) {
		replicas[i] = o.replicas[i].replica;
		replicas[i]->cancel = replicas[i]->lease ? &d->out[i].ended : &stop;
		d->out[i].upload.replica = replicas[i];
		d->out[i].upload.auto_recover = o.replicas[i].auto_recover;
		d->out[i].sync_interval_ms = o.replicas[i].sync_interval_ms;
	}
	o.db.replicas = replicas;
	o.db.replica_count = d->count;
	o.db.cancel = &stop;
	o.db.newest = newest;
	o.db.newest_ctx = d;
	if (db_create(&o.db, &d->db, e))
		return err_wrap(e, "cannot open store");
	for (int i = 0; i < d->count; i++) {
		struct outgoing *out = &d->out[i];

		out->levels = levels_create(d->db, out->upload.replica, policy, e);
		if (!out->levels || replica_hold_create(out->upload.replica, &out->upload.hold, e))
			return -1;
		out->upload.db = d->db;
		out->upload.levels = out->levels;
		replica_log_target(out->upload.replica, out->sync_interval_ms);
	}
	return 0;
}

/* ---- one database's turn ---- */

/* All there is: a lock that was taken anew on the way ends a run before its end. */
static int send_all(struct outgoing *out, uint64_t txid, struct err *e)
{
	int rc;

	do
		rc = upload_run(&out->upload, txid, 0, &stop, e);
	while (rc == UPLOAD_MORE);
	return rc;
}

static int upload(struct one *d, struct outgoing *out, struct db_sync_result *r, struct err *e)
{
	int rc = send_all(out, r->txid, e);

	if (rc != UPLOAD_NEEDS_RESET && rc != UPLOAD_AHEAD)
		return rc;
	/* The replica is missing files that are gone here too, or has others: its history goes on with a full copy. */
	if (db_reset(d->db, rc == UPLOAD_AHEAD ? "the replica holds more than was known"
	                                       : "files that the replica needs are gone", e) || db_sync(d->db, 0, r, e))
		return -1;
	return send_all(out, r->txid, e);
}

static int sync_and_upload(struct one *d, struct err *e)
{
	const char *path = db_path(d->db);
	struct db_sync_result r;

	log_info("syncing database", LS("path", path));
	if (db_sync(d->db, 0, &r, e))
		return err_wrap(e, "sync database %s", path);
	if (r.waiting)
		return err_set(e, ERR_NOT_FOUND, "sync replica for %s: no position, waiting for data", path);
	for (int i = 0; i < d->count; i++) {
		d->out[i].upload.verify_up_to = d->out[i].upload.base = r.txid - (uint64_t)r.files;
		if (upload(d, &d->out[i], &r, e) < 0)
			return err_wrap(e, "sync replica for %s", path);
	}
	return 0;
}

static int run_levels(struct one *d, bool snapshot, bool retention, struct err *e)
{
	for (int i = 0; i < d->count; i++) {
		struct levels_run_options o = {
			.replicated_txid = d->out[i].upload.position,
			.now_ms = os_wall_ms(),
			.force_snapshot = snapshot,
			.force_retention = retention,
			.cancel = &stop,
		};
		struct levels_result result;

		if (d->out[i].upload.hold && replica_hold_keep(d->out[i].upload.hold, e))
			return -1;
		if (snapshot && db_snapshot_begin(d->db, &o.snapshot, e))
			return -1;
		if (levels_run(d->out[i].levels, &o, &result, e))
			return -1;
	}
	return 0;
}

static int one_turn(const struct replicate *r, struct one *d, struct err *e)
{
	const char *path = db_path(d->db);

	if (sync_and_upload(d, e))
		return -1;
	if (r->force_snapshot) {
		log_info("taking snapshot", LS("path", path));
		if (run_levels(d, true, false, e))
			return err_wrap(e, "snapshot %s", path);
	}
	if (r->enforce_retention) {
		log_info("enforcing retention", LS("path", path));
		if (run_levels(d, false, true, e))
			return err_wrap(e, "enforce retention for %s", path);
	}
	d->done = true;
	return 0;
}

/* As at every shutdown: what was committed meanwhile goes along. */
static void last_sync(struct one *d)
{
	struct db_sync_result r;
	struct err e = ERR_INIT;
	int rc = db_sync(d->db, DB_SYNC_NO_CHECKPOINT, &r, &e);

	for (int i = 0; i < d->count && !rc; i++)
		rc = send_all(&d->out[i], r.txid, &e) < 0 ? -1 : 0;
	if (rc)
		log_error("failed to close database", LS("db", db_name(d->db)), LS("error", err_text(&e)));
	db_close(d->db);
}

/* ---- all of them ---- */

static size_t count_dbs(const struct census *c)
{
	size_t n = 0;

	for (int i = 0; i < c->config.db_count; i++)
		n += c->config.dbs[i].dir ? c->found[i].count : 1;
	return n;
}

static int make_all(struct all *a, struct err *e)
{
	a->dbs = calloc(count_dbs(&a->census) + 1, sizeof(*a->dbs));
	if (!a->dbs)
		return err_nomem(e);
	for (int i = 0; i < a->census.config.db_count; i++) {
		const struct config_db *entry = &a->census.config.dbs[i];
		const struct census_list *found = &a->census.found[i];

		if (entry->dir)
			log_info("found databases in directory", LS("dir", entry->dir),
			         LI("count", (int64_t)found->count),
			         LB("watch", entry->watch));
		for (size_t k = 0; k < (entry->dir ? found->count : 1); k++) {
			const char *path = entry->dir ? found->items[k].path : entry->path, *ignored;
			const struct config_db *other = config_find(&a->census.config, path, &ignored);

			if (entry->dir && other && other->path)
				continue; /* an entry of its own says how */
			if (one_make(&a->dbs[a->count++], entry, path, entry->dir ? found->items[k].relative : NULL,
			             &a->r->policy, e))
				return -1;
		}
	}
	return 0;
}

/* ---- locks ---- */

static void look_after(struct outgoing *out)
{
	struct replica_hold *h = out->upload.hold;
	int64_t now = os_mono_us(), until;

	if (replica_hold_due_us(h) <= now)
		replica_hold_keep(h, NULL);
	until = replica_hold_until_us(h);
	now = os_mono_us();
	out->held |= now < until;
	if (atomic_load(&stop) || (out->held && now >= until))
		atomic_store(&out->ended, true);
}

static void keeper_run(struct pool_job *job)
{
	struct all *a = (struct all *)(void *)((char *)job - offsetof(struct all, keeper));

	while (!atomic_load(&a->over)) {
		for (size_t i = 0; i < a->count; i++) {
			for (int k = 0; k < a->dbs[i].count; k++) {
				if (a->dbs[i].out[k].upload.hold)
					look_after(&a->dbs[i].out[k]);
			}
		}
		os_sleep_ms(KEEPER_LOOK_MS);
	}
}

static void keeper_done(struct pool_job *job)
{
	(void)job;
}

static void no_wake(void *ctx)
{
	(void)ctx;
}

static int keeper_begin(struct all *a, struct err *e)
{
	bool wanted = false;

	for (size_t i = 0; i < a->count; i++) {
		for (int k = 0; k < a->dbs[i].count; k++)
			wanted = wanted || a->dbs[i].out[k].upload.hold;
	}
	if (!wanted)
		return 0;
	a->keepers = pool_create(1, no_wake, NULL, e);
	if (!a->keepers)
		return -1;
	a->keeper = (struct pool_job){ .run = keeper_run, .done = keeper_done };
	pool_submit(a->keepers, &a->keeper);
	return 0;
}

static void keeper_end(struct all *a)
{
	atomic_store(&a->over, true);
	while (a->keepers && pool_pending(a->keepers)) {
		os_sleep_ms(TURN_MS);
		pool_collect(a->keepers);
	}
	pool_free(a->keepers);
}

static int run_all(struct all *a, struct err *e)
{
	for (size_t i = 0; i < a->count; i++) {
		if (one_turn(a->r, &a->dbs[i], e))
			return -1;
		if (a->count > OPEN_MAX_DBS)
			db_close(a->dbs[i].db);
	}
	log_info("one-shot replication complete");
	return 0;
}

static void turn(void *ctx)
{
	os_sleep_ms(TURN_MS);
	pool_collect(ctx);
}

static int restore_all(const struct replicate *r, const struct config *c, struct err *e)
{
	struct pool *pool = pool_create(RESTORERS, no_wake, NULL, e);
	int rc;

	if (!pool)
		return -1;
	rc = before_all(c, r->restore, pool, &stop, turn, pool, e);
	pool_free(pool);
	return rc;
}

int replicate_once(struct replicate *r, struct config *c)
{
	struct all all = { .r = r };
	struct err e = ERR_INIT;
	int rc;

	/* A snapshot does not bring its retention along, unless that was asked for. */
	r->policy.retention_disabled |= !r->enforce_retention;
	os_raise_descriptor_limit();
	os_stop_on_signal(&stop);
	rc = restore_all(r, c, &e) || census_take(c, true, &all.census, &e) || make_all(&all, &e) ||
	     keeper_begin(&all, &e) ? -1 : 0;
	if (rc) {
		for (size_t i = 0; i < all.count; i++)
			one_free(&all.dbs[i]);
		free(all.dbs);
		census_free(&all.census);
		return output_error(&e);
	}
	rc = run_all(&all, &e);
	if (!rc)
		log_info("replication complete, litestream shutting down");
	for (size_t i = 0; i < all.count; i++) {
		if (all.dbs[i].done)
			last_sync(&all.dbs[i]);
	}
	keeper_end(&all);
	for (size_t i = 0; i < all.count; i++)
		one_free(&all.dbs[i]);
	free(all.dbs);
	census_free(&all.census);
	log_info("litestream shut down");
	return rc ? output_error(&e) : 0;
}
