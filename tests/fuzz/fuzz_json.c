/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a JSON text. What is read is a tree whose parts lie where they say, every value read again by itself is
 * the same value, and a text that was cut short asks for more.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_node(const struct json_doc *d, uint32_t i, size_t size)
{
	const struct json_node *n = &d->nodes[i], *c;
	uint32_t count = 0, at = i + 1;

	assert(n->source_len > 0 && (size_t)n->source + n->source_len <= size);
	assert(n->skip > i && n->skip <= d->count);
	assert((size_t)n->text + n->len < d->text.len && json_text(d, n)[n->len] == 0);
	assert((size_t)n->key + n->key_len < d->text.len && json_key_text(d, n)[n->key_len] == 0);
	for (c = json_first(d, n); c; c = json_next(d, n, c), count++) {
		assert(c == &d->nodes[at]);
		at = c->skip;
		if (n->type == JSON_OBJECT && strlen(json_key_text(d, c)) == c->key_len && count < 100)
			assert(json_member(d, n, json_key_text(d, c)) >= c);
	}
	assert(count == n->count && at == n->skip);
}

static void check_again(const struct json_doc *d, const struct json_node *n, const char *data)
{
	struct json_doc again;

	assert(json_parse(&again, data + n->source, n->source_len, NULL) == 0);
	assert(again.nodes[0].type == n->type && again.nodes[0].count == n->count);
	assert(again.nodes[0].len == n->len && memcmp(json_text(&again, &again.nodes[0]), json_text(d, n), n->len) == 0);
	assert(again.used == n->source_len);
	json_doc_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_doc d;
	struct err e = ERR_INIT;
	int64_t i;
	uint64_t u;

	if (json_parse(&d, (const char *)data, size, &e) < 0) {
		assert(e.text[0] && (e.sys == 1) == (strcmp(e.text, "EOF") == 0 || strcmp(e.text, "unexpected EOF") == 0));
		return 0;
	}
	assert(d.count > 0 && d.used <= size);
	for (uint32_t n = 0; n < d.count; n++) {
		check_node(&d, n, size);
		json_int64(&d, &d.nodes[n], &i);
		json_uint64(&d, &d.nodes[n], &u);
		if (n < 16)
			check_again(&d, &d.nodes[n], (const char *)data);
	}
	if (d.nodes[0].type != JSON_NUMBER) {
		struct json_doc cut;

		assert(json_parse(&cut, (const char *)data, d.used - 1, &e) < 0 && e.sys == 1);
	}
	json_doc_free(&d);
	return 0;
}
