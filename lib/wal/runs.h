/* SPDX-License-Identifier: MIT */
/*
 * runs.h - sorted runs of (page, frame) pairs in an unlinked file, and merging them (inside lib/wal; see pages.c).
 *
 * A run holds each page once, in ascending order. Runs overlap; of two entries for a page the one with the higher
 * offset in the log is the newer. Runs of a transaction that has not ended are marked, so that they can be dropped.
 */
#ifndef RIVULET_WAL_RUNS_H
#define RIVULET_WAL_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/os/file.h"

/* A page and the offset of a frame that holds it, in 12 bytes instead of the 16 that a 64-bit member would take. */
struct wal_entry {
	uint32_t pgno, low, high;
};

static inline uint64_t wal_entry_offset(const struct wal_entry *entry)
{
	return (uint64_t)entry->high << 32 | entry->low;
}

struct wal_run {
	int64_t start; /* in the file */
	int64_t count; /* of entries */
	bool committed;
};

struct wal_runs {
	const char *dir; /* for the file; NULL: there can be no runs */
	struct os_file file;
	int64_t end; /* of the last run in the file */
	struct wal_run *run; /* room for max, NULL until the first */
	unsigned n, max;
};

void wal_runs_init(struct wal_runs *r, const char *dir, unsigned max);
void wal_runs_free(struct wal_runs *r); /* drops all runs and the file; may be used again */
/* Adds a run; when there are max already, merges them first. On failure nothing has changed. */
int wal_runs_add(struct wal_runs *r, const struct wal_entry *entries, size_t n, bool committed, struct err *e);
void wal_runs_commit(struct wal_runs *r);
void wal_runs_rollback(struct wal_runs *r);

struct wal_cursor {
	const struct wal_entry *at, *end; /* in memory */
	struct wal_entry *block;          /* that memory, for a run */
	int64_t offset, left;             /* of a run: what comes after the block */
};

/* A zeroed struct is a merge of nothing. */
struct wal_merge {
	struct os_file *file;
	struct wal_cursor *cursors;
	struct wal_entry *blocks;
	unsigned n;
};

/* Over the runs with that mark and n sorted entries in memory, which must stay; the runs must not change meanwhile. */
int wal_merge_open(struct wal_merge *m, struct wal_runs *r, bool committed, const struct wal_entry *entries, size_t n,
                   struct err *e);
/* 1 and the newest entry of the next page, 0 at the end, -1. */
int wal_merge_next(struct wal_merge *m, struct wal_entry *entry, struct err *e);
void wal_merge_close(struct wal_merge *m); /* idempotent */

#endif
