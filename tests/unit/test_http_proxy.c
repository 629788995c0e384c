/* SPDX-License-Identifier: MIT */
/* Proxies: which requests go through one, and how. */
#include "tests/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/proxy.h"
#include "lib/os/file.h"
#include "lib/os/net.h"
#include "tests/support/certs.h"
#include "tests/support/served.h"
#include "tests/support/tmpdir.h"
#include "tests/support/web.h"

static struct err err;
static struct served origin, proxy;
static struct http_client *client;
static struct web web;

struct rule {
	const char *no_proxy, *url;
	bool proxied;
};

static const struct rule rules[] = {
	{ "", "http://a.example/", true },
	{ "", "http://localhost/", false },
	{ "", "http://LOCALHOST:9000/", false },
	{ "", "http://127.8.9.1/", false },
	{ "", "http://[::1]/", false },
	{ "", "http://[::ffff:127.0.0.1]/", false },
	{ "", "http://169.254.169.254/latest", false },
	{ "", "http://169.254.170.2/", false },
	{ "", "http://[fd00:ec2::254]/", false },
	{ "*", "http://a.example/", false },
	{ "b.example, *", "http://a.example/", false },
	{ "example", "http://a.example/", false },
	{ "a.example", "http://a.example/", false },
	{ "a.example", "http://b.a.example/", false },
	{ "a.example", "http://ba.example/", true },
	{ "A.Example", "http://a.eXample/", false },
	{ ".a.example", "http://a.example/", true },
	{ ".a.example", "http://b.a.example/", false },
	{ "*.a.example", "http://b.a.example/", false },
	{ "*.a.example", "http://a.example/", true },
	{ "a.example:80", "http://a.example/", false },
	{ "a.example:81", "http://a.example/", true },
	{ "a.example:9000", "http://a.example:9000/", false },
	{ "10.0.0.1", "http://10.0.0.1/", false },
	{ "10.0.0.1:80", "http://10.0.0.1/", false },
	{ "10.0.0.1:81", "http://10.0.0.1/", true },
	{ "10.0.0.1", "http://10.0.0.2/", true },
	{ "10.0.0.0/8", "http://10.200.0.2/", false },
	{ "10.0.0.0/9", "http://10.200.0.2/", true },
	{ "10.128.0.0/9", "http://10.200.0.2/", false },
	{ "0.0.0.0/0", "http://10.200.0.2/", false },
	{ "10.0.0.0/33", "http://10.0.0.0/", true },
	{ "10.0.0.0/x", "http://10.0.0.0/", true },
	{ "10.0.0.0/8", "http://name.example/", true },
	{ "2001:db8::1", "http://[2001:db8::1]/", false },
	{ "[2001:db8::1]:80", "http://[2001:db8::1]/", false },
	{ "[2001:db8::1]:81", "http://[2001:db8::1]/", true },
	{ "2001:db8::/32", "http://[2001:db8:7::1]/", false },
	{ "2001:db8::/32", "http://[2001:db9:7::1]/", true },
	{ " ,,x , a.example ,", "http://a.example/", false },
	{ ".", "http://a.example/", true },
	{ "[", "http://a.example/", true },
	{ ":80", "http://a.example/", true },
	{ "/", "http://a.example/", true },
};

TEST(no_proxy)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct proxies p;
		struct http_url url;
		const struct proxy *chosen;

		CHECK_OK(proxies_set(&p, "proxy.example:3128", NULL, rules[i].no_proxy, &err), &err);
		CHECK_OK(http_url_parse(rules[i].url, &url, &err), &err);
		CHECK_OK(proxies_choose(&p, &url, &chosen, &err), &err);
		if ((chosen != NULL) != rules[i].proxied)
			CHECK_FAIL("NO_PROXY=%s, %s", rules[i].no_proxy, rules[i].url);
		if (chosen != NULL) {
			CHECK_STR(chosen->url.host, "proxy.example");
			CHECK_INT(chosen->url.port, 3128);
		}
		http_url_free(&url);
		proxies_free(&p);
	}
}

