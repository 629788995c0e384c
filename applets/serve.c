/* SPDX-License-Identifier: MIT */
#include "applets/serve.h"

#include <string.h>

#include "lib/base/log.h"

int serve_start(const struct serve_options *o, struct serve **out, struct err *e)
{
	const char *addr = o->config->addr, *colon = strrchr(addr, ':');

	*out = NULL;
	if (o->config->socket.enabled)
		log_warn("failed to start control server", LS("error", "this build has no control socket"));
	if (!addr[0])
		return 0;
	if (strncmp(addr, "unix:", 5) != 0 && (!colon || !colon[1]))
		return err_set(e, ERR_INVALID, "must specify port for bind address: \"%s\"", addr);
	log_error("cannot start metrics server", LS("error", "this build has no metrics"));
	return 0;
}

void serve_stop(struct serve *s, void (*stopped)(void *ctx), void *ctx)
{
	(void)s;
	stopped(ctx);
}

void serve_free(struct serve *s)
{
	(void)s;
}
