/* SPDX-License-Identifier: MIT */
/* The client over TLS: whom it trusts, what it says of those it does not, resumption, cut connections. */
#include "tests/check.h"

#include <stdlib.h>

#include "http/connection.h"
#include "http/verify.h"
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/file.h"
#include "tests/support/certs.h"
#include "tests/support/served.h"
#include "tests/support/tmpdir.h"
#include "tests/support/web.h"

#include <fcntl.h>

static struct served server;
static struct http_client *client;
static struct web web;
static struct err err;
static int64_t clock_ms;

static int64_t clock_now(void *ctx)
{
	(void)ctx;
	return clock_ms != 0 ? clock_ms : os_wall_ms();
}

static const char *file_of(const char *name, const char *text)
{
	const char *path = tmppath(name);
	struct os_file f;

	if (os_file_open(&f, path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &err) < 0)
		return NULL;
	(void)os_file_write(&f, text, strlen(text), 0, &err);
	os_file_close(&f);
	return path;
}

static void say_hello(struct wire *w, void *ctx)
{
	(void)ctx;
	while (wire_request(w))
		if (!wire_read(w, NULL, (size_t)wire_length(w)) ||
		    !wire_say(w, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
			return;
}

static int start(const char *certificate, const char *key, struct http_client_options o)
{
	memset(&server, 0, sizeof(server));
	memset(&web, 0, sizeof(web));
	server.serve = say_hello;
	server.certificate = certificate;
	server.key = key;
	o.no_proxy = true;
	o.now_ms = clock_now;
	return served_start(&server) < 0 ? -1 : http_client_create(&o, &client, &err);
}

static void stop(void)
{
	http_client_free(client);
	served_stop(&server);
	clock_ms = 0;
}

static int get(void)
{
	return web_ask(&web, client, "https://localhost:%d/", server.port);
}

TEST(good_chain)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };

	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(get(), &web.e);
		CHECK_INT(web.status, 200);
		CHECK_STR(web.body, "hello");
		CHECK_INT(web.reused, i > 0);
		/* In the pool it has no buffers. */
		CHECK(client->idle != NULL && client->idle->tls != NULL);
		CHECK(tls_rest(client->idle->tls));
	}
	stop();
	CHECK_OK(start(CERTS_RSA, CERTS_RSA_KEY, o), &err);
	CHECK_OK(get(), &web.e);
	CHECK_STR(web.body, "hello");
	stop();
}

TEST(sessions_are_resumed)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };

	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(get(), &web.e);
		CHECK(!web.reused);
		CHECK_INT(web.resumed, i > 0);
		http_client_close_idle(client);
	}
	/* A server that has forgotten it makes a new one. */
	br_ssl_session_cache_lru_init(&server.sessions, server.session_store, sizeof(server.session_store));
	CHECK_OK(get(), &web.e);
	CHECK(!web.resumed);
	stop();
}

static const struct refusal {
	const char *certificate, *text;
	int64_t clock_ms;
} refusals[] = {
	{ CERTS_WRONG, "the certificate is for other.example, not for localhost", 0 },
	{ CERTS_WILD, "the certificate is for *.example.com, not for localhost", 0 },
	{ CERTS_EXPIRED, "the certificate of localhost expired at 2020-01-01T00:00:00Z (the clock says ", 0 },
	{ CERTS_FUTURE, "the certificate of localhost is not valid before 2059-01-01T00:00:00Z (the clock says ", 0 },
	{ CERTS_GOOD, "the certificate of localhost expired at 2060-01-01T00:00:00Z (the clock says 2061-", 2875000000000 },
	{ CERTS_FUTURE, "(the clock says 1970-01-01T00:00:01Z, which is before this program was made: the clock looks wrong)", 1000 },
	{ CERTS_SELF, "the certificate of localhost is self-signed and not trusted by ", 0 },
};

TEST(refusals_name_the_reason)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		char prefix[64];

		CHECK_OK(start(refusals[i].certificate, CERTS_LEAF_KEY, o), &err);
		clock_ms = refusals[i].clock_ms;
		CHECK_INT(get(), -1);
		(void)snprintf(prefix, sizeof(prefix), "TLS with localhost:%d: ", server.port);
		if (strncmp(web.e.text, prefix, strlen(prefix)) != 0 || strstr(web.e.text, refusals[i].text) == NULL)
			CHECK_FAIL("%zu: %s", i, web.e.text);
		CHECK_INT(web.e.code, ERR_INVALID);
		CHECK_INT(atomic_load(&server.requests), 0);
		stop();
	}
	o.ca_file = file_of("other.pem", CERTS_OTHER);
	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	CHECK_INT(get(), -1);
	CHECK(strstr(web.e.text, "is signed by an authority that is not trusted by /") != NULL);
	stop();
}

