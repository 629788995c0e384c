/* SPDX-License-Identifier: MIT */
/* Which files are taken, and what is said about the others: control.md §4.3, §4.10; cases.md §5.1-5.3. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/config/config.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

static const struct config_context context = { .cwd = "/work", .home = "/home/u", .pid = 1 };

static int read_text(const char *text, struct config *c, struct err *e)
{
	return config_parse(text, strlen(text), &context, c, e);
}

/* What `databases -config` says: the file alone, then its replicas. */
static void verdict(const char *text, struct err *e)
{
	struct config c;

	err_clear(e);
	if (read_text(text, &c, e))
		return;
	config_check(&c, e);
	config_free(&c);
}

struct row {
	const char *text, *error; /* NULL: accepted */
};

static int run_rows(const struct row *rows, size_t n)
{
	int bad = 0;

	for (size_t i = 0; i < n; i++) {
		struct err e = ERR_INIT;

		verdict(rows[i].text, &e);
		if (strcmp(e.text, rows[i].error ? rows[i].error : "") == 0)
			continue;
		printf("--- %s\n    got:    %s\n    wanted: %s\n", rows[i].text, e.text, rows[i].error ? rows[i].error : "(accepted)");
		bad++;
	}
	return bad;
}
#define RUN_ROWS(rows) CHECK_INT(run_rows(rows, sizeof(rows) / sizeof((rows)[0])), 0)

