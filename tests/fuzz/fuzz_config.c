/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a configuration file: it is refused with a sentence, or what comes out keeps the promises of config.h. The
 * first byte says whether dollars are expanded.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_db(const struct config *c, const struct config_db *db)
{
	const char *relative;
	struct err e = ERR_INIT;
	char *meta = NULL;

	assert(!db->path != !db->dir);
	assert((db->path ? db->path : db->dir)[0] == '/');
	assert(!db->dir || db->pattern);
	assert(!db->meta_path || db->meta_path[0] == '/');
	assert(!db->path || (config_find(c, db->path, &relative) && !relative));
	assert(db->idle_timeout_ns != INT64_MIN);
	for (int i = 0; i < db->replica_count; i++) {
		assert(db->replicas[i].sync_interval_ns > 0);
		assert(!db->replicas[i].settings.relative);
	}
	(void)config_db_identity(db);
	assert(config_db_meta(db, db->dir ? "a/b.db" : NULL, &meta, &e) == 0);
	free(meta);
	if (config_db_check(db, &e))
		assert(e.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_context x = { .cwd = "/w", .home = "/h", .pid = 1, .expand_env = size && data[0] & 1 };
	struct err e = ERR_INIT;
	struct config c;

	if (size > 64 << 10)
		return 0;
	setenv("A", "dbs: [&a {path: /x}]", 1);
	if (config_parse(size ? (const char *)data + 1 : "", size ? size - 1 : 0, &x, &c, &e)) {
		assert(e.text[0] && e.code != ERR_NONE);
		return 0;
	}
	assert(c.addr && c.exec && c.heartbeat_url && c.logging.level && c.logging.type && c.socket.path);
	assert(c.snapshot_interval_ns > 0 && c.snapshot_retention_ns > 0 && c.level_count <= CONFIG_LEVELS_MAX);
	for (int i = 0; i < c.db_count; i++)
		check_db(&c, &c.dbs[i]);
	config_free(&c);
	return 0;
}
