/* SPDX-License-Identifier: MIT */
/*
 * web.h - one request of an HTTP client from begin to end, for tests.
 */
#ifndef TESTS_SUPPORT_WEB_H
#define TESTS_SUPPORT_WEB_H

#include "http/client.h"

enum { WEB_BODY_MAX = 64 << 10 };

struct web {
	/* what to ask; url is filled by web_ask */
	struct http_request rq;
	size_t piece;        /* bytes asked for by each http_read; 0 = 5000 */
	bool leave;          /* end without reading the body */
	/* what came */
	int rc;              /* -1: of http_begin or http_read */
	int status;
	char body[WEB_BODY_MAX];
	size_t len;
	long long total;     /* of the body, of which `body` keeps the first part */
	bool reused, resumed;
	int64_t server_time_ms;
	char location[200];
	struct err e;
};

/* url: with %d for the port. Returns w->rc. */
int web_ask(struct web *w, struct http_client *c, const char *url, int port);

#endif
