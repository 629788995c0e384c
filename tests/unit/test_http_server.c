/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/server.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/socket.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

/* ---- a server under test: /echo says what it got, /later is answered by hand, /stream goes on ---- */

static struct loop *loop;
static struct http_server *server;
static struct http_server_request *later[8];
static int later_count, handled, gone_count;

static void forget(struct http_server_request *rq)
{
	gone_count++;
	for (int i = 0; i < later_count; i++)
		if (later[i] == rq)
			later[i] = NULL;
}

static void keep(struct http_server_request *rq)
{
	rq->gone = forget;
	later[later_count++ % 8] = rq;
}

static void handle(void *ctx, struct http_server_request *rq)
{
	char text[200];

	(void)ctx;
	handled++;
	if (strcmp(rq->target, "/later") == 0) {
		keep(rq);
	} else if (strcmp(rq->target, "/stream") == 0) {
		http_reply_stream(rq, 200, "Content-Type: text/plain\r\n");
		keep(rq);
	} else if (strcmp(rq->target, "/big") == 0) {
		static char big[4 << 20];

		memset(big, 'x', sizeof(big));
		http_reply(rq, 200, NULL, big, sizeof(big));
	} else {
		int n = snprintf(text, sizeof(text), "%s %s %zu %.60s%s\n", rq->method, rq->target, rq->body_len, rq->body,
		                 rq->raw ? " raw" : "");

		http_reply(rq, 200, "X-Test: 1\r\n", text, (size_t)n);
	}
}

static void end(void)
{
	http_server_free(server);
	loop_free(loop);
	server = NULL;
	loop = NULL;
}

static int begin(const struct http_server_options *limits)
{
	struct http_server_options o = limits ? *limits : (struct http_server_options){ .raw = true };
	struct err e = ERR_INIT;

	if (loop)
		end(); /* a test has failed */
	loop = loop_create(&e);
	o.loop = loop;
	o.handle = handle;
	later_count = handled = gone_count = 0;
	if (!loop || http_server_create(&o, &server, &e) < 0 || http_server_listen_unix(server, tmppath("s"), 0600, &e) < 0) {
		printf("%s\n", e.text);
		return -1;
	}
	return 0;
}

static void turn(int rounds)
{
	for (int i = 0; i < rounds; i++)
		loop_once(loop, 0, NULL);
}

/* ---- a client ---- */

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, tmppath("s"));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		turn(0);
}

/* What comes until nothing does for a while, or the end, without the Date lines. */
static char *hear(int fd)
{
	static char text[8192];
	size_t n = 0;
	int idle = 0;
	char *date;

	while (idle < 5) {
		ssize_t got;

		turn(2);
		got = n < sizeof(text) - 20 ? recv(fd, text + n, sizeof(text) - 20 - n, 0) : -1;
		if (got == 0) {
			strcpy(text + n, "<end>");
			n += 5;
			break;
		}
		if (got > 0)
			n += (size_t)got;
		idle = got > 0 ? 0 : idle + 1;
	}
	text[n] = 0;
	while ((date = strstr(text, "Date: ")) != NULL)
		memmove(date, strchr(date, '\n') + 1, strlen(strchr(date, '\n') + 1) + 1);
	return text;
}

#define ANSWER(length, rest) "HTTP/1.1 200 OK\r\nX-Test: 1\r\nContent-Length: " length "\r\n" rest
#define START                                  \
	do {                                   \
		if (begin(NULL) < 0)           \
			CHECK_FAIL("no server"); \
	} while (0)

TEST(one_request)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK_STR(hear(fd), ANSWER("14", "\r\n") "GET /a?b=c 0 \n");
	say(fd, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK_STR(hear(fd), ANSWER("11", "\r\n"));
	say(fd, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	CHECK_STR(hear(fd), ANSWER("10", "Connection: close\r\n\r\n") "GET /a 0 \n<end>");
	CHECK_INT(http_server_connections(server), 1);
	close(fd);
	turn(3);
	CHECK_INT(http_server_connections(server), 0);
	end();
}

TEST(every_cut)
{
	const char text[] = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
	char *got = NULL;

	START;
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		char first[sizeof(text)];
		int fd = dial();

		memcpy(first, text, cut);
		first[cut] = 0;
		say(fd, first);
		turn(2);
		say(fd, text + cut);
		got = hear(fd);
		close(fd);
		if (strcmp(got, ANSWER("16", "\r\n") "POST /p 5 abcde\n") != 0)
			CHECK_FAIL("cut at %zu: %s", cut, got);
	}
	end();
}

