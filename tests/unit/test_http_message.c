/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "http/message.h"
#include "tests/check.h"

/* What a parser makes of a text that is fed with a cut at every place of `cut`, as one line. */
struct run {
	struct http_parser p;
	struct buf body, text;
	struct err e;
	enum http_event last;
};

static void note_head(struct run *r)
{
	struct http_parser *p = &r->p;

	if (p->kind == HTTP_REQUEST)
		buf_fmt(&r->text, "%s %s 1.%d", http_text(p, p->method), http_text(p, p->target), p->version_minor);
	else
		buf_fmt(&r->text, "%d '%s' 1.%d", p->status, http_text(p, p->reason), p->version_minor);
	for (int i = 0; i < p->field_count; i++)
		buf_fmt(&r->text, " %s=%s", http_text(p, p->fields[i].name), http_text(p, p->fields[i].value));
	buf_fmt(&r->text, " |%s%s%s%s", p->keep_alive ? " keep" : "", p->chunked ? " chunked" : "",
	        p->expect_continue ? " expect" : "", p->until_close ? " close" : "");
	if (p->content_length >= 0)
		buf_fmt(&r->text, " %" PRId64, p->content_length);
}

/* false at the end: done, error, or a broken promise. */
static bool feed(struct run *r, const char *bytes, size_t n)
{
	size_t used;

	do {
		r->last = http_parse(&r->p, (const uint8_t *)bytes, n, &used, &r->e);
		bytes += used;
		n -= used;
		if (r->last == HTTP_HEAD)
			note_head(r);
		if (r->last == HTTP_BODY)
			buf_append(&r->body, r->p.body, r->p.body_len);
		if (r->last == HTTP_DONE) {
			buf_fmt(&r->text, " [%s] rest %zu", buf_text(&r->body), n);
			return false;
		}
		if (r->last == HTTP_ERROR) {
			buf_fmt(&r->text, "%s%d %s", r->text.len ? " then " : "", r->p.status, r->e.text);
			return false;
		}
	} while (r->last != HTTP_MORE);
	if (n > 0)
		buf_str(&r->text, " BYTES LEFT");
	return n == 0;
}

static void finish(struct run *r, bool end)
{
	if (!end) {
		buf_str(&r->text, " more");
	} else if (http_parse_end(&r->p, &r->e) == HTTP_DONE) {
		buf_fmt(&r->text, " [%s] closed", buf_text(&r->body));
	} else {
		buf_fmt(&r->text, "%s%s", r->text.len ? " then " : "", r->e.text);
	}
}

enum { WHOLE = -1, BYTEWISE = -2 };

static char *outcome(enum http_kind kind, const char *text, size_t n, long cut, bool end, bool no_body)
{
	struct run r = { .last = HTTP_MORE };
	bool going = true;

	http_parser_init(&r.p, kind);
	r.p.no_body = no_body;
	if (cut == BYTEWISE) {
		for (size_t i = 0; i < n && going; i++)
			going = feed(&r, text + i, 1);
		/* What was not fed is a rest as well: only the whole texts' outcomes count it. */
	} else if (cut >= 0) {
		going = feed(&r, text, (size_t)cut) && feed(&r, text + cut, n - (size_t)cut);
	} else {
		going = feed(&r, text, n);
	}
	if (going)
		finish(&r, end);
	http_parser_free(&r.p);
	buf_free(&r.body);
	return (char *)r.text.data;
}

/* The same comes out however the bytes are cut. NULL, or what came out at the first place where it did not. */
static const char *differs(enum http_kind kind, const char *text, size_t n, const char *want, bool end, bool no_body)
{
	static char shown[8192];
	bool has_rest = strstr(want, "rest ") && !strstr(want, "rest 0");

	for (long cut = has_rest ? WHOLE : BYTEWISE; cut < (has_rest ? 0 : (long)n); cut++) {
		char *got = outcome(kind, text, n, cut, end, no_body);
		bool same = got && strcmp(got, want) == 0;

		snprintf(shown, sizeof(shown), "cut at %ld: %s", cut, got ? got : "(nothing)");
		free(got);
		if (!same)
			return shown;
	}
	return NULL;
}

#define REQUEST(text, want) CHECK_STR(differs(HTTP_REQUEST, text, sizeof(text) - 1, want, false, false), NULL)
#define RESPONSE(text, want) CHECK_STR(differs(HTTP_RESPONSE, text, sizeof(text) - 1, want, true, false), NULL)
#define REFUSED(head, want) REQUEST("GET / HTTP/1.1\r\nHost: x\r\n" head "\r\n\r\n", "400 " want)

