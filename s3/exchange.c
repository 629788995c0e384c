/* SPDX-License-Identifier: MIT */
/* Keys in exchange for something else: a role (STS), a container's or an instance's identity (s3.md §2.3). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/os/file.h"
#include "s3/error.h"
#include "s3/sigv4.h"
#include "s3/sources.h"

enum { ANSWER_MAX = 64 << 10, TOKEN_MAX = 64 << 10, ATTEMPTS = 3, PAUSE_MS = 500 };

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

/* ---- one small request ---- */

struct small {
	const char *method, *url, *fields;
	const struct buf *body;
	bool local; /* a metadata address: never through a proxy, and it answers at once or not at all */
	int64_t timeout_ms;
};

static int read_answer(struct http_exchange *x, struct buf *out, struct err *e)
{
	uint8_t piece[2048];
	size_t got;

	do {
		if (http_read(x, piece, sizeof(piece), &got, e) != 0)
			return -1;
		buf_append(out, piece, got);
	} while (got > 0);
	return buf_ok(out) ? 0 : err_set(e, ERR_LIMIT, "the answer is too long");
}

static int ask_once(const struct small *s, const atomic_bool *cancel, int *status, struct buf *answer, struct err *e)
{
	const struct http_client_options o = { .no_proxy = s->local,
		.connect_timeout_ms = s->local ? s->timeout_ms / 2 : 0,
		.head_timeout_ms = s->timeout_ms, .idle_timeout_ms = s->timeout_ms };
	struct http_body body = { .bytes = s->body ? s->body->data : NULL,
		.size = s->body ? (int64_t)s->body->len : 0 };
	struct http_client *c = NULL;
	struct http_exchange x;
	struct http_url u;
	int rc;

	buf_reset(answer);
	answer->limit = ANSWER_MAX;
	if (http_url_parse(s->url, &u, e) != 0)
		return -1;
	const struct http_request rq = { .method = s->method, .url = &u, .fields = s->fields,
		.body = s->body ? &body : NULL,
		.cancel = cancel };
	rc = http_client_create(&o, &c, e);
	if (rc == 0 && (rc = http_begin(c, &rq, &x, e)) == 0) {
		*status = x.answer.status;
		rc = read_answer(&x, answer, e);
		http_end(&x);
	}
	if (c)
		http_client_free(c);
	http_url_free(&u);
	return rc;
}

static bool pause_between(const atomic_bool *cancel)
{
	for (int ms = 0; ms < PAUSE_MS; ms += 50) {
		if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
			return false;
		os_sleep_ms(50);
	}
	return true;
}

/* Three attempts at what may mend by itself. */
static int ask(const struct small *s, const atomic_bool *cancel, int *status, struct buf *answer, struct err *e)
{
	for (int n = 1;; n++) {
		struct err why = ERR_INIT;
		int rc = ask_once(s, cancel, status, answer, &why);
		bool again = rc == 0 ? *status == 429 || *status >= 500 : why.code == ERR_UNAVAILABLE;

		if (!again || n == ATTEMPTS || !pause_between(cancel)) {
			if (rc != 0 && e)
				*e = why;
			return rc;
		}
	}
}

/* ---- JSON ---- */

static const char *member_text(const struct json_doc *d, const char *name)
{
	const struct json_node *n = json_member(d, &d->nodes[0], name);

	return n && n->type == JSON_STRING ? json_text(d, n) : NULL;
}

