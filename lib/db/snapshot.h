/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - a full copy of the database as it stood at the newest TXID, read while applications go on writing and
 * our own syncs go on too (level 9, replication.md §6.3).
 *
 *   db_snapshot_begin   in a job of the db, like db_sync, which it calls: then takes a connection of its own with a
 *                       read transaction, syncs once more, and remembers where the position ends in the WAL. Short.
 *                       db_txid() may have grown.
 *   db_snapshot_write   any thread, once, beside all jobs of the same db: pages 1 … commit from the WAL below that
 *                       bound, else from the database file. Frames behind the bound are never looked at.
 *   db_snapshot_end     any thread, beside all jobs of the same db, but before db_free().
 *
 * Between begin and end the db does no checkpoint (db_sync leaves it for later).
 *
 * The image is exactly the database at `txid`; before it ends the WAL's header is compared once more, and any doubt is
 * an error: what was written must then be thrown away.
 */
#ifndef RIVULET_DB_SNAPSHOT_H
#define RIVULET_DB_SNAPSHOT_H

#include "lib/db/db.h"

struct db_snapshot;

/* ERR_BUSY when one is being written already, or when there is no database yet. */
int db_snapshot_begin(struct db *d, struct db_snapshot **out, struct err *e);
uint64_t db_snapshot_txid(const struct db_snapshot *s);
uint32_t db_snapshot_pages(const struct db_snapshot *s);
/* The time for the header: now, but never before that of the file whose TXID it has. */
int64_t db_snapshot_created_ms(const struct db_snapshot *s);
/* Encodes into sink in pieces of up to 128 KiB; *size = bytes written. cancel may be NULL. */
int db_snapshot_write(struct db_snapshot *s, struct ltx_sink sink, const atomic_bool *cancel, int64_t *size,
                      struct err *e);
/* NULL is fine. */
void db_snapshot_end(struct db_snapshot *s);

#endif
