/* SPDX-License-Identifier: MIT */
/*
 * file.h - the ends of the LTX codec on files: sink, source, random access, and an index kept in a spool.
 *
 * The codec knows no files; this thin layer joins it to lib/os. Nothing is allocated or closed here: files, spools and
 * buffers are the caller's and must outlive the structs below, which must not move while in use. One thread at a time.
 */
#ifndef RIVULET_LTX_FILE_H
#define RIVULET_LTX_FILE_H

#include "lib/ltx/buffered.h"
#include "lib/ltx/ltx.h"
#include "lib/os/file.h"
#include "lib/os/spool.h"

/* Buffered writing at a place of a file, usually 0. `offset` is where the next write goes. */
struct ltx_file_sink {
	struct os_file *file;
	int64_t offset;
	struct ltx_gather gather;
};
struct ltx_sink ltx_file_sink(struct ltx_file_sink *s, struct os_file *file, int64_t offset, uint8_t *buf,
                                  size_t cap);
int ltx_file_sink_flush(struct ltx_file_sink *s, struct err *e);

/* Buffered reading from a place of a file to its end. */
struct ltx_file_source {
	struct os_file *file;
	int64_t offset;
	struct ltx_buffered buffered;
};
struct ltx_source ltx_file_source(struct ltx_file_source *s, struct os_file *file, int64_t offset, uint8_t *buf,
                                  size_t cap);

/* size as os_file_stat() says. */
struct ltx_random ltx_file_random(struct os_file *file, int64_t size);

struct ltx_index_store ltx_spool_index(struct os_spool *spool);

#endif
