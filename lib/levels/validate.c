/* SPDX-License-Identifier: MIT */
/* validate.c - `validation.interval`: a real listing, and a warning for every level with a gap or an overlap. */
#include "lib/base/log.h"
#include "lib/levels/internal.h"

int levels_validate(struct levels *l, int64_t now_ms, struct err *e)
{
	l->validated_ms = now_ms;
	l->changed = false;
	if (levels_manifest_list(l, e))
		return err_wrap(e, "validation");
	for (int level = 0; level <= l->policy->count; level++) {
		char text[ERR_TEXT_SIZE];

		if (levels_check(l, level, text))
			log_warn("validation error", LS("system", "store"), LS("db", db_name(l->db)), LI("level", level),
			         LS("error", text));
	}
	return 0;
}
