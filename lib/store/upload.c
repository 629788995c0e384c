/* SPDX-License-Identifier: MIT */
#include "lib/store/upload.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/ltx/file.h"

enum { BUFFER_SIZE = 64 << 10 };

static int not_sent(struct upload *u, const char *path, struct err *e)
{
	return err_wrap(e, "local file %s is not sent (delete %s/ltx to start over with a full copy, or set auto-recover)", path,
	                db_meta_path(u->db));
}

static int verify(struct upload *u, struct os_file *f, uint64_t txid, struct err *e)
{
	uint8_t *work = malloc(BUFFER_SIZE + LTX_FRAME_MAX + LTX_PAGE_SIZE_MAX);
	struct ltx_file_source source;
	struct ltx_header h;
	int rc;

	if (!work)
		return err_nomem(e);
	rc = ltx_verify(ltx_file_source(&source, f, 0, work, BUFFER_SIZE), work + BUFFER_SIZE,
	                work + BUFFER_SIZE + LTX_FRAME_MAX, &h, NULL, NULL, e);
	if (!rc && (h.min_txid != txid || h.max_txid != txid))
		rc = err_set(e, ERR_CORRUPT, "it holds other TXIDs than its name says");
	free(work);
	return rc ? not_sent(u, f->path, e) : 0;
}

/* Header and size for the listing's sake; the whole file when an earlier process wrote it. ERR_NOT_FOUND when missing. */
static int look_at_file(struct upload *u, const char *path, uint64_t txid, struct replica_item *item, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	uint8_t bytes[LTX_HEADER_SIZE];
	struct ltx_header h;
	struct os_stat st;
	int rc = -1;

	if (os_file_open(&f, path, O_RDONLY, 0, e) || os_file_stat(&f, &st, e) ||
	    os_file_read_exact(&f, bytes, sizeof(bytes), 0, e))
		goto out;
	if (ltx_header_decode(bytes, &h, e)) {
		not_sent(u, path, e);
		goto out;
	}
	if (txid <= u->verify_up_to && verify(u, &f, txid, e))
		goto out;
	*item = (struct replica_item){ .min_txid = txid, .max_txid = txid, .size = st.size, .created_ms = h.timestamp_ms };
	rc = 0;
out:
	os_file_close(&f);
	return rc;
}

/* *usable: false when the local file is the one to blame. */
static int send_one(struct upload *u, uint64_t txid, bool *usable, struct err *e)
{
	char *path = db_l0_path(u->db, txid);
	struct replica_item item;
	int rc;

	if (!path)
		return err_nomem(e);
	rc = look_at_file(u, path, txid, &item, e);
	*usable = !rc || !(err_is(e, ERR_NOT_FOUND) || (u->auto_recover && err_is(e, ERR_CORRUPT)));
	if (!rc && !(rc = u->replica->ops->put(u->replica, &item, path, e)) &&
	    !(rc = levels_note_put(u->levels, &item, e)))
		log_info("ltx file uploaded", LS("system", "store"), LS("db", db_name(u->db)),
		         LS("replica", replica_type(u->replica)), LI("level", 0), LX("minTXID", txid),
		         LX("maxTXID", txid),
		         LI("size", item.size));
	free(path);
	return rc;
}

static bool local_exists(struct upload *u, uint64_t txid)
{
	char *path = db_l0_path(u->db, txid);
	struct os_stat st;
	bool there = path && !os_stat(path, &st, NULL);

	free(path);
	return there;
}

/* A folder costs nothing to ask, and what is put behind a file that is gone could never be restored. */
static bool last_is_there(struct upload *u)
{
	const struct replica_item last = { .min_txid = u->sent, .max_txid = u->sent };
	struct replica_reader *reader = NULL;
	struct err why = ERR_INIT;

	if (!u->replica->local || u->sent != u->position || !u->sent)
		return true;
	if (u->replica->ops->open(u->replica, &last, 0, 0, &reader, &why))
		return !err_is(&why, ERR_NOT_FOUND);
	reader->close(reader);
	return true;
}

/*
 * Levels 0 to 8 count only: a snapshot (level 9) is sent at the position of the database and may be ahead of level-0
 * files that still wait; to count it would leave a hole there for ever.
 */
static int find_position(struct upload *u, struct err *e)
{
	uint64_t snapshot;

	if (u->position_known)
		return 0;
	if (levels_load_position(u->levels, &u->position, &snapshot, e))
		return -1;
	u->position_known = true;
	return 0;
}

static void doubt(struct upload *u)
{
	u->position_known = false;
	levels_doubt(u->levels);
}

/* What the next file would build on is in a snapshot already, and the file is of no use: go on behind the snapshot. 1: so
 * it is. */
static int behind_snapshot(struct upload *u, struct err *e)
{
	uint64_t position, snapshot;

	if (levels_load_position(u->levels, &position, &snapshot, e))
		return -1;
	if (snapshot <= u->position)
		return 0;
	u->position = snapshot;
	return 1;
}

