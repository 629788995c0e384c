/* SPDX-License-Identifier: MIT */
/*
 * $NAME and ${ANYTHING} in the raw text, comments included, as Go's os.Expand finds them. There is no way to escape a
 * dollar; `-no-expand-env` turns all of it off.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/config/internal.h"

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Names of one character: what a shell calls its parameters. */
static bool is_special(char c)
{
	return (c >= '0' && c <= '9') || (c && strchr("*#$@!?-", c));
}

/*
 * What stands behind a dollar. *len: length of the name, 0 = none; the result is how many bytes it takes with its
 * braces: 0 = the dollar is only a dollar, else the name (or, without one, a broken pair of braces) goes.
 */
static size_t find_name(const char *s, size_t n, const char **name, size_t *len)
{
	const char *end;

	*len = 0;
	*name = s;
	if (s[0] == '{') {
		*name = s + 1;
		end = memchr(s + 1, '}', n - 1);
		if (!end)
			return 1; /* "${" goes, what follows stays */
		*len = (size_t)(end - s) - 1;
		return *len + 2;
	}
	if (is_special(s[0])) {
		*len = 1;
		return 1;
	}
	while (*len < n && is_name_char(s[*len]))
		++*len;
	return *len;
}

static int append_value(const char *name, size_t len, int pid, struct buf *out, struct err *e)
{
	char *copy;
	const char *value;

	if (len == 3 && memcmp(name, "PID", 3) == 0) {
		buf_fmt(out, "%d", pid);
		return 0;
	}
	if (memchr(name, '\0', len) || memchr(name, '=', len))
		return 0;
	copy = strndup(name, len);
	if (!copy)
		return err_nomem(e);
	value = getenv(copy);
	if (value)
		buf_str(out, value);
	free(copy);
	return 0;
}

int config_expand_env(const char *text, size_t n, int pid, struct buf *out, struct err *e)
{
	size_t i = 0;

	while (i < n) {
		const char *dollar = memchr(text + i, '$', n - i), *name;
		size_t plain = dollar ? (size_t)(dollar - text) - i : n - i, len, used;

		buf_append(out, text + i, plain);
		i += plain;
		if (!dollar)
			break;
		i++;
		if (i == n) {
			buf_char(out, '$');
			break;
		}
		used = find_name(text + i, n - i, &name, &len);
		if (!used)
			buf_char(out, '$');
		else if (len && append_value(name, len, pid, out, e))
			return -1;
		i += used;
	}
	if (!buf_ok(out))
		return err_set(e, ERR_LIMIT, "config file is too large: more than %d bytes after environment expansion",
		               CONFIG_FILE_MAX);
	return 0;
}
