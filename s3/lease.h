/* SPDX-License-Identifier: MIT */
/*
 * lease.h - one writer per place: a small object that says who it is and until when (s3.md §3.9).
 *
 * PREFIX/lock.json, changed only under the condition that it is what we last saw (If-Match, If-None-Match). It holds
 * {"generation": N, "expires_at": "…", "owner": "…"}; Litestream's code reads the same. Time is the server's, as its
 * answers give it. A server that ignores conditions would let two writers in: it is found out before the first success.
 *
 * A lease belongs to one thread at a time.
 */
#ifndef RIVULET_S3_LEASE_H
#define RIVULET_S3_LEASE_H

#include "s3/client.h"

struct s3_lease;

int s3_lease_create(struct s3_client *c, const char *prefix, struct s3_lease **out, struct err *e);
void s3_lease_free(struct s3_lease *l); /* gives nothing back */

/*
 * Takes the lock for owner (*fresh), or prolongs it, for ttl_ms from now. *until_ms (monotonic): it is ours until then
 * at least. What has lapsed is prolonged too, if nobody else has had it since.
 * ERR_BUSY: another has it, or took it from us. ERR_INVALID: the server cannot guard it. Else: not known, ask again.
 */
int s3_lease_hold(struct s3_lease *l, const char *owner, int64_t ttl_ms, const atomic_bool *cancel, bool *fresh,
                  int64_t *until_ms, struct err *e);
/* Gives it back if it is ours. ERR_BUSY: it was not any more. */
int s3_lease_release(struct s3_lease *l, const atomic_bool *cancel, struct err *e);

#endif
