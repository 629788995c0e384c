/* SPDX-License-Identifier: MIT */
/*
 * shot.h - a snapshot of a rig's database, what happens while it is written, and whether the right image came out.
 */
#ifndef TESTS_SUPPORT_SHOT_H
#define TESTS_SUPPORT_SHOT_H

#include "lib/db/snapshot.h"
#include "tests/support/ltxmem.h"
#include "tests/support/rig.h"

/* Where a snapshot goes, and what happens while it does. */
struct shot {
	struct rig *g;
	struct mem out;
	void (*disturb)(struct shot *s); /* at each piece of output */
	int pieces, fail_at;
	unsigned seed;
	atomic_bool cancel;
	struct image want; /* the database as it stood at the beginning */
	uint64_t txid;
	struct err e;
};

/* A database with rows in the file and others in the WAL, synced. */
bool shot_start(struct rig *g, const char *name);
/* Begins, and remembers what must come out. */
struct db_snapshot *shot_begin(struct shot *s, struct rig *g);
/* The sink: ctx is the shot. */
int shot_write(void *ctx, const void *bytes, size_t n, struct err *e);
/* Makes an image of what came out; false when it is no snapshot of all pages. */
bool shot_decode(struct shot *s, struct image *im, struct ltx_header *h);
/* Writes, ends, compares. */
bool shot_finish(struct shot *s, struct db_snapshot *snapshot);
/* Lets go of what came out and what should have. */
void shot_forget(struct shot *s);

/* What may happen beside it (disturb): rows that change; the same, synced; a foreign checkpoint behind that. */
void shot_writes(struct shot *s);
void shot_writes_and_syncs(struct shot *s);
void shot_checkpoints(struct shot *s, int mode);
void shot_passive(struct shot *s);

#endif
