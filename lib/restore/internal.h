/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of lib/restore share with each other and nobody else.
 */
#ifndef RIVULET_RESTORE_INTERNAL_H
#define RIVULET_RESTORE_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/ltx/ltx.h"
#include "lib/os/file.h"
#include "lib/restore/restore.h"

/* ---- feed.c: the bytes of several objects, one object after the other ---- */

/*
 * Objects are given out in the order of `items`, or backwards. A replica with latency is read by `parallelism` threads,
 * which fetch the objects to come into FEED_MEMORY bytes altogether; a local one is read when bytes are asked for.
 */
enum {
	FEED_MEMORY = 4 << 20, FEED_BUFFER_SIZE = 128 << 10,
	/* An object larger than FEED_PART is fetched in parts, by all threads side by side;
	 * then there is more memory. */
	FEED_PART = 2 << 20, FEED_MEMORY_PARTS = 16 << 20,
};

struct feed;

struct feed_options {
	int parallelism;           /* threads; at most one for each object is started */
	bool backwards;
	const atomic_bool *cancel; /* may be NULL */
};

/* NULL on failure. items must stay as long as the feed. */
struct feed *feed_create(struct replica *r, const struct replica_item *items, int count, const struct feed_options *o,
                         struct err *e);
void feed_free(struct feed *f);
/* Goes on to the next object, wherever the last one's reading stopped. */
int feed_next(struct feed *f, const struct replica_item **item, struct err *e);
/* The current object's bytes, buffered. Errors name the object. */
struct ltx_source feed_source(struct feed *f);
/* Bytes fetched so far, of all objects. */
int64_t feed_bytes(const struct feed *f);

/* prefetch.c: the threads behind a feed. ERR_LIMIT when there is not even one to be had. */
struct prefetch;
struct prefetch *prefetch_create(struct replica *r, const struct replica_item *items, int count,
                                 const struct feed_options *o, struct err *e);
void prefetch_free(struct prefetch *p);
/* The object at this place of the order; places ascend. */
void prefetch_open(struct prefetch *p, int place);
int prefetch_read(struct prefetch *p, void *bytes, size_t n, size_t *got, struct err *e);

/* ---- pages.c: each page of a database written once, newest copy first ---- */

enum { PAGES_BUFFER_SIZE = 256 << 10 };

struct pages {
	uint32_t left; /* pages that no file has brought yet */
	struct os_file *file;
	uint32_t page_size, commit, lock_pgno;
	bool rollback_header;
	bool new_counter;       /* page 1 gets `counter` */
	uint32_t counter;
	uint8_t *written;       /* one bit per page */
	uint8_t *buffer;        /* a run of neighbouring pages, and room for one more */
	uint32_t run_first, run_count, run_max;
	int64_t flush_from, flush_to; /* written to the file, not yet on its way to the disk */
};

int pages_init(struct pages *p, struct os_file *file, uint32_t page_size, uint32_t commit, struct err *e);
void pages_free(struct pages *p);
/* Where the next page is to be put. */
uint8_t *pages_slot(struct pages *p);
/* Takes the page in the slot, unless a newer copy is there or the database ends before it. */
int pages_take(struct pages *p, uint32_t pgno, struct err *e);
/* Is there a copy of every page? */
static inline bool pages_complete(const struct pages *p) { return p->left == 0; }
/* Writes what is gathered, demands that no page is missing if it is to be `complete`, and gives the file its size. */
int pages_finish(struct pages *p, bool complete, struct err *e);
/* Does to the header in the file what would have been done to page 1, if that was not among the pages. */
int pages_patch_header(struct pages *p, struct err *e);

/* ---- names.c: paths beside the output ---- */

/* PATH + suffix, malloc'ed; NULL without memory. */
char *path_with(const char *path, const char *suffix, struct err *e);
/* ERR_EXISTS "WHAT, SQLite sidecar path already exists: X" when there is a non-empty -wal, -shm (if asked for) or
 * -journal: SQLite would mix it into a database that does not know it. */
int check_no_sidecars(const char *path, bool shm_too, const char *what, struct err *e);
/* Removes them. */
int remove_sidecars(const char *path, struct err *e);

