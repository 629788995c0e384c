/* SPDX-License-Identifier: MIT */
#include "s3/error.h"

#include "tests/check.h"

struct input {
	const char *bytes;
	size_t at;
};

static int give(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct input *in = ctx;
	size_t left = strlen(in->bytes + in->at);

	(void)e;
	*got = n < left ? n : left;
	memcpy(bytes, in->bytes + in->at, *got);
	in->at += *got;
	return 0;
}

static int take(int status, const char *xml, struct s3_error *out)
{
	struct input in = { xml, 0 };
	static struct xml x;
	int rc = -1;

	s3_error_from_status(out, status);
	xml_init(&x, give, &in);
	if (xml_next(&x, NULL) == XML_START)
		rc = s3_error_take(out, &x, NULL);
	xml_free(&x);
	return rc;
}

TEST(bodies)
{
	struct s3_error x;

	CHECK_INT(take(403, "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access\nDenied\x01</Message>"
	                    "<Resource><Code>no</Code></Resource><RequestId>R1</RequestId><HostId>h</HostId></Error>",
	                    &x), 0);
	CHECK_STR(x.code, "AccessDenied");
	CHECK_STR(x.message, "Access Denied?");
	CHECK_STR(x.request_id, "R1");
	CHECK_INT(take(400, "<ErrorResponse "
	               "xmlns='u'><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>m"
	                    "</Message></Error><RequestId>R2</RequestId></ErrorResponse>", &x), 0);
	CHECK_STR(x.code, "ExpiredTokenException");
	CHECK_STR(x.message, "m");
	CHECK_INT(take(404, "<html><Code>x</Code></html>", &x), 0);
	CHECK_STR(x.code, "NotFound");
	CHECK_INT(take(503, "<Error><Code>SlowDown</Code>", &x), -1);
	CHECK_INT(take(418, "<Error><Code></Code></Error>", &x), 0);
	CHECK_STR(x.code, "Status418");
}

TEST(remedies)
{
	static const struct { int status; const char *code, *region; enum s3_remedy want; } rows[] = {
		{ 500, "", "", S3_LATER }, { 502, "", "", S3_LATER }, { 503, "", "", S3_LATER },
		{ 504, "", "", S3_LATER },
		{ 408, "RequestCanceled", "", S3_LATER }, { 408, "", "", S3_LATER }, { 429, "", "", S3_LATER },
		{ 503, "SlowDown", "", S3_LATER }, { 400, "RequestTimeout", "", S3_LATER },
		{ 200, "InternalError", "", S3_LATER },
		{ 409, "OperationAborted", "", S3_LATER }, { 409, "ConditionalRequestConflict", "", S3_LATER },
		{ 400, "BadDigest", "", S3_ONCE }, { 400, "XAmzContentSHA256Mismatch", "", S3_ONCE },
		{ 400, "IncompleteBody", "", S3_LATER },
		{ 403, "RequestTimeTooSkewed", "", S3_FIX_CLOCK }, { 403, "SignatureDoesNotMatch", "", S3_MAYBE_CLOCK },
		{ 400, "ExpiredToken", "", S3_NEW_KEYS }, { 403, "InvalidAccessKeyId", "", S3_NEW_KEYS },
		{ 301, "PermanentRedirect", "", S3_MOVE }, { 307, "TemporaryRedirect", "", S3_MOVE },
		{ 301, "", "", S3_MOVE },
		{ 400, "AuthorizationHeaderMalformed", "eu-west-1", S3_MOVE }, { 400, "", "eu-west-1", S3_MOVE },
		{ 403, "AccessDenied", "eu-west-1", S3_MOVE },
		{ 400, "", "", S3_GIVE_UP }, { 401, "", "", S3_GIVE_UP }, { 403, "", "", S3_GIVE_UP },
		{ 404, "", "", S3_GIVE_UP },
		{ 405, "", "", S3_GIVE_UP }, { 411, "", "", S3_GIVE_UP }, { 412, "", "", S3_GIVE_UP },
		{ 416, "", "", S3_GIVE_UP },
		{ 501, "NotImplemented", "", S3_GIVE_UP }, { 302, "", "", S3_GIVE_UP },
		{ 404, "NoSuchBucket", "", S3_GIVE_UP },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct s3_error x;

		s3_error_from_status(&x, rows[i].status);
		if (rows[i].code[0])
			strcpy(x.code, rows[i].code);
		strcpy(x.region, rows[i].region);
		if (s3_error_remedy(&x) != rows[i].want)
			CHECK_FAIL("%d %s: %d, wanted %d", rows[i].status, rows[i].code, s3_error_remedy(&x),
			           rows[i].want);
	}
}

TEST(sentences)
{
	const struct s3_subject put = { "PutObject", "put", "b", "db/0000/k.ltx" },
		list = { "ListObjectsV2", "list", "b", NULL };
	const struct s3_subject get = { "GetObject", "open", "b", "k" };
	struct s3_error x;
	struct err e = ERR_INIT;

	take(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>R</RequestId></Error>",
	     &x);
	CHECK_INT(s3_error_set(&e, &x, &put), -1);
	CHECK_STR(e.text, "s3: put db/0000/k.ltx: AccessDenied: Access Denied (PutObject, bucket b, HTTP 403, request "
	          "R): "
	                  "missing right s3:PutObject (with a KMS key also kms:GenerateDataKey)");
	CHECK_INT(e.code, ERR_INVALID);
	s3_error_from_status(&x, 404);
	s3_error_set(&e, &x, &get);
	CHECK_INT(e.code, ERR_NOT_FOUND);
	CHECK_STR(e.text, "s3: open k: NotFound (GetObject, bucket b, HTTP 404)");
	take(404, "<Error><Code>NoSuchBucket</Code></Error>", &x);
	s3_error_set(&e, &x, &list);
	CHECK_INT(e.code, ERR_INVALID);
	CHECK(strstr(e.text, "never created") != NULL);
	s3_error_set(&e, &x, &get);
	CHECK_INT(e.code, ERR_INVALID); /* not "the object is missing" */
	s3_error_from_status(&x, 503);
	s3_error_set(&e, &x, &list);
	CHECK_INT(e.code, ERR_SYSTEM);
	s3_error_from_status(&x, 507);
	s3_error_set(&e, &x, &put);
	CHECK_INT(e.code, ERR_FULL);
	take(400, "<Error><Code>InvalidRequest</Code></Error>", &x);
	CHECK(strstr(s3_error_hint(&x, &get), "SSE-C") != NULL);
	CHECK(s3_error_hint(&x, &put) == NULL);
}

TEST(long_texts_are_cut_between_characters)
{
	char out[8];

	s3_error_text(out, sizeof(out), "abcdef\xc3\xa4z");
	CHECK_STR(out, "abcdef");
	s3_error_text(out, sizeof(out), "abcde\xc3\xa4");
	CHECK_STR(out, "abcde\xc3\xa4");
}

TEST_MAIN
