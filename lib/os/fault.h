/* SPDX-License-Identifier: MIT */
/*
 * fault.h - the seam through which tests make kernel calls fail.
 *
 * Every function of lib/os that may fail passes a fault point before it asks the kernel; in the test build SQLite's
 * file calls do too (os_fault_vfs). In the shipped build the points are constants and vanish. Points are counted over
 * the whole process, from all threads; plans are set while no other thread runs. What takes the kernel several calls (a
 * long write, a retry after EINTR) is one point; making or removing a tree of folders is one for each name.
 */
#ifndef RIVULET_OS_FAULT_H
#define RIVULET_OS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* Kinds of calls; a plan may be limited to some of them. */
enum os_call {
	OS_CALL_OPEN = 1 << 0,
	OS_CALL_READ = 1 << 1,
	OS_CALL_WRITE = 1 << 2,
	OS_CALL_SYNC = 1 << 3,     /* of files and folders */
	OS_CALL_NAME = 1 << 4,     /* rename, link, unlink, mkdir, utimens, chmod, chown */
	OS_CALL_LOOK = 1 << 5,     /* stat, readdir, statvfs */
	OS_CALL_TRUNCATE = 1 << 6,
	OS_CALL_LOCK = 1 << 7,
	OS_CALL_WATCH = 1 << 8,    /* inotify */
	OS_CALL_MEMORY = 1 << 9,   /* mapping of the wal-index by SQLite */
	OS_CALL_OTHER = 1 << 10,   /* descriptors of the loop, signals, child processes */
	OS_CALL_NET = 1 << 11,     /* lookups and sockets */
	OS_CALL_ALL = 0xffff,
};

#ifdef OS_FAULTS

enum os_fault_mode {
	OS_FAULT_OFF,     /* only counts: how many points does this run have? */
	OS_FAULT_ONCE,    /* the n-th matching call fails */
	OS_FAULT_FROM,    /* the n-th and all later ones fail */
	OS_FAULT_SHORT,   /* the n-th fails; if it is a write, half of its bytes are written first */
	OS_FAULT_KILL,    /* the process dies by SIGKILL before the n-th call */
};

struct os_fault_plan {
	enum os_fault_mode mode;
	uint64_t at;     /* n, counted from 1 over matching calls since os_fault_set() */
	unsigned calls;  /* mask of enum os_call; 0 = all */
	int errnum;      /* what it fails with; 0 = EIO */
	bool sqlite_too; /* count and fail SQLite's file calls as well */
};

void os_fault_set(const struct os_fault_plan *plan); /* NULL switches off; count and hit stay to be read */
uint64_t os_fault_count(void);                       /* matching calls since os_fault_set() */
bool os_fault_hit(void);                             /* has the plan made a call fail? */

/* Called at every fault point, SQLite's included, before anything else happens there; NULL = nobody. What it does may
 * pass fault points itself, for which it is not called. Set while no other thread runs. */
void os_fault_hook(void (*fn)(void *ctx, enum os_call call), void *ctx);

/* 0, or the errno to fail with. `partial` (may be NULL) becomes true when half of a write shall be done first. */
int os_fault_point(enum os_call call, bool *partial);

/* Registers the SQLite VFS "fault" over the default one and makes it the default; every file call of SQLite is then
 * a fault point, except closing and giving locks back, and its time is that of os_fault_clock(). Idempotent; returns
 * SQLite's code. The files it opens are its own: SQLITE_FCNTL_FILE_POINTER gives one whose calls are points too. */
int os_fault_vfs(void);
int os_fault_point_sqlite(enum os_call call, bool *partial);

/* The clocks of clock.h stand still and move only by these and by os_sleep_ms(), which then does not sleep.
 * mono_us == 0 gives both back to the kernel. */
void os_fault_clock(int64_t wall_ms, int64_t mono_us);
void os_fault_clock_advance(int64_t us);
/* false when the kernel's clocks count; the pointers may be NULL. */
bool os_fault_clock_now(int64_t *wall_ms, int64_t *mono_us);

/* The machine counts as started anew when this changes; 0 gives os_boot_id() back to the kernel. */
void os_fault_boot(uint64_t id);
uint64_t os_fault_boot_id(void);

#else
static inline int os_fault_point(enum os_call call, bool *partial) { (void)call; (void)partial; return 0; }
#endif

#endif
