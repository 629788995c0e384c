/* SPDX-License-Identifier: MIT */
/*
 * db.h - one managed database: from committed transactions in its WAL to LTX files in its meta directory.
 *
 * While a database is open, a connection of ours holds a read transaction, so that nobody can restart the WAL over
 * frames that were not read. A sync copies what was committed since the last one into one level-0 LTX file; a
 * checkpoint moves frames into the database and restarts the WAL, seldom and without keeping writers waiting
 * (checkpoint.c). Nothing is ever written to the database but its own user_version (bump) and what a checkpoint moves;
 * the schema is never loaded, so memory does not depend on it.
 *
 * The rule that everything rests on (prove.c): a file continues the history only if that is *proven*; otherwise it is a
 * full copy with the next TXID. TXIDs only grow and are never used twice for different content.
 *
 * Local files:  META/ltx/0/TXID-TXID.ltx   staged, fsynced, immutable
 *               META/position              advisory: where in the WAL the newest file ends (position.c)
 *               META/lock                  held (flock) against a second daemon
 * with META = DIR/.NAME-litestream unless given.
 *
 * POSIX locks belong to (process, inode): closing *any* descriptor of a database or -shm file drops SQLite's locks on
 * it. So this room never opens those files itself: it reads database pages through the connection's own file, the
 * wal-index through its mapping, and only the -wal, which nobody locks, through a descriptor of its own. A process-wide
 * table of inodes refuses the same file under two names.
 *
 * Threads: all functions of one db are called by one thread at a time (one job), but for those marked "any thread".
 */
#ifndef RIVULET_DB_H
#define RIVULET_DB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/replica/replica.h"

struct db;

/* What a replica holds, as far as the next TXID depends on it. */
struct db_newest {
	uint64_t txid;          /* the highest of all levels; 0 = it is empty */
	struct replica_item l0; /* the newest file of level 0 with one TXID; max_txid 0 = there is none */
};

struct db_options {
	const char *path;               /* absolute and clean */
	const char *meta_path;          /* NULL = DIR/.NAME-litestream */
	/* Asked once, and anew when local files have vanished, whether one is ahead of us: the next TXID lies behind
	 * them all. Borrowed; the array is copied. One that does not answer is passed over if another does. */
	struct replica *const *replicas;
	int replica_count;
	/* Asks one of them, by a listing that the owner makes use of too; in a job. NULL = by a listing of its own. */
	int (*newest)(void *ctx, int replica, struct db_newest *out, struct err *e);
	void *newest_ctx;
	int64_t busy_timeout_ms;        /* of our SQLite connections */
	int64_t min_checkpoint_pages;   /* WAL pages from which a checkpoint is due; > 0 */
	int64_t truncate_pages;         /* WAL pages from which the WAL file is cut at the next restart; 0 = default */
	int64_t checkpoint_interval_ms; /* 0 = no checkpoints by time */
	int64_t max_sync_wal_bytes;     /* WAL bytes for one LTX file, rounded up to a commit; 0 = no bound */
	bool auto_recover;              /* corrupt or missing local files: start over instead of failing */
	const atomic_bool *cancel;      /* long work stops with ERR_CANCELLED when set; may be NULL */
};
#define DB_TRUNCATE_PAGES_DEFAULT 121359
#define DB_OPTIONS_DEFAULT                                                                                     \
	{                                                                                                      \
		.busy_timeout_ms = 1000, .min_checkpoint_pages = 1000,                                         \
		.truncate_pages = DB_TRUNCATE_PAGES_DEFAULT, .checkpoint_interval_ms = 60000,                  \
		.max_sync_wal_bytes = 64 << 20                                                                 \
	}

/* Refuses a SQLite that has the WAL-reset fault (before 3.51.3, and 3.52.0). Once, at start. */
int db_library_check(struct err *e);

/*
 * What the file at path is by its first bytes: for those who search folders for databases. Any thread. A file that a db
 * of this process has open is told from the table of inodes and neither opened nor closed, so its locks stay; one that
 * is about to be opened by a db meanwhile makes that wait for a moment. Missing: ERR_NOT_FOUND.
 */
