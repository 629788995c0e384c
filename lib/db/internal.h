/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of this room share: the struct and the steps between them.
 */
#ifndef RIVULET_DB_INTERNAL_H
#define RIVULET_DB_INTERNAL_H

#include <pthread.h>

#include "lib/db/db.h"
#include "lib/db/diag.h"
#include "lib/ltx/ltx.h"
#include "lib/os/file.h"
#include "lib/wal/wal.h"
#include "sqlite3.h"

/* Where a file is: two names with the same numbers are one file. */
struct db_inode {
	uint64_t dev, ino;
};

/* How far the local files reach, and where that is in the WAL. */
struct db_position {
	uint64_t txid;  /* 0 = nothing yet */
	bool has_place; /* the fields below mean something */
	uint32_t commit; /* pages of the database at that TXID */
	int64_t offset;  /* end of the WAL range that was read */
	uint32_t salt1, salt2;
	int64_t timestamp_ms;
	/* Remembered, or read from the sidecar; without it (Litestream's files)
	 * the WAL's frame is compared by its page. */
	bool has_checksum;
	bool big_endian;
	struct wal_checksum checksum; /* of the WAL up to offset */
	bool same_boot; /* the machine has not been started anew since: what was written to the WAL is still there */
};

/* What diag.h tells; everything under the lock. */
struct db_diag_state {
	pthread_mutex_t lock;
	const char *operation, *phase, *mode, *reason; /* constants */
	char *error;                                   /* owned; NULL = none */
	bool active, snapshotting;
	int64_t started_ms, updated_ms, started_us, updated_us;
	uint64_t txid;
	int64_t wal_size, wal_offset;
	struct db_checkpoint_counters checkpoints;
};

/* A file as it was at a moment after which every change shows. */
struct db_stamp {
	struct db_inode inode;
	int64_t size, changed_ns;
};

struct db {
	struct db_options o;
	char *path, *wal_path, *meta_path, *l0_dir, *sidecar_path;
	const char *name; /* inside path */
	struct replica **replicas; /* o.replicas */

	/* Open state; everything down to `registered` is off while r == NULL. */
	sqlite3 *r;           /* holds the read transaction */
	sqlite3 *w;           /* bump, barrier, checkpoints; opened at the first need */
	sqlite3_file *r_file; /* r's database file: pages are read through it */
	volatile void *index; /* the mapped wal-index; valid while r is open */
	struct os_file wal;   /* ours: SQLite never locks this file */
	struct os_file lock;  /* META/lock */
	struct db_inode inode, wal_inode, shm_inode;
	struct os_owner file_owner, dir_owner;
	uint32_t page_size;
	int64_t busy_since_us; /* a lock is being waited for since then */
	bool reading;    /* r's transaction is open */
	bool low_mark;   /* it may have begun where everything was backfilled (checkpoint.c, db_read_renew) */
	bool recovered;  /* the replica was asked since the position was read */
	bool registered; /* the inode stands in the table */
	bool told;       /* "initialized db" was logged: a database that wakes up is no news */

	/* Since the end of a sync that reached the end of the WAL the lock was never given up outside of the sealed
	 * sequence: at most one new generation can follow what was read. */
	bool continuity;

	bool position_known;
	struct db_position position;
	/*
	 * As it was let go of (rest.c): all that it had was in the database file, and in our files. While that file is
	 * untouched, whatever happened since stands in the WAL as it is now, from its first frame on.
	 */
	struct {
		bool valid;
		uint64_t txid;
		struct db_stamp database, wal;
		uint64_t content_sum; /* of the database file; 0 = not known */
	} rest;
	bool untouched;              /* since then, as found under the read lock */
	bool copy_wanted;            /* DB_SYNC_NO_COPY was in the way */
	const char *snapshot_reason; /* not NULL: the next file must be a full copy, whatever the WAL says */
	struct wal_index seen;       /* the wal-index as it stood when the last sync began */
	bool seen_valid;
	/* The generation with this salt holds published frames that its chain leaves out. Should all who have it open
	 * be gone, SQLite will drop them when it recovers: so they are checkpointed at once. */
	bool unchained;
	uint32_t unchained_salt1;
	bool unpublished;            /* at that time the log held frames that the index did not count yet */
	bool synced_since_checkpoint;
	int64_t last_checkpoint_us;
	int64_t checkpoint_retry_us; /* no attempt before this time; 0 = none was fruitless */
	int64_t checkpoint_retry_step_us;

