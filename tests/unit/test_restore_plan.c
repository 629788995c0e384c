/* SPDX-License-Identifier: MIT */
/* The tables of plans: which files make up which state. Each row was seen to come out so with Litestream 0.5.16. */
#include <stdlib.h>

#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

/* "9:1-5 1:6-7@20": LEVEL:MIN-MAX with an optional creation time in seconds. In shuffled order if asked for. */
static bool parse_files(const char *text, struct replica_list *l, bool reversed)
{
	const char *p = text;
	int n;

	l->count = 0;
	while (*p) {
		struct replica_item item = { .size = 1000 };
		unsigned long long min, max, at;

		if (sscanf(p, "%d:%llu-%llu%n", &item.level, &min, &max, &n) != 3)
			return false;
		p += n;
		if (sscanf(p, "@%llu%n", &at, &n) == 1) {
			item.created_ms = (int64_t)at * 1000;
			p += n;
		}
		item.min_txid = min;
		item.max_txid = max;
		if (replica_list_add(l, &item, NULL) != 0)
			return false;
		p += strspn(p, " ");
	}
	for (int i = 0, j = l->count - 1; reversed && i < j; i++, j--) {
		struct replica_item t = l->items[i];

		l->items[i] = l->items[j];
		l->items[j] = t;
	}
	return true;
}

static void print_plan(const struct restore_plan *p, char out[1100])
{
	size_t n = 0;

	out[0] = '\0';
	for (int i = 0; i < p->count && n < 900; i++)
		n += (size_t)snprintf(out + n, 1000 - n, "%s%d:%llu-%llu", i ? " " : "", p->items[i].level,
		                      (unsigned long long)p->items[i].min_txid, (unsigned long long)p->items[i].max_txid);
}

#define NOTHING "no matching backup files available"
#define MANY "9:1-5 9:1-15 1:6-7 1:8-9 1:10-12 0:7-7 0:8-8 0:9-9 0:10-10 0:11-11"
#define FIVE "9:1-5 "
#define L0_6_20 "0:6-6 0:7-7 0:8-8 0:9-9 0:10-10 0:11-11 0:12-12 " L0_13_20
#define L0_13_20 "0:13-13 0:14-14 0:15-15 0:16-16 0:17-17 0:18-18 0:19-19 0:20-20"

static const struct row {
	const char *files;
	uint64_t txid; /* 0 = latest */
	const char *want;
} rows[] = {
	{ "9:1-10", 10, "9:1-10" },
	{ "9:1-10", 5, NOTHING },
	{ "", 5, NOTHING },
	{ "", 0, NOTHING },
	{ MANY, 10, "9:1-5 1:6-7 1:8-9 0:10-10" },
	{ MANY, 0, "9:1-15" },
	/* a file that goes farther beats one of a higher level */
	{ FIVE "2:6-12 0:6-20", 20, "9:1-5 0:6-20" },
	{ FIVE "2:6-12 " L0_6_20, 20, "9:1-5 2:6-12 " L0_13_20 },
	{ FIVE "1:6-7 1:9-10 0:8-8 0:9-9 0:10-10", 10, "9:1-5 1:6-7 0:8-8 1:9-10" },
	{ FIVE "1:6-7 1:9-10 0:8-8 0:9-9 0:10-10", 0, "9:1-5 1:6-7 0:8-8 1:9-10" },
	{ "9:1-1 1:1-1 0:1-1", 1, "9:1-1" },
	/* overlapping files inside a level */
	{ FIVE "2:1-100 2:50-60", 100, "9:1-5 2:1-100" },
	{ FIVE "2:1-100 2:50-60", 0, "9:1-5 2:1-100" },
	{ FIVE "1:6-9 2:6-9", 0, "9:1-5 2:6-9" },
	{ FIVE "1:3-9 2:6-9", 0, "9:1-5 1:3-9" },
	{ FIVE "1:6-9 0:6-6 0:7-7 0:8-8", 7, "9:1-5 0:6-6 0:7-7" },
	{ FIVE "1:6-9", 7, NOTHING },
	{ "1:1-4 0:1-1 0:2-2 0:3-3 0:4-4 0:5-5", 0, "1:1-4 0:5-5" },
	{ "0:1-1 0:2-2 0:3-3", 0, "0:1-1 0:2-2 0:3-3" },
	{ "0:2-2 0:3-3", 0, NOTHING },
	{ "0:1-1 0:3-3", 0, "non-contiguous ltx files: have up to 0000000000000001 but next file starts at 0000000000000003" },
	{ "0:1-1 0:3-3", 1, "0:1-1" },
	{ "0:1-1 0:3-3", 3, NOTHING },
	/* holes below the base do not matter */
	{ FIVE "0:1-1 0:3-3 0:6-6", 0, "9:1-5 0:6-6" },
	{ FIVE "0:8-8", 0, "non-contiguous ltx files: have up to 0000000000000005 but next file starts at 0000000000000008" },
	{ FIVE "0:8-8", 5, "9:1-5" },
	{ FIVE "0:6-6", 9, NOTHING },
	/* a missing compacted file, made up for by a lower level */
	{ FIVE "1:6-9 1:14-17 0:10-10 0:11-11 0:12-12 0:13-13", 0, "9:1-5 1:6-9 0:10-10 0:11-11 0:12-12 0:13-13 1:14-17" },
	/* what cannot be: a snapshot that does not begin at 1 is none */
	{ "9:2-5", 0, NOTHING },
	{ "9:2-9 9:1-3 0:4-4", 0, "9:1-3 0:4-4" },
	{ "0:1-18446744073709551615", 0, "0:1-18446744073709551615" },
	{ "9:1-18446744073709551615 0:1-1", 0, "9:1-18446744073709551615" },
	{ "0:0-3 12:1-9 0:5-4", 0, NOTHING },
};

