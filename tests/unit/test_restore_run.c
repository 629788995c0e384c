/* SPDX-License-Identifier: MIT */
/*
 * What a restore writes: the newest copy of each page, every defect of a file named, progress told, and nothing left
 * when it is cancelled or a call fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/fault.h"
#include "lib/restore/internal.h"
#include "tests/check.h"
#include "tests/support/restore_job.h"
#include "tests/support/tmpdir.h"

TEST(newest_copy_of_each_page)
{
	const char *path = rk_path("three");
	struct job j;
	struct stat st;
	mode_t mask = umask(022);

	umask(mask);
	CHECK(job_make_three(path));
	job_init(&j, path);
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(job_output_is(&j, 512, PAGES(2000, 1000, 3000, 1000, 3000)));
	CHECK_INT(j.result.txid, 5);
	CHECK_INT(j.result.pages, 5);
	CHECK_INT(j.result.page_size, 512);
	CHECK_INT(stat(j.o.output, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0644 & ~mask);
	unlink(j.o.output);
	CHECK_OK(job_run(&j, 4), &j.e);
	CHECK(job_output_is(&j, 512, PAGES(2000, 1000, 2000, 1000)));
	unlink(j.o.output);
	CHECK_OK(job_run(&j, 3), &j.e);
	CHECK(job_output_is(&j, 512, PAGES(1000, 1000, 1000, 1000, 1000, 1000)));
	job_end(&j);
}

TEST(largest_pages)
{
	const char *path = rk_path("large");
	struct job j;

	CHECK(rk_full(path, 0, 1, 1, 65536, 11, 1) && rk_pages(path, 0, 2, 2, 65536, 12, PAGES(7, 12), 500));
	job_init(&j, path);
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(job_output_is(&j, 65536, PAGES(1, 1, 1, 1, 1, 1, 500, 1, 1, 1, 1, 500)));
	job_end(&j);
}

/* ---- the content ---- */

static bool fails_with(const char *path, const char *start, const char *part)
{
	struct job j;

	job_init(&j, path);
	job_run(&j, 0);
	bool ok = j.rc != 0 && strncmp(j.e.text, start, strlen(start)) == 0 && strstr(j.e.text, part) &&
	          job_left_nothing(&j);
	if (!ok)
		printf("%s: \"%s\" instead of \"%s … %s\"\n", path, j.rc ? j.e.text : "restored", start, part);
	job_end(&j);
	return ok;
}

#define SMALL "invalid ltx file: level=9 min=0000000000000001 max=0000000000000003 "

TEST(too_small_to_be_a_file)
{
	const char *path = rk_path("small");
	char zeros[99] = "";

	CHECK(rk_store(path, 9, 1, 3, zeros, 0, 0));
	CHECK(fails_with(path, SMALL "has size 0 bytes (minimum 100)", ""));
	CHECK(rk_store(path, 9, 1, 3, zeros, 99, 0));
	CHECK(fails_with(path, SMALL "has size 99 bytes (minimum 100)", ""));
}

#define OBJECT "decode database: ltx/0/0000000000000004-0000000000000004.ltx: "

TEST(damaged_files)
{
	const char *path = rk_path("damaged");
	struct mem m = { .data = NULL };
	char junk[200] = "junk";

	CHECK(job_make_three(path));
	CHECK(kit_load(&m, rk_file(path, 0, 4, 4)));
	CHECK(rk_store(path, 0, 4, 4, junk, sizeof(junk), 0));
	CHECK(fails_with(path, OBJECT, ""));
	CHECK(rk_store(path, 0, 4, 4, m.data, m.len - 1, 0));
	CHECK(fails_with(path, OBJECT, ""));
	CHECK(rk_store(path, 0, 4, 4, m.data, 100, 0));
	CHECK(fails_with(path, OBJECT, ""));
	mem_add(&m, "x", 1);
	CHECK(rk_store(path, 0, 4, 4, m.data, m.len, 0));
	CHECK(fails_with(path, OBJECT, ""));
	m.len--;
	/* any byte counts, in a file of which only one page is used, too */
	int wrong = 0;
	for (size_t i = 0; i < m.len; i += i < 200 ? 1 : 7) {
		m.data[i] ^= 0x10;
		rk_store(path, 0, 4, 4, m.data, m.len, 0);
		wrong += !fails_with(path, OBJECT, "");
		m.data[i] ^= 0x10;
	}
	mem_free(&m);
	CHECK_INT(wrong, 0);
}

