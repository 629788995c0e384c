/* SPDX-License-Identifier: MIT */
/*
 * Newer files onto a database that readers have open (follow mode). Everything is fetched and verified first, into
 * memory or a temporary file; the database is locked only while verified pages are written.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/buffered.h"
#include "lib/os/clock.h"
#include "lib/os/spool.h"
#include "lib/restore/internal.h"

enum { SPOOL_BUFFER_SIZE = 64 << 10, LOCK_LOOK_MS = 10 };

struct batch {
	struct apply *apply;
	struct os_spool spool;           /* the files, one behind the other */
	int64_t ends[APPLY_FILES_MAX];   /* where each one's bytes end */
	int count;
	uint32_t commit;
	uint8_t *frame, *page, *buffer;
};

/* ---- fetch and verify ---- */

/* Passes bytes on to the decoder and keeps a copy. */
struct tee {
	struct ltx_source source;
	struct os_spool *spool;
};

static int tee_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct tee *t = ctx;

	if (t->source.read(t->source.ctx, bytes, n, got, e) != 0)
		return -1;
	return os_spool_append(t->spool, bytes, *got, e);
}

static int fetch_file(struct batch *b, struct feed *feed, const struct replica_item *item, struct err *e)
{
	struct tee tee = { .source = feed_source(feed), .spool = &b->spool };
	struct ltx_source source = { .read = tee_read, .ctx = &tee };
	struct ltx_header h;
	bool complete;

	if (ltx_verify(source, b->frame, b->page, &h, NULL, &complete, e) != 0)
		return -1;
	if (!complete)
		return err_set(e, ERR_CORRUPT, "the snapshot does not reach page %u", h.commit);
	if (restore_check_header(&h, item, e) != 0)
		return -1;
	b->apply->other_page_size = h.page_size != b->apply->page_size;
	if (b->apply->other_page_size)
		return err_set(e, ERR_CORRUPT, "page size %u, but the database has %u", h.page_size,
		               b->apply->page_size);
	b->ends[b->count++] = os_spool_size(&b->spool);
	b->commit = h.commit;
	return 0;
}

/* How many items from `first` on make one batch: a large one goes alone. */
static int batch_size(const struct restore_plan *plan, int first)
{
	int64_t bytes = 0;
	int n = 0;

	while (first + n < plan->count && n < APPLY_FILES_MAX) {
		bytes += plan->items[first + n].size;
		if (n > 0 && bytes > APPLY_MEMORY)
			break;
		n++;
	}
	return n;
}

static int fetch_batch(struct batch *b, struct replica *r, const struct restore_plan *plan, int first, struct err *e)
{
	struct apply *a = b->apply;
	struct feed_options fo = { .parallelism = a->parallelism, .cancel = a->cancel };
	const struct replica_item *item;
	int n = batch_size(plan, first), rc = -1;
	struct err why = ERR_INIT;
	struct feed *feed = feed_create(r, plan->items + first, n, &fo, e);

	if (!feed)
		return -1;
	while (b->count < n) {
		if (feed_next(feed, &item, e) != 0)
			goto out;
		if (fetch_file(b, feed, item, &why) != 0) {
			if (why.code == ERR_CORRUPT || why.code == ERR_NOT_FOUND) {
				a->has_bad = true;
				a->bad = *item;
			}
			restore_wrap(item, &why);
			if (e)
				*e = why;
			goto out;
		}
	}
	rc = 0;
out:
	feed_free(feed);
	return rc;
}

/* ---- write ---- */

struct spool_source {
	struct os_spool *spool;
	int64_t offset, end;
};

static int spool_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct spool_source *s = ctx;

	*got = (int64_t)n < s->end - s->offset ? n : (size_t)(s->end - s->offset);
	if (os_spool_read(s->spool, bytes, *got, s->offset, e) != 0)
		return -1;
	s->offset += (int64_t)*got;
	return 0;
}

