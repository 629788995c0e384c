/* SPDX-License-Identifier: MIT */
/*
 * sigv4.h - AWS Signature Version 4 for S3 (s3.md §4).
 *
 * S3's rules differ from other services': the path is escaped once, byte for byte, and never cleaned; what goes over
 * the wire is exactly what was signed. So paths and queries are built here, used as the request target, and signed as
 * they are. Pure but for the key cache; a struct sigv4_key belongs to one thread.
 */
#ifndef RIVULET_S3_SIGV4_H
#define RIVULET_S3_SIGV4_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/sha256.h"

#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

enum { SIGV4_FIELDS_MAX = 32, SIGV4_TIME_SIZE = 17 };

/* A name and its value: of a query before escaping, or of a header field (name in lower case). */
struct sigv4_pair {
	const char *name, *value;
};

struct sigv4_request {
	const char *method;
	const char *path;    /* escaped */
	const char *query;   /* canonical (sigv4_query), without '?'; "" = none */
	const struct sigv4_pair *fields; /* in any order; host, x-amz-date and x-amz-content-sha256 among them */
	int field_count;     /* at most SIGV4_FIELDS_MAX */
	const char *payload; /* hex sum of the body, or SIGV4_UNSIGNED_PAYLOAD */
	int64_t time_s;      /* since 1970; must agree with x-amz-date */
	const char *region, *service, *access_key_id, *secret;
};

/* A derived key and what it was derived from. A zeroed struct is an empty cache. */
struct sigv4_key {
	uint8_t key[SHA256_SIZE];
	uint8_t source[SHA256_SIZE]; /* sum over secret, date, region, service */
	bool valid;
};

/* Appends s with all but unreserved characters as %XX; slash: '/' stays as it is. */
void sigv4_escape(struct buf *out, const char *s, bool slash);
/* Appends the canonical query: escaped, sorted, joined by '&'. Pairs are sorted in place by their escaped form. */
void sigv4_query(struct buf *out, struct sigv4_pair *pairs, int count);

/* 20130524T000000Z; its first eight characters are the date. Years before 1970 and after 9999 are cut to those. */
char *sigv4_time(char out[SIGV4_TIME_SIZE], int64_t time_s);

/* Fields that proxies change or that must stay free are never signed (s3.md §4.1). */
bool sigv4_signs(const char *field_name);

void sigv4_derive(struct sigv4_key *k, const char *secret, int64_t time_s, const char *region, const char *service);

/* Appends the canonical request. */
void sigv4_canonical(struct buf *out, const struct sigv4_request *rq);
/* The signature of a canonical request, in hex. */
void sigv4_signature(struct sigv4_key *k, const struct sigv4_request *rq, const char *canonical, size_t n,
                     char hex[SHA256_HEX_SIZE]);
/* Appends the value of the Authorization field. */
void sigv4_authorization(struct buf *out, struct sigv4_key *k, const struct sigv4_request *rq);

#endif
