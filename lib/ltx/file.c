/* SPDX-License-Identifier: MIT */
/*
 * file.c - see file.h.
 */
#include "lib/ltx/file.h"

static int sink_write(void *ctx, const void *bytes, size_t n, struct err *e)
{
	struct ltx_file_sink *s = ctx;

	if (os_file_write(s->file, bytes, n, s->offset, e))
		return -1;
	s->offset += (int64_t)n;
	return 0;
}

struct ltx_sink ltx_file_sink(struct ltx_file_sink *s, struct os_file *file, int64_t offset, uint8_t *buf,
                                  size_t cap)
{
	s->file = file;
	s->offset = offset;
	ltx_gather_init(&s->gather, (struct ltx_sink){ .write = sink_write, .ctx = s }, buf, cap);
	return ltx_gather_sink(&s->gather);
}

int ltx_file_sink_flush(struct ltx_file_sink *s, struct err *e)
{
	return ltx_gather_flush(&s->gather, e);
}

static int source_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct ltx_file_source *s = ctx;

	if (os_file_read(s->file, bytes, n, s->offset, got, e))
		return -1;
	s->offset += (int64_t)*got;
	return 0;
}

struct ltx_source ltx_file_source(struct ltx_file_source *s, struct os_file *file, int64_t offset, uint8_t *buf,
                                  size_t cap)
{
	s->file = file;
	s->offset = offset;
	ltx_buffered_init(&s->buffered, (struct ltx_source){ .read = source_read, .ctx = s }, buf, cap);
	return ltx_buffered_source(&s->buffered);
}

static int random_read(void *ctx, void *bytes, size_t n, int64_t offset, struct err *e)
{
	return os_file_read_exact(ctx, bytes, n, offset, e);
}

struct ltx_random ltx_file_random(struct os_file *file, int64_t size)
{
	return (struct ltx_random){ .read_at = random_read, .ctx = file, .size = size };
}

static int spool_append(void *ctx, const void *bytes, size_t n, struct err *e)
{
	return os_spool_append(ctx, bytes, n, e);
}

static int spool_read(void *ctx, void *bytes, size_t n, int64_t offset, struct err *e)
{
	return os_spool_read(ctx, bytes, n, offset, e);
}

struct ltx_index_store ltx_spool_index(struct os_spool *spool)
{
	return (struct ltx_index_store){ .append = spool_append, .read = spool_read, .ctx = spool };
}
