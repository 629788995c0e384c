/* SPDX-License-Identifier: MIT */
/* operator.c - what people and disks do to the files: restored copies, deletions, lost and damaged local state. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/ltx.h"
#include "lib/os/file.h"
#include "tests/model/model.h"

struct path {
	char text[600];
};

static struct path with(const char *base, const char *suffix)
{
	struct path p;

	snprintf(p.text, sizeof(p.text), "%s%s", base, suffix);
	return p;
}

static bool there(const char *path)
{
	struct os_stat st;

	return !os_stat(path, &st, NULL);
}

/* The bytes of a file, over an existing one or in its place. */
static void copy(struct model *m, const char *from, const char *to, bool rename_over)
{
	struct os_file in = OS_FILE_NONE, out = OS_FILE_NONE;
	struct path tmp = with(to, ".copy");
	struct os_stat st = { 0 };
	struct err why = ERR_INIT;
	uint8_t *bytes = NULL;

	if (os_file_open(&in, from, O_RDONLY, 0, &why) || os_file_stat(&in, &st, &why) ||
	    !(bytes = malloc((size_t)st.size + 1)) || os_file_read_exact(&in, bytes, (size_t)st.size, 0, &why) ||
	    os_file_open(&out, rename_over ? tmp.text : to, O_WRONLY | O_CREAT | O_TRUNC, 0644, &why) ||
	    os_file_write(&out, bytes, (size_t)st.size, 0, &why) || (rename_over && os_rename(tmp.text, to, &why)))
		fail(m, "copy %s: %s", from, why.text);
	os_file_close(&in);
	os_file_close(&out);
	free(bytes);
}

static void back_up(struct model *m)
{
	struct path wal = with(m->db_path, "-wal"), kept = with(m->dir, "/kept"), kept_wal = with(m->dir, "/kept-wal");

	if (m->writing || !there(m->db_path))
		return;
	trace(m, "operator: copies the database");
	copy(m, m->db_path, kept.text, false);
	m->backup_has_wal = there(wal.text);
	if (m->backup_has_wal)
		copy(m, wal.text, kept_wal.text, false);
	m->has_backup = true;
}

static void close_everybody(struct model *m, bool engine_too)
{
	drive_app_close(m, 30);
	if (engine_too && rng_percent(&m->rng, 60))
		drive_engine_stop(m, (int)rng_below(&m->rng, 3));
}

static void bring_back(struct model *m, bool engine_too)
{
	struct path wal = with(m->db_path, "-wal"), shm = with(m->db_path, "-shm"), journal = with(m->db_path, "-journal");
	struct path kept = with(m->dir, "/kept"), kept_wal = with(m->dir, "/kept-wal");
	bool over;

	if (!m->has_backup)
		return;
	close_everybody(m, engine_too);
	over = m->engine.pid || rng_percent(&m->rng, 50);
	trace(m, "operator: brings the copy back %s, engine %s", over ? "by renaming" : "in place",
	      m->engine.pid ? "up" : "down");
	copy(m, kept.text, m->db_path, over);
	os_unlink(journal.text, NULL);
	if (m->backup_has_wal)
		copy(m, kept_wal.text, wal.text, over);
	else
		os_unlink(wal.text, NULL);
	os_unlink(shm.text, NULL);
	drive_app(m, 1, false);
}

static void delete_database(struct model *m, bool engine_too)
{
	struct path wal = with(m->db_path, "-wal"), shm = with(m->db_path, "-shm"), journal = with(m->db_path, "-journal");

	close_everybody(m, engine_too);
	trace(m, "operator: deletes the database, engine %s", m->engine.pid ? "up" : "down");
	os_unlink(m->db_path, NULL);
	os_unlink(wal.text, NULL);
	os_unlink(shm.text, NULL);
	os_unlink(journal.text, NULL);
	if (engine_too && rng_percent(&m->rng, 50) && m->engine.pid)
		drive_sync(m, true);
	drive_app(m, 1 + rng_below(&m->rng, 4), false);
}

