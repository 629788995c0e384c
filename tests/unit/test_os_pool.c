/* SPDX-License-Identifier: MIT */
#include "tests/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/loop.h"
#include "lib/os/pool.h"

static struct err err;
static atomic_int wakes;

static void wake(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&wakes, 1);
}

struct work {
	struct pool_job job;
	struct pool *pool;
	pthread_t ran_on;
	int runs, dones, again, sleep_ms;
	int *order; /* where to note when it ran */
	int number;
	bool free_me, signals_blocked;
};

static void run(struct pool_job *job)
{
	struct work *w = (struct work *)job;
	sigset_t set;

	w->runs++;
	w->ran_on = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	w->signals_blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGCHLD) == 1;
	if (w->order != NULL)
		*w->order = w->order[0] * 10 + w->number;
	os_sleep_ms(w->sleep_ms);
}

static void done(struct pool_job *job)
{
	struct work *w = (struct work *)job;

	w->dones++;
	if (w->again-- > 0)
		pool_submit(w->pool, job);
	else if (w->free_me)
		free(w);
}

static void drain(struct pool *p)
{
	while (pool_pending(p) > 0)
		if (pool_collect(p) == 0)
			os_sleep_ms(1);
}

/* The first thread cannot be started: the job runs all the same. Limits of threads do not bind root, those of address
 * space bind everybody. The first test, because a C library may keep the stacks of ended threads. */
TEST(without_threads)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	SKIP("sanitizers need the address space");
#else
	struct rlimit old, tight;
	struct pool *p = pool_create(2, wake, NULL, &err);
	struct work w = { .job = { .run = run, .done = done }, .pool = p };

	getrlimit(RLIMIT_AS, &old);
	tight = old;
	tight.rlim_cur = 4096;
	CHECK_INT(setrlimit(RLIMIT_AS, &tight), 0);
	pool_submit(p, &w.job);
	setrlimit(RLIMIT_AS, &old);
	if (!pthread_equal(w.ran_on, pthread_self())) {
		drain(p);
		pool_free(p);
		SKIP("a stack was left over from an earlier thread");
	}
	CHECK_INT(w.runs, 1);
	CHECK_INT(w.dones, 0);
	CHECK_INT(pool_collect(p), 1);
	CHECK_INT(w.dones, 1);
	pool_free(p);
#endif
}

TEST(jobs_run_on_workers)
{
	struct pool *p = pool_create(3, wake, NULL, &err);
	struct work w[20] = { { .runs = 0 } };
	int i;

	CHECK(p != NULL);
	atomic_store(&wakes, 0);
	for (i = 0; i < 20; i++) {
		w[i] = (struct work){ .job = { .run = run, .done = done }, .pool = p, .again = i % 4, .sleep_ms = i % 3 };
		pool_submit(p, &w[i].job);
	}
	CHECK_INT(pool_pending(p), 20);
	drain(p);
	for (i = 0; i < 20; i++) {
		CHECK_INT(w[i].runs, i % 4 + 1);
		CHECK_INT(w[i].dones, i % 4 + 1);
		CHECK(!pthread_equal(w[i].ran_on, pthread_self()));
		CHECK(w[i].signals_blocked);
	}
	CHECK(atomic_load(&wakes) > 0);
	pool_free(p);
}

TEST(done_may_free_the_job)
{
	struct pool *p = pool_create(2, wake, NULL, &err);
	int i;

	for (i = 0; i < 50; i++) {
		struct work *w = calloc(1, sizeof(*w));

		CHECK(w != NULL);
		*w = (struct work){ .job = { .run = run, .done = done }, .pool = p, .free_me = true, .again = i % 2 };
		pool_submit(p, &w->job);
	}
	drain(p);
	pool_free(p);
}

static int threads_now(void)
{
	char line[256];
	int n = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "Threads: %d", &n);
	if (f != NULL)
		fclose(f);
	return n;
}

