/* SPDX-License-Identifier: MIT */
/* The exact times of many objects: one HEAD each, some at once. */
#include <pthread.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/os/pool.h"
#include "lib/replica/s3_kind.h"

enum { HEADS_AT_ONCE = 6 };

struct heads {
	struct replica *replica;
	struct replica_item *items;
	int count;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	int next, running;
	bool cancelled, warned;
};

struct head_job {
	struct pool_job job;
	struct heads *h;
};

/* What cannot be had is told once, and the time of the listing stays. */
static void head_failed(struct heads *h, const struct err *why)
{
	pthread_mutex_lock(&h->lock);
	bool news = !h->warned && why->code != ERR_CANCELLED;
	h->warned |= news;
	h->cancelled |= why->code == ERR_CANCELLED;
	pthread_mutex_unlock(&h->lock);
	if (news)
		log_warn("cannot read the exact time of a file, taking that of its upload", LS("error", why->text));
}

static void ask_heads(struct heads *h)
{
	pthread_mutex_lock(&h->lock);
	while (h->next < h->count && !h->cancelled) {
		struct replica_item *item = &h->items[h->next++];
		struct err why = ERR_INIT;

		pthread_mutex_unlock(&h->lock);
		char *key = s3_item_key(h->replica, item, &why);
		if (!key ||
		    s3_head_time(s3_self(h->replica)->client, key, &item->created_ms, h->replica->cancel, &why) != 0)
			head_failed(h, &why);
		free(key);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
}

static void run_heads(struct pool_job *job)
{
	struct heads *h = ((struct head_job *)job)->h;

	ask_heads(h);
	pthread_mutex_lock(&h->lock);
	h->running--;
	pthread_cond_signal(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static void heads_done(struct pool_job *job)
{
	(void)job;
}

static void no_wake(void *ctx)
{
	(void)ctx;
}

int s3_exact_times(struct replica *r, struct replica_item *items, int count, struct err *e)
{
	struct heads h = { .replica = r, .items = items, .count = count };
	struct head_job jobs[HEADS_AT_ONCE];
	int helpers = count < HEADS_AT_ONCE ? count - 1 : HEADS_AT_ONCE - 1;
	struct pool *pool = helpers > 0 ? pool_create(helpers, no_wake, NULL, NULL) : NULL;

	pthread_mutex_init(&h.lock, NULL);
	pthread_cond_init(&h.changed, NULL);
	h.running = pool ? helpers : 0;
	for (int i = 0; pool && i < helpers; i++) {
		jobs[i] = (struct head_job){ .job = { .run = run_heads, .done = heads_done }, .h = &h };
		pool_submit(pool, &jobs[i].job);
	}
	ask_heads(&h);
	pthread_mutex_lock(&h.lock);
	while (h.running > 0)
		pthread_cond_wait(&h.changed, &h.lock);
	pthread_mutex_unlock(&h.lock);
	while (pool && pool_pending(pool) > 0) {
		if (pool_collect(pool) == 0)
			sched_yield();
	}
	if (pool)
		pool_free(pool);
	pthread_mutex_destroy(&h.lock);
	pthread_cond_destroy(&h.changed);
	return h.cancelled ? err_set(e, ERR_CANCELLED, "cancelled") : 0;
}
