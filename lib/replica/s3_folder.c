/* SPDX-License-Identifier: MIT */
/* What lies beside LTX files: keys as folders and names, for backups of Litestream v0.3. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/replica/s3_kind.h"

struct name {
	char *text;
	int64_t size, created_ms; /* size -1: a folder */
};

struct folder_walk {
	size_t prefix_len;
	struct name *names;
	int count, cap, page_start;
};

static int add_name(struct folder_walk *w, const char *key, int64_t size, int64_t created_ms, struct err *e)
{
	const char *text = strlen(key) > w->prefix_len ? key + w->prefix_len : "";
	size_t n = strcspn(text, "/");

	if (n == 0)
		return 0;
	if (w->count == w->cap) {
		int cap = w->cap ? w->cap * 2 : 32;
		struct name *names = realloc(w->names, (size_t)cap * sizeof(*names));

		if (!names)
			return err_nomem(e);
		w->names = names;
		w->cap = cap;
	}
	w->names[w->count] = (struct name){ strndup(text, n), size, created_ms };
	return w->names[w->count++].text ? 0 : err_nomem(e);
}

static int walk_object(void *ctx, const struct s3_object *o, struct err *e)
{
	return add_name(ctx, o->key, o->size, o->modified_ms, e);
}

static int walk_folder(void *ctx, const char *key, struct err *e)
{
	return add_name(ctx, key, -1, 0, e);
}

static void walk_page(void *ctx, bool again)
{
	struct folder_walk *w = ctx;

	while (again && w->count > w->page_start)
		free(w->names[--w->count].text);
	w->page_start = w->count;
}

/* As Litestream v0.3 had it: joined and clean. malloc'ed. */
static char *path_key(const struct replica *r, const char *path, bool folder, struct err *e)
{
	char *joined = NULL, *clean, *key = NULL;

	if (asprintf(&joined, "%s%s%s", r->prefix, r->prefix[0] ? "/" : "", path) < 0)
		joined = NULL;
	clean = joined ? text_path_clean(joined) : NULL;
	if (clean && asprintf(&key, "%s%s", clean, folder ? "/" : "") < 0)
		key = NULL;
	free(joined);
	free(clean);
	if (!key)
		err_nomem(e);
	return key;
}

int s3_visit_folder(struct replica *r, const char *folder, replica_visit *visit, void *ctx, struct err *e)
{
	struct folder_walk w = { .names = NULL };
	char *prefix = path_key(r, folder, true, e);
	const struct s3_list l = { .prefix = prefix, .one_level = true, .object = walk_object, .folder = walk_folder,
		.page = walk_page, .ctx = &w };
	int rc = -1;

	if (prefix) {
		w.prefix_len = strlen(prefix);
		rc = s3_list(s3_self(r)->client, &l, r->cancel, e);
	}
	for (int i = 0; i < w.count; i++) {
		if (rc == 0)
			rc = visit(ctx, w.names[i].text, w.names[i].size, w.names[i].created_ms, e);
		free(w.names[i].text);
	}
	free(w.names);
	free(prefix);
	return rc;
}

int s3_open_path(struct replica *r, const char *path, int64_t offset, struct replica_reader **reader,
                             struct err *e)
{
	char *key = path_key(r, path, false, e);
	int rc = key ? s3_open_key(r, key, offset, -1, -1, reader, e) : -1;

	free(key);
	return rc;
}
