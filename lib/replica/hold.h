/* SPDX-License-Identifier: MIT */
/*
 * hold.h - keeps the lock of a replica's place, so that nobody else writes there (`lease: true`; s3.md §3.9).
 *
 * Who is about to write asks replica_hold_keep(), which costs nothing while the lock is ours for long enough, and somebody
 * asks at replica_hold_due_us() although nothing is to be written: so the lock does not lapse at rest. It is taken for a
 * minute and prolonged after half of it. Any thread; calls wait for each other and for the server.
 */
#ifndef RIVULET_REPLICA_HOLD_H
#define RIVULET_REPLICA_HOLD_H

#include <stdatomic.h>

#include "lib/replica/replica.h"

struct replica_hold;

/* NULL in *out when the replica does not want any (r->lease is false): then nothing below need be called. */
int replica_hold_create(struct replica *r, struct replica_hold **out, struct err *e);
void replica_hold_free(struct replica_hold *h); /* gives nothing back */

/*
 * Makes sure that the lock is ours. ERR_BUSY (another has it), ERR_INVALID (the server cannot do this), or it is not known:
 * nothing may be written.
 */
int replica_hold_keep(struct replica_hold *h, struct err *e);
/* How often it was taken, not counting how often prolonged: between two terms another may have written there. */
unsigned replica_hold_term(const struct replica_hold *h);
/* The time (os_mono_us()) to ask again; INT64_MAX while it is not ours. */
int64_t replica_hold_due_us(const struct replica_hold *h);
/* Gives it back if it is ours, so that the next one need not wait. Errors do not matter: it lapses. */
void replica_hold_let_go(struct replica_hold *h);

#endif