TEST(keep_alive_of_http_1_0)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /a HTTP/1.0\nConnection: keep-alive\n\n");
	CHECK_STR(hear(fd), ANSWER("10", "Connection: keep-alive\r\n\r\n") "GET /a 0 \n");
	say(fd, "GET /a HTTP/1.0\n\n");
	CHECK_STR(hear(fd), ANSWER("10", "Connection: close\r\n\r\n") "GET /a 0 \n<end>");
	close(fd);
	end();
}

TEST(pipelined_requests_are_answered_in_order)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /later HTTP/1.1\r\nHost: x\r\n\r\nPOST /3 HTTP/1.1\r\nHost: x\r\n"
	        "Content-Length: 1\r\n\r\n!GET /4 HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK_STR(hear(fd), ANSWER("10", "\r\n") "GET /1 0 \n");
	CHECK_INT(handled, 2);
	CHECK_INT(http_server_busy(server), 1);
	http_reply(later[0], 204, NULL, NULL, 0);
	CHECK_STR(hear(fd), "HTTP/1.1 204 No Content\r\n\r\n" ANSWER("12", "\r\n") "POST /3 1 !\n" ANSWER("10", "\r\n") "GET /4 0 \n");
	CHECK_INT(http_server_busy(server), 0);
	close(fd);
	end();
}

TEST(expect_continue)
{
	int fd;

	START;
	fd = dial();
	say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	CHECK_STR(hear(fd), "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "ok");
	CHECK_STR(hear(fd), ANSWER("13", "\r\n") "POST /p 2 ok\n");
	close(fd);
	end();
}

TEST(what_is_too_large)
{
	const struct http_server_options o = { .body_max = 10 };
	const char *refusal = "HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: application/json\r\nContent-Length: 35\r\n"
	                      "Connection: close\r\n\r\n{\"error\":\"request body too large\"}\n<end>";
	int fd;

	CHECK_INT(begin(&o), 0);
	fd = dial();
	say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789");
	CHECK_STR(hear(fd), ANSWER("22", "\r\n") "POST /p 10 0123456789\n");
	say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
	CHECK_STR(hear(fd), refusal);
	close(fd);
	fd = dial();
	say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n01234");
	CHECK_STR(hear(fd), refusal);
	/* What the client still sends is swallowed, so that it gets to read the answer. */
	CHECK_INT(http_server_connections(server), 1);
	say(fd, "the rest");
	turn(3);
	close(fd);
	turn(3);
	CHECK_INT(http_server_connections(server), 0);
	CHECK_INT(handled, 1);
	end();
}

TEST(a_head_that_never_ends)
{
	char line[1000];
	int fd, sent = 0;

	START;
	memset(line, 'x', sizeof(line));
	line[0] = 'A';
	line[1] = ':';
	line[998] = '\n';
	line[999] = 0;
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n");
	for (; sent < 2000 && send(fd, line, 999, MSG_NOSIGNAL) > 0; sent++)
		turn(2);
	CHECK(sent >= 1040);
	hear(fd);
	close(fd);
	turn(3);
	CHECK_INT(http_server_connections(server), 0);
	CHECK_INT(handled, 0);
	end();
}

TEST(malformed_requests)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHost : x\r\n\r\nGET / HTTP/1.1\r\n");
	CHECK_STR(hear(fd), "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 28\r\n"
	                    "Connection: close\r\n\r\nmalformed header field name\n<end>");
	close(fd);
	turn(2);
	CHECK_INT(http_server_connections(server), 0);
	end();
}

/* ---- raw ---- */

TEST(a_raw_value)
{
	int fd;

	START;
	fd = dial();
	say(fd, " \r\n{\"a\":\"}\\\"\",");
	CHECK_STR(hear(fd), "");
	say(fd, "\"b\":[]}\nrest");
	CHECK_STR(hear(fd), "  23 {\"a\":\"}\\\"\",\"b\":[]}\nrest raw\n<end>");
	close(fd);
	end();
}

TEST(raw_values_that_are_none)
{
	int fd;

	START;
	fd = dial();
	say(fd, "{bad");
	CHECK_STR(hear(fd), "  4 {bad raw\n<end>");
	close(fd);
	fd = dial();
	say(fd, "[{\"a\":");
	CHECK_STR(hear(fd), "");
	shutdown(fd, SHUT_WR);
	CHECK_STR(hear(fd), "  6 [{\"a\": raw\n<end>");
	close(fd);
	turn(2);
	CHECK_INT(http_server_connections(server), 0);
	end();
}

