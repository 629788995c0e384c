/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of this room share.
 */
#ifndef RIVULET_PROF_INTERNAL_H
#define RIVULET_PROF_INTERNAL_H

#include "lib/prof/prof.h"

/* ---- heap.c ---- */
void prof_heap_collect(struct prof_set *out);

/* ---- names.c ---- */
enum { PROF_BUILD_ID_MAX = 32 };
/* The program's functions by address, as the table behind its file names them. */
struct prof_names {
	struct buf text;
	struct prof_function {
		uintptr_t address; /* in memory */
		const char *name;
	} *functions;          /* sorted */
	int count;             /* 0 = there is no table */
	char *program;         /* path of the file, "" if unknown */
	char build_id[2 * PROF_BUILD_ID_MAX + 1]; /* hex; "" = none */
	struct os_text code;
};
void prof_names_load(struct prof_names *n);
void prof_names_free(struct prof_names *n);
/* The function that holds the address; -1 = not known. */
int prof_names_find(const struct prof_names *n, uintptr_t pc);

/* ---- kinds ---- */
/* Is the first address of a stack where the thread was (else a return address, like the others)? */
static inline bool prof_leaf_is_exact(enum prof_kind kind)
{
	return kind == PROF_CPU || kind == PROF_GOROUTINE;
}
/* An address inside of the instruction that is meant. */
static inline uintptr_t prof_address(enum prof_kind kind, const struct os_stack *s, int i)
{
	return i == 0 && prof_leaf_is_exact(kind) ? s->pc[i] : s->pc[i] - 1;
}

#endif
