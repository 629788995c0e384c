/* SPDX-License-Identifier: MIT */
/*
 * position.c - how far the local files reach, and where that is in the WAL.
 *
 * The newest local file names the TXID and, in its header, the WAL range it was made of. The sidecar META/position adds
 * what a header has no room for: the WAL's running checksum at that place, the database's inode, and which boot of the
 * machine it was. It is advisory: 72 bytes overwritten in place, without fsync, with a checksum of their own. So it
 * survives a killed process and costs no flush. After a power loss it may speak of an older file: then nothing is
 * proven, and a full copy follows. Where there has never been one (the local files are Litestream's), the WAL's last
 * frame is compared by its page (prove.c); so the first one is made durable, lest a power loss should look like that.
 *
 *   "RIVPOS01" | txid u64 | big_endian << 63 | offset u64 | salt1 u32 | salt2 u32 | s0 u32 | s1 u32 |
 *   boot u64 | ino u64 | commit u64 | crc64 of all before
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/db/internal.h"
#include "lib/ltx/file.h"
#include "lib/os/process.h"

enum { SIDECAR_SIZE = 72, SIDECAR_CHECKED = 64 };
static const char SIDECAR_MAGIC[8] = { 'R', 'I', 'V', 'P', 'O', 'S', '0', '1' };

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static uint64_t pair(uint32_t high, uint32_t low) { return (uint64_t)high << 32 | low; }

static void fill_sidecar(const struct db *d, uint8_t b[SIDECAR_SIZE])
{
	const struct db_position *p = &d->position;

	memcpy(b, SIDECAR_MAGIC, 8);
	put64(b + 8, p->txid);
	put64(b + 16, (uint64_t)p->offset | (uint64_t)p->big_endian << 63);
	put64(b + 24, pair(p->salt1, p->salt2));
	put64(b + 32, pair(p->checksum.s0, p->checksum.s1));
	put64(b + 40, os_boot_id());
	put64(b + 48, d->inode.ino);
	put64(b + 56, p->commit);
	put64(b + SIDECAR_CHECKED, crc64(0, b, SIDECAR_CHECKED));
}

/* Failure to write it costs a full copy after a restart, nothing else:
 * what is there then does not fit the newest file. */
static void write_sidecar(struct db *d)
{
	struct os_file f = OS_FILE_NONE;
	struct err why = ERR_INIT;
	uint8_t b[SIDECAR_SIZE];
	bool first = false;

	fill_sidecar(d, b);
	if (os_file_open(&f, d->sidecar_path, O_WRONLY, 0, &why) && err_is(&why, ERR_NOT_FOUND))
		first = !os_file_open(&f, d->sidecar_path, O_WRONLY | O_CREAT, 0600, NULL);
	if (os_file_is_open(&f) && !os_file_write(&f, b, sizeof(b), 0, NULL) && first && !os_file_sync(&f, NULL))
		os_dir_sync(d->meta_path, NULL);
	os_file_close(&f);
}

/*
 * What the sidecar says about a position that was read from the newest file. It fits: the checksum is known. It does
 * not: another file was the newest one when it was written, and what the WAL holds since is anybody's guess. No
 * sidecar: the files are not ours.
 */
static void read_sidecar(struct db *d, struct db_position *p)
{
	struct os_file f = OS_FILE_NONE;
	struct err why = ERR_INIT;
	uint8_t b[SIDECAR_SIZE];
	size_t got = 0;

	if (os_file_open(&f, d->sidecar_path, O_RDONLY, 0, &why) && err_is(&why, ERR_NOT_FOUND))
		return;
	if (!os_file_is_open(&f) || os_file_read(&f, b, sizeof(b), 0, &got, NULL))
		got = 0;
	os_file_close(&f);
	if (got != sizeof(b) || memcmp(b, SIDECAR_MAGIC, 8) ||
	    get64(b + SIDECAR_CHECKED) != crc64(0, b, SIDECAR_CHECKED) ||
	    get64(b + 8) != p->txid || (get64(b + 16) & INT64_MAX) != (uint64_t)p->offset ||
	    get64(b + 24) != pair(p->salt1, p->salt2)) {
		d->snapshot_reason = "last position was not remembered";
		return;
	}
	p->has_checksum = true;
	p->big_endian = get64(b + 16) >> 63;
	p->checksum = (struct wal_checksum){ (uint32_t)(get64(b + 32) >> 32), (uint32_t)get64(b + 32) };
	p->same_boot = os_boot_id() && get64(b + 40) == os_boot_id();
	/* The device's number may change with a reboot; the inode's does not. */
	if (get64(b + 48) != d->inode.ino)
		d->snapshot_reason = "database file was replaced while not running";
}

void db_position_set(struct db *d, const struct db_position *p)
{
	d->position = *p;
	d->position_known = true;
	if (p->has_checksum)
		write_sidecar(d);
}

static int newest_visit(void *ctx, const char *name, struct err *e)
{
	uint64_t *newest = ctx, min, max;

	(void)e;
	if (ltx_name_parse(name, &min, &max) && max > *newest)
		*newest = max;
	return 0;
}

