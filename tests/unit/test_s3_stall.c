/* SPDX-License-Identifier: MIT */
/*
 * test_s3_stall.c - servers that take a connection and fall silent. The real time-outs count, a minute each, on a clock
 * that the silent server moves: they end the wait, the error says what was waited for, and the next try heals it.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "s3/objects.h"
#include "tests/check.h"
#include "tests/support/served.h"
#include "tests/support/tmpdir.h"

enum { OBJECT_SIZE = 300 << 10, PUT_SIZE = 3 << 20 };

static struct served server;
static struct s3_client *client;
static struct err e;
static uint8_t object[OBJECT_SIZE];
static const atomic_bool cancel; /* who may be cancelled looks at the clock now and then */

/* Says this much of an answer and no more, so many times; then all is well. */
static struct {
	const char *head; /* as far as it comes; NULL: the whole head */
	size_t body;      /* bytes behind it */
	bool unread;      /* not even the request is taken from the socket */
	atomic_int times, stalled;
} stall;

/* Time passes until the client has had enough. */
static void be_silent(struct wire *w)
{
	struct pollfd gone = { .fd = w->fd, .events = POLLRDHUP };

	atomic_fetch_add(&stall.stalled, 1);
	while (poll(&gone, 1, 2) == 0 || !(gone.revents & (POLLRDHUP | POLLHUP | POLLERR)))
		os_fault_clock_advance(5 * 1000 * 1000);
}

static void answer_get(struct wire *w, bool stalls)
{
	unsigned long long first = 0, last = 0;
	char head[300];

	sscanf(strcasestr(w->head, "\r\nrange: bytes=") + 15, "%llu-%llu", &first, &last);
	snprintf(head, sizeof(head), "HTTP/1.1 206 X\r\nETag: \"e\"\r\nContent-Range: bytes %llu-%llu/%d\r\nContent-Length: %llu\r\n\r\n",
	         first, last, OBJECT_SIZE, last - first + 1);
	if (stalls && stall.head) {
		wire_say(w, stall.head);
		return;
	}
	wire_say(w, head);
	wire_send(w, object + first, stalls ? stall.body : (size_t)(last - first + 1));
}

static void serve(struct wire *w, void *ctx)
{
	(void)ctx;
	for (bool stalls = false; !stalls;) {
		if (stall.unread && atomic_load(&stall.times) > 0) {
			atomic_fetch_sub(&stall.times, 1);
			break;
		}
		if (!wire_request(w))
			return;
		stalls = atomic_fetch_sub(&stall.times, 1) > 0;
		if (strncmp(w->head, "GET", 3) == 0) {
			answer_get(w, stalls);
		} else if (!stalls) {
			if (wire_has(w, "expect: 100-continue"))
				wire_say(w, "HTTP/1.1 100 Continue\r\n\r\n");
			if (!wire_read(w, NULL, (size_t)wire_length(w)) ||
			    !wire_say(w, "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n"))
				return;
		}
	}
	be_silent(w);
}

static int begin(const char *head, size_t body, int times)
{
	struct s3_settings s;
	char url[100];
	int rc;

	e = (struct err)ERR_INIT;
	memset(&server, 0, sizeof(server));
	stall.head = head;
	stall.body = body;
	stall.unread = false;
	atomic_store(&stall.times, times);
	atomic_store(&stall.stalled, 0);
	server.serve = serve;
	for (int i = 0; i < OBJECT_SIZE; i++)
		object[i] = (uint8_t)(i * 7 + i / 251);
	os_fault_clock(1700000000000, 1000 * 1000);
	if (served_start(&server) != 0)
		return -1;
	snprintf(url, sizeof(url), "s3://bkt/p?region=us-east-1&endpoint=http://127.0.0.1:%d", server.port);
	if (s3_settings_make(&(struct s3_given){ .url = url, .access_key_id = "key", .secret_access_key = "secret" }, &s, &e) != 0)
		return -1;
	rc = s3_client_open(&s, NULL, &client, &e);
	s3_settings_free(&s);
	return rc;
}

