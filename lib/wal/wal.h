/* SPDX-License-Identifier: MIT */
/*
 * wal.h - SQLite's write-ahead log, read from outside: header, frames, checksum chain, commits, and the wal-index.
 *
 * Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log and walformat.html. A WAL is a 32-byte header and
 * frames of 24 + page_size bytes. The frames whose salts equal the header's and whose cumulative checksums chain up
 * from the header's form one *generation*; behind them may lie what is left of older generations. A frame with a
 * database size in its header ends a transaction. All arithmetic on offsets is 64-bit.
 *
 * A scan is resumable: it keeps the offset and the running checksum, so bytes of the log are read once however often it
 * is asked to go on. Memory is bounded whatever the size of a transaction (see wal_pages). A scan and its pages are
 * used by one thread at a time. Nothing here opens or locks files.
 */
#ifndef RIVULET_WAL_H
#define RIVULET_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

enum { WAL_HEADER_SIZE = 32, WAL_FRAME_HEADER_SIZE = 24 };

struct wal_checksum {
	uint32_t s0, s1;
};

struct wal_header {
	bool big_endian; /* byte order of the checksum words (magic 0x377f0683) */
	uint32_t page_size;
	uint32_t sequence;
	uint32_t salt1, salt2;
	struct wal_checksum checksum; /* of the header: where the chain of frame 1 starts */
};

static inline int64_t wal_frame_size(uint32_t page_size) { return WAL_FRAME_HEADER_SIZE + (int64_t)page_size; }
/* Offset of the end of frame n (n = 0: of the header). */
static inline int64_t wal_offset(uint32_t page_size, uint64_t frames)
{
	return WAL_HEADER_SIZE + wal_frame_size(page_size) * (int64_t)frames;
}

enum wal_header_result { WAL_HEADER_OK, WAL_HEADER_NONE };
/*
 * WAL_HEADER_NONE: fewer than 32 bytes, or a wrong header checksum (a header that is being written): no log yet.
 * -1: wrong magic, version or page size: not a WAL of ours to read.
 */
int wal_header_parse(const uint8_t *bytes, size_t n, struct wal_header *h, struct err *e);

/* Continues *c over n bytes (a multiple of 8). */
void wal_checksum_add(struct wal_checksum *c, bool big_endian, const void *bytes, size_t n);

/* Positional read, short only at the end of the log. */
struct wal_source {
	int (*read)(void *ctx, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e);
	void *ctx;
};

/* ---- pages of a range ---- */

/*
 * Which frame holds the newest committed copy of each page in a range of the log. 12 bytes per frame in memory up to
 * WAL_PAGES_MEMORY_MAX, and less when pages repeat, because a full array first forgets older copies. Beyond that,
 * sorted runs go to an unlinked file, so one huge transaction costs disk, not memory: with runs, iterating takes 4 KiB
 * more for each, merging too many of them into one WAL_PAGES_RUNS_MAX * 4 KiB for a moment. Until its first page, a
 * wal_pages costs about 150 bytes and no file.
 */
enum { WAL_PAGES_MEMORY_MAX = 1 << 20, WAL_PAGES_RUNS_MAX = 64 };

struct wal_page {
	uint32_t pgno;
	int64_t offset; /* of the frame's header in the log */
};

struct wal_pages; /* opaque; see pages.c */
/* dir: where the file may be made; must live as long as p. NULL: what does not fit into memory is ERR_LIMIT. Returns
 * NULL without memory. */
struct wal_pages *wal_pages_create(const char *dir);
/* Other bounds, for tests: entries of 12 bytes in memory (at least 1) and runs (at least 3). Before the first page. */
void wal_pages_set_limits(struct wal_pages *p, uint32_t entries_max, unsigned runs_max);
void wal_pages_free(struct wal_pages *p); /* NULL is fine */
void wal_pages_reset(struct wal_pages *p); /* empty again; gives memory beyond a small start back */
/*
 * One frame; of two frames of a page the one with the higher offset counts. Frames since the last wal_pages_commit are
 * forgotten by wal_pages_rollback, also those on disk. A failed add has added nothing and lost nothing.
 */
int wal_pages_add(struct wal_pages *p, uint32_t pgno, int64_t offset, struct err *e);
void wal_pages_commit(struct wal_pages *p);
int wal_pages_rollback(struct wal_pages *p, struct err *e);
/*
 * Ends collecting, drops uncommitted frames, and starts over at the smallest page number; pages > max_pgno are left
 * out. May be called again to iterate again; wal_pages_add is allowed again only after wal_pages_reset.
 */
int wal_pages_sort(struct wal_pages *p, uint32_t max_pgno, struct err *e);
/* After wal_pages_sort: 1 and the next page in ascending order, 0 at the end, -1. */
int wal_pages_next(struct wal_pages *p, struct wal_page *page, struct err *e);

