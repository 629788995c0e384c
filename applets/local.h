/* SPDX-License-Identifier: MIT */
/*
 * local.h - a database's local state, looked at from outside of the daemon that keeps it.
 */
#ifndef RIVULET_APPLETS_LOCAL_H
#define RIVULET_APPLETS_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/config/config.h"

/* META of a database; db may be NULL (no configuration). malloc'ed. */
int local_meta_path(const char *path, const struct config_db *db, const char *relative, char **meta, struct err *e);

/* The highest TXID of the files in META/ltx/0; 0 = none. */
int local_txid(const char *meta, uint64_t *txid, struct err *e);

/* All files below META/ltx, in order: calls visit for each. */
int local_files(const char *meta, int (*visit)(void *ctx, const char *path, struct err *e), void *ctx, struct err *e);

/*
 * Deletes META/ltx and META/position, so that the next sync starts over with a full copy. ERR_BUSY while a daemon
 * holds META/lock: it would not notice.
 */
int local_reset(const char *path, const char *meta, struct err *e);

#endif
