/* SPDX-License-Identifier: MIT */
/* control.md §4.10: the first fault in Litestream's order, in its words. */
#include <strings.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/config/internal.h"

#define MINUTE_NS INT64_C(60000000000)

static int bad_duration(const char *field, const char *reason, int64_t ns, struct err *e)
{
	char text[TEXT_DURATION_SIZE];

	return err_set(e, ERR_INVALID, "%s: %s (got %s)", field, reason, text_duration(text, ns));
}

static const char *db_label(const struct config_db *db)
{
	return db->path ? db->path : db->dir ? db->dir : "";
}

/* Before promotion the value is still unset; afterwards it never is. */
static int check_times(const struct config *c, struct err *e)
{
	if (c->snapshot_interval_ns <= 0)
		return bad_duration("snapshot.interval", "snapshot interval must be greater than 0",
		                    c->snapshot_interval_ns, e);
	if (c->snapshot_retention_ns <= 0)
		return bad_duration("snapshot.retention", "snapshot retention must be greater than 0",
		                    c->snapshot_retention_ns, e);
	if (c->l0_retention_ns < 0)
		return bad_duration("l0-retention", "l0 retention must not be negative", c->l0_retention_ns, e);
	if (c->l0_check_interval_ns <= 0)
		return bad_duration("l0-retention-check-interval", "l0 retention check interval must be greater than 0",
		                    c->l0_check_interval_ns, e);
	if (c->shutdown_timeout_ns < 0)
		return bad_duration("shutdown-sync-timeout", "shutdown-sync-timeout must be >= 0",
		                    c->shutdown_timeout_ns, e);
	if (c->shutdown_interval_ns <= 0)
		return bad_duration("shutdown-sync-interval", "shutdown sync interval must be greater than 0",
		                    c->shutdown_interval_ns, e);
	return 0;
}

static int check_heartbeat_and_levels(const struct config *c, struct err *e)
{
	const char *url = c->heartbeat_url;

	if (*url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return err_set(e, ERR_INVALID,
		               "heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS URL (got %s)", url);
	if (c->heartbeat_interval_ns < MINUTE_NS)
		return bad_duration("heartbeat-interval", "heartbeat interval must be at least 1 minute",
		                    c->heartbeat_interval_ns, e);
	for (int i = 0; i < c->level_count; i++) {
		struct err field = ERR_INIT;

		err_set(&field, ERR_INVALID, "levels[%d].interval", i);
		if (c->level_interval_ns[i] <= 0)
			return bad_duration(field.text, "compaction interval must be greater than 0",
			                    c->level_interval_ns[i], e);
	}
	return 0;
}

static const char *entry_fault(const struct config_db *db)
{
	if (db->path && db->dir)
		return "cannot specify both 'path' and 'dir'";
	if (!db->path && !db->dir)
		return "must specify either 'path' or 'dir'";
	if (db->dir && !db->pattern)
		return "'pattern' is required when using 'dir'";
	if (db->watch && !db->dir)
		return "'watch' can only be enabled with a directory";
	if (db->meta_dir && !db->dir)
		return "'meta-dir' can only be used with a directory";
	if (db->meta_path && db->meta_dir)
		return "cannot specify both 'meta-path' and 'meta-dir'";
	return NULL;
}

static int check_entry(const struct config_db *db, int number, struct err *e)
{
	const char *fault = entry_fault(db), *label = db_label(db);
	struct err field = ERR_INIT;

	if (fault)
		return err_set(e, ERR_INVALID, "database config #%d: %s", number, fault);
	if (db->snapshot_interval_ns <= 0 && db->snapshot_interval_ns != CONFIG_UNSET) {
		err_set(&field, ERR_INVALID, "dbs[%s].snapshot.interval", label);
		return bad_duration(field.text, "snapshot interval must be greater than 0", db->snapshot_interval_ns,
		                    e);
	}
	if (db->snapshot_retention_ns <= 0 && db->snapshot_retention_ns != CONFIG_UNSET) {
		err_set(&field, ERR_INVALID, "dbs[%s].snapshot.retention", label);
		return bad_duration(field.text, "snapshot retention must be greater than 0", db->snapshot_retention_ns,
		                    e);
	}
	for (int i = 0; i < db->replica_count; i++) {
		if (db->replicas[i].sync_interval_ns > 0)
			continue;
		if (db->has_replicas)
			err_set(&field, ERR_INVALID, "dbs[%s].replicas[%d].sync-interval", label, i);
		else
			err_set(&field, ERR_INVALID, "dbs[%s].replica.sync-interval", label);
		return bad_duration(field.text, "sync interval must be greater than 0",
		                    db->replicas[i].sync_interval_ns, e);
	}
	return 0;
}

static int check_logging(const struct config *c, struct err *e)
{
	static const char *const types[] = { "", "text", "json", "pretty" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(c->logging.type, types[i]) == 0)
			return 0;
	}
	return err_set(e, ERR_INVALID, "invalid logging type: %s", c->logging.type);
}

int config_validate(struct config *c, struct err *e)
{
	if (check_times(c, e) || check_heartbeat_and_levels(c, e))
		return -1;
	for (int i = 0; i < c->db_count; i++) {
		if (check_entry(&c->dbs[i], i + 1, e))
			return -1;
	}
	return check_logging(c, e);
}

/* ---- what entries say about snapshots counts for all, if the file itself says nothing ---- */

struct promotion {
	const char *what;
	int64_t ns;
	const char *label; /* of the entry that said so */
};

static int promote(struct promotion *p, const struct config_db *db, int64_t ns, struct err *e)
{
	char first[TEXT_DURATION_SIZE], second[TEXT_DURATION_SIZE];

	if (ns == CONFIG_UNSET)
		return 0;
	if (p->ns != CONFIG_UNSET && p->ns != ns)
		return err_set(e, ERR_INVALID, "conflicting database snapshot %ss: %s has %s, %s has %s", p->what,
		               p->label, text_duration(first, p->ns), db_label(db), text_duration(second, ns));
	p->ns = ns;
	p->label = db_label(db);
	return 0;
}

static void settle(int64_t *global, const struct promotion *p)
{
	const int64_t day_ns = 24 * 60 * MINUTE_NS;

	if (*global == CONFIG_UNSET)
		*global = p->ns != CONFIG_UNSET ? p->ns : day_ns;
}

int config_promote(struct config *c, struct err *e)
{
	struct promotion interval = { "interval", CONFIG_UNSET, NULL }, retention = { "retention", CONFIG_UNSET, NULL };

	for (int i = 0; i < c->db_count; i++) {
		if (promote(&interval, &c->dbs[i], c->dbs[i].snapshot_interval_ns, e) ||
		    promote(&retention, &c->dbs[i], c->dbs[i].snapshot_retention_ns, e))
			return -1;
	}
	settle(&c->snapshot_interval_ns, &interval);
	settle(&c->snapshot_retention_ns, &retention);
	return 0;
}
