/* SPDX-License-Identifier: MIT */
/* test_store_folder_scan.c - folders with databases, looked through once. */
#include "tests/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/file.h"
#include "lib/store/folder.h"
#include "tests/support/folder_kit.h"
#include "tests/support/tmpdir.h"

static struct err err;

TEST(scan_finds_what_is_real)
{
	CHECK_OK(fk_begin("scan"), &err);
	CHECK_OK(fk_make_tree(), &err);
	CHECK_STR(fk_scan(fk_top, "*.db", false), "1.db=/1.db ");
	CHECK_STR(fk_scan(fk_top, "*.db", true), "1.db=/1.db sub/4.db=/sub/4.db sub/deep/6.db=/sub/deep/6.db ");
	CHECK_STR(fk_scan(fk_top, "*", true),
	          "1.db=/1.db 2.sqlite=/2.sqlite sub/4.db=/sub/4.db sub/deep/6.db=/sub/deep/6.db ");
	CHECK_STR(fk_scan(fk_top, "*.none", true), "");
	CHECK_STR(fk_scan(fk_at("1.db"), "*.db", false), "=/1.db ");
	CHECK_STR(fk_scan(fk_at("1.db"), "*.sqlite", false), "");
}

TEST(scan_errors)
{
	char want[600];

	CHECK_OK(fk_begin("scan-errors"), &err);
	snprintf(want, sizeof(want), "failed to scan directory %s: lstat %s: no such file or directory", fk_at("x"), fk_at("x"));
	CHECK_STR(fk_scan(fk_at("x"), "*.db", false), want);
	snprintf(want, sizeof(want), "failed to scan directory %s: syntax error in pattern", fk_top);
	CHECK_STR(fk_scan(fk_top, "[a", false), want);
}

TEST(scan_leaves_out_companions_and_our_own_folders)
{
	CHECK_OK(fk_begin("companions"), &err);
	CHECK_OK(fk_put_database("a-wal") || fk_put_database("a-shm") || fk_put_database("a-journal") ||
	         fk_put_database("withdrawal") || fk_put_database("rhythm") || fk_put_database("myjournal") ||
	         mkdir(fk_at(".a-litestream"), 0700) || fk_put_database(".a-litestream/b") || mkdir(fk_at("meta"), 0700) || fk_put_database("meta/c"), &err);
	CHECK_STR(fk_scan(fk_top, "*", true), "meta/c=/meta/c myjournal=/myjournal rhythm=/rhythm withdrawal=/withdrawal ");

	const char *skip[] = { fk_at("meta"), NULL };
	struct folder_rule rule = { .dir = fk_top, .pattern = "*", .recursive = true, .skip = skip };

	CHECK_STR(fk_scan_rule(&rule), "myjournal=/myjournal rhythm=/rhythm withdrawal=/withdrawal ");
}

TEST(scan_and_links)
{
	CHECK_OK(fk_begin("links"), &err);
	CHECK_OK(mkdir(fk_at("in"), 0700) || mkdir(fk_at("out"), 0700) || fk_put_database("out/real.db") ||
	         symlink(fk_at("out/real.db"), fk_at("in/link.db")) || symlink(fk_at("out"), fk_at("in/folder")) ||
	         symlink(fk_at("nowhere"), fk_at("in/dangling.db")) || symlink(fk_at("in"), fk_at("in/loop")), &err);
	CHECK_STR(fk_scan(fk_at("in"), "*.db", true), "link.db=/out/real.db ");
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

	CHECK_OK(fk_begin("deep"), &err);
	snprintf(path, sizeof(path), "%s", fk_top);
	for (int i = 0; i < FOLDER_DEPTH_MAX + 2; i++) {
		strcat(path, "/d");
		CHECK_OK(mkdir(path, 0700), &err);
		strcpy(fk_listed, path);
		strcat(fk_listed, "/x.db");
		CHECK_OK(symlink("/dev/null", fk_listed), &err);
		CHECK_OK(unlink(fk_listed), &err);
		int fd = open(fk_listed, O_WRONLY | O_CREAT, 0600);

		CHECK(write(fd, "SQLite format 3", 16) == 16);
		close(fd);
	}
	fk_scan(fk_top, "*.db", true);
	CHECK_INT(fk_listed_count, FOLDER_DEPTH_MAX);
	rule.dir = fk_top;
	CHECK_INT(folder_scan(&rule, stop_at_once, NULL, &err), -1);
	CHECK_STR(err.text, "enough");
}

TEST(a_bad_pattern)
{
	struct folder *folder = NULL;
	struct folder_options o = { .rule = { .dir = "/x", .pattern = "[" } };

	CHECK_INT(folder_watch(&o, &folder, &err), -1);
	CHECK_STR(err.text, "failed to scan directory /x: syntax error in pattern");
}

TEST_MAIN
