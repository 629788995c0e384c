/* SPDX-License-Identifier: MIT */
/*
 * Any text as an s3:// URL, up to the address of a request. What is accepted has a bucket and a prefix; the request target
 * holds nothing but what a request line may hold.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "s3/address.h"
#include "s3/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct s3_settings *s)
{
	struct s3_address a;
	struct err e = ERR_INIT;
	struct buf path = { .data = NULL }, identity = { .data = NULL };

	s3_settings_identity(&identity, s);
	buf_free(&identity);
	if (s3_address_make(s, s->region ? s->region : "eu-west-1", &a, &e) != 0) {
		assert(e.text[0]);
		return;
	}
	s3_address_path(&path, &a, s->prefix);
	for (const char *c = buf_text(&path); *c; c++)
		assert((unsigned char)*c > 0x20 && *c != '?' && *c != '#' && (unsigned char)*c < 0x7f);
	for (const char *c = a.host; *c; c++)
		assert((unsigned char)*c > 0x20 && *c != '/' && *c != '?');
	buf_free(&path);
	s3_address_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *url = malloc(size + 6);
	struct s3_settings s;
	struct err e = ERR_INIT;

	memcpy(url, "s3://", 5);
	memcpy(url + 5, data, size);
	url[size + 5] = '\0';
	if (s3_settings_make(&(struct s3_given){ .url = url }, &s, &e) == 0) {
		assert(s.bucket[0] && s.prefix && s.concurrency >= 1 && s.concurrency <= S3_CONCURRENCY_MAX);
		if (!s.problem)
			use(&s);
		s3_settings_free(&s);
	} else {
		assert(e.code == ERR_INVALID || e.code == ERR_LIMIT);
	}
	free(url);
	return 0;
}
