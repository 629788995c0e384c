/* SPDX-License-Identifier: MIT */
/*
 * Whose replica lies where. config_check() compares what the file says; what is found in folders, and what leaves while
 * something else takes its place, only shows at run time. Two databases that write to one place would destroy each
 * other's history.
 */
#include <stdlib.h>
#include <string.h>

#include "applets/fleet_parts.h"
#include "lib/base/crc64.h"

struct place {
	struct place *next;
	uint64_t hash;
	const char *owner;
	bool leaving;
};

static struct place **chain(struct fleet *f, uint64_t hash)
{
	return &f->places[hash % PLACE_CHAINS];
}

static int claim(struct fleet *f, const char *text, const char *owner, struct err *e)
{
	uint64_t hash = crc64(0, text, strlen(text));
	struct place *p;

	for (p = *chain(f, hash); p; p = p->next) {
		if (p->hash != hash || strcmp(p->owner, owner) == 0)
			continue;
		if (p->leaving)
			return err_set(e, ERR_BUSY, "%s still writes to %s", p->owner, text);
		return err_set(e, ERR_INVALID, "databases %s and %s have their replicas in one place: %s", p->owner,
		               owner, text);
	}
	p = malloc(sizeof(*p));
	if (!p)
		return err_nomem(e);
	*p = (struct place){ .next = *chain(f, hash), .hash = hash, .owner = owner };
	*chain(f, hash) = p;
	return 0;
}

int places_claim(struct fleet *f, const struct config_db *db, const char *relative, const char *owner, struct err *e)
{
	for (int i = 0; i < db->replica_count; i++) {
		struct replica_settings s = db->replicas[i].settings;
		char *text;
		int rc;

		s.relative = relative;
		if (replica_settings_place(&s, &text, e))
			goto fail;
		rc = claim(f, text, owner, e);
		free(text);
		if (rc)
			goto fail;
	}
	return 0;
fail:
	places_release(f, owner);
	return -1;
}

void places_leave(struct fleet *f, const char *owner)
{
	for (int i = 0; i < PLACE_CHAINS; i++) {
		for (struct place *p = f->places[i]; p; p = p->next)
			p->leaving |= p->owner == owner;
	}
}

void places_release(struct fleet *f, const char *owner)
{
	for (int i = 0; i < PLACE_CHAINS; i++) {
		struct place **link = &f->places[i];

		while (*link) {
			struct place *p = *link;

			if (p->owner == owner) {
				*link = p->next;
				free(p);
			} else {
				link = &p->next;
			}
		}
	}
}
