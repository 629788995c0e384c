/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/fault.h"
#include "lib/restore/internal.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

#define PAGES(...) (const uint32_t[]){ __VA_ARGS__ }, (int)(sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* What is restored, and the answer. */
struct job {
	struct replica *r;
	struct restore_options o;
	struct restore_result result;
	struct restore_plan plan;
	struct err e;
	int rc;
};

static void job_over(struct job *j, struct replica *r)
{
	static const char *output;

	if (!output)
		output = rk_path("out.db");
	unlink(output);
	os_fault_clock(1000, 1000); /* sleeping only moves the clock */
	*j = (struct job){ .r = r, .o = { .output = output } };
}

static void job_init(struct job *j, const char *path)
{
	struct replica *r = NULL;

	if (replica_file_create(path, &r, NULL) != 0)
		abort();
	job_over(j, r);
}

static int job_run(struct job *j, uint64_t txid)
{
	struct restore_target target = { .txid = txid };

	err_clear(&j->e);
	j->rc = restore_plan_make(j->r, &target, false, &j->plan, &j->e);
	if (j->rc == 0)
		j->rc = restore_run(j->r, &j->plan, &j->o, &j->result, &j->e);
	return j->rc;
}

static int job_make(struct job *j, uint64_t txid)
{
	struct restore_target target = { .txid = txid };

	err_clear(&j->e);
	j->rc = restore_make(j->r, &target, false, &j->o, &j->plan, &j->result, &j->e);
	return j->rc;
}

static void job_end(struct job *j)
{
	restore_plan_free(&j->plan);
	replica_free(j->r);
}

static bool nothing_left(const struct job *j)
{
	char tmp[1200];

	snprintf(tmp, sizeof(tmp), "%s.tmp", j->o.output);
	return !rk_exists(j->o.output) && !rk_exists(tmp);
}

/* Is the output what these seeds of pages 1.. say? 0: a page of zeros. */
static bool output_is(const struct job *j, uint32_t page_size, const uint32_t *seeds, int count)
{
	struct mem m = { .data = NULL };
	uint8_t page[65536];
	bool same = kit_load(&m, j->o.output) && m.len == (size_t)count * page_size;

	for (int i = 0; i < count && same; i++) {
		if (seeds[i])
			kit_fill(page, page_size, seeds[i] + (uint32_t)i + 1);
		else
			memset(page, 0, page_size);
		same = memcmp(m.data + (size_t)i * page_size, page, page_size) == 0;
	}
	mem_free(&m);
	return same;
}

/* A base of 6 pages, a file that shrinks it to 4, one that makes it 5 again. */
static bool make_three(const char *path)
{
	return rk_full(path, 9, 1, 3, 512, 6, 1000) && rk_pages(path, 0, 4, 4, 512, 4, PAGES(1, 3), 2000) &&
	       rk_pages(path, 0, 5, 5, 512, 5, PAGES(3, 5), 3000);
}

