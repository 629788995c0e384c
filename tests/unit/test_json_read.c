/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "json/json.h"
#include "tests/check.h"

/* What the reader makes of a text, written again: strings as they were decoded, numbers as they stood. */
static void rewrite(const struct json_doc *d, const struct json_node *n, struct buf *out)
{
	switch (n->type) {
	case JSON_NULL:
		buf_str(out, "null");
		break;
	case JSON_BOOL:
		buf_str(out, n->truth ? "true" : "false");
		break;
	case JSON_NUMBER:
		buf_str(out, json_text(d, n));
		break;
	case JSON_STRING:
		buf_char(out, '\'');
		buf_append(out, json_text(d, n), n->len);
		buf_char(out, '\'');
		break;
	case JSON_ARRAY:
	case JSON_OBJECT:
		buf_fmt(out, "%c%u:", n->type == JSON_ARRAY ? '[' : '{', n->count);
		for (const struct json_node *c = json_first(d, n); c; c = json_next(d, n, c)) {
			if (n->type == JSON_OBJECT)
				buf_fmt(out, "<%s>", json_key_text(d, c));
			rewrite(d, c, out);
			buf_char(out, ' ');
		}
		buf_char(out, n->type == JSON_ARRAY ? ']' : '}');
	}
}

/* From a copy of its exact size, so that a sanitizer sees every byte read too far. */
static const char *read_n(const char *text, size_t n)
{
	static char shown[2048];
	char *copy = malloc(n ? n : 1);
	struct buf out = { .data = NULL };
	struct json_doc d;
	struct err e = ERR_INIT;

	if (!copy)
		return "no memory";
	if (n > 0)
		memcpy(copy, text, n);
	if (json_parse(&d, copy, n, &e) < 0) {
		snprintf(shown, sizeof(shown), "%s%s", e.text, e.sys ? " (more)" : "");
	} else {
		rewrite(&d, d.nodes, &out);
		snprintf(shown, sizeof(shown), "%s %zu", buf_text(&out), d.used);
		json_doc_free(&d);
	}
	buf_free(&out);
	free(copy);
	return shown;
}
#define READ(text) read_n(text, sizeof(text) - 1)

TEST(values)
{
	CHECK_STR(READ("null"), "null 4");
	CHECK_STR(READ(" \t\r\ntrue "), "true 8");
	CHECK_STR(READ("false,"), "false 5");
	CHECK_STR(READ("0"), "0 1");
	CHECK_STR(READ("-0.5e+10"), "-0.5e+10 8");
	CHECK_STR(READ("12x"), "12 2");
	CHECK_STR(READ("01"), "0 1");
	CHECK_STR(READ("\"\""), "'' 2");
	CHECK_STR(READ("[]"), "[0:] 2");
	CHECK_STR(READ("{ }"), "{0:} 3");
	CHECK_STR(READ("{\"path\":\"/a\",\"x\":[1,[2,{}],null]} junk"), "{2:<path>'/a' <x>[3:1 [2:2 {0:} ] null ] } 33");
	CHECK_STR(READ("[[],{\"\":1}]"), "[2:[0:] {1:<>1 } ] 11");
}

