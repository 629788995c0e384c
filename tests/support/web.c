/* SPDX-License-Identifier: MIT */
#include "tests/support/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/connection.h"

static int read_all(struct web *w, struct http_exchange *x)
{
	static const size_t room = 256 << 10;
	char *bytes = malloc(room);
	size_t got = 1;
	int rc = 0;

	while (rc == 0 && got > 0) {
		rc = http_read(x, bytes, w->piece > 0 ? w->piece : 5000, &got, &w->e);
		if (rc == 0 && w->len + got < sizeof(w->body)) {
			memcpy(w->body + w->len, bytes, got);
			w->len += got;
		}
		w->total += (long long)got;
	}
	w->body[w->len] = '\0';
	free(bytes);
	return rc;
}

int web_ask(struct web *w, struct http_client *c, const char *url, int port)
{
	struct http_exchange x;
	struct http_url u;
	char text[300];
	const char *location;

	w->status = 0;
	w->len = 0;
	w->total = 0;
	err_clear(&w->e);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(text, sizeof(text), url, port);
#pragma GCC diagnostic pop
	w->rc = http_url_parse(text, &u, &w->e);
	if (w->rc < 0)
		return -1;
	w->rq.url = &u;
	if (w->rq.method == NULL)
		w->rq.method = "GET";
	w->rc = http_begin(c, &w->rq, &x, &w->e);
	if (w->rc == 0) {
		w->status = x.answer.status;
		w->reused = x.reused;
		w->resumed = x.c->tls != NULL && tls_resumed(x.c->tls);
		w->server_time_ms = x.server_time_ms;
		location = http_field(&x.answer, "location");
		(void)snprintf(w->location, sizeof(w->location), "%s", location != NULL ? location : "");
		if (!w->leave)
			w->rc = read_all(w, &x);
		http_end(&x);
	}
	http_url_free(&u);
	w->rq.url = NULL;
	return w->rc;
}