	struct db_progress progress;
	struct db_diag_state diag;
	atomic_bool snapshotting; /* from db_snapshot_begin to db_snapshot_end: no checkpoints */
	uint64_t snapshot_txid;   /* of that one; 0 = not fixed yet */
};

/* Buffers of one sync; none of them lives longer, so an idle database holds none. */
enum { DB_BUFFER_SIZE = 256 << 10 };
struct db_work {
	struct wal_pages *pages;
	int copies;        /* full copies that were written */
	int64_t wal_bytes; /* of the WAL that were read into files */
	struct ltx_encoder encoder;
	uint8_t frame[LTX_FRAME_MAX];
	uint8_t page[LTX_PAGE_SIZE_MAX];
	uint8_t sink[128 << 10];
	uint8_t buffer[DB_BUFFER_SIZE];
};

/* ---- diag.c ---- */
void db_diag_init(struct db *d);
void db_diag_free(struct db *d);
/* A sync's record begins and ends; in between, perhaps that of a checkpoint. */
void db_diag_sync(struct db *d);
void db_diag_sync_end(struct db *d, int rc, const struct err *e);
void db_diag_checkpoint(struct db *d, enum db_checkpoint_mode mode);
void db_diag_checkpoint_end(struct db *d, enum db_checkpoint_mode mode, int rc, const struct err *e);
/* Texts are constants. */
void db_diag_phase(struct db *d, const char *phase);
void db_diag_wal(struct db *d, int64_t size);
void db_diag_snapshot(struct db *d, const char *reason);
void db_diag_written(struct db *d);

/* ---- inodes.c ---- */
/* Registers the file; ERR_EXISTS with the other name when it is there already. Any thread. */
int db_inode_claim(struct db_inode inode, const char *path, struct err *e);
void db_inode_release(struct db_inode inode);

/* ---- conn.c: SQLite ---- */
int db_sqlite_error(sqlite3 *c, int rc, const char *what, struct err *e);
int db_exec(sqlite3 *c, const char *sql, const char *what, struct err *e);
int db_conn_open(struct db *d, sqlite3 **out, struct err *e);
int db_conn_check(struct db *d, sqlite3 *c, struct err *e); /* it is as it should be: it can write */
int db_conn_writer(struct db *d, struct err *e); /* opens w if it is not */
int db_read_begin(struct db *d, struct err *e);
void db_read_end(struct db *d);
int db_bump(struct db *d, struct err *e);
/* Frames in the log and frames in the database after it; both -1 while somebody else checkpoints (ERR_BUSY). */
int db_checkpoint_passive(sqlite3 *c, int *frames, int *backfilled, struct err *e);
/* Exactly n bytes of a database file, through a connection's own handle. */
int db_handle_read(sqlite3_file *f, const char *path, void *bytes, int n, int64_t offset, struct err *e);
int db_handle_size(sqlite3_file *f, int64_t *size, struct err *e);
/* The same of r's. */
int db_file_read(struct db *d, void *bytes, int n, int64_t offset, struct err *e);
int db_file_size(struct db *d, int64_t *size, struct err *e);
/* Reads the wal-index, repairing a torn one by a transaction of ours. */
int db_index_read(struct db *d, struct wal_index *index, struct err *e);

/* ---- open.c: files, identity, life ---- */
enum db_open_result { DB_OPEN_OK, DB_OPEN_WAITING };
int db_open(struct db *d, struct err *e); /* enum db_open_result or -1 */
/* Are the database, its WAL and its wal-index still the files that were opened? 1, 0, -1 */
int db_identity_holds(const struct db *d, struct err *e);

/* ---- position.c ---- */
int db_position_load(struct db *d, struct err *e);
void db_position_set(struct db *d, const struct db_position *p); /* and writes the sidecar */
int db_position_recover(struct db *d, struct err *e);           /* the replica may be ahead */