static int keys_from_doc(const struct json_doc *d, const char *source, struct s3_keys **out, struct err *e)
{
	const char *id = member_text(d, "AccessKeyId"), *secret = member_text(d, "SecretAccessKey");
	const char *token = member_text(d, "Token"), *expires = member_text(d, "Expiration");
	const char *code = member_text(d, "Code");
	int64_t ns = 0;

	if (!token)
		token = member_text(d, "SessionToken");
	if (code && strcmp(code, "Success") != 0) {
		char shown[64];

		s3_error_text(shown, sizeof(shown), code);
		return err_set(e, ERR_INVALID, "the answer says %s", shown);
	}
	if (!id || !secret || !id[0] || !secret[0])
		return err_set(e, ERR_INVALID, "the answer holds no keys");
	if (expires && text_parse_time(expires, &ns, NULL) != 0)
		return err_set(e, ERR_INVALID, "the answer's expiration is no time");
	*out = s3_keys_make(id, secret, token, expires ? ns / 1000000 : 0, source);
	return *out ? 0 : err_nomem(e);
}

int s3_keys_from_json(const char *text, size_t n, const char *source, struct s3_keys **out, struct err *e)
{
	struct json_doc d = { .nodes = NULL };
	int rc;

	*out = NULL;
	/* The parser's words would quote what it stumbled over. */
	if (json_parse(&d, text, n, NULL) != 0 || d.nodes[0].type != JSON_OBJECT)
		rc = err_set(e, ERR_INVALID, "the answer is no JSON object");
	else
		rc = keys_from_doc(&d, source, out, e);
	json_doc_free(&d);
	return rc;
}

/* ---- containers ---- */

/* Where plain http may be spoken with keys in the answer. */
static bool is_metadata_host(const char *host)
{
	return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
	       strcmp(host, "169.254.170.2") == 0 || strcmp(host, "169.254.170.23") == 0 ||
	       strcmp(host, "fd00:ec2::23") == 0;
}

static char *read_token(const char *path, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	char *text = malloc(TOKEN_MAX + 1);
	size_t n = 0;

	if (!text) {
		err_nomem(e);
		return NULL;
	}
	if (os_file_open(&f, path, O_RDONLY, 0, e) != 0 || os_file_read(&f, text, TOKEN_MAX, 0, &n, e) != 0) {
		free(text);
		text = NULL;
	} else {
		while (n > 0 && strchr(" \t\r\n", text[n - 1]))
			n--;
		text[n] = '\0';
	}
	os_file_close(&f);
	return text;
}

static char *container_token(struct err *e)
{
	const char *file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	char *text = file ? read_token(file, e) : strdup(token ? token : "");

	if (text && strpbrk(text, "\r\n")) {
		err_set(e, ERR_INVALID, "the container's authorization token holds a line end");
		free(text);
		text = NULL;
	}
	return text;
}

static int check_container_url(const char *url, struct err *e)
{
	struct http_url u;
	bool fine;

	if (http_url_parse(url, &u, e) != 0)
		return -1;
	fine = u.secure || is_metadata_host(u.host);
	http_url_free(&u);
	return fine ? 0 : err_set(e, ERR_INVALID,
	                          "AWS_CONTAINER_CREDENTIALS_FULL_URI must use https or a local address");
}

int s3_keys_from_container(const struct s3_chain *ch, struct s3_keys **out, struct err *e)
{
	const char *relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	struct buf url = { .limit = 4096 }, fields = { .limit = TOKEN_MAX + 256 }, answer = { .data = NULL };
	char *token;
	int status = 0, rc = -1;

	if (!relative && !full)
		return 0;
	buf_fmt(&url, "%s%s", relative ? "http://169.254.170.2" : "", relative ? relative : full);
	if (check_container_url(buf_text(&url), e) == 0 && (token = container_token(e)) != NULL) {
		const struct small s = { .method = "GET", .url = buf_text(&url), .local = true, .timeout_ms = 2000 };
		struct small with = s;

		buf_str(&fields, "accept: application/json\r\n");
		if (token[0])
			buf_fmt(&fields, "authorization: %s\r\n", token);
		with.fields = buf_text(&fields);
		rc = ask(&with, ch->cancel, &status, &answer, e);
		if (rc == 0 && status != 200)
			rc = err_set(e, ERR_INVALID, "HTTP %d", status);
		if (rc == 0)
			rc = s3_keys_from_json(buf_text(&answer), answer.len, "container", out, e);
		explicit_bzero(token, strlen(token));
		free(token);
	}
	if (rc != 0)
		err_wrap(e, "credentials of the container");
	buf_free(&url);
	buf_free(&fields);
	buf_free(&answer);
	return rc == 0 ? 1 : -1;
}

