/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "tests/check.h"
#include "lib/replica/replica.h"
#include "lib/replica/stats.h"
#include "tests/support/tmpdir.h"

static int type_number(const char *name)
{
	for (int i = 0; replica_stats_type(i); i++)
		if (!strcmp(replica_stats_type(i), name))
			return i;
	return -1;
}

TEST(buckets_hold_what_is_below_them)
{
	struct replica_stats s;
	int gs = type_number("gs");

	CHECK(gs >= 0);
	CHECK(!replica_stats_read(gs, REPLICA_PUT, &s));
	replica_stats_done("gs", REPLICA_PUT, 10000);
	replica_stats_done("gs", REPLICA_PUT, 10001);
	replica_stats_done("gs", REPLICA_PUT, 61 * 1000000);
	replica_stats_bytes("gs", REPLICA_PUT, 7);
	replica_stats_done("floppy", REPLICA_PUT, 1); /* not counted, no harm */
	CHECK(replica_stats_read(gs, REPLICA_PUT, &s));
	CHECK_INT(s.total, 3);
	CHECK_INT(s.bytes, 7);
	CHECK_INT(s.us, 61020001);
	CHECK_INT(s.buckets[0], 1);
	CHECK_INT(s.buckets[1], 2);
	CHECK_INT(s.buckets[REPLICA_STATS_BUCKETS - 1], 2);
	CHECK(!replica_stats_read(gs, REPLICA_GET, &s));
}

TEST(codes_of_failures_are_sorted_and_bounded)
{
	struct replica_stats_error x, last = { .type = "" };
	uint64_t sum = 0;
	char code[80];
	int n;

	for (int i = 0; i < 100; i++) {
		snprintf(code, sizeof(code), "Code%02d%60s", 99 - i, "");
		replica_stats_failed("s3", REPLICA_DELETE, code);
	}
	replica_stats_failed("file", REPLICA_LIST, "late");
	replica_stats_failed("s3", REPLICA_DELETE, code); /* Code00: came too late for an entry of its own */
	for (n = 0; replica_stats_error(n, &x); n++) {
		int order = strcmp(x.type, last.type);

		CHECK(order > 0 || (!order && (x.op > last.op || strcmp(x.code, last.code) > 0)));
		CHECK(strlen(x.code) < sizeof(x.code));
		last = x;
		sum += x.count;
	}
	CHECK_INT(n, 16 + 2);
	CHECK_INT(sum, 102);
	CHECK_STR(last.code, "other");
	CHECK_INT(last.count, 85);
	CHECK_STR(replica_stats_code(NULL), "unknown");
	CHECK_STR(replica_stats_code(&(struct err){ .code = ERR_FULL }), "no_space");
}

TEST(the_file_kind_counts)
{
	struct replica_item item = { .level = 0, .min_txid = 1, .max_txid = 1, .size = 3 };
	struct replica_list list = { 0 };
	struct replica_reader *reader;
	struct replica_stats s;
	struct replica *r;
	struct err e = ERR_INIT;
	char bytes[8];
	int file = type_number("file");
	const char *path;
	size_t got;
	FILE *f;

	path = tmppath("staged");
	f = fopen(path, "w");
	CHECK(f && fputs("abc", f) >= 0 && !fclose(f));
	CHECK_OK(replica_file_create(tmpdir(), &r, &e), &e);
	CHECK_OK(r->ops->put(r, &item, path, &e), &e);
	CHECK_OK(r->ops->list(r, 0, 0, false, &list, &e), &e);
	CHECK_INT(list.count, 1);
	CHECK_OK(r->ops->open(r, &item, 0, -1, &reader, &e), &e);
	CHECK_OK(reader->read(reader, bytes, sizeof(bytes), &got, &e), &e);
	reader->close(reader);
	CHECK_OK(r->ops->remove(r, &item, 1, &e), &e);
	CHECK_INT(r->ops->open(r, &item, 0, -1, &reader, &e), -1);
	CHECK(replica_stats_read(file, REPLICA_PUT, &s) && s.total == 1 && s.bytes == 3);
	CHECK(replica_stats_read(file, REPLICA_GET, &s) && s.total == 2 && s.bytes == 3);
	CHECK(replica_stats_read(file, REPLICA_LIST, &s) && s.total == 1);
	CHECK(replica_stats_read(file, REPLICA_DELETE, &s) && s.total == 1);
	replica_list_free(&list);
	replica_free(r);
}
TEST_MAIN
