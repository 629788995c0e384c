/* SPDX-License-Identifier: MIT */
/* The frames of v0.3 backups: xxh32, frames of all kinds, and damage at any byte. */
#include "lib/restore/v3_frame.h"
#include "tests/check.h"
#include "tests/support/lz4_frames.h"

static struct err err;

TEST(xxh32_vectors)
{
	static const char text[] = "Nobody inspects the spammish repetition";
	struct xxh32 x;

	CHECK_INT(xxh32((const uint8_t *)"", 0), 0x02cc5d05);
	CHECK_INT(xxh32((const uint8_t *)"abc", 3), 0x32d153ff);
	CHECK_INT(xxh32((const uint8_t *)text, sizeof(text) - 1), 0xe2293b2f);
	for (size_t a = 0; a < sizeof(text); a++) {
		for (size_t b = a; b < sizeof(text); b++) {
			xxh32_begin(&x);
			xxh32_add(&x, (const uint8_t *)text, a);
			xxh32_add(&x, (const uint8_t *)text + a, b - a);
			xxh32_add(&x, (const uint8_t *)text + b, sizeof(text) - 1 - b);
			CHECK_INT(xxh32_end(&x), 0xe2293b2f);
		}
	}
}

struct memory {
	struct replica_reader reader;
	const uint8_t *bytes;
	size_t size, at;
};

static int read_memory(struct replica_reader *reader, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct memory *m = (struct memory *)reader;

	(void)e;
	*got = m->size - m->at < n ? m->size - m->at : n;
	memcpy(bytes, m->bytes + m->at, *got);
	m->at += *got;
	return 0;
}

static int unpack(const uint8_t *bytes, size_t n, struct buf *out)
{
	struct memory m = { .reader.read = read_memory, .bytes = bytes, .size = n };
	struct v3_frame f;
	const uint8_t *part;
	size_t len;
	int rc;

	buf_reset(out);
	err_clear(&err);
	v3_frame_begin(&f, &m.reader);
	while ((rc = v3_frame_next(&f, &part, &len, &err)) > 0)
		buf_append(out, part, len);
	v3_frame_end(&f);
	return rc;
}

static void some_text(char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i * i / 7 % 5 + (i % 1000 < 300 ? i * 31 % 17 : 0));
}

TEST(frames_of_all_kinds)
{
	static char text[200000];
	struct buf frame = { .data = NULL }, out = { .data = NULL };

	some_text(text, sizeof(text));
	for (unsigned flags = 0; flags < 16; flags++) {
		for (size_t n = 0; n <= sizeof(text); n = n * 7 + 1) {
			buf_reset(&frame);
			lz4_add_frame(&frame, text, n, n % 2 ? 65536 : 1000, flags);
			CHECK_OK(unpack(frame.data, frame.len, &out), &err);
			CHECK_INT(out.len, n);
			CHECK(n == 0 || !memcmp(out.data, text, n));
		}
	}
	buf_free(&frame);
	buf_free(&out);
}

TEST(frames_damaged_anywhere)
{
	static char text[3000];
	struct buf frame = { .data = NULL }, out = { .data = NULL };

	some_text(text, sizeof(text));
	for (unsigned flags = 0; flags < 8; flags++) {
		buf_reset(&frame);
		lz4_add_frame(&frame, text, sizeof(text), 700, flags);
		for (size_t i = 0; i < frame.len; i++) {
			CHECK_INT(unpack(frame.data, i, &out), -1);
			CHECK_INT(err.code, ERR_CORRUPT);
			for (int bit = 0; bit < 8; bit++) {
				frame.data[i] ^= (uint8_t)(1 << bit);
				/* A match may be taken from elsewhere with the same result. */
				if (unpack(frame.data, frame.len, &out))
					CHECK_INT(err.code, ERR_CORRUPT);
				else
					CHECK(!(flags & F_BLOCK_SUMS) && out.len == sizeof(text) &&
					      !memcmp(out.data, text, out.len));
				frame.data[i] ^= (uint8_t)(1 << bit);
			}
		}
		buf_char(&frame, 'x');
		CHECK_INT(unpack(frame.data, frame.len, &out), -1);
		CHECK(strstr(err.text, "bytes behind the end"));
	}
	buf_free(&frame);
	buf_free(&out);
}

TEST_MAIN
