/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as XML. Nothing may crash; reads in other portions give the same events; depth goes up and down by one, and
 * what is complete is balanced.
 */
#include <assert.h>
#include <string.h>

#include "s3/error.h"
#include "s3/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size, at, piece;
};

static int give(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct input *in = ctx;

	(void)e;
	if (n > in->piece)
		n = in->piece;
	if (n > in->size - in->at)
		n = in->size - in->at;
	if (n > 0)
		memcpy(bytes, in->data + in->at, n);
	in->at += n;
	*got = n;
	return 0;
}

/* A sum over all that was said. */
static uint64_t walk(const uint8_t *data, size_t size, size_t piece, bool skip_b)
{
	static struct xml x;
	struct input in = { data, size, 0, piece };
	uint64_t sum = 0;
	int depth = 0;

	xml_init(&x, give, &in);
	for (;;) {
		struct err e = ERR_INIT;
		enum xml_event event = xml_next(&x, &e);

		if (event == XML_START && skip_b && x.name[0] == 'b')
			event = xml_skip(&x, &e) == 0 ? XML_END : XML_ERROR;
		else if (event == XML_START)
			assert(x.depth == ++depth && x.depth <= XML_DEPTH_MAX);
		else if (event == XML_END)
			assert(x.depth == --depth && depth >= 0);
		sum = sum * 31 + (uint64_t)event;
		if (event == XML_ERROR)
			assert(e.code == ERR_CORRUPT && e.text[0]);
		if (event == XML_EOF)
			assert(depth == 0);
		if (event == XML_EOF || event == XML_ERROR)
			break;
		for (const char *s = x.name; *s; s++)
			sum = sum * 31 + (uint8_t)*s;
		assert(strlen(xml_text(&x)) <= XML_TEXT_MAX);
		for (const char *s = xml_text(&x); event == XML_END && !skip_b && *s; s++)
			sum = sum * 31 + (uint8_t)*s;
	}
	xml_free(&x);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size, 0, 1 << 20 };
	static struct xml x;
	struct s3_error error;

	assert(walk(data, size, 1 << 20, false) == walk(data, size, 1 + size % 5, false));
	walk(data, size, 1 << 20, true);
	s3_error_from_status(&error, 503);
	xml_init(&x, give, &in);
	if (xml_next(&x, NULL) == XML_START)
		(void)s3_error_take(&error, &x, NULL);
	xml_free(&x);
	assert(error.code[0]);
	return 0;
}
