/* SPDX-License-Identifier: MIT */
/*
 * watch.h - `list -watch`: the databases of a running daemon, drawn anew at every change.
 */
#ifndef RIVULET_APPLETS_WATCH_H
#define RIVULET_APPLETS_WATCH_H

#include <stdbool.h>

/* Until the daemon ends the stream or somebody interrupts us. On a terminal a table, else a line per change; json: the
 * daemon's lines. Returns the exit status. */
int watch_databases(const char *socket, bool json);

#endif
