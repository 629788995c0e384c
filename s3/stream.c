/* SPDX-License-Identifier: MIT */
/*
 * Objects of unknown size. One part is being filled while another is under way; what stays below one part becomes a
 * single PUT.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/pool.h"
#include "s3/upload.h"

struct s3_stream {
	struct s3_client *c;
	struct s3_write w; /* key is owned */
	char *key;
	struct buf filling, sending;
	bool begun; /* m is there */
	struct s3_multipart m;
	int next;   /* part number of `sending`, or of the next one */

	struct pool *pool; /* NULL: no thread was to be had */
	struct pool_job job;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool busy, failed; /* under the lock */
	struct err why;
};

static void no_wake(void *ctx)
{
	(void)ctx;
}

static void job_done(struct pool_job *job)
{
	(void)job;
}

static int send_part(struct s3_stream *s, struct err *e)
{
	struct s3_source source;

	s3_source_memory(&source, s->c, s->sending.data, s->sending.len);
	return s3_multipart_part(&s->m, s->next, &source, e);
}

static void run_job(struct pool_job *job)
{
	struct s3_stream *s = (struct s3_stream *)((char *)job - offsetof(struct s3_stream, job));
	struct err why = ERR_INIT;
	int rc = send_part(s, &why);

	pthread_mutex_lock(&s->lock);
	s->busy = false;
	if (rc != 0) {
		s->failed = true;
		s->why = why;
	}
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Until the part that is under way has arrived. */
static int wait_for_part(struct s3_stream *s, struct err *e)
{
	pthread_mutex_lock(&s->lock);
	while (s->busy)
		pthread_cond_wait(&s->changed, &s->lock);
	bool failed = s->failed;
	if (failed && e)
		*e = s->why;
	pthread_mutex_unlock(&s->lock);
	while (s->pool && pool_pending(s->pool) > 0) {
		if (pool_collect(s->pool) == 0)
			sched_yield();
	}
	return failed ? -1 : 0;
}

/* The full buffer becomes the next part. */
static int flush(struct s3_stream *s, struct err *e)
{
	struct buf full;

	if (!s->begun) {
		if (s3_multipart_begin(&s->m, s->c, &s->w, e) != 0)
			return -1;
		s->begun = true;
		s->pool = pool_create(1, no_wake, NULL, NULL);
	} else if (wait_for_part(s, e) != 0) {
		return -1;
	}
	s->next = s->m.part_count;
	if (s3_multipart_reserve(&s->m, s->m.part_count + 1, e) != 0)
		return -1;
	full = s->filling;
	s->filling = s->sending;
	s->sending = full;
	buf_reset(&s->filling);
	s->filling.limit = (size_t)s->c->settings.part_size;
	s->m.size += (int64_t)s->sending.len;
	if (!s->pool)
		return send_part(s, e);
	pthread_mutex_lock(&s->lock);
	s->busy = true;
	pthread_mutex_unlock(&s->lock);
	pool_submit(s->pool, &s->job);
	return 0;
}

static void stream_free(struct s3_stream *s)
{
	if (s->pool)
		pool_free(s->pool);
	if (s->begun)
		s3_multipart_free(&s->m);
	buf_free(&s->filling);
	buf_free(&s->sending);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s->key);
	free(s);
}

int s3_stream_begin(struct s3_client *c, const struct s3_write *w, struct s3_stream **out, struct err *e)
{
	struct s3_stream *s;

	*out = NULL;
	if (s3_check_part_size(c, w->key, e) != 0)
		return -1;
	s = calloc(1, sizeof(*s));
	if (!s || !(s->key = strdup(w->key))) {
		free(s);
		return err_nomem(e);
	}
	s->c = c;
	s->w = *w;
	s->w.key = s->key;
	s->filling.limit = (size_t)c->settings.part_size;
	s->job = (struct pool_job){ .run = run_job, .done = job_done };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	*out = s;
	return 0;
}

int s3_stream_write(struct s3_stream *s, const void *bytes, size_t n, struct err *e)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		size_t room = s->filling.limit - s->filling.len, take = n < room ? n : room;

		if (take == 0) {
			if (flush(s, e) != 0)
				return -1;
			continue;
		}
		buf_append(&s->filling, p, take);
		if (!buf_ok(&s->filling))
			return err_nomem(e);
		p += take;
		n -= take;
	}
	return 0;
}

int s3_stream_finish(struct s3_stream *s, struct err *e)
{
	struct s3_source source;
	int rc;

	if (!s->begun) {
		s3_source_memory(&source, s->c, s->filling.data ? (const void *)s->filling.data : "", s->filling.len);
		rc = s3_put_source(s->c, &s->w, &source, e);
		stream_free(s);
		return rc;
	}
	rc = s->filling.len > 0 ? flush(s, e) : 0;
	if (wait_for_part(s, rc == 0 ? e : NULL) != 0)
		rc = -1;
	if (rc == 0)
		rc = s3_multipart_complete(&s->m, e);
	if (rc != 0)
		s3_multipart_abort(&s->m);
	stream_free(s);
	return rc;
}

void s3_stream_abort(struct s3_stream *s)
{
	(void)wait_for_part(s, NULL);
	if (s->begun)
		s3_multipart_abort(&s->m);
	stream_free(s);
}