/* ---- instances ---- */

static const char *instance_base(void)
{
	const char *base = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

	if (base)
		return base;
	return mode && strcasecmp(mode, "IPv6") == 0 ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
}

/* GET base + path with the session's token, or PUT for the token itself. */
static int ask_instance(const struct s3_chain *ch, const char *method, const char *path, const char *token,
                        struct buf *answer, int *status, struct err *e)
{
	const char *base = instance_base();
	struct buf url = { .limit = 4096 }, fields = { .limit = 8192 };
	size_t n = strlen(base);
	int rc;

	while (n > 0 && base[n - 1] == '/')
		n--;
	buf_fmt(&url, "%.*s%s", (int)n, base, path);
	if (token)
		buf_fmt(&fields, "x-aws-ec2-metadata-token: %s\r\n", token);
	else
		buf_str(&fields, "x-aws-ec2-metadata-token-ttl-seconds: 300\r\n");
	const struct buf nothing = { .data = NULL };
	const struct small s = { .method = method, .url = buf_text(&url), .fields = buf_text(&fields),
		.body = token ? NULL : &nothing, .local = true, .timeout_ms = 500 };
	rc = ask_once(&s, ch->cancel, status, answer, e);
	if (rc == 0 && *status != 200)
		rc = err_set(e, ERR_INVALID, "%s: HTTP %d", path, *status);
	buf_free(&url);
	buf_free(&fields);
	return rc;
}

static int instance_session(const struct s3_chain *ch, struct s3_keys **out, int *status, struct err *e)
{
	static const char list[] = "/latest/meta-data/iam/security-credentials/";
	struct buf token = { .data = NULL }, answer = { .data = NULL }, path = { .limit = 1024 };
	int rc = -1;

	if (ask_instance(ch, "PUT", "/latest/api/token", NULL, &token, status, e) != 0)
		goto out;
	if (strpbrk(buf_text(&token), "\r\n")) {
		err_set(e, ERR_INVALID, "the session token holds a line end");
		goto out;
	}
	if (ask_instance(ch, "GET", list, buf_text(&token), &answer, status, e) != 0)
		goto out;
	buf_str(&path, list);
	buf_append(&path, buf_text(&answer), strcspn(buf_text(&answer), "\r\n"));
	if (ask_instance(ch, "GET", buf_text(&path), buf_text(&token), &answer, status, e) != 0)
		goto out;
	rc = s3_keys_from_json(buf_text(&answer), answer.len, S3_INSTANCE_SOURCE, out, e);
out:
	buf_free(&token);
	buf_free(&answer);
	buf_free(&path);
	return rc;
}

int s3_keys_from_instance(const struct s3_chain *ch, struct s3_keys **out, struct err *e)
{
	const char *disabled = variable("AWS_EC2_METADATA_DISABLED");
	int status = 0, rc;

	if (disabled && strcasecmp(disabled, "true") == 0)
		return 0;
	rc = instance_session(ch, out, &status, e);
	if (rc != 0 && status == 401) /* the token ran out in between */
		rc = instance_session(ch, out, &status, e);
	if (rc != 0)
		err_wrap(e, "instance metadata");
	return rc == 0 ? 1 : -1;
}

/* ---- STS ---- */

struct sts_answer {
	char *id, *secret, *token, *expires;
};

struct text_input {
	const char *s;
	size_t n;
};

static int read_text_input(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct text_input *in = ctx;

	(void)e;
	*got = n < in->n ? n : in->n;
	memcpy(bytes, in->s, *got);
	in->s += *got;
	in->n -= *got;
	return 0;
}

