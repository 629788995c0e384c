/* SPDX-License-Identifier: MIT */
/* test_levels_trouble.c - calls that fail, lives at random, a run beside uploads, policies that cannot be. */
#include <pthread.h>
#include <stdlib.h>

#include "lib/os/fault.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/levels_kit.h"

/* ---- failures ---- */

TEST(failure_waits_longer_each_time)
{
	struct lk k;
	int64_t last = 0;

	CHECK(lk_init(&k, "backoff"));
	CHECK(lk_commits(&k, 3, 20000));
	for (int i = 0; i < 8; i++) {
		k.f->fail_op = k.f->ops + (k.l->known ? 1 : 2);
		CHECK_INT(lk_run(&k), -1);
		int64_t wait = lk_due(&k) - k.now_ms;
		CHECK(wait >= 10000 && wait >= last && wait <= 300000);
		last = wait;
		lk_pass(&k, wait);
	}
	CHECK_INT(last, 300000);
	k.f->fail_op = 0;
	CHECK_OK(lk_run(&k), &k.e);
	CHECK(k.r.compacted);
	CHECK_INT(k.l->retry_ms, 0);
	lk_free(&k);
}

/* The first error is told; steps that do not depend on it are done. */
TEST(one_step_fails_others_go_on)
{
	struct lk k;

	CHECK(lk_init(&k, "steps"));
	CHECK(lk_commits(&k, 3, 20000));
	k.f->fail_op = 2; /* after the listing: the put into level 1 */
	CHECK_INT(lk_run(&k), -1);
	CHECK(strstr(k.e.text, "compact to level 1"));
	CHECK(k.r.snapshotted);
	lk_free(&k);
}

/* A whole life in which each call to the replica fails once, done or not. */
static bool life(struct lk *k, int at, bool lose, int *ops)
{
	bool ok = lk_init(k, "each");

	k->policy.snapshot_interval_ms = 60000;
	k->policy.snapshot_retention_ms = 100000;
	k->f->fail_op = at;
	k->f->lose_answer = lose;
	for (int round = 0; ok && round < 12; round++) {
		ok = lk_commits(k, 4, 5000);
		lk_run(k);
		ok = ok && lk_manifest_true(k) && !k->g.db->snapshotting;
	}
	*ops = k->f->ops;
	/* Nothing is left of the failure. */
	for (int i = 0; ok && i < 3; i++) {
		lk_pass(k, 400000);
		ok = lk_settle(k);
	}
	ok = ok && lk_restores(k, db_txid(k->g.db), false) &&
	     levels_files(k->l, 0)->count == 1 && k->l->level[3].max_txid == db_txid(k->g.db);
	if (!ok)
		printf("at %d, %s: %s; %s\n", at, lose ? "done" : "not done", k->e.text, lk_layout(k));
	lk_free(k);
	return ok;
}

TEST(every_call_fails_once)
{
	struct lk k;
	int ops = 0;

	CHECK(life(&k, 0, false, &ops));
	CHECK(ops > 30);
	for (int at = 1, n = ops; at <= n; at++) {
		CHECK(life(&k, at, false, &ops));
		CHECK(life(&k, at, true, &ops));
	}
}

static unsigned draw(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 12) % n;
}

/* Restarts, failures, lost local copies, quiet times, in any order. */
TEST(random_lives)
{
	for (unsigned seed = 1; seed <= 12; seed++) {
		struct lk k;
		unsigned s = seed;
		uint64_t oldest = 0;

		CHECK(lk_init(&k, "lives"));
		k.policy.snapshot_interval_ms = 60000 + draw(&s, 200000);
		k.policy.snapshot_retention_ms = 100000 + draw(&s, 400000);
		k.policy.count = 1 + (int)draw(&s, 3);
		for (int round = 0; round < 60; round++) {
			char local[400];

			CHECK(lk_commits(&k, 1 + (int)draw(&s, 5), draw(&s, 9000)));
			switch (draw(&s, 6)) {
			case 0:
				lk_restart(&k);
				break;
			case 1:
				k.f->fail_op = k.f->ops + 1 + (int)draw(&s, 6);
				k.f->lose_answer = draw(&s, 2);
				break;
			case 2:
				snprintf(local, sizeof(local), "%s/.app.db-litestream/ltx/%u", k.g.dir, draw(&s, 3) + 1);
				CHECK_OK(os_dir_remove_all(local, &k.e), &k.e);
				break;
			case 3:
				lk_pass(&k, draw(&s, 400000));
				break;
			case 4:
				levels_rest(k.l);
				break;
			}
			lk_run(&k);
			CHECK(lk_manifest_true(&k));
			CHECK_INT(k.r.verify_errors, 0);
			if (round % 12 == 11 && !lk_all_restore(&k, &oldest))
				CHECK_FAIL("seed %u, round %d: %s", seed, round, lk_layout(&k));
		}
		k.f->fail_op = 0;
		CHECK(lk_settle(&k));
		CHECK(lk_all_restore(&k, &oldest));
		CHECK(k.policy.count < 1 || levels_files(k.l, 0)->count == 1);
		lk_free(&k);
	}
}

