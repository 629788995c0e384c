/* SPDX-License-Identifier: MIT */
#include "s3/debug.h"

#include <string.h>
#include <strings.h>

#include "lib/base/log.h"

enum { BODY_SHOWN_MAX = 2048 };

unsigned s3_debug_parse(const char *words, struct buf *unknown)
{
	static const struct { const char *word; unsigned flags; } known[] = {
		{ "signing", S3_DEBUG_SIGNING }, { "request", S3_DEBUG_REQUEST },
		{ "request-with-body", S3_DEBUG_REQUEST | S3_DEBUG_REQUEST_BODY }, { "response", S3_DEBUG_RESPONSE },
		{ "response-with-body", S3_DEBUG_RESPONSE | S3_DEBUG_RESPONSE_BODY }, { "retries", S3_DEBUG_RETRIES },
		{ "all", S3_DEBUG_ALL },
	};
	unsigned flags = 0;

	for (;;) {
		words += strspn(words, " \t,");
		size_t n = strcspn(words, " \t,");
		bool found = n == 0;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (strlen(known[i].word) == n && strncasecmp(words, known[i].word, n) == 0) {
				flags |= known[i].flags;
				found = true;
			}
		}
		if (!found && unknown)
			buf_fmt(unknown, "%s%.*s", unknown->len ? ", " : "", (int)n, words);
		if (n == 0)
			return flags;
		words += n;
	}
}

static bool is_secret(const char *name)
{
	static const char *const secret[] = { "authorization", "x-amz-security-token",
		"x-amz-server-side-encryption-customer-key", "x-aws-ec2-metadata-token", "proxy-authorization" };

	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
		if (strcasecmp(name, secret[i]) == 0)
			return true;
	}
	return false;
}

void s3_debug_fields(struct buf *out, const struct sigv4_pair *fields, int count)
{
	for (int i = 0; i < count; i++) {
		buf_fmt(out, "%s%s=%s", out->len ? ", " : "", fields[i].name,
		        is_secret(fields[i].name) ? "***" : fields[i].value);
	}
}

/* As much of a body as is text: the control documents are, LTX files are not. */
static void append_body(struct buf *out, const uint8_t *bytes, size_t n)
{
	if (n > BODY_SHOWN_MAX)
		n = BODY_SHOWN_MAX;
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] < 0x20 && bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\t') {
			buf_reset(out);
			buf_str(out, "(binary)");
			return;
		}
		buf_char(out, (char)bytes[i]);
	}
}

void s3_debug_request(unsigned flags, const char *method, const char *host, const char *target,
                      const struct sigv4_pair *fields, int count, const struct http_body *body)
{
	struct buf text = { .limit = 16 << 10 }, shown = { .limit = 16 << 10 };

	if (!(flags & S3_DEBUG_REQUEST))
		return;
	s3_debug_fields(&text, fields, count);
	if ((flags & S3_DEBUG_REQUEST_BODY) && body && body->bytes)
		append_body(&shown, body->bytes, (size_t)body->size);
	log_info("s3 request", LS("method", method), LS("host", host), LS("target", target),
	         LS("fields", buf_text(&text)),
	         LI("size", body ? body->size : 0), LS("body", buf_text(&shown)));
	buf_free(&text);
	buf_free(&shown);
}

void s3_debug_signing(unsigned flags, const char *canonical)
{
	struct buf text = { .limit = 16 << 10 };

	if (!(flags & S3_DEBUG_SIGNING))
		return;
	/* Line by line, because fields with secrets are among them. */
	for (const char *s = canonical; *s;) {
		size_t n = strcspn(s, "\n"), name = strcspn(s, ":\n");
		char field[64] = "";

		if (name < n && name < sizeof(field))
			memcpy(field, s, name);
		if (is_secret(field))
			buf_fmt(&text, "%s:***", field);
		else
			buf_append(&text, s, n);
		s += n;
		if (*s) {
			buf_char(&text, '\n');
			s++;
		}
	}
	log_info("s3 signing", LS("canonical", buf_text(&text)));
	buf_free(&text);
}

void s3_debug_answer(unsigned flags, const struct http_exchange *x)
{
	struct buf text = { .limit = 16 << 10 };

	if (!(flags & S3_DEBUG_RESPONSE))
		return;
	for (int i = 0; i < x->answer.field_count; i++) {
		const struct sigv4_pair field = { http_text(&x->answer, x->answer.fields[i].name),
			                          http_text(&x->answer, x->answer.fields[i].value) };
		s3_debug_fields(&text, &field, 1);
	}
	log_info("s3 response", LI("status", x->answer.status), LS("fields", buf_text(&text)), LB("reused", x->reused));
	buf_free(&text);
}

void s3_debug_body(unsigned flags, const void *bytes, size_t n)
{
	struct buf text = { .limit = 16 << 10 };

	if (!(flags & S3_DEBUG_RESPONSE_BODY) || n == 0)
		return;
	append_body(&text, bytes, n);
	log_info("s3 response body", LS("body", buf_text(&text)));
	buf_free(&text);
}
