/* SPDX-License-Identifier: MIT */
/*
 * spool.h - bytes that are appended once and read back: in memory up to a bound, beyond it in an unlinked file.
 *
 * Used for what grows with the database and must not take memory with it: the page index of a large LTX file, sorted
 * runs of a giant transaction. The spool owns its memory and its file. One thread at a time.
 */
#ifndef RIVULET_OS_SPOOL_H
#define RIVULET_OS_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "lib/os/file.h"

struct os_spool {
	const char *dir;   /* where the file goes, when one is needed; must live as long as the spool */
	size_t memory_max; /* bytes kept in memory: the whole content up to it, a write buffer beyond it */
	uint8_t *memory;
	size_t memory_used; /* bytes in memory, not yet in the file */
	size_t memory_cap;
	int64_t file_size; /* bytes in the file */
	struct os_file file;
};

/* dir may be NULL: then exceeding memory_max is ERR_LIMIT. */
void os_spool_init(struct os_spool *s, const char *dir, size_t memory_max);
int os_spool_append(struct os_spool *s, const void *bytes, size_t n, struct err *e);
/* Exactly n bytes from offset; asking beyond os_spool_size() is a broken invariant. */
int os_spool_read(struct os_spool *s, void *bytes, size_t n, int64_t offset, struct err *e);
int64_t os_spool_size(const struct os_spool *s);
void os_spool_free(struct os_spool *s); /* idempotent */

#endif
