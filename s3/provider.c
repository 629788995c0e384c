/* SPDX-License-Identifier: MIT */
#include "s3/provider.h"

#include <string.h>
#include <strings.h>

enum { HOST_SIZE = 256 };

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), m = strlen(with);

	return n >= m && strcmp(s + n - m, with) == 0;
}

/* Host and port in lower case; "" where there is none, where it is too long, or with user information. */
static void host_of(char out[HOST_SIZE], const char *endpoint)
{
	const char *s = endpoint + strspn(endpoint, " \t\r\n"), *scheme = strstr(s, "://");
	size_t n;

	if (scheme)
		s = scheme + 3;
	n = strcspn(s, "/?# \t\r\n");
	if (n >= HOST_SIZE || memchr(s, '@', n))
		n = 0;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] | 0x20 : s[i]);
	out[n] = '\0';
}

static void cut_port(char *host)
{
	char *colon = strrchr(host, ':');

	if (colon && !strchr(colon, ']'))
		*colon = '\0';
}

static bool has_storage_segment(const char *label, size_t n)
{
	while (n > 0) {
		const char *dash = memchr(label, '-', n);
		size_t part = dash ? (size_t)(dash - label) : n;

		if (part == 7 && memcmp(label, "storage", 7) == 0)
			return true;
		part += dash ? 1 : 0;
		label += part;
		n -= part;
	}
	return false;
}

/* storage.googleapis.com, us-central1-storage.…, storage.REGION.rep.…, but no bucket in front of one of them. */
static bool is_gcs(const char *with_port)
{
	char host[HOST_SIZE];
	const char *second;
	size_t first, dots = 0;

	strcpy(host, with_port);
	cut_port(host);
	size_t n = strlen(host);
	if (n > 0 && host[n - 1] == '.')
		host[n - 1] = '\0';
	if (!ends(host, ".googleapis.com") || host[0] == '.' || strstr(host, ".."))
		return false;
	for (const char *s = host; *s; s++)
		dots += *s == '.';
	first = strcspn(host, ".");
	second = host + first + 1;
	if (!has_storage_segment(host, first))
		return false;
	return dots <= 2 || !has_storage_segment(second, strcspn(second, "."));
}

enum s3_provider s3_provider_of(const char *endpoint)
{
	static const struct { const char *host; enum s3_provider provider; } exact[] = {
		{ "fly.storage.tigris.dev", S3_TIGRIS }, { "t3.storage.dev", S3_TIGRIS }, { "s3.filebase.com",
			S3_FILEBASE },
	}, suffix[] = {
		{ ".r2.cloudflarestorage.com", S3_R2 }, { ".backblazeb2.com", S3_B2 }, { ".supabase.co", S3_SUPABASE },
		{ ".digitaloceanspaces.com", S3_DO }, { ".scw.cloud", S3_SCALEWAY }, { ".your-objectstorage.com",
			S3_HETZNER },
		{ ".wasabisys.com", S3_WASABI }, { ".amazonaws.com", S3_AWS }, { ".amazonaws.com.cn", S3_AWS },
	};
	static const char *const not_minio[] = { "amazonaws.com", "digitaloceanspaces.com", "backblazeb2.com",
		"filebase.com", "scw.cloud", "r2.cloudflarestorage.com", "tigris.dev", "t3.storage.dev",
		"supabase.co" };
	char host[HOST_SIZE];

	host_of(host, endpoint);
	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
		if (strcmp(host, exact[i].host) == 0)
			return exact[i].provider;
	}
	for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
		if (ends(host, suffix[i].host))
			return suffix[i].provider;
	}
	if (is_gcs(host))
		return S3_GCS;
	if (!strchr(host, ':'))
		return S3_OTHER;
	for (size_t i = 0; i < sizeof(not_minio) / sizeof(not_minio[0]); i++) {
		if (strstr(host, not_minio[i]))
			return S3_OTHER;
	}
	return S3_MINIO;
}

bool s3_endpoint_is_local(const char *endpoint)
{
	static const char *const prefixes[] = { "192.168.", "10.", "172.16.", "172.17.", "172.18.", "172.19.", "172.2",
		"172.30.", "172.31." };
	char host[HOST_SIZE];

	host_of(host, endpoint);
	cut_port(host);
	if (strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (begins(host, prefixes[i]))
			return true;
	}
	return ends(host, ".local") || ends(host, ".localhost");
}

void s3_endpoint_with_scheme(struct buf *out, const char *endpoint)
{
	if (endpoint[0] && !begins(endpoint, "http://") && !begins(endpoint, "https://"))
		buf_str(out, s3_endpoint_is_local(endpoint) ? "http://" : "https://");
	buf_str(out, endpoint);
}

/* The one label between prefix and suffix. */
static bool append_label(struct buf *out, const char *host, const char *prefix, const char *suffix)
{
	size_t n = strlen(host), p = strlen(prefix), s = strlen(suffix);

	if (n <= p + s || !begins(host, prefix) || !ends(host, suffix) || memchr(host + p, '.', n - p - s))
		return false;
	buf_append(out, host + p, n - p - s);
	return true;
}

void s3_endpoint_region(struct buf *out, const char *endpoint)
{
	static const struct { const char *prefix, *suffix; } forms[] = {
		{ "s3.", ".backblazeb2.com" }, { "s3.", ".scw.cloud" }, { "s3.", ".wasabisys.com" },
		{ "", ".your-objectstorage.com" }, { "", ".digitaloceanspaces.com" },
		{ "s3.dualstack.", ".amazonaws.com" }, { "s3-fips.", ".amazonaws.com" }, { "s3.", ".amazonaws.com" },
		{ "s3.", ".amazonaws.com.cn" }, { "s3-", ".amazonaws.com" },
	};
	char host[HOST_SIZE];

	host_of(host, endpoint);
	cut_port(host);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (append_label(out, host, forms[i].prefix, forms[i].suffix))
			return;
	}
}
