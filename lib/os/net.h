/* SPDX-License-Identifier: MIT */
/*
 * net.h - TCP connections for threads that may wait: names, connecting, sending, receiving, and waits that end.
 *
 * Sockets never block; whoever must wait calls os_net_poll(), which ends at a time of the monotonic clock or within
 * 100 ms once a flag is set. Functions that know no name for a message return 0 or an errno instead of a sentence. Any
 * thread; one descriptor is used by one thread at a time.
 */
#ifndef RIVULET_OS_NET_H
#define RIVULET_OS_NET_H

#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/* How long a wait may last. */
struct os_wait {
	int64_t until_us;          /* as os_mono_us(); INT64_MAX = without end */
	const atomic_bool *cancel; /* may be NULL */
};
enum os_wait_end { OS_WAIT_READY, OS_WAIT_TIME, OS_WAIT_CANCELLED };
enum os_wait_end os_net_poll(struct pollfd *fds, int count, const struct os_wait *w);

struct os_addr {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} u;
	socklen_t len;
};
/* "192.0.2.1" or "2001:db8::1", no brackets; false for anything else. */
bool os_addr_literal(const char *host, int port, struct os_addr *out);
bool os_addr_is_loopback(const struct os_addr *a);

/*
 * Addresses of a host, in the resolver's order. The C library's resolver cannot be interrupted and waits as long as
 * resolv.conf says (5 s for each search domain), so it runs on a thread of its own, which is left behind when the wait
 * ends and goes away by itself; at most OS_LOOKUPS_MAX of them exist in the process, beyond that a lookup is refused.
 * ERR_UNAVAILABLE "lookup HOST: no such host" (and no name server, time-out: another attempt may help), ERR_CANCELLED.
 */
enum { OS_ADDRS_MAX = 16, OS_LOOKUPS_MAX = 16 };
int os_resolve(const char *host, int port, const struct os_wait *w, struct os_addr out[OS_ADDRS_MAX], int *count,
               struct err *e);

/* Starts to connect. 0: *fd is connected or, with *done false, will be when it is writable: os_connect_result() then
 * tells. An errno: *fd is -1. TCP_NODELAY is set. */
int os_connect_start(const struct os_addr *a, int *fd, bool *done);
int os_connect_result(int fd);

/* 0 with *got == 0: the peer has closed. EAGAIN: nothing there now. */
int os_net_recv(int fd, void *bytes, size_t n, size_t *got);
/* *sent may be less than n. EAGAIN: no room now. more: further bytes follow at once, so do not send half packets. */
int os_net_send(int fd, const void *bytes, size_t n, bool more, size_t *sent);
/* Nothing to read and not closed by the peer: fit for another request. */
bool os_net_quiet(int fd);
void os_net_close(int fd);

/* Bytes nobody can guess. Waits at an early boot until the kernel has them. */
int os_random(void *bytes, size_t n, struct err *e);

#endif
