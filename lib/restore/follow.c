/* SPDX-License-Identifier: MIT */
/* Follow mode: a database that keeps up with a replica (replication.md §7.3, cases.md §3.3). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/restore/internal.h"

enum {
	INTERVAL_DEFAULT_MS = 1000,
	SLEEP_PIECE_MS = 50,
	FULL_LOOK_MAX_MS = 60000,   /* the longest time between looks at all levels */
	STUCK_MS = 60000,           /* without progress, though there is something: said aloud */
	WARN_EVERY_MS = 30000,
	RESTORE_ANEW_LOOKS = 2,     /* a replica must have gone back in so many looks before we believe it */
	AVOID_MAX = 64,
};

struct follow {
	struct replica *replica;
	const struct restore_follow_options *options;
	struct restore_options restore;
	const char *output;
	char *dir;
	struct os_file file;
	uint32_t page_size;
	uint64_t txid;                 /* of the database */
	int64_t interval_ms;
	struct replica_list files;     /* of the last look */
	struct restore_plan plan;
	struct replica_list avoid;     /* files that turned out to be damaged or gone */
	int64_t full_look_ms, full_look_due_us;
	int64_t stuck_since_us;        /* 0: not stuck */
	struct err warned;             /* the last error that was told */
	int64_t warned_us;
	int looks_behind;              /* full looks in a row that showed only older transactions than ours */
};

static bool cancelled(const struct follow *f)
{
	return restore_cancelled(f->restore.cancel);
}

/* What stays wrong is said now and then, not at every look. */
static void warn(struct follow *f, const char *msg, const struct err *why)
{
	int64_t now = os_mono_us();

	if (strcmp(f->warned.text, why->text) == 0 && now - f->warned_us < WARN_EVERY_MS * INT64_C(1000))
		return;
	f->warned = *why;
	f->warned_us = now;
	if (f->options->warn)
		f->options->warn(f->options->ctx, msg, why);
}

static int open_database(struct follow *f, struct err *e)
{
	uint8_t bytes[2];
	size_t got;

	if (os_file_open(&f->file, f->output, O_RDWR, 0, e) != 0)
		return err_wrap(e, "open database for follow");
	if (os_file_read(&f->file, bytes, sizeof(bytes), 16, &got, e) != 0)
		return err_wrap(e, "read page size from database header");
	if (got < sizeof(bytes))
		return err_set(e, ERR_CORRUPT, "read page size from database header: EOF");
	f->page_size = (uint32_t)bytes[0] << 8 | bytes[1];
	if (f->page_size == 1)
		f->page_size = LTX_PAGE_SIZE_MAX;
	if (!ltx_page_size_valid(f->page_size))
		return err_set(e, ERR_CORRUPT, "read page size from database header: invalid page size %u",
		               f->page_size);
	return 0;
}

/* ---- the start ---- */

/* Before the database gets its name: one that is there always has a sidecar. */
static int write_first_sidecar(void *ctx, uint64_t txid, struct err *e)
{
	struct follow *f = ctx;

	return txid_file_write(f->output, txid, e);
}

static int restore_first(struct follow *f, struct err *e)
{
	struct restore_target latest = { .txid = 0 };
	struct restore_result result;

	if (restore_plan_list(f->replica, &latest, &f->files, &f->plan, e) != 0)
		return -1;
	if (restore_with_list(f->replica, &f->files, &f->restore, write_first_sidecar, f, &f->plan, &result, e) != 0)
		return -1;
	f->txid = result.txid;
	return 0;
}

static int look(struct follow *f, int from, int to, uint64_t seek, struct err *e);
static uint64_t newest(const struct follow *f);

/* Nothing leads on from where we are, because the snapshots begin behind it: waiting would not help. */
static int check_not_pruned(struct follow *f, struct err *e)
{
	char ours[TEXT_TXID_SIZE], first[TEXT_TXID_SIZE];
	uint64_t min = UINT64_MAX;

	if (look(f, 0, LTX_LEVEL_MAX, 0, e) != 0)
		return err_wrap(e, "cannot validate saved TXID for crash recovery");
	if (newest(f) <= f->txid)
		return 0;
	if (restore_plan_extend(&f->files, f->txid, 0, true, &f->plan, e) != 0)
		return -1;
	for (int i = 0; i < f->files.count; i++) {
		const struct replica_item *item = &f->files.items[i];

		if (item->level == LTX_LEVEL_SNAPSHOT && item->min_txid < min)
			min = item->min_txid;
	}
	if (f->plan.count > 0 || min == UINT64_MAX || min <= f->txid)
		return 0;
	return err_set(e, ERR_GAP, "cannot resume follow mode: saved TXID %s is behind the earliest snapshot "
	               "(min TXID %s); replica history has been pruned -- delete %s and %s-txid to re-restore",
	               text_txid(ours, f->txid), text_txid(first, min), f->output, f->output);
}

