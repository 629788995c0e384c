/* SPDX-License-Identifier: MIT */
/* test_os_thread.c - stacks of this thread, of others, of those inside a library; samples of CPU time. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"
#include "lib/os/thread.h"

#if defined(__SANITIZE_THREAD__)
#define TSAN 1 /* keeps signals back until the thread calls something it watches */
#else
#define TSAN 0
#endif
#define KEPT __attribute__((noinline, noclone)) /* each ends with sink++, so that no call is its last act */

static _Thread_local volatile int sink;

static bool in(uintptr_t pc, const void *function)
{
	return pc > (uintptr_t)function && pc < (uintptr_t)function + 2048;
}

static bool holds(const struct os_stack *s, const void *function)
{
	for (int i = 0; i < s->depth; i++)
		if (in(s->pc[i], function))
			return true;
	return false;
}

/* ---- our own ---- */

static struct os_stack stack;
KEPT static void capture(void) { os_stack_above(__builtin_frame_address(0), &stack); sink++; }
KEPT static void inner(void) { capture(); sink++; }
KEPT static void middle(void) { inner(); sink++; }
KEPT static void outer(void) { middle(); sink++; }
KEPT static void deep(int n)
{
	if (n)
		deep(n - 1);
	else
		inner();
	sink++;
}

KEPT static void *on_thread(void *arg)
{
	os_thread_begin("tester");
	outer();
	((void)arg);
	return NULL;
}

static void run(void *(*fn)(void *))
{
	pthread_t id;

	pthread_create(&id, NULL, fn, NULL);
	pthread_join(id, NULL);
}

TEST(a_stack_holds_its_callers_in_order)
{
	run(on_thread);
	CHECK(stack.depth >= 4 && stack.depth <= 6);
	CHECK(in(stack.pc[0], (const void *)inner));
	CHECK(in(stack.pc[1], (const void *)middle));
	CHECK(in(stack.pc[2], (const void *)outer));
	CHECK(in(stack.pc[3], (const void *)on_thread));
}

static void *on_deep_thread(void *arg)
{
	os_thread_begin(NULL);
	deep(500);
	return arg;
}

static void *on_unknown_thread(void *arg)
{
	outer(); /* without os_thread_begin: nothing is known of its stack */
	return arg;
}

TEST(depth_is_bounded_and_an_unknown_thread_is_not_walked)
{
	run(on_deep_thread);
	CHECK_INT(stack.depth, OS_STACK_MAX);
	CHECK(in(stack.pc[OS_STACK_MAX - 1], (const void *)deep));
	run(on_unknown_thread);
	CHECK_INT(stack.depth, 1);
}

/* ---- others ---- */

static atomic_int ready, quit;

KEPT static void waits_in_library(void)
{
	struct timespec t = { 0, 2000000 };

	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&quit))
		nanosleep(&t, NULL);
	sink++;
}

static void *sleeper(void *arg)
{
	os_thread_begin("sleeper");
	waits_in_library();
	return arg;
}

KEPT static void spins(void)
{
	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&quit))
		sink++;
	sink--;
}

static void *spinner(void *arg)
{
	os_thread_begin("spinner");
	spins();
	return arg;
}

static pthread_t ids[8];
static int started;

static void start(void *(*fn)(void *))
{
	os_thread_creating();
	pthread_create(&ids[started++], NULL, fn, NULL);
	while (atomic_load(&ready) < started)
		usleep(1000);
}

static void stop_all(void)
{
	atomic_store(&quit, 1);
	while (started)
		pthread_join(ids[--started], NULL);
	atomic_store(&quit, 0);
	atomic_store(&ready, 0);
}

