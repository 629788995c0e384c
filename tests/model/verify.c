/* SPDX-License-Identifier: MIT */
/* verify.c - what must hold: the chain of files, the images at each TXID, and what a restore makes of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/os/file.h"
#include "lib/restore/restore.h"
#include "tests/model/model.h"

static struct txid_fact *fact(struct model *m, uint64_t txid)
{
	if (txid >= m->fact_cap) {
		uint64_t cap = txid * 2 + 64;

		m->facts = realloc(m->facts, cap * sizeof(*m->facts));
		if (!m->facts)
			abort();
		memset(m->facts + m->fact_cap, 0, (cap - m->fact_cap) * sizeof(*m->facts));
		m->fact_cap = cap;
	}
	return &m->facts[txid];
}

static uint64_t whole_hash(const struct image *im)
{
	return crc64(0, im->bytes, (size_t)im->page_size * im->pages);
}

/* The chain's image must be a state that was committed, and not an older one than that of the TXID before. */
static void find_state(struct model *m, const char *path)
{
	uint64_t hash = image_hash(m->chain.bytes, (int64_t)m->chain.page_size * m->chain.pages);

	for (int i = m->chain_state; i < m->state_count; i++) {
		if (m->states[i] == hash) {
			m->chain_state = i;
			return;
		}
	}
	for (int i = m->chain_state - 1; i >= 0; i--) {
		if (m->states[i] == hash) {
			fail(m, "%s goes back to state %d, the file before it reached %d", path, i, m->chain_state);
			return;
		}
	}
	fail(m, "%s makes a database that never was (%u pages, states %d to %d)", path, (unsigned)m->chain.pages,
	     m->chain_state, m->state_count);
}

static void local_path(struct model *m, uint64_t txid, char *out, size_t n)
{
	char name[LTX_NAME_SIZE];

	snprintf(out, n, "%s/ltx/0/%s", m->meta_path, ltx_name(name, txid, txid));
}

static void take_file(struct model *m, uint64_t txid, const char *path)
{
	struct err why = ERR_INIT;
	struct txid_fact *f;
	int64_t time_ms;
	bool copy;

	if (image_apply(&m->chain, path, txid, &copy, &time_ms, &why)) {
		fail(m, "local file %s: %s", path, why.text);
		return;
	}
	if (time_ms < m->chain_time_ms)
		fail(m, "%s is older than the file before it", path);
	m->chain_time_ms = time_ms;
	find_state(m, path);
	m->applied = txid;
	m->stats.files++;
	m->stats.copies += copy;
	f = fact(m, txid);
	*f = (struct txid_fact){ .known = true, .hash = whole_hash(&m->chain), .state = m->chain_state };
	trace(m, "  txid %llu: state %d of %d, %u pages%s", (unsigned long long)txid, m->chain_state, m->state_count,
	      (unsigned)m->chain.pages, copy ? ", full copy" : "");
}

static int count_newer(void *ctx, const char *name, struct err *e)
{
	struct model *m = ctx;
	uint64_t min, max;

	(void)e;
	if (ltx_name_parse(name, &min, &max) && max > m->applied)
		fail(m, "local file %s does not follow TXID %llu", name, (unsigned long long)m->applied);
	return 0;
}

bool verify_has_newest(struct model *m)
{
	char path[600];
	struct os_stat st;

	local_path(m, m->applied, path, sizeof(path));
	return !m->damaged && !os_stat(path, &st, NULL);
}

void verify_new_files(struct model *m)
{
	char path[600], folder[600];
	struct os_stat st;

	if (m->failed || m->damaged)
		return;
	drive_state(m);
	for (;;) {
		local_path(m, m->applied + 1, path, sizeof(path));
		if (m->failed || os_stat(path, &st, NULL))
			break;
		take_file(m, m->applied + 1, path);
	}
	snprintf(folder, sizeof(folder), "%s/ltx/0", m->meta_path);
	if (!m->failed)
		os_dir_list(folder, count_newer, m, NULL);
}

