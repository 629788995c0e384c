/* SPDX-License-Identifier: MIT */
/* Backups of Litestream v0.3, made by hand of what SQLite wrote. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/text.h"
#include "lib/os/fault.h"
#include "lib/restore/internal.h"
#include "lib/restore/v3.h"
#include "lib/restore/v3_frame.h"
#include "lz4.h"
#include "tests/check.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

static struct err err;

/* ---- checksums and frames ---- */

TEST(xxh32_vectors)
{
	static const char text[] = "Nobody inspects the spammish repetition";
	struct xxh32 x;

	CHECK_INT(xxh32((const uint8_t *)"", 0), 0x02cc5d05);
	CHECK_INT(xxh32((const uint8_t *)"abc", 3), 0x32d153ff);
	CHECK_INT(xxh32((const uint8_t *)text, sizeof(text) - 1), 0xe2293b2f);
	for (size_t a = 0; a < sizeof(text); a++) {
		for (size_t b = a; b < sizeof(text); b++) {
			xxh32_begin(&x);
			xxh32_add(&x, (const uint8_t *)text, a);
			xxh32_add(&x, (const uint8_t *)text + a, b - a);
			xxh32_add(&x, (const uint8_t *)text + b, sizeof(text) - 1 - b);
			CHECK_INT(xxh32_end(&x), 0xe2293b2f);
		}
	}
}

static void add32(struct buf *b, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		buf_char(b, (char)(v >> 8 * i & 0xff));
}

enum { F_RAW = 1, F_BLOCK_SUMS = 2, F_SIZE = 4, F_NO_SUM = 8 };

/* A frame of blocks of `each` bytes. */
static void add_frame(struct buf *b, const void *bytes, size_t n, size_t each, unsigned flags)
{
	size_t head = b->len + 4;
	uint8_t flg = 0x60 | (flags & F_BLOCK_SUMS ? 0x10 : 0) | (flags & F_SIZE ? 0x08 : 0) | (flags & F_NO_SUM ? 0 : 0x04);
	char *packed = malloc((size_t)LZ4_compressBound((int)each));
	const char *p = bytes;

	add32(b, 0x184d2204);
	buf_char(b, (char)flg);
	buf_char(b, 0x40);
	if (flags & F_SIZE) {
		add32(b, (uint32_t)n);
		add32(b, 0);
	}
	buf_char(b, (char)(xxh32(b->data + head, b->len - head) >> 8 & 0xff));
	for (size_t at = 0, m; at < n; at += m) {
		m = n - at < each ? n - at : each;
		int size = flags & F_RAW ? 0 : LZ4_compress_default(p + at, packed, (int)m, LZ4_compressBound((int)each));
		const char *block = size > 0 ? packed : p + at;
		size_t stored = size > 0 ? (size_t)size : m;

		add32(b, (uint32_t)stored | (size > 0 ? 0 : 0x80000000u));
		buf_append(b, block, stored);
		if (flags & F_BLOCK_SUMS)
			add32(b, xxh32((const uint8_t *)block, stored));
	}
	add32(b, 0);
	if (!(flags & F_NO_SUM))
		add32(b, xxh32(bytes, n));
	free(packed);
}

struct memory {
	struct replica_reader reader;
	const uint8_t *bytes;
	size_t size, at;
};

static int read_memory(struct replica_reader *reader, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct memory *m = (struct memory *)reader;

	(void)e;
	*got = m->size - m->at < n ? m->size - m->at : n;
	memcpy(bytes, m->bytes + m->at, *got);
	m->at += *got;
	return 0;
}

static int unpack(const uint8_t *bytes, size_t n, struct buf *out)
{
	struct memory m = { .reader.read = read_memory, .bytes = bytes, .size = n };
	struct v3_frame f;
	const uint8_t *part;
	size_t len;
	int rc;

	buf_reset(out);
	err_clear(&err);
	v3_frame_begin(&f, &m.reader);
	while ((rc = v3_frame_next(&f, &part, &len, &err)) > 0)
		buf_append(out, part, len);
	v3_frame_end(&f);
	return rc;
}

static void some_text(char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i * i / 7 % 5 + (i % 1000 < 300 ? i * 31 % 17 : 0));
}

