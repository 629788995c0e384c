/* SPDX-License-Identifier: MIT */
/*
 * replica.h - where LTX files are kept: one small interface, one file per kind.
 *
 * A replica is a set of immutable objects named (level, min TXID, max TXID). Kinds differ in how they store them; the
 * layouts are Litestream's (ltx.md §8): the file kind keeps PATH/ltx/LEVEL/MIN-MAX.ltx with the modification time set
 * to the header's timestamp. A write is atomic and durable when it returns: an object is there whole or not at all.
 *
 * Calls block (disk, network): worker threads only. One replica may be used by several threads at once; kinds lock what
 * they share. Errors name the operation and the object.
 */
#ifndef RIVULET_REPLICA_H
#define RIVULET_REPLICA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/ltx/ltx.h"
#include "lib/os/file.h"

struct replica_item {
	int level;
	uint64_t min_txid, max_txid;
	int64_t size;       /* bytes */
	int64_t created_ms; /* since 1970; the header's timestamp where the kind knows it */
};

struct replica_list {
	struct replica_item *items; /* sorted by level, min, max */
	int count, cap;
};
void replica_list_free(struct replica_list *l);

struct replica;
struct kept_listing;

/* A stream of bytes of one object. */
struct replica_reader {
	int (*read)(struct replica_reader *r, void *bytes, size_t n, size_t *got, struct err *e); /* *got == 0 at the end */
	void (*close)(struct replica_reader *r); /* frees r */
};

/* An object under construction whose size is not known yet. */
struct replica_writer {
	int (*write)(struct replica_writer *w, const void *bytes, size_t n, struct err *e);
	/* Makes the object appear, whole and durable; item->size is what was written. Frees w, also on failure. */
	int (*finish)(struct replica_writer *w, const struct replica_item *item, struct err *e);
	void (*abort)(struct replica_writer *w); /* frees w; nothing remains under the item's name */
};

/* One name in a folder; size -1 = it is a folder itself. Non-zero ends the walk with that value. */
typedef int replica_visit(void *ctx, const char *name, int64_t size, int64_t created_ms, struct err *e);

struct replica_ops {
	const char *type; /* "file", "s3": as in configuration and log lines */
	/* Adds the objects of one level with min_txid >= seek, in any order; names that do not parse are not objects. A
	 * place that does not exist holds nothing: no error. exact_times: created_ms must be the header's, whatever it costs. */
	int (*list)(struct replica *r, int level, uint64_t seek, bool exact_times, struct replica_list *out,
	            struct err *e);
	/* Opens an object for reading from offset; length -1 = to the end. Missing: ERR_NOT_FOUND. */
	int (*open)(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
	            struct replica_reader **reader, struct err *e);
	/*
	 * Stores the file at staged_path, which is complete, fsynced, immutable and has item->size bytes, under the item's
	 * name, replacing what is there. The file kind links it where it can.
	 */
	int (*put)(struct replica *r, const struct replica_item *item, const char *staged_path, struct err *e);
	/*
	 * As put, but as a stream: for what is too large to be staged (snapshots). item->created_ms counts, its size does
	 * not. Memory and spool stay bounded, whatever is written.
	 */
	int (*create)(struct replica *r, const struct replica_item *item, struct replica_writer **writer,
	              struct err *e);
	/* All levels at once, where the kind can do that with fewer requests; NULL: replica_list_levels asks level by level. */
	int (*list_all)(struct replica *r, bool exact_times, struct replica_list *out, struct err *e);
	/* Deletes objects; a missing one is no error. */
	int (*remove)(struct replica *r, const struct replica_item *items, int count, struct err *e);
	/*
	 * Optional (NULL: the kind cannot keep others out): takes the lock of this place for `owner`, or keeps it, for
	 * lease_ms from now (s3.md §3.9). To be called again well before *until_ms (monotonic, os_mono_us() / 1000): from
	 * then on another may have it. *fresh: it was taken; not: nobody else has had it since it was last ours. ERR_BUSY:
	 * another holds it ("… held by OWNER until TIME"), or has taken it from us; what is being written must stop.
	 * ERR_INVALID: the server cannot do this, and never will.
	 */
	int (*hold)(struct replica *r, const char *owner, int64_t lease_ms, bool *fresh, int64_t *until_ms,
	            struct err *e);
	/* Gives the lock back, if we have it. */
	int (*let_go)(struct replica *r, struct err *e);
	/*
	 * What lies at the replica's place beside LTX files, for reading backups of Litestream v0.3 (generations/…). Both
	 * are NULL where a kind cannot hold any. visit_folder gives the names in a folder ("generations/X/wal"), in any
	 * order; one that does not exist holds nothing. open_path opens an object by its name below the replica's place,
	 * from offset to its end; ERR_NOT_FOUND.
	 */
	int (*visit_folder)(struct replica *r, const char *folder, replica_visit *visit, void *ctx, struct err *e);
	int (*open_path)(struct replica *r, const char *path, int64_t offset, struct replica_reader **reader,
	                 struct err *e);
	void (*free)(struct replica *r);
};

