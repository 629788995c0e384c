/* SPDX-License-Identifier: MIT */
#include "tests/support/levels_kit.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/os/fault.h"
#include "lib/restore/restore.h"

static uint64_t hash(const struct image *im)
{
	return crc64(im->pages, im->bytes, (size_t)im->pages * im->page_size);
}

static void start(struct lk *k)
{
	struct replica *inner = NULL;

	replica_file_create(k->g.replica_path, &inner, &k->e);
	k->f = flaky_create(inner);
	k->l = levels_create(k->g.db, &k->f->base, &k->policy, &k->e);
	k->l->seed = 0; /* no jitter */
}

bool lk_init(struct lk *k, const char *name)
{
	memset(k, 0, sizeof(*k));
	k->policy = (struct levels_policy){
		.count = 3, .interval_ms = { 0, 10000, 60000, 300000 }, .snapshot_interval_ms = 1000000,
		.snapshot_retention_ms = 2000000, .l0_retention_ms = 30000, .l0_check_interval_ms = 15000,
	};
	k->now_ms = INT64_C(1800000000000);
	os_fault_clock(k->now_ms, 1000000);
	if (rig_init(&k->g, name) || rig_fill(&k->g, 60, 400))
		return false;
	/* A transaction is a TXID. */
	k->g.o.checkpoint_interval_ms = 0;
	k->g.o.min_checkpoint_pages = 1000000;
	if (rig_start(&k->g))
		return false;
	start(k);
	return k->l;
}

void lk_free(struct lk *k)
{
	levels_free(k->l);
	replica_free(&k->f->base);
	rig_free(&k->g);
	os_fault_clock(0, 0);
}

void lk_restart(struct lk *k)
{
	levels_free(k->l);
	replica_free(&k->f->base);
	start(k);
}

void lk_pass(struct lk *k, int64_t ms)
{
	k->now_ms += ms;
	os_fault_clock_advance(ms * 1000);
}

/* Notes what has been uploaded beyond `txid`. */
static bool note(struct lk *k, uint64_t txid)
{
	while (++txid <= k->g.upload.position) {
		struct replica_item item = { .min_txid = txid, .max_txid = txid };
		struct os_stat st;

		if (os_stat(rk_file(k->g.replica_path, 0, txid, txid), &st, &k->e))
			return false;
		item.size = st.size;
		item.created_ms = st.mtime_ms;
		if (levels_note_put(k->l, &item, &k->e))
			return false;
	}
	return true;
}

bool lk_commit(struct lk *k)
{
	static int n;
	uint64_t before = k->g.upload.position;

	n++;
	if (rig_sql(&k->g, "UPDATE t SET b=randomblob(%d) WHERE id%%10=%d", 300 + n % 200, n % 10) || !rig_good(&k->g) ||
	    rig_upload(&k->g) != UPLOAD_DRAINED || !note(k, before))
		return false;
	for (uint64_t txid = before + 1; txid <= db_txid(k->g.db); txid++) {
		k->images[txid] = hash(&k->g.chain);
		k->times_ms[txid] = k->now_ms;
	}
	return true;
}

bool lk_commits(struct lk *k, int n, int64_t step_ms)
{
	for (int i = 0; i < n; i++) {
		if (!lk_commit(k))
			return false;
		lk_pass(k, step_ms);
	}
	return true;
}

static int run(struct lk *k, bool snapshot, bool force_snapshot, bool force_retention)
{
	struct levels_run_options o = {
		.replicated_txid = k->g.upload.position, .now_ms = k->now_ms, .force_snapshot = force_snapshot,
		.force_retention = force_retention
	};
	uint64_t before = db_txid(k->g.db);

	err_clear(&k->e);
	if (snapshot && db_snapshot_begin(k->g.db, &o.snapshot, &k->e))
		return -1;
	if (db_txid(k->g.db) != before) { /* a test that counts on its TXIDs would go wrong */
		printf("the snapshot's sync made a file\n");
		return -1;
	}
	return levels_run(k->l, &o, &k->r, &k->e);
}

void lk_only_retention(struct lk *k)
{
	for (int level = 1; level <= LEVELS_MAX; level++)
		k->policy.interval_ms[level] = INT64_C(100000000000000);
}

int lk_run(struct lk *k)
{
	bool needs_db;

	k->r = (struct levels_result){ 0 };
	/* As the upload does before it begins. */
	if (!levels_known(k->l) && levels_load(k->l, &k->e))
		return -1;
	if (levels_due_ms(k->l, k->now_ms, k->g.upload.position, &needs_db) > k->now_ms)
		return 0;
	return run(k, needs_db, false, false);
}

