/* SPDX-License-Identifier: MIT */
#include "lib/os/socket.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/net.h"
#include "lib/os/point.h"

enum { BACKLOG = 4096, LOOKUP_US = 5000000 }; /* the kernel cuts the backlog to net.core.somaxconn */

static int open_socket(int family)
{
	if (os_point(OS_CALL_NET) < 0)
		return -1;
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* ---- socket files ---- */

/* Does nobody listen on that socket file? Only a refusal says so; whatever else is wrong, it is not ours to remove. */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd = open_socket(AF_UNIX);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	        (errno == ECONNREFUSED || errno == ENOENT);
	close(fd);
	return stale;
}

/* Makes the name free. */
static int clear_name(const struct sockaddr_un *address, struct err *e)
{
	const char *path = address->sun_path;
	struct stat st;

	if (os_point(OS_CALL_LOOK) < 0 || lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		err_sys(e, errno, "lstat %s", path);
		return err_wrap(e, "check socket path");
	}
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_EXISTS, "socket path exists but is not a socket: %s", path);
	if (!is_stale(address)) {
		err_sys(e, EADDRINUSE, "listen unix %s: bind", path);
		return err_wrap(e, "listen on unix socket");
	}
	if ((os_point(OS_CALL_NAME) < 0 || unlink(path) < 0) && errno != ENOENT) {
		err_sys(e, errno, "remove %s", path);
		return err_wrap(e, "remove existing socket");
	}
	return 0;
}

static int bind_name(struct os_listener *l, const struct sockaddr_un *address, unsigned mode, struct err *e)
{
	const char *path = address->sun_path;
	struct stat st;

	l->fd = open_socket(AF_UNIX);
	/* The file gets the socket's own mode, so it is never wider than asked for, and no umask need be touched, which
	 * other threads would share. */
	if (l->fd < 0 || fchmod(l->fd, (mode_t)mode & 0600) < 0) {
		err_sys(e, errno, "listen unix %s: socket", path);
		return err_wrap(e, "listen on unix socket");
	}
	if (os_point(OS_CALL_NET) < 0 || bind(l->fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		err_sys(e, errno, "listen unix %s: bind", path);
		return err_wrap(e, "listen on unix socket");
	}
	l->path = strdup(path);
	if (l->path == NULL || lstat(path, &st) < 0) {
		(void)unlink(path);
		return l->path == NULL ? err_nomem(e) : err_sys(e, errno, "lstat %s", path);
	}
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->made = st.st_mtim;
	if (os_point(OS_CALL_NAME) < 0 || chmod(path, (mode_t)mode) < 0) {
		err_sys(e, errno, "chmod %s", path);
		return err_wrap(e, "chmod socket");
	}
	if (listen(l->fd, BACKLOG) < 0) {
		err_sys(e, errno, "listen unix %s: listen", path);
		return err_wrap(e, "listen on unix socket");
	}
	return 0;
}

int os_listen_unix(struct os_listener *l, const char *path, unsigned mode, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*l = (struct os_listener)OS_LISTENER_NONE;
	if (*path == 0)
		return err_set(e, ERR_INVALID, "socket path required");
	if (strlen(path) >= sizeof(address.sun_path)) {
		err_sys(e, EINVAL, "listen unix %s: bind", path);
		return err_wrap(e, "listen on unix socket");
	}
	(void)strcpy(address.sun_path, path);
	if (clear_name(&address, e) == 0 && bind_name(l, &address, mode, e) == 0)
		return 0;
	os_listener_close(l);
	return -1;
}

/* ---- ports ---- */

static int bind_port(struct os_listener *l, const struct os_addr *address)
{
	int yes = 1, no = 0;

	l->fd = open_socket(address->u.any.sa_family);
	if (l->fd < 0)
		return errno;
	/* A port whose old connections still fade is free. "[::]" takes IPv4 as well;
	 * a machine without needs neither. */
	(void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (address->u.any.sa_family == AF_INET6)
		(void)setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	if (os_point(OS_CALL_NET) < 0 || bind(l->fd, &address->u.any, address->len) < 0 || listen(l->fd, BACKLOG) < 0) {
		int errnum = errno;

		os_listener_close(l);
		return errnum;
	}
	return 0;
}

/* One address of a name, IPv4 first as Go takes it. */
static int look_up(const char *host, int port, struct os_addr *out, struct err *e)
{
	const struct os_wait w = { .until_us = os_mono_us() + LOOKUP_US };
	struct os_addr found[OS_ADDRS_MAX];
	int count, i = 0;

	if (os_resolve(host, port, &w, found, &count, e) < 0)
		return -1;
	while (i < count && found[i].u.any.sa_family != AF_INET)
		i++;
	*out = found[i < count ? i : 0];
	return 0;
}

int os_listen_tcp(struct os_listener *l, const char *host, int port, struct err *e)
{
	bool bracket = strchr(host, ':') != NULL;
	struct os_addr address;
	int errnum;

	*l = (struct os_listener)OS_LISTENER_NONE;
	if (!os_addr_literal(*host ? host : "::", port, &address) && look_up(host, port, &address, e) < 0)
		return err_wrap(e, "listen tcp");
	errnum = bind_port(l, &address);
	if (errnum == EAFNOSUPPORT && *host == 0 && os_addr_literal("0.0.0.0", port, &address))
		errnum = bind_port(l, &address);
	if (errnum == 0)
		return 0;
	return err_sys(e, errnum, "listen tcp %s%s%s:%d: bind", bracket ? "[" : "", host, bracket ? "]" : "", port);
}

int os_listener_port(const struct os_listener *l)
{
	struct os_addr address = { .len = sizeof(address.u) };

	if (l->fd < 0 || l->path != NULL || getsockname(l->fd, &address.u.any, &address.len) < 0)
		return 0;
	return ntohs(address.u.any.sa_family == AF_INET ? address.u.v4.sin_port : address.u.v6.sin6_port);
}

/* The number alone does not tell: file systems give it to the next file that is made. */
static bool is_ours(const struct os_listener *l, const struct stat *st)
{
	return st->st_dev == l->dev && st->st_ino == l->ino && st->st_mtim.tv_sec == l->made.tv_sec &&
	       st->st_mtim.tv_nsec == l->made.tv_nsec;
}

void os_listener_close(struct os_listener *l)
{
	struct stat st;

	if (l->path != NULL && lstat(l->path, &st) == 0 && is_ours(l, &st))
		(void)unlink(l->path);
	os_net_close(l->fd);
	free(l->path);
	*l = (struct os_listener)OS_LISTENER_NONE;
}

/* ---- connections ---- */

int os_accept(struct os_listener *l, int *fd)
{
	int yes = 1;

	*fd = -1;
	if (os_point(OS_CALL_NET) < 0)
		return errno;
	do
		*fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (*fd < 0 && errno == EINTR);
	if (*fd < 0) {
		/* What went wrong on the network before we came is the same as a connection that is gone. */
		bool later = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS ||
		             errno == EAGAIN;

		return later ? errno : ECONNABORTED;
	}
	if (l->path == NULL) {
		(void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		(void)setsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
	}
	return 0;
}

int os_connect_unix(const char *path, int *fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int errnum = 0;

	*fd = -1;
	if (strlen(path) >= sizeof(address.sun_path))
		return EINVAL;
	(void)strcpy(address.sun_path, path);
	*fd = open_socket(AF_UNIX);
	if (*fd >= 0 && connect(*fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	errnum = errno;
	os_net_close(*fd);
	*fd = -1;
	return errnum;
}

void os_finish_sending(int fd)
{
	(void)shutdown(fd, SHUT_WR);
}
