/* SPDX-License-Identifier: MIT */
#include "lib/os/timer.h"

#include <stddef.h>

/* Joins two heaps: the later root becomes the first child of the earlier one. */
static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
	struct loop_timer *first = a, *second = b;

	if (b->due_us < a->due_us) {
		first = b;
		second = a;
	}
	second->next = first->child;
	if (second->next != NULL)
		second->next->link = &second->next;
	first->child = second;
	second->link = &first->child;
	first->next = NULL;
	return first;
}

/* Makes one heap of a chain of siblings: neighbours in pairs first, then all pairs from the last on; that is what
 * keeps the heap shallow. */
static struct loop_timer *meld_chain(struct loop_timer *chain)
{
	struct loop_timer *pairs = NULL, *root = NULL, *a, *b;

	while (chain != NULL) {
		a = chain;
		b = a->next;
		chain = b != NULL ? b->next : NULL;
		if (b != NULL)
			a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		a = pairs;
		pairs = a->next;
		a->next = NULL;
		root = root != NULL ? meld(root, a) : a;
	}
	return root;
}

static void set_root(struct loop_timer **root, struct loop_timer *t)
{
	*root = t;
	if (t == NULL)
		return;
	t->next = NULL;
	t->link = root;
}

void timer_insert(struct loop_timer **root, struct loop_timer *t)
{
	t->child = NULL;
	t->next = NULL;
	set_root(root, *root != NULL ? meld(*root, t) : t);
}

void timer_remove(struct loop_timer *t)
{
	struct loop_timer *heap = meld_chain(t->child);

	/* The heap made of its children takes its place; it is later than the parent,
	 * and order among siblings is free. */
	if (heap != NULL) {
		heap->next = t->next;
		heap->link = t->link;
		if (heap->next != NULL)
			heap->next->link = &heap->next;
		*t->link = heap;
	} else {
		*t->link = t->next;
		if (t->next != NULL)
			t->next->link = t->link;
	}
	t->child = t->next = NULL;
	t->link = NULL;
}

void timer_take_due(struct loop_timer **root, int64_t now_us, struct loop_timer **chain)
{
	struct loop_timer **end = chain, *t;

	*chain = NULL;
	while (*root != NULL && (*root)->due_us <= now_us) {
		t = *root;
		set_root(root, meld_chain(t->child));
		t->child = t->next = NULL;
		*end = t;
		t->link = end;
		end = &t->next;
	}
}

int64_t timer_round(int64_t due_us, int64_t slack_us)
{
	uint64_t before = (uint64_t)due_us - 1, last = (uint64_t)due_us + (uint64_t)slack_us;

	if (slack_us <= 0 || due_us <= 0 || due_us > INT64_MAX - slack_us)
		return due_us;
	/* Both have the same bits above the highest one in which they differ, and last has that one set. */
	return (int64_t)(last & (UINT64_MAX << (63 - __builtin_clzll(before ^ last))));
}
