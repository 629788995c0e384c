/* SPDX-License-Identifier: MIT */
/* test_prof.c - sets, gzip, the allocator's sample, and profiles read back by a reader of protobuf. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"
#include "lib/base/gzip.h"
#include "lib/prof/internal.h"
#include "tests/support/tmpdir.h"

#define KEPT __attribute__((noinline))

static struct err e;

/* ---- sets ---- */

static struct os_stack made(int depth, uintptr_t first)
{
	struct os_stack s = { .depth = depth };

	for (int i = 0; i < depth; i++)
		s.pc[i] = first + (uintptr_t)i * 16;
	return s;
}

TEST(a_set_tells_stacks_and_labels_apart)
{
	struct os_stack a = made(3, 0x1000), b = made(2, 0x1000);
	struct prof_set s = { 0 }, before = { 0 };

	prof_set_item(&s, &a, "")->value[0] = 1;
	prof_set_item(&s, &a, "x")->value[0] = 2;
	prof_set_item(&s, &b, "")->value[0] = 3;
	prof_set_item(&s, &a, "")->value[0] += 10;
	CHECK_INT(s.count, 3);
	CHECK_INT(s.items[0].value[0], 11);
	prof_set_item(&before, &a, "")->value[0] = 4;
	prof_set_subtract(&s, &before);
	CHECK_INT(s.items[0].value[0], 7);
	prof_set_free(&s);
	prof_set_free(&before);
}

TEST(a_set_is_bounded)
{
	struct prof_set s = { 0 };

	for (int i = 0; i < PROF_STACKS_MAX + 5; i++) {
		struct os_stack a = made(1, 0x1000 + (uintptr_t)i);

		prof_set_item(&s, &a, "");
	}
	CHECK_INT(s.count, PROF_STACKS_MAX);
	CHECK_INT(s.lost, 5);
	prof_set_free(&s);
}

/* ---- gzip ---- */

static size_t gzip_file(const char *flags, const uint8_t *bytes, size_t n, uint8_t *out, size_t size)
{
	char command[1000];
	const char *plain = tmppath("plain"), *zipped = tmppath("zipped");
	FILE *f = fopen(plain, "w");
	size_t got;

	fwrite(bytes, 1, n, f);
	fclose(f);
	snprintf(command, sizeof(command), "gzip -n %s <%s >%s", flags, plain, zipped);
	if (system(command))
		return 0;
	f = fopen(zipped, "r");
	got = fread(out, 1, size, f);
	fclose(f);
	return got;
}

TEST(gzip_of_gzip_is_read)
{
	static uint8_t bytes[200000], zipped[210000];
	static const char *const flags[] = { "-9", "-1" };
	struct buf out = { 0 };
	uint32_t x = 1;
	size_t n;

	/* Text with repetitions near and far, then noise. */
	for (size_t i = 0; i < sizeof(bytes); i++) {
		x = x * 1103515245 + 12345;
		bytes[i] = i < 150000 ? (uint8_t)("abcdefgh_"[(x >> 28) % 9] ^ (x & 0x10000 ? i / 1000 % 7 : 0)) : (uint8_t)(x >> 24);
	}
	for (int f = 0; f < 2; f++) {
		for (size_t size = 0; size <= sizeof(bytes); size = size ? size * 7 : 1) {
			n = gzip_file(flags[f], bytes, size, zipped, sizeof(zipped));
			if (!n)
				SKIP("no gzip");
			CHECK_OK(gzip_expand(zipped, n, &out, &e), &e);
			CHECK_INT(out.len, size);
			CHECK_MEM(out.data, bytes, size);
		}
	}
	/* Any damage is seen: a byte changed, the end cut off, too small a limit. */
	n = gzip_file("-9", bytes, 5000, zipped, sizeof(zipped));
	for (size_t i = 0; i < n; i++) {
		if (i >= 4 && i < 10) /* time, flags, system: nobody's business */
			continue;
		zipped[i] ^= 0x41;
		CHECK_INT(gzip_expand(zipped, n, &out, &e), -1);
		zipped[i] ^= 0x41;
		CHECK_INT(gzip_expand(zipped, i, &out, &e), -1);
	}
	buf_free(&out);
	out.limit = 4000;
	CHECK_INT(gzip_expand(zipped, n, &out, &e), -1);
	CHECK_INT(e.code, ERR_LIMIT);
	buf_free(&out);
}

TEST(what_is_stored_reads_back)
{
	static uint8_t bytes[200000];
	struct buf zipped = { 0 }, out = { 0 };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i >> 3);
	for (size_t size = 0; size <= 200000; size += size < 3 ? 1 : 65535 - 2) {
		buf_reset(&zipped);
		gzip_store(&zipped, bytes, size);
		CHECK_OK(gzip_expand(zipped.data, zipped.len, &out, &e), &e);
		CHECK_INT(out.len, size);
		CHECK_MEM(out.data, bytes, size);
	}
	buf_free(&zipped);
	buf_free(&out);
}