TEST(plans)
{
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i / 2];
		struct replica_list l = { .items = NULL };
		struct restore_plan plan = { .items = NULL };
		struct restore_target target = { .txid = row->txid };
		struct err e = ERR_INIT;
		char got[1100], want[1300], have[1300];

		CHECK(parse_files(row->files, &l, i % 2));
		int rc = restore_plan_calc(&l, &target, &plan, &e);
		if (rc == 0)
			print_plan(&plan, got);
		else
			snprintf(got, sizeof(got), "%s", e.text);
		int code = e.code, count = plan.count;
		uint64_t min = plan.min_txid, max = plan.max_txid, last = rc == 0 ? plan.items[count - 1].max_txid : 0;
		replica_list_free(&l);
		restore_plan_free(&plan);
		snprintf(want, sizeof(want), "[%s] %d: %s", row->files, (int)row->txid, row->want);
		snprintf(have, sizeof(have), "[%s] %d: %s", row->files, (int)row->txid, got);
		CHECK_STR(have, want);
		if (rc == 0) {
			CHECK_INT(min, 1);
			CHECK_INT(max, last);
		} else {
			CHECK_INT(code, strstr(got, "non-contiguous") ? ERR_GAP : ERR_UNAVAILABLE);
			CHECK_INT(count, 0);
		}
	}
}

TEST(txid_and_time_exclude_each_other)
{
	struct replica_list l = { .items = NULL };
	struct restore_plan plan = { .items = NULL };
	struct restore_target target = { .txid = 1, .has_time = true };
	struct err e = ERR_INIT;

	CHECK_INT(restore_plan_calc(&l, &target, &plan, &e), -1);
	CHECK_STR(e.text, "cannot specify index & timestamp to restore");
}

/* L9 1..1 at t, L0 2 at t+10, L0 3 at t+20, L9 1..3 at t+25, L0 4 at t+30. */
enum { T = 1700000000 };

static bool make_times(const char *path)
{
	static const struct { int level, min, max, at; } files[] = {
		{ 9, 1, 1, 0 }, { 0, 2, 2, 10 }, { 0, 3, 3, 20 }, { 9, 1, 3, 25 }, { 0, 4, 4, 30 },
	};
	char dummy[200] = "";

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!rk_store(path, files[i].level, (uint64_t)files[i].min, (uint64_t)files[i].max, dummy, sizeof(dummy),
		              (T + files[i].at) * INT64_C(1000)))
			return false;
	}
	return true;
}

static const struct time_row {
	int after; /* seconds after t */
	int64_t ns;
	const char *url_form, *config_form;
} time_rows[] = {
	{ -5, 0, "timestamp does not exist", NOTHING },
	{ -1, 999999999, "timestamp does not exist", NOTHING },
	{ 0, 0, NOTHING, NOTHING },
	{ 0, 1, "9:1-1", "9:1-1" },
	{ 1, 0, "9:1-1", "9:1-1" },
	{ 10, 0, "9:1-1", "9:1-1" },
	{ 10, 1, "9:1-1 0:2-2", "9:1-1 0:2-2" },
	{ 11, 0, "9:1-1 0:2-2", "9:1-1 0:2-2" },
	{ 20, 0, "9:1-1 0:2-2", "9:1-1 0:2-2" },
	{ 22, 0, "9:1-1 0:2-2 0:3-3", "9:1-1 0:2-2 0:3-3" },
	{ 25, 0, "9:1-1 0:2-2 0:3-3", "9:1-1 0:2-2 0:3-3" },
	{ 26, 0, "9:1-3", "9:1-3" },
	{ 30, 0, "9:1-3", "9:1-3" },
	{ 30, 1, "timestamp does not exist", "9:1-3 0:4-4" },
	{ 31, 0, "timestamp does not exist", "9:1-3 0:4-4" },
	{ 999, 0, "timestamp does not exist", "9:1-3 0:4-4" },
};

