/* SPDX-License-Identifier: MIT */
/* One signed request and the head of its answer. */
#include <stdlib.h>
#include <string.h>

#include "s3/internal.h"

enum { EXPECT_MIN = 2 << 20 };

/* Everything that a request is made of, until it is sent. */
struct draft {
	struct s3_address address;
	struct buf path, query, target, lines, authorization;
	char when[SIGV4_TIME_SIZE], payload[SHA256_HEX_SIZE];
	struct sigv4_pair fields[S3_CALL_FIELDS_MAX + 8];
	int field_count;
};

static void draft_free(struct draft *d)
{
	s3_address_free(&d->address);
	buf_free(&d->path);
	buf_free(&d->query);
	buf_free(&d->target);
	buf_free(&d->lines);
	buf_free(&d->authorization);
}

static void add_field(struct draft *d, const char *name, const char *value)
{
	d->fields[d->field_count++] = (struct sigv4_pair){ name, value };
}

static int set_address(struct s3_attempt *t, struct draft *d, struct err *e)
{
	struct sigv4_pair params[S3_CALL_PARAMS_MAX];
	int rc = s3_address_make(&t->c->settings, t->region, &d->address, e);

	if (rc == 0 && t->elsewhere) {
		struct s3_address there;

		rc = s3_address_elsewhere(&d->address, t->elsewhere, &there, e);
		if (rc == 0) {
			s3_address_free(&d->address);
			d->address = there;
		}
	}
	if (rc != 0)
		return rc;
	memcpy(params, t->call->params, sizeof(params));
	s3_address_path(&d->path, &d->address, t->call->key);
	sigv4_query(&d->query, params, t->call->param_count);
	buf_str(&d->target, buf_text(&d->path));
	if (d->query.len > 0)
		buf_fmt(&d->target, "?%s", buf_text(&d->query));
	return buf_ok(&d->path) && buf_ok(&d->query) && buf_ok(&d->target) ? 0 : err_nomem(e);
}

static const char *payload_of(const struct s3_call *call, char out[SHA256_HEX_SIZE])
{
	uint8_t sum[SHA256_SIZE];

	if (call->payload)
		return call->payload;
	if (!call->body || call->body->size == 0)
		return SIGV4_EMPTY_SHA256;
	sha256(call->body->bytes, (size_t)call->body->size, sum);
	return sha256_hex(out, sum);
}

static void set_fields(struct s3_attempt *t, struct draft *d, const char *payload, int64_t now_s)
{
	add_field(d, "host", d->address.host);
	for (int i = 0; i < t->call->field_count; i++)
		add_field(d, t->call->fields[i].name, t->call->fields[i].value);
	if (t->c->settings.provider == S3_TIGRIS)
		add_field(d, "x-tigris-consistent", "true");
	if (t->unsigned_)
		return;
	add_field(d, "x-amz-date", sigv4_time(d->when, now_s));
	add_field(d, "x-amz-content-sha256", payload);
	if (t->keys->token)
		add_field(d, "x-amz-security-token", t->keys->token);
}

static void sign(struct s3_attempt *t, struct draft *d, const char *payload, int64_t now_s)
{
	const struct sigv4_request rq = { .method = t->call->method, .path = buf_text(&d->path),
		.query = buf_text(&d->query), .fields = d->fields, .field_count = d->field_count, .payload = payload,
		.time_s = now_s, .region = t->region, .service = "s3", .access_key_id = t->keys->access_key_id,
		.secret = t->keys->secret };
	struct s3_client *c = t->c;
	struct sigv4_key key;

	pthread_mutex_lock(&c->lock);
	key = c->key;
	pthread_mutex_unlock(&c->lock);
	sigv4_authorization(&d->authorization, &key, &rq);
	pthread_mutex_lock(&c->lock);
	c->key = key;
	pthread_mutex_unlock(&c->lock);
	if (c->debug & S3_DEBUG_SIGNING) {
		struct buf canonical = { .data = NULL };

		sigv4_canonical(&canonical, &rq);
		s3_debug_signing(c->debug, buf_text(&canonical));
		buf_free(&canonical);
	}
	add_field(d, "authorization", buf_text(&d->authorization));
}

static int send_draft(struct s3_attempt *t, struct draft *d, struct http_exchange *x, struct err *e)
{
	const struct s3_call *call = t->call;

	for (int i = 0; i < d->field_count; i++)
		buf_fmt(&d->lines, "%s: %s\r\n", d->fields[i].name, d->fields[i].value);
	buf_str(&d->lines, "user-agent: litestream (rivulet)\r\n");
	if (!buf_ok(&d->lines) || !buf_ok(&d->authorization))
		return err_nomem(e);
	s3_debug_request(t->c->debug, call->method, d->address.host, buf_text(&d->target), d->fields, d->field_count,
	                 call->body);
	const struct http_request rq = { .method = call->method, .url = &d->address.url, .target = buf_text(&d->target),
		.fields = buf_text(&d->lines), .body = call->body, .cancel = call->cancel,
		.expect_continue = call->body && call->body->size >= EXPECT_MIN };
	if (http_begin(call->http ? call->http : t->c->http, &rq, x, e) != 0)
		return -1;
	s3_debug_answer(t->c->debug, x);
	return 0;
}

/* A value that would end its line early would say more than it should. */
static int check_fields(const struct draft *d, struct err *e)
{
	for (int i = 0; i < d->field_count; i++) {
		if (strpbrk(d->fields[i].value, "\r\n"))
			return err_set(e, ERR_INVALID, "the value of %s holds a line end", d->fields[i].name);
	}
	return 0;
}

int s3_attempt_begin(struct s3_attempt *t, struct http_exchange *x, struct err *e)
{
	struct draft d = { .target = { .limit = 64 << 10 } };
	int64_t now_s = s3_client_now_ms(t->c) / 1000;
	const char *payload;
	int rc = -1;

	if (!t->unsigned_ && s3_credentials_get(t->c->credentials, t->call->cancel, &t->keys, e) != 0)
		return -1;
	if (set_address(t, &d, e) != 0)
		goto out;
	payload = payload_of(t->call, d.payload);
	set_fields(t, &d, payload, now_s);
	if (check_fields(&d, e) != 0)
		goto out;
	if (!t->unsigned_)
		sign(t, &d, payload, now_s);
	rc = send_draft(t, &d, x, e);
out:
	draft_free(&d);
	return rc;
}
