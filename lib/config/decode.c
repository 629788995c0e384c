/* SPDX-License-Identifier: MIT */
/*
 * A map of the tree into a struct, by a table of keys. Unknown keys are passed over; of a key written twice the last
 * one counts; what a `<<` merges in counts only where the map itself says nothing. A value of the wrong type is noted
 * and reading goes on, so that one message tells all of them, as Go's yaml.v2 does.
 */
#include <string.h>

#include "lib/base/text.h"
#include "lib/config/internal.h"

enum { COMPLAINTS_MAX = 10, MERGE_DEPTH_MAX = 32 };

const struct tree_node *decode_follow(const struct tree_node *n)
{
	/* An alias stands for a node that is complete, and that node may be an alias only through another name. */
	while (n->kind == TREE_ALIAS)
		n = n->child;
	return n;
}

bool decode_is_null(const struct tree_node *n)
{
	n = decode_follow(n);
	return n->kind == TREE_SCALAR && scalar_resolve(n).type == SCALAR_NULL;
}

int decode_visit(struct decoder *d, struct err *e)
{
	if (d->visits++ < CONFIG_VISITS_MAX)
		return 0;
	return err_set(e, ERR_LIMIT, "yaml: document contains excessive aliasing");
}

static const char *tag_name(const struct tree_node *n)
{
	static const char *const scalars[] = { "!!null", "!!bool", "!!int", "!!float", "!!str" };

	if (n->kind == TREE_MAP)
		return "!!map";
	return n->kind == TREE_LIST ? "!!seq" : scalars[scalar_resolve(n).type];
}

int decode_complain(struct decoder *d, const struct tree_node *n, const char *type)
{
	n = decode_follow(n);
	if (d->complaint_count++ >= COMPLAINTS_MAX)
		return 0;
	buf_fmt(&d->complaints, "\n  line %d: cannot unmarshal %s", n->line, tag_name(n));
	if (n->kind == TREE_SCALAR && n->len > 10)
		buf_fmt(&d->complaints, " `%.7s...`", n->text);
	else if (n->kind == TREE_SCALAR)
		buf_fmt(&d->complaints, " `%s`", n->text);
	buf_fmt(&d->complaints, " into %s", type);
	return 0;
}

/* ---- one value ---- */

static int read_bool(struct decoder *d, const struct tree_node *n, bool *truth, bool *given)
{
	struct scalar s;

	*given = false;
	if (n->kind != TREE_SCALAR)
		return decode_complain(d, n, "bool");
	s = scalar_resolve(n);
	if (s.type != SCALAR_BOOL && s.type != SCALAR_NULL)
		return decode_complain(d, n, "bool");
	*given = s.type == SCALAR_BOOL;
	*truth = s.truth;
	return 0;
}

static int read_int(struct decoder *d, const struct tree_node *n, int64_t *value)
{
	struct scalar s;

	if (n->kind != TREE_SCALAR)
		return decode_complain(d, n, "int");
	s = scalar_resolve(n);
	if (s.type == SCALAR_INT)
		*value = s.integer;
	else if (s.type == SCALAR_FLOAT && s.real > -9.2e18 && s.real < 9.2e18)
		*value = (int64_t)s.real;
	else if (s.type != SCALAR_NULL)
		return decode_complain(d, n, "int");
	return 0;
}

static int read_mode(struct decoder *d, const struct tree_node *n, uint32_t *value)
{
	char octal[24];
	struct scalar s;

	if (n->kind != TREE_SCALAR)
		return decode_complain(d, n, "uint32");
	s = scalar_resolve(n);
	if (s.type == SCALAR_NULL)
		return 0;
	if (s.type == SCALAR_FLOAT && s.real >= 0 && s.real <= UINT32_MAX)
		s = (struct scalar){ .type = SCALAR_INT, .integer = (int64_t)s.real };
	/* "0600": what people write who know other programs. */
	if (s.type == SCALAR_TEXT && n->len > 0 && n->len <= 6 && strspn(n->text, "01234567") == n->len) {
		octal[0] = '0';
		memcpy(octal + 1, n->text, n->len + 1);
		s.type = text_parse_int(octal, &s.integer, NULL) == 0 ? SCALAR_INT : SCALAR_TEXT;
	}
	if (s.type != SCALAR_INT || s.integer < 0 || s.integer > UINT32_MAX)
		return decode_complain(d, n, "uint32");
	*value = (uint32_t)s.integer;
	return 0;
}

int decode_keep(struct decoder *d, const struct tree_node *n, const char **value, struct err *e)
{
	*value = config_memory_text(d->memory, n->text, n->len);
	return *value ? 0 : err_nomem(e);
}

/* keep: the text outlives the tree. */
static int read_text(struct decoder *d, const struct tree_node *n, bool keep, const char **value, struct err *e)
{
	if (n->kind != TREE_SCALAR)
		return decode_complain(d, n, "string");
	*value = NULL;
	if (!keep || !n->len || decode_is_null(n))
		return 0;
	return decode_keep(d, n, value, e);
}

