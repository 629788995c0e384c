/* SPDX-License-Identifier: MIT */
#include "lib/restore/v3_frame.h"

#include <stdlib.h>
#include <string.h>

#include "lz4.h"

enum {
	MAGIC = 0x184d2204,
	FLG_VERSION = 0xc0,
	FLG_VERSION_1 = 0x40,
	FLG_INDEPENDENT = 0x20,
	FLG_BLOCK_CHECKSUM = 0x10,
	FLG_CONTENT_SIZE = 0x08,
	FLG_CONTENT_CHECKSUM = 0x04,
	FLG_RESERVED = 0x02,
	FLG_DICTIONARY = 0x01,
	BD_RESERVED = 0x8f,
	DESCRIPTOR_MAX = 10,
	STORED_FIRST = 64 << 10,
};
#define BLOCK_RAW 0x80000000u

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int bad(const struct v3_frame *f, const char *what, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "%s at byte %lld", what, (long long)f->taken);
}

void v3_frame_begin(struct v3_frame *f, struct replica_reader *reader)
{
	*f = (struct v3_frame){ .reader = reader };
	xxh32_begin(&f->hash);
}

void v3_frame_end(struct v3_frame *f)
{
	free(f->stored);
	free(f->content);
	f->stored = f->content = NULL;
}

static int take(struct v3_frame *f, uint8_t *bytes, size_t n, struct err *e)
{
	size_t got;

	for (size_t have = 0; have < n; have += got) {
		if (f->reader->read(f->reader, bytes + have, n - have, &got, e) != 0)
			return -1;
		if (got == 0)
			return bad(f, "the file is truncated: it ends", e);
		f->taken += (int64_t)got;
	}
	return 0;
}

static int read_header(struct v3_frame *f, struct err *e)
{
	uint8_t head[4 + DESCRIPTOR_MAX + 1];
	size_t descriptor = 2;

	if (take(f, head, 6, e) != 0)
		return -1;
	if (le32(head) != MAGIC)
		return bad(f, "not an LZ4 frame", e);
	if ((head[4] & FLG_VERSION) != FLG_VERSION_1 || (head[4] & FLG_RESERVED) || (head[5] & BD_RESERVED) ||
	    head[5] < 0x40)
		return bad(f, "an LZ4 frame of an unknown version", e);
	if ((head[4] & FLG_DICTIONARY) || !(head[4] & FLG_INDEPENDENT))
		return bad(f, "an LZ4 frame with a dictionary or linked blocks", e);
	f->has_block_checksums = head[4] & FLG_BLOCK_CHECKSUM;
	f->has_content_checksum = head[4] & FLG_CONTENT_CHECKSUM;
	f->has_size = head[4] & FLG_CONTENT_SIZE;
	if (f->has_size)
		descriptor += 8;
	if (take(f, head + 6, descriptor - 2 + 1, e) != 0)
		return -1;
	if ((xxh32(head + 4, descriptor) >> 8 & 0xff) != head[4 + descriptor])
		return bad(f, "a wrong header checksum", e);
	if (f->has_size)
		f->size = le32(head + 6) | (uint64_t)le32(head + 10) << 32;
	f->block_max = (size_t)1 << (8 + 2 * (head[5] >> 4)); /* 64 KiB, 256 KiB, 1 MiB, 4 MiB */
	return 0;
}

/* Room for a stored block of n bytes. */
static int make_room(struct v3_frame *f, size_t n, struct err *e)
{
	size_t cap = n < STORED_FIRST ? STORED_FIRST : n;

	if (n <= f->stored_cap)
		return 0;
	free(f->stored);
	f->stored = malloc(cap);
	f->stored_cap = f->stored ? cap : 0;
	return f->stored ? 0 : err_nomem(e);
}

static int finish(struct v3_frame *f, struct err *e)
{
	uint8_t sum[4], beyond;
	size_t got;

	if (f->has_content_checksum) {
		if (take(f, sum, sizeof(sum), e) != 0)
			return -1;
		if (le32(sum) != xxh32_end(&f->hash))
			return bad(f, "a wrong content checksum", e);
	}
	if (f->has_size && f->size != (uint64_t)f->given)
		return bad(f, "another size of the content than the header says", e);
	if (f->reader->read(f->reader, &beyond, 1, &got, e) != 0)
		return -1;
	if (got != 0)
		return bad(f, "bytes behind the end of the LZ4 frame", e);
	f->ended = true;
	return 0;
}

static int unpack(struct v3_frame *f, size_t n, size_t *made, struct err *e)
{
	int rc;

	if (!f->content && !(f->content = malloc(f->block_max)))
		return err_nomem(e);
	rc = LZ4_decompress_safe((const char *)f->stored, (char *)f->content, (int)n, (int)f->block_max);
	if (rc < 0)
		return bad(f, "a malformed LZ4 block", e);
	*made = (size_t)rc;
	return 0;
}

int v3_frame_next(struct v3_frame *f, const uint8_t **bytes, size_t *n, struct err *e)
{
	uint8_t word[4];
	uint32_t stored;
	bool raw;

	if (f->ended)
		return 0;
	if (f->block_max == 0 && read_header(f, e) != 0)
		return -1;
	do {
		if (take(f, word, sizeof(word), e) != 0)
			return -1;
		stored = le32(word) & ~BLOCK_RAW;
		raw = le32(word) & BLOCK_RAW;
		if (le32(word) == 0)
			return finish(f, e);
		if (stored > f->block_max)
			return bad(f, "an LZ4 block larger than it may be", e);
		if (make_room(f, stored, e) != 0 || take(f, f->stored, stored, e) != 0)
			return -1;
		if (f->has_block_checksums) {
			if (take(f, word, sizeof(word), e) != 0)
				return -1;
			if (le32(word) != xxh32(f->stored, stored))
				return bad(f, "a wrong block checksum", e);
		}
		*n = stored;
		*bytes = f->stored;
		if (!raw) {
			if (unpack(f, stored, n, e) != 0)
				return -1;
			*bytes = f->content;
		}
	} while (*n == 0);
	xxh32_add(&f->hash, *bytes, *n);
	f->given += (int64_t)*n;
	return 1;
}
