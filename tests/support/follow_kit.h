/* SPDX-License-Identifier: MIT */
/*
 * follow_kit.h - follow mode, driven by its callbacks: what happens to the replica happens when it says that it has
 * started, has applied something, or could not. Sleeping only moves a clock, so nothing here waits.
 */
#ifndef TESTS_SUPPORT_FOLLOW_KIT_H
#define TESTS_SUPPORT_FOLLOW_KIT_H

#include "lib/restore/restore.h"
#include "tests/support/replica_kit.h"

/* ---- states of a database: follow_state(n) is what TXID n leaves ---- */

enum { STATES = 12 };

const char *follow_state(int n); /* path of a file that is there after follow_make_states */
/* Grows, shrinks and grows again. Not every transaction writes page 1 anew in what follows. */
bool follow_make_states(void);
/* Stores TXIDs from..to as one file; a snapshot when from is 1. */
bool follow_store(const char *path, int level, int from, int to);
/* The output is state n, but for the bytes that follow mode has to make its own. */
bool follow_output_is(const char *output, int n);
int follow_sidecar(const char *output); /* its TXID; -1 = none, or not a sound one */

/* ---- a run ---- */

struct run {
	struct replica *r;
	const char *path, *output;
	struct restore_follow_options o;
	struct err e;
	int rc;
	atomic_bool cancel;
	/* what is done when something happens; returns true to stop */
	bool (*on_started)(struct run *run);
	bool (*on_applied)(struct run *run);
	bool (*on_warn)(struct run *run);
	int stop_at;  /* TXID */
	/* what happened */
	int started, resumed, applied, warnings;
	uint64_t started_at, reached;
	char warned[1500];
	void *extra;
};

/* The file replica NAME, the output NAME.db. The process ends when a test takes a minute. */
void follow_init(struct run *run, const char *name);
int follow_run(struct run *run); /* until it is cancelled or fails; the return value is also run->rc */
void follow_end(struct run *run);
/* Puts state txid and its sidecar where the output will be. */
bool follow_resume_at(struct run *run, int txid);
/* For on_applied: stores the TXID behind the one that was reached, as long as there is one. */
bool follow_store_next(struct run *run);

#endif
