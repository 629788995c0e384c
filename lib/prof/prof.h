/* SPDX-License-Identifier: MIT */
/*
 * prof.h - profiles of this process in the formats of Go's net/http/pprof (control.md §8), for `go tool pprof`.
 *
 * What each holds here, where there is no Go runtime:
 *
 *   profile       stacks by SIGPROF at 100 Hz of CPU time (lib/os/thread.h says what a stack is)
 *   heap, allocs  allocations sampled once in 512 KiB on average since the start of the program (heap.c), scaled up
 *   goroutine     the threads of the process, each interrupted for an instant
 *   threadcreate  where threads were started, and how many
 *   block, mutex  empty: waiting for locks is not measured (neither is it by Litestream, which never switches it on)
 *
 * Function names come from a table behind the program's file (names.c). Without it the profile still tells mapping and
 * build id, with which pprof reads names and lines from build/rivulet.debug.
 *
 * One thread at a time (the loop's), but for prof_heap_*, which any thread calls.
 */
#ifndef RIVULET_PROF_H
#define RIVULET_PROF_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/os/thread.h"

/* In the order of their names, CPU last. */
enum prof_kind {
	PROF_ALLOCS, PROF_BLOCK, PROF_GOROUTINE, PROF_HEAP, PROF_MUTEX, PROF_THREADCREATE, PROF_CPU, PROF_KINDS
};
const char *prof_name(enum prof_kind kind); /* "allocs", …; "profile" */
/* By name, without PROF_CPU; PROF_KINDS = there is none of that name. */
enum prof_kind prof_find(const char *name, size_t n);

enum { PROF_VALUES_MAX = 4, PROF_STACKS_MAX = 4096 };

/* Stacks and what was measured of each. */
struct prof_item {
	int64_t value[PROF_VALUES_MAX];
	char label[OS_THREAD_NAME_SIZE]; /* name of a thread, or "" */
	uint32_t hash;
	struct os_stack stack;
};
struct prof_set {
	struct prof_item *items;
	int count, cap;
	int64_t lost; /* what found no place: too many stacks, no memory */
};
void prof_set_free(struct prof_set *s);
/* The item of that stack, made if need be, zeroed; NULL (and lost) without room. */
struct prof_item *prof_set_item(struct prof_set *s, const struct os_stack *stack, const char *label);
/* What came since `before`. */
void prof_set_subtract(struct prof_set *s, const struct prof_set *before);

/* All but PROF_CPU: as it is now. Into an empty set. */
void prof_collect(enum prof_kind kind, struct prof_set *out);

enum { PROF_CPU_HZ = 100, PROF_CPU_DRAIN_MS = 100 };
/* ERR_BUSY "cpu profiling already in use". After it prof_cpu_drain must be called every PROF_CPU_DRAIN_MS. */
int prof_cpu_start(struct err *e);
void prof_cpu_drain(struct prof_set *into);
void prof_cpu_stop(struct prof_set *into);

/* The profile as pprof reads it (gzip around profile.proto). */
struct prof_span {
	int64_t time_ns;     /* when it was taken or began, since 1970 */
	int64_t duration_ns; /* 0 = it is of one instant */
};
void prof_write(struct buf *out, enum prof_kind kind, const struct prof_set *s, struct prof_span span);
/* debug=1 (also read by pprof), and debug=2 of goroutine (for people). */
void prof_write_text(struct buf *out, enum prof_kind kind, const struct prof_set *s);
void prof_write_threads(struct buf *out);

/* ---- for the allocator's wrapper ---- */

/* After an allocation (frame: __builtin_frame_address(0) of the allocator's function), and before a block is given back.
 * Cheap: a subtraction, and a look at eight words. */
void prof_heap_alloc(void *block, size_t size, const void *frame);
void prof_heap_free(void *block);

#endif