TEST(requests)
{
	REQUEST("GET /list HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /list 1.1 host=localhost | keep [] rest 0");
	REQUEST("GET /txid?path=/\xc3\xbc HTTP/1.0\r\n\r\n", "GET /txid?path=/\xc3\xbc 1.0 | [] rest 0");
	REQUEST("GET / HTTP/1.0\nConnection: Keep-Alive\n\n", "GET / 1.0 connection=Keep-Alive | keep [] rest 0");
	REQUEST("GET / HTTP/1.1\r\nHost:\r\nconnection: x ,\tCLOSE\r\n\r\n",
	        "GET / 1.1 host= connection=x ,\tCLOSE | [] rest 0");
	REQUEST("\r\n\r\nGET / HTTP/1.0\r\n\r\n", "GET / 1.0 | [] rest 0");
	REQUEST("POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nhello",
	        "POST /s 1.1 host=x content-length=5 expect=100-Continue | keep expect 5 [hello] rest 0");
	REQUEST("POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	        "POST /s 1.1 host=x content-length=0 | keep 0 [] rest 0");
	/* A second message in the same piece is left to the caller. */
	REQUEST("GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n", "GET /a 1.0 | [] rest 19");
	REQUEST("POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\nokGET", "POST /a 1.0 content-length=2 | 2 [ok] rest 3");
}

TEST(chunks)
{
#define CHUNKED "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
#define SHOWN "POST / 1.1 host=x transfer-encoding=Chunked | keep chunked"
	REQUEST(CHUNKED "5\r\nhello\r\n0\r\n\r\n", SHOWN " [hello] rest 0");
	REQUEST(CHUNKED "0\r\n\r\n", SHOWN " [] rest 0");
	REQUEST(CHUNKED "000a;name=\"value\"\r\n0123456789\r\n01\r\n!\r\n00\r\nA: b\r\nC:\r\n\r\n", SHOWN " [0123456789!] rest 0");
	REQUEST(CHUNKED "F\r\n0123456789abcde\r\n0\r\n\r\nx", SHOWN " [0123456789abcde] rest 1");
	REQUEST(CHUNKED "5\r\nhel", SHOWN " more");
	REQUEST(CHUNKED "\r\n", SHOWN " then 400 invalid chunk size");
	REQUEST(CHUNKED "5\nhello", SHOWN " then 400 invalid chunk size");
	REQUEST(CHUNKED "5 \r\nhello", SHOWN " then 400 invalid chunk size");
	REQUEST(CHUNKED "0x5\r\nhello", SHOWN " then 400 invalid chunk size");
	REQUEST(CHUNKED "-1\r\n", SHOWN " then 400 invalid chunk size");
	REQUEST(CHUNKED "5;a\nb\r\n", SHOWN " then 400 invalid chunk size");
	REQUEST(CHUNKED "5;a\r\r\n", SHOWN " then 400 invalid chunk size");
	REQUEST(CHUNKED "1000000000000000\r\n", SHOWN " then 400 invalid chunk size");
	REQUEST(CHUNKED "5\r\nhello!\r\n", SHOWN " then 400 malformed chunked encoding");
	REQUEST(CHUNKED "5\r\nhello\n", SHOWN " then 400 malformed chunked encoding");
	REQUEST(CHUNKED "5\r\nhello\r0", SHOWN " then 400 malformed chunked encoding");
	REQUEST(CHUNKED "0\r\n A: b\r\n\r\n", SHOWN " then 400 malformed trailer");
	REQUEST(CHUNKED "0\r\nA: \x01\r\n\r\n", SHOWN " then 400 malformed trailer");
	REQUEST(CHUNKED "0\r\n\rX", SHOWN " then 400 malformed trailer");
}

TEST(hostile_heads)
{
	REFUSED("A: b\rc", "invalid header field value");
	REFUSED("A: b\r\r", "invalid header field value");
	REFUSED("A: b\x01", "invalid header field value");
	REFUSED("A: b\x7f", "invalid header field value");
	REFUSED("A: b\0c", "NUL byte in header");
	REFUSED("A: b\r\n c", "malformed header field: folded line");
	REFUSED("A : b", "malformed header field name");
	REFUSED(": b", "malformed header field name");
	REFUSED("A", "malformed header field name");
	REFUSED("A(): b", "malformed header field name");
	REFUSED("\xc3\xbc: b", "malformed header field name");
	REFUSED("Host: y", "more than one host field");
	REFUSED("Content-Length: 1\r\nContent-Length: 1", "more than one content-length field");
	REFUSED("Content-Length: 1, 1", "bad Content-Length");
	REFUSED("Content-Length: +1", "bad Content-Length");
	REFUSED("Content-Length: -1", "bad Content-Length");
	REFUSED("Content-Length: 0x1", "bad Content-Length");
	REFUSED("Content-Length:", "bad Content-Length");
	REFUSED("Content-Length: 1 1", "bad Content-Length");
	REFUSED("Content-Length: 9223372036854775808", "bad Content-Length");
	REFUSED("Content-Length: 1\r\nTransfer-Encoding: chunked", "both Content-Length and Transfer-Encoding");
	REFUSED("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "more than one transfer-encoding field");
	REQUEST("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501 unsupported transfer encoding");
	REQUEST("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n", "501 unsupported transfer encoding");
	REQUEST("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Transfer-Encoding in an HTTP/1.0 message");
	REQUEST("POST / HTTP/1.1\r\nHost: x\r\nExpect: 200\r\n\r\n", "417 unknown expectation");
	REQUEST("GET / HTTP/1.1\r\n\r\n", "400 missing required Host header");
}

TEST(hostile_request_lines)
{
	REQUEST("GET  / HTTP/1.1\r\n\r\n", "400 malformed HTTP request");
	REQUEST("GET /\r\n\r\n", "400 malformed HTTP request");
	REQUEST("GET / HTTP/1.1 \r\n\r\n", "400 malformed HTTP request");
	REQUEST("GET / x HTTP/1.1\r\n\r\n", "400 malformed HTTP request");
	REQUEST(" GET / HTTP/1.1\r\n\r\n", "400 malformed HTTP request");
	REQUEST("G\0T / HTTP/1.1\r\n\r\n", "400 NUL byte in header");
	REQUEST("GET /\x01 HTTP/1.1\r\n\r\n", "400 malformed HTTP request");
	REQUEST("GET / http/1.1\r\n\r\n", "400 malformed HTTP version");
	REQUEST("GET / HTTP/1,1\r\n\r\n", "400 malformed HTTP version");
	REQUEST("PRI * HTTP/2.0\r\n\r\n", "505 unsupported protocol version");
	REQUEST("\n\n\n\n\n\n\n\n\n\n", "400 malformed HTTP message: blank line at its beginning");
}

TEST(responses)
{
	RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 'OK' 1.1 content-length=2 | keep 2 [ok] rest 0");
	RESPONSE("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 '' 1.1 content-length=0 | keep 0 [] rest 0");
	RESPONSE("HTTP/1.0 500 Not Good\r\n\r\nsome\nbody", "500 'Not Good' 1.0 | close [some\nbody] closed");
	RESPONSE("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304 'Not Modified' 1.1 content-length=9 | keep 9 [] rest 0");
	RESPONSE("HTTP/1.1 204 No Content\r\n\r\n", "204 'No Content' 1.1 | keep [] rest 0");
	RESPONSE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1",
	         "200 'OK' 1.1 content-length=1 | keep 1 [1] rest 0");
	RESPONSE("HTTP/1.1 101 Switching\r\n\r\n", "101 'Switching' 1.1 | keep [] rest 0");
	RESPONSE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	         "200 'OK' 1.1 transfer-encoding=chunked | keep chunked [ok] rest 0");
	RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
	         "200 'OK' 1.1 content-length=3 | keep 3 then response: connection closed in its body");
	RESPONSE("HTTP/1.1 200 OK\r\nContent-L", "response: connection closed in its head");
	RESPONSE("\r\nHTTP/1.1 200 OK\r\n\r\n", "400 malformed HTTP message: blank line at its beginning");
	RESPONSE("HTTP/1.1 20 OK\r\n\r\n", "400 malformed HTTP status code");
	RESPONSE("HTTP/1.1 2000 OK\r\n\r\n", "400 malformed HTTP status code");
	RESPONSE("HTTP/1.1 099 OK\r\n\r\n", "400 malformed HTTP status code");
	RESPONSE("HTTP/1.1 200 O\x01K\r\n\r\n", "400 malformed HTTP status line");
	RESPONSE("ICY 200 OK\r\n\r\n", "400 malformed HTTP version");
	CHECK_STR(differs(HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 38,
	                  "200 'OK' 1.1 content-length=9 | keep 9 [] rest 0", true, true), NULL);
}

