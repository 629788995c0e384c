/* SPDX-License-Identifier: MIT */
/* What a file's words become: values, defaults, inheritance, merging, look-up. */
#include <stdlib.h>

#include "lib/config/config.h"
#include "lib/config/internal.h"
#include "tests/check.h"

#define SECOND INT64_C(1000000000)

static const struct config_context context = { .cwd = "/work", .home = "/home/u", .pid = 1 };
static struct config c; /* of the running test */

static int read_text(const char *text, struct err *e)
{
	config_free(&c);
	return config_parse(text, strlen(text), &context, &c, e);
}
#define READ(text)                                                                            \
	do {                                                                                  \
		struct err e_ = ERR_INIT;                                                     \
		CHECK_OK(read_text(text, &e_), &e_);                                          \
	} while (0)

TEST(defaults)
{
	READ("dbs: [{path: /a, replica: {path: /r}}]");
	CHECK_STR(c.addr, "");
	CHECK_STR(c.exec, "");
	CHECK_STR(c.logging.level, "");
	CHECK(!c.socket.enabled && !c.socket.persist);
	CHECK_STR(c.socket.path, "/var/run/litestream.sock");
	CHECK_INT(c.socket.permissions, 0600);
	CHECK_INT(c.level_count, 3);
	CHECK_INT(c.level_interval_ns[0], 30 * SECOND);
	CHECK_INT(c.level_interval_ns[1], 300 * SECOND);
	CHECK_INT(c.level_interval_ns[2], 3600 * SECOND);
	CHECK_INT(c.snapshot_interval_ns, 86400 * SECOND);
	CHECK_INT(c.snapshot_retention_ns, 86400 * SECOND);
	CHECK_INT(c.validation_interval_ns, 0);
	CHECK_INT(c.l0_retention_ns, 300 * SECOND);
	CHECK_INT(c.l0_check_interval_ns, 15 * SECOND);
	CHECK(c.retention_enabled && !c.verify_compaction);
	CHECK_INT(c.shutdown_timeout_ns, 30 * SECOND);
	CHECK_INT(c.shutdown_interval_ns, SECOND / 2);
	CHECK_INT(c.heartbeat_interval_ns, 300 * SECOND);
	CHECK_INT(c.db_count, 1);

	const struct config_db *db = &c.dbs[0];

	CHECK_INT(db->monitor_interval_ns, SECOND);
	CHECK_INT(db->checkpoint_interval_ns, 60 * SECOND);
	CHECK_INT(db->busy_timeout_ns, SECOND);
	CHECK_INT(db->min_checkpoint_pages, 1000);
	CHECK_INT(db->truncate_pages, 121359);
	CHECK_INT(db->max_sync_wal_bytes, 67108864);
	CHECK_INT(db->idle_timeout_ns, 60 * SECOND);
	CHECK(db->enabled && db->auto_replicate && !db->restore_if_db_not_exists);
	CHECK_INT(db->replica_count, 1);
	CHECK_INT(db->replicas[0].sync_interval_ns, SECOND);
	CHECK_INT(db->replicas[0].max_sync_ltx_files, 256);
	CHECK(db->replicas[0].settings.bucket == NULL);
}

/* null keeps what is there; an empty text is none. */
TEST(nulls)
{
	READ("snapshot: {interval: null}\nlevels: ~\nl0-retention:\nretention: {enabled: null}\naddr: ~\nlogging:\n"
	     "dbs: [{path: /a, monitor-interval: null, enabled: ~, max-sync-wal-bytes: , replica: {path: /r, region: ''}}]");
	CHECK_INT(c.snapshot_interval_ns, 86400 * SECOND);
	CHECK_INT(c.level_count, 0);
	CHECK_INT(c.l0_retention_ns, 300 * SECOND);
	CHECK(c.retention_enabled);
	CHECK_STR(c.addr, "");
	CHECK_INT(c.dbs[0].monitor_interval_ns, SECOND);
	CHECK(c.dbs[0].enabled);
	CHECK_INT(c.dbs[0].max_sync_wal_bytes, 67108864);
	CHECK(c.dbs[0].replicas[0].settings.region == NULL);
}

