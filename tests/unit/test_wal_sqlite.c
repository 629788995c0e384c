/* SPDX-License-Identifier: MIT */
/* Logs and wal-indexes that SQLite itself has written, at every page size. */
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/wal/wal.h"
#include "tests/check.h"

struct db {
	char dir[64], path[96], wal[104];
	sqlite3 *handle;
	uint32_t page_size;
	int failed; /* sqlite calls */
};

static void exec(struct db *db, const char *sql)
{
	char *message = NULL;
	if (sqlite3_exec(db->handle, sql, NULL, NULL, &message) != SQLITE_OK) {
		printf("%s: %s\n", sql, message);
		db->failed++;
	}
	sqlite3_free(message);
}

static void open_db(struct db *db, uint32_t page_size)
{
	char sql[64];
	memset(db, 0, sizeof(*db));
	db->page_size = page_size;
	strcpy(db->dir, "/tmp/wal-test-XXXXXX");
	db->failed = !mkdtemp(db->dir);
	snprintf(db->path, sizeof(db->path), "%s/db", db->dir);
	snprintf(db->wal, sizeof(db->wal), "%s-wal", db->path);
	db->failed += sqlite3_open(db->path, &db->handle) != SQLITE_OK;
	snprintf(sql, sizeof(sql), "PRAGMA page_size = %u", page_size);
	exec(db, sql);
	exec(db, "PRAGMA journal_mode = wal");
	exec(db, "PRAGMA wal_autocheckpoint = 0");
	exec(db, "PRAGMA synchronous = off");
}

static void close_db(struct db *db)
{
	sqlite3_close(db->handle);
	unlink(db->wal);
	unlink(db->path);
	rmdir(db->dir);
}

/* A whole file; NULL and 0 when there is none. */
static uint8_t *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = NULL;
	*n = 0;
	if (f) {
		fseek(f, 0, SEEK_END);
		*n = (size_t)ftell(f);
		bytes = calloc(1, *n + 1);
		rewind(f);
		if (fread(bytes, 1, *n, f) != *n)
			*n = 0;
		fclose(f);
	}
	return bytes;
}

static int read_file(void *ctx, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e)
{
	(void)e;
	fseek(ctx, (long)offset, SEEK_SET);
	*got = fread(bytes, 1, n, ctx);
	return 0;
}

/* Scans the log of db as it is now. 0, or the number of the step that failed. */
static int scan(struct db *db, struct wal_scan *s, struct wal_pages *pages, int64_t end_max, struct err *e)
{
	static uint8_t buffer[100000];
	uint8_t header[WAL_HEADER_SIZE];
	struct wal_header h;
	int rc = 0;
	FILE *f = fopen(db->wal, "rb");
	if (!f)
		return 1;
	struct wal_source source = {read_file, f};
	if (fread(header, 1, sizeof(header), f) != sizeof(header) ||
	    wal_header_parse(header, sizeof(header), &h, e) != WAL_HEADER_OK || h.page_size != db->page_size) {
		rc = 2;
	} else {
		wal_scan_begin(s, h.page_size, h.big_endian, h.salt1, h.salt2, WAL_HEADER_SIZE, h.checksum);
		if (wal_scan_run(s, source, end_max, 0, pages, buffer, sizeof(buffer), e) != WAL_SCAN_END)
			rc = 3;
	}
	fclose(f);
	return rc;
}

/* The first bytes of the -shm, in SQLite's own mapping. */
static const volatile void *shm(struct db *db)
{
	sqlite3_file *file = NULL;
	volatile void *map = NULL;
	if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
	    file->pMethods->xShmMap(file, 0, WAL_INDEX_SIZE, 0, &map) != SQLITE_OK)
		return NULL;
	return map;
}

/*
 * The database file with the pages of the log laid over it must be what SQLite makes of the two in a checkpoint, and
 * the wal-index must tell the same end. Returns 0, or the number of the check that failed.
 */
