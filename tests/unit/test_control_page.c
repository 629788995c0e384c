/* SPDX-License-Identifier: MIT */
/* test_control_page.c - the page is whole, small, and its policy fits it. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/check.h"
#include "lib/base/sha256.h"
#include "lib/control/page.h"

static char *html;

static bool load(void)
{
	struct buf out = { .data = NULL };

	if (page_html(&out, NULL) != 0)
		return false;
	html = (char *)(uintptr_t)buf_text(&out); /* ours to free */
	return strlen(html) == out.len;
}

/* 'sha256-…' of what stands between <name> and </name>. */
static void hash_of(const char *name, char out[60])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char open_tag[20], close_tag[20];
	uint8_t sum[SHA256_SIZE + 1] = { 0 };
	const char *from, *to;
	char *at = out;

	snprintf(open_tag, sizeof(open_tag), "<%s>", name);
	snprintf(close_tag, sizeof(close_tag), "</%s>", name);
	from = strstr(html, open_tag) + strlen(open_tag);
	to = strstr(from, close_tag);
	sha256(from, (size_t)(to - from), sum);
	at += sprintf(at, "'sha256-");
	for (int i = 0; i < 33; i += 3) {
		unsigned x = (unsigned)sum[i] << 16 | (unsigned)sum[i + 1] << 8 | sum[i + 2];

		for (int k = 18; k >= 0; k -= 6)
			*at++ = digits[x >> k & 63];
	}
	at[-1] = '='; /* 32 bytes are 43 digits */
	strcpy(at, "'");
}

TEST(the_page_is_whole)
{
	CHECK(load());
	CHECK(!strncmp(html, "<!DOCTYPE html>\n", 16));
	CHECK_STR(html + strlen(html) - 8, "</html>\n");
	CHECK(strlen(html) <= 12 << 10);
	/* Nothing from elsewhere; the one address is the namespace of SVG, which nobody fetches, and that of HTML. */
	CHECK(!strstr(html, "src=") && !strstr(html, "@import") && !strstr(html, "url("));
	for (const char *at = html; (at = strstr(at, "http")); at++)
		CHECK(!strncmp(at, "http://www.w3.org/", 18));
	free(html);
}

TEST(the_policy_names_what_is_in_it)
{
	static const char *const names[] = { "script", "style" };
	char hash[60];

	CHECK(load());
	for (int i = 0; i < 2; i++) {
		hash_of(names[i], hash);
		if (!strstr(page_fields(), hash))
			CHECK_FAIL("%s-src must be %s", names[i], hash);
	}
	CHECK(!strstr(page_fields(), "unsafe"));
	CHECK_STR(page_fields() + strlen(page_fields()) - 2, "\r\n");
	/* Text from outside is never taken for markup. */
	CHECK(!strstr(html, "innerHTML") && !strstr(html, "insertAdjacent") && !strstr(html, "document.write"));
	CHECK(!strstr(html, " style=") && !strstr(html, " onclick="));
	free(html);
}
TEST_MAIN
