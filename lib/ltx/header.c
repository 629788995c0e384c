/* SPDX-License-Identifier: MIT */
/*
 * header.c - small facts, names, the header and the trailer, and which page may follow which.
 */
#include "lib/ltx/internal.h"

#include "lib/base/text.h"

static const uint8_t magic[4] = "LTX1";

bool ltx_page_size_valid(uint32_t page_size)
{
	return page_size >= LTX_PAGE_SIZE_MIN && page_size <= LTX_PAGE_SIZE_MAX && (page_size & (page_size - 1)) == 0;
}

uint32_t ltx_lock_pgno(uint32_t page_size)
{
	return 0x40000000u / page_size + 1;
}

uint32_t ltx_block_bound(uint32_t page_size)
{
	return page_size + page_size / 255 + 16;
}

uint64_t ltx_page_checksum(uint32_t pgno, const uint8_t *page, uint32_t page_size)
{
	uint8_t number[4];

	ltx_put32(number, pgno);
	return LTX_CHECKSUM_FLAG | crc64(crc64(0, number, sizeof number), page, page_size);
}

char *ltx_name(char out[LTX_NAME_SIZE], uint64_t min_txid, uint64_t max_txid)
{
	text_txid(out, min_txid);
	out[16] = '-';
	text_txid(out + 17, max_txid);
	memcpy(out + 33, ".ltx", 5);
	return out;
}

static bool hex16(const char *s, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < 16; i++) {
		char c = s[i];
		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	return true;
}

bool ltx_name_parse(const char *name, uint64_t *min_txid, uint64_t *max_txid)
{
	uint64_t min, max;

	if (strlen(name) != LTX_NAME_SIZE - 1 || !hex16(name, &min) || name[16] != '-' || !hex16(name + 17, &max) ||
	    strcmp(name + 33, ".ltx") != 0 || min == 0 || min > max)
		return false;
	*min_txid = min;
	*max_txid = max;
	return true;
}

int ltx_header_check(const struct ltx_header *h, struct err *e)
{
	if (h->flags & ~(uint32_t)LTX_FLAG_NO_CHECKSUM)
		return CORRUPT(e, "header has unknown flags 0x%08x", h->flags);
	if (!ltx_page_size_valid(h->page_size))
		return CORRUPT(e, "header has page size %u, which is not a power of two from 512 to 65536",
		               h->page_size);
	if (h->min_txid == 0)
		return CORRUPT(e, "header has minimum TXID 0");
	if (h->min_txid > h->max_txid)
		return CORRUPT(e, "header has minimum TXID %016" PRIx64 " above maximum TXID %016" PRIx64, h->min_txid,
		               h->max_txid);
	if (h->wal_offset < 0 || h->wal_size < 0)
		return CORRUPT(e, "header has negative WAL offset or size");
	if (h->wal_offset == 0 && (h->wal_salt1 || h->wal_salt2))
		return CORRUPT(e, "header has WAL salts without WAL offset");
	if (h->wal_offset == 0 && h->wal_size != 0)
		return CORRUPT(e, "header has WAL size without WAL offset");
	if (ltx_is_snapshot(h) || !ltx_has_checksums(h)) {
		if (h->pre_apply != 0)
			return CORRUPT(e, "header has a pre-apply checksum, which a %s cannot have",
			               ltx_is_snapshot(h) ? "snapshot" : "file without database checksums");
	} else if (!(h->pre_apply & LTX_CHECKSUM_FLAG)) {
		return CORRUPT(e, "header lacks the pre-apply checksum");
	}
	return 0;
}