TEST(newest_copy_of_each_page)
{
	const char *path = rk_path("three");
	struct job j;
	struct stat st;
	mode_t mask = umask(022);

	umask(mask);
	CHECK(make_three(path));
	job_init(&j, path);
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(output_is(&j, 512, PAGES(2000, 1000, 3000, 1000, 3000)));
	CHECK_INT(j.result.txid, 5);
	CHECK_INT(j.result.pages, 5);
	CHECK_INT(j.result.page_size, 512);
	CHECK_INT(stat(j.o.output, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0644 & ~mask);
	unlink(j.o.output);
	CHECK_OK(job_run(&j, 4), &j.e);
	CHECK(output_is(&j, 512, PAGES(2000, 1000, 2000, 1000)));
	unlink(j.o.output);
	CHECK_OK(job_run(&j, 3), &j.e);
	CHECK(output_is(&j, 512, PAGES(1000, 1000, 1000, 1000, 1000, 1000)));
	job_end(&j);
}

TEST(largest_pages)
{
	const char *path = rk_path("large");
	struct job j;

	CHECK(rk_full(path, 0, 1, 1, 65536, 11, 1) && rk_pages(path, 0, 2, 2, 65536, 12, PAGES(7, 12), 500));
	job_init(&j, path);
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(output_is(&j, 65536, PAGES(1, 1, 1, 1, 1, 1, 500, 1, 1, 1, 1, 500)));
	job_end(&j);
}

/* ---- the place ---- */

TEST(output_must_not_exist)
{
	const char *path = rk_path("place");
	struct job j;
	struct stat st;

	CHECK(make_three(path));
	job_init(&j, path);
	CHECK(rk_write(j.o.output, "mine", 4));
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(j.e.code, ERR_EXISTS);
	CHECK(strstr(j.e.text, j.o.output) != NULL);
	CHECK_INT(stat(j.o.output, &st), 0);
	CHECK_INT(st.st_size, 4);
	unlink(j.o.output);
	job_end(&j);
}

/* What is to be replaced stays, its sidecars too, until the new one is whole. */
TEST(replacing)
{
	const char *path = rk_path("replacing");
	struct job j;
	char wal[1200];
	struct stat st;

	CHECK(make_three(path));
	job_init(&j, path);
	j.o.replace = true;
	snprintf(wal, sizeof(wal), "%s-wal", j.o.output);
	CHECK(rk_write(j.o.output, "mine", 4) && rk_write(wal, "log", 3));
	CHECK(rk_flip(rk_file(path, 0, 4, 4), 120, 1));
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(stat(j.o.output, &st), 0);
	CHECK_INT(st.st_size, 4);
	CHECK(rk_exists(wal));
	CHECK(rk_flip(rk_file(path, 0, 4, 4), 120, 1));
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(output_is(&j, 512, PAGES(2000, 1000, 3000, 1000, 3000)));
	CHECK(!rk_exists(wal));
	unlink(j.o.output);
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
	CHECK(output_is(&j, 512, PAGES(2000, 3000, 2000)));
	CHECK_INT(warnings, 1);
	unlink(j.o.output);
	CHECK_INT(job_run(&j, 3), -1);
	job_end(&j);
}

TEST(sidecars_in_the_way)
{
	static const char *const names[] = { "-wal", "-shm", "-journal" };
	const char *path = rk_path("sidecars");
	struct job j;
	char name[1200];

	CHECK(make_three(path));
	job_init(&j, path);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", j.o.output, names[i]);
		CHECK(rk_write(name, "x", 1));
		CHECK_INT(job_run(&j, 0), -1);
		CHECK_INT(j.e.code, ERR_EXISTS);
		CHECK(strstr(j.e.text, name) != NULL);
		CHECK(nothing_left(&j));
		CHECK(rk_exists(name));
		/* an empty one means nothing to SQLite */
		CHECK(rk_write(name, "", 0));
		CHECK_OK(job_run(&j, 0), &j.e);
		unlink(name);
		unlink(j.o.output);
	}
	job_end(&j);
}

