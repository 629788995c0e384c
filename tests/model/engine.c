/* SPDX-License-Identifier: MIT */
/* engine.c - the daemon's part: one database, its uploads and its levels, as lib/store runs them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/db/internal.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/store/upload.h"
#include "tests/model/model.h"
#include "tests/support/store_kit.h"

struct engine {
	struct model *m;
	struct db *db;
	int count; /* of replicas */
	struct shaky *replica[REPLICAS_MAX];
	struct levels *levels[REPLICAS_MAX];
	struct upload upload[REPLICAS_MAX];
	uint64_t l0_done[REPLICAS_MAX];
	uint64_t txid;
	bool synced_once, reset_wanted;
};

static void note(struct reply *r, int rc, const struct err *why)
{
	r->rc = rc;
	if (rc >= 0)
		return;
	r->code = why->code;
	snprintf(r->text, sizeof(r->text), "%.*s", (int)sizeof(r->text) - 1, why->text);
}

static void note_first_sync(struct engine *en, const struct db_sync_result *result)
{
	for (int i = 0; i < en->count; i++) {
		en->upload[i].verify_up_to = en->upload[i].base = result->txid - (uint64_t)result->files;
		en->upload[i].check_base = en->count > 1;
	}
	en->synced_once = true;
}

static void sync_command(struct engine *en, unsigned flags, struct reply *r)
{
	struct db_sync_result result = { 0 };
	struct err why = ERR_INIT;
	int rc = 0;

	if (en->reset_wanted) {
		rc = db_reset(en->db, "files that the replica needs are gone", &why);
		r->was_reset = true;
		if (!rc) {
			en->reset_wanted = false;
			for (int i = 0; i < en->count; i++)
				en->upload[i].position_known = en->upload[i].check_base = false;
		}
	}
	if (!rc)
		rc = db_sync(en->db, flags, &result, &why);
	note(r, rc, &why);
	r->waiting = result.waiting;
	r->restarted = result.restarted;
	r->rests = result.rests;
	r->files = result.files;
	r->copies = result.copies;
	r->txid = result.rests ? result.txid : db_txid(en->db);
	if (r->txid)
		en->txid = r->txid;
	if (!rc && !result.waiting && !en->synced_once)
		note_first_sync(en, &result);
}

/* With several replicas: what one misses and nobody has becomes a snapshot of that one. */
static int bridge(struct engine *en, int i, struct err *why)
{
	struct levels_run_options o = { .replicated_txid = en->upload[i].position, .now_ms = os_wall_ms(),
	                                .force_snapshot = true };
	struct levels_result result;

	if (db_snapshot_begin(en->db, &o.snapshot, why))
		return -1;
	if (db_txid(en->db) > en->txid)
		en->txid = db_txid(en->db);
	if (levels_run(en->levels[i], &o, &result, why))
		return -1;
	en->upload[i].position_known = false;
	return upload_run(&en->upload[i], en->txid, 0, NULL, why);
}

static void upload_command(struct engine *en, struct reply *r)
{
	for (int i = 0; en->txid && en->synced_once && !en->reset_wanted && i < en->count; i++) {
		struct err why = ERR_INIT;
		int rc = upload_run(&en->upload[i], en->txid, 0, NULL, &why);

		if (rc == UPLOAD_NEEDS_RESET && en->count > 1)
			rc = bridge(en, i, &why);
		if (rc < 0)
			note(r, rc, &why);
		else if (rc == UPLOAD_NEEDS_RESET || rc == UPLOAD_AHEAD)
			en->reset_wanted = true;
	}
	r->txid = en->txid;
	r->upload = en->reset_wanted ? UPLOAD_NEEDS_RESET : r->rc;
}

/* As outlet.c: what no replica needs any more goes, but for the newest two. */
static void trim(struct engine *en)
{
	uint64_t done = en->l0_done[0];

	for (int i = 1; i < en->count; i++)
		done = en->l0_done[i] < done ? en->l0_done[i] : done;
	for (uint64_t t = done; t; t--) {
		char *path = t + 2 <= en->txid ? db_l0_path(en->db, t) : NULL;
		struct os_stat st;
		bool there = path && !os_stat(path, &st, NULL);

		if (path)
			os_unlink(path, NULL);
		free(path);
		if (path && !there)
			break;
	}
}

