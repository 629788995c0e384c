/* SPDX-License-Identifier: MIT */
/* Paths as text: nothing here looks at the file system. */
#include "lib/base/text.h"

#include <stdlib.h>
#include <string.h>

static bool names_parent(const char *part, size_t n)
{
	return n == 2 && part[0] == '.' && part[1] == '.';
}

char *text_path_clean(const char *path)
{
	bool rooted = path[0] == '/';
	char *out = malloc(strlen(path) + 2);
	/* What lies before `fixed` no ".." may take away: the root, or leading ".." parts. */
	size_t len = 0, fixed;

	if (!out)
		return NULL;
	if (rooted)
		out[len++] = '/';
	fixed = len;
	while (*path) {
		size_t n = strcspn(path, "/");
		bool parent = names_parent(path, n);

		if (parent && len > fixed) {
			while (len > fixed && out[len - 1] != '/')
				len--;
			if (len > fixed)
				len--;
		} else if (n > 0 && !(n == 1 && path[0] == '.') && !(parent && rooted)) {
			if (len > rooted)
				out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
			if (parent)
				fixed = len;
		}
		path += n;
		path += *path == '/';
	}
	if (len == 0)
		out[len++] = '.';
	out[len] = 0;
	return out;
}

static char *cleaned_join(const char *a, const char *b)
{
	char *joined = text_path_join(a, b), *out = NULL;

	if (joined)
		out = text_path_clean(joined);
	free(joined);
	return out;
}

int text_path_expand(const char *path, const char *cwd, const char *home, char **out, struct err *e)
{
	static const char schemes[2][11] = { "sqlite3://", "sqlite://" };

	for (int i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);

		if (strncmp(path, schemes[i], n) == 0) {
			path += n;
			break;
		}
	}
	if (path[0] == '~' && (path[1] == '/' || !path[1])) {
		if (!home || !*home)
			return err_set(e, ERR_INVALID, "cannot expand path %s, no home directory available", path);
		*out = cleaned_join(home, path + 1);
	} else if (path[0] == '/') {
		*out = text_path_clean(path);
	} else {
		if (!cwd || !*cwd)
			return err_set(e, ERR_INVALID, "cannot expand path %s, no working directory available", path);
		*out = cleaned_join(cwd, path);
	}
	return *out ? 0 : err_nomem(e);
}

const char *text_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *text_path_dir(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	while (slash > path && slash[-1] == '/')
		slash--;
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

char *text_path_join(const char *a, const char *b)
{
	size_t n = strlen(a), m;
	char *out;

	if (!*a || !*b)
		return strdup(*a ? a : b);
	while (n > 0 && a[n - 1] == '/')
		n--;
	while (*b == '/')
		b++;
	m = strlen(b);
	out = malloc(n + m + 2);
	if (!out)
		return NULL;
	memcpy(out, a, n);
	out[n] = '/';
	memcpy(out + n + 1, b, m + 1);
	return out;
}