/* false: there is no database to compare with. */
static bool compare_with_source(struct model *m)
{
	const struct image *im = &m->chain;
	int64_t size;

	if (!drive_look(m, &size) || size < 512)
		return false;
	m->stats.checks++;
	if (size != (int64_t)im->page_size * im->pages) {
		fail(m, "TXID %llu has %u pages of %u bytes, the database %lld bytes", (unsigned long long)m->applied,
		     (unsigned)im->pages, (unsigned)im->page_size, (long long)size);
		return false;
	}
	for (uint32_t i = 0; i < im->pages; i++) {
		if (memcmp(im->bytes + (size_t)i * im->page_size, m->shared + (size_t)i * im->page_size, im->page_size)) {
			fail(m, "TXID %llu: page %u differs from the database", (unsigned long long)m->applied, (unsigned)i + 1);
			return false;
		}
	}
	return true;
}

static void list(struct model *m, struct replica *r, struct replica_list *files)
{
	struct err why = ERR_INIT;

	if (replica_list_levels(r, 0, LTX_LEVEL_MAX, false, files, &why))
		fail(m, "%s", why.text);
}

static uint64_t newest_of(struct model *m, struct replica *r)
{
	struct replica_list files = { 0 };
	uint64_t newest = 0;

	list(m, r, &files);
	for (int i = 0; i < files.count; i++) {
		if (files.items[i].max_txid > newest)
			newest = files.items[i].max_txid;
	}
	replica_list_free(&files);
	return newest;
}

uint64_t verify_newest(struct model *m, struct replica **holder)
{
	uint64_t newest = 0;

	for (int i = 0; i < m->set.replicas; i++) {
		uint64_t txid = newest_of(m, m->replicas[i]);

		if (txid > newest || !i) {
			newest = txid;
			if (holder)
				*holder = m->replicas[i];
		}
	}
	return newest;
}

bool verify_restore_to(struct model *m, struct replica *from, uint64_t txid, struct image *im)
{
	struct restore_options o = { .output = m->scratch, .parallelism = 1 };
	struct restore_target target = { .txid = txid };
	struct restore_plan plan = { 0 };
	struct restore_result result;
	struct err why = ERR_INIT;
	int rc;

	os_unlink(m->scratch, NULL);
	rc = restore_make(from, &target, false, &o, &plan, &result, &why);
	if (rc || image_load(im, m->scratch, &why))
		fail(m, "restore of TXID %llu: %s", (unsigned long long)txid, why.text);
	else if (result.txid != txid)
		fail(m, "restore of TXID %llu gave %llu", (unsigned long long)txid, (unsigned long long)result.txid);
	restore_plan_free(&plan);
	os_unlink(m->scratch, NULL);
	m->stats.restores++;
	return !m->failed;
}

static void restore_and_compare(struct model *m, int replica, uint64_t txid)
{
	struct image im = { 0 };

	trace(m, "restore of TXID %llu from replica %d", (unsigned long long)txid, replica);
	if (verify_restore_to(m, m->replicas[replica], txid, &im) && fact(m, txid)->known &&
	    fact(m, txid)->hash != whole_hash(&im))
		fail(m, "restore of TXID %llu from replica %d is not what it was", (unsigned long long)txid, replica);
	image_free(&im);
}

/*
 * The end of any object that is not older than the oldest snapshot. What level 1 has taken over can be restored at its ends
 * only, once level 0 begins to go.
 */
static uint64_t choose_txid(struct model *m, const struct replica_list *files)
{
	uint64_t floor = 0, taken = 0, end = 0;

	for (int i = 0; i < files->count; i++) {
		const struct replica_item *it = &files->items[i];

		if (it->level == LTX_LEVEL_SNAPSHOT && (!floor || it->max_txid < floor))
			floor = it->max_txid;
		if (it->level && it->level < LTX_LEVEL_SNAPSHOT && it->max_txid > taken)
			taken = it->max_txid;
		end = it->max_txid > end ? it->max_txid : end;
	}
	for (int tries = 0; files->count && tries < 8; tries++) {
		const struct replica_item *it = &files->items[rng_below(&m->rng, (uint32_t)files->count)];

		if (it->max_txid >= floor && (it->level || it->max_txid > taken))
			return it->max_txid;
	}
	return end;
}

