/* SPDX-License-Identifier: MIT */
/* test_store_folder.c - folders with databases, kept in sight by a loop and a pool of real threads. */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/file.h"
#include "lib/os/loop.h"
#include "lib/os/pool.h"
#include "lib/store/folder.h"
#include "tests/support/folder_kit.h"
#include "tests/support/tmpdir.h"

enum { PATIENCE_US = 60 * 1000 * 1000, KEPT_MAX = 4000, QUIET_US = 400 * 1000 };

static struct err err;

/* ---- in sight ---- */

static struct loop *loop;
static struct pool *pool;
static struct folder *folder;
static int found, lost, moved, ready, strange;
static char *kept[KEPT_MAX]; /* what the callbacks say is there: "PATH RELATIVE" */
static int kept_count;

static int find_kept(const char *path)
{
	size_t n = strlen(path);

	for (int i = 0; i < kept_count; i++)
		if (!strncmp(kept[i], path, n) && kept[i][n] == ' ')
			return i;
	return -1;
}

static void keep(const char *path, const char *relative)
{
	if (find_kept(path) >= 0 || kept_count == KEPT_MAX || asprintf(&kept[kept_count], "%s %s", path, relative) < 0)
		strange++;
	else
		kept_count++;
}

static void unkeep(const char *path)
{
	int i = find_kept(path);

	if (i < 0) {
		strange++;
		return;
	}
	free(kept[i]);
	kept[i] = kept[--kept_count];
}

static void on_found(void *ctx, const char *path, const char *relative)
{
	(void)ctx;
	found++;
	keep(path, relative);
}

static void on_lost(void *ctx, const char *path)
{
	(void)ctx;
	lost++;
	unkeep(path);
}

static void on_moved(void *ctx, const char *old_path, const char *path, const char *relative)
{
	(void)ctx;
	moved++;
	unkeep(old_path);
	keep(path, relative);
}

static void on_ready(void *ctx)
{
	(void)ctx;
	ready++;
}

static void collect(void *ctx)
{
	pool_collect(ctx);
}

static bool start_with(const char *dir, const char *pattern, bool recursive)
{
	struct folder_options o = { .rule = { .dir = dir, .pattern = pattern, .recursive = recursive }, .found = on_found,
		                    .lost = on_lost, .moved = on_moved, .ready = on_ready };

	found = lost = moved = ready = strange = 0;
	loop = o.loop = loop_create(&err);
	pool = o.pool = loop ? pool_create(2, loop_wake, loop, &err) : NULL;
	if (!pool)
		return false;
	loop_on_wake(loop, collect, pool);
	return !folder_watch(&o, &folder, &err);
}

static bool start(const char *pattern, bool recursive)
{
	return start_with(fk_top, pattern, recursive);
}

static void end(void)
{
	folder_free(folder);
	while (pool_pending(pool) > 0)
		loop_once(loop, 100, NULL);
	pool_free(pool);
	loop_free(loop);
	while (kept_count > 0)
		free(kept[--kept_count]);
	os_fault_set(NULL);
}

/* Runs the loop until all counters are as wanted; false when that does not come. */
static bool until(int want_found, int want_lost, int want_moved)
{
	int64_t end_us = os_mono_us() + PATIENCE_US;

	while ((found != want_found || lost != want_lost || moved != want_moved || !ready) && os_mono_us() < end_us)
		if (loop_once(loop, 100, &err))
			return false;
	if (found != want_found || lost != want_lost || moved != want_moved)
		printf("found %d, lost %d, moved %d\n", found, lost, moved);
	return found == want_found && lost == want_lost && moved == want_moved && !strange;
}

/* Nothing more happens for a while. */
static bool quiet(int want_found, int want_lost, int want_moved)
{
	int64_t end_us = os_mono_us() + QUIET_US;

	while (os_mono_us() < end_us)
		if (loop_once(loop, 50, &err))
			return false;
	return until(want_found, want_lost, want_moved);
}

static bool has(const char *name)
{
	int i = find_kept(fk_at(name));

	return i >= 0 && !strcmp(kept[i] + strlen(fk_at(name)) + 1, name);
}

