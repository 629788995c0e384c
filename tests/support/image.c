/* SPDX-License-Identifier: MIT */
#include "tests/support/image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc64.h"
#include "lib/ltx/file.h"

void image_free(struct image *im)
{
	free(im->bytes);
	*im = (struct image){ 0 };
}

static void resize(struct image *im, uint32_t page_size, uint32_t pages)
{
	size_t had = (size_t)im->page_size * im->pages, n = (size_t)page_size * pages;

	if (n > im->cap) {
		im->cap = n * 2;
		im->bytes = realloc(im->bytes, im->cap);
		if (!im->bytes)
			abort();
	}
	/* A page that no file brings must not look right by chance. */
	if (n > had)
		memset(im->bytes + had, 0xee, n - had);
	im->page_size = page_size;
	im->pages = pages;
}

int image_apply(struct image *im, const char *path, uint64_t txid, bool *copy, int64_t *timestamp_ms, struct err *e)
{
	static uint8_t frame[LTX_FRAME_MAX], page[LTX_PAGE_SIZE_MAX], buffer[64 << 10];
	struct os_file f = OS_FILE_NONE;
	struct ltx_file_source source;
	struct ltx_decoder d;
	uint32_t pgno;
	int rc = -1, more;

	if (os_file_open(&f, path, O_RDONLY, 0, e) ||
	    ltx_decoder_begin(&d, ltx_file_source(&source, &f, 0, buffer, sizeof(buffer)), frame, e))
		goto out;
	if (d.header.min_txid != txid || d.header.max_txid != txid) {
		err_set(e, ERR_CORRUPT, "%s holds other TXIDs", path);
		goto out;
	}
	*timestamp_ms = d.header.timestamp_ms;
	if (im->page_size != d.header.page_size)
		resize(im, d.header.page_size, 0);
	resize(im, d.header.page_size, d.header.commit);
	while ((more = ltx_decoder_next(&d, &pgno, page, e)) > 0)
		memcpy(im->bytes + (size_t)(pgno - 1) * im->page_size, page, im->page_size);
	if (more || ltx_decoder_end(&d, e))
		goto out;
	*copy = d.page_count == d.header.commit;
	rc = 0;
out:
	os_file_close(&f);
	return rc;
}

int image_save(const struct image *im, const char *path, uint64_t txid, int64_t timestamp_ms, struct err *e)
{
	static uint8_t frame[LTX_FRAME_MAX], buffer[64 << 10];
	static struct ltx_encoder en;
	struct ltx_header h = {
		.flags = LTX_FLAG_NO_CHECKSUM,
		.page_size = im->page_size,
		.commit = im->pages,
		.min_txid = 1,
		.max_txid = txid,
		.timestamp_ms = timestamp_ms,
	};
	struct os_file f = OS_FILE_NONE;
	struct ltx_file_sink sink;
	struct os_spool index;
	int rc = -1;

	os_spool_init(&index, NULL, 1 << 20);
	if (os_file_open(&f, path, O_RDWR | O_CREAT | O_TRUNC, 0600, e) ||
	    ltx_encoder_begin(&en, &h, ltx_file_sink(&sink, &f, 0, buffer, sizeof(buffer)), ltx_spool_index(&index), frame, e))
		goto out;
	for (uint32_t i = 0; i < im->pages; i++) {
		if (ltx_encoder_page(&en, i + 1, im->bytes + (size_t)i * im->page_size, e))
			goto out;
	}
	rc = ltx_encoder_end(&en, 0, NULL, e) || ltx_file_sink_flush(&sink, e) ? -1 : 0;
out:
	os_spool_free(&index);
	os_file_close(&f);
	return rc;
}

int image_load(struct image *im, const char *path, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	struct os_stat st;
	uint8_t header[20];
	uint32_t page_size;
	int rc = -1;

	if (os_file_open(&f, path, O_RDONLY, 0, e) || os_file_stat(&f, &st, e) || os_file_read_exact(&f, header, 20, 0, e))
		goto out;
	page_size = (uint32_t)header[16] << 8 | header[17];
	if (page_size == 1)
		page_size = 65536;
	resize(im, page_size, (uint32_t)(st.size / page_size));
	rc = os_file_read_exact(&f, im->bytes, (size_t)im->pages * page_size, 0, e);
out:
	os_file_close(&f);
	return rc;
}

/* Bytes of page 1 that do not count: the versions of the journal mode, the change counter and what follows from it. */
uint64_t image_hash(const uint8_t *bytes, int64_t size)
{
	uint8_t head[100];
	uint64_t crc;

	if (size < 100)
		return 0;
	memcpy(head, bytes, sizeof(head));
	memset(head + 18, 0, 2);
	memset(head + 24, 0, 4);
	memset(head + 92, 0, 8);
	crc = crc64(0, head, sizeof(head));
	return crc64(crc, bytes + sizeof(head), (size_t)size - sizeof(head));
}
