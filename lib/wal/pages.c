/* SPDX-License-Identifier: MIT */
/*
 * pages.c - which frame holds the newest committed copy of each page.
 *
 * The pairs collect in one array: first those of finished transactions, behind them those of the unfinished one, so
 * that a rollback cuts the array. When it is full, each part is sorted and keeps only the newest frame of a page; if
 * that leaves the array more than half full it grows, or, at its bound, the larger part goes to disk as a run.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wal/runs.h"
#include "lib/wal/wal.h"

enum {
	START_ENTRIES = 256,
	KEPT_ENTRIES = 512, /* over a reset */
	SMALL_SORT = 24,
};

struct wal_pages {
	struct wal_entry *entries;
	uint32_t used, committed; /* entries; committed <= used */
	uint32_t cap, cap_max;
	uint32_t max_pgno;        /* of the iteration */
	bool sorted;              /* wal_pages_sort was called: no more entries */
	struct wal_runs runs;
	struct wal_merge merge;
};

struct wal_pages *wal_pages_create(const char *dir)
{
	struct wal_pages *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	wal_runs_init(&p->runs, dir, WAL_PAGES_RUNS_MAX);
	p->cap_max = WAL_PAGES_MEMORY_MAX / sizeof(*p->entries);
	return p;
}

void wal_pages_set_limits(struct wal_pages *p, uint32_t entries_max, unsigned runs_max)
{
	assert(p->cap == 0 && entries_max > 0 && runs_max >= 3);
	p->cap_max = entries_max;
	p->runs.max = runs_max;
}

void wal_pages_reset(struct wal_pages *p)
{
	wal_merge_close(&p->merge);
	wal_runs_free(&p->runs);
	p->used = p->committed = 0;
	p->sorted = false;
	if (p->cap > KEPT_ENTRIES) {
		free(p->entries);
		p->entries = NULL;
		p->cap = 0;
	}
}

void wal_pages_free(struct wal_pages *p)
{
	if (!p)
		return;
	wal_pages_reset(p);
	free(p->entries);
	free(p);
}

/* ---- sorting ---- */

static void insertion_sort(struct wal_entry *a, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct wal_entry entry = a[i];
		size_t k = i;
		for (; k > 0 && a[k - 1].pgno > entry.pgno; k--)
			a[k] = a[k - 1];
		a[k] = entry;
	}
}

/*
 * By page number, in place, one byte of it after the other from the top. Entries of one page end up side by side in any
 * order: dedupe() asks for the highest offset, not for the last.
 */
static void radix_sort(struct wal_entry *a, size_t n, unsigned shift)
{
	if (n <= SMALL_SORT) {
		insertion_sort(a, n);
		return;
	}
	uint32_t at[256], end[256] = {0}, sum = 0;
	for (size_t i = 0; i < n; i++)
		end[a[i].pgno >> shift & 0xff]++;
	for (int b = 0; b < 256; b++) {
		at[b] = sum;
		sum += end[b];
		end[b] = sum;
	}
	for (unsigned b = 0; b < 256; b++)
		while (at[b] < end[b]) {
			struct wal_entry *entry = &a[at[b]], moved = *entry;
			unsigned home = moved.pgno >> shift & 0xff;
			*entry = a[at[home]];
			a[at[home]++] = moved;
		}
	if (shift == 0)
		return;
	for (uint32_t b = 0, from = 0; b < 256; from = end[b++])
		if (end[b] - from > 1)
			radix_sort(a + from, end[b] - from, shift - 8);
}

/* Sorts and keeps the newest frame of each page; returns how many are left. */
static uint32_t dedupe(struct wal_entry *a, uint32_t n)
{
	uint32_t kept = 0;
	radix_sort(a, n, 24);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || a[kept - 1].pgno != a[i].pgno)
			a[kept++] = a[i];
		else if (wal_entry_offset(&a[i]) > wal_entry_offset(&a[kept - 1]))
			a[kept - 1] = a[i];
	return kept;
}

static void compact(struct wal_pages *p)
{
	if (p->used == 0)
		return;
	uint32_t open = dedupe(p->entries + p->committed, p->used - p->committed);
	uint32_t kept = dedupe(p->entries, p->committed);
	memmove(p->entries + kept, p->entries + p->committed, open * sizeof(*p->entries));
	p->committed = kept;
	p->used = kept + open;
}

/* ---- collecting ---- */

static int grow(struct wal_pages *p, struct err *e)
{
	uint32_t cap = p->cap ? p->cap * 2 : START_ENTRIES;
	if (cap > p->cap_max)
		cap = p->cap_max;
	struct wal_entry *entries = realloc(p->entries, cap * sizeof(*entries));
	if (!entries)
		return err_nomem(e);
	p->entries = entries;
	p->cap = cap;
	return 0;
}

static int spill(struct wal_pages *p, struct err *e)
{
	uint32_t open = p->used - p->committed;
	if (open > p->committed) {
		if (wal_runs_add(&p->runs, p->entries + p->committed, open, false, e))
			return -1;
		p->used = p->committed;
		return 0;
	}
	if (wal_runs_add(&p->runs, p->entries, p->committed, true, e))
		return -1;
	memmove(p->entries, p->entries + p->committed, open * sizeof(*p->entries));
	p->used = open;
	p->committed = 0;
	return 0;
}

static int make_room(struct wal_pages *p, struct err *e)
{
	compact(p);
	if (p->cap && p->used <= p->cap / 2)
		return 0;
	return p->cap < p->cap_max ? grow(p, e) : spill(p, e);
}

int wal_pages_add(struct wal_pages *p, uint32_t pgno, int64_t offset, struct err *e)
{
	assert(!p->sorted && pgno > 0 && offset >= 0);
	if (p->used == p->cap && make_room(p, e))
		return -1;
	p->entries[p->used++] = (struct wal_entry){pgno, (uint32_t)offset, (uint32_t)((uint64_t)offset >> 32)};
	return 0;
}

void wal_pages_commit(struct wal_pages *p)
{
	p->committed = p->used;
	wal_runs_commit(&p->runs);
}

int wal_pages_rollback(struct wal_pages *p, struct err *e)
{
	(void)e;
	p->used = p->committed;
	wal_runs_rollback(&p->runs);
	return 0;
}

/* ---- iterating ---- */

int wal_pages_sort(struct wal_pages *p, uint32_t max_pgno, struct err *e)
{
	wal_merge_close(&p->merge);
	if (wal_pages_rollback(p, e))
		return -1;
	compact(p);
	p->max_pgno = max_pgno;
	p->sorted = true;
	return wal_merge_open(&p->merge, &p->runs, true, p->entries, p->used, e);
}

int wal_pages_next(struct wal_pages *p, struct wal_page *page, struct err *e)
{
	struct wal_entry entry;
	assert(p->sorted);
	int more = wal_merge_next(&p->merge, &entry, e);
	if (more <= 0)
		return more;
	if (entry.pgno > p->max_pgno)
		return 0;
	*page = (struct wal_page){entry.pgno, (int64_t)wal_entry_offset(&entry)};
	return 1;
}
