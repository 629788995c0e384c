/* SPDX-License-Identifier: MIT */
/* test_control_metrics.c - the exposition is read back by the rules of its format. */
#include <stdlib.h>

#include "tests/check.h"
#include "lib/control/metrics.h"
#include "lib/replica/stats.h"

/* ---- a reader ---- */

enum { SAMPLES_MAX = 30000 };
struct sample {
	char *name, *labels; /* name{labels} as written */
	double value;
};
static struct sample samples[SAMPLES_MAX];
static int sample_count, family_count;
static char problem[200];

static bool bad(const char *what, const char *line)
{
	snprintf(problem, sizeof(problem), "%s: %.150s", what, line);
	return false;
}

/* a="…",b="…" with names in order; false if not. */
static bool labels_good(const char *l)
{
	char last[64] = "", name[64];
	size_t n;

	while (*l) {
		n = strspn(l, "abcdefghijklmnopqrstuvwxyz_");
		if (!n || n >= sizeof(name) || l[n] != '=' || l[n + 1] != '"')
			return false;
		memcpy(name, l, n);
		name[n] = '\0';
		if (strcmp(last, name) >= 0 && strcmp(name, "le"))
			return false;
		strcpy(last, name);
		for (l += n + 2; *l != '"'; l++) {
			if (!*l || *l == '\n')
				return false;
			if (*l == '\\' && !strchr("\\\"n", *++l))
				return false;
		}
		if (*++l == ',')
			l++;
	}
	return true;
}

/* The family that a sample's name belongs to. */
static bool belongs(const char *name, size_t n, const char *family, const char *type)
{
	static const char *const suffixes[] = { "_bucket", "_sum", "_count" };
	size_t f = strlen(family);

	if (n == f && !strncmp(name, family, n))
		return strcmp(type, "histogram") != 0;
	if (strcmp(type, "histogram") || n <= f || strncmp(name, family, f))
		return false;
	for (int i = 0; i < 3; i++)
		if (n - f == strlen(suffixes[i]) && !strncmp(name + f, suffixes[i], n - f))
			return true;
	return false;
}

static bool read_sample(char *line, const char *family, const char *type)
{
	char *end = line + strcspn(line, "{ "), *value, *stop;
	struct sample *s = &samples[sample_count];

	if (!belongs(line, (size_t)(end - line), family, type))
		return bad("a sample outside of its family", line);
	value = strrchr(line, ' ');
	if (!value)
		return bad("no value", line);
	*value++ = '\0';
	s->value = strtod(value, &stop);
	if (stop == value || *stop)
		return bad("not a number", value);
	if (*end == '{') {
		size_t n = strlen(end);

		if (end[n - 1] != '}')
			return bad("labels do not end", line);
		end[n - 1] = '\0';
		*end++ = '\0';
		if (!labels_good(end))
			return bad("labels", end);
	} else {
		end = line + strlen(line);
	}
	s->name = line;
	s->labels = end;
	for (int i = sample_count - 1; i >= 0 && i > sample_count - 40; i--)
		if (!strcmp(samples[i].name, s->name) && !strcmp(samples[i].labels, s->labels))
			return bad("twice", line);
	return ++sample_count < SAMPLES_MAX || bad("too many", "");
}

/* Cuts the text into lines and reads all. */
static bool read_all(struct buf *text)
{
	char family[100] = "", type[20], next[100], typed[100];
	char *line = (char *)text->data, *end;

	sample_count = family_count = 0;
	if (!text->len || text->data[text->len - 1] != '\n')
		return bad("no newline at the end", "");
	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		*end = '\0';
		if (!strncmp(line, "# HELP ", 7)) {
			if (sscanf(line, "# HELP %99s", next) != 1 || strcmp(family, next) >= 0)
				return bad("families are not sorted", line);
			if (!strchr(line + 7, ' '))
				return bad("no help", line);
			strcpy(family, next);
			line = end + 1;
			end = strchr(line, '\n');
			*end = '\0';
			if (sscanf(line, "# TYPE %99s %19s", typed, type) != 2 || strcmp(typed, family))
				return bad("no type", line);
			family_count++;
		} else if (!read_sample(line, family, type)) {
			return false;
		}
	}
	return true;
}

static const double *find(const char *name, const char *labels)
{
	for (int i = 0; i < sample_count; i++)
		if (!strcmp(samples[i].name, name) && (!labels || !strcmp(samples[i].labels, labels)))
			return &samples[i].value;
	return NULL;
}

/* ---- figures to write ---- */

static const char *paths[3] = { "/var/z \"x\"\\\n/app.db", "/b\xff\xc3\xa9/app.db", "/a/other.db" };

static const char *path(void *ctx, int i)
{
	(void)ctx;
	return paths[i];
}

static void read_one(void *ctx, int i, struct managed_facts *f, struct db_checkpoint_counters *c)
{
	(void)ctx;
	*f = (struct managed_facts){ .path = paths[i], .txid = UINT64_C(12345678901234567), .db_size = 4096 + i,
		                     .wal_size = 32, .l0_eligible = 1, .l0_too_recent = i, .compaction_verify_errors = 9,
		                     .syncs = 7, .sync_errors = 1, .sync_ns = 1500000000, .wal_bytes = 999,
		                     .disk_full = i == 0 };
	*c = (struct db_checkpoint_counters){ .count = { 0 } };
	if (i == 1) {
		c->count[DB_MODE_PASSIVE] = 3;
		c->us[DB_MODE_PASSIVE] = 250000;
		c->count[DB_MODE_TRUNCATE] = 1;
		c->errors[DB_MODE_TRUNCATE] = 1;
	}
}

static const struct metrics_scrapes scrapes = { .ok = 5, .in_flight = 1 };

