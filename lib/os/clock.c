/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"

int64_t os_wall_ms(void)
{
	struct timespec ts;
#ifdef OS_FAULTS
	int64_t wall_ms;

	if (os_fault_clock_now(&wall_ms, NULL))
		return wall_ms;
#endif
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t os_mono_us(void)
{
	struct timespec ts;
#ifdef OS_FAULTS
	int64_t mono_us;

	if (os_fault_clock_now(NULL, &mono_us))
		return mono_us;
#endif
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void os_sleep_ms(int64_t ms)
{
	os_sleep_us(ms * 1000);
}

void os_sleep_us(int64_t us)
{
	struct timespec ts;

	if (us <= 0)
		return;
#ifdef OS_FAULTS
	if (os_fault_clock_now(NULL, NULL)) {
		os_fault_clock_advance(us);
		return;
	}
#endif
	ts.tv_sec = (time_t)(us / 1000000);
	ts.tv_nsec = (long)(us % 1000000) * 1000;
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}
