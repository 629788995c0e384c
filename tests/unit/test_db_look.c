/* SPDX-License-Identifier: MIT */
/* Looking at files that may be databases, next to databases that are open. */
#include "tests/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/db/internal.h"
#include "tests/support/tmpdir.h"

static struct err err;
static struct db_file seen;

static int put(const char *path, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), rc = fd >= 0 && write(fd, bytes, n) == (ssize_t)n ? 0 : -1;

	close(fd);
	return rc;
}

static int kind_of(const char *path)
{
	return db_file_look(path, &seen, &err) ? -1 : (int)seen.kind;
}

TEST(kinds)
{
	static const char zeros[32];

	CHECK_OK(put(tmppath("real"), "SQLite format 3", 16), &err);
	CHECK_INT(kind_of(tmppath("real")), DB_FILE_DATABASE);
	CHECK_OK(put(tmppath("short"), "SQLite format 3", 15), &err);
	CHECK_INT(kind_of(tmppath("short")), DB_FILE_EMPTY);
	CHECK_OK(put(tmppath("text"), "SQLite format 4 and more", 24), &err);
	CHECK_INT(kind_of(tmppath("text")), DB_FILE_OTHER);
	CHECK_OK(put(tmppath("none"), "", 0), &err);
	CHECK_INT(kind_of(tmppath("none")), DB_FILE_EMPTY);
	CHECK_OK(put(tmppath("zeros"), zeros, sizeof(zeros)), &err);
	CHECK_INT(kind_of(tmppath("zeros")), DB_FILE_EMPTY);
	CHECK_OK(mkdir(tmppath("folder"), 0700), &err);
	CHECK_INT(kind_of(tmppath("folder")), DB_FILE_OTHER);
	CHECK_OK(mkfifo(tmppath("pipe"), 0600), &err);
	CHECK_INT(kind_of(tmppath("pipe")), DB_FILE_OTHER);
	CHECK_INT(kind_of(tmppath("missing")), -1);
	CHECK_INT(err.code, ERR_NOT_FOUND);
}

/* Whether another process finds the first byte of the file locked. */
static int locked(const char *path)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
		int fd = open(path, O_RDWR);

		_exit(fcntl(fd, F_SETLK, &lock) ? 1 : 0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(a_claimed_file_keeps_its_locks)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	const char *path = tmppath("locked"), *link_path = tmppath("link");
	struct db_inode inode;
	struct stat st;
	int fd, before, other, after;

	CHECK_OK(put(path, "SQLite format 3", 16), &err);
	CHECK_OK(symlink(path, link_path), &err);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0 && !fstat(fd, &st) && !fcntl(fd, F_SETLK, &lock));
	inode = (struct db_inode){ st.st_dev, st.st_ino };
	CHECK_OK(db_inode_claim(inode, path, &err), &err);
	before = locked(path);
	CHECK_INT(kind_of(path), DB_FILE_DATABASE);
	CHECK_INT(kind_of(link_path), DB_FILE_DATABASE);
	CHECK_INT(seen.ino, st.st_ino);
	other = locked(path);
	db_inode_release(inode);
	/* The lock shows what the look would have done without the claim. */
	CHECK_INT(kind_of(path), DB_FILE_DATABASE);
	after = locked(path);
	close(fd);
	CHECK_INT(before, 1);
	CHECK_INT(other, 1);
	CHECK_INT(after, 0);
}

/* ---- looks and claims at the same time ---- */

enum { LOOKERS = 2, CLAIMS = 3000 };
static atomic_bool stop;
static char shared[64];

static void *look_on(void *arg)
{
	struct db_file out;
	long *wrong = arg;

	while (!stop)
		if (db_file_look(shared, &out, NULL) || out.kind != DB_FILE_DATABASE)
			++*wrong;
	return NULL;
}

/* A claim is never refused because of a look, and no look ends the lock of the one who claims. */
TEST(looks_and_claims_race)
{
	pthread_t threads[LOOKERS];
	long wrong[LOOKERS] = { 0 }, lost = 0, refused = 0;
	struct db_inode inode;
	struct stat st;

	snprintf(shared, sizeof(shared), "%s", tmppath("shared"));
	CHECK_OK(put(shared, "SQLite format 3", 16), &err);
	CHECK_OK(stat(shared, &st), &err);
	inode = (struct db_inode){ st.st_dev, st.st_ino };
	stop = false;
	for (int i = 0; i < LOOKERS; i++)
		pthread_create(&threads[i], NULL, look_on, &wrong[i]);
	for (int i = 0; i < CLAIMS; i++) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
		int fd;

		if (db_inode_claim(inode, shared, &err)) {
			refused++;
			continue;
		}
		fd = open(shared, O_RDWR);
		if (fcntl(fd, F_SETLK, &lock))
			lost++;
		if (i % 200 == 0) {
			usleep(200);
			lost += locked(shared) != 1;
		}
		close(fd);
		db_inode_release(inode);
	}
	stop = true;
	for (int i = 0; i < LOOKERS; i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(refused, 0);
	CHECK_INT(lost, 0);
	CHECK_INT(wrong[0] + wrong[1], 0);
}

TEST_MAIN
