/* SPDX-License-Identifier: MIT */
#include "tests/support/folder_kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/os/fault.h"
#include "tests/support/tmpdir.h"

char fk_top[256];

const char *fk_at(const char *name)
{
	static char paths[4][512];
	static int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s%s%s", fk_top, *name ? "/" : "", name);
	return path;
}

int fk_put(const char *name, const char *bytes, size_t n)
{
	int fd = open(fk_at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600), rc = fd >= 0 && write(fd, bytes, n) == (ssize_t)n ? 0 : -1;

	close(fd);
	return rc;
}

int fk_put_database(const char *name)
{
	return fk_put(name, "SQLite format 3", 16);
}

int fk_begin(const char *name)
{
	log_set_fd(-1);
	os_fault_set(NULL);
	os_fault_clock(0, 0);
	snprintf(fk_top, sizeof(fk_top), "%s", tmppath(name));
	return mkdir(fk_top, 0700);
}

int fk_make_tree(void)
{
	return mkdir(fk_at("sub"), 0700) || mkdir(fk_at("sub/deep"), 0700) || mkdir(fk_at("d.db"), 0700) ||
	       fk_put_database("1.db") || fk_put_database("2.sqlite") || fk_put_database("sub/4.db") || fk_put_database("sub/deep/6.db") ||
	       fk_put("3.db", "no database at all", 18) || fk_put("0.db", "", 0);
}

static struct err fk_err;
char fk_listed[65536];
int fk_listed_count;

static int list_one(void *ctx, const char *path, const char *relative, struct err *e)
{
	size_t n = strlen(fk_listed);

	(void)ctx;
	(void)e;
	fk_listed_count++;
	if (n < sizeof(fk_listed) - 300)
		snprintf(fk_listed + n, sizeof(fk_listed) - n, "%s=%s ", relative,
		         !strncmp(path, fk_top, strlen(fk_top)) ? path + strlen(fk_top) : path);
	return 0;
}

const char *fk_scan_rule(const struct folder_rule *rule)
{
	fk_listed[0] = 0;
	fk_listed_count = 0;
	return folder_scan(rule, list_one, NULL, &fk_err) ? fk_err.text : fk_listed;
}

const char *fk_scan(const char *dir, const char *pattern, bool recursive)
{
	struct folder_rule rule = { .dir = dir, .pattern = pattern, .recursive = recursive };

	return fk_scan_rule(&rule);
}