static void levels_command(struct engine *en, struct reply *r)
{
	for (int i = 0; i < en->count; i++) {
		struct levels_run_options o = { .replicated_txid = en->upload[i].position, .now_ms = os_wall_ms() };
		struct levels_result result = { 0 };
		struct err why = ERR_INIT;
		bool needs_db = false;

		if (!en->upload[i].position_known || en->reset_wanted)
			continue;
		levels_due_ms(en->levels[i], o.now_ms, en->upload[i].position, &needs_db);
		if (needs_db && db_is_open(en->db) && db_snapshot_begin(en->db, &o.snapshot, &why))
			o.snapshot = NULL;
		if (db_txid(en->db) > en->txid)
			en->txid = db_txid(en->db);
		err_clear(&why);
		if (levels_run(en->levels[i], &o, &result, &why))
			note(r, -1, &why);
		if (result.l0_done > en->l0_done[i])
			en->l0_done[i] = result.l0_done;
		r->files += result.compacted + result.snapshotted;
	}
	trim(en);
}

static int create(struct engine *en, struct err *e)
{
	static const struct levels_policy policy = LEVELS_POLICY_DEFAULT;
	struct replica *replicas[REPLICAS_MAX];
	const struct settings *s = &en->m->set;
	struct db_options o = DB_OPTIONS_DEFAULT;

	en->count = s->replicas;
	for (int i = 0; i < en->count; i++) {
		struct replica *r;

		if (model_replica(en->m, i, "engine", &r, e))
			return -1;
		en->replica[i] = shaky_over(r, en->m->replica_path[i], e);
		replicas[i] = &en->replica[i]->base;
	}
	o.path = en->m->db_path;
	o.replicas = replicas;
	o.replica_count = en->count;
	o.busy_timeout_ms = s->busy_timeout_ms;
	o.min_checkpoint_pages = s->min_checkpoint_pages;
	o.truncate_pages = s->truncate_pages;
	o.checkpoint_interval_ms = s->checkpoint_interval_ms;
	o.max_sync_wal_bytes = s->max_sync_wal_bytes;
	o.auto_recover = s->auto_recover;
	if (db_create(&o, &en->db, e))
		return -1;
	for (int i = 0; i < en->count; i++) {
		en->levels[i] = levels_create(en->db, replicas[i], &policy, e);
		if (!en->levels[i])
			return -1;
		en->upload[i] = (struct upload){ .db = en->db, .replica = replicas[i], .levels = en->levels[i],
		                                 .auto_recover = s->auto_recover };
	}
	return 0;
}

static void destroy(struct engine *en)
{
	for (int i = 0; i < en->count; i++)
		levels_free(en->levels[i]);
	db_free(en->db);
	for (int i = 0; i < en->count; i++)
		replica_free(&en->replica[i]->base);
	en->db = NULL;
	en->count = 0;
}

void engine_run(int fd, struct model *m)
{
	struct engine en = { .m = m };
	struct err why = ERR_INIT;
	struct request q;
	struct reply r;

	os_fault_vfs();
	sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(m->seed * 13 + (uint64_t)m->engine_starts) | 1, NULL);
	log_set_level(LOG_DEBUG);
	log_set_fd(m->trace ? 1 : -1);
	if (create(&en, &why)) {
		fprintf(stderr, "%s\n", why.text);
		abort();
	}
	for (;;) {
		child_next(fd, &q);
		memset(&r, 0, sizeof(r));
		for (int i = 0; i < en.count; i++)
			en.replica[i]->down = q.down >> i & 1;
		switch (q.cmd) {
		case ENGINE_SYNC:
			sync_command(&en, 0, &r);
			break;
		case ENGINE_REST:
			sync_command(&en, DB_SYNC_REST | DB_SYNC_NO_CHECKPOINT, &r);
			break;
		case ENGINE_STIRRED:
			r.stirred = db_stirred(en.db);
			break;
		case ENGINE_UPLOAD:
			upload_command(&en, &r);
			break;
		case ENGINE_LEVELS:
			levels_command(&en, &r);
			break;
		case ENGINE_CLOSE:
			destroy(&en);
			break;
		default:
			abort();
		}
		child_reply(fd, &r);
		if (!en.db)
			_exit(0);
	}
}
