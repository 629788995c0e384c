/* SPDX-License-Identifier: MIT */
/*
 * store_kit.h - a store on one thread for tests: its loop, its jobs and its clock are driven from here, SQLite's too.
 */
#ifndef TESTS_SUPPORT_STORE_KIT_H
#define TESTS_SUPPORT_STORE_KIT_H

#include "lib/store/internal.h"
#include "tests/support/rig.h"

enum { SK_DATABASES = 4, SK_REPLICAS = 2, SK_SECOND = 1000 * 1000 };

/* A lock for a replica's place, as a server would keep it. */
struct shaky_lock {
	const void *by;    /* who has it; NULL = nobody */
	const void *next;  /* who must have it next; NULL = whoever comes */
	int64_t until_ms;  /* monotonic */
	int asks, given_back;
	bool down, unable; /* it cannot be asked; it can be had by nobody */
};

/* A folder as replica that counts what is asked of it, and fails as it is told. */
struct shaky {
	struct replica base;
	struct replica *inner;
	int puts_to_fail;
	bool down; /* nothing works */
	struct shaky_lock *lock; /* it wants this one; NULL = none */
	int unguarded; /* writes while it was not ours */
	int puts, l0_puts, creates, lists, opens, removes;
};

struct shaky *shaky_make(const char *path, struct err *e);
/* Over another replica, which it takes over. */
struct shaky *shaky_over(struct replica *inner, const char *name, struct err *e);

struct store_kit {
	/* A rig is used for its application, its folders and its restore; the engine is the store's. */
	struct rig g[SK_DATABASES];
	struct managed *m[SK_DATABASES];
	struct shaky *shaky[SK_DATABASES][SK_REPLICAS]; /* the store's */
	struct loop *loop;
	struct store *store;
	struct store_options options;
	struct managed_options managed; /* for sk_add; changed before it */
	struct shaky_lock *lock; /* for sk_add: of its replicas */
	int stopped;
	uint64_t seed;
	int events[STORE_EVENT_AWAKE + 1];
	struct err e;
};

bool sk_begin(struct store_kit *k, const char *name, int databases);
/* With k->options changed. */
bool sk_again(struct store_kit *k);
void sk_end(struct store_kit *k);
/* With so many replicas, the second beside the first: "replica", "replica-1". */
bool sk_add(struct store_kit *k, int i, int replicas);
uint32_t sk_below(struct store_kit *k, uint32_t n);
/* Everything that is due within so many microseconds, in the order of the seed; false when it does not come to rest. */
bool sk_run(struct store_kit *k, int64_t us);
struct managed_status sk_status(struct store_kit *k, int i);
/* The first replica holds the database as it is now. */
bool sk_replicated(struct store_kit *k, int i);
/* That replica restores to the database as it is now. */
bool sk_restores(struct store_kit *k, int i, int replica);
int sk_sql(struct store_kit *k, int i, const char *sql);
/* A random history from each of so many seeds, or from that of the environment's STORE_SEED; says which one failed,
 * and what e says. */
bool sk_seeds(bool (*history)(uint64_t seed), int count, const struct err *e);

#endif
