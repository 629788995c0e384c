/* SPDX-License-Identifier: MIT */
/*
 * target.h - the file that a restore writes: may it be written, and the way cleared for it.
 *
 * A write-ahead log, its index or a journal that belonged to another database would be taken for the new one's: SQLite
 * would replay them into it. They are refused or removed, never left.
 */
#ifndef RIVULET_APPLETS_TARGET_H
#define RIVULET_APPLETS_TARGET_H

#include <stdbool.h>

#include "lib/base/err.h"

/* Anything at all at that place? */
bool target_exists(const char *path);
/* Changes nothing. With `force` only a folder is refused. */
int target_check(const char *path, bool force, struct err *e);
/* Removes the file and its sidecars. After target_check only. */
int target_clear(const char *path, struct err *e);

#endif
