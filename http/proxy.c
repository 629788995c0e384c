/* SPDX-License-Identifier: MIT */
#include "http/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/os/net.h"

static char *basic(const char *user, const char *password)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct buf in = { .data = NULL }, out = { .data = NULL };
	char *text = NULL;

	buf_fmt(&in, "%s:%s", user, password != NULL ? password : "");
	buf_str(&out, "Proxy-Authorization: Basic ");
	for (size_t i = 0; buf_ok(&in) && i < in.len; i += 3) {
		size_t n = in.len - i < 3 ? in.len - i : 3;
		uint32_t v = (uint32_t)in.data[i] << 16 | (n > 1 ? (uint32_t)in.data[i + 1] << 8 : 0) |
		             (n > 2 ? in.data[i + 2] : 0);

		buf_char(&out, digits[v >> 18]);
		buf_char(&out, digits[v >> 12 & 63]);
		buf_char(&out, n > 1 ? digits[v >> 6 & 63] : '=');
		buf_char(&out, n > 2 ? digits[v & 63] : '=');
	}
	buf_str(&out, "\r\n");
	if (buf_ok(&in) && buf_ok(&out))
		text = strdup(buf_text(&out));
	buf_free(&in);
	buf_free(&out);
	return text;
}

static int set_one(struct proxy *p, const char *name, const char *value, struct err *e)
{
	char *text;
	int rc;

	if (value == NULL || *value == '\0')
		return 0;
	if (asprintf(&text, "%s%s", strstr(value, "://") != NULL ? "" : "http://", value) < 0)
		return err_nomem(e);
	rc = http_url_parse(text, &p->url, &p->bad);
	free(text);
	if (rc < 0) {
		err_wrap(&p->bad, "%s", name);
		return err_is(&p->bad, ERR_NO_MEMORY) ? err_nomem(e) : 0;
	}
	if (strcmp(p->url.scheme, "http") != 0) {
		err_set(&p->bad, ERR_INVALID, "%s: only http:// proxies can be used, not %s://", name, p->url.scheme);
		return 0;
	}
	if (p->url.user == NULL)
		return 0;
	p->authorization = basic(p->url.user, p->url.password);
	return p->authorization == NULL ? err_nomem(e) : 0;
}

int proxies_set(struct proxies *p, const char *http, const char *https, const char *no_proxy, struct err *e)
{
	memset(p, 0, sizeof(*p));
	p->no_proxy = strdup(no_proxy != NULL ? no_proxy : "");
	if (p->no_proxy == NULL)
		return err_nomem(e);
	if (set_one(&p->plain, "HTTP_PROXY", http, e) < 0 || set_one(&p->secure, "HTTPS_PROXY", https, e) < 0) {
		proxies_free(p);
		return -1;
	}
	return 0;
}

static const char *env(const char *upper, const char *lower)
{
	const char *value = getenv(upper);

	return value != NULL && *value != '\0' ? value : getenv(lower);
}

int proxies_from_env(struct proxies *p, struct err *e)
{
	const char *method = getenv("REQUEST_METHOD");
	bool cgi = method != NULL && *method != '\0';

	return proxies_set(p, cgi ? NULL : env("HTTP_PROXY", "http_proxy"), env("HTTPS_PROXY", "https_proxy"),
	                   env("NO_PROXY", "no_proxy"), e);
}

static void free_one(struct proxy *p)
{
	http_url_free(&p->url);
	free(p->authorization);
}

void proxies_free(struct proxies *p)
{
	free_one(&p->plain);
	free_one(&p->secure);
	free(p->no_proxy);
	memset(p, 0, sizeof(*p));
}

/* Ourselves, and the services that give out credentials of this very machine, ECS task or pod. */
static bool never_proxied(const struct http_url *url, const struct os_addr *addr)
{
	static const char *const metadata[] = {
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23",
	};

	if (strcasecmp(url->host, "localhost") == 0 || (addr != NULL && os_addr_is_loopback(addr)))
		return true;
	for (size_t i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++)
		if (strcasecmp(url->host, metadata[i]) == 0)
			return true;
	return false;
}

