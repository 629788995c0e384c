/* SPDX-License-Identifier: MIT */
/* Folders with databases: scanned once, and kept in sight by a loop and a pool of real threads. */
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
#include "tests/support/tmpdir.h"

enum { PATIENCE_US = 60 * 1000 * 1000, KEPT_MAX = 4000, QUIET_US = 400 * 1000 };

static struct err err;
static char top[256]; /* of the running test */

static const char *at(const char *name)
{
	static char paths[4][512];
	static int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s%s%s", top, *name ? "/" : "", name);
	return path;
}

static int put(const char *name, const char *bytes, size_t n)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600), rc = fd >= 0 && write(fd, bytes, n) == (ssize_t)n ? 0 : -1;

	close(fd);
	return rc;
}

static int put_database(const char *name)
{
	return put(name, "SQLite format 3", 16);
}

static int begin(const char *name)
{
	log_set_fd(-1);
	os_fault_set(NULL);
	os_fault_clock(0, 0);
	snprintf(top, sizeof(top), "%s", tmppath(name));
	return mkdir(top, 0700);
}

/* The tree of cases.md §5.5. */
static int make_tree(void)
{
	return mkdir(at("sub"), 0700) || mkdir(at("sub/deep"), 0700) || mkdir(at("d.db"), 0700) || put_database("1.db") ||
	       put_database("2.sqlite") || put_database("sub/4.db") || put_database("sub/deep/6.db") ||
	       put("3.db", "no database at all", 18) || put("0.db", "", 0);
}

/* ---- scan ---- */

static char listed[65536];
static int listed_count;

static int list_one(void *ctx, const char *path, const char *relative, struct err *e)
{
	size_t n = strlen(listed);

	(void)ctx;
	(void)e;
	listed_count++;
	if (n < sizeof(listed) - 300)
		snprintf(listed + n, sizeof(listed) - n, "%s=%s ", relative,
		         !strncmp(path, top, strlen(top)) ? path + strlen(top) : path);
	return 0;
}

static const char *scan(const char *dir, const char *pattern, bool recursive)
{
	struct folder_rule rule = { .dir = dir, .pattern = pattern, .recursive = recursive };

	listed[0] = 0;
	listed_count = 0;
	return folder_scan(&rule, list_one, NULL, &err) ? err.text : listed;
}

TEST(scan_finds_what_is_real)
{
	CHECK_OK(begin("scan"), &err);
	CHECK_OK(make_tree(), &err);
	CHECK_STR(scan(top, "*.db", false), "1.db=/1.db ");
	CHECK_STR(scan(top, "*.db", true), "1.db=/1.db sub/4.db=/sub/4.db sub/deep/6.db=/sub/deep/6.db ");
	CHECK_STR(scan(top, "*", true),
	          "1.db=/1.db 2.sqlite=/2.sqlite sub/4.db=/sub/4.db sub/deep/6.db=/sub/deep/6.db ");
	CHECK_STR(scan(top, "*.none", true), "");
	CHECK_STR(scan(at("1.db"), "*.db", false), "=/1.db ");
	CHECK_STR(scan(at("1.db"), "*.sqlite", false), "");
}

TEST(scan_errors)
{
	char want[600];

	CHECK_OK(begin("scan-errors"), &err);
	snprintf(want, sizeof(want), "failed to scan directory %s: lstat %s: no such file or directory", at("x"), at("x"));
	CHECK_STR(scan(at("x"), "*.db", false), want);
	snprintf(want, sizeof(want), "failed to scan directory %s: syntax error in pattern", top);
	CHECK_STR(scan(top, "[a", false), want);
}

TEST(scan_leaves_out_companions_and_our_own_folders)
{
	CHECK_OK(begin("companions"), &err);
	CHECK_OK(put_database("a-wal") || put_database("a-shm") || put_database("a-journal") || put_database("withdrawal") ||
	         put_database("rhythm") || put_database("myjournal") || mkdir(at(".a-litestream"), 0700) ||
	         put_database(".a-litestream/b") || mkdir(at("meta"), 0700) || put_database("meta/c"), &err);
	CHECK_STR(scan(top, "*", true), "meta/c=/meta/c myjournal=/myjournal rhythm=/rhythm withdrawal=/withdrawal ");

	const char *skip[] = { at("meta"), NULL };
	struct folder_rule rule = { .dir = top, .pattern = "*", .recursive = true, .skip = skip };

	listed[0] = 0;
	CHECK_OK(folder_scan(&rule, list_one, NULL, &err), &err);
	CHECK_STR(listed, "myjournal=/myjournal rhythm=/rhythm withdrawal=/withdrawal ");
}

