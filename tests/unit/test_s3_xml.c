/* SPDX-License-Identifier: MIT */
#include "s3/xml.h"

#include <stdlib.h>

#include "tests/check.h"

struct input {
	const char *bytes;
	size_t n, at, piece;
};

static int give(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct input *in = ctx;

	(void)e;
	if (n > in->piece)
		n = in->piece;
	if (n > in->n - in->at)
		n = in->n - in->at;
	memcpy(bytes, in->bytes + in->at, n);
	in->at += n;
	*got = n;
	return 0;
}

/* "name( … name=text)": one word per event; "!error" at the end of a bad document. */
static const char *events_of(const char *bytes, size_t n, size_t piece, const char *skip)
{
	static char out[4096];
	struct input in = { bytes, n, 0, piece };
	struct buf b = { .limit = 4000 };
	struct err e = ERR_INIT;
	static struct xml x;

	xml_init(&x, give, &in);
	for (;;) {
		enum xml_event event = xml_next(&x, &e);

		if (event == XML_START && skip && strcmp(x.name, skip) == 0) {
			if (xml_skip(&x, &e) != 0)
				event = XML_ERROR;
			else
				continue;
		}
		if (event == XML_START)
			buf_fmt(&b, "%s(", x.name);
		else if (event == XML_END)
			buf_fmt(&b, "%s=%s)", x.name, xml_text(&x));
		else if (event == XML_ERROR)
			buf_fmt(&b, "!%s", e.text);
		if (event == XML_EOF || event == XML_ERROR)
			break;
	}
	snprintf(out, sizeof(out), "%s", buf_text(&b));
	buf_free(&b);
	xml_free(&x);
	return out;
}

static const char *events(const char *text)
{
	return events_of(text, strlen(text), 1 << 20, NULL);
}

TEST(documents)
{
	static const struct { const char *xml, *want; } rows[] = {
		{ "<a/>", "a(a=)" },
		{ "<a>x</a>", "a(a=x)" },
		{ "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a><b>1</b><c/> <b>2</b></a>\n",
			"a(b(b=1)c(c=)b(b=2)a=)" },
		{ "\xef\xbb\xbf<a/>", "a(a=)" },
		{ "\r\n\t <a/>", "a(a=)" },
		{ "<s:a xmlns:s=\"u>/\" b='\"'><s:b>x</s:b></s:a>", "a(b(b=x)a=)" },
		{ "<a><!-- <b> -- - --->x<!----></a>", "a(a=x)" },
		{ "<a>1 &lt;&gt;&amp;&quot;&apos;&#65;&#x42;&#xe4;&#x20ac;&#x1F600; 2</a>",
		  "a(a=1 <>&\"'AB\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 2)" },
		{ "<a>x<![CDATA[<&]]]]>]]>y</a>", "a(a=x<&]]]]>y)" }, /* the text goes on behind the first end */
		{ "<a>x<![CDATA[<&]]]>y</a>", "a(a=x<&]y)" },
		{ "<a>x]]>y</a>", "a(a=x]]>y)" }, /* no error here */
		{ "<a>text<b/>more</a>", "a(b(b=)a=)" },
		{ "<a b = \"1\" />", "a(a=)" },
		{ "<a ></a >", "a(a=)" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_STR(events(rows[i].xml), rows[i].want);
		for (size_t piece = 1; piece < 4; piece++)
			CHECK_STR(events_of(rows[i].xml, strlen(rows[i].xml), piece, NULL), rows[i].want);
	}
}

TEST(defects)
{
	static const struct { const char *xml, *want; } rows[] = {
		{ "", "!malformed XML: it is empty" },
		{ " \n", "!malformed XML: it is empty" },
		{ "hello", "!malformed XML: text outside of any element" },
		{ "<a>", "a(!malformed XML: it ends too early" },
		{ "<a", "!malformed XML: it ends too early" },
		{ "<a></b>", "a(!malformed XML: a tag that closes nothing" },
		{ "<a/><b/>", "a(a=)!malformed XML: a second root" },
		{ "<a/>x", "a(a=)!malformed XML: text outside of any element" },
		{ "</a>", "!malformed XML: a tag that closes nothing" },
		{ "<!DOCTYPE html><html></html>", "!malformed XML: a document type declaration" },
		{ "<a><!ENTITY x \"y\"></a>", "a(!malformed XML: a document type declaration" },
		{ "<a>&nbsp;</a>", "a(!malformed XML: an unknown entity" },
		{ "<a>&#0;</a>", "a(!malformed XML: an unknown entity" },
		{ "<a>&#xd800;</a>", "a(!malformed XML: an unknown entity" },
		{ "<a>&#x110000;</a>", "a(!malformed XML: an unknown entity" },
		{ "<a>&#;</a>", "a(!malformed XML: an unknown entity" },
		{ "<a>&averylongentityname;</a>", "a(!malformed XML: an unknown entity" },
		{ "<a>& b</a>", "a(!malformed XML: it ends too early" },
		{ "< a/>", "!malformed XML: a bad name" },
		{ "<a <b/>", "!malformed XML: a tag inside a tag" },
		{ "<![CDATA[x]]>", "!malformed XML: a document type declaration" },
		{ "<a><!-x--></a>", "a(!malformed XML: an unexpected declaration" },
		{ "<1><2><3><4><5><6><7><8><9>", "1(2(3(4(5(6(7(8(!malformed XML: elements too deep inside each "
			"other" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_STR(events(rows[i].xml), rows[i].want);
	CHECK_STR(events_of("<a>\0</a>", 8, 99, NULL), "a(!malformed XML: a NUL byte");
}

TEST(limits)
{
	struct buf b = { .data = NULL };
	const char *got;

	buf_str(&b, "<a><b>");
	for (int i = 0; i < XML_TEXT_MAX; i++)
		buf_char(&b, 'x');
	buf_str(&b, "x</b><c>1</c></a>");
	got = events_of(buf_text(&b), b.len, 1000, "b");
	CHECK_STR(got, "a(c(c=1)a=)"); /* text that nobody wants has no limit */
	got = events_of(buf_text(&b), b.len, 1000, NULL);
	CHECK_STR(got, "a(b(!malformed XML: the text of b is too long");
	buf_reset(&b);
	buf_str(&b, "<a>");
	for (int i = 0; i < 3 * XML_TEXT_MAX; i++)
		buf_char(&b, ' ');
	buf_str(&b, "<b>1</b></a>");
	got = events_of(buf_text(&b), b.len, 1000, NULL);
	CHECK_STR(got, "a(b(b=1)a=)"); /* blanks between elements neither */
	buf_reset(&b);
	buf_char(&b, '<');
	for (int i = 0; i < XML_NAME_SIZE; i++)
		buf_char(&b, 'n');
	buf_str(&b, "/>");
	got = events_of(buf_text(&b), b.len, 1000, NULL);
	CHECK_STR(got, "!malformed XML: a name that is too long");
	buf_reset(&b);
	buf_str(&b, "<a b=\"");
	for (int i = 0; i < 9000; i++)
		buf_char(&b, 'n');
	buf_str(&b, "\"/>");
	got = events_of(buf_text(&b), b.len, 1000, NULL);
	buf_free(&b);
	CHECK_STR(got, "!malformed XML: a tag that is too long");
}

TEST(skipping)
{
	CHECK_STR(events_of("<a><o><b>&amp;</b><o/></o><c>2</c><o/></a>", 42, 3, "o"), "a(c(c=2)a=)");
	CHECK_STR(events_of("<a><o><b></o></a>", 17, 3, "o"), "a(!malformed XML: a tag that closes nothing");
}

TEST_MAIN