TEST(frames_of_all_kinds)
{
	static char text[200000];
	struct buf frame = { .data = NULL }, out = { .data = NULL };

	some_text(text, sizeof(text));
	for (unsigned flags = 0; flags < 16; flags++) {
		for (size_t n = 0; n <= sizeof(text); n = n * 7 + 1) {
			buf_reset(&frame);
			add_frame(&frame, text, n, n % 2 ? 65536 : 1000, flags);
			CHECK_OK(unpack(frame.data, frame.len, &out), &err);
			CHECK_INT(out.len, n);
			CHECK(n == 0 || !memcmp(out.data, text, n));
		}
	}
	buf_free(&frame);
	buf_free(&out);
}

TEST(frames_damaged_anywhere)
{
	static char text[3000];
	struct buf frame = { .data = NULL }, out = { .data = NULL };

	some_text(text, sizeof(text));
	for (unsigned flags = 0; flags < 8; flags++) {
		buf_reset(&frame);
		add_frame(&frame, text, sizeof(text), 700, flags);
		for (size_t i = 0; i < frame.len; i++) {
			CHECK_INT(unpack(frame.data, i, &out), -1);
			CHECK_INT(err.code, ERR_CORRUPT);
			for (int bit = 0; bit < 8; bit++) {
				frame.data[i] ^= (uint8_t)(1 << bit);
				/* A match may be taken from elsewhere with the same result. */
				if (unpack(frame.data, frame.len, &out))
					CHECK_INT(err.code, ERR_CORRUPT);
				else
					CHECK(!(flags & F_BLOCK_SUMS) && out.len == sizeof(text) && !memcmp(out.data, text, out.len));
				frame.data[i] ^= (uint8_t)(1 << bit);
			}
		}
		buf_char(&frame, 'x');
		CHECK_INT(unpack(frame.data, frame.len, &out), -1);
		CHECK(strstr(err.text, "bytes behind the end"));
	}
	buf_free(&frame);
	buf_free(&out);
}

/* ---- names ---- */

