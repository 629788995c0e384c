/* SPDX-License-Identifier: MIT */
/*
 * writer - the application beside the daemon.
 *
 *   writer flood DB SECONDS   one row of 1 to 4 KB a transaction, as fast as it goes; prints one line of JSON
 *   writer fill DB MEGABYTES  makes a database of that size, half of it random bytes, half text
 *
 * The flood uses what applications use: WAL mode, synchronous=NORMAL, SQLite's own automatic checkpoint at 1,000 pages.
 * Its last row holds a random marker, printed, by which it is found in a replica.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "sqlite3.h"

enum { POOL = 1 << 20, ROW_MIN = 1000, ROW_MAX = 4000, MARKER = 32, AUTOCHECKPOINT = 1000 };

static uint64_t state = 0x9e3779b97f4a7c15;
static unsigned char noise[POOL], text[POOL];
static struct {
	long long frames; /* written to the log */
	int last;         /* frames in the log after the last commit */
} wal;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static long long now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void make_pools(void)
{
	static const char *const words[] = { "order", "customer", "shipped", "pending", "invoice", "total", "street",
		                             "Berlin", "Paris", "2026-02-12", "{\"id\":", "\"name\":\"", "},", "null", "true",
		                             "amount", "EUR", "note", "quantity", "reference" };
	size_t n = 0;

	for (size_t i = 0; i < POOL; i++)
		noise[i] = (unsigned char)(next_random() >> 32);
	while (n < POOL) {
		char word[32];
		int len = snprintf(word, sizeof(word), next_random() % 5 ? "%s " : "%s%llu ",
		                   words[next_random() % (sizeof(words) / sizeof(*words))],
		                   (unsigned long long)(next_random() % 100000));

		for (int i = 0; i < len && n < POOL; i++)
			text[n++] = (unsigned char)word[i];
	}
}

