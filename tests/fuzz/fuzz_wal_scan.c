/* SPDX-License-Identifier: MIT */
/*
 * Input: three bytes of settings, then either a log as it is (flag RAW) or a script of four bytes for each frame, from
 * which a log with right checksums is made (and damaged where the script says so). Whatever the log: one scan in one go
 * and one scan of the same log growing bit by bit, through a small buffer and with spilled pages, must agree.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/wal/wal.h"

enum { RAW = 1, BIG = 2, LIMIT = 4, SPILL = 8, LARGER = 16, SEAL_INDEX = 32 };
enum { LOG_MAX = 1 << 20 };

struct log {
	uint8_t *bytes;
	size_t size, visible;
};

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static int read_log(void *ctx, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e)
{
	const struct log *log = ctx;
	(void)e;
	require(offset >= 0 && n > 0);
	*got = 0;
	if ((uint64_t)offset < log->visible) {
		*got = log->visible - (size_t)offset < n ? log->visible - (size_t)offset : n;
		memcpy(bytes, log->bytes + offset, *got);
	}
	return 0;
}

static void make_header(struct log *log, uint32_t page_size, bool big_endian, struct wal_checksum *c)
{
	put32(log->bytes, 0x377f0682 + big_endian);
	put32(log->bytes + 4, 3007000);
	put32(log->bytes + 8, page_size);
	put32(log->bytes + 12, 0);
	put32(log->bytes + 16, 11);
	put32(log->bytes + 20, 12);
	*c = (struct wal_checksum){0, 0};
	wal_checksum_add(c, big_endian, log->bytes, 24);
	put32(log->bytes + 24, c->s0);
	put32(log->bytes + 28, c->s1);
	log->size = WAL_HEADER_SIZE;
}

/* Four bytes: page number, database size (mostly 0), content, and what to spoil. */
static void make_frame(struct log *log, uint32_t page_size, bool big_endian, struct wal_checksum *c,
                       const uint8_t *script)
{
	uint8_t *p = log->bytes + log->size;
	put32(p, script[0]);
	put32(p + 4, script[1] > 127 ? script[1] - 127u : 0);
	put32(p + 8, 11);
	put32(p + 12, 12);
	memset(p + WAL_FRAME_HEADER_SIZE, script[2], page_size);
	wal_checksum_add(c, big_endian, p, 8);
	wal_checksum_add(c, big_endian, p + WAL_FRAME_HEADER_SIZE, page_size);
	put32(p + 16, c->s0);
	put32(p + 20, c->s1);
	if (script[3] > 250)
		p[(script[3] - 250u) * 5] ^= 1;
	log->size += WAL_FRAME_HEADER_SIZE + page_size;
}

static void check_index(const uint8_t *data, size_t size, bool seal)
{
	static uint32_t map[WAL_INDEX_SIZE / 4];
	struct wal_index x;
	memset(map, 0, 200);
	memcpy(map, data, size < 104 ? size : 104);
	if (seal) {
		struct wal_checksum c = {0, 0};
		map[0] = 3007000;
		wal_checksum_add(&c, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, map, 40);
		map[10] = c.s0;
		map[11] = c.s1;
		memcpy(map + 12, map, WAL_INDEX_HEADER_SIZE);
	}
	if (wal_index_read(map, &x)) {
		require(!wal_index_changed(map, x.raw));
		/* Until the first commit of a new log it has none. */
		require((x.page_size >= 512 && x.page_size <= 65536) || (x.page_size == 0 && x.frames == 0));
		require(wal_offset(x.page_size, x.frames) >= WAL_HEADER_SIZE);
	}
}

/* The same pages from the same frames, in order, within bounds, and the frames are of these pages. */
static void compare(const struct log *log, struct wal_pages *a, struct wal_pages *b, const struct wal_scan *s)
{
	struct wal_page x = {0, 0}, y = {0, 0};
	uint32_t last = 0;
	int more;
	require(wal_pages_sort(a, s->commit_pages, NULL) == 0 && wal_pages_sort(b, s->commit_pages, NULL) == 0);
	do {
		more = wal_pages_next(a, &x, NULL);
		require(wal_pages_next(b, &y, NULL) == more && more >= 0);
		if (more == 0)
			break;
		uint8_t pgno[4];
		put32(pgno, x.pgno);
		require(x.pgno == y.pgno && x.offset == y.offset);
		require(x.pgno > last && x.pgno <= s->commit_pages);
		require(x.offset >= s->start && x.offset < s->commit_end);
		require(memcmp(log->bytes + x.offset, pgno, 4) == 0);
		last = x.pgno;
	} while (more);
}

static void check_log(struct log *log, const struct wal_header *h, unsigned flags, unsigned step, unsigned limit)
{
	static uint8_t buffer[256 << 10];
	struct wal_source source = {read_log, log};
	struct wal_pages *whole = wal_pages_create(NULL), *pieces = wal_pages_create("/tmp");
	struct wal_scan s, t;
	int64_t max_bytes = flags & LIMIT ? (int64_t)limit * 300 : 0;
	size_t small = (size_t)wal_frame_size(h->page_size) * (1 + step % 3);

	if (flags & SPILL)
		wal_pages_set_limits(pieces, 4 + limit, 3 + step % 8);
	if (small > sizeof(buffer))
		small = sizeof(buffer);
	wal_scan_begin(&s, h->page_size, h->big_endian, h->salt1, h->salt2, WAL_HEADER_SIZE, h->checksum);
	t = s;
	log->visible = log->size;
	int rc = wal_scan_run(&s, source, INT64_MAX, max_bytes, whole, buffer, sizeof(buffer), NULL);
	require(rc == WAL_SCAN_END || (rc == WAL_SCAN_LIMITED && max_bytes && s.commit_end - s.start >= max_bytes));

	int rc2 = WAL_SCAN_END;
	size_t grow = log->size / (step + 1) + 1;
	for (log->visible = WAL_HEADER_SIZE; rc2 == WAL_SCAN_END && log->visible < log->size + grow; log->visible += grow) {
		if (log->visible > log->size)
			log->visible = log->size;
		rc2 = wal_scan_run(&t, source, INT64_MAX, max_bytes, pieces, buffer, small, NULL);
	}
	require(rc == rc2 && s.commit_end == t.commit_end && s.offset == t.offset && s.commit_pages == t.commit_pages);
	require(s.checksum.s0 == t.checksum.s0 && s.commit_checksum.s1 == t.commit_checksum.s1);
	compare(log, whole, pieces, &s);
	wal_pages_free(whole);
	wal_pages_free(pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log log = {NULL, 0, 0};
	struct wal_header h;
	if (size < 3)
		return 0;
	unsigned flags = data[0], step = data[1] % 40, limit = data[2];
	data += 3;
	size -= 3;
	check_index(data, size, flags & SEAL_INDEX);

	log.bytes = malloc(LOG_MAX);
	require(log.bytes != NULL);
	if (flags & RAW) {
		log.size = size < LOG_MAX ? size : LOG_MAX;
		memcpy(log.bytes, data, log.size);
	} else {
		uint32_t page_size = flags & LARGER ? 2048 : 512;
		struct wal_checksum c;
		make_header(&log, page_size, flags & BIG, &c);
		for (; size >= 4 && log.size + WAL_FRAME_HEADER_SIZE + page_size <= LOG_MAX; data += 4, size -= 4)
			make_frame(&log, page_size, flags & BIG, &c, data);
	}
	if (wal_header_parse(log.bytes, log.size, &h, NULL) == WAL_HEADER_OK)
		check_log(&log, &h, flags, step, limit);
	free(log.bytes);
	return 0;
}
