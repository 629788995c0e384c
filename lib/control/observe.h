/* SPDX-License-Identifier: MIT */
/*
 * observe.h - what is only looked at, as routes of the control room: the page (/), /metrics and /debug/pprof/. The
 * loop's thread.
 */
#ifndef RIVULET_CONTROL_OBSERVE_H
#define RIVULET_CONTROL_OBSERVE_H

#include "lib/control/control.h"

struct observe;

int observe_create(struct loop *loop, struct store *store, struct observe **out, struct err *e);
/* For control_options.routes; routes_ctx is the struct observe. */
const struct control_route *observe_routes(void);
/* The daemon stops: profiles under way are answered with what there is. */
void observe_stop(struct observe *w);
/* Before the server goes: profiles under way are ended, their requests not answered any more. May be NULL. */
void observe_free(struct observe *w);

#endif
