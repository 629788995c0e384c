/* SPDX-License-Identifier: MIT */
/* Folders: making, syncing, listing, removing. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/os/file.h"
#include "lib/os/point.h"

enum {
	REMOVE_DEPTH_MAX = 64,
	REMOVE_PASSES = 8, /* over one folder, while it does not get empty */
};

static int make_one(const char *path, const struct os_owner *owner, struct err *e)
{
	struct stat raw;
	int rc;

	if (os_point(OS_CALL_NAME) < 0)
		return err_sys(e, errno, "mkdir %s", path);
	if (mkdir(path, owner != NULL ? owner->mode & 07777 : 0777) < 0) {
		if (errno != EEXIST)
			return err_sys(e, errno, "mkdir %s", path);
		/* Somebody was faster; a folder is what we wanted. */
		if (stat(path, &raw) == 0 && S_ISDIR(raw.st_mode))
			return 0;
		return err_sys(e, ENOTDIR, "mkdir %s", path);
	}
	if (owner != NULL && owner->uid != (uint32_t)-1) {
		rc = chown(path, owner->uid, owner->gid);
		(void)rc; /* refused without privileges: then the folder is ours */
	}
	return 0;
}

/* The length of the longest leading part of path that exists and is a folder; 0 = the current folder. */
static int existing_part(char *path, size_t *len, struct err *e)
{
	size_t end = *len;
	struct stat raw;
	char cut;
	int rc;

	for (;;) {
		cut = path[end];
		path[end] = '\0';
		rc = stat(path, &raw);
		if (rc == 0 && !S_ISDIR(raw.st_mode))
			return err_sys(e, ENOTDIR, "mkdir %s", path);
		/* Further up is the file that is none (ENOTDIR): the error names that. */
		if (rc < 0 && errno != ENOENT && errno != ENOTDIR)
			return err_sys(e, errno, "mkdir %s", path);
		path[end] = cut;
		if (rc == 0)
			break;
		while (end > 0 && path[end - 1] != '/')
			end--;
		while (end > 1 && path[end - 1] == '/')
			end--;
		if (end == 0)
			break;
	}
	*len = end;
	return 0;
}

int os_dir_make(const char *path, const struct os_owner *owner, struct err *e)
{
	size_t len = strlen(path), end = len;
	char *copy, cut;
	int rc = -1;

	if (len == 0)
		return err_sys(e, ENOENT, "mkdir %s", path);
	if (os_point(OS_CALL_LOOK) < 0)
		return err_sys(e, errno, "mkdir %s", path);
	copy = strdup(path);
	if (copy == NULL)
		return err_nomem(e);
	if (existing_part(copy, &end, e) < 0)
		goto out;
	while (end < len) {
		end += strspn(copy + end, "/");
		if (end == len)
			break;
		end += strcspn(copy + end, "/");
		cut = copy[end];
		copy[end] = '\0';
		if (make_one(copy, owner, e) < 0)
			goto out;
		copy[end] = cut;
	}
	rc = 0;
out:
	free(copy);
	return rc;
}

int os_dir_sync(const char *path, struct err *e)
{
	int fd = os_point(OS_CALL_SYNC), rc;

	if (fd < 0)
		return err_sys(e, errno, "fsync %s", path);
	do
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	do
		rc = fsync(fd);
	while (rc < 0 && errno == EINTR);
	/* Some network file systems keep names in order by themselves and refuse the call. */
	rc = rc < 0 && errno != EINVAL && errno != ENOTSUP ? err_sys(e, errno, "fsync %s", path) : 0;
	close(fd);
	return rc;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static enum os_name_type type_of(const struct dirent *entry)
{
	switch (entry->d_type) {
	case DT_UNKNOWN:
		return OS_NAME_UNKNOWN;
	case DT_REG:
		return OS_NAME_FILE;
	case DT_DIR:
		return OS_NAME_DIR;
	case DT_LNK:
		return OS_NAME_LINK;
	default:
		return OS_NAME_OTHER;
	}
}

int os_dir_walk(const char *path, int (*visit)(void *ctx, const char *name, enum os_name_type type, struct err *e),
                void *ctx, struct err *e)
{
	struct dirent *entry;
	DIR *dir = NULL;
	int rc = 0;

	if (os_point(OS_CALL_LOOK) == 0)
		dir = opendir(path);
	if (dir == NULL)
		return err_sys(e, errno, "open %s", path);
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			if (errno != 0)
				rc = err_sys(e, errno, "readdir %s", path);
			break;
		}
		if (is_dots(entry->d_name))
			continue;
		rc = visit(ctx, entry->d_name, type_of(entry), e);
		if (rc != 0)
			break;
	}
	closedir(dir);
	return rc;
}

