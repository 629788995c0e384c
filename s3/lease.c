/* SPDX-License-Identifier: MIT */
#include "s3/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "s3/internal.h"
#include "s3/objects.h"

enum { LOCK_MAX = 64 << 10, OWNER_SIZE = 256 };

struct s3_lease {
	struct s3_client *c;
	char *key;
	bool held, probed;
	char etag[128]; /* of the object while it is ours */
	int64_t generation;
	int64_t unsure_ms; /* when what we wrote first without hearing about it would expire; 0 = nothing */
};

/* The object as it was read. */
struct lock {
	bool exists;
	char etag[128], owner[OWNER_SIZE];
	int64_t generation, expires_ms, server_ms; /* server_ms: when it was read */
};

int s3_lease_create(struct s3_client *c, const char *prefix, struct s3_lease **out, struct err *e)
{
	struct s3_lease *l = calloc(1, sizeof(*l));

	*out = NULL;
	if (!l || asprintf(&l->key, "%s%slock.json", prefix, prefix[0] ? "/" : "") < 0) {
		free(l);
		return err_nomem(e);
	}
	l->c = c;
	*out = l;
	return 0;
}

void s3_lease_free(struct s3_lease *l)
{
	if (!l)
		return;
	free(l->key);
	free(l);
}

/* ---- reading ---- */

static void parse_lock(struct lock *k, const struct buf *text)
{
	struct json_doc d = { .nodes = NULL };
	const struct json_node *n;
	int64_t ns;

	/* What is no lock of ours or Litestream's is nobody's: it has expired long ago. */
	if (json_parse(&d, buf_text(text), text->len, NULL) == 0) {
		n = json_member(&d, &d.nodes[0], "generation");
		if (n)
			(void)json_int64(&d, n, &k->generation);
		n = json_member(&d, &d.nodes[0], "owner");
		if (n && n->type == JSON_STRING)
			s3_error_text(k->owner, sizeof(k->owner), json_text(&d, n));
		n = json_member(&d, &d.nodes[0], "expires_at");
		if (n && n->type == JSON_STRING && text_parse_time(json_text(&d, n), &ns, NULL) == 0)
			k->expires_ms = ns / 1000000;
	}
	json_doc_free(&d);
}

static int take_lock(void *ctx, struct s3_reply *r, struct err *e)
{
	struct lock *k = ctx;
	const char *etag = s3_reply_field(r, "etag");
	struct buf text = { .limit = LOCK_MAX };
	uint8_t piece[1024];
	size_t got = 1;
	int rc = 0;

	*k = (struct lock){ .exists = true, .server_ms = r->x.server_time_ms };
	while (rc == 0 && got > 0) {
		rc = s3_reply_read(r, piece, sizeof(piece), &got, e);
		if (rc == 0)
			buf_append(&text, piece, got);
	}
	if (rc == 0 && (!etag || strlen(etag) >= sizeof(k->etag)))
		rc = err_set(e, ERR_INVALID, "the server has answered without an ETag");
	if (rc == 0) {
		strcpy(k->etag, etag);
		parse_lock(k, &text);
	}
	buf_free(&text);
	return rc;
}

static int read_lock(struct s3_lease *l, struct lock *k, const atomic_bool *cancel, struct err *e)
{
	struct s3_call call = { .method = "GET", .operation = "GetObject", .verb = "read lock", .key = l->key,
		.cancel = cancel };
	struct s3_reply r;
	struct err why = ERR_INIT;

	*k = (struct lock){ .exists = false };
	if (s3_call(l->c, &call, take_lock, k, &r, &why) == 0) {
		if (k->server_ms == 0)
			k->server_ms = s3_client_now_ms(l->c);
		return 0;
	}
	if (why.code == ERR_NOT_FOUND)
		return 0;
	if (e)
		*e = why;
	return -1;
}

/* ---- writing ---- */

enum written { WRITTEN, NOT_OURS, NOT_ABLE, UNKNOWN };

struct put {
	const char *owner;
	int64_t generation, expires_ms;
	const char *if_match; /* NULL: only if there is none */
	char etag[128];       /* result */
};