TEST(clock_before_the_build)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };

	/* 1970 is taken for the day of the build, and the certificate was valid then. */
	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	clock_ms = 1000;
	CHECK_OK(get(), &web.e);
	stop();
}

TEST(addresses)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };
	char both[4000];

	CHECK_OK(start(CERTS_ADDRESS, CERTS_LEAF_KEY, o), &err);
	CHECK_OK(web_ask(&web, client, "https://127.0.0.1:%d/", server.port), &web.e);
	CHECK_STR(web.body, "hello");
	CHECK_INT(get(), -1);
	CHECK(strstr(web.e.text, "not for localhost") != NULL);
	stop();
	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	CHECK_INT(web_ask(&web, client, "https://127.0.0.1:%d/", server.port), -1);
	CHECK_STR(strstr(web.e.text, ": the"), ": the certificate does not name the address 127.0.0.1, it is for localhost");
	stop();
	/* The leaf itself stands in the file. */
	(void)snprintf(both, sizeof(both), "%s%s", CERTS_CA, CERTS_GOOD);
	o.ca_file = file_of("both.pem", both);
	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	CHECK_OK(web_ask(&web, client, "https://127.0.0.1:%d/", server.port), &web.e);
	stop();
}

TEST(self_signed_when_trusted)
{
	struct http_client_options o = { .ca_file = file_of("self.pem", CERTS_SELF) };

	CHECK_OK(start(CERTS_SELF, CERTS_LEAF_KEY, o), &err);
	CHECK_OK(get(), &web.e);
	CHECK_STR(web.body, "hello");
	stop();
}

TEST(skip_verify)
{
	static const char *const any[] = { CERTS_SELF, CERTS_EXPIRED, CERTS_WRONG, CERTS_GOOD };
	struct http_client_options o = { .skip_verify = true };

	for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
		CHECK_OK(start(any[i], CERTS_LEAF_KEY, o), &err);
		CHECK_OK(get(), &web.e);
		CHECK_OK(web_ask(&web, client, "https://127.0.0.1:%d/", server.port), &web.e);
		stop();
	}
	/* Any certificate, but its key must be the server's. */
	CHECK_OK(start(CERTS_GOOD, CERTS_RSA_KEY, o), &err);
	CHECK_INT(get(), -1);
	stop();
}

TEST(trust_files)
{
	struct http_client_options o = { .ca_file = "/nonexistent/ca.pem" };

	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	CHECK_INT(get(), -1);
	CHECK(strstr(web.e.text, ": open /nonexistent/ca.pem: no such file or directory") != NULL);
	stop();
	o.ca_file = file_of("none.pem", CERTS_LEAF_KEY "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	CHECK_INT(get(), -1);
	CHECK(strstr(web.e.text, "none.pem: holds no usable certificate") != NULL);
	stop();
}

/* Says nothing that TLS is. */
static void speak_plain(struct wire *w, void *ctx)
{
	char c;

	if (wire_read(w, &c, 1))
		wire_say(w, ctx);
}

TEST(not_tls)
{
	static char text[] = "HTTP/1.1 400 Bad Request\r\n\r\nspeak TLS, you say?", nothing[] = "";
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };

	CHECK_OK(start(NULL, NULL, o), &err);
	server.ctx = text;
	server.serve = speak_plain;
	CHECK_INT(get(), -1);
	CHECK_INT(web.e.code, ERR_INVALID);
	CHECK(strstr(web.e.text, "what the server sends is not TLS 1.2") != NULL);
	stop();
	CHECK_OK(start(NULL, NULL, o), &err);
	server.ctx = nothing;
	server.serve = speak_plain;
	CHECK_INT(get(), -1);
	CHECK_INT(web.e.code, ERR_UNAVAILABLE);
	stop();
}

static void stay_silent(struct wire *w, void *ctx)
{
	(void)ctx;
	while (!atomic_load(&w->server->stopping))
		os_sleep_ms(5);
}

