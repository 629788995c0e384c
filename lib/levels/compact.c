/* SPDX-License-Identifier: MIT */
/*
 * compact.c - one level into the next: what is merged, whether it may be published, and how it gets there.
 *
 * A merge takes the files of the level below that reach beyond what is there, as far as they follow each other without a
 * hole. Where the first of them does not go on where the level ends (or at TXID 1), a snapshot must cover what lies
 * between; otherwise nothing is published, because retention would then delete what could still tell of the loss.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/levels/internal.h"
#include "lib/os/clock.h"

enum { ALARM_EVERY_US = 30 * 1000 * 1000 };

/* ---- what is wrong with a level ---- */

int levels_check(const struct levels *l, int level, char *text)
{
	const struct replica_list *f = levels_files(l, level);
	int faults = 0;

	for (int i = 1; i < f->count; i++) {
		const struct replica_item *a = &f->items[i - 1], *b = &f->items[i];
		char left[LTX_NAME_SIZE], right[LTX_NAME_SIZE];
		const char *what = NULL;

		if (b->min_txid <= a->max_txid)
			what = "overlap";
		else if (b->min_txid > a->max_txid + 1 && !levels_snapshot_before(l, b->min_txid))
			what = "gap";
		if (what && !faults++ && text)
			snprintf(text, ERR_TEXT_SIZE, "%s in level %d: %s before %s", what, level,
			         ltx_name(left, a->min_txid, a->max_txid), ltx_name(right, b->min_txid, b->max_txid));
	}
	return faults;
}

/* Tells of what came to be since it was told last. */
static int verify(struct levels *l, int level)
{
	char text[ERR_TEXT_SIZE];
	int faults, new;

	levels_lock(l);
	faults = levels_check(l, level, text);
	new = faults - l->faults[level];
	l->faults[level] = faults;
	levels_unlock(l);
	if (new <= 0)
		return 0;
	log_warn("post-compaction verification failed", LS("system", "store"), LS("db", db_name(l->db)), LI("level", level),
	         LS("error", text));
	return new;
}

static void alarm_refused(struct levels *l, int dst, uint64_t seek, uint64_t first)
{
	int64_t now = os_mono_us();

	if (l->alarm_us && now - l->alarm_us < ALARM_EVERY_US)
		return;
	l->alarm_us = now;
	log_error("compaction refused: files are missing in the replica, a snapshot will close the hole",
	          LS("system", "store"), LS("db", db_name(l->db)), LS("replica", replica_type(l->replica)), LI("level", dst),
	          LX("missing.min", seek), LX("missing.max", first - 1));
}

/* ---- what is merged ---- */

struct selection {
	struct replica_item *items;
	int count;
	int usable;           /* fewer than count: a merge of so many of them may work */
	uint64_t seek, first; /* refused: what is missing, and what comes behind it */
};

/* There may be damaged ones: what they held takes a snapshot. */
static int none_usable(struct levels *l, int dst)
{
	uint64_t end = l->level[dst - 1].max_txid;

	if (end > l->level[dst].max_txid) {
		l->refused[dst] = end;
		l->heal_txid = end > l->heal_txid ? end : l->heal_txid;
	}
	return LEVELS_NOTHING;
}

/* Under the lock: files of dst - 1 that reach beyond seek - 1, up to the first hole. enum levels_compaction or -1. */
static int select_inputs(struct levels *l, int dst, struct selection *s, struct err *e)
{
	const struct replica_list *f = levels_files(l, dst - 1);
	uint64_t seek = l->level[dst].max_txid + 1, end = 0;
	int from = 0;

	while (from < f->count && (f->items[from].max_txid < seek || levels_is_bad(l, &f->items[from])))
		from++;
	if (from == f->count)
		return none_usable(l, dst);
	if (f->items[from].min_txid > seek && !levels_snapshot_before(l, f->items[from].min_txid)) {
		s->seek = seek;
		s->first = f->items[from].min_txid;
		l->refused[dst] = l->level[dst - 1].max_txid;
		if (s->first - 1 > l->heal_txid)
			l->heal_txid = s->first - 1;
		return LEVELS_REFUSED;
	}
	s->items = malloc((size_t)(f->count - from) * sizeof(*s->items));
	if (!s->items)
		return err_nomem(e);
	for (int i = from; i < f->count && (!end || f->items[i].min_txid <= end + 1); i++) {
		if (f->items[i].max_txid <= end || levels_is_bad(l, &f->items[i]))
			continue; /* lies within the one before, or is of no use */
		s->items[s->count++] = f->items[i];
		end = f->items[i].max_txid;
	}
	return LEVELS_DONE;
}

