/* SPDX-License-Identifier: MIT */
#include "applets/before.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/os/file.h"
#include "lib/restore/restore.h"

void before_free(struct before *b)
{
	for (int i = 0; i < b->replica_count; i++)
		replica_free(b->replicas[i]);
	free(b->path);
	free(b);
}

static int restore_from(const struct before *b, struct replica *r, struct err *e)
{
	const struct restore_target newest = { .txid = 0 };
	const struct restore_options o = { .output = b->path, .cancel = b->cancel };
	struct restore_plan plan = { .items = NULL };
	struct restore_result result;

	r->cancel = b->cancel;
	int rc = restore_make(r, &newest, false, &o, &plan, &result, e);

	restore_plan_free(&plan);
	return rc;
}

/* The first replica that can do it. That some hold nothing is no fault; but where one failed, nobody knows what it holds. */
static void run(struct pool_job *job)
{
	struct before *b = (struct before *)(void *)job;
	bool failed = false;

	for (int i = 0; i < b->replica_count; i++) {
		struct err why = ERR_INIT;

		if (restore_from(b, b->replicas[i], &why) == 0) {
			log_info("restore completed", LS("path", b->path));
			return;
		}
		if (err_is(&why, ERR_UNAVAILABLE))
			continue;
		if (b->replica_count > 1 && !err_is(&why, ERR_CANCELLED))
			log_warn("replica passed over", LS("path", b->path),
			         LS("replica", replica_type(b->replicas[i])),
			         LS("error", err_text(&why)));
		if (!failed)
			b->why = why;
		failed = true;
	}
	b->rc = failed ? err_wrap(&b->why, "restore failed") : 0;
	if (!failed)
		log_info("no backup found, starting fresh", LS("path", b->path));
}

static void done(struct pool_job *job)
{
	struct before *b = (struct before *)(void *)job;

	b->after(b);
}

static int open_replicas(const struct config_db *db, struct before *b, struct err *e)
{
	for (int i = 0; i < db->replica_count && i < CONFIG_REPLICAS_MAX; i++) {
		if (replica_open(&db->replicas[i].settings, 0, &b->replicas[i], e))
			return -1;
		b->replica_count++;
	}
	return 0;
}

int before_begin(const struct config_db *db, bool all, struct pool *pool, const atomic_bool *cancel,
                 void (*after)(struct before *b), void *ctx, struct before **out, struct err *e)
{
	struct os_stat st;
	struct before *b;

	*out = NULL;
	if (!db->path || (!all && !db->restore_if_db_not_exists))
		return 0;
	if (os_stat(db->path, &st, NULL) == 0) {
		log_info("database exists, skipping restore", LS("path", db->path));
		return 0;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_nomem(e);
	b->job = (struct pool_job){ .run = run, .done = done };
	b->after = after;
	b->ctx = ctx;
	b->cancel = cancel;
	b->path = strdup(db->path);
	if (!b->path || open_replicas(db, b, e)) {
		if (!b->path)
			err_nomem(e);
		before_free(b);
		return -1;
	}
	log_info("attempting restore before replication", LS("path", b->path));
	*out = b;
	pool_submit(pool, &b->job);
	return 0;
}

/* ---- all of them ---- */

struct all {
	int running;
	int rc;
	struct err why;
	atomic_bool *cancel;
};

static void after_one(struct before *b)
{
	struct all *all = b->ctx;

	all->running--;
	if (b->rc && !all->rc) {
		all->rc = -1;
		all->why = b->why;
		atomic_store(all->cancel, true); /* the program will end */
	}
	before_free(b);
}

int before_all(const struct config *c, bool all_of_them, struct pool *pool, atomic_bool *cancel,
               void (*turn)(void *ctx), void *ctx, struct err *e)
{
	struct all all = { .cancel = cancel };

	for (int i = 0; i < c->db_count && !all.rc; i++) {
		struct before *b;

		if (before_begin(&c->dbs[i], all_of_them, pool, cancel, after_one, &all, &b, &all.why))
			all.rc = -1;
		all.running += b != NULL;
	}
	while (all.running)
		turn(ctx);
	if (all.rc && e)
		*e = all.why;
	return all.rc;
}
