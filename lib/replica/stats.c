/* SPDX-License-Identifier: MIT */
#include "lib/replica/stats.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

const double replica_stats_bounds[REPLICA_STATS_BUCKETS] = { 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60 };

static const char *const types[REPLICA_STATS_TYPES] = { "abs", "file", "gs", "nats", "oss", "s3", "sftp", "webdav" };

struct counters {
	_Atomic uint64_t total, bytes, us;
	_Atomic uint64_t buckets[REPLICA_STATS_BUCKETS]; /* each for itself */
};
static struct counters table[REPLICA_STATS_TYPES][REPLICA_OPERATIONS];

enum { CODES_MAX = 16, ERRORS_MAX = CODES_MAX + REPLICA_STATS_TYPES * REPLICA_OPERATIONS };
static pthread_mutex_t errors_lock = PTHREAD_MUTEX_INITIALIZER;
static struct replica_stats_error errors[ERRORS_MAX]; /* sorted */
static int error_count;

const char *replica_operation_name(enum replica_operation op)
{
	static const char *const names[] = { "DELETE", "GET", "LIST", "PUT" };

	return names[op];
}

const char *replica_stats_type(int i)
{
	return i < REPLICA_STATS_TYPES ? types[i] : NULL;
}

static struct counters *find(const char *type, enum replica_operation op)
{
	for (int i = 0; i < REPLICA_STATS_TYPES; i++)
		if (!strcmp(types[i], type))
			return &table[i][op];
	return NULL;
}

static void add(_Atomic uint64_t *to, int64_t n)
{
	atomic_fetch_add_explicit(to, (uint64_t)n, memory_order_relaxed);
}

void replica_stats_done(const char *type, enum replica_operation op, int64_t us)
{
	struct counters *c = find(type, op);
	int i = 0;

	if (!c)
		return;
	add(&c->total, 1);
	add(&c->us, us);
	while (i < REPLICA_STATS_BUCKETS && (double)us > replica_stats_bounds[i] * 1e6)
		i++;
	if (i < REPLICA_STATS_BUCKETS)
		add(&c->buckets[i], 1);
}

void replica_stats_bytes(const char *type, enum replica_operation op, int64_t n)
{
	struct counters *c = find(type, op);

	if (c)
		add(&c->bytes, n);
}

static int compare(const struct replica_stats_error *a, const struct replica_stats_error *b)
{
	int order = strcmp(a->type, b->type);

	if (!order)
		order = (a->op > b->op) - (a->op < b->op);
	return order ? order : strcmp(a->code, b->code);
}

/* The entry of that name, made if there is room; NULL when there is none. */
static struct replica_stats_error *entry(const struct replica_stats_error *wanted, int room)
{
	int at = 0, order = 1;

	while (at < error_count && (order = compare(&errors[at], wanted)) < 0)
		at++;
	if (at < error_count && !order)
		return &errors[at];
	if (error_count >= room)
		return NULL;
	memmove(&errors[at + 1], &errors[at], (size_t)(error_count - at) * sizeof(errors[0]));
	error_count++;
	errors[at] = *wanted;
	return &errors[at];
}

void replica_stats_failed(const char *type, enum replica_operation op, const char *code)
{
	struct replica_stats_error wanted = { .op = op }, *found;

	for (int i = 0; i < REPLICA_STATS_TYPES; i++)
		if (!strcmp(types[i], type))
			wanted.type = types[i];
	if (!wanted.type)
		return;
	snprintf(wanted.code, sizeof(wanted.code), "%s", code);
	pthread_mutex_lock(&errors_lock);
	/* Codes come from the other side of a network: they may not fill the table so that "other" has no place. */
	found = entry(&wanted, CODES_MAX);
	if (!found) {
		strcpy(wanted.code, "other");
		found = entry(&wanted, ERRORS_MAX);
	}
	if (found)
		found->count++;
	pthread_mutex_unlock(&errors_lock);
}

const char *replica_stats_code(const struct err *e)
{
	static const char *const names[] = {
		[ERR_NONE] = "unknown", [ERR_SYSTEM] = "system", [ERR_NOT_FOUND] = "not_found", [ERR_EXISTS] = "exists",
		[ERR_CORRUPT] = "corrupt", [ERR_FULL] = "no_space", [ERR_BUSY] = "busy", [ERR_CANCELLED] = "cancelled",
		[ERR_INVALID] = "invalid", [ERR_NO_MEMORY] = "no_memory", [ERR_LIMIT] = "limit",
		[ERR_UNAVAILABLE] = "unavailable", [ERR_GAP] = "gap",
	};

	return names[e && (size_t)e->code < sizeof(names) / sizeof(names[0]) ? e->code : ERR_NONE];
}

bool replica_stats_read(int type, enum replica_operation op, struct replica_stats *out)
{
	struct counters *c = &table[type][op];
	uint64_t sum = 0;

	/* Requests first: a bucket may be ahead of what is told as their sum, so it is bounded by that. */
	out->total = atomic_load(&c->total);
	out->bytes = atomic_load(&c->bytes);
	out->us = atomic_load(&c->us);
	for (int i = 0; i < REPLICA_STATS_BUCKETS; i++) {
		sum += atomic_load(&c->buckets[i]);
		out->buckets[i] = sum < out->total ? sum : out->total;
	}
	return out->total > 0;
}

bool replica_stats_error(int i, struct replica_stats_error *out)
{
	bool found;

	pthread_mutex_lock(&errors_lock);
	found = i < error_count;
	if (found)
		*out = errors[i];
	pthread_mutex_unlock(&errors_lock);
	return found;
}
