/* SPDX-License-Identifier: MIT */
#include "lib/control/observe.h"

#include <stdlib.h>
#include <string.h>

#include "lib/control/metrics.h"
#include "lib/control/page.h"
#include "lib/prof/routes.h"

struct observe {
	struct store *store;
	struct prof_routes *prof;
	struct metrics_scrapes scrapes;
};

static void on_page(void *ctx, struct http_server_request *rq)
{
	struct buf html = { .data = NULL };
	struct err e = ERR_INIT;

	(void)ctx;
	if (page_html(&html, &e) == 0)
		http_reply(rq, 200, page_fields(), html.data, html.len);
	else
		http_reply(rq, 500, "Content-Type: text/plain; charset=utf-8\r\n", e.text, strlen(e.text));
	buf_free(&html);
}

static void on_metrics(void *ctx, struct http_server_request *rq)
{
	static const char sorry[] = "An error has occurred while serving metrics:\n\nout of memory\n";
	struct observe *w = ctx;
	struct buf body = { .data = NULL };

	w->scrapes.in_flight++;
	metrics_write_store(&body, w->store, &w->scrapes);
	w->scrapes.in_flight--;
	if (buf_ok(&body)) {
		w->scrapes.ok++;
		http_reply(rq, 200, "Content-Type: " METRICS_CONTENT_TYPE "\r\n", body.data, body.len);
	} else {
		w->scrapes.failed++;
		http_reply(rq, 500, "Content-Type: text/plain; charset=utf-8\r\n", sorry, sizeof(sorry) - 1);
	}
	buf_free(&body);
}

static void on_profile(void *ctx, struct http_server_request *rq)
{
	struct observe *w = ctx;
	static const char no[] = "404 page not found\n";

	/* A target with escapes in it has the path, but not to the letter. */
	if (!prof_handle(w->prof, rq))
		http_reply(rq, 404, "Content-Type: text/plain; charset=utf-8\r\n", no, sizeof(no) - 1);
}

const struct control_route *observe_routes(void)
{
	static const struct control_route routes[] = {
		{ "/", false, on_page },
		{ "/metrics", true, on_metrics },
		{ "/debug/pprof/", true, on_profile },
		{ NULL, false, NULL },
	};

	return routes;
}

int observe_create(struct loop *loop, struct store *store, struct observe **out, struct err *e)
{
	struct observe *w = calloc(1, sizeof(*w));

	*out = NULL;
	if (!w)
		return err_nomem(e);
	w->store = store;
	w->prof = prof_routes_create(loop, e);
	if (!w->prof) {
		free(w);
		return -1;
	}
	*out = w;
	return 0;
}

void observe_stop(struct observe *w)
{
	prof_routes_finish(w->prof);
}

void observe_free(struct observe *w)
{
	if (!w)
		return;
	prof_routes_free(w->prof);
	free(w);
}
