/* SPDX-License-Identifier: MIT */
/*
 * Ranged reads. A small range is fetched whole, so that a merge of many files holds no connections; a large one streams
 * in ranges that grow, so that few requests are needed and an abandoned one costs little.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "s3/internal.h"
#include "s3/objects.h"

enum {
	SMALL_MAX = 64 << 10, RANGE_FIRST = 4 << 20, RANGE_MAX = 64 << 20,
	RESUMES_MAX = 8, PROGRESS_MIN = 4 << 10, RESUME_FIRST_MS = 250, RESUME_MAX_MS = 4000, SKIP_PIECE = 4096,
};

struct s3_reader {
	struct s3_client *c;
	char *key;
	const atomic_bool *cancel;
	int64_t size;         /* of the object; -1 = not known yet */
	int64_t offset, end;  /* next byte to give; where to stop (INT64_MAX: with the object) */
	char etag[128];       /* of the first answer; "" = none */

	bool is_open;
	struct s3_reply r;
	int64_t asked_end;    /* of the range that was asked for */
	int64_t range_end;    /* of the open answer: more where the range was ignored */
	int64_t range_size;   /* of the next request */
	int resumes;          /* since bytes came */
	int64_t progress;

	uint8_t *small;       /* a whole small range, or NULL */
	size_t small_at, small_len;
};

/* ---- the head of an answer ---- */

/* Digits, and the character that must follow them (which may be the end). */
static bool take_digits(const char **s, char then, int64_t *value)
{
	const char *c = *s;

	*value = 0;
	for (; *c >= '0' && *c <= '9'; c++) {
		if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, *c - '0', value))
			return false;
	}
	if (c == *s || *c != then)
		return false;
	*s = c + (then != '\0');
	return true;
}

/* "bytes 5-9/10" */
static bool parse_content_range(const char *text, int64_t *first, int64_t *total)
{
	int64_t last;

	if (!text || strncmp(text, "bytes ", 6) != 0)
		return false;
	text += 6;
	return take_digits(&text, '-', first) && take_digits(&text, '/', &last) && take_digits(&text, '\0', total) &&
	       *first <= last && last < *total;
}

static int skip_bytes(struct s3_reply *r, int64_t n, struct err *e)
{
	uint8_t piece[SKIP_PIECE];
	size_t got;

	for (; n > 0; n -= (int64_t)got) {
		if (s3_reply_read(r, piece, n < SKIP_PIECE ? (size_t)n : SKIP_PIECE, &got, e) != 0)
			return -1;
		if (got == 0)
			return err_set(e, ERR_UNAVAILABLE, "the answer ends too early");
	}
	return 0;
}

static void note_no_ranges(const struct s3_reader *s)
{
	if (!atomic_exchange_explicit(&s->c->no_ranges, true, memory_order_relaxed))
		log_warn("server ignores ranges: objects are read from their beginning",
		         LS("bucket", s->c->settings.bucket));
}

/* Checks that the answer is the range that was asked for, of the object that was listed. */
static int take_head(struct s3_reader *s, struct s3_reply *r, struct err *e)
{
	const char *encoding = s3_reply_field(r, "content-encoding"), *etag = s3_reply_field(r, "etag");
	int64_t first = 0, total = r->x.answer.content_length;

	if (encoding && encoding[0] && strcmp(encoding, "identity") != 0 && strcmp(encoding, "aws-chunked") != 0)
		return err_set(e, ERR_INVALID, "the answer comes with Content-Encoding %.40s, which was not asked for",
		               encoding);
	if (r->x.answer.status == 206 &&
	    (!parse_content_range(s3_reply_field(r, "content-range"), &first, &total) || first != s->offset))
		return err_set(e, ERR_CORRUPT, "the answer is not the range that was asked for");
	if (r->x.answer.status != 206 && (r->x.answer.status != 200 || total < 0))
		return err_set(e, ERR_CORRUPT, "the answer does not tell its length");
	if (s->size >= 0 && total != s->size)
		return err_set(e, ERR_CORRUPT, "the object has %lld bytes instead of %lld", (long long)total,
		               (long long)s->size);
	s->size = total;
	if (s->end > total)
		s->end = total;
	s->range_end = r->x.answer.status == 206 && s->asked_end < s->end ? s->asked_end : s->end;
	if (r->x.answer.status == 200 && (s->offset > 0 || s->asked_end < total))
		note_no_ranges(s);
	if (r->x.answer.status == 200 && skip_bytes(r, s->offset < total ? s->offset : total, e) != 0)
		return -1;
	if (etag && !s->etag[0] && strlen(etag) < sizeof(s->etag))
		strcpy(s->etag, etag);
	return 0;
}