TEST(fields_are_joined_and_found)
{
	struct http_parser p;
	struct err e = ERR_INIT;
	size_t used;
	const char text[] = "HTTP/1.1 200 OK\r\nVia: a\r\nSet-Cookie: x\r\nETag: \"e\"\r\nvia:\r\nSET-COOKIE: y\r\nVIA: c\r\n"
	                    "Content-Length: 0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n";
	enum http_event event;

	http_parser_init(&p, HTTP_RESPONSE);
	event = http_parse(&p, (const uint8_t *)text, sizeof(text) - 1, &used, &e);
	CHECK_INT(event, HTTP_HEAD);
	CHECK_STR(http_field(&p, "via"), "a, , c");
	CHECK_STR(http_field(&p, "set-cookie"), "x");
	CHECK_STR(http_field(&p, "etag"), "\"e\"");
	CHECK_STR(http_field(&p, "content-length"), "0");
	CHECK_STR(http_field(&p, "none"), NULL);
	CHECK(!p.keep_alive);
	CHECK_INT(p.field_count, 6);
	http_parser_free(&p);
}

/* The head of `lines` fields of `size` bytes each, and what becomes of it. */
static char *big_head(int lines, size_t size, size_t head_max)
{
	struct http_parser p;
	struct err e = ERR_INIT;
	struct buf text = { .data = NULL }, out = { .data = NULL };
	size_t used;
	enum http_event event;

	buf_str(&text, "GET / HTTP/1.0\r\n");
	for (int i = 0; i < lines; i++) {
		buf_str(&text, "A: ");
		for (size_t n = 0; n < size; n++)
			buf_char(&text, 'x');
		buf_str(&text, "\r\n");
	}
	buf_str(&text, "\r\n");
	http_parser_init(&p, HTTP_REQUEST);
	p.head_max = head_max;
	event = http_parse(&p, text.data, text.len, &used, &e);
	if (event == HTTP_HEAD)
		buf_fmt(&out, "head, value of %zu", lines ? strlen(http_field(&p, "a")) : 0);
	else
		buf_fmt(&out, "%d %s", p.status, e.text);
	http_parser_free(&p);
	buf_free(&text);
	return (char *)out.data;
}

