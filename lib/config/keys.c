/* SPDX-License-Identifier: MIT */
/* Every key that the file may hold (control.md §4.6-4.9), its type, and where it goes. */
#include <stddef.h>
#include <string.h>

#include "lib/config/internal.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };
#define SECOND_NS INT64_C(1000000000)

#define R(key, kind, field, from_top) \
	{ .name = (key), .type = (kind), .offset = offsetof(struct config_replica, field), .inherited = (from_top) }
#define R_DROPPED(key, kind) { .name = (key), .type = (kind), .offset = KEY_NOWHERE }

/* control.md §4.8, §4.9: what may also stand at the top level. Not all of it is handed down. */
static const struct config_key age_keys[] = {
	{ .name = "identities", .type = KEY_ANY, .offset = 0 },
	{ .name = "recipients", .type = KEY_ANY, .offset = 1 },
	{ .type = KEY_END },
};

static int read_age(struct decoder *d, const struct tree_node *n, void *base, struct err *e)
{
	struct config_replica *r = base;
	bool any[2] = { false, false };

	if (decode_map(d, n, age_keys, any, "struct", e))
		return -1;
	r->age = any[0] || any[1];
	return 0;
}

static const struct config_key settings_keys[] = {
	R("sync-interval", KEY_DURATION, sync_interval_ns, true),
	R_DROPPED("validation-interval", KEY_DURATION),
	R("max-sync-ltx-files", KEY_INT, max_sync_ltx_files, true),
	R("auto-recover", KEY_TRI, auto_recover, true),
	R("access-key-id", KEY_TEXT, settings.access_key_id, true),
	R("secret-access-key", KEY_TEXT, settings.secret_access_key, true),
	R("session-token", KEY_TEXT, settings.session_token, true),
	R("region", KEY_TEXT, settings.region, true),
	R("bucket", KEY_TEXT, settings.bucket, true),
	R("endpoint", KEY_TEXT, settings.endpoint, true),
	R("storage-class", KEY_TEXT, settings.storage_class, true),
	R("force-path-style", KEY_TRI, settings.force_path_style, true),
	R("sign-payload", KEY_TRI, settings.sign_payload, true),
	R("require-content-md5", KEY_TRI, settings.require_content_md5, true),
	R("skip-verify", KEY_TRI, settings.skip_verify, false), /* OR-ed: see config_replica_inherit */
	R("part-size", KEY_SIZE, settings.part_size, false),
	R("concurrency", KEY_INT, settings.concurrency, false),
	R("sse-customer-algorithm", KEY_TEXT, settings.sse_customer_algorithm, true),
	R("sse-customer-key", KEY_TEXT, settings.sse_customer_key, true),
	R("sse-customer-key-path", KEY_TEXT, settings.sse_customer_key_path, true),
	R("sse-kms-key-id", KEY_TEXT, settings.sse_kms_key_id, true),
	R("lease", KEY_TRI, settings.lease, true),
	R("host", KEY_TEXT, settings.host, true),
	R("user", KEY_TEXT, settings.user, true),
	R("webdav-url", KEY_TEXT, settings.webdav_url, false),
	R("client-cert", KEY_TEXT, settings.client_cert, true),
	R("client-key", KEY_TEXT, settings.client_key, true),
	{ .name = "age", .type = KEY_OTHER, .read = read_age },
	/* Of kinds that are not built: the types are checked,
	 * so that a file is wrong here where it is wrong elsewhere. */
	R_DROPPED("account-name", KEY_TEXT), R_DROPPED("account-key", KEY_TEXT), R_DROPPED("sas-token", KEY_TEXT),
	R_DROPPED("password", KEY_TEXT), R_DROPPED("key-path", KEY_TEXT), R_DROPPED("host-key", KEY_TEXT),
	R_DROPPED("concurrent-writes", KEY_TRI), R_DROPPED("webdav-username", KEY_TEXT),
	R_DROPPED("webdav-password", KEY_TEXT), R_DROPPED("jwt", KEY_TEXT), R_DROPPED("seed", KEY_TEXT),
	R_DROPPED("creds", KEY_TEXT), R_DROPPED("nkey", KEY_TEXT), R_DROPPED("username", KEY_TEXT),
	R_DROPPED("token", KEY_TEXT), R_DROPPED("tls", KEY_TRI), R_DROPPED("root-cas", KEY_ANY),
	R_DROPPED("max-reconnects", KEY_INT), R_DROPPED("reconnect-wait", KEY_DURATION),
	R_DROPPED("timeout", KEY_DURATION),
	{ .type = KEY_END },
};