TEST(file_of_another_name)
{
	const char *path = rk_path("renamed");

	CHECK(job_make_three(path));
	CHECK(rename(rk_file(path, 0, 5, 5), rk_file(path, 0, 4, 4)) == 0);
	CHECK(fails_with(path, OBJECT, "the header says transactions 0000000000000005 to 0000000000000005"));
}

TEST(another_page_size)
{
	const char *path = rk_path("pagesize");

	CHECK(rk_full(path, 9, 1, 3, 512, 6, 1000) && rk_pages(path, 0, 4, 4, 1024, 4, PAGES(1, 3), 2000));
	CHECK(fails_with(path, "decode database: ltx/9/0000000000000001-0000000000000003.ltx: page size 512, but 1024",
	                 ""));
}

/* A file as an encoder without rules would write it. */
static bool store_loose(const char *path, uint64_t min, uint64_t max, uint32_t commit, const uint32_t *pgnos, int count)
{
	struct ltx_header h = kit_header(512, min, max, commit);
	struct kit k = { .crc = 0 };
	uint8_t page[512];

	kit_begin(&k, &h);
	for (int i = 0; i < count; i++) {
		kit_fill(page, 512, pgnos[i]);
		kit_page(&k, pgnos[i], page);
	}
	kit_end(&k);
	bool ok = rk_store(path, 0, min, max, k.out.data, k.out.len, 0);
	kit_free(&k);
	return ok;
}

TEST(missing_pages)
{
	const char *path = rk_path("missing");

	CHECK(store_loose(path, 1, 1, 5, PAGES(1, 2, 3)));
	CHECK(fails_with(path, "decode database: page 4 of 5 is in none of the files", ""));
	CHECK(store_loose(path, 1, 1, 3, PAGES(1, 2, 3)) &&
	      store_loose(path, 2, 2, 20, PAGES(4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20)));
	CHECK(fails_with(path, "decode database: page 17 of 20 is in none of the files", ""));
	CHECK(store_loose(path, 3, 3, 17, PAGES(17)));
	struct job j;
	job_init(&j, path);
	CHECK_OK(job_run(&j, 0), &j.e);
	job_end(&j);
}

TEST(more_pages_than_can_be)
{
	const char *path = rk_path("hostile");

	CHECK(store_loose(path, 1, 1, 0xffffffff, PAGES(1, 2, 3)));
	CHECK(fails_with(path, "decode database: ltx/0/0000000000000001-0000000000000001.ltx: ", "4294967295 pages"));
}

TEST(database_that_was_removed)
{
	const char *path = rk_path("removed");
	struct job j;

	CHECK(rk_full(path, 0, 1, 1, 512, 3, 1) && store_loose(path, 2, 2, 0, NULL, 0));
	job_init(&j, path);
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(job_output_is(&j, 512, NULL, 0));
	job_end(&j);
}

/* Whether all pages are there is asked without a gigabyte: what is written goes nowhere. */
TEST(lock_page)
{
	for (int skip_last = 0; skip_last < 2; skip_last++) {
		struct os_file null = OS_FILE_NONE;
		struct pages p;
		struct err e = ERR_INIT;
		uint32_t commit = 16386; /* the lock page of this page size is 16385 */

		CHECK_OK(os_file_open(&null, "/dev/null", O_RDWR, 0, &e), &e);
		CHECK_OK(pages_init(&p, &null, 65536, commit, &e), &e);
		memset(p.buffer, 0, 65536);
		int rc = 0;
		for (uint32_t i = 1; i <= commit - (uint32_t)skip_last && rc == 0; i++) {
			if (i != 16385)
				rc = pages_take(&p, i, &e);
		}
		CHECK_OK(rc, &e);
		rc = pages_finish(&p, true, &e);
		pages_free(&p);
		os_file_close(&null);
		CHECK_INT(rc, -1); /* /dev/null takes no size */
		if (skip_last)
			CHECK_STR(e.text, "page 16386 of 16386 is in none of the files");
		else
			CHECK_STR(e.text, "truncate /dev/null: invalid argument");
	}
}