TEST(silent_server)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA), .tls_timeout_ms = 30 };
	char want[100];

	CHECK_OK(start(NULL, NULL, o), &err);
	server.serve = stay_silent;
	CHECK_INT(get(), -1);
	CHECK_INT(web.e.code, ERR_UNAVAILABLE);
	(void)snprintf(want, sizeof(want), "TLS with localhost:%d: time-out", server.port);
	CHECK_STR(web.e.text, want);
	stop();
}

/* An answer, and then the connection is gone; *notify: with close_notify. */
static const char *cut_text;
static bool cut_politely;

static void cut(struct wire *w, void *ctx)
{
	(void)ctx;
	if (!wire_request(w))
		return;
	wire_say(w, cut_text);
	if (cut_politely)
		(void)br_sslio_close(&w->io);
}

TEST(truncation)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };

	/* A length that was reached needs no goodbye; the end of the connection as the end of the body does. */
	for (int i = 0; i < 6; i++) {
		static const char *const texts[] = {
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
			"HTTP/1.1 200 OK\r\n\r\nabc",
			"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
		};
		bool good;

		cut_text = texts[i % 3];
		cut_politely = i >= 3;
		good = i % 3 == 0 || (i % 3 == 1 && cut_politely);
		CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
		server.serve = cut;
		if ((get() == 0) != good)
			CHECK_FAIL("%d: %d %s", i, web.rc, web.e.text);
		CHECK_STR(web.body, "abc");
		if (!good)
			CHECK_INT(web.e.code, ERR_UNAVAILABLE);
		stop();
	}
}

/* Bodies over many records in both directions, and an early answer. */
static void big(struct wire *w, void *ctx)
{
	static char bytes[1 << 20];
	char head[100];

	(void)ctx;
	while (wire_request(w)) {
		if (wire_has(w, "early")) {
			wire_say(w, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
			wire_read(w, NULL, 1 << 20);
			return;
		}
		if (!wire_read(w, NULL, (size_t)wire_length(w)))
			return;
		(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof(bytes));
		memset(bytes, 'x', sizeof(bytes));
		wire_say(w, head);
		wire_send(w, bytes, sizeof(bytes));
	}
}

TEST(big_bodies)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };
	static char bytes[20 << 20];

	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	server.serve = big;
	web.rq.method = "PUT";
	web.rq.body = &(struct http_body){ .bytes = bytes, .size = 5 << 20 };
	for (int i = 0; i < 2; i++) {
		CHECK_OK(get(), &web.e);
		CHECK_INT(web.total, 1 << 20);
		CHECK_INT(web.reused, i);
	}
	web.rq.fields = "x: early\r\n";
	web.rq.body = &(struct http_body){ .bytes = bytes, .size = sizeof(bytes) };
	CHECK_OK(get(), &web.e);
	CHECK_INT(web.status, 413);
	stop();
}

static void *ask_often(void *ctx)
{
	struct web *w = ctx;

	for (int i = 0; i < 6; i++) {
		if (web_ask(w, client, "https://localhost:%d/", server.port) < 0)
			break;
		if (i % 3 == 2)
			http_client_close_idle(client);
	}
	return NULL;
}

TEST(many_threads_share_a_client)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA), .pool_idle_max = 2 };
	static struct web webs[6];
	pthread_t threads[6];

	CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
	server.no_sessions = true;
	memset(webs, 0, sizeof(webs));
	for (int i = 0; i < 6; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, ask_often, &webs[i]), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 6; i++)
		CHECK_OK(webs[i].rc, &webs[i].e);
	CHECK_INT(atomic_load(&server.requests), 36);
	stop();
}

TEST(failing_calls)
{
	struct http_client_options o = { .ca_file = file_of("ca.pem", CERTS_CA) };

	for (uint64_t n = 1;; n++) {
		bool hit;

		CHECK_OK(start(CERTS_GOOD, CERTS_LEAF_KEY, o), &err);
		os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = n, .calls = OS_CALL_NET });
		get();
		get();
		hit = os_fault_hit();
		os_fault_set(NULL);
		if (web.rc < 0)
			CHECK_INT(web.e.code, ERR_UNAVAILABLE);
		else
			CHECK_STR(web.body, "hello");
		stop();
		if (!hit)
			break;
	}
}

/* ---- the stores ---- */

