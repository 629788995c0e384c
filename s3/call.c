/* SPDX-License-Identifier: MIT */
/* A request until it is answered for good: attempts, waits, and what can be put right in between. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "s3/internal.h"

enum {
	MOVES_MAX = 3, SKEW_MIN_MS = 4 * 60 * 1000, RETRY_AFTER_MAX_S = 60, CANCEL_LOOK_MS = 50,
	ERROR_BODY_MAX = 64 << 10, TAKE_MAX = 8 << 20,
};

/* What has been tried for this call. */
struct progress {
	struct s3_client *c;
	const struct s3_call *call;
	int counted;   /* attempts that count */
	int moves;
	bool once, clock_fixed, keys_renewed;
	char elsewhere[256]; /* host of a redirect; "" = the usual one */
};

void s3_call_param(struct s3_call *call, const char *name, const char *value)
{
	assert(call->param_count < S3_CALL_PARAMS_MAX);
	call->params[call->param_count++] = (struct sigv4_pair){ name, value };
}

void s3_call_field(struct s3_call *call, const char *name, const char *value)
{
	assert(call->field_count < S3_CALL_FIELDS_MAX);
	call->fields[call->field_count++] = (struct sigv4_pair){ name, value };
}

void s3_call_customer_key(struct s3_call *call, const struct s3_client *c)
{
	if (!c->settings.sse_key)
		return;
	s3_call_field(call, "x-amz-server-side-encryption-customer-algorithm", "AES256");
	s3_call_field(call, "x-amz-server-side-encryption-customer-key", c->settings.sse_key);
	s3_call_field(call, "x-amz-server-side-encryption-customer-key-md5", c->settings.sse_key_md5);
}

/* ---- waiting ---- */

