/* SPDX-License-Identifier: MIT */
/* fleet_parts.h - the fleet from the inside: fleet.c (entries and their changes), fleet_dbs.c (databases in and out). */
#ifndef RIVULET_APPLETS_FLEET_PARTS_H
#define RIVULET_APPLETS_FLEET_PARTS_H

#include "applets/fleet.h"
#include "lib/store/folder.h"

struct before;

/* One entry of the configuration. Does not move: folders and restores know it. */
struct entry {
	struct fleet *f;
	const struct config_db *db; /* in f->config */
	uint64_t identity;
	struct folder *folder;      /* of a watched one */
	bool settled;               /* its first scan is over */
	struct before *restore;     /* under way: the database is added behind it */
	bool dropped;               /* freed as soon as the restore has ended */
	char **members;             /* paths of the databases that it added */
	size_t count, cap;
};

struct fleet {
	struct fleet_options o;
	struct census census;       /* what entries point into */
	struct entry **entries;     /* in the order of the configuration */
	size_t count;
	int restores;
};

/* ---- fleet_dbs.c ---- */
/* Into the store and the members. ERR_EXISTS when the store has it already. */
int entry_add(struct entry *en, const char *path, const char *relative, struct err *e);
/* The same for what a folder holds: another entry may have it, and a failure is only logged. */
void entry_found(struct entry *en, const char *path, const char *relative);
/* Out of both, with a last sync. */
void entry_lost(struct entry *en, const char *path);
void entry_lose_all(struct entry *en);
int entry_watch(struct entry *en, struct err *e);
/* Restores first, if the entry wants that and there is something to restore. */
int entry_restore_or_add(struct entry *en, struct err *e);

/* ---- fleet.c ---- */
void entry_free(struct entry *en);

#endif
