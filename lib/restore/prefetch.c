/* SPDX-License-Identifier: MIT */
/*
 * Threads that fetch a plan's files ahead of their use, each into a ring of its own.
 *
 * A thread takes the next part of the order when its ring has been given back, fills the ring as far as it goes, and
 * waits when it is full. A small file is one part; a large one has several, of a ring's size, so that they all travel
 * at once: one connection alone is slower than the link. Parts are taken in order and used in order: the one that is
 * waited for is always in some ring, or about to be. Where parts turn out to be no cheaper than the whole, what is left
 * of a file is one part.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/clock.h"
#include "lib/os/pool.h"
#include "lib/restore/internal.h"

enum { PIECE_SIZE = 64 << 10, RING_SIZE_MIN = 128 << 10 };

struct ring {
	struct pool_job job;
	struct prefetch *owner;
	int place;       /* of the file in the order; -1: free */
	int64_t offset, length; /* the part of it */
	uint8_t *bytes;
	size_t head;     /* of the oldest byte */
	size_t used;
	bool complete;   /* nothing comes any more: end of the file, or failed */
	bool failed;
	bool abandoned;  /* the user went on to another part or file */
	struct err why;
};

struct prefetch {
	struct replica *replica;
	const struct replica_item *items;
	int count;
	bool backwards;
	const atomic_bool *cancel;
	struct pool *pool;
	pthread_t creator;
	int declined;    /* jobs that were given back to the creator */
	int ring_count;
	size_t ring_size;
	int64_t part_size;

	pthread_mutex_t lock; /* for everything below, and for the rings' fields but bytes[] */
	pthread_cond_t changed;
	bool stop;
	int next_place;
	int64_t next_offset; /* in that file */
	struct ring *current;
	struct ring rings[];
};

static void no_wake(void *ctx)
{
	(void)ctx;
}

static const struct replica_item *item_at(const struct prefetch *p, int place)
{
	return &p->items[p->backwards ? p->count - 1 - place : place];
}

/* Under the lock. */
static void give_part(struct prefetch *p, struct ring *ring)
{
	int64_t left = item_at(p, p->next_place)->size - p->next_offset;
	bool whole = atomic_load_explicit(&p->replica->whole_only, memory_order_relaxed);

	ring->head = ring->used = 0;
	ring->complete = ring->failed = ring->abandoned = false;
	ring->place = p->next_place;
	ring->offset = p->next_offset;
	ring->length = whole || left < p->part_size ? left : p->part_size;
	p->next_offset += ring->length;
	if (ring->length == left) {
		p->next_place++;
		p->next_offset = 0;
	}
}