TEST(strings)
{
	CHECK_STR(READ("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "'a\"\\/\b\f\n\r\t' 19");
	CHECK_STR(READ("\"\\u00e4\\u20AC\\uD83D\\uDE00\""), "'\u00e4\u20ac\U0001F600' 26");
	CHECK_STR(READ("\"\\ud83d\""), "'\ufffd' 8");
	CHECK_STR(READ("\"\\ud83d\\u0041\""), "'\ufffdA' 14");
	CHECK_STR(READ("\"\\ud83d\\ud83d\\ude00\""), "'\ufffd\U0001F600' 20");
	CHECK_STR(READ("\"\\ude00x\""), "'\ufffdx' 9");
	CHECK_STR(READ("\"\xc3\xa4\xf0\x9f\x98\x80\""), "'\u00e4\U0001F600' 8");
	CHECK_STR(READ("\"\xff\xc3\""), "'\ufffd\ufffd' 4");
	CHECK_STR(READ("\"\xed\xa0\x80\""), "'\ufffd\ufffd\ufffd' 5");
	CHECK_STR(READ("\"\x7f\""), "'\x7f' 3");
}

TEST(a_nul_is_kept)
{
	struct json_doc d;
	struct err e = ERR_INIT;

	CHECK_OK(json_parse(&d, "{\"a\\u0000b\":\"c\\u0000d\"}", 23, &e), &e);
	CHECK_INT(d.nodes[1].len, 3);
	CHECK_MEM(json_text(&d, &d.nodes[1]), "c\0d", 4);
	CHECK_INT(d.nodes[1].key_len, 3);
	CHECK(!json_member(&d, d.nodes, "a"));
	json_doc_free(&d);
}

/* The wording is that of Go's encoding/json. */
TEST(errors)
{
	CHECK_STR(READ(""), "EOF (more)");
	CHECK_STR(READ(" \n"), "EOF (more)");
	CHECK_STR(READ("{"), "unexpected EOF (more)");
	CHECK_STR(READ("{\"path\":\"/a"), "unexpected EOF (more)");
	CHECK_STR(READ("{\"path\":\"/a\""), "unexpected EOF (more)");
	CHECK_STR(READ("\"\\"), "unexpected EOF (more)");
	CHECK_STR(READ("\"\\u00"), "unexpected EOF (more)");
	CHECK_STR(READ("tru"), "unexpected EOF (more)");
	CHECK_STR(READ("-"), "unexpected EOF (more)");
	CHECK_STR(READ("[1"), "unexpected EOF (more)");
	CHECK_STR(READ("{path: 1}"), "invalid character 'p' looking for beginning of object key string");
	CHECK_STR(READ("{bad"), "invalid character 'b' looking for beginning of object key string");
	CHECK_STR(READ("{\"a\" 1}"), "invalid character '1' after object key");
	CHECK_STR(READ("{\"a\":1 \"b\"}"), "invalid character '\"' after object key:value pair");
	CHECK_STR(READ("{\"a\":1,}"), "invalid character '}' looking for beginning of object key string");
	CHECK_STR(READ("[1 2]"), "invalid character '2' after array element");
	CHECK_STR(READ("[1,]"), "invalid character ']' looking for beginning of value");
	CHECK_STR(READ("[,]"), "invalid character ',' looking for beginning of value");
	CHECK_STR(READ("}"), "invalid character '}' looking for beginning of value");
	CHECK_STR(READ("'a'"), "invalid character '\\'' looking for beginning of value");
	CHECK_STR(READ("\xe4"), "invalid character '\u00e4' looking for beginning of value");
	CHECK_STR(READ("\0"), "invalid character '\\x00' looking for beginning of value");
	CHECK_STR(READ("\"\n\""), "invalid character '\\n' in string literal");
	CHECK_STR(READ("\"\\x\""), "invalid character 'x' in string escape code");
	CHECK_STR(READ("\"\\0\""), "invalid character '0' in string escape code");
	CHECK_STR(READ("\"\\u00g0\""), "invalid character 'g' in \\u hexadecimal character escape");
	CHECK_STR(READ("-x"), "invalid character 'x' in numeric literal");
	CHECK_STR(READ("1.x"), "invalid character 'x' after decimal point in numeric literal");
	CHECK_STR(READ("1ex"), "invalid character 'x' in exponent of numeric literal");
	CHECK_STR(READ("+1"), "invalid character '+' looking for beginning of value");
	CHECK_STR(READ("NaN"), "invalid character 'N' looking for beginning of value");
	CHECK_STR(READ("nul!"), "invalid character '!' in literal null (expecting 'l')");
	CHECK_STR(READ("[01]"), "invalid character '1' after array element");
}

TEST(members)
{
	struct json_doc d;
	struct err e = ERR_INIT;
	const char text[] = "{\"path\":1,\"x\":{\"path\":9},\"PATH\":2,\"Path \":3}";

	CHECK_OK(json_parse(&d, text, sizeof(text) - 1, &e), &e);
	CHECK_STR(json_text(&d, json_member(&d, d.nodes, "path")), "2");
	CHECK_STR(json_text(&d, json_member(&d, json_member(&d, d.nodes, "x"), "pAth")), "9");
	CHECK(!json_member(&d, d.nodes, "pat"));
	CHECK(!json_member(&d, json_member(&d, d.nodes, "path"), "path"));
	CHECK_INT(json_member(&d, d.nodes, "x")->source, 14);
	CHECK_INT(json_member(&d, d.nodes, "x")->source_len, 10);
	json_doc_free(&d);
}

static const char *number(const char *text)
{
	static char shown[100];
	struct json_doc d;
	int64_t i = 0;
	uint64_t u = 0;
	bool is_i, is_u;

	if (json_parse(&d, text, strlen(text), NULL) < 0)
		return "unreadable";
	is_i = json_int64(&d, d.nodes, &i);
	is_u = json_uint64(&d, d.nodes, &u);
	snprintf(shown, sizeof(shown), "%s", is_i || is_u ? "" : "neither");
	if (is_i)
		snprintf(shown, sizeof(shown), "i%" PRId64, i);
	if (is_u)
		snprintf(shown + strlen(shown), 30, "u%" PRIu64, u);
	json_doc_free(&d);
	return shown;
}

TEST(whole_numbers)
{
	CHECK_STR(number("0"), "i0u0");
	CHECK_STR(number("-7"), "i-7");
	CHECK_STR(number("9223372036854775807"), "i9223372036854775807u9223372036854775807");
	CHECK_STR(number("-9223372036854775808"), "i-9223372036854775808");
	CHECK_STR(number("9223372036854775808"), "u9223372036854775808");
	CHECK_STR(number("18446744073709551616"), "neither");
	CHECK_STR(number("1.0"), "neither");
	CHECK_STR(number("1e3"), "neither");
	CHECK_STR(number("\"1\""), "neither");
	CHECK_STR(number("true"), "neither");
}

/* n times `open`, then what follows. */
static const char *repeated(const char *open, size_t n, const char *rest)
{
	static char shown[100];
	struct buf text = { .data = NULL };
	struct json_doc d;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		buf_str(&text, open);
	buf_str(&text, rest);
	if (json_parse(&d, buf_text(&text), text.len, &e) == 0) {
		snprintf(shown, sizeof(shown), "%u nodes", d.count);
		json_doc_free(&d);
	} else {
		snprintf(shown, sizeof(shown), "%.90s", e.text);
	}
	buf_free(&text);
	return shown;
}

TEST(limits)
{
	CHECK_STR(repeated("[", 1000, ""), "unexpected EOF");
	CHECK_STR(repeated("[", 1001, ""), "exceeded max depth");
	CHECK_STR(repeated("{\"a\":", 100000, ""), "exceeded max depth");
	CHECK_STR(repeated("[[],", 0, "[1,2]"), "3 nodes");
	CHECK_STR(repeated(" ", (16 << 20) + 1, ""), "JSON text too large");
	CHECK_STR(repeated("[", 1, "[0]"), "unexpected EOF");
}

TEST(too_many_values)
{
	struct buf text = { .data = NULL };
	struct json_doc d;
	struct err e = ERR_INIT;
	int rc;

	buf_char(&text, '[');
	for (int i = 0; i < JSON_NODES_MAX - 1; i++)
		buf_str(&text, "0,");
	text.data[text.len - 1] = ']';
	CHECK_OK(json_parse(&d, buf_text(&text), text.len, &e), &e);
	CHECK_INT(d.count, JSON_NODES_MAX);
	json_doc_free(&d);
	text.data[text.len - 1] = ',';
	buf_str(&text, "0]");
	rc = json_parse(&d, buf_text(&text), text.len, &e);
	buf_free(&text);
	CHECK_INT(rc, -1);
	CHECK_INT(e.code, ERR_LIMIT);
	CHECK_STR(e.text, "too many JSON values");
}

TEST_MAIN
