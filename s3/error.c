/* SPDX-License-Identifier: MIT */
#include "s3/error.h"

#include <stdio.h>
#include <string.h>

/* ---- what was answered ---- */

static const struct {
	int status;
	const char *name;
} statuses[] = {
	{ 301, "MovedPermanently" }, { 302, "Found" }, { 307, "TemporaryRedirect" }, { 400, "BadRequest" },
	{ 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "NotFound" }, { 405, "MethodNotAllowed" },
	{ 408, "RequestTimeout" }, { 409, "Conflict" }, { 411, "LengthRequired" }, { 412, "PreconditionFailed" },
	{ 413, "RequestEntityTooLarge" }, { 416, "RequestedRangeNotSatisfiable" }, { 429, "TooManyRequests" },
	{ 500, "InternalServerError" }, { 501, "NotImplemented" }, { 502, "BadGateway" }, { 503, "ServiceUnavailable" },
	{ 504, "GatewayTimeout" }, { 507, "InsufficientStorage" },
};

void s3_error_from_status(struct s3_error *out, int status)
{
	*out = (struct s3_error){ .status = status, .retry_after_ms = -1 };
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (statuses[i].status == status)
			strcpy(out->code, statuses[i].name);
	}
	if (!out->code[0])
		snprintf(out->code, sizeof(out->code), "Status%d", status);
}

void s3_error_text(char *out, size_t cap, const char *text)
{
	size_t n = 0;

	for (; *text && n < cap - 1; text++) {
		unsigned char c = (unsigned char)*text;

		out[n++] = (char)(c == '\n' || c == '\t' || c == '\r' ? ' ' : c < 0x20 || c == 0x7f ? '?' : c);
	}
	/* Not within a UTF-8 sequence; what is none is cut anywhere. */
	for (int i = 0; *text && i < 3 && n > 1 && ((unsigned char)out[n - 1] & 0xc0) == 0x80; i++)
		n--;
	if (*text && n > 0 && (unsigned char)out[n - 1] >= 0xc0)
		n--;
	out[n] = '\0';
}

int s3_error_take(struct s3_error *out, struct xml *x, struct err *e)
{
	bool is_error = strcmp(x->name, "Error") == 0;
	int outer = x->depth;

	if (strcmp(x->name, "ErrorResponse") == 0) { /* STS wraps it once more */
		is_error = true;
		outer++;
	}
	for (;;) {
		enum xml_event event = xml_next(x, e);

		if (event == XML_ERROR)
			return -1;
		if (event == XML_EOF || (event == XML_END && x->depth < outer - 1))
			return 0;
		if (event != XML_END || x->depth != outer || !is_error)
			continue;
		const struct { const char *name; char *field; size_t cap; } fields[] = {
			{ "Code", out->code, sizeof(out->code) }, { "Message", out->message, sizeof(out->message) },
			{ "RequestId", out->request_id, sizeof(out->request_id) },
			{ "Region", out->region, sizeof(out->region) }, { "Endpoint", out->endpoint,
				sizeof(out->endpoint) },
		};
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
			if (strcmp(x->name, fields[i].name) == 0 && xml_text(x)[0])
				s3_error_text(fields[i].field, fields[i].cap, xml_text(x));
		}
	}
}

/* ---- whether to try again ---- */

static bool is_one_of(const char *code, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(code, *list) == 0)
			return true;
	}
	return false;
}

enum s3_remedy s3_error_remedy(const struct s3_error *x)
{
	static const char *const later[] = { "RequestTimeout", "RequestTimeoutException", "RequestCanceled", "SlowDown",
		"InternalError", "ServiceUnavailable", "Throttling", "ThrottlingException", "ThrottledException",
		"RequestThrottled", "RequestThrottledException", "TooManyRequests", "TooManyRequestsException",
		"RequestLimitExceeded", "LimitExceededException", "BandwidthLimitExceeded", "PriorRequestNotComplete",
		"EC2ThrottledException", "TransactionInProgressException", "ProvisionedThroughputExceededException",
		"OperationAborted", "ConditionalRequestConflict", "IncompleteBody", "InvalidIdentityToken",
		"IDPCommunicationError", NULL };
	static const char *const once[] = { "BadDigest", "XAmzContentSHA256Mismatch", NULL };
	static const char *const clock[] = { "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture", NULL };
	static const char *const maybe[] = { "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure",
		NULL };
	static const char *const keys[] = { "ExpiredToken", "ExpiredTokenException", "InvalidToken",
		"TokenRefreshRequired",
		"InvalidAccessKeyId", NULL };
	static const char *const move[] = { "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed",
		NULL };

	if (is_one_of(x->code, later))
		return S3_LATER;
	if (is_one_of(x->code, once))
		return S3_ONCE;
	if (is_one_of(x->code, clock))
		return S3_FIX_CLOCK;
	if (is_one_of(x->code, keys))
		return S3_NEW_KEYS;
	if (is_one_of(x->code, move) || x->status == 301 || x->status == 307)
		return S3_MOVE;
	if ((x->status == 400 || x->status == 403) && x->region[0])
		return S3_MOVE;
	if (is_one_of(x->code, maybe))
		return S3_MAYBE_CLOCK;
	if (x->status == 408 || x->status == 429 || x->status == 500 || (x->status >= 502 && x->status <= 504))
		return S3_LATER;
	return S3_GIVE_UP;
}

