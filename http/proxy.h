/* SPDX-License-Identifier: MIT */
/*
 * proxy.h - which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY, NO_PROXY as Go programs read them (s3.md
 * §5.5); for this room only.
 *
 * Read once, when a client is created; a value that cannot be meant is an error only for a request that needs it.
 */
#ifndef RIVULET_HTTP_PROXY_H
#define RIVULET_HTTP_PROXY_H

#include "http/message.h"

struct proxy {
	struct http_url url;  /* host and port; block == NULL: none */
	char *authorization;  /* "Proxy-Authorization: Basic …\r\n" or NULL */
	struct err bad;       /* why the value cannot be used */
};

struct proxies {
	struct proxy plain, secure; /* for http and https targets */
	char *no_proxy;             /* "" = none */
};

/* From these values, each may be NULL. ERR_NO_MEMORY. */
int proxies_set(struct proxies *p, const char *http, const char *https, const char *no_proxy, struct err *e);
/* From the environment: upper case names first; HTTP_PROXY does not count where REQUEST_METHOD is set, because a CGI
 * client could have set it by a Proxy: field. */
int proxies_from_env(struct proxies *p, struct err *e);
void proxies_free(struct proxies *p);

/* *out = NULL: go there straight. ERR_INVALID when the variable's value cannot be used. */
int proxies_choose(const struct proxies *p, const struct http_url *url, const struct proxy **out, struct err *e);

#endif
