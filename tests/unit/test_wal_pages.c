/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "lib/os/fault.h"
#include "lib/wal/wal.h"
#include "tests/check.h"

enum { MODEL_PAGES = 300 };

/* The newest committed and the newest open offset of each page; 0 = none. */
struct model {
	int64_t committed[MODEL_PAGES + 1], open[MODEL_PAGES + 1];
};

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((random_state >> 33) % n);
}

static void model_commit(struct model *m)
{
	for (int i = 1; i <= MODEL_PAGES; i++)
		if (m->open[i]) {
			m->committed[i] = m->open[i];
			m->open[i] = 0;
		}
}

/* Is the iteration what the model says? */
static bool agree(struct wal_pages *p, const struct model *m, uint32_t max_pgno, struct err *e)
{
	struct wal_page page;
	if (wal_pages_sort(p, max_pgno, e))
		return false;
	for (uint32_t i = 1; i <= MODEL_PAGES && i <= max_pgno; i++)
		if (m->committed[i] &&
		    (wal_pages_next(p, &page, e) != 1 || page.pgno != i || page.offset != m->committed[i]))
			return false;
	return wal_pages_next(p, &page, e) == 0 && wal_pages_next(p, &page, e) == 0;
}

/* One history of adds, commits and rollbacks. Returns whether every step went as in the model. */
static bool history(struct wal_pages *p, uint32_t frames, uint32_t span, uint32_t commit_in, bool retry, struct err *e)
{
	struct model m = {{0}, {0}};
	int64_t offset = 32;
	for (uint32_t i = 0; i < frames; i++) {
		uint32_t pgno = 1 + random_below(span);
		if (wal_pages_add(p, pgno, offset, e) && (!retry || wal_pages_add(p, pgno, offset, e)))
			return false;
		m.open[pgno] = offset;
		offset += 4120;
		if (random_below(commit_in) == 0) {
			wal_pages_commit(p);
			model_commit(&m);
		} else if (random_below(commit_in * 2) == 0) {
			if (wal_pages_rollback(p, e))
				return false;
			memset(m.open, 0, sizeof(m.open));
			if (random_below(2)) /* the writer starts over at an earlier place, the scan at the last commit */
				offset += 4120 * 3;
		}
	}
	const uint32_t bounds[] = {MODEL_PAGES, random_below(span) + 1, 0, UINT32_MAX};
	bool ok = true;
	for (int i = 0; i < 4; i++)
		ok &= agree(p, &m, bounds[i], e) || (retry && agree(p, &m, bounds[i], e));
	wal_pages_reset(p);
	return ok;
}

TEST(random_histories)
{
	static const uint32_t memory[] = {1, 2, 3, 7, 16, 64, 300, 5000};
	static const unsigned runs[] = {3, 4, 9, WAL_PAGES_RUNS_MAX};
	static const uint32_t commit_in[] = {1, 5, 40, 1000000};
	struct err e = ERR_INIT;
	random_state = 42;
	for (size_t i = 0; i < 8; i++)
		for (size_t k = 0; k < 4; k++)
			for (size_t c = 0; c < 4; c++) {
				struct wal_pages *p = wal_pages_create("/tmp");
				wal_pages_set_limits(p, memory[i], runs[k]);
				bool ok = true;
				for (int again = 0; again < 3 && ok; again++)
					ok = history(p, random_below(700), again ? MODEL_PAGES : 12, commit_in[c], false, &e);
				wal_pages_free(p);
				if (!ok)
					CHECK_FAIL("memory %u runs %u commit_in %u: %s", memory[i], runs[k], commit_in[c], e.text);
			}
}

/* Whichever kernel call fails, the step that it failed can be repeated and nothing is lost. */
TEST(failed_spills_lose_nothing)
{
	struct err e = ERR_INIT;
	unsigned hits = 0;
	for (uint64_t at = 1; at < 160; at++)
		for (int partly = 0; partly < 2; partly++) {
			struct os_fault_plan plan = {
				.mode = partly ? OS_FAULT_SHORT : OS_FAULT_ONCE, .at = at, .errnum = ENOSPC,
				.calls = partly ? OS_CALL_WRITE : OS_CALL_ALL,
			};
			struct wal_pages *p = wal_pages_create("/tmp");
			wal_pages_set_limits(p, 8, 4);
			random_state = at;
			os_fault_set(&plan);
			bool ok = history(p, 500, MODEL_PAGES, 30, true, &e);
			hits += os_fault_hit();
			os_fault_set(NULL);
			wal_pages_free(p);
			if (!ok)
				CHECK_FAIL("call %d, partly %d: %s", (int)at, partly, e.text);
		}
	CHECK(hits > 200);
}