static int read_duration(struct decoder *d, const struct tree_node *n, int64_t *value)
{
	struct scalar s;

	if (n->kind != TREE_SCALAR)
		return decode_complain(d, n, "time.Duration");
	s = scalar_resolve(n);
	if (s.type == SCALAR_INT)
		*value = s.integer;
	else if (s.type == SCALAR_FLOAT && s.real > -9.2e18 && s.real < 9.2e18)
		*value = (int64_t)s.real;
	else if (s.type == SCALAR_TEXT && text_parse_duration(n->text, value, NULL) == 0)
		return 0;
	else if (s.type != SCALAR_NULL)
		return decode_complain(d, n, "time.Duration");
	if (s.type != SCALAR_NULL && *value != 0 && d->unitless_count++ == 0)
		d->unitless_line = n->line;
	return 0;
}

static int read_size(struct decoder *d, const struct tree_node *n, int64_t *value, struct err *e)
{
	if (n->kind != TREE_SCALAR)
		return decode_complain(d, n, "string");
	if (decode_is_null(n))
		return 0;
	return scalar_size(n->text, value, e);
}

static int read_any(struct decoder *d, const struct tree_node *n, bool *value, struct err *e)
{
	if (n->kind == TREE_SCALAR && decode_is_null(n))
		return 0;
	if (n->kind != TREE_LIST)
		return decode_complain(d, n, "[]string");
	for (const struct tree_node *c = n->child; c; c = c->next) {
		const char *text;

		if (decode_visit(d, e) || read_text(d, decode_follow(c), false, &text, e))
			return -1;
	}
	*value = n->count > 0;
	return 0;
}

static int read_value(struct decoder *d, const struct tree_node *n, const struct config_key *key, void *base,
                      struct err *e)
{
	union {
		int64_t integer;
		const char *text;
		bool truth;
	} nowhere = { 0 };
	void *to = key->offset == KEY_NOWHERE ? (void *)&nowhere : (char *)base + key->offset;
	bool truth = false, given;

	n = decode_follow(n);
	switch (key->type) {
	case KEY_BOOL:
		if (read_bool(d, n, &truth, &given))
			return -1;
		if (given)
			*(bool *)to = truth;
		return 0;
	case KEY_TRI:
		if (read_bool(d, n, &truth, &given))
			return -1;
		if (given && key->offset != KEY_NOWHERE)
			*(enum replica_tri *)to = truth ? REPLICA_YES : REPLICA_NO;
		return 0;
	case KEY_INT:
		return read_int(d, n, to);
	case KEY_MODE:
		return read_mode(d, n, to);
	case KEY_TEXT:
		return read_text(d, n, key->offset != KEY_NOWHERE, to, e);
	case KEY_DURATION:
		return read_duration(d, n, to);
	case KEY_SIZE:
		return read_size(d, n, to, e);
	case KEY_ANY:
		return read_any(d, n, to, e);
	case KEY_MAP:
		return decode_map(d, n, key->table, to, key->name, e);
	default:
		return key->read(d, n, base, e);
	}
}

/* ---- maps ---- */

static const struct config_key *find_key(const struct config_key *table, const struct tree_node *name)
{
	name = decode_follow(name);
	if (name->kind != TREE_SCALAR)
		return NULL;
	for (; table->type != KEY_END; table++) {
		if (strcmp(table->name, name->text) == 0)
			return table;
	}
	return NULL;
}

static bool is_merge(const struct tree_node *key)
{
	return key->kind == TREE_SCALAR && key->plain && strcmp(key->text, "<<") == 0;
}

static int read_pairs(struct decoder *d, const struct tree_node *map, const struct config_key *table, void *base,
                      struct err *e);

/* Of several merged maps the first that has a key wins: so the last is read first. */
static int merge(struct decoder *d, const struct tree_node *n, const struct config_key *table, void *base,
                 struct err *e)
{
	const struct tree_node *item;

	n = decode_follow(n);
	if (n->kind == TREE_MAP)
		return read_pairs(d, n, table, base, e);
	if (n->kind != TREE_LIST)
		return err_set(e, ERR_INVALID, "yaml: map merge requires map or sequence of maps as the value");
	for (uint32_t i = n->count; i > 0; i--) {
		item = n->child;
		for (uint32_t k = 1; k < i; k++) {
			if (decode_visit(d, e))
				return -1;
			item = item->next;
		}
		item = decode_follow(item);
		if (item->kind != TREE_MAP)
			return err_set(e, ERR_INVALID, "yaml: map merge requires map or sequence of maps as the value");
		if (read_pairs(d, item, table, base, e))
			return -1;
	}
	return 0;
}

static int read_pairs(struct decoder *d, const struct tree_node *map, const struct config_key *table, void *base,
                      struct err *e)
{
	const struct tree_node *key, *value;

	if (++d->depth > MERGE_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "yaml: line %d: merged more than %d deep", map->line, MERGE_DEPTH_MAX);
	for (key = map->child; key; key = value->next) {
		value = key->next;
		if (decode_visit(d, e) || (is_merge(key) && merge(d, value, table, base, e)))
			return -1;
	}
	for (key = map->child; key; key = value->next) {
		const struct config_key *known = find_key(table, key);

		value = key->next;
		if (decode_visit(d, e) || (known && read_value(d, value, known, base, e)))
			return -1;
	}
	d->depth--;
	return 0;
}

int decode_map(struct decoder *d, const struct tree_node *n, const struct config_key *table, void *base,
               const char *type, struct err *e)
{
	n = decode_follow(n);
	if (n->kind == TREE_MAP)
		return read_pairs(d, n, table, base, e);
	return decode_is_null(n) ? 0 : decode_complain(d, n, type);
}
