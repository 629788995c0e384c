/* SPDX-License-Identifier: MIT */
/* Single PUTs, and the steps of a multipart upload (s3.md §3.5). */
#include "s3/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"

enum { HELD_MAX = 64 << 10, HASH_PIECE = 128 << 10 };

/* ---- sources ---- */

static void set_sum(struct s3_source *s, const struct s3_client *c, const uint8_t sum[SHA256_SIZE])
{
	if (c->settings.sign_payload)
		sha256_hex(s->payload, sum);
	else
		strcpy(s->payload, SIGV4_UNSIGNED_PAYLOAD);
}

void s3_source_memory(struct s3_source *s, const struct s3_client *c, const void *bytes, size_t n)
{
	uint8_t sum[SHA256_SIZE] = { 0 };

	*s = (struct s3_source){ .body = { .bytes = bytes, .fd = -1, .size = (int64_t)n } };
	if (c->settings.sign_payload)
		sha256(bytes, n, sum);
	set_sum(s, c, sum);
}

static int hash_file(struct os_file *f, int64_t offset, int64_t size, uint8_t sum[SHA256_SIZE], struct err *e)
{
	uint8_t *piece = malloc(HASH_PIECE);
	struct sha256 h;
	int rc = 0;

	if (!piece)
		return err_nomem(e);
	sha256_init(&h);
	while (rc == 0 && size > 0) {
		size_t n = size < HASH_PIECE ? (size_t)size : HASH_PIECE;

		rc = os_file_read_exact(f, piece, n, offset, e);
		sha256_add(&h, piece, n);
		offset += (int64_t)n;
		size -= (int64_t)n;
	}
	sha256_end(&h, sum);
	free(piece);
	return rc;
}

int s3_source_file(struct s3_source *s, const struct s3_client *c, struct os_file *f, int64_t offset, int64_t size,
                   struct err *e)
{
	uint8_t sum[SHA256_SIZE] = { 0 };

	*s = (struct s3_source){ .body = { .fd = f->fd, .offset = offset, .size = size } };
	if (size <= HELD_MAX) {
		s->held = malloc((size_t)size + 1);
		if (!s->held)
			return err_nomem(e);
		if (os_file_read_exact(f, s->held, (size_t)size, offset, e) != 0) {
			s3_source_free(s);
			return -1;
		}
		uint8_t *held = s->held;
		s3_source_memory(s, c, held, (size_t)size);
		s->held = held;
		return 0;
	}
	if (c->settings.sign_payload && hash_file(f, offset, size, sum, e) != 0)
		return -1;
	set_sum(s, c, sum);
	return 0;
}

void s3_source_free(struct s3_source *s)
{
	free(s->held);
	s->held = NULL;
}

/* ---- fields ---- */

/* What PUT and the beginning of a multipart upload say about the object to be. */
static void object_fields(struct s3_call *call, const struct s3_client *c, const struct s3_write *w,
                          char time[TEXT_TIME_SIZE])
{
	s3_call_field(call, S3_TIMESTAMP_FIELD, text_time_trim(time, w->time_ms));
	if (c->settings.storage_class)
		s3_call_field(call, "x-amz-storage-class", c->settings.storage_class);
	s3_call_customer_key(call, c);
	if (c->settings.kms_key_id) {
		s3_call_field(call, "x-amz-server-side-encryption", "aws:kms");
		s3_call_field(call, "x-amz-server-side-encryption-aws-kms-key-id", c->settings.kms_key_id);
	}
}

int s3_check_part_size(const struct s3_client *c, const char *key, struct err *e)
{
	if (c->settings.part_size >= S3_PART_MIN)
		return 0;
	return err_set(e, ERR_INVALID, "s3: put %s: part size must be at least %d bytes, but is %lld", key, S3_PART_MIN,
	               (long long)c->settings.part_size);
}

static int take_etag(void *ctx, struct s3_reply *r, struct err *e)
{
	char **etag = ctx;
	const char *value = s3_reply_field(r, "etag");

	if (!value || !value[0])
		return err_set(e, ERR_INVALID, "the server has answered without an ETag");
	if (!etag)
		return 0;
	free(*etag);
	*etag = strdup(value);
	return *etag ? 0 : err_nomem(e);
}

