/* SPDX-License-Identifier: MIT */
#include "tests/support/wal_build.h"

#include <stdlib.h>
#include <string.h>

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p, bool big_endian)
{
	uint32_t v = 0;
	for (int i = 0; i < 4; i++)
		v = v << 8 | p[big_endian ? i : 3 - i];
	return v;
}

struct wal_checksum wal_build_checksum(struct wal_checksum c, bool big_endian, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		c.s0 += get32(bytes + i, big_endian) + c.s1;
		c.s1 += get32(bytes + i + 4, big_endian) + c.s0;
	}
	return c;
}

/* Room for n bytes at `at`, counted as written. */
static uint8_t *claim(struct wal_build *b, size_t n)
{
	if (b->at + n > b->cap) {
		b->cap = (b->at + n) * 2;
		b->bytes = realloc(b->bytes, b->cap);
		if (!b->bytes)
			abort();
	}
	uint8_t *p = b->bytes + b->at;
	b->at += n;
	if (b->len < b->at)
		b->len = b->at;
	return p;
}

void wal_build_seal_header(struct wal_build *b)
{
	b->checksum = wal_build_checksum((struct wal_checksum){0, 0}, b->bytes[3] & 1, b->bytes, 24);
	put32(b->bytes + 24, b->checksum.s0);
	put32(b->bytes + 28, b->checksum.s1);
}

static void header(struct wal_build *b)
{
	b->at = 0;
	uint8_t *p = claim(b, WAL_HEADER_SIZE);
	put32(p, 0x377f0682 + b->big_endian);
	put32(p + 4, 3007000);
	put32(p + 8, b->page_size);
	put32(p + 12, 7);
	put32(p + 16, b->salt1);
	put32(p + 20, b->salt2);
	wal_build_seal_header(b);
}

void wal_build_init(struct wal_build *b, uint32_t page_size, bool big_endian, uint32_t salt1, uint32_t salt2)
{
	*b = (struct wal_build){
		.page_size = page_size, .big_endian = big_endian, .salt1 = salt1, .salt2 = salt2, .visible = SIZE_MAX,
	};
	header(b);
}

void wal_build_free(struct wal_build *b)
{
	free(b->bytes);
	b->bytes = NULL;
}

void wal_build_restart(struct wal_build *b, uint32_t salt2)
{
	b->salt1++;
	b->salt2 = salt2;
	header(b);
}

void wal_build_frame(struct wal_build *b, uint32_t pgno, uint32_t pages, uint32_t seed)
{
	uint8_t *p = claim(b, WAL_FRAME_HEADER_SIZE + b->page_size), *page = p + WAL_FRAME_HEADER_SIZE;
	put32(p, pgno);
	put32(p + 4, pages);
	put32(p + 8, b->salt1);
	put32(p + 12, b->salt2);
	for (uint32_t i = 0; i < b->page_size; i++)
		page[i] = (uint8_t)((seed * 2654435761u + i * 40503u) >> 11);
	b->checksum = wal_build_checksum(b->checksum, b->big_endian, p, 8);
	b->checksum = wal_build_checksum(b->checksum, b->big_endian, page, b->page_size);
	put32(p + 16, b->checksum.s0);
	put32(p + 20, b->checksum.s1);
}

void wal_build_back(struct wal_build *b, size_t n)
{
	b->at = (size_t)wal_offset(b->page_size, n);
	const uint8_t *sums = n ? b->bytes + b->at - wal_frame_size(b->page_size) + 16 : b->bytes + 24;
	b->checksum = (struct wal_checksum){get32(sums, true), get32(sums + 4, true)};
}

static int read_log(void *ctx, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e)
{
	struct wal_build *b = ctx;
	size_t end = b->len < b->visible ? b->len : b->visible;
	b->reads++;
	if (b->fail_in && --b->fail_in == 0)
		return err_set(e, ERR_SYSTEM, "read log: input/output error");
	offset -= b->base;
	*got = 0;
	if (offset >= 0 && (uint64_t)offset < end) {
		*got = end - (size_t)offset < n ? end - (size_t)offset : n;
		memcpy(bytes, b->bytes + offset, *got);
	}
	b->bytes_read += *got;
	return 0;
}

struct wal_source wal_build_source(struct wal_build *b)
{
	return (struct wal_source){read_log, b};
}

struct wal_scan wal_build_scan(const struct wal_build *b)
{
	struct wal_scan s;
	struct wal_checksum c = {get32(b->bytes + 24, true), get32(b->bytes + 28, true)};
	wal_scan_begin(&s, b->page_size, b->big_endian, b->salt1, b->salt2, WAL_HEADER_SIZE + b->base, c);
	return s;
}
