/* SPDX-License-Identifier: MIT */
/*
 * routes.h - /debug/pprof/… of an HTTP server (control.md §8.1). The loop's thread.
 *
 * Profiles over a time are answered by the loop's timer, so that no thread waits for them; when the client goes away,
 * measuring ends. One CPU profile at a time, PROF_RUNS_MAX timed ones in all.
 */
#ifndef RIVULET_PROF_ROUTES_H
#define RIVULET_PROF_ROUTES_H

#include "http/server.h"
#include "lib/os/loop.h"

enum { PROF_RUNS_MAX = 16 };

struct prof_routes;
struct prof_routes *prof_routes_create(struct loop *loop, struct err *e);
/* Ends what runs; those requests are not answered any more. */
void prof_routes_free(struct prof_routes *p);
/* false: the target is none of ours. argv as of main(), for /debug/pprof/cmdline. */
bool prof_handle(struct prof_routes *p, struct http_server_request *rq, int argc, char *const *argv);

#endif
