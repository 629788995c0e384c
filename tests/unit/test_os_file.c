/* SPDX-License-Identifier: MIT */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/file.h"
#include "lib/os/spool.h"
#include "tests/support/tmpdir.h"

static struct err err;

/* The text an error should have: FMT with the path. */
static const char *say(const char *fmt, const char *path)
{
	static char text[2048];

	snprintf(text, sizeof(text), "%.*s%s%s", (int)(strstr(fmt, "%s") - fmt), fmt, path, strstr(fmt, "%s") + 2);
	return text;
}

static int put(const char *path, const char *text)
{
	struct os_file f;
	int rc;

	if (os_file_open(&f, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &err) < 0)
		return -1;
	rc = os_file_write(&f, text, strlen(text), 0, &err);
	os_file_close(&f);
	return rc;
}

TEST(write_read_stat_truncate)
{
	const char *path = tmppath("a");
	struct os_file f = OS_FILE_NONE;
	struct os_stat st;
	char bytes[16];
	size_t got;

	CHECK(!os_file_is_open(&f));
	CHECK_OK(os_file_open(&f, path, O_RDWR | O_CREAT, 0640, &err), &err);
	CHECK(os_file_is_open(&f));
	CHECK_INT(fcntl(f.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK_OK(os_file_write(&f, "hello", 5, 3, &err), &err);
	CHECK_OK(os_file_sync(&f, &err), &err);
	CHECK_OK(os_file_read(&f, bytes, sizeof(bytes), 0, &got, &err), &err);
	CHECK_INT(got, 8);
	CHECK_MEM(bytes, "\0\0\0hello", 8);
	CHECK_OK(os_file_read(&f, bytes, 4, 8, &got, &err), &err);
	CHECK_INT(got, 0);
	CHECK_OK(os_file_stat(&f, &st, &err), &err);
	CHECK_INT(st.size, 8);
	CHECK(st.is_regular && !st.is_dir);
	CHECK_INT(st.mode, 0640);
	CHECK_INT(st.links, 1);
	CHECK_INT(st.uid, getuid());
	CHECK(st.mtime_ms > os_wall_ms() - 10000 && st.mtime_ms < os_wall_ms() + 10000);
	CHECK_OK(os_file_truncate(&f, 4, &err), &err);
	CHECK_OK(os_file_read_exact(&f, bytes, 1, 3, &err), &err);
	CHECK_INT(bytes[0], 'h');
	CHECK_INT(os_file_read_exact(&f, bytes, 2, 3, &err), -1);
	CHECK_INT(err.code, ERR_CORRUPT);
	CHECK_STR(err.text, say("read %s: unexpected end of file", path));
	os_file_will_read(&f, 0, 4);
	os_file_wont_need(&f, 0, 4);
	os_file_start_writeback(&f, 0, 4);
	os_file_close(&f);
	os_file_close(&f);
	CHECK(!os_file_is_open(&f) && f.path == NULL);
}

TEST(errors_read_like_go)
{
	struct os_file f;
	struct os_stat st;
	const char *none = tmppath("none/x");
	char bytes[4];
	size_t got;

	CHECK_INT(os_file_open(&f, none, O_RDONLY, 0, &err), -1);
	CHECK(!os_file_is_open(&f));
	CHECK_INT(err.code, ERR_NOT_FOUND);
	CHECK_STR(err.text, say("open %s: no such file or directory", none));
	CHECK_INT(os_stat(none, &st, &err), -1);
	CHECK_STR(err.text, say("stat %s: no such file or directory", none));
	CHECK_INT(os_rename(none, "/b", &err), -1);
	CHECK_STR(err.text, say("rename %s /b: no such file or directory", none));
	CHECK_OK(os_file_open(&f, tmpdir(), O_RDONLY, 0, &err), &err);
	CHECK_INT(os_file_read(&f, bytes, 4, 0, &got, &err), -1);
	CHECK_STR(err.text, say("read %s: is a directory", tmpdir()));
	os_file_close(&f);
	CHECK_OK(os_file_open(&f, "/dev/full", O_WRONLY, 0, &err), &err);
	CHECK_INT(os_file_write(&f, "abc", 3, 0, &err), -1);
	CHECK_INT(err.code, ERR_FULL);
	CHECK_INT(err.sys, ENOSPC);
	CHECK_STR(err.text, "write /dev/full: no space left on device");
	os_file_close(&f);
	CHECK_INT(os_dir_sync(none, &err), -1);
	CHECK_STR(err.text, say("open %s: no such file or directory", none));
	CHECK_INT(os_dir_sync(none, NULL), -1);
}

TEST(temp_has_no_name)
{
	struct os_file f;
	char bytes[3];

	CHECK_OK(os_dir_make(tmppath("t"), NULL, &err), &err);
	CHECK_OK(os_file_temp(&f, tmppath("t"), &err), &err);
	CHECK_INT(rmdir(tmppath("t")), 0); /* would fail if there was a name */
	CHECK_OK(os_file_write(&f, "xyz", 3, 0, &err), &err);
	CHECK_OK(os_file_read_exact(&f, bytes, 3, 0, &err), &err);
	CHECK_MEM(bytes, "xyz", 3);
	os_file_close(&f);
	CHECK_INT(os_file_temp(&f, tmppath("t"), &err), -1);
	CHECK_INT(err.code, ERR_NOT_FOUND);
	CHECK(!os_file_is_open(&f));
}

/* The way of file systems that have no O_TMPFILE. */
TEST(temp_without_kernel_support)
{
	const struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = 1, .calls = OS_CALL_OPEN, .errnum = EOPNOTSUPP };
	struct os_file f;
	char bytes[3];
	int rc;

	CHECK_OK(os_dir_make(tmppath("t2"), NULL, &err), &err);
	os_fault_set(&plan);
	rc = os_file_temp(&f, tmppath("t2"), &err);
	os_fault_set(NULL);
	CHECK_OK(rc, &err);
	CHECK(os_fault_hit());
	CHECK_INT(rmdir(tmppath("t2")), 0);
	CHECK_INT(fcntl(f.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK_OK(os_file_write(&f, "xyz", 3, 0, &err), &err);
	CHECK_OK(os_file_read_exact(&f, bytes, 3, 0, &err), &err);
	os_file_close(&f);
}

TEST(lock_is_exclusive)
{
	struct os_file a, b;

	CHECK_OK(os_file_open(&a, tmppath("lock"), O_RDWR | O_CREAT, 0600, &err), &err);
	CHECK_OK(os_file_open(&b, tmppath("lock"), O_RDWR, 0, &err), &err);
	CHECK_OK(os_file_lock(&a, &err), &err);
	CHECK_INT(os_file_lock(&b, &err), -1);
	CHECK_INT(err.code, ERR_BUSY);
	CHECK_STR(err.text, say("lock %s: held by another process", tmppath("lock")));
	os_file_close(&a);
	CHECK_OK(os_file_lock(&b, &err), &err);
	os_file_close(&b);
}

TEST(names)
{
	struct os_stat st;
	char a[256], b[256];

	snprintf(a, sizeof(a), "%s", tmppath("na"));
	snprintf(b, sizeof(b), "%s", tmppath("nb"));
	CHECK_OK(put(a, "1"), &err);
	CHECK_OK(os_link(a, b, &err), &err);
	CHECK_INT(os_link(a, b, &err), -1);
	CHECK_INT(err.code, ERR_EXISTS);
	CHECK_OK(os_stat(b, &st, &err), &err);
	CHECK_INT(st.links, 2);
	CHECK_OK(os_set_times(b, 1234567890123, &err), &err);
	CHECK_OK(os_stat(a, &st, &err), &err);
	CHECK_INT(st.mtime_ms, 1234567890123);
	CHECK_OK(os_set_times(b, -1, &err), &err);
	CHECK_OK(os_stat(a, &st, &err), &err);
	CHECK_INT(st.mtime_ms, -1);
	CHECK_OK(os_set_owner(a, 0604, (uint32_t)-1, (uint32_t)-1, &err), &err);
	CHECK_OK(os_set_owner(a, 0604, getuid(), getgid(), &err), &err);
	CHECK_OK(os_stat(a, &st, &err), &err);
	CHECK_INT(st.mode, 0604);
	CHECK_OK(os_unlink(a, &err), &err);
	CHECK_OK(os_unlink(a, &err), &err);
	CHECK_OK(os_rename(b, a, &err), &err);
	CHECK_OK(os_stat(a, &st, &err), &err);
	CHECK_INT(os_unlink(tmpdir(), &err), -1);
	CHECK_STR(err.text, say("remove %s: is a directory", tmpdir()));
	CHECK_INT(os_set_owner(b, 0600, 0, 0, &err), -1);
	CHECK_STR(err.text, say("chmod %s: no such file or directory", b));
	CHECK_INT(os_set_times(b, 0, &err), -1);
	CHECK_STR(err.text, say("chtimes %s: no such file or directory", b));
}

/* Somebody who is not root cannot give files away; that is no error, and the mode is set all the same. */
TEST(refused_owner_is_no_error)
{
	struct os_stat st;
	const struct os_owner other = { .mode = 0750, .uid = 12345, .gid = 12345 };

	CHECK_OK(put(tmppath("own"), "1"), &err);
	if (getuid() == 0) {
		CHECK_OK(os_set_owner(tmppath("own"), 0640, 12345, 54321, &err), &err);
		CHECK_OK(os_stat(tmppath("own"), &st, &err), &err);
		CHECK_INT(st.uid, 12345);
		CHECK_INT(st.gid, 54321);
		CHECK_OK(os_dir_make(tmppath("o1/o2"), &other, &err), &err);
		CHECK_OK(os_stat(tmppath("o1"), &st, &err), &err);
		CHECK_INT(st.uid, 12345);
	} else {
		CHECK_OK(os_set_owner(tmppath("own"), 0640, 0, 0, &err), &err);
		CHECK_OK(os_dir_make(tmppath("o1/o2"), &other, &err), &err);
	}
	CHECK_OK(os_stat(tmppath("own"), &st, &err), &err);
	CHECK_INT(st.mode, 0640);
	CHECK_OK(os_stat(tmppath("o1/o2"), &st, &err), &err);
	CHECK_INT(st.mode, 0750);
}

TEST(dir_make)
{
	const struct os_owner owner = { .mode = 0777, .uid = (uint32_t)-1, .gid = (uint32_t)-1 };
	struct os_stat st;
	mode_t mask = umask(027);
	int rc = os_dir_make(tmppath("d/e//f/./g/"), &owner, &err);

	umask(mask);
	CHECK_OK(rc, &err);
	CHECK_OK(os_stat(tmppath("d/e/f/g"), &st, &err), &err);
	CHECK(st.is_dir);
	CHECK_INT(st.mode, 0750);
	CHECK_OK(os_dir_make(tmppath("d/e/f/g"), &owner, &err), &err);
	CHECK_OK(os_dir_make("/", &owner, &err), &err);
	CHECK_OK(put(tmppath("d/file"), ""), &err);
	CHECK_INT(os_dir_make(tmppath("d/file/x/y"), &owner, &err), -1);
	CHECK_INT(os_dir_make(tmppath("d/file"), &owner, &err), -1);
	CHECK_STR(err.text, say("mkdir %s: not a directory", tmppath("d/file")));
	CHECK_INT(os_dir_make("", &owner, &err), -1);
	CHECK_OK(os_dir_sync(tmppath("d/e"), &err), &err);
	CHECK_INT(chdir(tmpdir()), 0);
	CHECK_OK(os_dir_make("rel/x", &owner, &err), &err);
	CHECK_OK(os_dir_make("rel2", &owner, &err), &err);
	CHECK_OK(os_stat(tmppath("rel/x"), &st, &err), &err);
	CHECK_OK(os_stat(tmppath("rel2"), &st, &err), &err);
}

struct seen {
	int count, stop_at;
	bool dots;
};

static int visit(void *ctx, const char *name, struct err *e)
{
	struct seen *seen = ctx;

	seen->dots = seen->dots || name[0] == '.';
	if (++seen->count == seen->stop_at) {
		err_set(e, ERR_CANCELLED, "stopped");
		return 7;
	}
	return 0;
}

TEST(dir_list)
{
	struct seen seen = { .count = 0 };
	char name[32];
	int i;

	CHECK_OK(os_dir_make(tmppath("list"), NULL, &err), &err);
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "list/f%d", i);
		CHECK_OK(put(tmppath(name), ""), &err);
	}
	CHECK_OK(os_dir_list(tmppath("list"), visit, &seen, &err), &err);
	CHECK_INT(seen.count, 50);
	CHECK(!seen.dots);
	seen = (struct seen){ .stop_at = 5 };
	CHECK_INT(os_dir_list(tmppath("list"), visit, &seen, &err), 7);
	CHECK_INT(seen.count, 5);
	CHECK_INT(err.code, ERR_CANCELLED);
	CHECK_INT(os_dir_list(tmppath("nolist"), visit, &seen, &err), -1);
	CHECK_INT(err.code, ERR_NOT_FOUND);
	CHECK_STR(err.text, say("open %s: no such file or directory", tmppath("nolist")));
}

TEST(dir_remove_all)
{
	struct os_stat st;
	char name[700];
	size_t len;
	int i;

	CHECK_OK(os_dir_make(tmppath("rm/a/b/c"), NULL, &err), &err);
	CHECK_OK(os_dir_make(tmppath("keep"), NULL, &err), &err);
	CHECK_OK(put(tmppath("keep/x"), "1"), &err);
	CHECK_INT(symlink(tmppath("keep"), tmppath("rm/a/link")), 0);
	CHECK_INT(symlink(tmppath("keep"), tmppath("rmlink")), 0);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "rm/a/b/%d", i);
		CHECK_OK(put(tmppath(name), ""), &err);
	}
	CHECK_OK(os_dir_remove_all(tmppath("rm"), &err), &err);
	CHECK_INT(os_stat(tmppath("rm"), &st, &err), -1);
	CHECK_OK(os_dir_remove_all(tmppath("rm"), &err), &err);
	CHECK_OK(os_dir_remove_all(tmppath("rmlink"), &err), &err);
	CHECK_OK(os_stat(tmppath("keep/x"), &st, &err), &err);

	len = (size_t)snprintf(name, sizeof(name), "deep");
	for (i = 0; i < 64; i++)
		len += (size_t)snprintf(name + len, sizeof(name) - len, "/d");
	CHECK_OK(os_dir_make(tmppath(name), NULL, &err), &err);
	CHECK_INT(os_dir_remove_all(tmppath("deep"), &err), -1);
	CHECK_INT(err.code, ERR_LIMIT);
	CHECK_OK(os_dir_remove_all(tmppath("deep/d/d"), &err), &err);
}

