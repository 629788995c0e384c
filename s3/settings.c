/* SPDX-License-Identifier: MIT */
#include "s3/settings.h"

#include <bearssl_hash.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/message.h"
#include "lib/base/text.h"
#include "lib/os/file.h"
#include "s3/base64.h"

enum { KEY_FILE_MAX = 4096, SSE_KEY_SIZE = 32 };

/* What is being merged, and whether memory ran out meanwhile. */
struct merge {
	const struct s3_given *g;
	struct s3_settings *out;
	struct s3_url url;
	struct s3_host host;
	const char *endpoint; /* chosen, perhaps without scheme; NULL = none */
	bool host_endpoint;   /* it is the one that the host form hides */
	bool nomem;
};

static bool given(const char *s)
{
	return s && s[0];
}

static char *keep(struct merge *m, const char *s)
{
	char *copy = s ? strdup(s) : NULL;

	if (s && !copy)
		m->nomem = true;
	return copy;
}

static const char *first(const char *a, const char *b)
{
	return given(a) ? a : given(b) ? b : NULL;
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return given(value) ? value : NULL;
}

__attribute__((format(printf, 2, 3)))
static void set_problem(struct merge *m, const char *fmt, ...)
{
	va_list ap;

	if (m->out->problem)
		return;
	va_start(ap, fmt);
	if (vasprintf(&m->out->problem, fmt, ap) < 0) {
		m->out->problem = NULL;
		m->nomem = true;
	}
	va_end(ap);
}

/* ---- bucket and prefix ---- */

static int check_exclusions(const struct s3_given *g, struct err *e)
{
	if (given(g->url) && given(g->path))
		return err_set(e, ERR_INVALID, "cannot specify url & path for s3 replica");
	if (given(g->url) && given(g->bucket))
		return err_set(e, ERR_INVALID, "cannot specify url & bucket for s3 replica");
	return 0;
}

/* The path of a URL, cleaned and without one leading slash; that of an access point is rooted and cleaned. */
static char *url_prefix(struct merge *m)
{
	const char *path = m->url.path, *relative = m->g->relative;
	char *joined = NULL, *clean;

	if (given(relative) && strcmp(relative, ".") != 0) {
		relative += relative[0] == '/';
		if (asprintf(&joined, "%s%s%s", path, path[0] ? "/" : "", relative) < 0)
			joined = NULL;
	} else if (asprintf(&joined, "%s%s", m->url.is_arn ? "/" : "", path) < 0) {
		joined = NULL;
	}
	clean = joined ? text_path_clean(joined) : NULL;
	free(joined);
	if (!clean) {
		m->nomem = true;
		return NULL;
	}
	if (clean[0] == '/')
		memmove(clean, clean + 1, strlen(clean));
	return clean;
}

/* A configured path is used as it is; only a database's relative path makes a clean one of it. */
static char *configured_prefix(struct merge *m)
{
	const char *path = m->g->path ? m->g->path : "", *relative = m->g->relative;
	char *joined = NULL, *clean;

	if (!given(relative) || strcmp(relative, ".") == 0)
		return keep(m, path);
	if (asprintf(&joined, "%s%s%s", path, path[0] ? "/" : "", relative) < 0)
		joined = NULL;
	clean = joined && path[0] ? text_path_clean(joined) : joined ? strdup(joined) : NULL;
	free(joined);
	if (!clean)
		m->nomem = true;
	return clean;
}

static void warn_of_prefix(struct s3_settings *s)
{
	const char *p = s->prefix;

	if (p[0] == '\0')
		buf_str(&s->warnings, "the replica has no path: its keys begin with a slash\n");
	else if (strcmp(p, ".") == 0)
		buf_str(&s->warnings, "the replica has no path: its keys begin with \"./\"\n");
	else if (p[0] == '/' || strstr(p, "//") || p[strlen(p) - 1] == '/')
		buf_fmt(&s->warnings, "the path %s makes keys with an empty part\n", p);
}

static int take_bucket(struct merge *m, struct err *e)
{
	struct s3_settings *s = m->out;
	size_t arn;

	s->bucket = keep(m, given(m->g->url) ? m->host.bucket : m->g->bucket);
	if (!given(s->bucket) && !m->nomem)
		return err_set(e, ERR_INVALID, "bucket required for s3 replica%s", m->g->registering ? " URL" : "");
	if (m->host.is_ip)
		set_problem(m, "%s is an address, not a bucket: name the server with ?endpoint=%s", m->url.host,
		            m->url.host);
	s->prefix = given(m->g->url) ? url_prefix(m) : configured_prefix(m);
	if (m->nomem)
		return err_nomem(e);
	if (strncasecmp(s->bucket, "arn:", 4) == 0) {
		arn = s3_arn_length(s->bucket);
		if (arn == 0)
			return err_set(e, ERR_INVALID, "invalid s3 access point arn: %s", s->bucket);
		s->bucket[arn] = '\0';
	}
	warn_of_prefix(s);
	return 0;
}

