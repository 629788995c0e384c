/* SPDX-License-Identifier: MIT */
/*
 * marks.h - where the entries of dbs[] stand in the text of a configuration file; for persist.c.
 */
#ifndef RIVULET_CONFIG_MARKS_H
#define RIVULET_CONFIG_MARKS_H

#include "lib/config/config.h"

struct mark_span {
	size_t start, end; /* bytes of the text */
};

/* One entry of dbs[]. */
struct mark_item {
	struct mark_span all;     /* from its first key or brace to the end of its last value */
	struct mark_span path, enabled; /* the values */
	bool has_path, has_enabled;
	bool flow, path_quoted;   /* {…}; the key is written "path" */
	bool path_block;          /* the value is written behind | or > */
	bool editable;            /* no alias where something would have to be written */
	size_t column;            /* of its keys, when not flow */
};

struct mark_list {
	bool has_dbs, has_list;   /* the key; a list as its value */
	bool flow;                /* […] */
	size_t key_end;           /* behind "dbs" (and its quote) */
	struct mark_span all;     /* of the list; of the value otherwise */
	size_t count, last_end;   /* entries; the end of the last */
	size_t column;            /* of the last one's keys */
};

/*
 * Calls visit for each entry that is a map, in order, with the raw text of its path (NULL = none); the item is valid
 * during the call. list is complete after the walk.
 */
int marks_walk(const char *text, size_t n, struct mark_list *list,
               int (*visit)(void *ctx, const struct mark_item *item, const char *path, struct err *e), void *ctx,
               struct err *e);

#endif
