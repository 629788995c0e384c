/* SPDX-License-Identifier: MIT */
/* restore_plan.h - what `restore -dry-run` prints. */
#ifndef RIVULET_APPLETS_RESTORE_PLAN_H
#define RIVULET_APPLETS_RESTORE_PLAN_H

#include <stdbool.h>

#include "lib/restore/restore.h"

/* Returns the exit status, as output.h's functions do. */
int restore_plan_print(const struct restore_plan *plan, const char *source, const char *target, const char *type,
                       bool json);

#endif
