/* SPDX-License-Identifier: MIT */
/*
 * address.h - from settings and a region to a host and a request target (s3.md §1.6).
 *
 * Keys go into the target escaped once and otherwise as they are: "./0000/…" and "//" stay.
 */
#ifndef RIVULET_S3_ADDRESS_H
#define RIVULET_S3_ADDRESS_H

#include "http/message.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "s3/settings.h"

struct s3_address {
	struct http_url url; /* where to connect */
	char *host;          /* the Host field: with the port unless it is the scheme's own */
	char *base;          /* escaped path before the key: base path, bucket in path style; no slash at its end */
};

/* region must not be NULL. Reads AWS_USE_DUALSTACK_ENDPOINT and AWS_USE_FIPS_ENDPOINT. */
int s3_address_make(const struct s3_settings *s, const char *region, struct s3_address *out, struct err *e);
/* The same place on another host ("host[:port]"), after a redirect. */
int s3_address_elsewhere(const struct s3_address *a, const char *host, struct s3_address *out, struct err *e);
void s3_address_free(struct s3_address *a);

/* Appends the path of the target for a key; NULL = the bucket itself. */
void s3_address_path(struct buf *out, const struct s3_address *a, const char *key);

/* May a redirect of `from` lead to `to` (hosts without port)? Equal, or with the same last two labels. */
bool s3_address_related(const char *from, const char *to);

#endif
