/* SPDX-License-Identifier: MIT */
/*
 * diagnose.c - a merge has failed on what its inputs hold: on which?
 *
 * A damaged file would stop its level for ever, and level 0 would pile up under it. It is treated like one that is
 * missing: what comes before it is merged; a snapshot has to cover it; then what comes behind it. Files of another page
 * size (the database was made anew) cannot be merged with those before: they begin a file of their own.
 */
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/levels/internal.h"
#include "lib/ltx/buffered.h"

enum { BUFFER_SIZE = 64 << 10 };

bool levels_is_bad(const struct levels *l, const struct replica_item *item)
{
	for (int i = 0; i < l->bad.count; i++) {
		if (!replica_item_compare(&l->bad.items[i], item))
			return true;
	}
	return false;
}

static int reader_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct replica_reader *r = ctx;

	return r->read(r, bytes, n, got, e);
}

/* Reads an object of the replica to its verified end. */
static int verify(struct levels *l, const struct replica_item *item, const atomic_bool *cancel, struct ltx_header *h,
                  struct err *e)
{
	uint8_t *work = malloc(BUFFER_SIZE + LTX_FRAME_MAX + LTX_PAGE_SIZE_MAX);
	struct replica_reader *reader = NULL;
	struct ltx_buffered buffered;
	int rc = -1;

	if (!work)
		return err_nomem(e);
	if (!replica_open_resumable(l->replica, item, cancel, &reader, e)) {
		ltx_buffered_init(&buffered, (struct ltx_source){ reader_read, reader }, work, BUFFER_SIZE);
		rc = ltx_verify(ltx_buffered_source(&buffered), work + BUFFER_SIZE, work + BUFFER_SIZE + LTX_FRAME_MAX,
		                h, NULL, NULL, e);
		reader->close(reader);
	}
	free(work);
	if (!rc && (h->min_txid != item->min_txid || h->max_txid != item->max_txid))
		rc = err_set(e, ERR_CORRUPT, "it holds other TXIDs than its name says");
	return rc;
}

static bool mark_bad(struct levels *l, const struct replica_item *item, const struct err *why)
{
	char name[REPLICA_NAME_SIZE];
	bool room;

	log_error("damaged file in the replica, a snapshot will take its place", LS("system", "store"),
	          LS("db", db_name(l->db)), LS("replica", replica_type(l->replica)),
	          LS("file", replica_item_name(name, item)), LS("error", why->text));
	levels_lock(l);
	room = l->bad.count < LEVELS_BAD_MAX && !replica_list_add(&l->bad, item, NULL);
	levels_unlock(l);
	return room;
}

int levels_diagnose(struct levels *l, const struct replica_item *inputs, int count, const atomic_bool *cancel)
{
	uint32_t page_size = 0;

	for (int i = 0; i < count; i++) {
		struct err why = ERR_INIT;
		struct ltx_header h;

		if (verify(l, &inputs[i], cancel, &h, &why)) {
			return err_is(&why, ERR_CORRUPT) && mark_bad(l, &inputs[i], &why) ? i : count;
		}
		if (page_size && h.page_size != page_size)
			return i;
		page_size = h.page_size;
	}
	return count;
}
