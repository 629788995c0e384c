/* SPDX-License-Identifier: MIT */
/*
 * settings.h - one place in one bucket, and how to talk to it: what a URL, configuration keys, the environment and the
 * provider's habits say, merged by one interpreter for configuration, command line and control socket (s3.md §1).
 *
 * Both of Litestream's interpreters are covered: every spelling that one of them takes is taken. What was said outright
 * wins over what the URL says, that over the environment, that over what is known of the provider.
 * LITESTREAM_S3_ENDPOINT, then AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL stand in where no endpoint was given.
 */
#ifndef RIVULET_S3_SETTINGS_H
#define RIVULET_S3_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "s3/provider.h"
#include "s3/url.h"

enum { S3_PART_MIN = 5 << 20, S3_PARTS_MAX = 10000, S3_CONCURRENCY_DEFAULT = 5, S3_CONCURRENCY_MAX = 32 };

/* What was said. Strings are borrowed; NULL, 0 and UNSET are "nothing". */
struct s3_given {
	const char *url, *path, *relative;
	const char *bucket, *region, *endpoint, *access_key_id, *secret_access_key, *session_token, *storage_class;
	const char *sse_customer_algorithm, *sse_customer_key, *sse_customer_key_path, *sse_customer_key_md5;
	const char *sse_kms_key_id;
	enum s3_tri force_path_style, sign_payload, require_content_md5, skip_verify;
	int64_t part_size, concurrency;
	bool registering; /* messages end in "replica URL" */
};

struct s3_settings {
	char *bucket;   /* a name, or the ARN of an access point */
	char *prefix;   /* of all keys; a slash follows it always; may be "" or "." */
	char *region;   /* NULL = must be asked for */
	char *endpoint; /* scheme://host[:port][/base]; NULL = Amazon's hosts */
	enum s3_provider provider;
	bool path_style, sign_payload, content_md5, skip_verify;
	int64_t part_size; /* bytes; may be too small (then writes fail) */
	int concurrency;   /* 1 … S3_CONCURRENCY_MAX */
	char *storage_class, *kms_key_id;       /* NULL = none */
	char *sse_key, *sse_key_md5;            /* base64; NULL = none */
	char *access_key_id, *secret_access_key, *session_token; /* NULL = the chain of credentials */
	/*
	 * A sentence about what can never work, although it may be accepted as a setting (a bad SSE key, an access
	 * point with path style): every operation fails with it. NULL = none.
	 */
	char *problem;
	struct buf warnings; /* sentences, each with a line end */
};

/* Hard errors, ERR_INVALID: no bucket, parameters that do not parse, keys that exclude each other. */
int s3_settings_make(const struct s3_given *g, struct s3_settings *out, struct err *e);
void s3_settings_free(struct s3_settings *s);

bool s3_settings_is_access_point(const struct s3_settings *s);
/* Everything but the prefix as text: equal texts can share connections, credentials and what was learnt. Secret. */
void s3_settings_identity(struct buf *out, const struct s3_settings *s);

#endif
