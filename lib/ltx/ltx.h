/* SPDX-License-Identifier: MIT */
/*
 * ltx.h - the LTX file format, version 3, as superfly/ltx and Litestream 0.5 write it: bytes in, bytes out.
 *
 *   offset 0     header, 100 bytes
 *   offset 100   page frames, page numbers strictly ascending
 *                end marker, 6 zero bytes
 *                page index: (pgno, offset, length) as uvarints, 0x00, u64 size
 *   end - 16     trailer: post-apply checksum, file checksum
 *
 * Numbers are big-endian. A page is stored as one raw LZ4 block ("block form", written here and by Litestream since
 * 0.5.16) or as one LZ4 frame ("frame form", 0.5.0 to 0.5.15); both are read, page by page. The file checksum is
 * CRC-64/ISO over the header, each frame's header with the *uncompressed* page, the end marker, the index and the
 * post-apply checksum. The lock page (the one that holds byte 2^30 of the database) is never stored.
 *
 * Nothing here allocates, opens or knows files: the caller owns every context and buffer and gives functions that move
 * bytes. A context is used by one thread at a time. What comes from outside is checked before it is used and before
 * memory depends on it; errors are ERR_CORRUPT with a sentence that says what was wrong at which byte or page, without
 * the file's name, which callers put in front.
 */
#ifndef RIVULET_LTX_H
#define RIVULET_LTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define LTX_CHECKSUM_FLAG UINT64_C(0x8000000000000000)

enum {
	LTX_HEADER_SIZE = 100,
	LTX_TRAILER_SIZE = 16,
	LTX_FILE_SIZE_MIN = 131,       /* no pages at all */
	LTX_PAGE_SIZE_MIN = 512,
	LTX_PAGE_SIZE_MAX = 65536,
	LTX_FLAG_NO_CHECKSUM = 2,      /* no database checksums; Litestream always sets it */
	LTX_LEVEL_SNAPSHOT = 9,
	LTX_LEVEL_MAX = 9,
	LTX_NAME_SIZE = 16 + 1 + 16 + 4 + 1,
	LTX_BLOCK_MAX = 65536 + 65536 / 255 + 16, /* bytes of the longest block */
	LTX_FRAME_MAX = 10 + LTX_BLOCK_MAX,       /* bytes of the longest stored page with its header, either form */
};

struct ltx_header {
	uint32_t flags;
	uint32_t page_size;
	uint32_t commit;          /* database size in pages after this file; 0 = database removed */
	uint64_t min_txid, max_txid;
	int64_t timestamp_ms;     /* since 1970 */
	uint64_t pre_apply;
	int64_t wal_offset, wal_size;
	uint32_t wal_salt1, wal_salt2;
	uint64_t node_id;
};

struct ltx_trailer {
	uint64_t post_apply;
	uint64_t checksum; /* of the file, LTX_CHECKSUM_FLAG set */
};

/* ---- small facts ---- */

bool ltx_page_size_valid(uint32_t page_size);
uint32_t ltx_lock_pgno(uint32_t page_size);
/* n of the longest LZ4 block of a page: page_size + page_size/255 + 16. */
uint32_t ltx_block_bound(uint32_t page_size);
/* LTX_CHECKSUM_FLAG | crc64(pgno big-endian || page). */
uint64_t ltx_page_checksum(uint32_t pgno, const uint8_t *page, uint32_t page_size);

/* "MIN-MAX.ltx". The parser takes exactly 16-16 lower-case digits and refuses min == 0 and min > max. */
char *ltx_name(char out[LTX_NAME_SIZE], uint64_t min_txid, uint64_t max_txid);
bool ltx_name_parse(const char *name, uint64_t *min_txid, uint64_t *max_txid);

/* All rules of the header, both ways: what does not hold is refused when encoding and when decoding. */
int ltx_header_check(const struct ltx_header *h, struct err *e);
int ltx_header_encode(const struct ltx_header *h, uint8_t out[LTX_HEADER_SIZE], struct err *e);
int ltx_header_decode(const uint8_t in[LTX_HEADER_SIZE], struct ltx_header *h, struct err *e);

/* Does a file whose last page is `last` hold all that its kind must hold? Only a snapshot (min_txid == 1) can fail: one
 * that ends before its commit cannot be restored. Readers accept it otherwise; see ltx_verify. */
bool ltx_is_complete(const struct ltx_header *h, uint32_t last);

/* ---- moving bytes ---- */

/* Appends n bytes to the output. */
struct ltx_sink {
	int (*write)(void *ctx, const void *bytes, size_t n, struct err *e);
	void *ctx;
};
/* The next bytes of the input: up to n, *got == 0 only at its end. */
struct ltx_source {
	int (*read)(void *ctx, void *bytes, size_t n, size_t *got, struct err *e);
	void *ctx;
};
/* Bytes of the input at a place: exactly n, or an error. */
struct ltx_random {
	int (*read_at)(void *ctx, void *bytes, size_t n, int64_t offset, struct err *e);
	void *ctx;
	int64_t size; /* of the whole file */
};
/* Keeps the index of a file under construction: appended once, read back once in order. os_spool fits. */
struct ltx_index_store {
	int (*append)(void *ctx, const void *bytes, size_t n, struct err *e);
	int (*read)(void *ctx, void *bytes, size_t n, int64_t offset, struct err *e);
	void *ctx;
};

/* ---- encoder ---- */

