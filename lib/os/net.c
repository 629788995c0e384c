/* SPDX-License-Identifier: MIT */
#include "lib/os/net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/point.h"

enum { CANCEL_LOOK_MS = 100 };

/* In slices, because a flag wakes nobody. A wait without a flag is one sleep. */
enum os_wait_end os_net_poll(struct pollfd *fds, int count, const struct os_wait *w)
{
	for (;;) {
		int64_t left_ms = INT64_MAX;
		int slice = -1, rc;

		if (w->cancel != NULL && atomic_load(w->cancel))
			return OS_WAIT_CANCELLED;
		if (w->until_us != INT64_MAX) {
			left_ms = (w->until_us - os_mono_us() + 999) / 1000;
			if (left_ms < 0)
				left_ms = 0;
			slice = left_ms < INT32_MAX ? (int)left_ms : INT32_MAX;
		}
		if (w->cancel != NULL && (slice < 0 || slice > CANCEL_LOOK_MS))
			slice = CANCEL_LOOK_MS;
		rc = poll(fds, (nfds_t)count, slice);
		if (rc > 0)
			return OS_WAIT_READY;
		if (rc == 0 && left_ms == 0)
			return OS_WAIT_TIME;
#ifdef OS_FAULTS
		/* A simulated clock goes on while we wait, as it does while we sleep. */
		if (rc == 0 && os_fault_clock_now(NULL, NULL))
			os_fault_clock_advance((int64_t)slice * 1000);
#endif
	}
}

bool os_addr_literal(const char *host, int port, struct os_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &out->u.v4.sin_addr) == 1) {
		out->u.v4.sin_family = AF_INET;
		out->u.v4.sin_port = htons((uint16_t)port);
		out->len = sizeof(out->u.v4);
		return true;
	}
	if (inet_pton(AF_INET6, host, &out->u.v6.sin6_addr) == 1) {
		out->u.v6.sin6_family = AF_INET6;
		out->u.v6.sin6_port = htons((uint16_t)port);
		out->len = sizeof(out->u.v6);
		return true;
	}
	return false;
}

bool os_addr_is_loopback(const struct os_addr *a)
{
	if (a->u.any.sa_family == AF_INET)
		return ntohl(a->u.v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->u.v6.sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&a->u.v6.sin6_addr) && a->u.v6.sin6_addr.s6_addr[12] == 127);
}

int os_connect_start(const struct os_addr *a, int *fd, bool *done)
{
	int one = 1, errnum;

	*done = false;
	*fd = -1;
	if (os_point(OS_CALL_NET) < 0)
		return errno;
	*fd = socket(a->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return errno;
	/* Without it a request's last bytes may wait for the answer to those before. A failure costs only time. */
	(void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(*fd, &a->u.any, a->len) == 0) {
		*done = true;
		return 0;
	}
	/* An interrupted connect goes on by itself. */
	if (errno == EINPROGRESS || errno == EINTR)
		return 0;
	errnum = errno;
	os_net_close(*fd);
	*fd = -1;
	return errnum;
}

int os_connect_result(int fd)
{
	socklen_t len = sizeof(int);
	int errnum = 0;

	if (os_point(OS_CALL_NET) < 0)
		return errno;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0 ? errno : errnum;
}

int os_net_recv(int fd, void *bytes, size_t n, size_t *got)
{
	ssize_t rc = os_point(OS_CALL_NET);

	*got = 0;
	if (rc == 0) {
		do
			rc = recv(fd, bytes, n, 0);
		while (rc < 0 && errno == EINTR);
	}
	if (rc < 0)
		return errno == EWOULDBLOCK ? EAGAIN : errno;
	*got = (size_t)rc;
	return 0;
}

int os_net_send(int fd, const void *bytes, size_t n, bool more, size_t *sent)
{
	ssize_t rc = os_point(OS_CALL_NET);

	*sent = 0;
	if (rc == 0) {
		do
			rc = send(fd, bytes, n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
		while (rc < 0 && errno == EINTR);
	}
	if (rc < 0)
		return errno == EWOULDBLOCK ? EAGAIN : errno;
	*sent = (size_t)rc;
	return 0;
}

bool os_net_quiet(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };

	return poll(&p, 1, 0) == 0;
}

void os_net_close(int fd)
{
	if (fd >= 0)
		close(fd);
}
