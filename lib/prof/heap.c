/* SPDX-License-Identifier: MIT */
/*
 * heap.c - which code holds memory: a sample of all allocations.
 *
 * Each thread counts down the bytes that it allocates; the block at which the count passes zero is a sample: its stack
 * and size are noted, and its address, so that its end is noted too. The distances are drawn at random with a mean of
 * RATE, so a block of n bytes is a sample with the probability 1 - e^(-n/RATE), and figures are scaled up by that.
 *
 * The tables are fixed. Blocks that are alive stand in buckets of one cache line, so that free() looks at one line;
 * what finds no place there is not sampled.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/prof/internal.h"

enum { RATE = 512 << 10, SITES = 128, FRAMES = 20, BUCKET_BITS = 6, BUCKETS = 1 << BUCKET_BITS, WAYS = 8 };

struct site {
	int depth;
	uintptr_t pc[FRAMES];
	uint64_t allocs, alloc_bytes, frees, free_bytes; /* of samples, not scaled */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for everything but the addresses and alive */
static struct site sites[SITES];
static int site_count;
static struct {
	uint32_t size;
	uint16_t site;
} blocks[BUCKETS][WAYS];
static _Alignas(64) _Atomic uintptr_t addresses[BUCKETS][WAYS]; /* 0 = free place */
static _Atomic int alive;

static _Thread_local int64_t left;
static _Thread_local uint64_t seed;

/* ---- numbers ---- */

/* e^-x for x >= 0, to a thousandth. */
static double decay(double x)
{
	double y = 1 - x / 1024;

	if (x >= 16)
		return 0;
	for (int i = 0; i < 10; i++)
		y *= y;
	return y;
}

/* -ln(u) for a random u in (0, 1): the mean is 1. 2^-zeros times a rest in [1, 2). */
static double exponential(void)
{
	uint64_t x = seed ? seed : ((uint64_t)(uintptr_t)&seed * 0x9e3779b97f4a7c15u) | 1;
	double m, z;
	int zeros;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	seed = x;
	zeros = __builtin_clzll(x); /* x is never 0 */
	m = 1 + (double)((x << zeros << 1) >> 12) / 4503599627370496.0;
	z = (m - 1) / (m + 1);
	return 0.693147 * (zeros + 1) - 2 * z * (1 + z * z / 3 + z * z * z * z / 5);
}

static unsigned bucket_of(uintptr_t block)
{
	return (unsigned)(((uint64_t)block * 0x9e3779b97f4a7c15u) >> (64 - BUCKET_BITS));
}

/* ---- samples ---- */

static int site_of(const struct os_stack *s)
{
	int depth = s->depth < FRAMES ? s->depth : FRAMES, i = 0;

	while (i < site_count && (sites[i].depth != depth ||
	                          memcmp(sites[i].pc, s->pc, (size_t)depth * sizeof(s->pc[0]))))
		i++;
	if (i < site_count)
		return i;
	if (site_count == SITES)
		return -1;
	sites[site_count].depth = depth;
	memcpy(sites[site_count].pc, s->pc, (size_t)depth * sizeof(s->pc[0]));
	return site_count++;
}

static void note(uintptr_t block, uint32_t size, const struct os_stack *s)
{
	unsigned b = bucket_of(block);
	int way = 0, site;

	pthread_mutex_lock(&lock);
	while (way < WAYS && atomic_load_explicit(&addresses[b][way], memory_order_relaxed))
		way++;
	site = way < WAYS ? site_of(s) : -1;
	if (site >= 0) {
		sites[site].allocs++;
		sites[site].alloc_bytes += size;
		blocks[b][way].size = size;
		blocks[b][way].site = (uint16_t)site;
		atomic_fetch_add(&alive, 1);
		atomic_store(&addresses[b][way], block);
	}
	pthread_mutex_unlock(&lock);
}

__attribute__((noinline)) static void sample(uintptr_t block, size_t size, const void *frame)
{
	struct os_stack s;
	bool first = !seed;

	left = (int64_t)(exponential() * RATE) + 1;
	if (first) /* the thread's first block is as good as any, not better */
		return;
	os_stack_above(frame, &s);
	note(block, size < UINT32_MAX ? (uint32_t)size : UINT32_MAX, &s);
}

void prof_heap_alloc(void *block, size_t size, const void *frame)
{
	left -= (int64_t)size;
	if (left < 0 && block)
		sample((uintptr_t)block, size, frame);
}

static void forget(unsigned b, int way)
{
	pthread_mutex_lock(&lock);
	sites[blocks[b][way].site].frees++;
	sites[blocks[b][way].site].free_bytes += blocks[b][way].size;
	atomic_store(&addresses[b][way], 0);
	pthread_mutex_unlock(&lock);
	atomic_fetch_sub(&alive, 1);
}

void prof_heap_free(void *block)
{
	unsigned b = bucket_of((uintptr_t)block);

	if (!block || !atomic_load_explicit(&alive, memory_order_relaxed))
		return;
	for (int way = 0; way < WAYS; way++)
		if (atomic_load_explicit(&addresses[b][way], memory_order_relaxed) == (uintptr_t)block)
			forget(b, way);
}

/* ---- reading ---- */

static void scale(uint64_t count, uint64_t bytes, int64_t *scaled_count, int64_t *scaled_bytes)
{
	double factor;

	if (!count)
		return;
	factor = 1 / (1 - decay((double)bytes / (double)count / RATE));
	*scaled_count += (int64_t)((double)count * factor);
	*scaled_bytes += (int64_t)((double)bytes * factor);
}

void prof_heap_collect(struct prof_set *out)
{
	int n;

	pthread_mutex_lock(&lock);
	n = site_count;
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < n; i++) {
		struct os_stack stack;
		struct prof_item *x;
		struct site s;

		/* Not while the set takes memory: that may be a sample itself. */
		pthread_mutex_lock(&lock);
		s = sites[i];
		pthread_mutex_unlock(&lock);
		stack.depth = s.depth;
		memcpy(stack.pc, s.pc, sizeof(s.pc));
		x = prof_set_item(out, &stack, "");
		if (!x)
			continue;
		scale(s.allocs, s.alloc_bytes, &x->value[0], &x->value[1]);
		scale(s.allocs - s.frees, s.alloc_bytes - s.free_bytes, &x->value[2], &x->value[3]);
	}
}
