/* SPDX-License-Identifier: MIT */
/*
 * Storing in a folder: a file takes its name when it is complete and on the disk. What is staged on the same file
 * system is linked, anything else copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/replica/file_kind.h"

enum { COPY_SIZE = 128 << 10, WRITEBACK_EVERY = 8 << 20, STALE_MS = 3600000 };

/* ---- whole ---- */

/* Folders of a level, and their names on disk: what we store must not vanish with its folder. */
static int make_folder(struct replica *r, const char *folder, struct err *e)
{
	struct os_owner owner = r->owner_known ? r->dir_owner : (struct os_owner){ 0700, (uint32_t)-1, (uint32_t)-1 };
	char *up = strdup(folder);
	struct err why = ERR_INIT;
	int rc = -1;

	if (!up)
		return err_nomem(e);
	if (os_dir_make(folder, &owner, e) != 0)
		goto out;
	for (int i = 0; i < 3; i++) { /* ltx/, PATH/ and the folder that PATH is in */
		char *next = text_path_dir(up);

		free(up);
		up = next;
		if (!up) {
			err_nomem(e);
			goto out;
		}
		/* A folder that we may use but not open: the best we can. */
		if (os_dir_sync(up, &why) != 0 && why.sys != EACCES) {
			if (e)
				*e = why;
			goto out;
		}
	}
	rc = 0;
out:
	free(up);
	return rc;
}

/* Asked for before anything in it is: when a file has taken its place, that is what the error is about. */
static int need_folder(struct replica *r, const char *folder, struct err *e)
{
	struct os_stat st;

	return os_stat(folder, &st, NULL) == 0 && st.is_dir ? 0 : make_folder(r, folder, e);
}

/* Gives the staged file a second name, unless it has another owner, mode or time than the stored one shall have. */
static bool link_staged(struct replica *r, const struct replica_item *item, const char *staged, const char *tmp)
{
	struct os_stat st;
	uint32_t mode = r->owner_known ? r->file_owner.mode : 0600;

	if (os_stat(staged, &st, NULL) != 0 || st.mode != mode)
		return false;
	if (r->owner_known && r->file_owner.uid != (uint32_t)-1 &&
	    (st.uid != r->file_owner.uid || st.gid != r->file_owner.gid))
		return false;
	if (os_link(staged, tmp, NULL) != 0)
		return false;
	return st.mtime_ms == item->created_ms || os_set_times(tmp, item->created_ms, NULL) == 0;
}

static int copy_staged(struct replica *r, const struct replica_item *item, const char *staged, const char *tmp,
                       struct err *e)
{
	struct os_file in = OS_FILE_NONE, out = OS_FILE_NONE;
	uint32_t mode = r->owner_known ? r->file_owner.mode : 0600;
	uint8_t *buffer = malloc(COPY_SIZE);
	int64_t offset = 0;
	size_t got;
	int rc = -1;

	if (!buffer) {
		err_nomem(e);
		goto out;
	}
	if (os_file_open(&in, staged, O_RDONLY, 0, e) != 0 ||
	    os_file_open(&out, tmp, O_WRONLY | O_CREAT | O_EXCL, mode, e) != 0)
		goto out;
	do {
		if (os_file_read(&in, buffer, COPY_SIZE, offset, &got, e) != 0)
			goto out;
		if (got > 0 && os_file_write(&out, buffer, got, offset, e) != 0)
			goto out;
		offset += (int64_t)got;
	} while (got > 0);
	if (offset != item->size) {
		err_set(e, ERR_CORRUPT, "%s has %lld bytes instead of %lld", staged, (long long)offset,
		        (long long)item->size);
		goto out;
	}
	if (r->owner_known && os_set_owner(tmp, mode, r->file_owner.uid, r->file_owner.gid, e) != 0)
		goto out;
	if (os_set_times(tmp, item->created_ms, e) != 0 || os_file_sync(&out, e) != 0)
		goto out;
	rc = 0;
out:
	os_file_close(&in);
	os_file_close(&out);
	free(buffer);
	return rc;
}

int file_put(struct replica *r, const struct replica_item *item, const char *staged_path, struct err *e)
{
	char *folder = file_level_folder(r, item->level, e), *path = NULL, *tmp = NULL;
	int rc = -1;

	if (!folder || !(path = file_item_path(folder, item, "", e)) ||
	    !(tmp = file_item_path(folder, item, ".tmp", e)))
		goto out;
	if (need_folder(r, folder, e) != 0)
		goto out;
	/* A .tmp of a run that broke off may be a second name of a staged file: it is removed, never written to. */
	if (os_unlink(tmp, e) != 0)
		goto out;
	if (!link_staged(r, item, staged_path, tmp)) {
		if (os_unlink(tmp, e) != 0 || copy_staged(r, item, staged_path, tmp, e) != 0) {
			os_unlink(tmp, NULL);
			goto out;
		}
	}
	if (os_rename(tmp, path, e) != 0) {
		os_unlink(tmp, NULL);
		goto out;
	}
	/* Renaming one name of a file to another name of it does nothing at all. */
	os_unlink(tmp, NULL);
	rc = os_dir_sync(folder, e);
out:
	free(folder);
	free(path);
	free(tmp);
	return rc;
}