TEST(places)
{
	uint64_t bytes = 0;
	char *path = NULL, *home;

	CHECK_OK(os_free_space(tmpdir(), &bytes, &err), &err);
	CHECK(bytes > 0);
	CHECK_INT(os_free_space(tmppath("nope"), &bytes, &err), -1);
	CHECK_STR(err.text, say("statfs %s: no such file or directory", tmppath("nope")));
	CHECK_INT(chdir(tmpdir()), 0);
	CHECK_OK(os_cwd(&path, &err), &err);
	CHECK_STR(path, tmpdir());
	free(path);
	home = os_home();
	if (getuid() == 0)
		CHECK_STR(home, "/root");
	free(home);
}

static int pattern_ok(const uint8_t *bytes, size_t n, int64_t from)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != (uint8_t)((from + (int64_t)i) * 7 >> 3))
			return 0;
	return 1;
}

TEST(spool)
{
	const size_t sizes[] = { 1, 100, 4096, 5000, 9999, 10000, 10001, 3, 0, 25000, 17, 6000 };
	uint8_t bytes[25000], back[25000];
	const size_t limits[] = { 0, 1, 10000, 1 << 20 };

	for (size_t li = 0; li < 4; li++) {
		struct os_spool s;
		int64_t total = 0;

		os_spool_init(&s, tmpdir(), limits[li]);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			for (size_t k = 0; k < sizes[i]; k++)
				bytes[k] = (uint8_t)((total + (int64_t)k) * 7 >> 3);
			CHECK_OK(os_spool_append(&s, bytes, sizes[i], &err), &err);
			total += (int64_t)sizes[i];
			CHECK_INT(os_spool_size(&s), total);
			CHECK(s.memory_cap <= limits[li]);
		}
		CHECK_INT(os_file_is_open(&s.file), limits[li] < 60000);
		for (int64_t at = 0; at < total; at += 1237) {
			size_t n = total - at < 20000 ? (size_t)(total - at) : 20000;

			CHECK_OK(os_spool_read(&s, back, n, at, &err), &err);
			CHECK(pattern_ok(back, n, at));
		}
		CHECK_OK(os_spool_read(&s, back, 0, total, &err), &err);
		os_spool_free(&s);
		os_spool_free(&s);
		CHECK_INT(os_spool_size(&s), 0);
	}
}