int ltx_header_encode(const struct ltx_header *h, uint8_t out[LTX_HEADER_SIZE], struct err *e)
{
	if (ltx_header_check(h, e))
		return -1;
	memset(out, 0, LTX_HEADER_SIZE);
	memcpy(out, magic, sizeof magic);
	ltx_put32(out + 4, h->flags);
	ltx_put32(out + 8, h->page_size);
	ltx_put32(out + 12, h->commit);
	ltx_put64(out + 16, h->min_txid);
	ltx_put64(out + 24, h->max_txid);
	ltx_put64(out + 32, (uint64_t)h->timestamp_ms);
	ltx_put64(out + 40, h->pre_apply);
	ltx_put64(out + 48, (uint64_t)h->wal_offset);
	ltx_put64(out + 56, (uint64_t)h->wal_size);
	ltx_put32(out + 64, h->wal_salt1);
	ltx_put32(out + 68, h->wal_salt2);
	ltx_put64(out + 72, h->node_id);
	return 0;
}

int ltx_header_decode(const uint8_t in[LTX_HEADER_SIZE], struct ltx_header *h, struct err *e)
{
	if (memcmp(in, magic, sizeof magic) != 0)
		return CORRUPT(e, "not an LTX file: it starts with %08x instead of 4c545831", ltx_get32(in));
	*h = (struct ltx_header){
		.flags = ltx_get32(in + 4),
		.page_size = ltx_get32(in + 8),
		.commit = ltx_get32(in + 12),
		.min_txid = ltx_get64(in + 16),
		.max_txid = ltx_get64(in + 24),
		.timestamp_ms = (int64_t)ltx_get64(in + 32),
		.pre_apply = ltx_get64(in + 40),
		.wal_offset = (int64_t)ltx_get64(in + 48),
		.wal_size = (int64_t)ltx_get64(in + 56),
		.wal_salt1 = ltx_get32(in + 64),
		.wal_salt2 = ltx_get32(in + 68),
		.node_id = ltx_get64(in + 72),
	};
	return ltx_header_check(h, e);
}

int ltx_trailer_check(const struct ltx_header *h, const struct ltx_trailer *t, struct err *e)
{
	if (!(t->checksum & LTX_CHECKSUM_FLAG))
		return CORRUPT(e, "file checksum %016" PRIx64 " lacks its highest bit", t->checksum);
	if (!ltx_has_checksums(h)) {
		if (t->post_apply != 0)
			return CORRUPT(e,
			               "post-apply checksum is %016" PRIx64 ", but the file has no database checksums",
			               t->post_apply);
	} else if (!(t->post_apply & LTX_CHECKSUM_FLAG)) {
		return CORRUPT(e, "post-apply checksum %016" PRIx64 " lacks its highest bit", t->post_apply);
	} else if (h->commit == 0 && t->post_apply != LTX_CHECKSUM_FLAG) {
		return CORRUPT(e, "post-apply checksum %016" PRIx64 " is not that of an empty database", t->post_apply);
	}
	return 0;
}

uint32_t ltx_next_pgno(const struct ltx_header *h, uint32_t pgno)
{
	return pgno + (pgno + 1 == ltx_lock_pgno(h->page_size) ? 2 : 1);
}

bool ltx_is_complete(const struct ltx_header *h, uint32_t last)
{
	/* The lock page may be the database's last; no file ends with it. */
	return !ltx_is_snapshot(h) || last == h->commit ||
	       (h->commit == ltx_lock_pgno(h->page_size) && last == h->commit - 1);
}

int ltx_order_check(const struct ltx_header *h, uint32_t last, uint32_t pgno, struct err *e)
{
	if (pgno <= last)
		return CORRUPT(e, "page %u follows page %u", pgno, last);
	if (pgno > h->commit)
		return CORRUPT(e, "page %u is beyond the database's %u pages", pgno, h->commit);
	if (pgno == ltx_lock_pgno(h->page_size))
		return CORRUPT(e, "page %u is the lock page, which is never stored", pgno);
	if (ltx_is_snapshot(h) && pgno != ltx_next_pgno(h, last))
		return CORRUPT(e, "the snapshot lacks page %u", ltx_next_pgno(h, last));
	return 0;
}