static int take_etag(void *ctx, struct s3_reply *r, struct err *e)
{
	struct put *p = ctx;
	const char *etag = s3_reply_field(r, "etag");

	if (!etag || strlen(etag) >= sizeof(p->etag))
		return err_set(e, ERR_INVALID, "the server has answered without an ETag");
	strcpy(p->etag, etag);
	return 0;
}

static enum written write_lock(struct s3_lease *l, struct put *p, const atomic_bool *cancel, struct err *e)
{
	struct s3_call call = { .method = "PUT", .operation = "PutObject", .verb = "write lock", .key = l->key,
		.cancel = cancel };
	struct buf text = { .limit = 4096 };
	char when[TEXT_TIME_SIZE];
	struct json_writer w;
	struct s3_reply r;
	int rc;

	json_writer_init(&w, &text, false);
	json_object_begin(&w);
	json_key(&w, "generation");
	json_int(&w, p->generation);
	json_key(&w, "expires_at");
	json_string(&w, text_time_ms(when, p->expires_ms));
	json_key(&w, "owner");
	json_string(&w, p->owner);
	json_object_end(&w);
	const struct http_body body = { .bytes = text.data, .fd = -1, .size = (int64_t)text.len };
	call.body = &body;
	s3_call_field(&call, "content-type", "application/json");
	if (p->if_match)
		s3_call_field(&call, "if-match", p->if_match);
	else
		s3_call_field(&call, "if-none-match", "*");
	rc = buf_ok(&text) ? s3_call(l->c, &call, take_etag, p, &r, e) : err_nomem(e);
	buf_free(&text);
	if (rc == 0)
		return WRITTEN;
	if (r.error.status == 412 || (r.error.status == 404 && p->if_match) || r.error.status == 409)
		return NOT_OURS;
	return r.error.status == 501 || strcmp(r.error.code, "NotImplemented") == 0 ? NOT_ABLE : UNKNOWN;
}

static int refuse_server(const struct s3_lease *l, struct err *e)
{
	return err_set(e, ERR_INVALID,
	               "s3: lock %s (bucket %s): the endpoint does not guard writes by conditions (If-Match, "
	               "If-None-Match), so `lease: true` cannot keep a second writer out",
	               l->key, l->c->settings.bucket);
}

/* Both conditions must be refused now that the object is there and is another than that. 0 = they are. */
static int probe(struct s3_lease *l, const struct put *ours, const atomic_bool *cancel, struct err *e)
{
	static const char *const conditions[] = { NULL, "\"00000000000000000000000000000000\"" };

	for (int i = 0; i < 2; i++) {
		struct put p = { .owner = ours->owner, .generation = ours->generation, .expires_ms = ours->expires_ms,
			.if_match = conditions[i] };
		enum written w = write_lock(l, &p, cancel, e);

		if (w == WRITTEN || w == NOT_ABLE) {
			(void)s3_delete(l->c, (const char *const[]){ l->key }, 1, cancel, NULL); /* it guards nothing */
			return refuse_server(l, e);
		}
		if (w != NOT_OURS)
			return -1;
	}
	err_clear(e);
	return 0;
}

/* ---- the lease ---- */

static int held_by_other(const struct s3_lease *l, const struct lock *k, struct err *e)
{
	char until[TEXT_TIME_SIZE];

	return err_set(e, ERR_BUSY, "s3: lock %s (bucket %s): held by %s until %s", l->key, l->c->settings.bucket,
	               k->owner[0] ? k->owner : "another", text_time_s(until, k->expires_ms));
}

/* After a refusal: another was faster, or the answer to our own success was lost. */
static int look_again(struct s3_lease *l, struct put *p, const atomic_bool *cancel, struct err *e)
{
	struct lock k;

	if (read_lock(l, &k, cancel, e) != 0)
		return -1;
	if (k.exists && strcmp(k.owner, p->owner) == 0 && k.generation == p->generation &&
	    k.expires_ms == p->expires_ms) {
		strcpy(p->etag, k.etag);
		return 0;
	}
	return held_by_other(l, &k, e);
}

/* It is one of those that we wrote without hearing about it. */
static bool is_unsure(const struct s3_lease *l, const struct lock *k, const char *owner)
{
	return l->unsure_ms && k->exists && strcmp(k->owner, owner) == 0 &&
	       k->generation == l->generation && k->expires_ms >= l->unsure_ms;
}

