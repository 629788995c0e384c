/* SPDX-License-Identifier: MIT */
/*
 * image.h - databases as bytes: what a chain of LTX files makes, and what a file holds. For tests: whole databases in
 * memory, and no memory ends the program.
 */
#ifndef TESTS_SUPPORT_IMAGE_H
#define TESTS_SUPPORT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct image {
	uint32_t page_size, pages;
	size_t cap;
	uint8_t *bytes;
};
void image_free(struct image *im);
/* One LTX file over it. *copy: it held every page. */
int image_apply(struct image *im, const char *path, uint64_t txid, bool *copy, int64_t *timestamp_ms, struct err *e);
/* The image as a snapshot file of TXIDs 1 to txid. */
int image_save(const struct image *im, const char *path, uint64_t txid, int64_t timestamp_ms, struct err *e);
int image_load(struct image *im, const char *path, struct err *e);
/* Without what a bump or a change of journal mode may change in page 1. */
uint64_t image_hash(const uint8_t *bytes, int64_t size);

#endif
