/* SPDX-License-Identifier: MIT */
/* Paths beside the output. */
#include <stdlib.h>
#include <string.h>

#include "lib/restore/internal.h"

static const char *const sidecars[] = { "-wal", "-shm", "-journal" }; /* messages name the first in this order */
enum { SIDECARS = sizeof(sidecars) / sizeof(sidecars[0]) };

char *path_with(const char *path, const char *suffix, struct err *e)
{
	size_t n = strlen(path), m = strlen(suffix);
	char *out = malloc(n + m + 1);

	if (!out) {
		err_nomem(e);
		return NULL;
	}
	memcpy(out, path, n);
	memcpy(out + n, suffix, m + 1);
	return out;
}

int check_no_sidecars(const char *path, bool shm_too, const char *what, struct err *e)
{
	for (int i = 0; i < SIDECARS; i++) {
		struct os_stat st;
		struct err why = ERR_INIT;
		char *name = path_with(path, sidecars[i], e);

		if (!name)
			return -1;
		int rc = os_stat(name, &st, &why);
		if (rc == 0 && st.size > 0 && (shm_too || strcmp(sidecars[i], "-shm") != 0)) {
			err_set(e, ERR_EXISTS, "%s, SQLite sidecar path already exists: %s", what, name);
		} else if (rc != 0 && why.code != ERR_NOT_FOUND) {
			if (e)
				*e = why;
		} else {
			free(name);
			continue;
		}
		free(name);
		return -1;
	}
	return 0;
}

int remove_sidecars(const char *path, struct err *e)
{
	int rc = 0;

	for (int i = 0; i < SIDECARS && rc == 0; i++) {
		char *name = path_with(path, sidecars[i], e);

		rc = name ? os_unlink(name, e) : -1;
		free(name);
	}
	return rc;
}