/* ---- scan ---- */

struct wal_scan {
	/* set by wal_scan_begin */
	uint32_t page_size;
	bool big_endian;
	uint32_t salt1, salt2;
	int64_t start;                     /* where it began */
	/*
	 * Set after wal_scan_begin by who knows it from the wal-index of the same generation: frames up to this offset are
	 * published, and count even where the chain is broken. SQLite up to 3.40 at least leaves frames without salts and
	 * checksums behind when a transaction that did not fit its cache goes back to a savepoint; everybody who reads by the
	 * index sees them. 0 = nothing is taken on trust.
	 */
	int64_t published_end;
	int64_t unchained;                 /* frames taken so */
	/* progress */
	int64_t offset;                    /* of the next frame to read */
	struct wal_checksum checksum;      /* up to offset */
	/* the last commit seen; commit_end == start and commit_pages == 0 until there was one */
	int64_t commit_end;                /* offset behind its last frame */
	struct wal_checksum commit_checksum;
	uint32_t commit_pages;             /* database size in pages after it */
};

enum wal_scan_result {
	WAL_SCAN_END,     /* the chain ends here: nothing more that is valid and, if a bound was given, within it */
	WAL_SCAN_LIMITED, /* stopped at the first commit at or beyond max_bytes; there may be more */
};

/* From a frame boundary, with the checksum that the chain has there (header's at offset 32). */
void wal_scan_begin(struct wal_scan *s, uint32_t page_size, bool big_endian, uint32_t salt1, uint32_t salt2,
                    int64_t start, struct wal_checksum checksum);
/*
 * Reads on from where the last call stopped. end_max: do not go beyond this offset (the wal-index's last published
 * frame), INT64_MAX = up to the end of the chain. max_bytes: stop at the first commit at or past start + max_bytes,
 * 0 = no bound. Every committed frame's page is added to pages (NULL = only find the end). Frames of an unfinished
 * transaction are kept in pages as uncommitted and the next call goes on behind them, unless their writer has taken
 * them back in the meantime (a rollback overwrites them with the next transaction, a page changed twice is rewritten in
 * place). To notice, that call looks again at their last header and at up to one buffer full of them, and begins behind
 * the last commit when something differs or when end_max lies among them; nothing else is read twice. A rollback whose
 * successor repeats the first buffer full of bytes and ends before our last frame is not seen that way: who must have
 * everything now and has no end_max to go by calls wal_scan_rewind first.
 * After WAL_SCAN_LIMITED, a call with the same max_bytes gives WAL_SCAN_LIMITED again; begin a new scan at commit_end.
 * buffer: caller's, at least one frame; 256 KiB is a good size. Returns enum wal_scan_result, or -1 when reading or
 * keeping pages failed, from which the next call goes on without a loss. A frame that does not fit the chain is no
 * failure but the end of the log.
 */
int wal_scan_run(struct wal_scan *s, struct wal_source source, int64_t end_max, int64_t max_bytes,
                 struct wal_pages *pages, void *buffer, size_t buffer_size, struct err *e);
/* Back to the last commit: forgets unfinished frames, here and in pages (NULL = none). Needed too before going on with
 * a scan whose pages were sorted or reset. */
int wal_scan_rewind(struct wal_scan *s, struct wal_pages *pages, struct err *e);

/* ---- wal-index ---- */

/*
 * The first bytes of the -shm file, as the library maps them (walformat.html §2). Written by other processes while we
 * look, therefore read twice and compared, never trusted halfway.
 */
enum { WAL_INDEX_HEADER_SIZE = 48, WAL_INDEX_SIZE = 32768 };

struct wal_index {
	uint32_t change;      /* counts transactions */
	uint32_t page_size;   /* 0 until something was logged */
	bool big_endian;      /* of the log's checksums */
	uint32_t frames;      /* mxFrame: last frame of the last published commit */
	uint32_t pages;       /* database size */
	struct wal_checksum checksum; /* of the log at the end of that frame */
	uint32_t salt1, salt2;
	uint32_t backfilled;  /* nBackfill: so many frames are in the database */
	uint32_t attempted;   /* nBackfillAttempted: of so many some may be */
	uint8_t raw[WAL_INDEX_HEADER_SIZE]; /* to compare with later */
};

/* false: torn or not initialised (being recovered, being written): try again shortly. */
bool wal_index_read(const volatile void *map, struct wal_index *out);
/* Has a transaction been published since raw was taken? No system call, a few nanoseconds. Torn counts as changed. */
bool wal_index_changed(const volatile void *map, const uint8_t raw[WAL_INDEX_HEADER_SIZE]);

#endif
