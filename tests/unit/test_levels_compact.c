/* SPDX-License-Identifier: MIT */
#include <sys/resource.h>
#include <fcntl.h>
#include <stdlib.h>

#include "lib/ltx/file.h"
#include "lib/os/fault.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/levels_kit.h"

static int compact(struct lk *k, int dst)
{
	err_clear(&k->e);
	return levels_compact(k->l, dst, NULL, &k->e);
}

static int read_header(struct lk *k, int level, uint64_t min, uint64_t max, struct ltx_header *h)
{
	struct os_file f = OS_FILE_NONE;
	struct os_stat st;
	int rc = os_file_open(&f, rk_file(k->g.replica_path, level, min, max), O_RDONLY, 0, &k->e) ||
	         os_file_stat(&f, &st, &k->e) || ltx_index_walk(ltx_file_random(&f, st.size), h, NULL, NULL, &k->e);

	os_file_close(&f);
	return rc ? -1 : 0;
}

static bool all_restore(struct lk *k)
{
	for (uint64_t txid = 1; txid <= db_txid(k->g.db); txid++) {
		if (!lk_restores(k, txid, false))
			return false;
	}
	return true;
}

static bool drop(struct lk *k, int level, uint64_t min, uint64_t max)
{
	return !os_unlink(rk_file(k->g.replica_path, level, min, max), NULL);
}

TEST(levels_follow_each_other)
{
	struct lk k;

	CHECK(lk_init(&k, "follow"));
	CHECK_INT(compact(&k, 1), 0);
	CHECK(lk_commits(&k, 2, 1000));
	CHECK_INT(compact(&k, 1), 1);
	CHECK_STR(lk_layout(&k), "0: 1-1 2-2 | 1: 1-2");
	CHECK(lk_commits(&k, 1, 1000));
	CHECK_INT(compact(&k, 1), 1);
	CHECK_INT(compact(&k, 2), 1);
	CHECK_STR(lk_layout(&k), "0: 1-1 2-2 3-3 | 1: 1-2 3-3 | 2: 1-3");
	CHECK_INT(compact(&k, 1), 0);
	CHECK_INT(compact(&k, 2), 0);
	CHECK_INT(compact(&k, 3), 1);
	CHECK_INT(compact(&k, 3), 0);
	CHECK(all_restore(&k));
	CHECK(lk_manifest_true(&k));
	CHECK_INT(k.f->lists, 1);
	lk_free(&k);
}

/* #771; and what restores by time rely on. */
TEST(header_is_made_of_the_first_and_the_last)
{
	struct lk k;
	struct ltx_header h;
	struct os_stat st;

	CHECK(lk_init(&k, "header"));
	CHECK(lk_commits(&k, 5, 7000));
	CHECK_INT(compact(&k, 1), 1);
	CHECK_INT(read_header(&k, 1, 1, 5, &h), 0);
	CHECK_INT(h.flags, LTX_FLAG_NO_CHECKSUM);
	CHECK_INT(h.min_txid, 1);
	CHECK_INT(h.max_txid, 5);
	CHECK_INT(h.timestamp_ms, k.times_ms[5]);
	CHECK_INT(h.wal_offset, 0);
	CHECK_INT(h.wal_salt1, 0);
	CHECK_INT(h.commit, k.g.chain.pages);
	CHECK_OK(os_stat(rk_file(k.g.replica_path, 1, 1, 5), &st, &k.e), &k.e);
	CHECK_INT(st.mtime_ms, k.times_ms[5]);
	lk_free(&k);
}

/* ---- holes ---- */

TEST(hole_is_refused_and_healed_by_a_snapshot)
{
	struct lk k;

	CHECK(lk_init(&k, "hole"));
	CHECK(lk_commits(&k, 10, 1000));
	CHECK(drop(&k, 0, 6, 6));
	CHECK_INT(compact(&k, 1), 1); /* up to the hole */
	CHECK_INT(compact(&k, 1), -1);
	CHECK_INT(k.e.code, ERR_GAP);
	CHECK_STR(lk_layout(&k), "0: 1-1 2-2 3-3 4-4 5-5 7-7 8-8 9-9 10-10 | 1: 1-5");
	CHECK(!lk_restores(&k, 10, true));
	/* The run says so, takes a snapshot at once, and then goes on behind it. */
	lk_pass(&k, 20000);
	CHECK_INT(lk_run(&k), 0);
	CHECK(k.r.snapshotted);
	CHECK(lk_restores(&k, 10, false));
	lk_pass(&k, 20000);
	CHECK_INT(lk_run(&k), 0);
	CHECK(k.r.compacted);
	CHECK_INT(k.r.verify_errors, 0);
	CHECK(strstr(lk_layout(&k), "| 1: 1-5 7-10 |"));
	CHECK(lk_commits(&k, 1, 20000));
	CHECK_INT(lk_run(&k), 0);
	CHECK(lk_restores(&k, 11, false));
	lk_free(&k);
}

