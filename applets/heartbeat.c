/* SPDX-License-Identifier: MIT */
#include "applets/heartbeat.h"

#include <stdlib.h>
#include <string.h>

#include "applets/derive.h"
#include "http/client.h"
#include "lib/base/log.h"
#include "lib/os/clock.h"

enum { LOOK_EVERY_US = 15 * 1000 * 1000, LIMIT_MS = 30 * 1000, SLACK_US = 1000 * 1000 };

struct heartbeat {
	struct pool_job job; /* first: see ping() */
	struct loop *loop;
	struct pool *pool;
	struct store *store;
	struct loop_timer timer;
	int64_t interval_ms, last_us; /* last_us: of the last attempt; 0 = none */
	char *url;                    /* NULL = off */
	bool busy, stopped;
	atomic_bool cancel;
	/* the job's */
	char *target;
	int rc;
	struct err why;
};

static int get(const char *text, const atomic_bool *cancel, struct err *e)
{
	const struct http_client_options o = {
		.connect_timeout_ms = LIMIT_MS / 3,
		.tls_timeout_ms = LIMIT_MS / 3,
		.idle_timeout_ms = LIMIT_MS / 3,
		.head_timeout_ms = LIMIT_MS / 3,
	};
	struct http_url url;
	struct http_client *client;
	struct http_exchange x;
	int rc;

	if (http_url_parse(text, &url, e))
		return -1;
	if (http_client_create(&o, &client, e)) {
		http_url_free(&url);
		return -1;
	}
	rc = http_begin(client, &(struct http_request){ .method = "GET", .url = &url, .cancel = cancel }, &x, e);
	if (!rc) {
		if (x.answer.status / 100 != 2)
			rc = err_set(e, ERR_UNAVAILABLE, "unexpected status code: %d", x.answer.status);
		http_end(&x);
	}
	http_client_free(client);
	http_url_free(&url);
	return rc;
}

static void ping(struct pool_job *job)
{
	struct heartbeat *h = (struct heartbeat *)(void *)job;

	h->rc = get(h->target, &h->cancel, &h->why);
}

static void pinged(struct pool_job *job)
{
	struct heartbeat *h = (struct heartbeat *)(void *)job;

	h->busy = false;
	if (!h->rc)
		log_debug("heartbeat ping sent", LS("system", "store"), LS("url", h->target));
	else if (!h->stopped)
		log_error("heartbeat ping failed", LS("system", "store"), LS("url", h->target),
		          LS("error", err_text(&h->why)));
	free(h->target);
	h->target = NULL;
}

static bool has_failed(struct managed *m, int count)
{
	for (int i = 0; i < count; i++) {
		struct managed_replica_facts r;

		managed_replica_facts(m, i, &r);
		if (r.error[0])
			return true;
	}
	return false;
}

/* A database at rest has nothing to sync: what counts is whether anything waits. */
static bool all_well(struct heartbeat *h)
{
	int open = 0;

	for (struct managed *m = store_next(h->store, NULL); m; m = store_next(h->store, m)) {
		struct managed_facts f;

		managed_facts(m, &f);
		if (f.state == MANAGED_STOPPED || f.state == MANAGED_WAITING)
			continue;
		if (f.state == MANAGED_PAUSED || f.lag_ms > h->interval_ms || has_failed(m, f.replica_count))
			return false;
		open++;
	}
	return open > 0;
}

static void on_timer(struct loop_timer *t)
{
	struct heartbeat *h = (struct heartbeat *)(void *)((char *)t - offsetof(struct heartbeat, timer));
	int64_t now = os_mono_us();

	loop_timer_set(h->loop, t, now + LOOK_EVERY_US, SLACK_US);
	if (h->busy || (h->last_us && now - h->last_us < h->interval_ms * 1000) || !all_well(h))
		return;
	h->last_us = now;
	h->target = strdup(h->url);
	if (!h->target)
		return;
	h->busy = true;
	h->rc = 0;
	h->job = (struct pool_job){ .run = ping, .done = pinged };
	pool_submit(h->pool, &h->job);
}

int heartbeat_create(struct loop *loop, struct pool *pool, struct store *store, struct heartbeat **out, struct err *e)
{
	struct heartbeat *h = calloc(1, sizeof(*h));

	if (!h)
		return err_nomem(e);
	h->loop = loop;
	h->pool = pool;
	h->store = store;
	h->timer.fire = on_timer;
	*out = h;
	return 0;
}

void heartbeat_set(struct heartbeat *h, const struct config *c)
{
	bool was_on = h->url != NULL;

	if (h->stopped)
		return;
	free(h->url);
	h->url = c->heartbeat_url[0] ? strdup(c->heartbeat_url) : NULL;
	h->interval_ms = derive_ms(c->heartbeat_interval_ns);
	if (!h->url) {
		loop_timer_clear(h->loop, &h->timer);
	} else if (!was_on) {
		log_info("starting heartbeat monitor", LS("system", "store"),
		         LD("interval", LOOK_EVERY_US * INT64_C(1000)));
		loop_timer_set(h->loop, &h->timer, os_mono_us() + LOOK_EVERY_US, SLACK_US);
	}
}

void heartbeat_stop(struct heartbeat *h)
{
	if (!h)
		return;
	h->stopped = true;
	atomic_store(&h->cancel, true);
	loop_timer_clear(h->loop, &h->timer);
}

void heartbeat_free(struct heartbeat *h)
{
	if (!h)
		return;
	free(h->url);
	free(h->target);
	free(h);
}
