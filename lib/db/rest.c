/* SPDX-License-Identifier: MIT */
/*
 * rest.c - letting go of a quiet database, and finding out later what happened to it meanwhile.
 *
 * Nobody holds a lock for us then, so nothing is taken for granted: the rule of prove.c applies as after a restart of
 * the program. But an application that merely closes its last connection deletes the WAL, and with it what that rule
 * needs. So we let go only when every frame was moved to the database file, and remember that file's stamps at a moment
 * after which each change gives it later ones. Found untouched, under a new read lock, it still is what our newest file
 * made it: no frame of any generation was moved into it, so no generation was ended that had one, and all that was
 * committed since stands in the WAL that is there now.
 *
 * An application that only reads, and is the first and last to have the database open, touches it all the same: it finds
 * a WAL of which nothing is known to be moved, and moves it at its close. So of a small database the content is
 * remembered too, as a checksum: the same bytes are as good as no touch.
 *
 * A writer puts its last frame into the WAL and then publishes it in the wal-index, of which no event tells and which
 * no stamp shows. So the last look is taken while we hold the lock for writing: then nobody is between the two.
 */
#include "lib/base/crc64.h"
#include "lib/db/internal.h"

static bool stamp(const char *path, struct db_stamp *s, struct err *e)
{
	struct os_stat st;

	if (os_stat(path, &st, e))
		return false;
	*s = (struct db_stamp){ { st.dev, st.ino }, st.size, st.changed_ns };
	return true;
}

static bool same_stamp(const struct db_stamp *a, const struct db_stamp *b)
{
	return a->inode.ino == b->inode.ino && a->inode.dev == b->inode.dev && a->size == b->size &&
	       a->changed_ns == b->changed_ns;
}

/* Of the bytes of the database file; 0 = not known. What changes meanwhile is found to be different, or has not been read. */
static uint64_t content_sum(struct db *d, struct db_work *w, int64_t size)
{
	uint64_t sum = 0;
	int n;

	if (size > DB_COPY_SMALL)
		return 0;
	for (int64_t at = 0; at < size; at += n) {
		n = size - at < DB_BUFFER_SIZE ? (int)(size - at) : DB_BUFFER_SIZE;
		if (db_file_read(d, w->buffer, n, at, NULL))
			return 0;
		sum = crc64(sum, w->buffer, (size_t)n);
	}
	return sum;
}

/* Everything was read, and *left frames of it are not in the database file yet. 1, 0, -1 */
static int all_read(struct db *d, struct wal_index *index, uint32_t *left, struct err *e)
{
	const struct db_position *p = &d->position;

	if (db_index_read(d, index, e))
		return -1;
	*left = index->frames - index->backfilled;
	return p->has_place && !d->snapshot_reason && p->salt1 == index->salt1 &&
	       p->salt2 == index->salt2 && p->offset == wal_offset(d->page_size, index->frames);
}

/* Moves what is left, with our mark at the end of the WAL; nobody waits for that, and the lock stays. 1, 0, -1 */
static int move_all(struct db *d, struct db_work *w, struct wal_index *index, int *files, struct err *e)
{
	int frames, backfilled, rc;
	uint32_t left;

	for (int pass = 0;; pass++) {
		rc = all_read(d, index, &left, e);
		if (rc <= 0 || !left)
			return rc;
		if (pass == 2)
			return 0;
		if (db_conn_writer(d, e) || (pass == 1 && db_read_renew(d, w, files, e)) ||
		    db_checkpoint_passive(d->w, &frames, &backfilled, e)) {
			if (!err_is(e, ERR_BUSY))
				return -1;
			err_clear(e);
			return 0;
		}
	}
}

/* 1, 0, -1: with writers kept out, all is as it was when the stamps were taken. */
static int nobody_writes(struct db *d, const struct wal_index *index, const struct db_stamp *database,
                         const struct db_stamp *wal, struct err *e)
{
	struct db_stamp now;
	bool same;

	if (db_conn_writer(d, e) || db_exec(d->w, "BEGIN IMMEDIATE", "lock for writing", e)) {
		if (!err_is(e, ERR_BUSY))
			return -1;
		err_clear(e);
		return 0;
	}
	same = !wal_index_changed(d->index, index->raw) && stamp(d->path, &now, NULL) && same_stamp(&now, database) &&
	       stamp(d->wal_path, &now, NULL) && same_stamp(&now, wal);
	sqlite3_exec(d->w, "ROLLBACK", NULL, NULL, NULL);
	return same;
}

int db_rest(struct db *d, struct db_work *w, int *files, struct err *e)
{
	struct db_stamp database, wal;
	struct wal_index index;
	uint64_t sum;
	int rc = atomic_load(&d->snapshotting) ? 0 : move_all(d, w, &index, files, e);

	if (rc <= 0)
		return rc;
	if (!stamp(d->path, &database, e) || !stamp(d->wal_path, &wal, e))
		return -1;
	if (!os_stamp_settle(database.changed_ns > wal.changed_ns ? database.changed_ns : wal.changed_ns) ||
	    wal_index_changed(d->index, index.raw))
		return 0;
	sum = content_sum(d, w, database.size);
	rc = db_identity_holds(d, e);
	if (rc > 0)
		rc = nobody_writes(d, &index, &database, &wal, e);
	if (rc <= 0)
		return rc;
	d->rest.valid = true;
	d->rest.txid = d->position.txid;
	d->rest.content_sum = sum;
	d->rest.database = database;
	d->rest.wal = wal;
	db_close(d);
	return 1;
}

static bool same_content(struct db *d, struct db_work *w, const struct db_stamp *now)
{
	const struct db_stamp *then = &d->rest.database;

	return d->rest.content_sum && now->inode.ino == then->inode.ino && now->inode.dev == then->inode.dev &&
	       now->size == then->size && content_sum(d, w, now->size) == d->rest.content_sum;
}

void db_rest_look(struct db *d, struct db_work *w)
{
	struct db_stamp now;

	d->untouched = d->rest.valid && d->rest.txid == d->position.txid && stamp(d->path, &now, NULL) &&
	               (same_stamp(&now, &d->rest.database) || same_content(d, w, &now));
}

bool db_stirred(const struct db *d)
{
	struct err why = ERR_INIT;
	struct db_stamp now;

	if (!d->rest.valid || !stamp(d->path, &now, NULL) || !same_stamp(&now, &d->rest.database))
		return true;
	/* No WAL, or an empty one: an application has closed its last connection, or opened its first. */
	if (!stamp(d->wal_path, &now, &why))
		return !err_is(&why, ERR_NOT_FOUND);
	return now.size && !same_stamp(&now, &d->rest.wal);
}
