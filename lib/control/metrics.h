/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - the text that Prometheus scrapes (control.md §6): families sorted by name, each with HELP and TYPE,
 * samples sorted by labels. A family without a sample is left out.
 *
 * go_* are there for dashboards that were made for Litestream: the few that mean something in a program without a Go
 * runtime, their HELP saying what is measured. The rest is left out rather than invented.
 */
#ifndef RIVULET_CONTROL_METRICS_H
#define RIVULET_CONTROL_METRICS_H

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/db/diag.h"
#include "lib/store/ops.h"

/* "Content-Type: …\r\n" of the reply. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What the caller counts: replies to GET /metrics by their status, and those being written now. */
struct metrics_scrapes {
	uint64_t ok, failed, unavailable; /* 200, 500, 503 */
	int in_flight;
};

/* Where the figures of the databases come from: read() is called some twenty times for each. */
struct metrics_source {
	int count;
	const char *(*path)(void *ctx, int i);
	void (*read)(void *ctx, int i, struct managed_facts *facts, struct db_checkpoint_counters *checkpoints);
	void *ctx;
};
/* Appends; without memory *out fails (buf_ok). */
void metrics_write(struct buf *out, const struct metrics_source *source, const struct metrics_scrapes *scrapes);

/* The same for all databases of a store. The loop's thread. */
void metrics_write_store(struct buf *out, struct store *s, const struct metrics_scrapes *scrapes);

#endif
