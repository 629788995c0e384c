/* SPDX-License-Identifier: MIT */
/* Happy eyeballs: addresses that answer, refuse, or keep silent. */
#include "tests/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/race.h"
#include "lib/os/clock.h"

/* A listener on that address; silent: its queue is full, so that the kernel answers no further caller. */
struct spot {
	struct os_addr addr;
	int fd, fill[4];
};

static int spot_make(struct spot *s, const char *ip, bool silent)
{
	memset(s->fill, -1, sizeof(s->fill));
	os_addr_literal(ip, 0, &s->addr);
	s->fd = socket(s->addr.u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, &s->addr.u.any, s->addr.len) < 0 || listen(s->fd, silent ? 0 : 8) < 0 ||
	    getsockname(s->fd, &s->addr.u.any, &s->addr.len) < 0)
		return -1;
	for (int i = 0; silent && i < 4; i++) {
		bool done;

		if (os_connect_start(&s->addr, &s->fill[i], &done) != 0)
			return -1;
	}
	if (silent)
		os_sleep_ms(20);
	return 0;
}

static void spot_free(struct spot *s)
{
	for (int i = 0; i < 4; i++)
		os_net_close(s->fill[i]);
	close(s->fd);
}

static int port_of(const struct os_addr *a)
{
	return ntohs(a->u.any.sa_family == AF_INET ? a->u.v4.sin_port : a->u.v6.sin6_port);
}

static int peer_port(int fd)
{
	struct os_addr a;

	a.len = sizeof(a.u);
	return getpeername(fd, &a.u.any, &a.len) < 0 ? -1 : port_of(&a);
}

static struct spot good, other, silent;
static struct os_addr refusing;

static int make_all(void)
{
	struct spot gone;

	if (spot_make(&good, "127.0.0.1", false) < 0 || spot_make(&other, "127.0.0.1", false) < 0 ||
	    spot_make(&silent, "127.0.0.1", true) < 0 || spot_make(&gone, "127.0.0.1", false) < 0)
		return -1;
	refusing = gone.addr;
	spot_free(&gone);
	return 0;
}

static void free_all(void)
{
	spot_free(&good);
	spot_free(&other);
	spot_free(&silent);
}

TEST(first_good_one_wins)
{
	struct os_addr addrs[3];
	int family = 0, errnum, fd;

	CHECK_INT(make_all(), 0);
	addrs[0] = refusing;
	addrs[1] = good.addr;
	addrs[2] = other.addr;
	fd = race_connect(addrs, 3, &family, 60000, NULL, &errnum);
	CHECK(fd >= 0);
	CHECK_INT(peer_port(fd), port_of(&good.addr));
	CHECK_INT(family, AF_INET);
	os_net_close(fd);
	free_all();
}

TEST(silent_one_is_passed)
{
	struct os_addr addrs[3];
	int64_t start_us = os_mono_us();
	int family = 0, errnum, fd;

	CHECK_INT(make_all(), 0);
	addrs[0] = silent.addr;
	addrs[1] = silent.addr;
	addrs[2] = good.addr;
	fd = race_connect(addrs, 3, &family, 60000, NULL, &errnum);
	CHECK(fd >= 0);
	CHECK_INT(peer_port(fd), port_of(&good.addr));
	/* Each had its head start, and not the 60 s. */
	CHECK(os_mono_us() - start_us >= 500000);
	os_net_close(fd);
	free_all();
}

TEST(none)
{
	struct os_addr addrs[2];
	int family = 0, errnum;

	CHECK_INT(make_all(), 0);
	addrs[0] = addrs[1] = refusing;
	CHECK_INT(race_connect(addrs, 2, &family, 60000, NULL, &errnum), -1);
	CHECK_INT(errnum, ECONNREFUSED);
	addrs[1] = silent.addr;
	CHECK_INT(race_connect(addrs, 2, &family, 50, NULL, &errnum), -1);
	CHECK_INT(errnum, ETIMEDOUT);
	addrs[0] = silent.addr;
	CHECK_INT(race_connect(addrs, 2, &family, 50, NULL, &errnum), -1);
	CHECK_INT(errnum, ETIMEDOUT);
	free_all();
}

static void *set_soon(void *flag)
{
	os_sleep_ms(30);
	atomic_store((atomic_bool *)flag, true);
	return NULL;
}

TEST(cancelled)
{
	atomic_bool cancel = false;
	int family = 0, errnum;
	pthread_t thread;

	CHECK_INT(make_all(), 0);
	CHECK_INT(pthread_create(&thread, NULL, set_soon, &cancel), 0);
	CHECK_INT(race_connect(&silent.addr, 1, &family, 60000, &cancel, &errnum), -1);
	CHECK_INT(errnum, ECANCELED);
	pthread_join(thread, NULL);
	free_all();
}

TEST(families_take_turns)
{
	struct spot six;
	struct os_addr addrs[4];
	int family = AF_INET6, errnum, fd;

	CHECK_INT(make_all(), 0);
	if (spot_make(&six, "::1", false) < 0)
		SKIP("no IPv6 here");
	addrs[0] = good.addr;
	addrs[1] = other.addr;
	addrs[2] = six.addr;
	/* The family that worked before goes first. */
	fd = race_connect(addrs, 3, &family, 60000, NULL, &errnum);
	CHECK_INT(peer_port(fd), port_of(&six.addr));
	CHECK_INT(family, AF_INET6);
	os_net_close(fd);
	/* And the second attempt is of the other one. */
	family = 0;
	addrs[0] = refusing;
	fd = race_connect(addrs, 3, &family, 60000, NULL, &errnum);
	CHECK_INT(peer_port(fd), port_of(&six.addr));
	os_net_close(fd);
	/* A family that nobody has. */
	family = AF_INET6;
	fd = race_connect(&good.addr, 1, &family, 60000, NULL, &errnum);
	CHECK(fd >= 0);
	CHECK_INT(family, AF_INET);
	os_net_close(fd);
	spot_free(&six);
	free_all();
}

TEST_MAIN
