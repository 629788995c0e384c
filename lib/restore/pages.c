/* SPDX-License-Identifier: MIT */
/*
 * Each page of a database written once. Files come newest first, so the first copy of a page that is seen is the one to
 * keep. Neighbouring pages are gathered, because a call to the kernel for each page costs more than the page.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/restore/internal.h"

enum { FLUSH_SIZE = 4 << 20 }; /* the disk is set to work after so many bytes in a row, not only by the last fsync */

static void put32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
}

static bool is_written(const struct pages *p, uint32_t pgno)
{
	return p->written[(pgno - 1) / 8] >> ((pgno - 1) % 8) & 1;
}

static void set_written(struct pages *p, uint32_t pgno)
{
	p->written[(pgno - 1) / 8] |= (uint8_t)(1 << ((pgno - 1) % 8));
	p->left--;
}

int pages_init(struct pages *p, struct os_file *file, uint32_t page_size, uint32_t commit, struct err *e)
{
	*p = (struct pages){ .file = file, .page_size = page_size, .commit = commit };
	p->lock_pgno = ltx_lock_pgno(page_size);
	p->left = commit - (p->lock_pgno <= commit);
	p->run_max = PAGES_BUFFER_SIZE / page_size;
	p->written = calloc(1, (size_t)commit / 8 + 1);
	p->buffer = malloc((size_t)(p->run_max + 1) * page_size);
	if (p->written && p->buffer)
		return 0;
	pages_free(p);
	return err_nomem(e);
}

void pages_free(struct pages *p)
{
	free(p->written);
	free(p->buffer);
	p->written = p->buffer = NULL;
}

uint8_t *pages_slot(struct pages *p)
{
	return p->buffer + (size_t)p->run_count * p->page_size;
}

/* Nothing depends on it but that the last fsync finds less to do. */
static void start_writeback(struct pages *p, int64_t offset, int64_t n)
{
	if (offset != p->flush_to)
		p->flush_from = offset;
	p->flush_to = offset + n;
	if (p->flush_to - p->flush_from >= FLUSH_SIZE) {
		os_file_start_writeback(p->file, p->flush_from, p->flush_to - p->flush_from);
		p->flush_from = p->flush_to;
	}
}

static int write_run(struct pages *p, struct err *e)
{
	int64_t offset = (int64_t)(p->run_first - 1) * p->page_size;
	size_t n = (size_t)p->run_count * p->page_size;

	if (n == 0)
		return 0;
	p->run_count = 0;
	if (os_file_write(p->file, p->buffer, n, offset, e) != 0)
		return -1;
	start_writeback(p, offset, (int64_t)n);
	return 0;
}

int pages_take(struct pages *p, uint32_t pgno, struct err *e)
{
	uint8_t *page = pages_slot(p);

	assert(pgno > 0 && pgno != p->lock_pgno);
	if (pgno > p->commit || is_written(p, pgno))
		return 0;
	if (pgno == 1 && p->rollback_header)
		page[18] = page[19] = 1;
	if (pgno == 1 && p->new_counter)
		put32(page + 24, p->counter);
	if (p->run_count > 0 && (pgno != p->run_first + p->run_count || p->run_count == p->run_max)) {
		if (write_run(p, e) != 0)
			return -1;
		memcpy(p->buffer, page, p->page_size);
	}
	if (p->run_count == 0)
		p->run_first = pgno;
	p->run_count++;
	set_written(p, pgno);
	return 0;
}

/* The first page that no file had; 0 = none. The lock page is in no file: the size of the database makes it, zeros. */
static uint32_t first_missing(const struct pages *p)
{
	for (uint32_t i = 0; i < p->commit; i++) {
		if (i % 8 == 0 && p->written[i / 8] == 0xff && p->commit - i > 8)
			i += 7;
		else if (!is_written(p, i + 1) && i + 1 != p->lock_pgno)
			return i + 1;
	}
	return 0;
}

int pages_finish(struct pages *p, bool complete, struct err *e)
{
	uint32_t missing;

	if (write_run(p, e) != 0)
		return -1;
	if (complete && (missing = first_missing(p)) != 0)
		return err_set(e, ERR_CORRUPT, "page %u of %u is in none of the files", missing, p->commit);
	return os_file_truncate(p->file, (int64_t)p->commit * p->page_size, e);
}

/* Bytes 18, 19: how to write and read, 1 = rollback journal. Bytes 24 to 27: the change counter, by which readers know
 * that what they keep in memory is out of date. */
int pages_patch_header(struct pages *p, struct err *e)
{
	uint8_t bytes[10];

	if (p->commit == 0 || is_written(p, 1))
		return 0;
	if (os_file_read_exact(p->file, bytes, sizeof(bytes), 18, e) != 0)
		return -1;
	bytes[0] = bytes[1] = 1;
	put32(bytes + 6, p->counter);
	return os_file_write(p->file, bytes, sizeof(bytes), 18, e);
}