static void end(void)
{
	s3_client_release(client);
	served_stop(&server);
	os_fault_clock(0, 0);
}

static int read_all(int64_t size)
{
	static uint8_t got[OBJECT_SIZE];
	struct s3_reader *r;
	size_t have = 0, n = 1;
	int rc = s3_open(client, "k", 0, size, OBJECT_SIZE, &cancel, &r, &e);

	if (rc != 0)
		return -1;
	while (rc == 0 && n > 0 && have < sizeof(got)) {
		rc = s3_read(r, got + have, sizeof(got) - have, &n, &e);
		have += rc == 0 ? n : 0;
	}
	s3_reader_close(r);
	if (rc == 0 && (have != (size_t)size || memcmp(got, object, have) != 0))
		return err_set(&e, ERR_CORRUPT, "%zu bytes, or other ones", have);
	return rc;
}

TEST(reads_heal)
{
	static const struct { const char *head; size_t body; int64_t size; } cases[] = {
		{ "", 0, 100 }, { "H", 0, 100 }, { NULL, 0, 100 }, { NULL, 1, 100 },
		{ "", 0, OBJECT_SIZE }, { "HTTP/1.1 206 X\r\nETag: \"e\"\r\nCont", 0, OBJECT_SIZE },
		{ NULL, 0, OBJECT_SIZE }, { NULL, 1, OBJECT_SIZE }, { NULL, 100000, OBJECT_SIZE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_OK(begin(cases[i].head, cases[i].body, 2), &e);
		int64_t before = os_mono_us();
		int rc = read_all(cases[i].size);
		int64_t took = (os_mono_us() - before) / 1000000;
		end();
		CHECK_OK(rc, &e);
		CHECK_INT(atomic_load(&stall.stalled), 2);
		CHECK(took >= 2 * 60);
	}
}

TEST(silence_is_named)
{
	CHECK_OK(begin("", 0, 1000), &e);
	int rc = read_all(100);
	end();
	CHECK_INT(rc, -1);
	CHECK_INT(e.code, ERR_SYSTEM);
	CHECK(strstr(e.text, "s3: open k: ") != NULL);
	CHECK(strstr(e.text, "no answer within 60000 ms (10 attempts)") != NULL);
	CHECK_INT(atomic_load(&stall.stalled), S3_ATTEMPTS);

	CHECK_OK(begin(NULL, 1, 1000), &e);
	rc = read_all(OBJECT_SIZE);
	end();
	CHECK_INT(rc, -1);
	CHECK(strstr(e.text, "s3: read k: ") != NULL);
	CHECK(strstr(e.text, "nothing moved for 60000 ms") != NULL);
	CHECK(atomic_load(&stall.stalled) <= S3_ATTEMPTS);
}

static int put(int64_t size)
{
	const struct s3_write w = { .key = "k", .time_ms = 1700000000000, .cancel = &cancel };
	struct os_file f = OS_FILE_NONE;
	int rc = os_file_open(&f, tmppath("put"), O_RDWR | O_CREAT, 0600, &e);

	if (rc == 0)
		rc = os_file_truncate(&f, size, &e);
	if (rc == 0)
		rc = s3_put_file(client, &w, &f, size, &e);
	os_file_close(&f);
	return rc;
}

/* Small: the body is sent at once. Large: after a word from the server, or a second without one. Unread: it is stuck in
 * the socket. */
TEST(writes_heal)
{
	static const struct { int64_t size; bool unread; } cases[] = { { 1000, false }, { PUT_SIZE, false }, { PUT_SIZE, true } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_OK(begin("", 0, 2), &e);
		stall.unread = cases[i].unread;
		int rc = put(cases[i].size);
		end();
		CHECK_OK(rc, &e);
		CHECK_INT(atomic_load(&stall.stalled), 2);
	}
}

TEST_MAIN