TEST(no_folder_is_a_limit_that_loses_nothing)
{
	struct err e = ERR_INIT;
	struct wal_page page;
	struct wal_pages *p = wal_pages_create(NULL);
	wal_pages_set_limits(p, 4, 3);
	int rc = 0;
	for (uint32_t i = 1; i <= 4; i++)
		rc |= wal_pages_add(p, i, i, &e);
	wal_pages_commit(p);
	int fifth = wal_pages_add(p, 5, 5, &e);
	rc |= wal_pages_sort(p, 9, &e);
	uint32_t n = 0;
	while (wal_pages_next(p, &page, &e) == 1 && page.pgno == n + 1)
		n++;
	wal_pages_free(p);
	CHECK_INT(rc, 0);
	CHECK_INT(fifth, -1);
	CHECK(err_is(&e, ERR_LIMIT));
	CHECK_INT(n, 4);
}

/* A few pages written over and over fit into little memory, without a folder. */
TEST(repeated_pages_need_no_spill)
{
	struct err e = ERR_INIT;
	struct wal_page page = {0, 0};
	struct wal_pages *p = wal_pages_create(NULL);
	wal_pages_set_limits(p, 32, 3);
	int rc = 0, more = 0;
	for (int64_t i = 0; i < 1000; i++) {
		rc |= wal_pages_add(p, 1 + (uint32_t)(i % 4), i, &e);
		rc |= wal_pages_add(p, 100 + (uint32_t)(i % 3), i, &e);
		if (i % 10 == 9)
			wal_pages_commit(p);
	}
	rc |= wal_pages_sort(p, UINT32_MAX, &e);
	while (wal_pages_next(p, &page, &e) == 1)
		more++;
	wal_pages_free(p);
	CHECK_OK(rc, &e);
	CHECK_INT(more, 7);
	CHECK_INT(page.pgno, 102);
	CHECK_INT(page.offset, 998);
}

/* Distinct pages with wide numbers, in an order that a sort must undo. How many come out in order, -1 for a failure. */
static int distinct(struct wal_pages *p, uint32_t n, struct err *e)
{
	struct wal_page page;
	const int64_t base = (int64_t)1 << 40;
	uint32_t last = 0;
	int rc = 0, count = 0;
	for (uint32_t i = 0; i < n; i++) {
		rc |= wal_pages_add(p, (i * 2 + 1) * 2654435761u, base + i, e);
		if (i == n / 2)
			wal_pages_commit(p);
	}
	wal_pages_commit(p);
	rc |= wal_pages_sort(p, UINT32_MAX, e);
	while (rc == 0 && wal_pages_next(p, &page, e) == 1) {
		uint32_t i = (uint32_t)(page.offset - base);
		rc |= page.pgno <= last || (i * 2 + 1) * 2654435761u != page.pgno ? -1 : 0;
		last = page.pgno;
		count++;
	}
	wal_pages_free(p);
	return rc ? -1 : count;
}

TEST(real_bounds)
{
	struct err e = ERR_INIT;
	CHECK_INT(distinct(wal_pages_create("/tmp"), 400000, &e), 400000);
}

TEST(long_runs_are_merged)
{
	struct err e = ERR_INIT;
	struct wal_pages *p = wal_pages_create("/tmp");
	wal_pages_set_limits(p, 1000, 5);
	CHECK_INT(distinct(p, 20000, &e), 20000);
}

/* The sanitizers' allocators do not tell: then 0, and only the rest of the test counts. */
static size_t heap_in_use(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 0;
#else
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
#endif
}

TEST(idle_costs_little_and_reset_gives_back)
{
	struct err e = ERR_INIT;
	struct wal_pages *p = wal_pages_create("/tmp");
	size_t idle = malloc_usable_size(p);
	int rc = 0;
	size_t before = heap_in_use();
	for (uint32_t i = 1; i < 300000; i++)
		rc |= wal_pages_add(p, i, i, &e);
	size_t held = heap_in_use() - before;
	wal_pages_reset(p);
	size_t after = heap_in_use() - before;
	wal_pages_free(p);
	CHECK_OK(rc, &e);
	CHECK(idle < 200);
	CHECK(held <= WAL_PAGES_MEMORY_MAX + 16384);
	CHECK(after <= 6 * 1024 + 512);
}

TEST(empty)
{
	struct err e = ERR_INIT;
	struct wal_page page;
	struct wal_pages *p = wal_pages_create(NULL);
	int rc = wal_pages_rollback(p, &e) | wal_pages_sort(p, 10, &e) | wal_pages_next(p, &page, &e);
	wal_pages_reset(p);
	rc |= wal_pages_add(p, 1, 32, &e) | wal_pages_rollback(p, &e) | wal_pages_sort(p, 10, &e);
	rc |= wal_pages_next(p, &page, &e);
	wal_pages_free(p);
	wal_pages_free(NULL);
	CHECK_INT(rc, 0);
}

TEST_MAIN
