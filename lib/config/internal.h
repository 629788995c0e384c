/* SPDX-License-Identifier: MIT */
/*
 * internal.h - the parts of the room: memory that is freed in one go, the document as a tree, keys and their types.
 */
#ifndef RIVULET_CONFIG_INTERNAL_H
#define RIVULET_CONFIG_INTERNAL_H

#include "lib/base/buf.h"
#include "lib/config/config.h"

/* ---- memory.c ---- */
struct config_memory;
struct config_memory *config_memory_new(void);
void config_memory_free(struct config_memory *m); /* with all that came from it */
void *config_memory_get(struct config_memory *m, size_t n); /* zeroed, aligned; NULL without memory */
char *config_memory_text(struct config_memory *m, const char *text, size_t n);

/* ---- environment.c: control.md §4.2 ---- */
int config_expand_env(const char *text, size_t n, int pid, struct buf *out, struct err *e);

/* ---- tree.c ---- */
enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP, TREE_ALIAS };
/* A map's children are its keys and values by turns. */
struct tree_node {
	enum tree_kind kind : 8;
	bool plain : 1;              /* a scalar without quotes and without a tag that makes it text */
	bool open : 1;               /* while it is built: its end was not seen yet */
	int line;                    /* from 1 */
	uint32_t count, len;         /* children; bytes of text */
	const char *text, *tag;      /* tag: NULL unless written */
	struct tree_node *child;     /* first child; of an alias: what it stands for */
	struct tree_node *next;      /* sibling */
};
/* The first document; *root is NULL when there is none. */
int tree_parse(const char *text, size_t n, struct config_memory *m, struct tree_node **root, struct err *e);

#define YAML_TAG_TEXT "tag:yaml.org,2002:str"
/* ---- scalar.c: what an unquoted word means (YAML 1.1 as Go's yaml.v2 reads it) ---- */
enum scalar_type { SCALAR_NULL, SCALAR_BOOL, SCALAR_INT, SCALAR_FLOAT, SCALAR_TEXT };
struct scalar {
	enum scalar_type type;
	bool truth;
	int64_t integer;
	double real;
};
struct scalar scalar_resolve(const struct tree_node *n);
/* "1.5 MiB" in bytes (control.md §4.3). */
int scalar_size(const char *text, int64_t *bytes, struct err *e);

/* ---- decode.c ---- */
struct decoder {
	struct config_memory *memory; /* for what is kept */
	struct buf complaints; /* type errors: all are told at once */
	int complaint_count, depth;
	int unitless_count, unitless_line; /* durations given as numbers; where the first is */
	long visits;
};
enum key_type {
	KEY_END,
	KEY_BOOL,     /* bool */
	KEY_TRI,      /* enum replica_tri */
	KEY_INT,      /* int64_t */
	KEY_MODE,     /* uint32_t; also as quoted octal digits */
	KEY_TEXT,     /* const char *; "" and null are NULL */
	KEY_DURATION, /* int64_t nanoseconds; null keeps what is there */
	KEY_SIZE,     /* int64_t bytes */
	KEY_ANY,      /* bool: is it a list of texts that holds something? */
	KEY_MAP,      /* a table of its own, for a struct at the offset */
	KEY_OTHER,    /* whatever `read` makes of it */
};
enum { KEY_NOWHERE = 0xffff }; /* offset: only its type is checked */
struct config_key {
	const char *name;
	enum key_type type;
	uint16_t offset;
	bool inherited; /* settings of replicas: from the top level */
	const struct config_key *table;
	int (*read)(struct decoder *d, const struct tree_node *n, void *base, struct err *e);
};

/* An alias becomes what it stands for. */
const struct tree_node *decode_follow(const struct tree_node *n);
bool decode_is_null(const struct tree_node *n);
/* Notes that n cannot be a TYPE ("line 3: cannot unmarshal !!str `x` into TYPE"); returns 0: reading goes on. */
int decode_complain(struct decoder *d, const struct tree_node *n, const char *type);
/* The text of a scalar, for longer than the tree lives. */
int decode_keep(struct decoder *d, const struct tree_node *n, const char **value, struct err *e);
/* Counts against CONFIG_VISITS_MAX. */
int decode_visit(struct decoder *d, struct err *e);
/* Every key of the map that the table knows; type names the struct in complaints. 0 also when there were complaints. */
int decode_map(struct decoder *d, const struct tree_node *n, const struct config_key *table, void *base,
               const char *type, struct err *e);

/* ---- keys.c ---- */
#define CONFIG_UNSET INT64_MIN
/* The tree into c, over its defaults; nothing of the tree is needed afterwards. */
int config_decode(const struct tree_node *root, struct config *c, struct config_replica *global, struct err *e);
/* An entry with nothing but defaults and one replica. */
struct config_db *config_db_new(struct config *c, struct err *e);
void config_replica_inherit(struct config_replica *r, const struct config_replica *global);

/* ---- validate.c ---- */
int config_validate(struct config *c, struct err *e);
/* An entry's snapshot times become the global ones where those are not given (control.md §4.6). */
int config_promote(struct config *c, struct err *e);

#endif
