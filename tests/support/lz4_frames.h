/* SPDX-License-Identifier: MIT */
/* lz4_frames.h - LZ4 frames as a backup of Litestream v0.3 has them, and as it might. */
#ifndef TESTS_SUPPORT_LZ4_FRAMES_H
#define TESTS_SUPPORT_LZ4_FRAMES_H

#include "lib/base/buf.h"

/* Blocks stored raw, with checksums; the content's size in the header; no checksum of the content. */
enum { F_RAW = 1, F_BLOCK_SUMS = 2, F_SIZE = 4, F_NO_SUM = 8 };

/* Appends a frame of blocks of `each` bytes. */
void lz4_add_frame(struct buf *b, const void *bytes, size_t n, size_t each, unsigned flags);

#endif
