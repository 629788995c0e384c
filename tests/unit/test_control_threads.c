/* SPDX-License-Identifier: MIT */
/* test_control_threads.c - the control room as it runs in life: worker threads below it, clients on threads of their
 * own, and an application that writes. What they are answered is checked, and at the end the replica. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/control/control.h"
#include "lib/os/clock.h"
#include "tests/check.h"
#include "tests/support/rig.h"

enum { CLIENTS = 8, SECONDS = 3 };

static struct rig g;
static struct loop *loop;
static struct store *store;
static struct control *control;
static char socket_path[100];
static struct err e;
static atomic_bool enough;
static atomic_int answers, odd, running;
static bool stopped;
static int started;

static void on_stopped(void *ctx)
{
	(void)ctx;
	stopped = true;
}

static void on_started(struct store_call *c)
{
	started += c->rc == 0;
}

static int register_url(void *ctx, const char *path, const char *url, struct err *why)
{
	struct managed_options o = MANAGED_OPTIONS_DEFAULT;

	(void)ctx;
	o.db.path = path;
	o.monitor_interval_ms = 20;
	o.idle_timeout_ms = 50;
	if (replica_from_url(url, &o.replicas[0].replica, why))
		return -1;
	if (!store_add(store, &o, NULL, why))
		return 0;
	replica_free(o.replicas[0].replica);
	return -1;
}

static int register_config(void *ctx, const char *path, const char *config, struct err *why)
{
	(void)ctx;
	return err_set(why, ERR_NOT_FOUND, "%s in %s", path, config);
}

/* ---- clients, each on a thread, with blocking sockets ---- */

static bool ask(const char *request, char *reply, size_t room)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t n = 0;
	ssize_t got;

	strcpy(address.sun_path, socket_path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
		close(fd);
		return false;
	}
	while (n < room - 1 && (got = recv(fd, reply + n, room - 1 - n, 0)) > 0)
		n += (size_t)got;
	reply[n] = 0;
	close(fd);
	return n > 0;
}

static bool post(const char *path, const char *more, char *reply, size_t room)
{
	char body[1000], request[1400];

	snprintf(body, sizeof(body), "{\"path\":\"%s\"%s}", g.path, more);
	snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", path,
	         strlen(body), body);
	return ask(request, reply, room);
}

static bool expected(const char *reply)
{
	return strstr(reply, "HTTP/1.1 200 ") || strstr(reply, "database not found") || strstr(reply, "database not open");
}

static void one(unsigned *seed, char *reply, size_t room)
{
	static const char *const paths[] = { "/start", "/start", "/stop", "/register", "/unregister", "/sync", "/sync", "/wait" };
	const char *path = paths[(unsigned)rand_r(seed) / 7 % 8];
	char more[500] = "";
	bool ok;

	if (strcmp(path, "/register") == 0)
		snprintf(more, sizeof(more), ",\"replica_url\":\"file://%s\"", g.replica_path);
	else if (strcmp(path, "/sync") == 0)
		strcpy(more, ",\"wait\":true,\"timeout\":60");
	if (rand_r(seed) / 7 % 8 == 0)
		ok = ask("GET /list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", reply, room);
	else if (rand_r(seed) / 7 % 8 == 0)
		ok = ask("{\"jsonrpc\":\"2.0\",\"method\":\"info\",\"id\":1}", reply, room) && strstr(reply, "\"result\"");
	else
		ok = post(path, more, reply, room) && expected(reply);
	atomic_fetch_add(&answers, 1);
	if (!ok && !expected(reply) && !strstr(reply, "\"result\"")) {
		printf("%s: %s\n", path, reply);
		atomic_fetch_add(&odd, 1);
	}
}

static void *client(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	char reply[8192] = "";

	while (!atomic_load(&enough))
		one(&seed, reply, sizeof(reply));
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void *application(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough)) {
		rig_sql(&g, "INSERT INTO t VALUES (NULL, randomblob(200))");
		usleep(2000);
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* ---- the daemon's side ---- */

static bool begin(void)
{
	struct store_options so = STORE_OPTIONS_DEFAULT;
	struct control_options co = {
		.version = "1", .config_path = "", .socket_path = "", .http_addr = "", .cwd = "/", .register_url = register_url,
		.register_config = register_config,
	};
	char url[400];

	if (rig_init(&g, "crowd"))
		return false;
	snprintf(socket_path, sizeof(socket_path), "/tmp/rivulet-crowd-%d.sock", (int)getpid());
	loop = co.loop = so.loop = loop_create(&e);
	so.stopped = on_stopped;
	if (!loop || store_create(&so, &store, &e))
		return false;
	co.store = store;
	snprintf(url, sizeof(url), "file://%s", g.replica_path);
	return control_create(&co, &control, &e) == 0 && control_listen_socket(control, socket_path, 0600, &e) == 0 &&
	       register_url(NULL, g.path, url, &e) == 0;
}

static void run_for(int64_t us)
{
	int64_t until = os_mono_us() + us;

	while (os_mono_us() < until)
		loop_once(loop, 20, NULL);
}

TEST(a_crowd)
{
	pthread_t threads[CLIENTS + 1];
	struct store_call start = { .done = on_started };
	char url[400];

	CHECK(begin());
	atomic_store(&running, CLIENTS + 1);
	CHECK_INT(pthread_create(&threads[CLIENTS], NULL, application, NULL), 0);
	for (int i = 0; i < CLIENTS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, client, (void *)(uintptr_t)(i + 1)), 0);
	run_for(SECONDS * 1000000);
	atomic_store(&enough, true);
	while (atomic_load(&running) > 0)
		loop_once(loop, 20, NULL);
	for (int i = 0; i <= CLIENTS; i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(odd, 0);
	CHECK(answers > 20);
	/* At rest: the end of a daemon, with everything replicated. */
	snprintf(url, sizeof(url), "file://%s", g.replica_path);
	if (!store_find(store, g.path))
		CHECK_OK(register_url(NULL, g.path, url, &e), &e);
	store_start(store, g.path, &start);
	run_for(300000);
	CHECK_INT(started, 1);
	control_stop(control);
	control_free(control);
	store_stop(store);
	while (!stopped)
		loop_once(loop, 20, NULL);
	store_free(store);
	loop_free(loop);
	CHECK(access(socket_path, F_OK) < 0);
	CHECK(rig_restore(&g, 0, true));
	rig_free(&g);
}

TEST_MAIN
