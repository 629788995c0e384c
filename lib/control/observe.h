/* SPDX-License-Identifier: MIT */
/*
 * observe.h - what is only looked at, as routes of the control room: the page (/), /metrics and /debug/pprof/. The loop's
 * thread.
 */
#ifndef RIVULET_CONTROL_OBSERVE_H
#define RIVULET_CONTROL_OBSERVE_H

#include "lib/control/control.h"

struct observe;

struct observe_options {
	struct loop *loop;
	struct store *store;
	int argc;            /* of main(), for /debug/pprof/cmdline; must outlive it */
	char *const *argv;
};
int observe_create(const struct observe_options *o, struct observe **out, struct err *e);
/* For control_options.routes; routes_ctx is the struct observe. */
const struct control_route *observe_routes(void);
/* Before the server goes: profiles under way are ended, their requests not answered any more. May be NULL. */
void observe_free(struct observe *w);

#endif