TEST(parent_folders)
{
	const char *path = rk_path("parents");
	struct job j;
	struct stat st;
	char output[1300], folder[1200];

	CHECK(make_three(path));
	job_init(&j, path);
	snprintf(folder, sizeof(folder), "%s", tmppath("new"));
	snprintf(output, sizeof(output), "%s/er/x.db", folder);
	j.o.output = output;
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK_INT(stat(folder, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0700);
	snprintf(output, sizeof(output), "%s/ltx/9/%s/x.db", path, "0000000000000001-0000000000000003.ltx");
	CHECK_INT(job_run(&j, 0), -1);
	CHECK(strncmp(j.e.text, "create parent directory: mkdir ", 31) == 0);
	job_end(&j);
}

TEST(leftover_of_a_crash)
{
	const char *path = rk_path("leftover");
	struct job j;
	char tmp[1200], wal[1300];
	static uint8_t junk[100000];

	CHECK(make_three(path));
	job_init(&j, path);
	memset(junk, 'x', sizeof(junk));
	snprintf(tmp, sizeof(tmp), "%s.tmp", j.o.output);
	snprintf(wal, sizeof(wal), "%s-wal", tmp);
	CHECK(rk_write(tmp, junk, sizeof(junk)) && rk_write(wal, junk, sizeof(junk)));
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(output_is(&j, 512, PAGES(2000, 1000, 3000, 1000, 3000)));
	CHECK(!rk_exists(tmp) && !rk_exists(wal));
	job_end(&j);
}

TEST(two_at_once)
{
	const char *path = rk_path("twice");
	struct job j;
	char tmp[1200];

	CHECK(make_three(path));
	job_init(&j, path);
	snprintf(tmp, sizeof(tmp), "%s.tmp", j.o.output);
	int fd = open(tmp, O_RDWR | O_CREAT, 0600);
	CHECK_INT(flock(fd, LOCK_EX), 0);
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(j.e.code, ERR_BUSY);
	CHECK(rk_exists(tmp)); /* the other one's */
	close(fd);
	CHECK_OK(job_run(&j, 0), &j.e);
	/* a link is nothing to write through */
	unlink(j.o.output);
	CHECK(rk_write(tmppath("victim"), "v", 1));
	CHECK_INT(symlink(tmppath("victim"), tmp), 0);
	CHECK_INT(job_run(&j, 0), -1);
	CHECK(rk_exists(tmppath("victim")));
	unlink(tmp);
	job_end(&j);
}

/* ---- the content ---- */

static bool fails_with(const char *path, const char *start, const char *part)
{
	struct job j;

	job_init(&j, path);
	job_run(&j, 0);
	bool ok = j.rc != 0 && strncmp(j.e.text, start, strlen(start)) == 0 && strstr(j.e.text, part) && nothing_left(&j);
	if (!ok)
		printf("%s: \"%s\" instead of \"%s … %s\"\n", path, j.rc ? j.e.text : "restored", start, part);
	job_end(&j);
	return ok;
}

#define SMALL "invalid ltx file: level=9 min=0000000000000001 max=0000000000000003 "

TEST(too_small_to_be_a_file)
{
	const char *path = rk_path("small");
	char zeros[99] = "";

	CHECK(rk_store(path, 9, 1, 3, zeros, 0, 0));
	CHECK(fails_with(path, SMALL "has size 0 bytes (minimum 100)", ""));
	CHECK(rk_store(path, 9, 1, 3, zeros, 99, 0));
	CHECK(fails_with(path, SMALL "has size 99 bytes (minimum 100)", ""));
}

#define OBJECT "decode database: ltx/0/0000000000000004-0000000000000004.ltx: "

TEST(damaged_files)
{
	const char *path = rk_path("damaged");
	struct mem m = { .data = NULL };
	char junk[200] = "junk";

	CHECK(make_three(path));
	CHECK(kit_load(&m, rk_file(path, 0, 4, 4)));
	CHECK(rk_store(path, 0, 4, 4, junk, sizeof(junk), 0));
	CHECK(fails_with(path, OBJECT, ""));
	CHECK(rk_store(path, 0, 4, 4, m.data, m.len - 1, 0));
	CHECK(fails_with(path, OBJECT, ""));
	CHECK(rk_store(path, 0, 4, 4, m.data, 100, 0));
	CHECK(fails_with(path, OBJECT, ""));
	mem_add(&m, "x", 1);
	CHECK(rk_store(path, 0, 4, 4, m.data, m.len, 0));
	CHECK(fails_with(path, OBJECT, ""));
	m.len--;
	/* any byte counts, in a file of which only one page is used, too */
	int wrong = 0;
	for (size_t i = 0; i < m.len; i += i < 200 ? 1 : 7) {
		m.data[i] ^= 0x10;
		rk_store(path, 0, 4, 4, m.data, m.len, 0);
		wrong += !fails_with(path, OBJECT, "");
		m.data[i] ^= 0x10;
	}
	mem_free(&m);
	CHECK_INT(wrong, 0);
}

TEST(file_of_another_name)
{
	const char *path = rk_path("renamed");

	CHECK(make_three(path));
	CHECK(rename(rk_file(path, 0, 5, 5), rk_file(path, 0, 4, 4)) == 0);
	CHECK(fails_with(path, OBJECT, "the header says transactions 0000000000000005 to 0000000000000005"));
}

TEST(another_page_size)
{
	const char *path = rk_path("pagesize");

	CHECK(rk_full(path, 9, 1, 3, 512, 6, 1000) && rk_pages(path, 0, 4, 4, 1024, 4, PAGES(1, 3), 2000));
	CHECK(fails_with(path, "decode database: ltx/9/0000000000000001-0000000000000003.ltx: page size 512, but 1024", ""));
}

/* A file as an encoder without rules would write it. */
static bool store_loose(const char *path, uint64_t min, uint64_t max, uint32_t commit, const uint32_t *pgnos, int count)
{
	struct ltx_header h = kit_header(512, min, max, commit);
	struct kit k = { .crc = 0 };
	uint8_t page[512];

	kit_begin(&k, &h);
	for (int i = 0; i < count; i++) {
		kit_fill(page, 512, pgnos[i]);
		kit_page(&k, pgnos[i], page);
	}
	kit_end(&k);
	bool ok = rk_store(path, 0, min, max, k.out.data, k.out.len, 0);
	kit_free(&k);
	return ok;
}

TEST(missing_pages)
{
	const char *path = rk_path("missing");

	CHECK(store_loose(path, 1, 1, 5, PAGES(1, 2, 3)));
	CHECK(fails_with(path, "decode database: page 4 of 5 is in none of the files", ""));
	CHECK(store_loose(path, 1, 1, 3, PAGES(1, 2, 3)) &&
	      store_loose(path, 2, 2, 20, PAGES(4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20)));
	CHECK(fails_with(path, "decode database: page 17 of 20 is in none of the files", ""));
	CHECK(store_loose(path, 3, 3, 17, PAGES(17)));
	struct job j;
	job_init(&j, path);
	CHECK_OK(job_run(&j, 0), &j.e);
	job_end(&j);
}

TEST(more_pages_than_can_be)
{
	const char *path = rk_path("hostile");

	CHECK(store_loose(path, 1, 1, 0xffffffff, PAGES(1, 2, 3)));
	CHECK(fails_with(path, "decode database: ltx/0/0000000000000001-0000000000000001.ltx: ", "4294967295 pages"));
}

TEST(database_that_was_removed)
{
	const char *path = rk_path("removed");
	struct job j;

	CHECK(rk_full(path, 0, 1, 1, 512, 3, 1) && store_loose(path, 2, 2, 0, NULL, 0));
	job_init(&j, path);
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(output_is(&j, 512, NULL, 0));
	job_end(&j);
}

/* Whether all pages are there is asked without a gigabyte: what is written goes nowhere. */
TEST(lock_page)
{
	for (int skip_last = 0; skip_last < 2; skip_last++) {
		struct os_file null = OS_FILE_NONE;
		struct pages p;
		struct err e = ERR_INIT;
		uint32_t commit = 16386; /* the lock page of this page size is 16385 */

		CHECK_OK(os_file_open(&null, "/dev/null", O_RDWR, 0, &e), &e);
		CHECK_OK(pages_init(&p, &null, 65536, commit, &e), &e);
		memset(p.buffer, 0, 65536);
		int rc = 0;
		for (uint32_t i = 1; i <= commit - (uint32_t)skip_last && rc == 0; i++) {
			if (i != 16385)
				rc = pages_take(&p, i, &e);
		}
		CHECK_OK(rc, &e);
		rc = pages_finish(&p, true, &e);
		pages_free(&p);
		os_file_close(&null);
		CHECK_INT(rc, -1); /* /dev/null takes no size */
		if (skip_last)
			CHECK_STR(e.text, "page 16386 of 16386 is in none of the files");
		else
			CHECK_STR(e.text, "truncate /dev/null: invalid argument");
	}
}

TEST(rollback_header)
{
	const char *path = rk_path("header");
	struct mem m = { .data = NULL };
	struct job j;

	CHECK(make_three(path));
	job_init(&j, path);
	j.o.rollback_header = true;
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(kit_load(&m, j.o.output));
	uint8_t page[512];
	kit_fill(page, 512, 2001);
	page[18] = page[19] = 1;
	bool same = memcmp(m.data, page, 512) == 0;
	mem_free(&m);
	CHECK(same);
	job_end(&j);
}

/* ---- another way ---- */

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
	CHECK(output_is(&j, 512, PAGES(2000, 3000, 2000, 1000, 1000, 1000)));
	unlink(j.o.output);

	/* with a second defect there is no way, and the first one is what is told */
	CHECK(rk_flip(rk_file(path, 0, 2, 2), 150, 1));
	CHECK_INT(job_make(&j, 0), -1);
	CHECK(strncmp(j.e.text, "decode database: ltx/9/0000000000000001-0000000000000002.ltx", 60) == 0);
	CHECK(nothing_left(&j));
	/* and an older state is never given in its place */
	CHECK_INT(job_make(&j, 3), -1);
	job_end(&j);
}

