/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "lib/wal/wal.h"
#include "tests/check.h"
#include "tests/support/wal_build.h"

enum { SIZE = 512, FRAME = SIZE + WAL_FRAME_HEADER_SIZE, BUFFER = 256 << 10 };

static uint8_t buffer[BUFFER];

static int run(struct wal_scan *s, struct wal_build *b, int64_t end_max, int64_t max_bytes, struct wal_pages *pages,
               struct err *e)
{
	return wal_scan_run(s, wal_build_source(b), end_max, max_bytes, pages, buffer, sizeof(buffer), e);
}

/* Where a fresh scan finds the last commit, counted in frames; -1 on an error or an unexpected result. */
static int64_t commit_frames(struct wal_build *b, uint32_t *pages)
{
	struct err e = ERR_INIT;
	struct wal_scan s = wal_build_scan(b);
	if (run(&s, b, INT64_MAX, 0, NULL, &e) != WAL_SCAN_END)
		return -1;
	if (pages)
		*pages = s.commit_pages;
	return (s.commit_end - s.start) / FRAME;
}

/* "pgno@frame" of each page, frames counted from 1. */
static const char *page_list(struct wal_pages *pages, uint32_t max_pgno)
{
	static char text[1024];
	struct err e = ERR_INIT;
	struct wal_page page;
	size_t n = 0;
	int more = wal_pages_sort(pages, max_pgno, &e) ? -1 : 1;
	text[0] = 0;
	while (more > 0 && (more = wal_pages_next(pages, &page, &e)) > 0 && n < sizeof(text) - 40)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u@%d", n ? " " : "", page.pgno,
		                      (int)((page.offset - WAL_HEADER_SIZE) / FRAME) + 1);
	return more == 0 ? text : "failed";
}

/* Three transactions in 6 frames, and 2 frames of a fourth that is not finished. */
static void sample(struct wal_build *b, bool big_endian)
{
	wal_build_init(b, SIZE, big_endian, 100, 200);
	wal_build_frame(b, 1, 0, 1);
	wal_build_frame(b, 2, 2, 2);
	wal_build_frame(b, 5, 0, 3);
	wal_build_frame(b, 1, 5, 4);
	wal_build_frame(b, 3, 0, 5);
	wal_build_frame(b, 2, 4, 6);
	wal_build_frame(b, 1, 0, 7);
	wal_build_frame(b, 9, 0, 8);
}

TEST(empty_log)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	wal_build_init(&b, SIZE, false, 1, 2);
	struct wal_scan s = wal_build_scan(&b);
	int rc = run(&s, &b, INT64_MAX, 0, NULL, &e);
	wal_build_free(&b);
	CHECK_INT(rc, WAL_SCAN_END);
	CHECK_INT(s.offset, 32);
	CHECK_INT(s.commit_end, s.start);
	CHECK_INT(s.commit_pages, 0);
}

/* Frames 3 and 4 as SQLite leaves them behind after a spilled transaction went back to a savepoint: the rest of the log
 * follows from the zeros in frame 4. */
static void leave_unchained(struct wal_build *b)
{
	for (int i = 2; i < 4; i++)
		memset(b->bytes + WAL_HEADER_SIZE + i * FRAME + 8, 0, 16);
}

