/* SPDX-License-Identifier: MIT */
/*
 * hold.h - keeps the lock of a replica's place, so that nobody else writes there (`lease: true`; s3.md §3.9).
 *
 * Who is about to write asks replica_hold_keep(), which costs nothing while the lock is ours for long enough. It is
 * taken for REPLICA_HOLD_MS and prolonged after a third of it. What takes longer than that to write needs somebody
 * beside it who asks at replica_hold_due_us(), and who ends it at replica_hold_until_us() if that was in vain.
 *
 * When nobody asks any more the lock lapses: a replica at rest costs no request, and is anybody's. Whoever then asks
 * first has it, and it shows whether another has had it in between. Any thread; calls wait for each other and the
 * server.
 */
#ifndef RIVULET_REPLICA_HOLD_H
#define RIVULET_REPLICA_HOLD_H

#include <stdatomic.h>

#include "lib/replica/replica.h"

enum { REPLICA_HOLD_MS = 30 * 1000 };

struct replica_hold;

/* NULL in *out when the replica does not want any (r->lease is false): then nothing below need be called. */
int replica_hold_create(struct replica *r, struct replica_hold **out, struct err *e);
void replica_hold_free(struct replica_hold *h); /* gives nothing back */

/*
 * Makes sure that the lock is ours. ERR_BUSY (another has it), ERR_INVALID (the server cannot do this), or it is not
 * known: nothing may be written.
 */
int replica_hold_keep(struct replica_hold *h, struct err *e);
/* How often it was taken, not counting how often prolonged: between two terms another may have written there. */
unsigned replica_hold_term(const struct replica_hold *h);
/* The time (os_mono_us()) to ask again; INT64_MAX when it was refused or never asked for. */
int64_t replica_hold_due_us(const struct replica_hold *h);
/* The time from which on nothing may be written; past when it is not ours. */
int64_t replica_hold_until_us(const struct replica_hold *h);
/* Why the last keep failed: ERR_BUSY, ERR_INVALID; ERR_NONE when it did not, or for another reason. */
enum err_code replica_hold_refused(const struct replica_hold *h);
/* Gives it back if it is ours, so that the next one need not wait. Errors do not matter: it lapses. */
void replica_hold_let_go(struct replica_hold *h);

#endif