static int resume(struct follow *f, struct err *e)
{
	if (txid_file_read(f->output, &f->txid, e) != 0)
		return err_wrap(e, "read txid file for crash recovery");
	if (f->txid == 0) {
		return err_set(e, ERR_INVALID, "cannot resume follow mode: database exists but no -txid file found; "
		               "delete the database to re-restore: %s", f->output);
	}
	/* Frames or pages of another time would be put over what we write. A -shm alone is a reader's. */
	if (check_no_sidecars(f->output, false, "cannot resume follow mode", e) != 0)
		return -1;
	return check_not_pruned(f, e);
}

static int start(struct follow *f, struct err *e)
{
	struct os_stat st;
	struct err why = ERR_INIT;
	bool there = os_stat(f->output, &st, &why) == 0;

	if (!there && why.code != ERR_NOT_FOUND) {
		if (e)
			*e = why;
		return -1;
	}
	if ((there ? resume(f, e) : restore_first(f, e)) != 0 || open_database(f, e) != 0)
		return -1;
	if (f->options->started)
		f->options->started(f->options->ctx, f->txid, there);
	return 0;
}

/* ---- one look ---- */

static bool is_avoided(const struct follow *f, const struct replica_item *item)
{
	for (int i = 0; i < f->avoid.count; i++) {
		const struct replica_item *a = &f->avoid.items[i];

		if (a->level == item->level && a->min_txid == item->min_txid && a->max_txid == item->max_txid)
			return true;
	}
	return false;
}

static int look(struct follow *f, int from, int to, uint64_t seek, struct err *e)
{
	int n = 0;

	f->files.count = 0;
	for (int level = from; level <= to; level++) {
		if (f->replica->ops->list(f->replica, level, level == 0 ? seek : 0, false, &f->files, e) != 0)
			return -1;
	}
	for (int i = 0; i < f->files.count; i++) {
		if (!is_avoided(f, &f->files.items[i]))
			f->files.items[n++] = f->files.items[i];
	}
	f->files.count = n;
	return 0;
}

static uint64_t newest(const struct follow *f)
{
	uint64_t max = 0;

	for (int i = 0; i < f->files.count; i++) {
		if (f->files.items[i].max_txid > max)
			max = f->files.items[i].max_txid;
	}
	return max;
}

/*
 * Finds the files that lead on, cheaply if that is possible: level 0 from our TXID on says all while it has no gap. The
 * other levels are asked for when it has, and now and then, because level 0 may have been emptied. Snapshots, which
 * have all pages, come last.
 */
static int find_files(struct follow *f, struct err *e)
{
	if (look(f, 0, 0, f->txid + 1, e) != 0 || restore_plan_extend(&f->files, f->txid, 0, false, &f->plan, e) != 0)
		return -1;
	if (f->plan.count > 0)
		return 0;
	if (!f->replica->local && os_mono_us() < f->full_look_due_us)
		return 0;
	if (look(f, 0, LTX_LEVEL_MAX, 0, e) != 0)
		return -1;
	uint64_t known = newest(f);
	f->looks_behind = f->files.count > 0 && known < f->txid && f->avoid.count == 0 ? f->looks_behind + 1 : 0;
	if (known <= f->txid)
		f->stuck_since_us = 0;
	else if (f->stuck_since_us == 0)
		f->stuck_since_us = os_mono_us();
	f->full_look_ms = f->full_look_ms * 2 < FULL_LOOK_MAX_MS ? f->full_look_ms * 2 : FULL_LOOK_MAX_MS;
	f->full_look_due_us = os_mono_us() + f->full_look_ms * 1000;
	if (restore_plan_extend(&f->files, f->txid, 0, false, &f->plan, e) != 0)
		return -1;
	if (f->plan.count > 0)
		return 0;
	/* No other way: what was damaged may have been replaced. */
	f->avoid.count = 0;
	return restore_plan_extend(&f->files, f->txid, 0, true, &f->plan, e);
}

static void progressed(struct follow *f)
{
	f->avoid.count = 0;
	f->stuck_since_us = 0;
	f->looks_behind = 0;
	f->full_look_ms = f->interval_ms;
	f->full_look_due_us = os_mono_us() + f->full_look_ms * 1000;
}

/*
 * The replica began anew, and what it has now is another database's history, or the page size was changed. The new file
 * takes the old one's name first: should we die before the sidecar follows, the same will be found again.
 */
