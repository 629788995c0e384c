/* SPDX-License-Identifier: MIT */
/*
 * socket.h - socket files, both sides, and TCP ports to listen on, for the event loop. What goes over a connection is
 * net.h's (os_net_recv, os_net_send, os_net_close). Nothing here blocks, but a name instead of an address in
 * os_listen_tcp(), which is looked up for at most 5 s.
 */
#ifndef RIVULET_OS_SOCKET_H
#define RIVULET_OS_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lib/base/err.h"

/* A socket that listens. For a socket file also which file it is: another process may have put its own there since. */
struct os_listener {
	int fd;
	char *path; /* owned; NULL for TCP */
	uint64_t dev, ino;
	struct timespec made;
};
#define OS_LISTENER_NONE { .fd = -1, .path = NULL }

/*
 * The life of a socket file (control.md §1.7): a stale one is replaced, one that somebody listens on and anything that
 * is no socket is left alone. It never has more rights than mode. Errors are Litestream's sentences: "socket path
 * exists but is not a socket: P", "listen on unix socket: listen unix P: bind: address already in use", …
 */
int os_listen_unix(struct os_listener *l, const char *path, unsigned mode, struct err *e);
/* host: "" = all interfaces, an address without brackets, or a name; port 0 = the kernel's choice. "listen tcp
 * HOST:PORT: bind: address already in use". */
int os_listen_tcp(struct os_listener *l, const char *host, int port, struct err *e);
int os_listener_port(const struct os_listener *l); /* 0 for a socket file */
/* Closes, and removes the socket file if it is still this one. Idempotent. */
void os_listener_close(struct os_listener *l);

/* The next connection: 0 and a descriptor that never blocks, or an errno: EAGAIN (none waits), ECONNABORTED (it is gone
 * again), EMFILE, ENFILE, ENOMEM, ENOBUFS (later). */
int os_accept(struct os_listener *l, int *fd);
/* The other side of a socket file: 0 and a descriptor that never blocks, or an errno: EAGAIN (its queue is full:
 * later). */
int os_connect_unix(const char *path, int *fd);
/* The peer reads the end once it has read what was sent. */
void os_finish_sending(int fd);

#endif