/*
 * begin, pages in ascending order, end. Every rule of the format is checked: page numbers ascend, 1..commit, never the
 * lock page; a file with min_txid == 1 starts at page 1 and has no hole, and at the end reaches commit ("the snapshot
 * lacks page N"): what cannot be restored is not written. commit == 0 is refused. After an error the context is of no
 * use and the output must be thrown away.
 */
struct ltx_encoder {
	struct ltx_sink sink;
	struct ltx_index_store index;
	struct ltx_header header;
	int64_t offset;      /* bytes written so far */
	int64_t index_size;
	uint32_t last_pgno;
	uint32_t page_count;
	uint64_t crc;
	uint64_t rolling;    /* database checksum of a checksummed snapshot */
	uint8_t *frame;      /* caller's, LTX_FRAME_MAX bytes */
	uint64_t lz4_state[2056]; /* >= LZ4_sizeofState() */
};

int ltx_encoder_begin(struct ltx_encoder *en, const struct ltx_header *h, struct ltx_sink sink,
                      struct ltx_index_store index, uint8_t frame[LTX_FRAME_MAX], struct err *e);
int ltx_encoder_page(struct ltx_encoder *en, uint32_t pgno, const uint8_t *page, struct err *e);
/* As above, with the LZ4 block of the page already made (a merge keeps an input's bytes). */
int ltx_encoder_block(struct ltx_encoder *en, uint32_t pgno, const uint8_t *page, const uint8_t *block,
                      uint32_t block_size, struct err *e);
/* post_apply must be 0 with LTX_FLAG_NO_CHECKSUM. en->offset is then the size of the file. trailer may be NULL. */
int ltx_encoder_end(struct ltx_encoder *en, uint64_t post_apply, struct ltx_trailer *trailer, struct err *e);

/* ---- decoder: a whole file, in order ---- */

/*
 * begin reads and checks the header; next gives page after page; end checks the index (every entry against the frames
 * that were really there), the trailer, the file checksum, the database checksum of a checksummed snapshot, and that
 * nothing follows. Memory does not depend on the file. Pages given out before end() succeeded are unverified.
 */
struct ltx_decoder {
	struct ltx_source source;
	struct ltx_header header;
	struct ltx_trailer trailer; /* valid after ltx_decoder_end */
	int64_t offset;             /* bytes consumed */
	uint64_t crc;
	uint64_t index_crc;         /* of the index bytes that the frames demand */
	int64_t index_size;
	uint64_t rolling;
	uint32_t last_pgno;
	uint32_t page_count;
	bool pages_done;
	uint8_t *frame;             /* caller's, LTX_FRAME_MAX bytes */
	/* The LZ4 block of the page that next() gave last, for ltx_encoder_block; valid until the next call.
	 * block_size == 0: it had none. */
	const uint8_t *block;
	uint32_t block_size;
};

int ltx_decoder_begin(struct ltx_decoder *d, struct ltx_source source, uint8_t frame[LTX_FRAME_MAX], struct err *e);
/* 1 and a page (header.page_size bytes in `page`, room for LTX_PAGE_SIZE_MAX not needed), 0 at the end marker, -1. */
int ltx_decoder_next(struct ltx_decoder *d, uint32_t *pgno, uint8_t *page, struct err *e);
int ltx_decoder_end(struct ltx_decoder *d, struct err *e);

/* begin, every page, end. For a snapshot (min_txid == 1) `complete` says whether it reaches its commit. Any pointer
 * for a result may be NULL. */
int ltx_verify(struct ltx_source source, uint8_t frame[LTX_FRAME_MAX], uint8_t page[LTX_PAGE_SIZE_MAX],
               struct ltx_header *header, struct ltx_trailer *trailer, bool *complete, struct err *e);

/* ---- random access ---- */

struct ltx_index_entry {
	uint32_t pgno;
	int64_t offset; /* of the frame's header */
	int64_t size;   /* of the whole frame */
};

/*
 * Walks the page index of a file without reading its pages: header, index geometry and every entry are checked on the
 * way. visit may return non-zero to end the walk with that value; NULL only checks. Costs one read of the header,
 * one of the tail and as many of the index as it has 4 KiB pieces.
 */
int ltx_index_walk(struct ltx_random file, struct ltx_header *header,
                   int (*visit)(void *ctx, const struct ltx_index_entry *entry, struct err *e), void *ctx,
                   struct err *e);
/* One page: 1 and its bytes, 0 when the file does not hold it, -1. Not covered by the file checksum. */
int ltx_page_read(struct ltx_random file, uint32_t pgno, uint8_t *page, uint8_t frame[LTX_FRAME_MAX], struct err *e);

/* ---- merge ---- */

/*
 * Merges files, oldest first, into one (compaction): the newest copy of each page wins, pages beyond the last commit
 * are dropped, the header is made of the first and last input's as Litestream does (flags NO_CHECKSUM, timestamp of
 * the last). Inputs must be contiguous or overlapping (min <= previous max + 1, max > previous max) and agree in page
 * size. Each input is verified to its end; any failure means that the output must be thrown away. Compressed blocks of
 * winning pages are copied as they are.
 */
struct ltx_merge_input {
	struct ltx_decoder decoder;
	uint8_t *page;      /* caller's, LTX_PAGE_SIZE_MAX bytes */
	uint8_t *frame;     /* caller's, LTX_FRAME_MAX bytes */
	struct ltx_source source;
	uint32_t pgno;      /* of the page at hand, 0 = no more */
};
int ltx_merge(struct ltx_merge_input *inputs, int count, struct ltx_encoder *out, struct ltx_sink sink,
              struct ltx_index_store index, uint8_t frame[LTX_FRAME_MAX], struct ltx_trailer *trailer, struct err *e);

#endif
