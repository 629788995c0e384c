/* SPDX-License-Identifier: MIT */
/*
 * ltxkit.c - see ltxkit.h.
 */
#include "tests/support/ltxkit.h"

#include <stdio.h>

uint64_t kit_crc64(uint64_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	crc = ~crc;
	for (; n > 0; n--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xd800000000000000u : 0);
	}
	return ~crc;
}

static uint32_t rot(uint32_t v, int n) { return v << n | v >> (32 - n); }

/* Written from the description of the hash, with its primes in decimal, to be a second opinion. */
uint32_t kit_xxh32(const void *bytes, size_t n)
{
	const uint32_t prime[5] = { 2654435761u, 2246822519u, 3266489917u, 668265263u, 374761393u };
	const uint8_t *p = bytes;
	uint32_t acc[4] = { prime[0] + prime[1], prime[1], 0, -prime[0] }, h;
	size_t i = 0;

	for (; n - i >= 16; i += 16)
		for (size_t j = 0; j < 4; j++) {
			uint32_t v;
			memcpy(&v, p + i + 4 * j, 4);
			acc[j] = rot(acc[j] + v * prime[1], 13) * prime[0];
		}
	h = n >= 16 ? rot(acc[0], 1) + rot(acc[1], 7) + rot(acc[2], 12) + rot(acc[3], 18) : prime[4];
	h += (uint32_t)n;
	for (; n - i >= 4; i += 4) {
		uint32_t v;
		memcpy(&v, p + i, 4);
		h = rot(h + v * prime[2], 17) * prime[3];
	}
	for (; i < n; i++)
		h = rot(h + p[i] * prime[4], 11) * prime[0];
	h ^= h >> 15;
	h *= prime[1];
	h ^= h >> 13;
	h *= prime[2];
	return h ^ h >> 16;
}

struct ltx_header kit_header(uint32_t page_size, uint64_t min_txid, uint64_t max_txid, uint32_t commit)
{
	return (struct ltx_header){ .flags = LTX_FLAG_NO_CHECKSUM, .page_size = page_size, .commit = commit,
	                            .min_txid = min_txid, .max_txid = max_txid };
}

void kit_fill(uint8_t *page, uint32_t page_size, uint32_t seed)
{
	uint32_t v = seed * 2654435761u + 1;

	for (uint32_t i = 0; i < page_size; i++) {
		v = v * 1664525 + 1013904223;
		page[i] = i < page_size / 2 ? (uint8_t)(v >> 24) : (uint8_t)"the quick brown fox "[(i + seed) % 20];
	}
}

