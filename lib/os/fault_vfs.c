/* SPDX-License-Identifier: MIT */
/*
 * The SQLite VFS of fault.h: one object in front of each file of the default VFS, which passes every call on after a
 * fault point. errno is set as the kernel would have done, because SQLite asks for it (sqlite3_system_errno).
 */
#include "lib/os/fault.h"

#ifdef OS_FAULTS

#include <errno.h>
#include <stddef.h>

#include "sqlite3.h"

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct, in the same memory */
};

enum { FAULT_FILE_SIZE = (sizeof(struct fault_file) + 15) & ~15 };

static sqlite3_vfs fault_vfs;

static sqlite3_file *real(sqlite3_file *f)
{
	return ((struct fault_file *)(void *)f)->real;
}

static sqlite3_vfs *real_vfs(void)
{
	return fault_vfs.pAppData;
}

/* SQLITE_OK, or the code to fail with: the kernel's "busy" is SQLite's, too. */
static int point(enum os_call call, int code)
{
	int errnum = os_fault_point_sqlite(call, NULL);

	if (errnum == 0)
		return SQLITE_OK;
	errno = errnum;
	if (errnum == ENOMEM)
		return SQLITE_IOERR_NOMEM;
	return call == OS_CALL_LOCK && (errnum == EAGAIN || errnum == EBUSY) ? SQLITE_BUSY : code;
}

#define FORWARD(f, method, ...) (real(f)->pMethods->method(real(f), ##__VA_ARGS__))

static int file_close(sqlite3_file *f)
{
	int rc = FORWARD(f, xClose);

	f->pMethods = NULL;
	return rc;
}

static int file_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 offset)
{
	int rc = point(OS_CALL_READ, SQLITE_IOERR_READ);

	return rc != SQLITE_OK ? rc : FORWARD(f, xRead, bytes, n, offset);
}

static int file_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 offset)
{
	bool partial = false;
	int errnum = os_fault_point_sqlite(OS_CALL_WRITE, &partial);

	if (errnum == 0)
		return FORWARD(f, xWrite, bytes, n, offset);
	if (partial && n > 1)
		(void)FORWARD(f, xWrite, bytes, n / 2, offset);
	errno = errnum;
	return errnum == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = point(OS_CALL_TRUNCATE, SQLITE_IOERR_TRUNCATE);

	return rc != SQLITE_OK ? rc : FORWARD(f, xTruncate, size);
}

static int file_sync(sqlite3_file *f, int flags)
{
	int rc = point(OS_CALL_SYNC, SQLITE_IOERR_FSYNC);

	return rc != SQLITE_OK ? rc : FORWARD(f, xSync, flags);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	int rc = point(OS_CALL_LOOK, SQLITE_IOERR_FSTAT);

	return rc != SQLITE_OK ? rc : FORWARD(f, xFileSize, size);
}

static int file_lock(sqlite3_file *f, int level)
{
	int rc = point(OS_CALL_LOCK, SQLITE_IOERR_LOCK);

	return rc != SQLITE_OK ? rc : FORWARD(f, xLock, level);
}

static int file_unlock(sqlite3_file *f, int level)
{
	return FORWARD(f, xUnlock, level);
}

static int file_check_reserved(sqlite3_file *f, int *held)
{
	int rc = point(OS_CALL_LOCK, SQLITE_IOERR_CHECKRESERVEDLOCK);

	return rc != SQLITE_OK ? rc : FORWARD(f, xCheckReservedLock, held);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
	return FORWARD(f, xFileControl, op, arg);
}

static int file_sector_size(sqlite3_file *f)
{
	return FORWARD(f, xSectorSize);
}

static int file_characteristics(sqlite3_file *f)
{
	return FORWARD(f, xDeviceCharacteristics);
}

static int file_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **at)
{
	int rc = point(OS_CALL_MEMORY, SQLITE_IOERR_SHMMAP);

	if (rc == SQLITE_OK)
		return FORWARD(f, xShmMap, region, size, extend, at);
	*at = NULL;
	return rc;
}

