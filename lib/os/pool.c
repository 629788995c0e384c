/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "lib/os/pool.h"
#include "lib/os/thread.h"

struct list {
	struct pool_job *first, **end;
};

struct pool {
	pthread_mutex_t lock; /* protects what stands below it, up to the next comment */
	pthread_cond_t work;  /* a job waits, or closing */
	pthread_cond_t ended; /* the last worker has ended */
	struct list waiting, finished;
	int waiting_count;
	int workers, idle;
	bool closing;
	/* The loop's thread only, or constant. */
	int pending;
	int threads;
	void (*wake)(void *ctx);
	void *ctx;
};

/* Instrumented code needs several times the stack. */
static size_t stack_size(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return (size_t)POOL_STACK_SIZE * 4;
#else
	return POOL_STACK_SIZE;
#endif
}

static void list_init(struct list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void list_append(struct list *list, struct pool_job *job)
{
	job->next = NULL;
	*list->end = job;
	list->end = &job->next;
}

static struct pool_job *list_remove(struct list *list, uint64_t index)
{
	struct pool_job **at = &list->first, *job;

	while (index-- > 0)
		at = &(*at)->next;
	job = *at;
	*at = job->next;
	if (*at == NULL)
		list->end = at;
	job->next = NULL;
	return job;
}

/* wake() is called with the lock held: once a job was collected, no worker is still about to wake the loop for it. */
static void finish(struct pool *p, struct pool_job *job)
{
	bool first = p->finished.first == NULL;

	list_append(&p->finished, job);
	if (first && p->wake != NULL)
		p->wake(p->ctx);
}

/* Waits for a job; NULL when none came for POOL_IDLE_MS or none will ever come. */
static struct pool_job *next_job(struct pool *p)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += POOL_IDLE_MS / 1000;
	until.tv_nsec += (long)(POOL_IDLE_MS % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (p->waiting_count == 0) {
		if (p->closing || rc == ETIMEDOUT)
			return NULL;
		p->idle++;
		rc = pthread_cond_timedwait(&p->work, &p->lock, &until);
		p->idle--;
	}
	p->waiting_count--;
	return list_remove(&p->waiting, 0);
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct pool_job *job;

	os_thread_begin("worker");
	pthread_mutex_lock(&p->lock);
	while ((job = next_job(p)) != NULL) {
		pthread_mutex_unlock(&p->lock);
		job->run(job);
		pthread_mutex_lock(&p->lock);
		finish(p, job);
	}
	if (--p->workers == 0)
		pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct pool *pool_create(int threads, void (*wake)(void *ctx), void *ctx, struct err *e)
{
	pthread_condattr_t attr;
	struct pool *p;

	assert(threads >= 0);
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		err_nomem(e);
		return NULL;
	}
	p->threads = threads < POOL_THREADS_MAX ? threads : POOL_THREADS_MAX;
	p->wake = wake;
	p->ctx = ctx;
	list_init(&p->waiting);
	list_init(&p->finished);
	/* None of these can fail on Linux. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, &attr);
	pthread_cond_init(&p->ended, NULL);
	pthread_condattr_destroy(&attr);
	return p;
}

void pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	assert(p->pending == 0);
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->work);
	while (p->workers > 0)
		pthread_cond_wait(&p->ended, &p->lock);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&p->ended);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Workers are detached: one that ends for lack of work gives its stack back at once. They take no signals; those are
 * the loop's, but for the profiler's. */
static bool start_worker(struct pool *p)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t id;
	int rc;

	if (pthread_attr_init(&attr) != 0)
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, stack_size());
	sigfillset(&all);
	sigdelset(&all, SIGPROF);
	os_thread_creating();
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&id, &attr, worker, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

void pool_submit(struct pool *p, struct pool_job *job)
{
	p->pending++;
	pthread_mutex_lock(&p->lock);
	list_append(&p->waiting, job);
	p->waiting_count++;
	if (p->waiting_count <= p->idle) {
		pthread_cond_signal(&p->work);
	} else if (p->workers < p->threads) {
		if (start_worker(p))
			p->workers++;
	}
	/* Not even one thread is to be had: late is better than never. */
	if (p->threads > 0 && p->workers == 0) {
		p->waiting_count--;
		job = list_remove(&p->waiting, 0);
		pthread_mutex_unlock(&p->lock);
		job->run(job);
		pthread_mutex_lock(&p->lock);
		finish(p, job);
	}
	pthread_mutex_unlock(&p->lock);
}

int pool_collect(struct pool *p)
{
	struct pool_job *job, *next;
	int count = 0;

	pthread_mutex_lock(&p->lock);
	job = p->finished.first;
	list_init(&p->finished);
	pthread_mutex_unlock(&p->lock);
	for (; job != NULL; job = next, count++) {
		next = job->next;
		job->next = NULL;
		p->pending--;
		job->done(job);
	}
	return count;
}

int pool_pending(const struct pool *p)
{
	return p->pending;
}

bool pool_step(struct pool *p, uint64_t pick)
{
	struct pool_job *job;

	assert(p->threads == 0);
	if (p->waiting_count == 0)
		return false;
	job = list_remove(&p->waiting, pick % (uint64_t)p->waiting_count);
	p->waiting_count--;
	job->run(job);
	finish(p, job);
	return true;
}
