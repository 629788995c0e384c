/* SPDX-License-Identifier: MIT */
/*
 * heartbeat.h - a GET of heartbeat-url now and then, as long as all is well (control.md §4.6). Whoever watches there
 * notices when it stays away: because the daemon is gone, or because a database is not replicated any more.
 *
 * Looked at every 15 s; the request goes out when heartbeat-interval has passed since the last attempt, at least one
 * database is open, and each open one has nothing that has waited for longer than that interval. It may take 30 s; any
 * 2xx is fine. The loop's thread; the request itself is a job.
 */
#ifndef RIVULET_APPLETS_HEARTBEAT_H
#define RIVULET_APPLETS_HEARTBEAT_H

#include "lib/config/config.h"
#include "lib/os/loop.h"
#include "lib/os/pool.h"
#include "lib/store/ops.h"

struct heartbeat;

int heartbeat_create(struct loop *loop, struct pool *pool, struct store *store, struct heartbeat **out, struct err *e);
/* Begins, changes, or ends it, as the configuration says. */
void heartbeat_set(struct heartbeat *h, const struct config *c);
/* No more requests; one under way is left. */
void heartbeat_stop(struct heartbeat *h);
void heartbeat_free(struct heartbeat *h); /* NULL is fine; no job may be under way */

#endif
