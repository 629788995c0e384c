/* SPDX-License-Identifier: MIT */
/* From libyaml's events to places in the text. */
#include "lib/config/marks.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct walk {
	yaml_parser_t parser;
	yaml_event_t event;      /* the current one */
	bool has_event;
	const char *text;
	size_t n;
	size_t character, byte;  /* the same place, counted in both ways; marks only go on */
	size_t last_end;         /* of the last scalar or bracket */
	struct err *e;
};

/* ---- places ---- */

/* libyaml counts characters, and does not count a byte order mark. */
static size_t byte_of(struct walk *w, size_t character)
{
	if (character < w->character) {
		w->character = 0;
		w->byte = w->n >= 3 && memcmp(w->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	}
	while (w->character < character && w->byte < w->n) {
		w->byte++;
		while (w->byte < w->n && (w->text[w->byte] & 0xc0) == 0x80)
			w->byte++;
		w->character++;
	}
	return w->byte;
}

static struct mark_span span_of_event(struct walk *w)
{
	struct mark_span s;

	s.start = byte_of(w, w->event.start_mark.index);
	s.end = byte_of(w, w->event.end_mark.index);
	return s;
}

/* ---- events ---- */

static int next(struct walk *w)
{
	if (w->has_event)
		yaml_event_delete(&w->event);
	w->has_event = yaml_parser_parse(&w->parser, &w->event) == 1;
	if (!w->has_event)
		return err_set(w->e, ERR_INVALID, "yaml: %s", w->parser.problem ? w->parser.problem : "out of memory");
	return 0;
}

static bool at_scalar(const struct walk *w, const char *text)
{
	return w->event.type == YAML_SCALAR_EVENT &&
	       (!text || strcmp((const char *)w->event.data.scalar.value, text) == 0);
}

/* The node that begins with the current event, to its end; its last bracket or scalar is noted. */
static int skip_node(struct walk *w)
{
	int depth = 0;

	for (;;) {
		struct mark_span s = span_of_event(w);

		switch (w->event.type) {
		case YAML_SEQUENCE_START_EVENT:
		case YAML_MAPPING_START_EVENT:
			depth++;
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			depth--;
			/* The end of a block is where the next thing begins, comments in between included. */
			if (s.end > s.start)
				w->last_end = s.end;
			break;
		case YAML_STREAM_END_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			return err_set(w->e, ERR_INVALID, "yaml: unexpected end");
		default:
			w->last_end = s.end;
		}
		if (depth == 0)
			return 0;
		if (next(w) < 0)
			return -1;
	}
}

/* ---- entries ---- */

static int read_value(struct walk *w, struct mark_item *item, bool is_path, char **path)
{
	struct mark_span s = span_of_event(w);

	if (w->event.type != YAML_SCALAR_EVENT) {
		item->editable = false;
		return skip_node(w);
	}
	w->last_end = s.end;
	if (!is_path) {
		item->has_enabled = true;
		item->enabled = s;
		return 0;
	}
	item->has_path = true;
	item->path = s;
	item->path_block = w->event.data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
	                   w->event.data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
	free(*path);
	*path = strdup((const char *)w->event.data.scalar.value);
	return *path ? 0 : err_nomem(w->e);
}

static int read_members(struct walk *w, struct mark_item *item, char **path)
{
	while (w->event.type != YAML_MAPPING_END_EVENT) {
		bool is_path = at_scalar(w, "path"), is_enabled = at_scalar(w, "enabled");

		if (is_path)
			item->path_quoted = w->event.data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
		if (skip_node(w) < 0 || next(w) < 0) /* the key */
			return -1;
		if ((is_path || is_enabled ? read_value(w, item, is_path, path) : skip_node(w)) < 0 || next(w) < 0)
			return -1;
	}
	return 0;
}

static int read_item(struct walk *w, struct mark_list *list,
                     int (*visit)(void *ctx, const struct mark_item *item, const char *path, struct err *e), void *ctx)
{
	struct mark_item item = { .all = span_of_event(w), .editable = true, .column = w->event.start_mark.column };
	char *path = NULL;
	int rc;

	list->count++;
	list->column = item.column;
	if (w->event.type != YAML_MAPPING_START_EVENT) {
		rc = skip_node(w);
		list->last_end = w->last_end;
		return rc;
	}
	item.flow = w->event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
	rc = next(w) < 0 ? -1 : read_members(w, &item, &path);
	if (rc == 0) {
		if (item.flow)
			w->last_end = span_of_event(w).end;
		item.all.end = list->last_end = w->last_end;
		rc = visit(ctx, &item, path, w->e);
	}
	free(path);
	return rc;
}

static int read_list(struct walk *w, struct mark_list *list,
                     int (*visit)(void *ctx, const struct mark_item *item, const char *path, struct err *e), void *ctx)
{
	list->all = span_of_event(w);
	list->has_list = w->event.type == YAML_SEQUENCE_START_EVENT;
	if (!list->has_list) {
		if (w->event.type != YAML_SCALAR_EVENT)
			return err_set(w->e, ERR_INVALID, "dbs is no list that can be edited");
		return skip_node(w);
	}
	list->flow = w->event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
	if (next(w) < 0)
		return -1;
	while (w->event.type != YAML_SEQUENCE_END_EVENT)
		if (read_item(w, list, visit, ctx) < 0 || next(w) < 0)
			return -1;
	list->all.end = span_of_event(w).end;
	return 0;
}

/* Behind the start of the first document. */
static int read_root(struct walk *w, struct mark_list *list,
                     int (*visit)(void *ctx, const struct mark_item *item, const char *path, struct err *e), void *ctx)
{
	if (w->event.type != YAML_MAPPING_START_EVENT)
		return at_scalar(w, "") ? 0 : err_set(w->e, ERR_INVALID, "the file is no map");
	if (next(w) < 0)
		return -1;
	while (w->event.type != YAML_MAPPING_END_EVENT) {
		bool dbs = at_scalar(w, "dbs");

		if (skip_node(w) < 0)
			return -1;
		if (dbs && list->has_dbs)
			return err_set(w->e, ERR_INVALID, "dbs appears twice");
		if (dbs) {
			list->has_dbs = true;
			list->key_end = span_of_event(w).end;
		}
		if (next(w) < 0 || (dbs ? read_list(w, list, visit, ctx) : skip_node(w)) < 0 || next(w) < 0)
			return -1;
	}
	return 0;
}

int marks_walk(const char *text, size_t n, struct mark_list *list,
               int (*visit)(void *ctx, const struct mark_item *item, const char *path, struct err *e), void *ctx,
               struct err *e)
{
	struct walk w = { .text = text, .n = n, .e = e };
	int rc = -1;

	*list = (struct mark_list){ .has_dbs = false };
	if (n >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
		return err_set(e, ERR_INVALID, "the file is UTF-16");
	if (!yaml_parser_initialize(&w.parser))
		return err_nomem(e);
	yaml_parser_set_input_string(&w.parser, (const unsigned char *)text, n);
	byte_of(&w, 0);
	if (w.byte == 0 && n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		w.byte = 3;
	if (next(&w) == 0 && next(&w) == 0) { /* the stream's start, then the document's, or the end */
		if (w.event.type == YAML_STREAM_END_EVENT)
			rc = 0;
		else if (next(&w) == 0)
			rc = read_root(&w, list, visit, ctx);
	}
	if (w.has_event)
		yaml_event_delete(&w.event);
	yaml_parser_delete(&w.parser);
	return rc;
}
