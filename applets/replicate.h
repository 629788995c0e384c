/* SPDX-License-Identifier: MIT */
/*
 * replicate.h - the parts of the replicate applet: replicate.c (command line), once.c (-once), daemon.c (the rest).
 */
#ifndef RIVULET_APPLETS_REPLICATE_H
#define RIVULET_APPLETS_REPLICATE_H

#include <stdbool.h>

#include "lib/store/store.h"

struct replicate {
	const char *config, *exec, *log_level;
	bool restore, once;
	struct managed_options managed; /* path and replica filled in */
};

/* Both take the replica over, and return the exit status. */
int replicate_once(struct replicate *r);
/* command: argv of -exec, or NULL. */
int replicate_daemon(struct replicate *r, char **command);

#endif
