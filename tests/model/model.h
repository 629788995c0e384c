/* SPDX-License-Identifier: MIT */
/*
 * model.h - random histories of an application, an engine and an operator, and what must be true after each.
 *
 * Processes, so that locks are as they are in life: the *driver* (this program; it never opens a database while
 * the others run), two *applications* (several connections each that write, read, checkpoint, vacuum, come and go) and
 * the *engine* (lib/db, lib/levels and the upload of lib/store, with one or two replicas that may be out of reach: folders,
 * or in some histories a *bucket*, behind whose server requests go wrong now and then).
 * One command at a time goes to one of them, so a history is reproduced by its seed; clocks and SQLite's random numbers
 * are the model's too. Interleaving: at chosen kernel calls of a command, those of SQLite included, the process stops and
 * the driver lets the other one act. Either process may die by SIGKILL at a chosen kernel call, or have one fail.
 *
 * What is checked: each new level-0 file, applied to the image of the one before, gives one of the states that the
 * application committed, none older than the state before; after a quiet sync it is the newest, byte by byte; TXIDs are
 * dense; the engine changes nothing that the application could see; a restore of any uploaded TXID gives that image.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/replica/replica.h"
#include "tests/support/bucket.h"
#include "tests/support/image.h"

/* ---- random numbers: one stream for each use, so that a change to one does not move the others ---- */
struct rng {
	uint64_t s;
};
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0 .. n - 1 */
bool rng_percent(struct rng *r, uint32_t percent);
#define rng_pick(r, array) ((array)[rng_below((r), (uint32_t)(sizeof(array) / sizeof((array)[0])))])

/* ---- processes ---- */
enum command {
	CMD_GO_ON, /* after a pause */
	CMD_EXIT,
	APP_STEPS, /* count */
	APP_CYCLE, /* ends what is open, writes little, and moves all of it to the database: the next write restarts the log */
	APP_STATE, /* the image of the database goes to the shared memory */
	APP_CLOSE_ALL,
	ENGINE_SYNC,
	ENGINE_REST,    /* a sync that lets go of the database if it can */
	ENGINE_STIRRED, /* may something have happened to a database that was let go of? */
	ENGINE_UPLOAD,
	ENGINE_LEVELS,  /* compaction, snapshots, retention; and local files that are no longer needed go */
	ENGINE_CLOSE,
};

struct request {
	enum command cmd;
	uint64_t seed;
	uint32_t count;
	int64_t wall_ms, mono_us;
	uint64_t boot; /* of the machine */
	uint32_t down; /* bits: replicas that are out of reach */
	/* pauses: at each kernel call with that many in a thousand, at most so often */
	uint32_t pause_per_mille, pauses_max;
	/* a fault plan for the whole command; mode 0 = none (enum os_fault_mode) */
	uint32_t fault_mode, fault_calls;
	uint64_t fault_at;
	int fault_errnum;
};

struct reply {
	bool paused; /* in the middle of the command: CMD_GO_ON is awaited */
	bool hit;    /* a planned fault came about */
	int rc;
	enum err_code code;
	uint64_t points;    /* kernel calls passed */
	int64_t mono_us;    /* the clock after it */
	/* application */
	int connections, reading, writing;
	bool exists; /* APP_STATE: false = it could not be read now */
	int64_t size;
	/* engine */
	bool waiting, restarted, was_reset, rests, stirred;
	int files, copies;  /* of them full copies */
	int upload;
	uint64_t txid;
	char text[400];
};

struct proc {
	pid_t pid; /* 0 = not running */
	int fd;
	int status; /* of the last end, as waitpid tells it */
};

struct model;
int proc_start(struct proc *p, void (*run)(int fd, struct model *m), struct model *m);
/* false: the process died on the way (p->status). A pause calls `paused`, then the command goes on. */
bool proc_call(struct proc *p, const struct request *q, struct reply *r, void (*paused)(struct model *m),
               struct model *m);
void proc_end(struct proc *p); /* SIGKILL, and waits */

/* In the child: the next command, with clocks, pauses and faults set; exits at the end of the stream. */
void child_next(int fd, struct request *q);
void child_reply(int fd, struct reply *r); /* fills points, hit, mono_us; switches faults and pauses off */
void app_run(int fd, struct model *m);
void engine_run(int fd, struct model *m);
/* The replica with that index, as seen by this process: its server's client is another one for each name. */
int model_replica(const struct model *m, int i, const char *name, struct replica **out, struct err *e);