TEST(published_frames_without_a_chain)
{
	struct wal_build b;
	struct wal_pages *pages = wal_pages_create(NULL);
	struct err e = ERR_INIT;

	sample(&b, false);
	leave_unchained(&b);
	CHECK_INT(commit_frames(&b, NULL), 2); /* by the chain alone */

	struct wal_scan s = wal_build_scan(&b);
	s.published_end = WAL_HEADER_SIZE + 6 * FRAME;
	CHECK_INT(run(&s, &b, s.published_end, 0, pages, &e), WAL_SCAN_END);
	CHECK_INT(s.commit_end, s.published_end);
	CHECK_INT(s.commit_pages, 4);
	CHECK_INT(s.unchained, 3); /* both, and the one behind them */
	CHECK_STR(page_list(pages, 4), "1@4 2@6 3@5");

	/* nothing beyond what is published, no frame of another generation, none without a page */
	s = wal_build_scan(&b);
	s.published_end = WAL_HEADER_SIZE + 3 * FRAME;
	CHECK_INT(run(&s, &b, INT64_MAX, 0, NULL, &e), WAL_SCAN_END);
	CHECK_INT(s.offset, WAL_HEADER_SIZE + 3 * FRAME);
	b.bytes[WAL_HEADER_SIZE + 2 * FRAME + 9] = 7;
	s = wal_build_scan(&b);
	s.published_end = WAL_HEADER_SIZE + 6 * FRAME;
	CHECK_INT(run(&s, &b, s.published_end, 0, NULL, &e), WAL_SCAN_END);
	CHECK_INT(s.offset, WAL_HEADER_SIZE + 2 * FRAME);
	leave_unchained(&b);
	memset(b.bytes + WAL_HEADER_SIZE + 3 * FRAME, 0, 4);
	s = wal_build_scan(&b);
	s.published_end = WAL_HEADER_SIZE + 6 * FRAME;
	CHECK_INT(run(&s, &b, s.published_end, 0, NULL, &e), WAL_SCAN_END);
	CHECK_INT(s.offset, WAL_HEADER_SIZE + 3 * FRAME);
	wal_pages_free(pages);
	wal_build_free(&b);
}

TEST(commits_and_pages)
{
	for (int big = 0; big < 2; big++) {
		struct wal_build b;
		struct err e = ERR_INIT;
		struct wal_pages *pages = wal_pages_create(NULL);
		sample(&b, big);
		struct wal_scan s = wal_build_scan(&b);
		int rc = run(&s, &b, INT64_MAX, 0, pages, &e);
		uint64_t reads = b.reads;
		char list[100];
		snprintf(list, sizeof(list), "%s", page_list(pages, s.commit_pages));
		struct wal_checksum end = b.checksum;
		wal_build_back(&b, 6);
		wal_build_free(&b);
		wal_pages_free(pages);
		CHECK_INT(rc, WAL_SCAN_END);
		CHECK_INT(reads, 1);
		CHECK_INT(s.commit_end, wal_offset(SIZE, 6));
		CHECK_INT(s.commit_pages, 4);
		CHECK_INT(s.commit_checksum.s0, b.checksum.s0);
		CHECK_INT(s.commit_checksum.s1, b.checksum.s1);
		CHECK_INT(s.offset, wal_offset(SIZE, 8));
		CHECK_INT(s.checksum.s0, end.s0);
		CHECK_INT(s.checksum.s1, end.s1);
		CHECK_STR(list, "1@4 2@6 3@5"); /* 5 lies beyond the end, 9 and the newer 1 are not committed */
	}
}

TEST(every_damaged_byte_ends_the_log)
{
	struct wal_build b;
	sample(&b, false);
	int64_t want = 2; /* the damaged frame is the 4th, so only the first transaction counts */
	size_t at = (size_t)wal_offset(SIZE, 3), i;
	for (i = 0; i < FRAME && want == 2; i++) {
		b.bytes[at + i] ^= 0x40;
		want = commit_frames(&b, NULL);
		b.bytes[at + i] ^= 0x40;
	}
	int64_t whole = commit_frames(&b, NULL);
	wal_build_free(&b);
	CHECK_INT(i, FRAME);
	CHECK_INT(want, 2);
	CHECK_INT(whole, 6);
}

TEST(page_zero_ends_the_log)
{
	struct wal_build b;
	wal_build_init(&b, SIZE, true, 1, 2);
	wal_build_frame(&b, 1, 1, 1);
	wal_build_frame(&b, 0, 1, 2); /* checksums are right */
	wal_build_frame(&b, 2, 2, 3);
	int64_t got = commit_frames(&b, NULL);
	wal_build_free(&b);
	CHECK_INT(got, 1);
}

