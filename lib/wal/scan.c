/* SPDX-License-Identifier: MIT */
/* scan.c - follows the chain of frames through a log that may grow while we look. */
#include <assert.h>

#include "lib/wal/bytes.h"
#include "lib/wal/wal.h"

void wal_scan_begin(struct wal_scan *s, uint32_t page_size, bool big_endian, uint32_t salt1, uint32_t salt2,
                    int64_t start, struct wal_checksum checksum)
{
	assert(page_size >= 512 && page_size <= 65536 && page_size % 8 == 0);
	assert(start >= WAL_HEADER_SIZE && (start - WAL_HEADER_SIZE) % wal_frame_size(page_size) == 0);
	*s = (struct wal_scan){
		.page_size = page_size,
		.big_endian = big_endian,
		.salt1 = salt1,
		.salt2 = salt2,
		.start = start,
		.offset = start,
		.checksum = checksum,
		.commit_end = start,
		.commit_checksum = checksum,
	};
}

int wal_scan_rewind(struct wal_scan *s, struct wal_pages *pages, struct err *e)
{
	if (pages && wal_pages_rollback(pages, e))
		return -1;
	s->offset = s->commit_end;
	s->checksum = s->commit_checksum;
	return 0;
}

/* The checksums that a frame header carries, if it is a frame of this generation at all. */
static bool frame_header(const struct wal_scan *s, const uint8_t *frame, struct wal_checksum *c)
{
	if (wal_be32(frame) == 0 || wal_be32(frame + 8) != s->salt1 || wal_be32(frame + 12) != s->salt2)
		return false;
	*c = (struct wal_checksum){wal_be32(frame + 16), wal_be32(frame + 20)};
	return true;
}

static bool same(struct wal_checksum a, struct wal_checksum b)
{
	return a.s0 == b.s0 && a.s1 == b.s1;
}

/* Does the frame go on where *c ends? Then *c ends behind it. */
static bool frame_fits(const struct wal_scan *s, const uint8_t *frame, struct wal_checksum *c)
{
	struct wal_checksum said, sum = *c;
	if (!frame_header(s, frame, &said))
		return false;
	wal_checksum_add(&sum, s->big_endian, frame, 8);
	wal_checksum_add(&sum, s->big_endian, frame + WAL_FRAME_HEADER_SIZE, s->page_size);
	if (!same(sum, said))
		return false;
	*c = sum;
	return true;
}

/* One of the published frames that were left without salts and checksum, or that follow such a one. */
static bool frame_is_published(const struct wal_scan *s, const uint8_t *frame, struct wal_checksum *c)
{
	uint32_t salt1 = wal_be32(frame + 8), salt2 = wal_be32(frame + 12);
	if (s->offset + wal_frame_size(s->page_size) > s->published_end || wal_be32(frame) == 0)
		return false;
	if ((salt1 != s->salt1 || salt2 != s->salt2) && (salt1 | salt2) != 0)
		return false;
	*c = (struct wal_checksum){wal_be32(frame + 16), wal_be32(frame + 20)};
	return true;
}

/* The database size in a frame that ends a transaction, else 0. */
static uint32_t frame_commit(const uint8_t *frame)
{
	return wal_be32(frame + 4);
}

/* As many whole frames as fit into both the buffer and `room` bytes of the log. */
static size_t whole_frames(const struct wal_scan *s, size_t buffer_size, int64_t room)
{
	int64_t frame = wal_frame_size(s->page_size);
	int64_t n = room < (int64_t)buffer_size ? room : (int64_t)buffer_size;
	return n < frame ? 0 : (size_t)(n / frame * frame);
}

/*
 * A writer may take back what it has not committed: after a rollback the next transaction overwrites these frames from
 * the first one on, and a transaction that changes a page again rewrites its frame and the checksums of all behind it.
 * So before going on behind unfinished frames, look whether the first ones (a buffer full) and the last still stand.
 */
static int pending_stands(const struct wal_scan *s, struct wal_source source, uint8_t *buffer, size_t buffer_size,
                          bool *stands, struct err *e)
{
	size_t frame = (size_t)wal_frame_size(s->page_size), got;
	struct wal_checksum c;
	*stands = false;
	if (source.read(source.ctx, buffer, WAL_FRAME_HEADER_SIZE, s->offset - (int64_t)frame, &got, e))
		return -1;
	if (got < WAL_FRAME_HEADER_SIZE || !frame_header(s, buffer, &c) || !same(c, s->checksum))
		return 0;

	size_t n = whole_frames(s, buffer_size, s->offset - s->commit_end);
	if (source.read(source.ctx, buffer, n, s->commit_end, &got, e))
		return -1;
	c = s->commit_checksum;
	for (size_t at = 0; at < n; at += frame)
		if (got - at < frame || frame_commit(buffer + at) || !frame_fits(s, buffer + at, &c))
			return 0;
	*stands = true;
	return 0;
}

/* Takes up a frame whose checksum has been found right. */
static int accept(struct wal_scan *s, const uint8_t *frame, struct wal_checksum c, struct wal_pages *pages,
                  struct err *e)
{
	if (pages && wal_pages_add(pages, wal_be32(frame), s->offset, e))
		return -1;
	s->offset += wal_frame_size(s->page_size);
	s->checksum = c;
	if (frame_commit(frame)) {
		s->commit_end = s->offset;
		s->commit_checksum = c;
		s->commit_pages = frame_commit(frame);
		if (pages)
			wal_pages_commit(pages);
	}
	return 0;
}

static bool limited(const struct wal_scan *s, int64_t max_bytes)
{
	return max_bytes > 0 && s->commit_end - s->start >= max_bytes;
}

int wal_scan_run(struct wal_scan *s, struct wal_source source, int64_t end_max, int64_t max_bytes,
                 struct wal_pages *pages, void *buffer, size_t buffer_size, struct err *e)
{
	const size_t frame = (size_t)wal_frame_size(s->page_size);
	assert(buffer_size >= frame);

	if (limited(s, max_bytes))
		return WAL_SCAN_LIMITED;
	if (end_max <= s->commit_end)
		return WAL_SCAN_END;
	if (s->offset > s->commit_end) {
		/* A commit published in the middle of our unfinished frames means that they are others by now. */
		bool stands = end_max >= s->offset;
		if (stands && pending_stands(s, source, buffer, buffer_size, &stands, e))
			return -1;
		if (!stands && wal_scan_rewind(s, pages, e))
			return -1;
	}
	for (;;) {
		size_t got, n = whole_frames(s, buffer_size, end_max - s->offset);
		if (n == 0)
			return WAL_SCAN_END;
		if (source.read(source.ctx, buffer, n, s->offset, &got, e))
			return -1;
		for (const uint8_t *p = buffer, *end = p + got; (size_t)(end - p) >= frame; p += frame) {
			struct wal_checksum c = s->checksum;
			if (!frame_fits(s, p, &c)) {
				if (!frame_is_published(s, p, &c))
					return WAL_SCAN_END;
				s->unchained++;
			}
			if (accept(s, p, c, pages, e))
				return -1;
			if (frame_commit(p) && limited(s, max_bytes))
				return WAL_SCAN_LIMITED;
		}
		if (got < n)
			return WAL_SCAN_END;
	}
}