#define BIG(lines, size, max, want)                                                                                     \
	do {                                                                                                            \
		char *got_ = big_head(lines, size, max);                                                                \
		char copy_[100];                                                                                        \
		snprintf(copy_, sizeof(copy_), "%s", got_);                                                             \
		free(got_);                                                                                             \
		CHECK_STR(copy_, want);                                                                                 \
	} while (0)

TEST(limits)
{
	BIG(100, 10, 0, "head, value of 1198");
	BIG(101, 10, 0, "431 too many header fields");
	BIG(1, 60000, 0, "head, value of 60000");
	BIG(1, 65536, 0, "431 header fields too large");
	BIG(100, 10000, 1 << 20, "head, value of 1000198");
	BIG(0, 0, 10, "414 request line too long");
}

TEST(one_connection_many_messages)
{
	struct http_parser p;
	struct err e = ERR_INIT;
	const char text[] = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n!GET /3 HTTP/1.0\r\n\r\n";
	const uint8_t *at = (const uint8_t *)text;
	size_t n = sizeof(text) - 1, used;
	char seen[40] = "";

	http_parser_init(&p, HTTP_REQUEST);
	while (n > 0 || strlen(seen) < 6) {
		enum http_event event = http_parse(&p, at, n, &used, &e);

		CHECK(event != HTTP_ERROR && event != HTTP_MORE);
		at += used;
		n -= used;
		if (event == HTTP_HEAD)
			strcat(seen, http_text(&p, p.target));
		if (event == HTTP_DONE)
			http_parser_next(&p);
	}
	CHECK_STR(seen, "/1/2/3");
	CHECK_INT(http_parse_end(&p, &e), HTTP_DONE);
	http_parser_free(&p);
}

