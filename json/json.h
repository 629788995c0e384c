/* SPDX-License-Identifier: MIT */
/*
 * json.h - a JSON writer and a JSON reader.
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
#include "lib/base/err.h"

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
void json_number(struct json_writer *w, const char *text); /* a number as it is to be written */
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
/* The string alone, with its quotes. */
void json_quote(struct buf *out, const char *value);

/* ---- reader ---- */

/*
 * A whole document in memory becomes an array of nodes in document order (no recursion, no pointers): a container is
 * followed by its children, node.skip leads behind it. Strings are decoded to UTF-8 (bad surrogates and bad UTF-8
 * become U+FFFD as in Go); a string with an embedded U+0000 keeps its length. Numbers keep their text.
 */
enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
	enum json_type type;
	uint32_t key, key_len;     /* inside an object: offset of the decoded key in doc.text; else 0 */
	uint32_t text, len;        /* STRING: decoded; NUMBER: as written; NUL-terminated in doc.text */
	uint32_t source, source_len; /* the value's own bytes in the input */
	uint32_t skip;             /* index of the node behind this one and all inside it */
	uint32_t count;            /* children of a container */
	bool truth;                /* BOOL */
};

struct json_doc {
	struct json_node *nodes;   /* [0] is the document's value */
	uint32_t count, cap;
	struct buf text;
	size_t used;               /* input bytes up to the end of the first value */
};

enum { JSON_INPUT_MAX = 16 << 20, JSON_READ_DEPTH_MAX = 1000, JSON_NODES_MAX = 1 << 20 };

/*
 * Parses the first JSON value of bytes[0 … n); what follows it is left (doc.used). ERR_INVALID with Go's wording: "EOF"
 * (empty), "unexpected EOF", "invalid character 'p' looking for beginning of object key string"; ERR_LIMIT beyond the
 * bounds above. err.sys is 1 when more input could still complete it. *d need not be initialised; it must be freed
 * after a success only, and does not refer to bytes.
 */
int json_parse(struct json_doc *d, const char *bytes, size_t n, struct err *e);
void json_doc_free(struct json_doc *d);

const char *json_text(const struct json_doc *d, const struct json_node *n); /* STRING and NUMBER; never NULL */
const char *json_key_text(const struct json_doc *d, const struct json_node *n);
/* Member of an object: the last one of that name, names compared without regard to ASCII case, as Go fills a struct;
 * NULL = none or not an object. */
const struct json_node *json_member(const struct json_doc *d, const struct json_node *object, const char *name);
/* Children in order: json_first(), then json_next() until NULL. */
const struct json_node *json_first(const struct json_doc *d, const struct json_node *container);
const struct json_node *json_next(const struct json_doc *d, const struct json_node *container,
                                  const struct json_node *child);
/* Whole numbers only ("1.5", "1e3" and out of range are refused, as Go refuses them for integers). */
bool json_int64(const struct json_doc *d, const struct json_node *n, int64_t *value);
bool json_uint64(const struct json_doc *d, const struct json_node *n, uint64_t *value);

/* Writes what was read; false when it is nested too deeply for the writer (the output is then of no use). */
bool json_copy(struct json_writer *w, const struct json_doc *d, const struct json_node *n);

#endif
