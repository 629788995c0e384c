/* SPDX-License-Identifier: MIT */
/*
 * debug.h - LITESTREAM_S3_DEBUG: log lines about requests and answers, with every secret masked (s3.md §3.10).
 */
#ifndef RIVULET_S3_DEBUG_H
#define RIVULET_S3_DEBUG_H

#include <stddef.h>

#include "http/client.h"
#include "lib/base/buf.h"
#include "s3/sigv4.h"

enum s3_debug {
	S3_DEBUG_SIGNING = 1,
	S3_DEBUG_REQUEST = 2,
	S3_DEBUG_REQUEST_BODY = 4,
	S3_DEBUG_RESPONSE = 8,
	S3_DEBUG_RESPONSE_BODY = 16,
	S3_DEBUG_RETRIES = 32,
	S3_DEBUG_ALL = 63,
};

/* Words separated by commas, in any case. Those that are not known are appended to unknown (may be NULL). */
unsigned s3_debug_parse(const char *words, struct buf *unknown);

/* Fields as "name=value, …"; values of secret ones as "***". */
void s3_debug_fields(struct buf *out, const struct sigv4_pair *fields, int count);
void s3_debug_request(unsigned flags, const char *method, const char *host, const char *target,
                      const struct sigv4_pair *fields, int count, const struct http_body *body);
void s3_debug_signing(unsigned flags, const char *canonical);
void s3_debug_answer(unsigned flags, const struct http_exchange *x);
/* A piece of the answer's body, when it is text. */
void s3_debug_body(unsigned flags, const void *bytes, size_t n);

#endif
