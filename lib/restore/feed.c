/* SPDX-License-Identifier: MIT */
/* The bytes of a plan's files, one file after the other, through one buffer. */
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/buffered.h"
#include "lib/restore/internal.h"

struct feed {
	struct replica *replica;
	const struct replica_item *items;
	int count;
	struct feed_options options;
	int place;                      /* of the current object in the order; -1 before the first */
	struct replica_reader *reader;  /* of the current object, unless threads fetch */
	struct prefetch *prefetch;
	int64_t bytes;
	struct ltx_buffered buffered;
	uint8_t buffer[FEED_BUFFER_SIZE];
};

struct feed *feed_create(struct replica *r, const struct replica_item *items, int count, const struct feed_options *o,
                         struct err *e)
{
	struct feed *f = malloc(sizeof(*f));

	if (!f) {
		err_nomem(e);
		return NULL;
	}
	/* Not the buffer: its pages are touched when they are used. */
	memset(f, 0, offsetof(struct feed, buffer));
	f->replica = r;
	f->items = items;
	f->count = count;
	f->options = *o;
	f->place = -1;
	if (!r->local && o->parallelism > 1 && (count > 1 || (count == 1 && items[0].size > FEED_PART))) {
		struct err why = ERR_INIT;

		f->prefetch = prefetch_create(r, items, count, o, &why);
		if (!f->prefetch && why.code != ERR_LIMIT) { /* without threads it goes slowly, but it goes */
			if (e)
				*e = why;
			free(f);
			return NULL;
		}
	}
	return f;
}

void feed_free(struct feed *f)
{
	if (!f)
		return;
	if (f->reader)
		f->reader->close(f->reader);
	prefetch_free(f->prefetch);
	free(f);
}

static const struct replica_item *item_at(const struct feed *f, int place)
{
	return &f->items[f->options.backwards ? f->count - 1 - place : place];
}

static int fetch(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct feed *f = ctx;
	char name[REPLICA_NAME_SIZE];
	struct err why = ERR_INIT;
	int rc;

	if (restore_cancelled(f->options.cancel))
		return restore_set_cancelled(e);
	if (f->prefetch)
		rc = prefetch_read(f->prefetch, bytes, n, got, &why);
	else
		rc = f->reader->read(f->reader, bytes, n, got, &why);
	if (rc == 0) {
		f->bytes += (int64_t)*got;
		return 0;
	}
	/* Content is what the decoder judges; that an object could not be had is another matter. */
	if (why.code == ERR_CORRUPT)
		why.code = ERR_SYSTEM;
	if (why.code != ERR_CANCELLED)
		err_wrap(&why, "fetch %s", replica_item_name(name, item_at(f, f->place)));
	if (e)
		*e = why;
	return -1;
}

int feed_next(struct feed *f, const struct replica_item **item, struct err *e)
{
	if (f->reader)
		f->reader->close(f->reader);
	f->reader = NULL;
	ltx_buffered_init(&f->buffered, (struct ltx_source){ .read = fetch, .ctx = f }, f->buffer, sizeof(f->buffer));
	f->place++;
	*item = item_at(f, f->place);
	if (f->prefetch) {
		prefetch_open(f->prefetch, f->place);
		return 0;
	}
	return replica_open_resumable(f->replica, *item, f->options.cancel, &f->reader, e);
}

struct ltx_source feed_source(struct feed *f)
{
	return ltx_buffered_source(&f->buffered);
}

int64_t feed_bytes(const struct feed *f)
{
	return f->bytes;
}
