/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "applets/target.h"
#include "lib/os/file.h"

static const char *const sidecars[] = { "-wal", "-shm", "-journal" };
enum { SIDECARS = sizeof(sidecars) / sizeof(sidecars[0]) };

static char *sidecar_path(const char *path, const char *suffix)
{
	size_t n = strlen(path);
	char *s = malloc(n + 16);

	if (s != NULL)
		snprintf(s, n + 16, "%s%s", path, suffix);
	return s;
}

/* A file in the way of a folder (ENOTDIR) is another matter: nothing can be written there. */
static bool is_missing(const struct err *e)
{
	return err_is(e, ERR_NOT_FOUND) && e->sys == ENOENT;
}

bool target_exists(const char *path)
{
	struct os_stat st;
	struct err e = ERR_INIT;

	return os_stat(path, &st, &e) == 0 || !is_missing(&e);
}

/* Beside a file that exists Litestream refuses empty sidecars too; beside a missing one they mean nothing. */
static int check_sidecar(const char *path, const char *suffix, bool target_is_there, struct err *e)
{
	char *sidecar = sidecar_path(path, suffix);
	struct os_stat st;
	struct err why = ERR_INIT;
	int rc = 0;

	if (sidecar == NULL)
		return err_nomem(e);
	if (os_stat(sidecar, &st, &why) == 0) {
		if (target_is_there || st.size > 0)
			rc = err_set(e, ERR_EXISTS,
			             "cannot restore, SQLite sidecar path already exists: %s. Use -force to overwrite",
			             sidecar);
	} else if (!is_missing(&why)) {
		*e = why;
		rc = err_wrap(e, "cannot access SQLite sidecar path");
	}
	free(sidecar);
	return rc;
}

int target_check(const char *path, bool force, struct err *e)
{
	struct os_stat st;
	bool there = true;

	if (os_stat(path, &st, e) < 0) {
		if (!is_missing(e))
			return err_wrap(e, "cannot access output path");
		err_clear(e);
		there = false;
	} else if (st.is_dir) {
		return err_set(e, ERR_EXISTS, "cannot restore, output path is a directory: %s", path);
	} else if (st.size > 0 && !force) {
		return err_set(e, ERR_EXISTS,
		               "cannot restore, output path already exists and is not empty: %s. Use -force to overwrite", path);
	}
	for (int i = 0; i < SIDECARS && !force; i++)
		if (check_sidecar(path, sidecars[i], there, e) < 0)
			return -1;
	return 0;
}

int target_clear(const char *path, struct err *e)
{
	if (os_unlink(path, e) < 0)
		return err_wrap(e, "remove existing output path");
	for (int i = 0; i < SIDECARS; i++) {
		char *sidecar = sidecar_path(path, sidecars[i]);
		int rc;

		if (sidecar == NULL)
			return err_nomem(e);
		rc = os_unlink(sidecar, e);
		free(sidecar);
		if (rc < 0)
			return err_wrap(e, "remove existing output path");
	}
	return 0;
}
