/* SPDX-License-Identifier: MIT */
/*
 * file.h - files, folders and names; the only room that asks the kernel for them.
 *
 * All functions return 0 or -1 with an err whose text is "CALL PATH: reason" as Go prints path errors ("open /a/b: no
 * such file or directory"). EINTR is retried here, short reads and writes are completed here, every descriptor is
 * close-on-exec. Paths are bytes, never interpreted. Any thread; one os_file is used by one thread at a time.
 */
#ifndef RIVULET_OS_FILE_H
#define RIVULET_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

/* An open file that knows its name, for messages. OS_FILE_NONE is the closed state. */
struct os_file {
	int fd;
	char *path; /* owned */
};
#define OS_FILE_NONE { .fd = -1, .path = NULL }

struct os_stat {
	uint64_t dev, ino;
	int64_t size;
	int64_t mtime_ms;
	int64_t changed_ns; /* ctime: the last change of bytes or of what is recorded about the file;
	                     * nobody can set it */
	uint32_t mode;  /* permission bits only */
	uint32_t uid, gid;
	uint32_t links;
	bool is_dir, is_regular, is_link;
};

/* flags and mode as open(2); O_CLOEXEC is added. *f must be closed; on failure it stays so. */
int os_file_open(struct os_file *f, const char *path, int flags, mode_t mode, struct err *e);
/* An unlinked temporary file inside the folder dir (never /tmp: a scratch image may have none). Read and write. */
int os_file_temp(struct os_file *f, const char *dir, struct err *e);
void os_file_close(struct os_file *f); /* idempotent; errors of close after a sync are meaningless and ignored */
static inline bool os_file_is_open(const struct os_file *f) { return f->fd >= 0; }

/* Positional. *got < n only at the end of the file. */
int os_file_read(struct os_file *f, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e);
/* Exactly n bytes; an early end is ERR_CORRUPT "read PATH: unexpected end of file". */
int os_file_read_exact(struct os_file *f, void *bytes, size_t n, int64_t offset, struct err *e);
/* From where the last one ended, for what has no positions (a pipe). *got == 0 only at the end. */
int os_file_read_next(struct os_file *f, void *bytes, size_t n, size_t *got, struct err *e);
int os_file_write(struct os_file *f, const void *bytes, size_t n, int64_t offset, struct err *e);
int os_file_sync(struct os_file *f, struct err *e);
int os_file_truncate(struct os_file *f, int64_t size, struct err *e);
int os_file_stat(struct os_file *f, struct os_stat *st, struct err *e);
/* Hints; failures are nobody's business. */
void os_file_will_read(struct os_file *f, int64_t offset, int64_t n);
void os_file_wont_need(struct os_file *f, int64_t offset, int64_t n);
void os_file_start_writeback(struct os_file *f, int64_t offset, int64_t n);

/* Advisory whole-file write lock of this process (flock); ERR_BUSY when somebody else holds it. Gone with the close.
 * Never on a database file or its -shm: see replication notes in lib/db/db.h. */
int os_file_lock(struct os_file *f, struct err *e);

/*
 * SQLite's locks on a database in rollback mode, for a writer that is not SQLite (follow mode): OS_DB_PENDING keeps new
 * readers and other writers out, OS_DB_EXCLUSIVE needs all readers gone as well. ERR_BUSY when somebody is in the way;
 * what was held before is held still. They belong to the open file, not to the process: connections that this process
 * has to the same database neither share nor drop them.
 */
enum os_database_lock { OS_DB_UNLOCKED, OS_DB_PENDING, OS_DB_EXCLUSIVE };
int os_file_lock_database(struct os_file *f, enum os_database_lock level, struct err *e);

int os_stat(const char *path, struct os_stat *st, struct err *e);  /* follows links */
int os_lstat(const char *path, struct os_stat *st, struct err *e); /* does not */
/* The name without links on its way, malloc'ed. */
int os_real_path(const char *path, char **real, struct err *e);
/* The same of as much of it as is there already, with the rest as it is written; malloc'ed. Fails only without memory. */
int os_real_place(const char *path, char **real, struct err *e);
int os_rename(const char *from, const char *to, struct err *e);
int os_unlink(const char *path, struct err *e);                    /* a missing file is no error */
/* A hard link. ERR_EXISTS; err.sys tells EXDEV, EPERM, EMLINK. */
int os_link(const char *from, const char *to, struct err *e);
int os_set_times(const char *path, int64_t mtime_ms, struct err *e); /* atime = mtime */
/*
 * Waits, a few milliseconds, until what is changed from now on gets a later stamp than changed_ns. false: that cannot
 * be known here (a file system that stamps coarsely, or by another machine's clock).
 */
bool os_stamp_settle(int64_t changed_ns);
/* May a file in this folder be changed without an event (a network or user-space file system)? */
bool os_changes_in_silence(const char *folder);
/* Sets mode, and owner where we may; a refused change of owner is not an error. */
int os_set_owner(const char *path, uint32_t mode, uint32_t uid, uint32_t gid, struct err *e);

/* Owner and mode for what is created; uid (uint32_t)-1 = leave as it is. */
struct os_owner {
	uint32_t mode, uid, gid;
};

/* mkdir -p; the folders it creates get the owner and mode (umask applies). */
int os_dir_make(const char *path, const struct os_owner *owner, struct err *e);
int os_dir_sync(const char *path, struct err *e);
/* Calls visit for each name but . and .., in no order; a visit that returns non-zero ends the walk with that value
 * (visit fills e). A missing folder is ERR_NOT_FOUND. */
int os_dir_list(const char *path, int (*visit)(void *ctx, const char *name, struct err *e), void *ctx, struct err *e);
/* The same, told what each name stands for, where the file system says so without being asked for each. */
enum os_name_type { OS_NAME_UNKNOWN, OS_NAME_FILE, OS_NAME_DIR, OS_NAME_LINK, OS_NAME_OTHER };
int os_dir_walk(const char *path, int (*visit)(void *ctx, const char *name, enum os_name_type type, struct err *e),
                void *ctx, struct err *e);
/* Removes the folder and all below it; a missing one is no error. Depth is limited to 64. */
int os_dir_remove_all(const char *path, struct err *e);
int os_free_space(const char *path, uint64_t *bytes, struct err *e);

/* The current folder, malloc'ed. */
int os_cwd(char **path, struct err *e);
/* The user's home folder: passwd entry, else $HOME; NULL when there is none. malloc'ed. */
char *os_home(void);

#endif
