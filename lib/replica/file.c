/* SPDX-License-Identifier: MIT */
/*
 * The file kind: a folder with ltx/LEVEL/MIN-MAX.ltx (ltx.md §8.2), the modification time being the time of the header.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/replica/file_kind.h"

enum { READ_AHEAD_MIN = 256 << 10 };

/* ---- figures ---- */

int file_count(enum replica_operation op, int64_t began_us, int64_t bytes, int rc, const struct err *e)
{
	replica_stats_done("file", op, os_mono_us() - began_us);
	if (rc)
		replica_stats_failed("file", op, replica_stats_code(e));
	else if (bytes)
		replica_stats_bytes("file", op, bytes);
	return rc;
}

/* ---- names ---- */

char *file_level_folder(const struct replica *r, int level, struct err *e)
{
	char *folder = NULL;

	if (asprintf(&folder, "%s%sltx/%d", r->path, strcmp(r->path, "/") == 0 ? "" : "/", level) < 0) {
		err_nomem(e);
		return NULL;
	}
	return folder;
}

char *file_item_path(const char *folder, const struct replica_item *item, const char *suffix, struct err *e)
{
	char name[LTX_NAME_SIZE], *path = NULL;

	if (asprintf(&path, "%s/%s%s", folder, ltx_name(name, item->min_txid, item->max_txid), suffix) < 0) {
		err_nomem(e);
		return NULL;
	}
	return path;
}

/* ---- list ---- */

/* A folder that is not there holds nothing. A file in its place is no empty folder: whoever took it for one would find
 * no backup where there may be one, on a disk that is not mounted, say. */
static int listed(int rc, const struct err *why, struct err *e)
{
	if (rc == 0 || (why->code == ERR_NOT_FOUND && why->sys != ENOTDIR))
		return 0;
	if (e) {
		*e = *why;
		e->code = why->sys == ENOTDIR ? ERR_SYSTEM : why->code;
	}
	return rc;
}

struct list_walk {
	int level;
	uint64_t seek;
	struct replica_list *out;
	char *path; /* FOLDER/ with room for a name */
	size_t folder_len;
};

static int visit_name(void *ctx, const char *name, struct err *e)
{
	struct list_walk *w = ctx;
	struct replica_item item = { .level = w->level };
	struct os_stat st;
	struct err why = ERR_INIT;

	if (!ltx_name_parse(name, &item.min_txid, &item.max_txid) || item.min_txid < w->seek)
		return 0;
	memcpy(w->path + w->folder_len, name, LTX_NAME_SIZE);
	if (os_stat(w->path, &st, &why) != 0) {
		if (why.code == ERR_NOT_FOUND) /* deleted since the folder was read */
			return 0;
		if (e)
			*e = why;
		return -1;
	}
	if (!st.is_regular)
		return 0;
	item.size = st.size;
	item.created_ms = st.mtime_ms;
	return replica_list_add(w->out, &item, e);
}

static int file_list(struct replica *r, int level, uint64_t seek, bool exact_times, struct replica_list *out,
                     struct err *e)
{
	struct list_walk w = { .level = level, .seek = seek, .out = out };
	struct err why = ERR_INIT;
	char *folder = file_level_folder(r, level, e);
	int rc = -1;

	(void)exact_times; /* they always are */
	if (!folder)
		return -1;
	w.folder_len = strlen(folder) + 1;
	w.path = malloc(w.folder_len + LTX_NAME_SIZE);
	if (!w.path) {
		err_nomem(e);
		goto out;
	}
	memcpy(w.path, folder, w.folder_len - 1);
	w.path[w.folder_len - 1] = '/';
	rc = listed(os_dir_list(folder, visit_name, &w, &why), &why, e);
out:
	free(folder);
	free(w.path);
	return rc;
}

struct all_walk {
	struct replica *r;
	struct replica_list *out;
};

static int visit_level(void *ctx, const char *name, struct err *e)
{
	struct all_walk *w = ctx;

	if (name[0] < '0' || name[0] > '0' + LTX_LEVEL_MAX || name[1] != '\0')
		return 0;
	return file_list(w->r, name[0] - '0', 0, true, w->out, e);
}

/* Most levels have no folder most of the time. */
static int file_list_all(struct replica *r, bool exact_times, struct replica_list *out, struct err *e)
{
	struct all_walk w = { r, out };
	struct err why = ERR_INIT;
	char *folder = text_path_join(r->path, "ltx");
	int rc;

	(void)exact_times;
	if (!folder)
		return err_nomem(e);
	rc = os_dir_list(folder, visit_level, &w, &why);
	free(folder);
	return listed(rc, &why, e);
}

/* ---- read ---- */

struct file_reader {
	struct replica_reader reader;
	struct os_file file;
	int64_t offset, end; /* end: INT64_MAX = of the file */
};

static int file_read(struct replica_reader *reader, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct file_reader *f = (struct file_reader *)reader;

	if ((int64_t)n > f->end - f->offset)
		n = (size_t)(f->end - f->offset);
	*got = 0;
	if (n > 0 && os_file_read(&f->file, bytes, n, f->offset, got, e) != 0)
		return -1;
	f->offset += (int64_t)*got;
	replica_stats_bytes("file", REPLICA_GET, (int64_t)*got);
	return 0;
}

