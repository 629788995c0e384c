/* SPDX-License-Identifier: MIT */
/*
 * config.h - the configuration file, read, checked, and made one struct.
 *
 * The file is Litestream's (control.md §4 of the project's specification): YAML, so JSON too, with $NAME replaced by
 * the environment, unknown keys ignored, and its messages word for word. What it says at the top level about replicas
 * is a default for each of them. Keys of ours: `idle-timeout` (global and per database), `lease` (replica), and several
 * elements in `replicas`.
 *
 * The text is foreign: its size, depth, number of nodes and what its aliases expand to are bounded, and each bound says
 * so when it is reached. Nothing here looks at a database or asks a replica; config_check() looks files up by name.
 *
 * All strings belong to the struct config and live until config_free(). Durations are nanoseconds, as the file's
 * messages show them. Any thread; one struct is read-only once it is made.
 */
#ifndef RIVULET_CONFIG_H
#define RIVULET_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/replica/settings.h"

enum {
	CONFIG_FILE_MAX = 4 << 20,    /* bytes, after the expansion too */
	CONFIG_DEPTH_MAX = 64,        /* of nested collections */
	CONFIG_NODES_MAX = 1 << 19,   /* scalars, collections and aliases of the file */
	CONFIG_VISITS_MAX = 1 << 20,  /* the same with aliases followed */
	CONFIG_ANCHORS_MAX = 1000,
	CONFIG_REPLICAS_MAX = 8,      /* of one database */
	CONFIG_LEVELS_MAX = 64,       /* that can be read; how many may be used is for lib/levels to say */
};

struct config_replica {
	struct replica_settings settings; /* ready for replica_open(); relative is NULL */
	int64_t sync_interval_ns;         /* > 0 */
	int64_t max_sync_ltx_files;       /* 0 or less = all */
	enum replica_tri auto_recover;
	bool age;                         /* asks for encryption, which there is none of */
};

struct config_db {
	int line;                  /* of the entry in the file */
	const char *path;          /* absolute and clean; NULL for a folder */
	const char *dir;           /* the same, of a folder entry; else NULL */
	const char *pattern;       /* of file names in dir */
	bool recursive, watch;
	const char *meta_path;     /* absolute and clean, or NULL; of a folder entry the base (config_db_meta) */
	const char *meta_dir;      /* folder entries only */
	int64_t snapshot_interval_ns, snapshot_retention_ns; /* INT64_MIN = not given; promoted to the global ones */
	int64_t monitor_interval_ns;    /* <= 0: no monitoring */
	int64_t checkpoint_interval_ns; /* <= 0: no checkpoints by time */
	int64_t busy_timeout_ns;
	int64_t min_checkpoint_pages, truncate_pages, max_sync_wal_bytes;
	int64_t idle_timeout_ns;   /* 0 = never let go of a quiet database */
	bool restore_if_db_not_exists;
	bool enabled, auto_replicate; /* either is false: registered, but not opened */
	bool has_replica, has_replicas; /* which of the two keys the file has */
	struct config_replica *replicas;
	int replica_count;
};

struct config_socket {
	bool enabled;
	const char *path;        /* as written; the default when not given */
	uint32_t permissions;    /* chmod mode */
	bool persist;            /* persist-to-config */
};

struct config_logging {
	const char *level, *type; /* as written, "" = not given; type is text, json, pretty or "" */
	bool to_stderr, source;
};

struct config {
	const char *file;        /* absolute name; NULL when made of a text */
	const char *addr;        /* "" = none; so are all strings here */
	const char *mcp_addr, *exec, *heartbeat_url;
	struct config_socket socket;
	struct config_logging logging;
	int64_t level_interval_ns[CONFIG_LEVELS_MAX]; /* [0] is level 1 */
	int level_count;
	int64_t snapshot_interval_ns, snapshot_retention_ns;
	int64_t validation_interval_ns; /* <= 0: off */
	int64_t l0_retention_ns, l0_check_interval_ns;
	bool retention_enabled, verify_compaction;
	int64_t shutdown_timeout_ns, shutdown_interval_ns;
	int64_t heartbeat_interval_ns;
	int64_t idle_timeout_ns;
	/* So many durations are numbers, so nanoseconds, which hardly anybody means; the line of the first. */
	int unitless_count, unitless_line;
	struct config_db *dbs;   /* in the order of the file */
	int db_count;
	struct config_memory *memory; /* this room's */
};

struct config_context {
	bool expand_env;
	const char *cwd, *home;  /* for paths; see text_path_expand */
	int pid;                 /* of $PID */
};

/*
 * Reads and validates. The messages are those of control.md §4.3 and §4.10, one of them, the first in its order. Fills
 * c only when it returns 0. `config file not found: PATH`.
 */
int config_load(const char *path, bool expand_env, struct config *c, struct err *e);
int config_parse(const char *text, size_t n, const struct config_context *context, struct config *c, struct err *e);
/* The file that the command line stands for: one database, one replica, everything else as by default. replica: its
 * URL, or with is_path the path of a folder. path is made absolute. */
int config_of_words(const char *path, const char *replica, bool is_path, const struct config_context *context,
                    struct config *c, struct err *e);
void config_free(struct config *c);

/* The replicas of one entry: how many there are, and what each says (replica_open's messages). */
int config_db_check(const struct config_db *db, struct err *e);
/*
 * What concerns several entries: all of the above, in the order of the file, and that no two entries are one file (by
 * name or by inode) or keep their backups at one place. Both are named.
 */
int config_check(const struct config *c, struct err *e);

/*
 * The entry that looks after the database at `path` (absolute and clean), NULL when none does. An entry with that path
 * wins; else the first folder entry that would take a file of that name, *relative is then the name below its folder,
 * which points into path; otherwise NULL.
 */
const struct config_db *config_find(const struct config *c, const char *path, const char **relative);

/*
 * Where a database of this entry keeps its local state when that is not the default: malloc'ed in *out, or NULL.
 * relative: below the folder of a folder entry, else NULL.
 */
int config_db_meta(const struct config_db *db, const char *relative, char **out, struct err *e);

/*
 * One number for everything that an entry says, so that what a changed file changes can be told from the rest. Two
 * files that say the same in other words have the same number.
 */
uint64_t config_db_identity(const struct config_db *db);

#endif
