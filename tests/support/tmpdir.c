/* SPDX-License-Identifier: MIT */
#include "tests/support/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[256];
static pid_t owner; /* a forked child must not remove its parent's folder */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

static void remove_dir(void)
{
	if (getpid() == owner)
		(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *tmpdir(void)
{
	const char *base = getenv("TMPDIR");

	if (owner != 0)
		return dir;
	snprintf(dir, sizeof(dir), "%s/rivulet-test-XXXXXX", base != NULL ? base : "/tmp");
	if (mkdtemp(dir) == NULL) {
		perror(dir);
		exit(1);
	}
	owner = getpid();
	atexit(remove_dir);
	return dir;
}

const char *tmppath(const char *name)
{
	static char paths[8][1024];
	static unsigned turn;
	char *path = paths[turn++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", tmpdir(), name);
	return path;
}
