/* SPDX-License-Identifier: MIT */
/*
 * SIGHUP: the configuration is read again, by a job, because folders may have to be looked through. Only when all of it
 * is good something changes; else one line says why nothing does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "applets/daemon_parts.h"
#include "applets/derive.h"
#include "lib/base/crc64.h"
#include "lib/base/log.h"
#include "lib/os/clock.h"

struct reload {
	struct pool_job job;
	struct daemon *d;
	struct census census;
	struct levels_policy policy;
	int rc;
	struct err why;
};

static uint64_t add(uint64_t crc, const char *s)
{
	return crc64(crc, s, strlen(s) + 1);
}

/* What is set up once, at the start. */
uint64_t daemon_fixed(const struct config *c)
{
	const int64_t numbers[] = { c->socket.enabled, c->socket.permissions, c->socket.persist, c->shutdown_timeout_ns,
	                            c->shutdown_interval_ns };

	return crc64(add(add(add(0, c->addr), c->exec), c->socket.path), numbers, sizeof(numbers));
}

static void run(struct pool_job *job)
{
	struct reload *rl = (struct reload *)(void *)job;
	struct config c;

	rl->rc = replicate_read_config(rl->d->r, &c, &rl->why);
	if (!rl->rc)
		rl->rc = census_take(&c, false, &rl->census, &rl->why);
	if (rl->rc)
		return;
	rl->rc = derive_policy(&rl->census.config, &rl->policy, &rl->why);
	if (rl->rc)
		census_free(&rl->census);
}

static void apply(struct daemon *d, struct reload *rl)
{
	const struct config *c = &rl->census.config;
	struct fleet_changes changes;

	replicate_set_log(d->r, c);
	if (daemon_fixed(c) != d->fixed)
		log_warn("socket, addr, exec and the shutdown times of the configuration take effect at the next start");
	heartbeat_set(d->heartbeat, c);
	store_set_policy(d->store, &rl->policy);
	fleet_change(d->fleet, &rl->census, &changes);
	log_info("configuration reloaded", LI("added", changes.added), LI("removed", changes.removed),
	         LI("changed", changes.changed));
}

static void done(struct pool_job *job)
{
	struct reload *rl = (struct reload *)(void *)job;
	struct daemon *d = rl->d;

	d->reload = NULL;
	if (d->stopping) {
		if (!rl->rc)
			census_free(&rl->census);
	} else if (rl->rc) {
		log_error("cannot reload configuration, nothing is changed", LS("error", err_text(&rl->why)));
		daemon_notify("READY=1");
	} else {
		apply(d, rl);
		daemon_notify("READY=1");
	}
	free(rl);
	if (d->reload_again && !d->stopping)
		daemon_reload(d);
}

void daemon_reload(struct daemon *d)
{
	char text[64];

	if (d->stopping)
		return;
	d->reload_again = d->reload != NULL;
	if (d->reload_again)
		return;
	log_info("signal received, reloading configuration", LS("signal", "hangup"));
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)os_mono_us());
	daemon_notify(text);
	d->reload = calloc(1, sizeof(*d->reload));
	if (!d->reload) {
		log_error("cannot reload configuration, nothing is changed", LS("error", "out of memory"));
		return;
	}
	d->reload->job = (struct pool_job){ .run = run, .done = done };
	d->reload->d = d;
	pool_submit(d->pool, &d->reload->job);
}