TEST(names)
{
	uint64_t generation, offset;
	uint32_t index;
	int digits;

	CHECK(v3_parse_generation("0123456789abcdef", &generation));
	CHECK_INT(generation, 0x0123456789abcdef);
	CHECK(!v3_parse_generation("0123456789abcde", &generation) && !v3_parse_generation("0123456789abcdef0", &generation));
	CHECK(!v3_parse_generation("0123456789ABCDEF", &generation) && !v3_parse_generation("0123456789abcdeg", &generation));
	CHECK(!v3_parse_generation("", &generation) && !v3_parse_generation("generations", &generation));
	CHECK(v3_parse_snapshot("0000000f.snapshot.lz4", &index));
	CHECK_INT(index, 15);
	CHECK(!v3_parse_snapshot("0000000f.snapshot.lz4.tmp", &index) && !v3_parse_snapshot("f.snapshot.lz4", &index));
	CHECK(v3_parse_segment("000000ff_12345678.wal.lz4", &index, &offset, &digits));
	CHECK_INT(index, 255);
	CHECK_INT(offset, 0x12345678);
	CHECK(v3_parse_segment("00000001_100000000.wal.lz4", &index, &offset, &digits));
	CHECK_INT(offset, INT64_C(1) << 32);
	CHECK_INT(digits, 9);
	CHECK(v3_parse_segment("00000001_0000000100000000.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("00000001_00000000100000000.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("00000001_ffffffffffffffff.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("00000001_1234567.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("0000001_12345678.wal.lz4", &index, &offset, &digits));
	CHECK(!v3_parse_segment("00000001", &index, &offset, &digits) && !v3_parse_segment("", &index, &offset, &digits));
}

/* ---- which of the two formats ---- */

static struct restore_target at_ms(int64_t ms)
{
	return (struct restore_target){ .has_time = ms != 0, .time_ns = ms * 1000000 };
}

TEST(choice_of_the_format)
{
	struct v3_object snapshots[] = { { .created_ms = 100 }, { .created_ms = 300 } }, segments[] = { { .created_ms = 350 } };
	struct v3_backups old = { { snapshots, 2, 2 }, { segments, 1, 1 } }, none = { { NULL, 0, 0 }, { segments, 1, 1 } };
	struct replica_item items[] = { { 9, 1, 1, 200, 200 }, { 0, 2, 2, 200, 340 } };
	struct replica_list files = { items, 2, 2 }, no_files = { NULL, 0, 0 };
	struct restore_target t = at_ms(0), txid = { .txid = 1 };

	CHECK(v3_is_better(&old, &files, &t));
	items[1].created_ms = 350;
	CHECK(!v3_is_better(&old, &files, &t));
	CHECK(v3_is_better(&old, &no_files, &t));
	CHECK(!v3_is_better(&none, &no_files, &t));
	CHECK(!v3_is_better(&old, &no_files, &txid));
	t = at_ms(99);
	CHECK(!v3_is_better(&old, &no_files, &t));
	t = at_ms(100); /* at or before */
	CHECK(v3_is_better(&old, &files, &t));
	t = at_ms(200); /* the LTX snapshot must be strictly before */
	CHECK(v3_is_better(&old, &files, &t));
	t = at_ms(201);
	CHECK(!v3_is_better(&old, &files, &t));
	t = at_ms(300);
	CHECK(v3_is_better(&old, &files, &t));
}

static const char *plan_of(const struct v3_object *snapshots, int ns, const struct v3_object *segments, int n, int64_t ms)
{
	static char text[ERR_TEXT_SIZE];
	struct v3_backups b = { { .count = ns }, { .count = n } };
	struct restore_target t = at_ms(ms);
	struct v3_plan plan;

	err_clear(&err);
	b.snapshots.items = malloc((size_t)ns * sizeof(*snapshots) + 1);
	b.segments.items = malloc((size_t)n * sizeof(*segments) + 1);
	if (ns)
		memcpy(b.snapshots.items, snapshots, (size_t)ns * sizeof(*snapshots));
	if (n)
		memcpy(b.segments.items, segments, (size_t)n * sizeof(*segments));
	if (v3_plan_make(&b, &t, &plan, &err)) {
		snprintf(text, sizeof(text), "%s", err.text);
	} else {
		snprintf(text, sizeof(text), "%llx/%x", (unsigned long long)plan.snapshot.generation, plan.snapshot.index);
		for (int i = 0; i < plan.segments.count; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %x_%llx", plan.segments.items[i].index,
			         (unsigned long long)plan.segments.items[i].offset);
	}
	v3_plan_free(&plan);
	v3_free(&b);
	return text;
}
#define PLAN(ms, ...) \
	plan_of(snaps, (int)(sizeof(snaps) / sizeof(snaps[0])), (const struct v3_object[]){ __VA_ARGS__ }, \
	        (int)(sizeof((const struct v3_object[]){ __VA_ARGS__ }) / sizeof(struct v3_object)), ms)
#define SEG(i, o, t) { .generation = 7, .index = (i), .offset = (o), .created_ms = (t) }

TEST(plans)
{
	static const struct v3_object snaps[] = { { .generation = 7, .index = 2, .created_ms = 50 },
		                                  { .generation = 7, .index = 4, .created_ms = 90 },
		                                  { .generation = 5, .index = 9, .created_ms = 30 } };

	CHECK_STR(plan_of(snaps, 0, NULL, 0, 0), "no matching backup files available");
	CHECK_STR(plan_of(snaps, 3, NULL, 0, 0), "7/4");
	CHECK_STR(plan_of(snaps, 3, NULL, 0, 89), "7/2");
	CHECK_STR(plan_of(snaps, 3, NULL, 0, 49), "5/9");
	CHECK_STR(plan_of(snaps, 3, NULL, 0, 29), "no matching backup files available");
	/* Older numbers and other generations do not matter; order does not either. */
	CHECK_STR(PLAN(0, SEG(5, 0, 1), SEG(4, 32, 1), SEG(3, 99, 1), SEG(4, 0, 1), { .generation = 5, .index = 4 }),
	          "7/4 4_0 4_20 5_0");
	CHECK_STR(PLAN(60, SEG(2, 0, 1), SEG(2, 32, 60), SEG(2, 64, 61), SEG(3, 0, 61)), "7/2 2_0 2_20");
	CHECK_STR(PLAN(0, SEG(5, 0, 1)), "missing WAL index: expected 00000004/0, got 00000005/0");
	CHECK_STR(PLAN(0, SEG(4, 32, 1)), "missing WAL index: expected 00000004/0, got 00000004/20");
	CHECK_STR(PLAN(0, SEG(4, 0, 1), SEG(6, 0, 1)), "missing WAL index: expected 00000005/0, got 00000006/0");
	CHECK_STR(PLAN(0, SEG(4, 0, 1), SEG(5, 32, 1)), "missing WAL index: expected 00000005/0, got 00000005/20");
	CHECK_INT(err.code, ERR_GAP);
	CHECK_STR(PLAN(0, SEG(4, 0, 1), SEG(4, 0, 2)), "missing WAL index: expected 00000005/0, got 00000004/0");
}

/* ---- restoring ---- */

static sqlite3 *app;
static char replica[200], output[300];
static struct restore_result result;
static int warned;

static bool sql(const char *text)
{
	return sqlite3_exec(app, text, NULL, NULL, NULL) == SQLITE_OK;
}

static bool begin(const char *name)
{
	char path[300];

	snprintf(replica, sizeof(replica), "%s", tmppath(name));
	snprintf(output, sizeof(output), "%s.out", replica);
	snprintf(path, sizeof(path), "%s.db", replica);
	return sqlite3_open(path, &app) == SQLITE_OK &&
	       sql("PRAGMA page_size=1024; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a,b)");
}

static bool read_whole(const char *suffix, struct buf *b)
{
	char path[300];
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "%s.db%s", replica, suffix);
	f = fopen(path, "r");
	buf_reset(b);
	while (f && (c = getc(f)) != EOF)
		buf_char(b, (char)c);
	if (f)
		fclose(f);
	return f && buf_ok(b);
}

static const char *object(const char *generation, const char *kind, const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s/generations/%s/%s", replica, generation, kind);
	os_dir_make(path, NULL, NULL);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name);
	return path;
}

