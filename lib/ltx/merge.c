/* SPDX-License-Identifier: MIT */
/*
 * merge.c - many LTX files into one.
 */
#include "lib/ltx/internal.h"

/* Says which input an error is about. */
static int blame(const struct ltx_merge_input *in, struct err *e)
{
	char name[LTX_NAME_SIZE];

	return err_wrap(e, "%s", ltx_name(name, in->decoder.header.min_txid, in->decoder.header.max_txid));
}

/* The next page of an input, or its verified end. */
static int advance(struct ltx_merge_input *in, struct err *e)
{
	int rc = ltx_decoder_next(&in->decoder, &in->pgno, in->page, e);

	if (rc == 0)
		rc = ltx_decoder_end(&in->decoder, e); /* pgno is 0 now */
	return rc < 0 ? blame(in, e) : 0;
}

/* May a file with this header come behind prev? It may overlap it, but must go on where it ends. */
static int check_pair(const struct ltx_header *prev, const struct ltx_header *h, struct err *e)
{
	if (h->page_size != prev->page_size)
		return CORRUPT(e, "page size is %u, that of the file before is %u", h->page_size, prev->page_size);
	if (h->min_txid - 1 > prev->max_txid)
		return err_set(e, ERR_GAP, "TXIDs from %016" PRIx64 " to %016" PRIx64 " are missing before it",
		               prev->max_txid + 1, h->min_txid - 1);
	if (h->max_txid <= prev->max_txid)
		return CORRUPT(e, "it does not go beyond TXID %016" PRIx64 " of the file before", prev->max_txid);
	return 0;
}

static int begin_inputs(struct ltx_merge_input *inputs, int count, struct err *e)
{
	for (int i = 0; i < count; i++) {
		struct ltx_merge_input *in = &inputs[i];
		if (ltx_decoder_begin(&in->decoder, in->source, in->frame, e))
			return err_wrap(e, "input %d of %d", i + 1, count);
		if (i > 0 && check_pair(&inputs[i - 1].decoder.header, &in->decoder.header, e))
			return blame(in, e);
	}
	for (int i = 0; i < count; i++)
		if (advance(&inputs[i], e))
			return -1;
	return 0;
}

/* Of the inputs at the smallest page number, the last; NULL at the end of all. */
static struct ltx_merge_input *newest(struct ltx_merge_input *inputs, int count)
{
	struct ltx_merge_input *best = NULL;

	for (int i = 0; i < count; i++)
		if (inputs[i].pgno != 0 && (!best || inputs[i].pgno <= best->pgno))
			best = &inputs[i];
	return best;
}

/*
 * The file checksum does not cover compressed bytes, and LZ4 takes two things that Litestream's LZ4 refuses: matches
 * at distance 0 (which make zeros) and a last token that announces a match. A damaged block that still unpacks to the
 * right page must not be passed on. What unpacked once cannot lead this walk beyond its end.
 */
static bool may_be_copied(const uint8_t *block, uint32_t n)
{
	const uint8_t *p = block, *end = block + n;

	for (;;) {
		uint8_t token = *p++;
		size_t literals = token >> 4;
		if (literals == 15)
			do
				literals += *p;
			while (*p++ == 255);
		p += literals;
		if (p >= end)
			return p == end && (token & 15) == 0;
		if (p[0] == 0 && p[1] == 0)
			return false;
		p += 2;
		if ((token & 15) == 15)
			while (*p++ == 255)
				;
	}
}

static int write_page(struct ltx_encoder *out, const struct ltx_merge_input *in, struct err *e)
{
	const struct ltx_decoder *d = &in->decoder;

	/* Only the last commit counts: a page that was cut off in between and never written again comes back, as it
	 * does in Litestream, whose files for a growing database therefore hold all pages that are new. */
	if (in->pgno > out->header.commit)
		return 0;
	if (d->block_size == 0 || !may_be_copied(d->block, d->block_size))
		return ltx_encoder_page(out, in->pgno, in->page, e);
	return ltx_encoder_block(out, in->pgno, in->page, d->block, d->block_size, e);
}

int ltx_merge(struct ltx_merge_input *inputs, int count, struct ltx_encoder *out, struct ltx_sink sink,
              struct ltx_index_store index, uint8_t frame[LTX_FRAME_MAX], struct ltx_trailer *trailer, struct err *e)
{
	const struct ltx_header *first, *last;
	struct ltx_merge_input *in;
	struct ltx_header h;

	assert(count > 0);
	if (begin_inputs(inputs, count, e))
		return -1;
	first = &inputs[0].decoder.header;
	last = &inputs[count - 1].decoder.header;
	h = (struct ltx_header){
		.flags = LTX_FLAG_NO_CHECKSUM,
		.page_size = first->page_size,
		.commit = last->commit,
		.min_txid = first->min_txid,
		.max_txid = last->max_txid,
		.timestamp_ms = last->timestamp_ms,
	};
	if (ltx_encoder_begin(out, &h, sink, index, frame, e))
		return -1;
	while ((in = newest(inputs, count)) != NULL) {
		uint32_t pgno = in->pgno;
		if (write_page(out, in, e))
			return -1;
		for (int i = 0; i < count; i++)
			if (inputs[i].pgno == pgno && advance(&inputs[i], e))
				return -1;
	}
	return ltx_encoder_end(out, 0, trailer, e);
}