TEST(types)
{
	READ("addr: 0123\nexec: yes\nmcp-addr: 1.0\nheartbeat-interval: 1h30m\nshutdown-sync-timeout: 10\n"
	     "shutdown-sync-interval: 1_000\nl0-retention: 1e9\nidle-timeout: 0\n"
	     "dbs: [{path: 123, min-checkpoint-page-count: 0x10, truncate-page-n: 0b11, max-sync-wal-bytes: 3.0, replica: {path: /r}},"
	     "{path: /b, min-checkpoint-page-count: 010, truncate-page-n: 0o17, max-sync-wal-bytes: 1_0, idle-timeout: 2s, replica: {path: /s}}]");
	CHECK_INT(c.unitless_count, 3); /* and the zero is one in any unit */
	CHECK_INT(c.unitless_line, 5);
	CHECK_STR(c.addr, "0123");
	CHECK_STR(c.exec, "yes");
	CHECK_STR(c.mcp_addr, "1.0");
	CHECK_INT(c.heartbeat_interval_ns, 5400 * SECOND);
	CHECK_INT(c.shutdown_timeout_ns, 10);
	CHECK_INT(c.shutdown_interval_ns, 1000);
	CHECK_INT(c.l0_retention_ns, SECOND);
	CHECK_STR(c.dbs[0].path, "/work/123");
	CHECK_INT(c.dbs[0].min_checkpoint_pages, 16);
	CHECK_INT(c.dbs[0].truncate_pages, 3);
	CHECK_INT(c.dbs[0].max_sync_wal_bytes, 3);
	CHECK_INT(c.dbs[0].idle_timeout_ns, 0);
	CHECK_INT(c.dbs[1].min_checkpoint_pages, 8);
	CHECK_INT(c.dbs[1].truncate_pages, 15);
	CHECK_INT(c.dbs[1].max_sync_wal_bytes, 10);
	CHECK_INT(c.dbs[1].idle_timeout_ns, 2 * SECOND);
	READ("exec: |\n  a\n  b\naddr: >\n  a\n  b\nheartbeat-url: \"http:\\/\\/x\\u002fy\"\n");
	CHECK_STR(c.exec, "a\nb\n");
	CHECK_STR(c.addr, "a b\n");
	CHECK_STR(c.heartbeat_url, "http://x/y");
	READ("exec: !!str true\nverify-compaction: !!bool yes\n");
	CHECK_STR(c.exec, "true");
	CHECK(c.verify_compaction);
}

TEST(bools)
{
	static const char *const yes[] = { "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE" };
	static const char *const no[] = { "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE" };
	char text[100];

	for (size_t i = 0; i < 11; i++) {
		snprintf(text, sizeof(text), "verify-compaction: %s\nretention: {enabled: %s}", yes[i], no[i]);
		READ(text);
		CHECK(c.verify_compaction && !c.retention_enabled);
	}
}

/* cases.md §5.2 */
TEST(sizes)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: an error */
	} rows[] = {
		{ "100", 100 }, { "100B", 100 }, { "1K", 1000 }, { "1000KB", 1000000 }, { "1M", 1000000 }, { "1MB", 1000000 },
		{ "1024KiB", 1 << 20 }, { "1MiB", 1 << 20 }, { "1mib", 1 << 20 }, { "1 MiB", 1 << 20 }, { " 1 Mi ", 1 << 20 },
		{ "1.5MB", 1500000 }, { "0.5MB", 500000 }, { "1.5MiB", 1572864 }, { "2.5GiB", 2684354560 },
		{ "100.5KB", 100500 }, { "10 GiB", 10737418240 }, { "1TiB", INT64_C(1) << 40 }, { "1,000KB", 1000000 },
		{ "1PB", 1000000000000000 }, { "7EiB", INT64_C(7) << 60 },
		{ "", -1 }, { " ", -1 }, { "MB", -1 }, { "invalid", -1 }, { "1XB", -1 }, { "notanumber", -1 }, { "8EiB", -1 },
		{ "-1", -1 }, { "1..2", -1 }, { ".", -1 }, { "1KBB", -1 }, { "1kibb", -1 }, { "1i", -1 }, { "1 K B", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_INIT;
		int64_t bytes = -1;

		if (scalar_size(rows[i].text, &bytes, &e))
			bytes = -1;
		if (bytes != rows[i].bytes)
			printf("%s: %lld %s\n", rows[i].text, (long long)bytes, e.text);
		CHECK_INT(bytes, rows[i].bytes);
	}
}

