/* SPDX-License-Identifier: MIT */
/*
 * credentials.h - the keys that requests are signed with (s3.md §2).
 *
 * Given keys, or the chain of Amazon's tools: environment, web identity, shared files with profiles (static keys,
 * roles, a process), container, instance metadata. Keys that expire are fetched anew five minutes before; one thread
 * does so, the others wait for it. Shared files are read again when they change. Nothing of a secret reaches a message
 * or a log.
 *
 * Any thread. Functions may block on files and network; `cancel` (may be NULL) ends that within 100 ms.
 */
#ifndef RIVULET_S3_CREDENTIALS_H
#define RIVULET_S3_CREDENTIALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

/* Immutable; counted. */
struct s3_keys {
	char *access_key_id, *secret, *token; /* token NULL = none */
	int64_t expires_ms;                   /* since 1970; 0 = never */
	const char *source;                   /* in words, for messages */
	atomic_int users;
};

struct s3_credentials;

/* Fixed keys if access_key_id is not NULL (token may be NULL), else the chain. region: for STS; NULL = not known. */
int s3_credentials_create(const char *access_key_id, const char *secret, const char *token, const char *region,
                          struct s3_credentials **out, struct err *e);
void s3_credentials_free(struct s3_credentials *c);

/* The keys to use now; the caller gives them back. */
int s3_credentials_get(struct s3_credentials *c, const atomic_bool *cancel, struct s3_keys **out, struct err *e);
/* A server has refused `used` as expired or unknown: true when others are there now, fetched if need be. */
bool s3_credentials_renew(struct s3_credentials *c, const struct s3_keys *used, const atomic_bool *cancel);

/* One user. NULL without memory; empty tokens become NULL. */
struct s3_keys *s3_keys_make(const char *access_key_id, const char *secret, const char *token, int64_t expires_ms,
                             const char *source);
void s3_keys_release(struct s3_keys *k); /* NULL is nothing */

#endif