/* ---- endpoint, region, style ---- */

static void take_endpoint(struct merge *m)
{
	static const char *const variables[] = { "LITESTREAM_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL" };
	struct buf text = { .limit = 4096 };

	m->endpoint = first(m->g->endpoint, s3_url_param(&m->url, "endpoint", NULL));
	if (!m->endpoint && m->host.endpoint) {
		m->endpoint = m->host.endpoint;
		m->host_endpoint = true;
	}
	for (size_t i = 0; !m->endpoint && i < sizeof(variables) / sizeof(variables[0]); i++)
		m->endpoint = environment(variables[i]);
	if (!m->endpoint)
		return;
	s3_endpoint_with_scheme(&text, m->endpoint);
	while (text.len > 0 && text.data[text.len - 1] == '/')
		text.data[--text.len] = '\0';
	m->out->endpoint = keep(m, buf_text(&text));
	buf_free(&text);
	m->out->provider = s3_provider_of(m->out->endpoint ? m->out->endpoint : "");
}

static bool endpoint_is_bad(const struct s3_settings *s, struct err *e)
{
	struct http_url u;
	int rc = http_url_parse(s->endpoint, &u, e);

	if (rc == 0)
		http_url_free(&u);
	if (rc != 0)
		err_wrap(e, "endpoint");
	return rc != 0;
}

/* Account and name become part of a host's name. */
static void check_access_point(struct merge *m)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
	const char *arn = m->out->bucket, *account, *name = strcasestr(arn, ":accesspoint/") + strlen(":accesspoint/");
	size_t n;

	account = s3_arn_field(arn, 4, &n);
	if (n == 0 || strspn(account, "0123456789") != n || name[strspn(name, letters)] != '\0')
		set_problem(m, "%s is no ARN of an access point", arn);
}

static void take_region(struct merge *m)
{
	struct s3_settings *s = m->out;
	struct buf label = { .limit = 256 };
	size_t n;

	if (s3_settings_is_access_point(s))
		check_access_point(m);

	s->region = keep(m, first(m->g->region, s3_url_param(&m->url, "region", NULL)));
	if (!s->region && s3_settings_is_access_point(s)) {
		const char *region = s3_arn_field(s->bucket, 3, &n);

		s->region = n > 0 ? strndup(region, n) : NULL;
		if (n > 0 && !s->region)
			m->nomem = true;
		if (n == 0)
			set_problem(m, "%s names no region: set `region`", s->bucket);
	}
	if (!s->region && m->host.region)
		s->region = keep(m, m->host.region);
	if (!s->region && s->endpoint) {
		s3_endpoint_region(&label, s->endpoint);
		s->region = keep(m, label.len > 0 ? buf_text(&label) : "us-east-1");
		buf_free(&label);
	}
}

static bool provider_wants_path_style(enum s3_provider p)
{
	return p == S3_B2 || p == S3_FILEBASE || p == S3_SUPABASE || p == S3_MINIO;
}

static enum s3_tri either(enum s3_tri a, enum s3_tri b)
{
	return a != S3_UNSET ? a : b;
}

static void take_style(struct merge *m)
{
	struct s3_settings *s = m->out;
	enum s3_tri said = either(m->g->force_path_style, s3_url_bool(&m->url, "forcePathStyle", "force-path-style"));

	if (s3_settings_is_access_point(s)) {
		if (said == S3_YES)
			set_problem(m, "Path-style addressing cannot be used with ARN buckets");
		return;
	}
	if (said != S3_UNSET)
		s->path_style = said == S3_YES;
	else if (m->host_endpoint)
		s->path_style = m->host.path_style || provider_wants_path_style(s->provider);
	else
		s->path_style = s->endpoint != NULL;
}

static void take_switches(struct merge *m)
{
	const struct s3_given *g = m->g;
	struct s3_settings *s = m->out;
	enum s3_tri sign = either(g->sign_payload, s3_url_bool(&m->url, "signPayload", "sign-payload"));
	enum s3_tri md5 = either(g->require_content_md5,
	                         s3_url_bool(&m->url, "requireContentMD5", "require-content-md5"));
	enum s3_tri skip = either(s3_url_bool(&m->url, "skipVerify", "skip-verify"), g->skip_verify);

	s->sign_payload = sign != S3_NO;
	s->content_md5 = md5 != S3_UNSET ? md5 == S3_YES : s->provider != S3_TIGRIS;
	s->skip_verify = skip == S3_YES;
	if (s->skip_verify)
		buf_str(&s->warnings, "skip-verify is on: whoever answers for the server is believed\n");
	s->storage_class = keep(m, first(g->storage_class, s3_url_param(&m->url, "storageClass", "storage-class")));
}