static int write_file(struct batch *b, struct pages *pages, int i, struct err *e)
{
	struct spool_source from = { .spool = &b->spool, .offset = i > 0 ? b->ends[i - 1] : 0, .end = b->ends[i] };
	struct ltx_source source = { .read = spool_read, .ctx = &from };
	struct ltx_buffered buffered;
	struct ltx_decoder d;
	uint32_t pgno;
	int rc;

	ltx_buffered_init(&buffered, source, b->buffer, SPOOL_BUFFER_SIZE);
	if (ltx_decoder_begin(&d, ltx_buffered_source(&buffered), b->frame, e) != 0)
		return -1;
	while ((rc = ltx_decoder_next(&d, &pgno, pages_slot(pages), e)) > 0) {
		if (pages_take(pages, pgno, e) != 0)
			return -1;
	}
	return rc;
}

/* The counter only has to differ from what readers remember; adding one to what they saw last does that. */
static int next_counter(struct os_file *f, uint32_t *counter, struct err *e)
{
	uint8_t bytes[4] = { 0 };
	size_t got;

	if (os_file_read(f, bytes, sizeof(bytes), 24, &got, e) != 0)
		return -1;
	*counter = ((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]) + 1;
	return 0;
}

static int write_batch(struct batch *b, struct err *e)
{
	struct apply *a = b->apply;
	struct pages pages;
	int rc = -1;

	if (pages_init(&pages, a->file, a->page_size, b->commit, e) != 0)
		return -1;
	pages.rollback_header = pages.new_counter = true;
	if (next_counter(a->file, &pages.counter, e) != 0)
		goto out;
	for (int i = b->count - 1; i >= 0; i--) {
		if (write_file(b, &pages, i, e) != 0)
			goto out;
	}
	if (pages_finish(&pages, false, e) != 0 || pages_patch_header(&pages, e) != 0 || os_file_sync(a->file, e) != 0)
		goto out;
	rc = 0;
out:
	pages_free(&pages);
	return rc;
}

/* Keeps new readers out while it waits for the present ones to leave. */
static int lock(struct apply *a, struct err *e)
{
	for (int64_t waited = 0;; waited += LOCK_LOOK_MS) {
		struct err why = ERR_INIT;

		if (os_file_lock_database(a->file, OS_DB_PENDING, &why) == 0 &&
		    os_file_lock_database(a->file, OS_DB_EXCLUSIVE, &why) == 0)
			return 0;
		if (why.code == ERR_BUSY && restore_cancelled(a->cancel))
			restore_set_cancelled(&why);
		if (why.code != ERR_BUSY || waited >= APPLY_WAIT_MS) {
			os_file_lock_database(a->file, OS_DB_UNLOCKED, NULL);
			if (e)
				*e = why;
			return -1;
		}
		os_sleep_ms(LOCK_LOOK_MS);
	}
}

int apply_batch(struct apply *a, struct replica *r, const struct restore_plan *plan, int first, struct err *e)
{
	struct batch *b = calloc(1, sizeof(*b));
	int rc = -1;

	a->applied = 0;
	a->has_bad = a->other_page_size = false;
	if (!b)
		return err_nomem(e);
	b->apply = a;
	os_spool_init(&b->spool, a->dir, APPLY_MEMORY);
	b->frame = malloc(LTX_FRAME_MAX);
	b->page = malloc(LTX_PAGE_SIZE_MAX);
	b->buffer = malloc(SPOOL_BUFFER_SIZE);
	if (!b->frame || !b->page || !b->buffer) {
		err_nomem(e);
		goto out;
	}
	if (fetch_batch(b, r, plan, first, e) != 0 || lock(a, e) != 0)
		goto out;
	rc = write_batch(b, e);
	os_file_lock_database(a->file, OS_DB_UNLOCKED, NULL);
	if (rc == 0)
		a->applied = b->count;
out:
	os_spool_free(&b->spool);
	free(b->frame);
	free(b->page);
	free(b->buffer);
	free(b);
	return rc;
}
