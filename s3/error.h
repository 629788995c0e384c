/* SPDX-License-Identifier: MIT */
/*
 * error.h - what a refusal means: whether trying again may help, and one sentence for the user (s3.md §5.7, §6).
 *
 * The sentence names the operation, the key, the bucket, the code and, where one is known, what to do about it. Texts
 * of servers are cut, and bytes that are no text are replaced. Pure; any thread.
 */
#ifndef RIVULET_S3_ERROR_H
#define RIVULET_S3_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "s3/xml.h"

struct s3_error {
	int status; /* of HTTP; 0 = nothing was answered */
	char code[64];
	char message[256];
	char request_id[80];
	char region[64];    /* that the server says we should use */
	char endpoint[256]; /* likewise: a host */
	int64_t retry_after_ms; /* -1 = not said */
};

/* For answers without a body that says more: the code is the status in words ("NotFound"). */
void s3_error_from_status(struct s3_error *out, int status);
/* Adds what <Error> says. x has just given XML_START of the root, whatever its name: no Error adds nothing. */
int s3_error_take(struct s3_error *out, struct xml *x, struct err *e);
/* Copies text into one of the fields above: cut, and with "?" for what is not to be printed. */
void s3_error_text(char *out, size_t cap, const char *text);

enum s3_remedy {
	S3_GIVE_UP,
	S3_LATER,       /* the server is busy or broken: with growing distance */
	S3_ONCE,        /* once more; the second time it is final */
	S3_FIX_CLOCK,   /* it says that our clock is wrong */
	S3_MAYBE_CLOCK, /* a wrong signature: only if its Date is far from ours */
	S3_NEW_KEYS,    /* credentials have expired or changed */
	S3_MOVE,        /* another region or host */
};
enum s3_remedy s3_error_remedy(const struct s3_error *x);

/* What was asked for. */
struct s3_subject {
	const char *operation; /* "PutObject" */
	const char *verb;      /* "put", for messages */
	const char *bucket;
	const char *key;       /* NULL = the bucket, or prefix that is listed */
};
/* "s3: put KEY: CODE: message (bucket B, HTTP 403): hint". ERR_NOT_FOUND, ERR_FULL, ERR_SYSTEM for what may mend by
 * itself, else ERR_INVALID. Returns -1. */
int s3_error_set(struct err *e, const struct s3_error *x, const struct s3_subject *about);
/* The hint, or NULL. */
const char *s3_error_hint(const struct s3_error *x, const struct s3_subject *about);

#endif