TEST(finds_what_is_there_and_what_comes)
{
	CHECK_OK(fk_begin("come"), &err);
	CHECK_OK(fk_make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK(has("1.db") && has("sub/4.db") && has("sub/deep/6.db"));
	CHECK_OK(fk_put_database("new.db") || fk_put_database("new.db-wal") || fk_put_database("x.db.backup"), &err);
	CHECK(until(4, 0, 0));
	CHECK_OK(mkdir(fk_at("a"), 0700) || mkdir(fk_at("a/b"), 0700) || fk_put_database("a/b/c.db"), &err);
	CHECK(until(5, 0, 0));
	CHECK(has("a/b/c.db"));
	CHECK_OK(fk_put_database("d.db/y.db"), &err);
	CHECK(until(6, 0, 0));
	CHECK(quiet(6, 0, 0));
	CHECK_INT(ready, 1);
	end();
}

TEST(one_level_only)
{
	CHECK_OK(fk_begin("flat"), &err);
	CHECK_OK(fk_make_tree(), &err);
	CHECK(start("*.db", false));
	CHECK(until(1, 0, 0));
	CHECK_OK(fk_put_database("sub/more.db") || mkdir(fk_at("e"), 0700) || fk_put_database("e/x.db") || fk_put_database("z.db"), &err);
	CHECK(until(2, 0, 0));
	CHECK(quiet(2, 0, 0));
	end();
}

/* SQLite keeps the file open after it has written the first page: no close tells of it. */
TEST(an_empty_file_becomes_a_database)
{
	int fd, late; /* descriptors of two applications */

	CHECK_OK(fk_begin("become"), &err);
	CHECK_OK(fk_put("old.db", "", 0), &err);
	CHECK(start("*.db", false));
	CHECK(until(0, 0, 0));
	late = open(fk_at("old.db"), O_WRONLY);
	fd = open(fk_at("new.db"), O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0 && late >= 0);
	CHECK(quiet(0, 0, 0));
	CHECK(write(fd, "SQLite", 6) == 6);
	CHECK(quiet(0, 0, 0));
	CHECK(pwrite(fd, "SQLite format 3", 16, 0) == 16);
	CHECK(pwrite(late, "SQLite format 3", 16, 0) == 16);
	CHECK(until(2, 0, 0));
	close(fd);
	close(late);
	end();
}

TEST(a_text_file_is_overwritten)
{
	CHECK_OK(fk_begin("overwrite"), &err);
	CHECK_OK(fk_put("a.db", "this is only text", 17), &err);
	CHECK(start("*.db", false));
	CHECK(until(0, 0, 0));
	CHECK_OK(fk_put_database("a.db"), &err);
	CHECK(until(1, 0, 0));
	/* What becomes of a known database is its keeper's business. */
	CHECK_OK(fk_put("a.db", "this is only text", 17), &err);
	CHECK(quiet(1, 0, 0));
	end();
}

TEST(deleted_and_renamed)
{
	CHECK_OK(fk_begin("rename"), &err);
	CHECK_OK(fk_make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(unlink(fk_at("1.db")), &err);
	CHECK(until(3, 1, 0));
	CHECK_OK(rename(fk_at("sub/4.db"), fk_at("other.db")), &err);
	CHECK(until(3, 1, 1));
	CHECK(has("other.db"));
	CHECK_OK(rename(fk_at("other.db"), fk_at("other.gone")), &err);
	CHECK(until(3, 2, 1));
	CHECK_OK(rename(fk_at("other.gone"), fk_at("back.db")), &err);
	CHECK(until(4, 2, 1));
	CHECK(quiet(4, 2, 1));
	end();
}

TEST(renamed_over_another)
{
	CHECK_OK(fk_begin("over"), &err);
	CHECK_OK(fk_put_database("a.db") || fk_put_database("b.db"), &err);
	CHECK(start("*.db", false));
	CHECK(until(2, 0, 0));
	CHECK_OK(rename(fk_at("a.db"), fk_at("b.db")), &err);
	CHECK(until(2, 1, 0));
	CHECK(has("b.db"));
	/* It is still known by its file. */
	CHECK_OK(rename(fk_at("b.db"), fk_at("c.db")), &err);
	CHECK(until(2, 1, 1));
	end();
}

TEST(folders_go_and_move)
{
	CHECK_OK(fk_begin("folders"), &err);
	CHECK_OK(fk_make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(rename(fk_at("sub"), fk_at("moved")), &err);
	CHECK(until(3, 0, 2));
	CHECK(has("moved/4.db") && has("moved/deep/6.db"));
	CHECK_OK(fk_put_database("moved/deep/7.db"), &err);
	CHECK(until(4, 0, 2));
	CHECK_OK(rename(fk_at("moved"), tmppath("folders-outside")), &err);
	CHECK(until(4, 3, 2));
	CHECK_OK(os_dir_remove_all(tmppath("folders-outside"), &err), &err);
	CHECK_OK(mkdir(fk_at("sub"), 0700) || fk_put_database("sub/1.db"), &err);
	CHECK(until(5, 3, 2));
	CHECK_OK(os_dir_remove_all(fk_at("sub"), &err), &err);
	CHECK(until(5, 4, 2));
	CHECK(quiet(5, 4, 2));
	end();
}

TEST(the_whole_tree_vanishes_and_comes_back)
{
	CHECK_OK(fk_begin("vanish"), &err);
	CHECK_OK(fk_make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(rename(fk_top, tmppath("vanished")), &err);
	CHECK(until(3, 3, 0));
	CHECK_OK(rename(tmppath("vanished"), fk_top), &err);
	CHECK(until(6, 3, 0));
	CHECK_OK(fk_put_database("watched.db"), &err);
	CHECK(until(7, 3, 0));
	CHECK_OK(os_dir_remove_all(fk_top, &err), &err);
	CHECK(until(7, 7, 0));
	CHECK_OK(mkdir(fk_top, 0700) || fk_put_database("1.db"), &err);
	CHECK(until(8, 7, 0));
	end();
}

TEST(not_there_yet)
{
	log_set_fd(-1);
	snprintf(fk_top, sizeof(fk_top), "%s", tmppath("later"));
	CHECK(start("*.db", true));
	CHECK(until(0, 0, 0));
	CHECK_OK(mkdir(fk_top, 0700) || fk_put_database("1.db"), &err);
	CHECK(until(1, 0, 0));
	end();
}

TEST(one_file_instead_of_a_folder)
{
	CHECK_OK(fk_begin("file"), &err);
	CHECK_OK(fk_put_database("1.db"), &err);
	CHECK(start_with(fk_at("1.db"), "*.db", false));
	CHECK(until(1, 0, 0));
	CHECK_INT(find_kept(fk_at("1.db")), 0);
	end();
}

TEST(links_stand_for_files)
{
	CHECK_OK(fk_begin("watch-links"), &err);
	CHECK_OK(mkdir(tmppath("targets"), 0700), &err);
	CHECK_OK(fk_put_database("real.db"), &err);
	CHECK_OK(rename(fk_at("real.db"), tmppath("targets/real.db")), &err);
	CHECK_OK(symlink(tmppath("targets/real.db"), fk_at("a.db")), &err);
	CHECK(start("*.db", true));
	CHECK(until(1, 0, 0));
	CHECK(find_kept(tmppath("targets/real.db")) == 0);
	/* A second name of the same file waits until the first is gone. */
	CHECK_OK(link(tmppath("targets/real.db"), fk_at("b.db")), &err);
	CHECK(quiet(1, 0, 0));
	CHECK_OK(unlink(fk_at("a.db")), &err);
	CHECK(until(1, 0, 1));
	CHECK(has("b.db"));
	CHECK_OK(unlink(fk_at("b.db")), &err);
	CHECK(until(1, 1, 1));
	end();
}

/* Also more than one job and one buffer of events. */
TEST(thousands_at_once)
{
	enum { FILES = 3000 };
	char name[40];

	CHECK_OK(fk_begin("many"), &err);
	CHECK(start("*.db", true));
	CHECK(until(0, 0, 0));
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "d%d", i / 100);
		if (i % 100 == 0)
			CHECK_OK(mkdir(fk_at(name), 0700), &err);
		snprintf(name, sizeof(name), "d%d/%d.db", i / 100, i);
		CHECK_OK(fk_put_database(name), &err);
	}
	CHECK(until(FILES, 0, 0));
	CHECK_OK(os_dir_remove_all(fk_top, &err), &err);
	CHECK(until(FILES, FILES, 0));
	end();
}

/* ---- trouble ---- */

/* What events do not tell is told by a scan: with the time of the test, which runs fast and as far as it is asked to. */
static bool until_in(int64_t test_us, int want_found, int want_lost, int want_moved)
{
	enum { STEP_US = 100 * 1000 };
	bool there = false;

	os_fault_clock(1700000000000, os_mono_us());
	for (int64_t t = 0; t <= test_us || pool_pending(pool) > 0; t += STEP_US) {
		/* The worker's time does not count. */
		if (!pool_pending(pool))
			os_fault_clock_advance(STEP_US);
		if (loop_once(loop, pool_pending(pool) > 0 ? 1000 : 0, &err))
			return false;
		there = found == want_found && lost == want_lost && moved == want_moved;
		if (there && pool_pending(pool) == 0)
			break;
	}
	return there && !strange;
}

TEST(no_watches_to_be_had)
{
	struct os_fault_plan no_watches = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_WATCH, .errnum = ENOSPC };

	CHECK_OK(fk_begin("blind"), &err);
	CHECK_OK(fk_make_tree(), &err);
	os_fault_set(&no_watches);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(fk_put_database("sub/new.db") || unlink(fk_at("1.db")) || rename(fk_at("sub/deep/6.db"), fk_at("6.db")), &err);
	CHECK(until_in(20 * 1000 * 1000, 3, 0, 0) || found > 3);
	CHECK(until_in(45 * 1000 * 1000, 4, 1, 1));
	/* Room again: the next scan watches again. */
	os_fault_set(NULL);
	CHECK_OK(fk_put_database("a.db"), &err);
	CHECK(until_in(50 * 1000 * 1000, 5, 1, 1));
	CHECK_OK(fk_put_database("b.db"), &err);
	CHECK(until_in(5 * 1000 * 1000, 6, 1, 1));
	end();
	os_fault_clock(0, 0);
}

TEST(a_lost_queue)
{
	char name[40];
	int limit = 0;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");

	if (!f || fscanf(f, "%d", &limit) != 1 || limit > 40000) {
		if (f)
			fclose(f);
		SKIP("the queue of events is too long to be filled");
	}
	fclose(f);
	CHECK_OK(fk_begin("overflow"), &err);
	CHECK_OK(fk_make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	for (int i = 0; i < limit / 2 + 10; i++) {
		snprintf(name, sizeof(name), "%d", i);
		CHECK_OK(fk_put(name, "", 0), &err);
	}
	CHECK_OK(fk_put_database("unheard.db") || unlink(fk_at("1.db")) || rename(fk_at("sub/4.db"), fk_at("4.db")), &err);
	CHECK(until(4, 1, 1));
	end();
}

/* A mount over the folder, or an exchange while nobody listens: the watch is that of the old folder. */
TEST(another_folder_under_the_name)
{
	struct os_fault_plan no_watches = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_WATCH, .errnum = ENOSPC };

	CHECK_OK(fk_begin("exchange"), &err);
	CHECK_OK(fk_make_tree(), &err);
	os_fault_set(&no_watches);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(rename(fk_at("sub"), tmppath("old-sub")) || mkdir(fk_at("sub"), 0700) || fk_put_database("sub/new.db"), &err);
	CHECK(until_in(50 * 1000 * 1000, 4, 2, 0));
	end();
	os_fault_clock(0, 0);
}

/* Nothing is lost because a folder cannot be read, be it all the time or for one moment. */
TEST(unreadable_is_not_gone)
{
	CHECK_OK(fk_begin("unreadable"), &err);
	CHECK_OK(fk_make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	for (int at_call = 1; at_call < 12; at_call++) {
		struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = (uint64_t)at_call,
			                      .calls = OS_CALL_LOOK | OS_CALL_OPEN | OS_CALL_READ, .errnum = EIO };

		os_fault_set(&plan);
		CHECK(!until_in(310 * 1000 * 1000, 99, 0, 0) && found == 3 && lost == 0 && moved == 0);
	}
	os_fault_set(NULL);
	CHECK_OK(fk_put_database("a.db"), &err);
	CHECK(until_in(310 * 1000 * 1000, 4, 0, 0));
	end();
	os_fault_clock(0, 0);
}

/* A folder that may not be read, like lost+found, does not keep us busy. */
TEST(one_unreadable_folder)
{
	int wakes = 0;

	if (geteuid() == 0 && seteuid(65534))
		SKIP("root reads everything");
	snprintf(fk_top, sizeof(fk_top), "/tmp/rivulet-folder-XXXXXX"); /* the program's own folder is not open to another user */
	if (!mkdtemp(fk_top) || fk_make_tree() || chmod(fk_at("sub/deep"), 0)) {
		(void)!seteuid(getuid());
		SKIP("no folder can be made as another user");
	}
	bool fine = start("*.db", true) && until(2, 0, 0);

	os_fault_clock(1700000000000, os_mono_us());
	for (int64_t end_us = os_mono_us() + INT64_C(3600) * 1000 * 1000; fine && os_mono_us() < end_us;) {
		int64_t due = loop_next_due(loop);

		wakes++;
		if (!pool_pending(pool) && due > os_mono_us())
			os_fault_clock_advance(due - os_mono_us());
		fine = !loop_once(loop, pool_pending(pool) ? 1000 : 0, &err);
	}
	fine = fine && found == 2 && lost == 0;
	end();
	os_fault_clock(0, 0);
	(void)!chmod(fk_at("sub/deep"), 0700);
	os_dir_remove_all(fk_top, NULL);
	(void)!seteuid(getuid());
	CHECK(fine);
	/* Some 15 scans an hour, of two or three jobs each. */
	CHECK(wakes < 150);
}

TEST(freed_while_looking)
{
	CHECK_OK(fk_begin("free"), &err);
	CHECK_OK(fk_make_tree(), &err);
	for (int i = 0; i < 5; i++) {
		CHECK(start("*", true));
		for (int k = 0; k < i; k++)
			CHECK_OK(loop_once(loop, 20, &err), &err);
		end();
	}
}

/* Random moves in a small tree; in the end what was told must be what is there. */
static unsigned dice_state = 7;

static unsigned dice(unsigned n)
{
	dice_state = dice_state * 1664525 + 1013904223;
	return (dice_state >> 8) % n;
}

static void random_move(void)
{
	static const char *const dirs[] = { "", "a", "b", "a/c" };
	char one[40], two[40];

	snprintf(one, sizeof(one), "%s/%u.db", dirs[dice(4)], dice(4));
	snprintf(two, sizeof(two), "%s/%u.db", dirs[dice(4)], dice(4));
	switch (dice(8)) {
	case 0: case 1: case 2:
		fk_put_database(one);
		break;
	case 3:
		unlink(fk_at(one));
		break;
	case 4: case 5:
		rename(fk_at(one), fk_at(two));
		break;
	case 6:
		rename(fk_at("a"), fk_at("b"));
		rename(fk_at(dirs[1 + dice(3)]), fk_at("x"));
		rename(fk_at("x"), fk_at(dirs[1 + dice(3)]));
		break;
	default:
		if (dice(4) == 0)
			os_dir_remove_all(fk_at(dirs[1 + dice(3)]), NULL);
		mkdir(fk_at(dirs[1 + dice(3)]), 0700);
		break;
	}
}

static bool same_as_scan(void)
{
	fk_scan(fk_top, "*.db", true);
	if (fk_listed_count != kept_count)
		return false;
	for (int i = 0; i < kept_count; i++) {
		char want[600];

		snprintf(want, sizeof(want), "%s=%s ", strchr(kept[i], ' ') + 1, kept[i] + strlen(fk_top));
		*strrchr(want, ' ') = 0;
		*strchr(want + 1, ' ') = 0;
		if (!strstr(fk_listed, want))
			return false;
	}
	return true;
}

TEST(random_histories)
{
	CHECK_OK(fk_begin("random"), &err);
	CHECK(start("*.db", true));
	for (int round = 0; round < 15; round++) {
		int64_t end_us = os_mono_us() + PATIENCE_US;

		for (int i = 0; i < 40; i++) {
			random_move();
			if (dice(3) == 0)
				CHECK_OK(loop_once(loop, dice(4) ? 0 : 20, &err), &err);
		}
		while (!same_as_scan() && os_mono_us() < end_us)
			CHECK_OK(loop_once(loop, 50, &err), &err);
		if (!same_as_scan())
			for (int i = 0; i < kept_count; i++)
				printf("told: %s\n", kept[i]);
		if (!same_as_scan())
			CHECK_FAIL("there is: %s", fk_listed);
		CHECK_INT(strange, 0);
	}
	end();
}

TEST_MAIN
