/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the two clocks. Tests replace both (fault.h). Any thread.
 */
#ifndef RIVULET_OS_CLOCK_H
#define RIVULET_OS_CLOCK_H

#include <stdint.h>

int64_t os_wall_ms(void); /* milliseconds since 1970; may jump */
int64_t os_mono_us(void); /* microseconds since some start; never goes back */
void os_sleep_ms(int64_t ms);
void os_sleep_us(int64_t us);

#endif
