/* SPDX-License-Identifier: MIT */
/* Where a restore puts its output: what must not be there, what is replaced and when, folders, leftovers and rivals. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/restore_job.h"
#include "tests/support/tmpdir.h"

TEST(output_must_not_exist)
{
	const char *path = rk_path("place");
	struct job j;
	struct stat st;

	CHECK(job_make_three(path));
	job_init(&j, path);
	CHECK(rk_write(j.o.output, "mine", 4));
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(j.e.code, ERR_EXISTS);
	CHECK(strstr(j.e.text, j.o.output) != NULL);
	CHECK_INT(stat(j.o.output, &st), 0);
	CHECK_INT(st.st_size, 4);
	unlink(j.o.output);
	job_end(&j);
}

/* What is to be replaced stays, its sidecars too, until the new one is whole. */
TEST(replacing)
{
	const char *path = rk_path("replacing");
	struct job j;
	char wal[1200];
	struct stat st;

	CHECK(job_make_three(path));
	job_init(&j, path);
	j.o.replace = true;
	snprintf(wal, sizeof(wal), "%s-wal", j.o.output);
	CHECK(rk_write(j.o.output, "mine", 4) && rk_write(wal, "log", 3));
	CHECK(rk_flip(rk_file(path, 0, 4, 4), 120, 1));
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(stat(j.o.output, &st), 0);
	CHECK_INT(st.st_size, 4);
	CHECK(rk_exists(wal));
	CHECK(rk_flip(rk_file(path, 0, 4, 4), 120, 1));
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(job_output_is(&j, 512, PAGES(2000, 1000, 3000, 1000, 3000)));
	CHECK(!rk_exists(wal));
	unlink(j.o.output);
	job_end(&j);
}

TEST(sidecars_in_the_way)
{
	static const char *const names[] = { "-wal", "-shm", "-journal" };
	const char *path = rk_path("sidecars");
	struct job j;
	char name[1200];

	CHECK(job_make_three(path));
	job_init(&j, path);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", j.o.output, names[i]);
		CHECK(rk_write(name, "x", 1));
		CHECK_INT(job_run(&j, 0), -1);
		CHECK_INT(j.e.code, ERR_EXISTS);
		CHECK(strstr(j.e.text, name) != NULL);
		CHECK(job_left_nothing(&j));
		CHECK(rk_exists(name));
		/* an empty one means nothing to SQLite */
		CHECK(rk_write(name, "", 0));
		CHECK_OK(job_run(&j, 0), &j.e);
		unlink(name);
		unlink(j.o.output);
	}
	job_end(&j);
}

TEST(parent_folders)
{
	const char *path = rk_path("parents");
	struct job j;
	struct stat st;
	char output[1300], folder[1200];

	CHECK(job_make_three(path));
	job_init(&j, path);
	snprintf(folder, sizeof(folder), "%s", tmppath("new"));
	snprintf(output, sizeof(output), "%s/er/x.db", folder);
	j.o.output = output;
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK_INT(stat(folder, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0700);
	snprintf(output, sizeof(output), "%s/ltx/9/%s/x.db", path, "0000000000000001-0000000000000003.ltx");
	CHECK_INT(job_run(&j, 0), -1);
	CHECK(strncmp(j.e.text, "create parent directory: mkdir ", 31) == 0);
	job_end(&j);
}

TEST(leftover_of_a_crash)
{
	const char *path = rk_path("leftover");
	struct job j;
	char tmp[1200], wal[1300];
	static uint8_t junk[100000];

	CHECK(job_make_three(path));
	job_init(&j, path);
	memset(junk, 'x', sizeof(junk));
	snprintf(tmp, sizeof(tmp), "%s.tmp", j.o.output);
	snprintf(wal, sizeof(wal), "%s-wal", tmp);
	CHECK(rk_write(tmp, junk, sizeof(junk)) && rk_write(wal, junk, sizeof(junk)));
	CHECK_OK(job_run(&j, 0), &j.e);
	CHECK(job_output_is(&j, 512, PAGES(2000, 1000, 3000, 1000, 3000)));
	CHECK(!rk_exists(tmp) && !rk_exists(wal));
	job_end(&j);
}

TEST(two_at_once)
{
	const char *path = rk_path("twice");
	struct job j;
	char tmp[1200];

	CHECK(job_make_three(path));
	job_init(&j, path);
	snprintf(tmp, sizeof(tmp), "%s.tmp", j.o.output);
	int fd = open(tmp, O_RDWR | O_CREAT, 0600);
	CHECK_INT(flock(fd, LOCK_EX), 0);
	CHECK_INT(job_run(&j, 0), -1);
	CHECK_INT(j.e.code, ERR_BUSY);
	CHECK(rk_exists(tmp)); /* the other one's */
	close(fd);
	CHECK_OK(job_run(&j, 0), &j.e);
	/* a link is nothing to write through */
	unlink(j.o.output);
	CHECK(rk_write(tmppath("victim"), "v", 1));
	CHECK_INT(symlink(tmppath("victim"), tmp), 0);
	CHECK_INT(job_run(&j, 0), -1);
	CHECK(rk_exists(tmppath("victim")));
	unlink(tmp);
	job_end(&j);
}

TEST_MAIN
