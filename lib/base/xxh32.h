/* SPDX-License-Identifier: MIT */
/*
 * xxh32.h - xxHash32 with seed 0, the checksum of LZ4 frames. In pieces or in one; pure; any thread.
 * Format: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
#ifndef RIVULET_BASE_XXH32_H
#define RIVULET_BASE_XXH32_H

#include <stddef.h>
#include <stdint.h>

struct xxh32 {
	uint32_t lane[4];
	uint8_t tail[16]; /* what does not fill a stripe yet */
	uint64_t total;   /* bytes so far */
};

void xxh32_begin(struct xxh32 *x);
void xxh32_add(struct xxh32 *x, const uint8_t *bytes, size_t n);
uint32_t xxh32_end(const struct xxh32 *x);
uint32_t xxh32(const uint8_t *bytes, size_t n);

#endif
