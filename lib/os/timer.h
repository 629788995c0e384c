/* SPDX-License-Identifier: MIT */
/*
 * timer.h - the heap of the loop's timers; for this room only.
 *
 * A pairing heap: its nodes are the callers' structs, so arming needs no memory and cannot fail. A node's first child
 * and the chain of that child's siblings hang on `child` and `next`; `link` is the pointer that points to the node.
 */
#ifndef RIVULET_OS_TIMER_H
#define RIVULET_OS_TIMER_H

#include "lib/os/loop.h"

void timer_insert(struct loop_timer **root, struct loop_timer *t);
/* Takes an armed timer out, whether it is in the heap or in a chain made by timer_take_due. */
void timer_remove(struct loop_timer *t);
/* Moves all timers due at now to a chain in order of their times; `chain` then points to the first. */
void timer_take_due(struct loop_timer **root, int64_t now_us, struct loop_timer **chain);
/* The time in [due, due + slack] with the most trailing zero bits. */
int64_t timer_round(int64_t due_us, int64_t slack_us);

#endif