TEST(spool_without_folder)
{
	struct os_spool s;
	uint8_t bytes[100] = { 1, 2, 3 };

	os_spool_init(&s, NULL, 150);
	CHECK_OK(os_spool_append(&s, bytes, 100, &err), &err);
	CHECK_INT(os_spool_append(&s, bytes, 51, &err), -1);
	CHECK_INT(err.code, ERR_LIMIT);
	CHECK_OK(os_spool_append(&s, bytes, 50, &err), &err);
	CHECK_INT(os_spool_size(&s), 150);
	os_spool_free(&s);
}

/* A failed append changes nothing: the same append succeeds later, and the content is right. */
TEST(spool_survives_faults)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_SHORT, .errnum = ENOSPC };
	uint8_t bytes[700], back[700];

	for (plan.at = 1; plan.at < 50; plan.at++) {
		struct os_spool s;
		int64_t total = 0;

		os_spool_init(&s, tmpdir(), 1000);
		os_fault_set(&plan);
		while (total < 7000) {
			for (size_t k = 0; k < sizeof(bytes); k++)
				bytes[k] = (uint8_t)((total + (int64_t)k) * 7 >> 3);
			if (os_spool_append(&s, bytes, sizeof(bytes), &err) < 0) {
				CHECK_INT(err.code, ERR_FULL);
				continue;
			}
			total += (int64_t)sizeof(bytes);
		}
		bool hit = os_fault_hit();
		os_fault_set(NULL);
		for (int64_t at = 0; at < total; at += (int64_t)sizeof(back)) {
			CHECK_OK(os_spool_read(&s, back, sizeof(back), at, &err), &err);
			CHECK(pattern_ok(back, sizeof(back), at));
		}
		os_spool_free(&s);
		if (!hit)
			return;
	}
	CHECK(!"the plan was never passed");
}