static const char *const G = "0123456789abcdef";

static bool put(const char *path, const void *bytes, size_t n)
{
	struct buf frame = { .data = NULL };
	bool ok;

	add_frame(&frame, bytes, n, 65536, 0);
	ok = rk_write(path, frame.data, frame.len);
	buf_free(&frame);
	return ok;
}

static bool put_snapshot(const char *generation, unsigned index)
{
	struct buf b = { .data = NULL };
	char name[40];
	bool ok;

	snprintf(name, sizeof(name), "%08x.snapshot.lz4", index);
	ok = read_whole("", &b) && put(object(generation, "snapshots", name), b.data ? (char *)b.data : "", b.len);
	buf_free(&b);
	return ok;
}

/* The WAL as it is, cut into parts of so many bytes. */
static bool put_wal(const char *generation, unsigned index, size_t each)
{
	struct buf b = { .data = NULL };
	char name[60];
	bool ok = read_whole("-wal", &b);

	for (size_t at = 0; ok && at < b.len; at += each) {
		/* Any number of digits from 8 to 16 will do. */
		snprintf(name, sizeof(name), "%08x_%0*zx.wal.lz4", index, each == 1000 ? 16 : each == 4000 ? 9 : 8, at);
		ok = put(object(generation, "wal", name), b.data + at, b.len - at < each ? b.len - at : each);
	}
	buf_free(&b);
	return ok;
}

static bool new_wal(void)
{
	return sql("PRAGMA wal_checkpoint(TRUNCATE)");
}

static void warn(void *ctx, const char *msg, const struct err *why)
{
	(void)ctx;
	(void)msg;
	(void)why;
	warned++;
}

static int restore_in(enum restore_check check)
{
	struct restore_options o = { .output = output, .check = check, .warn = warn };
	struct restore_target t = { .txid = 0 };
	struct restore_plan plan = { .items = NULL };
	struct replica *r = NULL;
	int rc;

	err_clear(&err);
	warned = 0;
	if (replica_file_create(replica, &r, &err))
		return -1;
	rc = restore_make(r, &t, true, &o, &plan, &result, &err);
	restore_plan_free(&plan);
	replica_free(r);
	return rc;
}

static int restore(void)
{
	unlink(output);
	return restore_in(RESTORE_CHECK_FULL);
}

/* The application's database, once all of its WAL is in it. */
static bool same(void)
{
	char path[300];

	snprintf(path, sizeof(path), "%s.db", replica);
	return new_wal() && rk_same(path, output);
}

static bool nothing_left(void)
{
	char tmp[310];

	snprintf(tmp, sizeof(tmp), "%s.tmp", output);
	return !rk_exists(output) && !rk_exists(tmp);
}

static void end(void)
{
	sqlite3_close(app);
	unlink(output);
}

