/* SPDX-License-Identifier: MIT */
/* runs.c - sorted runs on disk and their k-way merge. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wal/runs.h"

enum { BLOCK_ENTRIES = 4096 / sizeof(struct wal_entry) };

static const struct os_file closed_file = OS_FILE_NONE;

void wal_runs_init(struct wal_runs *r, const char *dir, unsigned max)
{
	*r = (struct wal_runs){.dir = dir, .file = closed_file, .max = max};
}

void wal_runs_free(struct wal_runs *r)
{
	os_file_close(&r->file);
	free(r->run);
	wal_runs_init(r, r->dir, r->max);
}

void wal_runs_commit(struct wal_runs *r)
{
	for (unsigned i = 0; i < r->n; i++)
		r->run[i].committed = true;
}

static int64_t run_end(const struct wal_run *run)
{
	return run->start + run->count * (int64_t)sizeof(struct wal_entry);
}

void wal_runs_rollback(struct wal_runs *r)
{
	unsigned kept = 0;
	r->end = 0;
	for (unsigned i = 0; i < r->n; i++)
		if (r->run[i].committed) {
			r->run[kept++] = r->run[i];
			if (r->end < run_end(&r->run[i]))
				r->end = run_end(&r->run[i]);
		}
	r->n = kept;
	if (kept == 0)
		wal_runs_free(r); /* the disk space of a transaction that came to nothing */
}

/* Writes the merge of all runs with that mark as one run behind the end of `to`. */
static int merge_into(struct wal_runs *r, bool committed, struct wal_runs *to, struct err *e)
{
	struct wal_entry out[BLOCK_ENTRIES];
	struct wal_run *run = &to->run[to->n];
	struct wal_merge m;
	size_t used = 0;
	int more = 0;

	*run = (struct wal_run){.start = to->end, .committed = committed};
	if (wal_merge_open(&m, r, committed, NULL, 0, e))
		return -1;
	do {
		more = wal_merge_next(&m, &out[used], e);
		if (more > 0)
			used++;
		if (used == BLOCK_ENTRIES || (more == 0 && used)) {
			if (os_file_write(&to->file, out, used * sizeof(*out), run_end(run), e))
				more = -1;
			run->count += (int64_t)used;
			used = 0;
		}
	} while (more > 0);
	wal_merge_close(&m);
	if (more == 0 && run->count) {
		to->end = run_end(run);
		to->n++;
	}
	return more;
}

/* All runs into one, or two while a transaction is unfinished, in a new file: so the room of the old ones is freed. */
static int merge_all(struct wal_runs *r, struct err *e)
{
	struct wal_runs to;
	wal_runs_init(&to, r->dir, r->max);
	to.run = malloc(r->max * sizeof(*to.run));
	if (!to.run)
		return err_nomem(e);
	if (os_file_temp(&to.file, to.dir, e) || merge_into(r, true, &to, e) || merge_into(r, false, &to, e)) {
		wal_runs_free(&to);
		return -1;
	}
	wal_runs_free(r);
	*r = to;
	return 0;
}

int wal_runs_add(struct wal_runs *r, const struct wal_entry *entries, size_t n, bool committed, struct err *e)
{
	assert(r->max >= 3 && n > 0);
	if (!r->dir)
		return err_set(e, ERR_LIMIT,
		               "more changed pages in the log than fit into memory, and no folder to spill them to");
	if (!r->run) {
		r->run = malloc(r->max * sizeof(*r->run));
		if (!r->run)
			return err_nomem(e);
	}
	if (!os_file_is_open(&r->file) && os_file_temp(&r->file, r->dir, e))
		return -1;
	if (r->n == r->max && merge_all(r, e))
		return -1;
	if (os_file_write(&r->file, entries, n * sizeof(*entries), r->end, e))
		return -1;
	struct wal_run *run = &r->run[r->n++];
	*run = (struct wal_run){.start = r->end, .count = (int64_t)n, .committed = committed};
	r->end = run_end(run);
	return 0;
}

/* ---- merging ---- */

/* The next block of a run, when the last one is used up. */
static int fill(struct wal_merge *m, struct wal_cursor *c, struct err *e)
{
	if (c->at != c->end || c->left == 0)
		return 0;
	size_t n = c->left < BLOCK_ENTRIES ? (size_t)c->left : BLOCK_ENTRIES;
	if (os_file_read_exact(m->file, c->block, n * sizeof(*c->block), c->offset, e))
		return -1;
	c->offset += (int64_t)(n * sizeof(*c->block));
	c->left -= (int64_t)n;
	c->at = c->block;
	c->end = c->block + n;
	return 0;
}

int wal_merge_open(struct wal_merge *m, struct wal_runs *r, bool committed, const struct wal_entry *entries, size_t n,
                   struct err *e)
{
	*m = (struct wal_merge){.file = &r->file};
	m->cursors = calloc(r->n + 1, sizeof(*m->cursors));
	if (r->n)
		m->blocks = malloc(r->n * BLOCK_ENTRIES * sizeof(*m->blocks));
	if (!m->cursors || (r->n && !m->blocks)) {
		wal_merge_close(m);
		return err_nomem(e);
	}
	if (n)
		m->cursors[m->n++] = (struct wal_cursor){.at = entries, .end = entries + n};
	for (unsigned i = 0; i < r->n; i++) {
		const struct wal_run *run = &r->run[i];
		if (run->committed != committed)
			continue;
		struct wal_cursor *c = &m->cursors[m->n++];
		c->block = m->blocks + (size_t)i * BLOCK_ENTRIES;
		c->at = c->end = c->block;
		c->offset = run->start;
		c->left = run->count;
		if (fill(m, c, e)) {
			wal_merge_close(m);
			return -1;
		}
	}
	return 0;
}

int wal_merge_next(struct wal_merge *m, struct wal_entry *entry, struct err *e)
{
	const struct wal_cursor *first = NULL;
	for (unsigned i = 0; i < m->n; i++) {
		const struct wal_cursor *c = &m->cursors[i];
		if (c->at != c->end && (!first || c->at->pgno < first->at->pgno))
			first = c;
	}
	if (!first)
		return 0;
	*entry = *first->at;
	for (unsigned i = 0; i < m->n; i++) {
		struct wal_cursor *c = &m->cursors[i];
		if (c->at == c->end || c->at->pgno != entry->pgno)
			continue;
		if (wal_entry_offset(c->at) > wal_entry_offset(entry))
			*entry = *c->at;
		c->at++;
		if (fill(m, c, e))
			return -1;
	}
	return 1;
}

void wal_merge_close(struct wal_merge *m)
{
	free(m->cursors);
	free(m->blocks);
	*m = (struct wal_merge){0};
}
