/* SPDX-License-Identifier: MIT */
/* test_http_server.c - requests, answers and streams of the HTTP server; test_http_limits.c has its bounds and failures. */
#include "tests/support/http_kit.h"

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

TEST_MAIN