static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	int rc = SQLITE_OK;

	if (flags & SQLITE_SHM_LOCK)
		rc = point(OS_CALL_LOCK, SQLITE_IOERR_SHMLOCK);
	return rc != SQLITE_OK ? rc : FORWARD(f, xShmLock, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
	FORWARD(f, xShmBarrier);
}

static int file_shm_unmap(sqlite3_file *f, int delete_it)
{
	return FORWARD(f, xShmUnmap, delete_it);
}

static int file_fetch(sqlite3_file *f, sqlite3_int64 offset, int n, void **at)
{
	return FORWARD(f, xFetch, offset, n, at);
}

static int file_unfetch(sqlite3_file *f, sqlite3_int64 offset, void *at)
{
	return FORWARD(f, xUnfetch, offset, at);
}

static const sqlite3_io_methods methods = {
	.iVersion = 3,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xShmMap = file_shm_map,
	.xShmLock = file_shm_lock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
	.xFetch = file_fetch,
	.xUnfetch = file_unfetch,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
	struct fault_file *ff = (struct fault_file *)(void *)f;
	int rc;

	(void)vfs;
	ff->base.pMethods = NULL;
	ff->real = (sqlite3_file *)(void *)((char *)ff + FAULT_FILE_SIZE);
	ff->real->pMethods = NULL;
	rc = point(OS_CALL_OPEN, SQLITE_CANTOPEN);
	if (rc == SQLITE_OK)
		rc = real_vfs()->xOpen(real_vfs(), name, ff->real, flags, flags_out);
	/* SQLite closes a file that has methods, even one whose opening failed. */
	if (ff->real->pMethods != NULL)
		ff->base.pMethods = &methods;
	return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	int rc = point(OS_CALL_NAME, SQLITE_IOERR_DELETE);

	(void)vfs;
	return rc != SQLITE_OK ? rc : real_vfs()->xDelete(real_vfs(), name, sync_dir);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	int rc = point(OS_CALL_LOOK, SQLITE_IOERR_ACCESS);

	(void)vfs;
	return rc != SQLITE_OK ? rc : real_vfs()->xAccess(real_vfs(), name, flags, out);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	return real_vfs()->xFullPathname(real_vfs(), name, size, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *out)
{
	(void)vfs;
	return real_vfs()->xRandomness(real_vfs(), n, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	if (!os_fault_clock_now(NULL, NULL))
		return real_vfs()->xSleep(real_vfs(), us);
	os_fault_clock_advance(us);
	return us;
}

/* Milliseconds of the Julian day: its number begins 2440587.5 days before 1970. */
static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	int64_t wall_ms;

	(void)vfs;
	if (!os_fault_clock_now(&wall_ms, NULL))
		return real_vfs()->xCurrentTimeInt64(real_vfs(), out);
	*out = 24405875 * (sqlite3_int64)8640000 + wall_ms;
	return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *vfs, double *out)
{
	sqlite3_int64 ms = 0;
	int rc = vfs_time_ms(vfs, &ms);

	*out = (double)ms / 86400000.0;
	return rc;
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *out)
{
	(void)vfs;
	return real_vfs()->xGetLastError(real_vfs(), n, out);
}

int os_fault_vfs(void)
{
	sqlite3_vfs *base;

	if (sqlite3_vfs_find("fault") != NULL)
		return SQLITE_OK;
	base = sqlite3_vfs_find(NULL);
	if (base == NULL)
		return SQLITE_ERROR;
	fault_vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = FAULT_FILE_SIZE + base->szOsFile,
		.mxPathname = base->mxPathname,
		.zName = "fault",
		.pAppData = base,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_pathname,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_time,
		.xGetLastError = vfs_last_error,
		.xCurrentTimeInt64 = vfs_time_ms,
	};
	return sqlite3_vfs_register(&fault_vfs, 1);
}

#else
typedef int os_fault_vfs_is_off; /* a translation unit must declare something */
#endif
