/* SPDX-License-Identifier: MIT */
#include "tests/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/net.h"

static struct err err;

static struct os_wait within_ms(int64_t ms, const atomic_bool *cancel)
{
	return (struct os_wait){ .until_us = os_mono_us() + ms * 1000, .cancel = cancel };
}

TEST(literals)
{
	struct os_addr a;

	CHECK(os_addr_literal("192.0.2.7", 81, &a));
	CHECK_INT(a.u.any.sa_family, AF_INET);
	CHECK_INT(ntohs(a.u.v4.sin_port), 81);
	CHECK(!os_addr_is_loopback(&a));
	CHECK(os_addr_literal("127.1.2.3", 1, &a) && os_addr_is_loopback(&a));
	CHECK(os_addr_literal("2001:db8::1", 65535, &a));
	CHECK_INT(a.u.any.sa_family, AF_INET6);
	CHECK_INT(ntohs(a.u.v6.sin6_port), 65535);
	CHECK(os_addr_literal("::1", 1, &a) && os_addr_is_loopback(&a));
	CHECK(os_addr_literal("::ffff:127.0.0.1", 1, &a) && os_addr_is_loopback(&a));
	CHECK(!os_addr_literal("[::1]", 1, &a));
	CHECK(!os_addr_literal("a.example", 1, &a));
	CHECK(!os_addr_literal("1.2.3", 1, &a));
	CHECK(!os_addr_literal("", 1, &a));
}

TEST(resolve)
{
	struct os_addr addrs[OS_ADDRS_MAX];
	struct os_wait w = within_ms(60000, NULL), none = within_ms(-1, NULL);
	atomic_bool cancel = true;
	struct os_wait cancelled = within_ms(60000, &cancel);
	int count;

	CHECK_OK(os_resolve("192.0.2.7", 80, &none, addrs, &count, &err), &err);
	CHECK_INT(count, 1);
	CHECK_OK(os_resolve("localhost", 80, &w, addrs, &count, &err), &err);
	CHECK(count >= 1 && os_addr_is_loopback(&addrs[0]));
	CHECK_INT(ntohs(addrs[0].u.v4.sin_port), 80);
	CHECK_INT(os_resolve("no-such-host.invalid", 80, &cancelled, addrs, &count, &err), -1);
	CHECK_INT(err.code, ERR_CANCELLED);
	/* However fast the resolver is, it may not have been given the time. */
	if (os_resolve("no-such-host.invalid", 80, &none, addrs, &count, &err) < 0)
		CHECK_INT(err.code, ERR_UNAVAILABLE);
	os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = 1, .calls = OS_CALL_NET });
	CHECK_INT(os_resolve("localhost", 80, &w, addrs, &count, &err), -1);
	os_fault_set(NULL);
	CHECK_INT(err.code, ERR_UNAVAILABLE);
	CHECK_STR(err.text, "lookup localhost: input/output error");
}

static int listen_on(struct os_addr *a)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a->len = sizeof(a->u.v4);
	if (bind(fd, &a->u.any, a->len) < 0 || listen(fd, 1) < 0 || getsockname(fd, &a->u.any, &a->len) < 0)
		return -1;
	return fd;
}

static int connected(const struct os_addr *a)
{
	struct os_wait w = within_ms(60000, NULL);
	struct pollfd p = { .events = POLLOUT };
	bool done;

	if (os_connect_start(a, &p.fd, &done) != 0)
		return -1;
	if (!done && (os_net_poll(&p, 1, &w) != OS_WAIT_READY || os_connect_result(p.fd) != 0)) {
		os_net_close(p.fd);
		return -1;
	}
	return p.fd;
}

TEST(connect_send_receive)
{
	struct os_wait w = within_ms(60000, NULL);
	struct os_addr a;
	struct pollfd p = { .events = POLLIN };
	int listener, there;
	char bytes[10];
	size_t n;

	CHECK(os_addr_literal("127.0.0.1", 0, &a));
	listener = listen_on(&a);
	CHECK(listener >= 0);
	p.fd = connected(&a);
	CHECK(p.fd >= 0);
	there = accept(listener, NULL, NULL);
	CHECK_INT(os_net_recv(p.fd, bytes, sizeof(bytes), &n), EAGAIN);
	CHECK(os_net_quiet(p.fd));
	CHECK_INT(os_net_send(p.fd, "ab", 2, false, &n), 0);
	CHECK_INT(n, 2);
	CHECK_INT(recv(there, bytes, sizeof(bytes), 0), 2);
	CHECK_INT(send(there, "xyz", 3, 0), 3);
	CHECK_INT(os_net_poll(&p, 1, &w), OS_WAIT_READY);
	CHECK(!os_net_quiet(p.fd));
	CHECK_INT(os_net_recv(p.fd, bytes, sizeof(bytes), &n), 0);
	CHECK_INT(n, 3);
	close(there);
	CHECK_INT(os_net_poll(&p, 1, &w), OS_WAIT_READY);
	CHECK(!os_net_quiet(p.fd));
	CHECK_INT(os_net_recv(p.fd, bytes, sizeof(bytes), &n), 0);
	CHECK_INT(n, 0);
	os_net_close(p.fd);
	close(listener);
	CHECK_INT(connected(&a), -1);
}

static void *set_later(void *flag)
{
	os_sleep_ms(20);
	atomic_store((atomic_bool *)flag, true);
	return NULL;
}

TEST(waits_end)
{
	struct os_wait w = within_ms(20, NULL), endless = { .until_us = INT64_MAX };
	atomic_bool cancel = false;
	int fds[2];
	struct pollfd p = { .events = POLLIN };
	pthread_t thread;

	CHECK_INT(pipe(fds), 0);
	p.fd = fds[0];
	CHECK_INT(os_net_poll(&p, 1, &w), OS_WAIT_TIME);
	CHECK(os_mono_us() >= w.until_us);
	endless.cancel = &cancel;
	CHECK_INT(pthread_create(&thread, NULL, set_later, &cancel), 0);
	CHECK_INT(os_net_poll(&p, 1, &endless), OS_WAIT_CANCELLED);
	pthread_join(thread, NULL);
	CHECK_INT(write(fds[1], "x", 1), 1);
	endless.cancel = NULL;
	CHECK_INT(os_net_poll(&p, 1, &endless), OS_WAIT_READY);
	close(fds[0]);
	close(fds[1]);
}

TEST(random_bytes)
{
	uint8_t a[600] = { 0 }, b[600] = { 0 };

	CHECK_OK(os_random(a, sizeof(a), &err), &err);
	CHECK_OK(os_random(b, sizeof(b), &err), &err);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	CHECK(memcmp(a + 590, "\0\0\0\0\0\0\0\0\0\0", 10) != 0);
	os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = 1 });
	CHECK_INT(os_random(a, sizeof(a), &err), -1);
	os_fault_set(NULL);
	CHECK_STR(err.text, "random bytes: input/output error");
}

TEST_MAIN
