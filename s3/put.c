/* SPDX-License-Identifier: MIT */
/* Files to objects: one PUT, or parts that several threads send. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/pool.h"
#include "s3/upload.h"

/* The parts of one file. */
struct transfer {
	struct s3_multipart *m;
	struct os_file *f;
	int64_t size, part_size;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	int next, running;
	bool failed;
	struct err why;
};

struct sender {
	struct pool_job job;
	struct transfer *t;
};

static int send_part(struct transfer *t, int number, struct err *e)
{
	int64_t offset = number * t->part_size, n = t->size - offset;
	struct s3_source source;
	int rc;

	if (n > t->part_size)
		n = t->part_size;
	if (s3_source_file(&source, t->m->c, t->f, offset, n, e) != 0)
		return -1;
	rc = s3_multipart_part(t->m, number, &source, e);
	s3_source_free(&source);
	return rc;
}

/* Sends parts until there are none left or one has failed. */
static void send_parts(struct transfer *t)
{
	struct err why = ERR_INIT;

	pthread_mutex_lock(&t->lock);
	while (!t->failed && t->next < t->m->part_count) {
		int number = t->next++;

		pthread_mutex_unlock(&t->lock);
		int rc = send_part(t, number, &why);
		pthread_mutex_lock(&t->lock);
		if (rc != 0 && !t->failed) {
			t->failed = true;
			t->why = why;
		}
	}
	pthread_mutex_unlock(&t->lock);
}

static void run_sender(struct pool_job *job)
{
	struct transfer *t = ((struct sender *)job)->t;

	send_parts(t);
	pthread_mutex_lock(&t->lock);
	t->running--;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void sender_done(struct pool_job *job)
{
	(void)job;
}

static void no_wake(void *ctx)
{
	(void)ctx;
}

/* This thread and up to `helpers` more. Without threads it does all of it. */
static void send_all(struct transfer *t, int helpers)
{
	struct sender senders[S3_CONCURRENCY_MAX];
	struct pool *pool = helpers > 0 ? pool_create(helpers, no_wake, NULL, NULL) : NULL;

	for (int i = 0; pool && i < helpers; i++) {
		senders[i] = (struct sender){ .job = { .run = run_sender, .done = sender_done }, .t = t };
		pthread_mutex_lock(&t->lock);
		t->running++;
		pthread_mutex_unlock(&t->lock);
		pool_submit(pool, &senders[i].job);
	}
	send_parts(t);
	pthread_mutex_lock(&t->lock);
	while (t->running > 0)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
	if (!pool)
		return;
	while (pool_pending(pool) > 0) {
		if (pool_collect(pool) == 0)
			sched_yield();
	}
	pool_free(pool);
}

static int put_parts(struct s3_client *c, const struct s3_write *w, struct os_file *f, int64_t size, struct err *e)
{
	struct transfer t = { .f = f, .size = size, .part_size = c->settings.part_size };
	struct s3_multipart m;
	int64_t count;
	int helpers, rc;

	if (size / t.part_size >= S3_PARTS_MAX)
		t.part_size = size / S3_PARTS_MAX + 1;
	count = (size + t.part_size - 1) / t.part_size;
	if (s3_multipart_begin(&m, c, w, e) != 0)
		return -1;
	t.m = &m;
	m.size = size;
	pthread_mutex_init(&t.lock, NULL);
	pthread_cond_init(&t.changed, NULL);
	helpers = c->settings.concurrency < count ? c->settings.concurrency - 1 : (int)count - 1;
	rc = s3_multipart_reserve(&m, (int)count, e);
	if (rc == 0)
		send_all(&t, helpers);
	if (rc == 0 && t.failed) {
		if (e)
			*e = t.why;
		rc = -1;
	}
	if (rc == 0)
		rc = s3_multipart_complete(&m, e);
	if (rc != 0)
		s3_multipart_abort(&m);
	pthread_mutex_destroy(&t.lock);
	pthread_cond_destroy(&t.changed);
	s3_multipart_free(&m);
	return rc;
}

int s3_put_file(struct s3_client *c, const struct s3_write *w, struct os_file *f, int64_t size, struct err *e)
{
	struct s3_source source;
	int rc;

	if (s3_check_part_size(c, w->key, e) != 0)
		return -1;
	if (size > c->settings.part_size)
		return put_parts(c, w, f, size, e);
	if (s3_source_file(&source, c, f, 0, size, e) != 0)
		return -1;
	rc = s3_put_source(c, w, &source, e);
	s3_source_free(&source);
	return rc;
}