int lk_force(struct lk *k, bool snapshot, bool retention)
{
	return run(k, snapshot, snapshot, retention);
}

int lk_retain_l0(struct lk *k)
{
	return levels_load(k->l, &k->e) || levels_retain_l0(k->l, k->now_ms, &k->r, &k->e) ? -1 : 0;
}

bool lk_restores(struct lk *k, uint64_t txid, bool quiet)
{
	struct restore_options o = { .output = k->g.restored, .parallelism = 1 };
	struct restore_target target = { .txid = txid };
	struct restore_plan plan = { 0 };
	struct restore_result result;
	struct image im = { 0 };
	struct err e = ERR_INIT;
	bool ok = false;

	os_unlink(k->g.restored, NULL);
	if (restore_make(k->g.replica, &target, false, &o, &plan, &result, &e) || image_load(&im, k->g.restored, &e)) {
		if (!quiet)
			printf("restore %llu: %s\n", (unsigned long long)txid, e.text);
	} else if (result.txid != txid || hash(&im) != k->images[txid]) {
		printf("restore %llu gave another database\n", (unsigned long long)txid);
	} else {
		ok = true;
	}
	restore_plan_free(&plan);
	image_free(&im);
	os_unlink(k->g.restored, NULL);
	return ok;
}

bool lk_all_restore(struct lk *k, uint64_t *oldest)
{
	struct replica_list files = { 0 };
	uint64_t snapshot = 0, newest = 0;
	bool ends[LK_TXID_MAX] = { false }, ok = true;

	replica_list_levels(k->g.replica, 0, 9, false, &files, NULL);
	for (int i = 0; i < files.count; i++) {
		const struct replica_item *it = &files.items[i];

		ends[it->max_txid] = true;
		newest = it->max_txid > newest ? it->max_txid : newest;
		if (it->level == 9 && !snapshot)
			snapshot = it->max_txid;
	}
	*oldest = snapshot;
	for (uint64_t txid = *oldest; txid <= newest && ok; txid++)
		ok = !ends[txid] || lk_restores(k, txid, false);
	replica_list_free(&files);
	return ok;
}

bool lk_same_item(const struct replica_item *a, const struct replica_item *b)
{
	return !replica_item_compare(a, b) && a->size == b->size && a->created_ms == b->created_ms;
}

const char *lk_layout(struct lk *k)
{
	static char text[60000];
	struct replica_list files = { 0 };
	int level = -1;
	size_t n = 0;

	text[0] = '\0';
	replica_list_levels(k->g.replica, 0, 9, false, &files, NULL);
	for (int i = 0; i < files.count && n < sizeof(text) - 100; i++) {
		const struct replica_item *it = &files.items[i];

		if (it->level != level)
			n += (size_t)sprintf(text + n, "%s%d:", level < 0 ? "" : " | ", it->level);
		level = it->level;
		n += (size_t)sprintf(text + n, " %llu-%llu", (unsigned long long)it->min_txid, (unsigned long long)it->max_txid);
	}
	replica_list_free(&files);
	return text;
}

bool lk_manifest_true(struct lk *k)
{
	struct replica_list files = { 0 };
	int at = 0;
	bool ok = true;

	if (!k->l->known || k->l->packed)
		return true;
	replica_list_levels(k->g.replica, 0, 9, false, &files, NULL);
	for (int level = 0; level < 10 && ok; level++) {
		const struct replica_list *f = levels_files(k->l, level);
		uint64_t max = 0;

		for (int i = 0; i < f->count && ok; i++, at++) {
			ok = at < files.count && lk_same_item(&files.items[at], &f->items[i]);
			max = f->items[i].max_txid > max ? f->items[i].max_txid : max;
		}
		ok = ok && max == k->l->level[level].max_txid;
	}
	ok = ok && at == files.count;
	replica_list_free(&files);
	return ok;
}

int64_t lk_due(struct lk *k)
{
	bool needs_db;

	return levels_due_ms(k->l, k->now_ms, k->g.upload.position, &needs_db);
}

bool lk_settle(struct lk *k)
{
	for (int i = 0; i < 1000; i++) {
		int64_t next = lk_due(k);

		if (next == INT64_MAX)
			return true;
		if (next > k->now_ms)
			lk_pass(k, next - k->now_ms);
		if (lk_run(k)) {
			printf("run: %s\n", k->e.text);
			return false;
		}
	}
	printf("it never comes to rest\n");
	return false;
}

bool lk_put(struct lk *k, int level, uint64_t min, uint64_t max, int64_t age_ms)
{
	return rk_store(k->g.replica_path, level, min, max, "x", 1, k->now_ms - age_ms);
}
