/* SPDX-License-Identifier: MIT */
/* file_kind.h - what the files of the file kind know of each other: file.c, file_write.c. */
#ifndef RIVULET_REPLICA_FILE_KIND_H
#define RIVULET_REPLICA_FILE_KIND_H

#include "lib/replica/replica.h"
#include "lib/replica/stats.h"

/* Adds an operation that has just ended to the figures; returns rc. */
int file_count(enum replica_operation op, int64_t began_us, int64_t bytes, int rc, const struct err *e);

/* PATH/ltx/LEVEL, malloc'ed. */
char *file_level_folder(const struct replica *r, int level, struct err *e);
/* FOLDER/MIN-MAX.ltx and what is to follow it, malloc'ed. */
char *file_item_path(const char *folder, const struct replica_item *item, const char *suffix, struct err *e);

/* replica_ops.put, create and remove, not counted but for create. */
int file_put(struct replica *r, const struct replica_item *item, const char *staged_path, struct err *e);
int file_create(struct replica *r, const struct replica_item *item, struct replica_writer **writer, struct err *e);
int file_remove(struct replica *r, const struct replica_item *items, int count, struct err *e);

#endif