TEST(times)
{
	const char *path = rk_path("times");
	struct replica *r = NULL;

	CHECK(make_times(path));
	CHECK_INT(replica_file_create(path, &r, NULL), 0);
	for (size_t i = 0; i < 2 * sizeof(time_rows) / sizeof(time_rows[0]); i++) {
		const struct time_row *row = &time_rows[i / 2];
		struct restore_target target = { .has_time = true, .time_ns = (T + row->after) * INT64_C(1000000000) + row->ns };
		struct restore_plan plan = { .items = NULL };
		struct err e = ERR_INIT;
		char got[1100], have[1200], want[1200];
		bool bounds = i % 2;

		if (restore_plan_make(r, &target, bounds, &plan, &e) == 0)
			print_plan(&plan, got);
		else
			snprintf(got, sizeof(got), "%s", e.text);
		restore_plan_free(&plan);
		snprintf(have, sizeof(have), "%d %d: %s", row->after, bounds, got);
		snprintf(want, sizeof(want), "%d %d: %s", row->after, bounds, bounds ? row->url_form : row->config_form);
		CHECK_STR(have, want);
	}
	replica_free(r);
}

TEST(times_of_nothing)
{
	struct restore_target target = { .has_time = true, .time_ns = T * INT64_C(1000000000) };
	struct restore_plan plan = { .items = NULL };
	struct replica *r = NULL;
	struct err e = ERR_INIT;

	CHECK_INT(replica_file_create(tmppath("nothing"), &r, NULL), 0);
	CHECK_INT(restore_plan_make(r, &target, true, &plan, &e), -1);
	CHECK_STR(e.text, "no backups found");
	CHECK_INT(e.code, ERR_UNAVAILABLE);
	CHECK_INT(restore_plan_make(r, &target, false, &plan, &e), -1);
	CHECK_STR(e.text, NOTHING);
	replica_free(r);
}

/* Times far from any calendar must not wrap around. */
TEST(extreme_times)
{
	struct replica_item items[] = {
		{ .level = 9, .min_txid = 1, .max_txid = 1, .created_ms = INT64_MIN },
		{ .level = 0, .min_txid = 2, .max_txid = 2, .created_ms = INT64_MAX },
	};
	struct replica_list l = { .items = items, .count = 2 };
	struct restore_target target = { .has_time = true, .time_ns = INT64_MAX };
	struct restore_plan plan = { .items = NULL };
	struct err e = ERR_INIT;

	CHECK_OK(restore_plan_calc(&l, &target, &plan, &e), &e);
	CHECK_INT(plan.count, 1);
	CHECK_INT(plan.max_txid, 1);
	restore_plan_free(&plan);
}

TEST(extending)
{
	static const struct { const char *files; uint64_t from, to; bool snapshots; const char *want; } cases[] = {
		{ "0:1-1 0:2-2 0:3-3", 1, 0, false, "0:2-2 0:3-3" },
		{ "0:1-1 0:2-2 0:3-3", 1, 2, false, "0:2-2" },
		{ "0:1-1 0:2-2 0:3-3", 3, 0, false, "" },
		{ "0:5-5 1:2-4", 2, 0, false, "1:2-4 0:5-5" },
		{ "0:5-5 9:1-4", 2, 0, false, "" },
		{ "0:5-5 9:1-4", 2, 0, true, "9:1-4 0:5-5" },
		{ "0:5-5 9:1-4 9:1-3", 2, 0, true, "9:1-4 0:5-5" },
		{ "", 7, 0, true, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct replica_list l = { .items = NULL };
		struct restore_plan plan = { .items = NULL };
		struct err e = ERR_INIT;
		char got[1100];

		CHECK(parse_files(cases[i].files, &l, false));
		CHECK_OK(restore_plan_extend(&l, cases[i].from, cases[i].to, cases[i].snapshots, &plan, &e), &e);
		print_plan(&plan, got);
		uint64_t max = plan.max_txid;
		int count = plan.count;
		replica_list_free(&l);
		restore_plan_free(&plan);
		CHECK_STR(got, cases[i].want);
		if (count == 0)
			CHECK_INT(max, cases[i].from);
	}
}

TEST(a_file_where_a_level_should_be)
{
	struct replica *inner = NULL;
	struct restore_target target = { .txid = 0 };
	struct restore_plan plan = { .items = NULL };
	struct err e = ERR_INIT;
	char folder[1100];

	/* No folder is nothing; a file in its place is no empty folder. */
	const char *path = rk_path("unlistable");
	CHECK(rk_full(path, 0, 1, 1, 512, 2, 1));
	snprintf(folder, sizeof(folder), "%s/ltx/4", path);
	CHECK(rk_write(folder, "x", 1));
	CHECK_INT(replica_file_create(path, &inner, NULL), 0);
	CHECK_INT(restore_plan_make(inner, &target, false, &plan, &e), -1);
	CHECK(strstr(e.text, "/unlistable/ltx/4: not a directory"));
	restore_plan_free(&plan);
	replica_free(inner);
}

TEST_MAIN