TEST(what_an_older_generation_left_behind)
{
	struct wal_build b;
	uint32_t pages = 0;
	sample(&b, false);
	wal_build_restart(&b, 999);
	int64_t none = commit_frames(&b, NULL);
	wal_build_frame(&b, 7, 7, 77);
	int64_t one = commit_frames(&b, &pages);
	/* the old tail, followed with the old salts and the checksum in front of it */
	struct err e = ERR_INIT;
	struct wal_scan s;
	struct wal_build old;
	sample(&old, false);
	wal_build_back(&old, 4);
	wal_scan_begin(&s, SIZE, false, 100, 200, wal_offset(SIZE, 4), old.checksum);
	int rc = run(&s, &b, INT64_MAX, 0, NULL, &e);
	wal_build_free(&old);
	wal_build_free(&b);
	CHECK_INT(none, 0);
	CHECK_INT(one, 1);
	CHECK_INT(pages, 7);
	CHECK_INT(rc, WAL_SCAN_END);
	CHECK_INT(s.commit_end, wal_offset(SIZE, 6));
}

/* The log grows by `step` bytes between calls, whatever that does to frames. */
TEST(growing_log_is_read_once)
{
	static const size_t steps[] = {1, 7, 24, 100, FRAME - 1, FRAME, FRAME + 1, 1000, 5000};
	for (size_t k = 0; k < sizeof(steps) / sizeof(*steps); k++) {
		struct wal_build b;
		struct err e = ERR_INIT;
		struct wal_pages *pages = wal_pages_create(NULL);
		int bad = 0;
		sample(&b, true);
		struct wal_scan s = wal_build_scan(&b);
		for (b.visible = 0; b.visible < b.len && !bad; b.visible += steps[k]) {
			int64_t before = s.offset, pending = before - s.commit_end;
			b.bytes_read = 0;
			bad |= run(&s, &b, INT64_MAX, 0, pages, &e) != WAL_SCAN_END;
			/* besides what is new and half a frame: the look at unfinished frames */
			int64_t most = s.offset - before + FRAME + (pending ? pending + WAL_FRAME_HEADER_SIZE : 0);
			bad |= (int64_t)b.bytes_read > most || s.offset < before;
		}
		b.visible = SIZE_MAX;
		bad |= run(&s, &b, INT64_MAX, 0, pages, &e) != WAL_SCAN_END;
		char list[100];
		snprintf(list, sizeof(list), "%s", page_list(pages, s.commit_pages));
		wal_build_free(&b);
		wal_pages_free(pages);
		CHECK_INT(bad, 0);
		CHECK_INT(s.commit_end, wal_offset(SIZE, 6));
		CHECK_INT(s.offset, wal_offset(SIZE, 8));
		CHECK_STR(list, "1@4 2@6 3@5");
	}
}

TEST(pending_frames_are_not_read_again_beyond_a_buffer)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	uint8_t small[FRAME * 4];
	wal_build_init(&b, SIZE, false, 1, 2);
	for (uint32_t i = 1; i <= 200; i++)
		wal_build_frame(&b, i, 0, i);
	struct wal_scan s = wal_build_scan(&b);
	wal_scan_run(&s, wal_build_source(&b), INT64_MAX, 0, NULL, small, sizeof(small), &e);
	b.bytes_read = 0;
	wal_build_frame(&b, 1, 200, 1);
	wal_scan_run(&s, wal_build_source(&b), INT64_MAX, 0, NULL, small, sizeof(small), &e);
	wal_build_free(&b);
	CHECK_INT(b.bytes_read, WAL_FRAME_HEADER_SIZE + FRAME * 4 + FRAME);
	CHECK_INT(s.commit_end, wal_offset(SIZE, 201));
}