/* ---- one merge ---- */

static int merge(struct levels_merge *m, struct err *e)
{
	struct err why = ERR_INIT;

	if (!levels_merge_run(m, &why))
		return 0;
	if (err_is(&why, ERR_CORRUPT) && m->used_local) {
		struct err local = why;

		m->remote_only = true;
		err_clear(&why);
		if (!levels_merge_run(m, &why)) {
			log_warn("local copies are damaged, merged what the replica holds", LS("system", "store"),
			         LS("db", db_name(m->l->db)), LI("level", m->inputs[0].level + 1), LS("error", local.text));
			return 0;
		}
	}
	if (m->missing)
		levels_doubt(m->l);
	if (e)
		*e = why;
	return -1;
}

static int publish(struct levels *l, const struct replica_item *item, const char *staging, struct err *e)
{
	if (l->replica->ops->put(l->replica, item, staging, e)) {
		levels_doubt(l); /* it may have got there all the same */
		os_unlink(staging, NULL);
		return -1;
	}
	levels_local_keep(l, item, staging);
	return levels_note_put(l, item, e);
}

static int merge_and_publish(struct levels *l, int dst, struct selection *s, const atomic_bool *cancel, struct err *e)
{
	struct replica_item out = {
		.level = dst, .min_txid = s->items[0].min_txid, .max_txid = s->items[s->count - 1].max_txid
	};
	struct levels_merge m = { .l = l, .inputs = s->items, .count = s->count, .cancel = cancel };
	char *staging = levels_staging_path(l, &out);
	int rc = -1;

	if (!staging)
		return err_nomem(e);
	m.path = staging;
	if (merge(&m, e)) {
		if (err_is(e, ERR_CORRUPT))
			s->usable = levels_diagnose(l, s->items, s->count, cancel);
		goto out;
	}
	out.size = m.output.size;
	out.created_ms = m.output.created_ms;
	if (m.output.min_txid != out.min_txid || m.output.max_txid != out.max_txid) {
		err_set(e, ERR_CORRUPT, "the files hold other TXIDs than their names say");
		os_unlink(staging, NULL);
		goto out;
	}
	if (publish(l, &out, staging, e))
		goto out;
	log_info("compaction complete", LS("system", "store"), LS("db", db_name(l->db)), LI("level", dst),
	         LX("txid.min", out.min_txid), LX("txid.max", out.max_txid), LI("size", out.size));
	for (int i = 0; i < s->count; i++)
		levels_local_drop(l, &s->items[i]);
	rc = 0;
out:
	free(staging);
	return rc ? err_wrap(e, "compact to level %d", dst) : 0;
}

enum { AGAIN = 100 };

/* All of them, or what can be merged of them. LEVELS_DONE, AGAIN (the first is damaged: select without it), -1. */
static int merge_selection(struct levels *l, int dst, struct selection *s, const atomic_bool *cancel, struct err *e)
{
	struct err why = ERR_INIT;

	s->usable = s->count;
	if (!merge_and_publish(l, dst, s, cancel, &why))
		return LEVELS_DONE;
	if (!s->usable)
		return AGAIN;
	if (s->usable < s->count) {
		s->count = s->usable;
		err_clear(&why);
		if (!merge_and_publish(l, dst, s, cancel, &why))
			return LEVELS_DONE;
	}
	if (e)
		*e = why;
	return -1;
}

static int step_once(struct levels *l, int dst, const atomic_bool *cancel, int *faults, struct err *e)
{
	struct selection s = { 0 };
	int rc;

	levels_lock(l);
	rc = select_inputs(l, dst, &s, e);
	levels_unlock(l);
	if (rc == LEVELS_REFUSED) {
		alarm_refused(l, dst, s.seek, s.first);
		++*faults;
	}
	if (rc == LEVELS_NOTHING)
		log_debug("no compaction", LS("system", "store"), LS("db", db_name(l->db)), LI("level", dst));
	if (rc == LEVELS_DONE)
		rc = merge_selection(l, dst, &s, cancel, e);
	if (rc == LEVELS_DONE)
		*faults += verify(l, dst);
	free(s.items);
	return rc;
}

int levels_compact_step(struct levels *l, int dst, const atomic_bool *cancel, int *faults, struct err *e)
{
	int rc;

	/* Damaged files are counted (LEVELS_BAD_MAX), so this ends. */
	do
		rc = step_once(l, dst, cancel, faults, e);
	while (rc == AGAIN);
	return rc;
}
