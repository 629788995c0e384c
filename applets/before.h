/* SPDX-License-Identifier: MIT */
/*
 * before.h - restore before replicate (control.md §5.3): a database that is not there comes from its replica, if that has
 * one. Jobs of a pool, so as many at once as it has threads.
 */
#ifndef RIVULET_APPLETS_BEFORE_H
#define RIVULET_APPLETS_BEFORE_H

#include <stdatomic.h>

#include "lib/config/config.h"
#include "lib/os/pool.h"

struct before {
	struct pool_job job;
	void (*after)(struct before *b); /* the loop's thread; frees b */
	void *ctx;
	/* results */
	int rc;
	struct err why;                  /* "restore failed: …" */
	/* its own */
	const atomic_bool *cancel;
	struct replica *replicas[CONFIG_REPLICAS_MAX];
	int replica_count;
	char *path;
};

/*
 * Begins, if the entry wants it (or all is set) and the database is not there; *out is NULL when there is nothing to do.
 * Logs what control.md §5.3 says.
 */
int before_begin(const struct config_db *db, bool all, struct pool *pool, const atomic_bool *cancel,
                 void (*after)(struct before *b), void *ctx, struct before **out, struct err *e);
void before_free(struct before *b);

/* Every entry that wants it, before anything else begins. turn() lets time pass and collects the pool's finished jobs. The
 * first failure is the result, when all have ended. */
int before_all(const struct config *c, bool all, struct pool *pool, atomic_bool *cancel, void (*turn)(void *ctx),
               void *ctx, struct err *e);

#endif
