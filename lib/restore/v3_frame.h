/* SPDX-License-Identifier: MIT */
/*
 * v3_frame.h - reading an LZ4 frame of many blocks, block by block: the container of v0.3 snapshots and WAL segments.
 *
 * Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md. Every checksum that the frame carries is
 * verified (header, blocks, content); the content's is known only after the last block, so what was given out before
 * counts only when the end came. Blocks that depend on the one before, and dictionaries, are refused: no v0.3 wrote
 * them. Memory: two blocks (at most 4 MiB each), taken as they are needed. One thread at a time.
 */
#ifndef RIVULET_RESTORE_V3_FRAME_H
#define RIVULET_RESTORE_V3_FRAME_H

#include "lib/base/xxh32.h"
#include "lib/replica/replica.h"

struct v3_frame {
	struct replica_reader *reader; /* the caller's */
	uint8_t *stored, *content;
	size_t stored_cap;
	size_t block_max;              /* 0: the header was not read yet */
	bool has_block_checksums, has_content_checksum, has_size, ended;
	uint64_t size;                 /* of the content, if the header says it */
	int64_t taken, given;          /* bytes read and given out */
	struct xxh32 hash;
};

/* *f is zeroed and gets its reader. */
void v3_frame_begin(struct v3_frame *f, struct replica_reader *reader);
/* 1 and the next bytes, valid until the next call; 0 at the end, when everything was right;
 * -1, ERR_CORRUPT for what is wrong. */
int v3_frame_next(struct v3_frame *f, const uint8_t **bytes, size_t *n, struct err *e);
void v3_frame_end(struct v3_frame *f);

#endif