static bool cancelled(const atomic_bool *cancel)
{
	return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

int s3_wait(int64_t ms, const atomic_bool *cancel, struct err *e)
{
	int64_t end_us = os_mono_us() + ms * 1000, left_us;

	while ((left_us = end_us - os_mono_us()) > 0) {
		if (cancelled(cancel))
			return err_set(e, ERR_CANCELLED, "cancelled");
		os_sleep_us(left_us < CANCEL_LOOK_MS * 1000 ? left_us : CANCEL_LOOK_MS * 1000);
	}
	return 0;
}

int64_t s3_backoff_ms(int attempts, uint64_t random)
{
	/* Scrambled, so that a clock's reading will do. */
	random = (random ^ random >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	random = (random ^ random >> 27) * UINT64_C(0x94d049bb133111eb);
	random ^= random >> 31;
	if (attempts < 5)
		return (int64_t)(random % (uint64_t)(1000 << (attempts < 1 ? 1 : attempts)));
	return 10000 + (int64_t)(random % 10001);
}

/* ---- answers ---- */

static int64_t retry_after_ms(const struct s3_reply *r)
{
	const char *text = s3_reply_field(r, "retry-after");
	int64_t seconds = 0;

	if (!text || text[0] < '0' || text[0] > '9')
		return -1;
	for (; *text >= '0' && *text <= '9' && seconds <= RETRY_AFTER_MAX_S; text++)
		seconds = seconds * 10 + (*text - '0');
	return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
}

struct limited {
	struct s3_reply *r;
	size_t left;
};

static int read_limited(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct limited *l = ctx;

	if (n > l->left)
		n = l->left;
	*got = 0;
	if (n == 0)
		return 0;
	if (http_read(&l->r->x, bytes, n, got, e) != 0)
		return -1;
	s3_debug_body(l->r->debug, bytes, *got);
	l->left -= *got;
	return 0;
}

/* Fills r->error from an answer that is no success. What its body says counts as far as it can be read. */
static void take_refusal(struct s3_reply *r, const char *our_region)
{
	struct limited l = { r, ERROR_BODY_MAX };
	const char *region = s3_reply_field(r, "x-amz-bucket-region"), *location = s3_reply_field(r, "location");
	const char *id = s3_reply_field(r, "x-amz-request-id");
	struct http_url u;
	struct xml x;

	s3_error_from_status(&r->error, r->x.answer.status);
	xml_init(&x, read_limited, &l);
	if (xml_next(&x, NULL) == XML_START)
		(void)s3_error_take(&r->error, &x, NULL);
	xml_free(&x);
	if (id && !r->error.request_id[0])
		s3_error_text(r->error.request_id, sizeof(r->error.request_id), id);
	if (region)
		s3_error_text(r->error.region, sizeof(r->error.region), region);
	if (strcmp(r->error.region, our_region) == 0)
		r->error.region[0] = '\0';
	if (!r->error.endpoint[0] && location && http_url_parse(location, &u, NULL) == 0) {
		snprintf(r->error.endpoint, sizeof(r->error.endpoint), "%s://%s:%d", u.scheme, u.host, u.port);
		http_url_free(&u);
	}
	r->error.retry_after_ms = retry_after_ms(r);
}

int s3_reply_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct s3_reply *r = ctx;

	if (http_read(&r->x, bytes, n, got, e) != 0)
		return -1;
	s3_debug_body(r->debug, bytes, *got);
	return 0;
}

const char *s3_reply_field(const struct s3_reply *r, const char *name)
{
	return http_field(&r->x.answer, name);
}

void s3_reply_end(struct s3_reply *r)
{
	http_end(&r->x);
}

/* The one place where every request ends, however it ended. */
static void request_ended(const struct progress *p, const struct s3_reply *r, bool answered, int64_t started_us)
{
	if (!p->c->observer)
		return;
	p->c->observer(&(struct s3_request_end){
		.operation = p->call->operation,
		.us = os_mono_us() - started_us,
		.status = answered ? r->x.answer.status : 0,
		.code = r->error.code,
		.sent = p->call->body ? p->call->body->size : 0,
		.received = answered && r->x.answer.content_length > 0 ? r->x.answer.content_length : 0,
	});
}

/* ---- one attempt ---- */

enum outcome { DONE, REFUSED, FAILED };

/* Reads the answer of a success. */
static enum outcome take_answer(struct s3_reply *r, s3_take_fn *take, void *ctx, struct err *e)
{
	if (take(ctx, r, e) == 0)
		return DONE;
	if (!r->error.code[0])
		return FAILED;
	r->error.status = r->x.answer.status;
	return REFUSED;
}

static enum outcome attempt(struct progress *p, const char *region, s3_take_fn *take, void *ctx, struct s3_reply *r,
                            struct s3_keys **keys, struct err *e)
{
	struct s3_attempt t = { .c = p->c, .call = p->call, .region = region,
		.elsewhere = p->elsewhere[0] ? p->elsewhere : NULL };
	int64_t started_us = os_mono_us();
	enum outcome outcome = FAILED;

	r->error = (struct s3_error){ .retry_after_ms = -1 };
	r->attempts++;
	bool answered = s3_attempt_begin(&t, &r->x, e) == 0;
	*keys = t.keys;
	if (answered) {
		int status = r->x.answer.status;

		if (status < 200 || status > 299) {
			take_refusal(r, region);
			outcome = REFUSED;
		} else {
			outcome = take ? take_answer(r, take, ctx, e) : DONE;
		}
	}
	request_ended(p, r, answered, started_us);
	if (answered && (take || outcome != DONE))
		http_end(&r->x);
	return outcome;
}

/* ---- putting right ---- */

static bool fix_clock(struct progress *p, const struct s3_reply *r, bool certain)
{
	int64_t off = r->x.server_time_ms - s3_client_now_ms(p->c);

	if (p->clock_fixed || r->x.server_time_ms == 0 || (!certain && off > -SKEW_MIN_MS && off < SKEW_MIN_MS))
		return false;
	p->clock_fixed = true;
	s3_client_set_clock(p->c, r->x.server_time_ms);
	return true;
}

/* The host that a redirect names, where credentials may go: 0 or -1. */
static int follow_host(struct progress *p, const char *region, const char *endpoint)
{
	struct s3_address a;
	struct http_url to;
	char text[300];
	int rc = -1;

	snprintf(text, sizeof(text), "%s%s", strstr(endpoint, "://") ? "" : p->c->settings.endpoint &&
	         strncmp(p->c->settings.endpoint, "http:", 5) == 0 ? "http://" : "https://", endpoint);
	if (s3_address_make(&p->c->settings, region, &a, NULL) != 0)
		return -1;
	if (http_url_parse(text, &to, NULL) == 0) {
		bool v6 = strchr(to.host, ':') != NULL;

		if (s3_address_related(a.url.host, to.host) && (to.secure || !a.url.secure)) {
			snprintf(p->elsewhere, sizeof(p->elsewhere), "%s%s%s:%d", v6 ? "[" : "", to.host, v6 ? "]" : "",
			         to.port);
			rc = 0;
		}
		http_url_free(&to);
	}
	s3_address_free(&a);
	return rc;
}

static bool move(struct progress *p, const char *region, const struct s3_error *x)
{
	struct s3_host host = { .bucket = NULL };
	const char *name = strstr(x->endpoint, "://");
	bool moved = false;

	if (p->moves++ >= MOVES_MAX)
		return false;
	p->elsewhere[0] = '\0';
	if (x->region[0]) { /* another than the one that was tried, whoever has learnt of it first */
		(void)s3_client_set_region(p->c, x->region);
		return true;
	}
	if (!x->endpoint[0])
		return false;
	/* A host of Amazon's names its region. */
	char plain[256];
	snprintf(plain, sizeof(plain), "%s", name ? name + 3 : x->endpoint);
	plain[strcspn(plain, ":/")] = '\0';
	if (!p->c->settings.endpoint && s3_host_parse(plain, &host, NULL) == 0 && host.region)
		moved = s3_client_set_region(p->c, host.region);
	s3_host_free(&host);
	return moved || follow_host(p, region, x->endpoint) == 0;
}

static bool may_wait(const struct progress *p)
{
	return !p->call->single && p->counted < S3_ATTEMPTS;
}

static int wait_to_retry(struct progress *p, const struct s3_reply *r, const struct err *why, struct err *e)
{
	int64_t ms = r->error.retry_after_ms >= 0 ? r->error.retry_after_ms
	                                          : s3_backoff_ms(p->counted, (uint64_t)os_mono_us() ^ (uintptr_t)p);
	const char *reason = r->error.code[0] ? r->error.code : why->text;

	if (p->c->debug & S3_DEBUG_RETRIES)
		log_info("s3 retry", LS("operation", p->call->operation), LS("key", p->call->key ? p->call->key : ""),
		         LI("attempt", p->counted), LD("wait", ms * 1000000), LS("reason", reason));
	else
		log_debug("s3 retry", LS("operation", p->call->operation), LI("attempt", p->counted),
		          LS("reason", reason));
	return s3_wait(ms, p->call->cancel, e);
}

/* true: the next attempt may come at once, or the wait is over. false with e set or as it was: it ends here. */
static bool mend(struct progress *p, enum s3_remedy remedy, const char *region, struct s3_reply *r,
                 const struct s3_keys *keys, const struct err *why, struct err *e)
{
	switch (remedy) {
	case S3_GIVE_UP:
		return false;
	case S3_ONCE:
		if (p->once)
			return false;
		p->once = true;
		return may_wait(p) && wait_to_retry(p, r, why, e) == 0;
	case S3_LATER:
		return may_wait(p) && wait_to_retry(p, r, why, e) == 0;
	case S3_FIX_CLOCK:
	case S3_MAYBE_CLOCK:
		return fix_clock(p, r, remedy == S3_FIX_CLOCK);
	case S3_NEW_KEYS:
		if (p->keys_renewed || !keys)
			return false;
		p->keys_renewed = true;
		return s3_credentials_renew(p->c->credentials, keys, p->call->cancel);
	case S3_MOVE:
		return move(p, region, &r->error);
	}
	return false;
}

static enum s3_remedy remedy_of(enum outcome outcome, const struct s3_reply *r, const struct err *why)
{
	enum s3_remedy remedy;

	if (outcome == FAILED)
		return why->code == ERR_UNAVAILABLE ? S3_LATER : why->code == ERR_CORRUPT ? S3_ONCE : S3_GIVE_UP;
	remedy = s3_error_remedy(&r->error);
	/* An error under status 200: whatever it is, it is no refusal of the request as such. */
	return remedy == S3_GIVE_UP && r->error.status < 300 ? S3_LATER : remedy;
}

static int set_error(const struct progress *p, enum outcome outcome, const struct s3_reply *r, struct err *why,
                     struct err *e)
{
	const struct s3_call *call = p->call;
	const struct s3_subject about = { call->operation, call->verb, p->c->settings.bucket, call->key };

	if (outcome == REFUSED)
		return s3_error_set(e, &r->error, &about);
	err_wrap(why, "s3: %s %s", call->verb, call->key ? call->key : p->c->settings.bucket);
	if (why->code == ERR_UNAVAILABLE)
		why->code = ERR_SYSTEM;
	if (r->attempts > 1 && why->code != ERR_CANCELLED) {
		size_t n = strlen(why->text);

		snprintf(why->text + n, sizeof(why->text) - n, " (%d attempts)", r->attempts);
	}
	if (e)
		*e = *why;
	return -1;
}

int s3_call(struct s3_client *c, const struct s3_call *call, s3_take_fn *take, void *ctx, struct s3_reply *r,
            struct err *e)
{
	struct progress p = { .c = c, .call = call };

	r->error = (struct s3_error){ .retry_after_ms = -1 };
	r->attempts = 0;
	r->debug = c->debug;
	if (c->settings.problem)
		return err_set(e, ERR_INVALID, "s3: %s", c->settings.problem);
	if (s3_client_need_region(c, call->cancel, e) != 0)
		return -1;
	for (;;) {
		struct err why = ERR_INIT, stop = ERR_INIT;
		struct s3_keys *keys = NULL;
		char *region = s3_client_region(c);
		enum outcome outcome;
		bool again;

		if (!region)
			return err_nomem(e);
		outcome = attempt(&p, region, take, ctx, r, &keys, &why);
		enum s3_remedy remedy = outcome == DONE ? S3_GIVE_UP : remedy_of(outcome, r, &why);
		p.counted += remedy == S3_LATER || remedy == S3_ONCE;
		again = outcome != DONE && mend(&p, remedy, region, r, keys, &why, &stop);
		s3_keys_release(keys);
		free(region);
		if (outcome == DONE)
			return 0;
		if (again)
			continue;
		if (stop.code == ERR_CANCELLED) {
			if (e)
				*e = stop;
			return -1;
		}
		return set_error(&p, outcome, r, &why, e);
	}
}
