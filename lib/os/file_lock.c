/* SPDX-License-Identifier: MIT */
/* The bytes of a database file that SQLite's unix locks are on. */
#include <fcntl.h>

#include "lib/os/file.h"
#include "lib/os/point.h"

/* https://www.sqlite.org/fileformat2.html says of the page they are on only that it is left out; the bytes are SQLite's
 * PENDING_BYTE, RESERVED_BYTE behind it, and 510 bytes of which a reader holds a shared lock. */
enum { PENDING_BYTE = 0x40000000, RESERVED_SIZE = 2, ALL_SIZE = 2 + 510 };

static int set_lock(struct os_file *f, short type, off_t size)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = PENDING_BYTE, .l_len = size };
	int rc;

	if (os_point(OS_CALL_LOCK) < 0)
		return -1;
	do
		rc = fcntl(f->fd, F_OFD_SETLK, &lock);
	while (rc < 0 && errno == EINTR);
	/* Kernels and sandboxes without locks of open files: those of the process do, while it has no connection. */
	if (rc < 0 && errno == EINVAL) {
		do
			rc = fcntl(f->fd, F_SETLK, &lock);
		while (rc < 0 && errno == EINTR);
	}
	return rc;
}

int os_file_lock_database(struct os_file *f, enum os_database_lock level, struct err *e)
{
	int rc;

	if (level == OS_DB_UNLOCKED)
		rc = set_lock(f, F_UNLCK, ALL_SIZE);
	else
		rc = set_lock(f, F_WRLCK, level == OS_DB_PENDING ? RESERVED_SIZE : ALL_SIZE);
	if (rc == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES) {
		err_set(e, ERR_BUSY, "database is locked: %s", f->path);
		if (e != NULL)
			e->sys = EAGAIN;
		return -1;
	}
	return err_sys(e, errno, "lock %s", f->path);
}