TEST(after_an_error_nothing_goes_on)
{
	struct http_parser p;
	struct err e = ERR_INIT;
	size_t used;

	http_parser_init(&p, HTTP_REQUEST);
	CHECK_INT(http_parse(&p, (const uint8_t *)"\x01\n\n", 3, &used, &e), HTTP_ERROR);
	CHECK_INT(http_parse(&p, (const uint8_t *)"GET / HTTP/1.0\n\n", 16, &used, &e), HTTP_ERROR);
	CHECK_INT(used, 0);
	CHECK_INT(p.status, 400);
	CHECK_INT(http_parse_end(&p, &e), HTTP_ERROR);
	http_parser_free(&p);
}

/* ---- URLs ---- */

static const char *url(const char *text)
{
	static char shown[ERR_TEXT_SIZE];
	struct http_url u;
	struct err e = ERR_INIT;

	if (http_url_parse(text, &u, &e) < 0) {
		snprintf(shown, sizeof(shown), "%s", e.text);
		return shown;
	}
	snprintf(shown, sizeof(shown), "%s %s:%s %s %d%s%s%s %s ?%s", u.scheme, u.user ? u.user : "-",
	         u.password ? u.password : "-", u.host, u.port, u.secure ? "s" : "", u.has_port ? "p" : "",
	         u.host_is_ip ? "i" : "", u.path, u.query ? u.query : "-");
	http_url_free(&u);
	return shown;
}

TEST(urls)
{
	CHECK_STR(url("http://h"), "http -:- h 80 / ?-");
	CHECK_STR(url("HTTPS://Ex-1.ORG:/a%20b?q=%41&x#frag"), "https -:- ex-1.org 443s /a%20b ?q=%41&x");
	CHECK_STR(url("https://u%40:p%3a:@h:8443?x"), "https u@:p:: h 8443sp / ?x");
	CHECK_STR(url("http://@h#x"), "http :- h 80 / ?-");
	CHECK_STR(url("http://127.0.0.1:9000/"), "http -:- 127.0.0.1 9000pi / ?-");
	CHECK_STR(url("http://[::1]:9000/x?"), "http -:- ::1 9000pi /x ?");
	CHECK_STR(url("http://[fe80::1%25eth0]"), "http -:- fe80::1%eth0 80i / ?-");
	CHECK_STR(url("s3://a_b/p"), "s3 -:- a_b 80 /p ?-");
	CHECK_STR(url("h"), "parse \"h\": missing protocol scheme");
	CHECK_STR(url("://h"), "parse \"://h\": missing protocol scheme");
	CHECK_STR(url("1a://h"), "parse \"1a://h\": missing protocol scheme");
	CHECK_STR(url("http://"), "parse \"http://\": no host in URL");
	CHECK_STR(url("http://:80"), "parse \"http://:80\": no host in URL");
	CHECK_STR(url("http://h:x"), "parse \"http://h:x\": invalid port \":x\" after host");
	CHECK_STR(url("http://h:65536/"), "parse \"http://h:65536/\": invalid port \":65536\" after host");
	CHECK_STR(url("http://[::1"), "parse \"http://[::1\": missing ']' in host");
	CHECK_STR(url("http://[h]"), "parse \"http://[h]\": invalid IP address in brackets");
	CHECK_STR(url("http://[::1]x"), "parse \"http://[::1]x\": invalid character in host name");
	CHECK_STR(url("http://h<"), "parse \"http://h<\": invalid character in host name");
	CHECK_STR(url("http://h/%zz"), "parse \"http://h/%zz\": invalid URL escape \"%zz\"");
	CHECK_STR(url("http://h/%a"), "parse \"http://h/%a\": invalid URL escape \"%a\"");
	CHECK_STR(url("http://u%00@h/"), "parse \"http://u%00@h/\": net/url: invalid userinfo");
	CHECK_STR(url("http://h/a b"), "parse \"http://h/a b\": invalid character \" \" in URL");
	CHECK_STR(url("http://h/a\nb"), "parse \"http://h/a\nb\": invalid control character in URL");
}

TEST(unescape)
{
	char text[] = "a%2Fb+c%c3%BC", plus[] = "a+b%2b";
	char bad1[] = "%", bad2[] = "x%4", bad3[] = "%g0", nul[] = "a%00";

	CHECK(http_unescape(text, false));
	CHECK_STR(text, "a/b+c\xc3\xbc");
	CHECK(http_unescape(plus, true));
	CHECK_STR(plus, "a b+");
	CHECK(!http_unescape(bad1, false));
	CHECK(!http_unescape(bad2, false));
	CHECK(!http_unescape(bad3, false));
	CHECK(!http_unescape(nul, false));
}

TEST_MAIN
