/* SPDX-License-Identifier: MIT */
/* daemon_parts.h - the daemon from the inside: daemon.c, reload.c (SIGHUP), states.c (SIGUSR1, readiness). */
#ifndef RIVULET_APPLETS_DAEMON_PARTS_H
#define RIVULET_APPLETS_DAEMON_PARTS_H

#include <sys/types.h>

#include "applets/fleet.h"
#include "applets/heartbeat.h"
#include "applets/progress.h"
#include "applets/replicate.h"
#include "applets/serve.h"

struct reload;

struct daemon {
	struct replicate *r;
	struct loop *loop;
	struct pool *pool;      /* for what is neither a database's nor a replica's: folders, restores, reloads, heartbeats */
	struct store *store;
	struct fleet *fleet;
	struct serve *serve;
	struct heartbeat *heartbeat;
	struct loop_timer progress_timer, ready_timer;
	struct progress progress;
	bool progress_shown;
	atomic_bool cancel;     /* of restores */
	struct reload *reload;  /* under way */
	bool reload_again;      /* asked for meanwhile */
	uint64_t fixed;         /* what only a start can change, as it is now: see reload.c */
	pid_t child;            /* 0 = none, or ended */
	int wait_status;        /* of the child */
	bool child_ended;
	bool stopping;
	int signals;            /* SIGINT and SIGTERM so far */
};

/* ---- reload.c ---- */
void daemon_reload(struct daemon *d);
uint64_t daemon_fixed(const struct config *c);

/* ---- states.c ---- */
void daemon_log_states(struct daemon *d);
/* From now on looks for the moment in which everything is looked after, and tells it once. */
void daemon_await_ready(struct daemon *d);
/* To the service manager; what goes wrong there is logged at DEBUG. */
void daemon_notify(const char *text);

#endif