/* ---- output.c: OUTPUT.tmp, and how it becomes OUTPUT ---- */

struct output {
	const struct restore_options *options;
	char *tmp_path, *dir; /* dir: of the output */
	struct os_file file;  /* OUTPUT.tmp, ours alone */
	bool done;
};
#define OUTPUT_OF(o) { .options = (o), .file = OS_FILE_NONE }
/* Checks that the place is free, makes its folder, opens an empty OUTPUT.tmp. */
int output_begin(struct output *out, struct err *e);
/* Checks the database as asked for, syncs, calls commit (see restore_run_with), gives the file its name. */
int output_finish(struct output *out, int (*commit)(void *ctx, uint64_t txid, struct err *e), void *ctx, uint64_t txid,
                  struct err *e);
/* Whatever happened; without a finish that worked nothing remains. */
void output_end(struct output *out);

/* ---- plan.c, make.c ---- */

/* <0, 0, >0: a time in milliseconds before, at, after one in nanoseconds. */
int restore_compare_times(int64_t ms, int64_t ns);
/* What the replica holds, v0.3 backups too where they may count;
 * the time is checked against the bounds of all of it. */
struct v3_backups;
int restore_list(struct replica *r, const struct restore_target *target, bool check_bounds, struct replica_list *files,
                 struct v3_backups *old, struct err *e);
/* restore_plan_make of LTX files alone, that keeps the listing. */
int restore_plan_list(struct replica *r, const struct restore_target *target, struct replica_list *files,
                      struct restore_plan *plan, struct err *e);
/* Executes a plan over this listing, and another one when a file fails it (see restore_make). Files that failed leave
 * the list. commit: see restore_run_with. */
int restore_with_list(struct replica *r, struct replica_list *files, const struct restore_options *o,
                      int (*commit)(void *ctx, uint64_t txid, struct err *e), void *ctx, struct restore_plan *plan,
                      struct restore_result *result, struct err *e);

/* ---- run.c ---- */

bool restore_cancelled(const atomic_bool *cancel);
int restore_set_cancelled(struct err *e);
/* As restore_run; `commit` (may be NULL) is called when the output is complete and durable, just before it gets its
 * name; a failure of it is a failure of the restore. */
int restore_run_with(struct replica *r, const struct restore_plan *plan, const struct restore_options *o,
                     int (*commit)(void *ctx, uint64_t txid, struct err *e), void *ctx, struct restore_result *result,
                     struct err *e);
/* Checks a header against the object it was found in. */
int restore_check_header(const struct ltx_header *h, const struct replica_item *item, struct err *e);
/* "decode database: NAME: " in front of what is wrong with an object's content; other errors say enough themselves. */
int restore_wrap(const struct replica_item *item, struct err *e);

/* ---- apply.c: newer files onto a database that readers use ---- */

enum { APPLY_FILES_MAX = 256, APPLY_MEMORY = 1 << 20, APPLY_WAIT_MS = 5000 };

struct apply {
	struct os_file *file;      /* the database */
	uint32_t page_size;
	const char *dir;           /* its folder: where is staged what does not fit into APPLY_MEMORY */
	int parallelism;
	const atomic_bool *cancel;
	/* results */
	int applied;               /* items of the plan that are in the database now */
	bool has_bad;              /* the failure is this object's */
	struct replica_item bad;
	bool other_page_size;      /* a sound file has pages of another size: nothing can be applied over old ones */
};

/*
 * Fetches the items from plan->items[first] on, as many as make a batch, verifies them all, locks the database as
 * SQLite would, writes each page once, syncs, unlocks. Readers that hold their locks for APPLY_WAIT_MS make it
 * ERR_BUSY. A batch that a crash cut short leaves the database in no state at all; repeating it mends that.
 */
int apply_batch(struct apply *a, struct replica *r, const struct restore_plan *plan, int first, struct err *e);

/* ---- txid_file.c: the sidecar OUTPUT-txid ---- */

int txid_file_write(const char *output, uint64_t txid, struct err *e);
/* 0 when there is none. */
int txid_file_read(const char *output, uint64_t *txid, struct err *e);

#endif
