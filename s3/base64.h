/* SPDX-License-Identifier: MIT */
/* base64.h - RFC 4648 base64 with padding, for sums and keys in header fields. Pure. */
#ifndef RIVULET_S3_BASE64_H
#define RIVULET_S3_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

/* out has BASE64_SIZE(n) bytes. */
char *base64_encode(char *out, const void *bytes, size_t n);
/* Exact: no blanks, full padding, no stray bits. false also when more than cap bytes would come out. */
bool base64_decode(const char *s, uint8_t *out, size_t cap, size_t *n);

#endif
