/* SPDX-License-Identifier: MIT */
/*
 * folder.h - the databases in a folder: found once, or kept in sight.
 *
 * A database is a file whose base name matches the pattern (Go's filepath.Match) and that begins with SQLite's 16
 * bytes. Names that end in -wal, -shm or -journal never count, nor does what lies in folders called .*-litestream.
 * Links to folders are not followed; a link to a file stands for the file. A database that this process has open is
 * never opened and closed on the way (lib/db/db.h). Sources: replication.md §8, cases.md §5.5.
 */
#ifndef RIVULET_STORE_FOLDER_H
#define RIVULET_STORE_FOLDER_H

#include <stdbool.h>

#include "lib/base/err.h"

struct loop;
struct pool;
struct folder;

struct folder_rule {
	const char *dir;     /* absolute and clean; may name a database file: that one is found then */
	const char *pattern;
	bool recursive;
	const char *const *skip; /* folders that are not entered (meta-dir, a replica), absolute; NULL-terminated or NULL */
};

enum {
	FOLDER_DATABASES_MAX = 65536, /* what goes beyond these is left out, and said */
	FOLDER_DIRS_MAX = 65536,
	FOLDER_DEPTH_MAX = 64,
};

/*
 * Calls visit for each database, in the order of names; one that returns non-zero ends the scan with that value.
 * Blocks. path is where the file is (a link is resolved), relative its name below dir, "" for dir itself. What cannot
 * be read below dir is logged and left out. Errors: "failed to scan directory D: lstat D: no such file or directory",
 * "failed to scan directory D: syntax error in pattern".
 */
int folder_scan(const struct folder_rule *rule,
                int (*visit)(void *ctx, const char *path, const char *relative, struct err *e), void *ctx, struct err *e);

/*
 * Keeping a folder in sight, with inotify; all functions and callbacks are the loop thread's, the looking itself is
 * done by the pool. Callbacks may not free the folder.
 *
 * A new or changed file is looked at 250 ms after the first event; a new folder at once. A file that is deleted is
 * lost at once; one that is renamed, alone or with a folder above it, when what is new has been looked at (10 s at
 * most), unless it is found again there: then it has moved. Everything is scanned anew every 5 minutes, after a lost
 * event queue, and every 30 s while the kernel gives no more watches (one error line says so and names
 * fs.inotify.max_user_watches). A tree that vanishes loses its databases and is looked for every 2 s.
 */
struct folder_options {
	struct loop *loop;
	struct pool *pool;
	struct folder_rule rule; /* copied */
	/* Also for each database that is there at the start. */
	void (*found)(void *ctx, const char *path, const char *relative);
	void (*lost)(void *ctx, const char *path);
	void (*moved)(void *ctx, const char *old_path, const char *path, const char *relative);
	void (*ready)(void *ctx); /* once: the first scan is over; may be NULL */
	void *ctx;
};
/* ERR_INVALID for a malformed pattern. A folder that does not exist yet is waited for. */
int folder_watch(const struct folder_options *o, struct folder **out, struct err *e);
/* No callback comes any more. A job that is under way is waited for by the pool's next collections. */
void folder_free(struct folder *f);

#endif