static void delete_index(struct model *m)
{
	struct path shm = with(m->db_path, "-shm");

	drive_app_close(m, 30);
	trace(m, "operator: deletes the wal-index, engine %s", m->engine.pid ? "up" : "down");
	os_unlink(shm.text, NULL);
	drive_app(m, rng_below(&m->rng, 6), false);
}

static void lose_meta(struct model *m)
{
	drive_engine_stop(m, (int)rng_below(&m->rng, 3));
	trace(m, "operator: local state is lost");
	os_dir_remove_all(m->meta_path, NULL);
	verify_damaged(m);
	m->meta_bad = false;
}

static struct path local_file(struct model *m, uint64_t txid)
{
	char name[LTX_NAME_SIZE];
	struct path p;

	snprintf(p.text, sizeof(p.text), "%s/ltx/0/%s", m->meta_path, ltx_name(name, txid, txid));
	return p;
}

static void lose_local_file(struct model *m)
{
	uint64_t back = rng_below(&m->rng, 3);
	struct path p = local_file(m, m->applied > back ? m->applied - back : 1);

	if (!there(p.text))
		return;
	trace(m, "operator: %s is lost", p.text);
	os_unlink(p.text, NULL);
	verify_damaged(m);
}

/* The newest local file no longer is what it was; nothing else may be taken for granted afterwards. */
static void damage_local_file(struct model *m)
{
	struct path p, sick;
	struct os_file f = OS_FILE_NONE;
	struct os_stat st;

	drive_engine_stop(m, (int)rng_below(&m->rng, 3));
	verify_new_files(m);
	p = local_file(m, m->applied);
	if (m->failed || m->damaged || !there(p.text))
		return;
	/* A copy: the replica's name may belong to the same file. */
	sick = with(m->dir, "/sick");
	copy(m, p.text, sick.text, false);
	if (!os_file_open(&f, sick.text, O_RDWR, 0, NULL) && !os_file_stat(&f, &st, NULL)) {
		if (rng_percent(&m->rng, 50))
			os_file_truncate(&f, (int64_t)rng_below(&m->rng, (uint32_t)st.size), NULL);
		else
			os_file_write(&f, "\xff\xff\xff", 3, (int64_t)rng_below(&m->rng, 90), NULL);
	}
	os_file_close(&f);
	os_rename(sick.text, p.text, NULL);
	trace(m, "operator: %s is damaged", p.text);
	if (m->set.auto_recover) {
		verify_damaged(m);
		return;
	}
	m->meta_bad = true;
	drive_sync(m, true);
	lose_meta(m);
}

static uint32_t native32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* How many frames of the log are on the disk for certain: those that a checkpoint has begun to move. The wal-index tells
 * it for the generation that the log's header names. */
static uint32_t safe_frames(const char *wal_path, const char *shm_path)
{
	struct os_file wal = OS_FILE_NONE, shm = OS_FILE_NONE;
	uint8_t header[32], index[136];
	uint32_t safe = UINT32_MAX;

	if (!os_file_open(&wal, wal_path, O_RDONLY, 0, NULL) && !os_file_open(&shm, shm_path, O_RDONLY, 0, NULL) &&
	    !os_file_read_exact(&wal, header, sizeof(header), 0, NULL) &&
	    !os_file_read_exact(&shm, index, sizeof(index), 0, NULL) && !memcmp(header + 16, index + 32, 8) &&
	    !memcmp(index, index + 48, 48))
		safe = native32(index + 96) > native32(index + 128) ? native32(index + 96) : native32(index + 128);
	os_file_close(&wal);
	os_file_close(&shm);
	return safe;
}

