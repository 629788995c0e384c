/* SPDX-License-Identifier: MIT */
/*
 * gzip.h - gzip files in memory (RFC 1952 and 1951): as little as writes a profile, and reads what was packed into the
 * program when it was built. Pure.
 */
#ifndef RIVULET_BASE_GZIP_H
#define RIVULET_BASE_GZIP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* A gzip file of stored blocks: no compression, which costs 3 KB of code and saves nobody anything on a socket. */
void gzip_store(struct buf *out, const uint8_t *bytes, size_t n);
/* A gzip file of one member without extra fields. ERR_CORRUPT, ERR_LIMIT (out->limit). */
int gzip_expand(const uint8_t *bytes, size_t n, struct buf *out, struct err *e);

#endif
