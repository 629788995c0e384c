/* SPDX-License-Identifier: MIT */
/* header.c - the 32 bytes in front of a log, and the checksum that runs through all of it. */
#include <assert.h>
#include <string.h>

#include "lib/wal/bytes.h"
#include "lib/wal/wal.h"

enum {
	MAGIC = 0x377f0682, /* the lowest bit tells the byte order of the checksums */
	VERSION = 3007000,
	CHECKED_SIZE = 24,  /* the header's checksum covers this much of it */
	PAGE_SIZE_MIN = 512,
	PAGE_SIZE_MAX = 65536,
};

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * Two loops instead of a test per word. What limits them is the chain s0 -> s1 -> s0; the loads and swaps run beside
 * it. The sums are written so that only one addition waits for the newest value.
 */
static void add_native(struct wal_checksum *c, const uint8_t *p, size_t n)
{
	uint32_t s0 = c->s0, s1 = c->s1;
	for (const uint8_t *end = p + n; p != end; p += 8) {
		s0 = (load32(p) + s0) + s1;
		s1 = (load32(p + 4) + s1) + s0;
	}
	c->s0 = s0;
	c->s1 = s1;
}

static void add_swapped(struct wal_checksum *c, const uint8_t *p, size_t n)
{
	uint32_t s0 = c->s0, s1 = c->s1;
	for (const uint8_t *end = p + n; p != end; p += 8) {
		s0 = (__builtin_bswap32(load32(p)) + s0) + s1;
		s1 = (__builtin_bswap32(load32(p + 4)) + s1) + s0;
	}
	c->s0 = s0;
	c->s1 = s1;
}

void wal_checksum_add(struct wal_checksum *c, bool big_endian, const void *bytes, size_t n)
{
	assert(n % 8 == 0);
	if (big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__))
		add_native(c, bytes, n);
	else
		add_swapped(c, bytes, n);
}

int wal_header_parse(const uint8_t *bytes, size_t n, struct wal_header *h, struct err *e)
{
	if (n < WAL_HEADER_SIZE)
		return WAL_HEADER_NONE;
	uint32_t magic = wal_be32(bytes);
	if ((magic & ~(uint32_t)1) != MAGIC)
		return err_set(e, ERR_CORRUPT, "invalid wal header magic: %x", (unsigned)magic);

	/* The checksum first: behind a wrong one the other fields say nothing, not even an error. */
	struct wal_checksum c = {0, 0};
	bool big_endian = magic & 1;
	wal_checksum_add(&c, big_endian, bytes, CHECKED_SIZE);
	if (c.s0 != wal_be32(bytes + 24) || c.s1 != wal_be32(bytes + 28))
		return WAL_HEADER_NONE;

	uint32_t version = wal_be32(bytes + 4), page_size = wal_be32(bytes + 8);
	if (version != VERSION)
		return err_set(e, ERR_CORRUPT, "unsupported wal version: %u", (unsigned)version);
	if (page_size < PAGE_SIZE_MIN || page_size > PAGE_SIZE_MAX || (page_size & (page_size - 1)))
		return err_set(e, ERR_CORRUPT, "invalid wal page size: %u", (unsigned)page_size);

	*h = (struct wal_header){
		.big_endian = big_endian,
		.page_size = page_size,
		.sequence = wal_be32(bytes + 12),
		.salt1 = wal_be32(bytes + 16),
		.salt2 = wal_be32(bytes + 20),
		.checksum = c,
	};
	return WAL_HEADER_OK;
}
