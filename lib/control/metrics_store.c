/* SPDX-License-Identifier: MIT */
/* metrics_store.c - the databases of a store as the source of metrics. */
#include <stdlib.h>

#include "lib/control/metrics.h"

struct listing {
	struct managed **m;
};

static const char *listed_path(void *ctx, int i)
{
	return db_path(managed_db(((struct listing *)ctx)->m[i]));
}

static void listed_read(void *ctx, int i, struct managed_facts *facts, struct db_checkpoint_counters *checkpoints)
{
	struct managed *m = ((struct listing *)ctx)->m[i];

	managed_facts(m, facts);
	db_checkpoint_counters(managed_db(m), checkpoints);
}

void metrics_write_store(struct buf *out, struct store *s, const struct metrics_scrapes *scrapes)
{
	struct listing l = { .m = NULL };
	struct metrics_source source = { .path = listed_path, .read = listed_read, .ctx = &l };
	int n = 0;

	for (struct managed *m = store_next(s, NULL); m; m = store_next(s, m))
		n++;
	l.m = malloc((size_t)n * sizeof(struct managed *) + 1);
	if (!l.m) {
		out->failed = true;
		return;
	}
	for (struct managed *m = store_next(s, NULL); m && source.count < n; m = store_next(s, m))
		l.m[source.count++] = m;
	metrics_write(out, &source, scrapes);
	free(l.m);
}
