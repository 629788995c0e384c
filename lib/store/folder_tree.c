/* SPDX-License-Identifier: MIT */
/*
 * What a watched folder is known to hold: a tree of nodes, found by (parent, name), and databases also by their inode,
 * because that is how a renamed one is known again. Thousands of names in one folder must cost no more than a few.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/store/folder_parts.h"

enum { BUCKETS_FIRST = 64 };

static unsigned hash_name(const struct folder_node *parent, const char *name)
{
	uint64_t h = (uintptr_t)parent;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (unsigned)(h ^ h >> 32);
}

static struct folder_node **name_slot(const struct folder_index *x, const struct folder_node *parent, const char *name)
{
	return &x->by_name[hash_name(parent, name) & (x->buckets - 1)];
}

static struct folder_node **inode_slot(const struct folder_index *x, uint64_t ino)
{
	return &x->by_inode[(unsigned)(ino ^ ino >> 32) & (x->buckets - 1)];
}

static bool in_inode_index(const struct folder_node *n)
{
	return n->kind == NODE_DATABASE || n->kind == NODE_TWIN;
}

/* Twice as many chains. Without memory the old ones go on, if there are any. */
static bool grow(struct folder_index *x)
{
	unsigned count = x->buckets ? x->buckets * 2 : BUCKETS_FIRST;
	struct folder_index fresh = { calloc(count, sizeof(void *)), calloc(count, sizeof(void *)), count, x->count };
	struct folder_node *n, *next, **slot;

	if (!fresh.by_name || !fresh.by_inode) {
		free(fresh.by_name);
		free(fresh.by_inode);
		return x->buckets > 0;
	}
	for (unsigned i = 0; i < x->buckets; i++) {
		for (n = x->by_name[i]; n; n = next) {
			next = n->name_next;
			slot = name_slot(&fresh, n->parent, n->name);
			n->name_next = *slot;
			*slot = n;
		}
		for (n = x->by_inode[i]; n; n = next) {
			next = n->inode_next;
			slot = inode_slot(&fresh, n->ino);
			n->inode_next = *slot;
			*slot = n;
		}
	}
	free(x->by_name);
	free(x->by_inode);
	*x = fresh;
	return true;
}

struct folder_node *tree_add(struct folder *f, struct folder_node *parent, const char *name, enum folder_node_kind kind)
{
	size_t size = strlen(name) + 1;
	struct folder_node *n, **slot;

	if (f->index.count >= f->index.buckets && !grow(&f->index))
		return NULL;
	n = calloc(1, sizeof(*n) + size);
	if (!n)
		return NULL;
	memcpy(n->name, name, size);
	n->f = f;
	n->kind = kind;
	n->parent = parent;
	n->link = parent ? &parent->child : &f->root;
	n->next = *n->link;
	if (n->next)
		n->next->link = &n->next;
	*n->link = n;
	n->depth = parent ? parent->depth + 1 : 0;
	n->seen = f->round;
	slot = name_slot(&f->index, parent, name);
	n->name_next = *slot;
	*slot = n;
	f->index.count++;
	f->dir_count += kind == NODE_DIR;
	return n;
}

struct folder_node *tree_find(struct folder *f, const struct folder_node *parent, const char *name)
{
	struct folder_node *n = f->index.buckets ? *name_slot(&f->index, parent, name) : NULL;

	while (n && (n->parent != parent || strcmp(n->name, name)))
		n = n->name_next;
	return n;
}

struct folder_node *tree_find_inode(struct folder *f, uint64_t dev, uint64_t ino, enum folder_node_kind kind,
                                    const struct folder_node *but)
{
	struct folder_node *n = *inode_slot(&f->index, ino);

	while (n && (n->ino != ino || n->dev != dev || n->kind != kind || n == but))
		n = n->inode_next;
	return n;
}

static void leave_inode_index(struct folder_node *n)
{
	struct folder_node **at = inode_slot(&n->f->index, n->ino);

	if (!n->ino)
		return;
	while (*at != n)
		at = &(*at)->inode_next;
	*at = n->inode_next;
	n->ino = 0;
}

void tree_set_inode(struct folder_node *n, uint64_t dev, uint64_t ino)
{
	struct folder_node **slot;

	assert(in_inode_index(n));
	leave_inode_index(n);
	n->dev = dev;
	n->ino = ino;
	if (!ino)
		return;
	slot = inode_slot(&n->f->index, ino);
	n->inode_next = *slot;
	*slot = n;
}

void tree_detach(struct folder_node *n)
{
	struct folder_node **at = name_slot(&n->f->index, n->parent, n->name);

	assert(!n->child && n->link);
	while (*at != n)
		at = &(*at)->name_next;
	*at = n->name_next;
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	n->link = NULL;
	n->next = n->parent = NULL;
	n->f->index.count--;
	n->f->dir_count -= n->kind == NODE_DIR;
}

void tree_free(struct folder_node *n)
{
	assert(!n->link && !n->watch.wd);
	if (in_inode_index(n))
		leave_inode_index(n);
	n->gone = true;
	if (n->queued || n->busy)
		return;
	free(n->path);
	free(n);
}

static void add_relative(struct buf *b, const struct folder_node *n)
{
	if (n->parent && n->parent->parent) {
		add_relative(b, n->parent);
		buf_char(b, '/');
	}
	buf_str(b, n->name);
}

static char *take(struct buf *b)
{
	char *text = buf_ok(b) && b->data ? (char *)b->data : NULL;

	if (!text) {
		buf_free(b);
		return NULL;
	}
	return text;
}

/* The top has the name "", and so has a file that stands at the top. */
char *tree_relative(const struct folder_node *n)
{
	struct buf b = { .data = NULL };

	add_relative(&b, n);
	return take(&b);
}

char *tree_path(const struct folder_node *n)
{
	struct buf b = { .data = NULL };

	buf_str(&b, n->f->dir);
	if (n->name[0]) {
		if (strcmp(n->f->dir, "/"))
			buf_char(&b, '/');
		add_relative(&b, n);
	}
	return take(&b);
}
