/* SPDX-License-Identifier: MIT */
/*
 * url.h - s3:// URLs taken apart (s3.md §1.2, §1.3, §1.5): host forms that hide an endpoint, access points, parameters.
 * Errors are ERR_INVALID with Go's words. One thread; what comes out is owned by the struct.
 */
#ifndef RIVULET_S3_URL_H
#define RIVULET_S3_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

enum s3_tri { S3_UNSET, S3_NO, S3_YES };

/* What the host of an s3:// URL stands for; NULL = nothing said. */
struct s3_host {
	char *bucket, *region, *endpoint;
	bool path_style;
	bool is_ip; /* 127.0.0.1:9000: it was meant as an endpoint */
};
int s3_host_parse(const char *host, struct s3_host *out, struct err *e);
void s3_host_free(struct s3_host *h);

struct s3_param {
	char *name, *value; /* decoded */
};

struct s3_url {
	char *host;  /* with its port; "" = none; or an access point's ARN */
	char *path;  /* decoded, as it stands: "", "/", "/a/../b" */
	bool is_arn;
	struct s3_param *params;
	int param_count;
};
/* The scheme must be s3 in any case. */
int s3_url_parse(const char *text, struct s3_url *out, struct err *e);
void s3_url_free(struct s3_url *u);

/* The first value of the first of two names (b may be NULL) that has one that is not empty; NULL. */
const char *s3_url_param(const struct s3_url *u, const char *a, const char *b);
/* true 1 t yes in any case; every other value but none is "no". */
enum s3_tri s3_url_bool(const struct s3_url *u, const char *a, const char *b);
/* 0 = not given; `invalid value for query parameter "a": "x" (must be a positive integer)`. */
int s3_url_int(const struct s3_url *u, const char *a, const char *b, int64_t *value, struct err *e);

/* Splits "arn:…:accesspoint/NAME[/key]": the length of the ARN proper; 0 when it is none. */
size_t s3_arn_length(const char *text);
/* Field n (from 0) of an ARN; *len == 0 when there is none. */
const char *s3_arn_field(const char *arn, int n, size_t *len);

#endif