enum { IMAGE_MAX = 16 << 20, APPS = 2, REPLICAS_MAX = 2 };

/* ---- one history ---- */
struct txid_fact {
	bool known;
	uint64_t hash; /* of every byte */
	int state;
};

struct settings {
	uint32_t page_size;
	int auto_vacuum;
	bool big;    /* transactions of hundreds of pages */
	bool calm;   /* nothing but an application that works while an engine runs */
	int kill_percent, fault_percent, pause_percent, operator_percent;
	int rest_percent, levels_percent;
	int replicas;
	int bad_percent; /* acts of the engine during which the bucket's server is not well */
	/* engine */
	int64_t min_checkpoint_pages, truncate_pages, checkpoint_interval_ms, max_sync_wal_bytes, busy_timeout_ms;
	bool auto_recover;
};

struct stats {
	uint64_t syncs, files, copies, restarts, pauses, kills, faults, restores, uploads, resets, checks, rests, wakes, levels,
	         wrong_requests;
};

struct model {
	uint64_t seed;
	bool trace;
	struct rng rng;
	struct settings set;
	const char *dir;
	char db_path[512], replica_path[REPLICAS_MAX][512], meta_path[512], scratch[512];
	struct proc app[APPS], engine;
	struct {
		int connections, reading, writing;
	} has[APPS];
	int busy_app; /* is paused in the middle of a command; -1 = none */
	uint64_t boot; /* how often the machine was started */
	int engine_starts, app_starts;
	int64_t wall_ms, mono_us;
	uint8_t *shared; /* IMAGE_MAX bytes: the state that APP_STATE read */
	struct bucket *bucket; /* in shared memory; NULL: the replicas are folders */
	struct proc server;    /* of the bucket */
	struct rng bucket_rng;

	/* what the application committed, in order */
	uint64_t *states;
	int state_count, state_cap;
	int connections, reading, writing; /* of all applications */

	/* what the engine made of it */
	struct image chain;
	uint64_t applied; /* TXID of the chain's image */
	int chain_state;
	int64_t chain_time_ms;
	struct txid_fact *facts;
	uint64_t fact_cap;
	struct replica *replicas[REPLICAS_MAX];
	uint32_t down;  /* bits: out of reach for the engine */
	bool resting;   /* the engine has let go of the database */
	bool untouched; /* and said, before it took it up again, that nothing had happened to it */
	bool damaged;   /* local files were taken away: TXIDs that were not sent may come again */
	bool meta_bad;  /* the newest local file is damaged and will not be got over */
	bool has_backup, backup_has_wal;

	struct stats stats;
	bool failed;
	char why[1200];
};

/* Runs one; false: m->why says what was wrong. */
bool history_run(struct model *m);

/* ---- driver.c: commands with their bookkeeping ---- */
void fail(struct model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void trace(struct model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void drive_clock(struct model *m, int64_t us);
void drive_state(struct model *m); /* records what the application would read now */
void drive_app(struct model *m, uint32_t steps, bool noise);
void drive_app_cycle(struct model *m);
void drive_app_close(struct model *m, int kill_percent); /* all of them */
/* The image of the database into m->shared; false: there is none, or it cannot be read now. */
bool drive_look(struct model *m, int64_t *size);
/* quiet: no pauses and faults, and it must work, unless the application or damaged files are in the way (false). */
bool drive_sync(struct model *m, bool quiet);
void drive_rest(struct model *m);
void drive_upload(struct model *m, bool quiet);
void drive_levels(struct model *m);
void drive_engine_stop(struct model *m, int how); /* 0 closes first, 1 exits, 2 is killed */
bool drive_engine_start(struct model *m);

/* ---- verify.c ---- */
void verify_new_files(struct model *m);
bool verify_has_newest(struct model *m); /* the last of them is still there */
void verify_quiet(struct model *m); /* sync, upload sometimes, then every page */
void verify_restore(struct model *m); /* something that the replicas hold */
void verify_all_restore(struct model *m); /* the newest, of each */
bool verify_restore_to(struct model *m, struct replica *from, uint64_t txid, struct image *im);
uint64_t verify_newest(struct model *m, struct replica **holder); /* TXID in the replicas; holder may be NULL */
void verify_damaged(struct model *m);
void verify_rewind(struct model *m); /* the chain begins anew at what the replica holds */

/* ---- operator.c ---- */
void operator_act(struct model *m);
void operator_in_pause(struct model *m); /* while the engine is in the middle of something */

#endif