TEST(values)
{
	struct http_url plain, secure;
	const struct proxy *chosen;
	struct proxies p;

	CHECK_OK(http_url_parse("http://a.example/", &plain, &err), &err);
	CHECK_OK(http_url_parse("https://a.example/", &secure, &err), &err);
	CHECK_OK(proxies_set(&p, NULL, "http://us%20er:p%40ss@p.example", NULL, &err), &err);
	CHECK_OK(proxies_choose(&p, &plain, &chosen, &err), &err);
	CHECK(chosen == NULL);
	CHECK_OK(proxies_choose(&p, &secure, &chosen, &err), &err);
	CHECK_INT(chosen->url.port, 80);
	CHECK_STR(chosen->authorization, "Proxy-Authorization: Basic dXMgZXI6cEBzcw==\r\n");
	proxies_free(&p);
	/* What cannot be used is said to those who need it. */
	CHECK_OK(proxies_set(&p, "socks5://p.example:1080", "http://p:x", NULL, &err), &err);
	CHECK_INT(proxies_choose(&p, &plain, &chosen, &err), -1);
	CHECK_INT(err.code, ERR_INVALID);
	CHECK_STR(err.text, "HTTP_PROXY: only http:// proxies can be used, not socks5://");
	CHECK_INT(proxies_choose(&p, &secure, &chosen, &err), -1);
	CHECK_INT(err.code, ERR_INVALID);
	CHECK(strncmp(err.text, "HTTPS_PROXY: ", 13) == 0);
	proxies_free(&p);
	http_url_free(&plain);
	http_url_free(&secure);
}

TEST(environment)
{
	struct http_url url;
	const struct proxy *chosen;
	struct proxies p;

	CHECK_OK(http_url_parse("http://a.example/", &url, &err), &err);
	setenv("http_proxy", "lower.example:1", 1);
	setenv("no_proxy", "b.example", 1);
	CHECK_OK(proxies_from_env(&p, &err), &err);
	CHECK_OK(proxies_choose(&p, &url, &chosen, &err), &err);
	CHECK_STR(chosen->url.host, "lower.example");
	proxies_free(&p);
	setenv("HTTP_PROXY", "upper.example:1", 1);
	CHECK_OK(proxies_from_env(&p, &err), &err);
	CHECK_OK(proxies_choose(&p, &url, &chosen, &err), &err);
	CHECK_STR(chosen->url.host, "upper.example");
	proxies_free(&p);
	setenv("REQUEST_METHOD", "GET", 1);
	CHECK_OK(proxies_from_env(&p, &err), &err);
	CHECK_OK(proxies_choose(&p, &url, &chosen, &err), &err);
	CHECK(chosen == NULL);
	proxies_free(&p);
	for (int i = 0; i < 4; i++)
		unsetenv(((const char *[]){ "REQUEST_METHOD", "HTTP_PROXY", "http_proxy", "no_proxy" })[i]);
	http_url_free(&url);
}

/* ---- going through one ---- */

