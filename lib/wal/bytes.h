/* SPDX-License-Identifier: MIT */
/* bytes.h - big-endian words of the log (lib/wal, and the proof in lib/db). */
#ifndef RIVULET_WAL_BYTES_H
#define RIVULET_WAL_BYTES_H

#include <stdint.h>

static inline uint32_t wal_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#endif