/* Takes RESPONSE/RESULT/Credentials/…, or the error. */
static int parse_sts(const struct buf *answer, int status, struct s3_keys **out, struct s3_error *refusal,
                     struct err *e)
{
	struct text_input in = { buf_text(answer), answer->len };
	struct sts_answer a = { .id = NULL };
	enum xml_event event;
	struct xml x;
	int64_t ns = 0;
	int rc = -1;

	s3_error_from_status(refusal, status);
	xml_init(&x, read_text_input, &in);
	event = xml_next(&x, e);
	if (event == XML_START && status != 200) {
		(void)s3_error_take(refusal, &x, NULL);
		event = XML_EOF;
	}
	for (; event == XML_START || event == XML_END; event = xml_next(&x, e)) {
		const struct { const char *name; char **to; } wanted[] = { { "AccessKeyId", &a.id },
			{ "SecretAccessKey", &a.secret }, { "SessionToken", &a.token }, { "Expiration", &a.expires } };

		for (size_t i = 0; event == XML_END && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
			if (strcmp(x.name, wanted[i].name) == 0 && !*wanted[i].to)
				*wanted[i].to = strdup(xml_text(&x));
		}
	}
	xml_free(&x);
	if (status != 200)
		err_set(e, ERR_INVALID, "%s%s%s", refusal->code, refusal->message[0] ? ": " : "", refusal->message);
	else if (event == XML_EOF && (!a.id || !a.secret || !a.token || !a.expires))
		err_set(e, ERR_INVALID, "the answer holds no keys");
	else if (event == XML_EOF && text_parse_time(a.expires, &ns, NULL) != 0)
		err_set(e, ERR_INVALID, "the answer's expiration is no time");
	else if (event == XML_EOF)
		rc = (*out = s3_keys_make(a.id, a.secret, a.token, ns / 1000000, "role")) ? 0 : err_nomem(e);
	free(a.id);
	if (a.secret)
		explicit_bzero(a.secret, strlen(a.secret));
	free(a.secret);
	free(a.token);
	free(a.expires);
	return rc;
}

static void add_form(struct buf *body, const char *name, const char *value)
{
	buf_fmt(body, "%s%s=", body->len ? "&" : "", name);
	sigv4_escape(body, value, false);
}

static int sign_sts(struct buf *fields, const char *host, const char *region, const struct buf *body,
                    const struct s3_keys *keys)
{
	char when[SIGV4_TIME_SIZE], payload[SHA256_HEX_SIZE];
	uint8_t sum[SHA256_SIZE];
	int64_t now_s = os_wall_ms() / 1000;
	struct sigv4_pair pairs[4] = { { "host", host }, { "x-amz-date", sigv4_time(when, now_s) },
		{ "content-type", "application/x-www-form-urlencoded" }, { "x-amz-security-token", keys->token } };
	struct sigv4_key key = { .valid = false };

	sha256(body->data, body->len, sum);
	const struct sigv4_request rq = { .method = "POST", .path = "/", .query = "", .fields = pairs,
		.field_count = keys->token ? 4 : 3, .payload = sha256_hex(payload, sum), .time_s = now_s,
		.region = region,
		.service = "sts", .access_key_id = keys->access_key_id, .secret = keys->secret };
	buf_fmt(fields, "x-amz-date: %s\r\n", when);
	if (keys->token)
		buf_fmt(fields, "x-amz-security-token: %s\r\n", keys->token);
	buf_str(fields, "authorization: ");
	sigv4_authorization(fields, &key, &rq);
	buf_str(fields, "\r\n");
	return buf_ok(fields) ? 0 : -1;
}

static const char *sts_region(const struct s3_chain *ch, const struct s3_role *role)
{
	const char *const places[] = { role->region, ch->region, variable("AWS_REGION"),
		variable("AWS_DEFAULT_REGION") };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (places[i] && places[i][0])
			return places[i];
	}
	return "us-east-1";
}

