/* SPDX-License-Identifier: MIT */
/*
 * serve.h - what the daemon answers to: the control socket, and `addr` for metrics, profiles and the page. Everything
 * is the loop thread's.
 */
#ifndef RIVULET_APPLETS_SERVE_H
#define RIVULET_APPLETS_SERVE_H

#include <stdint.h>

#include "lib/config/config.h"
#include "lib/os/loop.h"
#include "lib/os/pool.h"
#include "lib/store/ops.h"

struct serve;

struct serve_options {
	struct loop *loop;
	struct store *store;
	struct pool *pool;           /* for the configuration file */
	const struct config *config; /* socket, addr, file; read during the call only */
	int64_t started_ms;          /* when the daemon did, since 1970 */
};

/*
 * Listens where the configuration says. *out is NULL when it says nothing of the kind. A socket that cannot be had, or
 * a port that is taken, is only logged (control.md §1.7, §4.6); an error is what must end the program: `must specify
 * port for bind address: "X"`.
 */
int serve_start(const struct serve_options *o, struct serve **out, struct err *e);
/* No new requests; those under way have five seconds. Then, perhaps at once, calls stopped. s may be NULL. */
void serve_stop(struct serve *s, void (*stopped)(void *ctx), void *ctx);
/* Nothing of it may be in the pool any more. */
void serve_free(struct serve *s);

#endif
