/* SPDX-License-Identifier: MIT */
#include "tests/support/bucket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/os/clock.h"
#include "lib/replica/settings.h"

/* ---- what a request says ---- */

struct asked {
	char method[8], key[BUCKET_KEY_MAX], query[1024];
	uint8_t *body;
	size_t body_size;
};

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			*to++ = (char)(hex(s[1]) << 4 | hex(s[2]));
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* "GET /bucket/KEY?QUERY HTTP/1.1", and the body. */
static bool take(struct wire *w, struct asked *a)
{
	char target[1024], *query;

	memset(a, 0, sizeof(*a));
	if (!wire_request(w) || sscanf(w->head, "%7s /bucket%1023s", a->method, target) != 2)
		return false;
	query = strchr(target, '?');
	if (query) {
		*query = '\0';
		snprintf(a->query, sizeof(a->query), "%s", query + 1);
	}
	unescape(target);
	if (strlen(target) >= sizeof(a->key))
		abort();
	strcpy(a->key, target + (target[0] == '/'));
	a->body_size = (size_t)wire_length(w);
	a->body = malloc(a->body_size + 1);
	if (!a->body)
		abort();
	a->body[a->body_size] = '\0';
	if (a->body_size && wire_has(w, "expect: 100-continue") && !wire_say(w, "HTTP/1.1 100 Continue\r\n\r\n"))
		return false;
	return wire_read(w, a->body, a->body_size);
}

static void field(const struct wire *w, const char *name, char *out, size_t size)
{
	const char *at = strcasestr(w->head, name);

	out[0] = '\0';
	if (!at)
		return;
	at += strlen(name);
	at += strspn(at, ": ");
	snprintf(out, size, "%.*s", (int)strcspn(at, "\r\n"), at);
}

/* ---- answers; the caller has the lock, and sends what was made after giving it back ---- */

static struct bucket_object *find(struct bucket *b, const char *key)
{
	for (int i = 0; i < b->count; i++) {
		if (strcmp(b->objects[i].key, key) == 0)
			return &b->objects[i];
	}
	return NULL;
}

static void head(struct buf *out, int status, const char *fields, size_t length)
{
	buf_fmt(out, "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\n\r\n", status, fields, length);
}

static void refuse(struct buf *out, const struct asked *a, int status, const char *code)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "<Error><Code>%s</Code></Error>", code);

	head(out, status, "", strcmp(a->method, "HEAD") == 0 ? 0 : (size_t)n);
	if (strcmp(a->method, "HEAD") != 0)
		buf_str(out, text);
}

static void put(struct bucket *b, const struct wire *w, struct asked *a, struct buf *out)
{
	struct bucket_object *o = find(b, a->key);

	if (!o) {
		if (b->count == BUCKET_OBJECTS_MAX)
			abort();
		o = &b->objects[b->count++];
		strcpy(o->key, a->key);
	}
	free(o->bytes);
	o->bytes = a->body;
	o->size = a->body_size;
	a->body = NULL;
	o->gone = false;
	o->when_ms = atomic_load(&b->wall_ms);
	if (!o->when_ms)
		o->when_ms = os_wall_ms();
	field(w, "x-amz-meta-litestream-timestamp", o->time, sizeof(o->time));
	o->puts++;
	b->puts++;
	head(out, 200, "ETag: \"e\"\r\n", 0);
}

static void get(struct bucket *b, const struct wire *w, const struct asked *a, struct buf *out)
{
	const struct bucket_object *o = find(b, a->key);
	unsigned long long first = 0, last = ~0ULL;
	char range[64], fields[300];
	bool body = strcmp(a->method, "GET") == 0;

	*(body ? &b->gets : &b->heads) += 1;
	if (!o || o->gone) {
		refuse(out, a, 404, "NoSuchKey");
		return;
	}
	field(w, "\r\nrange", range, sizeof(range));
	if (body && range[0] && sscanf(range, "bytes=%llu-%llu", &first, &last) < 1)
		abort();
	if (last >= o->size)
		last = o->size - 1;
	if (first > last) {
		refuse(out, a, 416, "InvalidRange");
		return;
	}
	snprintf(fields, sizeof(fields), "ETag: \"e\"\r\nx-amz-meta-litestream-timestamp: %s\r\nContent-Range: bytes %llu-%llu/%zu\r\n",
	         o->time, first, last, o->size);
	head(out, body && range[0] ? 206 : 200, fields, (size_t)(last - first + 1));
	if (body)
		buf_append(out, o->bytes + first, (size_t)(last - first + 1));
}

