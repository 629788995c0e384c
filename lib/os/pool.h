/* SPDX-License-Identifier: MIT */
/*
 * pool.h - worker threads that run jobs which may block.
 *
 * The loop's thread submits; a worker calls job->run; the loop's thread later calls job->done from pool_collect(). So
 * everything but `run` happens on one thread and needs no lock; what `run` touches belongs to the job while it runs.
 * Threads are started when there is work for them and end after POOL_IDLE_MS without any, so an idle process has one.
 *
 * With threads == 0 nothing runs by itself: pool_step() runs one waiting job, chosen by the caller's number, on the
 * caller's thread. Tests drive the whole program that way from one seed.
 */
#ifndef RIVULET_OS_POOL_H
#define RIVULET_OS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

enum { POOL_IDLE_MS = 2000, POOL_STACK_SIZE = 256 << 10, POOL_THREADS_MAX = 64 };

struct pool;

struct pool_job {
	void (*run)(struct pool_job *job);  /* on a worker; may block */
	void (*done)(struct pool_job *job); /* on the loop's thread; may submit the job again, or free it */
	struct pool_job *next;              /* the pool's */
};

/* wake is called on worker threads (or in pool_step), whenever the list of finished jobs stops being empty; it must not
 * call the pool. threads is cut to POOL_THREADS_MAX. */
struct pool *pool_create(int threads, void (*wake)(void *ctx), void *ctx, struct err *e);
/* All submitted jobs must have been collected. */
void pool_free(struct pool *p);

/* Never fails: when the system gives not even one thread, the job runs right here. */
void pool_submit(struct pool *p, struct pool_job *job);
/* Runs done() of every job that was finished when it was called; returns how many. */
int pool_collect(struct pool *p);
/* Jobs submitted and not yet collected. */
int pool_pending(const struct pool *p);
/* Only with threads == 0: runs the (pick mod waiting)-th waiting job; false when none waits. */
bool pool_step(struct pool *p, uint64_t pick);

#endif
