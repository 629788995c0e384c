/* SPDX-License-Identifier: MIT */
#include "tests/support/shot.h"

#include <stdio.h>
#include <stdlib.h>

int shot_write(void *ctx, const void *bytes, size_t n, struct err *e)
{
	struct shot *s = ctx;

	if (++s->pieces == s->fail_at)
		return err_set(e, ERR_FULL, "no room");
	mem_add(&s->out, bytes, n);
	if (s->disturb)
		s->disturb(s);
	return 0;
}

bool shot_decode(struct shot *s, struct image *im, struct ltx_header *h)
{
	static uint8_t frame[LTX_FRAME_MAX], page[LTX_PAGE_SIZE_MAX];
	struct ltx_decoder d;
	uint32_t pgno;
	int more;

	s->out.pos = 0;
	if (ltx_decoder_begin(&d, mem_source(&s->out), frame, &s->e))
		return false;
	*h = d.header;
	im->page_size = d.header.page_size;
	im->pages = d.header.commit;
	im->bytes = calloc(im->pages, im->page_size);
	while ((more = ltx_decoder_next(&d, &pgno, page, &s->e)) > 0)
		memcpy(im->bytes + (size_t)(pgno - 1) * im->page_size, page, im->page_size);
	return !more && !ltx_decoder_end(&d, &s->e) && d.page_count == d.header.commit;
}

struct db_snapshot *shot_begin(struct shot *s, struct rig *g)
{
	struct db_snapshot *snapshot = NULL;
	size_t n;

	*s = (struct shot){ .g = g };
	if (db_snapshot_begin(g->db, &snapshot, &s->e) || !rig_true(g)) {
		printf("begin: %s\n", s->e.text);
		db_snapshot_end(snapshot);
		return NULL;
	}
	n = (size_t)g->chain.page_size * g->chain.pages;
	s->want = g->chain;
	s->want.bytes = malloc(n);
	memcpy(s->want.bytes, g->chain.bytes, n);
	s->txid = db_txid(g->db);
	return snapshot;
}

void shot_forget(struct shot *s)
{
	mem_free(&s->out);
	free(s->want.bytes);
	s->want.bytes = NULL;
}

bool shot_finish(struct shot *s, struct db_snapshot *snapshot)
{
	struct image im = { 0 };
	struct ltx_header h;
	int64_t size = 0;
	bool ok = false;
	int rc = db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, s }, &s->cancel, &size, &s->e);

	if (rc)
		printf("write: %s\n", s->e.text);
	else if (size != (int64_t)s->out.len || !shot_decode(s, &im, &h))
		printf("decode: %s\n", s->e.text);
	else if (h.min_txid != 1 || h.max_txid != s->txid || db_snapshot_txid(snapshot) != s->txid ||
	         h.timestamp_ms != db_snapshot_created_ms(snapshot) || db_snapshot_pages(snapshot) != h.commit)
		printf("header\n");
	else if (im.pages != s->want.pages || im.page_size != s->want.page_size)
		printf("%u pages instead of %u\n", im.pages, s->want.pages);
	else if (memcmp(im.bytes, s->want.bytes, (size_t)im.pages * im.page_size))
		printf("other pages\n");
	else
		ok = true;
	free(im.bytes);
	shot_forget(s);
	db_snapshot_end(snapshot);
	return ok;
}

bool shot_start(struct rig *g, const char *name)
{
	return !rig_init(g, name) && !rig_fill(g, 3000, 700) && !rig_checkpoint(g, SQLITE_CHECKPOINT_TRUNCATE) &&
	       !rig_start(g) && rig_good(g) && !rig_sql(g, "UPDATE t SET b=randomblob(650) WHERE id%%7=0") && rig_good(g);
}

void shot_writes(struct shot *s)
{
	rig_sql(s->g, "UPDATE t SET b=randomblob(600) WHERE id%%50=%d", s->pieces % 50);
}

void shot_writes_and_syncs(struct shot *s)
{
	shot_writes(s);
	rig_sync(s->g);
}

void shot_checkpoints(struct shot *s, int mode)
{
	int frames, done;

	shot_writes_and_syncs(s);
	sqlite3_wal_checkpoint_v2(s->g->app, "main", mode, &frames, &done);
}

void shot_passive(struct shot *s)
{
	shot_checkpoints(s, SQLITE_CHECKPOINT_PASSIVE);
}
