/* SPDX-License-Identifier: MIT */
/* Attempts, waits and sharing; what a request looks like to a whole server is tested end to end. */
#include "s3/client.h"

#include <stdlib.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "s3/debug.h"
#include "tests/check.h"
#include "tests/support/served.h"

static struct served server;
static struct err e;

static int open_client(const char *url, struct s3_client **out)
{
	struct s3_settings s;
	int rc;

	e = (struct err)ERR_INIT;
	if (s3_settings_make(&(struct s3_given){ .url = url }, &s, &e) != 0)
		return -1;
	s.access_key_id = strdup("key");
	s.secret_access_key = strdup("secret");
	rc = s3_client_open(&s, NULL, out, &e);
	s3_settings_free(&s);
	return rc;
}

static int nothing(void *ctx, struct s3_reply *r, struct err *why)
{
	(void)r;
	(void)why;
	++*(int *)ctx;
	return 0;
}

static int get(struct s3_client *c, const atomic_bool *cancel, struct s3_reply *r)
{
	struct s3_call call = { .method = "GET", .operation = "GetObject", .verb = "open", .key = "k",
		.cancel = cancel };
	int taken = 0;

	return s3_call(c, &call, nothing, &taken, r, &e);
}

TEST(backoff_curve)
{
	int64_t most[8] = { 0 };

	for (uint64_t i = 0; i < 20000; i++) {
		for (int n = 1; n < 8; n++) {
			int64_t ms = s3_backoff_ms(n, i * 977);

			CHECK(ms >= 0);
			CHECK(n < 5 || ms >= 10000);
			most[n] = ms > most[n] ? ms : most[n];
		}
	}
	for (int n = 1; n < 5; n++)
		CHECK(most[n] < 1000 << n && most[n] > (1000 << n) * 9 / 10);
	CHECK(most[5] <= 20000 && most[5] > 19000);
}

TEST(equal_settings_share_a_client)
{
	struct s3_client *a, *b, *c;

	CHECK_OK(open_client("s3://bkt/one?endpoint=http://127.0.0.1:9", &a), &e);
	CHECK_OK(open_client("s3://bkt/two?endpoint=http://127.0.0.1:9", &b), &e);
	CHECK_OK(open_client("s3://bkt/two?endpoint=http://127.0.0.1:9&concurrency=3", &c), &e);
	bool shared = a == b, apart = a != c;
	s3_client_release(a);
	s3_client_release(b);
	s3_client_release(c);
	CHECK(shared);
	CHECK(apart);
}

/* However long nobody answered, the next call is tried ten times like the first (no bucket of tokens runs dry). */
TEST(long_outages_do_not_wear_out)
{
	struct s3_client *c;
	struct s3_reply r;
	int attempts = 0;

	os_fault_clock(1600000000000, 1000000);
	CHECK_OK(open_client("s3://bkt/p?endpoint=http://127.0.0.1:1", &c), &e);
	for (int i = 0; i < 21; i++) {
		get(c, NULL, &r);
		attempts += r.attempts;
	}
	s3_client_release(c);
	os_fault_clock(0, 0);
	CHECK_INT(attempts, 210);
	CHECK_INT(e.code, ERR_SYSTEM);
	CHECK(strstr(e.text, "refused (10 attempts)") != NULL);
}

static void busy(struct wire *w, void *ctx)
{
	(void)ctx;
	while (wire_request(w) && wire_say(w, "HTTP/1.1 503 X\r\nContent-Length: 0\r\nRetry-After: 50\r\n\r\n"))
		;
}

static void *cancel_soon(void *flag)
{
	os_sleep_ms(200);
	atomic_store((atomic_bool *)flag, true);
	return NULL;
}

TEST(waits_can_be_cut_short)
{
	atomic_bool cancel = false;
	struct s3_client *c;
	struct s3_reply r;
	pthread_t thread;
	char url[100];

	memset(&server, 0, sizeof(server));
	server.serve = busy;
	CHECK_INT(served_start(&server), 0);
	snprintf(url, sizeof(url), "s3://bkt/p?endpoint=http://127.0.0.1:%d", server.port);
	CHECK_OK(open_client(url, &c), &e);
	pthread_create(&thread, NULL, cancel_soon, &cancel);
	int rc = get(c, &cancel, &r);
	pthread_join(thread, NULL);
	s3_client_release(c);
	served_stop(&server);
	CHECK_INT(rc, -1);
	CHECK_INT(e.code, ERR_CANCELLED);
	CHECK_INT(r.attempts, 1);
}

TEST(problems_end_every_call)
{
	struct s3_client *c;
	struct s3_reply r;

	CHECK_OK(open_client("s3://b--usw2-az1--x-s3/p?endpoint=http://127.0.0.1:1", &c), &e);
	int rc = get(c, NULL, &r);
	s3_client_release(c);
	CHECK_INT(rc, -1);
	CHECK_INT(r.attempts, 0);
	CHECK(strstr(e.text, "directory bucket") != NULL);
}

TEST(debug_words)
{
	struct buf unknown = { .data = NULL }, out = { .data = NULL };
	const struct sigv4_pair fields[] = { { "Authorization", "a" }, { "x-amz-security-token", "b" },
		{ "range", "c" },
		{ "x-amz-server-side-encryption-customer-key", "d" },
		{ "x-amz-server-side-encryption-customer-key-md5", "e" } };

	CHECK_INT(s3_debug_parse("Signing, RETRIES,,what request-with-body", &unknown),
	          S3_DEBUG_SIGNING | S3_DEBUG_RETRIES | S3_DEBUG_REQUEST | S3_DEBUG_REQUEST_BODY);
	s3_debug_fields(&out, fields, 5);
	bool told = strcmp(buf_text(&unknown), "what") == 0;
	bool masked = strcmp(buf_text(&out), "Authorization=***, x-amz-security-token=***, range=c, "
	                     "x-amz-server-side-encryption-customer-key=***, "
	                     "x-amz-server-side-encryption-customer-key-md5=e") == 0;
	buf_free(&unknown);
	buf_free(&out);
	CHECK(told);
	CHECK(masked);
	CHECK_INT(s3_debug_parse("", NULL), 0);
}

TEST_MAIN
