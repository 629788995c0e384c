/* SPDX-License-Identifier: MIT */
/*
 * flags.h - command-line flags with the grammar of Go's flag package (control.md §3.2).
 *
 *   -name --name -name=value -name value; a bool takes no separate word; flags end at the first word that is none, at
 *   "-", or behind "--"; the last of a repeated flag wins.
 *
 * Parsing prints nothing and allocates nothing: text values point into argv.
 */
#ifndef RIVULET_APPLETS_FLAGS_H
#define RIVULET_APPLETS_FLAGS_H

#include "lib/base/err.h"

enum flag_type {
	FLAG_END,
	FLAG_BOOL,     /* bool */
	FLAG_TEXT,     /* const char * */
	FLAG_INT,      /* int64_t; 0x, 0o, 0b, leading 0, _ */
	FLAG_DURATION, /* int64_t nanoseconds, Go syntax */
	FLAG_TXID,     /* uint64_t, 16 hex digits */
	FLAG_OTHER,    /* whatever `set` makes of it */
};

/* A table of these ends with { .type = FLAG_END }. The value keeps what it held when the flag is not given. */
struct flag {
	const char *name;
	enum flag_type type;
	void *value;
	int (*set)(void *value, const char *text, struct err *e); /* FLAG_OTHER; the error's text is only the reason */
};

enum flags_result {
	FLAGS_OK,
	FLAGS_HELP,  /* -h or -help, in any spelling, that the table does not define */
	FLAGS_WRONG, /* e says what */
};

/* Looks at argv[1] and up. *first: index of the first positional, argc when there is none. */
enum flags_result flags_parse(const struct flag *flags, int argc, char **argv, int *first, struct err *e);

#endif
