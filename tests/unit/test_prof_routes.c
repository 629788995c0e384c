/* SPDX-License-Identifier: MIT */
/* test_prof_routes.c - /debug/pprof/ through the real server: one loop, clients on a thread. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/check.h"
#include "lib/base/gzip.h"
#include "lib/prof/internal.h"
#include "lib/prof/routes.h"
#include "tests/support/tmpdir.h"

static struct loop *loop;
static struct http_server *server;
static struct prof_routes *routes;
static struct err e;
static const char *path;

static void handle(void *ctx, struct http_server_request *rq)
{
	(void)ctx;
	if (!prof_handle(routes, rq))
		http_reply(rq, 418, NULL, "other", 5);
}

static bool begin(void)
{
	struct http_server_options o = { .handle = handle };

	os_thread_begin(NULL);
	path = tmppath("sock");
	loop = loop_create(&e);
	routes = prof_routes_create(loop, &e);
	o.loop = loop;
	return loop && routes && !http_server_create(&o, &server, &e) && !http_server_listen_unix(server, path, 0600, &e);
}

static void end(void)
{
	prof_routes_free(routes);
	http_server_stop(server);
	http_server_free(server);
	loop_free(loop);
}

/* ---- clients ---- */

struct client {
	pthread_t id;
	const char *target, *method, *body;
	bool leave; /* does not wait for the answer */
	char answer[300000];
	size_t n;
	atomic_bool done;
};

static int connect_to(const char *file)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(a.sun_path, file, sizeof(a.sun_path) - 1);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) ? -1 : fd;
}

static void *ask(void *arg)
{
	struct client *c = arg;
	char request[500];
	ssize_t got;
	int fd = connect_to(path);

	os_thread_begin("client");
	snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
	         c->method ? c->method : "GET", c->target, c->body ? strlen(c->body) : 0, c->body ? c->body : "");
	if (write(fd, request, strlen(request)) < 0)
		c->leave = true;
	if (c->leave)
		usleep(300000);
	while (!c->leave && (got = read(fd, c->answer + c->n, sizeof(c->answer) - 1 - c->n)) > 0)
		c->n += (size_t)got;
	close(fd);
	atomic_store(&c->done, true);
	return NULL;
}

static void start(struct client *c)
{
	c->n = 0;
	memset(c->answer, 0, sizeof(c->answer));
	atomic_store(&c->done, false);
	pthread_create(&c->id, NULL, ask, c);
}

static void finish(struct client *c)
{
	while (!atomic_load(&c->done))
		loop_once(loop, 10, NULL);
	pthread_join(c->id, NULL);
}

static struct client a, b;

static const char *get(const char *target)
{
	a = (struct client){ .target = target };
	start(&a);
	finish(&a);
	return a.answer;
}

static const char *body_of(const struct client *c)
{
	const char *at = strstr(c->answer, "\r\n\r\n");

	return at ? at + 4 : "";
}

static bool starts(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }

static bool is_profile(const struct client *c)
{
	struct buf out = { 0 };
	const char *body = body_of(c);
	bool good = starts(c->answer, "HTTP/1.1 200 ") &&
	            !gzip_expand((const uint8_t *)body, c->n - (size_t)(body - c->answer), &out, &e) && out.len > 20;

	buf_free(&out);
	return good;
}

/* ---- tests ---- */

TEST(each_path_answers_as_gos)
{
	CHECK(begin());
	CHECK(starts(get("/other"), "HTTP/1.1 418 "));
	CHECK(starts(get("/debug/pprof/nope"), "HTTP/1.1 404 "));
	CHECK_STR(body_of(&a), "Unknown profile\n");
	CHECK(strstr(a.answer, "X-Go-Pprof: 1\r\n") && strstr(a.answer, "X-Content-Type-Options: nosniff\r\n"));
	CHECK(starts(get("/debug/pprof/"), "HTTP/1.1 200 "));
	CHECK(strstr(a.answer, "text/html") && strstr(a.answer, "threadcreate"));
	CHECK(starts(get("/debug/pprof/trace?seconds=1"), "HTTP/1.1 501 "));
	CHECK_STR(body_of(&a), "{\"error\":\"execution trace not supported\"}\n");
	get("/debug/pprof/cmdline");
	CHECK(strstr(body_of(&a), "test_prof_routes"));
	CHECK(a.answer[a.n - 1] != '\0');
	get("/debug/pprof/symbol");
	CHECK_STR(body_of(&a), "num_symbols: 1\n");
	a = (struct client){ .target = "/debug/pprof/symbol", .method = "POST", .body = "0x10+0x20+zz" };
	start(&a);
	finish(&a);
	CHECK_STR(body_of(&a), "num_symbols: 1\n");
	end();
}