/* Whatever is changed after it has settled gets a later stamp, however soon. */
TEST(stamps_settle)
{
	const char *path = tmppath("stamp");
	struct os_stat before, after;
	struct os_file f = OS_FILE_NONE;

	CHECK_OK(os_file_open(&f, path, O_RDWR | O_CREAT, 0600, &err), &err);
	for (int i = 0; i < 50; i++) {
		CHECK_OK(os_file_write(&f, "x", 1, 0, &err), &err);
		CHECK_OK(os_stat(path, &before, &err), &err);
		CHECK(before.changed_ns / 1000000 >= before.mtime_ms);
		CHECK(os_stamp_settle(before.changed_ns));
		CHECK_OK(os_file_write(&f, "y", 1, 0, &err), &err);
		CHECK_OK(os_stat(path, &after, &err), &err);
		CHECK(after.changed_ns > before.changed_ns);
	}
	/* Times can be set, this one cannot. */
	CHECK(os_stamp_settle(after.changed_ns));
	CHECK_OK(os_set_times(path, 1000, &err), &err);
	CHECK_OK(os_stat(path, &before, &err), &err);
	CHECK(before.changed_ns > after.changed_ns);
	os_file_close(&f);
	CHECK(!os_stamp_settle(1700000000LL * 1000000000)); /* stamped to the second: no telling */
	CHECK(!os_stamp_settle(4000000000LL * 1000000000 + 1)); /* a clock that is far ahead */
	CHECK(!os_changes_in_silence(tmpdir()));
	CHECK(os_changes_in_silence(tmppath("none/of/that"))); /* not known is not certain */
}

