/* SPDX-License-Identifier: MIT */
/*
 * ltxkit.h - LTX files made by hand, right or wrong.
 *
 * The writer here shares no code with lib/ltx: its checksum works bit by bit, its pages are LZ4 blocks of literals. It
 * keeps no rules, so that a file may have exactly one defect: whatever is put in, index and file checksum fit.
 */
#ifndef TESTS_SUPPORT_LTXKIT_H
#define TESTS_SUPPORT_LTXKIT_H

#include "tests/support/ltxmem.h"

struct kit {
	struct mem out, index;
	uint64_t crc;
	uint32_t page_size;
	bool no_index_entries; /* the test puts its own */
};

uint64_t kit_crc64(uint64_t crc, const void *bytes, size_t n);
uint32_t kit_xxh32(const void *bytes, size_t n);

/* NO_CHECKSUM, that page size, TXIDs and commit, all else zero. */
struct ltx_header kit_header(uint32_t page_size, uint64_t min_txid, uint64_t max_txid, uint32_t commit);
/* Reproducible bytes that differ with the seed; half of them compress well. */
void kit_fill(uint8_t *page, uint32_t page_size, uint32_t seed);

void kit_begin(struct kit *k, const struct ltx_header *h);
void kit_raw(struct kit *k, const void *bytes, size_t n, bool hashed);
/* A frame: its first `hashed` bytes and then the page are hashed; its index entry is as it should be. */
void kit_frame(struct kit *k, const void *frame, size_t n, size_t hashed, const void *page);
void kit_page(struct kit *k, uint32_t pgno, const void *page);      /* block form, all literals */
void kit_page_frame(struct kit *k, uint32_t pgno, const void *page); /* frame form, stored raw */
void kit_entry(struct kit *k, uint64_t pgno, uint64_t offset, uint64_t size);
/* End marker and index, with that much added to the index size. */
void kit_index(struct kit *k, uint64_t size_off);
void kit_trailer(struct kit *k, uint64_t post_apply);
void kit_end(struct kit *k); /* both, without database checksum */
void kit_free(struct kit *k);

/* A file of our encoder: pages kit_fill(seed + pgno) of that many numbers. 0 or -1. */
int kit_encode(struct mem *out, const struct ltx_header *h, const uint32_t *pgnos, int count, uint32_t seed,
               struct err *e);

/* ltx_verify over memory, buffers included. */
int kit_verify(struct mem *m, bool *complete, struct err *e);
/* ltx_index_walk with a visitor that counts. */
int kit_walk(struct mem *m, int *entries, struct err *e);
/* Reads a file into m; false when it is not there. */
bool kit_load(struct mem *m, const char *path);

#endif