int s3_put_source(struct s3_client *c, const struct s3_write *w, const struct s3_source *s, struct err *e)
{
	struct s3_call call = { .method = "PUT", .operation = "PutObject", .verb = "put", .key = w->key,
		.body = &s->body,
		.payload = s->payload, .cancel = w->cancel };
	char time[TEXT_TIME_SIZE];
	struct s3_reply r;

	s3_call_field(&call, "content-type", "application/octet-stream");
	object_fields(&call, c, w, time);
	return s3_call(c, &call, take_etag, NULL, &r, e);
}

/* ---- multipart ---- */

static int take_upload_id(void *ctx, struct s3_reply *r, struct err *e)
{
	char **id = ctx;
	enum xml_event event;
	struct xml x;
	int rc = -1;

	free(*id);
	*id = NULL;
	xml_init(&x, s3_reply_read, r);
	event = xml_next(&x, e);
	if (event == XML_START && strcmp(x.name, "Error") == 0) {
		(void)s3_error_take(&r->error, &x, e);
		event = XML_ERROR;
	}
	while (event == XML_START || event == XML_END) {
		if (event == XML_END && strcmp(x.name, "UploadId") == 0 && xml_text(&x)[0] && !*id)
			*id = strdup(xml_text(&x));
		event = xml_next(&x, e);
	}
	if (event == XML_EOF)
		rc = *id ? 0 : err_set(e, ERR_CORRUPT, "the server has begun an upload without naming it");
	xml_free(&x);
	return rc;
}

int s3_multipart_begin(struct s3_multipart *m, struct s3_client *c, const struct s3_write *w, struct err *e)
{
	struct s3_call call = { .method = "POST", .operation = "CreateMultipartUpload", .verb = "put", .key = w->key,
		.cancel = w->cancel };
	char time[TEXT_TIME_SIZE];
	struct s3_reply r;

	*m = (struct s3_multipart){ .c = c, .w = *w, .key = strdup(w->key) };
	if (!m->key)
		return err_nomem(e);
	m->w.key = m->key;
	s3_call_param(&call, "uploads", "");
	object_fields(&call, c, w, time);
	if (s3_call(c, &call, take_upload_id, &m->id, &r, e) == 0)
		return 0;
	s3_multipart_free(m);
	return -1;
}

int s3_multipart_reserve(struct s3_multipart *m, int count, struct err *e)
{
	if (count > S3_PARTS_MAX)
		return err_set(e, ERR_LIMIT, "s3: put %s: more than %d parts of %lld bytes: raise `part-size`", m->key,
		               S3_PARTS_MAX,
		               (long long)m->c->settings.part_size);
	if (count > m->part_cap) {
		int cap = count > 2 * m->part_cap ? count : 2 * m->part_cap;
		struct s3_part *parts = realloc(m->parts, (size_t)cap * sizeof(*parts));

		if (!parts)
			return err_nomem(e);
		m->parts = parts;
		m->part_cap = cap;
	}
	for (; m->part_count < count; m->part_count++)
		m->parts[m->part_count].etag = NULL;
	return 0;
}

int s3_multipart_part(struct s3_multipart *m, int number, const struct s3_source *s, struct err *e)
{
	struct s3_call call = { .method = "PUT", .operation = "UploadPart", .verb = "put", .key = m->key,
		.body = &s->body,
		.payload = s->payload, .cancel = m->w.cancel };
	struct s3_reply r;
	char text[16];

	snprintf(text, sizeof(text), "%d", number + 1);
	s3_call_param(&call, "partNumber", text);
	s3_call_param(&call, "uploadId", m->id);
	s3_call_customer_key(&call, m->c);
	return s3_call(m->c, &call, take_etag, &m->parts[number].etag, &r, e);
}

/* The root may be an error although the status was 200, after blanks that kept the connection alive. */
static int take_complete(void *ctx, struct s3_reply *r, struct err *e)
{
	enum xml_event event;
	bool complete = false;
	struct xml x;

	(void)ctx;
	xml_init(&x, s3_reply_read, r);
	event = xml_next(&x, e);
	if (event == XML_START && strcmp(x.name, "Error") == 0) {
		(void)s3_error_take(&r->error, &x, e);
		event = XML_ERROR;
	} else if (event == XML_START) {
		complete = strcmp(x.name, "CompleteMultipartUploadResult") == 0;
		if (!complete)
			err_set(e, ERR_CORRUPT, "the answer is not that of a completed upload but <%s>", x.name);
	}
	while (complete && (event == XML_START || event == XML_END))
		event = xml_next(&x, e);
	xml_free(&x);
	return complete && event == XML_EOF ? 0 : -1;
}

