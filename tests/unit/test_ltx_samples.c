/* SPDX-License-Identifier: MIT */
/*
 * Files of other programs: Litestream of several versions, the Go library, a writer in Python. They lie outside the
 * repository, in the folder that RIVULET_SHARED names or in ../shared.
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/check.h"
#include "tests/support/ltxkit.h"

static char root[4096];

static bool have(const char *below)
{
	const char *shared = getenv("RIVULET_SHARED");
	struct stat st;

	snprintf(root, sizeof root, "%s/%s", shared && *shared ? shared : "../shared", below);
	return stat(root, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_ltx(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcmp(name + n - 4, ".ltx") == 0;
}

/* All that we can ask of a good file: it verifies, its index walks, each page read alone is the page read in order. */
static int check_file(struct mem *m, struct err *e)
{
	static uint8_t page[LTX_PAGE_SIZE_MAX], alone[LTX_PAGE_SIZE_MAX], frame[LTX_FRAME_MAX], frame2[LTX_FRAME_MAX];
	struct ltx_decoder d;
	uint32_t pgno;
	int entries, rc;

	if (kit_verify(m, NULL, e) || kit_walk(m, &entries, e))
		return -1;
	m->pos = 0;
	if (ltx_decoder_begin(&d, mem_source(m), frame, e))
		return -1;
	while ((rc = ltx_decoder_next(&d, &pgno, page, e)) > 0) {
		if (d.page_count % 16 != 1)
			continue;
		if (ltx_page_read(mem_random(m), pgno, alone, frame2, e) != 1)
			return -1;
		if (memcmp(alone, page, d.header.page_size) != 0)
			return err_set(e, ERR_CORRUPT, "page %u read alone is another one", pgno);
	}
	if (rc == 0 && (uint32_t)entries != d.page_count)
		return err_set(e, ERR_CORRUPT, "index has %d entries, file has %u pages", entries, d.page_count);
	return rc;
}

TEST(samples)
{
	struct dirent *ent;
	char path[8192];
	int count = 0;
	DIR *dir;

	if (!have("data/ltx"))
		SKIP("no ../shared/data/ltx (RIVULET_SHARED)");
	dir = opendir(root);
	CHECK(dir);
	while ((ent = readdir(dir))) {
		struct err e = ERR_INIT;
		struct mem m;
		if (!is_ltx(ent->d_name))
			continue;
		snprintf(path, sizeof path, "%s/%s", root, ent->d_name);
		CHECK(kit_load(&m, path));
		if (check_file(&m, &e))
			CHECK_FAIL("%s: %s", path, e.text);
		mem_free(&m);
		count++;
	}
	closedir(dir);
	CHECK(count >= 9);
}

struct tally {
	char dir[8192];  /* of the case */
	char base[8192]; /* of the case it was made from, or "" */
	int good, bad, wrong;
};

/* Damaged is a file that no level of the undamaged case holds under this name with these bytes. */
static bool is_damaged(const struct tally *t, const char *name, const struct mem *m)
{
	char path[16384];

	for (int level = 0; level <= LTX_LEVEL_MAX; level++) {
		struct mem b;
		bool same;
		snprintf(path, sizeof path, "%s/replica/ltx/%d/%s", t->base, level, name);
		if (!kit_load(&b, path))
			continue;
		same = b.len == m->len && (m->len == 0 || memcmp(b.data, m->data, m->len) == 0);
		mem_free(&b);
		if (same)
			return false;
	}
	return true;
}

static void check_one(struct tally *t, const char *path, const char *name)
{
	struct err e = ERR_INIT;
	uint64_t min, max;
	bool damaged;
	struct mem m;
	int rc;

	if (!ltx_name_parse(name, &min, &max) || !kit_load(&m, path))
		return;
	damaged = t->base[0] && is_damaged(t, name, &m);
	rc = check_file(&m, &e);
	if (rc == 0) { /* sound in itself, but is it the file of this name? */
		struct ltx_header h;
		if (ltx_header_decode(m.data, &h, &e) || h.min_txid != min || h.max_txid != max)
			rc = err_set(&e, ERR_CORRUPT, "the header has other TXIDs than the name");
	}
	if ((rc != 0) != damaged) {
		printf("%s: %s\n", path, rc ? e.text : "passes, but is damaged");
		t->wrong++;
	} else if (damaged) {
		t->bad++;
	} else {
		t->good++;
	}
	mem_free(&m);
}

