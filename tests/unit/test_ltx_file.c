/* SPDX-License-Identifier: MIT */
/* The codec on real files, and its index in a spool. */
#include "lib/ltx/file.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/ltxkit.h"

enum { PAGES = 2000, SIZE = 1024 };

static struct ltx_encoder en;
static uint8_t page[LTX_PAGE_SIZE_MAX], want[LTX_PAGE_SIZE_MAX], frame[LTX_FRAME_MAX];

static int write_pages(struct os_file *f, int64_t offset, size_t cap, size_t spool_memory, struct err *e)
{
	struct ltx_header h = kit_header(SIZE, 1, 1, PAGES);
	struct ltx_file_sink sink;
	struct os_spool spool;
	uint8_t *buf = malloc(cap);
	int rc;

	os_spool_init(&spool, "/tmp", spool_memory);
	rc = ltx_encoder_begin(&en, &h, ltx_file_sink(&sink, f, offset, buf, cap), ltx_spool_index(&spool), frame, e);
	for (uint32_t i = 1; i <= PAGES && rc == 0; i++) {
		kit_fill(page, SIZE, i);
		rc = ltx_encoder_page(&en, i, page, e);
	}
	if (rc == 0)
		rc = ltx_encoder_end(&en, 0, NULL, e);
	if (rc == 0)
		rc = ltx_file_sink_flush(&sink, e);
	if (rc == 0 && sink.offset != offset + en.offset)
		rc = err_set(e, ERR_SYSTEM, "the sink stands at another place");
	os_spool_free(&spool);
	free(buf);
	return rc;
}

static int check_pages(struct os_file *f, int64_t offset, size_t cap, struct err *e)
{
	struct ltx_file_source source;
	struct ltx_decoder d;
	uint8_t *buf = malloc(cap);
	uint32_t pgno, n = 0;
	int rc = ltx_decoder_begin(&d, ltx_file_source(&source, f, offset, buf, cap), frame, e);

	if (rc == 0) {
		while ((rc = ltx_decoder_next(&d, &pgno, page, e)) > 0) {
			kit_fill(want, SIZE, pgno);
			n += memcmp(page, want, SIZE) == 0;
		}
		if (rc == 0)
			rc = ltx_decoder_end(&d, e);
		if (rc == 0 && n != PAGES)
			rc = err_set(e, ERR_SYSTEM, "%u pages are right", n);
	}
	free(buf);
	return rc;
}

TEST(there_and_back)
{
	static const size_t caps[] = { 1000, 4096, 65536, 262144 };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < 4; i++) {
		struct os_file f = OS_FILE_NONE;
		struct os_stat st;
		int64_t offset = i == 0 ? 37 : 0;

		CHECK_OK(os_file_temp(&f, "/tmp", &e), &e);
		/* The index is some 14 KB: all in memory, or most of it in the spool's file. */
		CHECK_OK(write_pages(&f, offset, caps[i], i % 2 ? 1 << 20 : 1000, &e), &e);
		CHECK_OK(os_file_stat(&f, &st, &e), &e);
		CHECK_INT(st.size, offset + en.offset);
		CHECK_OK(check_pages(&f, offset, caps[3 - i], &e), &e);
		if (offset == 0) {
			struct ltx_random r = ltx_file_random(&f, st.size);
			for (uint32_t p = 1; p <= PAGES; p += 333) {
				CHECK_INT(ltx_page_read(r, p, page, frame, &e), 1);
				kit_fill(want, SIZE, p);
				CHECK_MEM(page, want, SIZE);
			}
		}
		os_file_close(&f);
	}
}

TEST(errors_come_through)
{
	struct os_file f = OS_FILE_NONE;
	struct err e = ERR_INIT;
	char name[] = "/tmp/test_ltx_file.XXXXXX";
	int fd = mkstemp(name);

	CHECK(fd >= 0);
	close(fd);
	CHECK_OK(os_file_open(&f, name, O_RDONLY, 0, &e), &e);
	unlink(name);
	CHECK_INT(write_pages(&f, 0, 4096, 1 << 20, &e), -1);
	CHECK(strstr(e.text, name));
	CHECK_INT(check_pages(&f, 0, 4096, &e), -1);
	CHECK_STR(e.text, "file is empty");
	CHECK_INT(ltx_page_read(ltx_file_random(&f, 500), 1, page, frame, &e), -1);
	CHECK(strstr(e.text, name));
	os_file_close(&f);
}

TEST(index_that_finds_no_room)
{
	struct ltx_header h = kit_header(512, 2, 2, 100);
	struct mem out = { .data = NULL };
	struct err e = ERR_INIT;
	struct os_spool spool;
	uint32_t i;
	int rc = 0;

	os_spool_init(&spool, NULL, 50);
	CHECK_OK(ltx_encoder_begin(&en, &h, mem_sink(&out), ltx_spool_index(&spool), frame, &e), &e);
	for (i = 1; i <= 100 && rc == 0; i++)
		rc = ltx_encoder_page(&en, i, page, &e);
	CHECK_INT(rc, -1);
	CHECK_INT(e.code, ERR_LIMIT);
	CHECK(i > 9 && i < 18);
	os_spool_free(&spool);
	mem_free(&out);
}

TEST_MAIN