TEST(refusal_is_counted_once_while_nothing_changes)
{
	struct lk k;
	bool needs_db;

	CHECK(lk_init(&k, "once"));
	CHECK(lk_commits(&k, 4, 1000));
	CHECK(drop(&k, 0, 1, 1));
	lk_pass(&k, 30000);
	struct levels_run_options o = { .replicated_txid = 4, .now_ms = k.now_ms };
	CHECK_OK(levels_run(k.l, &o, &k.r, &k.e), &k.e);
	CHECK_INT(k.r.verify_errors, 1);
	CHECK(!k.r.compacted);
	CHECK(k.r.wants_snapshot);
	CHECK_OK(levels_run(k.l, &o, &k.r, &k.e), &k.e);
	CHECK_INT(k.r.verify_errors, 0);
	CHECK_INT(levels_due_ms(k.l, k.now_ms, 4, &needs_db), k.now_ms);
	CHECK(needs_db);
	lk_free(&k);
}

TEST(hole_in_a_higher_level_is_refused)
{
	struct lk k;

	CHECK(lk_init(&k, "hole2"));
	for (int i = 0; i < 3; i++) {
		CHECK(lk_commits(&k, 3, 1000));
		CHECK_INT(compact(&k, 1), 1);
	}
	CHECK(drop(&k, 1, 1, 3));
	lk_restart(&k);
	CHECK_INT(compact(&k, 2), -1);
	CHECK_INT(k.e.code, ERR_GAP);
	lk_free(&k);
}

TEST(check_of_a_level)
{
	static const struct {
		uint64_t ranges[6];
		const char *word;
	} cases[] = {
		{ { 1, 2, 3, 5, 6, 10 }, NULL },
		{ { 1, 2, 5, 7 }, "gap" },
		{ { 1, 5, 3, 7 }, "overlap" },
		{ { 1, 5 }, NULL },
		{ { 0 }, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lk k;
		char text[ERR_TEXT_SIZE] = "";

		CHECK(lk_init(&k, "check"));
		for (int n = 0; n < 6 && cases[i].ranges[n]; n += 2) {
			struct replica_item it = { .level = 2, .min_txid = cases[i].ranges[n], .max_txid = cases[i].ranges[n + 1] };
			CHECK_INT(levels_manifest_add(k.l, &it, &k.e), 0);
		}
		CHECK_INT(levels_check(k.l, 2, text), cases[i].word != NULL);
		CHECK(!cases[i].word || strstr(text, cases[i].word));
		lk_free(&k);
	}
}

/* ---- inputs ---- */

TEST(nothing_of_ours_is_fetched)
{
	struct lk k;

	CHECK(lk_init(&k, "local"));
	for (int i = 0; i < 4; i++) {
		CHECK(lk_commits(&k, 3, 1000));
		CHECK_INT(compact(&k, 1), 1);
	}
	CHECK(k.l->kept_bytes > 0);
	CHECK_INT(compact(&k, 2), 1);
	CHECK_INT(compact(&k, 3), 1);
	CHECK_INT(k.f->opens, 0);
	/* What level 3 has taken is not kept any more, nor what nobody takes. */
	CHECK_INT(k.l->kept_bytes, 0);
	CHECK(all_restore(&k));
	lk_free(&k);
}

static bool wipe_local(struct lk *k, int level)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/.app.db-litestream/ltx/%d", k->g.dir, level);
	return !os_dir_remove_all(path, &k->e);
}

TEST(local_copies_may_be_gone)
{
	struct lk k;

	CHECK(lk_init(&k, "gone"));
	for (int i = 0; i < 4; i++) {
		CHECK(lk_commits(&k, 3, 1000));
		CHECK_INT(compact(&k, 1), 1);
	}
	CHECK(wipe_local(&k, 1));
	k.f->breaks = 1;
	k.f->break_after = 700;
	CHECK_INT(compact(&k, 2), 1);
	CHECK_INT(k.f->opens, 5); /* one was broken off */
	CHECK_INT(k.f->open_now, 0);
	CHECK(all_restore(&k));
	lk_free(&k);
}

