/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/file.h"
#include "lib/os/point.h"
#include "lib/os/stat.h"

int os_file_open(struct os_file *f, const char *path, int flags, mode_t mode, struct err *e)
{
	char *copy;
	int fd;

	*f = (struct os_file)OS_FILE_NONE;
	copy = strdup(path);
	if (copy == NULL)
		return err_nomem(e);
	fd = os_point(OS_CALL_OPEN);
	if (fd == 0) {
		do
			fd = open(path, flags | O_CLOEXEC, mode);
		while (fd < 0 && errno == EINTR);
	}
	if (fd < 0) {
		err_sys(e, errno, "open %s", path);
		free(copy);
		return -1;
	}
	f->fd = fd;
	f->path = copy;
	return 0;
}

static int open_unnamed(const char *dir)
{
	int fd = os_point(OS_CALL_OPEN);

	if (fd < 0)
		return -1;
	do
		fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* File systems without O_TMPFILE answer EOPNOTSUPP or EINVAL, kernels without it EISDIR. There the file has a name for
 * a moment; it ends in .tmp, so that whoever tidies the folder after a crash knows what it was. */
static int open_and_unlink(char *name)
{
	int fd = mkostemps(name, 4, O_CLOEXEC);

	if (fd >= 0)
		unlink(name);
	return fd;
}

int os_file_temp(struct os_file *f, const char *dir, struct err *e)
{
	static const char name[] = "/rivulet-XXXXXX.tmp";
	size_t len = strlen(dir);
	char *path;
	int fd;

	*f = (struct os_file)OS_FILE_NONE;
	path = malloc(len + sizeof(name));
	if (path == NULL)
		return err_nomem(e);
	memcpy(path, dir, len);
	memcpy(path + len, name, sizeof(name));
	fd = open_unnamed(dir);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == EISDIR))
		fd = open_and_unlink(path);
	if (fd < 0) {
		err_sys(e, errno, "open %s", path);
		free(path);
		return -1;
	}
	f->fd = fd;
	f->path = path;
	return 0;
}

void os_file_close(struct os_file *f)
{
	/* An open file has a name. One of zeroes was never opened, and descriptor 0 is somebody else's. */
	assert(f->fd < 0 || f->path != NULL);
	/* Linux has freed the descriptor even when close() says EINTR: trying again could close another thread's. */
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	*f = (struct os_file)OS_FILE_NONE;
}

int os_file_read(struct os_file *f, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e)
{
	uint8_t *to = bytes;
	size_t done = 0;
	ssize_t rc;

	assert(offset >= 0);
	*got = 0;
	if (os_point(OS_CALL_READ) < 0)
		return err_sys(e, errno, "read %s", f->path);
	while (done < n) {
		rc = pread(f->fd, to + done, n - done, (off_t)(offset + (int64_t)done));
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return err_sys(e, errno, "read %s", f->path);
		if (rc == 0)
			break;
		done += (size_t)rc;
	}
	*got = done;
	return 0;
}

int os_file_read_next(struct os_file *f, void *bytes, size_t n, size_t *got, struct err *e)
{
	ssize_t rc;

	*got = 0;
	if (os_point(OS_CALL_READ) < 0)
		return err_sys(e, errno, "read %s", f->path);
	do
		rc = read(f->fd, bytes, n);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return err_sys(e, errno, "read %s", f->path);
	*got = (size_t)rc;
	return 0;
}

int os_file_read_exact(struct os_file *f, void *bytes, size_t n, int64_t offset, struct err *e)
{
	size_t got;

	if (os_file_read(f, bytes, n, offset, &got, e) < 0)
		return -1;
	if (got < n)
		return err_set(e, ERR_CORRUPT, "read %s: unexpected end of file", f->path);
	return 0;
}

int os_file_write(struct os_file *f, const void *bytes, size_t n, int64_t offset, struct err *e)
{
	const uint8_t *from = bytes;
	size_t done = 0, end = n;
	bool partial = false;
	ssize_t rc;
	int fault;

	assert(offset >= 0);
	fault = os_fault_point(OS_CALL_WRITE, &partial);
	if (fault != 0)
		end = partial ? n / 2 : 0;
	while (done < end) {
		rc = pwrite(f->fd, from + done, end - done, (off_t)(offset + (int64_t)done));
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return err_sys(e, rc < 0 ? errno : EIO, "write %s", f->path);
		done += (size_t)rc;
	}
	if (fault != 0)
		return err_sys(e, fault, "write %s", f->path);
	return 0;
}

int os_file_sync(struct os_file *f, struct err *e)
{
	int rc = os_point(OS_CALL_SYNC);

	if (rc == 0) {
		do
			rc = fsync(f->fd);
		while (rc < 0 && errno == EINTR);
	}
	return rc < 0 ? err_sys(e, errno, "fsync %s", f->path) : 0;
}

int os_file_truncate(struct os_file *f, int64_t size, struct err *e)
{
	int rc = os_point(OS_CALL_TRUNCATE);

	if (rc == 0) {
		do
			rc = ftruncate(f->fd, (off_t)size);
		while (rc < 0 && errno == EINTR);
	}
	return rc < 0 ? err_sys(e, errno, "truncate %s", f->path) : 0;
}

int os_file_stat(struct os_file *f, struct os_stat *st, struct err *e)
{
	struct stat raw;

	if (os_point(OS_CALL_LOOK) < 0 || fstat(f->fd, &raw) < 0)
		return err_sys(e, errno, "stat %s", f->path);
	os_stat_convert(&raw, st);
	return 0;
}

/* The hints pass no fault point: their failure would be seen by nobody. */
void os_file_will_read(struct os_file *f, int64_t offset, int64_t n)
{
	(void)posix_fadvise(f->fd, (off_t)offset, (off_t)n, POSIX_FADV_WILLNEED);
}

void os_file_wont_need(struct os_file *f, int64_t offset, int64_t n)
{
	(void)posix_fadvise(f->fd, (off_t)offset, (off_t)n, POSIX_FADV_DONTNEED);
}

void os_file_start_writeback(struct os_file *f, int64_t offset, int64_t n)
{
	(void)sync_file_range(f->fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

int os_file_lock(struct os_file *f, struct err *e)
{
	int rc = os_point(OS_CALL_LOCK);

	if (rc == 0) {
		do
			rc = flock(f->fd, LOCK_EX | LOCK_NB);
		while (rc < 0 && errno == EINTR);
	}
	if (rc == 0)
		return 0;
	if (errno == EWOULDBLOCK) {
		err_set(e, ERR_BUSY, "lock %s: held by another process", f->path);
		if (e != NULL)
			e->sys = EWOULDBLOCK;
		return -1;
	}
	return err_sys(e, errno, "lock %s", f->path);
}