void verify_restore(struct model *m)
{
	int replica = (int)rng_below(&m->rng, (uint32_t)m->set.replicas);
	struct replica_list files = { 0 };
	uint64_t txid;

	list(m, m->replicas[replica], &files);
	txid = choose_txid(m, &files);
	replica_list_free(&files);
	if (!m->failed && txid)
		restore_and_compare(m, replica, txid);
}

void verify_all_restore(struct model *m)
{
	uint64_t newest = verify_newest(m, NULL);

	for (int i = 0; i < m->set.replicas && !m->failed && newest; i++) {
		if (newest_of(m, m->replicas[i]) != newest)
			fail(m, "replica %d has not got TXID %llu", i, (unsigned long long)newest);
		else
			restore_and_compare(m, i, newest);
	}
}

/* Local files were taken away, so TXIDs that no replica holds may come again with other content. */
void verify_damaged(struct model *m)
{
	m->damaged = true;
	for (uint64_t t = verify_newest(m, NULL) + 1; t < m->fact_cap; t++)
		m->facts[t].known = false;
}

/* The chain is rebuilt from the replica, where everything is as it was. */
void verify_rewind(struct model *m)
{
	struct replica *holder = NULL;
	uint64_t newest = verify_newest(m, &holder);

	drive_state(m);
	m->damaged = false;
	trace(m, "chain begins anew at TXID %llu", (unsigned long long)newest);
	m->applied = newest;
	m->chain.pages = 0;
	m->chain_time_ms = 0;
	m->chain_state = 0;
	if (!newest || m->failed)
		return;
	if (!verify_restore_to(m, holder, newest, &m->chain))
		return;
	if (fact(m, newest)->known) {
		if (fact(m, newest)->hash != whole_hash(&m->chain))
			fail(m, "restore of TXID %llu is not what it was", (unsigned long long)newest);
		m->chain_state = fact(m, newest)->state;
	} else {
		find_state(m, "the replica");
		*fact(m, newest) = (struct txid_fact){ .known = true, .hash = whole_hash(&m->chain), .state = m->chain_state };
	}
}

/* Until the replica holds everything: an upload notices what was taken away, and the sync after it makes it good. */
static void heal(struct model *m)
{
	for (int i = 0; i < 6 && m->damaged && !m->failed; i++) {
		m->damaged = false;
		drive_sync(m, true);
		m->damaged = false;
		drive_upload(m, true);
	}
	if (m->damaged)
		fail(m, "resets do not come to an end");
	if (!m->failed)
		verify_rewind(m);
}

void verify_quiet(struct model *m)
{
	uint64_t hash;
	int before;
	bool open;

	if (m->failed)
		return;
	trace(m, "verify");
	if (m->damaged && (m->writing || m->reading))
		return;
	if (m->damaged)
		heal(m);
	else
		verify_new_files(m);
	drive_state(m);
	before = m->state_count;
	/* Else the engine may be the first to open the database: what it recovers then is another state. */
	open = m->connections || m->engine.pid;
	hash = image_hash(m->chain.bytes, (int64_t)m->chain.page_size * m->chain.pages);
	if (!drive_sync(m, true))
		return;
	verify_new_files(m);
	if (m->failed)
		return;
	if (m->untouched && hash != image_hash(m->chain.bytes, (int64_t)m->chain.page_size * m->chain.pages))
		fail(m, "a database said to be untouched had a commit");
	if (open && m->state_count != before)
		fail(m, "the engine changed what the application reads");
	/* What comes later cannot go back behind this. */
	if (compare_with_source(m) && m->state_count)
		m->chain_state = m->state_count - 1;
}
