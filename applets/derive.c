/* SPDX-License-Identifier: MIT */
#include "applets/derive.h"

#include <stdlib.h>

int64_t derive_ms(int64_t ns)
{
	return ns <= 0 ? 0 : ns / 1000000 + (ns % 1000000 > 0);
}

static int64_t no_less_than_0(int64_t n)
{
	return n > 0 ? n : 0;
}

static int open_replicas(const struct config_db *db, const char *relative, struct managed_options *o, struct err *e)
{
	if (config_db_check(db, e))
		return -1;
	for (int i = 0; i < db->replica_count && i < MANAGED_REPLICAS_MAX; i++) {
		const struct config_replica *c = &db->replicas[i];
		struct replica_settings s = c->settings;
		int64_t files = no_less_than_0(c->max_sync_ltx_files);

		s.relative = relative;
		o->replicas[i] = (struct managed_replica_options){
			.sync_interval_ms = derive_ms(c->sync_interval_ns),
			.max_upload_files = files > INT32_MAX ? INT32_MAX : (int)files,
			.auto_recover = c->auto_recover == REPLICA_YES,
		};
		if (replica_open(&s, 0, &o->replicas[i].replica, e))
			return -1;
		o->replica_count++;
	}
	return 0;
}

int derive_managed(const struct config_db *db, const char *path, const char *relative, struct managed_options *o,
                   char **meta, struct err *e)
{
	*o = (struct managed_options)MANAGED_OPTIONS_DEFAULT;
	o->replica_count = 0;
	if (config_db_meta(db, relative, meta, e))
		return -1;
	o->db.path = path;
	o->db.meta_path = *meta;
	o->db.busy_timeout_ms = derive_ms(db->busy_timeout_ns);
	o->db.min_checkpoint_pages = db->min_checkpoint_pages;
	o->db.truncate_pages = no_less_than_0(db->truncate_pages);
	o->db.checkpoint_interval_ms = derive_ms(db->checkpoint_interval_ns);
	o->db.max_sync_wal_bytes = no_less_than_0(db->max_sync_wal_bytes);
	o->monitor_interval_ms = derive_ms(db->monitor_interval_ns);
	o->idle_timeout_ms = derive_ms(db->idle_timeout_ns);
	o->enabled = db->enabled && db->auto_replicate;
	if (open_replicas(db, relative, o, e) == 0)
		return 0;
	derive_undo(o);
	free(*meta);
	*meta = NULL;
	return -1;
}

void derive_undo(struct managed_options *o)
{
	for (int i = 0; i < o->replica_count; i++)
		replica_free(o->replicas[i].replica);
	o->replica_count = 0;
}

int derive_policy(const struct config *c, struct levels_policy *p, struct err *e)
{
	if (c->level_count > LEVELS_MAX)
		return err_set(e, ERR_INVALID, "compaction level cannot exceed %d", LEVELS_MAX);
	*p = (struct levels_policy){
		.count = c->level_count,
		.snapshot_interval_ms = derive_ms(c->snapshot_interval_ns),
		.snapshot_retention_ms = derive_ms(c->snapshot_retention_ns),
		.l0_retention_ms = derive_ms(c->l0_retention_ns),
		.l0_check_interval_ms = derive_ms(c->l0_check_interval_ns),
		.validation_interval_ms = derive_ms(c->validation_interval_ns),
		.retention_disabled = !c->retention_enabled,
	};
	for (int i = 0; i < c->level_count; i++)
		p->interval_ms[i + 1] = derive_ms(c->level_interval_ns[i]);
	return 0;
}