/* ---- as a stream ---- */

struct file_writer {
	struct replica_writer writer;
	struct replica *replica;
	struct os_file file;
	char *folder, *path, *tmp;
	int64_t offset, writeback, began_us;
};

static void writer_free(struct file_writer *f)
{
	os_file_close(&f->file);
	free(f->folder);
	free(f->path);
	free(f->tmp);
	free(f);
}

static void writer_abort(struct replica_writer *writer)
{
	struct file_writer *f = (struct file_writer *)writer;

	os_unlink(f->tmp, NULL);
	writer_free(f);
}

static int writer_write(struct replica_writer *writer, const void *bytes, size_t n, struct err *e)
{
	struct file_writer *f = (struct file_writer *)writer;

	if (os_file_write(&f->file, bytes, n, f->offset, e) != 0)
		return -1;
	f->offset += (int64_t)n;
	/* So that the flush at the end does not push everything at once. */
	if (f->offset - f->writeback >= WRITEBACK_EVERY) {
		os_file_start_writeback(&f->file, f->writeback, f->offset - f->writeback);
		f->writeback = f->offset;
	}
	return 0;
}

static int writer_finish(struct replica_writer *writer, const struct replica_item *item, struct err *e)
{
	struct file_writer *f = (struct file_writer *)writer;
	const struct os_owner *owner = &f->replica->file_owner;
	int rc = -1;

	if (f->offset != item->size) {
		err_set(e, ERR_CORRUPT, "%s has %lld bytes instead of %lld", f->path, (long long)f->offset,
		        (long long)item->size);
	} else if ((!f->replica->owner_known || os_set_owner(f->tmp, owner->mode, owner->uid, owner->gid, e) == 0) &&
	           os_set_times(f->tmp, item->created_ms, e) == 0 && os_file_sync(&f->file, e) == 0 &&
	           os_rename(f->tmp, f->path, e) == 0) {
		rc = os_dir_sync(f->folder, e);
	}
	if (rc != 0)
		os_unlink(f->tmp, NULL);
	file_count(REPLICA_PUT, f->began_us, f->offset, rc, e);
	writer_free(f);
	return rc;
}

/* What a killed process left half-written: these are large, and their names do not come again. */
static int drop_stale(void *ctx, const char *name, struct err *e)
{
	const char *folder = ctx;
	size_t n = strlen(name);
	struct os_stat st;
	char *path;

	if (n < 4 || strcmp(name + n - 4, ".tmp") != 0)
		return 0;
	path = text_path_join(folder, name);
	if (!path)
		return err_nomem(e);
	if (os_stat(path, &st, NULL) == 0 && st.is_regular && os_wall_ms() - st.mtime_ms > STALE_MS)
		os_unlink(path, NULL);
	free(path);
	return 0;
}

int file_create(struct replica *r, const struct replica_item *item, struct replica_writer **writer,
                       struct err *e)
{
	uint32_t mode = r->owner_known ? r->file_owner.mode : 0600;
	struct file_writer *f = calloc(1, sizeof(*f));

	*writer = NULL;
	if (!f)
		return err_nomem(e);
	f->writer = (struct replica_writer){ writer_write, writer_finish, writer_abort };
	f->replica = r;
	f->began_us = os_mono_us();
	f->file.fd = -1;
	f->folder = file_level_folder(r, item->level, e);
	f->path = f->folder ? file_item_path(f->folder, item, "", e) : NULL;
	f->tmp = f->path ? file_item_path(f->folder, item, ".tmp", e) : NULL;
	if (!f->tmp || need_folder(r, f->folder, e) != 0 ||
	    os_dir_list(f->folder, drop_stale, f->folder, e) != 0 || os_unlink(f->tmp, e) != 0 ||
	    os_file_open(&f->file, f->tmp, O_WRONLY | O_CREAT | O_EXCL, mode, e) != 0) {
		writer_free(f);
		return -1;
	}
	*writer = &f->writer;
	return 0;
}

int file_remove(struct replica *r, const struct replica_item *items, int count, struct err *e)
{
	for (int i = 0; i < count; i++) {
		char *folder = file_level_folder(r, items[i].level, e);
		char *path = folder ? file_item_path(folder, &items[i], "", e) : NULL;
		int rc = path ? os_unlink(path, e) : -1;

		free(folder);
		free(path);
		if (rc != 0)
			return -1;
	}
	return 0;
}
