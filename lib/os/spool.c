/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/spool.h"

enum { SPOOL_MEMORY_MIN = 4096 };

void os_spool_init(struct os_spool *s, const char *dir, size_t memory_max)
{
	*s = (struct os_spool){ .dir = dir, .memory_max = memory_max, .file = OS_FILE_NONE };
}

/* Room for n bytes behind memory_used; the caller has checked that they may stay in memory. */
static int grow(struct os_spool *s, size_t n, struct err *e)
{
	size_t need = s->memory_used + n, cap = s->memory_cap > 0 ? s->memory_cap : SPOOL_MEMORY_MIN;
	uint8_t *memory;

	if (need <= s->memory_cap)
		return 0;
	while (cap < need && cap < s->memory_max)
		cap = cap < s->memory_max / 2 ? cap * 2 : s->memory_max;
	if (cap > s->memory_max)
		cap = s->memory_max;
	memory = realloc(s->memory, cap);
	if (memory == NULL)
		return err_nomem(e);
	s->memory = memory;
	s->memory_cap = cap;
	return 0;
}

/* Moves what is in memory to the file. */
static int spill(struct os_spool *s, struct err *e)
{
	if (s->dir == NULL)
		return err_set(e, ERR_LIMIT, "more than %zu bytes to keep, and no folder for a temporary file",
		               s->memory_max);
	if (!os_file_is_open(&s->file) && os_file_temp(&s->file, s->dir, e) < 0)
		return -1;
	if (s->memory_used == 0)
		return 0;
	if (os_file_write(&s->file, s->memory, s->memory_used, s->file_size, e) < 0)
		return -1;
	s->file_size += (int64_t)s->memory_used;
	s->memory_used = 0;
	return 0;
}

/* Memory always holds the end of the content, so a failed append leaves the spool as it was. */
int os_spool_append(struct os_spool *s, const void *bytes, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	if (n > s->memory_max - s->memory_used) {
		if (spill(s, e) < 0)
			return -1;
		if (n > s->memory_max) {
			if (os_file_write(&s->file, bytes, n, s->file_size, e) < 0)
				return -1;
			s->file_size += (int64_t)n;
			return 0;
		}
	}
	if (grow(s, n, e) < 0)
		return -1;
	memcpy(s->memory + s->memory_used, bytes, n);
	s->memory_used += n;
	return 0;
}

int os_spool_read(struct os_spool *s, void *bytes, size_t n, int64_t offset, struct err *e)
{
	uint8_t *to = bytes;
	size_t part;

	assert(offset >= 0 && offset <= os_spool_size(s) && n <= (uint64_t)(os_spool_size(s) - offset));
	if (n > 0 && offset < s->file_size) {
		part = (uint64_t)(s->file_size - offset) < n ? (size_t)(s->file_size - offset) : n;
		if (os_file_read_exact(&s->file, to, part, offset, e) < 0)
			return -1;
		to += part;
		n -= part;
		offset += (int64_t)part;
	}
	if (n > 0)
		memcpy(to, s->memory + (offset - s->file_size), n);
	return 0;
}

int64_t os_spool_size(const struct os_spool *s)
{
	return s->file_size + (int64_t)s->memory_used;
}

void os_spool_free(struct os_spool *s)
{
	free(s->memory);
	os_file_close(&s->file);
	os_spool_init(s, s->dir, s->memory_max);
}