TEST(rollback_header)
{
	const char *path = rk_path("header");
	struct mem m = { .data = NULL };
	struct job j;

	CHECK(job_make_three(path));
	job_init(&j, path);
	j.o.rollback_header = true;
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(kit_load(&m, j.o.output));
	uint8_t page[512];
	kit_fill(page, 512, 2001);
	page[18] = page[19] = 1;
	bool same = memcmp(m.data, page, 512) == 0;
	mem_free(&m);
	CHECK(same);
	job_end(&j);
}

TEST(plan_with_a_hole)
{
	struct replica_item items[2] = {
		{ .min_txid = 1, .max_txid = 1, .size = 200 }, { .min_txid = 3, .max_txid = 3, .size = 200 },
	};
	struct restore_plan plan = { .items = items, .count = 2, .max_txid = 3 };
	struct job j;

	job_init(&j, tmppath("hole"));
	CHECK_INT(restore_run(j.r, &plan, &j.o, &j.result, &j.e), -1);
	CHECK_INT(j.e.code, ERR_INVALID);
	plan.count = 0;
	CHECK_INT(restore_run(j.r, &plan, &j.o, &j.result, &j.e), -1);
	CHECK_INT(j.e.code, ERR_UNAVAILABLE);
	job_end(&j);
}

TEST(cancelled_before_it_begins)
{
	const char *path = rk_path("cancelled");
	atomic_bool cancel = true;
	struct job j;

	CHECK(job_make_three(path));
	job_init(&j, path);
	j.o.cancel = &cancel;
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(j.e.code, ERR_CANCELLED);
	CHECK(job_left_nothing(&j));
	job_end(&j);
}

static void on_progress(void *ctx, int64_t done, int64_t total)
{
	int64_t *seen = ctx;

	seen[0] = done;
	seen[1] = total;
}

TEST(progress)
{
	const char *path = rk_path("progress");
	int64_t seen[2] = { 0, 0 };
	struct job j;

	CHECK(job_make_three(path));
	job_init(&j, path);
	j.o.progress.report = on_progress;
	j.o.progress.ctx = seen;
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(seen[1] > 500);
	CHECK_INT(seen[0], seen[1]);
	CHECK_INT(j.result.bytes_read, seen[1]);
	job_end(&j);
}

/* ---- failing calls ---- */

static int run_with_faults(struct job *j, unsigned calls, enum os_fault_mode mode, int *wrong)
{
	int failed = 0;
	bool hit = true;

	for (uint64_t at = 1; hit && at < 200; at++) {
		unlink(j->o.output);
		os_fault_set(&(struct os_fault_plan){ .mode = mode, .at = at, .calls = calls, .errnum = ENOSPC });
		job_run(j, 0);
		hit = os_fault_hit();
		os_fault_set(NULL);
		if (j->rc == 0 && !job_output_is(j, 512, PAGES(2000, 1000, 3000, 1000, 3000)))
			++*wrong;
		if (j->rc != 0 && !job_left_nothing(j) && !(calls == OS_CALL_NAME && at > 1))
			++*wrong;
		if (j->rc != 0 && j->e.text[0] == '\0')
			++*wrong;
		failed += j->rc != 0;
	}
	return failed;
}

TEST(failing_calls)
{
	const char *path = rk_path("faults");
	struct job j;
	int wrong = 0;

	CHECK(job_make_three(path));
	job_init(&j, path);
	CHECK(run_with_faults(&j, OS_CALL_OPEN, OS_FAULT_FROM, &wrong) >= 2);
	CHECK(run_with_faults(&j, OS_CALL_READ, OS_FAULT_FROM, &wrong) >= 1);
	CHECK(run_with_faults(&j, OS_CALL_WRITE, OS_FAULT_ONCE, &wrong) >= 3);
	CHECK(run_with_faults(&j, OS_CALL_WRITE, OS_FAULT_SHORT, &wrong) >= 3);
	CHECK(run_with_faults(&j, OS_CALL_SYNC, OS_FAULT_ONCE, &wrong) >= 2);
	CHECK(run_with_faults(&j, OS_CALL_TRUNCATE, OS_FAULT_ONCE, &wrong) >= 2);
	CHECK(run_with_faults(&j, OS_CALL_LOOK, OS_FAULT_ONCE, &wrong) >= 2);
	CHECK(run_with_faults(&j, OS_CALL_NAME, OS_FAULT_ONCE, &wrong) >= 1);
	job_end(&j);
	CHECK_INT(wrong, 0);
}

TEST_MAIN