TEST(shape)
{
	static const struct row rows[] = {
		{ "", NULL },
		{ "# only words\n", NULL },
		{ "dbs:", NULL },
		{ "dbs: []", NULL },
		{ "{}", NULL },
		{ "null", NULL },
		{ "~", NULL },
		{ "\xef\xbb\xbf" "dbs:\n", NULL },
		{ "addr: ':9090'\r\ndbs:\r\n- path: /a\r\n  replica:\r\n    path: /r\r\n", NULL },
		{ "dbs: []\n---\n{ this is: [ not read\n", NULL },
		{ "---\ndbs: []\n...\n", NULL },
		{ "%YAML 1.1\n---\ndbs: []\n", NULL },
		{ "{\"dbs\": [{\"path\": \"/a\", \"replica\": {\"type\": \"file\", \"path\": \"/r\"}}]}", NULL },
		{ "hello", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `hello` into main.Config" },
		{ "- a", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into main.Config" },
		{ "dbs: foo", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `foo` into []*main.DBConfig" },
		{ "dbs: {a: b}", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!map into []*main.DBConfig" },
		{ "dbs: [a]", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `a` into main.DBConfig" },
		{ "dbs:\n- path: /a\n  replica: file:///r\n",
		  "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `file:///r` into main.ReplicaConfig" },
		{ "dbs:\n\t- path: /a\n", "yaml: line 2: found character that cannot start any token" },
		{ "{", "yaml: line 1: did not find expected node content" },
		{ "a: b: c", "yaml: mapping values are not allowed in this context" },
		{ "y: *anchor", "yaml: unknown anchor 'anchor' referenced" },
		{ "a: &x [*x]", "yaml: anchor 'x' value contains itself" },
		{ "%YAML 2.0\n---\na: b\n", "yaml: found incompatible YAML document" },
		{ "\x01\x02\x03", "yaml: control characters are not allowed" },
		{ "\xff\xfe\x01", "yaml: incomplete UTF-16 character" },
		{ "dbs: [null]", "database config #1: must specify either 'path' or 'dir'" },
		{ "dbs:\n- path: /a\n  replica: {path: /r}\n-\n", "database config #2: must specify either 'path' or 'dir'" },
		{ "snapshot-interval: 1h\nretention-check-interval: 1h\nfoo: [1, {bar: baz}]\n? [complex]\n: key\n", NULL },
		{ "dbs:\n- path: /a\n  max-checkpoint-page-count: 5\n  replica:\n    path: /r\n    sse: x\n    retention: 1h\n", NULL },
		{ "exec: [a]\nexec: b\n", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string" },
		{ "addr: {}\nlogging: 5\nverify-compaction: maybe\n",
		  "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!map into string\n"
		  "  line 2: cannot unmarshal !!int `5` into logging\n  line 3: cannot unmarshal !!str `maybe` into bool" },
		{ "<<: 5", "yaml: map merge requires map or sequence of maps as the value" },
		{ "a: &a {exec: x}\n<<: [*a, 5]\n", "yaml: map merge requires map or sequence of maps as the value" },
	};

	RUN_ROWS(rows);
}

TEST(times_and_words)
{
	static const struct row rows[] = {
		{ "snapshot: {interval: 0}", "snapshot.interval: snapshot interval must be greater than 0 (got 0s)" },
		{ "snapshot: {interval: -1h30m}", "snapshot.interval: snapshot interval must be greater than 0 (got -1h30m0s)" },
		{ "snapshot: {retention: 0s}", "snapshot.retention: snapshot retention must be greater than 0 (got 0s)" },
		{ "snapshot:\n", NULL },
		{ "snapshot: {interval: null, retention: ~}", NULL },
		{ "l0-retention: 0s", NULL },
		{ "l0-retention: -1s", "l0-retention: l0 retention must not be negative (got -1s)" },
		{ "l0-retention-check-interval: 0s",
		  "l0-retention-check-interval: l0 retention check interval must be greater than 0 (got 0s)" },
		{ "shutdown-sync-timeout: 0", NULL },
		{ "shutdown-sync-timeout: -5s", "shutdown-sync-timeout: shutdown-sync-timeout must be >= 0 (got -5s)" },
		{ "shutdown-sync-interval: 0", "shutdown-sync-interval: shutdown sync interval must be greater than 0 (got 0s)" },
		{ "heartbeat-url: ftp://x", "heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS URL (got ftp://x)" },
		{ "heartbeat-url: https://x/y\nheartbeat-interval: 1m\n", NULL },
		{ "heartbeat-interval: 30s", "heartbeat-interval: heartbeat interval must be at least 1 minute (got 30s)" },
		{ "levels: []", NULL },
		{ "levels: [{interval: 1s},{interval: 1s},{interval: 1s},{interval: 1s},{interval: 1s},{interval: 1s},{interval: 1s},{interval: 1s}]", NULL },
		{ "levels: [{}]", "levels[0].interval: compaction interval must be greater than 0 (got 0s)" },
		{ "levels: [{interval: 0}]", "levels[0].interval: compaction interval must be greater than 0 (got 0s)" },
		{ "levels: [{interval: 5m},{interval: -1h}]",
		  "levels[1].interval: compaction interval must be greater than 0 (got -1h0m0s)" },
		{ "validation: {interval: -1s}", NULL },
		{ "shutdown-sync-timeout: 10", NULL },
		{ "shutdown-sync-timeout: '10'",
		  "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `10` into time.Duration" },
		{ "shutdown-sync-timeout: ''", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `` into time.Duration" },
		{ "shutdown-sync-timeout: 1d", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `1d` into time.Duration" },
		{ "shutdown-sync-timeout: [1s]", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into time.Duration" },
		{ "verify-compaction: 1", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `1` into bool" },
		{ "verify-compaction: \"true\"", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `true` into bool" },
		{ "verify-compaction: yes\nretention: {enabled: off}\n", NULL },
		{ "socket: {permissions: -1}", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `-1` into uint32" },
		{ "socket: {permissions: '0999'}", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `0999` into uint32" },
		{ "socket: {permissions: 99999999999}",
		  "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `9999999...` into uint32" },
		{ "socket: []", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into litestream.SocketConfig" },
		{ "socket: 5", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `5` into litestream.SocketConfig" },
		{ "logging: {type: xml}", "invalid logging type: xml" },
		{ "logging: {type: JSON}", "invalid logging type: JSON" },
		{ "logging: {level: bogus, type: pretty, stderr: true, source: on}", NULL },
		/* two faults */
		{ "l0-retention: -1s\nsnapshot: {retention: 0}\nheartbeat-url: x\n",
		  "snapshot.retention: snapshot retention must be greater than 0 (got 0s)" },
	};

	RUN_ROWS(rows);
}

TEST(entries)
{
	static const struct row rows[] = {
		{ "dbs: [{path: /a, dir: /b}]", "database config #1: cannot specify both 'path' and 'dir'" },
		{ "dbs: [{replica: {path: /r}}]", "database config #1: must specify either 'path' or 'dir'" },
		{ "dbs: [{dir: /b}]", "database config #1: 'pattern' is required when using 'dir'" },
		{ "dbs: [{path: /b, watch: true}]", "database config #1: 'watch' can only be enabled with a directory" },
		{ "dbs: [{path: /b, meta-dir: /m}]", "database config #1: 'meta-dir' can only be used with a directory" },
		{ "dbs: [{dir: /b, pattern: '*', meta-dir: /m, meta-path: /n}]",
		  "database config #1: cannot specify both 'meta-path' and 'meta-dir'" },
		{ "dbs: [{path: /a}]", "must specify replica for database" },
		{ "dbs: [{path: /a, replicas: []}]", "must specify replica for database" },
		{ "dbs: [{path: /a, replica: ~}]", "must specify replica for database" },
		{ "dbs: [{path: /a, replica: {path: /r}, replicas: [{path: /s}]}]",
		  "cannot specify 'replica' and 'replicas' on a database" },
		{ "dbs: [{path: /a, replicas: [{path: /s}], replica: {path: /r}}]",
		  "cannot specify 'replica' and 'replicas' on a database" },
		{ "dbs: [{path: /a, replicas: [{path: /s}]}]", NULL },
		{ "dbs: [{path: /a, replicas: [{path: /s}, {name: other, path: /t}]}]", NULL },
		{ "dbs: [{path: /a, replica: {}}]", "file replica path required" },
		{ "dbs: [{path: /a, replica: {type: file}}]", "file replica path required" },
		{ "dbs: [{path: /a, replica: {path: 'file:///r'}}]",
		  "replica path cannot be a url, please use the 'url' field instead: file:///r" },
		{ "dbs: [{path: /a, replica: {url: 'file:///r', path: /x}}]", "cannot specify url & path for file replica" },
		{ "dbs: [{path: /a, replica: {url: 's3://b/p', path: /x}}]", "cannot specify url & path for s3 replica" },
		{ "dbs: [{path: /a, replica: {type: s3, url: 'rook-ceph-rgw:8080', path: x}}]",
		  "cannot specify url & path for s3 replica" },
		{ "dbs: [{path: /a, replica: {url: 's3://b/p', bucket: x}}]", "cannot specify url & bucket for s3 replica" },
		{ "bucket: x\ndbs: [{path: /a, replica: {url: 's3://b/p'}}]", "cannot specify url & bucket for s3 replica" },
		{ "bucket: x\ndbs: [{path: /a, replica: {type: s3, path: p}}]", NULL },
		{ "dbs: [{path: /a, replica: {type: zzz}}]", "unknown replica type in config: \"zzz\"" },
		{ "dbs: [{path: /a, replica: {url: 'zzz://x'}}]", "unknown replica type in config: \"\"" },
		{ "dbs: [{path: /a, replica: {url: '/x'}}]", "replica url scheme required: /x" },
		{ "dbs: [{path: /a, replica: {type: s3, path: p}}]", "bucket required for s3 replica" },
		{ "dbs: [{path: /a, replica: {type: gs, path: p}}]", "bucket required for gs replica" },
		{ "dbs: [{path: /a, replica: {type: abs, path: p}}]", "bucket required for abs replica" },
		{ "dbs: [{path: /a, replica: {type: oss, path: p}}]", "bucket required for oss replica" },
		{ "dbs: [{path: /a, replica: {type: nats, path: p}}]", "bucket required for NATS replica" },
		{ "dbs: [{path: /a, replica: {type: nats, bucket: b, client-cert: c}}]",
		  "client-cert and client-key must both be specified for mutual TLS authentication" },
		{ "dbs: [{path: /a, replica: {url: 'nats://h'}}]", NULL },
		{ "dbs: [{path: /a, replica: {type: sftp, path: p}}]", "host required for sftp replica" },
		{ "dbs: [{path: /a, replica: {url: 'sftp://h/p'}}]", "user required for sftp replica" },
		{ "dbs: [{path: /a, replica: {url: 'sftp://u@h'}}]", NULL },
		{ "dbs: [{path: /a, replica: {url: 'sftp://u@h', host: x}}]", "cannot specify url & host for sftp replica" },
		{ "dbs: [{path: /a, replica: {type: webdav, path: p}}]", "webdav-url required for webdav replica" },
		{ "dbs: [{path: /a, replica: {url: 'webdavs://u:p@h/x'}}]", NULL },
		{ "dbs: [{path: /a, replica: {url: 'gs://b/x'}}, {path: /b, replica: {url: 'abs://a@b/x'}}]", NULL },
		{ "dbs: [{path: /a, replica: {path: /r, age: {identities: [x]}}}]",
		  "age encryption is not currently supported, if you need encryption please revert back to Litestream v0.3.x" },
		{ "age: {recipients: [x]}\ndbs: [{path: /a, replica: {path: /r}}]",
		  "age encryption is not currently supported, if you need encryption please revert back to Litestream v0.3.x" },
		{ "dbs: [{path: /a, replica: {path: /r, age: {identities: [], recipients: []}}}]", NULL },
		{ "dbs: [{path: /a, replica: {path: /r, sync-interval: 0s}}]",
		  "dbs[/a].replica.sync-interval: sync interval must be greater than 0 (got 0s)" },
		{ "sync-interval: 0s\ndbs: [{path: a/../b, replica: {path: /r}}]",
		  "dbs[/work/b].replica.sync-interval: sync interval must be greater than 0 (got 0s)" },
		{ "dbs: [{path: /a, replicas: [{path: /r}, {path: /s, sync-interval: -1s}]}]",
		  "dbs[/a].replicas[1].sync-interval: sync interval must be greater than 0 (got -1s)" },
		{ "dbs: [{path: /a, snapshot: {interval: 0}, replica: {path: /r}}]",
		  "snapshot.interval: snapshot interval must be greater than 0 (got 0s)" },
		{ "snapshot: {interval: 1h}\ndbs: [{path: /a, snapshot: {interval: 0}, replica: {path: /r}}]",
		  "dbs[/a].snapshot.interval: snapshot interval must be greater than 0 (got 0s)" },
		{ "snapshot: {retention: 1h}\ndbs: [{dir: x, pattern: y, snapshot: {retention: -1s}, replica: {path: /r}}]",
		  "dbs[x].snapshot.retention: snapshot retention must be greater than 0 (got -1s)" },
		{ "dbs: [{path: /a, snapshot: {interval: 10m}, replica: {path: /r}}, {path: /b, snapshot: {interval: 20m}}]",
		  "conflicting database snapshot intervals: /a has 10m0s, /b has 20m0s" },
		{ "snapshot: {retention: 1h}\ndbs: [{path: a, snapshot: {retention: 10m}}, {dir: b, snapshot: {retention: 20m}}]",
		  "conflicting database snapshot retentions: a has 10m0s, b has 20m0s" },
		{ "dbs: [{path: /a, replica: {path: /r, concurrency: -2, max-sync-ltx-files: -1}, monitor-interval: -5s, "
		  "truncate-page-n: -1, min-checkpoint-page-count: -1, max-sync-wal-bytes: -1}]", NULL },
		{ "dbs: [{path: /a, max-sync-wal-bytes: 64MB}]",
		  "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `64MB` into int" },
		{ "part-size: 5XB", "invalid size format: unhandled size name: xb" },
		{ "part-size: ''", "empty size string" },
		{ "part-size: MB", "invalid size format: strconv.ParseFloat: parsing \"\": invalid syntax" },
		{ "part-size: 10EB", "size 10000000000000000000 exceeds maximum allowed value (9223372036854775807)" },
		{ "part-size: 100EB", "invalid size format: too large: 100eb" },
		{ "tls: 1", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `1` into bool" },
		{ "max-reconnects: x", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `x` into int" },
		/* one thing twice */
		{ "dbs:\n- path: /a\n  replica: {path: /r}\n- path: /b/../a\n  replica: {path: /s}\n",
		  "database /a is configured twice, in lines 2 and 4" },
		{ "dbs: [{path: /a, replica: {path: /r}}, {path: /b, replica: {url: 'file:///r/'}}]",
		  "databases /a and /b have their replicas in one place: file /r" },
		{ "dbs: [{path: /a, replicas: [{path: /r}, {path: /r}]}]", "database /a has two replicas in one place: file /r" },
		{ "dbs: [{path: /a, replica: {url: 'gs://b/p'}}, {path: /b, replica: {url: 'gs://b/p'}}]",
		  "databases /a and /b have their replicas in one place: gs gs://b/p -" },
		{ "dbs: [{path: /a, replica: {url: 's3://b/p'}}, {path: /b, replica: {type: s3, bucket: b, path: p}}]",
		  "databases /a and /b have their replicas in one place: s3 b - p" },
		{ "dbs: [{path: /a, replica: {url: 'gs://b/p'}}, {path: /b, replica: {url: 'gs://b/q'}}]", NULL },
		{ "dbs: [{dir: /d, pattern: '*.a', replica: {path: /r}}, {dir: /d, pattern: '*.b', replica: {path: /r}}]", NULL },
		{ "dbs:\n- {dir: /d, pattern: '*.a', replica: {path: /r}}\n- {dir: /d/, pattern: '*.a', replica: {path: /s}}\n",
		  "directory /d with pattern *.a is configured twice, in lines 2 and 3" },
		{ "dbs: [{path: /a, replicas: [{path: /1}, {path: /2}, {path: /3}, {path: /4}, {path: /5}, {path: /6}, {path: /7}, "
		  "{path: /8}, {path: /9}]}]", "database /a has 9 replicas, of 8 that are possible" },
	};

	RUN_ROWS(rows);
}

/* ---- hostile ---- */

TEST(deep_nesting)
{
	struct buf b = { .data = NULL };
	struct err e = ERR_INIT;

	buf_str(&b, "x: ");
	for (int i = 0; i < 100000; i++)
		buf_char(&b, '[');
	verdict(buf_text(&b), &e);
	buf_reset(&b);
	CHECK_STR(e.text, "yaml: line 1: nested more than 64 deep");
	for (int i = 0; i < 5000; i++) {
		for (int k = 0; k < i % 300; k++)
			buf_char(&b, ' ');
		buf_str(&b, "a:\n");
	}
	verdict(buf_text(&b), &e);
	buf_free(&b);
	CHECK_STR(e.text, "yaml: line 65: nested more than 64 deep");
}

/* Each line ten times the one before: 10^9 values in 300 bytes. Where nobody looks they cost nothing; where they would be
 * databases there is a limit. */
TEST(alias_bomb)
{
	struct buf b = { .data = NULL };
	struct err e = ERR_INIT;

	buf_str(&b, "a0: &a0 {path: /x}\n");
	for (int i = 1; i < 10; i++) {
		buf_fmt(&b, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_fmt(&b, "*a%d,", i - 1);
		buf_str(&b, "]\n");
	}
	verdict(buf_text(&b), &e);
	CHECK_STR(e.text, "");
	buf_str(&b, "dbs: *a9\n");
	verdict(buf_text(&b), &e);
	bool refused = strncmp(e.text, "yaml: unmarshal errors:\n  line 9: cannot unmarshal !!seq into main.DBConfig", 60) == 0;
	CHECK(refused);

	buf_reset(&b);
	buf_str(&b, "r: &r {path: /r}\nm: &m [");
	for (int i = 0; i < 2000; i++)
		buf_str(&b, "*r,");
	buf_str(&b, "]\nd: &d {path: /x, replicas: *m}\ndbs: [");
	for (int i = 0; i < 2000; i++)
		buf_str(&b, "*d,");
	buf_str(&b, "]\n");
	verdict(buf_text(&b), &e);
	CHECK_STR(e.text, "yaml: document contains excessive aliasing");

	buf_reset(&b);
	buf_str(&b, "m0: &m0 {x: 1}\n");
	for (int i = 1; i < 40; i++)
		buf_fmt(&b, "m%d: &m%d {<<: [*m%d, *m%d, *m%d]}\n", i, i, i - 1, i - 1, i - 1);
	buf_str(&b, "<<: *m20\n");
	verdict(buf_text(&b), &e);
	CHECK_STR(e.text, "yaml: document contains excessive aliasing");
	buf_str(&b, "---\n");
	buf_free(&b);
}

TEST(too_many)
{
	struct buf b = { .data = NULL };
	struct err e = ERR_INIT;

	for (int i = 0; i < CONFIG_ANCHORS_MAX + 1; i++)
		buf_fmt(&b, "a%d: &a%d x\n", i, i);
	verdict(buf_text(&b), &e);
	CHECK_STR(e.text, "yaml: line 1001: more than 1000 anchors");
	buf_reset(&b);
	buf_str(&b, "x: [");
	for (int i = 0; i < CONFIG_NODES_MAX; i++)
		buf_str(&b, "1,");
	verdict(buf_text(&b), &e);
	buf_reset(&b);
	CHECK_STR(e.text, "yaml: more than 524288 values");
	buf_str(&b, "levels: [");
	for (int i = 0; i < 65; i++)
		buf_str(&b, "{interval: 1s},");
	buf_str(&b, "]");
	verdict(buf_text(&b), &e);
	buf_free(&b);
	CHECK_STR(e.text, "compaction level cannot exceed 8");
}

TEST(files)
{
	const char *dir = tmpdir();
	char path[512], text[600];
	struct config c;
	struct err e = ERR_INIT;
	int fd, ends[2], rc;

	CHECK_INT(config_load(dir, true, &c, &e), -1);
	snprintf(text, sizeof(text), "read %s: is a directory", dir);
	CHECK_STR(e.text, text);
	snprintf(path, sizeof(path), "%s/none.yml", dir);
	CHECK_INT(config_load(path, true, &c, &e), -1);
	snprintf(text, sizeof(text), "config file not found: %s", path);
	CHECK_STR(e.text, text);
	CHECK_INT(e.code, ERR_NOT_FOUND);

	/* 100 MB of holes */
	snprintf(path, sizeof(path), "%s/big.yml", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0 && ftruncate(fd, 100 << 20) == 0);
	close(fd);
	CHECK_INT(config_load(path, true, &c, &e), -1);
	snprintf(text, sizeof(text), "config file %s is too large: more than 4194304 bytes", path);
	CHECK_STR(e.text, text);

	/* What a shell's <(…) hands over */
	CHECK_INT(pipe(ends), 0);
	CHECK_INT(write(ends[1], "exec: x", 7), 7);
	close(ends[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
	rc = config_load(path, true, &c, &e);
	close(ends[0]);
	CHECK_OK(rc, &e);
	bool same = strcmp(c.exec, "x") == 0 && strcmp(c.file, path) == 0;
	config_free(&c);
	CHECK(same);
}

TEST(one_inode)
{
	const char *dir = tmpdir();
	char a[512], b[512], text[3000];
	struct err e = ERR_INIT;

	snprintf(a, sizeof(a), "%s/a.db", dir);
	snprintf(b, sizeof(b), "%s/b.db", dir);
	close(open(a, O_CREAT | O_RDWR, 0600));
	CHECK_INT(symlink("a.db", b), 0);
	snprintf(text, sizeof(text), "dbs: [{path: %s, replica: {path: /r}}, {path: %s, replica: {path: /s}}]", b, a);
	verdict(text, &e);
	snprintf(text, sizeof(text), "databases %s and %s are the same file", b, a);
	CHECK_STR(e.text, text);
}

TEST_MAIN