TEST(scan_and_links)
{
	CHECK_OK(begin("links"), &err);
	CHECK_OK(mkdir(at("in"), 0700) || mkdir(at("out"), 0700) || put_database("out/real.db") ||
	         symlink(at("out/real.db"), at("in/link.db")) || symlink(at("out"), at("in/folder")) ||
	         symlink(at("nowhere"), at("in/dangling.db")) || symlink(at("in"), at("in/loop")), &err);
	CHECK_STR(scan(at("in"), "*.db", true), "link.db=/out/real.db ");
}

static int stop_at_once(void *ctx, const char *path, const char *relative, struct err *e)
{
	(void)ctx;
	(void)path;
	(void)relative;
	return err_set(e, ERR_CANCELLED, "enough");
}

TEST(scan_ends_when_told_and_has_a_depth)
{
	struct folder_rule rule = { .pattern = "*.db", .recursive = true };
	char path[600];

	CHECK_OK(begin("deep"), &err);
	snprintf(path, sizeof(path), "%s", top);
	for (int i = 0; i < FOLDER_DEPTH_MAX + 2; i++) {
		strcat(path, "/d");
		CHECK_OK(mkdir(path, 0700), &err);
		strcpy(listed, path);
		strcat(listed, "/x.db");
		CHECK_OK(symlink("/dev/null", listed), &err);
		CHECK_OK(unlink(listed), &err);
		int fd = open(listed, O_WRONLY | O_CREAT, 0600);

		CHECK(write(fd, "SQLite format 3", 16) == 16);
		close(fd);
	}
	scan(top, "*.db", true);
	CHECK_INT(listed_count, FOLDER_DEPTH_MAX);
	rule.dir = top;
	CHECK_INT(folder_scan(&rule, stop_at_once, NULL, &err), -1);
	CHECK_STR(err.text, "enough");
}

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
	return start_with(top, pattern, recursive);
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
	int i = find_kept(at(name));

	return i >= 0 && !strcmp(kept[i] + strlen(at(name)) + 1, name);
}

