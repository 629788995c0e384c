/* SPDX-License-Identifier: MIT */
#include "s3/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3/sigv4.h"

/* Can the bucket be a label (or several, without TLS) in front of the host? */
static bool fits_host(const char *bucket, const struct http_url *endpoint)
{
	size_t n = strlen(bucket);

	if (n < 3 || n > 63 || endpoint->host_is_ip)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool alnum = (bucket[i] >= 'a' && bucket[i] <= 'z') || (bucket[i] >= '0' && bucket[i] <= '9');
		bool inside = i > 0 && i < n - 1;

		if (alnum || (inside && bucket[i] == '-'))
			continue;
		if (!inside || bucket[i] != '.' || endpoint->secure || bucket[i - 1] == '.')
			return false;
	}
	return true;
}

static bool says_yes(const char *variable)
{
	const char *value = getenv(variable);

	return value && strcasecmp(value, "true") == 0;
}

static void amazon_host(struct buf *out, const struct s3_settings *s, const char *region)
{
	bool dual = says_yes("AWS_USE_DUALSTACK_ENDPOINT"), fips = says_yes("AWS_USE_FIPS_ENDPOINT");

	buf_fmt(out, "https://%s%s%s.%s.amazonaws.com%s", s3_settings_is_access_point(s) ? "s3-accesspoint" : "s3",
	        fips ? "-fips" : "", dual ? ".dualstack" : "", region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

/* Host and Host field from an endpoint and what goes in front of its host. */
static int set_host(struct s3_address *a, const struct http_url *endpoint, const char *before, struct err *e)
{
	bool v6 = strchr(endpoint->host, ':') != NULL;
	bool own_port = endpoint->port != (endpoint->secure ? 443 : 80);
	struct buf text = { .limit = 4096 }, host = { .limit = 4096 };
	int rc;

	buf_fmt(&host, "%s%s%s%s%s", before, before[0] ? "." : "", v6 ? "[" : "", endpoint->host, v6 ? "]" : "");
	if (own_port)
		buf_fmt(&host, ":%d", endpoint->port);
	buf_fmt(&text, "%s://%s/", endpoint->scheme, buf_text(&host));
	a->host = buf_ok(&host) ? strdup(buf_text(&host)) : NULL;
	rc = a->host && buf_ok(&text) ? http_url_parse(buf_text(&text), &a->url, e) : err_nomem(e);
	buf_free(&text);
	buf_free(&host);
	return rc;
}

/* A base path as it was given, but for bytes that no request line may hold. */
static void append_base(struct buf *out, const char *path, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)path[i];

		if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}#", c))
			buf_append(out, (char[]){ '%', digits[c >> 4], digits[c & 15] }, 3);
		else
			buf_char(out, (char)c);
	}
}

static int build(const struct s3_settings *s, const struct http_url *endpoint, struct s3_address *out, struct err *e)
{
	struct buf base = { .limit = 8192 };
	char before[256] = "";
	size_t n = strlen(endpoint->path);

	while (n > 0 && endpoint->path[n - 1] == '/')
		n--;
	append_base(&base, endpoint->path, n);
	if (s3_settings_is_access_point(s)) {
		size_t account;
		const char *number = s3_arn_field(s->bucket, 4, &account);
		const char *name = strchr(strcasestr(s->bucket, ":accesspoint/"), '/');

		snprintf(before, sizeof(before), "%s-%.*s", name + 1, (int)account, number);
	} else if (!s->path_style && fits_host(s->bucket, endpoint)) {
		snprintf(before, sizeof(before), "%s", s->bucket);
	} else {
		buf_char(&base, '/');
		sigv4_escape(&base, s->bucket, false);
	}
	out->base = buf_ok(&base) ? strdup(buf_text(&base)) : NULL;
	buf_free(&base);
	return out->base ? set_host(out, endpoint, before, e) : err_nomem(e);
}

int s3_address_make(const struct s3_settings *s, const char *region, struct s3_address *out, struct err *e)
{
	struct buf text = { .limit = 4096 };
	struct http_url endpoint;
	int rc;

	*out = (struct s3_address){ .host = NULL };
	for (const char *c = region; *c; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
		bool label = letter || (*c >= '0' && *c <= '9') || *c == '-';

		if (!label && !s->endpoint)
			return err_set(e, ERR_INVALID, "s3: \"%s\" is no region", region);
	}
	if (s->endpoint)
		buf_str(&text, s->endpoint);
	else
		amazon_host(&text, s, region);
	rc = buf_ok(&text) ? http_url_parse(buf_text(&text), &endpoint, e) : err_nomem(e);
	buf_free(&text);
	if (rc != 0)
		return rc;
	rc = build(s, &endpoint, out, e);
	http_url_free(&endpoint);
	if (rc != 0)
		s3_address_free(out);
	return rc;
}

int s3_address_elsewhere(const struct s3_address *a, const char *host, struct s3_address *out, struct err *e)
{
	struct buf text = { .limit = 4096 };

	*out = (struct s3_address){ .host = strdup(host), .base = strdup(a->base) };
	buf_fmt(&text, "%s://%s/", a->url.scheme, host);
	int rc = out->host && out->base && buf_ok(&text) ? http_url_parse(buf_text(&text), &out->url, e) : err_nomem(e);
	buf_free(&text);
	if (rc != 0)
		s3_address_free(out);
	return rc;
}

void s3_address_free(struct s3_address *a)
{
	if (a->url.block)
		http_url_free(&a->url);
	free(a->host);
	free(a->base);
	*a = (struct s3_address){ .host = NULL };
}

void s3_address_path(struct buf *out, const struct s3_address *a, const char *key)
{
	buf_str(out, a->base);
	if (key) {
		buf_char(out, '/');
		sigv4_escape(out, key, true);
	} else if (!a->base[0]) {
		buf_char(out, '/');
	}
}

/* The last two labels of a host; NULL where it has not that many, or is an address. */
static const char *suffix_of(const char *host)
{
	const char *dot = strrchr(host, '.');

	if (!dot || host[strspn(host, "0123456789.")] == '\0')
		return NULL;
	while (dot > host && dot[-1] != '.')
		dot--;
	return dot;
}

bool s3_address_related(const char *from, const char *to)
{
	const char *a = suffix_of(from), *b = suffix_of(to);

	return strcasecmp(from, to) == 0 || (a && b && strcasecmp(a, b) == 0);
}
