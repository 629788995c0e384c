/* SPDX-License-Identifier: MIT */
/* The client over plain TCP against servers that behave well, badly, or not at all. */
#include "tests/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/date.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/support/served.h"
#include "tests/support/tmpdir.h"
#include "tests/support/web.h"

static struct served server;
static struct http_client *client;
static struct web web;
static struct err err;

/* A server with that behaviour and a client for it. */
static int start(void (*serve)(struct wire *, void *), void *ctx, struct http_client_options o)
{
	memset(&server, 0, sizeof(server));
	memset(&web, 0, sizeof(web));
	server.serve = serve;
	server.ctx = ctx;
	o.no_proxy = true;
	return served_start(&server) < 0 ? -1 : http_client_create(&o, &client, &err);
}

static void stop(void)
{
	http_client_free(client);
	served_stop(&server);
}

static int get(const char *path)
{
	char url[200];

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%%d%s", path);
	return web_ask(&web, client, url, server.port);
}

/* ---- answers ---- */

/* Says ctx to every request. */
static void say_text(struct wire *w, void *ctx)
{
	while (wire_request(w) && wire_say(w, ctx))
		;
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello"
static char ok_hello[] = OK_HELLO;

TEST(keep_alive)
{
	CHECK_OK(start(say_text, ok_hello, (struct http_client_options){ .ca_file = NULL }), &err);
	for (int i = 0; i < 5; i++) {
		CHECK_OK(get("/a?b=c"), &web.e);
		CHECK_INT(web.status, 200);
		CHECK_STR(web.body, "hello");
		CHECK_INT(web.server_time_ms, 784111777000);
		CHECK_INT(web.reused, i > 0);
	}
	CHECK_INT(atomic_load(&server.connections), 1);
	http_client_close_idle(client);
	CHECK_OK(get("/"), &web.e);
	CHECK_INT(atomic_load(&server.connections), 2);
	stop();
}

struct form {
	const char *answer;
	int status;       /* 0: an error */
	const char *body; /* or a part of the error's text */
	bool close;       /* the server closes behind it */
	bool reused;      /* by the next request */
};

static void say_form(struct wire *w, void *ctx)
{
	const struct form *f = ctx;

	while (wire_request(w) && wire_say(w, f->answer) && !f->close)
		;
}

static const struct form forms[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", false, true },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, true },
	{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", 304, "", false, true },
	{ "HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nno", 307, "no", false, true },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n", 200, "abcde", false, true },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false, true },
	{ "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, "x", false, false },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false, false },
	{ "HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", true, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 500 smuggled\r\n\r\n", 200, "abc", false, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", 0, "closed", true, false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort", 0, "closed", true, false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0, "chunk", false, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 0, "answer of 127.0.0.1", false, false },
	{ "220 mail.example ESMTP\r\n", 0, "is not HTTP", false, false },
	{ "\x15\x03\x03\x00\x02\x02\x16", 0, "is not HTTP", false, false },
	{ "HTTP/1.1 200 OK\r\nConte", 0, "closed the connection before it answered", true, false },
	{ "", 0, "closed the connection before it answered", true, false },
};

TEST(answers_of_every_form)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		for (size_t piece = 1; piece <= 5000; piece += 4999) {
			const struct form *f = &forms[i];
			int rc;

			CHECK_OK(start(say_form, (void *)(uintptr_t)f, (struct http_client_options){ .idle_timeout_ms = 20000 }), &err);
			web.piece = piece;
			rc = get("/");
			if (f->status == 0) {
				if (rc == 0 || strstr(web.e.text, f->body) == NULL || web.e.code != ERR_UNAVAILABLE)
					CHECK_FAIL("form %zu: rc %d, code %d, %s", i, rc, (int)web.e.code, web.e.text);
			} else if (rc < 0 || web.status != f->status || strcmp(web.body, f->body) != 0) {
				CHECK_FAIL("form %zu: rc %d, status %d, %s, %s", i, rc, web.status, web.body, web.e.text);
			} else if (get("/") < 0 || web.reused != f->reused) {
				CHECK_FAIL("form %zu: then %d reused %d", i, web.rc, web.reused);
			}
			stop();
		}
}

static void say_slowly(struct wire *w, void *ctx)
{
	(void)ctx;
	while (wire_request(w))
		for (const char *at = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"; *at; at++)
			if (!wire_send(w, at, 1))
				return;
}

TEST(one_byte_at_a_time)
{
	CHECK_OK(start(say_slowly, NULL, (struct http_client_options){ .ca_file = NULL }), &err);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(get("/"), &web.e);
		CHECK_STR(web.body, "abcde");
		CHECK_INT(web.reused, i > 0);
	}
	stop();
}

/* Connection n gets n - 1 bytes of the answer, then a reset. */
static void reset_somewhere(struct wire *w, void *ctx)
{
	if (wire_request(w))
		wire_send(w, ctx, (size_t)w->number - 1);
	wire_reset(w);
}

TEST(reset_at_each_byte)
{
	static char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

	CHECK_OK(start(reset_somewhere, text, (struct http_client_options){ .ca_file = NULL }), &err);
	for (size_t n = 0; n < sizeof(text); n++) {
		int rc = get("/");

		/* The last byte may be lost with the reset, but nothing may pass for whole that is not. */
		if (rc == 0 ? n + 1 < sizeof(text) || strcmp(web.body, "hello") != 0 : web.e.code != ERR_UNAVAILABLE)
			CHECK_FAIL("after %zu bytes: rc %d, code %d, %s", n, rc, (int)web.e.code, web.e.text);
	}
	CHECK_INT(atomic_load(&server.connections), (int)sizeof(text)); /* no attempt was made twice */
	stop();
}

/* ---- the pool ---- */

/* The first connection answers once and then goes away when it hears the second request. */
static void tire_once(struct wire *w, void *ctx)
{
	while (wire_request(w)) {
		if (w->number == 1 && atomic_load(&w->server->requests) > 1)
			return;
		wire_say(w, ctx);
	}
}

TEST(stale_connection_is_replaced_once)
{
	CHECK_OK(start(tire_once, ok_hello, (struct http_client_options){ .ca_file = NULL }), &err);
	CHECK_OK(get("/"), &web.e);
	CHECK_OK(get("/"), &web.e);
	CHECK_STR(web.body, "hello");
	CHECK(!web.reused);
	CHECK_INT(atomic_load(&server.connections), 2);
	CHECK_INT(atomic_load(&server.requests), 3);
	stop();
}

static void answer_once_each(struct wire *w, void *ctx)
{
	if (wire_request(w))
		wire_say(w, ctx);
}

TEST(closed_idle_connection_is_not_used)
{
	CHECK_OK(start(answer_once_each, ok_hello, (struct http_client_options){ .ca_file = NULL }), &err);
	for (int i = 0; i < 4; i++) {
		CHECK_OK(get("/"), &web.e);
		CHECK_STR(web.body, "hello");
	}
	CHECK_INT(atomic_load(&server.connections), 4);
	stop();
}

TEST(pool_forgets_by_age)
{
	CHECK_OK(start(say_text, ok_hello, (struct http_client_options){ .pool_idle_ms = 1 }), &err);
	CHECK_INT(http_client_sweep(client), -1);
	CHECK_OK(get("/"), &web.e);
	os_sleep_ms(5);
	CHECK_INT(http_client_sweep(client), -1);
	CHECK_OK(get("/"), &web.e);
	CHECK(!web.reused);
	stop();
	CHECK_OK(start(say_text, ok_hello, (struct http_client_options){ .ca_file = NULL }), &err);
	CHECK_OK(get("/"), &web.e);
	CHECK(http_client_sweep(client) > os_mono_us());
	stop();
}

static void say_long(struct wire *w, void *ctx)
{
	static char zeros[1 << 20];
	char head[100];
	size_t n = *(size_t *)ctx;

	while (wire_request(w)) {
		(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
		if (!wire_say(w, head) || !wire_send(w, zeros, n))
			return;
	}
}

TEST(short_rest_is_drained_long_one_is_not)
{
	size_t n = 60000;

	CHECK_OK(start(say_long, &n, (struct http_client_options){ .ca_file = NULL }), &err);
	web.leave = true;
	CHECK_OK(get("/"), &web.e);
	CHECK_OK(get("/"), &web.e);
	CHECK(web.reused);
	stop();
	n = 1 << 20;
	CHECK_OK(start(say_long, &n, (struct http_client_options){ .ca_file = NULL }), &err);
	web.leave = true;
	CHECK_OK(get("/"), &web.e);
	CHECK_OK(get("/"), &web.e);
	CHECK(!web.reused);
	web.leave = false;
	web.piece = 200000;
	CHECK_OK(get("/"), &web.e);
	CHECK_INT(web.total, 1 << 20);
	stop();
}

/* ---- requests ---- */

/* Answers with what was asked: head and the body's bytes. */
static void echo(struct wire *w, void *ctx)
{
	(void)ctx;
	while (wire_request(w)) {
		char body[40000];
		size_t n = (size_t)wire_length(w);
		char head[100];

		if (n > sizeof(body) || !wire_read(w, body, n))
			return;
		(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(w->head) + n);
		wire_say(w, head);
		wire_say(w, w->head);
		wire_send(w, body, n);
	}
}

TEST(request_heads)
{
	char want[300];

	CHECK_OK(start(echo, NULL, (struct http_client_options){ .ca_file = NULL }), &err);
	CHECK_OK(get("/a%%20b?x=y"), &web.e);
	(void)snprintf(want, sizeof(want), "GET /a%%20b?x=y HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", server.port);
	CHECK_STR(web.body, want);
	web.rq.fields = "X-A: b\r\nhost: other\r\n";
	web.rq.target = "/t";
	web.rq.method = "PUT";
	CHECK_OK(get("/"), &web.e);
	CHECK_STR(web.body, "PUT /t HTTP/1.1\r\nX-A: b\r\nhost: other\r\nContent-Length: 0\r\n\r\n");
	web.rq.body = &(struct http_body){ .bytes = "data", .size = 4 };
	CHECK_OK(get("/"), &web.e);
	CHECK_STR(web.body, "PUT /t HTTP/1.1\r\nX-A: b\r\nhost: other\r\nContent-Length: 4\r\n\r\ndata");
	stop();
}

static void say_head_only(struct wire *w, void *ctx)
{
	(void)ctx;
	while (wire_request(w))
		wire_say(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
}

TEST(head_has_no_body)
{
	CHECK_OK(start(say_head_only, NULL, (struct http_client_options){ .ca_file = NULL }), &err);
	web.rq.method = "HEAD";
	CHECK_OK(get("/"), &web.e);
	CHECK_OK(get("/"), &web.e);
	CHECK_INT(web.len, 0);
	CHECK(web.reused);
	stop();
}

TEST(body_from_a_file)
{
	char bytes[300];
	int fd = open(tmppath("body"), O_RDWR | O_CREAT, 0600);
	struct http_body body = { .fd = fd, .offset = 10, .size = 290 };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)('a' + i % 26);
	CHECK_INT(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	CHECK_OK(start(echo, NULL, (struct http_client_options){ .ca_file = NULL }), &err);
	web.rq.method = "PUT";
	web.rq.body = &body;
	CHECK_OK(get("/"), &web.e);
	CHECK(web.len > 290);
	CHECK_MEM(web.body + web.len - 290, bytes + 10, 290);
	body.size = 291;
	CHECK_INT(get("/"), -1);
	CHECK_INT(web.e.code, ERR_CORRUPT);
	CHECK_STR(web.e.text, "read the request's body: unexpected end of file");
	stop();
	close(fd);
}

/* ---- Expect ---- */

enum { CONTINUE, SILENT, REFUSE, NOT_UNDERSTOOD };

static void handle_expect(struct wire *w, void *ctx)
{
	while (wire_request(w)) {
		bool expect = wire_has(w, "\r\nExpect: 100-continue\r\n");

		if (*(int *)ctx == REFUSE) {
			wire_say(w, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
			continue;
		}
		if (expect && *(int *)ctx == NOT_UNDERSTOOD) {
			wire_say(w, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
			return;
		}
		if (expect && *(int *)ctx == CONTINUE)
			wire_say(w, "HTTP/1.1 100 Continue\r\n\r\n");
		if (!wire_read(w, NULL, (size_t)wire_length(w)))
			return;
		wire_say(w, ok_hello);
	}
}

TEST(expect_continue)
{
	static char bytes[100000];

	for (int mode = CONTINUE; mode <= NOT_UNDERSTOOD; mode++) {
		CHECK_OK(start(handle_expect, &mode, (struct http_client_options){ .ca_file = NULL }), &err);
		web.rq.method = "PUT";
		web.rq.expect_continue = true;
		web.rq.body = &(struct http_body){ .bytes = bytes, .size = sizeof(bytes) };
		CHECK_OK(get("/"), &web.e);
		CHECK_INT(web.status, mode == REFUSE ? 403 : 200);
		CHECK_STR(web.body, mode == REFUSE ? "no" : "hello");
		CHECK_INT(atomic_load(&server.requests), mode == NOT_UNDERSTOOD ? 2 : 1);
		CHECK_OK(get("/"), &web.e);
		/* A body that was announced and did not come spoils the connection. */
		CHECK_INT(web.reused, mode == CONTINUE || mode == SILENT);
		stop();
	}
}

static void refuse_early(struct wire *w, void *ctx)
{
	if (wire_request(w))
		wire_say(w, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
	/* With ctx the bytes that were not read make the kernel reset the connection. */
	if (ctx == NULL)
		wire_request(w);
}

TEST(answer_before_the_body_is_out)
{
	static char bytes[32 << 20];

	for (int reset = 0; reset < 2; reset++) {
		CHECK_OK(start(refuse_early, reset ? bytes : NULL, (struct http_client_options){ .ca_file = NULL }), &err);
		web.rq.method = "PUT";
		web.rq.body = &(struct http_body){ .bytes = bytes, .size = sizeof(bytes) };
		CHECK_OK(get("/"), &web.e);
		CHECK_INT(web.status, 413);
		CHECK_STR(web.body, "no");
		stop();
	}
}

/* ---- time ---- */

static void stall(struct wire *w, void *ctx)
{
	if (!wire_request(w))
		return;
	wire_say(w, ctx);
	wire_request(w); /* until the client goes */
}

static void take_nothing(struct wire *w, void *ctx)
{
	(void)ctx;
	while (!atomic_load(&w->server->stopping))
		os_sleep_ms(5);
}

TEST(time_outs)
{
	static char bytes[32 << 20];
	static char empty[] = "", half[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";

	CHECK_OK(start(stall, empty, (struct http_client_options){ .head_timeout_ms = 30 }), &err);
	CHECK_INT(get("/"), -1);
	CHECK_INT(web.e.code, ERR_UNAVAILABLE);
	CHECK(strstr(web.e.text, "no answer within 30 ms") != NULL);
	stop();
	CHECK_OK(start(stall, half, (struct http_client_options){ .idle_timeout_ms = 30 }), &err);
	CHECK_INT(get("/"), -1);
	CHECK_INT(web.e.code, ERR_UNAVAILABLE);
	CHECK(strstr(web.e.text, "nothing moved for 30 ms") != NULL);
	stop();
	CHECK_OK(start(take_nothing, NULL, (struct http_client_options){ .idle_timeout_ms = 30 }), &err);
	web.rq.method = "PUT";
	web.rq.body = &(struct http_body){ .bytes = bytes, .size = sizeof(bytes) };
	CHECK_INT(get("/"), -1);
	CHECK_INT(web.e.code, ERR_UNAVAILABLE);
	CHECK(strstr(web.e.text, "write to ") != NULL && strstr(web.e.text, "nothing moved for 30 ms") != NULL);
	stop();
}

static void *cancel_soon(void *flag)
{
	os_sleep_ms(50);
	atomic_store((atomic_bool *)flag, true);
	return NULL;
}

TEST(cancel)
{
	static char empty[] = "", half[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
	atomic_bool flag;
	pthread_t thread;

	for (int i = 0; i < 3; i++) {
		CHECK_OK(start(stall, i == 0 ? empty : half, (struct http_client_options){ .ca_file = NULL }), &err);
		atomic_store(&flag, i == 2);
		CHECK_INT(pthread_create(&thread, NULL, cancel_soon, &flag), 0);
		web.rq.cancel = &flag;
		CHECK_INT(get("/"), -1);
		CHECK_INT(web.e.code, ERR_CANCELLED);
		pthread_join(thread, NULL);
		stop();
	}
}

/* ---- connecting ---- */

TEST(refused_and_unknown)
{
	char want[100];
	int port;

	CHECK_OK(start(say_text, ok_hello, (struct http_client_options){ .ca_file = NULL }), &err);
	port = server.port;
	served_stop(&server);
	CHECK_INT(get("/"), -1);
	CHECK_INT(web.e.code, ERR_UNAVAILABLE);
	(void)snprintf(want, sizeof(want), "connect to 127.0.0.1:%d: connection refused", port);
	CHECK_STR(web.e.text, want);
	CHECK_INT(web_ask(&web, client, "http://no-such-host.invalid:%d/", 80), -1);
	CHECK_INT(web.e.code, ERR_UNAVAILABLE);
	CHECK(strncmp(web.e.text, "lookup no-such-host.invalid: ", 29) == 0);
	http_client_free(client);
}

/* The server listens on 127.0.0.1 only, and localhost may well be ::1 first. */
TEST(localhost)
{
	CHECK_OK(start(say_text, ok_hello, (struct http_client_options){ .ca_file = NULL }), &err);
	CHECK_OK(web_ask(&web, client, "http://localhost:%d/", server.port), &web.e);
	CHECK_STR(web.body, "hello");
	stop();
}

static void *ask_often(void *ctx)
{
	struct web *w = ctx;

	for (int i = 0; i < 5; i++)
		if (web_ask(w, client, "http://127.0.0.1:%d/", server.port) < 0)
			break;
	return NULL;
}

TEST(many_threads_share_a_client)
{
	pthread_t threads[8];
	static struct web webs[8];

	CHECK_OK(start(say_text, ok_hello, (struct http_client_options){ .pool_idle_max = 3 }), &err);
	memset(webs, 0, sizeof(webs));
	for (int i = 0; i < 8; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, ask_often, &webs[i]), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 8; i++)
		CHECK_OK(webs[i].rc, &webs[i].e);
	CHECK_INT(atomic_load(&server.requests), 8 * 5);
	stop();
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Each socket call fails once, and from then on. */
TEST(failing_calls)
{
	static char bytes[1000];
	int before = open_descriptors();

	for (int mode = OS_FAULT_ONCE; mode <= OS_FAULT_FROM; mode++)
		for (uint64_t n = 1;; n++) {
			bool hit;

			CHECK_OK(start(echo, NULL, (struct http_client_options){ .ca_file = NULL }), &err);
			web.rq.method = "PUT";
			web.rq.body = &(struct http_body){ .bytes = bytes, .size = sizeof(bytes) };
			os_fault_set(&(struct os_fault_plan){ .mode = (enum os_fault_mode)mode, .at = n, .calls = OS_CALL_NET });
			get("/");
			get("/");
			hit = os_fault_hit();
			os_fault_set(NULL);
			if (web.rc < 0)
				CHECK_INT(web.e.code, ERR_UNAVAILABLE);
			else
				CHECK_INT(web.status, 200);
			stop();
			if (!hit)
				break;
		}
	CHECK_INT(open_descriptors(), before);
}

TEST(dates)
{
	char text[HTTP_DATE_SIZE];

	CHECK_STR(http_date(text, 784111777999), "Sun, 06 Nov 1994 08:49:37 GMT");
	CHECK_STR(http_date(text, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
	CHECK_STR(http_date(text, 1709164800000), "Thu, 29 Feb 2024 00:00:00 GMT");
	CHECK_STR(http_date(text, 253402300799000), "Fri, 31 Dec 9999 23:59:59 GMT");
	CHECK_INT(http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777000);
	CHECK_INT(http_date_parse("Thu, 29 Feb 2024 00:00:00 GMT"), 1709164800000);
	CHECK_INT(http_date_parse("Sunday, 06-Nov-94 08:49:37 GMT"), 0);
	CHECK_INT(http_date_parse("Sun, 06 Nov 1994 08:49:37"), 0);
	CHECK_INT(http_date_parse("Sun, 06 ovD 1994 08:49:37 GMT"), 0);
	CHECK_INT(http_date_parse("Sun, 46 Nov 1994 08:49:37 GMT"), 0);
	CHECK_INT(http_date_parse(""), 0);
}

TEST_MAIN
