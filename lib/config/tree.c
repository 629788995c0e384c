/* SPDX-License-Identifier: MIT */
/*
 * From libyaml's events to a tree. Nothing is recursive: the way down is an array, so that no text can use up the
 * stack. Messages are worded and placed as Go's yaml.v2, whose parser is a translation of libyaml, has them.
 */
#include <string.h>
#include <yaml.h>

#include "lib/config/internal.h"

struct anchor {
	const char *name;
	struct tree_node *node;
};

struct builder {
	yaml_parser_t parser;
	struct config_memory *memory;
	struct tree_node *path[CONFIG_DEPTH_MAX]; /* open collections */
	struct tree_node *last[CONFIG_DEPTH_MAX]; /* the newest child of each */
	int depth;
	struct tree_node *root;
	struct anchor *anchors;
	int anchor_count;
	long nodes;
};

static int parser_error(const yaml_parser_t *p, struct err *e)
{
	size_t line = p->problem_mark.line;
	const char *what = p->problem ? p->problem : "unknown problem parsing YAML content";

	if (p->error == YAML_MEMORY_ERROR)
		return err_nomem(e);
	if (line && p->error == YAML_SCANNER_ERROR)
		line++;
	if (!line)
		line = p->context_mark.line;
	if (line)
		return err_set(e, ERR_INVALID, "yaml: line %zu: %s", line, what);
	return err_set(e, ERR_INVALID, "yaml: %s", what);
}

static struct tree_node *add_node(struct builder *b, enum tree_kind kind, const yaml_event_t *event, struct err *e)
{
	struct tree_node *n;

	if (b->nodes++ >= CONFIG_NODES_MAX) {
		err_set(e, ERR_LIMIT, "yaml: more than %d values", CONFIG_NODES_MAX);
		return NULL;
	}
	n = config_memory_get(b->memory, sizeof(*n));
	if (!n) {
		err_nomem(e);
		return NULL;
	}
	n->kind = kind;
	n->line = (int)event->start_mark.line + 1;
	if (!b->depth) {
		b->root = n;
		return n;
	}
	struct tree_node *parent = b->path[b->depth - 1], **last = &b->last[b->depth - 1];

	if (*last)
		(*last)->next = n;
	else
		parent->child = n;
	*last = n;
	parent->count++;
	return n;
}

static int set_anchor(struct builder *b, const yaml_char_t *name, struct tree_node *n, struct err *e)
{
	const char *text = (const char *)name;

	if (!text)
		return 0;
	for (int i = 0; i < b->anchor_count; i++) {
		if (strcmp(b->anchors[i].name, text) == 0) {
			b->anchors[i].node = n;
			return 0;
		}
	}
	if (b->anchor_count == CONFIG_ANCHORS_MAX)
		return err_set(e, ERR_LIMIT, "yaml: line %d: more than %d anchors", n->line, CONFIG_ANCHORS_MAX);
	if (!b->anchors)
		b->anchors = config_memory_get(b->memory, CONFIG_ANCHORS_MAX * sizeof(*b->anchors));
	text = config_memory_text(b->memory, text, strlen(text));
	if (!b->anchors || !text)
		return err_nomem(e);
	b->anchors[b->anchor_count++] = (struct anchor){ text, n };
	return 0;
}

static int set_tag(struct builder *b, const yaml_char_t *tag, struct tree_node *n, struct err *e)
{
	const char *text = (const char *)tag;

	if (!text || (text[0] == '!' && !text[1]))
		return 0;
	n->tag = config_memory_text(b->memory, text, strlen(text));
	return n->tag ? 0 : err_nomem(e);
}

static int on_scalar(struct builder *b, const yaml_event_t *event, struct err *e)
{
	struct tree_node *n = add_node(b, TREE_SCALAR, event, e);

	if (!n)
		return -1;
	n->text = config_memory_text(b->memory, (const char *)event->data.scalar.value, event->data.scalar.length);
	if (!n->text)
		return err_nomem(e);
	n->len = (uint32_t)event->data.scalar.length;
	n->plain = event->data.scalar.plain_implicit;
	if (set_tag(b, event->data.scalar.tag, n, e))
		return -1;
	return set_anchor(b, event->data.scalar.anchor, n, e);
}

static int on_alias(struct builder *b, const yaml_event_t *event, struct err *e)
{
	const char *name = (const char *)event->data.alias.anchor;
	struct tree_node *n = add_node(b, TREE_ALIAS, event, e);

	if (!n)
		return -1;
	for (int i = 0; i < b->anchor_count; i++) {
		if (strcmp(b->anchors[i].name, name) != 0)
			continue;
		if (b->anchors[i].node->open)
			return err_set(e, ERR_INVALID, "yaml: anchor '%s' value contains itself", name);
		n->child = b->anchors[i].node;
		return 0;
	}
	return err_set(e, ERR_INVALID, "yaml: unknown anchor '%s' referenced", name);
}

static int on_begin(struct builder *b, const yaml_event_t *event, enum tree_kind kind, const yaml_char_t *anchor,
                    const yaml_char_t *tag, struct err *e)
{
	struct tree_node *n = add_node(b, kind, event, e);

	if (!n || set_tag(b, tag, n, e) || set_anchor(b, anchor, n, e))
		return -1;
	if (b->depth == CONFIG_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "yaml: line %d: nested more than %d deep", n->line, CONFIG_DEPTH_MAX);
	n->open = true;
	b->path[b->depth] = n;
	b->last[b->depth] = NULL;
	b->depth++;
	return 0;
}

/* 1 = the document is over. */
static int on_event(struct builder *b, const yaml_event_t *event, struct err *e)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(b, event, e);
	case YAML_ALIAS_EVENT:
		return on_alias(b, event, e);
	case YAML_SEQUENCE_START_EVENT:
		return on_begin(b, event, TREE_LIST, event->data.sequence_start.anchor, event->data.sequence_start.tag,
		                e);
	case YAML_MAPPING_START_EVENT:
		return on_begin(b, event, TREE_MAP, event->data.mapping_start.anchor, event->data.mapping_start.tag, e);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->path[--b->depth]->open = false;
		return 0;
	case YAML_DOCUMENT_END_EVENT:
	case YAML_STREAM_END_EVENT:
		return 1;
	default:
		return 0;
	}
}

int tree_parse(const char *text, size_t n, struct config_memory *m, struct tree_node **root, struct err *e)
{
	struct builder b = { .memory = m };
	yaml_event_t event;
	int rc = 0;

	*root = NULL;
	if (!yaml_parser_initialize(&b.parser))
		return err_nomem(e);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, n);
	while (!rc) {
		if (yaml_parser_parse(&b.parser, &event)) {
			rc = on_event(&b, &event, e);
			yaml_event_delete(&event);
		} else {
			rc = parser_error(&b.parser, e);
		}
	}
	yaml_parser_delete(&b.parser);
	if (rc < 0)
		return -1;
	*root = b.root;
	return 0;
}
