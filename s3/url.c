/* SPDX-License-Identifier: MIT */
#include "s3/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/message.h"
#include "lib/base/text.h"

enum { PARAMS_MAX = 64 };

/* ---- access points ---- */

size_t s3_arn_length(const char *text)
{
	static const char marker[] = ":accesspoint/";
	const char *at = strcasestr(text, marker);

	if (!at)
		return 0;
	at += sizeof(marker) - 1;
	size_t name = strcspn(at, "/");
	return name > 0 ? (size_t)(at - text) + name : 0;
}

const char *s3_arn_field(const char *arn, int n, size_t *len)
{
	*len = 0;
	if (strncasecmp(arn, "arn:", 4) != 0)
		return "";
	for (; n > 0; n--) {
		arn = strchr(arn, ':');
		if (!arn)
			return "";
		arn++;
	}
	*len = strcspn(arn, ":");
	return arn;
}

/* ---- the text of a URL ---- */

/* `parse "URL": reason "what"`, as Go words it. */
static int refuse(const char *url, const char *reason, const char *what, size_t n, struct err *e)
{
	char quoted[512], part[32], part_quoted[80] = "";

	text_quote(quoted, sizeof(quoted), url);
	if (what) {
		snprintf(part, sizeof(part), "%.*s", (int)(n < sizeof(part) ? n : sizeof(part) - 1), what);
		text_quote(part_quoted, sizeof(part_quoted), part);
	}
	return err_set(e, ERR_INVALID, "parse %s: %s%s%s", quoted, reason, what ? " " : "", part_quoted);
}

static int refuse_escape(const char *url, const char *part, struct err *e)
{
	for (const char *s = part; (s = strchr(s, '%')) != NULL; s++) {
		char copy[4];

		snprintf(copy, sizeof(copy), "%.3s", s);
		if (!http_unescape(copy, false))
			return refuse(url, "invalid URL escape", s, strnlen(s, 3), e);
	}
	return refuse(url, "invalid URL escape", part, strnlen(part, 3), e);
}

static int check_host(const char *url, const char *host, struct err *e)
{
	const char *port = strrchr(host, ':');

	for (const char *s = host; *s; s++) {
		if (*s == '%')
			return refuse(url, "invalid URL escape", s, strnlen(s, 3), e);
		if (strchr(" \\^`{|}", *s))
			return refuse(url, "invalid character", s, 1, e);
	}
	if (host[0] == '[') {
		const char *close = strchr(host, ']');

		if (!close)
			return refuse(url, "missing ']' in host", NULL, 0, e);
		port = close[1] ? close + 1 : NULL;
	}
	if (port && (port[0] != ':' || port[1 + strspn(port + 1, "0123456789")] != '\0')) {
		char quoted[64];

		text_quote(quoted, sizeof(quoted), port);
		char reason[96];
		snprintf(reason, sizeof(reason), "invalid port %s after host", quoted);
		return refuse(url, reason, NULL, 0, e);
	}
	return 0;
}

static char *copy_of(const char *s, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy) {
		memcpy(copy, s, n);
		copy[n] = '\0';
	}
	return copy;
}

/* Pairs that do not decode are left out, as Go does. */
static int take_params(struct s3_url *u, const char *s, size_t n, struct err *e)
{
	while (n > 0) {
		const char *end = memchr(s, '&', n);
		size_t len = end ? (size_t)(end - s) : n, name = len;
		const char *equals = memchr(s, '=', len);

		if (equals)
			name = (size_t)(equals - s);
		if (len > 0 && !memchr(s, ';', len)) {
			if (u->param_count == PARAMS_MAX)
				return err_set(e, ERR_LIMIT, "too many parameters in the replica URL");
			struct s3_param *p = &u->params[u->param_count];
			p->name = copy_of(s, name);
			p->value = copy_of(equals ? equals + 1 : "", equals ? len - name - 1 : 0);
			u->param_count++;
			if (!p->name || !p->value)
				return err_nomem(e);
			if (!http_unescape(p->name, true) || !http_unescape(p->value, true)) {
				free(p->name);
				free(p->value);
				u->param_count--;
			}
		}
		len += end ? 1 : 0;
		s += len;
		n -= len;
	}
	return 0;
}