static void check_case(struct tally *t)
{
	char path[16384], text[512] = "";
	FILE *f;

	t->base[0] = 0;
	if (strstr(t->dir, "/damage-")) {
		char name[64] = "";
		snprintf(path, sizeof path, "%s/case.md", t->dir);
		if ((f = fopen(path, "r"))) {
			text[fread(text, 1, sizeof text - 1, f)] = 0;
			fclose(f);
		}
		if (strstr(text, "case `") && sscanf(strstr(text, "case `"), "case `%63[^`]`", name) == 1)
			snprintf(t->base, sizeof t->base, "%s/%s", root, name);
		else
			t->wrong++;
	}
	for (int level = 0; level <= LTX_LEVEL_MAX; level++) {
		struct dirent *ent;
		DIR *dir;
		snprintf(path, sizeof path, "%s/replica/ltx/%d", t->dir, level);
		if (!(dir = opendir(path)))
			continue;
		while ((ent = readdir(dir))) {
			snprintf(path, sizeof path, "%s/replica/ltx/%d/%s", t->dir, level, ent->d_name);
			check_one(t, path, ent->d_name);
		}
		closedir(dir);
	}
}

TEST(golden_replicas)
{
	static struct tally t;
	struct dirent *ent;
	DIR *dir;

	if (!have("data/golden"))
		SKIP("no ../shared/data/golden (RIVULET_SHARED)");
	dir = opendir(root);
	CHECK(dir);
	while ((ent = readdir(dir)))
		if (ent->d_name[0] != '.') {
			snprintf(t.dir, sizeof t.dir, "%s/%s", root, ent->d_name);
			check_case(&t);
		}
	closedir(dir);
	CHECK_INT(t.wrong, 0);
	printf("%d good files, %d damaged ones\n", t.good, t.bad);
	CHECK(t.good > 900 && t.bad >= 20);
}

/* Each file of the replicas merged with its neighbours: what level 0 says, level 1 and snapshots must say too. */
TEST(golden_levels_agree_with_our_merge)
{
	enum { FILES = 64 };
	static struct mem in[FILES], out, idx;
	static struct ltx_merge_input inputs[FILES];
	static struct ltx_encoder en;
	static uint8_t page[2][LTX_PAGE_SIZE_MAX], frame[3][LTX_FRAME_MAX];
	struct ltx_decoder ours, theirs;
	struct err e = ERR_INIT;
	char path[8192], name[LTX_NAME_SIZE];
	int count = 0;
	struct mem l1;

	if (!have("data/golden/few-levels/replica/ltx"))
		SKIP("no ../shared/data/golden/few-levels (RIVULET_SHARED)");
	for (uint64_t txid = 1; txid <= 18; txid++) {
		snprintf(path, sizeof path, "%s/0/%s", root, ltx_name(name, txid, txid));
		if (!kit_load(&in[count], path))
			SKIP("level 0 of few-levels does not begin with 1 to 18");
		inputs[count].source = mem_source(&in[count]);
		inputs[count].page = malloc(LTX_PAGE_SIZE_MAX);
		inputs[count++].frame = malloc(LTX_FRAME_MAX);
	}
	CHECK_OK(ltx_merge(inputs, count, &en, mem_sink(&out), mem_index(&idx), frame[0], NULL, &e), &e);
	snprintf(path, sizeof path, "%s/9/%s", root, ltx_name(name, 1, 18));
	CHECK(kit_load(&l1, path));
	CHECK_OK(ltx_decoder_begin(&ours, mem_source(&out), frame[1], &e), &e);
	CHECK_OK(ltx_decoder_begin(&theirs, mem_source(&l1), frame[2], &e), &e);
	CHECK_INT(ours.header.commit, theirs.header.commit);
	for (uint32_t a, b; ltx_decoder_next(&ours, &a, page[0], &e) > 0;) {
		CHECK_INT(ltx_decoder_next(&theirs, &b, page[1], &e), 1);
		CHECK_INT(a, b);
		CHECK_MEM(page[0], page[1], ours.header.page_size);
	}
	CHECK_INT(ours.page_count, theirs.page_count);
	CHECK_INT(ours.page_count, ours.header.commit);
	for (int i = 0; i < count; i++) {
		free(inputs[i].page);
		free(inputs[i].frame);
		mem_free(&in[i]);
	}
	mem_free(&l1);
	mem_free(&out);
	mem_free(&idx);
}

TEST_MAIN