static int take_sizes(struct merge *m, struct err *e)
{
	int64_t part, threads;

	if (s3_url_int(&m->url, "partSize", "part-size", &part, e) != 0 ||
	    s3_url_int(&m->url, "concurrency", NULL, &threads, e) != 0)
		return -1;
	if (m->g->part_size != 0)
		part = m->g->part_size;
	if (m->g->concurrency != 0)
		threads = m->g->concurrency;
	if (threads <= 0)
		threads = m->out->provider == S3_R2 ? 2 : S3_CONCURRENCY_DEFAULT;
	m->out->part_size = part != 0 ? part : S3_PART_MIN;
	m->out->concurrency = (int)(threads < S3_CONCURRENCY_MAX ? threads : S3_CONCURRENCY_MAX);
	return 0;
}

/* ---- encryption ---- */

static char *read_key_file(struct merge *m, const char *path)
{
	char *home = os_home(), *cwd = NULL, *full = NULL, *key = NULL;
	struct os_file f = OS_FILE_NONE;
	struct err e = ERR_INIT;
	char text[KEY_FILE_MAX + 1];
	size_t n = 0;

	if (os_cwd(&cwd, &e) != 0 || text_path_expand(path, cwd, home, &full, &e) != 0 ||
	    os_file_open(&f, full, O_RDONLY, 0, &e) != 0 || os_file_read(&f, text, KEY_FILE_MAX, 0, &n, &e) != 0) {
		set_problem(m, "cannot read sse customer key: %s", e.text);
	} else {
		while (n > 0 && strchr(" \t\r\n", text[n - 1]))
			n--;
		text[n] = '\0';
		key = keep(m, text + strspn(text, " \t\r\n"));
	}
	memset(text, 0, sizeof(text));
	os_file_close(&f);
	free(full);
	free(cwd);
	free(home);
	return key;
}

/* A customer's key goes over the wire: plain http is for the machine itself and its private neighbours. */
static bool may_send_key(const struct s3_settings *s)
{
	const char *host;

	if (!s->endpoint || strncmp(s->endpoint, "https://", 8) == 0)
		return true;
	host = strstr(s->endpoint, "://");
	if (!host)
		return false;
	host += 3;
	if (strncasecmp(host, "[fc", 3) == 0 || strncasecmp(host, "[fd", 3) == 0 || strncmp(host, "127.", 4) == 0)
		return true;
	for (int second = 20; second < 30; second++) { /* s3_endpoint_is_local takes all of 172.2* */
		char network[16];

		snprintf(network, sizeof(network), "172.%d.", second);
		if (strncmp(host, network, strlen(network)) == 0)
			return true;
	}
	return strncmp(host, "172.2", 5) != 0 && s3_endpoint_is_local(s->endpoint) && !strstr(host, ".local");
}

static void check_key(struct merge *m, const char *algorithm, const char *md5)
{
	struct s3_settings *s = m->out;
	uint8_t raw[SSE_KEY_SIZE + 3], sum[16];
	br_md5_context c;
	size_t n = 0;

	if (given(algorithm) && strcmp(algorithm, "AES256") != 0)
		set_problem(m, "unsupported sse customer algorithm \"%s\": must be AES256", algorithm);
	if (!base64_decode(s->sse_key, raw, sizeof(raw), &n) || n != SSE_KEY_SIZE)
		set_problem(m, "sse customer key must be base64 of 32 bytes");
	if (!may_send_key(s))
		set_problem(m, "sse customer key requires https: %s would show it to everybody", s->endpoint);
	br_md5_init(&c);
	br_md5_update(&c, raw, n);
	br_md5_out(&c, sum);
	char text[BASE64_SIZE(16)];
	base64_encode(text, sum, sizeof(sum));
	if (given(md5) && strcmp(md5, text) != 0)
		set_problem(m, "sse customer key md5 does not belong to the key");
	s->sse_key_md5 = keep(m, text);
	memset(raw, 0, sizeof(raw));
}

