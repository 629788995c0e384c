/* SPDX-License-Identifier: MIT */
/* From a file to a struct config: control.md §4.1's order of steps. */
#include "lib/config/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/config/internal.h"
#include "lib/os/file.h"
#include "lib/os/process.h"

static int expand_text(struct config *c, const struct config_context *x, const char **path, struct err *e)
{
	char *expanded, *kept;

	if (!*path)
		return 0;
	if (text_path_expand(*path, x->cwd, x->home, &expanded, e))
		return -1;
	kept = config_memory_text(c->memory, expanded, strlen(expanded));
	free(expanded);
	if (!kept)
		return err_nomem(e);
	*path = kept;
	return 0;
}

static int finish(struct config *c, struct config_replica *global, const struct config_context *x, struct err *e)
{
	if (config_promote(c, e))
		return -1;
	for (int i = 0; i < c->db_count; i++) {
		struct config_db *db = &c->dbs[i];

		if (expand_text(c, x, &db->path, e))
			return -1;
		for (int k = 0; k < db->replica_count; k++)
			config_replica_inherit(&db->replicas[k], global);
		if (db->idle_timeout_ns == CONFIG_UNSET)
			db->idle_timeout_ns = c->idle_timeout_ns;
	}
	if (config_validate(c, e))
		return -1;
	for (int i = 0; i < c->db_count; i++) {
		struct config_db *db = &c->dbs[i];

		if (expand_text(c, x, &db->dir, e) || expand_text(c, x, &db->meta_path, e) ||
		    expand_text(c, x, &db->meta_dir, e))
			return -1;
	}
	return 0;
}

static int parse(const char *text, size_t n, const struct config_context *x, struct config *c, struct err *e)
{
	struct buf expanded = { .limit = CONFIG_FILE_MAX };
	struct config_memory *tree = config_memory_new();
	struct config_replica global;
	struct tree_node *root;
	int rc = -1;

	if (!tree)
		return err_nomem(e);
	if (x->expand_env) {
		if (config_expand_env(text, n, x->pid, &expanded, e))
			goto out;
		text = buf_text(&expanded);
		n = expanded.len;
	}
	if (tree_parse(text, n, tree, &root, e) == 0)
		rc = config_decode(root, c, &global, e);
out:
	config_memory_free(tree);
	buf_free(&expanded);
	return rc ? -1 : finish(c, &global, x, e);
}

int config_parse(const char *text, size_t n, const struct config_context *context, struct config *c, struct err *e)
{
	struct config made = { .memory = config_memory_new() };

	if (!made.memory)
		return err_nomem(e);
	if (parse(text, n, context, &made, e)) {
		config_memory_free(made.memory);
		return -1;
	}
	*c = made;
	return 0;
}

int config_of_words(const char *path, const char *replica, bool is_path, const struct config_context *context,
                    struct config *c, struct err *e)
{
	struct config_db *db;
	char *kept;

	if (config_parse("", 0, context, c, e))
		return -1;
	db = config_db_new(c, e);
	kept = db ? config_memory_text(c->memory, replica, strlen(replica)) : NULL;
	if (!kept) {
		config_free(c);
		return db ? err_nomem(e) : -1;
	}
	db->path = path;
	if (is_path)
		db->replicas->settings.path = kept;
	else
		db->replicas->settings.url = kept;
	if (expand_text(c, context, &db->path, e) == 0)
		return 0;
	config_free(c);
	return -1;
}

void config_free(struct config *c)
{
	config_memory_free(c->memory);
	*c = (struct config){ .memory = NULL };
}

/* To the end, whatever it is that can be read: a shell's <(…) is a pipe. */
static int read_file(const char *path, struct buf *out, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	struct err why = ERR_INIT;
	struct os_stat st;
	size_t got = 1;
	int rc = -1;

	if (os_file_open(&f, path, O_RDONLY, 0, &why)) {
		if (err_is(&why, ERR_NOT_FOUND))
			return err_set(e, ERR_NOT_FOUND, "config file not found: %s", path);
		*e = why;
		return -1;
	}
	if (os_file_stat(&f, &st, e))
		goto out;
	if (st.is_dir) {
		err_set(e, ERR_INVALID, "read %s: is a directory", path);
		goto out;
	}
	while (got && out->len <= CONFIG_FILE_MAX) {
		uint8_t *room = buf_reserve(out, 64 << 10);

		if (!room) {
			err_nomem(e);
			goto out;
		}
		if (os_file_read_next(&f, room, 64 << 10, &got, e))
			goto out;
		out->len += got;
	}
	rc = 0;
	if (out->len > CONFIG_FILE_MAX)
		rc = err_set(e, ERR_LIMIT, "config file %s is too large: more than %d bytes", path, CONFIG_FILE_MAX);
out:
	os_file_close(&f);
	return rc;
}

int config_load(const char *path, bool expand_env, struct config *c, struct err *e)
{
	struct config_context x = { .expand_env = expand_env, .pid = os_pid() };
	struct buf text = { .limit = CONFIG_FILE_MAX + (256 << 10) };
	char *cwd = NULL, *home = os_home(), *file = NULL;
	int rc = -1;

	if (os_cwd(&cwd, e) || text_path_expand(path, cwd, home, &file, e) || read_file(file, &text, e))
		goto out;
	x.cwd = cwd;
	x.home = home;
	if (config_parse(buf_text(&text), text.len, &x, c, e))
		goto out;
	c->file = config_memory_text(c->memory, file, strlen(file));
	rc = 0;
	if (!c->file) {
		config_free(c);
		rc = err_nomem(e);
	}
out:
	buf_free(&text);
	free(file);
	free(home);
	free(cwd);
	return rc;
}
