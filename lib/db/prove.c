/* SPDX-License-Identifier: MIT */
/*
 * prove.c - where does what we have stand relative to the WAL as it is now? The rule of the whole program.
 *
 * A position says: everything up to `offset` of the generation with salts S is in our files, and the running checksum
 * there was C. The WAL now has the header H.
 *
 *   The frame that ends at offset is intact   - its header holds S and C (or, where C was never known because the files
 *                                               are Litestream's, S and the very page that the newest file holds): the
 *                                               log up to there is the one we read.
 *   H has the salts S, intact                 - INCREMENT: go on at offset.
 *   other salts, our lock was never given up  - a restart needs everything backfilled, which our read mark prevents
 *                                               beyond what we read; so exactly the next generation follows: HEAD.
 *   other salts after a time without the lock - salt1 grows by one with each restart by a writer. One step, and the old
 *                                               frame still intact: the new generation is shorter than our offset, so
 *                                               whatever the old one got after us is still on disk behind it - unless
 *                                               journal_size_limit has cut the file at the restart; a file that was cut
 *                                               does not end with a frame. The chain of S from C finds it: TAIL first,
 *                                               if it holds commits, then HEAD. Not after a start of the machine: a
 *                                               loss of power may have taken frames before ours, and the restart has
 *                                               hidden it; nor where frames stand behind the end of the chain (tail.c).
 *   other salts, or another frame, but the    - we let go of it (rest.c) when all that was read was in it: what is not
 *   database file untouched since               in the WAL as it is now has never been. HEAD.
 *   anything else                             - not proven: SNAPSHOT, a full copy under the next TXID.
 *
 * Random histories against this rule are in tests/model.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/db/internal.h"
#include "lib/ltx/file.h"
#include "lib/os/clock.h"
#include "lib/wal/bytes.h"

static int wal_read(void *ctx, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e)
{
	return os_file_read(ctx, bytes, n, offset, got, e);
}

struct wal_source db_wal_source(struct db *d)
{
	return (struct wal_source){ wal_read, &d->wal };
}

static bool names(const struct wal_header *h, uint32_t salt1, uint32_t salt2)
{
	return h->salt1 == salt1 && h->salt2 == salt2;
}

/* Nothing in the generation of the position is unread, whatever comes after it. */
static bool all_was_read(const struct db *d, const struct wal_header *h)
{
	return d->continuity && !d->snapshot_reason && names(h, d->position.salt1, d->position.salt2);
}

/*
 * The header and the index that belong together: the index must not move while the header is read, and both must name
 * the same generation. Between a reset of the log and its first commit they do not; how far the old generation was
 * committed can then no longer be told, and its frames may include a commit that failed at its last step.
 */
static int read_log_state(struct db *d, struct db_proof *p, struct err *e)
{
	uint8_t bytes[WAL_HEADER_SIZE];
	size_t got;

	for (int i = 0; i < 20; i++) {
		int rc;

		if (db_index_read(d, &p->index, e) || os_file_read(&d->wal, bytes, sizeof(bytes), 0, &got, e))
			return -1;
		rc = wal_header_parse(bytes, got, &p->header, e);
		if (rc < 0)
			return err_wrap(e, "%s", d->wal_path);
		if (rc == WAL_HEADER_OK && !wal_index_changed(d->index, p->index.raw) &&
		    (names(&p->header, p->index.salt1, p->index.salt2) || all_was_read(d, &p->header)))
			return 0;
		/* Another process is writing a header at this moment, has truncated the log or died:
		 * ours makes it exist. */
		if (i == 10 && db_bump(d, e))
			return -1;
		if (i > 2)
			os_sleep_ms(1);
	}
	return err_set(e, ERR_BUSY, "%s changes too fast to be read", d->wal_path);
}