TEST(snapshot_alone)
{
	CHECK(begin("alone") && sql("INSERT INTO t VALUES(1, randomblob(100000))") && new_wal() && put_snapshot(G, 0));
	CHECK_OK(restore(), &err);
	CHECK(same());
	CHECK_INT(result.txid, 0);
	CHECK_INT(result.page_size, 1024);
	CHECK(result.pages > 90);
	end();
}

TEST(several_wals_and_generations)
{
	CHECK(begin("several"));
	/* An older generation, and older numbers in this one that nobody needs. */
	CHECK(put_snapshot("ffffffffffffffff", 3) && put_wal("ffffffffffffffff", 3, 4096));
	usleep(20000);
	CHECK(put_wal(G, 1, 1000) && new_wal() && put_snapshot(G, 7));
	CHECK(sql("INSERT INTO t VALUES(1, randomblob(50000))") && sql("INSERT INTO t VALUES(2, randomblob(5000))"));
	CHECK(put_wal(G, 7, 10000));
	CHECK(new_wal() && sql("DELETE FROM t WHERE a=1") && sql("VACUUM") && put_wal(G, 8, 1000));
	CHECK(new_wal() && sql("INSERT INTO t VALUES(3, randomblob(300000))") && put_wal(G, 9, 77777));
	CHECK_OK(restore(), &err);
	CHECK_INT(warned, 0);
	CHECK(same());
	/* The last part of the last WAL is not missed by anybody; one between is. */
	CHECK_OK(unlink(object(G, "wal", "00000009_00025fa2.wal.lz4")), &err);
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "missing WAL segment: expected 00000009/25fa2, got 00000009/38f73");
	CHECK_OK(unlink(object(G, "wal", "00000009_00038f73.wal.lz4")), &err);
	CHECK_OK(unlink(object(G, "wal", "00000009_0004bf44.wal.lz4")), &err);
	CHECK_OK(restore(), &err);
	CHECK_INT(warned, 1); /* it ends within a frame */
	CHECK_OK(unlink(object(G, "wal", "00000008_0000000000000000.wal.lz4")), &err);
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "missing WAL index: expected 00000008/0, got 00000008/3e8");
	CHECK(nothing_left());
	end();
}

/* A database that was never checkpointed has all of its pages in the WAL; v0.3 may have seen an empty file. */
TEST(an_empty_snapshot)
{
	CHECK(begin("empty") && sql("INSERT INTO t VALUES(1, 2)"));
	CHECK(put(object(G, "snapshots", "00000000.snapshot.lz4"), "", 0));
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "decode database: the backup holds no page");
	CHECK(sql("VACUUM") && put_wal(G, 0, 1 << 20));
	CHECK_OK(restore(), &err);
	CHECK(same());
	end();
}

/* Uncommitted frames at the end are no damage, but no part of the database either. */
TEST(an_unfinished_transaction)
{
	char before[310];

	CHECK(begin("unfinished") && new_wal() && put_snapshot(G, 0) && sql("INSERT INTO t VALUES(1, 2)"));
	CHECK(put_wal(G, 0, 1 << 20));
	CHECK_OK(restore(), &err);
	snprintf(before, sizeof(before), "%s.before", output);
	CHECK_OK(rename(output, before), &err);
	CHECK(sql("PRAGMA cache_size=5") && sql("BEGIN") && sql("INSERT INTO t VALUES(1, randomblob(100000))"));
	CHECK(put_wal(G, 0, 1 << 20));
	CHECK_OK(restore(), &err);
	CHECK_INT(warned, 0);
	CHECK(rk_same(before, output));
	end();
}