TEST(clocks)
{
	int64_t wall, mono = os_mono_us();

	CHECK(os_wall_ms() > 1600000000000);
	os_sleep_ms(3);
	CHECK(os_mono_us() >= mono + 3000);
	os_sleep_ms(-5);
	os_fault_clock(1000, 5000);
	wall = os_wall_ms();
	mono = os_mono_us();
	os_fault_clock_advance(2500);
	os_sleep_ms(60000); /* does not sleep */
	CHECK_INT(wall, 1000);
	CHECK_INT(mono, 5000);
	CHECK_INT(os_wall_ms(), 1000 + 60002);
	CHECK_INT(os_mono_us(), 5000 + 60002500);
	os_fault_clock(0, 0);
	CHECK(os_wall_ms() > 1600000000000);
}

static bool real_place_is(const char *path, const char *want)
{
	char *real = NULL;
	bool same = !os_real_place(path, &real, &err) && !strcmp(real, want);

	free(real);
	return same;
}

TEST(real_place)
{
	char cwd[500], want[600];

	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	CHECK(real_place_is("/", "/"));
	CHECK(real_place_is("/none", "/none"));
	CHECK(real_place_is("/none/of//these/", "/none/of//these/"));
	CHECK(real_place_is("//none", "/none"));
	CHECK(real_place_is("/tmp/..//none", "/none"));
	snprintf(want, sizeof(want), "%s/none", cwd);
	CHECK(real_place_is("none", want));
	CHECK(real_place_is("", cwd));
	/* Below a file there is nothing. */
	CHECK(real_place_is("/dev/null/x", "/dev/null/x"));
}

TEST_MAIN