TEST(raw_only_at_the_beginning)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK_STR(hear(fd), ANSWER("10", "\r\n") "GET /a 0 \n");
	say(fd, "{\"a\":1}\r\n\r\n");
	CHECK(strstr(hear(fd), "400 Bad Request"));
	close(fd);
	end();
}

/* ---- clients that leave ---- */

TEST(a_client_that_leaves_while_its_request_is_handled)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(3);
	CHECK_INT(http_server_busy(server), 1);
	close(fd);
	turn(3);
	CHECK_INT(gone_count, 1);
	CHECK_INT(http_server_busy(server), 0);
	CHECK_INT(http_server_connections(server), 0);
	end();
}

TEST(a_client_that_only_stops_sending_gets_its_answer)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	shutdown(fd, SHUT_WR);
	turn(5);
	CHECK_INT(gone_count, 0);
	http_reply(later[0], 200, NULL, "x", 1);
	CHECK_STR(hear(fd), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx<end>");
	close(fd);
	end();
}

TEST(clients_that_leave_in_between)
{
	static const char *const parts[] = { "", "G", "GET / HTTP/1.1\r\nHost: x\r\n", "{\"a\"",
	                                     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
	                                     "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" };

	START;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int fd = dial();

		say(fd, parts[i]);
		turn(3);
		close(fd);
		turn(4);
		if (http_server_connections(server) != 0)
			CHECK_FAIL("after \"%s\": %d connections", parts[i], http_server_connections(server));
	}
	end();
}

TEST(the_rest_of_a_large_answer_waits)
{
	char piece[65536];
	size_t total = 0;
	ssize_t got;
	int fd, idle = 0;

	START;
	fd = dial();
	say(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(5);
	CHECK_INT(handled, 1);
	CHECK_INT(http_server_busy(server), 1);
	while (idle < 10) {
		got = recv(fd, piece, sizeof(piece), 0);
		total += got > 0 ? (size_t)got : 0;
		idle = got > 0 ? 0 : idle + 1;
		turn(1);
	}
	CHECK(total > (4 << 20) && total < (4 << 20) + 400);
	CHECK_INT(handled, 2);
	CHECK_INT(http_server_busy(server), 0);
	close(fd);
	end();
}

/* ---- streams ---- */

TEST(a_stream)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK_STR(hear(fd), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
	CHECK(http_stream_write(later[0], "0123456789abcdef!", 17, 100));
	CHECK_STR(hear(fd), "11\r\n0123456789abcdef!\r\n");
	http_stream_end(later[0]);
	CHECK_STR(hear(fd), "0\r\n\r\n" ANSWER("10", "\r\n") "GET /a 0 \n");
	close(fd);
	fd = dial();
	say(fd, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	CHECK_STR(hear(fd), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n");
	CHECK(http_stream_write(later[1], "abc", 3, 100));
	http_stream_end(later[1]);
	CHECK_STR(hear(fd), "abc<end>");
	close(fd);
	end();
}

TEST(a_stream_whose_reader_does_not_keep_up)
{
	char piece[1024], got[1 << 16];
	long written = 0;
	int fd, round = 0;
	ssize_t n;
	size_t total = 0;

	START;
	memset(piece, 'x', sizeof(piece));
	fd = dial();
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(3);
	while (http_stream_write(later[0], piece, sizeof(piece), 65536) && ++written < 100000)
		;
	CHECK(written > 64 && written < 100000);
	/* Everything taken arrives, and then there is room again. */
	while (round++ < 10000 && total < (size_t)written * 1024) {
		n = recv(fd, got, sizeof(got), 0);
		total += n > 0 ? (size_t)n : 0;
		turn(1);
	}
	CHECK(http_stream_write(later[0], piece, sizeof(piece), 65536));
	close(fd);
	turn(3);
	CHECK_INT(gone_count, 1);
	end();
}

TEST(a_stream_whose_reader_is_gone)
{
	int fd;

	START;
	fd = dial();
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(3);
	close(fd);
	/* Writing before the loop has noticed neither ends anything nor fails. */
	for (int i = 0; i < 10; i++)
		CHECK(http_stream_write(later[0], "x", 1, 10));
	CHECK_INT(gone_count, 0);
	turn(3);
	CHECK_INT(gone_count, 1);
	end();
}

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
