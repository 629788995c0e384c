/* SPDX-License-Identifier: MIT */
/* snapshot.c - a full copy into level 9, as a stream: nothing of it is staged here. */
#include <string.h>

#include "lib/base/log.h"
#include "lib/levels/internal.h"

static int writer_write(void *ctx, const void *bytes, size_t n, struct err *e)
{
	struct replica_writer *w = ctx;

	return w->write(w, bytes, n, e);
}

int levels_take_snapshot(struct levels *l, struct db_snapshot *s, const atomic_bool *cancel, struct err *e)
{
	struct replica_item item = {
		.level = LEVELS_SNAPSHOT,
		.min_txid = 1,
		.max_txid = db_snapshot_txid(s),
		.created_ms = db_snapshot_created_ms(s),
	};
	struct replica_writer *w = NULL;

	if (l->replica->ops->create(l->replica, &item, &w, e))
		return err_wrap(e, "snapshot");
	if (db_snapshot_write(s, (struct ltx_sink){ writer_write, w }, cancel, &item.size, e)) {
		w->abort(w);
		return err_wrap(e, "snapshot");
	}
	if (w->finish(w, &item, e)) {
		levels_doubt(l); /* it may have got there all the same */
		return err_wrap(e, "snapshot");
	}
	if (levels_note_put(l, &item, e))
		return -1;
	/* What was refused for want of it may go on. */
	levels_lock(l);
	memset(l->refused, 0, sizeof(l->refused));
	levels_unlock(l);
	log_info("snapshot complete", LS("system", "store"), LS("db", db_name(l->db)), LX("txid", item.max_txid),
	         LI("size", item.size));
	return 0;
}