static const struct config_key place_keys[] = {
	R("type", KEY_TEXT, settings.type, false),
	R("name", KEY_TEXT, settings.name, false),
	R("path", KEY_TEXT, settings.path, false),
	R("url", KEY_TEXT, settings.url, false),
	{ .type = KEY_END },
};

static void replica_clear(struct config_replica *r)
{
	*r = (struct config_replica){ .sync_interval_ns = CONFIG_UNSET, .max_sync_ltx_files = CONFIG_UNSET };
}

void config_replica_inherit(struct config_replica *r, const struct config_replica *global)
{
	for (const struct config_key *k = settings_keys; k->type != KEY_END; k++) {
		void *to = (char *)r + k->offset;
		const void *from = (const char *)global + k->offset;

		if (!k->inherited)
			continue;
		if (k->type == KEY_TEXT && !*(const char **)to)
			*(const char **)to = *(const char *const *)from;
		else if (k->type == KEY_TRI && *(enum replica_tri *)to == REPLICA_UNSET)
			*(enum replica_tri *)to = *(const enum replica_tri *)from;
		else if ((k->type == KEY_INT || k->type == KEY_DURATION) && *(int64_t *)to == CONFIG_UNSET)
			*(int64_t *)to = *(const int64_t *)from;
	}
	if (global->settings.skip_verify == REPLICA_YES)
		r->settings.skip_verify = REPLICA_YES;
	r->age |= global->age;
	if (r->sync_interval_ns == CONFIG_UNSET)
		r->sync_interval_ns = SECOND_NS;
	if (r->max_sync_ltx_files == CONFIG_UNSET)
		r->max_sync_ltx_files = 256;
}

static int read_one_replica(struct decoder *d, const struct tree_node *n, struct config_replica *r, struct err *e)
{
	n = decode_follow(n);
	if (n->kind != TREE_MAP && !decode_is_null(n))
		return decode_complain(d, n, "main.ReplicaConfig");
	if (decode_map(d, n, place_keys, r, "", e))
		return -1;
	return decode_map(d, n, settings_keys, r, "", e);
}

static int new_replicas(struct decoder *d, struct config_db *db, uint32_t count, struct err *e)
{
	db->replicas = config_memory_get(d->memory, count * sizeof(*db->replicas));
	if (!db->replicas)
		return err_nomem(e);
	db->replica_count = (int)count;
	for (uint32_t i = 0; i < count; i++)
		replica_clear(&db->replicas[i]);
	return 0;
}

static int read_replica(struct decoder *d, const struct tree_node *n, void *base, struct err *e)
{
	struct config_db *db = base;

	if (decode_is_null(n))
		return 0;
	if (!db->has_replica && !db->has_replicas && new_replicas(d, db, 1, e))
		return -1;
	db->has_replica = true;
	/* With both keys there is an error to come; the list is kept, because its intervals are looked at before. */
	return db->has_replicas ? 0 : read_one_replica(d, n, db->replicas, e);
}

static int read_replicas(struct decoder *d, const struct tree_node *n, void *base, struct err *e)
{
	struct config_db *db = base;
	struct config_replica *r;

	if (decode_is_null(n))
		return 0;
	if (n->kind != TREE_LIST)
		return decode_complain(d, n, "[]*main.ReplicaConfig");
	if (!n->count)
		return 0;
	if (new_replicas(d, db, n->count, e))
		return -1;
	db->has_replicas = true;
	r = db->replicas;
	for (const struct tree_node *c = n->child; c; c = c->next, r++) {
		d->visits += 8; /* they are large */
		if (decode_visit(d, e) || read_one_replica(d, c, r, e))
			return -1;
	}
	return 0;
}