/* ---- the allocator's sample ---- */

/* Blocks that are never touched, at addresses that nobody else has. */
KEPT static void pretend(uintptr_t from, int count, size_t size, bool release)
{
	for (int i = 0; i < count; i++) {
		void *block = (void *)(from + (uintptr_t)i * size); /* NOLINT */

		prof_heap_alloc(block, size, __builtin_frame_address(0));
		if (release)
			prof_heap_free(block);
	}
}

static int64_t sum(int value)
{
	struct prof_set s = { 0 };
	int64_t n = 0;

	prof_collect(PROF_HEAP, &s);
	for (int i = 0; i < s.count; i++)
		n += s.items[i].value[value];
	prof_set_free(&s);
	return n;
}

TEST(samples_scale_to_what_was_allocated)
{
	int64_t total, alive;

	os_thread_begin(NULL);
	pretend(0x100000000000, 20000, 4096, true); /* 78 MiB in small blocks, all given back */
	total = sum(1);
	CHECK(total > 40 << 20 && total < 160 << 20);
	CHECK_INT(sum(3), 0);
	pretend(0x200000000000, 20, 4 << 20, false); /* 80 MiB in large ones, each of which is a sample */
	alive = sum(3);
	CHECK(alive >= 79 << 20 && alive <= 81 << 20);
	CHECK(sum(2) >= 19 && sum(2) <= 21);
	for (int i = 0; i < 20; i++)
		prof_heap_free((void *)(uintptr_t)(0x200000000000 + ((uintptr_t)i << 22)));
	CHECK_INT(sum(3), 0);
	/* A full table loses samples, and counts on. */
	pretend(0x300000000000, 3000, 1 << 20, false);
	CHECK(sum(3) > 100 << 20);
	for (int i = 0; i < 3000; i++)
		prof_heap_free((void *)(uintptr_t)(0x300000000000 + ((uintptr_t)i << 20)));
	CHECK_INT(sum(3), 0);
	prof_heap_free(NULL);
}

static void *allocates(void *arg)
{
	os_thread_begin("allocator");
	for (int i = 0; i < 300; i++)
		pretend((uintptr_t)arg, 50, 40000, true);
	return NULL;
}

TEST(many_threads_allocate)
{
	pthread_t id[4];

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&id[i], NULL, allocates, (void *)(0x400000000000 + (i << 40)));
	for (int i = 0; i < 50; i++)
		sum(1);
	for (int i = 0; i < 4; i++)
		pthread_join(id[i], NULL);
	CHECK_INT(sum(3), 0);
}

/* ---- profiles ---- */

struct proto {
	const uint8_t *p, *end;
	uint64_t value; /* of a varint, or the length of what is at p */
	int field;
	bool failed;
};

static uint64_t read_varint(struct proto *r)
{
	uint64_t x = 0;

	for (int shift = 0; r->p < r->end && shift < 64; shift += 7) {
		x |= (uint64_t)(*r->p & 0x7f) << shift;
		if (!(*r->p++ & 0x80))
			return x;
	}
	r->failed = true;
	return 0;
}

/* The next field; bytes of a message are at p, and stepped over by the caller. */
static bool read_field(struct proto *r)
{
	uint64_t key;

	if (r->p >= r->end || r->failed)
		return false;
	key = read_varint(r);
	r->field = (int)(key >> 3);
	r->value = read_varint(r);
	if ((key & 7) == 2 && r->value > (uint64_t)(r->end - r->p))
		r->failed = true;
	else if ((key & 7) != 2 && (key & 7) != 0)
		r->failed = true;
	return !r->failed;
}

/* What a reader must find true of every profile; the figures are for the tests. */
static struct {
	int types, samples, mappings, locations, functions, strings;
	uint64_t highest_location, sample_sum, period;
	bool first_string_empty, failed;
} seen;

static void read_sample(struct proto r)
{
	int values = 0;

	while (read_field(&r)) {
		struct proto packed = { .p = r.p, .end = r.p + r.value };

		while (packed.p < packed.end && !packed.failed && r.field <= 2) {
			uint64_t x = read_varint(&packed);

			if (r.field == 1 && x > seen.highest_location)
				seen.highest_location = x;
			if (r.field == 1 && !x)
				seen.failed = true;
			if (r.field == 2 && !values++)
				seen.sample_sum += x;
		}
		r.p += r.value;
	}
	if (values != seen.types || r.failed)
		seen.failed = true;
}

