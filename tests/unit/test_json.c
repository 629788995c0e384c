/* SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "json/json.h"
#include "lib/base/escape.h"
#include "tests/check.h"

static void write_sample(struct json_writer *w)
{
	json_object_begin(w);
	json_key(w, "status");
	json_string(w, "started");
	json_key(w, "list");
	json_array_begin(w);
	json_int(w, -1);
	json_object_begin(w);
	json_key(w, "a");
	json_uint(w, UINT64_MAX);
	json_key(w, "b");
	json_null(w);
	json_object_end(w);
	json_array_begin(w);
	json_array_end(w);
	json_array_end(w);
	json_key(w, "none");
	json_array_begin(w);
	json_array_end(w);
	json_key(w, "empty");
	json_object_begin(w);
	json_object_end(w);
	json_key(w, "yes");
	json_bool(w, true);
	json_key(w, "no");
	json_bool(w, false);
	json_key(w, "min");
	json_int(w, INT64_MIN);
	json_object_end(w);
}

TEST(compact)
{
	struct buf b = { 0 };
	struct json_writer w;

	json_writer_init(&w, &b, false);
	write_sample(&w);
	CHECK(buf_ok(&b));
	CHECK_STR(buf_text(&b), "{\"status\":\"started\",\"list\":[-1,{\"a\":18446744073709551615,\"b\":null},[]],"
				"\"none\":[],\"empty\":{},\"yes\":true,\"no\":false,\"min\":-9223372036854775808}");
	buf_free(&b);
}

TEST(indented)
{
	struct buf b = { 0 };
	struct json_writer w;

	json_writer_init(&w, &b, true);
	write_sample(&w);
	CHECK_STR(buf_text(&b), "{\n"
				"  \"status\": \"started\",\n"
				"  \"list\": [\n"
				"    -1,\n"
				"    {\n"
				"      \"a\": 18446744073709551615,\n"
				"      \"b\": null\n"
				"    },\n"
				"    []\n"
				"  ],\n"
				"  \"none\": [],\n"
				"  \"empty\": {},\n"
				"  \"yes\": true,\n"
				"  \"no\": false,\n"
				"  \"min\": -9223372036854775808\n"
				"}");
	buf_free(&b);
}

TEST(top_level_values)
{
	struct buf b = { 0 };
	struct json_writer w;

	json_writer_init(&w, &b, true);
	json_array_begin(&w);
	json_array_end(&w);
	CHECK_STR(buf_text(&b), "[]");
	buf_reset(&b);
	json_writer_init(&w, &b, true);
	json_string(&w, "x");
	CHECK_STR(buf_text(&b), "\"x\"");
	buf_free(&b);
}

TEST(escapes_as_go)
{
	static const char *const cases[][2] = {
		{ "", "\"\"" },
		{ "plain /\x7f", "\"plain /\x7f\"" },
		{ "q\"b\\", "\"q\\\"b\\\\\"" },
		{ "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"" },
		{ "\x01\x0b\x1f", "\"\\u0001\\u000b\\u001f\"" },
		{ "<a&b>", "\"\\u003ca\\u0026b\\u003e\"" },
		{ "\u2028\u2029\u2027", "\"\\u2028\\u2029\u2027\"" },
		{ "\u00e9\u20ac\U0001f600", "\"\u00e9\u20ac\U0001f600\"" },
		{ "\ufffd", "\"\ufffd\"" },
		/* Not UTF-8: a stray byte, a cut sequence, overlong forms, a surrogate, beyond U+10FFFF. */
		{ "a\xff" "b", "\"a\\ufffdb\"" },
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"" },
		{ "\xe2\x82x", "\"\\ufffd\\ufffdx\"" },
		{ "\xc0\x80", "\"\\ufffd\\ufffd\"" },
		{ "\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf8", "\"\\ufffd\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = { 0 };

		json_quote(&b, cases[i][0]);
		CHECK_STR(buf_text(&b), cases[i][1]);
		buf_free(&b);
	}
}

TEST(keys_are_escaped_too)
{
	struct buf b = { 0 };
	struct json_writer w;

	json_writer_init(&w, &b, false);
	json_object_begin(&w);
	json_key(&w, "a\"\n");
	json_null(&w);
	json_object_end(&w);
	CHECK_STR(buf_text(&b), "{\"a\\\"\\n\":null}");
	buf_free(&b);
}

TEST(full_buffer_is_reported)
{
	struct buf b = { .limit = 20 };
	struct json_writer w;

	json_writer_init(&w, &b, true);
	write_sample(&w);
	CHECK(!buf_ok(&b));
	CHECK(b.len <= 20);
	buf_free(&b);
}

TEST(runes_decode)
{
	size_t n;

	CHECK_INT(escape_rune("\U0010ffff", &n), 0x10ffff);
	CHECK_INT(n, 4);
	CHECK_INT(escape_rune("\xc2\x80", &n), 0x80);
	CHECK_INT(n, 2);
	CHECK_INT(escape_rune("\xf0\x9f\x98", &n), ESCAPE_INVALID);
	CHECK_INT(n, 1);
	CHECK(escape_printable('a') && escape_printable(' ') && escape_printable(0xe9) && escape_printable(0x1f600));
	CHECK(!escape_printable(0x7f) && !escape_printable(0xa0) && !escape_printable(0x200b));
	CHECK(!escape_printable(0xfeff) && !escape_printable(0xe000) && !escape_printable(0xe0001));
}

TEST_MAIN