static void list(struct bucket *b, const struct asked *a, struct buf *out)
{
	struct buf body = { .data = NULL };
	const char *at = strstr(a->query, "prefix="), *after = strstr(a->query, "start-after=");
	char prefix[BUCKET_KEY_MAX] = "", from[BUCKET_KEY_MAX] = "", when[64];

	b->lists++;
	if (at)
		snprintf(prefix, sizeof(prefix), "%.*s", (int)strcspn(at + 7, "&"), at + 7);
	if (after)
		snprintf(from, sizeof(from), "%.*s", (int)strcspn(after + 12, "&"), after + 12);
	unescape(prefix);
	unescape(from);
	buf_str(&body, "<ListBucketResult><IsTruncated>false</IsTruncated>");
	for (int i = 0; i < b->count; i++) {
		const struct bucket_object *o = &b->objects[i];
		time_t s = (time_t)(o->when_ms / 1000);
		struct tm tm;

		if (o->gone || strncmp(o->key, prefix, strlen(prefix)) != 0 || strcmp(o->key, from) <= 0)
			continue;
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&s, &tm));
		buf_fmt(&body, "<Contents><Key>%s</Key><LastModified>%s</LastModified><Size>%zu</Size></Contents>", o->key, when,
		        o->size);
	}
	buf_str(&body, "</ListBucketResult>");
	head(out, 200, "Content-Type: application/xml\r\n", body.len);
	buf_append(out, body.data, body.len);
	buf_free(&body);
}

/* POST ?delete, or DELETE of one. */
static void take_away(struct bucket *b, const struct asked *a, struct buf *out)
{
	static const char done[] = "<DeleteResult></DeleteResult>";
	struct bucket_object *o;
	char key[BUCKET_KEY_MAX];
	const char *at = (const char *)a->body;

	b->removes++;
	if (strcmp(a->method, "DELETE") == 0) {
		if ((o = find(b, a->key)) != NULL)
			o->gone = true;
		head(out, 204, "", 0);
		return;
	}
	while ((at = strstr(at, "<Key>")) != NULL) {
		at += 5;
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(at, "<"), at);
		if ((o = find(b, key)) != NULL)
			o->gone = true;
	}
	head(out, 200, "", sizeof(done) - 1);
	buf_str(out, done);
}

/* What goes wrong with the next request. */
static enum bucket_wrong chance(struct bucket *b)
{
	uint32_t n;

	b->dice = b->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	n = (uint32_t)(b->dice >> 33);
	if (n % 1000 >= atomic_load(&b->bad_per_mille))
		return BUCKET_FINE;
	atomic_fetch_add(&b->wrong, 1);
	return 1 + n / 1000 % BUCKET_CUT_WITHIN;
}

static void answer(struct bucket *b, const struct wire *w, struct asked *a, struct buf *out)
{
	if (strcmp(a->method, "PUT") == 0)
		put(b, w, a, out);
	else if (strcmp(a->method, "GET") == 0 && !a->key[0])
		list(b, a, out);
	else if (strcmp(a->method, "GET") == 0 || strcmp(a->method, "HEAD") == 0)
		get(b, w, a, out);
	else if (strcmp(a->method, "DELETE") == 0 || strstr(a->query, "delete"))
		take_away(b, a, out);
	else
		refuse(out, a, 501, "NotImplemented");
}

static void serve(struct wire *w, void *ctx)
{
	struct bucket *b = ctx;
	struct asked a;
	bool more = true;

	while (more && !atomic_load(&b->down)) {
		enum bucket_wrong wrong = BUCKET_FINE;
		struct buf out = { .data = NULL };

		more = take(w, &a) && !atomic_load(&b->down);
		if (more) {
			pthread_mutex_lock(&b->lock);
			wrong = chance(b);
			if (wrong == BUCKET_500 || wrong == BUCKET_503)
				refuse(&out, &a, wrong == BUCKET_500 ? 500 : 503, wrong == BUCKET_500 ? "InternalError" : "SlowDown");
			else if (wrong != BUCKET_CUT_BEFORE)
				answer(b, w, &a, &out);
			pthread_mutex_unlock(&b->lock);
		}
		if (more && wrong < BUCKET_CUT_BEFORE)
			more = wire_send(w, out.data, out.len);
		else if (more && wrong == BUCKET_CUT_WITHIN)
			more = wire_send(w, out.data, out.len - 1) && false;
		else
			more = false;
		free(a.body);
		buf_free(&out);
	}
}

/* ---- for tests ---- */

int bucket_start(struct bucket *b)
{
	pthread_mutex_init(&b->lock, NULL);
	b->server.serve = serve;
	b->server.ctx = b;
	return served_start(&b->server);
}

void bucket_stop(struct bucket *b)
{
	served_stop(&b->server);
	for (int i = 0; i < b->count; i++)
		free(b->objects[i].bytes);
	pthread_mutex_destroy(&b->lock);
	memset(b, 0, sizeof(*b));
}

int bucket_replica(const struct bucket *b, const char *prefix, const char *name, struct replica **out, struct err *e)
{
	char endpoint[64];
	const struct replica_settings s = { .type = "s3", .bucket = "bucket", .path = prefix, .endpoint = endpoint,
		.region = "us-east-1", .access_key_id = name ? name : "key", .secret_access_key = "secret" };

	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%d", b->server.port);
	return replica_open(&s, 0, out, e);
}

int bucket_most_puts(struct bucket *b)
{
	int most = 0;

	pthread_mutex_lock(&b->lock);
	for (int i = 0; i < b->count; i++)
		most = b->objects[i].puts > most ? b->objects[i].puts : most;
	pthread_mutex_unlock(&b->lock);
	return most;
}
