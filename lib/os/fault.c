/* SPDX-License-Identifier: MIT */
#include "lib/os/fault.h"

#ifdef OS_FAULTS

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

/* Written while no other thread runs; what all threads write while they run is atomic. */
static struct os_fault_plan plan;
static bool active;
static atomic_uint_fast64_t counted;
static atomic_bool was_hit;
static atomic_int_fast64_t clock_wall_us, clock_mono_us; /* mono 0: the kernel's clocks */

static void (*hook)(void *ctx, enum os_call call);
static void *hook_ctx;
static bool in_hook;

void os_fault_hook(void (*fn)(void *ctx, enum os_call call), void *ctx)
{
	hook = fn;
	hook_ctx = ctx;
}

static void call_hook(enum os_call call)
{
	if (hook == NULL || in_hook)
		return;
	in_hook = true;
	hook(hook_ctx, call);
	in_hook = false;
}

void os_fault_set(const struct os_fault_plan *p)
{
	active = p != NULL;
	if (p == NULL)
		return;
	plan = *p;
	if (plan.calls == 0)
		plan.calls = OS_CALL_ALL;
	if (plan.errnum == 0)
		plan.errnum = EIO;
	atomic_store(&counted, 0);
	atomic_store(&was_hit, false);
}

uint64_t os_fault_count(void)
{
	return atomic_load(&counted);
}

bool os_fault_hit(void)
{
	return atomic_load(&was_hit);
}

int os_fault_point(enum os_call call, bool *partial)
{
	uint64_t n;

	call_hook(call);
	if (!active || (plan.calls & (unsigned)call) == 0)
		return 0;
	n = atomic_fetch_add(&counted, 1) + 1;
	switch (plan.mode) {
	case OS_FAULT_OFF:
		return 0;
	case OS_FAULT_ONCE:
	case OS_FAULT_SHORT:
		if (n != plan.at)
			return 0;
		break;
	case OS_FAULT_FROM:
		if (n < plan.at)
			return 0;
		break;
	case OS_FAULT_KILL:
		if (n == plan.at)
			kill(getpid(), SIGKILL);
		return 0;
	}
	if (plan.mode == OS_FAULT_SHORT && partial != NULL)
		*partial = true;
	atomic_store(&was_hit, true);
	return plan.errnum;
}

int os_fault_point_sqlite(enum os_call call, bool *partial)
{
	if (active && plan.sqlite_too)
		return os_fault_point(call, partial);
	call_hook(call);
	return 0;
}

void os_fault_clock(int64_t wall_ms, int64_t mono_us)
{
	atomic_store(&clock_wall_us, wall_ms * 1000);
	atomic_store(&clock_mono_us, mono_us);
}

void os_fault_clock_advance(int64_t us)
{
	atomic_fetch_add(&clock_wall_us, us);
	atomic_fetch_add(&clock_mono_us, us);
}

bool os_fault_clock_now(int64_t *wall_ms, int64_t *mono_us)
{
	int64_t mono = atomic_load(&clock_mono_us);

	if (mono == 0)
		return false;
	if (wall_ms != NULL)
		*wall_ms = atomic_load(&clock_wall_us) / 1000;
	if (mono_us != NULL)
		*mono_us = mono;
	return true;
}

static _Atomic uint64_t boot;

void os_fault_boot(uint64_t id)
{
	atomic_store(&boot, id);
}

uint64_t os_fault_boot_id(void)
{
	return atomic_load(&boot);
}

#else
typedef int os_fault_is_off; /* a translation unit must declare something */
#endif