/* A worker that has left its pool is still a thread for a moment. */
static int threads_settled(void)
{
	int n = threads_now(), same = 0;

	for (; same < 30; os_sleep_ms(2)) {
		same = threads_now() == n ? same + 1 : 0;
		n = threads_now();
	}
	return n;
}

TEST(threads_come_and_go)
{
	int before = threads_settled();
	struct pool *p = pool_create(4, wake, NULL, &err);
	struct work w[8];
	int i, most;
	int64_t start;

	CHECK_INT(threads_now(), before);
	for (i = 0; i < 8; i++) {
		w[i] = (struct work){ .job = { .run = run, .done = done }, .pool = p, .sleep_ms = 40 };
		pool_submit(p, &w[i].job);
	}
	most = threads_now();
	drain(p);
	CHECK_INT(most, before + 4);
	/* One job finds an idle thread and starts none. */
	pool_submit(p, &w[0].job);
	drain(p);
	CHECK(threads_now() <= before + 4);
	start = os_mono_us();
	while (threads_now() > before && os_mono_us() - start < (POOL_IDLE_MS + 2000) * 1000)
		os_sleep_ms(20);
	CHECK_INT(threads_now(), before);
	pool_submit(p, &w[0].job);
	drain(p);
	CHECK_INT(w[0].runs, 3);
	pool_free(p);
}

TEST(stepping)
{
	struct pool *p = pool_create(0, wake, NULL, &err);
	struct work w[4];
	int order = 0, i;

	CHECK(!pool_step(p, 0));
	atomic_store(&wakes, 0);
	for (i = 0; i < 4; i++) {
		w[i] = (struct work){ .job = { .run = run, .done = done }, .pool = p, .order = &order, .number = i + 1 };
		pool_submit(p, &w[i].job);
	}
	CHECK_INT(pool_collect(p), 0);
	CHECK(pool_step(p, 7)); /* the 4th of 4 */
	CHECK_INT(atomic_load(&wakes), 1);
	CHECK(pool_step(p, 1)); /* 2 of 1 2 3 */
	CHECK_INT(atomic_load(&wakes), 1);
	CHECK_INT(pool_collect(p), 2);
	CHECK_INT(pool_pending(p), 2);
	CHECK(pool_step(p, UINT64_MAX)); /* 3 of 1 3 */
	CHECK(pool_step(p, 0));
	CHECK(!pool_step(p, 0));
	CHECK_INT(order, 4231);
	CHECK_INT(pool_collect(p), 2);
	pool_submit(p, &w[2].job); /* the list's end was kept in order */
	pool_submit(p, &w[0].job);
	CHECK(pool_step(p, 1));
	pool_submit(p, &w[1].job);
	CHECK(pool_step(p, 0));
	CHECK(pool_step(p, 0));
	CHECK_INT(order, 4231132);
	CHECK_INT(pool_collect(p), 3);
	pool_free(p);
	pool_free(NULL);
}

/* A job that outlives many rounds while the loop sleeps: the wake-up must never be lost. */
static struct pool *loop_pool;

static void collect(void *ctx)
{
	(void)ctx;
	pool_collect(loop_pool);
	if (pool_pending(loop_pool) == 0)
		loop_stop(ctx);
}

TEST(with_the_loop)
{
	struct loop *l = loop_create(&err);
	struct work w[6];
	int i;

	CHECK(l != NULL);
	loop_pool = pool_create(4, loop_wake, l, &err);
	loop_on_wake(l, collect, l);
	for (i = 0; i < 6; i++) {
		w[i] = (struct work){ .job = { .run = run, .done = done }, .pool = loop_pool, .again = 300 };
		pool_submit(loop_pool, &w[i].job);
	}
	CHECK_OK(loop_run(l, &err), &err);
	for (i = 0; i < 6; i++)
		CHECK_INT(w[i].runs, 301);
	pool_free(loop_pool);
	loop_free(l);
}

TEST_MAIN
