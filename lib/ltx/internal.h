/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of this folder share and nobody else needs.
 */
#ifndef RIVULET_LTX_INTERNAL_H
#define RIVULET_LTX_INTERNAL_H

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/ltx/ltx.h"

#define CORRUPT(e, ...) err_set((e), ERR_CORRUPT, __VA_ARGS__)

enum {
	LTX_PAGE_HEADER_SIZE = 6,      /* pgno, flags; the end marker is one of zeros */
	LTX_BLOCK_HEADER_SIZE = 10,    /* pgno, flags, size of the block */
	LTX_PAGE_FLAG_BLOCK = 1,
	LTX_INDEX_ENTRY_MAX = 5 + 10 + 10,
	LTX_INDEX_TAIL_SIZE = 8,       /* the size of the index, behind it */
	LTX_PIECE = 4096,              /* the index is moved in pieces of this size */
};

static inline uint32_t ltx_get16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t ltx_get32(const uint8_t *p) { return ltx_get16(p) << 16 | ltx_get16(p + 2); }
static inline uint64_t ltx_get64(const uint8_t *p) { return (uint64_t)ltx_get32(p) << 32 | ltx_get32(p + 4); }

static inline void ltx_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void ltx_put32(uint8_t *p, uint32_t v)
{
	ltx_put16(p, v >> 16);
	ltx_put16(p + 2, v);
}

static inline void ltx_put64(uint8_t *p, uint64_t v)
{
	ltx_put32(p, (uint32_t)(v >> 32));
	ltx_put32(p + 4, (uint32_t)v);
}

static inline bool ltx_is_snapshot(const struct ltx_header *h) { return h->min_txid == 1; }
static inline bool ltx_has_checksums(const struct ltx_header *h) { return !(h->flags & LTX_FLAG_NO_CHECKSUM); }

/* The page that comes next in a file without holes. */
uint32_t ltx_next_pgno(const struct ltx_header *h, uint32_t pgno);
/* May page pgno follow page last (0: it is the first)? */
int ltx_order_check(const struct ltx_header *h, uint32_t last, uint32_t pgno, struct err *e);
int ltx_trailer_check(const struct ltx_header *h, const struct ltx_trailer *t, struct err *e);
static inline void ltx_trailer_get(const uint8_t in[LTX_TRAILER_SIZE], struct ltx_trailer *t)
{
	t->post_apply = ltx_get64(in);
	t->checksum = ltx_get64(in + 8);
}

/* Writes one entry of the page index, returns its length. */
size_t ltx_index_entry_put(uint8_t out[LTX_INDEX_ENTRY_MAX], uint32_t pgno, int64_t offset, int64_t size);
/* Bytes of the longest stored page of either form, with its header. */
uint32_t ltx_stored_bound(uint32_t page_size);

/* Bytes of the file from `offset` on, as far as they were needed until now. */
struct ltx_window {
	uint8_t *bytes;                  /* LTX_FRAME_MAX of them */
	size_t have;
	int64_t offset;                  /* of bytes[0] in the file */
	const struct ltx_source *source; /* where more come from; NULL: there are no more */
};
/* Makes the first `want` bytes be there; `where` completes the sentence "file ends at byte N, in ...". */
int ltx_window_fill(struct ltx_window *w, size_t want, const char *where, struct err *e);

/* What was found about a stored page. */
struct ltx_stored {
	size_t size;          /* of all of it, header included */
	size_t hashed;        /* that many bytes of it enter the file checksum, before the page itself does */
	const uint8_t *block; /* its LZ4 block, in the window */
	uint32_t block_size;  /* 0: it was stored raw */
};
/* Reads the rest of the stored page whose header is in the window already, and unpacks it. */
int ltx_stored_read(struct ltx_window *w, uint32_t page_size, uint8_t *page, struct ltx_stored *s, struct err *e);

#endif
