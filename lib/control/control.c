/* SPDX-License-Identifier: MIT */
#include "lib/control/control.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/control/internal.h"
#include "lib/os/clock.h"

static int copy_texts(struct control *c, const struct control_options *o, struct err *e)
{
	const char **texts[] = {
		&c->o.version, &c->o.config_path, &c->o.socket_path, &c->o.http_addr, &c->o.cwd, &c->o.home,
	};
	bool ok = true;

	c->o = *o;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		bool given = *texts[i] != NULL;

		*texts[i] = given ? strdup(*texts[i]) : NULL;
		ok = ok && (!given || *texts[i] != NULL);
	}
	return ok ? 0 : err_nomem(e);
}

static void free_texts(struct control *c)
{
	free((char *)(uintptr_t)c->o.version);
	free((char *)(uintptr_t)c->o.config_path);
	free((char *)(uintptr_t)c->o.socket_path);
	free((char *)(uintptr_t)c->o.http_addr);
	free((char *)(uintptr_t)c->o.cwd);
	free((char *)(uintptr_t)c->o.home);
}

int control_create(const struct control_options *o, struct control **out, struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));
	struct http_server_options server = {
		.loop = o->loop, .handle = routes_handle, .ctx = c, .raw = true, .idle_ms = o->idle_ms,
		.request_ms = o->request_ms,
	};

	if (!c)
		return err_nomem(e);
	c->tcp_listener = -1;
	c->started_ms = os_wall_ms();
	c->started_us = os_mono_us();
	if (copy_texts(c, o, e) < 0 || http_server_create(&server, &c->server, e) < 0) {
		free_texts(c);
		free(c);
		return -1;
	}
	events_init(c);
	*out = c;
	return 0;
}

int control_listen_socket(struct control *c, const char *path, unsigned mode, struct err *e)
{
	char *expanded = NULL;
	int listener;

	/* Only `~` and the like: what a relative path means is for the kernel. */
	if (*path && text_path_expand(path, c->o.cwd, c->o.home, &expanded, e) < 0)
		return -1;
	listener = http_server_listen_unix(c->server, expanded ? expanded : path, mode, e);
	free(expanded);
	if (listener < 0)
		return -1;
	c->places[listener] = PLACE_SOCKET;
	c->started_ms = os_wall_ms();
	c->started_us = os_mono_us();
	return 0;
}

int control_listen_addr(struct control *c, const char *addr, struct err *e)
{
	int listener;

	if (strncmp(addr, "unix:", 5) == 0) {
		char *expanded = NULL;

		if (text_path_expand(addr + 5, c->o.cwd, c->o.home, &expanded, e) < 0)
			return -1;
		listener = http_server_listen_unix(c->server, expanded, 0600, e);
		free(expanded);
	} else {
		listener = http_server_listen_tcp(c->server, addr, e);
		if (listener >= 0)
			c->tcp_listener = listener;
	}
	if (listener < 0)
		return -1;
	c->places[listener] = PLACE_ADDR;
	return 0;
}

int control_port(const struct control *c)
{
	return c->tcp_listener < 0 ? 0 : http_server_port(c->server, c->tcp_listener);
}

void control_stop(struct control *c)
{
	struct op *op, *next;

	if (c->stopped)
		return;
	c->stopped = true;
	c->tcp_listener = -1;
	store_listen(c->o.store, NULL, NULL);
	http_server_stop(c->server);
	events_end(c);
	for (op = c->ops; op; op = next) {
		next = op->next;
		op_cancel(op);
	}
}

bool control_busy(const struct control *c)
{
	return http_server_busy(c->server) > 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	control_stop(c);
	assert(!c->ops);
	http_server_free(c->server);
	free_texts(c);
	free(c);
}