/* ---- what to tell ---- */

static const char *missing_right(const char *operation)
{
	static const struct { const char *operation, *hint; } rights[] = {
		{ "ListObjectsV2", "missing right s3:ListBucket" },
		{ "PutObject", "missing right s3:PutObject (with a KMS key also kms:GenerateDataKey)" },
		{ "CreateMultipartUpload",
			"missing right s3:PutObject (with a KMS key also kms:GenerateDataKey, kms:Decrypt)" },
		{ "UploadPart", "missing right s3:PutObject (with a KMS key also kms:GenerateDataKey, kms:Decrypt)" },
		{ "CompleteMultipartUpload", "missing right s3:PutObject (with a KMS key also kms:Decrypt)" },
		{ "GetObject", "missing right s3:GetObject, or the object is missing and so is s3:ListBucket" },
		{ "HeadObject", "missing right s3:GetObject, or the object is missing and so is s3:ListBucket" },
		{ "DeleteObject", "missing right s3:DeleteObject" },
		{ "DeleteObjects", "missing right s3:DeleteObject" },
		{ "GetBucketLocation", "missing right s3:GetBucketLocation: grant it or set `region`" },
	};

	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
		if (strcmp(rights[i].operation, operation) == 0)
			return rights[i].hint;
	}
	return "the credentials lack a right";
}

const char *s3_error_hint(const struct s3_error *x, const struct s3_subject *about)
{
	static const struct { const char *code, *hint; } hints[] = {
		{ "InvalidAccessKeyId",
			"this key is unknown to the endpoint: check access-key-id, LITESTREAM_ACCESS_KEY_ID and "
		  "endpoint" },
		{ "SignatureDoesNotMatch",
			"wrong secret key, stray blanks around it, a proxy that rewrites requests, or "
		  "sign-payload=false where payloads must be signed" },
		{ "NoSuchBucket", "buckets are never created here: check its name, the region and the endpoint" },
		{ "PermanentRedirect", "the bucket is in another region: set `region`" },
		{ "AuthorizationHeaderMalformed", "the bucket is in another region: set `region`" },
		{ "RequestTimeTooSkewed", "the clock of this machine is wrong" },
		{ "ExpiredToken", "the session token has expired: renew the credentials" },
		{ "MissingContentLength", "a proxy in between removes the length of requests" },
		{ "InvalidStorageClass", "the endpoint does not know this storage class" },
		{ "InvalidObjectState", "the object is archived: restore it to a readable storage class first" },
		{ "NotImplemented", "the endpoint lacks this feature: set `endpoint` explicitly" },
		{ "TooManyRequests", "lower `concurrency` (Cloudflare R2: 2)" },
		{ "SlowDown", "lower `concurrency` (Cloudflare R2: 2)" },
		{ "RequestCanceled", "the provider sheds load" },
		{ "QuotaExceeded", "the bucket's quota is used up" },
		{ "InsufficientStorage", "the store is full" },
	};
	bool reads = strcmp(about->operation, "GetObject") == 0 || strcmp(about->operation, "HeadObject") == 0;

	if (strcmp(x->code, "AccessDenied") == 0 || strcmp(x->code, "Forbidden") == 0 ||
	    strcmp(x->code, "AllAccessDisabled") == 0)
		return missing_right(about->operation);
	if (x->status == 400 && reads && (strcmp(x->code, "InvalidRequest") == 0 || strcmp(x->code, "BadRequest") == 0))
		return "if the object was written with a customer key (SSE-C), the same key must be given";
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		if (strcmp(hints[i].code, x->code) == 0)
			return hints[i].hint;
	}
	if (x->status == 404 && strcmp(x->code, "NoSuchKey") != 0 && !reads)
		return "check the endpoint, with its base path if it has one (Supabase: /storage/v1/s3), and the "
		       "bucket";
	return NULL;
}

static enum err_code code_for(const struct s3_error *x)
{
	if (strcmp(x->code, "NoSuchBucket") == 0)
		return ERR_INVALID;
	if (x->status == 404 || strcmp(x->code, "NoSuchKey") == 0)
		return ERR_NOT_FOUND;
	if (x->status == 507 || strcmp(x->code, "QuotaExceeded") == 0)
		return ERR_FULL;
	return s3_error_remedy(x) == S3_LATER || s3_error_remedy(x) == S3_ONCE ? ERR_SYSTEM : ERR_INVALID;
}

int s3_error_set(struct err *e, const struct s3_error *x, const struct s3_subject *about)
{
	const char *hint = s3_error_hint(x, about);

	return err_set(e, code_for(x), "s3: %s %s: %s%s%s (%s, bucket %s, HTTP %d%s%s)%s%s", about->verb,
	               about->key ? about->key : about->bucket, x->code, x->message[0] ? ": " : "", x->message,
	               about->operation, about->bucket, x->status, x->request_id[0] ? ", request " : "", x->request_id,
	               hint ? ": " : "", hint ? hint : "");
}
