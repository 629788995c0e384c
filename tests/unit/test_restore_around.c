/* SPDX-License-Identifier: MIT */
/* A replica that is damaged, or changes while it is read: which other way to the same TXID is taken,
 * and what is told. */
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/restore_job.h"

static char warned[2048];

static void on_warn(void *ctx, const char *msg, const struct err *why)
{
	snprintf(warned, sizeof(warned), "%s: %s", msg, why->text);
	++*(int *)ctx;
}

TEST(around_a_damaged_file)
{
	const char *path = rk_path("around");
	struct job j;
	int warnings = 0;

	CHECK(rk_full(path, 0, 1, 1, 512, 6, 1000) && rk_pages(path, 0, 2, 2, 512, 6, PAGES(1, 3), 2000) &&
	      rk_pages(path, 0, 3, 3, 512, 6, PAGES(2), 3000) && rk_full(path, 9, 1, 2, 512, 6, 7000) &&
	      rk_full(path, 9, 1, 1, 512, 6, 1000));
	CHECK(rk_flip(rk_file(path, 9, 1, 2), -30, 1));
	job_init(&j, path);
	j.o.warn = on_warn;
	j.o.warn_ctx = &warnings;
	CHECK_INT(job_run(&j, 0), -1);
	CHECK(j.result.has_bad);
	CHECK_INT(j.result.bad.level, 9);
	CHECK_INT(j.result.bad.max_txid, 2);
	CHECK_OK(job_make(&j, 0), &j.e);
	CHECK_INT(warnings, 1);
	CHECK(strstr(warned, "ltx/9/0000000000000001-0000000000000002.ltx") != NULL);
	CHECK_INT(j.result.txid, 3);
	CHECK_INT(j.plan.items[0].max_txid, 1);
	CHECK(job_output_is(&j, 512, PAGES(2000, 3000, 2000, 1000, 1000, 1000)));
	unlink(j.o.output);

	/* with a second defect there is no way, and the first one is what is told */
	CHECK(rk_flip(rk_file(path, 0, 2, 2), 150, 1));
	CHECK_INT(job_make(&j, 0), -1);
	CHECK(strncmp(j.e.text, "decode database: ltx/9/0000000000000001-0000000000000002.ltx", 60) == 0);
	CHECK(job_left_nothing(&j));
	/* and an older state is never given in its place */
	CHECK_INT(job_make(&j, 3), -1);
	job_end(&j);
}

TEST(file_that_vanished)
{
	const char *path = rk_path("vanished");
	struct restore_target target = { .txid = 0 };
	struct job j;

	CHECK(job_make_three(path));
	job_init(&j, path);
	CHECK_OK(restore_plan_make(j.r, &target, false, &j.plan, &j.e), &j.e);
	unlink(rk_file(path, 9, 1, 3));
	CHECK_INT(restore_run(j.r, &j.plan, &j.o, &j.result, &j.e), -1);
	CHECK_INT(j.e.code, ERR_NOT_FOUND);
	CHECK(j.result.has_bad);
	CHECK_INT(j.result.bad.level, 9);
	CHECK(job_left_nothing(&j));
	job_end(&j);
}

/* What a daemon does beside a restore: the files of level 0 become one of level 1 and go,
 * once the first is asked for. */
static const struct replica_ops *unchanged;
static const char *changing_path;

static int open_of_the_past(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
                            struct replica_reader **reader, struct err *e)
{
	if (changing_path) {
		if (!rk_full(changing_path, 1, 1, 3, 512, 6, 5000))
			return err_set(e, ERR_SYSTEM, "the test is broken");
		for (uint64_t txid = 1; txid <= 3; txid++)
			unlink(rk_file(changing_path, 0, txid, txid));
		changing_path = NULL;
	}
	return unchanged->open(r, item, offset, length, reader, e);
}

TEST(retention_in_between)
{
	const char *path = rk_path("between");
	struct replica_ops changing;
	struct job j;
	int warnings = 0;

	CHECK(rk_full(path, 0, 1, 1, 512, 6, 1000) && rk_pages(path, 0, 2, 2, 512, 6, PAGES(1, 3), 2000) &&
	      rk_pages(path, 0, 3, 3, 512, 6, PAGES(2), 3000));
	job_init(&j, path);
	unchanged = j.r->ops;
	changing = *unchanged;
	changing.open = open_of_the_past;
	changing_path = path;
	j.r->ops = &changing;
	j.o.warn = on_warn;
	j.o.warn_ctx = &warnings;
	CHECK_OK(job_make(&j, 0), &j.e);
	CHECK_INT(warnings, 1);
	CHECK(strstr(warned, "the replica has changed meanwhile") != NULL);
	CHECK_INT(j.result.txid, 3);
	CHECK_INT(j.plan.count, 1);
	CHECK_INT(j.plan.items[0].level, 1);
	unlink(j.o.output);

	j.r->ops = unchanged;
	job_end(&j);
}

/* A full copy in the middle of the history makes what is older superfluous: damage there is told, and costs nothing. */
static void count_warning(void *ctx, const char *msg, const struct err *why)
{
	CHECK(strstr(msg, "does not need") && strstr(why->text, "ltx/9/"));
	++*(int *)ctx;
}

TEST(damage_that_does_not_matter)
{
	const char *path = rk_path("superfluous");
	struct job j;
	int warnings = 0;

	CHECK(rk_full(path, 9, 1, 3, 512, 6, 1000) && rk_full(path, 0, 4, 4, 512, 3, 2000) &&
	      rk_pages(path, 0, 5, 5, 512, 3, PAGES(2), 3000));
	CHECK(rk_flip(rk_file(path, 9, 1, 3), 120, 1));
	job_init(&j, path);
	j.o.warn = count_warning;
	j.o.warn_ctx = &warnings;
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(job_output_is(&j, 512, PAGES(2000, 3000, 2000)));
	CHECK_INT(warnings, 1);
	unlink(j.o.output);
	CHECK_INT(job_run(&j, 3), -1);
	job_end(&j);
}

TEST_MAIN
