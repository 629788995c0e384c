/* SPDX-License-Identifier: MIT */
#include "s3/sigv4.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"

/* ---- escaping ---- */

static bool is_unreserved(unsigned char c)
{
	return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

void sigv4_escape(struct buf *out, const char *s, bool slash)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (is_unreserved(c) || (slash && c == '/'))
			buf_char(out, (char)c);
		else
			buf_append(out, (char[]){ '%', digits[c >> 4], digits[c & 15] }, 3);
	}
}

/* The next byte of the escaped form of *s; 0 at its end. *rest counts the digits of a %XX that are still to come. */
static int escaped_byte(const char **s, int *rest)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char c = (unsigned char)**s;

	if (*rest == 2) {
		*rest = 1;
		return digits[c >> 4];
	}
	if (*rest == 1) {
		*rest = 0;
		++*s;
		return digits[c & 15];
	}
	if (c == '\0')
		return 0;
	if (!is_unreserved(c)) {
		*rest = 2;
		return '%';
	}
	++*s;
	return c;
}

static int compare_escaped(const char *a, const char *b)
{
	int rest_a = 0, rest_b = 0, x, y;

	do {
		x = escaped_byte(&a, &rest_a);
		y = escaped_byte(&b, &rest_b);
	} while (x == y && x != 0);
	return x - y;
}

void sigv4_query(struct buf *out, struct sigv4_pair *pairs, int count)
{
	for (int i = 1; i < count; i++) {
		struct sigv4_pair p = pairs[i];
		int at = i;

		for (; at > 0; at--) {
			int order = compare_escaped(pairs[at - 1].name, p.name);

			if (order == 0)
				order = compare_escaped(pairs[at - 1].value, p.value);
			if (order <= 0)
				break;
			pairs[at] = pairs[at - 1];
		}
		pairs[at] = p;
	}
	for (int i = 0; i < count; i++) {
		if (i > 0)
			buf_char(out, '&');
		sigv4_escape(out, pairs[i].name, false);
		buf_char(out, '=');
		sigv4_escape(out, pairs[i].value, false);
	}
}

/* ---- times ---- */

char *sigv4_time(char out[SIGV4_TIME_SIZE], int64_t time_s)
{
	char text[TEXT_TIME_SIZE], *to = out;

	text_time_s(text, (time_s < 0 ? 0 : time_s > 253402300799 ? 253402300799 : time_s) * 1000);
	for (const char *s = text; *s; s++) {
		if (*s != '-' && *s != ':')
			*to++ = *s;
	}
	*to = '\0';
	return out;
}

/* ---- the canonical request ---- */

bool sigv4_signs(const char *field_name)
{
	static const char *const never[] = { "authorization", "user-agent", "accept-encoding", "expect", "connection",
		                             "transfer-encoding", "x-amzn-trace-id", "content-length" };

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		if (strcmp(field_name, never[i]) == 0)
			return false;
	}
	return true;
}

/* The fields to be signed, by name; fields of one name keep their order. */
static int sort_fields(const struct sigv4_request *rq, const struct sigv4_pair *out[SIGV4_FIELDS_MAX])
{
	int n = 0;

	assert(rq->field_count <= SIGV4_FIELDS_MAX);
	for (int i = 0; i < rq->field_count; i++) {
		int at = n;

		if (!sigv4_signs(rq->fields[i].name))
			continue;
		for (; at > 0 && strcmp(out[at - 1]->name, rq->fields[i].name) > 0; at--)
			out[at] = out[at - 1];
		out[at] = &rq->fields[i];
		n++;
	}
	return n;
}

/* Without blanks at the ends, and with one blank for a run of them inside. */
static void append_trimmed(struct buf *out, const char *value)
{
	bool gap = false, any = false;

	for (; *value; value++) {
		if (*value == ' ' || *value == '\t') {
			gap = any;
			continue;
		}
		if (gap)
			buf_char(out, ' ');
		buf_char(out, *value);
		gap = false;
		any = true;
	}
}

static void append_names(struct buf *out, const struct sigv4_pair *const *fields, int n)
{
	for (int i = 0; i < n; i++) {
		if (i > 0 && strcmp(fields[i - 1]->name, fields[i]->name) == 0)
			continue;
		if (i > 0)
			buf_char(out, ';');
		buf_str(out, fields[i]->name);
	}
}