static void check(sqlite3 *db, int rc, const char *what)
{
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return;
	fprintf(stderr, "writer: %s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

static void run(sqlite3 *db, const char *sql)
{
	check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static sqlite3 *open_database(const char *path)
{
	sqlite3 *db;

	check(NULL, sqlite3_open(path, &db), path);
	check(db, sqlite3_busy_timeout(db, 30000), "busy_timeout");
	run(db, "PRAGMA cache_size=-8000"); /* ours is compiled with a tiny one */
	return db;
}

/* Random bytes and text by turns of a thousand rows. Pieces repeat, but LTX files compress each page alone. */
static void insert(sqlite3 *db, sqlite3_stmt *s, long long id, const void *marker)
{
	int n = ROW_MIN + (int)(next_random() % (ROW_MAX - ROW_MIN));
	const unsigned char *from = (id / 1000 % 2 ? text : noise) + next_random() % (POOL - ROW_MAX);

	if (marker)
		sqlite3_bind_blob(s, 1, marker, MARKER, SQLITE_STATIC);
	else
		sqlite3_bind_null(s, 1);
	sqlite3_bind_blob(s, 2, from, n, SQLITE_STATIC);
	check(db, sqlite3_step(s), "insert");
	check(db, sqlite3_reset(s), "insert");
}

/* SQLite's own automatic checkpoint, with the frames counted. */
static int on_commit(void *ctx, sqlite3 *db, const char *name, int frames)
{
	(void)ctx;
	wal.frames += frames > wal.last ? frames - wal.last : frames;
	wal.last = frames;
	if (frames >= AUTOCHECKPOINT)
		sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return SQLITE_OK;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int flood(const char *path, double seconds)
{
	size_t room = 1 << 16, n = 0;
	uint32_t *took = malloc(room * sizeof(*took)); /* nanoseconds of each commit */
	unsigned char marker[MARKER];
	long long began, until, ended;
	struct rusage use;
	sqlite3_stmt *s;
	sqlite3 *db;

	state ^= (uint64_t)now_ns(CLOCK_REALTIME);
	make_pools();
	for (int i = 0; i < MARKER; i++)
		marker[i] = (unsigned char)(next_random() >> 24);
	db = open_database(path);
	run(db, "PRAGMA journal_mode=wal");
	run(db, "PRAGMA synchronous=NORMAL");
	run(db, "CREATE TABLE IF NOT EXISTS flood (id INTEGER PRIMARY KEY, marker BLOB, data BLOB)");
	sqlite3_wal_hook(db, on_commit, NULL);
	check(db, sqlite3_prepare_v2(db, "INSERT INTO flood (marker, data) VALUES (?, ?)", -1, &s, NULL), "prepare");
	began = now_ns(CLOCK_MONOTONIC);
	until = began + (long long)(seconds * 1e9);
	ended = began;
	while (ended < until) {
		long long from = now_ns(CLOCK_MONOTONIC);

		insert(db, s, (long long)n, NULL);
		ended = now_ns(CLOCK_MONOTONIC);
		if (n == room && !(took = realloc(took, (room *= 2) * sizeof(*took))))
			return 1;
		took[n++] = ended - from < UINT32_MAX ? (uint32_t)(ended - from) : UINT32_MAX;
	}
	getrusage(RUSAGE_SELF, &use);
	insert(db, s, (long long)n, marker);
	printf("{\"transactions\": %zu, \"seconds\": %.6f, \"last_ns\": %lld, \"rows\": %lld, ", n, (double)(ended - began) / 1e9,
	       now_ns(CLOCK_MONOTONIC), (long long)sqlite3_last_insert_rowid(db));
	qsort(took, n, sizeof(*took), ascending);
	printf("\"wal_bytes\": %lld, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, \"max_ms\": %.4f, \"marker\": \"",
	       wal.frames * (4096 + 24), took[n / 2] / 1e6, took[n - 1 - n / 100] / 1e6, took[n - 1 - n / 1000] / 1e6,
	       took[n - 1] / 1e6);
	for (int i = 0; i < MARKER; i++)
		printf("%02x", marker[i]);
	printf("\", \"user_us\": %.3f, \"sys_us\": %.3f}\n",
	       (double)(use.ru_utime.tv_sec * 1000000 + use.ru_utime.tv_usec) / (double)n,
	       (double)(use.ru_stime.tv_sec * 1000000 + use.ru_stime.tv_usec) / (double)n);
	fflush(stdout);
	/* Whoever started us closes our input when the log is no longer of interest: the last close removes it. */
	while (getchar() != EOF)
		;
	sqlite3_finalize(s);
	sqlite3_close(db);
	free(took);
	return 0;
}

static int fill(const char *path, double megabytes)
{
	sqlite3_stmt *s, *size;
	sqlite3 *db;

	make_pools();
	db = open_database(path);
	run(db, "PRAGMA journal_mode=off");
	run(db, "PRAGMA synchronous=off");
	run(db, "CREATE TABLE filling (id INTEGER PRIMARY KEY, marker BLOB, data BLOB)");
	check(db, sqlite3_prepare_v2(db, "INSERT INTO filling (marker, data) VALUES (?, ?)", -1, &s, NULL), "prepare");
	check(db, sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &size, NULL), "prepare");
	for (long long id = 0;;) {
		double have;

		run(db, "BEGIN");
		for (int i = 0; i < 500; i++)
			insert(db, s, id++, NULL);
		run(db, "COMMIT");
		check(db, sqlite3_step(size), "page_count");
		have = sqlite3_column_int(size, 0) * 4096.0;
		sqlite3_reset(size);
		if (have >= megabytes * 1e6)
			break;
	}
	sqlite3_finalize(s);
	sqlite3_finalize(size);
	run(db, "PRAGMA journal_mode=wal");
	sqlite3_close(db);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "flood"))
		return flood(argv[2], atof(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "fill"))
		return fill(argv[2], atof(argv[3]));
	fprintf(stderr, "usage: writer flood DB SECONDS | writer fill DB MEGABYTES\n");
	return 2;
}
