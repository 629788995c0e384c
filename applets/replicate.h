/* SPDX-License-Identifier: MIT */
/*
 * replicate.h - the parts of the replicate applet: replicate.c (command line, configuration, restore), once.c (-once),
 * daemon.c (the rest), with reload.c (SIGHUP) and states.c (SIGUSR1).
 */
#ifndef RIVULET_APPLETS_REPLICATE_H
#define RIVULET_APPLETS_REPLICATE_H

#include <stdbool.h>

#include "applets/census.h"
#include "applets/place.h"
#include "lib/levels/levels.h"

struct replicate {
	struct place_flags place;
	const char *exec, *log_level, *socket;
	bool restore, once, force_snapshot, enforce_retention;
	int64_t ready_fd;       /* -1 = none */
	char **command;         /* of -exec or the configuration, split; NULL = none */
	bool from_words;        /* database and replica stand on the command line */
	struct levels_policy policy;
};

/* The configuration that counts, whether it comes from a file or from words, with what the flags change in it; sets up
 * the log. Again at every SIGHUP. Any thread may do it, but for the log. */
int replicate_read_config(const struct replicate *r, struct config *c, struct err *e);
/* control.md §5.7: flag over environment over file. */
void replicate_set_log(const struct replicate *r, const struct config *c);

/* Both take the configuration over, and return the exit status. */
int replicate_once(struct replicate *r, struct config *c);
int replicate_daemon(struct replicate *r, struct config *c);

#endif