TEST(finds_what_is_there_and_what_comes)
{
	CHECK_OK(begin("come"), &err);
	CHECK_OK(make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK(has("1.db") && has("sub/4.db") && has("sub/deep/6.db"));
	CHECK_OK(put_database("new.db") || put_database("new.db-wal") || put_database("x.db.backup"), &err);
	CHECK(until(4, 0, 0));
	CHECK_OK(mkdir(at("a"), 0700) || mkdir(at("a/b"), 0700) || put_database("a/b/c.db"), &err);
	CHECK(until(5, 0, 0));
	CHECK(has("a/b/c.db"));
	CHECK_OK(put_database("d.db/y.db"), &err);
	CHECK(until(6, 0, 0));
	CHECK(quiet(6, 0, 0));
	CHECK_INT(ready, 1);
	end();
}

TEST(one_level_only)
{
	CHECK_OK(begin("flat"), &err);
	CHECK_OK(make_tree(), &err);
	CHECK(start("*.db", false));
	CHECK(until(1, 0, 0));
	CHECK_OK(put_database("sub/more.db") || mkdir(at("e"), 0700) || put_database("e/x.db") || put_database("z.db"), &err);
	CHECK(until(2, 0, 0));
	CHECK(quiet(2, 0, 0));
	end();
}

/* SQLite keeps the file open after it has written the first page: no close tells of it. */
TEST(an_empty_file_becomes_a_database)
{
	int fd, late; /* descriptors of two applications */

	CHECK_OK(begin("become"), &err);
	CHECK_OK(put("old.db", "", 0), &err);
	CHECK(start("*.db", false));
	CHECK(until(0, 0, 0));
	late = open(at("old.db"), O_WRONLY);
	fd = open(at("new.db"), O_WRONLY | O_CREAT, 0600);
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
	CHECK_OK(begin("overwrite"), &err);
	CHECK_OK(put("a.db", "this is only text", 17), &err);
	CHECK(start("*.db", false));
	CHECK(until(0, 0, 0));
	CHECK_OK(put_database("a.db"), &err);
	CHECK(until(1, 0, 0));
	/* What becomes of a known database is its keeper's business. */
	CHECK_OK(put("a.db", "this is only text", 17), &err);
	CHECK(quiet(1, 0, 0));
	end();
}

TEST(deleted_and_renamed)
{
	CHECK_OK(begin("rename"), &err);
	CHECK_OK(make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(unlink(at("1.db")), &err);
	CHECK(until(3, 1, 0));
	CHECK_OK(rename(at("sub/4.db"), at("other.db")), &err);
	CHECK(until(3, 1, 1));
	CHECK(has("other.db"));
	CHECK_OK(rename(at("other.db"), at("other.gone")), &err);
	CHECK(until(3, 2, 1));
	CHECK_OK(rename(at("other.gone"), at("back.db")), &err);
	CHECK(until(4, 2, 1));
	CHECK(quiet(4, 2, 1));
	end();
}

TEST(renamed_over_another)
{
	CHECK_OK(begin("over"), &err);
	CHECK_OK(put_database("a.db") || put_database("b.db"), &err);
	CHECK(start("*.db", false));
	CHECK(until(2, 0, 0));
	CHECK_OK(rename(at("a.db"), at("b.db")), &err);
	CHECK(until(2, 1, 0));
	CHECK(has("b.db"));
	/* It is still known by its file. */
	CHECK_OK(rename(at("b.db"), at("c.db")), &err);
	CHECK(until(2, 1, 1));
	end();
}

TEST(folders_go_and_move)
{
	CHECK_OK(begin("folders"), &err);
	CHECK_OK(make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(rename(at("sub"), at("moved")), &err);
	CHECK(until(3, 0, 2));
	CHECK(has("moved/4.db") && has("moved/deep/6.db"));
	CHECK_OK(put_database("moved/deep/7.db"), &err);
	CHECK(until(4, 0, 2));
	CHECK_OK(rename(at("moved"), tmppath("folders-outside")), &err);
	CHECK(until(4, 3, 2));
	CHECK_OK(os_dir_remove_all(tmppath("folders-outside"), &err), &err);
	CHECK_OK(mkdir(at("sub"), 0700) || put_database("sub/1.db"), &err);
	CHECK(until(5, 3, 2));
	CHECK_OK(os_dir_remove_all(at("sub"), &err), &err);
	CHECK(until(5, 4, 2));
	CHECK(quiet(5, 4, 2));
	end();
}

TEST(the_whole_tree_vanishes_and_comes_back)
{
	CHECK_OK(begin("vanish"), &err);
	CHECK_OK(make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(rename(top, tmppath("vanished")), &err);
	CHECK(until(3, 3, 0));
	CHECK_OK(rename(tmppath("vanished"), top), &err);
	CHECK(until(6, 3, 0));
	CHECK_OK(put_database("watched.db"), &err);
	CHECK(until(7, 3, 0));
	CHECK_OK(os_dir_remove_all(top, &err), &err);
	CHECK(until(7, 7, 0));
	CHECK_OK(mkdir(top, 0700) || put_database("1.db"), &err);
	CHECK(until(8, 7, 0));
	end();
}

TEST(not_there_yet)
{
	log_set_fd(-1);
	snprintf(top, sizeof(top), "%s", tmppath("later"));
	CHECK(start("*.db", true));
	CHECK(until(0, 0, 0));
	CHECK_OK(mkdir(top, 0700) || put_database("1.db"), &err);
	CHECK(until(1, 0, 0));
	end();
}

TEST(one_file_instead_of_a_folder)
{
	CHECK_OK(begin("file"), &err);
	CHECK_OK(put_database("1.db"), &err);
	CHECK(start_with(at("1.db"), "*.db", false));
	CHECK(until(1, 0, 0));
	CHECK_INT(find_kept(at("1.db")), 0);
	end();
}

TEST(links_stand_for_files)
{
	CHECK_OK(begin("watch-links"), &err);
	CHECK_OK(mkdir(tmppath("targets"), 0700), &err);
	CHECK_OK(put_database("real.db"), &err);
	CHECK_OK(rename(at("real.db"), tmppath("targets/real.db")), &err);
	CHECK_OK(symlink(tmppath("targets/real.db"), at("a.db")), &err);
	CHECK(start("*.db", true));
	CHECK(until(1, 0, 0));
	CHECK(find_kept(tmppath("targets/real.db")) == 0);
	/* A second name of the same file waits until the first is gone. */
	CHECK_OK(link(tmppath("targets/real.db"), at("b.db")), &err);
	CHECK(quiet(1, 0, 0));
	CHECK_OK(unlink(at("a.db")), &err);
	CHECK(until(1, 0, 1));
	CHECK(has("b.db"));
	CHECK_OK(unlink(at("b.db")), &err);
	CHECK(until(1, 1, 1));
	end();
}

/* Also more than one job and one buffer of events. */
TEST(thousands_at_once)
{
	enum { FILES = 3000 };
	char name[40];

	CHECK_OK(begin("many"), &err);
	CHECK(start("*.db", true));
	CHECK(until(0, 0, 0));
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "d%d", i / 100);
		if (i % 100 == 0)
			CHECK_OK(mkdir(at(name), 0700), &err);
		snprintf(name, sizeof(name), "d%d/%d.db", i / 100, i);
		CHECK_OK(put_database(name), &err);
	}
	CHECK(until(FILES, 0, 0));
	CHECK_OK(os_dir_remove_all(top, &err), &err);
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

	CHECK_OK(begin("blind"), &err);
	CHECK_OK(make_tree(), &err);
	os_fault_set(&no_watches);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(put_database("sub/new.db") || unlink(at("1.db")) || rename(at("sub/deep/6.db"), at("6.db")), &err);
	CHECK(until_in(20 * 1000 * 1000, 3, 0, 0) || found > 3);
	CHECK(until_in(45 * 1000 * 1000, 4, 1, 1));
	/* Room again: the next scan watches again. */
	os_fault_set(NULL);
	CHECK_OK(put_database("a.db"), &err);
	CHECK(until_in(50 * 1000 * 1000, 5, 1, 1));
	CHECK_OK(put_database("b.db"), &err);
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
	CHECK_OK(begin("overflow"), &err);
	CHECK_OK(make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	for (int i = 0; i < limit / 2 + 10; i++) {
		snprintf(name, sizeof(name), "%d", i);
		CHECK_OK(put(name, "", 0), &err);
	}
	CHECK_OK(put_database("unheard.db") || unlink(at("1.db")) || rename(at("sub/4.db"), at("4.db")), &err);
	CHECK(until(4, 1, 1));
	end();
}

/* A mount over the folder, or an exchange while nobody listens: the watch is that of the old folder. */
TEST(another_folder_under_the_name)
{
	struct os_fault_plan no_watches = { .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_WATCH, .errnum = ENOSPC };

	CHECK_OK(begin("exchange"), &err);
	CHECK_OK(make_tree(), &err);
	os_fault_set(&no_watches);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	CHECK_OK(rename(at("sub"), tmppath("old-sub")) || mkdir(at("sub"), 0700) || put_database("sub/new.db"), &err);
	CHECK(until_in(50 * 1000 * 1000, 4, 2, 0));
	end();
	os_fault_clock(0, 0);
}

/* Nothing is lost because a folder cannot be read, be it all the time or for one moment. */
TEST(unreadable_is_not_gone)
{
	CHECK_OK(begin("unreadable"), &err);
	CHECK_OK(make_tree(), &err);
	CHECK(start("*.db", true));
	CHECK(until(3, 0, 0));
	for (int at_call = 1; at_call < 12; at_call++) {
		struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = (uint64_t)at_call,
			                      .calls = OS_CALL_LOOK | OS_CALL_OPEN | OS_CALL_READ, .errnum = EIO };

		os_fault_set(&plan);
		CHECK(!until_in(310 * 1000 * 1000, 99, 0, 0) && found == 3 && lost == 0 && moved == 0);
	}
	os_fault_set(NULL);
	CHECK_OK(put_database("a.db"), &err);
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
	snprintf(top, sizeof(top), "/tmp/rivulet-folder-XXXXXX"); /* the program's own folder is not open to another user */
	if (!mkdtemp(top) || make_tree() || chmod(at("sub/deep"), 0)) {
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
	(void)!chmod(at("sub/deep"), 0700);
	os_dir_remove_all(top, NULL);
	(void)!seteuid(getuid());
	CHECK(fine);
	/* Some 15 scans an hour, of two or three jobs each. */
	CHECK(wakes < 150);
}

TEST(freed_while_looking)
{
	CHECK_OK(begin("free"), &err);
	CHECK_OK(make_tree(), &err);
	for (int i = 0; i < 5; i++) {
		CHECK(start("*", true));
		for (int k = 0; k < i; k++)
			CHECK_OK(loop_once(loop, 20, &err), &err);
		end();
	}
}

TEST(a_bad_pattern)
{
	struct folder_options o = { .rule = { .dir = "/x", .pattern = "[" } };

	CHECK_INT(folder_watch(&o, &folder, &err), -1);
	CHECK_STR(err.text, "failed to scan directory /x: syntax error in pattern");
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
		put_database(one);
		break;
	case 3:
		unlink(at(one));
		break;
	case 4: case 5:
		rename(at(one), at(two));
		break;
	case 6:
		rename(at("a"), at("b"));
		rename(at(dirs[1 + dice(3)]), at("x"));
		rename(at("x"), at(dirs[1 + dice(3)]));
		break;
	default:
		if (dice(4) == 0)
			os_dir_remove_all(at(dirs[1 + dice(3)]), NULL);
		mkdir(at(dirs[1 + dice(3)]), 0700);
		break;
	}
}

static bool same_as_scan(void)
{
	scan(top, "*.db", true);
	if (listed_count != kept_count)
		return false;
	for (int i = 0; i < kept_count; i++) {
		char want[600];

		snprintf(want, sizeof(want), "%s=%s ", strchr(kept[i], ' ') + 1, kept[i] + strlen(top));
		*strrchr(want, ' ') = 0;
		*strchr(want + 1, ' ') = 0;
		if (!strstr(listed, want))
			return false;
	}
	return true;
}

TEST(random_histories)
{
	CHECK_OK(begin("random"), &err);
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
			CHECK_FAIL("there is: %s", listed);
		CHECK_INT(strange, 0);
	}
	end();
}

TEST_MAIN
