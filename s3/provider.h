/* SPDX-License-Identifier: MIT */
/*
 * provider.h - what an endpoint's text says about who answers there (s3.md §1.3, §1.5). Pure text; any thread.
 */
#ifndef RIVULET_S3_PROVIDER_H
#define RIVULET_S3_PROVIDER_H

#include <stdbool.h>

#include "lib/base/buf.h"

enum s3_provider {
	S3_OTHER,
	S3_TIGRIS,   /* no Content-MD5; X-Tigris-Consistent on every request */
	S3_R2,       /* two parts at once */
	S3_B2,       /* path style */
	S3_FILEBASE, /* path style */
	S3_SUPABASE, /* path style, base path */
	S3_DO,
	S3_SCALEWAY,
	S3_HETZNER,
	S3_WASABI,
	S3_AWS,      /* an endpoint that is Amazon's own host */
	S3_GCS,      /* the XML interface of Google's storage; no batch delete */
	S3_MINIO,    /* a host with a port that is none of the above: path style */
};

/* The host is looked at without regard to case; an endpoint with user information is nobody's. */
enum s3_provider s3_provider_of(const char *endpoint);
/* http is meant where no scheme is given: localhost, private addresses, .local, .localhost. */
bool s3_endpoint_is_local(const char *endpoint);
/* The endpoint with a scheme in front; "" stays "". */
void s3_endpoint_with_scheme(struct buf *out, const char *endpoint);
/* The region that an endpoint's host names ("s3.fr-par.scw.cloud": "fr-par"); nothing where it names none. */
void s3_endpoint_region(struct buf *out, const char *endpoint);

#endif