static int restore_anew(struct follow *f, struct err *e)
{
	struct restore_target latest = { .txid = 0 };
	struct restore_options ro = f->restore;
	struct restore_result result;
	char *path = path_with(f->output, ".new", e);
	uint64_t from = f->txid;
	int rc = -1;

	if (!path)
		return -1;
	ro.output = path;
	if (os_unlink(path, e) != 0 || restore_plan_calc(&f->files, &latest, &f->plan, e) != 0)
		goto out;
	if (restore_with_list(f->replica, &f->files, &ro, NULL, NULL, &f->plan, &result, e) != 0)
		goto out;
	if (os_rename(path, f->output, e) != 0) {
		os_unlink(path, NULL);
		goto out;
	}
	os_file_close(&f->file);
	if (os_dir_sync(f->dir, e) != 0 || txid_file_write(f->output, result.txid, e) != 0 || open_database(f, e) != 0)
		goto out;
	f->txid = result.txid;
	progressed(f);
	if (f->options->applied)
		f->options->applied(f->options->ctx, from, f->txid);
	rc = 0;
out:
	free(path);
	return rc;
}

static int apply_plan(struct follow *f, struct err *e)
{
	struct apply a = {
		.file = &f->file,
		.page_size = f->page_size,
		.dir = f->dir,
		.parallelism = f->restore.parallelism,
		.cancel = f->restore.cancel,
	};

	for (int i = 0; i < f->plan.count && !cancelled(f); i += a.applied) {
		if (apply_batch(&a, f->replica, &f->plan, i, e) != 0) {
			if (a.other_page_size) {
				err_clear(e);
				if (look(f, 0, LTX_LEVEL_MAX, 0, e) == 0 && restore_anew(f, e) == 0)
					return 0;
			}
			/* Next time around it, if there is a way around. */
			if (a.has_bad && f->avoid.count < AVOID_MAX && replica_list_add(&f->avoid, &a.bad, NULL) == 0)
				f->full_look_due_us = 0;
			return -1;
		}
		uint64_t to = f->plan.items[i + a.applied - 1].max_txid, from = f->txid;
		if (txid_file_write(f->output, to, e) != 0)
			return err_wrap(e, "write txid file");
		f->txid = to;
		progressed(f);
		if (f->options->applied)
			f->options->applied(f->options->ctx, from, to);
	}
	return 0;
}

static int tick(struct follow *f, struct err *e)
{
	char have[TEXT_TXID_SIZE], want[TEXT_TXID_SIZE];

	if (!os_file_is_open(&f->file) && open_database(f, e) != 0)
		return -1;
	if (find_files(f, e) != 0)
		return -1;
	if (f->looks_behind >= RESTORE_ANEW_LOOKS) {
		f->looks_behind = 0;
		return restore_anew(f, e);
	}
	if (f->plan.count > 0)
		return apply_plan(f, e);
	if (f->stuck_since_us > 0 && os_mono_us() - f->stuck_since_us >= STUCK_MS * INT64_C(1000)) {
		f->stuck_since_us = os_mono_us();
		return err_set(e, ERR_GAP, "no progress: the replica has transactions up to %s, but none that follow "
		               "%s", text_txid(want, newest(f)), text_txid(have, f->txid));
	}
	return 0;
}

static void sleep_until_next(const struct follow *f)
{
	for (int64_t left = f->interval_ms; left > 0 && !cancelled(f); left -= SLEEP_PIECE_MS)
		os_sleep_ms(left < SLEEP_PIECE_MS ? left : SLEEP_PIECE_MS);
}

int restore_follow(struct replica *r, const struct restore_follow_options *o, struct err *e)
{
	struct follow f = {
		.replica = r,
		.options = o,
		.restore = o->restore,
		.output = o->restore.output,
		.file = OS_FILE_NONE,
	};
	int rc = -1;

	f.restore.rollback_header = true;
	f.interval_ms = o->interval_ms > 0 ? o->interval_ms : INTERVAL_DEFAULT_MS;
	progressed(&f);
	f.dir = text_path_dir(f.output);
	if (!f.dir) {
		err_nomem(e);
		goto out;
	}
	if (start(&f, e) != 0)
		goto out;
	while (!cancelled(&f)) {
		struct err why = ERR_INIT;

		if (tick(&f, &why) != 0 && !cancelled(&f))
			warn(&f, "follow: error applying updates", &why);
		sleep_until_next(&f);
	}
	rc = 0;
out:
	os_file_close(&f.file);
	replica_list_free(&f.files);
	replica_list_free(&f.avoid);
	restore_plan_free(&f.plan);
	free(f.dir);
	return rc;
}
