/* SPDX-License-Identifier: MIT */
/* Executes a plan: newest file first into OUTPUT.tmp, every file verified to its end, then the name. */
#include "lib/restore/restore.h"

#include <stdlib.h>

#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/restore/internal.h"

enum {
	PARALLELISM_DEFAULT = 8,
	REPORT_INTERVAL_US = 100000,
	STORED_PAGE_MIN = 11, /* no page takes fewer bytes in a file: frame header, one byte of data, index entry */
};

struct run {
	struct replica *replica;
	const struct restore_plan *plan;
	const struct restore_options *options;
	struct restore_result *result;
	struct feed *feed;
	struct pages pages;
	bool pages_ready;
	uint8_t *frame; /* LTX_FRAME_MAX bytes */
	struct output output;
	int64_t total_bytes, reported_us;
};

bool restore_cancelled(const atomic_bool *cancel)
{
	return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

int restore_set_cancelled(struct err *e)
{
	return err_set(e, ERR_CANCELLED, "restore cancelled");
}

int restore_wrap(const struct replica_item *item, struct err *e)
{
	char name[REPLICA_NAME_SIZE];

	if (e && e->code == ERR_CORRUPT)
		err_wrap(e, "decode database: %s", replica_item_name(name, item));
	return -1;
}

int restore_check_header(const struct ltx_header *h, const struct replica_item *item, struct err *e)
{
	char min[TEXT_TXID_SIZE], max[TEXT_TXID_SIZE];

	if (h->min_txid == item->min_txid && h->max_txid == item->max_txid)
		return 0;
	return err_set(e, ERR_CORRUPT, "the header says transactions %s to %s", text_txid(min, h->min_txid),
	               text_txid(max, h->max_txid));
}

/* ---- before ---- */

/* What restore_plan_calc promises, and sizes that can be files at all. */
static int check_plan(struct run *r, struct err *e)
{
	char min[TEXT_TXID_SIZE], max[TEXT_TXID_SIZE];
	uint64_t reached = 0;

	if (r->plan->count == 0)
		return err_set(e, ERR_UNAVAILABLE, "no matching backup files available");
	for (int i = 0; i < r->plan->count; i++) {
		const struct replica_item *item = &r->plan->items[i];

		if (item->size < LTX_HEADER_SIZE) {
			r->result->has_bad = true;
			r->result->bad = *item;
			return err_set(e, ERR_CORRUPT, "invalid ltx file: level=%d min=%s max=%s has size %lld bytes "
			               "(minimum %d)", item->level, text_txid(min, item->min_txid),
			               text_txid(max, item->max_txid), (long long)item->size, LTX_HEADER_SIZE);
		}
		if (item->min_txid == 0 || item->min_txid - 1 > reached || item->max_txid <= reached) {
			return err_set(e, ERR_INVALID, "the plan has a hole before transaction %s",
			               text_txid(min, item->min_txid));
		}
		reached = item->max_txid;
		r->total_bytes += item->size;
	}
	return 0;
}

static int prepare(struct run *r, struct err *e)
{
	if (check_plan(r, e) != 0)
		return -1;
	r->frame = malloc(LTX_FRAME_MAX);
	if (!r->frame)
		return err_nomem(e);
	return output_begin(&r->output, e);
}

/* ---- the files ---- */

static void report(struct run *r, bool always)
{
	const struct restore_progress *p = &r->options->progress;
	int64_t now;

	if (!p->report)
		return;
	now = os_mono_us();
	if (always || now - r->reported_us >= REPORT_INTERVAL_US) {
		r->reported_us = now;
		p->report(p->ctx, feed_bytes(r->feed), r->total_bytes);
	}
}

/* The newest file says how large the database is. */
static int begin_pages(struct run *r, const struct ltx_header *h, struct err *e)
{
	if (h->commit > r->total_bytes / STORED_PAGE_MIN + 1) {
		return err_set(e, ERR_CORRUPT, "the header says %u pages, more than all planned files can hold",
		               h->commit);
	}
	if (pages_init(&r->pages, &r->output.file, h->page_size, h->commit, e) != 0)
		return -1;
	r->pages.rollback_header = r->options->rollback_header;
	r->pages_ready = true;
	r->result->page_size = h->page_size;
	r->result->pages = h->commit;
	return 0;
}

/*
 * A file from before the page size was changed. The full copy that came with the change is newer and has every page, so
 * this file has nothing to add; it only must be sound.
 */
static int check_old_file(struct ltx_decoder *d, struct err *e)
{
	uint8_t *page = malloc(LTX_PAGE_SIZE_MAX);
	uint32_t pgno;
	int rc = 1;

	if (!page)
		return err_nomem(e);
	while (rc > 0)
		rc = ltx_decoder_next(d, &pgno, page, e);
	free(page);
	return rc < 0 ? -1 : ltx_decoder_end(d, e);
}

static int apply_file(struct run *r, const struct replica_item *item, struct err *e)
{
	struct ltx_decoder d;
	uint32_t pgno;
	int rc;

	if (ltx_decoder_begin(&d, feed_source(r->feed), r->frame, e) != 0 ||
	    restore_check_header(&d.header, item, e) != 0)
		return -1;
	if (!r->pages_ready && begin_pages(r, &d.header, e) != 0)
		return -1;
	if (d.header.page_size != r->pages.page_size && pages_complete(&r->pages))
		return check_old_file(&d, e);
	if (d.header.page_size != r->pages.page_size) {
		return err_set(e, ERR_CORRUPT, "page size %u, but %u in the files after it", d.header.page_size,
		               r->pages.page_size);
	}
	while ((rc = ltx_decoder_next(&d, &pgno, pages_slot(&r->pages), e)) > 0) {
		if (pages_take(&r->pages, pgno, e) != 0)
			return -1;
		if (pgno % 256 == 0)
			report(r, false);
	}
	return rc < 0 ? -1 : ltx_decoder_end(&d, e);
}

static int apply_files(struct run *r, struct err *e)
{
	struct feed_options fo = {
		.parallelism = r->options->parallelism,
		.backwards = true,
		.cancel = r->options->cancel,
	};
	const struct replica_item *item;
	struct err why = ERR_INIT;
	bool complete;

	if (fo.parallelism < 1)
		fo.parallelism = PARALLELISM_DEFAULT;
	r->feed = feed_create(r->replica, r->plan->items, r->plan->count, &fo, e);
	if (!r->feed)
		return -1;
	for (int i = 0; i < r->plan->count; i++) {
		if (feed_next(r->feed, &item, e) != 0)
			return -1;
		complete = r->pages_ready && pages_complete(&r->pages);
		if (apply_file(r, item, &why) != 0) {
			restore_wrap(item, &why);
			if (complete && why.code == ERR_CORRUPT) {
				/* It had nothing to add; that it is damaged is worth a word, not a lost restore. */
				if (r->options->warn)
					r->options->warn(r->options->warn_ctx, "restore does not need a damaged file",
					                 &why);
				err_clear(&why);
				continue;
			}
			if (why.code == ERR_CORRUPT || why.code == ERR_NOT_FOUND) {
				r->result->has_bad = true;
				r->result->bad = *item;
			}
			if (e)
				*e = why;
			return -1;
		}
		r->result->bytes_read = feed_bytes(r->feed);
		report(r, false);
	}
	report(r, true);
	if (pages_finish(&r->pages, true, e) == 0)
		return 0;
	return e && e->code == ERR_CORRUPT ? err_wrap(e, "decode database") : -1;
}

int restore_run_with(struct replica *replica, const struct restore_plan *plan, const struct restore_options *o,
                     int (*commit)(void *ctx, uint64_t txid, struct err *e), void *ctx, struct restore_result *result,
                     struct err *e)
{
	struct run r = { .replica = replica, .plan = plan, .options = o, .result = result, .output = OUTPUT_OF(o) };
	int rc = -1;

	*result = (struct restore_result){ .txid = plan->max_txid };
	if (prepare(&r, e) == 0 && apply_files(&r, e) == 0 &&
	    output_finish(&r.output, commit, ctx, plan->max_txid, e) == 0)
		rc = 0;
	feed_free(r.feed);
	pages_free(&r.pages);
	output_end(&r.output);
	free(r.frame);
	return rc;
}

int restore_run(struct replica *r, const struct restore_plan *plan, const struct restore_options *o,
                struct restore_result *result, struct err *e)
{
	return restore_run_with(r, plan, o, NULL, NULL, result, e);
}
