/* SPDX-License-Identifier: MIT */
/* The output of a restore: OUTPUT.tmp, locked, until it is whole; then its name. */
#include <fcntl.h>
#include <stdlib.h>

#include "lib/base/text.h"
#include "lib/restore/internal.h"

enum { OPEN_TRIES = 10 };

static int check_absent(const struct restore_options *o, struct err *e)
{
	const char *path = o->output;
	struct os_stat st;
	struct err why = ERR_INIT;

	if (o->replace)
		return 0;
	if (os_stat(path, &st, &why) == 0)
		return err_set(e, ERR_EXISTS, "cannot restore, output path already exists: %s", path);
	if (why.code == ERR_NOT_FOUND)
		return check_no_sidecars(path, true, "cannot restore", e);
	if (e)
		*e = why;
	return -1;
}

/*
 * Opens OUTPUT.tmp and locks it, so that a second restore to the same place cannot mix its pages with ours. One that a
 * crash has left is taken over.
 */
static int open_output(struct output *r, struct err *e)
{
	mode_t mode = r->options->file_mode ? r->options->file_mode : 0644;

	for (int i = 0; i < OPEN_TRIES; i++) {
		struct err why = ERR_INIT;
		struct os_stat ours, named;

		if (os_file_open(&r->file, r->tmp_path, O_RDWR | O_CREAT | O_NOFOLLOW, mode, e) != 0)
			return -1;
		if (os_file_lock(&r->file, &why) != 0 && why.code == ERR_BUSY) {
			os_file_close(&r->file); /* not ours to remove */
			break;
		}
		/* Between open and lock another one may have finished: then our file has another name, or none. */
		if (os_file_stat(&r->file, &ours, e) != 0)
			return -1;
		if (os_stat(r->tmp_path, &named, NULL) == 0 && ours.ino == named.ino && ours.dev == named.dev)
			return os_file_truncate(&r->file, 0, e);
		os_file_close(&r->file);
	}
	return err_set(e, ERR_BUSY, "another restore to %s is running", r->options->output);
}

int output_begin(struct output *r, struct err *e)
{
	const struct restore_options *o = r->options;
	struct os_owner owner = { 0700, (uint32_t)-1, (uint32_t)-1 };

	if (check_absent(o, e) != 0)
		return -1;
	r->dir = text_path_dir(o->output);
	if (!r->dir)
		return err_nomem(e);
	r->tmp_path = path_with(o->output, ".tmp", e);
	if (!r->tmp_path)
		return -1;
	if (o->dir_owner.mode != 0)
		owner = o->dir_owner;
	if (os_dir_make(r->dir, &owner, e) != 0)
		return err_wrap(e, "create parent directory");
	if (open_output(r, e) != 0)
		return -1;
	return remove_sidecars(r->tmp_path, e);
}

int output_finish(struct output *r, int (*commit)(void *ctx, uint64_t txid, struct err *e), void *ctx, uint64_t txid,
                  struct err *e)
{
	const struct restore_options *o = r->options;

	if (o->check != RESTORE_CHECK_NONE) {
		if (restore_check_database(r->tmp_path, o->check, o->cancel, e) != 0)
			return e && e->code == ERR_CANCELLED ? -1 : err_wrap(e, "post-restore integrity check");
	}
	if (os_file_sync(&r->file, e) != 0 || check_absent(o, e) != 0)
		return -1;
	if (restore_cancelled(o->cancel))
		return restore_set_cancelled(e);
	if (commit && commit(ctx, txid, e) != 0)
		return -1;
	/* First what belonged to the old one: SQLite would replay its WAL into the new one. */
	if (o->replace && remove_sidecars(o->output, e) != 0)
		return err_wrap(e, "remove existing output path");
	if (os_rename(r->tmp_path, o->output, e) != 0)
		return -1;
	if (os_dir_sync(r->dir, e) == 0) {
		r->done = true;
		return 0;
	}
	if (!o->replace)
		os_unlink(o->output, NULL);
	return -1;
}

void output_end(struct output *r)
{
	/* Only what we hold locked is ours to remove. */
	if (!r->done && os_file_is_open(&r->file))
		os_unlink(r->tmp_path, NULL);
	os_file_close(&r->file);
	free(r->tmp_path);
	free(r->dir);
}