/* Without a remembered checksum: the page in the frame must be the one that the newest local file holds. */
static int frame_page_is_ours(struct db *d, struct db_work *w, const uint8_t *frame, struct err *e)
{
	char *path = db_l0_path(d, d->position.txid);
	struct os_file f = OS_FILE_NONE;
	struct os_stat st;
	int rc = -1;

	if (!path)
		return err_nomem(e);
	if (os_file_open(&f, path, O_RDONLY, 0, e) || os_file_stat(&f, &st, e))
		goto out;
	rc = ltx_page_read(ltx_file_random(&f, st.size), wal_be32(frame), w->page, w->frame, e);
	if (rc > 0)
		rc = !memcmp(w->page, frame + WAL_FRAME_HEADER_SIZE, d->page_size);
out:
	os_file_close(&f);
	free(path);
	return rc;
}

/* 1, 0, -1: is the frame that ends at the position the one that was read? On 1 *c is the chain's checksum there. */
static int frame_is_intact(struct db *d, struct db_work *w, struct wal_checksum *c, struct err *e)
{
	const struct db_position *pos = &d->position;
	int64_t size = wal_frame_size(d->page_size);
	const uint8_t *frame = w->buffer;
	size_t got;

	if (pos->offset == WAL_HEADER_SIZE)
		return 1;
	if (pos->offset < wal_offset(d->page_size, 1) || (pos->offset - WAL_HEADER_SIZE) % size)
		return 0;
	if (os_file_read(&d->wal, w->buffer, (size_t)size, pos->offset - size, &got, e))
		return -1;
	if ((int64_t)got < size || wal_be32(frame + 8) != pos->salt1 || wal_be32(frame + 12) != pos->salt2)
		return 0;
	*c = (struct wal_checksum){ wal_be32(frame + 16), wal_be32(frame + 20) };
	if (pos->has_checksum)
		return c->s0 == pos->checksum.s0 && c->s1 == pos->checksum.s1;
	return frame_page_is_ours(d, w, frame, e);
}

static int snapshot(struct db_proof *p, const char *reason)
{
	p->step = DB_STEP_SNAPSHOT;
	p->reason = reason;
	return 0;
}

/* The generation that the header names, from its first frame. */
static void head(struct db_proof *p, enum db_step step)
{
	p->step = step;
	p->start = WAL_HEADER_SIZE;
	p->salt1 = p->header.salt1;
	p->salt2 = p->header.salt2;
	p->big_endian = p->header.big_endian;
	p->checksum = p->header.checksum;
}

/* The generation of the position, from there on. */
static void go_on(struct db *d, struct db_proof *p, enum db_step step, struct wal_checksum c, bool big_endian)
{
	p->step = step;
	p->start = d->position.offset;
	p->salt1 = d->position.salt1;
	p->salt2 = d->position.salt2;
	p->big_endian = big_endian;
	p->checksum = c;
}

enum old_generation {
	OLD_GREW,  /* there are commits behind the position */
	OLD_ENDED, /* there is nothing, and there never was */
	OLD_CUT,   /* there is nothing, but the file was cut, so there may have been more */
	OLD_ODD,   /* what follows is of this generation, but outside its chain (tail.c) */
};

/* What has the old generation got behind the position? enum old_generation, or -1. */
static int look_behind(struct db *d, struct db_work *w, struct wal_checksum c, bool big_endian, struct err *e)
{
	const struct db_position *pos = &d->position;
	int64_t frame = wal_frame_size(d->page_size);
	struct wal_scan scan;
	struct os_stat st;
	int ends;

	wal_scan_begin(&scan, d->page_size, big_endian, pos->salt1, pos->salt2, pos->offset, c);
	/* One commit is answer enough. */
	if (wal_scan_run(&scan, db_wal_source(d), INT64_MAX, 1, NULL, w->buffer, sizeof(w->buffer), e) < 0 ||
	    os_file_stat(&d->wal, &st, e))
		return -1;
	if (scan.commit_end > pos->offset)
		return OLD_GREW;
	ends = db_tail_ends(d, &scan, e);
	if (ends <= 0)
		return ends ? -1 : OLD_ODD;
	/*
	 * A cut leaves exactly journal_size_limit bytes (or the new generation alone, which would not leave our frame):
	 * some number that a user chose, not one of whole frames. The brake's own limit is made so, too (checkpoint.c).
	 * A transaction that only the end of the file leaves unfinished was cut all the same.
	 */
	if (scan.offset + frame <= st.size)
		return OLD_ENDED;
	if (scan.offset == pos->offset && (st.size - WAL_HEADER_SIZE) % frame == 0)
		return OLD_ENDED;
	return OLD_CUT;
}