/* The first member of every kind's own struct. */
struct replica {
	const struct replica_ops *ops;
	char *url;            /* as given, for messages and JSON */
	char *path;           /* the folder of a file replica, else NULL */
	char *name;           /* for `-replica NAME` and messages; NULL = the type */
	/* The place in an object store, for log lines and comparisons; NULL elsewhere, region and endpoint also when not said. */
	char *bucket, *prefix, *region, *endpoint;
	/* Set by the owner before the first call, may be NULL: once it is true, calls end with ERR_CANCELLED within 100 ms
	 * instead of trying on. It must outlive the replica. */
	const atomic_bool *cancel;
	bool lease;           /* asked for in the settings: `hold` must succeed before anything is written */
	bool local;           /* answers without delay: fetching ahead in threads gains nothing */
	atomic_bool whole_only; /* set once that is seen: an object's part costs what lies before it, too */
	struct os_owner file_owner, dir_owner; /* for what the file kind creates; set by replica_set_owner */
	bool owner_known;
	_Atomic(struct kept_listing *) kept; /* of replica_listing_keep */
};

/* replica_open() of settings.h for nothing but a URL. */
int replica_from_url(const char *url, struct replica **out, struct err *e);
/* Of a folder, taken as it is. */
int replica_file_create(const char *path, struct replica **out, struct err *e);
/* What all kinds' create functions end with: copies url (and path, which may be NULL) into a zeroed struct. */
int replica_init(struct replica *r, const struct replica_ops *ops, const char *url, const char *path, struct err *e);

bool replica_is_url(const char *text); /* ^\w+:// */
/* The type that a URL names: file s3 gs abs sftp webdav (also for webdavs) nats oss; NULL for any other text. */
const char *replica_url_type(const char *url);
/*
 * The path that a file URL stands for, malloc'ed. Litestream's reading of them (control.md §4.9): everything behind
 * file:// is the path, cleaned, never percent-decoded, but bytes that a URL may not hold come out percent-encoded, a
 * query is dropped, a bad escape is an error: `parse "URL": invalid URL escape "%zz"`.
 */
int replica_url_file_path(const char *url, char **path, struct err *e);
/* The database's file and folder: what the file kind creates gets their owner and mode (0600 / 0700 when never set). */
void replica_set_owner(struct replica *r, const struct os_owner *file, const struct os_owner *dir);
void replica_free(struct replica *r);

const char *replica_type(const struct replica *r);
/* Place in words: the folder of a file replica, the prefix of keys; "" where there is none. */
const char *replica_path(const struct replica *r);
/* The log line `replicating to` with what tells the place of this kind (control.md §5.2). */
void replica_log_target(const struct replica *r, int64_t sync_interval_ms);

/*
 * Replicas share connections and keep them for the next use. This closes what none has used for a minute and returns
 * when (os_mono_us() time) there will be more to close; INT64_MAX = nothing is open. Any thread; does not wait.
 */
int64_t replica_sweep(void);

/* All levels from..to, sorted; the list is emptied first. */
int replica_list_levels(struct replica *r, int from, int to, bool exact_times, struct replica_list *out, struct err *e);
/*
 * A start needs to know twice what lies there: for the next TXID, and for the manifest. The first hands its whole
 * sorted list on (and has none any more); the second takes it, once, within seconds; false = there is none. Not where
 * a lock is asked for: another may write until it is ours.
 */
void replica_listing_keep(struct replica *r, struct replica_list *all);
bool replica_listing_take(struct replica *r, struct replica_list *all);
int replica_list_add(struct replica_list *l, const struct replica_item *item, struct err *e);
/* By level, min TXID, max TXID: <0, 0, >0. */
int replica_item_compare(const struct replica_item *a, const struct replica_item *b);
void replica_list_sort(struct replica_list *l);

/* "ltx/LEVEL/MIN-MAX.ltx": how messages name an object, whatever its key is called where it lies. */
enum { REPLICA_NAME_SIZE = 4 + 12 + LTX_NAME_SIZE };
char *replica_item_name(char out[REPLICA_NAME_SIZE], const struct replica_item *item);

/*
 * A reader that opens the object again where it broke off: at most 3 times, 250 ms doubling between; what is missing,
 * cancelled or refused for want of memory is final. item->size must be known: what lies between an early end and it is
 * fetched again. Opening happens at the first read and counts as a try. cancel may be NULL; once it is set, waiting
 * ends within 100 ms and reads fail with ERR_CANCELLED. r and cancel must live as long as the reader.
 */
int replica_open_resumable(struct replica *r, const struct replica_item *item, const atomic_bool *cancel,
                           struct replica_reader **reader, struct err *e);
/* The same of a part of it: length bytes from offset. */
int replica_open_part_resumable(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
                                const atomic_bool *cancel, struct replica_reader **reader, struct err *e);
/* The same of an object that open_path knows, of this size. */
int replica_open_path_resumable(struct replica *r, const char *path, int64_t size, const atomic_bool *cancel,
                                struct replica_reader **reader, struct err *e);

#endif