static int compare(struct db *db, struct err *e)
{
	struct wal_scan s;
	struct wal_index x;
	struct wal_page page;
	struct wal_pages *pages = wal_pages_create("/tmp");
	const volatile void *map = shm(db);
	size_t base_size = 0, log_size = 0, after_size = 0;
	uint8_t *base = slurp(db->path, &base_size), *log = slurp(db->wal, &log_size), *after = NULL, *image = NULL;
	int rc = 0, more = 0;

	wal_pages_set_limits(pages, 20, 4);
	if (scan(db, &s, pages, INT64_MAX, e))
		rc = 1;
	else if (!map || !wal_index_read(map, &x) || x.page_size != db->page_size || x.big_endian != s.big_endian)
		rc = 2;
	else if (wal_offset(x.page_size, x.frames) != s.commit_end || x.pages != s.commit_pages)
		rc = 3;
	else if (x.checksum.s0 != s.commit_checksum.s0 || x.checksum.s1 != s.commit_checksum.s1)
		rc = 4;
	else if (x.salt1 != s.salt1 || x.salt2 != s.salt2 || x.backfilled > x.frames)
		rc = 5;
	else if (wal_pages_sort(pages, s.commit_pages, e))
		rc = 6;
	if (rc)
		goto out;
	size_t image_size = (size_t)s.commit_pages * db->page_size;
	image = calloc(1, image_size);
	memcpy(image, base, base_size < image_size ? base_size : image_size);
	while ((more = wal_pages_next(pages, &page, e)) == 1)
		memcpy(image + (size_t)(page.pgno - 1) * db->page_size, log + page.offset + WAL_FRAME_HEADER_SIZE, db->page_size);
	exec(db, "PRAGMA wal_checkpoint(PASSIVE)");
	after = slurp(db->path, &after_size);
	if (more != 0 || after_size != image_size)
		rc = 7;
	else if (memcmp(after, image, image_size) != 0)
		rc = 8;
	else if (wal_index_changed(map, x.raw))
		rc = 9;
	else if (!wal_index_read(map, &x) || x.backfilled != x.frames)
		rc = 10;
out:
	wal_pages_free(pages);
	free(base);
	free(log);
	free(after);
	free(image);
	return rc;
}

static void fill(struct db *db, int rows, int size)
{
	char sql[200];
	snprintf(sql, sizeof(sql),
	         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
	         "INSERT INTO t(v) SELECT randomblob(%d) FROM n", rows, size);
	exec(db, sql);
}

