/* SPDX-License-Identifier: MIT */
/*
 * upload.h - carries the level-0 files of one database to one replica, in order, each once.
 *
 * The position is the replica's: everything up to it is there. The levels' manifest knows it, and lists anew after
 * every error, so that an upload whose answer was lost is recognised. Files that this process did not write itself are
 * verified to their last byte before they are sent.
 *
 * upload_run blocks; one call at a time per upload, on any thread. It may run while the database syncs: it only reads
 * files that have their final names.
 */
#ifndef RIVULET_STORE_UPLOAD_H
#define RIVULET_STORE_UPLOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/db/db.h"
#include "lib/levels/levels.h"
#include "lib/replica/hold.h"
#include "lib/replica/replica.h"

struct upload {
	struct db *db;
	struct replica *replica;
	struct levels *levels; /* of this replica */
	struct replica_hold *hold; /* its lock must be ours before anything is written; NULL = it has none */
	unsigned term;         /* of the lock: what lies there has been looked at since it began */
	uint64_t position;     /* the replica holds everything up to here */
	bool position_known;
	uint64_t sent;         /* the last file that we stored there ourselves; 0 = none */
	uint64_t verify_up_to; /* files up to this TXID were written by an earlier process */
	/*
	 * With several replicas one may have been out of reach when the database was opened, and one with a lock may have
	 * had another writer since. What local files and the other replicas held then; at the first contact it must not
	 * hold more.
	 */
	uint64_t base;
	bool check_base;
	bool compare;          /* and its newest file must be ours */
	bool auto_recover;     /* a damaged local file is as good as none: UPLOAD_NEEDS_RESET instead of an error */
};

enum upload_result {
	UPLOAD_DRAINED,     /* the replica holds everything up to local_txid */
	UPLOAD_MORE,        /* max_files were sent, more wait */
	UPLOAD_NEEDS_RESET, /* the file that the replica needs next is gone or damaged: a full copy is needed, by db_reset
	                     * or as a snapshot (level 9) of this replica */
	UPLOAD_AHEAD,       /* it holds more than base: db_reset, so that no TXID gets a second meaning */
};

/* Sends the files position + 1 .. local_txid, at most max_files (0 = all). enum upload_result or -1. */
int upload_run(struct upload *u, uint64_t local_txid, int max_files, const atomic_bool *cancel, struct err *e);

#endif
