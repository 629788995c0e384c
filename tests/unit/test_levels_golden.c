/* SPDX-License-Identifier: MIT */
/*
 * What Litestream merged, merged by us: the same header, the same pages. See test_golden.c for where the files come from.
 */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/levels/internal.h"
#include "tests/check.h"
#include "tests/support/ltxmem.h"
#include "tests/support/ltxkit.h"
#include "tests/support/tmpdir.h"

static int merged, same_bytes, untried;

static int page_of(struct ltx_decoder *d, uint32_t *pgno, uint8_t *page, struct err *e)
{
	int more = ltx_decoder_next(d, pgno, page, e);

	return more ? more : ltx_decoder_end(d, e);
}

/* The same file, but for how its pages are compressed? */
static bool same_content(struct mem *a, struct mem *b)
{
	static uint8_t frames[2][LTX_FRAME_MAX], pages[2][LTX_PAGE_SIZE_MAX];
	struct ltx_decoder x, y;
	struct err e = ERR_INIT;
	uint32_t p, q;
	int more;

	if (ltx_decoder_begin(&x, mem_source(a), frames[0], &e) || ltx_decoder_begin(&y, mem_source(b), frames[1], &e) ||
	    a->len < LTX_HEADER_SIZE || b->len < LTX_HEADER_SIZE || memcmp(a->data, b->data, LTX_HEADER_SIZE))
		return false;
	while ((more = page_of(&x, &p, pages[0], &e)) > 0) {
		if (page_of(&y, &q, pages[1], &e) != 1 || p != q || memcmp(pages[0], pages[1], x.header.page_size))
			return false;
	}
	return !more && !page_of(&y, &q, pages[1], &e) && x.trailer.post_apply == y.trailer.post_apply;
}

/* The files of the level below that make up an item; 0 when they are not all there any more. */
static int inputs_of(const struct replica_list *all, const struct replica_item *item, struct replica_item *out)
{
	uint64_t next = item->min_txid;
	int n = 0;

	for (int i = 0; i < all->count && next <= item->max_txid; i++) {
		const struct replica_item *it = &all->items[i];

		if (it->level != item->level - 1 || it->min_txid != next || it->max_txid > item->max_txid)
			continue;
		out[n++] = *it;
		next = it->max_txid + 1;
	}
	return next == item->max_txid + 1 ? n : 0;
}

static bool try_item(struct levels *l, const char *path, const struct replica_list *all, const struct replica_item *item)
{
	struct replica_item inputs[200];
	struct levels_merge m = { .l = l, .inputs = inputs, .path = tmppath("merged") };
	struct mem ours = { 0 }, theirs = { 0 };
	char file[1100], name[LTX_NAME_SIZE];
	struct err e = ERR_INIT;
	bool ok;

	m.count = inputs_of(all, item, inputs);
	if (!m.count) {
		untried++;
		return true;
	}
	snprintf(file, sizeof(file), "%s/ltx/%d/%s", path, item->level, ltx_name(name, item->min_txid, item->max_txid));
	ok = !levels_merge_run(&m, &e) && kit_load(&ours, m.path) && kit_load(&theirs, file) && same_content(&ours, &theirs) &&
	     m.output.created_ms >= 0 && m.output.size == (int64_t)ours.len;
	if (!ok)
		printf("%s level %d: %s\n", path, item->level, e.text);
	merged++;
	same_bytes += ok && ours.len == theirs.len && !memcmp(ours.data, theirs.data, ours.len);
	mem_free(&ours);
	mem_free(&theirs);
	return ok;
}

static bool try_case(const char *path)
{
	static const struct levels_policy policy = LEVELS_POLICY_DEFAULT;
	struct db_options o = DB_OPTIONS_DEFAULT;
	struct replica_list all = { 0 };
	struct replica *r = NULL;
	struct levels *l;
	struct db *db = NULL;
	struct err e = ERR_INIT;
	bool ok = true;

	o.path = tmppath("app.db");
	if (replica_file_create(path, &r, &e) || db_create(&o, &db, &e) || !(l = levels_create(db, r, &policy, &e)) ||
	    replica_list_levels(r, 0, 8, false, &all, &e))
		return false;
	for (int i = 0; i < all.count; i++) {
		if (all.items[i].level > 0)
			ok = try_item(l, path, &all, &all.items[i]) && ok;
	}
	levels_free(l);
	db_free(db);
	replica_free(r);
	replica_list_free(&all);
	return ok;
}

TEST(as_litestream_does)
{
	const char *shared = getenv("RIVULET_SHARED");
	char golden[512], path[1024];
	DIR *dir;
	bool ok = true;

	snprintf(golden, sizeof(golden), "%s/data/golden", shared && *shared ? shared : "../shared");
	dir = opendir(golden);
	if (!dir)
		SKIP("no golden replicas");
	for (const struct dirent *d; (d = readdir(dir)) != NULL;) {
		snprintf(path, sizeof(path), "%s/%s/replica", golden, d->d_name);
		if (d->d_name[0] != '.' && strncmp(d->d_name, "damage-", 7) != 0 && access(path, F_OK) == 0)
			ok = try_case(path) && ok;
	}
	closedir(dir);
	printf("%d merges compared, %d of them byte for byte the same; %d whose inputs are gone\n", merged, same_bytes, untried);
	CHECK(ok);
	CHECK(merged > 50);
}

TEST_MAIN
