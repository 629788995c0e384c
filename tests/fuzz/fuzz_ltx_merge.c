/* SPDX-License-Identifier: MIT */
/*
 * The input is a history: files of a small database, written by our encoder, merged, and compared with a plain model.
 * The first byte may damage one of them; then the merge must fail, or give the same pages all the same.
 *
 *   byte 0        bits 0-2: number of files - 1; bit 3: the first is a snapshot; bits 4-7: damage when 15
 *   each file     commit (1 to 32), TXIDs it spans and overlaps, then one byte for each page: 0 leaves it out
 */
#include "tests/support/ltxmem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 8, PAGES = 32, SIZE = 512 };

struct bytes {
	const uint8_t *p, *end;
};

static uint8_t next(struct bytes *b)
{
	return b->p < b->end ? *b->p++ : 0;
}

static void fill(uint8_t *page, uint32_t pgno, uint8_t value)
{
	uint32_t v = pgno * 77777 + value;

	memset(page, value, SIZE);
	for (int i = 0; i < value; i++) {
		v = v * 1664525 + 1013904223;
		page[i] = (uint8_t)(v >> 24);
	}
	page[SIZE - 1] = (uint8_t)pgno;
}

static struct ltx_encoder en;
static uint8_t page[SIZE], frame[LTX_FRAME_MAX];

/* Writes one file; model[pgno] becomes what it holds there. */
static int write_file(struct mem *m, struct bytes *b, const struct ltx_header *h, uint8_t *model)
{
	struct mem idx = { .data = NULL };
	struct err e;
	int rc = ltx_encoder_begin(&en, h, mem_sink(m), mem_index(&idx), frame, &e);

	assert(rc == 0);
	for (uint32_t p = 1; p <= h->commit; p++) {
		uint8_t value = next(b);
		if (value == 0 && h->min_txid == 1)
			value = 1;
		if (value == 0)
			continue;
		fill(page, p, value);
		rc = ltx_encoder_page(&en, p, page, &e);
		assert(rc == 0);
		model[p] = value;
	}
	rc = ltx_encoder_end(&en, 0, NULL, &e);
	assert(rc == 0);
	mem_free(&idx);
	return rc;
}

static void check_output(struct mem *out, const uint8_t *model, uint32_t commit, uint64_t min, uint64_t max)
{
	struct ltx_decoder d;
	struct err e = ERR_INIT;
	uint8_t want[SIZE];
	uint32_t pgno, due = 1;
	int rc = ltx_decoder_begin(&d, mem_source(out), frame, &e);

	assert(rc == 0 && d.header.commit == commit && d.header.min_txid == min && d.header.max_txid == max);
	while ((rc = ltx_decoder_next(&d, &pgno, page, &e)) > 0) {
		for (; due < pgno; due++)
			assert(model[due] == 0);
		assert(pgno == due++ && model[pgno] != 0);
		fill(want, pgno, model[pgno]);
		assert(memcmp(page, want, SIZE) == 0);
	}
	for (; due <= commit; due++)
		assert(model[due] == 0);
	assert(rc == 0 && ltx_decoder_end(&d, &e) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ltx_merge_input inputs[FILES];
	static uint8_t pages[FILES][LTX_PAGE_SIZE_MAX], frames[FILES][LTX_FRAME_MAX];
	struct bytes b = { data, data + size };
	struct mem files[FILES] = { { .data = NULL } }, out = { .data = NULL }, idx = { .data = NULL };
	uint8_t how = next(&b), model[PAGES + 1] = { 0 };
	uint64_t first = how & 8 ? 1 : 5, max = first - 1;
	struct ltx_header h = { .flags = LTX_FLAG_NO_CHECKSUM, .page_size = SIZE };
	int count = 1 + (how & 7), rc;
	bool damaged = false, hole = false;
	struct err e = ERR_INIT;

	for (int i = 0; i < count; i++) {
		uint8_t commit = next(&b), span = next(&b);
		h.commit = 1 + commit % PAGES;
		h.min_txid = i == 0 ? first : max + 1 - (span & 3) % (max + 2 - first);
		max += 1 + (span >> 2);
		h.max_txid = max;
		write_file(&files[i], &b, &h, model);
		inputs[i].source = mem_source(&files[i]);
		inputs[i].page = pages[i];
		inputs[i].frame = frames[i];
	}
	if (how >> 4 == 15) {
		struct mem *m = &files[next(&b) % count];
		uint32_t at = next(&b) << 8;
		at |= next(&b);
		m->data[at % m->len] ^= (uint8_t)(1 << next(&b) % 8);
		damaged = true;
	}
	if (first == 1)
		for (uint32_t p = 1; p <= h.commit; p++)
			hole = hole || model[p] == 0;
	rc = ltx_merge(inputs, count, &en, mem_sink(&out), mem_index(&idx), frame, NULL, &e);
	assert(rc == 0 || damaged || hole);
	assert(rc != 0 || !hole);
	if (rc == 0)
		check_output(&out, model, h.commit, first, max);
	for (int i = 0; i < count; i++)
		mem_free(&files[i]);
	mem_free(&out);
	mem_free(&idx);
	return 0;
}
