/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - samples of CPU time on their way from the signal handler to a set.
 *
 * The handler, on whatever thread, takes a place in a ring and fills it; the loop empties the ring ten times a second.
 * A full ring loses samples and says so. The timer is the process's, and the kernel keeps one signal of a kind
 * waiting, so that no more than some hundred come in between, however many threads there are.
 */
#include <stdatomic.h>

#include "lib/prof/prof.h"

enum { RING = 128, PERIOD_NS = 1000000000 / PROF_CPU_HZ };

static struct {
	_Atomic bool full;
	struct os_stack stack;
} ring[RING];
static _Atomic uint32_t taken, emptied; /* places, counted without end */
static _Atomic uint32_t lost;

static void on_sample(const struct os_stack *s)
{
	uint32_t at = atomic_load(&taken);

	do {
		if (at - atomic_load(&emptied) >= RING) {
			atomic_fetch_add(&lost, 1);
			return;
		}
	} while (!atomic_compare_exchange_weak(&taken, &at, at + 1));
	ring[at % RING].stack = *s;
	atomic_store(&ring[at % RING].full, true);
}

int prof_cpu_start(struct err *e)
{
	struct prof_set old = { 0 };
	int rc = os_sample_start(PROF_CPU_HZ, on_sample, e);

	/* What a handler wrote after the last profile's end. */
	if (!rc)
		prof_cpu_drain(&old);
	prof_set_free(&old);
	return rc;
}

void prof_cpu_drain(struct prof_set *into)
{
	uint32_t at = atomic_load(&emptied);

	while (at != atomic_load(&taken) && atomic_load(&ring[at % RING].full)) {
		struct prof_item *x = prof_set_item(into, &ring[at % RING].stack, "");

		if (x) {
			x->value[0]++;
			x->value[1] += PERIOD_NS;
		}
		atomic_store(&ring[at % RING].full, false);
		atomic_store(&emptied, ++at);
	}
	into->lost += atomic_exchange(&lost, 0);
}

void prof_cpu_stop(struct prof_set *into)
{
	os_sample_stop();
	prof_cpu_drain(into);
}
