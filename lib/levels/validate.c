/* SPDX-License-Identifier: MIT */
/* validate.c - `validation.interval`: a real listing, and a warning for every level with a gap or an overlap. */
#include "lib/base/log.h"
#include "lib/levels/internal.h"

int levels_validate(struct levels *l, int64_t now_ms, struct err *e)
{
	levels_lock(l);
	l->validated_ms = now_ms;
	l->changed = false;
	levels_unlock(l);
	if (levels_manifest_list(l, e))
		return err_wrap(e, "validation");
	for (int level = 0; level <= l->policy->count; level++) {
		char text[ERR_TEXT_SIZE];
		int faults;

		levels_lock(l);
		faults = levels_check(l, level, text);
		levels_unlock(l);
		if (faults)
			log_warn("validation error detected", LS("system", "store"), LS("db", db_name(l->db)),
			         LI("level", level), LS("error", text));
	}
	return 0;
}
