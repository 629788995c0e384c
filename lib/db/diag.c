/* SPDX-License-Identifier: MIT */
#include "lib/db/diag.h"

#include <stdlib.h>
#include <string.h>

#include "lib/db/internal.h"
#include "lib/os/clock.h"

const char *db_checkpoint_mode_name(enum db_checkpoint_mode mode)
{
	return mode == DB_MODE_TRUNCATE ? "TRUNCATE" : "PASSIVE";
}

void db_diag_init(struct db *d)
{
	pthread_mutex_init(&d->diag.lock, NULL); /* cannot fail on Linux */
}

void db_diag_free(struct db *d)
{
	pthread_mutex_destroy(&d->diag.lock);
	free(d->diag.error);
}

/* ---- the engine's side ---- */

static void touch(struct db_diag_state *s, const char *phase)
{
	s->phase = phase;
	s->updated_ms = os_wall_ms();
	s->updated_us = os_mono_us();
}

static void begin(struct db *d, const char *operation, const char *mode)
{
	struct db_diag_state *s = &d->diag;

	pthread_mutex_lock(&s->lock);
	touch(s, "starting");
	s->operation = operation;
	s->mode = mode;
	s->reason = NULL;
	s->active = true;
	s->snapshotting = false;
	s->started_ms = s->updated_ms;
	s->started_us = s->updated_us;
	free(s->error);
	s->error = NULL;
	pthread_mutex_unlock(&s->lock);
}

void db_diag_sync(struct db *d)
{
	begin(d, "sync", NULL);
}

void db_diag_checkpoint(struct db *d, enum db_checkpoint_mode mode)
{
	begin(d, "checkpoint", db_checkpoint_mode_name(mode));
}

void db_diag_phase(struct db *d, const char *phase)
{
	pthread_mutex_lock(&d->diag.lock);
	touch(&d->diag, phase);
	pthread_mutex_unlock(&d->diag.lock);
}

void db_diag_wal(struct db *d, int64_t size)
{
	pthread_mutex_lock(&d->diag.lock);
	d->diag.txid = d->position.txid;
	d->diag.wal_size = size;
	d->diag.wal_offset = d->position.has_place ? d->position.offset : 0;
	pthread_mutex_unlock(&d->diag.lock);
}

void db_diag_snapshot(struct db *d, const char *reason)
{
	pthread_mutex_lock(&d->diag.lock);
	d->diag.reason = reason;
	d->diag.snapshotting = true;
	pthread_mutex_unlock(&d->diag.lock);
}

void db_diag_written(struct db *d)
{
	pthread_mutex_lock(&d->diag.lock);
	touch(&d->diag, "sync_complete");
	d->diag.snapshotting = false;
	d->diag.txid = d->position.txid;
	d->diag.wal_offset = d->position.offset;
	pthread_mutex_unlock(&d->diag.lock);
}

void db_diag_checkpoint_end(struct db *d, enum db_checkpoint_mode mode, int rc, const struct err *e)
{
	struct db_checkpoint_counters *n = &d->diag.checkpoints;

	pthread_mutex_lock(&d->diag.lock);
	n->count[mode]++;
	n->errors[mode] += rc && !err_is(e, ERR_CANCELLED);
	n->us[mode] += (uint64_t)(os_mono_us() - d->diag.started_us);
	pthread_mutex_unlock(&d->diag.lock);
}

void db_diag_sync_end(struct db *d, int rc, const struct err *e)
{
	struct db_diag_state *s = &d->diag;
	char *error = rc && e ? strndup(e->text, DB_DIAG_ERROR_SIZE - 1) : NULL;

	pthread_mutex_lock(&s->lock);
	touch(s, rc ? s->phase : "update_metrics");
	s->active = s->snapshotting = false;
	free(s->error);
	s->error = error;
	pthread_mutex_unlock(&s->lock);
}

/* ---- the readers' side ---- */

void db_diag(struct db *d, struct db_diag *out)
{
	struct db_diag_state *s = &d->diag;
	int64_t now = os_mono_us();

	pthread_mutex_lock(&s->lock);
	*out = (struct db_diag){
		.operation = s->operation,
		.phase = s->phase,
		.mode = s->mode,
		.reason = s->reason,
		.active = s->active,
		.snapshotting = s->snapshotting,
		.started_ms = s->started_ms,
		.updated_ms = s->updated_ms,
		.elapsed_us = (s->active && now > s->started_us ? now : s->updated_us) - s->started_us,
		.txid = s->txid,
		.wal_size = s->wal_size,
		.wal_offset = s->wal_offset,
	};
	if (s->error)
		strcpy(out->error, s->error); /* cut to fit when it was noted */
	pthread_mutex_unlock(&s->lock);
}

void db_checkpoint_counters(struct db *d, struct db_checkpoint_counters *out)
{
	pthread_mutex_lock(&d->diag.lock);
	*out = d->diag.checkpoints;
	pthread_mutex_unlock(&d->diag.lock);
}
