/* SPDX-License-Identifier: MIT */
/*
 * json.h - a JSON writer.
 *
 * Writes either compact or with Go's MarshalIndent layout (two blanks, `"key": value`, empty array `[]`, empty object
 * `{}`), with Go's default escaping: `<`, `>`, `&`, U+2028 and U+2029 as \u escapes, control characters as \b \f \n \r
 * \t or \u00XX, invalid UTF-8 as \ufffd. Output is appended to a buf of the caller; failures are its sticky state.
 * Misuse (a value without its key, too deep nesting) is an assertion: the shape of our output is ours.
 */
#ifndef RIVULET_JSON_H
#define RIVULET_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"

enum { JSON_DEPTH_MAX = 32 };

struct json_writer {
	struct buf *out;
	bool indent;
	int depth;
	bool has_item[JSON_DEPTH_MAX];
	bool in_object[JSON_DEPTH_MAX];
	bool after_key;
};

void json_writer_init(struct json_writer *w, struct buf *out, bool indent);
void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_string(struct json_writer *w, const char *value);
void json_int(struct json_writer *w, int64_t value);
void json_uint(struct json_writer *w, uint64_t value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
/* The string alone, with its quotes. */
void json_quote(struct buf *out, const char *value);

#endif