TEST(every_thread_shows_what_it_does)
{
	struct os_thread_state t[16];
	int n, sleepers = 0, spinners = 0, self = 0;

	os_thread_begin(NULL);
	for (int i = 0; i < 3; i++)
		start(sleeper);
	start(spinner);
	for (int round = 0; round < 20; round++) {
		n = os_thread_states(t, 16);
		for (int i = 0; i < n; i++) {
			sleepers += !strcmp(t[i].name, "sleeper") && holds(&t[i].stack, (const void *)sleeper);
			spinners += !strcmp(t[i].name, "spinner") && holds(&t[i].stack, (const void *)spins);
			self += t[i].tid == (int)getpid() && t[i].state == 'R' && t[i].stack.depth > 0;
		}
	}
	CHECK_INT(os_thread_states(t, 2), 2);
	stop_all();
	CHECK(n >= 5);
	CHECK_INT(self, 20);
	CHECK(TSAN || (sleepers == 60 && spinners == 20));
}

TEST(places_that_start_threads_are_counted)
{
	struct os_thread_site sites[OS_THREAD_SITES_MAX];
	uint64_t count = 0;
	int n;

	os_thread_begin(NULL);
	for (int i = 0; i < 3; i++)
		start(sleeper);
	stop_all();
	n = os_thread_sites(sites);
	for (int i = 0; i < n; i++)
		if (holds(&sites[i].stack, (const void *)start))
			count += sites[i].started;
	CHECK(count >= 3);
}

/* ---- samples ---- */

static atomic_int samples, in_spins, shallow;

static void sample(const struct os_stack *s)
{
	atomic_fetch_add(&samples, 1);
	atomic_fetch_add(&in_spins, holds(s, (const void *)spinner));
	atomic_fetch_add(&shallow, s->depth < 1);
}

TEST(cpu_time_is_sampled_where_it_is_used)
{
	struct err e = ERR_INIT;
	int before;

	os_thread_begin(NULL);
	start(sleeper);
	start(spinner);
	CHECK_OK(os_sample_start(100, sample, &e), &e);
	CHECK_INT(os_sample_start(100, sample, &e), -1);
	CHECK_STR(e.text, "cpu profiling already in use");
	for (int i = 0; i < 1000 && atomic_load(&samples) < 20; i++)
		usleep(10000);
	os_sample_stop();
	before = atomic_load(&samples);
	printf("  %d of %d samples in the spinner\n", atomic_load(&in_spins), before);
	CHECK(before >= 20);
	CHECK_INT(atomic_load(&shallow), 0);
	CHECK(TSAN || atomic_load(&in_spins) > before * 3 / 4);
	raise(SIGPROF); /* a late one does no harm */
	CHECK_OK(os_sample_start(100, sample, &e), &e);
	os_sample_stop();
	stop_all();
}

/* A library's function, which uses the frame pointer for something else, calls back and is interrupted there. */
static int compare(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

KEPT static void sorts(void)
{
	static int numbers[100000];

	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&quit)) {
		for (int i = 0; i < 100000; i++)
			numbers[i] = (int)((uint32_t)i * 2654435761u >> 8);
		qsort(numbers, 100000, sizeof(numbers[0]), compare);
		sink++;
	}
}

static void *sorter(void *arg)
{
	os_thread_begin("sorter");
	sorts();
	return arg;
}

static atomic_int all, with_sorts;

static void sample_sort(const struct os_stack *s)
{
	atomic_fetch_add(&all, 1);
	atomic_fetch_add(&with_sorts, holds(s, (const void *)sorts) || holds(s, (const void *)sorter));
}

TEST(our_caller_is_found_behind_a_library)
{
	struct err e = ERR_INIT;

	os_thread_begin(NULL);
	start(sorter);
	CHECK_OK(os_sample_start(250, sample_sort, &e), &e);
	for (int i = 0; i < 1000 && atomic_load(&all) < 50; i++)
		usleep(10000);
	os_sample_stop();
	stop_all();
	printf("  %d of %d samples in qsort() show its caller\n", atomic_load(&with_sorts), atomic_load(&all));
	CHECK(TSAN || atomic_load(&with_sorts) > 0);
}
TEST_MAIN
