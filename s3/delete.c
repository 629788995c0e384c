/* SPDX-License-Identifier: MIT */
/* Deleting, in batches where the server can. */
#include <bearssl_hash.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "s3/base64.h"
#include "s3/internal.h"
#include "s3/objects.h"

enum { SHOWN_MAX = 5 };

/* What the server says about the keys of a batch. */
struct outcome {
	int failed;
	char reasons[512]; /* "key: message, …" of the first few */
};

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t crc = ~UINT32_C(0);

	for (; n > 0; p++, n--) {
		crc ^= *p;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

void s3_xml_escape(struct buf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '&')
			buf_str(out, "&amp;");
		else if (c == '<')
			buf_str(out, "&lt;");
		else if (c == '>')
			buf_str(out, "&gt;");
		else if (c == '"')
			buf_str(out, "&quot;");
		else if (c < 0x20)
			buf_fmt(out, "&#x%X;", c);
		else
			buf_char(out, (char)c);
	}
}

/* <Error> inside the result. */
static int take_failure(struct outcome *o, struct xml *x, struct err *e)
{
	char key[256] = "", code[64] = "", message[160] = "";

	for (;;) {
		enum xml_event event = xml_next(x, e);

		if (event == XML_ERROR || event == XML_EOF)
			return -1;
		if (event != XML_END)
			continue;
		if (x->depth == 1)
			break;
		if (strcmp(x->name, "Key") == 0)
			s3_error_text(key, sizeof(key), xml_text(x));
		else if (strcmp(x->name, "Code") == 0)
			s3_error_text(code, sizeof(code), xml_text(x));
		else if (strcmp(x->name, "Message") == 0)
			s3_error_text(message, sizeof(message), xml_text(x));
	}
	if (strcmp(code, "NoSuchKey") == 0)
		return 0;
	if (o->failed++ < SHOWN_MAX) {
		size_t n = strlen(o->reasons);

		snprintf(o->reasons + n, sizeof(o->reasons) - n, "%s%s: %s", n ? ", " : "", key,
		         message[0] ? message : code);
		log_warn("s3: could not delete", LS("key", key), LS("code", code), LS("message", message));
	}
	return 0;
}

static int take_result(void *ctx, struct s3_reply *r, struct err *e)
{
	struct outcome *o = ctx;
	enum xml_event event;
	struct xml x;
	int rc = -1;

	*o = (struct outcome){ .failed = 0 };
	xml_init(&x, s3_reply_read, r);
	event = xml_next(&x, e);
	if (event == XML_START && strcmp(x.name, "Error") == 0) {
		(void)s3_error_take(&r->error, &x, e);
	} else if (event == XML_START && strcmp(x.name, "DeleteResult") != 0) {
		err_set(e, ERR_CORRUPT, "the answer is no result of a deletion but <%s>", x.name);
	} else {
		while (event == XML_START || event == XML_END) {
			event = xml_next(&x, e);
			if (event == XML_START && strcmp(x.name, "Error") == 0 && take_failure(o, &x, e) != 0)
				event = XML_ERROR;
		}
		rc = event == XML_EOF ? 0 : -1;
	}
	xml_free(&x);
	return rc;
}

int s3_take_nothing(void *ctx, struct s3_reply *r, struct err *e)
{
	(void)ctx;
	(void)r;
	(void)e;
	return 0;
}

static int delete_one(struct s3_client *c, const char *key, const atomic_bool *cancel, struct err *e)
{
	struct s3_call call = { .method = "DELETE", .operation = "DeleteObject", .verb = "delete", .key = key,
		.cancel = cancel };
	struct s3_reply r;

	if (s3_call(c, &call, s3_take_nothing, NULL, &r, e) == 0)
		return 0;
	if (r.error.status != 404 || strcmp(r.error.code, "NoSuchBucket") == 0)
		return -1;
	err_clear(e);
	return 0;
}

/* A body that deletes must arrive as it was sent. */
static void protect(struct s3_call *call, const struct s3_client *c, const struct buf *body, char text[BASE64_SIZE(16)])
{
	uint8_t sum[16];

	if (c->settings.content_md5) {
		br_md5_context md5;

		br_md5_init(&md5);
		br_md5_update(&md5, body->data, body->len);
		br_md5_out(&md5, sum);
		s3_call_field(call, "content-md5", base64_encode(text, sum, 16));
	} else {
		uint32_t crc = crc32_of(body->data, body->len);

		for (int i = 0; i < 4; i++)
			sum[i] = (uint8_t)(crc >> (24 - 8 * i));
		s3_call_field(call, "x-amz-checksum-crc32", base64_encode(text, sum, 4));
		s3_call_field(call, "x-amz-sdk-checksum-algorithm", "CRC32");
	}
}

/* The server, or what stands before it, does not know the request. */
static bool is_unsupported(const struct s3_error *x)
{
	static const char *const codes[] = { "NotImplemented", "InvalidArgument", "InvalidRequest",
		"UnsupportedOperation",
		"BadRequest", "NotFound", "NoSuchKey", "MethodNotAllowed" };

	if (x->status == 405 || x->status == 501)
		return true;
	if (x->status != 400 && x->status != 404)
		return false;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(codes[i], x->code) == 0)
			return true;
	}
	return false;
}

/* 1 = the server cannot do that. */
static int delete_batch(struct s3_client *c, const char *const *keys, int count, const atomic_bool *cancel,
                        struct err *e)
{
	struct s3_call call = { .method = "POST", .operation = "DeleteObjects", .verb = "delete", .cancel = cancel };
	struct buf body = { .limit = 8 << 20 };
	struct http_body sent = { .fd = -1 };
	struct outcome o = { .failed = 0 };
	char sum[BASE64_SIZE(16)];
	struct s3_reply r;
	int rc;

	buf_str(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (int i = 0; i < count; i++) {
		buf_str(&body, "<Object><Key>");
		s3_xml_escape(&body, keys[i]);
		buf_str(&body, "</Key></Object>");
	}
	buf_str(&body, "<Quiet>true</Quiet></Delete>");
	if (!buf_ok(&body)) {
		buf_free(&body);
		return err_nomem(e);
	}
	sent.bytes = body.data;
	sent.size = (int64_t)body.len;
	call.body = &sent;
	s3_call_param(&call, "delete", "");
	s3_call_field(&call, "content-type", "application/xml");
	protect(&call, c, &body, sum);
	rc = s3_call(c, &call, take_result, &o, &r, e);
	buf_free(&body);
	if (rc != 0)
		return is_unsupported(&r.error) ? 1 : -1;
	if (o.failed > 0)
		return err_set(e, ERR_SYSTEM, "s3: delete %d of %d objects (bucket %s): %s", o.failed, count,
		               c->settings.bucket,
		               o.reasons);
	return 0;
}

int s3_delete(struct s3_client *c, const char *const *keys, int count, const atomic_bool *cancel, struct err *e)
{
	bool singly = count == 1 || c->settings.provider == S3_GCS || atomic_load(&c->no_batches);

	if (!singly) {
		int rc = delete_batch(c, keys, count, cancel, e);

		if (rc <= 0)
			return rc;
		err_clear(e);
		atomic_store(&c->no_batches, true);
	}
	for (int i = 0; i < count; i++) {
		if (delete_one(c, keys[i], cancel, e) != 0)
			return -1;
	}
	return 0;
}
