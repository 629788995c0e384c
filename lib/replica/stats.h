/* SPDX-License-Identifier: MIT */
/*
 * stats.h - what the replicas of this process were asked to do: counters by kind and operation, for the metrics
 * (control.md §6.2, litestream_replica_operation_*).
 *
 * One table for the process, because the metrics sum over all databases and outlive each of them. Any thread; noting
 * is a few atomic additions (a failure takes a lock).
 */
#ifndef RIVULET_REPLICA_STATS_H
#define RIVULET_REPLICA_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

/* In the order of their names. LIST and DELETE count requests, not objects. */
enum replica_operation { REPLICA_DELETE, REPLICA_GET, REPLICA_LIST, REPLICA_PUT, REPLICA_OPERATIONS };
const char *replica_operation_name(enum replica_operation op);

/* type: a constant like "file" or "s3"; others than replica_stats_type() knows are not counted. us: until the answer was
 * there; of a GET, until its first byte. */
void replica_stats_done(const char *type, enum replica_operation op, int64_t us);
void replica_stats_bytes(const char *type, enum replica_operation op, int64_t n);
/* Besides replica_stats_done. code: what the other side calls the failure ("AccessDenied"); replica_stats_code(e) where
 * it has no name for it. At most 16 different ones are told apart, the rest is "other". */
void replica_stats_failed(const char *type, enum replica_operation op, const char *code);
const char *replica_stats_code(const struct err *e);

/* ---- reading ---- */

enum { REPLICA_STATS_TYPES = 8, REPLICA_STATS_BUCKETS = 9, REPLICA_STATS_CODE_SIZE = 48 };
extern const double replica_stats_bounds[REPLICA_STATS_BUCKETS]; /* upper bounds in seconds */
struct replica_stats {
	uint64_t total, bytes, us;
	uint64_t buckets[REPLICA_STATS_BUCKETS]; /* each with all below it; total is +Inf */
};
const char *replica_stats_type(int i); /* sorted by name; NULL from REPLICA_STATS_TYPES on */
/* false: never asked for. */
bool replica_stats_read(int type, enum replica_operation op, struct replica_stats *out);

struct replica_stats_error {
	const char *type;
	enum replica_operation op;
	char code[REPLICA_STATS_CODE_SIZE];
	uint64_t count;
};
/* The i-th in order of type, operation, code; false behind the last. */
bool replica_stats_error(int i, struct replica_stats_error *out);

#endif