static int take_small(void *ctx, struct s3_reply *r, struct err *e)
{
	struct s3_reader *s = ctx;
	size_t got;

	if (take_head(s, r, e) != 0)
		return -1;
	int64_t want = (s->asked_end < s->end ? s->asked_end : s->end) - s->offset;
	if (want < 0)
		want = 0;
	assert(want <= SMALL_MAX);
	free(s->small);
	s->small_at = s->small_len = 0;
	s->small = malloc((size_t)want + 1);
	if (!s->small)
		return err_nomem(e);
	while (s->small_len < (size_t)want) {
		if (s3_reply_read(r, s->small + s->small_len, (size_t)want - s->small_len, &got, e) != 0)
			return -1;
		if (got == 0)
			return err_set(e, ERR_UNAVAILABLE, "the answer ends too early");
		s->small_len += got;
	}
	return 0;
}

/* ---- requests ---- */

/* Bytes from s->offset on. */
static int request(struct s3_reader *s, struct err *e)
{
	struct s3_call call = { .method = "GET", .operation = "GetObject", .verb = "open", .key = s->key,
		.cancel = s->cancel };
	bool small;
	char range[64];

	s->asked_end = s->end;
	if (s->range_size < s->end - s->offset)
		s->asked_end = s->offset + s->range_size;
	small = s->asked_end - s->offset <= SMALL_MAX;
	snprintf(range, sizeof(range), "bytes=%lld-%lld", (long long)s->offset, (long long)s->asked_end - 1);
	s3_call_field(&call, "range", range);
	if (s->etag[0])
		s3_call_field(&call, "if-match", s->etag);
	s3_call_customer_key(&call, s->c);
	if (s3_call(s->c, &call, small ? take_small : NULL, s, &s->r, e) != 0) {
		if (s->r.error.status == 416 && s->size <= s->offset) {
			s->end = s->offset; /* nothing there to read */
			err_clear(e);
			return 0;
		}
		if (s->r.error.status == 412 && s->etag[0])
			return err_set(e, ERR_NOT_FOUND, "s3: read %s: the object was replaced meanwhile", s->key);
		return -1;
	}
	if (small)
		return 0;
	if (take_head(s, &s->r, e) != 0) {
		s3_reply_end(&s->r);
		return err_wrap(e, "s3: open %s", s->key);
	}
	s->is_open = true;
	s->range_size = s->range_size < RANGE_MAX / 2 ? s->range_size * 2 : RANGE_MAX;
	return 0;
}

int s3_open(struct s3_client *c, const char *key, int64_t offset, int64_t length, int64_t size,
            const atomic_bool *cancel,
            struct s3_reader **out, struct err *e)
{
	struct s3_reader *s = calloc(1, sizeof(*s));
	bool nothing = length == 0;

	*out = NULL;
	if (!s || !(s->key = strdup(key))) {
		free(s);
		return err_nomem(e);
	}
	s->c = c;
	s->cancel = cancel;
	s->size = size;
	s->offset = offset;
	if (nothing)
		length = 1; /* whether it is there can be asked with one byte */
	s->end = length < 0 || length > INT64_MAX - offset ? INT64_MAX : offset + length;
	if (size >= 0 && s->end > size)
		s->end = size > offset ? size : offset + 1;
	s->range_size = RANGE_FIRST;
	if (request(s, e) != 0) {
		s3_reader_close(s);
		return -1;
	}
	if (nothing) {
		s->end = s->offset;
		s->small_len = 0;
	}
	*out = s;
	return 0;
}