void sigv4_canonical(struct buf *out, const struct sigv4_request *rq)
{
	const struct sigv4_pair *fields[SIGV4_FIELDS_MAX];
	int n = sort_fields(rq, fields);

	buf_fmt(out, "%s\n", rq->method);
	buf_str(out, rq->path);
	buf_char(out, '\n');
	buf_str(out, rq->query);
	buf_char(out, '\n');
	for (int i = 0; i < n; i++) {
		bool same = i > 0 && strcmp(fields[i - 1]->name, fields[i]->name) == 0;

		if (same)
			buf_char(out, ',');
		else
			buf_fmt(out, "%s%s:", i > 0 ? "\n" : "", fields[i]->name);
		append_trimmed(out, fields[i]->value);
	}
	buf_str(out, n > 0 ? "\n\n" : "\n");
	append_names(out, fields, n);
	buf_char(out, '\n');
	buf_str(out, rq->payload);
}

/* ---- the signature ---- */

static void chain(uint8_t key[SHA256_SIZE], const char *text)
{
	hmac_sha256(key, SHA256_SIZE, text, strlen(text), key);
}

void sigv4_derive(struct sigv4_key *k, const char *secret, int64_t time_s, const char *region, const char *service)
{
	char when[SIGV4_TIME_SIZE];
	uint8_t source[SHA256_SIZE];
	struct sha256 s;

	sigv4_time(when, time_s);
	when[8] = '\0';
	sha256_init(&s);
	sha256_add(&s, secret, strlen(secret) + 1);
	sha256_add(&s, when, 9);
	sha256_add(&s, region, strlen(region) + 1);
	sha256_add(&s, service, strlen(service));
	sha256_end(&s, source);
	if (k->valid && memcmp(k->source, source, sizeof(source)) == 0)
		return;
	/* HMAC's key is "AWS4" and the secret: a longer one than a block counts by its sum. */
	uint8_t first[SHA256_BLOCK] = "AWS4";
	size_t n = strlen(secret);

	if (n <= sizeof(first) - 4) {
		memcpy(first + 4, secret, n);
		n += 4;
	} else {
		sha256_init(&s);
		sha256_add(&s, "AWS4", 4);
		sha256_add(&s, secret, n);
		sha256_end(&s, first);
		n = SHA256_SIZE;
	}
	hmac_sha256(first, n, when, 8, k->key);
	chain(k->key, region);
	chain(k->key, service);
	chain(k->key, "aws4_request");
	memcpy(k->source, source, sizeof(source));
	k->valid = true;
}

static void append_scope(struct buf *out, const struct sigv4_request *rq)
{
	char when[SIGV4_TIME_SIZE];

	buf_append(out, sigv4_time(when, rq->time_s), 8);
	buf_fmt(out, "/%s/%s/aws4_request", rq->region, rq->service);
}

void sigv4_signature(struct sigv4_key *k, const struct sigv4_request *rq, const char *canonical, size_t n,
                     char hex[SHA256_HEX_SIZE])
{
	struct buf text = { .limit = 4096 };
	char when[SIGV4_TIME_SIZE];
	uint8_t sum[SHA256_SIZE];

	sha256(canonical, n, sum);
	buf_fmt(&text, "AWS4-HMAC-SHA256\n%s\n", sigv4_time(when, rq->time_s));
	append_scope(&text, rq);
	buf_fmt(&text, "\n%s", sha256_hex(hex, sum));
	sigv4_derive(k, rq->secret, rq->time_s, rq->region, rq->service);
	hmac_sha256(k->key, SHA256_SIZE, text.data, text.len, sum);
	sha256_hex(hex, sum);
	buf_free(&text);
}

void sigv4_authorization(struct buf *out, struct sigv4_key *k, const struct sigv4_request *rq)
{
	const struct sigv4_pair *fields[SIGV4_FIELDS_MAX];
	struct buf canonical = { .limit = 1 << 20 };
	char hex[SHA256_HEX_SIZE];
	int n = sort_fields(rq, fields);

	sigv4_canonical(&canonical, rq);
	if (!buf_ok(&canonical))
		out->failed = true;
	sigv4_signature(k, rq, buf_text(&canonical), canonical.len, hex);
	buf_free(&canonical);
	buf_fmt(out, "AWS4-HMAC-SHA256 Credential=%s/", rq->access_key_id);
	append_scope(out, rq);
	buf_str(out, ", SignedHeaders=");
	append_names(out, fields, n);
	buf_fmt(out, ", Signature=%s", hex);
}
