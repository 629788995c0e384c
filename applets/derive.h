/* SPDX-License-Identifier: MIT */
/*
 * derive.h - from what a configuration says to what the store is told.
 */
#ifndef RIVULET_APPLETS_DERIVE_H
#define RIVULET_APPLETS_DERIVE_H

#include "lib/config/config.h"
#include "lib/store/store.h"

/*
 * The options for one database of an entry, its replicas opened. relative: below the folder of a folder entry, else
 * NULL. path is borrowed; *meta is what db.meta_path points at, to be freed behind store_add, may be NULL.
 */
int derive_managed(const struct config_db *db, const char *path, const char *relative, struct managed_options *o,
                   char **meta, struct err *e);
/* Closes the replicas, when nobody took them over. */
void derive_undo(struct managed_options *o);

/* ERR_INVALID "compaction level cannot exceed 8". */
int derive_policy(const struct config *c, struct levels_policy *p, struct err *e);

/* Upwards: what is not nothing stays so. Negative is 0. */
int64_t derive_ms(int64_t ns);

#endif
