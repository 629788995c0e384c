/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/check.h"
#include "tests/support/replica_kit.h"
#include "tests/support/tmpdir.h"

static struct replica *open_replica(const char *path)
{
	struct replica *r;

	return replica_file_create(path, &r, NULL) == 0 ? r : NULL;
}

/* A replica in a fresh folder of that name. */
static struct replica *fresh(const char *name)
{
	return open_replica(tmppath(name));
}

static bool read_all(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length, struct mem *m)
{
	struct replica_reader *reader;
	uint8_t bytes[7];
	size_t got;

	if (r->ops->open(r, item, offset, length, &reader, NULL) != 0)
		return false;
	while (reader->read(reader, bytes, sizeof(bytes), &got, NULL) == 0 && got > 0)
		mem_add(m, bytes, got);
	reader->close(reader);
	return true;
}

TEST(missing_folder_is_empty)
{
	struct replica *r = fresh("nowhere");
	struct replica_list l = { .items = NULL };
	struct err e = ERR_INIT;
	int rc = replica_list_levels(r, 0, 9, false, &l, &e);

	replica_free(r);
	CHECK_OK(rc, &e);
	CHECK_INT(l.count, 0);
}

TEST(list_skips_what_is_no_object)
{
	const char *path = rk_path("strays");
	struct replica *r = open_replica(path);
	struct replica_list l = { .items = NULL };
	struct err e = ERR_INIT;
	bool made = rk_store(path, 0, 5, 6, "abcdef", 6, 1234567890123) && rk_store(path, 0, 2, 2, "", 0, 1000) &&
	            rk_store(path, 9, 1, 7, "x", 1, 2000);

	char name[1200];
	static const char *const strays[] = {
		"0000000000000001-0000000000000001.ltx.tmp", "0000000000000001-0000000000000001.LTX", "readme",
		"000000000000000A-000000000000000A.ltx", "0000000000000003-0000000000000002.ltx",
		"0000000000000000-0000000000000001.ltx", "x0000000000000001-0000000000000001.ltx",
	};
	for (size_t i = 0; i < sizeof(strays) / sizeof(strays[0]); i++) {
		snprintf(name, sizeof(name), "%s/ltx/0/%s", path, strays[i]);
		made = made && rk_write(name, "?", 1);
	}
	snprintf(name, sizeof(name), "%s/ltx/0/0000000000000009-0000000000000009.ltx", path);
	made = made && mkdir(name, 0700) == 0;
	CHECK(made);

	CHECK_OK(replica_list_levels(r, 0, 9, true, &l, &e), &e);
	CHECK_INT(l.count, 3);
	CHECK_INT(l.items[0].min_txid, 2);
	CHECK_INT(l.items[0].size, 0);
	CHECK_INT(l.items[1].min_txid, 5);
	CHECK_INT(l.items[1].max_txid, 6);
	CHECK_INT(l.items[1].size, 6);
	CHECK_INT(l.items[1].created_ms, 1234567890123);
	CHECK_INT(l.items[2].level, 9);
	CHECK_INT(l.items[2].created_ms, 2000);

	/* from a TXID on; a file that only reaches over it does not count */
	l.count = 0;
	CHECK_OK(r->ops->list(r, 0, 6, false, &l, &e), &e);
	CHECK_INT(l.count, 0);
	CHECK_OK(r->ops->list(r, 0, 5, false, &l, &e), &e);
	CHECK_INT(l.count, 1);
	replica_list_free(&l);
	replica_free(r);
}

TEST(list_error_is_passed_on)
{
	const char *path = rk_path("broken");
	struct replica *r = open_replica(path);
	struct replica_list l = { .items = NULL };
	struct err e = ERR_INIT;
	bool made = rk_store(path, 3, 1, 1, "x", 1, 0);

	CHECK(made);
	os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_FROM, .at = 1, .calls = OS_CALL_LOOK, .errnum = EIO });
	int rc = replica_list_levels(r, 3, 3, false, &l, &e);
	os_fault_set(NULL);
	replica_list_free(&l);
	replica_free(r);
	CHECK_INT(rc, -1);
	CHECK_INT(e.sys, EIO);
}

