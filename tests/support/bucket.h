/* SPDX-License-Identifier: MIT */
/*
 * bucket.h - a bucket on a server of the test's own, for tests in C of what lies over the S3 client: it keeps objects in
 * memory, verifies nothing, and counts. What servers say when they refuse is tested end to end.
 */
#ifndef TESTS_SUPPORT_BUCKET_H
#define TESTS_SUPPORT_BUCKET_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/replica/replica.h"
#include "tests/support/served.h"

enum { BUCKET_OBJECTS_MAX = 4096, BUCKET_KEY_MAX = 256 };

enum bucket_wrong { BUCKET_FINE, BUCKET_500, BUCKET_503, BUCKET_CUT_BEFORE, BUCKET_CUT_AFTER, BUCKET_CUT_WITHIN };

struct bucket_object {
	char key[BUCKET_KEY_MAX], time[64]; /* time: of the metadata */
	uint8_t *bytes;
	size_t size;
	int64_t when_ms; /* os_wall_ms() of the PUT */
	bool gone;       /* deleted; its puts still count */
	int puts;
};

struct bucket {
	struct served server; /* server.connections counts those that were refused, too */
	pthread_mutex_t lock;
	struct bucket_object objects[BUCKET_OBJECTS_MAX];
	int count;
	int puts, gets, lists, heads, removes; /* requests that were answered */
	atomic_bool down; /* every connection is closed without a word */
	atomic_uint bad_per_mille;     /* so many requests go wrong, in one of the ways of enum bucket_wrong */
	uint64_t dice;                 /* which; may be seeded before bucket_start() */
	atomic_int wrong;              /* requests that did */
	_Atomic int64_t wall_ms;       /* the server's clock; 0 = os_wall_ms() */
};

/* 0 or -1. The struct is large and zeroed: a static one. */
int bucket_start(struct bucket *b);
void bucket_stop(struct bucket *b); /* and forgets everything */
/* s3://bucket/PREFIX there. In a child of the process that started it, too; but what that one's client had open is not
 * for the child: another name (NULL = "key") is another client. */
int bucket_replica(const struct bucket *b, const char *prefix, const char *name, struct replica **out, struct err *e);
/* How often the object was stored that was stored most often. */
int bucket_most_puts(struct bucket *b);

#endif
