/* SPDX-License-Identifier: MIT */
/*
 * v3.h - backups of Litestream v0.3: found, chosen, made a database of (replication.md §7.4, cases.md §3.4).
 * For lib/restore.
 *
 *   generations/GGGGGGGGGGGGGGGG/snapshots/IIIIIIII.snapshot.lz4              the database file
 *   generations/GGGGGGGGGGGGGGGG/wal/IIIIIIII_OOOOOOOO.wal.lz4                bytes of WAL number I from offset O on
 *
 * Numbers are lower-case hex; offsets have 8 to 16 digits. A database is a snapshot, with the WALs of its generation
 * from the snapshot's number on applied one after the other. A WAL is put together in an unlinked file beside the
 * output, read with lib/wal, and the newest committed copy of each page is written: what a checkpoint of SQLite would
 * do, without opening a database that is not whole yet, and with memory that does not depend on its size.
 */
#ifndef RIVULET_RESTORE_V3_H
#define RIVULET_RESTORE_V3_H

#include "lib/restore/restore.h"

struct v3_object {
	uint64_t generation;
	uint32_t index;
	uint64_t offset; /* of a segment */
	int digits;      /* of the offset in its name */
	int64_t size, created_ms;
};
struct v3_objects {
	struct v3_object *items;
	int count, cap;
};
struct v3_backups {
	struct v3_objects snapshots, segments;
};
enum { V3_OBJECTS_MAX = 8 << 20 };

/* Names; false for others. */
bool v3_parse_generation(const char *name, uint64_t *generation);
bool v3_parse_snapshot(const char *name, uint32_t *index);
bool v3_parse_segment(const char *name, uint32_t *index, uint64_t *offset, int *digits);

/* Everything that the replica holds; nothing where its kind does not support v0.3.x. */
int v3_list(struct replica *r, struct v3_backups *b, struct err *e);
void v3_free(struct v3_backups *b);
/* Widens [*first, *last] by the times of all objects. */
void v3_widen(const struct v3_backups *b, int64_t *first_ms, int64_t *last_ms);

/* Is the answer to target made of these, rather than of LTX files? */
bool v3_is_better(const struct v3_backups *b, const struct replica_list *files, const struct restore_target *target);

struct v3_plan {
	struct v3_object snapshot;
	struct v3_objects segments; /* in order */
	int64_t total_bytes;
};
/* ERR_UNAVAILABLE without a snapshot; ERR_GAP "missing WAL index: expected I/0, got I/O". */
int v3_plan_make(const struct v3_backups *b, const struct restore_target *target, struct v3_plan *plan, struct err *e);
void v3_plan_free(struct v3_plan *plan);

/* As restore_run. */
int v3_run(struct replica *r, const struct v3_plan *plan, const struct restore_options *o,
           struct restore_result *result, struct err *e);

#endif
