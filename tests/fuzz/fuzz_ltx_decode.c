/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as an LTX file. Nothing may crash; reads in other portions give the same answer; and what verifies must
 * hold together: index, single pages, and the file that our encoder makes of it.
 */
#include "tests/support/ltxmem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t page[LTX_PAGE_SIZE_MAX], alone[LTX_PAGE_SIZE_MAX];
static uint8_t frame[LTX_FRAME_MAX], frame2[LTX_FRAME_MAX], frame3[LTX_FRAME_MAX];

static int count_entry(void *ctx, const struct ltx_index_entry *entry, struct err *e)
{
	(void)entry;
	(void)e;
	++*(uint32_t *)ctx;
	return 0;
}

static void check_good(struct mem *m)
{
	static struct ltx_encoder en;
	struct mem out = { .data = NULL }, idx = { .data = NULL };
	struct err e = ERR_INIT;
	struct ltx_trailer t;
	struct ltx_decoder d;
	uint32_t pgno, n = 0;
	int again, rc;

	assert(ltx_index_walk(mem_random(m), NULL, count_entry, &n, &e) == 0);
	m->pos = 0;
	assert(ltx_decoder_begin(&d, mem_source(m), frame, &e) == 0);
	again = ltx_encoder_begin(&en, &d.header, mem_sink(&out), mem_index(&idx), frame3, &e) == 0;
	assert(again || d.header.commit == 0);
	while ((rc = ltx_decoder_next(&d, &pgno, page, &e)) > 0) {
		assert(ltx_page_read(mem_random(m), pgno, alone, frame2, &e) == 1);
		assert(memcmp(page, alone, d.header.page_size) == 0);
		assert(ltx_encoder_page(&en, pgno, page, &e) == 0);
	}
	assert(rc == 0 && d.page_count == n && ltx_decoder_end(&d, &e) == 0);
	if (again && ltx_encoder_end(&en, d.trailer.post_apply, &t, &e) == 0)
		assert(ltx_verify(mem_source(&out), frame, page, NULL, NULL, NULL, &e) == 0);
	mem_free(&out);
	mem_free(&idx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem m = { .data = NULL };
	struct err e = ERR_INIT, e2 = ERR_INIT;
	int rc;

	mem_add(&m, data, size);
	rc = ltx_verify(mem_source(&m), frame, page, NULL, NULL, NULL, &e);
	assert(rc == 0 || e.code == ERR_CORRUPT);
	m.pos = 0;
	m.chunk = 1 + size % 7;
	assert(ltx_verify(mem_source(&m), frame, page, NULL, NULL, NULL, &e2) == rc);
	assert(strcmp(e.text, e2.text) == 0);
	m.chunk = 0;
	if (rc == 0)
		check_good(&m);
	mem_free(&m);
	return 0;
}
