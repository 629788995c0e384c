/* SPDX-License-Identifier: MIT */
/*
 * wal_build.h - write-ahead logs made by hand, with a checksum of their own, and read through a counting wal_source.
 *
 * The log is written at `at`; what lies behind it up to `len` stays, as in a file. Out of memory ends the test program.
 */
#ifndef TESTS_WAL_BUILD_H
#define TESTS_WAL_BUILD_H

#include "lib/wal/wal.h"

struct wal_build {
	uint8_t *bytes;
	size_t at, len, cap;
	uint32_t page_size;
	bool big_endian;
	uint32_t salt1, salt2;
	struct wal_checksum checksum; /* at `at` */
	/* of the source */
	int64_t base;       /* the log pretends that its first byte behind the header is at 32 + base */
	size_t visible;     /* bytes that can be read; SIZE_MAX = all */
	int fail_in;        /* fails the n-th read from now; 0 = none */
	uint64_t reads, bytes_read;
};

void wal_build_init(struct wal_build *b, uint32_t page_size, bool big_endian, uint32_t salt1, uint32_t salt2);
void wal_build_free(struct wal_build *b);
/* A new header over the old one: salt1 grows by one, the next frame is the first. The old frames stay behind. */
void wal_build_restart(struct wal_build *b, uint32_t salt2);
/* pages: database size for a commit frame, else 0. The page's content follows from seed. */
void wal_build_frame(struct wal_build *b, uint32_t pgno, uint32_t pages, uint32_t seed);
/* Back behind frame n, so that the next one overwrites what follows. */
void wal_build_back(struct wal_build *b, size_t n);
/* Computes the header's checksum over its first 24 bytes again, in the byte order that its magic says. */
void wal_build_seal_header(struct wal_build *b);
/* Continues a checksum, byte by byte and slowly. */
struct wal_checksum wal_build_checksum(struct wal_checksum c, bool big_endian, const uint8_t *bytes, size_t n);
struct wal_source wal_build_source(struct wal_build *b);
/* A scan from the first frame. */
struct wal_scan wal_build_scan(const struct wal_build *b);

#endif