static const uint8_t *address_bytes(const struct os_addr *a, int *bits)
{
	if (a->u.any.sa_family == AF_INET) {
		*bits = 32;
		return (const uint8_t *)&a->u.v4.sin_addr;
	}
	*bits = 128;
	return a->u.v6.sin6_addr.s6_addr;
}

static bool same_network(const struct os_addr *a, const struct os_addr *b, int prefix)
{
	int bits_a, bits_b;
	const uint8_t *pa = address_bytes(a, &bits_a), *pb = address_bytes(b, &bits_b);

	if (bits_a != bits_b || prefix < 0 || prefix > bits_a)
		return false;
	if (memcmp(pa, pb, (size_t)prefix / 8) != 0)
		return false;
	return prefix % 8 == 0 || ((pa[prefix / 8] ^ pb[prefix / 8]) & (0xff00 >> (prefix % 8)) & 0xff) == 0;
}

/* Cuts ":port" or "]:port" off; 0 = there is none. A lone IPv6 address has many colons and no port. */
static int cut_port(char *entry)
{
	char *colon = strrchr(entry, ':');
	size_t n;
	int port;

	if (colon == NULL || (strchr(entry, ':') != colon && colon[-1] != ']'))
		return 0;
	n = strspn(colon + 1, "0123456789");
	if (n == 0 || n > 5 || colon[1 + n] != '\0')
		return 0;
	port = atoi(colon + 1);
	*colon = '\0';
	return port;
}

static bool name_matches(const char *name, const char *host)
{
	size_t n, h = strlen(host);
	bool only_below = *name == '.' || strncmp(name, "*.", 2) == 0;

	name += strncmp(name, "*.", 2) == 0;
	name += *name == '.';
	n = strlen(name);
	if (n == 0)
		return false;
	if (h == n)
		return !only_below && strcasecmp(host, name) == 0;
	return h > n && host[h - n - 1] == '.' && strcasecmp(host + h - n, name) == 0;
}

static bool entry_matches(char *entry, const struct http_url *url, const struct os_addr *addr)
{
	struct os_addr net;
	char *slash;
	int port = cut_port(entry);
	size_t n;

	if (port != 0 && port != url->port)
		return false;
	if (*entry == '[') {
		entry++;
		entry[strcspn(entry, "]")] = '\0';
	}
	n = strlen(entry);
	if (n > 1 && entry[n - 1] == '.')
		entry[n - 1] = '\0';
	slash = strchr(entry, '/');
	if (slash != NULL) {
		*slash++ = '\0';
		return addr != NULL && *slash != '\0' && strlen(slash) <= 3 &&
		       strspn(slash, "0123456789") == strlen(slash) &&
		       os_addr_literal(entry, 0, &net) && same_network(&net, addr, atoi(slash));
	}
	if (os_addr_literal(entry, 0, &net))
		return addr != NULL && same_network(&net, addr, net.u.any.sa_family == AF_INET ? 32 : 128);
	return name_matches(entry, url->host);
}

static bool excluded(const char *list, const struct http_url *url, const struct os_addr *addr)
{
	char entry[300];

	while (*list != '\0') {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == 1 && *list == '*')
			return true;
		if (n > 0 && n < sizeof(entry)) {
			memcpy(entry, list, n);
			entry[n] = '\0';
			if (entry_matches(entry, url, addr))
				return true;
		}
		list += n;
	}
	return false;
}

int proxies_choose(const struct proxies *p, const struct http_url *url, const struct proxy **out, struct err *e)
{
	const struct proxy *proxy = url->secure ? &p->secure : &p->plain;
	struct os_addr literal;
	const struct os_addr *addr = os_addr_literal(url->host, url->port, &literal) ? &literal : NULL;

	*out = NULL;
	if (proxy->url.block == NULL && proxy->bad.code == ERR_NONE)
		return 0;
	if (never_proxied(url, addr) || excluded(p->no_proxy, url, addr))
		return 0;
	if (proxy->bad.code != ERR_NONE) {
		if (e != NULL)
			*e = proxy->bad;
		return -1;
	}
	*out = proxy;
	return 0;
}