TEST(what_is_damaged)
{
	struct buf wal = { .data = NULL };

	CHECK(begin("damaged") && new_wal() && put_snapshot(G, 0));
	CHECK(sql("INSERT INTO t VALUES(1, 2)") && sql("INSERT INTO t VALUES(2, randomblob(5000))") && read_whole("-wal", &wal));
	/* The second transaction's last frame is torn: the last WAL still leads to the first one. */
	wal.data[wal.len - 1] ^= 1;
	CHECK(put(object(G, "wal", "00000000_00000000.wal.lz4"), wal.data, wal.len));
	CHECK_OK(restore(), &err);
	CHECK_INT(warned, 1);
	/* But nothing may follow it. */
	CHECK(new_wal() && sql("INSERT INTO t VALUES(3, 4)") && put_wal(G, 1, 1 << 20));
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "decode database: WAL 00000000 of generation 0123456789abcdef has a damaged frame");
	CHECK(nothing_left());
	wal.data[0] ^= 1;
	CHECK(put(object(G, "wal", "00000000_00000000.wal.lz4"), wal.data, wal.len));
	CHECK_INT(restore(), -1);
	CHECK(strstr(err.text, "has no valid header"));
	CHECK(put(object(G, "wal", "00000000_00000000.wal.lz4"), wal.data, 31));
	CHECK_INT(restore(), -1);
	CHECK(strstr(err.text, "has no valid header"));
	CHECK(rk_write(object(G, "wal", "00000000_00000000.wal.lz4"), "", 0));
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "decode database: generations/0123456789abcdef/wal/00000000_00000000.wal.lz4: the file is "
	                    "truncated: it ends at byte 0");
	CHECK(put(object(G, "snapshots", "00000000.snapshot.lz4"), "no database", 11));
	CHECK_INT(restore(), -1);
	CHECK_STR(err.text, "decode database: generations/0123456789abcdef/snapshots/00000000.snapshot.lz4: its content is "
	                    "not a database");
	CHECK(nothing_left());
	buf_free(&wal);
	end();
}

TEST(another_page_size)
{
	CHECK(begin("size") && new_wal() && put_snapshot(G, 0));
	sqlite3_close(app);
	unlink(tmppath("size.db"));
	CHECK(sqlite3_open(tmppath("size.db"), &app) == SQLITE_OK);
	CHECK(sql("PRAGMA page_size=4096; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a)"));
	CHECK(put_wal(G, 0, 1 << 20));
	CHECK_INT(restore(), -1);
	CHECK(strstr(err.text, "has another page size than its database"));
	end();
}

TEST(an_output_that_is_there)
{
	CHECK(begin("there") && new_wal() && put_snapshot(G, 0));
	CHECK_OK(restore(), &err);
	CHECK_INT(restore_in(RESTORE_CHECK_NONE), -1);
	CHECK(strstr(err.text, "already exists"));
	CHECK(rk_exists(output));
	end();
}

TEST(other_names_do_not_matter)
{
	CHECK(begin("names") && new_wal() && put_snapshot(G, 0));
	CHECK(rk_write(object(G, "snapshots", "00000001.snapshot.lz4.tmp"), "x", 1));
	CHECK(rk_write(object(G, "wal", "00000000_0.wal.lz4"), "x", 1));
	CHECK(rk_write(object("not-a-generation", "wal", "x"), "x", 1));
	CHECK(object(G, "snapshots/0000000f.snapshot.lz4", "") != NULL);
	CHECK_OK(restore(), &err);
	CHECK(same());
	end();
}

/* A kind without v0.3 backups: LTX alone counts. */
TEST(a_kind_that_cannot)
{
	struct restore_target t = { .txid = 0 };
	struct replica *r = NULL;
	struct replica_ops ops;
	struct v3_backups b;
	struct restore_options o = { .output = output };
	struct restore_plan plan = { .items = NULL };

	CHECK(begin("cannot") && new_wal() && put_snapshot(G, 0));
	CHECK_OK(replica_file_create(replica, &r, &err), &err);
	ops = *r->ops;
	ops.visit_folder = NULL;
	ops.open_path = NULL;
	r->ops = &ops;
	CHECK_OK(v3_list(r, &b, &err), &err);
	CHECK_INT(b.snapshots.count, 0);
	CHECK_INT(restore_make(r, &t, true, &o, &plan, &result, &err), -1);
	CHECK_STR(err.text, "no matching backup files available");
	replica_free(r);
	end();
}

TEST(every_call_fails_once)
{
	uint64_t n = 0;

	CHECK(begin("faults") && new_wal() && put_snapshot(G, 0) && sql("INSERT INTO t VALUES(1, randomblob(9000))"));
	CHECK(put_wal(G, 0, 4000));
	os_fault_clock(1000, 1000);
	do {
		struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = ++n, .errnum = EIO };

		unlink(output);
		os_fault_set(&plan);
		int rc = restore_in(RESTORE_CHECK_NONE);
		os_fault_set(NULL);
		if (rc)
			CHECK(err.text[0] && nothing_left());
	} while (os_fault_hit());
	CHECK(n > 20);
	os_fault_clock(0, 0);
	CHECK(same());
	end();
}

TEST_MAIN
