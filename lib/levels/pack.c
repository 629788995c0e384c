/* SPDX-License-Identifier: MIT */
/*
 * pack.c - the manifest of a sleeping database: differences as variable-length numbers, some ten bytes per object
 * instead of 40, in one piece. What is due is remembered beside it, so that asking for it unpacks nothing.
 */
#include <assert.h>
#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/levels/internal.h"
#include "lib/os/clock.h"

enum { PACKED_MAX = 1 << 30 };

static void put_number(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_char(b, (char)(v | 0x80));
	buf_char(b, (char)v);
}

static uint64_t get_number(const uint8_t **p)
{
	uint64_t v = 0;

	for (int shift = 0;; shift += 7) {
		v |= (uint64_t)(**p & 0x7f) << shift;
		if (!(*(*p)++ & 0x80))
			return v;
	}
}

/* Differences of both signs, small ones first. */
static uint64_t fold(int64_t v) { return (uint64_t)v << 1 ^ (uint64_t)(v >> 63); }
static int64_t unfold(uint64_t v) { return (int64_t)(v >> 1 ^ -(v & 1)); }

/* Under the lock. */
static void pack(struct levels *l)
{
	struct buf b = { .limit = PACKED_MAX };
	uint8_t *fitting;

	if (!l->known || l->packed)
		return;
	l->packed_due_ms = levels_due(l, os_wall_ms(), 0, &l->packed_needs_db);
	for (int level = 0; level < LEVELS_ALL; level++) {
		const struct replica_list *f = levels_files(l, level);
		struct replica_item last = { 0 };

		put_number(&b, (uint64_t)f->count);
		for (int i = 0; i < f->count; i++) {
			const struct replica_item *it = &f->items[i];

			put_number(&b, it->min_txid - last.min_txid);
			put_number(&b, it->max_txid - it->min_txid);
			put_number(&b, (uint64_t)it->size);
			put_number(&b, fold((int64_t)((uint64_t)it->created_ms - (uint64_t)last.created_ms)));
			last = *it;
		}
	}
	if (!buf_ok(&b)) { /* no memory for it: then not */
		buf_free(&b);
		return;
	}
	for (int level = 0; level < LEVELS_ALL; level++)
		replica_list_free(&l->level[level].files); /* max_txid stays */
	fitting = realloc(b.data, b.len);
	l->packed = fitting ? fitting : b.data;
	l->packed_size = b.len;
}

void levels_rest(struct levels *l)
{
	levels_lock(l);
	pack(l);
	levels_unlock(l);
}

int levels_unpack(struct levels *l, struct err *e)
{
	const uint8_t *p = l->packed;

	if (!p)
		return 0;
	for (int level = 0; level < LEVELS_ALL; level++) {
		struct replica_item last = { .level = level };
		struct replica_list *f = &l->level[level].files;
		int count = (int)get_number(&p);

		f->items = count ? malloc((size_t)count * sizeof(*f->items)) : NULL;
		if (count && !f->items) {
			for (; level >= 0; level--)
				replica_list_free(&l->level[level].files);
			return err_nomem(e);
		}
		f->count = f->cap = count;
		for (int i = 0; i < count; i++) {
			last.min_txid += get_number(&p);
			last.max_txid = last.min_txid + get_number(&p);
			last.size = (int64_t)get_number(&p);
			last.created_ms = (int64_t)((uint64_t)last.created_ms + (uint64_t)unfold(get_number(&p)));
			f->items[i] = last;
		}
	}
	assert(p == l->packed + l->packed_size);
	free(l->packed);
	l->packed = NULL;
	return 0;
}
