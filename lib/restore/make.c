/* SPDX-License-Identifier: MIT */
/* Plan and execution in one, with a second way where the first one turns out to be broken. */
#include "lib/restore/restore.h"

#include <string.h>

#include "lib/restore/internal.h"
#include "lib/restore/v3.h"

enum { WAYS_MAX = 16, LISTINGS_MAX = 3 };

static void forget_item(struct replica_list *files, const struct replica_item *bad)
{
	int n = 0;

	for (int i = 0; i < files->count; i++) {
		const struct replica_item *item = &files->items[i];

		if (item->level != bad->level || item->min_txid != bad->min_txid || item->max_txid != bad->max_txid)
			files->items[n++] = *item;
	}
	files->count = n;
}

/* Sound, because a TXID is one state of the database: every way to it that verifies gives the same pages. */
int restore_with_list(struct replica *r, struct replica_list *files, const struct restore_options *o,
                      int (*commit)(void *ctx, uint64_t txid, struct err *e), void *ctx, struct restore_plan *plan,
                      struct restore_result *result, struct err *e)
{
	struct restore_target same = { .txid = plan->max_txid };
	struct err first = ERR_INIT;

	for (int way = 0; way < WAYS_MAX; way++) {
		struct err why = ERR_INIT;

		if (restore_run_with(r, plan, o, commit, ctx, result, &why) == 0)
			return 0;
		if (way == 0 || !result->has_bad)
			first = why;
		if (!result->has_bad)
			break;
		forget_item(files, &result->bad);
		if (restore_plan_calc(files, &same, plan, NULL) != 0)
			break;
		if (o->warn)
			o->warn(o->warn_ctx, "restore: going on without a file that cannot be used", &why);
	}
	if (e)
		*e = first;
	return -1;
}

static int make_of_v3(struct replica *r, const struct v3_backups *old, const struct restore_target *target,
                      const struct restore_options *o, struct restore_result *result, struct err *e)
{
	struct v3_plan plan;
	int rc = v3_plan_make(old, target, &plan, e);

	if (rc == 0)
		rc = v3_run(r, &plan, o, result, e);
	v3_plan_free(&plan);
	return rc;
}

/* One listing, one plan, and what can be done with them. */
static int make_once(struct replica *r, const struct restore_target *target, bool check_bounds,
                     const struct restore_options *o, struct restore_plan *plan, struct restore_result *result,
                     struct err *e)
{
	struct replica_list files = { .items = NULL };
	struct v3_backups old;
	int rc;

	*result = (struct restore_result){ .txid = 0 };
	plan->count = 0;
	rc = restore_list(r, target, check_bounds, &files, &old, e);
	if (rc == 0 && v3_is_better(&old, &files, target))
		rc = make_of_v3(r, &old, target, o, result, e);
	else if (rc == 0 && (rc = restore_plan_calc(&files, target, plan, e)) == 0)
		rc = restore_with_list(r, &files, o, NULL, NULL, plan, result, e);
	v3_free(&old);
	replica_list_free(&files);
	return rc;
}

/* What a daemon's retention deletes while we read stands in another file by then, which a new listing shows. */
int restore_make(struct replica *r, const struct restore_target *target, bool check_bounds,
                 const struct restore_options *o, struct restore_plan *plan, struct restore_result *result,
                 struct err *e)
{
	for (int listing = 1;; listing++) {
		struct err why = ERR_INIT;

		if (make_once(r, target, check_bounds, o, plan, result, &why) == 0)
			return 0;
		if (listing == LISTINGS_MAX || !result->has_bad || !err_is(&why, ERR_NOT_FOUND)) {
			if (e)
				*e = why;
			return -1;
		}
		if (o->warn)
			o->warn(o->warn_ctx, "restore: the replica has changed meanwhile, looking again", &why);
	}
}