struct completed {
	int64_t size;
	char etag[128];
};

static int take_completed(void *ctx, struct s3_reply *r, struct err *e)
{
	struct completed *h = ctx;
	const char *etag = s3_reply_field(r, "etag"), *length = s3_reply_field(r, "content-length");

	(void)e;
	snprintf(h->etag, sizeof(h->etag), "%s", etag ? etag : "");
	h->size = length ? atoll(length) : -1;
	return 0;
}

/* An earlier attempt may have completed it without our hearing of it. */
static bool is_completed(struct s3_multipart *m)
{
	struct s3_call call = { .method = "HEAD", .operation = "HeadObject", .verb = "head", .key = m->key,
		.cancel = m->w.cancel };
	struct completed h;
	struct s3_reply r;
	char tail[24];

	s3_call_customer_key(&call, m->c);
	if (s3_call(m->c, &call, take_completed, &h, &r, NULL) != 0)
		return false;
	snprintf(tail, sizeof(tail), "-%d\"", m->part_count);
	size_t n = strlen(h.etag), t = strlen(tail);
	return h.size == m->size && n > t && strcmp(h.etag + n - t, tail) == 0;
}

int s3_multipart_complete(struct s3_multipart *m, struct err *e)
{
	struct s3_call call = { .method = "POST", .operation = "CompleteMultipartUpload", .verb = "put", .key = m->key,
		.cancel = m->w.cancel };
	struct buf body = { .limit = 4 << 20 };
	struct http_body sent = { .fd = -1 };
	struct s3_reply r;
	int rc;

	buf_str(&body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (int i = 0; i < m->part_count; i++) {
		buf_str(&body, "<Part><ETag>");
		s3_xml_escape(&body, m->parts[i].etag);
		buf_fmt(&body, "</ETag><PartNumber>%d</PartNumber></Part>", i + 1);
	}
	buf_str(&body, "</CompleteMultipartUpload>");
	if (!buf_ok(&body)) {
		buf_free(&body);
		return err_nomem(e);
	}
	sent.bytes = body.data;
	sent.size = (int64_t)body.len;
	call.body = &sent;
	s3_call_param(&call, "uploadId", m->id);
	s3_call_field(&call, "content-type", "application/xml");
	s3_call_customer_key(&call, m->c);
	rc = s3_call(m->c, &call, take_complete, NULL, &r, e);
	buf_free(&body);
	if (rc != 0 && strcmp(r.error.code, "NoSuchUpload") == 0 && is_completed(m)) {
		err_clear(e);
		rc = 0;
	}
	return rc;
}

void s3_multipart_abort(struct s3_multipart *m)
{
	/* A client of its own, whose time-outs fit the few seconds that an end may take. */
	const struct http_client_options o = { .connect_timeout_ms = 3000, .tls_timeout_ms = 3000,
		.head_timeout_ms = 4000,
		.idle_timeout_ms = 4000, .skip_verify = m->c->settings.skip_verify };
	struct s3_call call = { .method = "DELETE", .operation = "AbortMultipartUpload", .verb = "abort", .key = m->key,
		.single = true };
	struct err why = ERR_INIT;
	struct http_client *quick = NULL;
	struct s3_reply r;

	if (!m->id)
		return;
	s3_call_param(&call, "uploadId", m->id);
	if (http_client_create(&o, &quick, &why) == 0) {
		call.http = quick;
		if (s3_call(m->c, &call, s3_take_nothing, NULL, &r, &why) != 0 && r.error.status != 404)
			log_warn("s3: an upload was left unfinished: its parts stay until a lifecycle rule removes "
			         "them",
			         LS("bucket", m->c->settings.bucket), LS("key", m->key), LS("error", why.text));
		http_client_free(quick);
	}
}

void s3_multipart_free(struct s3_multipart *m)
{
	for (int i = 0; i < m->part_count; i++)
		free(m->parts[i].etag);
	free(m->parts);
	free(m->key);
	free(m->id);
	*m = (struct s3_multipart){ .c = NULL };
}