/* Not one that holds nothing: a backup may lie below what a mistake or a missing mount put there. */
TEST(a_file_in_the_place_of_a_folder)
{
	static const struct replica_item item = { .level = 0, .min_txid = 1, .max_txid = 1, .size = 5 };
	const char *path = rk_path("in-the-way"), *staged = rk_path("staged-for-it");
	struct replica *r = open_replica(path);
	struct replica_list l = { .items = NULL };
	struct replica_writer *writer;
	struct err e = ERR_INIT;

	CHECK(rk_write(path, "", 0) && rk_write(staged, "hello", 5));
	CHECK_INT(replica_list_levels(r, 0, 9, false, &l, &e), -1);
	CHECK_INT(e.code, ERR_SYSTEM);
	CHECK(strstr(e.text, "open ") == e.text && strstr(e.text, "/in-the-way/ltx: not a directory"));
	CHECK_INT(r->ops->list(r, 3, 0, false, &l, &e), -1);
	CHECK_INT(e.code, ERR_SYSTEM);
	CHECK(strstr(e.text, "/in-the-way/ltx/3: not a directory"));
	CHECK_INT(r->ops->visit_folder(r, "generations", NULL, NULL, &e), -1);
	CHECK_INT(e.code, ERR_SYSTEM);
	/* What is said is what is wrong, and not that there is nothing to clear away. */
	CHECK_INT(r->ops->put(r, &item, staged, &e), -1);
	CHECK(strstr(e.text, "mkdir ") == e.text && strstr(e.text, "/in-the-way: not a directory"));
	CHECK_INT(r->ops->create(r, &item, &writer, &e), -1);
	CHECK(strstr(e.text, "mkdir ") == e.text && strstr(e.text, "/in-the-way: not a directory"));
	/* A level alone. */
	CHECK_INT(unlink(path), 0);
	CHECK(rk_store(path, 1, 1, 1, "x", 1, 0) && rk_write(tmppath("in-the-way/ltx/0"), "", 0));
	CHECK_INT(replica_list_levels(r, 0, 9, false, &l, &e), -1);
	CHECK(strstr(e.text, "/ltx/0: not a directory"));
	CHECK_INT(r->ops->put(r, &item, staged, &e), -1);
	CHECK(strstr(e.text, "mkdir ") == e.text && strstr(e.text, "/ltx/0: not a directory"));
	replica_list_free(&l);
	replica_free(r);
}

TEST(read_ranges)
{
	const char *path = rk_path("ranges");
	struct replica *r = open_replica(path);
	struct replica_item item = { .level = 1, .min_txid = 1, .max_txid = 3, .size = 26 };
	struct mem m = { .data = NULL };
	struct err e = ERR_INIT;
	struct replica_reader *reader = NULL;

	CHECK(rk_store(path, 1, 1, 3, "abcdefghijklmnopqrstuvwxyz", 26, 0));
	CHECK(read_all(r, &item, 0, -1, &m));
	CHECK_INT(m.len, 26);
	CHECK_MEM(m.data, "abcdefghijklmnopqrstuvwxyz", 26);
	m.len = 0;
	CHECK(read_all(r, &item, 3, 10, &m));
	CHECK_INT(m.len, 10);
	CHECK_MEM(m.data, "defghijklm", 10);
	m.len = 0;
	CHECK(read_all(r, &item, 24, 10, &m));
	CHECK_INT(m.len, 2);
	m.len = 0;
	CHECK(read_all(r, &item, 100, -1, &m));
	CHECK_INT(m.len, 0);
	CHECK(read_all(r, &item, 5, 0, &m));
	CHECK_INT(m.len, 0);
	mem_free(&m);
	item.max_txid = 4;
	CHECK_INT(r->ops->open(r, &item, 0, -1, &reader, &e), -1);
	CHECK_INT(e.code, ERR_NOT_FOUND);
	CHECK(reader == NULL);
	replica_free(r);
}

/* ---- put ---- */

static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static ino_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static int64_t mtime_ms_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 : -1;
}

static const struct replica_item put_item = {
	.level = 0, .min_txid = 7, .max_txid = 7, .size = 5, .created_ms = 1700000000123,
};

