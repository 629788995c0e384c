/* SPDX-License-Identifier: MIT */
/*
 * replica_kit.h - replicas made by hand, and one that breaks.
 */
#ifndef TESTS_SUPPORT_REPLICA_KIT_H
#define TESTS_SUPPORT_REPLICA_KIT_H

#include <stdatomic.h>

#include "lib/replica/replica.h"
#include "tests/support/ltxkit.h"

/* "TMPDIR/NAME", in a buffer that stays. */
const char *rk_path(const char *name);

/* Writes PATH/ltx/LEVEL/MIN-MAX.ltx with that time (0: leave it). */
bool rk_store(const char *path, int level, uint64_t min, uint64_t max, const void *bytes, size_t n, int64_t mtime_ms);
/* The same with pages kit_fill(seed + pgno) of that many page numbers. */
bool rk_pages(const char *path, int level, uint64_t min, uint64_t max, uint32_t page_size, uint32_t commit,
              const uint32_t *pgnos, int count, uint32_t seed);
/* All pages 1..commit but the lock page. */
bool rk_full(const char *path, int level, uint64_t min, uint64_t max, uint32_t page_size, uint32_t commit,
             uint32_t seed);
/* What differs between two database files, before (NULL: everything) and now, as an LTX file. */
bool rk_diff(const char *path, int level, uint64_t min, uint64_t max, const char *before, const char *now);
/* The path of an object's file, in one of tmppath's buffers. */
const char *rk_file(const char *path, int level, uint64_t min, uint64_t max);

bool rk_exists(const char *path);
bool rk_copy(const char *from, const char *to);
bool rk_same(const char *a, const char *b);
bool rk_write(const char *path, const void *bytes, size_t n);
/* Flips bits of one byte of a file; negative: from its end. */
bool rk_flip(const char *path, long offset, int mask);

/* A replica over another one, with latency and bad luck. */
struct flaky {
	struct replica base;
	struct replica *inner;
	atomic_int opens, lists, open_now, open_most;
	int fail_opens;         /* the first n opens fail with `code` */
	enum err_code code;
	atomic_int breaks;      /* the next n readers break off … */
	int64_t break_after;    /* … after so many bytes, */
	bool quietly;           /* as if the object ended there */
	size_t read_max;        /* bytes per read; 0 = no bound */
	int delay_ms;           /* of each open */
	atomic_bool *cancel_at_open; /* set when something is opened */
	atomic_int puts, creates, removes, ops; /* ops: all calls, lists and opens included */
	atomic_int removed;     /* objects */
	int fail_op;            /* the call with this number (from 1) fails with `code`; 0 = none */
	bool lose_answer;       /* it is done all the same, if it is one that changes something */
};
/* Takes inner over. */
struct flaky *flaky_create(struct replica *inner);

#endif
