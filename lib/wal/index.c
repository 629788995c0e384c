/* SPDX-License-Identifier: MIT */
/*
 * index.c - the header of the wal-index in shared memory.
 *
 * A writer changes the second copy first, then the first one; a reader who takes the first, then the second, and finds
 * both equal has a whole header. Words are loaded one by one as atomics with acquire order: neither the compiler nor
 * the processor may take a later word before an earlier one.
 */
#include <string.h>

#include "lib/wal/bytes.h"
#include "lib/wal/wal.h"

enum {
	WORDS = WAL_INDEX_HEADER_SIZE / 4,
	VERSION = 3007000,
	CHECKED_SIZE = 40,
	BACKFILLED_WORD = 96 / 4,
	ATTEMPTED_WORD = 128 / 4,
};

static void load_header(const volatile uint32_t *words, uint32_t out[WORDS])
{
	for (int i = 0; i < WORDS; i++)
		out[i] = __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);
}

bool wal_index_changed(const volatile void *map, const uint8_t raw[WAL_INDEX_HEADER_SIZE])
{
	uint32_t words[WORDS];
	const volatile uint32_t *copies = map;
	load_header(copies, words);
	if (memcmp(words, raw, WAL_INDEX_HEADER_SIZE) != 0)
		return true;
	load_header(copies + WORDS, words);
	return memcmp(words, raw, WAL_INDEX_HEADER_SIZE) != 0;
}

bool wal_index_read(const volatile void *map, struct wal_index *out)
{
	uint32_t words[WORDS], second[WORDS];
	const volatile uint32_t *copies = map;
	load_header(copies, words);
	load_header(copies + WORDS, second);
	if (memcmp(words, second, WAL_INDEX_HEADER_SIZE) != 0)
		return false;
	uint32_t backfilled = __atomic_load_n(copies + BACKFILLED_WORD, __ATOMIC_ACQUIRE);
	uint32_t attempted = __atomic_load_n(copies + ATTEMPTED_WORD, __ATOMIC_ACQUIRE);

	uint8_t raw[WAL_INDEX_HEADER_SIZE];
	memcpy(raw, words, sizeof(raw));
	/* words: version, unused, iChange, {isInit, bigEndCksum, szPage}, mxFrame, nPage, 2 sums, 2 salts,
	 * 2 own sums */
	bool initialised = raw[12] != 0;
	uint16_t page_size16;
	memcpy(&page_size16, raw + 14, sizeof(page_size16));
	uint32_t page_size = page_size16 == 1 ? 65536 : page_size16;
	/* Until the first commit of a new log nobody has said what the page size is. */
	bool fresh = page_size == 0 && words[4] == 0;
	if (words[0] != VERSION || !initialised || (page_size < 512 && !fresh) || (page_size & (page_size - 1)))
		return false;
	struct wal_checksum c = {0, 0};
	wal_checksum_add(&c, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, raw, CHECKED_SIZE);
	if (c.s0 != words[10] || c.s1 != words[11])
		return false;

	*out = (struct wal_index){
		.change = words[2],
		.page_size = page_size,
		.big_endian = raw[13] != 0,
		.frames = words[4],
		.pages = words[5],
		.checksum = {words[6], words[7]},
		.salt1 = wal_be32(raw + 32), /* as in the log: big-endian */
		.salt2 = wal_be32(raw + 36),
		.backfilled = backfilled,
		.attempted = attempted,
	};
	memcpy(out->raw, raw, sizeof(out->raw));
	return true;
}