#undef R
#define D(key, kind, field) { .name = (key), .type = (kind), .offset = offsetof(struct config_db, field) }

static const struct config_key db_snapshot_keys[] = {
	D("interval", KEY_DURATION, snapshot_interval_ns),
	D("retention", KEY_DURATION, snapshot_retention_ns),
	{ .type = KEY_END },
};

/* Negative or zero truncate-page-n means the default, as it does in Litestream. */
static const struct config_key db_keys[] = {
	D("path", KEY_TEXT, path),
	D("dir", KEY_TEXT, dir),
	D("pattern", KEY_TEXT, pattern),
	D("recursive", KEY_BOOL, recursive),
	D("watch", KEY_BOOL, watch),
	D("meta-path", KEY_TEXT, meta_path),
	D("meta-dir", KEY_TEXT, meta_dir),
	{ .name = "snapshot", .type = KEY_MAP, .offset = 0, .table = db_snapshot_keys },
	D("monitor-interval", KEY_DURATION, monitor_interval_ns),
	D("checkpoint-interval", KEY_DURATION, checkpoint_interval_ns),
	D("busy-timeout", KEY_DURATION, busy_timeout_ns),
	D("min-checkpoint-page-count", KEY_INT, min_checkpoint_pages),
	D("truncate-page-n", KEY_INT, truncate_pages),
	D("max-sync-wal-bytes", KEY_INT, max_sync_wal_bytes),
	D("idle-timeout", KEY_DURATION, idle_timeout_ns),
	D("restore-if-db-not-exists", KEY_BOOL, restore_if_db_not_exists),
	D("enabled", KEY_BOOL, enabled),
	D("auto-replicate", KEY_BOOL, auto_replicate),
	{ .name = "replica", .type = KEY_OTHER, .read = read_replica },
	{ .name = "replicas", .type = KEY_OTHER, .read = read_replicas },
	{ .type = KEY_END },
};
#undef D

static const struct config_db db_defaults = {
	.snapshot_interval_ns = CONFIG_UNSET,
	.snapshot_retention_ns = CONFIG_UNSET,
	.monitor_interval_ns = SECOND_NS,
	.checkpoint_interval_ns = MINUTE_S * SECOND_NS,
	.busy_timeout_ns = SECOND_NS,
	.min_checkpoint_pages = 1000,
	.truncate_pages = 121359,
	.max_sync_wal_bytes = 64 << 20,
	.idle_timeout_ns = CONFIG_UNSET,
	.enabled = true,
	.auto_replicate = true,
};

struct config_db *config_db_new(struct config *c, struct err *e)
{
	struct config_replica none;

	replica_clear(&none);
	c->dbs = config_memory_get(c->memory, sizeof(*c->dbs));
	if (c->dbs)
		*c->dbs = db_defaults;
	if (c->dbs)
		c->dbs->replicas = config_memory_get(c->memory, sizeof(*c->dbs->replicas));
	if (!c->dbs || !c->dbs->replicas) {
		err_nomem(e);
		return NULL;
	}
	c->db_count = c->dbs->replica_count = 1;
	c->dbs->has_replica = true;
	c->dbs->idle_timeout_ns = c->idle_timeout_ns;
	replica_clear(c->dbs->replicas);
	config_replica_inherit(c->dbs->replicas, &none);
	return c->dbs;
}

static int read_dbs(struct decoder *d, const struct tree_node *n, void *base, struct err *e)
{
	struct config *c = base;
	struct config_db *db;

	c->dbs = NULL;
	c->db_count = 0;
	if (decode_is_null(n))
		return 0;
	if (n->kind != TREE_LIST)
		return decode_complain(d, n, "[]*main.DBConfig");
	if (!n->count)
		return 0;
	c->dbs = db = config_memory_get(d->memory, n->count * sizeof(*db));
	if (!db)
		return err_nomem(e);
	c->db_count = (int)n->count;
	for (const struct tree_node *item = n->child; item; item = item->next, db++) {
		*db = db_defaults;
		db->line = item->line;
		d->visits += 4;
		if (decode_visit(d, e) || decode_map(d, item, db_keys, db, "main.DBConfig", e))
			return -1;
	}
	return 0;
}

