/* SPDX-License-Identifier: MIT */
/*
 * fleet.h - the databases that a configuration names, kept in the store: at the start, while folders are watched, and when
 * the configuration is read again. What was registered by other means (the control socket) is left alone.
 *
 * Everything is the loop thread's.
 */
#ifndef RIVULET_APPLETS_FLEET_H
#define RIVULET_APPLETS_FLEET_H

#include <stdatomic.h>
#include <stdbool.h>

#include "applets/census.h"
#include "lib/os/loop.h"
#include "lib/os/pool.h"
#include "lib/store/ops.h"

struct fleet;

struct fleet_options {
	struct loop *loop;
	struct store *store;
	struct pool *pool;          /* for what blocks: folders, restores */
	const atomic_bool *cancel;  /* of restores */
	bool restore_all;           /* -restore-if-db-not-exists */
};
int fleet_create(const struct fleet_options *o, struct fleet **out, struct err *e);
void fleet_free(struct fleet *f);

/* The first configuration, taken over, with everything that it restores restored already. An error ends the program. */
int fleet_begin(struct fleet *f, struct census *c, struct err *e);

/* Another configuration, taken over: what is new is added, what is gone is removed with a last sync, what is changed is
 * both. What cannot be added is logged. */
struct fleet_changes {
	int added, removed, changed;
};
void fleet_change(struct fleet *f, struct census *c, struct fleet_changes *changes);

/* Folders are let go of; nothing is found any more. Before the store stops. */
void fleet_stop(struct fleet *f);
/* Watched folders have been looked through for the first time, and no restore is under way. */
bool fleet_settled(const struct fleet *f);

#endif