/* Host and path of what stands behind "s3://" (n bytes, without query). */
static int take_place(struct s3_url *u, const char *text, const char *s, size_t n, struct err *e)
{
	if (n >= 4 && strncasecmp(s, "arn:", 4) == 0) {
		char *whole = copy_of(s, n);

		if (!whole)
			return err_nomem(e);
		size_t arn = s3_arn_length(whole);
		u->is_arn = true;
		u->host = copy_of(whole, arn);
		u->path = copy_of(whole + arn, n - arn);
		if (arn == 0)
			err_set(e, ERR_INVALID, "invalid s3 access point arn: %s", whole);
		free(whole);
		if (arn == 0)
			return -1;
	} else {
		const char *slash = memchr(s, '/', n);
		size_t host = slash ? (size_t)(slash - s) : n;
		const char *user = memrchr(s, '@', host);
		size_t skip = user ? (size_t)(user - s) + 1 : 0;

		u->host = copy_of(s + skip, host - skip);
		u->path = copy_of(s + host, n - host);
		if (u->host && check_host(text, u->host, e) != 0)
			return -1;
	}
	if (!u->host || !u->path)
		return err_nomem(e);
	if (http_unescape(u->path, false))
		return 0;
	free(u->path); /* decoded in part */
	u->path = copy_of(s, n);
	return u->path ? refuse_escape(text, u->path, e) : err_nomem(e);
}

int s3_url_parse(const char *text, struct s3_url *out, struct err *e)
{
	const char *s = strchr(text, ':'), *query;

	*out = (struct s3_url){ .host = NULL };
	for (const char *c = text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return refuse(text, "net/url: invalid control character in URL", NULL, 0, e);
	}
	s = s ? s + 1 : "";
	/* "s3:b/p" has neither host nor bucket. */
	bool opaque = strncmp(s, "//", 2) != 0;
	if (!opaque)
		s += 2;
	size_t n = strcspn(s, "#");
	query = memchr(s, '?', n);
	size_t place = query ? (size_t)(query - s) : n;

	out->params = calloc(PARAMS_MAX, sizeof(*out->params));
	if (!out->params)
		err_nomem(e);
	else if (take_place(out, text, opaque ? "" : s, opaque ? 0 : place, e) == 0 &&
	         (!query || take_params(out, query + 1, n - place - 1, e) == 0))
		return 0;
	s3_url_free(out);
	return -1;
}

void s3_url_free(struct s3_url *u)
{
	for (int i = 0; i < u->param_count; i++) {
		free(u->params[i].name);
		free(u->params[i].value);
	}
	free(u->params);
	free(u->host);
	free(u->path);
	*u = (struct s3_url){ .host = NULL };
}

/* ---- parameters ---- */

static const char *first_value(const struct s3_url *u, const char *name)
{
	for (int i = 0; i < u->param_count; i++) {
		if (strcmp(u->params[i].name, name) == 0)
			return u->params[i].value[0] ? u->params[i].value : NULL;
	}
	return NULL;
}

const char *s3_url_param(const struct s3_url *u, const char *a, const char *b)
{
	const char *value = first_value(u, a);

	return value || !b ? value : first_value(u, b);
}

enum s3_tri s3_url_bool(const struct s3_url *u, const char *a, const char *b)
{
	static const char *const words[] = { "true", "1", "t", "yes" };
	const char *value = s3_url_param(u, a, b);

	if (!value)
		return S3_UNSET;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(value, words[i]) == 0)
			return S3_YES;
	}
	return S3_NO;
}

int s3_url_int(const struct s3_url *u, const char *a, const char *b, int64_t *value, struct err *e)
{
	const char *text = s3_url_param(u, a, b), *s = text;
	int64_t n = 0;

	*value = 0;
	if (!text)
		return 0;
	if (*s == '+')
		s++;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
			break;
	}
	if (*s != '\0' || n <= 0) {
		char quoted[128];

		text_quote(quoted, sizeof(quoted), text);
		return err_set(e, ERR_INVALID,
		               "invalid value for query parameter \"%s\": %s (must be a positive integer)",
		               first_value(u, a) ? a : b, quoted);
	}
	*value = n;
	return 0;
}

/* ---- host forms ---- */

