/* SPDX-License-Identifier: MIT */
#include "lib/replica/hold.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/os/program.h"

/* AGAIN: after a try whose outcome is not known. GUARD: for what is on its way to the server when it is called off. */
enum { PROLONG_MS = REPLICA_HOLD_MS / 3, AGAIN_MS = 3 * 1000, GUARD_MS = 2 * 1000, OWNER_SIZE = 160 };

struct replica_hold {
	struct replica *r;
	pthread_mutex_t lock;
	atomic_int_least64_t until_ms; /* monotonic; 0 = not ours */
	atomic_int_least64_t due_ms;   /* INT64_MAX = not ours */
	atomic_uint term;
	atomic_int refused;            /* enum err_code */
	char owner[OWNER_SIZE];
};

int replica_hold_create(struct replica *r, struct replica_hold **out, struct err *e)
{
	struct replica_hold *h;

	*out = NULL;
	if (!r->lease)
		return 0;
	assert(r->ops->hold && r->ops->let_go); /* replica_open refuses a lease of a kind that has no locks */
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

static void lost(struct replica_hold *h, enum err_code why)
{
	atomic_store(&h->until_ms, 0);
	atomic_store(&h->due_ms, INT64_MAX);
	atomic_store(&h->refused, why == ERR_BUSY || why == ERR_INVALID ? (int)why : ERR_NONE);
}

/* Unless it was refused, what we have counts for as long as it lasts. */
static int not_prolonged(struct replica_hold *h, struct err *why, struct err *e)
{
	int64_t now = os_mono_us() / 1000;

	if (why->code != ERR_BUSY && why->code != ERR_INVALID && atomic_load(&h->until_ms) - GUARD_MS > now) {
		atomic_store(&h->due_ms, now + AGAIN_MS);
		return 0;
	}
	lost(h, why->code);
	if (e)
		*e = *why;
	return -1;
}

static int keep(struct replica_hold *h, struct err *e)
{
	int64_t now = os_mono_us() / 1000, until;
	struct err why = ERR_INIT;
	bool fresh;

	if (now < atomic_load(&h->due_ms) && now < atomic_load(&h->until_ms) - GUARD_MS)
		return 0;
	if (h->r->ops->hold(h->r, h->owner, REPLICA_HOLD_MS, &fresh, &until, &why))
		return not_prolonged(h, &why, e);
	if (fresh)
		log_info("replica is locked for us", LS("replica", replica_type(h->r)), LS("path", replica_path(h->r)),
		         LS("owner", h->owner));
	if (fresh)
		atomic_fetch_add(&h->term, 1);
	atomic_store(&h->refused, ERR_NONE);
	atomic_store(&h->until_ms, until);
	atomic_store(&h->due_ms, until - REPLICA_HOLD_MS + PROLONG_MS);
	return 0;
}

int replica_hold_keep(struct replica_hold *h, struct err *e)
{
	int rc;

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

int64_t replica_hold_until_us(const struct replica_hold *h)
{
	return (atomic_load(&h->until_ms) - GUARD_MS) * 1000;
}

enum err_code replica_hold_refused(const struct replica_hold *h)
{
	return (enum err_code)atomic_load(&h->refused);
}

void replica_hold_let_go(struct replica_hold *h)
{
	pthread_mutex_lock(&h->lock);
	if (os_mono_us() < replica_hold_until_us(h))
		h->r->ops->let_go(h->r, NULL);
	lost(h, ERR_NONE);
	pthread_mutex_unlock(&h->lock);
}
