/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "http/connection.h"

static int64_t or_default(int64_t value, int64_t otherwise)
{
	return value > 0 ? value : otherwise;
}

static void fill_defaults(struct http_client_options *o)
{
	o->connect_timeout_ms = or_default(o->connect_timeout_ms, 10000);
	o->tls_timeout_ms = or_default(o->tls_timeout_ms, 10000);
	o->idle_timeout_ms = or_default(o->idle_timeout_ms, 30000);
	o->head_timeout_ms = or_default(o->head_timeout_ms, 60000);
	o->pool_idle_ms = or_default(o->pool_idle_ms, 30000);
	o->pool_idle_max = (int)or_default(o->pool_idle_max, 8);
}

int http_client_create(const struct http_client_options *o, struct http_client **out, struct err *e)
{
	struct http_client *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (c == NULL)
		return err_nomem(e);
	c->o = *o;
	fill_defaults(&c->o);
	pthread_mutex_init(&c->lock, NULL);
	if ((o->no_proxy ? proxies_set(&c->proxies, NULL, NULL, NULL, e) : proxies_from_env(&c->proxies, e)) < 0)
		goto fail;
	if (o->ca_file != NULL) {
		c->o.ca_file = strdup(o->ca_file);
		if (c->o.ca_file == NULL) {
			err_nomem(e);
			goto fail;
		}
	}
	*out = c;
	return 0;
fail:
	c->o.ca_file = NULL;
	http_client_free(c);
	return -1;
}

void http_client_free(struct http_client *c)
{
	if (c == NULL)
		return;
	http_client_close_idle(c);
	proxies_free(&c->proxies);
	trust_free(c->trust);
	hosts_free(&c->hosts);
	pthread_mutex_destroy(&c->lock);
	free((void *)(uintptr_t)c->o.ca_file);
	free(c);
}