/* Header and index of the newest file are checked now; its pages before anything depends on them (upload, merge). */
static int read_position(struct db *d, uint64_t txid, struct db_position *p, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	struct ltx_header h;
	char *path = db_l0_path(d, txid);
	struct os_stat st;
	int rc = -1;

	if (!path)
		return err_nomem(e);
	if (os_file_open(&f, path, O_RDONLY, 0, e) || os_file_stat(&f, &st, e))
		goto out;
	if (ltx_index_walk(ltx_file_random(&f, st.size), &h, NULL, NULL, e)) {
		err_wrap(e, "local file %s", path);
		goto out;
	}
	if (h.max_txid != txid) {
		err_set(e, ERR_CORRUPT, "local file %s holds TXID %llx", path, (unsigned long long)h.max_txid);
		goto out;
	}
	rc = 0;
	*p = (struct db_position){ .txid = txid, .timestamp_ms = h.timestamp_ms };
	if (h.page_size != d->page_size) {
		/* Another database under the old name: its history goes on with a full copy. */
		d->snapshot_reason = "page size has changed";
		goto out;
	}
	*p = (struct db_position){
		.txid = txid,
		.has_place = h.wal_offset >= WAL_HEADER_SIZE,
		.commit = h.commit,
		.offset = h.wal_offset + h.wal_size,
		.salt1 = h.wal_salt1,
		.salt2 = h.wal_salt2,
		.timestamp_ms = h.timestamp_ms,
	};
out:
	os_file_close(&f);
	free(path);
	return rc;
}

static int remove_ltx(void *ctx, const char *name, struct err *e)
{
	struct db *d = ctx;
	uint64_t min, max;
	char *path;
	int rc;

	if (!ltx_name_parse(name, &min, &max))
		return 0;
	path = text_path_join(d->l0_dir, name);
	if (!path)
		return err_nomem(e);
	rc = os_unlink(path, e);
	free(path);
	return rc;
}

/* All local LTX files, and what is remembered of them. Staging files stay: one may be about to take their place. */
static int clear_local(struct db *d, struct err *e)
{
	if (os_dir_list(d->l0_dir, remove_ltx, d, e) || os_unlink(d->sidecar_path, e) || os_dir_sync(d->l0_dir, e))
		return err_wrap(e, "clear local state");
	return 0;
}

int db_position_load(struct db *d, struct err *e)
{
	struct db_position p = { 0 };
	uint64_t newest = 0;

	/* Somebody may have deleted it while we run. */
	if (os_dir_make(d->l0_dir, &d->dir_owner, e))
		return -1;
	if (os_dir_list(d->l0_dir, newest_visit, &newest, e))
		return -1;
	if (newest && read_position(d, newest, &p, e)) {
		if (!err_is(e, ERR_CORRUPT) && !err_is(e, ERR_NOT_FOUND))
			return -1;
		if (!d->o.auto_recover)
			return err_wrap(e, "%s cannot go on (delete %s/ltx to start over with a full copy, or set "
			                "auto-recover)", d->path, d->meta_path);
		log_warn("local state is damaged, starting over", LS("system", "store"), LS("db", d->name),
		         LS("error", err_text(e)));
		if (clear_local(d, e))
			return -1;
		err_clear(e);
	}
	if (p.has_place)
		read_sidecar(d, &p);
	d->position = p;
	d->position_known = true;
	/* What we let go of and find again as it was needs no second asking. */
	d->recovered = d->rest.valid && p.txid == d->rest.txid;
	return 0;
}

uint64_t db_local_txid(const struct db *d)
{
	uint64_t newest = 0;

	os_dir_list(d->l0_dir, newest_visit, &newest, NULL);
	return newest;
}

/* The bytes of a level-0 file of the replica, verified and fsynced, at `staging`. */
static int fetch_to(struct db *d, struct replica *from, const struct replica_item *item, const char *staging,
                    struct err *e)
{
	struct replica_reader *reader = NULL;
	struct os_file f = OS_FILE_NONE;
	struct ltx_file_source source;
	enum { CHUNK = 64 << 10 };
	uint8_t *work = malloc(CHUNK + LTX_FRAME_MAX + LTX_PAGE_SIZE_MAX);
	int64_t at = 0;
	size_t got = 1;
	int rc = -1;

	if (!work) {
		err_nomem(e);
		goto out;
	}
	if (os_file_open(&f, staging, O_RDWR | O_CREAT | O_TRUNC, 0600, e) ||
	    replica_open_resumable(from, item, d->o.cancel, &reader, e))
		goto out;
	for (; got; at += (int64_t)got) {
		if (reader->read(reader, work, CHUNK, &got, e) || (got && os_file_write(&f, work, got, at, e)))
			goto out;
	}
	if (ltx_verify(ltx_file_source(&source, &f, 0, work, CHUNK), work + CHUNK, work + CHUNK + LTX_FRAME_MAX, NULL,
	               NULL, NULL, e)) {
		err_wrap(e, "level 0 file %016llx of the replica", (unsigned long long)item->max_txid);
		goto out;
	}
	rc = os_file_sync(&f, e) ||
	     os_set_owner(staging, d->file_owner.mode, d->file_owner.uid, d->file_owner.gid, e) ? -1 : 0;
out:
	if (reader)
		reader->close(reader);
	os_file_close(&f);
	free(work);
	return rc;
}

