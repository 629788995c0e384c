/* SPDX-License-Identifier: MIT */
/*
 * client.h - requests to one bucket: signed, tried again, redirected, timed (s3.md §3.2, §4.4, §5.4, §5.7).
 *
 * A client is shared: opening one with equal settings gives the same one again, so that a thousand databases of one
 * bucket have one pool of connections, one set of credentials, and learn region and clock once. Any thread; calls block
 * and end within 100 ms once their `cancel` is set.
 *
 * Errors never have the code ERR_UNAVAILABLE, which restores read as "there is no backup": what kept an answer from
 * coming is ERR_SYSTEM, a refusal as s3/error.h says.
 */
#ifndef RIVULET_S3_CLIENT_H
#define RIVULET_S3_CLIENT_H

#include <stdatomic.h>

#include "http/client.h"
#include "s3/error.h"
#include "s3/settings.h"
#include "s3/sigv4.h"

struct s3_client;

/* One request, after it has ended; each attempt is one. */
struct s3_request_end {
	const char *operation; /* "PutObject" */
	int64_t us;            /* to the end of the answer's head, or of what was read of it so far */
	int status;            /* of HTTP; 0 = no answer */
	const char *code;      /* of a refusal; "" = none */
	int64_t sent, received; /* bytes of bodies */
};
typedef void s3_observer(const struct s3_request_end *end);

/* s->prefix is not looked at. The client keeps a copy of what it needs. observer (may be NULL) is called
 * on the threads that make requests. */
int s3_client_open(const struct s3_settings *s, s3_observer *observer, struct s3_client **out, struct err *e);
void s3_client_release(struct s3_client *c);
/* Closes connections that nobody has used for S3_IDLE_MS; returns when the next one will be due (os_mono_us() time),
 * INT64_MAX = none is left. Any thread. */
enum { S3_IDLE_MS = 60 * 1000 };
int64_t s3_clients_sweep(void);

enum { S3_CALL_PARAMS_MAX = 6, S3_CALL_FIELDS_MAX = 12, S3_ATTEMPTS = 10 };

struct s3_call {
	const char *method, *operation, *verb; /* "PUT", "PutObject", "put" */
	const char *key;                       /* NULL = the bucket */
	struct sigv4_pair params[S3_CALL_PARAMS_MAX]; /* of the query, not escaped */
	int param_count;
	struct sigv4_pair fields[S3_CALL_FIELDS_MAX]; /* names in lower case; all are signed */
	int field_count;
	const struct http_body *body;          /* may be NULL */
	const char *payload;                   /* hex sum of the body; NULL: taken here if the body lies in memory */
	const atomic_bool *cancel;             /* may be NULL */
	bool single;                           /* one attempt only, no waiting */
	struct http_client *http;              /* NULL = the client's own */
};
void s3_call_param(struct s3_call *call, const char *name, const char *value);
void s3_call_field(struct s3_call *call, const char *name, const char *value);

struct s3_reply {
	struct http_exchange x;
	struct s3_error error; /* after a refusal: what was answered last (status 0: nothing) */
	int attempts;
	unsigned debug;
};

/*
 * take (may be NULL) reads the answer of a success (2xx) and returns 0 or -1. It may be called several times: it must
 * begin anew each time. ERR_UNAVAILABLE from it (broken off) leads to another attempt, ERR_CORRUPT to one more; if it
 * fills reply->error.code (an <Error> under status 200), that decides. Without take the answer's body is left for
 * s3_reply_read(), and s3_reply_end() must follow.
 */
typedef int s3_take_fn(void *ctx, struct s3_reply *r, struct err *e);
int s3_call(struct s3_client *c, const struct s3_call *call, s3_take_fn *take, void *ctx, struct s3_reply *r,
            struct err *e);

/* Shaped for xml_init(); ctx is the reply. At most 8 MiB come out of one answer to a take function. */
int s3_reply_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e);
const char *s3_reply_field(const struct s3_reply *r, const char *name); /* lower case; NULL = not there */
void s3_reply_end(struct s3_reply *r);

/* Waits; ERR_CANCELLED when `cancel` is set meanwhile. */
int s3_wait(int64_t ms, const atomic_bool *cancel, struct err *e);
/* Before attempt n + 1: uniform over [0, 2^n) s, from the fifth on 10 to 20 s (s3.md §5.7); random is any number. */
int64_t s3_backoff_ms(int attempts, uint64_t random);

/* The server's time as far as it is known, else ours. */
int64_t s3_client_now_ms(struct s3_client *c);
const struct s3_settings *s3_client_settings(const struct s3_client *c);

#endif
