/* SPDX-License-Identifier: MIT */
/* What becomes of dollars: control.md §4.2, cases.md §1 row 5 and §5.4. */
#include <stdlib.h>

#include "lib/config/internal.h"
#include "tests/check.h"

static int expand(const char *in, struct buf *out, struct err *e)
{
	setenv("FOO", "/v", 1);
	setenv("A_1", "x", 1);
	setenv("EMPTY", "", 1);
	unsetenv("NOBODY");
	return config_expand_env(in, strlen(in), 4711, out, e);
}

TEST(names)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "no dollar", "no dollar" },
		{ "$FOO", "/v" },
		{ "/a/$FOO/b", "/a//v/b" },
		{ "${FOO}", "/v" },
		{ "$A_1z", "" },
		{ "${A_1}z", "xz" },
		{ "$FOO$A_1", "/vx" },
		{ "$NOBODY.", "." },
		{ "[$EMPTY]", "[]" },
		{ "$PID ${PID}", "4711 4711" },
		{ "$PIDS", "" },
		{ "$$FOO", "FOO" },
		{ "$$$FOO", "/v" },
		{ "$*$#$@$!$?$-$0$9.", "." },
		{ "$12", "2" },
		{ "${1}2", "2" },
		{ "${NOBODY:-x}", "" },
		{ "a${}b", "ab" },
		{ "${FOO", "FOO" },
		{ "a ${FOO\nb: }c", "a c" },
		{ "$.", "$." },
		{ "$ x", "$ x" },
		{ "x$", "x$" },
		{ "$(FOO)", "$(FOO)" },
		{ "\\$FOO", "\\/v" },
		{ "# ${FOO}", "# /v" },
		{ "${", "" },
		{ "${=}", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out = { .data = NULL };
		struct err e = ERR_INIT;
		int rc = expand(rows[i][0], &out, &e);
		bool same = strcmp(buf_text(&out), rows[i][1]) == 0;

		if (!same)
			printf("%s became %s, not %s\n", rows[i][0], buf_text(&out), rows[i][1]);
		buf_free(&out);
		CHECK_OK(rc, &e);
		CHECK(same);
	}
}

/* A short text may stand for a long one. */
TEST(has_a_limit)
{
	struct buf out = { .limit = 1000 };
	struct err e = ERR_INIT;
	char big[2000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	setenv("BIG", big, 1);
	CHECK_INT(expand("${BIG}", &out, &e), -1);
	CHECK_INT(e.code, ERR_LIMIT);
	buf_free(&out);
	unsetenv("BIG");
}

/* NUL bytes are nobody's name. */
TEST(bytes)
{
	struct buf out = { .data = NULL };
	struct err e = ERR_INIT;
	int rc = config_expand_env("a${\0}b\0$FOO", 11, 1, &out, &e);
	size_t len = out.len;

	buf_free(&out);
	CHECK_OK(rc, &e);
	CHECK_INT(len, 5);
}

TEST_MAIN
