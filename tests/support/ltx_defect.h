/* SPDX-License-Identifier: MIT */
/*
 * ltx_defect.h - tests of files with one defect each, made by ltxkit.h: index and checksums fit whatever else is wrong.
 */
#ifndef TESTS_SUPPORT_LTX_DEFECT_H
#define TESTS_SUPPORT_LTX_DEFECT_H

#include "tests/check.h"
#include "tests/support/ltxkit.h"

/* The end of a test of a bad file: it is refused with these words, and at any size of reads. */
#define REJECT(m, words)                                                                                  \
	do {                                                                                              \
		struct err e_ = ERR_INIT;                                                                 \
		for (size_t chunk_ = 0; chunk_ < 6; chunk_ += 5) {                                        \
			(m)->chunk = chunk_;                                                              \
			CHECK_INT(kit_verify((m), NULL, &e_), -1);                                        \
			if (!strstr(e_.text, words))                                                      \
				CHECK_FAIL("\"%s\" in \"%s\"", words, e_.text);                           \
			CHECK_INT(e_.code, ERR_CORRUPT);                                                  \
		}                                                                                         \
		mem_free(m);                                                                              \
	} while (0)

#define ACCEPT(m)                                                                                         \
	do {                                                                                              \
		struct err e_ = ERR_INIT;                                                                 \
		CHECK_OK(kit_verify((m), NULL, &e_), &e_);                                                \
		mem_free(m);                                                                              \
	} while (0)

/* A file of pages of 512 bytes is begun; `page` gets the bytes of its first one. */
static inline struct kit defect_start(uint64_t txid, uint32_t commit, uint8_t *page)
{
	struct ltx_header h = kit_header(512, txid, txid, commit);
	struct kit k;

	kit_begin(&k, &h);
	kit_fill(page, 512, 1);
	return k;
}

#endif