/* Waits for a free ring's worth of work: false when there is none left. */
static bool take_part(struct prefetch *p, struct ring *ring)
{
	bool took = false;

	pthread_mutex_lock(&p->lock);
	while (ring->place >= 0 && !p->stop)
		pthread_cond_wait(&p->changed, &p->lock);
	if (!p->stop && p->next_place < p->count) {
		give_part(p, ring);
		took = true;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return took;
}

/* Where the next bytes may go: a stretch of the ring without a break. 0: nobody wants them any more. */
static size_t wait_for_room(struct prefetch *p, struct ring *ring, uint8_t **at)
{
	size_t room = 0;

	pthread_mutex_lock(&p->lock);
	while (ring->used == p->ring_size && !p->stop && !ring->abandoned)
		pthread_cond_wait(&p->changed, &p->lock);
	if (!p->stop && !ring->abandoned) {
		size_t tail = (ring->head + ring->used) % p->ring_size;

		room = p->ring_size - ring->used;
		if (room > p->ring_size - tail)
			room = p->ring_size - tail;
		if (room > PIECE_SIZE)
			room = PIECE_SIZE;
		*at = ring->bytes + tail;
	}
	pthread_mutex_unlock(&p->lock);
	return room;
}

static void publish(struct prefetch *p, struct ring *ring, size_t got, const struct err *why, bool complete)
{
	pthread_mutex_lock(&p->lock);
	ring->used += got;
	if (why) {
		ring->failed = true;
		ring->why = *why;
	}
	if (complete)
		ring->complete = true;
	if (ring->complete && ring->abandoned)
		ring->place = -1;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void fetch_part(struct prefetch *p, struct ring *ring)
{
	struct replica_reader *reader = NULL;
	struct err why = ERR_INIT;
	uint8_t *at;
	size_t got = 0, room;
	int rc = replica_open_part_resumable(p->replica, item_at(p, ring->place), ring->offset, ring->length, p->cancel,
	                                     &reader, &why);

	while (rc == 0 && (room = wait_for_room(p, ring, &at)) > 0) {
		rc = reader->read(reader, at, room, &got, &why);
		if (rc != 0 || got == 0)
			break;
		publish(p, ring, got, NULL, false);
	}
	if (reader)
		reader->close(reader);
	publish(p, ring, 0, rc != 0 ? &why : NULL, true);
}

static void run_thread(struct pool_job *job)
{
	struct ring *ring = (struct ring *)job;
	struct prefetch *p = ring->owner;

	/* Without threads a pool runs a job on the caller's own: that one has to use the bytes, not to fetch them. */
	if (pthread_equal(pthread_self(), p->creator)) {
		p->declined++;
		return;
	}
	while (take_part(p, ring))
		fetch_part(p, ring);
}

static void thread_done(struct pool_job *job)
{
	(void)job;
}

static int count_parts(const struct replica_item *items, int count)
{
	int64_t n = 0;

	for (int i = 0; i < count && n < POOL_THREADS_MAX + count; i++)
		n += items[i].size > FEED_PART ? (items[i].size + FEED_PART - 1) / FEED_PART : 1;
	return n < POOL_THREADS_MAX + count ? (int)n : POOL_THREADS_MAX + count;
}

struct prefetch *prefetch_create(struct replica *r, const struct replica_item *items, int count,
                                 const struct feed_options *o, struct err *e)
{
	int parts = count_parts(items, count), memory = parts > count ? FEED_MEMORY_PARTS : FEED_MEMORY;
	int n = o->parallelism < parts ? o->parallelism : parts;

	if (n > POOL_THREADS_MAX)
		n = POOL_THREADS_MAX;
	if (n > memory / RING_SIZE_MIN)
		n = memory / RING_SIZE_MIN;
	struct prefetch *p = calloc(1, sizeof(*p) + (size_t)n * sizeof(p->rings[0]));
	if (!p) {
		err_nomem(e);
		return NULL;
	}
	p->replica = r;
	p->items = items;
	p->count = count;
	p->backwards = o->backwards;
	p->cancel = o->cancel;
	p->creator = pthread_self();
	p->ring_size = (size_t)(memory / n < FEED_PART ? memory / n : FEED_PART);
	p->part_size = FEED_PART;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->pool = pool_create(n, no_wake, NULL, e);
	for (int i = 0; p->pool && i < n; i++) {
		struct ring *ring = &p->rings[i];

		ring->owner = p;
		ring->place = -1;
		ring->job = (struct pool_job){ .run = run_thread, .done = thread_done };
		ring->bytes = malloc(p->ring_size);
		if (!ring->bytes) {
			err_nomem(e);
			break;
		}
		p->ring_count++;
	}
	if (p->ring_count < n) {
		prefetch_free(p);
		return NULL;
	}
	for (int i = 0; i < n; i++)
		pool_submit(p->pool, &p->rings[i].job);
	if (p->declined == n) {
		prefetch_free(p);
		err_set(e, ERR_LIMIT, "no thread could be started");
		return NULL;
	}
	return p;
}

void prefetch_free(struct prefetch *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (p->pool) {
		while (pool_pending(p->pool) > 0) {
			if (pool_collect(p->pool) == 0)
				os_sleep_ms(1);
		}
		pool_free(p->pool);
	}
	for (int i = 0; i < p->ring_count; i++)
		free(p->rings[i].bytes);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Under the lock: what lies before this place of this file is not wanted any more. */
static void go_to(struct prefetch *p, int place, int64_t offset)
{
	for (int i = 0; i < p->ring_count; i++) {
		struct ring *ring = &p->rings[i];

		if (ring->place < 0 || ring->place > place || (ring->place == place && ring->offset >= offset))
			continue;
		ring->abandoned = true;
		if (ring->complete)
			ring->place = -1;
	}
	if (p->next_place < place) {
		p->next_place = place;
		p->next_offset = 0;
	}
	pthread_cond_broadcast(&p->changed);
	for (p->current = NULL; !p->current;) {
		for (int i = 0; i < p->ring_count; i++) {
			if (p->rings[i].place == place && p->rings[i].offset == offset)
				p->current = &p->rings[i];
		}
		if (!p->current)
			pthread_cond_wait(&p->changed, &p->lock);
	}
}

void prefetch_open(struct prefetch *p, int place)
{
	pthread_mutex_lock(&p->lock);
	go_to(p, place, 0);
	pthread_mutex_unlock(&p->lock);
}

/* Under the lock: the ring with the next bytes, or that has come to the end of the file. */
static struct ring *wait_for_bytes(struct prefetch *p)
{
	for (;;) {
		struct ring *ring = p->current;
		int64_t end = ring->offset + ring->length;

		while (ring->used == 0 && !ring->complete)
			pthread_cond_wait(&p->changed, &p->lock);
		if (ring->used > 0 || ring->failed || end >= item_at(p, ring->place)->size)
			return ring;
		go_to(p, ring->place, end);
	}
}

int prefetch_read(struct prefetch *p, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct ring *ring;
	int rc = 0;

	pthread_mutex_lock(&p->lock);
	ring = wait_for_bytes(p);
	if (ring->used == 0 && ring->failed) {
		if (e)
			*e = ring->why;
		rc = -1;
	}
	size_t piece = ring->used < n ? ring->used : n;
	if (piece > p->ring_size - ring->head)
		piece = p->ring_size - ring->head;
	if (rc == 0)
		memcpy(bytes, ring->bytes + ring->head, piece);
	bool was_full = ring->used == p->ring_size;
	ring->head = (ring->head + piece) % p->ring_size;
	ring->used -= piece;
	if (was_full)
		pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	*got = piece;
	return rc;
}
