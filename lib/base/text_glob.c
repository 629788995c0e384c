/* SPDX-License-Identifier: MIT */
/*
 * Patterns of names, read as Go's filepath.Match reads them: `*` any run of bytes but a slash, `?` one character but a
 * slash, `[a-z]` and `[^a-z]` one character of a class, `\` makes the next one plain. A class is never empty; `-` and
 * `]` in it need a backslash. Only the newest star is ever tried again: what lies before it has found its earliest
 * place, and an earlier place never spoils what follows.
 */
#include <string.h>

#include "lib/base/escape.h"
#include "lib/base/text.h"

/* One character of a class, or one of its ends: NULL when there is none. */
static const char *class_rune(const char *p, uint32_t *rune)
{
	size_t n;

	if (*p == '\0' || *p == '-' || *p == ']')
		return NULL;
	if (*p == '\\' && *++p == '\0')
		return NULL;
	*rune = escape_rune(p, &n);
	if (*rune == ESCAPE_INVALID && n == 1)
		return NULL;
	return p + n;
}

/* p stands behind the `[`; returns what follows the `]`, or NULL when the class is malformed. */
static const char *class_match(const char *p, uint32_t rune, bool *in)
{
	bool negated = *p == '^', hit = false;
	uint32_t low, high;
	int ranges;

	p += negated;
	for (ranges = 0; ranges == 0 || *p != ']'; ranges++) {
		p = class_rune(p, &low);
		high = low;
		if (p != NULL && *p == '-')
			p = class_rune(p + 1, &high);
		if (p == NULL || *p == '\0')
			return NULL;
		hit = hit || (low <= rune && rune <= high);
	}
	*in = hit != negated;
	return p + 1;
}

int text_glob_check(const char *pattern, struct err *e)
{
	bool in;

	while (pattern != NULL && *pattern != '\0') {
		if (*pattern == '[')
			pattern = class_match(pattern + 1, 0, &in);
		else if (*pattern == '\\' && pattern[1] == '\0')
			pattern = NULL;
		else
			pattern += *pattern == '\\' ? 2 : 1;
	}
	return pattern == NULL ? err_set(e, ERR_INVALID, "syntax error in pattern") : 0;
}

/* Matches what one element of the pattern, which is no star, asks for; both move behind it. */
static bool match_one(const char **pattern, const char **name)
{
	const char *p = *pattern;
	uint32_t rune;
	size_t n;
	bool in;

	if (*p == '\0' || **name == '\0')
		return false;
	rune = escape_rune(*name, &n);
	if (*p == '[') {
		p = class_match(p + 1, rune, &in);
		if (p == NULL || !in)
			return false;
	} else if (*p == '?') {
		if (rune == '/')
			return false;
		p++;
	} else {
		p += *p == '\\';
		if (*p != **name)
			return false;
		p++;
		n = 1;
	}
	*pattern = p;
	*name += n;
	return true;
}

bool text_glob_match(const char *pattern, const char *name)
{
	const char *star = NULL, *tried = NULL;

	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			tried = name;
		} else if (*pattern == '\0' && *name == '\0') {
			return true;
		} else if (!match_one(&pattern, &name)) {
			if (star == NULL || *tried == '\0' || *tried == '/')
				return false;
			pattern = star;
			name = ++tried;
		}
	}
}