struct plain_visit {
	int (*visit)(void *ctx, const char *name, struct err *e);
	void *ctx;
};

static int visit_plainly(void *ctx, const char *name, enum os_name_type type, struct err *e)
{
	const struct plain_visit *v = ctx;

	(void)type;
	return v->visit(v->ctx, name, e);
}

int os_dir_list(const char *path, int (*visit)(void *ctx, const char *name, struct err *e), void *ctx, struct err *e)
{
	struct plain_visit v = { visit, ctx };

	return os_dir_walk(path, visit_plainly, &v, e);
}

static int remove_below(int parent, const char *name, struct buf *path, int depth, struct err *e);

/* path is for messages only: all calls name one entry of an open folder, so no link on the way can lead elsewhere. */
static int remove_entry(int parent, const char *name, struct buf *path, int depth, struct err *e)
{
	int rc = os_point(OS_CALL_NAME);

	if (rc == 0)
		rc = unlinkat(parent, name, 0);
	if (rc == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return err_sys(e, errno, "remove %s", buf_text(path));
	if (depth >= REMOVE_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "remove %s: more than %d folders deep", buf_text(path), REMOVE_DEPTH_MAX);
	return remove_below(parent, name, path, depth, e);
}

static int remove_children(DIR *dir, struct buf *path, int depth, struct err *e)
{
	size_t len = path->len;
	struct dirent *entry;
	int rc;

	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL)
			return errno != 0 ? err_sys(e, errno, "readdir %s", buf_text(path)) : 0;
		if (is_dots(entry->d_name))
			continue;
		buf_char(path, '/');
		buf_str(path, entry->d_name);
		if (!buf_ok(path))
			return err_nomem(e);
		rc = remove_entry(dirfd(dir), entry->d_name, path, depth + 1, e);
		if (rc < 0)
			return -1;
		path->data[len] = '\0';
		path->len = len;
	}
}

static int remove_below(int parent, const char *name, struct buf *path, int depth, struct err *e)
{
	DIR *dir = NULL;
	int fd, pass, rc = -1;

	fd = os_point(OS_CALL_LOOK);
	if (fd == 0)
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", buf_text(path));
	dir = fdopendir(fd);
	if (dir == NULL) {
		err_sys(e, errno, "open %s", buf_text(path));
		close(fd);
		return -1;
	}
	/* Names removed while the folder is read may hide others from this reading, so a folder that is not empty yet
	 * is read again. */
	for (pass = 0; pass < REMOVE_PASSES; pass++) {
		rewinddir(dir);
		if (remove_children(dir, path, depth, e) < 0)
			goto out;
		rc = os_point(OS_CALL_NAME);
		if (rc == 0)
			rc = unlinkat(parent, name, AT_REMOVEDIR);
		if (rc == 0 || errno == ENOENT) {
			rc = 0;
			goto out;
		}
		if (errno != ENOTEMPTY && errno != EEXIST)
			break;
	}
	rc = err_sys(e, errno, "remove %s", buf_text(path));
out:
	closedir(dir);
	return rc;
}

int os_dir_remove_all(const char *path, struct err *e)
{
	struct buf text = { .data = NULL };
	int rc;

	buf_str(&text, path);
	if (buf_ok(&text))
		rc = remove_entry(AT_FDCWD, path, &text, 0, e);
	else
		rc = err_nomem(e);
	buf_free(&text);
	return rc;
}

int os_free_space(const char *path, uint64_t *bytes, struct err *e)
{
	struct statvfs raw;
	int rc = os_point(OS_CALL_LOOK);

	if (rc == 0) {
		do
			rc = statvfs(path, &raw);
		while (rc < 0 && errno == EINTR);
	}
	if (rc < 0)
		return err_sys(e, errno, "statfs %s", path);
	*bytes = (uint64_t)raw.f_bavail * raw.f_frsize;
	return 0;
}
