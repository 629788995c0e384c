/* SPDX-License-Identifier: MIT */
/*
 * ltxmem.h - the ends of the LTX codec in memory, for unit tests and fuzz targets (which link no support files).
 */
#ifndef TESTS_SUPPORT_LTXMEM_H
#define TESTS_SUPPORT_LTXMEM_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/ltx.h"

struct mem {
	uint8_t *data;
	size_t len, cap;
	size_t pos;   /* of the next read */
	size_t chunk; /* most bytes that one read gives; 0: all that is asked for */
	size_t reads; /* calls so far */
	size_t fail;  /* the call with this number fails; 0: none */
};

static inline void mem_add(struct mem *m, const void *bytes, size_t n)
{
	if (m->len + n > m->cap) {
		m->cap = (m->len + n) * 2 + 64;
		m->data = realloc(m->data, m->cap);
		assert(m->data);
	}
	if (n > 0)
		memcpy(m->data + m->len, bytes, n);
	m->len += n;
}

static inline void mem_free(struct mem *m)
{
	free(m->data);
	*m = (struct mem){ .data = NULL };
}

static inline int mem_fails(struct mem *m, struct err *e)
{
	return ++m->reads == m->fail ? err_set(e, ERR_SYSTEM, "the memory is on strike") : 0;
}

static inline int mem_write(void *ctx, const void *bytes, size_t n, struct err *e)
{
	if (mem_fails(ctx, e))
		return -1;
	mem_add(ctx, bytes, n);
	return 0;
}

static inline int mem_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct mem *m = ctx;

	if (mem_fails(m, e))
		return -1;
	if (m->chunk && n > m->chunk)
		n = m->chunk;
	if (n > m->len - m->pos)
		n = m->len - m->pos;
	if (n > 0)
		memcpy(bytes, m->data + m->pos, n);
	m->pos += n;
	*got = n;
	return 0;
}

static inline int mem_read_at(void *ctx, void *bytes, size_t n, int64_t offset, struct err *e)
{
	struct mem *m = ctx;

	if (mem_fails(m, e))
		return -1;
	if (offset < 0 || (uint64_t)offset > m->len || n > m->len - (size_t)offset)
		return err_set(e, ERR_CORRUPT, "read beyond the end");
	memcpy(bytes, m->data + offset, n);
	return 0;
}

static inline struct ltx_sink mem_sink(struct mem *m) { return (struct ltx_sink){ mem_write, m }; }
static inline struct ltx_source mem_source(struct mem *m) { return (struct ltx_source){ mem_read, m }; }
static inline struct ltx_random mem_random(struct mem *m)
{
	return (struct ltx_random){ mem_read_at, m, (int64_t)m->len };
}

static inline struct ltx_index_store mem_index(struct mem *m)
{
	return (struct ltx_index_store){ mem_write, mem_read_at, m };
}

#endif
