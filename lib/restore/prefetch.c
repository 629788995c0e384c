/* SPDX-License-Identifier: MIT */
/*
 * Threads that fetch a plan's files ahead of their use, each into a ring of its own.
 *
 * A thread takes the next file of the order when its ring has been given back, fills the ring as far as it goes, and
 * waits when it is full. So memory is bounded, small files are there when their turn comes, and a large one streams.
 * Files are taken in order and used in order: the one that is waited for is always in some ring, or about to be.
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
	uint8_t *bytes;
	size_t head;     /* of the oldest byte */
	size_t used;
	bool complete;   /* nothing comes any more: end of the file, or failed */
	bool failed;
	bool abandoned;  /* the user went on to the next file */
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

	pthread_mutex_t lock; /* for everything below, and for the rings' fields but bytes[] */
	pthread_cond_t changed;
	bool stop;
	int next_place;
	struct ring *current;
	struct ring rings[];
};

static void no_wake(void *ctx)
{
	(void)ctx;
}

/* Waits for a free ring's worth of work: false when there is none left. */
static bool take_file(struct prefetch *p, struct ring *ring)
{
	bool took = false;

	pthread_mutex_lock(&p->lock);
	while (ring->place >= 0 && !p->stop)
		pthread_cond_wait(&p->changed, &p->lock);
	if (!p->stop && p->next_place < p->count) {
		ring->head = ring->used = 0;
		ring->complete = ring->failed = ring->abandoned = false;
		ring->place = p->next_place++;
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

static void fetch_file(struct prefetch *p, struct ring *ring)
{
	const struct replica_item *item = &p->items[p->backwards ? p->count - 1 - ring->place : ring->place];
	struct replica_reader *reader = NULL;
	struct err why = ERR_INIT;
	uint8_t *at;
	size_t got = 0, room;
	int rc = replica_open_resumable(p->replica, item, p->cancel, &reader, &why);

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
	while (take_file(p, ring))
		fetch_file(p, ring);
}

static void thread_done(struct pool_job *job)
{
	(void)job;
}

struct prefetch *prefetch_create(struct replica *r, const struct replica_item *items, int count,
                                 const struct feed_options *o, struct err *e)
{
	int n = o->parallelism < count ? o->parallelism : count;

	if (n > POOL_THREADS_MAX)
		n = POOL_THREADS_MAX;
	if (n > FEED_MEMORY / RING_SIZE_MIN)
		n = FEED_MEMORY / RING_SIZE_MIN;
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
	p->ring_size = (size_t)(FEED_MEMORY / n);
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

void prefetch_open(struct prefetch *p, int place)
{
	pthread_mutex_lock(&p->lock);
	if (p->current) {
		p->current->abandoned = true;
		if (p->current->complete)
			p->current->place = -1;
		pthread_cond_broadcast(&p->changed);
	}
	p->current = NULL;
	for (;;) {
		for (int i = 0; i < p->ring_count; i++) {
			if (p->rings[i].place == place)
				p->current = &p->rings[i];
		}
		if (p->current)
			break;
		pthread_cond_wait(&p->changed, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
}

int prefetch_read(struct prefetch *p, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct ring *ring = p->current;
	int rc = 0;

	pthread_mutex_lock(&p->lock);
	while (ring->used == 0 && !ring->complete)
		pthread_cond_wait(&p->changed, &p->lock);
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