TEST(put_links)
{
	const char *path = rk_path("put"), *staged = rk_path("staged");
	struct replica *r = open_replica(path);
	struct err e = ERR_INIT;

	CHECK(rk_write(staged, "hello", 5) && chmod(staged, 0600) == 0);
	CHECK_OK(r->ops->put(r, &put_item, staged, &e), &e);
	const char *stored = rk_file(path, 0, 7, 7);
	CHECK(rk_same(stored, staged));
	CHECK_INT(inode_of(stored), inode_of(staged));
	CHECK_INT(mtime_ms_of(stored), 1700000000123);
	char folder[1100];
	snprintf(folder, sizeof(folder), "%s/ltx/0", path);
	CHECK_INT(mode_of(folder), 0700);
	CHECK_INT(mode_of(path), 0700);
	snprintf(folder, sizeof(folder), "%s.tmp", stored);
	CHECK(!rk_exists(folder));
	/* once more: both names are one file already, and no .tmp may stay */
	CHECK_OK(r->ops->put(r, &put_item, staged, &e), &e);
	CHECK(!rk_exists(folder));
	CHECK(rk_same(stored, staged));
	replica_free(r);
}

TEST(put_copies_for_another_mode)
{
	const char *path = rk_path("put2"), *staged = rk_path("staged2");
	struct replica *r = open_replica(path);
	struct err e = ERR_INIT;
	struct os_owner file = { 0640, getuid(), getgid() }, dir = { 0750, getuid(), getgid() };

	replica_set_owner(r, &file, &dir);
	mode_t mask = umask(0);
	CHECK(rk_write(staged, "hello", 5) && chmod(staged, 0600) == 0);
	int rc = r->ops->put(r, &put_item, staged, &e);
	umask(mask);
	CHECK_OK(rc, &e);
	const char *stored = rk_file(path, 0, 7, 7);
	CHECK(rk_same(stored, staged));
	CHECK(inode_of(stored) != inode_of(staged));
	CHECK_INT(mode_of(stored), 0640);
	CHECK_INT(mode_of(staged), 0600);
	CHECK_INT(mode_of(path), 0750);
	CHECK_INT(mtime_ms_of(stored), 1700000000123);
	replica_free(r);
}

/* What a crash left may be a second name of something precious. */
TEST(put_does_not_write_into_a_leftover)
{
	const char *path = rk_path("put3"), *staged = rk_path("staged3"), *precious = rk_path("precious");
	struct replica *r = open_replica(path);
	struct err e = ERR_INIT;
	char tmp[1100];

	CHECK(rk_store(path, 0, 1, 1, "x", 1, 0));
	/* its mode means that it must be copied */
	CHECK(rk_write(precious, "precious", 8) && rk_write(staged, "hello", 5) && chmod(staged, 0644) == 0);
	snprintf(tmp, sizeof(tmp), "%s.tmp", rk_file(path, 0, 7, 7));
	CHECK(link(precious, tmp) == 0);
	CHECK_OK(r->ops->put(r, &put_item, staged, &e), &e);
	CHECK(rk_same(rk_file(path, 0, 7, 7), staged));
	CHECK(!rk_exists(tmp));
	CHECK_INT(rk_write(tmp, "precious", 8), 1);
	CHECK(rk_same(precious, tmp));
	replica_free(r);
}

TEST(put_refuses_a_wrong_size)
{
	const char *path = rk_path("put4"), *staged = rk_path("staged4");
	struct replica *r = open_replica(path);
	struct err e = ERR_INIT;

	CHECK(rk_write(staged, "four", 4) && chmod(staged, 0644) == 0);
	CHECK_INT(r->ops->put(r, &put_item, staged, &e), -1);
	CHECK_INT(e.code, ERR_CORRUPT);
	CHECK(!rk_exists(rk_file(path, 0, 7, 7)));
	replica_free(r);
}

/* What is wrong is the replica's folder, not the removal of a name that never was. */
TEST(a_file_in_the_folders_place_is_what_the_error_names)
{
	const char *staged = rk_path("staged6");
	struct replica_writer *writer;
	static const char *const places[] = { "", "/ltx", "/ltx/0" };

	CHECK(rk_write(staged, "hello", 5));
	for (int i = 0; i < 3; i++) {
		char name[20], path[1000], want[1100];
		struct err e = ERR_INIT;

		snprintf(name, sizeof(name), "place%d", i);
		struct replica *r = open_replica(tmppath(name));
		snprintf(path, sizeof(path), "%s%s", r->path, places[i]);
		snprintf(want, sizeof(want), "mkdir %s: not a directory", path);
		for (char *at = path + 1; (at = strchr(at + 1, '/')) != NULL;) {
			*at = 0;
			(void)mkdir(path, 0755); /* most of them are there */
			*at = '/';
		}
		CHECK(rk_write(path, "?", 1));
		CHECK_INT(r->ops->put(r, &put_item, staged, &e), -1);
		CHECK_STR(e.text, want);
		err_clear(&e);
		CHECK_INT(r->ops->create(r, &put_item, &writer, &e), -1);
		CHECK_STR(e.text, want);
		CHECK_INT(rk_exists(path), 1);
		replica_free(r);
	}
}