TEST(cancelled)
{
	struct lk k;
	atomic_bool cancel;

	atomic_init(&cancel, true);
	CHECK(lk_init(&k, "cancelled"));
	CHECK(lk_commits(&k, 3, 20000));
	struct levels_run_options o = { .replicated_txid = 3, .now_ms = k.now_ms, .cancel = &cancel };
	CHECK_OK(db_snapshot_begin(k.g.db, &o.snapshot, &k.e), &k.e);
	CHECK_INT(levels_run(k.l, &o, &k.r, &k.e), -1);
	CHECK_INT(k.e.code, ERR_CANCELLED);
	CHECK_INT(k.l->retry_ms, 0);
	CHECK_INT(k.f->ops, 0);
	CHECK(!k.g.db->snapshotting);
	lk_free(&k);
}

/* ---- threads ---- */

struct uploads {
	struct lk *k;
	atomic_bool ended, ok;
};

/* Stores one file as a replica does: it is there whole or not at all. */
static bool store_file(struct lk *k, uint64_t txid, struct replica_item *item)
{
	const uint32_t pgno = 1;
	char stage[400], file[400], stored[400];

	*item = (struct replica_item){ .min_txid = txid, .max_txid = txid, .created_ms = k->now_ms };
	snprintf(stage, sizeof(stage), "%s/stage", k->g.dir);
	snprintf(file, sizeof(file), "%s", rk_file(stage, 0, txid, txid));
	snprintf(stored, sizeof(stored), "%s", rk_file(k->g.replica_path, 0, txid, txid));
	if (!rk_pages(stage, 0, txid, txid, 512, 1, &pgno, 1, (uint32_t)txid) || os_set_times(file, item->created_ms, NULL))
		return false;
	item->size = rig_size(file);
	return !os_rename(file, stored, NULL);
}

/* As an upload would; and it doubts now and then. */
static void *upload_files(void *arg)
{
	struct uploads *u = arg;
	struct levels *l = u->k->l;

	for (uint64_t txid = 1; txid <= 400 && u->ok; txid++) {
		struct replica_item item;
		bool needs_db;

		if (!levels_known(l)) {
			uint64_t position, snapshot;
			struct err e;

			/* The other thread may doubt as fast as this one lists. */
			do
				err_clear(&e);
			while (levels_load_position(l, &position, &snapshot, &e) && err_is(&e, ERR_BUSY));
			if (e.code || position != txid - 1 || snapshot)
				u->ok = false;
		}
		if (!store_file(u->k, txid, &item) || levels_note_put(l, &item, NULL))
			u->ok = false;
		if (txid % 37 == 0)
			levels_doubt(l);
		levels_due_ms(l, u->k->now_ms + 1000000, txid, &needs_db);
	}
	atomic_store(&u->ended, true);
	if (!u->ok)
		printf("the upload failed; %s\n", lk_layout(u->k));
	return NULL;
}

TEST(beside_uploads)
{
	struct lk k;
	struct uploads u = { .k = &k };
	pthread_t thread;
	int64_t later = 0;

	CHECK(lk_init(&k, "uploads"));
	k.policy.snapshot_interval_ms = INT64_C(100000000000000);
	/* Makes the folder. */
	CHECK(rk_store(k.g.replica_path, 0, 1, 1, "", 0, 0) && !os_unlink(rk_file(k.g.replica_path, 0, 1, 1), NULL));
	u.ok = true;
	CHECK_INT(pthread_create(&thread, NULL, upload_files, &u), 0);
	for (bool last = false; !last;) {
		last = atomic_load(&u.ended);
		if (!last && later % 70000 == 0)
			levels_doubt(k.l); /* as a failed put or removal does */
		struct levels_run_options o = { .now_ms = k.now_ms + (later += 30000) };
		if (levels_run(k.l, &o, &k.r, &k.e) || k.r.verify_errors) {
			printf("%s; %d verify errors\n", k.e.text, k.r.verify_errors);
			u.ok = false;
		}
	}
	pthread_join(thread, NULL);
	CHECK(u.ok);
	CHECK_OK(levels_load(k.l, &k.e), &k.e);
	CHECK(lk_manifest_true(&k));
	CHECK_INT(k.l->level[1].max_txid, 400);
	CHECK(levels_covers(k.l, 1, 1, 400));
	CHECK_INT(levels_files(k.l, 0)->count, 1);
	lk_free(&k);
}

TEST(validation)
{
	struct lk k;

	CHECK(lk_init(&k, "validation"));
	k.policy.validation_interval_ms = 3600000;
	CHECK(lk_commits(&k, 3, 1000));
	CHECK(lk_settle(&k));
	int lists = k.f->lists;
	CHECK(lists > 1);
	lk_pass(&k, 36000000);
	CHECK_INT(lk_due(&k), INT64_MAX); /* nothing has changed since */
	CHECK(lk_commit(&k));
	CHECK_INT(k.f->lists, lists);
	CHECK(lk_settle(&k));
	CHECK(k.f->lists > lists);
	lk_free(&k);
}

TEST_MAIN
