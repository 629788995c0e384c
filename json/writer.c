/* SPDX-License-Identifier: MIT */
#include "json/json.h"

#include <assert.h>
#include <inttypes.h>

#include "lib/base/escape.h"

void json_writer_init(struct json_writer *w, struct buf *out, bool indent)
{
	*w = (struct json_writer){ .out = out, .indent = indent };
}

static void new_line(struct json_writer *w)
{
	if (!w->indent)
		return;
	buf_char(w->out, '\n');
	for (int i = 0; i < w->depth; i++)
		buf_append(w->out, "  ", 2);
}

/* The comma and line break in front of a key, or of an element of an array. */
static void before_item(struct json_writer *w)
{
	if (w->has_item[w->depth])
		buf_char(w->out, ',');
	w->has_item[w->depth] = true;
	new_line(w);
}

static void before_value(struct json_writer *w)
{
	if (w->in_object[w->depth]) {
		assert(w->after_key);
		w->after_key = false;
	} else if (w->depth > 0) {
		before_item(w);
	} else {
		assert(!w->has_item[0]);
		w->has_item[0] = true;
	}
}

static void begin(struct json_writer *w, bool object)
{
	before_value(w);
	assert(w->depth < JSON_DEPTH_MAX - 1);
	w->depth++;
	w->has_item[w->depth] = false;
	w->in_object[w->depth] = object;
	buf_char(w->out, object ? '{' : '[');
}

static void end(struct json_writer *w, bool object)
{
	bool had_item = w->has_item[w->depth];

	assert(w->depth > 0 && w->in_object[w->depth] == object && !w->after_key);
	w->depth--;
	if (had_item)
		new_line(w);
	buf_char(w->out, object ? '}' : ']');
}

void json_object_begin(struct json_writer *w) { begin(w, true); }
void json_object_end(struct json_writer *w) { end(w, true); }
void json_array_begin(struct json_writer *w) { begin(w, false); }
void json_array_end(struct json_writer *w) { end(w, false); }

void json_key(struct json_writer *w, const char *key)
{
	assert(w->in_object[w->depth] && !w->after_key);
	before_item(w);
	json_quote(w->out, key);
	buf_append(w->out, ": ", w->indent ? 2 : 1);
	w->after_key = true;
}

void json_string(struct json_writer *w, const char *value)
{
	before_value(w);
	json_quote(w->out, value);
}

void json_int(struct json_writer *w, int64_t value)
{
	before_value(w);
	buf_fmt(w->out, "%" PRId64, value);
}

void json_uint(struct json_writer *w, uint64_t value)
{
	before_value(w);
	buf_fmt(w->out, "%" PRIu64, value);
}

void json_number(struct json_writer *w, const char *text)
{
	before_value(w);
	buf_str(w->out, text);
}

void json_bool(struct json_writer *w, bool value)
{
	before_value(w);
	buf_str(w->out, value ? "true" : "false");
}

void json_null(struct json_writer *w)
{
	before_value(w);
	buf_str(w->out, "null");
}

/* How many bytes at s stand for themselves, as nearly all of every path and word do. */
static size_t plain(const char *s)
{
	size_t n = 0;

	while (s[n] >= ' ' && s[n] < 0x7f && s[n] != '"' && s[n] != '\\' && s[n] != '<' && s[n] != '>' && s[n] != '&')
		n++;
	return n;
}

void json_quote(struct buf *out, const char *value)
{
	char piece[ESCAPE_SIZE];

	buf_char(out, '"');
	while (*value) {
		size_t n = plain(value);

		if (n > 0) {
			buf_append(out, value, n);
			value += n;
		} else {
			n = escape_json(&value, piece);
			buf_append(out, piece, n);
		}
	}
	buf_char(out, '"');
}