/* Makes the replica's newest level-0 file our newest: its TXID and time are what ours follow. */
static int fetch_newest(struct db *d, struct replica *from, const struct replica_item *item, struct err *e)
{
	char *path = db_l0_path(d, item->max_txid), *staging = path ? malloc(strlen(path) + sizeof(".tmp")) : NULL;
	int rc = -1;

	if (!staging) {
		free(path);
		return err_nomem(e);
	}
	strcat(strcpy(staging, path), ".tmp");
	rc = fetch_to(d, from, item, staging, e) || clear_local(d, e) || os_rename(staging, path, e) ||
	     os_dir_sync(d->l0_dir, e) ? -1 : 0;
	if (rc)
		os_unlink(staging, NULL);
	else
		log_info("fetched latest L0 file from replica", LS("system", "store"), LS("db", d->name),
		         LX("txid", item->max_txid));
	free(staging);
	free(path);
	return rc;
}

static int list_newest(struct replica *r, struct db_newest *n, struct err *e)
{
	struct replica_list files = { 0 };
	int rc = replica_list_levels(r, 0, LTX_LEVEL_MAX, false, &files, e);

	for (int i = 0; !rc && i < files.count; i++) {
		const struct replica_item *it = &files.items[i];

		if (it->max_txid > n->txid)
			n->txid = it->max_txid;
		if (it->level == 0 && it->min_txid == it->max_txid && it->max_txid > n->l0.max_txid)
			n->l0 = *it;
	}
	if (!rc)
		replica_listing_keep(r, &files);
	replica_list_free(&files);
	return rc;
}

/* Of all replicas together. */
struct newest {
	struct db_newest of;
	struct replica *has_l0;
};

static int ask(struct db *d, int i, struct newest *n, struct err *e)
{
	struct db_newest one = { 0 };

	if (d->o.newest ? d->o.newest(d->o.newest_ctx, i, &one, e) : list_newest(d->o.replicas[i], &one, e))
		return -1;
	if (one.txid > n->of.txid)
		n->of.txid = one.txid;
	if (one.l0.max_txid > n->of.l0.max_txid) {
		n->of.l0 = one.l0;
		n->has_l0 = d->o.replicas[i];
	}
	return 0;
}

/* One that cannot be reached does not hold up the others;
 * whoever uploads to it compares what it has at the first contact. */
static int ask_all(struct db *d, struct newest *n, struct err *e)
{
	struct err first = ERR_INIT;
	int answers = 0;

	for (int i = 0; i < d->o.replica_count; i++) {
		struct err why = ERR_INIT;

		if (!ask(d, i, n, &why)) {
			answers++;
			continue;
		}
		if (!first.code)
			first = why;
		if (d->o.replica_count > 1)
			log_warn("replica cannot be asked what it holds, going on without it", LS("system", "store"),
			         LS("db", d->name), LS("replica", replica_type(d->o.replicas[i])),
			         LS("error", err_text(&why)));
	}
	if (answers)
		return 0;
	if (e)
		*e = first;
	return -1;
}

/*
 * The next TXID must lie behind everything the replicas hold, at any level: retention or a bucket's own rules may have
 * left no level 0 there. The history goes on with a full copy behind it.
 */
int db_position_recover(struct db *d, struct err *e)
{
	struct newest n = { 0 };

	if (d->recovered || !d->o.replica_count) {
		d->recovered = true;
		return 0;
	}
	/* Its TXID is not on the replica yet, and must not get a second meaning. */
	if (atomic_load(&d->snapshotting) && d->position.txid < d->snapshot_txid)
		return err_set(e, ERR_BUSY, "%s: a snapshot is being written, local files are looked for after it",
		               d->path);
	if (ask_all(d, &n, e))
		return -1;
	if (n.of.txid > d->position.txid) {
		log_info("detected database behind replica", LS("system", "store"), LS("db", d->name),
		         LX("db_txid", d->position.txid), LX("replica_txid", n.of.txid));
		if (n.of.l0.max_txid == n.of.txid) {
			if (fetch_newest(d, n.has_l0, &n.of.l0, e) || db_position_load(d, e))
				return -1;
			/* Somebody else's position in the WAL, or one of ours from another life: proven is nothing. */
			d->snapshot_reason = "replica is ahead";
		} else {
			if (clear_local(d, e))
				return -1;
			d->position = (struct db_position){ .txid = n.of.txid };
		}
	}
	d->recovered = true;
	return 0;
}

int db_reset(struct db *d, const char *why, struct err *e)
{
	log_info("resetting local litestream state", LS("system", "store"), LS("db", d->name), LS("reason", why));
	d->snapshot_reason = why;
	d->rest.valid = false;
	d->continuity = false;
	d->recovered = false;
	d->position_known = true;
	d->position = (struct db_position){ 0 };
	return clear_local(d, e);
}
