/* SPDX-License-Identifier: MIT */
/*
 * http_kit.h - a server under test and clients of it, on one thread: the loop turns when the test says so.
 */
#ifndef TESTS_SUPPORT_HTTP_KIT_H
#define TESTS_SUPPORT_HTTP_KIT_H

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/server.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

/* ---- a server under test: /echo says what it got, /later is answered by hand, /stream goes on ---- */

static struct loop *loop;
static struct http_server *server;
static struct http_server_request *later[8];
static int later_count, handled, gone_count;

static inline void forget(struct http_server_request *rq)
{
	gone_count++;
	for (int i = 0; i < later_count; i++)
		if (later[i] == rq)
			later[i] = NULL;
}

static inline void keep(struct http_server_request *rq)
{
	rq->gone = forget;
	later[later_count++ % 8] = rq;
}

static inline void handle(void *ctx, struct http_server_request *rq)
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

static inline void end(void)
{
	http_server_free(server);
	loop_free(loop);
	server = NULL;
	loop = NULL;
}

static inline int begin(const struct http_server_options *limits)
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

static inline void turn(int rounds)
{
	for (int i = 0; i < rounds; i++)
		loop_once(loop, 0, NULL);
}

/* ---- a client ---- */

static inline int dial(void)
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

static inline void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		turn(0);
}

/* What comes until nothing does for a while, or the end, without the Date lines. */
static inline char *hear(int fd)
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

#endif