static int read_levels(struct decoder *d, const struct tree_node *n, void *base, struct err *e)
{
	static const struct config_key keys[] = {
		{ .name = "interval", .type = KEY_DURATION, .offset = 0 },
		{ .type = KEY_END },
	};
	struct config *c = base;

	if (decode_is_null(n)) {
		c->level_count = 0;
		return 0;
	}
	if (n->kind != TREE_LIST)
		return decode_complain(d, n, "[]*main.CompactionLevelConfig");
	if (n->count > CONFIG_LEVELS_MAX)
		return err_set(e, ERR_INVALID, "compaction level cannot exceed 8");
	c->level_count = 0;
	for (const struct tree_node *item = n->child; item; item = item->next) {
		int64_t *interval = &c->level_interval_ns[c->level_count++];

		*interval = 0;
		if (decode_map(d, item, keys, interval, "main.CompactionLevelConfig", e))
			return -1;
	}
	return 0;
}

/* control.md §2.6, rows 1 to 3. */
struct socket_keys {
	enum replica_tri enabled, persist;
	const char *path;
	uint32_t permissions;
};
static const struct config_key socket_keys[] = {
	{ .name = "enabled", .type = KEY_TRI, .offset = offsetof(struct socket_keys, enabled) },
	{ .name = "path", .type = KEY_TEXT, .offset = offsetof(struct socket_keys, path) },
	{ .name = "permissions", .type = KEY_MODE, .offset = offsetof(struct socket_keys, permissions) },
	{ .name = "persist-to-config", .type = KEY_TRI, .offset = offsetof(struct socket_keys, persist) },
	{ .type = KEY_END },
};

static void set_socket(struct config_socket *s, const struct socket_keys *k)
{
	if (k->path)
		s->path = k->path;
	if (k->enabled != REPLICA_UNSET || k->path)
		s->enabled = k->enabled != REPLICA_NO;
	if (k->permissions != UINT32_MAX)
		s->permissions = k->permissions;
	if (k->persist != REPLICA_UNSET)
		s->persist = k->persist == REPLICA_YES;
}

static int read_socket(struct decoder *d, const struct tree_node *n, void *base, struct err *e)
{
	struct config_socket *s = &((struct config *)base)->socket;
	struct socket_keys k = { .permissions = UINT32_MAX };
	struct scalar word;

	if (n->kind == TREE_SCALAR) {
		word = scalar_resolve(n);
		if (word.type == SCALAR_BOOL)
			k.enabled = word.truth ? REPLICA_YES : REPLICA_NO;
		else if (word.type == SCALAR_TEXT && n->len && decode_keep(d, n, &k.path, e))
			return -1;
		else if (word.type == SCALAR_NULL || !n->len)
			k.enabled = REPLICA_NO;
		else if (word.type != SCALAR_TEXT)
			return decode_complain(d, n, "litestream.SocketConfig");
	} else if (decode_map(d, n, socket_keys, &k, "litestream.SocketConfig", e)) {
		return -1;
	}
	set_socket(s, &k);
	return 0;
}

#define C(key, kind, field) { .name = (key), .type = (kind), .offset = offsetof(struct config, field) }

/* Read before the rest: where both spellings are given, the nested one wins. */
static const struct config_key flat_socket_keys[] = {
	C("socket-permissions", KEY_MODE, socket.permissions),
	C("persist-to-config", KEY_BOOL, socket.persist),
	{ .type = KEY_END },
};

static const struct config_key logging_keys[] = {
	C("level", KEY_TEXT, logging.level),
	C("type", KEY_TEXT, logging.type),
	C("stderr", KEY_BOOL, logging.to_stderr),
	C("source", KEY_BOOL, logging.source),
	{ .type = KEY_END },
};
static const struct config_key snapshot_keys[] = {
	C("interval", KEY_DURATION, snapshot_interval_ns),
	C("retention", KEY_DURATION, snapshot_retention_ns),
	{ .type = KEY_END },
};
static const struct config_key validation_keys[] = {
	C("interval", KEY_DURATION, validation_interval_ns),
	{ .type = KEY_END },
};
static const struct config_key retention_keys[] = {
	C("enabled", KEY_BOOL, retention_enabled),
	{ .type = KEY_END },
};