TEST(local_copies_may_be_damaged)
{
	struct lk k;
	char path[400], name[LTX_NAME_SIZE];

	CHECK(lk_init(&k, "damaged"));
	for (int i = 0; i < 2; i++) {
		CHECK(lk_commits(&k, 3, 1000));
		CHECK_INT(compact(&k, 1), 1);
	}
	snprintf(path, sizeof(path), "%s/.app.db-litestream/ltx/1/%s", k.g.dir, ltx_name(name, 4, 6));
	/* It is a second name of what the replica holds: first a copy of its own. */
	CHECK(rk_copy(path, k.g.restored) && !os_rename(k.g.restored, path, &k.e));
	CHECK(rk_flip(path, -30, 1));
	CHECK_INT(compact(&k, 2), 1);
	CHECK_INT(k.f->opens, 2);
	CHECK(all_restore(&k));
	lk_free(&k);
}

/* Damage in the replica itself is never passed on, and stops nothing for ever: a snapshot takes its place. */
TEST(damaged_inputs)
{
	for (int at = 1; at <= 5; at++) {
		struct lk k;

		CHECK(lk_init(&k, "rot"));
		CHECK(lk_commits(&k, 5, 1000));
		/* A replica on the same file system shares its bytes with the local file. */
		CHECK(rk_flip(rk_file(k.g.replica_path, 0, (uint64_t)at, (uint64_t)at), 300, 4));
		compact(&k, 1);
		CHECK_INT(k.l->level[1].max_txid, at - 1);
		CHECK_INT(k.l->bad.count, 1);
		for (int i = 0; i < 3; i++) {
			lk_pass(&k, 20000);
			CHECK_INT(lk_run(&k), 0);
		}
		CHECK_INT(k.f->creates, 1);
		CHECK(lk_commits(&k, 3, 1000));
		lk_pass(&k, 20000);
		CHECK_INT(lk_run(&k), 0);
		CHECK_INT(k.l->level[1].max_txid, 8);
		CHECK_INT(levels_covers(k.l, 1, (uint64_t)at, (uint64_t)at), 0);
		CHECK_INT(levels_check(k.l, 1, NULL), 0);
		CHECK(lk_restores(&k, 5, false) && lk_restores(&k, 8, false));
		CHECK_INT(k.l->bad.count, 1);
		lk_free(&k);
	}
}

TEST(too_many_damaged_inputs)
{
	struct lk k;

	CHECK(lk_init(&k, "rotten"));
	CHECK(lk_commits(&k, 12, 1000));
	for (uint64_t i = 1; i <= 10; i++)
		CHECK(rk_flip(rk_file(k.g.replica_path, 0, i, i), 300, 4));
	CHECK_INT(compact(&k, 1), -1);
	for (int i = 0; i < 20; i++) {
		lk_pass(&k, 400000);
		lk_run(&k);
	}
	CHECK_INT(k.l->bad.count, LEVELS_BAD_MAX);
	CHECK(lk_restores(&k, 12, false)); /* by the snapshot */
	lk_free(&k);
}

/* The database was made anew with other pages: its history goes on in files of their own. */
TEST(another_page_size)
{
	struct lk k;

	CHECK(lk_init(&k, "pages"));
	CHECK(rk_full(k.g.replica_path, 0, 1, 1, 512, 4, 1) && rk_full(k.g.replica_path, 0, 2, 2, 512, 4, 2));
	CHECK(rk_full(k.g.replica_path, 0, 3, 3, 1024, 3, 3) && rk_full(k.g.replica_path, 0, 4, 4, 1024, 3, 4));
	CHECK_INT(compact(&k, 1), 1);
	CHECK_INT(compact(&k, 1), 1);
	CHECK_INT(compact(&k, 1), 0);
	CHECK(strstr(lk_layout(&k), "| 1: 1-2 3-4"));
	CHECK_INT(compact(&k, 2), 1);
	CHECK_INT(compact(&k, 2), 1);
	CHECK(strstr(lk_layout(&k), "| 2: 1-2 3-4"));
	lk_free(&k);
}

