/* SPDX-License-Identifier: MIT */
/* internal.h - what the files of this room know of a client. */
#ifndef RIVULET_S3_INTERNAL_H
#define RIVULET_S3_INTERNAL_H

#include <pthread.h>

#include "s3/address.h"
#include "s3/client.h"
#include "s3/credentials.h"
#include "s3/debug.h"

struct s3_client {
	struct s3_client *next;
	int users;           /* under the registry's lock */
	struct buf identity;
	struct s3_settings settings; /* not changed after the opening */
	struct http_client *http;
	struct s3_credentials *credentials;
	unsigned debug;
	s3_observer *observer;
	atomic_bool no_batches; /* the server has refused to delete several objects at once */
	atomic_bool no_ranges;  /* the server has sent a whole object where a part of it was asked for */
	pthread_mutex_t region_lock; /* held while the region is being found out */

	pthread_mutex_t lock; /* for what follows */
	char *region;         /* NULL = not known yet */
	bool clock_is_known;
	int64_t mono_to_server_ms;
	struct sigv4_key key;
};

void s3_client_set_clock(struct s3_client *c, int64_t server_ms);
/* A copy; NULL = not known (or no memory). */
char *s3_client_region(struct s3_client *c);
/* true when it differs from what was known. */
bool s3_client_set_region(struct s3_client *c, const char *region);
/* Finds the region out if it is not known yet (s3/region.c). */
int s3_client_need_region(struct s3_client *c, const atomic_bool *cancel, struct err *e);

/* The customer's key, on everything that touches an object's bytes or its metadata. */
void s3_call_customer_key(struct s3_call *call, const struct s3_client *c);

/* For answers that say nothing but their status. */
int s3_take_nothing(void *ctx, struct s3_reply *r, struct err *e);
/* Text for the inside of an element. */
void s3_xml_escape(struct buf *out, const char *s);

/* One request, one answer (s3/request.c). elsewhere: host[:port] of a redirect, NULL = the settings' place. */
struct s3_attempt {
	struct s3_client *c;
	const struct s3_call *call;
	const char *region, *elsewhere;
	bool unsigned_; /* for the look-up of a region */
	struct s3_keys *keys; /* that were used; given back by the caller */
};
/* -1 with e: no answer. Else x must be ended. */
int s3_attempt_begin(struct s3_attempt *t, struct http_exchange *x, struct err *e);

#endif
