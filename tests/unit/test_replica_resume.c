/* SPDX-License-Identifier: MIT */
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/check.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

enum { SIZE = 100000 };

static struct flaky *make(void)
{
	static uint8_t bytes[SIZE];
	const char *path = tmppath("r");
	struct replica *inner;

	for (int i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	os_fault_clock(1000, 1000); /* sleeping only moves the clock */
	if (!rk_store(path, 0, 1, 1, bytes, SIZE, 0) || replica_file_create(path, &inner, NULL) != 0)
		return NULL;
	return flaky_create(inner);
}

static const struct replica_item item = { .level = 0, .min_txid = 1, .max_txid = 1, .size = SIZE };

/* Reads all; 1 when it is right, 0 when it is not, -1 with e. */
static int read_through(struct flaky *f, const struct replica_item *it, const atomic_bool *cancel, struct err *e)
{
	struct replica_reader *reader;
	struct mem m = { .data = NULL }, want = { .data = NULL };
	uint8_t bytes[4096];
	size_t got = 1;
	int rc = replica_open_resumable(&f->base, it, cancel, &reader, e);

	while (rc == 0 && got > 0) {
		rc = reader->read(reader, bytes, sizeof(bytes), &got, e);
		if (rc == 0)
			mem_add(&m, bytes, got);
	}
	if (reader)
		reader->close(reader);
	if (rc == 0)
		rc = kit_load(&want, rk_file(tmppath("r"), 0, 1, 1)) && m.len == want.len && memcmp(m.data, want.data, m.len) == 0;
	mem_free(&m);
	mem_free(&want);
	return rc;
}

TEST(no_trouble)
{
	struct flaky *f = make();
	struct err e = ERR_INIT;
	int rc = read_through(f, &item, NULL, &e), opens = f->opens;

	replica_free(&f->base);
	CHECK_INT(rc, 1);
	CHECK_INT(opens, 1);
}

TEST(first_open_fails)
{
	struct flaky *f = make();
	struct err e = ERR_INIT;

	f->fail_opens = 1;
	int64_t from = os_mono_us();
	int rc = read_through(f, &item, NULL, &e), opens = f->opens;
	int64_t took = os_mono_us() - from;
	replica_free(&f->base);
	CHECK_INT(rc, 1);
	CHECK_INT(opens, 2);
	CHECK(took == 250000); /* it does not hammer */
}

TEST(breaks_off_in_the_middle)
{
	for (int quietly = 0; quietly < 2; quietly++) {
		struct flaky *f = make();
		struct err e = ERR_INIT;

		f->breaks = 2;
		f->break_after = 33333;
		f->quietly = quietly;
		int rc = read_through(f, &item, NULL, &e), opens = f->opens, open_now = f->open_now;
		replica_free(&f->base);
		CHECK_INT(rc, 1);
		CHECK_INT(opens, 3);
		CHECK_INT(open_now, 0);
	}
}

TEST(gives_up_after_three_retries)
{
	struct flaky *f = make();
	struct err e = ERR_INIT;

	f->fail_opens = 100;
	int64_t from = os_mono_us();
	int rc = read_through(f, &item, NULL, &e), opens = f->opens;
	int64_t took = os_mono_us() - from;
	replica_free(&f->base);
	CHECK_INT(rc, -1);
	CHECK_STR(e.text, "dial tcp: connection refused");
	CHECK_INT(opens, 4);
	CHECK(took == 1750000);
}

TEST(early_end_is_named)
{
	struct flaky *f = make();
	struct replica_item longer = item;
	atomic_bool cancel = false;
	struct err e = ERR_INIT;

	longer.size = SIZE + 1;
	int rc = read_through(f, &longer, &cancel, &e);
	replica_free(&f->base);
	CHECK_INT(rc, -1);
	CHECK_STR(e.text, "read ltx/0/0000000000000001-0000000000000001.ltx: unexpected end of file after 100000 of "
	          "100001 bytes");
}

TEST(missing_is_final)
{
	struct flaky *f = make();
	struct replica_item other = item;
	struct err e = ERR_INIT;

	other.max_txid = 2;
	int rc = read_through(f, &other, NULL, &e), opens = f->opens;
	replica_free(&f->base);
	CHECK_INT(rc, -1);
	CHECK_INT(e.code, ERR_NOT_FOUND);
	CHECK_INT(opens, 1);
}

TEST(cancel_cuts_the_wait_short)
{
	struct flaky *f = make();
	atomic_bool cancel = false;
	struct err e = ERR_INIT;

	f->fail_opens = 100;
	f->cancel_at_open = &cancel;
	int64_t from = os_mono_us();
	int rc = read_through(f, &item, &cancel, &e), opens = f->opens;
	int64_t took = os_mono_us() - from;
	replica_free(&f->base);
	CHECK_INT(rc, -1);
	CHECK_INT(e.code, ERR_CANCELLED);
	CHECK_INT(opens, 1);
	CHECK(took < 200000);
}

TEST_MAIN
