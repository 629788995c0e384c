/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "lib/wal/wal.h"
#include "tests/check.h"
#include "tests/support/wal_build.h"

enum { COPY_WORDS = WAL_INDEX_HEADER_SIZE / 4 };

struct map {
	uint32_t words[WAL_INDEX_SIZE / 4];
};

static const bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

/* One header copy as the library would have it in memory. */
static void compose(uint32_t copy[COPY_WORDS], uint32_t change, uint32_t page_size, uint32_t frames)
{
	uint16_t size16 = page_size == 65536 ? 1 : (uint16_t)page_size;
	uint8_t *bytes = (uint8_t *)copy;
	static const uint8_t salts[] = {0xa1, 0xa2, 0xa3, 0xa4, 0xb1, 0xb2, 0xb3, 0xb4};
	memset(copy, 0, WAL_INDEX_HEADER_SIZE);
	copy[0] = 3007000;
	copy[2] = change;
	bytes[12] = 1;
	bytes[13] = 1;
	memcpy(bytes + 14, &size16, 2);
	copy[4] = frames;
	copy[5] = frames * 2;
	copy[6] = 0x11111111;
	copy[7] = 0x22222222;
	memcpy(bytes + 32, salts, 8);
	struct wal_checksum c = wal_build_checksum((struct wal_checksum){0, 0}, host_big, bytes, 40);
	copy[10] = c.s0;
	copy[11] = c.s1;
}

static void seal(struct map *m)
{
	struct wal_checksum c = wal_build_checksum((struct wal_checksum){0, 0}, host_big, (const uint8_t *)m->words, 40);
	m->words[10] = c.s0;
	m->words[11] = c.s1;
	memcpy(m->words + COPY_WORDS, m->words, WAL_INDEX_HEADER_SIZE);
}

static void sample(struct map *m, uint32_t page_size)
{
	memset(m, 0, sizeof(*m));
	compose(m->words, 5, page_size, 70);
	seal(m);
	m->words[24] = 33; /* nBackfill */
}

TEST(fields)
{
	for (uint32_t size = 512; size <= 65536; size *= 2) {
		struct map m;
		struct wal_index x;
		sample(&m, size);
		CHECK(wal_index_read(&m, &x));
		CHECK_INT(x.change, 5);
		CHECK_INT(x.page_size, size);
		CHECK(x.big_endian);
		CHECK_INT(x.frames, 70);
		CHECK_INT(x.pages, 140);
		CHECK_INT(x.checksum.s0, 0x11111111);
		CHECK_INT(x.checksum.s1, 0x22222222);
		CHECK_INT(x.salt1, 0xa1a2a3a4);
		CHECK_INT(x.salt2, 0xb1b2b3b4);
		CHECK_INT(x.backfilled, 33);
		CHECK_MEM(x.raw, &m, WAL_INDEX_HEADER_SIZE);
		CHECK(!wal_index_changed(&m, x.raw));
	}
}

TEST(each_flipped_bit_is_torn_and_changed)
{
	struct map m;
	struct wal_index x;
	sample(&m, 4096);
	CHECK(wal_index_read(&m, &x));
	uint8_t raw[WAL_INDEX_HEADER_SIZE];
	memcpy(raw, x.raw, sizeof(raw));
	uint8_t *bytes = (uint8_t *)m.words;
	for (int i = 0; i < 2 * WAL_INDEX_HEADER_SIZE * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		CHECK(!wal_index_read(&m, &x));
		CHECK(wal_index_changed(&m, raw));
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	CHECK(wal_index_read(&m, &x));
	/* the same damage in both copies is found by the checksum */
	for (int i = 0; i < WAL_INDEX_HEADER_SIZE * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		bytes[WAL_INDEX_HEADER_SIZE + i / 8] ^= (uint8_t)(1 << i % 8);
		CHECK(!wal_index_read(&m, &x));
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		bytes[WAL_INDEX_HEADER_SIZE + i / 8] ^= (uint8_t)(1 << i % 8);
	}
	m.words[24] = 34; /* a checkpoint is no transaction */
	CHECK(!wal_index_changed(&m, raw));
}

TEST(not_initialised)
{
	struct map m;
	struct wal_index x;
	memset(&m, 0, sizeof(m));
	CHECK(!wal_index_read(&m, &x));
	sample(&m, 4096);
	((uint8_t *)m.words)[12] = 0;
	seal(&m);
	CHECK(!wal_index_read(&m, &x));
	sample(&m, 4096);
	m.words[0] = 3007001;
	seal(&m);
	CHECK(!wal_index_read(&m, &x));
}

TEST(page_sizes_that_cannot_be)
{
	static const uint16_t sizes[] = {0, 2, 256, 511, 1000, 4097, 65535};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct map m;
		struct wal_index x;
		sample(&m, 4096);
		memcpy((uint8_t *)m.words + 14, &sizes[i], 2);
		seal(&m);
		CHECK(!wal_index_read(&m, &x));
	}
}

TEST(nothing_logged_yet)
{
	/* SQLite initialises the index of an empty log without a page size; the first commit brings it. */
	struct map m;
	struct wal_index x;
	sample(&m, 4096);
	memset((uint8_t *)m.words + 14, 0, 2);
	m.words[4] = 0;
	seal(&m);
	CHECK(wal_index_read(&m, &x));
	CHECK_INT(x.frames, 0);
	CHECK_INT(x.page_size, 0);
}

/* ---- while another one writes: second copy, then first copy ---- */

static struct map shared;
static int stop;

static void publish(uint32_t change)
{
	uint32_t copy[COPY_WORDS];
	compose(copy, change, 4096, change * 3);
	for (int i = 0; i < COPY_WORDS; i++)
		__atomic_store_n(&shared.words[COPY_WORDS + i], copy[i], __ATOMIC_RELEASE);
	for (int i = 0; i < COPY_WORDS; i++)
		__atomic_store_n(&shared.words[i], copy[i], __ATOMIC_RELEASE);
}

static void *writer(void *unused)
{
	for (uint32_t change = 2; !__atomic_load_n(&stop, __ATOMIC_RELAXED); change++) {
		publish(change);
		for (int rest = (int)change % 512; rest > 0 && !__atomic_load_n(&stop, __ATOMIC_RELAXED); rest--)
			; /* a reader who comes now finds it whole */
	}
	return unused;
}

TEST(never_a_mixed_header)
{
	pthread_t thread;
	struct wal_index x;
	uint32_t last = 0;
	int whole = 0, mixed = 0;
	publish(1);
	CHECK_INT(pthread_create(&thread, NULL, writer, NULL), 0);
	for (int i = 0; i < 5000000 && whole < 20000; i++)
		if (wal_index_read(&shared, &x)) {
			whole++;
			mixed += x.frames != x.change * 3 || x.pages != x.change * 6 || x.change < last;
			last = x.change;
		}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(wal_index_read(&shared, &x));
	CHECK_INT(mixed, 0);
	CHECK(whole > 0);
}

TEST_MAIN