TEST(every_page_size)
{
	for (uint32_t size = 512; size <= 65536; size *= 2) {
		struct db db;
		struct err e = ERR_INIT;
		int step[5];
		open_db(&db, size);
		exec(&db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
		fill(&db, 30, (int)size / 3);
		fill(&db, 10, (int)size * 3);
		step[0] = compare(&db, &e);
		/* all is backfilled: the next transaction starts the log again over the old frames */
		exec(&db, "UPDATE t SET v = 1 WHERE id % 3 = 0");
		step[1] = compare(&db, &e);
		exec(&db, "UPDATE t SET v = 2 WHERE id = 1");
		fill(&db, 20, (int)size);
		exec(&db, "DELETE FROM t WHERE id > 5");
		exec(&db, "VACUUM"); /* shrinks */
		step[2] = compare(&db, &e);
		exec(&db, "DELETE FROM t WHERE id > 2");
		exec(&db, "VACUUM");
		fill(&db, 9, (int)size * 2); /* and grows again in the same range */
		step[3] = compare(&db, &e);
		step[4] = db.failed;
		close_db(&db);
		for (int i = 0; i < 5; i++)
			if (step[i])
				CHECK_FAIL("page size %u, step %d: check %d failed: %s", size, i, step[i], e.text);
	}
}

/* A transaction larger than the page cache writes frames before it ends; a rollback leaves them in the file. */
TEST(spilled_and_rolled_back)
{
	struct db db;
	struct err e = ERR_INIT;
	struct wal_scan before, open, after;
	struct wal_pages *pages = wal_pages_create(NULL);
	struct wal_page page;
	static uint8_t buffer[100000];
	open_db(&db, 1024);
	exec(&db, "PRAGMA cache_size = 5");
	exec(&db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
	fill(&db, 10, 300);
	int rc = scan(&db, &before, NULL, INT64_MAX, &e);
	exec(&db, "BEGIN");
	fill(&db, 100, 900);
	rc += scan(&db, &open, pages, INT64_MAX, &e);
	exec(&db, "ROLLBACK");
	exec(&db, "UPDATE t SET v = 'short' WHERE id = 1");
	/* the scan that has taken up the open frames goes on, and so does one that begins now */
	FILE *f = fopen(db.wal, "rb");
	struct wal_scan resumed = open;
	struct wal_source source = {read_file, f};
	int result = wal_scan_run(&resumed, source, INT64_MAX, 0, pages, buffer, sizeof(buffer), &e);
	fclose(f);
	rc += scan(&db, &after, NULL, INT64_MAX, &e);
	rc += wal_pages_sort(pages, UINT32_MAX, &e);
	bool beyond = false;
	while (wal_pages_next(pages, &page, &e) == 1)
		beyond |= page.offset >= resumed.commit_end;
	int end = compare(&db, &e);
	rc += db.failed;
	wal_pages_free(pages);
	close_db(&db);
	CHECK_INT(rc, 0);
	CHECK_INT(result, WAL_SCAN_END);
	CHECK(open.offset > open.commit_end + 5 * wal_frame_size(1024));
	CHECK_INT(open.commit_end, before.commit_end);
	CHECK(after.commit_end > before.commit_end && after.commit_end < open.offset);
	CHECK_INT(resumed.commit_end, after.commit_end);
	CHECK_INT(resumed.commit_checksum.s0, after.commit_checksum.s0);
	CHECK(!beyond);
	CHECK_INT(end, 0);
}

/* A page that is spilled, changed again and spilled again is rewritten in its first frame. */
TEST(rewritten_in_place)
{
	struct db db;
	struct err e = ERR_INIT;
	struct wal_pages *pages = wal_pages_create(NULL);
	static uint8_t buffer[100000];
	struct wal_scan s, fresh;
	open_db(&db, 1024);
	exec(&db, "PRAGMA cache_size = 5");
	exec(&db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
	fill(&db, 60, 700);
	exec(&db, "BEGIN");
	exec(&db, "UPDATE t SET v = randomblob(700)");
	int rc = scan(&db, &s, pages, INT64_MAX, &e);
	int64_t open_end = s.offset, commit_end = s.commit_end;
	exec(&db, "UPDATE t SET v = randomblob(700)");
	FILE *f = fopen(db.wal, "rb");
	struct wal_source source = {read_file, f};
	rc += wal_scan_run(&s, source, INT64_MAX, 0, pages, buffer, sizeof(buffer), &e);
	fclose(f);
	exec(&db, "COMMIT");
	f = fopen(db.wal, "rb");
	source.ctx = f;
	rc += wal_scan_run(&s, source, INT64_MAX, 0, pages, buffer, sizeof(buffer), &e);
	fclose(f);
	rc += scan(&db, &fresh, NULL, INT64_MAX, &e);
	int end = compare(&db, &e);
	rc += db.failed;
	wal_pages_free(pages);
	close_db(&db);
	CHECK_INT(rc, 0);
	CHECK(open_end > commit_end);
	CHECK(fresh.commit_end > commit_end);
	CHECK_INT(s.commit_end, fresh.commit_end);
	CHECK_INT(end, 0);
}

TEST(index_tells_of_each_transaction)
{
	struct db db;
	struct err e = ERR_INIT;
	struct wal_scan s;
	struct wal_index x, y;
	open_db(&db, 4096);
	exec(&db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
	const volatile void *map = shm(&db);
	bool read = map && wal_index_read(map, &x);
	bool idle = read && wal_index_changed(map, x.raw);
	exec(&db, "SELECT * FROM t");
	idle |= read && wal_index_changed(map, x.raw);
	exec(&db, "INSERT INTO t(v) VALUES (1)");
	bool changed = read && wal_index_changed(map, x.raw);
	bool again = read && wal_index_read(map, &y);
	/* a scan up to the older end sees only the older transactions */
	int rc = read ? scan(&db, &s, NULL, wal_offset(4096, x.frames), &e) : -1;
	rc += db.failed;
	close_db(&db);
	CHECK(read);
	CHECK(!idle);
	CHECK(changed);
	CHECK(again);
	CHECK_INT(rc, 0);
	CHECK_INT(y.change, x.change + 1);
	CHECK(y.frames > x.frames);
	CHECK_INT(s.commit_end, wal_offset(4096, x.frames));
	CHECK_INT(s.commit_checksum.s1, x.checksum.s1);
}

TEST_MAIN
