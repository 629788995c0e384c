/* SPDX-License-Identifier: MIT */
/* engine.c - the daemon's part: one database and its upload, as lib/store runs them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/db/internal.h"
#include "lib/os/fault.h"
#include "lib/store/upload.h"
#include "tests/model/model.h"

struct engine {
	struct model *m;
	struct db *db;
	struct replica *replica;
	struct levels *levels;
	struct upload upload;
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

static void sync_command(struct engine *en, struct reply *r)
{
	struct db_sync_result result = { 0 };
	struct err why = ERR_INIT;
	int rc = 0;

	if (en->reset_wanted) {
		rc = db_reset(en->db, "files that the replica needs are gone", &why);
		r->was_reset = true;
		if (!rc) {
			en->reset_wanted = false;
			en->upload.position_known = false;
		}
	}
	if (!rc)
		rc = db_sync(en->db, 0, &result, &why);
	note(r, rc, &why);
	r->waiting = result.waiting;
	r->restarted = result.restarted;
	r->files = result.files;
	r->txid = db_txid(en->db);
	if (!rc && !result.waiting && !en->synced_once) {
		en->upload.verify_up_to = result.txid - (uint64_t)result.files;
		en->synced_once = true;
	}
}

static void upload_command(struct engine *en, struct reply *r)
{
	struct err why = ERR_INIT;
	int rc = 0;

	r->txid = db_txid(en->db);
	if (r->txid && !en->reset_wanted)
		rc = upload_run(&en->upload, r->txid, 0, NULL, &why);
	note(r, rc, &why);
	r->upload = rc;
	if (rc == UPLOAD_NEEDS_RESET)
		en->reset_wanted = true;
	if (en->reset_wanted)
		r->upload = UPLOAD_NEEDS_RESET;
}

static int create(struct engine *en, struct err *e)
{
	const struct settings *s = &en->m->set;
	static const struct levels_policy policy = LEVELS_POLICY_DEFAULT;
	struct db_options o = DB_OPTIONS_DEFAULT;

	if (replica_file_create(en->m->replica_path, &en->replica, e))
		return -1;
	o.path = en->m->db_path;
	o.replicas = &en->replica;
	o.replica_count = 1;
	o.busy_timeout_ms = s->busy_timeout_ms;
	o.min_checkpoint_pages = s->min_checkpoint_pages;
	o.truncate_pages = s->truncate_pages;
	o.checkpoint_interval_ms = s->checkpoint_interval_ms;
	o.max_sync_wal_bytes = s->max_sync_wal_bytes;
	o.auto_recover = s->auto_recover;
	if (db_create(&o, &en->db, e))
		return -1;
	en->levels = levels_create(en->db, en->replica, &policy, e);
	if (!en->levels)
		return -1;
	en->upload = (struct upload){ .db = en->db, .replica = en->replica, .levels = en->levels,
	                              .auto_recover = s->auto_recover };
	return 0;
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
		switch (q.cmd) {
		case ENGINE_SYNC:
			sync_command(&en, &r);
			break;
		case ENGINE_UPLOAD:
			upload_command(&en, &r);
			break;
		case ENGINE_CLOSE:
			levels_free(en.levels);
			db_free(en.db);
			replica_free(en.replica);
			en.db = NULL;
			break;
		default:
			abort();
		}
		child_reply(fd, &r);
		if (!en.db)
			_exit(0);
	}
}
