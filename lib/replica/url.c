/* SPDX-License-Identifier: MIT */
/* The text of replica URLs: which type one names, and which folder a file URL stands for. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/text.h"
#include "lib/replica/replica.h"

/* ASCII, whatever the locale. */
static bool is_alpha(unsigned char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(char h)
{
	unsigned char c = (unsigned char)h;

	if (is_digit(c))
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

static bool is_one_of(unsigned char c, const char *set)
{
	return c != 0 && strchr(set, c) != NULL;
}

bool replica_is_url(const char *text)
{
	const char *s = text;

	while (is_alpha((unsigned char)*s) || is_digit((unsigned char)*s) || *s == '_')
		s++;
	return s > text && strncmp(s, "://", 3) == 0;
}

const char *replica_url_type(const char *url)
{
	static const char *const types[] = { "file", "s3", "gs", "abs", "sftp", "webdav", "nats", "oss" };
	size_t n = strcspn(url, ":");

	if (!replica_is_url(url))
		return NULL;
	if (n == 7 && strncasecmp(url, "webdavs", n) == 0)
		return "webdav";
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i]) == n && strncasecmp(url, types[i], n) == 0)
			return types[i];
	}
	return NULL;
}

/* "parse "URL": reason "what"", as Go words it. */
static int url_error(const char *url, const char *reason, const char *what, size_t n, struct err *e)
{
	char quoted[256], part[16] = "", part_quoted[64] = "";

	text_quote(quoted, sizeof(quoted), url);
	if (what) {
		memcpy(part, what, n < sizeof(part) - 1 ? n : sizeof(part) - 1);
		text_quote(part_quoted, sizeof(part_quoted), part);
	}
	return err_set(e, ERR_INVALID, "parse %s: %s%s%s", quoted, reason, what ? " " : "", part_quoted);
}

/*
 * Appends a path or fragment as Go prints it again after parsing: as it is when every byte may stand there; else
 * decoded and encoded anew, which changes more than the offending bytes ("/a b%2Fc" becomes "/a%20b/c").
 */
static int append_encoded(struct buf *out, const char *url, const char *s, size_t n, bool fragment, struct err *e)
{
	static const char hex[] = "0123456789ABCDEF";
	const char *plain = fragment ? "-_.~$&+,/:;=?@!()*" : "-_.~$&+,/:;=@";
	bool valid = true;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '%') {
			if (n - i < 3 || hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0)
				return url_error(url, "invalid URL escape", s + i, n - i < 3 ? n - i : 3, e);
			i += 2;
		} else if (!is_alpha(c) && !is_digit(c) && !is_one_of(c, "!'()*[]") && !is_one_of(c, plain)) {
			valid = false;
		}
	}
	if (valid) {
		buf_append(out, s, n);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '%') {
			c = (unsigned char)(hex_value(s[i + 1]) * 16 + hex_value(s[i + 2]));
			i += 2;
		}
		if (is_alpha(c) || is_digit(c) || is_one_of(c, plain))
			buf_char(out, (char)c);
		else
			buf_append(out, (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3);
	}
	return 0;
}

/* A host before the path is rarely meant (file://dir/x): it becomes the first folder, as Litestream has it. */
static int append_host(struct buf *out, const char *url, const char *s, size_t n, struct err *e)
{
	buf_str(out, "//");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!is_alpha(c) && !is_digit(c) && !is_one_of(c, "-_.~!$&'()*+,;=@") && c < 0x80)
			return url_error(url, "invalid character", s + i, 1, e);
	}
	return append_encoded(out, url, s, n, false, e);
}

int replica_url_file_path(const char *url, char **path, struct err *e)
{
	struct buf out = { .limit = 1 << 20 };
	const char *s = strchr(url, ':');
	int rc = -1;

	*path = NULL;
	if (!s)
		return err_set(e, ERR_INVALID, "replica url scheme required: %s", url);
	for (const char *c = url; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return url_error(url, "net/url: invalid control character in URL", NULL, 0, e);
	}
	s++;
	const char *fragment = strchr(s, '#');
	size_t n = fragment ? (size_t)(fragment - s) : strlen(s);
	const char *query = memchr(s, '?', n);
	/* A lone question mark at the end is no query, but part of the name. */
	bool mark = query && query == s + n - 1;
	if (query)
		n = (size_t)(query - s);
	if (n >= 2 && s[0] == '/' && s[1] == '/') {
		s += 2;
		n -= 2;
		const char *slash = memchr(s, '/', n);
		size_t host = slash ? (size_t)(slash - s) : n;
		if (host > 0 && append_host(&out, url, s, host, e) != 0)
			goto out;
		s += host;
		n -= host;
	}
	if (append_encoded(&out, url, s, n, false, e) != 0)
		goto out;
	if (mark)
		buf_char(&out, '?');
	if (fragment && fragment[1]) {
		buf_char(&out, '#');
		if (append_encoded(&out, url, fragment + 1, strlen(fragment + 1), true, e) != 0)
			goto out;
	}
	if (!buf_ok(&out) || !(*path = text_path_clean(buf_text(&out)))) {
		err_nomem(e);
		goto out;
	}
	rc = 0;
out:
	buf_free(&out);
	return rc;
}
