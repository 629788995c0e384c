/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "http/message.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_unescape(char *s, bool plus)
{
	char *out = s;

	for (; *s; s++) {
		if (*s == '%') {
			int high = hex(s[1]), low = high < 0 ? -1 : hex(s[2]);

			if (low < 0 || high + low == 0)
				return false;
			*out++ = (char)(high << 4 | low);
			s += 2;
		} else {
			*out++ = plus && *s == '+' ? ' ' : *s;
		}
	}
	*out = 0;
	return true;
}

/* A part of the text being split, and where its copies go. */
struct split {
	const char *text, *at;
	char *out;
};

static char *copy(struct split *s, const char *from, size_t n)
{
	char *text = s->out;

	memcpy(text, from, n);
	text[n] = 0;
	s->out += n + 1;
	return text;
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s | 0x20);
}

static int refuse(const struct split *s, struct err *e, const char *why)
{
	return err_set(e, ERR_INVALID, "parse \"%s\": %s", s->text, why);
}

static int take_scheme(struct split *s, struct http_url *u, struct err *e)
{
	const char *at = s->at;

	while (isalnum((unsigned char)*at) || (at > s->at && *at && strchr("+-.", *at)))
		at++;
	if (at == s->at || !isalpha((unsigned char)*s->at) || strncmp(at, "://", 3) != 0)
		return refuse(s, e, "missing protocol scheme");
	u->scheme = copy(s, s->at, (size_t)(at - s->at));
	lower(u->scheme);
	u->secure = strcmp(u->scheme, "https") == 0;
	s->at = at + 3;
	return 0;
}

/* user[:password]@ in front of the host, within s->at … end. */
static int take_user(struct split *s, const char *end, struct http_url *u, struct err *e)
{
	const char *at = memrchr(s->at, '@', (size_t)(end - s->at)), *colon;

	if (!at)
		return 0;
	colon = memchr(s->at, ':', (size_t)(at - s->at));
	u->user = copy(s, s->at, (size_t)((colon ? colon : at) - s->at));
	if (colon)
		u->password = copy(s, colon + 1, (size_t)(at - colon - 1));
	if (!http_unescape(u->user, false) || (colon && !http_unescape(u->password, false)))
		return refuse(s, e, "net/url: invalid userinfo");
	s->at = at + 1;
	return 0;
}

static int take_port(struct split *s, const char *end, struct http_url *u, struct err *e)
{
	int port = 0;

	if (s->at == end)
		return 0;
	if (*s->at != ':')
		return refuse(s, e, "invalid character in host name");
	for (const char *c = s->at + 1; c < end; c++) {
		if (*c < '0' || *c > '9' || (port = port * 10 + (*c - '0')) > 65535)
			return err_set(e, ERR_INVALID, "parse \"%s\": invalid port \"%.*s\" after host", s->text,
			               (int)(end - s->at), s->at);
	}
	if (end - s->at > 1) {
		u->port = port;
		u->has_port = true;
	}
	return 0;
}

static bool is_ipv6(const char *host)
{
	struct in6_addr address;
	char text[INET6_ADDRSTRLEN];
	size_t n = strcspn(host, "%"); /* an interface may follow */

	if (n >= sizeof(text))
		return false;
	memcpy(text, host, n);
	text[n] = 0;
	return inet_pton(AF_INET6, text, &address) == 1;
}

static int take_host(struct split *s, const char *end, struct http_url *u, struct err *e)
{
	struct in_addr ipv4;
	const char *at = s->at;

	if (*at == '[') {
		at = memchr(at, ']', (size_t)(end - at));
		if (!at)
			return refuse(s, e, "missing ']' in host");
		u->host = copy(s, s->at + 1, (size_t)(at - s->at - 1));
		if (!http_unescape(u->host, false) || !is_ipv6(u->host))
			return refuse(s, e, "invalid IP address in brackets");
		u->host_is_ip = true;
		s->at = at + 1;
		return take_port(s, end, u, e);
	}
	while (at < end && (isalnum((unsigned char)*at) || (*at & 0x80) || strchr("-._~", *at)))
		at++;
	if (at == s->at)
		return refuse(s, e, at < end && *at != ':' ? "invalid character in host name" : "no host in URL");
	u->host = copy(s, s->at, (size_t)(at - s->at));
	lower(u->host);
	u->host_is_ip = inet_pton(AF_INET, u->host, &ipv4) == 1;
	s->at = at;
	return take_port(s, end, u, e);
}

static int check_bytes(const struct split *s, struct err *e)
{
	for (const char *c = s->text; *c; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return refuse(s, e, *c == ' ' ? "invalid character \" \" in URL" :
			                                "invalid control character in URL");
		if (*c == '%' && (hex(c[1]) < 0 || hex(c[2]) < 0))
			return err_set(e, ERR_INVALID, "parse \"%s\": invalid URL escape \"%.*s\"", s->text,
			               c[1] && c[2] ? 3 : (int)strlen(c), c);
	}
	return 0;
}

static int split(struct split *s, struct http_url *u, struct err *e)
{
	const char *end;

	if (check_bytes(s, e) < 0 || take_scheme(s, u, e) < 0)
		return -1;
	end = s->at + strcspn(s->at, "/?#");
	if (take_user(s, end, u, e) < 0 || take_host(s, end, u, e) < 0)
		return -1;
	if (!u->has_port)
		u->port = u->secure ? 443 : 80;
	s->at = end + strcspn(end, "?#");
	u->path = s->at > end ? copy(s, end, (size_t)(s->at - end)) : copy(s, "/", 1);
	if (*s->at == '?')
		u->query = copy(s, s->at + 1, strcspn(s->at + 1, "#"));
	return 0;
}

int http_url_parse(const char *text, struct http_url *out, struct err *e)
{
	/* Six texts with their ends and one added slash take this much at most. */
	size_t room = strlen(text) + 8;
	struct split s = { .text = text, .at = text };

	*out = (struct http_url){ .block = NULL };
	out->block = s.out = malloc(room);
	if (!out->block)
		return err_nomem(e);
	if (split(&s, out, e) == 0)
		return 0;
	http_url_free(out);
	return -1;
}

void http_url_free(struct http_url *u)
{
	free(u->block);
	*u = (struct http_url){ .block = NULL };
}
