/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - a full copy of the database as it stood at the newest TXID, read while applications go on writing and our
 * own syncs go on too (level 9, replication.md §6.3).
 *
 *   db_snapshot_begin   in a job that owns the db, right after a sync that reached the end of the WAL: takes a connection
 *                       of its own with a read transaction, remembers where in the WAL the position ends and which page
 *                       lies where. Short.
 *   db_snapshot_write   any thread, beside syncs of the same db: pages 1 … commit from the WAL below that bound, else
 *                       from the database file. Frames behind the bound are never looked at. While it runs, db does no
 *                       checkpoint (db_sync leaves it for later).
 *   db_snapshot_end     the same rule as begin (the db's own jobs must not run at that moment, or it locks: see .c).
 *
 * The image is exactly the database at `txid`; before it ends the WAL's header is compared once more, and any doubt is an
 * error: what was written must then be thrown away.
 */
#ifndef RIVULET_DB_SNAPSHOT_H
#define RIVULET_DB_SNAPSHOT_H

#include "lib/db/db.h"

struct db_snapshot;

/* ERR_BUSY when a snapshot is being written already or the position is not the end of the WAL (sync first). */
int db_snapshot_begin(struct db *d, struct db_snapshot **out, struct err *e);
uint64_t db_snapshot_txid(const struct db_snapshot *s);
uint32_t db_snapshot_pages(const struct db_snapshot *s);
/* Encodes into sink; *size = bytes written. created_ms goes into the header. */
int db_snapshot_write(struct db_snapshot *s, struct ltx_sink sink, int64_t created_ms, const atomic_bool *cancel,
                      int64_t *size, struct err *e);
void db_snapshot_end(struct db_snapshot *s);

#endif