static void file_close(struct replica_reader *reader)
{
	struct file_reader *f = (struct file_reader *)reader;

	os_file_close(&f->file);
	free(f);
}

/* Takes path over. */
static int open_at(char *path, int64_t offset, int64_t length, struct replica_reader **reader, struct err *e)
{
	struct file_reader *f = path ? calloc(1, sizeof(*f)) : NULL;

	assert(offset >= 0 && length >= -1);
	*reader = NULL;
	if (path && !f)
		err_nomem(e);
	if (!f || os_file_open(&f->file, path, O_RDONLY, 0, e) != 0) {
		free(path);
		free(f);
		return -1;
	}
	free(path);
	f->reader.read = file_read;
	f->reader.close = file_close;
	f->offset = offset;
	f->end = length < 0 || length > INT64_MAX - offset ? INT64_MAX : offset + length;
	*reader = &f->reader;
	return 0;
}

static int file_open(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
                     struct replica_reader **reader, struct err *e)
{
	char *folder = file_level_folder(r, item->level, e), *path = folder ? file_item_path(folder, item, "", e) :
		NULL;

	free(folder);
	if (open_at(path, offset, length, reader, e) != 0)
		return -1;
	if (item->size - offset >= READ_AHEAD_MIN && length < 0)
		os_file_will_read(&((struct file_reader *)*reader)->file, offset, item->size - offset);
	return 0;
}

/* ---- what is not LTX ---- */

struct folder_walk {
	const char *folder;
	replica_visit *visit;
	void *ctx;
};

static int visit_any(void *ctx, const char *name, struct err *e)
{
	struct folder_walk *w = ctx;
	struct err why = ERR_INIT;
	struct os_stat st;
	char *path = text_path_join(w->folder, name);
	int rc;

	if (!path)
		return err_nomem(e);
	rc = os_stat(path, &st, &why);
	free(path);
	if (rc != 0 && why.code == ERR_NOT_FOUND)
		return 0;
	if (rc != 0) {
		if (e)
			*e = why;
		return -1;
	}
	return st.is_dir || st.is_regular ? w->visit(w->ctx, name, st.is_dir ? -1 : st.size, st.mtime_ms, e) : 0;
}

static int file_visit_folder(struct replica *r, const char *folder, replica_visit *visit, void *ctx, struct err *e)
{
	struct err why = ERR_INIT;
	char *path = text_path_join(r->path, folder);
	struct folder_walk w = { path, visit, ctx };
	int rc;

	if (!path)
		return err_nomem(e);
	rc = os_dir_list(path, visit_any, &w, &why);
	free(path);
	return listed(rc, &why, e);
}

static int file_open_path(struct replica *r, const char *path, int64_t offset, struct replica_reader **reader,
                          struct err *e)
{
	char *whole = text_path_join(r->path, path);

	if (!whole)
		err_nomem(e);
	return open_at(whole, offset, -1, reader, e);
}

static void file_free(struct replica *r)
{
	free(r);
}

/* ---- the same, counted ---- */

static int counted_list(struct replica *r, int level, uint64_t seek, bool exact_times, struct replica_list *out,
                        struct err *e)
{
	int64_t began = os_mono_us();

	return file_count(REPLICA_LIST, began, 0, file_list(r, level, seek, exact_times, out, e), e);
}

static int counted_list_all(struct replica *r, bool exact_times, struct replica_list *out, struct err *e)
{
	int64_t began = os_mono_us();

	return file_count(REPLICA_LIST, began, 0, file_list_all(r, exact_times, out, e), e);
}

static int counted_open(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
                        struct replica_reader **reader, struct err *e)
{
	int64_t began = os_mono_us();

	return file_count(REPLICA_GET, began, 0, file_open(r, item, offset, length, reader, e), e);
}

static int counted_put(struct replica *r, const struct replica_item *item, const char *staged_path, struct err *e)
{
	int64_t began = os_mono_us();

	return file_count(REPLICA_PUT, began, item->size, file_put(r, item, staged_path, e), e);
}

static int counted_remove(struct replica *r, const struct replica_item *items, int n, struct err *e)
{
	int64_t began = os_mono_us();

	return file_count(REPLICA_DELETE, began, 0, file_remove(r, items, n, e), e);
}

static const struct replica_ops file_ops = {
	.type = "file",
	.list = counted_list,
	.open = counted_open,
	.put = counted_put,
	.remove = counted_remove,
	.create = file_create,
	.list_all = counted_list_all,
	.visit_folder = file_visit_folder,
	.open_path = file_open_path,
	.free = file_free,
};

int replica_file_create(const char *path, struct replica **out, struct err *e)
{
	struct replica *r;

	*out = NULL;
	if (path[0] == '\0')
		return err_set(e, ERR_INVALID, "file replica path required");
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_nomem(e);
	r->local = true;
	if (replica_init(r, &file_ops, path, path, e) != 0) {
		free(r);
		return -1;
	}
	*out = r;
	return 0;
}