/* Everybody is gone at once, and so is some of what was written to the log without a flush. */
static void lose_power(struct model *m)
{
	struct path wal = with(m->db_path, "-wal"), shm = with(m->db_path, "-shm"), sidecar = with(m->meta_path, "/position");
	int64_t from, size;
	struct os_file f = OS_FILE_NONE;
	struct os_stat st;
	uint32_t safe;

	if (m->writing || there(with(m->db_path, "-journal").text))
		return;
	drive_app_close(m, 100);
	drive_engine_stop(m, 2);
	safe = safe_frames(wal.text, shm.text);
	os_unlink(shm.text, NULL);
	m->boot++;
	/* The sidecar is not flushed: what speaks of an older file comes back. */
	if (rng_percent(&m->rng, 30) && !os_file_open(&f, sidecar.text, O_RDWR, 0, NULL)) {
		os_file_write(&f, "\377", 1, 15, NULL);
		os_file_close(&f);
	}
	if (safe == UINT32_MAX || os_stat(wal.text, &st, NULL) || os_file_open(&f, wal.text, O_RDWR, 0, NULL))
		return;
	size = st.size;
	from = 32 + (int64_t)safe * (24 + (int64_t)m->set.page_size);
	trace(m, "operator: power is lost, log of %lld bytes, certain up to %lld", (long long)size, (long long)from);
	if (size > from) {
		int64_t at = from + rng_below(&m->rng, (uint32_t)(size - from));

		if (rng_percent(&m->rng, 50))
			os_file_truncate(&f, at, NULL);
		else
			os_file_write(&f, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 31, at, NULL);
	}
	os_file_close(&f);
	drive_app(m, 1, false);
}

/* What retention and a bucket's own rules may leave of it: one snapshot, and of level 0 only what is newer. */
static void fold(struct model *m)
{
	struct replica *r = NULL;
	struct replica_item snapshot = { .level = LTX_LEVEL_SNAPSHOT, .min_txid = 1 };
	struct replica_list files = { 0 };
	struct path tmp = with(m->dir, "/snapshot");
	struct image im = { 0 };
	struct err why = ERR_INIT;
	struct os_stat st;

	/* An engine that runs would believe its manifest for a while. */
	drive_engine_stop(m, (int)rng_below(&m->rng, 3));
	verify_new_files(m);
	snapshot.max_txid = verify_newest(m, &r);
	if (m->failed || m->damaged || m->set.replicas > 1 || snapshot.max_txid < 3 ||
	    !verify_restore_to(m, r, snapshot.max_txid, &im))
		return;
	trace(m, "operator: TXIDs up to %llu become a snapshot", (unsigned long long)snapshot.max_txid);
	snapshot.created_ms = m->wall_ms;
	if (image_save(&im, tmp.text, snapshot.max_txid, m->wall_ms, &why) || os_stat(tmp.text, &st, &why))
		goto out;
	snapshot.size = st.size;
	if (replica_list_levels(r, 0, LTX_LEVEL_MAX, false, &files, &why) || r->ops->put(r, &snapshot, tmp.text, &why))
		goto out;
	for (int i = 0; i < files.count; i++) {
		if (replica_item_compare(&files.items[i], &snapshot) && r->ops->remove(r, &files.items[i], 1, &why))
			goto out;
	}
	for (uint64_t t = 1; t + 2 <= snapshot.max_txid; t++)
		os_unlink(local_file(m, t).text, NULL);
out:
	if (why.code)
		fail(m, "fold: %s", why.text);
	os_unlink(tmp.text, NULL);
	replica_list_free(&files);
	image_free(&im);
}

void operator_in_pause(struct model *m)
{
	int connections = m->connections;

	if (rng_percent(&m->rng, 50))
		back_up(m);
	else if (!connections || rng_percent(&m->rng, 50))
		bring_back(m, false);
	else
		delete_database(m, false);
}

void operator_act(struct model *m)
{
	switch (rng_below(&m->rng, 17)) {
	case 0:
	case 1:
	case 2:
		back_up(m);
		break;
	case 3:
	case 4:
	case 5:
		bring_back(m, true);
		break;
	case 6:
		delete_database(m, true);
		break;
	case 7:
		delete_index(m);
		break;
	case 8:
		lose_meta(m);
		break;
	case 9:
		lose_local_file(m);
		break;
	case 10:
		damage_local_file(m);
		break;
	case 11:
	case 12:
	case 13:
		lose_power(m);
		break;
	case 14:
		fold(m);
		break;
	default:
		m->wall_ms += (int64_t)rng_below(&m->rng, 7200000) - 3600000;
		trace(m, "operator: sets the clock");
		break;
	}
}