static void say_origin(struct wire *w, void *ctx)
{
	(void)ctx;
	while (wire_request(w))
		if (!wire_say(w, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin"))
			return;
}

/* What a proxy was asked last. */
static char asked[SERVED_HEAD_MAX];

static void pass(int from, int to)
{
	char bytes[4096];
	ssize_t n = recv(from, bytes, sizeof(bytes), 0);

	if (n <= 0 || send(to, bytes, (size_t)n, MSG_NOSIGNAL) != n) {
		shutdown(from, SHUT_RDWR);
		shutdown(to, SHUT_RDWR);
	}
}

static void tunnel(struct wire *w)
{
	struct os_addr a;
	struct pollfd fds[2] = { { .fd = w->fd, .events = POLLIN } };
	bool done;

	if (!os_addr_literal("127.0.0.1", origin.port, &a) || os_connect_start(&a, &fds[1].fd, &done) != 0)
		return;
	fds[1].events = POLLOUT;
	if (!done)
		poll(&fds[1], 1, -1);
	fcntl(fds[1].fd, F_SETFL, 0);
	fds[1].events = POLLIN;
	wire_say(w, "HTTP/1.1 200 Connection established\r\n\r\n");
	while (poll(fds, 2, -1) > 0 && !atomic_load(&w->server->stopping)) {
		if (fds[0].revents)
			pass(fds[0].fd, fds[1].fd);
		if (fds[1].revents)
			pass(fds[1].fd, fds[0].fd);
		if ((fds[0].revents | fds[1].revents) & POLLHUP)
			break;
	}
	close(fds[1].fd);
}

/* ctx: what to answer, or NULL to be a proxy. */
static void say_proxy(struct wire *w, void *ctx)
{
	while (wire_request(w)) {
		memcpy(asked, w->head, sizeof(asked));
		if (ctx != NULL) {
			wire_say(w, ctx);
		} else if (strncmp(w->head, "CONNECT ", 8) == 0) {
			tunnel(w);
			return;
		} else {
			wire_say(w, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy");
		}
	}
}

static int start(void *answer)
{
	struct http_client_options o = { .ca_file = tmppath("ca.pem") };
	struct os_file f;
	char value[100];

	memset(&origin, 0, sizeof(origin));
	memset(&proxy, 0, sizeof(proxy));
	memset(&web, 0, sizeof(web));
	origin.serve = say_origin;
	origin.certificate = CERTS_GOOD;
	origin.key = CERTS_LEAF_KEY;
	proxy.serve = say_proxy;
	proxy.ctx = answer;
	if (os_file_open(&f, o.ca_file, O_WRONLY | O_CREAT, 0600, &err) < 0 ||
	    os_file_write(&f, CERTS_CA, sizeof(CERTS_CA) - 1, 0, &err) < 0)
		return -1;
	os_file_close(&f);
	if (served_start(&origin) < 0 || served_start(&proxy) < 0)
		return -1;
	(void)snprintf(value, sizeof(value), "http://user:pass@127.0.0.1:%d", proxy.port);
	setenv("HTTP_PROXY", value, 1);
	setenv("HTTPS_PROXY", value, 1);
	return http_client_create(&o, &client, &err);
}

static void stop(void)
{
	http_client_free(client);
	served_stop(&proxy);
	served_stop(&origin);
	unsetenv("HTTP_PROXY");
	unsetenv("HTTPS_PROXY");
}

TEST(plain_request_goes_in_absolute_form)
{
	CHECK_OK(start(NULL), &err);
	CHECK_OK(web_ask(&web, client, "http://a.example:81/x?y", 0), &web.e);
	CHECK_STR(web.body, "proxy");
	CHECK_STR(asked, "GET http://a.example:81/x?y HTTP/1.1\r\nHost: a.example:81\r\n"
	                 "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n");
	/* One connection serves all plain hosts. */
	CHECK_OK(web_ask(&web, client, "http://b.example/", 0), &web.e);
	CHECK(web.reused);
	stop();
}

TEST(localhost_goes_straight)
{
	CHECK_OK(start(NULL), &err);
	CHECK_OK(web_ask(&web, client, "https://localhost:%d/", origin.port), &web.e);
	CHECK_STR(web.body, "origin");
	CHECK_INT(atomic_load(&proxy.connections), 0);
	stop();
}

/* The proxy connects to the origin whatever the name; the certificate is for localhost, and that is not proxied, so the
 * check must be left out. */
TEST(tls_through_connect)
{
	struct http_client_options o = { .skip_verify = true };
	char want[200];

	CHECK_OK(start(NULL), &err);
	http_client_free(client);
	CHECK_OK(http_client_create(&o, &client, &err), &err);
	for (int i = 0; i < 2; i++) {
		CHECK_OK(web_ask(&web, client, "https://a.example:%d/", origin.port), &web.e);
		CHECK_STR(web.body, "origin");
		CHECK_INT(web.reused, i);
	}
	(void)snprintf(want, sizeof(want), "CONNECT a.example:%d HTTP/1.1\r\nHost: a.example:%d\r\n"
	               "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n", origin.port, origin.port);
	CHECK_STR(asked, want);
	stop();
}

TEST(certificate_is_checked_behind_a_proxy)
{
	CHECK_OK(start(NULL), &err);
	CHECK_INT(web_ask(&web, client, "https://a.example:%d/", origin.port), -1);
	CHECK(strstr(web.e.text, "the certificate is for localhost, not for a.example") != NULL);
	stop();
}

struct refusal {
	const char *answer, *text;
	enum err_code code;
};

static const struct refusal refusals[] = {
	{ "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "wants other credentials (407)", ERR_INVALID },
	{ "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!", "refuses the connection: 403 Forbidden", ERR_INVALID },
	{ "HTTP/1.1 502 Bad Gateway\r\n\r\n", "refuses the connection: 502 Bad Gateway", ERR_UNAVAILABLE },
	{ "HTTP/1.1 200 OK\r\n\r\nsurplus", "bytes behind its answer", ERR_UNAVAILABLE },
	{ "no HTTP\r\n\r\n", "proxy 127.0.0.1:", ERR_UNAVAILABLE },
};

TEST(proxy_refuses)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		CHECK_OK(start((void *)(uintptr_t)refusals[i].answer), &err);
		CHECK_INT(web_ask(&web, client, "https://a.example/", 0), -1);
		if (strstr(web.e.text, refusals[i].text) == NULL || web.e.code != refusals[i].code)
			CHECK_FAIL("%zu: code %d, %s", i, (int)web.e.code, web.e.text);
		if (i == 0) {
			CHECK_INT(web_ask(&web, client, "http://a.example/", 0), -1);
			CHECK_INT(web.e.code, ERR_INVALID);
			CHECK(strstr(web.e.text, "wants other credentials (407)") != NULL);
		}
		stop();
	}
}

TEST(proxy_is_not_there)
{
	CHECK_OK(start(NULL), &err);
	served_stop(&proxy);
	CHECK_INT(web_ask(&web, client, "https://a.example/", 0), -1);
	CHECK_INT(web.e.code, ERR_UNAVAILABLE);
	CHECK(strncmp(web.e.text, "proxy: connect to 127.0.0.1:", 28) == 0);
	http_client_free(client);
	served_stop(&origin);
}

TEST_MAIN