enum db_file_kind {
	DB_FILE_OTHER,    /* no database; folders, devices and pipes too */
	DB_FILE_EMPTY,    /* less than 16 bytes, or zeros: may become one */
	DB_FILE_DATABASE, /* begins with "SQLite format 3", or is open here */
};
struct db_file {
	enum db_file_kind kind;
	uint64_t dev, ino;
};
int db_file_look(const char *path, struct db_file *out, struct err *e);

/* Checks the options; opens nothing, succeeds when the file does not exist. */
int db_create(const struct db_options *o, struct db **out, struct err *e);
/* Closes what is open (no final sync) and frees. */
void db_free(struct db *d);

enum db_sync_flags {
	DB_SYNC_NO_CHECKPOINT = 1, /* leave checkpoints out (the last sync before a stop), but one that saves commits */
	DB_SYNC_NO_COPY = 2, /* a full copy of a large database is not begun, but asked for (wants_copy) */
	DB_SYNC_REST = 4, /* nothing is new, and all of the WAL can be moved to the database: let go of it (rest.c) */
};

struct db_sync_result {
	bool waiting;  /* there is no database yet (missing, empty, still being made): nothing was done */
	uint64_t txid; /* newest local TXID; 0 = none */
	int files;     /* LTX files that came to be */
	bool restarted; /* a checkpoint of ours restarted the WAL */
	bool unpublished; /* somebody is in the middle of a commit: db_changed will tell, but no event will */
	bool wants_copy; /* DB_SYNC_NO_COPY: sync again without it; nothing else was done */
	bool rests;      /* DB_SYNC_REST: closed; db_stirred() tells when there may be something new */
	int copies;      /* of the files, full copies */
	int64_t wal_bytes; /* taken from the WAL into files */
	int checkpoints, checkpoint_errors;
	int64_t checkpoint_ns;
	int64_t db_size, wal_size, wal_offset; /* bytes: of the database, of the WAL's current generation, of it read */
};
enum { DB_COPY_SMALL = 4 << 20 }; /* a database up to this size is copied whatever DB_SYNC_NO_COPY says */

/*
 * Opens the database if need be, copies everything committed into LTX files, then checkpoints if one is due. Nothing
 * new means no file. Errors leave all state as it was proven last; the next call starts from there.
 */
int db_sync(struct db *d, unsigned flags, struct db_sync_result *r, struct err *e);

/* Lets go of the database: read lock, connections, descriptors, meta lock. The next sync opens it again. */
void db_close(struct db *d);

/*
 * Forgets the local files (they are deleted) and takes up the replica's history again: the next sync writes a full copy
 * with the TXID behind the replica's last. For files that an upload needs and that are gone.
 */
int db_reset(struct db *d, const char *why, struct err *e);

/* Loop thread, only while no job of this db runs: has a transaction been published since the last sync? Reads mapped
 * memory only. false when the database is not open. */
bool db_changed(struct db *d);
/*
 * Under the same rule, after a sync that ended in `rests`: may anything have happened to the database since? Two looks
 * at names, nothing is opened. Always true when it does not rest.
 */
bool db_stirred(const struct db *d);
/* Under the same rule: bytes of published WAL behind the last sync (for syncs that are due by size);
 * 0 when not open. */
int64_t db_unread_bytes(struct db *d);

/* ---- facts; valid between jobs ---- */
bool db_is_open(const struct db *d);
uint64_t db_txid(const struct db *d);
/* The newest local TXID by the names of files, for a database that was not opened yet; 0 = none. */
uint64_t db_local_txid(const struct db *d);
const char *db_path(const struct db *d);
const char *db_wal_path(const struct db *d);
const char *db_meta_path(const struct db *d);
const char *db_name(const struct db *d); /* base name, for log lines */
/* "META/ltx/0/…ltx" of a TXID; malloc'ed, NULL only without memory. */
char *db_l0_path(const struct db *d, uint64_t txid);
/* When the next checkpoint (by time, or one to be tried again) is due: os_mono_us() time, 0 = none is, or none may be
 * while a snapshot is being written (snapshot.h): ask again after its end. */
int64_t db_checkpoint_due_us(const struct db *d);

/* ---- progress of a long full copy; any thread ---- */
struct db_progress {
	_Atomic int64_t pages_total; /* 0 = no full copy is being written */
	_Atomic int64_t pages_done;
	_Atomic uint32_t page_size;
};
const struct db_progress *db_progress(const struct db *d);

#endif