static const struct config_key top_keys[] = {
	C("addr", KEY_TEXT, addr),
	C("mcp-addr", KEY_TEXT, mcp_addr),
	C("exec", KEY_TEXT, exec),
	C("heartbeat-url", KEY_TEXT, heartbeat_url),
	C("heartbeat-interval", KEY_DURATION, heartbeat_interval_ns),
	C("l0-retention", KEY_DURATION, l0_retention_ns),
	C("l0-retention-check-interval", KEY_DURATION, l0_check_interval_ns),
	C("verify-compaction", KEY_BOOL, verify_compaction),
	C("shutdown-sync-timeout", KEY_DURATION, shutdown_timeout_ns),
	C("shutdown-sync-interval", KEY_DURATION, shutdown_interval_ns),
	C("idle-timeout", KEY_DURATION, idle_timeout_ns),
	{ .name = "logging", .type = KEY_MAP, .table = logging_keys },
	{ .name = "snapshot", .type = KEY_MAP, .table = snapshot_keys },
	{ .name = "validation", .type = KEY_MAP, .table = validation_keys },
	{ .name = "retention", .type = KEY_MAP, .table = retention_keys },
	{ .name = "socket", .type = KEY_OTHER, .read = read_socket },
	{ .name = "levels", .type = KEY_OTHER, .read = read_levels },
	{ .name = "dbs", .type = KEY_OTHER, .read = read_dbs },
	{ .type = KEY_END },
};
#undef C

static const struct config defaults = {
	.addr = "", .mcp_addr = "", .exec = "", .heartbeat_url = "",
	.socket = { .path = "/var/run/litestream.sock", .permissions = 0600 },
	.logging = { .level = "", .type = "" },
	.level_interval_ns = { 30 * SECOND_NS, 5 * MINUTE_S * SECOND_NS, HOUR_S * SECOND_NS },
	.level_count = 3,
	.snapshot_interval_ns = CONFIG_UNSET, .snapshot_retention_ns = CONFIG_UNSET,
	.l0_retention_ns = 5 * MINUTE_S * SECOND_NS, .l0_check_interval_ns = 15 * SECOND_NS,
	.retention_enabled = true,
	.shutdown_timeout_ns = 30 * SECOND_NS, .shutdown_interval_ns = SECOND_NS / 2,
	.heartbeat_interval_ns = 5 * MINUTE_S * SECOND_NS,
	.idle_timeout_ns = MINUTE_S * SECOND_NS,
};

/* Texts that a null made NULL. */
static void refill_texts(struct config *c)
{
	const char **texts[] = { &c->addr, &c->mcp_addr, &c->exec, &c->heartbeat_url, &c->logging.level,
	                         &c->logging.type };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!*texts[i])
			*texts[i] = "";
	}
}

static int read_top(struct decoder *d, const struct tree_node *root, struct config *c, struct config_replica *global,
                    struct err *e)
{
	if (decode_map(d, root, flat_socket_keys, c, "main.Config", e))
		return -1;
	if (root->kind != TREE_MAP)
		return 0; /* said already */
	if (decode_map(d, root, settings_keys, global, "", e))
		return -1;
	return decode_map(d, root, top_keys, c, "", e);
}

int config_decode(const struct tree_node *root, struct config *c, struct config_replica *global, struct err *e)
{
	struct decoder d = { .memory = c->memory, .complaints = { .limit = 64 << 10 } };
	struct config_memory *memory = c->memory;
	int rc = 0;

	*c = defaults;
	c->memory = memory;
	replica_clear(global);
	if (root)
		rc = read_top(&d, root, c, global, e);
	refill_texts(c);
	c->unitless_count = d.unitless_count;
	c->unitless_line = d.unitless_line;
	if (!rc && d.complaint_count)
		rc = err_set(e, ERR_INVALID, "yaml: unmarshal errors:%s", buf_text(&d.complaints));
	buf_free(&d.complaints);
	return rc;
}
