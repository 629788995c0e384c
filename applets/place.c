/* SPDX-License-Identifier: MIT */
/* What a word on the command line names: a replica or a database of the configuration file. */
#include <stdlib.h>

#include "applets/applet.h"
#include "lib/base/text.h"
#include "lib/os/file.h"

static bool has_folder(const char *path, const char *name)
{
	struct os_stat st;
	char *folder = text_path_join(path, name);
	bool has = folder != NULL && os_stat(folder, &st, NULL) == 0 && st.is_dir;

	free(folder);
	return has;
}

/* generations: what Litestream v0.3 has left. */
static bool is_file_replica(const char *path)
{
	return has_folder(path, "ltx") || has_folder(path, "generations");
}

bool applet_names_replica(const char *word, const char *config)
{
	return replica_is_url(word) || (config[0] == '\0' && is_file_replica(word));
}

/* The file's absolute name, malloc'ed; it exists. */
static int config_path(const char *config, char **path, struct err *e)
{
	const char *from_env = getenv("LITESTREAM_CONFIG");
	struct os_stat st;
	struct err why = ERR_INIT;
	char *cwd = NULL, *home = NULL;
	int rc = -1;

	*path = NULL;
	if (config[0] == '\0')
		config = from_env != NULL && from_env[0] != '\0' ? from_env : "/etc/litestream.yml";
	if (os_cwd(&cwd, e) < 0)
		goto out;
	home = os_home();
	if (text_path_expand(config, cwd, home, path, e) < 0)
		goto out;
	if (os_stat(*path, &st, &why) == 0)
		rc = 0;
	else if (err_is(&why, ERR_NOT_FOUND))
		err_set(e, ERR_NOT_FOUND, "config file not found: %s", *path);
	else
		*e = why;
out:
	free(cwd);
	free(home);
	if (rc < 0) {
		free(*path);
		*path = NULL;
	}
	return rc;
}

static int configured_replica(const char *database, const char *config, struct replica **out, struct err *e)
{
	char *path;

	*out = NULL;
	if (config_path(config, &path, e) < 0)
		return -1;
	err_set(e, ERR_INVALID, "%s: this version reads no configuration file; name the replica of %s by its URL", path,
	        database);
	free(path);
	return -1;
}

int applet_replica(const char *word, const char *config, struct replica **out, struct err *e)
{
	if (replica_is_url(word))
		return replica_from_url(word, out, e);
	if (applet_names_replica(word, config))
		return replica_file_create(word, out, e);
	return configured_replica(word, config, out, e);
}
