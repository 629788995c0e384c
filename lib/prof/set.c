/* SPDX-License-Identifier: MIT */
/* set.c - stacks with their values, and which profiles there are. */
#include <stdlib.h>
#include <string.h>

#include "lib/prof/internal.h"

static const char *const names[PROF_KINDS] = {
	"allocs", "block", "goroutine", "heap", "mutex", "threadcreate", "profile",
};

const char *prof_name(enum prof_kind kind)
{
	return names[kind];
}

enum prof_kind prof_find(const char *name, size_t n)
{
	int kind = 0;

	while (kind < PROF_CPU && (strncmp(names[kind], name, n) || names[kind][n]))
		kind++;
	return kind < PROF_CPU ? (enum prof_kind)kind : PROF_KINDS;
}

static uint32_t hash_of(const struct os_stack *stack, const char *label)
{
	uint64_t h = 14695981039346656037u;

	for (int i = 0; i < stack->depth; i++)
		h = (h ^ stack->pc[i]) * 1099511628211u;
	for (; *label; label++)
		h = (h ^ (uint8_t)*label) * 1099511628211u;
	return (uint32_t)(h >> 32);
}

static bool same(const struct prof_item *x, uint32_t hash, const struct os_stack *stack, const char *label)
{
	return x->hash == hash && x->stack.depth == stack->depth && !strcmp(x->label, label) &&
	       !memcmp(x->stack.pc, stack->pc, (size_t)stack->depth * sizeof(stack->pc[0]));
}

void prof_set_free(struct prof_set *s)
{
	free(s->items);
	*s = (struct prof_set){ 0 };
}

static bool make_room(struct prof_set *s)
{
	int cap = s->cap ? s->cap * 2 : 16;
	struct prof_item *items;

	if (s->count < s->cap)
		return true;
	if (s->count >= PROF_STACKS_MAX)
		return false;
	items = realloc(s->items, (size_t)cap * sizeof(*items));
	if (!items)
		return false;
	s->items = items;
	s->cap = cap;
	return true;
}

static struct prof_item *find(const struct prof_set *s, const struct os_stack *stack, const char *label)
{
	uint32_t hash = hash_of(stack, label);

	for (int i = 0; i < s->count; i++)
		if (same(&s->items[i], hash, stack, label))
			return &s->items[i];
	return NULL;
}

struct prof_item *prof_set_item(struct prof_set *s, const struct os_stack *stack, const char *label)
{
	struct prof_item *x = find(s, stack, label);

	if (x)
		return x;
	if (!make_room(s)) {
		s->lost++;
		return NULL;
	}
	x = &s->items[s->count++];
	memset(x, 0, sizeof(*x));
	x->stack = *stack;
	x->hash = hash_of(stack, label);
	strncat(x->label, label, sizeof(x->label) - 1);
	return x;
}

void prof_set_subtract(struct prof_set *s, const struct prof_set *before)
{
	for (int i = 0; i < before->count; i++) {
		const struct prof_item *old = &before->items[i];
		struct prof_item *x = prof_set_item(s, &old->stack, old->label);

		for (int v = 0; x && v < PROF_VALUES_MAX; v++)
			x->value[v] -= old->value[v];
	}
}

/* ---- what can be counted at any moment ---- */

enum { THREADS_MAX = 256 };

static void collect_threads(struct prof_set *out)
{
	struct os_thread_state *t = malloc(THREADS_MAX * sizeof(*t));
	int n = t ? os_thread_states(t, THREADS_MAX) : 0;

	for (int i = 0; i < n; i++) {
		struct prof_item *x = prof_set_item(out, &t[i].stack, t[i].name);

		if (x)
			x->value[0]++;
	}
	free(t);
}

static void collect_sites(struct prof_set *out)
{
	struct os_thread_site sites[OS_THREAD_SITES_MAX];
	int n = os_thread_sites(sites);

	for (int i = 0; i < n; i++) {
		struct prof_item *x = prof_set_item(out, &sites[i].stack, "");

		if (x)
			x->value[0] += (int64_t)sites[i].started;
	}
}

void prof_collect(enum prof_kind kind, struct prof_set *out)
{
	if (kind == PROF_GOROUTINE)
		collect_threads(out);
	else if (kind == PROF_THREADCREATE)
		collect_sites(out);
	else if (kind == PROF_HEAP || kind == PROF_ALLOCS)
		prof_heap_collect(out);
}
