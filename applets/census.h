/* SPDX-License-Identifier: MIT */
/*
 * census.h - a configuration with what its folders hold at this moment: what a daemon starts with, or goes over to.
 * Taking it may block for long (thousands of files); it may be done on any thread.
 */
#ifndef RIVULET_APPLETS_CENSUS_H
#define RIVULET_APPLETS_CENSUS_H

#include "lib/config/config.h"

struct census_list {
	struct census_found {
		char *path, *relative; /* relative: NULL where the entry's dir is itself the file */
	} *items;
	size_t count, cap;
};

struct census {
	struct config config;
	struct census_list *found; /* one per entry of the configuration; of folder entries that are not watched, or all */
};

/* Takes config over, also when it fails. The checks of config_check() come first. */
int census_take(struct config *config, bool watched_too, struct census *out, struct err *e);
void census_free(struct census *c);

#endif
