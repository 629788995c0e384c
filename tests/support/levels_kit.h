/* SPDX-License-Identifier: MIT */
/*
 * levels_kit.h - a rig with a levels struct over a replica that counts and breaks, and a clock that the test moves.
 *
 * Every TXID's database is remembered by a checksum, so that a test can ask at any time whether it still comes out of
 * the replica.
 */
#ifndef TESTS_SUPPORT_LEVELS_KIT_H
#define TESTS_SUPPORT_LEVELS_KIT_H

#include "lib/levels/internal.h"
#include "tests/support/replica_kit.h"
#include "tests/support/rig.h"

enum { LK_TXID_MAX = 4096 };

struct lk {
	struct rig g;
	struct flaky *f; /* over another handle of the rig's replica folder */
	struct levels *l;
	struct levels_policy policy;
	struct levels_result r;
	struct err e;
	uint64_t images[LK_TXID_MAX];
	int64_t times_ms[LK_TXID_MAX];
	int64_t now_ms;
};

/* Small intervals: levels 10 s, 60 s, 300 s; snapshots every 1000 s, kept 2000 s; level 0 30 s. No jitter. */
bool lk_init(struct lk *k, const char *name);
void lk_free(struct lk *k);
/* No compaction by time. */
void lk_only_retention(struct lk *k);
/* A new process: nothing is remembered. */
void lk_restart(struct lk *k);
void lk_pass(struct lk *k, int64_t ms);
/* One transaction, synced, uploaded, noted. */
bool lk_commit(struct lk *k);
bool lk_commits(struct lk *k, int n, int64_t step_ms);
/* What the store would do: run if something is due, with a snapshot if one is needed. levels_run's code; 0 if nothing is. */
int lk_run(struct lk *k);
int64_t lk_due(struct lk *k);
/* Lets time pass with a run whenever something is due, until nothing is. */
bool lk_settle(struct lk *k);
/* An object that lies in the folder without any data of its own: for rules that only look at names and times. */
bool lk_put(struct lk *k, int level, uint64_t min, uint64_t max, int64_t age_ms);
int lk_force(struct lk *k, bool snapshot, bool retention);
int lk_retain_l0(struct lk *k);
/* Does the replica give this TXID as it was? With `quiet`, without a line when it does not. */
bool lk_restores(struct lk *k, uint64_t txid, bool quiet);
/* Every TXID at which a file ends, from that of the oldest snapshot on, must come out as it was. *oldest: that one's. */
bool lk_all_restore(struct lk *k, uint64_t *oldest);
bool lk_same_item(const struct replica_item *a, const struct replica_item *b);
/* "0: 4-4 5-5 | 1: 1-3 4-5 | 9: 1-3", of the folder, not of the manifest. */
const char *lk_layout(struct lk *k);
/* Is the manifest what the folder holds? */
bool lk_manifest_true(struct lk *k);

#endif
