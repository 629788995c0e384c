/* SPDX-License-Identifier: MIT */
/*
 * Any bytes behind an index walk: entries come out in order and inside the file, and the pages that they name can be
 * asked for without harm.
 */
#include "tests/support/ltxmem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
	struct mem *m;
	struct ltx_index_entry last;
	uint32_t count;
};

static int visit(void *ctx, const struct ltx_index_entry *entry, struct err *e)
{
	struct walk *w = ctx;

	(void)e;
	assert(entry->pgno > w->last.pgno);
	assert(entry->offset == (w->count ? w->last.offset + w->last.size : LTX_HEADER_SIZE));
	assert(entry->size > 10 && entry->size <= LTX_FRAME_MAX);
	assert((uint64_t)(entry->offset + entry->size) < w->m->len);
	w->last = *entry;
	w->count++;
	return w->count == 1000 ? 7 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t page[LTX_PAGE_SIZE_MAX], frame[LTX_FRAME_MAX];
	struct mem m = { .data = NULL };
	struct walk w = { .m = &m };
	struct err e = ERR_INIT;
	struct ltx_header h;
	int rc;

	mem_add(&m, data, size);
	rc = ltx_index_walk(mem_random(&m), &h, visit, &w, &e);
	assert(rc == 0 || (rc == 7 && w.count == 1000) || (rc == -1 && e.code == ERR_CORRUPT));
	for (uint32_t pgno = 1; pgno <= 3; pgno++) {
		rc = ltx_page_read(mem_random(&m), pgno, page, frame, &e);
		assert(rc != -1 || e.code == ERR_CORRUPT);
	}
	if (w.count > 0)
		ltx_page_read(mem_random(&m), w.last.pgno, page, frame, &e);
	mem_free(&m);
	return 0;
}