static int decide(struct db *d, struct db_work *w, struct db_proof *p, struct err *e)
{
	const struct db_position *pos = &d->position;
	struct wal_checksum c = p->header.checksum;
	bool same = names(&p->header, pos->salt1, pos->salt2);
	bool next = p->header.salt1 == pos->salt1 + 1;
	bool big_endian = pos->has_checksum ? pos->big_endian : p->header.big_endian;
	int intact, behind;

	if (!pos->txid)
		return snapshot(p, "first sync");
	if (d->snapshot_reason)
		return snapshot(p, d->snapshot_reason);
	if (!pos->has_place)
		return snapshot(p, "replica is ahead");
	if (!same && d->untouched) {
		head(p, DB_STEP_HEAD);
		return 0;
	}
	if (!same && d->continuity) {
		if (next)
			head(p, DB_STEP_HEAD);
		else
			snapshot(p, "wal restarted while it was locked");
		return 0;
	}
	intact = frame_is_intact(d, w, &c, e);
	if (intact < 0)
		return -1;
	if (same) {
		if (intact)
			go_on(d, p, DB_STEP_INCREMENT, c, p->header.big_endian);
		else if (d->untouched)
			head(p, DB_STEP_HEAD);
		else
			snapshot(p, "last page does not exist in last ltx file, wal overwritten by another process");
		return 0;
	}
	if (pos->offset == WAL_HEADER_SIZE || !intact || !next)
		return snapshot(p,
		                intact ? "wal header salt reset, snapshotting" : "wal overwritten by another process");
	if (!pos->same_boot)
		return snapshot(p, "wal restarted since the machine was started");
	behind = look_behind(d, w, c, big_endian, e);
	/* While we looked the new generation may have grown over our frame and on over what lay behind it. */
	if (behind >= 0)
		intact = frame_is_intact(d, w, &c, e);
	if (behind < 0 || intact < 0)
		return -1;
	if (!intact)
		return snapshot(p, "wal overwritten by another process");
	if (behind == OLD_GREW)
		go_on(d, p, DB_STEP_TAIL, c, big_endian);
	else if (behind == OLD_ENDED)
		head(p, DB_STEP_HEAD);
	else
		snapshot(p, behind == OLD_ODD ? "the old end of the wal is not proven"
		                              : "the old end of the wal may have been cut off");
	return 0;
}

int db_prove(struct db *d, struct db_work *w, struct db_proof *p, struct err *e)
{
	*p = (struct db_proof){ .step = DB_STEP_NONE };
	if (read_log_state(d, p, e))
		return -1;
	if (p->header.page_size != d->page_size)
		return err_set(e, ERR_CORRUPT, "%s has pages of %u bytes, the database has %u", d->wal_path,
		               (unsigned)p->header.page_size, (unsigned)d->page_size);
	if (!names(&p->header, p->index.salt1, p->index.salt2))
		return 0; /* the next generation has no commit yet */
	if (decide(d, w, p, e))
		return -1;
	if (p->step == DB_STEP_SNAPSHOT)
		head(p, DB_STEP_SNAPSHOT);
	/* A commit counts once it is published in the wal-index;
	 * the old generation's are checked when they are written. */
	p->end_max = p->step == DB_STEP_TAIL ? INT64_MAX : wal_offset(d->page_size, p->index.frames);
	if (p->step != DB_STEP_INCREMENT)
		return 0;
	if (p->end_max == p->start) {
		p->step = DB_STEP_NONE;
	} else if (p->end_max < p->start) {
		/* After a crash SQLite may have found less of the log valid than we did:
		 * it will write over the rest. */
		snapshot(p, "wal is shorter than what was read of it");
		head(p, DB_STEP_SNAPSHOT);
	}
	return 0;
}