/* control.md §2.6, rows 1 to 3 */
TEST(sockets)
{
	static const struct {
		const char *text;
		bool enabled, persist;
		const char *path;
		unsigned mode;
	} rows[] = {
		{ "", false, false, "/var/run/litestream.sock", 0600 },
		{ "socket:", false, false, "/var/run/litestream.sock", 0600 },
		{ "socket: {}", false, false, "/var/run/litestream.sock", 0600 },
		{ "socket: {enabled: true}", true, false, "/var/run/litestream.sock", 0600 },
		{ "socket: {path: /s}", true, false, "/s", 0600 },
		{ "socket: {path: /s, enabled: false}", false, false, "/s", 0600 },
		{ "socket: {enabled: true, permissions: 0o640, persist-to-config: yes}", true, true, "/var/run/litestream.sock", 0640 },
		{ "socket: {permissions: 0666}", false, false, "/var/run/litestream.sock", 0666 },
		{ "socket: {permissions: '0640'}", false, false, "/var/run/litestream.sock", 0640 },
		{ "socket: {permissions: 600}", false, false, "/var/run/litestream.sock", 600 },
		{ "socket: true", true, false, "/var/run/litestream.sock", 0600 },
		{ "socket: no", false, false, "/var/run/litestream.sock", 0600 },
		{ "socket: ''", false, false, "/var/run/litestream.sock", 0600 },
		{ "socket: ~", false, false, "/var/run/litestream.sock", 0600 },
		{ "socket: /x/y.sock", true, false, "/x/y.sock", 0600 },
		{ "socket: /x\nsocket-permissions: 0660\npersist-to-config: true", true, true, "/x", 0660 },
		{ "socket-permissions: 0660\npersist-to-config: true\nsocket: {path: /s, permissions: 0640, persist-to-config: no}",
		  true, false, "/s", 0640 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		READ(rows[i].text);
		CHECK_INT(c.socket.enabled, rows[i].enabled);
		CHECK_INT(c.socket.persist, rows[i].persist);
		CHECK_STR(c.socket.path, rows[i].path);
		CHECK_INT(c.socket.permissions, rows[i].mode);
	}
}

TEST(paths)
{
	READ("dbs:\n- {path: 'sqlite3:///a/x.db', meta-path: ~/m}\n- {path: 'sqlite://rel/x.db'}\n- {path: ~/x.db}\n"
	     "- {path: ~nobody/x.db}\n- {path: 'file:///x.db'}\n- {dir: t//u/, pattern: '*', meta-dir: ../m}\n");
	CHECK_STR(c.dbs[0].path, "/a/x.db");
	CHECK_STR(c.dbs[0].meta_path, "/home/u/m");
	CHECK_STR(c.dbs[1].path, "/work/rel/x.db");
	CHECK_STR(c.dbs[2].path, "/home/u/x.db");
	CHECK_STR(c.dbs[3].path, "/work/~nobody/x.db");
	CHECK_STR(c.dbs[4].path, "/work/file:/x.db");
	CHECK_STR(c.dbs[5].dir, "/work/t/u");
	CHECK_STR(c.dbs[5].meta_dir, "/m");
	CHECK_INT(c.dbs[4].line, 6);
}

TEST(global_replica_settings)
{
	READ("max-sync-ltx-files: 16\nsync-interval: 5s\nauto-recover: true\nregion: r1\nbucket: b1\nskip-verify: true\n"
	     "part-size: 8MiB\nconcurrency: 9\nlease: true\nforce-path-style: false\nwebdav-url: x\nhost: h\n"
	     "dbs:\n- path: /a\n  replica: {type: s3, path: p}\n"
	     "- path: /b\n  replicas:\n  - {type: s3, bucket: b2, region: r2, max-sync-ltx-files: 0, sync-interval: 1m, "
	     "auto-recover: no, skip-verify: false, part-size: 5MB, concurrency: 2, lease: no, force-path-style: on}\n");
	const struct config_replica *a = &c.dbs[0].replicas[0], *b = &c.dbs[1].replicas[0];

	CHECK_INT(a->max_sync_ltx_files, 16);
	CHECK_INT(a->sync_interval_ns, 5 * SECOND);
	CHECK_INT(a->auto_recover, REPLICA_YES);
	CHECK_STR(a->settings.region, "r1");
	CHECK_STR(a->settings.bucket, "b1");
	CHECK_INT(a->settings.skip_verify, REPLICA_YES);
	CHECK_INT(a->settings.part_size, 0);
	CHECK_INT(a->settings.concurrency, 0);
	CHECK_INT(a->settings.lease, REPLICA_YES);
	CHECK_INT(a->settings.force_path_style, REPLICA_NO);
	CHECK_STR(a->settings.host, "h");
	CHECK(a->settings.webdav_url == NULL);
	CHECK_INT(b->max_sync_ltx_files, 0);
	CHECK_INT(b->sync_interval_ns, 60 * SECOND);
	CHECK_INT(b->auto_recover, REPLICA_NO);
	CHECK_STR(b->settings.region, "r2");
	CHECK_STR(b->settings.bucket, "b2");
	CHECK_INT(b->settings.skip_verify, REPLICA_YES);
	CHECK_INT(b->settings.part_size, 5000000);
	CHECK_INT(b->settings.concurrency, 2);
	CHECK_INT(b->settings.lease, REPLICA_NO);
	CHECK_INT(b->settings.force_path_style, REPLICA_YES);
}

TEST(snapshot_promotion)
{
	READ("dbs: [{path: /a, snapshot: {interval: 10m}}, {path: /b}, {path: /c, snapshot: {interval: 10m, retention: 2h}}]");
	CHECK_INT(c.snapshot_interval_ns, 600 * SECOND);
	CHECK_INT(c.snapshot_retention_ns, 7200 * SECOND);
	READ("snapshot: {interval: 1h}\ndbs: [{path: /a, snapshot: {interval: 10m, retention: 3h}}]");
	CHECK_INT(c.snapshot_interval_ns, 3600 * SECOND);
	CHECK_INT(c.snapshot_retention_ns, 3 * 3600 * SECOND);
}

/* What the map says itself wins over what is merged; of several the first; of a key written twice the last. */
TEST(merging)
{
	READ("x: &x {exec: from x, addr: from x}\ny: &y {exec: from y, mcp-addr: from y}\nexec: mine\n<<: [*x, *y]\n");
	CHECK_STR(c.exec, "mine");
	CHECK_STR(c.addr, "from x");
	CHECK_STR(c.mcp_addr, "from y");
	READ("<<: {exec: a}\nexec: b\nexec: c\n");
	CHECK_STR(c.exec, "c");
	READ("r: &r\n  type: s3\n  bucket: b\ndbs:\n- path: /a\n  replica:\n    <<: *r\n    path: p1\n"
	     "- path: /b\n  replica: {<<: *r, path: p2, bucket: other}\n");
	CHECK_STR(c.dbs[0].replicas[0].settings.bucket, "b");
	CHECK_STR(c.dbs[0].replicas[0].settings.path, "p1");
	CHECK_STR(c.dbs[1].replicas[0].settings.bucket, "other");
	CHECK_STR(c.dbs[1].replicas[0].settings.type, "s3");
	READ("'<<': {exec: a}\n");
	CHECK_STR(c.exec, "");
	READ("e: &e word\n? *e\n: x\nexec: *e\ndbs: [&d {path: /a}, *d]\n");
	CHECK_STR(c.exec, "word");
	CHECK_INT(c.db_count, 2);
	CHECK_STR(c.dbs[1].path, "/a");
}

TEST(environment)
{
	struct config_context with = context;
	struct err e = ERR_INIT;
	const char *text = "dbs: [{path: /a/$CONFIG_TEST}] # ${CONFIG_TEST";

	setenv("CONFIG_TEST", "/v", 1);
	with.expand_env = true;
	config_free(&c);
	CHECK_OK(config_parse(text, strlen(text), &with, &c, &e), &e);
	CHECK_STR(c.dbs[0].path, "/a/v");
	READ(text);
	CHECK_STR(c.dbs[0].path, "/a/$CONFIG_TEST");
}

TEST(find)
{
	const char *relative;

	READ("dbs:\n- {dir: /d, pattern: '*.db', recursive: true}\n- {path: /d/special.db}\n- {dir: /e, pattern: 'a?.db'}\n"
	     "- {dir: /f/one.db, pattern: '*'}\n");
	CHECK(config_find(&c, "/d/x/y.db", &relative) == &c.dbs[0]);
	CHECK_STR(relative, "x/y.db");
	CHECK(config_find(&c, "/d/special.db", &relative) == &c.dbs[1]);
	CHECK(relative == NULL);
	CHECK(config_find(&c, "/d/x/y.txt", &relative) == NULL);
	CHECK(config_find(&c, "/dx/y.db", &relative) == NULL);
	CHECK(config_find(&c, "/d", &relative) == &c.dbs[0]); /* it could be a file */
	CHECK(config_find(&c, "/e/a1.db", &relative) == &c.dbs[2]);
	CHECK_STR(relative, "a1.db");
	CHECK(config_find(&c, "/e/s/a1.db", &relative) == NULL);
	CHECK(config_find(&c, "/f/one.db", &relative) == &c.dbs[3]);
	CHECK(relative == NULL);
	CHECK(config_find(&c, "", &relative) == NULL);
}

TEST(meta)
{
	static const char *const rows[][4] = {
		/* cases.md §5.5 */
		{ "dbs: [{dir: /d, pattern: '*', meta-path: /M}]", "1.db", "/M/.1.db-litestream" },
		{ "dbs: [{dir: /d, pattern: '*', meta-path: /M}]", "sub/4.db", "/M/sub/.4.db-litestream" },
		{ "dbs: [{dir: /d, pattern: '*', meta-dir: /M}]", "1.db", "/M/1.db-litestream" },
		{ "dbs: [{dir: /d, pattern: '*', meta-dir: /M}]", "sub/4.db", "/M/sub/4.db-litestream" },
		{ "dbs: [{dir: /d, pattern: '*'}]", "sub/4.db", NULL },
		{ "dbs: [{path: /d, meta-path: /M}]", NULL, "/M" },
		{ "dbs: [{path: /d}]", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_INIT;
		char *got, text[100];

		READ(rows[i][0]);
		CHECK_OK(config_db_meta(&c.dbs[0], rows[i][1], &got, &e), &e);
		snprintf(text, sizeof(text), "%s", got ? got : "");
		free(got);
		CHECK_STR(text, rows[i][2] ? rows[i][2] : "");
	}
}

TEST(identity)
{
	uint64_t first;

	READ("sync-interval: 2s\ndbs: [{path: /a, replica: {url: 'file:///r'}}]");
	first = config_db_identity(&c.dbs[0]);
	READ("exec: other\ndbs:\n- replica:\n    sync-interval: 2000ms\n    url: \"file:///r\"\n  path: /b/../a\n");
	CHECK_INT(config_db_identity(&c.dbs[0]), first);
	READ("dbs: [{path: /a, replica: {url: 'file:///r'}}]");
	CHECK(config_db_identity(&c.dbs[0]) != first);
	READ("sync-interval: 2s\ndbs: [{path: /a, enabled: false, replica: {url: 'file:///r'}}]");
	CHECK(config_db_identity(&c.dbs[0]) != first);
	READ("sync-interval: 2s\ndbs: [{path: /a, replica: {path: 'file:///r'}}]");
	CHECK(config_db_identity(&c.dbs[0]) != first);
	config_free(&c);
}

TEST_MAIN