/* ---- prove.c ---- */
enum db_step {
	DB_STEP_NONE,      /* nothing new */
	DB_STEP_INCREMENT, /* go on where the last file ended */
	DB_STEP_HEAD,      /* a new generation, from its first frame */
	DB_STEP_TAIL,      /* the rest of the old generation; then ask again */
	DB_STEP_SNAPSHOT,  /* full copy */
};
struct db_proof {
	enum db_step step;
	const char *reason; /* of a snapshot */
	struct wal_header header;
	struct wal_index index;
	/* the range to read */
	int64_t start, end_max;
	uint32_t salt1, salt2;
	bool big_endian;
	struct wal_checksum checksum; /* of the chain at start */
};
int db_prove(struct db *d, struct db_work *w, struct db_proof *p, struct err *e);
struct wal_source db_wal_source(struct db *d);

/* ---- tail.c ---- */
/* w->pages: what a scan of the old generation has found, up to its last commit. 1, 0, -1 */
int db_tail_is_true(struct db *d, struct db_work *w, const struct db_proof *proof, const struct wal_scan *s,
                    struct err *e);
/* Does the generation end where its chain of frames did? 1, 0 (that cannot be told), -1 */
int db_tail_ends(struct db *d, const struct wal_scan *s, struct err *e);

/* ---- copy.c: pages on their way into an LTX file ---- */
struct db_copy {
	sqlite3_file *file; /* the database's, of a connection that nobody else uses meanwhile */
	struct os_file *wal;
	const char *path;
	uint32_t page_size;
	struct db_work *w; /* pages: sorted; page, buffer: used here; encoder: where they go */
	/* After each page; may end the copy with -1. */
	int (*step)(void *ctx, uint32_t pgno, struct err *e);
	void *ctx;
	int64_t piece_start, piece_end; /* a piece of the database file is in w->buffer */
};
int db_copy_wal_page(struct db_copy *c, const struct wal_page *p, struct err *e);
int db_copy_file_page(struct db_copy *c, uint32_t pgno, struct err *e);
/* Pages 1..commit but the lock page, from the WAL where w->pages has them. */
int db_copy_everything(struct db_copy *c, uint32_t commit, struct err *e);

/* ---- write.c ---- */
struct db_written {
	bool created;
	bool limited; /* stopped at max_bytes: there may be more */
};
int db_write(struct db *d, struct db_work *w, const struct db_proof *p, int64_t max_bytes, struct db_written *out,
             struct err *e);

/* ---- sync.c ---- */
struct db_work *db_work_create(struct db *d, struct err *e);
void db_work_free(struct db_work *w);
enum db_catch_up_flags {
	DB_CATCH_NO_SNAPSHOT = 1,
	DB_CATCH_NO_LARGE_COPY = 2, /* sets copy_wanted and returns 0 instead */
};
/* Writes files until all is read that the WAL held at the call;
 * ERR_BUSY with DB_CATCH_NO_SNAPSHOT when a full copy would be needed. */
int db_catch_up(struct db *d, struct db_work *w, unsigned flags, int *files, struct err *e);

/* ---- rest.c ---- */
/* After a sync that found nothing: 1 = closed, 0 = not now, -1. */
int db_rest(struct db *d, struct db_work *w, int *files, struct err *e);
/* Under the read lock: is the database file as it was when it was let go of? */
void db_rest_look(struct db *d, struct db_work *w);

/* ---- checkpoint.c ---- */
enum db_checkpoint_need { DB_CHECKPOINT_NONE, DB_CHECKPOINT_NORMAL, DB_CHECKPOINT_BRAKE };
enum db_checkpoint_need db_checkpoint_need(const struct db *d);
/* Even the last sync before a stop makes one: what was committed is in danger without it. */
bool db_checkpoint_presses(const struct db *d);
/* Moves r's mark to the end of the WAL, with no instant without one; what was committed up to then is read. */
int db_read_renew(struct db *d, struct db_work *w, int *files, struct err *e);
/* The same where r's mark is one that makes the application's own checkpoints dear. Nobody's trouble if it fails. */
int db_read_raise(struct db *d, struct db_work *w, int *files, struct err *e);
int db_checkpoint(struct db *d, struct db_work *w, bool brake, int *files, bool *restarted, struct err *e);

#endif