static int acquire(struct s3_lease *l, struct put *p, int64_t ttl_ms, const atomic_bool *cancel, struct err *e)
{
	struct lock k;
	enum written w;

	if (read_lock(l, &k, cancel, e) != 0)
		return -1;
	if (k.exists && k.expires_ms > k.server_ms && !is_unsure(l, &k, p->owner))
		return held_by_other(l, &k, e);
	p->generation = k.exists ? k.generation + 1 : 1;
	p->if_match = k.exists ? k.etag : NULL;
	p->expires_ms = (k.exists ? k.server_ms : s3_client_now_ms(l->c)) + ttl_ms;
	w = write_lock(l, p, cancel, e);
	if (w == NOT_ABLE)
		return refuse_server(l, e);
	if (w == NOT_OURS && look_again(l, p, cancel, e) != 0)
		return -1;
	if (w == UNKNOWN) {
		l->generation = p->generation;
		l->unsure_ms = p->expires_ms;
		return -1;
	}
	if (!l->probed && probe(l, p, cancel, e) != 0)
		return -1;
	l->probed = true;
	return 0;
}

static int renew(struct s3_lease *l, struct put *p, int64_t ttl_ms, const atomic_bool *cancel, struct err *e)
{
	enum written w;

	p->generation = l->generation;
	p->if_match = l->etag;
	p->expires_ms = s3_client_now_ms(l->c) + ttl_ms;
	w = write_lock(l, p, cancel, e);
	if (w == NOT_OURS && l->unsure_ms) {
		struct lock k;

		/* One of those may have got there. */
		if (read_lock(l, &k, cancel, e) != 0)
			return -1;
		if (is_unsure(l, &k, p->owner)) {
			p->if_match = k.etag;
			w = write_lock(l, p, cancel, e);
		}
	}
	if (w == WRITTEN)
		return 0;
	if (w != NOT_OURS) {
		l->unsure_ms = l->unsure_ms ? l->unsure_ms : p->expires_ms;
		return -1;
	}
	l->held = false;
	if (look_again(l, p, cancel, e) == 0)
		return 0;
	if (e && e->code == ERR_BUSY)
		err_wrap(e, "the lock was taken from us");
	return -1;
}

int s3_lease_hold(struct s3_lease *l, const char *owner, int64_t ttl_ms, const atomic_bool *cancel, bool *fresh,
                  int64_t *until_ms, struct err *e)
{
	struct put p = { .owner = owner };
	/* From before the request on: the server's time may not be shorter than ours. */
	int64_t started_ms = os_mono_us() / 1000;
	int rc;

	*fresh = !l->held;
	rc = l->held ? renew(l, &p, ttl_ms, cancel, e) : acquire(l, &p, ttl_ms, cancel, e);

	if (rc != 0)
		return -1;
	l->held = true;
	l->unsure_ms = 0;
	l->generation = p.generation;
	strcpy(l->etag, p.etag);
	*until_ms = started_ms + ttl_ms;
	err_clear(e);
	return 0;
}

int s3_lease_release(struct s3_lease *l, const atomic_bool *cancel, struct err *e)
{
	struct s3_call call = { .method = "DELETE", .operation = "DeleteObject", .verb = "release lock", .key = l->key,
		.cancel = cancel };
	struct s3_reply r;

	if (!l->held)
		return 0;
	l->held = false;
	s3_call_field(&call, "if-match", l->etag);
	if (s3_call(l->c, &call, s3_take_nothing, NULL, &r, e) == 0)
		return 0;
	if (r.error.status == 404) {
		err_clear(e);
		return 0;
	}
	if (r.error.status == 412)
		return err_set(e, ERR_BUSY, "s3: lock %s: another has taken it meanwhile", l->key);
	if (r.error.status != 501 && r.error.status != 400)
		return -1;
	/* No conditional DELETE there: what has run out is as good as gone. */
	struct put p = { .owner = "", .generation = l->generation, .expires_ms = 0, .if_match = l->etag };
	if (write_lock(l, &p, cancel, e) != WRITTEN)
		return -1;
	err_clear(e);
	return 0;
}
