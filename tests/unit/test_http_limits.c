/* SPDX-License-Identifier: MIT */
/* test_http_limits.c - what bounds the HTTP server: time, numbers, descriptors, failing calls, its end. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/socket.h"
#include "tests/support/http_kit.h"

/* ---- time ---- */

TEST(idle_and_half_sent_connections_are_closed)
{
	const struct http_server_options o = { .idle_ms = 1000, .request_ms = 5000, .raw = true };
	int idle, half, raw, busy;

	os_fault_clock(1000000, 1000000);
	CHECK_INT(begin(&o), 0);
	idle = dial();
	half = dial();
	raw = dial();
	busy = dial();
	say(half, "GET / HT");
	say(raw, "{\"a\"");
	say(busy, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(5);
	CHECK_INT(http_server_connections(server), 4);
	os_fault_clock_advance(2500000);
	turn(5);
	CHECK_INT(http_server_connections(server), 3);
	CHECK_STR(hear(idle), "<end>");
	os_fault_clock_advance(5000000);
	turn(5);
	CHECK_STR(hear(half), "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 16\r\n"
	                      "Connection: close\r\n\r\nrequest timeout\n<end>");
	CHECK_STR(hear(raw), "<end>");
	os_fault_clock_advance(60000000);
	turn(5);
	/* Who waits for an answer may wait. */
	CHECK_INT(http_server_connections(server), 1);
	http_reply(later[0], 200, NULL, "", 0);
	CHECK_STR(hear(busy), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	end();
	os_fault_clock(0, 0);
	close(idle);
	close(half);
	close(raw);
	close(busy);
}

TEST(a_client_that_never_reads)
{
	int fd;

	os_fault_clock(1000000, 1000000);
	START;
	fd = dial();
	say(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(5);
	CHECK_INT(http_server_busy(server), 1);
	os_fault_clock_advance(70000000);
	turn(5);
	CHECK_INT(http_server_connections(server), 0);
	end();
	os_fault_clock(0, 0);
	close(fd);
}

TEST(nothing_is_due_while_nobody_is_there)
{
	int fd;

	START;
	CHECK_INT(loop_next_due(loop), INT64_MAX);
	fd = dial();
	say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(3);
	CHECK_INT(loop_next_due(loop), INT64_MAX);
	close(fd);
	turn(3);
	CHECK_INT(loop_next_due(loop), INT64_MAX);
	end();
}

/* ---- numbers ---- */

TEST(the_oldest_waiting_connection_makes_room)
{
	const struct http_server_options o = { .connections_max = 3 };
	int fd[5];

	CHECK_INT(begin(&o), 0);
	for (int i = 0; i < 3; i++) {
		fd[i] = dial();
		turn(2);
	}
	say(fd[0], "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(2);
	fd[3] = dial();
	turn(3);
	CHECK_INT(http_server_connections(server), 3);
	CHECK_STR(hear(fd[1]), "<end>");
	say(fd[2], "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	say(fd[3], "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(3);
	fd[4] = dial();
	CHECK_STR(hear(fd[4]), "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>");
	for (int i = 0; i < 5; i++)
		close(fd[i]);
	turn(5);
	CHECK_INT(http_server_connections(server), 0);
	end();
}

TEST(ten_thousand_connections)
{
	struct rlimit limit;
	int wanted = 10000, *fds, made = 0, answered = 0;

	START;
	getrlimit(RLIMIT_NOFILE, &limit);
	if ((long)limit.rlim_cur / 2 - 100 < wanted)
		wanted = (int)(limit.rlim_cur / 2 - 100);
	fds = calloc((size_t)wanted, sizeof(*fds));
	CHECK(fds);
	for (; made < wanted; made++) {
		fds[made] = dial();
		while (fds[made] < 0) { /* the queue of the listener is full */
			turn(1);
			fds[made] = dial();
		}
	}
	for (int i = 0; i < wanted && http_server_connections(server) < wanted; i++)
		turn(1);
	CHECK_INT(http_server_connections(server), wanted);
	for (int i = 0; i < wanted; i += 100) {
		say(fds[i], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
		answered += strstr(hear(fds[i]), "GET /a 0") != NULL;
	}
	CHECK_INT(answered, (wanted + 99) / 100);
	for (int i = 0; i < wanted; i++)
		close(fds[i]);
	for (int i = 0; i < wanted && http_server_connections(server) > 0; i++)
		turn(1);
	CHECK_INT(http_server_connections(server), 0);
	free(fds);
	end();
}

TEST(no_descriptors_left)
{
	struct rlimit limit, low;
	int fd, first, used;

	START;
	first = dial();
	turn(2);
	say(first, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(2);
	fd = dial();
	used = open("/dev/null", O_RDONLY);
	close(used);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = (rlim_t)used;
	setrlimit(RLIMIT_NOFILE, &low);
	turn(3);
	CHECK(loop_next_due(loop) != INT64_MAX);
	setrlimit(RLIMIT_NOFILE, &limit);
	/* Somebody leaves: whoever waited is let in at once. */
	close(first);
	turn(3);
	say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK(strstr(hear(fd), "GET /a 0"));
	close(fd);
	end();
}

/* Any one call of the network or the loop fails, or all from then on: nothing is left behind, and the next client is
 * served. */
TEST(every_call_fails)
{
	static const enum os_fault_mode modes[] = { OS_FAULT_ONCE, OS_FAULT_FROM };

	START;
	for (int m = 0; m < 2; m++) {
		bool hit = true;

		for (uint64_t n = 1; hit; n++) {
			struct os_fault_plan plan = { .mode = modes[m], .at = n, .errnum = ENOMEM };
			int fd;

			os_fault_set(&plan);
			fd = dial();
			say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nokGET /big HTTP/1.1\r\n"
			        "Host: x\r\n\r\nGET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
			turn(10);
			hear(fd);
			hit = os_fault_hit();
			os_fault_set(NULL);
			close(fd);
			for (int i = 0; i < 1000 && http_server_connections(server) > 0; i++)
				loop_once(loop, 1, NULL);
			CHECK_INT(http_server_connections(server), 0);
			fd = dial();
			say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
			for (int i = 0; i < 1000 && http_server_connections(server) == 0; i++)
				loop_once(loop, 1, NULL);
			CHECK_STR(hear(fd), ANSWER("10", "\r\n") "GET /a 0 \n");
			close(fd);
			turn(3);
		}
	}
	end();
}

TEST(stopping)
{
	int idle, busy;
	struct stat st;

	START;
	idle = dial();
	busy = dial();
	say(busy, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(4);
	http_server_stop(server);
	CHECK(lstat(tmppath("s"), &st) < 0);
	CHECK_STR(hear(idle), "<end>");
	CHECK_INT(http_server_busy(server), 1);
	http_reply(later[0], 200, NULL, "x", 1);
	CHECK_STR(hear(busy), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx<end>");
	CHECK_INT(http_server_busy(server), 0);
	close(idle);
	close(busy);
	end();
}

TEST(freeing_tells_handlers)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(3);
	end();
	CHECK_INT(gone_count, 1);
	close(fd);
}

TEST(tcp)
{
	struct err e = ERR_INIT;
	struct sockaddr_in to = { .sin_family = AF_INET };
	int listener, fd;
	struct os_listener other;

	START;
	CHECK_INT(http_server_listen_tcp(server, "9090", &e), -1);
	CHECK_STR(e.text, "must specify port for bind address: \"9090\"");
	CHECK_INT(http_server_listen_tcp(server, "h:", &e), -1);
	CHECK_STR(e.text, "must specify port for bind address: \"h:\"");
	CHECK_INT(http_server_listen_tcp(server, "::1:80", &e), -1);
	CHECK_INT(http_server_listen_tcp(server, "[::1:80", &e), -1);
	listener = http_server_listen_tcp(server, "127.0.0.1:0", &e);
	CHECK_INT(listener, 1);
	CHECK(http_server_port(server, listener) > 0);
	CHECK_INT(os_listen_tcp(&other, "127.0.0.1", http_server_port(server, listener), &e), -1);
	CHECK(strstr(e.text, "bind: address already in use"));
	to.sin_port = htons((uint16_t)http_server_port(server, listener));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	say(fd, "{\"a\":1}\n\n");
	CHECK(strstr(hear(fd), "400 Bad Request")); /* no raw values here */
	close(fd);
	end();
}

TEST_MAIN