TEST(pem_texts)
{
	struct trust *t = calloc(1, sizeof(*t));
	static const char mixed[] = "rubbish\n" CERTS_CA "# a comment\n" CERTS_LEAF_KEY CERTS_OTHER CERTS_CA
	                            "-----BEGIN CERTIFICATE-----\nMIIB!!!\n-----END CERTIFICATE-----\n" CERTS_GOOD
	                            "-----BEGIN CERTIFICATE-----\nMIIBizCCATKgAwIBAgIBCTAKB\n-----END CERTIFICATE-----\n"
	                            "-----BEGIN CERTIFICATE-----\nMIIBizCC\n" CERTS_GOOD "-----BEGIN CERTIFICATE-----";

	CHECK_OK(trust_add_pem(t, (const uint8_t *)mixed, sizeof(mixed) - 1, &err), &err);
	CHECK_INT(t->count, 3); /* one stood there twice */
	CHECK_INT(t->skipped, 4);
	CHECK_INT(t->anchors[0].flags, BR_X509_TA_CA);
	CHECK_INT(t->anchors[2].flags, 0);
	trust_free(t);
}

TEST(folders)
{
	const char *dir = tmppath("certs");
	struct trust *t;

	CHECK_OK(os_dir_make(dir, &(struct os_owner){ .mode = 0700, .uid = (uint32_t)-1, .gid = (uint32_t)-1 }, &err), &err);
	CHECK_INT(trust_load_folder(dir, &t, &err), -1);
	CHECK(strstr(err.text, "/certs: holds no usable certificate") != NULL);
	file_of("certs/ca.pem", CERTS_CA);
	file_of("certs/0123abcd.0", CERTS_CA);
	file_of("certs/other.crt", CERTS_OTHER);
	file_of("certs/README", "Nothing here.\n");
	CHECK_OK(trust_load_folder(dir, &t, &err), &err);
	CHECK_INT(t->count, 2);
	CHECK(strstr(t->source, "/certs") != NULL);
	trust_free(t);
	CHECK_INT(trust_load_folder(tmppath("missing"), &t, &err), -1);
	CHECK_INT(err.code, ERR_NOT_FOUND);
}

/* Is that record one of these anchors? Its length in *len. */
static bool is_anchor(const unsigned char *at, const struct trust *t, size_t *len)
{
	size_t dn = (size_t)at[0] << 8 | at[1], n = (size_t)at[2 + dn + 1] << 8 | at[2 + dn + 2];
	const unsigned char *key = at + 2 + dn;

	*len = 2 + dn + 3 + n + (key[0] == 0 ? 1 + key[3 + n] : 0);
	for (size_t i = 0; i < t->count; i++) {
		const br_x509_trust_anchor *a = &t->anchors[i];

		if (a->dn.len != dn || memcmp(a->dn.data, at + 2, dn) != 0)
			continue;
		if (key[0] == 0 && a->pkey.key_type == BR_KEYTYPE_RSA && a->pkey.key.rsa.nlen == n &&
		    memcmp(a->pkey.key.rsa.n, key + 3, n) == 0 && a->pkey.key.rsa.elen == key[3 + n] &&
		    memcmp(a->pkey.key.rsa.e, key + 3 + n + 1, key[3 + n]) == 0)
			return true;
		if (key[0] != 0 && a->pkey.key_type == BR_KEYTYPE_EC && a->pkey.key.ec.curve == key[0] &&
		    a->pkey.key.ec.qlen == n && memcmp(a->pkey.key.ec.q, key + 3, n) == 0)
			return true;
	}
	return false;
}

/* The roots that were compiled in are those of the bundle they were made of. */
TEST(builtin_roots)
{
	struct buf records = { .data = NULL };
	struct trust *t;
	size_t count = 0, len;

	CHECK_OK(trust_builtin(&records, &err), &err);
	if (records.len == 0)
		SKIP("built without");
	if (trust_load("/etc/ssl/certs/ca-certificates.crt", &t, &err) < 0)
		SKIP("no bundle here");
	for (size_t at = 0; at < records.len; at += len, count++)
		CHECK(is_anchor(records.data + at, t, &len));
	buf_free(&records);
	CHECK(count >= t->count);
	CHECK_INT(t->skipped, 0);
	trust_free(t);
}

TEST(system_store)
{
	const struct trust *a, *b;

	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	setenv("AWS_CA_BUNDLE", file_of("aws.pem", CERTS_OTHER), 1);
	CHECK_OK(trust_system(&a, &err), &err);
	CHECK_INT(a->count, 1);
	CHECK_OK(trust_system(&b, &err), &err);
	CHECK(a == b);
}

TEST_MAIN
