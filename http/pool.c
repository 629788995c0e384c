/* SPDX-License-Identifier: MIT */
/*
 * Idle connections, the newest first: what is needed little goes cold at the end and is closed. There is no thread that
 * closes what has grown old; every take and put looks, and whoever rests longer calls http_client_sweep().
 */
#include <string.h>

#include "http/connection.h"
#include "lib/os/clock.h"

static struct http_connection *unlink_at(struct http_client *c, struct http_connection **at)
{
	struct http_connection *x = *at;

	*at = x->next;
	x->next = NULL;
	c->idle_count--;
	return x;
}

/* What has grown old, moved to a list of its own: closing needs no lock. */
static struct http_connection *cut_old(struct http_client *c)
{
	int64_t oldest_us = os_mono_us() - c->o.pool_idle_ms * 1000;
	struct http_connection **at = &c->idle, *old = NULL, *x;

	while (*at != NULL) {
		if ((*at)->idle_since_us > oldest_us) {
			at = &(*at)->next;
			continue;
		}
		x = unlink_at(c, at);
		x->next = old;
		old = x;
	}
	return old;
}

static void free_list(struct http_connection *x)
{
	while (x != NULL) {
		struct http_connection *next = x->next;

		connection_free(x);
		x = next;
	}
}

static struct http_connection *take_one(struct http_client *c, const char *key)
{
	for (struct http_connection **at = &c->idle; *at != NULL; at = &(*at)->next)
		if (strcmp((*at)->key, key) == 0)
			return unlink_at(c, at);
	return NULL;
}

struct http_connection *pool_take(struct http_client *c, const char *key)
{
	struct http_connection *x, *old;

	pthread_mutex_lock(&c->lock);
	old = cut_old(c);
	while ((x = take_one(c, key)) != NULL && !os_net_quiet(x->fd)) {
		x->next = old;
		old = x;
	}
	pthread_mutex_unlock(&c->lock);
	free_list(old);
	if (x != NULL && x->tls != NULL && !tls_wake(x->tls)) {
		connection_free(x);
		x = NULL;
	}
	return x;
}

void pool_put(struct http_client *c, struct http_connection *x)
{
	struct http_connection *old, **at;

	if (x->tls != NULL)
		(void)tls_rest(x->tls);
	x->idle_since_us = os_mono_us();
	pthread_mutex_lock(&c->lock);
	old = cut_old(c);
	x->next = c->idle;
	c->idle = x;
	c->idle_count++;
	if (c->idle_count > c->o.pool_idle_max) {
		for (at = &c->idle; (*at)->next != NULL; at = &(*at)->next)
			;
		x = unlink_at(c, at);
		x->next = old;
		old = x;
	}
	pthread_mutex_unlock(&c->lock);
	free_list(old);
}

void http_client_close_idle(struct http_client *c)
{
	struct http_connection *all;

	pthread_mutex_lock(&c->lock);
	all = c->idle;
	c->idle = NULL;
	c->idle_count = 0;
	pthread_mutex_unlock(&c->lock);
	free_list(all);
}

int64_t http_client_sweep(struct http_client *c)
{
	struct http_connection *old;
	int64_t next_us = -1;

	pthread_mutex_lock(&c->lock);
	old = cut_old(c);
	for (struct http_connection *x = c->idle; x != NULL; x = x->next)
		next_us = x->idle_since_us + c->o.pool_idle_ms * 1000; /* the last is the oldest */
	pthread_mutex_unlock(&c->lock);
	free_list(old);
	return next_us;
}