static void take_encryption(struct merge *m)
{
	const struct s3_given *g = m->g;
	struct s3_settings *s = m->out;

	s->kms_key_id = keep(m, first(g->sse_kms_key_id, s3_url_param(&m->url, "sseKmsKeyId", "sse-kms-key-id")));
	if (given(g->sse_customer_key_path))
		s->sse_key = read_key_file(m, g->sse_customer_key_path);
	else
		s->sse_key = keep(m,
		                  first(g->sse_customer_key,
		                        s3_url_param(&m->url, "sseCustomerKey", "sse-customer-key")));
	if (!s->sse_key)
		return;
	if (s->kms_key_id)
		set_problem(m, "cannot use both a customer key (SSE-C) and a KMS key");
	check_key(m,
	          first(g->sse_customer_algorithm,
	                s3_url_param(&m->url, "sseCustomerAlgorithm", "sse-customer-algorithm")),
	          first(g->sse_customer_key_md5, s3_url_param(&m->url, "sseCustomerKeyMD5", "sse-customer-key-md5")));
}

/* ---- all of it ---- */

static void take_keys(struct merge *m)
{
	if (!given(m->g->access_key_id) || !given(m->g->secret_access_key))
		return;
	m->out->access_key_id = keep(m, m->g->access_key_id);
	m->out->secret_access_key = keep(m, m->g->secret_access_key);
	m->out->session_token = keep(m, first(m->g->session_token, NULL));
}

static void warn_of_params(struct merge *m)
{
	static const char *const known[] = { "endpoint", "region", "forcePathStyle", "force-path-style", "skipVerify",
		"skip-verify", "signPayload", "sign-payload", "requireContentMD5", "require-content-md5", "concurrency",
		"partSize", "part-size", "storageClass", "storage-class", "sseCustomerAlgorithm",
		"sse-customer-algorithm",
		"sseCustomerKey", "sse-customer-key", "sseCustomerKeyMD5", "sse-customer-key-md5", "sseKmsKeyId",
		"sse-kms-key-id" };

	for (int i = 0; i < m->url.param_count; i++) {
		bool is_known = false;

		for (size_t j = 0; j < sizeof(known) / sizeof(known[0]); j++)
			is_known |= strcmp(known[j], m->url.params[i].name) == 0;
		if (!is_known)
			buf_fmt(&m->out->warnings, "unknown parameter \"%s\" in the replica URL is ignored\n",
			        m->url.params[i].name);
	}
}

static int merge_all(struct merge *m, struct err *e)
{
	struct err why = ERR_INIT;
	size_t n;

	if (check_exclusions(m->g, e) != 0)
		return -1;
	if (given(m->g->url) &&
	    (s3_url_parse(m->g->url, &m->url, e) != 0 || s3_host_parse(m->url.host, &m->host, e) != 0))
		return -1;
	if (take_bucket(m, e) != 0)
		return -1;
	take_endpoint(m);
	if (m->nomem)
		return err_nomem(e);
	if (m->out->endpoint && endpoint_is_bad(m->out, &why))
		set_problem(m, "%s", why.text);
	take_region(m);
	take_style(m);
	take_switches(m);
	if (take_sizes(m, e) != 0)
		return -1;
	take_encryption(m);
	take_keys(m);
	warn_of_params(m);
	n = strlen(m->out->bucket);
	if (n > 6 && strcmp(m->out->bucket + n - 6, "--x-s3") == 0)
		set_problem(m, "bucket %s is a directory bucket, which is not supported: use a general purpose bucket",
		            m->out->bucket);
	return m->nomem ? err_nomem(e) : 0;
}

int s3_settings_make(const struct s3_given *g, struct s3_settings *out, struct err *e)
{
	struct merge m = { .g = g, .out = out };

	*out = (struct s3_settings){ .warnings = { .limit = 64 << 10 } };
	int rc = merge_all(&m, e);
	s3_url_free(&m.url);
	s3_host_free(&m.host);
	if (rc != 0)
		s3_settings_free(out);
	return rc;
}

void s3_settings_free(struct s3_settings *s)
{
	char *const texts[] = { s->bucket, s->prefix, s->region, s->endpoint, s->storage_class, s->kms_key_id,
		s->sse_key,
		s->sse_key_md5, s->access_key_id, s->secret_access_key, s->session_token, s->problem };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	buf_free(&s->warnings);
	*s = (struct s3_settings){ .bucket = NULL };
}

bool s3_settings_is_access_point(const struct s3_settings *s)
{
	return strncasecmp(s->bucket, "arn:", 4) == 0;
}

void s3_settings_identity(struct buf *out, const struct s3_settings *s)
{
	const char *const texts[] = { s->bucket, s->region, s->endpoint, s->storage_class, s->kms_key_id, s->sse_key,
		s->access_key_id, s->secret_access_key, s->session_token, s->problem };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		buf_fmt(out, "%s\n", texts[i] ? texts[i] : "");
	buf_fmt(out, "%d %d %d %d %lld %d", s->path_style, s->sign_payload, s->content_md5, s->skip_verify,
	        (long long)s->part_size, s->concurrency);
}