TEST(what_is_written_reads_back)
{
	static const struct metrics_source source = { 3, path, read_one, NULL };
	static const char db1[] = "db=\"/b\xef\xbf\xbd\xc3\xa9/app.db\"";
	struct buf out = { 0 };

	replica_stats_done("s3", REPLICA_DELETE, 20000);
	replica_stats_failed("s3", REPLICA_DELETE, "Slow\"Down");
	replica_stats_done("file", REPLICA_DELETE, 1);
	metrics_write(&out, &source, &scrapes);
	CHECK(buf_ok(&out));
	if (!read_all(&out))
		CHECK_FAIL("%s", problem);
	CHECK_INT(*find("litestream_txid", "db=\"/a/other.db\""), 12345678901234567.0);
	CHECK_INT(*find("litestream_db_size", "db=\"/var/z \\\"x\\\"\\\\\\n/app.db\""), 4096);
	CHECK_INT(*find("litestream_db_size", db1), 4097);
	CHECK(*find("litestream_sync_seconds", db1) == 1.5);
	CHECK_INT(*find("litestream_disk_full", db1), 0);
	/* A mode that there was no checkpoint of does not appear; two databases of one name are one sample. */
	CHECK(find("litestream_checkpoint_count", "db=\"/a/other.db\",mode=\"PASSIVE\"") == NULL);
	CHECK_INT(*find("litestream_checkpoint_count", "db=\"/b\xef\xbf\xbd\xc3\xa9/app.db\",mode=\"PASSIVE\""), 3);
	CHECK_INT(*find("litestream_checkpoint_error_count", "db=\"/b\xef\xbf\xbd\xc3\xa9/app.db\",mode=\"TRUNCATE\""), 1);
	CHECK_INT(*find("litestream_l0_retention_files_total", "db=\"app.db\",status=\"eligible\""), 2);
	CHECK_INT(*find("litestream_l0_retention_files_total", "db=\"other.db\",status=\"too_recent\""), 2);
	CHECK_INT(*find("litestream_replica_operation_errors_total",
	                "code=\"Slow\\\"Down\",operation=\"DELETE\",replica_type=\"s3\""), 1);
	CHECK_INT(*find("litestream_replica_operation_duration_seconds_bucket",
	                "operation=\"DELETE\",replica_type=\"s3\",le=\"0.05\""), 1);
	CHECK_INT(*find("litestream_replica_operation_duration_seconds_bucket",
	                "operation=\"DELETE\",replica_type=\"s3\",le=\"0.01\""), 0);
	CHECK_INT(*find("litestream_replica_operation_duration_seconds_count",
	                "operation=\"DELETE\",replica_type=\"file\""), 1);
	CHECK_INT(*find("promhttp_metric_handler_requests_total", "code=\"200\""), 5);
	CHECK_INT(*find("promhttp_metric_handler_requests_total", "code=\"503\""), 0);
	CHECK(*find("go_threads", "") >= 1);
	CHECK(*find("process_open_fds", "") >= 3);
	CHECK(*find("process_resident_memory_bytes", "") > 100000);
	CHECK(*find("process_start_time_seconds", "") > 1.6e9);
	buf_free(&out);
}

TEST(every_name_of_the_dashboard_is_there)
{
	static const struct metrics_source source = { 3, path, read_one, NULL };
	static const char *const names[] = {
		"litestream_db_size", "litestream_wal_size", "litestream_total_wal_bytes", "litestream_txid",
		"litestream_sync_count", "litestream_sync_error_count", "litestream_sync_seconds",
		"litestream_checkpoint_count", "litestream_checkpoint_error_count", "litestream_replica_operation_total",
		"litestream_replica_operation_bytes",
	};
	struct buf out = { 0 };

	replica_stats_done("file", REPLICA_PUT, 5);
	metrics_write(&out, &source, &scrapes);
	CHECK(read_all(&out));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!find(names[i], NULL))
			CHECK_FAIL("%s is missing", names[i]);
	buf_free(&out);
}

TEST(without_databases_the_process_is_told_alone)
{
	static const struct metrics_source source = { 0, path, read_one, NULL };
	struct buf out = { 0 }, small = { .limit = 100 };

	metrics_write(&out, &source, &scrapes);
	CHECK(read_all(&out));
	CHECK(!find("litestream_db_size", NULL) && find("process_cpu_seconds_total", ""));
	metrics_write(&small, &source, &scrapes);
	CHECK(!buf_ok(&small));
	buf_free(&out);
	buf_free(&small);
}

static char many_paths[1000][32];
static const char *many_path(void *ctx, int i) { (void)ctx; return many_paths[i]; }
static void many_read(void *ctx, int i, struct managed_facts *f, struct db_checkpoint_counters *c)
{
	read_one(ctx, 1, f, c);
	f->path = many_paths[i];
}

TEST(a_thousand_databases)
{
	static const struct metrics_source source = { 1000, many_path, many_read, NULL };
	struct buf out = { 0 };

	for (int i = 0; i < 1000; i++)
		snprintf(many_paths[i], sizeof(many_paths[i]), "/srv/%03d/tenant%d.db", (i * 7) % 1000, i);
	metrics_write(&out, &source, &scrapes);
	if (!read_all(&out))
		CHECK_FAIL("%s", problem);
	CHECK_INT(*find("litestream_txid", "db=\"/srv/000/tenant0.db\""), 12345678901234567.0);
	CHECK(sample_count > 18000);
	for (int i = 1; i < sample_count; i++)
		if (!strcmp(samples[i].name, "litestream_txid") && !strcmp(samples[i - 1].name, "litestream_txid"))
			CHECK(strcmp(samples[i - 1].labels, samples[i].labels) < 0);
	buf_free(&out);
}
TEST_MAIN