static int read_head(struct upload *u, const struct replica_item *item, uint8_t head[LTX_HEADER_SIZE], struct err *e)
{
	struct replica_reader *reader = NULL;
	size_t have = 0, got = 1;
	int rc;

	if (u->replica->ops->open(u->replica, item, 0, LTX_HEADER_SIZE, &reader, e))
		return -1;
	do {
		rc = reader->read(reader, head + have, LTX_HEADER_SIZE - have, &got, e);
		have += rc ? 0 : got;
	} while (!rc && got && have < LTX_HEADER_SIZE);
	reader->close(reader);
	return rc || have == LTX_HEADER_SIZE ? rc :
	       err_set(e, ERR_CORRUPT, "%s ends within its header", u->replica->url);
}

/*
 * The newest file there is the one that we have under its name: nobody else has gone on from ours, with TXIDs that
 * files of an earlier process wait for. Where only larger files are left it cannot be told, and counts only if none
 * waits.
 */
static int newest_is_ours(struct upload *u, struct err *e)
{
	const struct replica_item newest = { .min_txid = u->position, .max_txid = u->position };
	uint8_t here[LTX_HEADER_SIZE], there[LTX_HEADER_SIZE];
	char *path = db_l0_path(u->db, u->position);
	struct os_file f = OS_FILE_NONE;
	struct err why = ERR_INIT;
	int rc;

	if (!path)
		return err_nomem(e);
	rc = os_file_open(&f, path, O_RDONLY, 0, &why);
	free(path);
	rc = rc || os_file_read_exact(&f, here, sizeof(here), 0, &why) || read_head(u, &newest, there, &why) ? -1 : 0;
	os_file_close(&f);
	if (!rc)
		return memcmp(here, there, sizeof(here)) == 0;
	if (err_is(&why, ERR_NOT_FOUND))
		return u->position == u->base;
	if (e)
		*e = why;
	return -1;
}

static int is_ahead(struct upload *u, struct err *e)
{
	uint64_t position, snapshot;

	if (!u->check_base)
		return 0;
	if (levels_load_position(u->levels, &position, &snapshot, e))
		return -1;
	if (u->compare && u->position && u->position <= u->base) {
		int same = newest_is_ours(u, e);

		if (same < 0)
			return -1;
		if (!same)
			u->base = 0;
	}
	u->check_base = u->compare = false;
	return u->position > u->base || snapshot > u->base;
}

/* 1: another may have had the lock, and have written there: it must be looked at anew. */
static int keep_hold(struct upload *u, struct err *e)
{
	if (!u->hold)
		return 0;
	if (replica_hold_keep(u->hold, e))
		return -1;
	if (replica_hold_term(u->hold) == u->term)
		return 0;
	/* Of an earlier term it is known how far we came. Before the first, local files tell, if those there are the same. */
	if (u->term)
		u->base = u->position;
	else
		u->compare = true;
	u->term = replica_hold_term(u->hold);
	u->check_base = true;
	doubt(u);
	return 1;
}

int upload_run(struct upload *u, uint64_t local_txid, int max_files, const atomic_bool *cancel, struct err *e)
{
	int sent = 0, ahead, round, held;

	if (keep_hold(u, e) < 0)
		return -1;
	if (u->position_known && u->position < local_txid && !last_is_there(u)) {
		log_warn("replica has lost its newest file, looking at what it has", LS("system", "store"),
		         LS("db", db_name(u->db)), LS("replica", replica_type(u->replica)), LX("txid", u->position));
		doubt(u);
	}
	if (find_position(u, e))
		return -1;
	ahead = is_ahead(u, e);
	if (ahead < 0)
		return -1;
	if (ahead) {
		log_warn("replica holds more than was known, starting over behind it", LS("system", "store"),
		         LS("db", db_name(u->db)), LS("replica", replica_type(u->replica)), LX("txid", u->position));
		return UPLOAD_AHEAD;
	}
	if (u->position < local_txid && !local_exists(u, u->position + 1) && behind_snapshot(u, e) < 0)
		return -1;
	for (; u->position < local_txid; u->position++, sent++) {
		bool usable = true;

		if (max_files && sent == max_files)
			return UPLOAD_MORE;
		if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
			return err_set(e, ERR_CANCELLED, "interrupted");
		held = sent ? keep_hold(u, e) : 0;
		if (held)
			return held < 0 ? -1 : UPLOAD_MORE;
		if (send_one(u, u->position + 1, &usable, e)) {
			round = usable ? 0 : behind_snapshot(u, e);
			if (round > 0) {
				u->position--;
				continue;
			}
			doubt(u);
			return usable || round < 0 ? -1 : UPLOAD_NEEDS_RESET;
		}
		u->sent = u->position + 1;
	}
	log_info("replica sync", LS("system", "store"), LS("db", db_name(u->db)),
	         LS("replica", replica_type(u->replica)),
	         LX("txid.replica", u->position), LX("txid.db", local_txid));
	return UPLOAD_DRAINED;
}
