/* SPDX-License-Identifier: MIT */
/*
 * fleet_parts.h - the fleet from the inside: fleet.c (entries and their changes), fleet_dbs.c (databases in and out),
 * fleet_places.c (whose replica lies where).
 */
#ifndef RIVULET_APPLETS_FLEET_PARTS_H
#define RIVULET_APPLETS_FLEET_PARTS_H

#include "applets/fleet.h"
#include "lib/store/folder.h"

struct before;

/* One entry of the configuration. Does not move: folders and restores know it. */
struct entry {
	struct fleet *f;
	char *name, *pattern;       /* its path, or its dir and pattern; NULL pattern = a path */
	uint64_t identity;
	const struct config_db *db; /* in f->census; NULL where nothing more is to be asked of it */
	struct folder *folder;      /* of a watched one */
	bool settled;               /* its first scan is over */
	struct before *restore;     /* under way: the database is added behind it */
	bool dropped;               /* freed as soon as the restore has ended */
	char **members;             /* paths of the databases that it added */
	size_t count, cap;
};

/* A database that is added when one that leaves has left its replica's place. */
struct waiting {
	struct waiting *next;
	struct entry *en;
	char *path, *relative;
};

struct place;
enum { PLACE_CHAINS = 256 };

struct fleet {
	struct fleet_options o;
	struct census census;       /* what entries point into; empty when none does */
	struct entry **entries;     /* in the order of the configuration */
	size_t count;
	int restores;
	struct waiting *waiting;
	struct place *places[PLACE_CHAINS];
};

/* ---- fleet.c ---- */
void entry_free(struct entry *en);
/* Lets go of the configuration when no entry needs it any more. */
void fleet_trim(struct fleet *f);

/* ---- fleet_dbs.c ---- */
/* Into the store and the members, perhaps later (struct waiting). ERR_EXISTS when the store has it already. */
int entry_add(struct entry *en, const char *path, const char *relative, struct err *e);
/* The same for what a folder holds: another entry may have it, and a failure is only logged. */
void entry_found(struct entry *en, const char *path, const char *relative);
/* Out of both, with a last sync. */
void entry_lost(struct entry *en, const char *path);
void entry_lose_all(struct entry *en);
int entry_watch(struct entry *en, struct err *e);
/* Restores first, if the entry wants that and there is something to restore. */
int entry_restore_or_add(struct entry *en, struct err *e);
void waiting_free(struct fleet *f);

/* ---- fleet_places.c ---- */
/*
 * The places of all replicas of that database become owner's (a member's or a leaving one's path, by its address). Its
 * own name may have them already. ERR_BUSY while the one that has one is leaving; else ERR_INVALID, both named.
 */
int places_claim(struct fleet *f, const struct config_db *db, const char *relative, const char *owner, struct err *e);
void places_leave(struct fleet *f, const char *owner);   /* it goes, but writes still */
void places_release(struct fleet *f, const char *owner); /* it is gone */

#endif