/* Whatever call fails, the object is there whole or not at all, and nothing else stays behind. */
static int put_with_faults(const char *staged, unsigned calls, int *wrong)
{
	int failed = 0;

	for (uint64_t at = 1; at < 100; at++) {
		char name[32];
		struct err e = ERR_INIT;

		snprintf(name, sizeof(name), "faults-%u-%d", calls, (int)at);
		const char *path = tmppath(name);
		struct replica *r = open_replica(path);

		os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = at, .calls = calls, .errnum = EIO });
		int rc = r->ops->put(r, &put_item, staged, &e);
		bool hit = os_fault_hit();
		os_fault_set(NULL);
		const char *stored = rk_file(path, 0, 7, 7);
		char tmp[1100];
		snprintf(tmp, sizeof(tmp), "%s.tmp", stored);
		*wrong += rk_exists(tmp) && calls != OS_CALL_NAME;
		*wrong += rk_exists(stored) && !rk_same(stored, staged);
		*wrong += rc == 0 && !rk_exists(stored);
		*wrong += rc != 0 && e.text[0] == '\0';
		replica_free(r);
		failed += rc != 0;
		if (!hit)
			break;
	}
	return failed;
}

TEST(put_with_failing_calls)
{
	const char *staged = rk_path("staged5");
	int wrong = 0;

	CHECK(rk_write(staged, "hello", 5) && chmod(staged, 0644) == 0);
	CHECK(put_with_faults(staged, OS_CALL_OPEN, &wrong) > 1);
	CHECK(put_with_faults(staged, OS_CALL_READ | OS_CALL_WRITE, &wrong) > 1);
	CHECK(put_with_faults(staged, OS_CALL_SYNC, &wrong) > 1);
	CHECK(put_with_faults(staged, OS_CALL_NAME, &wrong) > 1);
	CHECK_INT(wrong, 0);
}

TEST(remove_objects)
{
	const char *path = rk_path("remove");
	struct replica *r = open_replica(path);
	struct err e = ERR_INIT;
	struct replica_item items[2] = {
		{ .level = 0, .min_txid = 1, .max_txid = 1 }, { .level = 4, .min_txid = 2, .max_txid = 3 },
	};

	CHECK(rk_store(path, 0, 1, 1, "x", 1, 0) && rk_store(path, 0, 2, 2, "x", 1, 0));
	CHECK_OK(r->ops->remove(r, items, 2, &e), &e);
	CHECK(!rk_exists(rk_file(path, 0, 1, 1)));
	CHECK(rk_exists(rk_file(path, 0, 2, 2)));
	replica_free(r);
}

/* ---- streams ---- */

static const struct replica_item stream_item = { .level = 9, .min_txid = 1, .max_txid = 9, .created_ms = 1234567890123 };

/* n pieces of "hello", finished as `size` bytes; -1: aborted. */
static int stream(struct replica *r, int n, int64_t size, struct err *e)
{
	struct replica_item item = stream_item;
	struct replica_writer *w;

	if (r->ops->create(r, &item, &w, e) != 0)
		return -1;
	for (int i = 0; i < n; i++) {
		if (w->write(w, "hello", 5, e) != 0) {
			w->abort(w);
			return -1;
		}
	}
	if (size < 0) {
		w->abort(w);
		return 0;
	}
	item.size = size;
	return w->finish(w, &item, e);
}

static bool has_tmp(const char *object)
{
	char tmp[1100];

	snprintf(tmp, sizeof(tmp), "%s.tmp", object);
	return rk_exists(tmp);
}

