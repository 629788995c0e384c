/* SPDX-License-Identifier: MIT */
/*
 * Any texts as key, query and fields of a request. What is signed is what is sent: the escaped forms decode to what they
 * came from, queries are sorted, and the canonical request has exactly its lines.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/message.h"
#include "s3/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS = 9 };

static void check_escaped(const char *word, bool slash)
{
	struct buf out = { .data = NULL };

	sigv4_escape(&out, word, slash);
	char *copy = strdup(buf_text(&out));
	assert(http_unescape(copy, false) && strcmp(copy, word) == 0);
	for (const char *s = buf_text(&out); *s; s++)
		assert((unsigned char)*s > 0x20 && (unsigned char)*s < 0x7f && *s != '+' && *s != '&' && *s != '=' && *s != '?');
	free(copy);
	buf_free(&out);
}

static void check_query(struct sigv4_pair *pairs, int count)
{
	struct buf out = { .data = NULL };
	char *last = NULL;

	sigv4_query(&out, pairs, count);
	for (char *p = out.data ? (char *)out.data : NULL; p && *p;) {
		char *end = strchr(p, '&'), *equal;

		if (end)
			*end = '\0';
		equal = strchr(p, '=');
		assert(equal && !strchr(equal + 1, '='));
		*equal = '\0';
		assert(!last || strcmp(last, p) <= 0);
		last = p;
		p = end ? end + 1 : NULL;
	}
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *words[WORDS] = { "", "", "", "", "", "", "", "", "" };
	char *text = malloc(size + 1), *at = text, hex[SHA256_HEX_SIZE];
	struct buf path = { .data = NULL }, query = { .data = NULL }, canonical = { .data = NULL }, line = { .data = NULL };
	struct sigv4_key key = { .valid = false };
	int lines = 0;

	memcpy(text, data, size);
	text[size] = '\0';
	for (int i = 0; i < WORDS && at < text + size; i++) {
		words[i] = at;
		at += strlen(at) + 1;
	}
	check_escaped(words[0], true);
	check_escaped(words[1], false);
	struct sigv4_pair pairs[3] = { { words[1], words[2] }, { words[3], words[4] }, { words[5], words[0] } };
	check_query(pairs, 3);
	/* Requests with line ends in a field are refused before they are signed. */
	for (int i = 6; i < WORDS; i++) {
		if (strpbrk(words[i], "\r\n"))
			words[i] = "x";
	}
	const struct sigv4_pair fields[4] = { { "x-amz-meta-b", words[6] }, { "host", words[7] }, { "range", words[8] },
		{ "user-agent", words[0] } };
	buf_char(&path, '/');
	sigv4_escape(&path, words[0], true);
	sigv4_query(&query, pairs, 3);
	const struct sigv4_request rq = { .method = "GET", .path = buf_text(&path), .query = buf_text(&query), .fields = fields,
		.field_count = 4, .payload = SIGV4_UNSIGNED_PAYLOAD, .time_s = (int64_t)size * 1000003, .region = "r", .service = "s3",
		.access_key_id = "id", .secret = words[8] };
	sigv4_canonical(&canonical, &rq);
	for (const char *c = buf_text(&canonical); *c; c++)
		lines += *c == '\n';
	assert(lines == 8); /* method, path, query, three fields, a blank line, names; the payload has no line end */
	sigv4_signature(&key, &rq, buf_text(&canonical), canonical.len, hex);
	sigv4_authorization(&line, &key, &rq);
	assert(strlen(hex) == 64 && strstr(buf_text(&line), hex) && strstr(buf_text(&line), "SignedHeaders=host;range;x-amz-meta-b,"));
	buf_free(&path);
	buf_free(&query);
	buf_free(&canonical);
	buf_free(&line);
	free(text);
	return 0;
}