TEST(commit_after_growth)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	struct wal_pages *pages = wal_pages_create(NULL);
	sample(&b, false);
	struct wal_scan s = wal_build_scan(&b);
	int first = run(&s, &b, INT64_MAX, 0, pages, &e);
	wal_build_frame(&b, 10, 10, 9);
	int second = run(&s, &b, INT64_MAX, 0, pages, &e);
	char list[100];
	snprintf(list, sizeof(list), "%s", page_list(pages, s.commit_pages));
	wal_build_free(&b);
	wal_pages_free(pages);
	CHECK_INT(first, WAL_SCAN_END);
	CHECK_INT(second, WAL_SCAN_END);
	CHECK_INT(s.commit_pages, 10);
	CHECK_STR(list, "1@7 2@6 3@5 5@3 9@8 10@9");
}

TEST(limit_stops_at_the_first_commit_past_it)
{
	static const struct { int64_t max, frames; } cases[] = {
		{1, 2}, {FRAME, 2}, {2 * FRAME, 2}, {2 * FRAME + 1, 4}, {4 * FRAME, 4}, {4 * FRAME + 1, 6}, {6 * FRAME, 6},
	};
	struct wal_build b;
	struct err e = ERR_INIT;
	int bad = 0;
	sample(&b, false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wal_scan s = wal_build_scan(&b);
		for (int again = 0; again < 2; again++) {
			bad |= run(&s, &b, INT64_MAX, cases[i].max, NULL, &e) != WAL_SCAN_LIMITED;
			bad |= s.commit_end != wal_offset(SIZE, (uint64_t)cases[i].frames) || s.offset != s.commit_end;
		}
	}
	struct wal_scan s = wal_build_scan(&b);
	bad |= run(&s, &b, INT64_MAX, 6 * FRAME + 1, NULL, &e) != WAL_SCAN_END || s.offset != wal_offset(SIZE, 8);
	wal_build_free(&b);
	CHECK_INT(bad, 0);
}

TEST(limited_pieces_cover_the_log)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	sample(&b, false);
	struct wal_scan s = wal_build_scan(&b);
	int pieces = 0;
	while (pieces < 10 && run(&s, &b, INT64_MAX, 1, NULL, &e) == WAL_SCAN_LIMITED) {
		pieces++;
		wal_scan_begin(&s, SIZE, false, s.salt1, s.salt2, s.commit_end, s.commit_checksum);
	}
	wal_build_free(&b);
	CHECK_INT(pieces, 3);
	CHECK_INT(s.commit_end, wal_offset(SIZE, 6));
	CHECK_INT(s.commit_pages, 0);
}

TEST(end_max_bounds_the_scan)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	int bad = 0;
	sample(&b, false);
	struct wal_scan s = wal_build_scan(&b);
	for (uint64_t n = 0; n <= 8; n++) {
		bad |= run(&s, &b, wal_offset(SIZE, n), 0, NULL, &e) != WAL_SCAN_END;
		bad |= s.offset != wal_offset(SIZE, n);
		bad |= s.commit_end != wal_offset(SIZE, n < 6 ? n & ~(uint64_t)1 : 6);
	}
	struct wal_scan between = wal_build_scan(&b);
	run(&between, &b, wal_offset(SIZE, 3) - 1, 0, NULL, &e);
	struct wal_scan before = wal_build_scan(&b);
	int rc = run(&before, &b, 0, 0, NULL, &e);
	wal_build_free(&b);
	CHECK_INT(bad, 0);
	CHECK_INT(between.offset, wal_offset(SIZE, 2));
	CHECK_INT(rc, WAL_SCAN_END);
	CHECK_INT(before.offset, 32);
}

/* ---- writers that take back what they wrote ---- */

