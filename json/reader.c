/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json/json.h"
#include "json/token.h"

struct reader {
	struct json_input in;
	struct json_doc *d;
	uint32_t parents[JSON_READ_DEPTH_MAX]; /* the containers that are open */
	int depth;
	uint32_t key, key_len;                 /* of the value that comes next */
};

/* A node for the value that begins here; NULL when there may be no more. */
static struct json_node *add_node(struct reader *r, enum json_type type)
{
	struct json_doc *d = r->d;
	struct json_node *n;

	if (d->count == d->cap) {
		uint32_t cap = d->cap ? d->cap * 2 : 16;
		struct json_node *nodes = cap <= JSON_NODES_MAX ? realloc(d->nodes, cap * sizeof(*nodes)) : NULL;

		if (!nodes) {
			if (cap > JSON_NODES_MAX)
				err_set(r->in.e, ERR_LIMIT, "too many JSON values");
			else
				err_nomem(r->in.e);
			return NULL;
		}
		d->nodes = nodes;
		d->cap = cap;
	}
	if (r->depth > 0)
		d->nodes[r->parents[r->depth - 1]].count++;
	n = &d->nodes[d->count++];
	*n = (struct json_node){
		.type = type, .key = r->key, .key_len = r->key_len, .source = (uint32_t)r->in.at, .skip = d->count,
	};
	r->key = r->key_len = 0;
	return n;
}

static int open_container(struct reader *r, enum json_type type)
{
	if (r->depth == JSON_READ_DEPTH_MAX)
		return err_set(r->in.e, ERR_LIMIT, "exceeded max depth");
	if (!add_node(r, type))
		return -1;
	r->parents[r->depth++] = r->d->count - 1;
	r->in.at++;
	return 0;
}

static void close_container(struct reader *r)
{
	struct json_node *n = &r->d->nodes[r->parents[--r->depth]];

	r->in.at++;
	n->source_len = (uint32_t)r->in.at - n->source;
	n->skip = r->d->count;
}

static int take_scalar(struct reader *r, int c)
{
	bool word = c == 't' || c == 'f';
	enum json_type type = c == '"' ? JSON_STRING : c == 'n' ? JSON_NULL : word ? JSON_BOOL : JSON_NUMBER;
	struct json_node *n = add_node(r, type);
	int rc;

	if (!n)
		return -1;
	n->truth = c == 't';
	if (type == JSON_STRING)
		rc = json_take_string(&r->in, &r->d->text, &n->text, &n->len);
	else if (type == JSON_NUMBER)
		rc = json_take_number(&r->in, &r->d->text, &n->text, &n->len);
	else
		rc = json_take_word(&r->in, c == 'n' ? "null" : c == 't' ? "true" : "false");
	n->source_len = (uint32_t)r->in.at - n->source;
	return rc;
}

/* A value, or the beginning of a container. */
static int take_value(struct reader *r)
{
	int c = json_peek(&r->in);

	if (c == '{' || c == '[')
		return open_container(r, c == '{' ? JSON_OBJECT : JSON_ARRAY);
	if (c == '"' || c == '-' || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n')
		return take_scalar(r, c);
	return json_refuse(&r->in, "looking for beginning of value");
}

/* "key": */
static int take_key(struct reader *r)
{
	if (json_peek(&r->in) != '"')
		return json_refuse(&r->in, "looking for beginning of object key string");
	if (json_take_string(&r->in, &r->d->text, &r->key, &r->key_len) < 0)
		return -1;
	if (json_peek(&r->in) != ':')
		return json_refuse(&r->in, "after object key");
	r->in.at++;
	return 0;
}

/* Inside a container: the next member or element, or its end. */
static int take_next(struct reader *r)
{
	const struct json_node *parent = &r->d->nodes[r->parents[r->depth - 1]];
	bool object = parent->type == JSON_OBJECT;
	int c = json_peek(&r->in);

	if (c == (object ? '}' : ']')) {
		close_container(r);
		return 0;
	}
	if (parent->count > 0) {
		if (c != ',')
			return json_refuse(&r->in, object ? "after object key:value pair" : "after array element");
		r->in.at++;
	}
	if (object && take_key(r) < 0)
		return -1;
	return take_value(r);
}

static int parse(struct reader *r)
{
	buf_char(&r->d->text, 0); /* offset 0 is the empty text */
	if (json_peek(&r->in) < 0) {
		err_set(r->in.e, ERR_INVALID, "EOF");
		if (r->in.e)
			r->in.e->sys = 1;
		return -1;
	}
	if (take_value(r) < 0)
		return -1;
	while (r->depth > 0)
		if (take_next(r) < 0)
			return -1;
	r->d->used = r->in.at;
	return buf_ok(&r->d->text) ? 0 : err_nomem(r->in.e);
}

int json_parse(struct json_doc *d, const char *bytes, size_t n, struct err *e)
{
	struct reader r = { .in = { .bytes = bytes, .n = n, .e = e }, .d = d };

	*d = (struct json_doc){ .nodes = NULL };
	if (n > JSON_INPUT_MAX)
		return err_set(e, ERR_LIMIT, "JSON text too large");
	if (parse(&r) == 0)
		return 0;
	json_doc_free(d);
	return -1;
}

void json_doc_free(struct json_doc *d)
{
	free(d->nodes);
	buf_free(&d->text);
	*d = (struct json_doc){ .nodes = NULL };
}

/* ---- looking at it ---- */

const char *json_text(const struct json_doc *d, const struct json_node *n)
{
	return (const char *)d->text.data + n->text;
}

const char *json_key_text(const struct json_doc *d, const struct json_node *n)
{
	return (const char *)d->text.data + n->key;
}

const struct json_node *json_first(const struct json_doc *d, const struct json_node *container)
{
	(void)d;
	return container->count > 0 ? container + 1 : NULL;
}

const struct json_node *json_next(const struct json_doc *d, const struct json_node *container,
                                  const struct json_node *child)
{
	return child->skip < container->skip ? &d->nodes[child->skip] : NULL;
}

const struct json_node *json_member(const struct json_doc *d, const struct json_node *object, const char *name)
{
	const struct json_node *found = NULL, *n;
	size_t len = strlen(name);

	if (object->type != JSON_OBJECT)
		return NULL;
	for (n = json_first(d, object); n; n = json_next(d, object, n))
		if (n->key_len == len && strncasecmp(json_key_text(d, n), name, len) == 0)
			found = n;
	return found;
}

/* Digits with a sign in front, nothing else. */
static bool is_whole(const struct json_doc *d, const struct json_node *n)
{
	const char *s = json_text(d, n);

	if (n->type != JSON_NUMBER)
		return false;
	s += *s == '-';
	return s[strspn(s, "0123456789")] == 0;
}

bool json_int64(const struct json_doc *d, const struct json_node *n, int64_t *value)
{
	if (!is_whole(d, n))
		return false;
	errno = 0;
	*value = strtoimax(json_text(d, n), NULL, 10);
	return errno == 0;
}

bool json_uint64(const struct json_doc *d, const struct json_node *n, uint64_t *value)
{
	if (!is_whole(d, n) || json_text(d, n)[0] == '-')
		return false;
	errno = 0;
	*value = strtoumax(json_text(d, n), NULL, 10);
	return errno == 0;
}
