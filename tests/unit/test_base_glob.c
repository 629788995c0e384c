/* SPDX-License-Identifier: MIT */
#include "tests/check.h"

#include "lib/base/text.h"

static struct err err;

struct glob_case {
	const char *pattern, *name;
	int match; /* -1: the pattern is malformed */
};

/* As Go's filepath.Match answers them. */
static const struct glob_case cases[] = {
	{ "*.db", "a.db", 1 },
	{ "*.db", ".db", 1 },
	{ "*.db", "x.db.backup", 0 },
	{ "*.db", "a.db.db", 1 },
	{ "app_*.db", "app_users.db", 1 },
	{ "app_*.db", "app.db", 0 },
	{ "*", "", 1 },
	{ "", "", 1 },
	{ "", "a", 0 },
	{ "*", "abc", 1 },
	{ "*", "a/b", 0 },
	{ "a*", "ab/c", 0 },
	{ "a*/b", "abc/b", 1 },
	{ "a*b*c*d*e*", "axbxcxdxe", 1 },
	{ "a*b*c*d*e*", "axbxcxdxexxx", 1 },
	{ "a*b?c*x", "abxbbxdbxebxczzx", 1 },
	{ "a*b?c*x", "abxbbxdbxebxczzy", 0 },
	{ "ab[c]", "abc", 1 },
	{ "ab[b-d]", "abc", 1 },
	{ "ab[e-g]", "abc", 0 },
	{ "ab[^c]", "abc", 0 },
	{ "ab[^b-d]", "abc", 0 },
	{ "ab[^e-g]", "abc", 1 },
	{ "a\\*b", "a*b", 1 },
	{ "a\\*b", "ab", 0 },
	{ "a?b", "a\xe2\x98\xba" "b", 1 },
	{ "a[^a]b", "a\xe2\x98\xba" "b", 1 },
	{ "a???b", "a\xe2\x98\xba" "b", 0 },
	{ "[a-\xce\xb6]*", "\xce\xb1", 1 },
	{ "*[a-\xce\xb6]", "A", 0 },
	{ "a?b", "a/b", 0 },
	{ "[\\]a]", "]", 1 },
	{ "[\\-]", "-", 1 },
	{ "[x\\-]", "x", 1 },
	{ "[x\\-]", "z", 0 },
	{ "[\\-x]", "a", 0 },
	{ "*x", "xxx", 1 },
	{ "[a]b", "ab", 1 },
	{ "\xff", "\xff", 1 },
	{ "?", "\xff", 1 },
	{ "[]a]", "]", -1 },
	{ "[-]", "-", -1 },
	{ "[x-]", "x", -1 },
	{ "[-x]", "x", -1 },
	{ "\\", "a", -1 },
	{ "[a-b-c]", "a", -1 },
	{ "[", "a", -1 },
	{ "[^", "a", -1 },
	{ "[^bc", "a", -1 },
	{ "a[", "a", -1 },
	{ "a[", "ab", -1 },
	{ "[a", "a", -1 },
	{ "[\\", "a", -1 },
	{ "[\xff]", "a", -1 },
	{ "x*[", "y", -1 },
};

TEST(matches_as_go)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct glob_case *c = &cases[i];
		int rc = text_glob_check(c->pattern, &err);

		if (rc != (c->match < 0 ? -1 : 0) || (!rc && text_glob_match(c->pattern, c->name) != c->match))
			CHECK_FAIL("%s with %s: check %d, wanted %d", c->pattern, c->name, rc, c->match);
		if (rc)
			CHECK_STR(err.text, "syntax error in pattern");
	}
}

/* Every star once more would take for ever. */
TEST(many_stars_end_soon)
{
	char name[2001], pattern[101];

	memset(name, 'a', 2000);
	name[2000] = 0;
	for (int i = 0; i < 50; i++)
		memcpy(pattern + 2 * i, "*a", 2);
	memcpy(pattern + 98, "b", 2);
	CHECK(!text_glob_match(pattern, name));
}

TEST_MAIN
