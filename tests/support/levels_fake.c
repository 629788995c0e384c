/* SPDX-License-Identifier: MIT */
/* levels_fake.c - the levels of a replica as far as an upload needs them: what is there. */
#include <stdlib.h>

#include "lib/levels/levels.h"

struct levels {
	struct replica *replica;
	bool known;
	uint64_t position, snapshot;
};

struct levels *levels_create(struct db *db, struct replica *replica, const struct levels_policy *policy, struct err *e)
{
	struct levels *l = calloc(1, sizeof(*l));

	(void)db;
	(void)policy;
	if (!l)
		err_nomem(e);
	else
		l->replica = replica;
	return l;
}

void levels_free(struct levels *l) { free(l); }
void levels_policy_changed(struct levels *l) { (void)l; }
void levels_rest(struct levels *l) { (void)l; }
void levels_doubt(struct levels *l) { l->known = false; }
bool levels_known(const struct levels *l) { return l->known; }
uint64_t levels_position(const struct levels *l) { return l->position; }
uint64_t levels_snapshot_position(const struct levels *l) { return l->snapshot; }

int levels_load(struct levels *l, struct err *e)
{
	struct replica_list files = { 0 };

	if (l->known)
		return 0;
	if (replica_list_levels(l->replica, 0, LTX_LEVEL_MAX, false, &files, e)) {
		replica_list_free(&files);
		return -1;
	}
	l->position = l->snapshot = 0;
	for (int i = 0; i < files.count; i++) {
		uint64_t *max = files.items[i].level == LTX_LEVEL_SNAPSHOT ? &l->snapshot : &l->position;

		if (files.items[i].max_txid > *max)
			*max = files.items[i].max_txid;
	}
	replica_list_free(&files);
	l->known = true;
	return 0;
}

int levels_note_put(struct levels *l, const struct replica_item *item, struct err *e)
{
	(void)e;
	if (item->max_txid > l->position)
		l->position = item->max_txid;
	return 0;
}

int64_t levels_due_ms(const struct levels *l, int64_t now_ms, uint64_t replicated_txid, bool *needs_db)
{
	(void)l;
	(void)now_ms;
	(void)replicated_txid;
	*needs_db = false;
	return INT64_MAX;
}

int levels_run(struct levels *l, const struct levels_run_options *o, struct levels_result *r, struct err *e)
{
	(void)l;
	(void)e;
	(void)o;
	*r = (struct levels_result){ 0 };
	return 0;
}

int db_snapshot_begin(struct db *d, struct db_snapshot **out, struct err *e)
{
	(void)d;
	(void)out;
	return err_set(e, ERR_BUSY, "there are no snapshots");
}
