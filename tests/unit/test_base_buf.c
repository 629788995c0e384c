/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>

#include "lib/base/buf.h"
#include "tests/check.h"

TEST(empty_has_text)
{
	struct buf b = { 0 };

	CHECK_STR(buf_text(&b), "");
	CHECK(buf_ok(&b));
	buf_free(&b);
	CHECK_STR(buf_text(&b), "");
}

TEST(appends_build_text)
{
	struct buf b = { 0 };

	buf_str(&b, "one");
	buf_char(&b, ' ');
	buf_append(&b, "two\0three", 9);
	buf_append(&b, NULL, 0);
	CHECK_INT(b.len, 13);
	CHECK_MEM(b.data, "one two\0three", 14);
	buf_reset(&b);
	CHECK_STR(buf_text(&b), "");
	buf_fmt(&b, "%d %s", 42, "x");
	CHECK_STR(buf_text(&b), "42 x");
	buf_free(&b);
}

TEST(grows_over_many_sizes)
{
	struct buf b = { 0 };
	size_t wrong = 0;

	for (int i = 0; i < 5000; i++)
		buf_fmt(&b, "%05d,", i);
	CHECK(buf_ok(&b));
	CHECK_INT(b.len, 30000);
	CHECK_INT(b.data[b.len], 0);
	for (int i = 0; i < 5000; i++)
		wrong += atoi((char *)b.data + 6 * i) != i;
	CHECK_INT(wrong, 0);
	buf_free(&b);
}

TEST(format_at_the_exact_edge)
{
	int wrong = 0;

	for (int n = 0; n < 300; n++) {
		struct buf b = { 0 };

		buf_fmt(&b, "%*s", n, "");
		buf_fmt(&b, "%*sx", n, "");
		wrong += !buf_ok(&b) || b.len != (size_t)(2 * n + 1) || strlen(buf_text(&b)) != b.len ||
			 b.data[2 * n] != 'x';
		buf_free(&b);
	}
	CHECK_INT(wrong, 0);
}

TEST(reserve_then_len)
{
	struct buf b = { 0 };
	uint8_t *p;

	buf_str(&b, "ab");
	p = buf_reserve(&b, 1000);
	CHECK(p == b.data + 2);
	memset(p, 'c', 1000);
	b.len += 1000;
	CHECK_INT(strlen(buf_text(&b)), 1002);
	buf_free(&b);
}

TEST(limit_is_sticky_and_keeps_what_was)
{
	struct buf b = { .limit = 10 };

	buf_str(&b, "12345678");
	buf_str(&b, "90");
	CHECK(buf_ok(&b));
	buf_char(&b, 'x');
	CHECK(!buf_ok(&b));
	CHECK_STR(buf_text(&b), "1234567890");
	CHECK(buf_reserve(&b, 0) == NULL);
	buf_reset(&b);
	CHECK(buf_ok(&b));
	buf_fmt(&b, "%s", "12345");
	buf_fmt(&b, "%s", "678901");
	CHECK(!buf_ok(&b));
	CHECK_STR(buf_text(&b), "12345");
	buf_str(&b, "z");
	CHECK_STR(buf_text(&b), "12345");
	buf_reset(&b);
	CHECK(buf_reserve(&b, 11) == NULL);
	buf_free(&b);
	CHECK(buf_ok(&b));
	CHECK_INT(b.limit, 10);
}

TEST(absurd_sizes_fail)
{
	struct buf b = { 0 }, all = { .limit = SIZE_MAX };

	CHECK(buf_reserve(&b, SIZE_MAX) == NULL);
	CHECK(!buf_ok(&b));
	buf_reset(&b);
	CHECK(buf_reserve(&b, BUF_LIMIT_DEFAULT + 1) == NULL);
	buf_free(&b);
	buf_str(&all, "x");
	CHECK(buf_ok(&all));
	CHECK(buf_reserve(&all, SIZE_MAX - 1) == NULL);
	CHECK_STR(buf_text(&all), "x");
	buf_free(&all);
}

TEST(default_limit_is_reachable)
{
	struct buf b = { 0 };

	CHECK(buf_reserve(&b, 40 << 20) != NULL);
	b.len = 40 << 20;
	CHECK(buf_reserve(&b, 24 << 20) != NULL);
	b.len = 64 << 20;
	CHECK(buf_reserve(&b, 0) != NULL);
	CHECK(buf_reserve(&b, 1) == NULL);
	buf_free(&b);
}

TEST_MAIN
