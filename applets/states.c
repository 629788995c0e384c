/* SPDX-License-Identifier: MIT */
/* What the daemon tells of its databases: all of them on SIGUSR1, and once that they are all looked after. */
#include <string.h>

#include "applets/daemon_parts.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/os/process.h"

enum { READY_LOOK_US = 20 * 1000 };

/* "s3 000…02, second 000…01: connection refused" */
static void put_replicas(struct managed *m, int count, struct buf *out)
{
	char txid[TEXT_TXID_SIZE];

	for (int i = 0; i < count; i++) {
		struct managed_replica_facts r;

		managed_replica_facts(m, i, &r);
		buf_fmt(out, "%s%s %s", i ? ", " : "", r.name, r.txid ? text_txid(txid, r.txid) : "-");
		if (r.error[0])
			buf_fmt(out, ": %s", r.error);
	}
}

static void log_state(struct managed *m)
{
	struct buf replicas = { .limit = 2048 };
	struct managed_facts f;

	managed_facts(m, &f);
	put_replicas(m, f.replica_count, &replicas);
	log_info("database state", LS("path", f.path), LS("state", f.dormant ? "dormant" : managed_state_name(f.state)),
	         LX("txid", f.txid), LD("lag", f.lag_ms * 1000000), LS("replicas", buf_text(&replicas)),
	         LS("reason", f.reason));
	buf_free(&replicas);
}

void daemon_log_states(struct daemon *d)
{
	for (struct managed *m = store_next(d->store, NULL); m; m = store_next(d->store, m))
		log_state(m);
	log_info("end of database states", LI("count", store_count(d->store)));
}

void daemon_notify(const char *text)
{
	struct err e = ERR_INIT;

	if (os_notify(text, &e))
		log_debug("cannot notify service manager", LS("error", err_text(&e)));
}

static bool all_opened(struct daemon *d)
{
	if (!fleet_settled(d->fleet))
		return false;
	for (struct managed *m = store_next(d->store, NULL); m; m = store_next(d->store, m)) {
		struct managed_facts f;

		managed_facts(m, &f);
		if (f.opening)
			return false;
	}
	return true;
}

static void on_ready_timer(struct loop_timer *t)
{
	struct daemon *d = (struct daemon *)(void *)((char *)t - offsetof(struct daemon, ready_timer));
	struct err e = ERR_INIT;

	if (d->stopping)
		return;
	if (!all_opened(d)) {
		loop_timer_set(d->loop, t, os_mono_us() + READY_LOOK_US, 0);
		return;
	}
	log_debug("all databases are looked after", LI("count", store_count(d->store)));
	daemon_notify("READY=1");
	if (d->r->ready_fd >= 0 && os_ready((int)d->r->ready_fd, &e))
		log_warn("cannot tell that we are ready", LS("error", err_text(&e)));
}

void daemon_await_ready(struct daemon *d)
{
	d->ready_timer.fire = on_ready_timer;
	loop_timer_set(d->loop, &d->ready_timer, os_mono_us(), 0);
}