static void be(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

void kit_raw(struct kit *k, const void *bytes, size_t n, bool hashed)
{
	mem_add(&k->out, bytes, n);
	if (hashed)
		k->crc = kit_crc64(k->crc, bytes, n);
}

void kit_begin(struct kit *k, const struct ltx_header *h)
{
	uint8_t b[100] = "LTX1";

	*k = (struct kit){ .page_size = h->page_size };
	be(b + 4, h->flags, 4);
	be(b + 8, h->page_size, 4);
	be(b + 12, h->commit, 4);
	be(b + 16, h->min_txid, 8);
	be(b + 24, h->max_txid, 8);
	be(b + 32, (uint64_t)h->timestamp_ms, 8);
	be(b + 40, h->pre_apply, 8);
	be(b + 48, (uint64_t)h->wal_offset, 8);
	be(b + 56, (uint64_t)h->wal_size, 8);
	be(b + 64, h->wal_salt1, 4);
	be(b + 68, h->wal_salt2, 4);
	be(b + 72, h->node_id, 8);
	kit_raw(k, b, sizeof b, true);
}

void kit_entry(struct kit *k, uint64_t pgno, uint64_t offset, uint64_t size)
{
	uint64_t v[3] = { pgno, offset, size };

	for (int i = 0; i < 3; i++) {
		do {
			uint8_t b = (uint8_t)((v[i] & 127) | (v[i] > 127 ? 128 : 0));
			mem_add(&k->index, &b, 1);
			v[i] >>= 7;
		} while (v[i]);
	}
}

void kit_frame(struct kit *k, const void *frame, size_t n, size_t hashed, const void *page)
{
	const uint8_t *f = frame;

	if (!k->no_index_entries)
		kit_entry(k, (uint64_t)f[0] << 24 | (uint64_t)f[1] << 16 | (uint64_t)f[2] << 8 | f[3], k->out.len, n);
	mem_add(&k->out, frame, n);
	k->crc = kit_crc64(kit_crc64(k->crc, frame, hashed), page, k->page_size);
}

void kit_page(struct kit *k, uint32_t pgno, const void *page)
{
	uint8_t *f = calloc(1, LTX_FRAME_MAX);
	size_t n = 10, left = k->page_size - 15;

	be(f, pgno, 4);
	f[5] = 1;
	f[n++] = 0xf0;
	for (; left >= 255; left -= 255)
		f[n++] = 255;
	f[n++] = (uint8_t)left;
	memcpy(f + n, page, k->page_size);
	n += k->page_size;
	be(f + 6, n - 10, 4);
	kit_frame(k, f, n, 10, page);
	free(f);
}

void kit_page_frame(struct kit *k, uint32_t pgno, const void *page)
{
	uint8_t *f = calloc(1, LTX_FRAME_MAX);
	uint32_t size = k->page_size | 0x80000000u, sum = kit_xxh32(page, k->page_size);
	size_t n = 17 + k->page_size + 8;

	be(f, pgno, 4);
	memcpy(f + 6, "\x04\x22\x4d\x18\x64\x40\xa7", 7);
	memcpy(f + 13, &size, 4);
	memcpy(f + 17, page, k->page_size);
	memcpy(f + n - 4, &sum, 4);
	kit_frame(k, f, n, 6, page);
	free(f);
}

void kit_index(struct kit *k, uint64_t size_off)
{
	uint8_t b[9] = { 0 };

	kit_raw(k, b, 6, true);
	kit_raw(k, k->index.data, k->index.len, true);
	be(b + 1, k->index.len + 1 + size_off, 8);
	kit_raw(k, b, 9, true);
}

void kit_trailer(struct kit *k, uint64_t post_apply)
{
	uint8_t b[8];

	be(b, post_apply, 8);
	kit_raw(k, b, 8, true);
	be(b, k->crc | LTX_CHECKSUM_FLAG, 8);
	kit_raw(k, b, 8, false);
}

void kit_end(struct kit *k)
{
	kit_index(k, 0);
	kit_trailer(k, 0);
}

void kit_free(struct kit *k)
{
	mem_free(&k->out);
	mem_free(&k->index);
}

int kit_encode(struct mem *out, const struct ltx_header *h, const uint32_t *pgnos, int count, uint32_t seed,
               struct err *e)
{
	struct ltx_encoder *en = malloc(sizeof *en);
	uint8_t *frame = malloc(LTX_FRAME_MAX), *page = malloc(LTX_PAGE_SIZE_MAX);
	struct mem index = { .data = NULL };
	int rc = ltx_encoder_begin(en, h, mem_sink(out), mem_index(&index), frame, e);

	for (int i = 0; i < count && rc == 0; i++) {
		kit_fill(page, h->page_size, seed + pgnos[i]);
		rc = ltx_encoder_page(en, pgnos[i], page, e);
	}
	if (rc == 0)
		rc = ltx_encoder_end(en, 0, NULL, e);
	if (rc == 0)
		assert(en->offset == (int64_t)out->len);
	mem_free(&index);
	free(page);
	free(frame);
	free(en);
	return rc;
}

int kit_verify(struct mem *m, bool *complete, struct err *e)
{
	uint8_t *frame = malloc(LTX_FRAME_MAX), *page = malloc(LTX_PAGE_SIZE_MAX);
	int rc;

	m->pos = 0;
	rc = ltx_verify(mem_source(m), frame, page, NULL, NULL, complete, e);
	free(page);
	free(frame);
	return rc;
}

static int count_entry(void *ctx, const struct ltx_index_entry *entry, struct err *e)
{
	(void)entry;
	(void)e;
	++*(int *)ctx;
	return 0;
}

int kit_walk(struct mem *m, int *entries, struct err *e)
{
	*entries = 0;
	return ltx_index_walk(mem_random(m), NULL, count_entry, entries, e);
}

bool kit_load(struct mem *m, const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t buf[4096];
	size_t n;

	*m = (struct mem){ .data = NULL };
	if (!f)
		return false;
	while ((n = fread(buf, 1, sizeof buf, f)) > 0)
		mem_add(m, buf, n);
	fclose(f);
	return true;
}
