/* SPDX-License-Identifier: MIT */
#include "lib/replica/hold.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/os/program.h"

/* What a write may take that begins with the last of the time: a request's attempts are given up before. */
enum { LEASE_MS = 60 * 1000, AGAIN_MS = 5 * 1000, MARGIN_MS = 10 * 1000, OWNER_SIZE = 160 };

struct replica_hold {
	struct replica *r;
	pthread_mutex_t lock;
	int64_t until_ms;         /* monotonic; 0 = not ours */
	atomic_int_least64_t due_ms; /* INT64_MAX = not ours */
	atomic_uint term;
	char owner[OWNER_SIZE];
};

int replica_hold_create(struct replica *r, struct replica_hold **out, struct err *e)
{
	struct replica_hold *h;

	*out = NULL;
	if (!r->lease)
		return 0;
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_nomem(e);
	h->r = r;
	atomic_init(&h->due_ms, INT64_MAX);
	os_program_identity(h->owner, sizeof(h->owner));
	pthread_mutex_init(&h->lock, NULL);
	*out = h;
	return 0;
}

void replica_hold_free(struct replica_hold *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static void lost(struct replica_hold *h)
{
	h->until_ms = 0;
	atomic_store(&h->due_ms, INT64_MAX);
}

/* It is not known whether it was prolonged: what we have counts, for as long as it lasts. */
static int not_prolonged(struct replica_hold *h, struct err *why, struct err *e)
{
	int64_t now = os_mono_us() / 1000;

	if (why->code != ERR_BUSY && why->code != ERR_INVALID && h->until_ms - MARGIN_MS > now) {
		atomic_store(&h->due_ms, now + AGAIN_MS);
		return 0;
	}
	lost(h);
	if (e)
		*e = *why;
	return -1;
}

static int keep(struct replica_hold *h, struct err *e)
{
	int64_t now = os_mono_us() / 1000, until;
	struct err why = ERR_INIT;

	if (now < atomic_load(&h->due_ms) && now < h->until_ms - MARGIN_MS)
		return 0;
	/* What has run out may have been another's since: it is taken, not prolonged. */
	bool ours = now < h->until_ms;
	if (h->r->ops->hold(h->r, h->owner, LEASE_MS, &until, &why))
		return not_prolonged(h, &why, e);
	if (!ours)
		log_info("replica is locked for us", LS("replica", replica_type(h->r)), LS("path", replica_path(h->r)),
		         LS("owner", h->owner));
	h->until_ms = until;
	atomic_store(&h->due_ms, until - LEASE_MS / 2);
	if (!ours)
		atomic_fetch_add(&h->term, 1);
	return 0;
}

int replica_hold_keep(struct replica_hold *h, struct err *e)
{
	int rc;

	if (!h->r->ops->hold)
		return err_set(e, ERR_INVALID, "a replica of type %s cannot keep a second writer out (lease)", replica_type(h->r));
	pthread_mutex_lock(&h->lock);
	rc = keep(h, e);
	pthread_mutex_unlock(&h->lock);
	return rc;
}

unsigned replica_hold_term(const struct replica_hold *h)
{
	return atomic_load(&h->term);
}

int64_t replica_hold_due_us(const struct replica_hold *h)
{
	int64_t due = atomic_load(&h->due_ms);

	return due == INT64_MAX ? due : due * 1000;
}

void replica_hold_let_go(struct replica_hold *h)
{
	pthread_mutex_lock(&h->lock);
	if (h->until_ms)
		h->r->ops->let_go(h->r, NULL);
	lost(h);
	pthread_mutex_unlock(&h->lock);
}