/* The Host field of a URL, as it is signed. */
static int host_field(const char *url, struct buf *out, struct err *e)
{
	struct http_url u;

	if (http_url_parse(url, &u, e) != 0)
		return -1;
	buf_str(out, u.host);
	if (u.port != (u.secure ? 443 : 80))
		buf_fmt(out, ":%d", u.port);
	http_url_free(&u);
	return 0;
}

static int ask_sts(const struct s3_chain *ch, const struct s3_role *role, const struct buf *body,
                   const struct s3_keys *base,
                   struct s3_keys **out, struct err *e)
{
	const char *endpoint = variable("AWS_ENDPOINT_URL_STS"), *region = sts_region(ch, role);
	struct buf url = { .limit = 1024 }, host = { .limit = 1024 };
	struct buf fields = { .limit = 64 << 10 }, answer = { .data = NULL };
	struct s3_error refusal = { .status = 0 };
	int status = 0, rc;

	if (endpoint)
		buf_str(&url, endpoint);
	else
		buf_fmt(&url, "https://sts.%s.amazonaws.com%s", region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	rc = host_field(buf_text(&url), &host, e);
	buf_fmt(&fields, "host: %s\r\ncontent-type: application/x-www-form-urlencoded\r\n", buf_text(&host));
	if (rc == 0 && base)
		rc = sign_sts(&fields, buf_text(&host), region, body, base);
	for (int n = 0; rc == 0 && n < ATTEMPTS; n++) {
		const struct small s = { .method = "POST", .url = buf_text(&url), .fields = buf_text(&fields),
			.body = body,
			.timeout_ms = 10000 };

		rc = ask(&s, ch->cancel, &status, &answer, e);
		if (rc != 0 || (rc = parse_sts(&answer, status, out, &refusal, e)) == 0)
			break;
		if (s3_error_remedy(&refusal) != S3_LATER || !pause_between(ch->cancel))
			break;
		rc = n + 1 < ATTEMPTS ? 0 : -1;
	}
	buf_free(&url);
	buf_free(&host);
	buf_free(&fields);
	buf_free(&answer);
	return rc;
}

int s3_keys_from_role(const struct s3_chain *ch, const struct s3_role *role, const struct s3_keys *base,
                      struct s3_keys **out, struct err *e)
{
	char *token = role->token_file ? read_token(role->token_file, e) : NULL, session[32];
	struct buf body = { .limit = 256 << 10 };
	int rc = -1;

	if (role->token_file && !token)
		return err_wrap(e, "web identity token");
	snprintf(session, sizeof(session), "%lld000000", (long long)os_wall_ms());
	add_form(&body, "Action", token ? "AssumeRoleWithWebIdentity" : "AssumeRole");
	add_form(&body, "Version", "2011-06-15");
	add_form(&body, "RoleArn", role->arn);
	add_form(&body, "RoleSessionName", role->session && role->session[0] ? role->session : session);
	if (token) {
		add_form(&body, "WebIdentityToken", token);
	} else {
		buf_fmt(&body, "&DurationSeconds=%lld", (long long)(role->duration_s > 0 ? role->duration_s : 900));
		if (role->external_id)
			add_form(&body, "ExternalId", role->external_id);
	}
	rc = buf_ok(&body) ? ask_sts(ch, role, &body, token ? NULL : base, out, e) : err_nomem(e);
	if (rc != 0)
		err_wrap(e, "assume role %s", role->arn);
	if (token)
		explicit_bzero(token, strlen(token));
	free(token);
	buf_free(&body);
	return rc == 0 ? 1 : -1;
}

int s3_keys_from_web_identity(const struct s3_chain *ch, struct s3_keys **out, struct err *e)
{
	const struct s3_role role = { .arn = variable("AWS_ROLE_ARN"),
		.token_file = variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
		.session = variable("AWS_ROLE_SESSION_NAME") };

	return role.arn && role.token_file ? s3_keys_from_role(ch, &role, NULL, out, e) : 0;
}