TEST(input_that_vanished)
{
	struct lk k;

	CHECK(lk_init(&k, "vanished"));
	CHECK(lk_commits(&k, 3, 1000));
	CHECK_INT(compact(&k, 1), 1);
	CHECK(lk_commits(&k, 3, 1000));
	CHECK_INT(compact(&k, 1), 1);
	CHECK(wipe_local(&k, 1));
	CHECK(drop(&k, 1, 1, 3));
	CHECK_INT(compact(&k, 2), -1);
	CHECK_INT(k.e.code, ERR_NOT_FOUND);
	CHECK(!levels_known(k.l));
	CHECK_INT(compact(&k, 2), -1); /* listed: now it is a hole */
	CHECK_INT(k.e.code, ERR_GAP);
	lk_free(&k);
}

TEST(sweep_removes_what_is_of_no_use)
{
	struct lk k;
	char path[400], kept[400], staged[400], name[LTX_NAME_SIZE];

	CHECK(lk_init(&k, "sweep"));
	CHECK(lk_commits(&k, 3, 1000));
	CHECK_INT(compact(&k, 1), 1);
	int64_t bytes = k.l->kept_bytes;
	CHECK(bytes > 0);
	snprintf(kept, sizeof(kept), "%s/.app.db-litestream/ltx/1/%s", k.g.dir, ltx_name(name, 1, 3));
	snprintf(path, sizeof(path), "%s/.app.db-litestream/ltx/2/%s", k.g.dir, ltx_name(name, 1, 9));
	snprintf(staged, sizeof(staged), "%s/.app.db-litestream/ltx/1/%s.00000000.tmp", k.g.dir, ltx_name(name, 4, 9));
	CHECK_INT(rig_copy(kept, staged), 0);
	lk_restart(&k);
	CHECK(!levels_load(k.l, &k.e) && !levels_local_sweep(k.l, &k.e));
	CHECK(rk_exists(kept));
	CHECK_INT(k.l->kept_bytes, bytes);
	CHECK(!rk_exists(staged));
	CHECK_INT(compact(&k, 2), 1);
	CHECK(!rk_exists(kept));
	lk_free(&k);
}

/* ---- many inputs ---- */

enum { MANY = 2000, PAGES = 300, MANY_SIZE = 512 };

/* Reference: which seed wrote a page last. */
static bool store_many(const char *path, uint32_t last[PAGES + 1])
{
	for (uint32_t i = 1; i <= MANY; i++) {
		uint32_t pgnos[4] = { i % PAGES + 1, (i * 7) % PAGES + 1 };
		int n = pgnos[0] == pgnos[1] ? 1 : 2;

		if (pgnos[0] > pgnos[1]) {
			uint32_t swap = pgnos[0];
			pgnos[0] = pgnos[1];
			pgnos[1] = swap;
		}
		if (i == 1 ? !rk_full(path, 0, 1, 1, MANY_SIZE, PAGES, 1000) : !rk_pages(path, 0, i, i, MANY_SIZE, PAGES, pgnos, n, 1000 + i))
			return false;
		for (uint32_t p = 1; i == 1 && p <= PAGES; p++)
			last[p] = 1000;
		for (int p = 0; i > 1 && p < n; p++)
			last[pgnos[p]] = 1000 + i;
	}
	return true;
}

static bool merged_right(const char *path, const uint32_t last[PAGES + 1])
{
	static uint8_t frame[LTX_FRAME_MAX], page[LTX_PAGE_SIZE_MAX], want[MANY_SIZE];
	struct mem m = { 0 };
	struct ltx_decoder d;
	uint32_t pgno, next = 1;
	struct err e = ERR_INIT;
	bool ok = kit_load(&m, path) && !ltx_decoder_begin(&d, mem_source(&m), frame, &e);

	while (ok && ltx_decoder_next(&d, &pgno, page, &e) > 0) {
		kit_fill(want, MANY_SIZE, last[pgno] + pgno);
		ok = pgno == next++ && !memcmp(page, want, MANY_SIZE);
	}
	ok = ok && !ltx_decoder_end(&d, &e) && next == PAGES + 1;
	if (!ok)
		printf("%s\n", e.text);
	mem_free(&m);
	return ok;
}

static void many(struct lk *k, bool local, int *opens_most, bool *right, int *rc)
{
	uint32_t last[PAGES + 1];
	struct rlimit old, few;
	char l0[400];

	*right = store_many(k->g.replica_path, last);
	snprintf(l0, sizeof(l0), "%s/.app.db-litestream", k->g.dir);
	if (local)
		*right = *right && store_many(l0, last);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 100;
	setrlimit(RLIMIT_NOFILE, &few);
	*rc = compact(k, 1);
	setrlimit(RLIMIT_NOFILE, &old);
	*opens_most = k->f->open_most;
	*right = *right && merged_right(rk_file(k->g.replica_path, 1, 1, MANY), last);
}