static void read_profile(const struct buf *zipped)
{
	struct buf out = { 0 };
	struct proto r;

	memset(&seen, 0, sizeof(seen));
	seen.failed = gzip_expand(zipped->data, zipped->len, &out, &e) != 0;
	r = (struct proto){ .p = out.data, .end = out.data + out.len };
	while (!seen.failed && read_field(&r)) {
		bool is_message = r.field <= 6 || r.field == 11;

		seen.types += r.field == 1;
		seen.samples += r.field == 2;
		seen.mappings += r.field == 3;
		seen.locations += r.field == 4;
		seen.functions += r.field == 5;
		if (r.field == 6 && !seen.strings++)
			seen.first_string_empty = r.value == 0;
		if (r.field == 2)
			read_sample((struct proto){ .p = r.p, .end = r.p + r.value });
		if (r.field == 12)
			seen.period = r.value;
		if (is_message)
			r.p += r.value;
	}
	seen.failed |= r.failed;
	buf_free(&out);
}

TEST(every_profile_is_well_formed)
{
	struct prof_span span = { 1, 0 };

	os_thread_begin(NULL);
	for (int kind = 0; kind < PROF_KINDS; kind++) {
		struct prof_set s = { 0 };
		struct buf out = { 0 };

		prof_collect((enum prof_kind)kind, &s);
		prof_write(&out, (enum prof_kind)kind, &s, span);
		CHECK(buf_ok(&out) && out.len > 18);
		read_profile(&out);
		CHECK(!seen.failed && seen.first_string_empty && seen.types >= 1 && seen.mappings == 1 && seen.period > 0);
		CHECK(seen.highest_location <= (uint64_t)seen.locations);
		CHECK(kind != PROF_GOROUTINE || (seen.samples >= 1 && seen.sample_sum >= 1));
		buf_free(&out);
		prof_set_free(&s);
	}
}

static _Atomic bool quit;
static void *spins(void *arg)
{
	os_thread_begin("spinner");
	while (!atomic_load(&quit))
		;
	return arg;
}

TEST(a_cpu_profile_counts_what_was_used)
{
	struct prof_set s = { 0 };
	struct buf out = { 0 };
	pthread_t id;
	int64_t n = 0;

	os_thread_begin(NULL);
	pthread_create(&id, NULL, spins, NULL);
	CHECK_OK(prof_cpu_start(&e), &e);
	CHECK_INT(prof_cpu_start(&e), -1);
	CHECK_INT(e.code, ERR_BUSY);
	for (int i = 0; i < 500 && n < 30; i++) {
		usleep(20000);
		prof_cpu_drain(&s);
		n = 0;
		for (int k = 0; k < s.count; k++)
			n += s.items[k].value[0];
	}
	prof_cpu_stop(&s);
	atomic_store(&quit, true);
	pthread_join(id, NULL);
	CHECK(n >= 30);
	CHECK_INT(s.items[0].value[1], s.items[0].value[0] * 10000000);
	prof_write(&out, PROF_CPU, &s, (struct prof_span){ 1000, 2000 });
	read_profile(&out);
	CHECK(!seen.failed && seen.samples == s.count);
	CHECK_INT(seen.types, 2);
	CHECK_INT(seen.period, 10000000);
	buf_free(&out);
	prof_set_free(&s);
}

TEST(texts_have_gos_layout)
{
	struct os_stack a = made(2, 0x1000);
	struct prof_set s = { 0 };
	struct buf out = { 0 };

	memcpy(prof_set_item(&s, &a, "")->value, (int64_t[]){ 5, 500, 2, 200 }, 32);
	prof_write_text(&out, PROF_HEAP, &s);
	CHECK_STR(buf_text(&out), "heap profile: 2: 200 [5: 500] @ heap/1048576\n2: 200 [5: 500] @ 0x1000 0x1010\n"
	                          "#\t0xfff\n#\t0x100f\n\n");
	buf_reset(&out);
	prof_write_text(&out, PROF_GOROUTINE, &s);
	CHECK_STR(buf_text(&out), "goroutine profile: total 5\n5 @ 0x1000 0x1010\n#\t0x1000\n#\t0x100f\n\n");
	prof_set_free(&s);
	buf_reset(&out);
	prof_write_text(&out, PROF_MUTEX, &s);
	CHECK_STR(buf_text(&out), "--- mutex:\ncycles/second=1000000000\nsampling period=0\n");
	buf_reset(&out);
	os_thread_begin("main");
	prof_write_threads(&out);
	CHECK(!strncmp(buf_text(&out), "goroutine ", 10));
	CHECK(strstr(buf_text(&out), " [running, main]:\n") != NULL);
	buf_free(&out);
}

TEST(names_of_kinds)
{
	CHECK_INT(prof_find("heap", 4), PROF_HEAP);
	CHECK_INT(prof_find("heapx", 5), PROF_KINDS);
	CHECK_INT(prof_find("hea", 3), PROF_KINDS);
	CHECK_INT(prof_find("profile", 7), PROF_KINDS);
	CHECK_INT(prof_find("threadcreate", 12), PROF_THREADCREATE);
}
TEST_MAIN