/* Scans a log with one commit and `pending` open frames of seed 10.., lets `change` rewrite it, and scans on. */
static const char *taken_back(uint32_t pending, void (*change)(struct wal_build *b), int64_t end_max, int rewind)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	struct wal_pages *pages = wal_pages_create(NULL);
	static char text[1100];
	wal_build_init(&b, SIZE, false, 1, 2);
	wal_build_frame(&b, 1, 1, 1);
	for (uint32_t i = 0; i < pending; i++)
		wal_build_frame(&b, 10 + i, 0, 10 + i);
	struct wal_scan s = wal_build_scan(&b);
	uint8_t small[FRAME * 4];
	int rc = wal_scan_run(&s, wal_build_source(&b), INT64_MAX, 0, pages, small, sizeof(small), &e);
	change(&b);
	if (rewind)
		rc |= wal_scan_rewind(&s, pages, &e);
	rc |= wal_scan_run(&s, wal_build_source(&b), end_max, 0, pages, small, sizeof(small), &e);
	snprintf(text, sizeof(text), "%d %d/%d %s", rc, (int)((s.commit_end - 32) / FRAME), (int)((s.offset - 32) / FRAME),
	         page_list(pages, s.commit_pages));
	wal_build_free(&b);
	wal_pages_free(pages);
	return text;
}

static void next_transaction(struct wal_build *b)
{
	wal_build_back(b, 1);
	wal_build_frame(b, 2, 0, 50);
	wal_build_frame(b, 3, 3, 51);
}

/* Frame 6 gets new content; it and all behind it get new checksums; then the transaction ends. */
static void rewritten_in_place(struct wal_build *b)
{
	wal_build_back(b, 5);
	wal_build_frame(b, 14, 0, 99);
	for (uint32_t i = 5; i < 8; i++)
		wal_build_frame(b, 10 + i, 0, 10 + i);
	wal_build_frame(b, 30, 30, 30);
}

/* The same first 5 frames again, a commit in the 6th, and older frames behind it. */
static void repeats_its_beginning(struct wal_build *b)
{
	wal_build_back(b, 1);
	for (uint32_t i = 0; i < 4; i++)
		wal_build_frame(b, 10 + i, 0, 10 + i);
	wal_build_frame(b, 2, 20, 50);
}

/* The same, ending with the last frame of the first buffer full. */
static void repeats_a_buffer(struct wal_build *b)
{
	wal_build_back(b, 1);
	for (uint32_t i = 0; i < 3; i++)
		wal_build_frame(b, 10 + i, 0, 10 + i);
	wal_build_frame(b, 2, 20, 50);
}

static void restarted(struct wal_build *b)
{
	wal_build_restart(b, 4);
	for (uint32_t i = 1; i < 5; i++)
		wal_build_frame(b, i, 5, 60);
}

static void nothing(struct wal_build *b)
{
	(void)b;
}

TEST(rolled_back_frames_are_forgotten)
{
	CHECK_STR(taken_back(8, nothing, INT64_MAX, 0), "0 1/9 1@1");
	CHECK_STR(taken_back(8, next_transaction, INT64_MAX, 0), "0 3/3 1@1 2@2 3@3");
	CHECK_STR(taken_back(2, next_transaction, INT64_MAX, 0), "0 3/3 1@1 2@2 3@3");
	CHECK_STR(taken_back(1, next_transaction, INT64_MAX, 0), "0 3/3 1@1 2@2 3@3");
	CHECK_STR(taken_back(8, rewritten_in_place, INT64_MAX, 0),
	          "0 10/10 1@1 10@2 11@3 12@4 13@5 14@6 15@7 16@8 17@9 30@10");
	CHECK_STR(taken_back(8, repeats_a_buffer, INT64_MAX, 0), "0 5/5 1@1 2@5 10@2 11@3 12@4");
	CHECK_STR(taken_back(8, restarted, INT64_MAX, 0), "0 1/1 1@1");
}

/* What the look at the pending frames cannot see, the published end or a rewind can. */
TEST(rollback_behind_the_same_beginning)
{
	CHECK_STR(taken_back(8, repeats_its_beginning, INT64_MAX, 0), "0 1/9 1@1");
	CHECK_STR(taken_back(8, repeats_its_beginning, wal_offset(SIZE, 6), 0), "0 6/6 1@1 2@6 10@2 11@3 12@4 13@5");
	CHECK_STR(taken_back(8, repeats_its_beginning, INT64_MAX, 1), "0 6/6 1@1 2@6 10@2 11@3 12@4 13@5");
	/* nothing published behind the commit: no reason to look */
	CHECK_STR(taken_back(8, nothing, wal_offset(SIZE, 1), 0), "0 1/9 1@1");
}

