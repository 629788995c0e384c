/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "tests/check.h"

TEST(set_gives_code_and_text)
{
	struct err e = { .sys = 5 };

	CHECK_INT(err_set(&e, ERR_CORRUPT, "page %d of %s is torn", 7, "a.ltx"), -1);
	CHECK_STR(e.text, "page 7 of a.ltx is torn");
	CHECK_INT(e.code, ERR_CORRUPT);
	CHECK_INT(e.sys, 0);
	CHECK(err_is(&e, ERR_CORRUPT));
	CHECK(!err_is(&e, ERR_GAP));
	err_clear(&e);
	CHECK_STR(err_text(&e), "");
	CHECK_INT(e.code, ERR_NONE);
}

TEST(sys_says_the_words_of_go)
{
	static const struct {
		int errnum;
		const char *reason;
		enum err_code code;
	} cases[] = {
		{ ENOENT, "no such file or directory", ERR_NOT_FOUND },
		{ ENOTDIR, "not a directory", ERR_NOT_FOUND },
		{ EEXIST, "file exists", ERR_EXISTS },
		{ EACCES, "permission denied", ERR_SYSTEM },
		{ EPERM, "operation not permitted", ERR_SYSTEM },
		{ ENOSPC, "no space left on device", ERR_FULL },
		{ EDQUOT, "disk quota exceeded", ERR_FULL },
		{ ENOMEM, "cannot allocate memory", ERR_NO_MEMORY },
		{ EBUSY, "device or resource busy", ERR_BUSY },
		{ EAGAIN, "resource temporarily unavailable", ERR_BUSY },
		{ EISDIR, "is a directory", ERR_SYSTEM },
		{ EIO, "input/output error", ERR_SYSTEM },
		{ EMFILE, "too many open files", ERR_SYSTEM },
		{ ENFILE, "too many open files in system", ERR_SYSTEM },
		{ EROFS, "read-only file system", ERR_SYSTEM },
		{ EXDEV, "invalid cross-device link", ERR_SYSTEM },
		{ ENAMETOOLONG, "file name too long", ERR_SYSTEM },
		{ ELOOP, "too many levels of symbolic links", ERR_SYSTEM },
		{ ENOTEMPTY, "directory not empty", ERR_SYSTEM },
		{ EFBIG, "file too large", ERR_SYSTEM },
		{ ECONNREFUSED, "connection refused", ERR_SYSTEM },
		{ ECONNRESET, "connection reset by peer", ERR_SYSTEM },
		{ ETIMEDOUT, "connection timed out", ERR_SYSTEM },
		{ EHOSTUNREACH, "no route to host", ERR_SYSTEM },
		{ EPIPE, "broken pipe", ERR_SYSTEM },
		{ EADDRINUSE, "address already in use", ERR_SYSTEM },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e;
		char want[100];

		snprintf(want, sizeof(want), "open /data/%zu: %s", i, cases[i].reason);
		CHECK_INT(err_sys(&e, cases[i].errnum, "open /data/%zu", i), -1);
		CHECK_STR(e.text, want);
		CHECK_INT(e.code, cases[i].code);
		CHECK_INT(e.sys, cases[i].errnum);
	}
}

TEST(wrap_keeps_code_and_reason)
{
	struct err e;

	err_sys(&e, ENOENT, "open %s", "x");
	CHECK_INT(err_wrap(&e, "sync %s", "app.db"), -1);
	CHECK_STR(e.text, "sync app.db: open x: no such file or directory");
	CHECK_INT(e.code, ERR_NOT_FOUND);
	CHECK_INT(e.sys, ENOENT);
}

TEST(its_own_text_may_be_an_argument)
{
	struct err e;

	err_set(&e, ERR_INVALID, "inner");
	err_set(&e, ERR_GAP, "<%s> and <%s>", e.text, e.text);
	CHECK_STR(e.text, "<inner> and <inner>");
	err_wrap(&e, "%s", e.text);
	CHECK_STR(e.text, "<inner> and <inner>: <inner> and <inner>");
}

TEST(long_text_is_cut_between_characters)
{
	struct err e;
	char big[3000];

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 0;
	err_set(&e, ERR_INVALID, "%s", big);
	CHECK_INT(strlen(e.text), ERR_TEXT_SIZE - 1);
	err_wrap(&e, "front");
	CHECK_INT(strlen(e.text), ERR_TEXT_SIZE - 1);
	CHECK(strncmp(e.text, "front: xxx", 10) == 0);

	/* 1021 bytes, then three-byte characters: the first of them would end at 1024. */
	memset(big, 'x', 1021);
	for (size_t i = 1021; i + 3 < sizeof(big); i += 3)
		memcpy(big + i, "\u20ac", 4);
	err_set(&e, ERR_INVALID, "%s", big);
	CHECK_INT(strlen(e.text), 1021);
	CHECK_INT(e.text[1020], 'x');
}

TEST(null_is_allowed_everywhere)
{
	CHECK_INT(err_set(NULL, ERR_GAP, "x"), -1);
	CHECK_INT(err_sys(NULL, ENOENT, "x"), -1);
	CHECK_INT(err_wrap(NULL, "x"), -1);
	CHECK_INT(err_nomem(NULL), -1);
	err_clear(NULL);
	CHECK_STR(err_text(NULL), "");
	CHECK(!err_is(NULL, ERR_NONE));
}

TEST(nomem)
{
	struct err e;

	CHECK_INT(err_nomem(&e), -1);
	CHECK_INT(e.code, ERR_NO_MEMORY);
	CHECK_STR(e.text, "out of memory");
}

TEST_MAIN
