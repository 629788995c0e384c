/* SPDX-License-Identifier: MIT */
#include "json/json.h"

static bool copy_container(struct json_writer *w, const struct json_doc *d, const struct json_node *n)
{
	bool object = n->type == JSON_OBJECT, ok = w->depth < JSON_DEPTH_MAX - 1;

	if (!ok)
		return false;
	(object ? json_object_begin : json_array_begin)(w);
	for (const struct json_node *c = json_first(d, n); c && ok; c = json_next(d, n, c)) {
		if (object)
			json_key(w, json_key_text(d, c));
		ok = json_copy(w, d, c);
	}
	if (ok)
		(object ? json_object_end : json_array_end)(w);
	return ok;
}

bool json_copy(struct json_writer *w, const struct json_doc *d, const struct json_node *n)
{
	switch (n->type) {
	case JSON_NULL:
		json_null(w);
		return true;
	case JSON_BOOL:
		json_bool(w, n->truth);
		return true;
	case JSON_NUMBER:
		json_number(w, json_text(d, n));
		return true;
	case JSON_STRING:
		json_string(w, json_text(d, n));
		return true;
	default:
		return copy_container(w, d, n);
	}
}