TEST(two_thousand_remote_inputs)
{
	struct lk k;
	int most, rc;
	bool right;

	CHECK(lk_init(&k, "many"));
	many(&k, false, &most, &right, &rc);
	CHECK_OK(rc - 1, &k.e);
	CHECK(right);
	CHECK_INT(most, LEVELS_INPUTS_REMOTE_MAX);
	CHECK_INT(k.f->opens, MANY);
	lk_free(&k);
}

TEST(two_thousand_local_inputs)
{
	struct lk k;
	int most, rc;
	bool right;

	CHECK(lk_init(&k, "many2"));
	many(&k, true, &most, &right, &rc);
	CHECK_OK(rc - 1, &k.e);
	CHECK(right);
	CHECK_INT(k.f->opens, 0);
	lk_free(&k);
}

TEST(cancelled)
{
	struct lk k;
	atomic_bool cancel;

	atomic_init(&cancel, true);
	CHECK(lk_init(&k, "cancelled"));
	CHECK(lk_commits(&k, 3, 1000));
	CHECK_INT(levels_compact(k.l, 1, &cancel, &k.e), -1);
	CHECK_INT(k.e.code, ERR_CANCELLED);
	CHECK_INT(k.f->puts, 0);
	CHECK_INT(compact(&k, 1), 1);
	lk_free(&k);
}

/* ---- failures ---- */

/* Every call to the replica fails once, with and without having done its work: the next attempt gives the same files. */
TEST(every_call_fails_once)
{
	int n = 0;

	for (int lose = 0; lose < 2; lose++) {
		for (int at = 1;; at++) {
			struct lk k;
			bool hit;

			CHECK(lk_init(&k, "fails"));
			CHECK(lk_commits(&k, 4, 1000));
			CHECK_INT(compact(&k, 1), 1);
			CHECK(lk_commits(&k, 4, 1000));
			CHECK(wipe_local(&k, 0) && wipe_local(&k, 1));
			lk_restart(&k);
			k.f->fail_op = at;
			k.f->lose_answer = lose;
			for (int i = 0; i < 3; i++) {
				compact(&k, 1);
				compact(&k, 2);
				CHECK(lk_manifest_true(&k));
			}
			hit = k.f->ops >= at;
			/* Level 2 may have been made before level 1 went on. */
			CHECK(strstr(lk_layout(&k), "| 1: 1-4 5-8 | 2: 1-8") || strstr(lk_layout(&k), "| 1: 1-4 5-8 | 2: 1-4 5-8"));
			CHECK(all_restore(&k));
			lk_free(&k);
			n++;
			if (!hit)
				break;
		}
	}
	CHECK(n > 10);
}

/* The same of the kernel's calls. */
TEST(every_system_call_fails_once)
{
	for (uint64_t at = 1;; at++) {
		struct lk k;
		bool hit;

		CHECK(lk_init(&k, "syscalls"));
		CHECK(lk_commits(&k, 3, 1000));
		os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_SHORT, .at = at, .errnum = 28 });
		compact(&k, 1);
		hit = os_fault_hit();
		os_fault_set(NULL);
		CHECK(lk_manifest_true(&k));
		compact(&k, 1);
		CHECK_STR(lk_layout(&k), "0: 1-1 2-2 3-3 | 1: 1-3");
		CHECK(all_restore(&k));
		lk_free(&k);
		if (!hit)
			break;
	}
}

/* The put came through, and the process died before it knew. */
TEST(restart_after_a_put)
{
	struct lk k;

	CHECK(lk_init(&k, "died"));
	CHECK(lk_commits(&k, 4, 1000));
	CHECK_INT(compact(&k, 1), 1);
	lk_restart(&k);
	CHECK_INT(compact(&k, 1), 0);
	CHECK(lk_commits(&k, 4, 1000));
	CHECK_INT(compact(&k, 1), 1);
	CHECK_STR(lk_layout(&k), "0: 1-1 2-2 3-3 4-4 5-5 6-6 7-7 8-8 | 1: 1-4 5-8");
	lk_free(&k);
}

TEST_MAIN