TEST(file_that_vanished)
{
	const char *path = rk_path("vanished");
	struct restore_target target = { .txid = 0 };
	struct job j;

	CHECK(make_three(path));
	job_init(&j, path);
	CHECK_OK(restore_plan_make(j.r, &target, false, &j.plan, &j.e), &j.e);
	unlink(rk_file(path, 9, 1, 3));
	CHECK_INT(restore_run(j.r, &j.plan, &j.o, &j.result, &j.e), -1);
	CHECK_INT(j.e.code, ERR_NOT_FOUND);
	CHECK(j.result.has_bad);
	CHECK_INT(j.result.bad.level, 9);
	CHECK(nothing_left(&j));
	job_end(&j);
}

/* What a daemon does beside a restore: the files of level 0 become one of level 1 and go, once the first is asked for. */
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

TEST(plan_with_a_hole)
{
	struct replica_item items[2] = {
		{ .min_txid = 1, .max_txid = 1, .size = 200 }, { .min_txid = 3, .max_txid = 3, .size = 200 },
	};
	struct restore_plan plan = { .items = items, .count = 2, .max_txid = 3 };
	struct job j;

	job_init(&j, tmppath("hole"));
	CHECK_INT(restore_run(j.r, &plan, &j.o, &j.result, &j.e), -1);
	CHECK_INT(j.e.code, ERR_INVALID);
	plan.count = 0;
	CHECK_INT(restore_run(j.r, &plan, &j.o, &j.result, &j.e), -1);
	CHECK_INT(j.e.code, ERR_UNAVAILABLE);
	job_end(&j);
}

