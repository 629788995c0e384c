/* SPDX-License-Identifier: MIT */
/* facts.c - what others may know of a database, and who is told when something happens to it. */
#include <string.h>

#include "lib/os/clock.h"
#include "lib/store/internal.h"

void store_listen(struct store *s,
                  void (*event)(void *ctx, enum store_event what, struct managed *m, const char *detail),
                  void *ctx)
{
	s->event = event;
	s->event_ctx = ctx;
}

void store_tell(struct managed *m, enum store_event what, const char *detail)
{
	if (m->s->event)
		m->s->event(m->s->event_ctx, what, m, detail ? detail : "");
}

static void tell_outlets(const struct managed *m, struct managed_facts *f)
{
	const struct outlet *first = &m->outlets[0];

	f->last_sync_ms = first->last_sync_ms;
	f->l0_eligible = first->l0_eligible;
	f->l0_not_compacted = first->l0_not_compacted;
	f->l0_too_recent = first->l0_too_recent;
	for (int i = 0; i < m->outlet_count; i++)
		f->compaction_verify_errors += (uint64_t)m->outlets[i].verify_errors;
}

/* Its replica belongs to another: nothing goes on until that has changed. */
static void tell_refusal(const struct managed *m, struct managed_facts *f)
{
	for (int i = 0; i < m->outlet_count; i++) {
		if (m->state == MANAGED_ACTIVE && lease_refused(&m->outlets[i])) {
			f->state = MANAGED_PAUSED;
			f->locked_out = true;
			f->reason = m->outlets[i].error ? m->outlets[i].error : "";
		}
	}
}

static void tell_waiting(const struct managed *m, struct managed_facts *f)
{
	for (const struct store_call *c = m->waits.first; c; c = c->next) {
		if (!f->waiting++)
			f->waiting_since_ms = c->since_ms;
	}
}

void managed_facts(struct managed *m, struct managed_facts *out)
{
	int64_t now = os_mono_us();

	*out = (struct managed_facts){
		.path = db_path(m->db),
		.name = db_name(m->db),
		.state = (enum managed_state)m->state,
		.reason = m->reason ? m->reason : "",
		.monitored = managed_monitored(m),
		.dormant = m->dormant,
		.opening = m->opening && managed_monitored(m) && m->state != MANAGED_STOPPED,
		.initialized = m->sums.db_size > 0,
		.txid = m->txid,
		.db_size = m->sums.db_size,
		.wal_size = m->sums.wal_size,
		.wal_offset = m->sums.wal_offset,
		.lag_ms = m->behind_since_us ? (now - m->behind_since_us) / 1000 : 0,
		.replica_count = m->outlet_count,
		.syncs = m->sums.syncs,
		.sync_errors = m->sums.errors,
		.sync_ns = m->sums.ns,
		.wal_bytes = m->sums.wal_bytes,
		.checkpoints = m->sums.checkpoints,
		.checkpoint_errors = m->sums.checkpoint_errors,
		.checkpoint_ns = m->sums.checkpoint_ns,
		.disk_full = m->disk_full,
	};
	tell_outlets(m, out);
	tell_refusal(m, out);
	tell_waiting(m, out);
}

void managed_replica_facts(struct managed *m, int i, struct managed_replica_facts *out)
{
	const struct outlet *o = &m->outlets[i];

	*out = (struct managed_replica_facts){
		.name = o->upload.replica->name ? o->upload.replica->name : replica_type(o->upload.replica),
		.type = replica_type(o->upload.replica),
		.txid = o->position_known ? o->position : 0,
		.last_sync_ms = o->last_sync_ms,
		.error = o->error ? o->error : "",
	};
}

struct db *managed_db(struct managed *m)
{
	return m->db;
}