TEST(create_streams)
{
	const char *path = rk_path("stream"), *object = rk_file(path, 9, 1, 9);
	struct replica *r = open_replica(path);
	struct os_owner file = { 0640, (uint32_t)-1, (uint32_t)-1 }, dir = { 0750, (uint32_t)-1, (uint32_t)-1 };
	struct mem m = { .data = NULL };
	struct err e = ERR_INIT;

	replica_set_owner(r, &file, &dir);
	CHECK_OK(stream(r, 0, -1, &e), &e);
	CHECK(!rk_exists(object) && !has_tmp(object));
	CHECK_OK(stream(r, 3, 15, &e), &e);
	CHECK(read_all(r, &stream_item, 0, -1, &m));
	CHECK_INT(m.len, 15);
	CHECK_MEM(m.data, "hellohellohello", 15);
	CHECK_INT(mode_of(object), 0640);
	CHECK_INT(mtime_ms_of(object), stream_item.created_ms);
	/* Another one takes its place; one that is not what it says does not. */
	CHECK_INT(stream(r, 2, 11, &e), -1);
	CHECK_INT(e.code, ERR_CORRUPT);
	CHECK(!has_tmp(object));
	CHECK_OK(stream(r, 1, 5, &e), &e);
	mem_free(&m);
	CHECK(read_all(r, &stream_item, 0, -1, &m));
	CHECK_INT(m.len, 5);
	mem_free(&m);
	replica_free(r);
}

TEST(create_clears_away_what_a_killed_process_left)
{
	const char *path = rk_path("left");
	struct replica *r = open_replica(path);
	char old[1100], young[1100];
	struct err e = ERR_INIT;

	CHECK(rk_store(path, 9, 1, 3, "x", 1, 0));
	snprintf(old, sizeof(old), "%s.tmp", rk_file(path, 9, 1, 4));
	snprintf(young, sizeof(young), "%s.tmp", rk_file(path, 9, 1, 5));
	CHECK(rk_write(old, "x", 1) && rk_write(young, "x", 1));
	CHECK_OK(os_set_times(old, os_wall_ms() - 2 * 3600000, &e), &e);
	CHECK_OK(stream(r, 1, 5, &e), &e);
	CHECK(!rk_exists(old));
	CHECK(rk_exists(young));
	CHECK(rk_exists(rk_file(path, 9, 1, 3)));
	replica_free(r);
}

TEST(create_with_failing_calls)
{
	int failed = 0;

	for (uint64_t at = 1;; at++) {
		char name[32];
		struct err e = ERR_INIT;

		snprintf(name, sizeof(name), "stream-%d", (int)at);
		const char *path = tmppath(name), *object = rk_file(path, 9, 1, 9);
		struct replica *r = open_replica(path);

		os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = at, .errnum = ENOSPC });
		int rc = stream(r, 3, 15, &e);
		bool hit = os_fault_hit();
		os_fault_set(NULL);
		replica_free(r);
		CHECK(!has_tmp(object));
		CHECK(rc != 0 || rk_exists(object));
		CHECK(rc == 0 || e.text[0] != '\0');
		failed += rc != 0;
		if (!hit)
			break;
	}
	CHECK(failed > 8);
}

TEST(list_all_is_what_the_levels_say)
{
	const char *path = rk_path("all");
	struct replica *r = open_replica(path);
	struct replica_list all = { .items = NULL }, each = { .items = NULL };
	struct err e = ERR_INIT;
	char stray[1100];

	CHECK_OK(r->ops->list_all(r, false, &all, &e), &e);
	CHECK_INT(all.count, 0);
	for (int level = 0; level < 10; level += 3)
		CHECK(rk_store(path, level, 1, 1 + (uint64_t)level, "abc", 3, 5000));
	CHECK(rk_store(path, 10, 1, 1, "x", 1, 0)); /* there is no such level */
	snprintf(stray, sizeof(stray), "%s/ltx/55", path);
	CHECK(rk_write(stray, "x", 1));
	CHECK_OK(r->ops->list_all(r, false, &all, &e), &e);
	replica_list_sort(&all);
	CHECK_OK(replica_list_levels(r, 0, 9, false, &each, &e), &e);
	CHECK_INT(all.count, 4);
	CHECK_INT(each.count, 4);
	for (int i = 0; i < 4; i++)
		CHECK(replica_item_compare(&all.items[i], &each.items[i]) == 0 && all.items[i].size == 3 &&
		      all.items[i].created_ms == 5000);
	replica_list_free(&all);
	replica_list_free(&each);
	replica_free(r);
}

TEST_MAIN
