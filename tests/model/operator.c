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

static void close_everybody(struct model *m)
{
	drive_app_close(m, 30);
	if (rng_percent(&m->rng, 60))
		drive_engine_stop(m, (int)rng_below(&m->rng, 3));
}

static void bring_back(struct model *m)
{
	struct path wal = with(m->db_path, "-wal"), shm = with(m->db_path, "-shm"), journal = with(m->db_path, "-journal");
	struct path kept = with(m->dir, "/kept"), kept_wal = with(m->dir, "/kept-wal");
	bool over;

	if (!m->has_backup)
		return;
	close_everybody(m);
	over = m->engine.pid || rng_percent(&m->rng, 50);
	trace(m, "operator: brings the copy back %s, engine %s", over ? "by renaming" : "in place", m->engine.pid ? "up" : "down");
	copy(m, kept.text, m->db_path, over);
	os_unlink(journal.text, NULL);
	if (m->backup_has_wal)
		copy(m, kept_wal.text, wal.text, over);
	else
		os_unlink(wal.text, NULL);
	os_unlink(shm.text, NULL);
	drive_app(m, 1, false);
}

static void delete_database(struct model *m)
{
	struct path wal = with(m->db_path, "-wal"), shm = with(m->db_path, "-shm"), journal = with(m->db_path, "-journal");

	close_everybody(m);
	trace(m, "operator: deletes the database, engine %s", m->engine.pid ? "up" : "down");
	os_unlink(m->db_path, NULL);
	os_unlink(wal.text, NULL);
	os_unlink(shm.text, NULL);
	os_unlink(journal.text, NULL);
	if (rng_percent(&m->rng, 50) && m->engine.pid)
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

void operator_act(struct model *m)
{
	switch (rng_below(&m->rng, 13)) {
	case 0:
	case 1:
	case 2:
		back_up(m);
		break;
	case 3:
	case 4:
	case 5:
		bring_back(m);
		break;
	case 6:
		delete_database(m);
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
	default:
		m->wall_ms += (int64_t)rng_below(&m->rng, 7200000) - 3600000;
		trace(m, "operator: sets the clock");
		break;
	}
}