/* ---- fetching ahead ---- */

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
		CHECK(output_is(&j, 4096, seeds, COMMIT));
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
		CHECK(output_is(&j, 4096, seeds, COMMIT));
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
	CHECK(nothing_left(&j));
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
	CHECK(nothing_left(&j));
	job_end(&j);

	/* something is opened: cancel */
	CHECK_INT(replica_file_create(path, &inner, NULL), 0);
	struct flaky *f = flaky_create(inner);
	f->cancel_at_open = &cancel;
	job_over(&j, &f->base);
	j.o.cancel = &cancel;
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(j.e.code, ERR_CANCELLED);
	CHECK(nothing_left(&j));
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
	CHECK(nothing_left(&j));
	job_end(&j);
}

TEST(cancelled_before_it_begins)
{
	const char *path = rk_path("cancelled");
	atomic_bool cancel = true;
	struct job j;

	CHECK(make_three(path));
	job_init(&j, path);
	j.o.cancel = &cancel;
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(j.e.code, ERR_CANCELLED);
	CHECK(nothing_left(&j));
	job_end(&j);
}

static void on_progress(void *ctx, int64_t done, int64_t total)
{
	int64_t *seen = ctx;

	seen[0] = done;
	seen[1] = total;
}

TEST(progress)
{
	const char *path = rk_path("progress");
	int64_t seen[2] = { 0, 0 };
	struct job j;

	CHECK(make_three(path));
	job_init(&j, path);
	j.o.progress.report = on_progress;
	j.o.progress.ctx = seen;
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(seen[1] > 500);
	CHECK_INT(seen[0], seen[1]);
	CHECK_INT(j.result.bytes_read, seen[1]);
	job_end(&j);
}

/* ---- failing calls ---- */

static int run_with_faults(struct job *j, unsigned calls, enum os_fault_mode mode, int *wrong)
{
	int failed = 0;
	bool hit = true;

	for (uint64_t at = 1; hit && at < 200; at++) {
		unlink(j->o.output);
		os_fault_set(&(struct os_fault_plan){ .mode = mode, .at = at, .calls = calls, .errnum = ENOSPC });
		job_run(j, 0);
		hit = os_fault_hit();
		os_fault_set(NULL);
		if (j->rc == 0 && !output_is(j, 512, PAGES(2000, 1000, 3000, 1000, 3000)))
			++*wrong;
		if (j->rc != 0 && !nothing_left(j) && !(calls == OS_CALL_NAME && at > 1))
			++*wrong;
		if (j->rc != 0 && j->e.text[0] == '\0')
			++*wrong;
		failed += j->rc != 0;
	}
	return failed;
}

TEST(failing_calls)
{
	const char *path = rk_path("faults");
	struct job j;
	int wrong = 0;

	CHECK(make_three(path));
	job_init(&j, path);
	CHECK(run_with_faults(&j, OS_CALL_OPEN, OS_FAULT_FROM, &wrong) >= 2);
	CHECK(run_with_faults(&j, OS_CALL_READ, OS_FAULT_FROM, &wrong) >= 1);
	CHECK(run_with_faults(&j, OS_CALL_WRITE, OS_FAULT_ONCE, &wrong) >= 3);
	CHECK(run_with_faults(&j, OS_CALL_WRITE, OS_FAULT_SHORT, &wrong) >= 3);
	CHECK(run_with_faults(&j, OS_CALL_SYNC, OS_FAULT_ONCE, &wrong) >= 2);
	CHECK(run_with_faults(&j, OS_CALL_TRUNCATE, OS_FAULT_ONCE, &wrong) >= 2);
	CHECK(run_with_faults(&j, OS_CALL_LOOK, OS_FAULT_ONCE, &wrong) >= 2);
	CHECK(run_with_faults(&j, OS_CALL_NAME, OS_FAULT_ONCE, &wrong) >= 1);
	job_end(&j);
	CHECK_INT(wrong, 0);
}

TEST_MAIN
