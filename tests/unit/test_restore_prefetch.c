/* SPDX-License-Identifier: MIT */
/* Files fetched ahead by several threads: small ones in order, large ones in parts, breaks mended, and an early end. */
#include "tests/check.h"
#include "tests/support/restore_job.h"

/* Many small files over a large one; page p ends with the seed of the last file that has it. */
static bool make_many(const char *path, int files, uint32_t commit, uint32_t *seeds)
{
	bool ok = rk_full(path, 9, 1, 1, 4096, commit, 1);

	for (uint32_t i = 0; i < commit; i++)
		seeds[i] = 1;
	for (int i = 2; i < 2 + files && ok; i++) {
		uint32_t pgno = (uint32_t)i * 7919 % commit + 1;

		ok = rk_pages(path, 0, (uint64_t)i, (uint64_t)i, 4096, commit, &pgno, 1, (uint32_t)i * 1000);
		seeds[pgno - 1] = (uint32_t)i * 1000;
	}
	return ok;
}

TEST(fetching_ahead)
{
	enum { COMMIT = 900, FILES = 150 };
	static uint32_t seeds[COMMIT];
	const char *path = rk_path("many");
	struct replica *inner = NULL;

	CHECK(make_many(path, FILES, COMMIT, seeds));
	for (int parallelism = 0; parallelism <= 64; parallelism = parallelism * 4 + 1) {
		CHECK_INT(replica_file_create(path, &inner, NULL), 0);
		struct flaky *f = flaky_create(inner);
		struct job j;

		f->delay_ms = 1;
		f->read_max = 5000;
		f->breaks = 2;
		f->break_after = 20;
		job_over(&j, &f->base);
		j.o.parallelism = parallelism;
		CHECK_OK(job_run(&j, 0), &j.e);
		CHECK(job_output_is(&j, 4096, seeds, COMMIT));
		CHECK_INT(f->opens, FILES + 1 + 2);
		CHECK_INT(f->open_now, 0);
		/* at most so many at once; with several, more than one at times */
		CHECK(f->open_most <= (parallelism ? parallelism : 8));
		job_end(&j);
	}
}

/* One file of several parts between small ones: its parts are opened for themselves, and their breaks are mended. */
TEST(large_files_in_parts)
{
	enum { COMMIT = 4000 };
	static uint32_t seeds[COMMIT];
	const char *path = rk_path("parts");
	struct replica *inner = NULL;

	CHECK(make_many(path, 3, COMMIT, seeds));
	for (int parallelism = 1; parallelism <= 16; parallelism += 5) {
		CHECK_INT(replica_file_create(path, &inner, NULL), 0);
		struct flaky *f = flaky_create(inner);
		struct job j;

		f->delay_ms = 1;
		f->breaks = 2;
		f->break_after = 1000;
		job_over(&j, &f->base);
		j.o.parallelism = parallelism;
		CHECK_OK(job_run(&j, 0), &j.e);
		CHECK(job_output_is(&j, 4096, seeds, COMMIT));
		if (parallelism == 1)
			CHECK_INT(f->opens, 3 + 1 + 2);
		else
			CHECK(f->opens > 3 + 2 + 2); /* two parts at least */
		CHECK_INT(f->open_now, 0);
		CHECK(f->open_most <= parallelism);
		job_end(&j);
	}

	/* What is wrong in the first part ends it, whatever the others bring. */
	struct job j;

	CHECK(rk_flip(rk_file(path, 9, 1, 1), 5000, 1));
	CHECK_INT(replica_file_create(path, &inner, NULL), 0);
	job_over(&j, &flaky_create(inner)->base);
	j.o.parallelism = 8;
	CHECK_INT(job_run(&j, 0), -1);
	CHECK(job_left_nothing(&j));
	job_end(&j);
}

TEST(fetching_ahead_ends_early)
{
	enum { COMMIT = 50, FILES = 60 };
	static uint32_t seeds[COMMIT];
	const char *path = rk_path("early");
	struct replica *inner = NULL;
	atomic_bool cancel = false;
	struct job j;

	CHECK(make_many(path, FILES, COMMIT, seeds));
	CHECK(rk_flip(rk_file(path, 0, 40, 40), 130, 1));
	CHECK_INT(replica_file_create(path, &inner, NULL), 0);
	job_over(&j, &flaky_create(inner)->base);
	CHECK_INT(job_run(&j, 0), -1);
	CHECK(strstr(j.e.text, "ltx/0/0000000000000028-0000000000000028.ltx") != NULL);
	CHECK(job_left_nothing(&j));
	job_end(&j);

	/* something is opened: cancel */
	CHECK_INT(replica_file_create(path, &inner, NULL), 0);
	struct flaky *f = flaky_create(inner);
	f->cancel_at_open = &cancel;
	job_over(&j, &f->base);
	j.o.cancel = &cancel;
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(j.e.code, ERR_CANCELLED);
	CHECK(job_left_nothing(&j));
	CHECK_INT(f->open_now, 0);
	job_end(&j);

	/* it cannot be had at all */
	CHECK_INT(replica_file_create(path, &inner, NULL), 0);
	f = flaky_create(inner);
	f->fail_opens = 1000;
	f->code = ERR_INVALID;
	job_over(&j, &f->base);
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_STR(j.e.text, "fetch ltx/0/000000000000003d-000000000000003d.ltx: dial tcp: connection refused");
	CHECK(!j.result.has_bad);
	CHECK(job_left_nothing(&j));
	job_end(&j);
}

TEST_MAIN