TEST(each_profile_is_given_in_each_form)
{
	static const char *const names[] = { "allocs", "block", "goroutine", "heap", "mutex", "threadcreate" };
	char target[100], name[100];

	CHECK(begin());
	for (int i = 0; i < 6; i++) {
		snprintf(target, sizeof(target), "/debug/pprof/%s", names[i]);
		snprintf(name, sizeof(name), "filename=\"%s\"\r\n", names[i]);
		get(target);
		CHECK(is_profile(&a) && strstr(a.answer, name));
		snprintf(target, sizeof(target), "/debug/pprof/%s?debug=1", names[i]);
		CHECK(starts(get(target), "HTTP/1.1 200 ") && strstr(a.answer, "text/plain; charset=utf-8"));
	}
	get("/debug/pprof/heap?debug=x");
	CHECK(is_profile(&a));
	CHECK(strstr(get("/debug/pprof/goroutine?debug=2"), "\r\n\r\ngoroutine "));
	CHECK(starts(get("/debug/pprof/heap?seconds=0"), "HTTP/1.1 400 "));
	CHECK_STR(body_of(&a), "invalid value for \"seconds\" - must be a positive integer\n");
	CHECK(starts(get("/debug/pprof/heap?seconds=1&debug=1"), "HTTP/1.1 400 "));
	CHECK_STR(body_of(&a), "seconds and debug params are incompatible\n");
	get("/debug/pprof/goroutine?x=1&seconds=1");
	CHECK(is_profile(&a) && strstr(a.answer, "filename=\"goroutine-delta\""));
	end();
}

TEST(one_cpu_profile_at_a_time_and_others_are_served_meanwhile)
{
	CHECK(begin());
	b = (struct client){ .target = "/debug/pprof/profile?seconds=1" };
	start(&b);
	for (int i = 0; i < 10; i++)
		loop_once(loop, 20, NULL);
	CHECK(starts(get("/debug/pprof/profile"), "HTTP/1.1 500 "));
	CHECK_STR(body_of(&a), "Could not enable CPU profiling: cpu profiling already in use\n");
	CHECK(starts(get("/other"), "HTTP/1.1 418 "));
	CHECK(!atomic_load(&b.done));
	finish(&b);
	CHECK(is_profile(&b) && strstr(b.answer, "filename=\"profile\""));
	end();
}

TEST(a_client_that_leaves_ends_its_profile)
{
	CHECK(begin());
	b = (struct client){ .target = "/debug/pprof/profile?seconds=3000", .leave = true };
	start(&b);
	finish(&b);
	for (int i = 0; i < 20; i++)
		loop_once(loop, 20, NULL);
	get("/debug/pprof/profile?seconds=1");
	CHECK(is_profile(&a));
	/* One that runs is answered early, */
	b = (struct client){ .target = "/debug/pprof/profile?seconds=3000" };
	start(&b);
	for (int i = 0; i < 10; i++)
		loop_once(loop, 20, NULL);
	prof_routes_finish(routes);
	finish(&b);
	CHECK(is_profile(&b));
	/* and the server's end ends it. */
	b = (struct client){ .target = "/debug/pprof/profile?seconds=3000" };
	start(&b);
	for (int i = 0; i < 10; i++)
		loop_once(loop, 20, NULL);
	end();
	pthread_join(b.id, NULL);
	CHECK_INT(b.n, 0);
	CHECK_OK(prof_cpu_start(&e), &e);
	prof_cpu_stop(&(struct prof_set){ 0 });
}

TEST(timed_ones_are_limited)
{
	static struct client many[PROF_RUNS_MAX];

	CHECK(begin());
	for (int i = 0; i < PROF_RUNS_MAX; i++) {
		many[i] = (struct client){ .target = "/debug/pprof/heap?seconds=2" };
		start(&many[i]);
	}
	for (int i = 0; i < 30; i++)
		loop_once(loop, 20, NULL);
	CHECK(starts(get("/debug/pprof/heap?seconds=1"), "HTTP/1.1 500 "));
	for (int i = 0; i < PROF_RUNS_MAX; i++) {
		finish(&many[i]);
		CHECK(is_profile(&many[i]));
	}
	end();
}
TEST_MAIN
