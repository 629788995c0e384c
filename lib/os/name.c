/* SPDX-License-Identifier: MIT */
/* Names of files: looking, renaming, removing, times and owners. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/os/file.h"
#include "lib/os/point.h"
#include "lib/os/stat.h"

void os_stat_convert(const struct stat *raw, struct os_stat *st)
{
	*st = (struct os_stat){
		.dev = raw->st_dev,
		.ino = raw->st_ino,
		.size = raw->st_size,
		.mtime_ms = (int64_t)raw->st_mtim.tv_sec * 1000 + raw->st_mtim.tv_nsec / 1000000,
		.changed_ns = (int64_t)raw->st_ctim.tv_sec * 1000000000 + raw->st_ctim.tv_nsec,
		.mode = raw->st_mode & 07777,
		.uid = raw->st_uid,
		.gid = raw->st_gid,
		.links = (uint32_t)raw->st_nlink,
		.is_dir = S_ISDIR(raw->st_mode),
		.is_regular = S_ISREG(raw->st_mode),
		.is_link = S_ISLNK(raw->st_mode),
	};
}

int os_stat(const char *path, struct os_stat *st, struct err *e)
{
	struct stat raw;

	if (os_point(OS_CALL_LOOK) < 0 || stat(path, &raw) < 0)
		return err_sys(e, errno, "stat %s", path);
	os_stat_convert(&raw, st);
	return 0;
}

/* The kernel stamps with its coarse clock, or with a finer one that is never behind it;
 * never with the clock of tests. */
bool os_stamp_settle(int64_t changed_ns)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct timespec now;

	if (changed_ns % 1000000 == 0)
		return false;
	for (int i = 0; i < 50; i++) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		if ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec > changed_ns)
			return true;
		nanosleep(&moment, NULL);
	}
	return false;
}

bool os_changes_in_silence(const char *folder)
{
	/* nfs, smb, cifs, smb2, fuse, 9p, ceph, afs, ncp, coda, virtiofs is fuse */
	static const uint32_t kinds[] = { 0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400,
	                                  0x5346414f, 0x564c, 0x73757245 };
	struct statfs st;

	if (os_point(OS_CALL_LOOK) < 0 || statfs(folder, &st) < 0)
		return true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if ((uint32_t)st.f_type == kinds[i])
			return true;
	}
	return false;
}

int os_lstat(const char *path, struct os_stat *st, struct err *e)
{
	struct stat raw;

	if (os_point(OS_CALL_LOOK) < 0 || lstat(path, &raw) < 0)
		return err_sys(e, errno, "lstat %s", path);
	os_stat_convert(&raw, st);
	return 0;
}

int os_real_path(const char *path, char **real, struct err *e)
{
	*real = os_point(OS_CALL_LOOK) < 0 ? NULL : realpath(path, NULL);
	return *real == NULL ? err_sys(e, errno, "lstat %s", path) : 0;
}

int os_real_place(const char *path, char **real, struct err *e)
{
	size_t n = strlen(path), tail;
	char *head = malloc(n + 2), *found = NULL;

	if (!head)
		return err_nomem(e);
	for (tail = n;; tail--) {
		while (tail && path[tail] && path[tail] != '/')
			tail--;
		memcpy(head, path, tail);
		strcpy(head + tail, tail ? "" : *path == '/' ? "/" : ".");
		found = os_point(OS_CALL_LOOK) < 0 ? NULL : realpath(head, NULL);
		if (found || !tail)
			break;
	}
	free(head);
	while (path[tail] == '/')
		tail++;
	n = found ? strlen(found) : 0;
	*real = found ? realloc(found, n + strlen(path + tail) + 2) : strdup(path);
	if (!*real) {
		free(found);
		return err_nomem(e);
	}
	if (found && path[tail])
		strcat(strcpy(*real + n, n && (*real)[n - 1] == '/' ? "" : "/"), path + tail);
	return 0;
}

int os_rename(const char *from, const char *to, struct err *e)
{
	if (os_point(OS_CALL_NAME) < 0 || rename(from, to) < 0)
		return err_sys(e, errno, "rename %s %s", from, to);
	return 0;
}

int os_unlink(const char *path, struct err *e)
{
	if ((os_point(OS_CALL_NAME) < 0 || unlink(path) < 0) && errno != ENOENT)
		return err_sys(e, errno, "remove %s", path);
	return 0;
}

int os_link(const char *from, const char *to, struct err *e)
{
	if (os_point(OS_CALL_NAME) < 0 || link(from, to) < 0)
		return err_sys(e, errno, "link %s %s", from, to);
	return 0;
}

int os_set_times(const char *path, int64_t mtime_ms, struct err *e)
{
	struct timespec times[2];
	int64_t seconds = mtime_ms / 1000, rest = mtime_ms % 1000;

	if (rest < 0) {
		seconds--;
		rest += 1000;
	}
	times[0].tv_sec = times[1].tv_sec = (time_t)seconds;
	times[0].tv_nsec = times[1].tv_nsec = (long)rest * 1000000;
	if (os_point(OS_CALL_NAME) < 0 || utimensat(AT_FDCWD, path, times, 0) < 0)
		return err_sys(e, errno, "chtimes %s", path);
	return 0;
}

int os_set_owner(const char *path, uint32_t mode, uint32_t uid, uint32_t gid, struct err *e)
{
	int rc;

	if (os_point(OS_CALL_NAME) < 0)
		return err_sys(e, errno, "chmod %s", path);
	/* Owner before mode: a change of owner clears set-id bits. Without the right to give a file away, the group
	 * alone may still be ours to set. What was refused shows in nothing but the result, as the header says. */
	if (uid != (uint32_t)-1) {
		rc = chown(path, uid, gid);
		if (rc < 0)
			rc = chown(path, (uid_t)-1, gid);
		(void)rc;
	}
	if (chmod(path, mode & 07777) < 0)
		return err_sys(e, errno, "chmod %s", path);
	return 0;
}
