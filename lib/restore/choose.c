/* SPDX-License-Identifier: MIT */
/*
 * Several replicas of one database: which one to restore from. A TXID is one state of the database wherever it is kept,
 * so another replica may stand in for one that fails, but only with the very same TXID: an older state is for the user
 * to ask for, by naming the replica.
 */
#include <stdlib.h>

#include "lib/restore/internal.h"
#include "lib/restore/v3.h"

enum answer { ANSWER_FAILED, ANSWER_NOTHING, ANSWER_V3, ANSWER_LTX };

struct candidate {
	enum answer answer;
	uint64_t txid;
};

static void tell(const struct restore_options *o, struct replica *r, const char *msg, struct err *why)
{
	if (!o->warn)
		return;
	err_wrap(why, "replica %s", r->name ? r->name : replica_type(r));
	o->warn(o->warn_ctx, msg, why);
}

static struct candidate ask(struct replica *r, const struct restore_target *target, bool check_bounds, struct err *e)
{
	struct restore_plan plan = { .items = NULL };
	struct replica_list files = { .items = NULL };
	struct candidate c = { .answer = ANSWER_FAILED };
	struct v3_backups old;

	if (restore_list(r, target, check_bounds, &files, &old, e) == 0) {
		if (v3_is_better(&old, &files, target))
			c.answer = ANSWER_V3;
		else if (restore_plan_calc(&files, target, &plan, e) == 0)
			c = (struct candidate){ ANSWER_LTX, plan.max_txid };
	}
	if (c.answer == ANSWER_FAILED && err_is(e, ERR_UNAVAILABLE))
		c.answer = ANSWER_NOTHING;
	v3_free(&old);
	replica_list_free(&files);
	restore_plan_free(&plan);
	return c;
}

/* The first of the best ones; count when there is none. */
static int best_of(const struct candidate *c, int count)
{
	int best = count;

	for (int i = 0; i < count; i++) {
		if (c[i].answer <= ANSWER_NOTHING)
			continue;
		if (best == count || c[i].answer > c[best].answer ||
		    (c[i].answer == c[best].answer && c[i].txid > c[best].txid))
			best = i;
	}
	return best;
}

/* Asks all of them; -1 when none can answer. A failure says more than that there is nothing. */
static int ask_all(struct replica *const *replicas, int count, const struct restore_target *target, bool check_bounds,
                   const struct restore_options *o, struct candidate *c, struct err *e)
{
	struct err first = ERR_INIT;

	for (int i = 0; i < count; i++) {
		struct err why = ERR_INIT;

		if (restore_cancelled(o->cancel))
			return restore_set_cancelled(e);
		c[i] = ask(replicas[i], target, check_bounds, &why);
		if (c[i].answer <= ANSWER_NOTHING &&
		    (first.code == ERR_NONE || (first.code == ERR_UNAVAILABLE && c[i].answer == ANSWER_FAILED)))
			first = why;
		if (c[i].answer == ANSWER_FAILED && count > 1)
			tell(o, replicas[i], "restore: replica cannot be used", &why);
	}
	if (best_of(c, count) < count)
		return 0;
	if (e)
		*e = first;
	return -1;
}

int restore_choose(struct replica *const *replicas, int count, const struct restore_target *target, bool check_bounds,
                   const struct restore_options *o, int *chosen, struct err *e)
{
	struct candidate *c = calloc((size_t)count, sizeof(*c));
	int rc = c ? ask_all(replicas, count, target, check_bounds, o, c, e) : err_nomem(e);

	*chosen = rc == 0 ? best_of(c, count) : -1;
	free(c);
	return rc;
}

/* Is it the replica's failure, rather than that of the place the database goes to? */
static bool another_may_help(const struct err *why)
{
	switch (why->code) {
	case ERR_CANCELLED:
	case ERR_EXISTS:
	case ERR_FULL:
	case ERR_BUSY:
	case ERR_NO_MEMORY:
		return false;
	default:
		return true;
	}
}

int restore_make_any(struct replica *const *replicas, int count, const struct restore_target *target, bool check_bounds,
                     const struct restore_options *o, struct restore_plan *plan, struct restore_result *result,
                     int *chosen, struct err *e)
{
	struct candidate *c = calloc((size_t)count, sizeof(*c)), first;
	struct restore_target same = *target;
	struct err why = ERR_INIT;
	int i, rc = c ? ask_all(replicas, count, target, check_bounds, o, c, e) : err_nomem(e);

	*result = (struct restore_result){ .txid = 0 };
	*chosen = -1;
	if (rc != 0) {
		free(c);
		return -1;
	}
	*chosen = i = best_of(c, count);
	first = c[i];
	rc = restore_make(replicas[i], target, check_bounds, o, plan, result, e);
	if (first.answer == ANSWER_LTX)
		same = (struct restore_target){ .txid = first.txid };
	while (rc != 0) {
		c[i].answer = ANSWER_FAILED;
		i = best_of(c, count);
		if (!another_may_help(e) || i == count || c[i].answer != ANSWER_LTX || c[i].txid != first.txid)
			break;
		why = *e;
		tell(o, replicas[*chosen], "restore: going on with another replica", &why);
		*chosen = i;
		rc = restore_make(replicas[i], &same, false, o, plan, result, e);
	}
	free(c);
	return rc;
}