static void close_answer(struct s3_reader *s)
{
	if (s->is_open)
		s3_reply_end(&s->r);
	s->is_open = false;
}

void s3_reader_close(struct s3_reader *s)
{
	close_answer(s);
	free(s->small);
	free(s->key);
	free(s);
}

/* ---- bytes ---- */

static int resume(struct s3_reader *s, const struct err *why, struct err *e)
{
	int64_t pause = s->progress > 0 ? 0 : (int64_t)RESUME_FIRST_MS << s->resumes;

	close_answer(s);
	if (why->code != ERR_UNAVAILABLE || s->resumes >= RESUMES_MAX) {
		if (e)
			*e = *why;
		if (e && e->code == ERR_UNAVAILABLE)
			e->code = ERR_SYSTEM;
		return err_wrap(e, "s3: read %s", s->key);
	}
	s->resumes++;
	s->progress = 0;
	return s3_wait(pause < RESUME_MAX_MS ? pause : RESUME_MAX_MS, s->cancel, e);
}

static size_t from_small(struct s3_reader *s, void *bytes, size_t n)
{
	if (n > s->small_len - s->small_at)
		n = s->small_len - s->small_at;
	memcpy(bytes, s->small + s->small_at, n);
	s->small_at += n;
	return n;
}

/* From the open answer: 0, and *got == 0 only if it is used up. */
static int from_answer(struct s3_reader *s, void *bytes, size_t n, size_t *got, struct err *e)
{
	int64_t left = s->range_end - s->offset;

	*got = 0;
	if (left <= 0)
		return 0;
	if ((int64_t)n > left)
		n = (size_t)left;
	if (s3_reply_read(&s->r, bytes, n, got, e) != 0)
		return -1;
	return *got > 0 ? 0 : err_set(e, ERR_UNAVAILABLE, "the answer ends too early");
}

int s3_read(struct s3_reader *s, void *bytes, size_t n, size_t *got, struct err *e)
{
	*got = 0;
	while (n > 0 && s->offset < s->end) {
		struct err why = ERR_INIT;

		if (s->small && s->small_at < s->small_len) {
			*got = from_small(s, bytes, n);
		} else if (!s->is_open) {
			if (request(s, e) != 0)
				return -1;
			continue;
		} else if (from_answer(s, bytes, n, got, &why) != 0) {
			if (resume(s, &why, e) != 0)
				return -1;
			continue;
		} else if (*got == 0) {
			close_answer(s); /* the next range */
			continue;
		}
		s->offset += (int64_t)*got;
		s->progress += (int64_t)*got;
		if (s->progress >= PROGRESS_MIN)
			s->resumes = 0;
		return 0;
	}
	close_answer(s);
	return 0;
}

bool s3_ignores_ranges(const struct s3_client *c)
{
	return atomic_load_explicit(&c->no_ranges, memory_order_relaxed);
}

/* ---- metadata ---- */

struct head {
	char time[64];
};

static int take_metadata(void *ctx, struct s3_reply *r, struct err *e)
{
	struct head *h = ctx;
	const char *time = s3_reply_field(r, S3_TIMESTAMP_FIELD);

	(void)e;
	snprintf(h->time, sizeof(h->time), "%s", time ? time : "");
	return 0;
}

int s3_head_time(struct s3_client *c, const char *key, int64_t *ms, const atomic_bool *cancel, struct err *e)
{
	struct s3_call call = { .method = "HEAD", .operation = "HeadObject", .verb = "head", .key = key,
		.cancel = cancel };
	struct s3_reply r;
	struct head h;
	int64_t ns;

	s3_call_customer_key(&call, c);
	if (s3_call(c, &call, take_metadata, &h, &r, e) != 0)
		return -1;
	if (h.time[0] && text_parse_time(h.time, &ns, NULL) == 0)
		*ms = ns / 1000000;
	return 0;
}
