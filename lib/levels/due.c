/* SPDX-License-Identifier: MIT */
/*
 * due.c - when is which step due? Pure arithmetic over the manifest, the policy and what was tried last.
 *
 * A level is filled at the multiples of its interval counted from the year 1 (as Go truncates times), moved by a jitter
 * that a database keeps for ever: up to a tenth of the interval, at most half a minute. What came after one such point
 * is taken at the next. After a restart the newest file of the level says which point was the last, so nothing happens
 * twice in one interval.
 */
#include "lib/levels/internal.h"

static const int64_t GO_ZERO_MS = INT64_C(62135596800000); /* from the year 1 to 1970 */
enum { JITTER_MAX_MS = 30000 };

static int64_t jitter(const struct levels *l, int64_t interval_ms)
{
	int64_t most = interval_ms / 10 < JITTER_MAX_MS ? interval_ms / 10 : JITTER_MAX_MS;

	return most ? l->seed % (most + 1) : 0;
}

int64_t levels_next_slot(const struct levels *l, int64_t interval_ms, int64_t t_ms)
{
	int64_t moved = t_ms - jitter(l, interval_ms);

	return t_ms - (moved + GO_ZERO_MS) % interval_ms + interval_ms;
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t sooner(int64_t a, int64_t b) { return a < b ? a : b; }

/*
 * A time that has not come yet is of a clock that was wrong: it says nothing. But the replica's clock may be a little
 * ahead of ours, and a file may be stored while a run works that took its time before: that is now.
 */
static int64_t past(int64_t t_ms, int64_t now_ms)
{
	return t_ms > now_ms + LEVELS_SKEW_MS || t_ms < 0 ? 0 : sooner(t_ms, now_ms);
}

static const struct replica_item *newest(const struct levels *l, int level)
{
	const struct replica_list *f = levels_files(l, level);

	return f->count ? &f->items[f->count - 1] : NULL;
}

/* The first file of the level that reaches beyond a TXID. */
static const struct replica_item *first_beyond(const struct levels *l, int level, uint64_t txid)
{
	const struct replica_list *f = levels_files(l, level);
	int i = f->count;

	while (i > 0 && f->items[i - 1].max_txid > txid)
		i--;
	return i < f->count ? &f->items[i] : NULL;
}

int64_t levels_compaction_due(const struct levels *l, int dst, int64_t now_ms)
{
	const struct levels_list *from = &l->level[dst - 1], *to = &l->level[dst];
	int64_t interval = l->policy->interval_ms[dst], since;
	const struct replica_item *first, *last = newest(l, dst);

	if (from->max_txid <= to->max_txid || from->max_txid == l->refused[dst])
		return INT64_MAX;
	first = first_beyond(l, dst - 1, to->max_txid);
	since = first ? past(first->created_ms, now_ms) : 0;
	since = later(since, past(l->tried_ms[dst], now_ms));
	if (last)
		since = later(since, past(last->created_ms, now_ms));
	return later(levels_next_slot(l, interval, since), past(l->start_ms, now_ms) + jitter(l, interval));
}

int64_t levels_snapshot_due(const struct levels *l, int64_t now_ms, uint64_t replicated_txid)
{
	int64_t interval = l->policy->snapshot_interval_ms, start = past(l->start_ms, now_ms) + jitter(l, interval);
	uint64_t position = 0, have = l->level[LEVELS_SNAPSHOT].max_txid;
	const struct replica_item *last = newest(l, LEVELS_SNAPSHOT);
	int64_t since = past(l->tried_ms[LEVELS_SNAPSHOT], now_ms);

	for (int level = 0; level < LEVELS_SNAPSHOT; level++)
		position = l->level[level].max_txid > position ? l->level[level].max_txid : position;
	if (replicated_txid > position)
		position = replicated_txid;
	if (have >= position)
		return INT64_MAX;
	/* Nothing can be restored beyond a hole until there is a snapshot behind it. */
	if (l->heal_txid > have)
		return now_ms;
	if (!last && !since)
		return start;
	if (last)
		since = later(since, past(last->created_ms, now_ms));
	return later(levels_next_slot(l, interval, since), start);
}

int64_t levels_l0_due(const struct levels *l, int64_t now_ms)
{
	const struct replica_list *f = levels_files(l, 0);
	int64_t keep = l->policy->l0_retention_ms, due;
	uint64_t end;
	int i = 0;

	if (!keep || l->policy->count < 1 || !l->level[1].max_txid)
		return INT64_MAX;
	while (i < f->count - 1 && (f->items[i].max_txid <= l->l0_local_done ||
	                            !levels_covers(l, 1, f->items[i].min_txid, f->items[i].max_txid)))
		i++;
	if (i >= f->count - 1)
		return INT64_MAX;
	/* The files of one of level 1 go together. */
	for (end = levels_group_max(l, f->items[i].min_txid); i + 1 < f->count && f->items[i + 1].max_txid <= end;)
		i++;
	due = past(f->items[i].created_ms, now_ms) + keep;
	return later(due, past(l->l0_checked_ms, now_ms) + l->policy->l0_check_interval_ms);
}

/* Snapshots expire at the points at which new ones are taken, so that what is kept reaches back as far as promised. */
int64_t levels_l9_due(const struct levels *l, int64_t now_ms)
{
	const struct replica_list *f = levels_files(l, LEVELS_SNAPSHOT);
	int64_t due = INT64_MAX;

	if (l->policy->retention_disabled)
		return INT64_MAX;
	for (int i = 0; i < f->count - 1; i++)
		due = sooner(due, f->items[i].created_ms + l->policy->snapshot_retention_ms);
	if (due == INT64_MAX)
		return due;
	return levels_next_slot(l, l->policy->snapshot_interval_ms, later(due, past(l->l9_checked_ms, now_ms)));
}

int64_t levels_validation_due(const struct levels *l, int64_t now_ms)
{
	int64_t interval = l->policy->validation_interval_ms;

	if (interval <= 0 || !l->changed)
		return INT64_MAX;
	return levels_next_slot(l, interval, later(past(l->validated_ms, now_ms), past(l->start_ms, now_ms)));
}

/* A clock that was put back must not make it longer than it was meant to be. */
static int64_t retry(const struct levels *l, int64_t now_ms)
{
	return l->retry_ms - now_ms > LEVELS_RETRY_MAX_MS ? now_ms : l->retry_ms;
}

int64_t levels_due(const struct levels *l, int64_t now_ms, uint64_t replicated_txid, bool *needs_db)
{
	int64_t due = INT64_MAX, snapshot;

	*needs_db = false;
	if (l->packed) {
		*needs_db = l->packed_needs_db;
		return l->packed_due_ms;
	}
	if (!l->known)
		return later(now_ms, retry(l, now_ms));
	for (int dst = 1; dst <= l->policy->count; dst++)
		due = sooner(due, levels_compaction_due(l, dst, now_ms));
	due = sooner(due, levels_l0_due(l, now_ms));
	due = sooner(due, levels_l9_due(l, now_ms));
	due = sooner(due, levels_validation_due(l, now_ms));
	snapshot = levels_snapshot_due(l, now_ms, replicated_txid);
	due = sooner(due, snapshot);
	*needs_db = snapshot != INT64_MAX && snapshot <= later(due, now_ms);
	return due == INT64_MAX ? due : later(due, retry(l, now_ms));
}

int64_t levels_due_ms(struct levels *l, int64_t now_ms, uint64_t replicated_txid, bool *needs_db)
{
	levels_lock(l);
	int64_t due = levels_due(l, now_ms, replicated_txid, needs_db);
	levels_unlock(l);
	return due;
}