/* [BUCKET.]PREFIX[REGION].SUFFIX with exactly one label for the region. Lengths; bucket may be empty. */
static bool match_form(const char *host, const char *prefix, const char *suffix, bool has_region, size_t *bucket,
                       size_t *region)
{
	size_t n = strlen(host), s = strlen(suffix), p = strlen(prefix);

	*bucket = *region = 0;
	if (n < s || strcmp(host + n - s, suffix) != 0)
		return false;
	n -= s;
	if (has_region) {
		size_t at = n;

		while (at > 0 && host[at - 1] != '.')
			at--;
		*region = n - at;
		if (*region == 0)
			return false;
		n = at; /* behind the dot that separates it, or 0 */
	}
	if (n < p || memcmp(host + n - p, prefix, p) != 0)
		return false;
	n -= p;
	if (n == 0)
		return true;
	if (n < 2 || host[n - 1] != '.')
		return false;
	*bucket = n - 1;
	return true;
}

/* The provider's forms, in Litestream's order. format: of the endpoint, from the region; NULL = Amazon. */
static const struct form {
	const char *prefix, *suffix, *before, *after;
	bool has_region, path_style, needs_bucket;
} forms[] = {
	{ "s3", ".amazonaws.com", NULL, NULL, false, false, true },
	{ "s3.", ".amazonaws.com", NULL, NULL, true, false, true },
	{ "", ".digitaloceanspaces.com", "https://", ".digitaloceanspaces.com", true, false, false },
	{ "s3.", ".backblazeb2.com", "https://s3.", ".backblazeb2.com", true, true, false },
	{ "s3", ".filebase.com", "https://s3", ".filebase.com", false, false, false },
	{ "s3.", ".scw.cloud", "https://s3.", ".scw.cloud", true, false, false },
};

static bool is_ip_text(const char *host)
{
	return host[0] == '[' || host[strspn(host, "0123456789.")] == ':';
}

static int set_form(struct s3_host *out, const char *host, const struct form *f, size_t bucket, size_t region,
                    struct err *e)
{
	const char *label = host + strlen(host) - strlen(f->suffix) - region;

	out->bucket = bucket > 0 ? copy_of(host, bucket) : NULL;
	out->region = f->has_region ? copy_of(label, region) : NULL;
	if (f->before && asprintf(&out->endpoint, "%s%.*s%s", f->before, (int)region, label, f->after) < 0)
		out->endpoint = NULL;
	out->path_style = f->path_style;
	if ((bucket > 0 && !out->bucket) || (f->has_region && !out->region) || (f->before && !out->endpoint))
		return err_nomem(e);
	return 0;
}

static int parse_host(const char *host, struct s3_host *out, struct err *e)
{
	const char *dot = strchr(host, '.');

	if (strncasecmp(host, "arn:", 4) == 0) {
		size_t n;
		const char *region = s3_arn_field(host, 3, &n);

		out->bucket = strdup(host);
		out->region = n > 0 ? copy_of(region, n) : NULL;
		return out->bucket && (out->region || n == 0) ? 0 : err_nomem(e);
	}
	if (strchr(host, ':') && !strstr(host, ".com")) {
		out->path_style = true;
		out->is_ip = is_ip_text(host);
		if (dot && host[0] != '[') {
			out->bucket = dot > host ? copy_of(host, (size_t)(dot - host)) : NULL;
			out->region = strdup("us-east-1");
			if ((dot > host && !out->bucket) || !out->region)
				return err_nomem(e);
		}
		if (asprintf(&out->endpoint, "http://%s", dot && host[0] != '[' ? dot + 1 : host) < 0) {
			out->endpoint = NULL;
			return err_nomem(e);
		}
		return 0;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t bucket, region;

		if (match_form(host, forms[i].prefix, forms[i].suffix, forms[i].has_region, &bucket, &region) &&
		    (bucket > 0 || !forms[i].needs_bucket))
			return set_form(out, host, &forms[i], bucket, region, e);
	}
	out->bucket = host[0] ? strdup(host) : NULL;
	return out->bucket || !host[0] ? 0 : err_nomem(e);
}

int s3_host_parse(const char *host, struct s3_host *out, struct err *e)
{
	*out = (struct s3_host){ .bucket = NULL };
	if (parse_host(host, out, e) == 0)
		return 0;
	s3_host_free(out);
	return -1;
}

void s3_host_free(struct s3_host *h)
{
	free(h->bucket);
	free(h->region);
	free(h->endpoint);
	*h = (struct s3_host){ .bucket = NULL };
}
