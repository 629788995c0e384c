/* SPDX-License-Identifier: MIT */
/*
 * place.h - what a word on the command line names: a replica, or a database that the configuration file knows; and the
 * configuration file as the applets find it.
 */
#ifndef RIVULET_APPLETS_PLACE_H
#define RIVULET_APPLETS_PLACE_H

#include <stdbool.h>

#include "lib/config/config.h"
#include "lib/replica/replica.h"
#include "lib/store/folder.h"

/* The -config and -no-expand-env flags of an applet. */
struct place_flags {
	const char *config; /* "" = not given */
	bool no_expand_env;
};
#define PLACE_FLAGS_DEFAULT { .config = "" }
#define PLACE_FLAGS(f) { "config", FLAG_TEXT, &(f).config, NULL }, { "no-expand-env", FLAG_BOOL, &(f).no_expand_env, NULL }

/* Reads the file that -config names, else $LITESTREAM_CONFIG, else /etc/litestream.yml. */
int place_read_config(const struct place_flags *f, struct config *c, struct err *e);
/* The same, and sets up the log as it says: to standard error where it says so, else to log_fd. */
int place_config(const struct place_flags *f, int log_fd, struct config *c, struct err *e);

/* Absolute, clean, ~ expanded; malloc'ed. */
int place_expand(const char *word, char **path, struct err *e);

/* A URL, or, without -config, a folder that holds `ltx` (a file replica; Litestream has no such form). */
bool place_is_replica(const char *word, const struct place_flags *f);

struct place {
	char *database;            /* its absolute path; NULL when the word named a replica */
	struct replica **replicas; /* in the order of the file; at least one */
	int count;
};
enum { PLACE_REPLICAS_MAX = 64 };

/*
 * Opens what the word names. only: the name (or, without one, the type) of the replica that is wanted, or "".
 * `database not found in config: P`, and config.h's and settings.h's messages.
 */
int place_open(const char *word, const struct place_flags *f, const char *only, int log_fd, struct place *out,
               struct err *e);
void place_free(struct place *p);

/*
 * What a folder entry finds now (folder_scan of lib/store/folder.h). The folders of its own local state are left out.
 * `no SQLite databases found in directory D with pattern P`, unless it is watched.
 */
int place_scan(const struct config_db *db,
               int (*visit)(void *ctx, const char *path, const char *relative, struct err *e),
               void *ctx, struct err *e);
/* The rule of a folder entry; skip must have room for PLACE_SKIPS. */
enum { PLACE_SKIPS = 4 };
struct folder_rule place_rule(const struct config_db *db, const char *skip[PLACE_SKIPS]);

/*
 * Every database of the file, folders scanned: in the order of the file, then of names. relative: below the folder of a
 * folder entry, else NULL. A visit that returns non-zero ends it with that value.
 */
int place_each(const struct config *c, int (*visit)(void *ctx, const struct config_db *db, const char *path,
                                                    const char *relative, struct err *e),
               void *ctx, struct err *e);

#endif
