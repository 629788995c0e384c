/* SPDX-License-Identifier: MIT */
/* A reader that survives broken connections: it opens the object again where it broke off. */
#include <stdlib.h>
#include <string.h>

#include "lib/os/clock.h"
#include "lib/replica/replica.h"

enum { RETRIES_MAX = 3, RETRY_FIRST_MS = 250, CANCEL_LOOK_MS = 50 };

struct resumable {
	struct replica_reader reader;
	struct replica *replica;
	struct replica_item item; /* with a path, only its size counts */
	char *path;
	struct replica_reader *inner; /* NULL: to be opened at offset */
	const atomic_bool *cancel;
	int64_t offset, end;
	int retries;
};

static bool is_final(const struct err *why)
{
	return why->code == ERR_NOT_FOUND || why->code == ERR_CANCELLED || why->code == ERR_NO_MEMORY ||
	       why->code == ERR_INVALID;
}

static bool cancelled(const struct resumable *s)
{
	return s->cancel && atomic_load_explicit(s->cancel, memory_order_relaxed);
}

static int set_cancelled(struct err *e)
{
	return err_set(e, ERR_CANCELLED, "cancelled");
}

/* Waits before the next try; -1 when cancelled meanwhile. */
static int wait_for_retry(struct resumable *s, struct err *e)
{
	int64_t left = (int64_t)RETRY_FIRST_MS << s->retries++;

	while (left > 0) {
		if (cancelled(s))
			return set_cancelled(e);
		int64_t step = left < CANCEL_LOOK_MS ? left : CANCEL_LOOK_MS;
		os_sleep_ms(step);
		left -= step;
	}
	return 0;
}

static void close_inner(struct resumable *s)
{
	if (s->inner)
		s->inner->close(s->inner);
	s->inner = NULL;
}

static int open_inner(struct resumable *s, struct err *e)
{
	const struct replica_ops *ops = s->replica->ops;

	if (s->path)
		return ops->open_path(s->replica, s->path, s->offset, &s->inner, e);
	return ops->open(s->replica, &s->item, s->offset, s->end < s->item.size ? s->end - s->offset : -1, &s->inner,
	                 e);
}

/* One try: 0 and some bytes, or the end; -1 and why not. */
static int try_read(struct resumable *s, void *bytes, size_t n, size_t *got, struct err *e)
{
	char name[REPLICA_NAME_SIZE];

	if (!s->inner && open_inner(s, e) != 0) {
		s->inner = NULL;
		return -1;
	}
	if (s->inner->read(s->inner, bytes, n, got, e) != 0)
		return -1;
	if (*got == 0 && n > 0 && s->offset < s->end) {
		return err_set(e, ERR_CORRUPT, "read %s: unexpected end of file after %lld of %lld bytes",
		               s->path ? s->path : replica_item_name(name, &s->item), (long long)s->offset,
		               (long long)s->end);
	}
	s->offset += (int64_t)*got;
	return 0;
}

static int resumable_read(struct replica_reader *reader, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct resumable *s = (struct resumable *)reader;

	for (;;) {
		struct err why = ERR_INIT;

		if (cancelled(s))
			return set_cancelled(e);
		if (try_read(s, bytes, n, got, &why) == 0)
			return 0;
		close_inner(s);
		if (is_final(&why) || s->retries >= RETRIES_MAX) {
			if (e)
				*e = why;
			return -1;
		}
		if (wait_for_retry(s, e) != 0)
			return -1;
	}
}

static void resumable_close(struct replica_reader *reader)
{
	struct resumable *s = (struct resumable *)reader;

	close_inner(s);
	free(s->path);
	free(s);
}

int replica_open_part_resumable(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
                                const atomic_bool *cancel, struct replica_reader **reader, struct err *e)
{
	struct resumable *s = calloc(1, sizeof(*s));

	*reader = NULL;
	if (!s)
		return err_nomem(e);
	s->reader.read = resumable_read;
	s->reader.close = resumable_close;
	s->replica = r;
	s->item = *item;
	s->offset = offset;
	s->end = offset + length;
	s->cancel = cancel;
	*reader = &s->reader;
	return 0;
}

int replica_open_resumable(struct replica *r, const struct replica_item *item, const atomic_bool *cancel,
                           struct replica_reader **reader, struct err *e)
{
	return replica_open_part_resumable(r, item, 0, item->size, cancel, reader, e);
}

int replica_open_path_resumable(struct replica *r, const char *path, int64_t size, const atomic_bool *cancel,
                                struct replica_reader **reader, struct err *e)
{
	const struct replica_item item = { .size = size };
	struct resumable *s;

	if (replica_open_resumable(r, &item, cancel, reader, e) != 0)
		return -1;
	s = (struct resumable *)*reader;
	s->path = strdup(path);
	if (s->path)
		return 0;
	resumable_close(*reader);
	*reader = NULL;
	return err_nomem(e);
}
