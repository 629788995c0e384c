/* SPDX-License-Identifier: MIT */
/* Backups of Litestream v0.3: their names, when they are chosen before LTX files, and what a plan takes of them. */
#include <stdlib.h>

#include "lib/restore/v3.h"
#include "tests/check.h"

static struct err err;

/* ---- names ---- */

TEST(names)
{
	uint64_t generation, offset;
	uint32_t index;
	int digits;

	CHECK(v3_parse_generation("0123456789abcdef", &generation));
	CHECK_INT(generation, 0x0123456789abcdef);
	CHECK(!v3_parse_generation("0123456789abcde", &generation) &&
	      !v3_parse_generation("0123456789abcdef0", &generation));
	CHECK(!v3_parse_generation("0123456789ABCDEF", &generation) &&
	      !v3_parse_generation("0123456789abcdeg", &generation));
	CHECK(!v3_parse_generation("", &generation) && !v3_parse_generation("generations", &generation));
	CHECK(v3_parse_snapshot("0000000f.snapshot.lz4", &index));
	CHECK_INT(index, 15);
	CHECK(!v3_parse_snapshot("0000000f.snapshot.lz4.tmp", &index) && !v3_parse_snapshot("f.snapshot.lz4", &index));
	CHECK(v3_parse_segment("000000ff_12345678.wal.lz4", &index, &offset, &digits));
	CHECK_INT(index, 255);
	CHECK_INT(offset, 0x12345678);
	CHECK(v3_parse_segment("00000001_100000000.wal.lz4", &index, &offset, &digits));
	CHECK_INT(offset, INT64_C(1) << 32);
	CHECK_INT(digits, 9);
	CHECK(v3_parse_segment("00000001_0000000100000000.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("00000001_00000000100000000.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("00000001_ffffffffffffffff.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("00000001_1234567.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("0000001_12345678.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("00000001", &index, &offset, &digits) &&
	      !v3_parse_segment("", &index, &offset, &digits));
}

/* ---- which of the two formats ---- */

static struct restore_target at_ms(int64_t ms)
{
	return (struct restore_target){ .has_time = ms != 0, .time_ns = ms * 1000000 };
}

TEST(choice_of_the_format)
{
	struct v3_object snapshots[] = { { .created_ms = 100 }, { .created_ms = 300 } };
	struct v3_object segments[] = { { .created_ms = 350 } };
	struct v3_backups old = { { snapshots, 2, 2 }, { segments, 1, 1 } };
	struct v3_backups none = { { NULL, 0, 0 }, { segments, 1, 1 } };
	struct replica_item items[] = { { 9, 1, 1, 200, 200 }, { 0, 2, 2, 200, 340 } };
	struct replica_list files = { items, 2, 2 }, no_files = { NULL, 0, 0 };
	struct restore_target t = at_ms(0), txid = { .txid = 1 };

	CHECK(v3_is_better(&old, &files, &t));
	items[1].created_ms = 350;
	CHECK(!v3_is_better(&old, &files, &t));
	CHECK(v3_is_better(&old, &no_files, &t));
	CHECK(!v3_is_better(&none, &no_files, &t));
	CHECK(!v3_is_better(&old, &no_files, &txid));
	t = at_ms(99);
	CHECK(!v3_is_better(&old, &no_files, &t));
	t = at_ms(100); /* at or before */
	CHECK(v3_is_better(&old, &files, &t));
	t = at_ms(200); /* the LTX snapshot must be strictly before */
	CHECK(v3_is_better(&old, &files, &t));
	t = at_ms(201);
	CHECK(!v3_is_better(&old, &files, &t));
	t = at_ms(300);
	CHECK(v3_is_better(&old, &files, &t));
}

static const char *plan_of(const struct v3_object *snapshots, int ns, const struct v3_object *segments, int n,
                           int64_t ms)
{
	static char text[ERR_TEXT_SIZE];
	struct v3_backups b = { { .count = ns }, { .count = n } };
	struct restore_target t = at_ms(ms);
	struct v3_plan plan;

	err_clear(&err);
	b.snapshots.items = malloc((size_t)ns * sizeof(*snapshots) + 1);
	b.segments.items = malloc((size_t)n * sizeof(*segments) + 1);
	if (ns)
		memcpy(b.snapshots.items, snapshots, (size_t)ns * sizeof(*snapshots));
	if (n)
		memcpy(b.segments.items, segments, (size_t)n * sizeof(*segments));
	if (v3_plan_make(&b, &t, &plan, &err)) {
		snprintf(text, sizeof(text), "%s", err.text);
	} else {
		snprintf(text, sizeof(text), "%llx/%x", (unsigned long long)plan.snapshot.generation,
		         plan.snapshot.index);
		for (int i = 0; i < plan.segments.count; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %x_%llx",
			         plan.segments.items[i].index, (unsigned long long)plan.segments.items[i].offset);
	}
	v3_plan_free(&plan);
	v3_free(&b);
	return text;
}
#define PLAN(ms, ...) \
	plan_of(snaps, (int)(sizeof(snaps) / sizeof(snaps[0])), (const struct v3_object[]){ __VA_ARGS__ }, \
	        (int)(sizeof((const struct v3_object[]){ __VA_ARGS__ }) / sizeof(struct v3_object)), ms)
#define SEG(i, o, t) { .generation = 7, .index = (i), .offset = (o), .created_ms = (t) }

TEST(plans)
{
	static const struct v3_object snaps[] = { { .generation = 7, .index = 2, .created_ms = 50 },
		                                  { .generation = 7, .index = 4, .created_ms = 90 },
		                                  { .generation = 5, .index = 9, .created_ms = 30 } };

	CHECK_STR(plan_of(snaps, 0, NULL, 0, 0), "no matching backup files available");
	CHECK_STR(plan_of(snaps, 3, NULL, 0, 0), "7/4");
	CHECK_STR(plan_of(snaps, 3, NULL, 0, 89), "7/2");
	CHECK_STR(plan_of(snaps, 3, NULL, 0, 49), "5/9");
	CHECK_STR(plan_of(snaps, 3, NULL, 0, 29), "no matching backup files available");
	/* Older numbers and other generations do not matter; order does not either. */
	CHECK_STR(PLAN(0, SEG(5, 0, 1), SEG(4, 32, 1), SEG(3, 99, 1), SEG(4, 0, 1), { .generation = 5, .index = 4 }),
	          "7/4 4_0 4_20 5_0");
	CHECK_STR(PLAN(60, SEG(2, 0, 1), SEG(2, 32, 60), SEG(2, 64, 61), SEG(3, 0, 61)), "7/2 2_0 2_20");
	CHECK_STR(PLAN(0, SEG(5, 0, 1)), "missing WAL index: expected 00000004/0, got 00000005/0");
	CHECK_STR(PLAN(0, SEG(4, 32, 1)), "missing WAL index: expected 00000004/0, got 00000004/20");
	CHECK_STR(PLAN(0, SEG(4, 0, 1), SEG(6, 0, 1)), "missing WAL index: expected 00000005/0, got 00000006/0");
	CHECK_STR(PLAN(0, SEG(4, 0, 1), SEG(5, 32, 1)), "missing WAL index: expected 00000005/0, got 00000005/20");
	CHECK_INT(err.code, ERR_GAP);
	CHECK_STR(PLAN(0, SEG(4, 0, 1), SEG(4, 0, 2)), "missing WAL index: expected 00000005/0, got 00000004/0");
}

TEST_MAIN