/* ---- errors ---- */

TEST(read_errors_lose_nothing)
{
	for (int n = 1; n <= 8; n++) {
		struct wal_build b;
		struct err e = ERR_INIT;
		struct wal_pages *pages = wal_pages_create(NULL);
		uint8_t small[FRAME];
		sample(&b, false);
		struct wal_scan s = wal_build_scan(&b);
		b.fail_in = n;
		int bad = wal_scan_run(&s, wal_build_source(&b), INT64_MAX, 0, pages, small, sizeof(small), &e) != -1;
		bad |= e.code != ERR_SYSTEM || s.offset != wal_offset(SIZE, (uint64_t)n - 1);
		bad |= wal_scan_run(&s, wal_build_source(&b), INT64_MAX, 0, pages, small, sizeof(small), &e) != WAL_SCAN_END;
		char list[100];
		snprintf(list, sizeof(list), "%s", page_list(pages, s.commit_pages));
		wal_build_free(&b);
		wal_pages_free(pages);
		CHECK_INT(bad, 0);
		CHECK_STR(list, "1@4 2@6 3@5");
	}
}

TEST(pages_that_do_not_fit_are_an_error)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	struct wal_pages *pages = wal_pages_create(NULL);
	wal_pages_set_limits(pages, 2, 3);
	sample(&b, false);
	struct wal_scan s = wal_build_scan(&b);
	int rc = run(&s, &b, INT64_MAX, 0, pages, &e);
	wal_build_free(&b);
	wal_pages_free(pages);
	CHECK_INT(rc, -1);
	CHECK(err_is(&e, ERR_LIMIT));
	CHECK_INT(s.offset, wal_offset(SIZE, 2));
	CHECK_INT(s.commit_end, s.offset);
}

/* ---- sizes ---- */

TEST(largest_pages_in_the_smallest_buffer)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	static uint8_t one[65536 + WAL_FRAME_HEADER_SIZE];
	wal_build_init(&b, 65536, true, 5, 6);
	wal_build_frame(&b, 1, 0, 1);
	wal_build_frame(&b, 0xffffffff, 0xffffffff, 2);
	struct wal_scan s = wal_build_scan(&b);
	int rc = wal_scan_run(&s, wal_build_source(&b), INT64_MAX, 0, NULL, one, sizeof(one), &e);
	wal_build_free(&b);
	CHECK_INT(rc, WAL_SCAN_END);
	CHECK_INT(s.commit_end, wal_offset(65536, 2));
	CHECK_INT(s.commit_pages, 0xffffffff);
}

TEST(offsets_beyond_32_bits)
{
	struct wal_build b;
	struct err e = ERR_INIT;
	struct wal_page page = {0, 0};
	struct wal_pages *pages = wal_pages_create(NULL);
	wal_build_init(&b, 4096, false, 1, 2);
	b.base = (int64_t)wal_frame_size(4096) << 24; /* 64 GiB */
	wal_build_frame(&b, 3, 0, 1);
	wal_build_frame(&b, 3, 3, 2);
	struct wal_scan s = wal_build_scan(&b);
	int rc = run(&s, &b, INT64_MAX, 0, pages, &e);
	int more = wal_pages_sort(pages, UINT32_MAX, &e);
	more += wal_pages_next(pages, &page, &e);
	wal_build_free(&b);
	wal_pages_free(pages);
	CHECK_INT(rc, WAL_SCAN_END);
	CHECK_INT(s.commit_end, wal_offset(4096, (1u << 24) + 2));
	CHECK_INT(more, 1);
	CHECK_INT(page.offset, wal_offset(4096, (1u << 24) + 1));
}

TEST_MAIN
