/* SPDX-License-Identifier: MIT */
/* Several replicas of one database, of which some have less, nothing, or trouble. */
#include <stdlib.h>
#include <unistd.h>

#include "lib/os/fault.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

enum { REPLICAS = 3, PAGE = 1024, COMMIT = 6 };

static struct replica *replicas[REPLICAS];
static struct flaky *flaky[REPLICAS];
static char paths[REPLICAS][300];
static struct restore_options options;
static struct restore_target latest, second = { .txid = 2 };
static struct restore_plan plan;
static struct restore_result result;
static struct err err;
static int chosen, warned;

static void warn(void *ctx, const char *msg, const struct err *why)
{
	(void)ctx;
	(void)msg;
	(void)why;
	warned++;
}

/* Replica i holds a full copy and then transactions 2..to[i]; 0 = nothing at all. */
static bool begin(const char *name, int a, int b, int c)
{
	const int to[REPLICAS] = { a, b, c };

	os_fault_clock(1000, 1000);
	warned = 0;
	options = (struct restore_options){ .output = rk_path("choose.out"), .warn = warn };
	unlink(options.output);
	for (int i = 0; i < REPLICAS; i++) {
		struct replica *inner = NULL;

		snprintf(paths[i], sizeof(paths[i]), "%s-%d", tmppath(name), i);
		if (replica_file_create(paths[i], &inner, &err) || !(flaky[i] = flaky_create(inner)))
			return false;
		replicas[i] = &flaky[i]->base;
		if (to[i] > 0 && !rk_full(paths[i], 9, 1, 1, PAGE, COMMIT, 1))
			return false;
		for (int txid = 2; txid <= to[i]; txid++)
			if (!rk_pages(paths[i], 0, (uint64_t)txid, (uint64_t)txid, PAGE, COMMIT, &(uint32_t){ 2 }, 1, (uint32_t)txid))
				return false;
	}
	return true;
}

static void end(void)
{
	restore_plan_free(&plan);
	for (int i = 0; i < REPLICAS; i++)
		replica_free(replicas[i]);
	os_fault_clock(0, 0);
}

static int choose(const struct restore_target *t)
{
	err_clear(&err);
	return restore_choose(replicas, REPLICAS, t, false, &options, &chosen, &err) ? -1 : chosen;
}

static int make(void)
{
	err_clear(&err);
	return restore_make_any(replicas, REPLICAS, &latest, false, &options, &plan, &result, &chosen, &err);
}

TEST(the_first_that_reaches_farthest)
{
	CHECK(begin("far", 2, 4, 4));
	CHECK_INT(choose(&latest), 1);
	CHECK_INT(choose(&second), 0);
	CHECK_OK(make(), &err);
	CHECK_INT(chosen, 1);
	CHECK_INT(result.txid, 4);
	CHECK_INT(warned, 0);
	end();
}

TEST(nothing_anywhere)
{
	CHECK(begin("nothing", 0, 0, 0));
	CHECK_INT(choose(&latest), -1);
	CHECK_INT(chosen, -1);
	CHECK_INT(err.code, ERR_UNAVAILABLE);
	CHECK_STR(err.text, "no matching backup files available");
	CHECK_INT(make(), -1);
	CHECK_INT(warned, 0);
	end();
}

TEST(a_gap_is_told_and_passed_by)
{
	CHECK(begin("gap", 4, 2, 0));
	CHECK_INT(unlink(rk_file(paths[0], 0, 3, 3)), 0);
	CHECK_INT(choose(&latest), 1);
	CHECK_INT(warned, 1);
	/* With nothing else the gap is what is said. */
	CHECK_INT(unlink(rk_file(paths[1], 9, 1, 1)), 0);
	CHECK_INT(choose(&latest), -1);
	CHECK_INT(err.code, ERR_GAP);
	end();
}

TEST(another_with_the_same_txid_stands_in)
{
	CHECK(begin("stand-in", 3, 2, 3));
	CHECK(rk_flip(rk_file(paths[0], 9, 1, 1), 200, 1));
	CHECK_OK(make(), &err);
	CHECK_INT(chosen, 2);
	CHECK_INT(result.txid, 3);
	CHECK_INT(warned, 1);
	end();
}

TEST(an_older_state_does_not)
{
	CHECK(begin("older", 3, 2, 2));
	CHECK(rk_flip(rk_file(paths[0], 9, 1, 1), 200, 1));
	CHECK_INT(make(), -1);
	CHECK_INT(chosen, 0);
	CHECK_INT(err.code, ERR_CORRUPT);
	CHECK(!rk_exists(options.output));
	end();
}

TEST(an_output_that_is_there_is_nobodys_failure)
{
	CHECK(begin("there", 3, 3, 3));
	CHECK(rk_write(options.output, "x", 1));
	CHECK_INT(make(), -1);
	CHECK_INT(err.code, ERR_EXISTS);
	CHECK_INT(chosen, 0);
	CHECK_INT(warned, 0);
	unlink(options.output);
	end();
}

TEST_MAIN
