/* SPDX-License-Identifier: MIT */
/* What a running daemon looks after, and what it is: list, info. */
#include <stdlib.h>

#include "applets/remote.h"
#include "applets/watch.h"
#include "lib/base/text.h"

static const char list_help[] =
	"usage: @ list [OPTIONS]\n"
	"\n"
	"Lists the databases of a running daemon.\n"
	"\n"
	"Options:\n"
	"\n"
	"\t-watch             go on, and show every change\n"
	"\t-socket PATH       control socket of the daemon; /var/run/litestream.sock\n"
	"\t-timeout SECONDS   how long to wait; 10\n"
	"\t-json              print JSON; with -watch one line for each change\n"
	"\t-rpc               ask by JSON-RPC and print its result\n";

static const char info_help[] =
	"usage: @ info [OPTIONS]\n"
	"\n"
	"Shows version, process and age of a running daemon.\n"
	"\n"
	"Options:\n"
	"\n"
	"\t-socket PATH       control socket of the daemon; /var/run/litestream.sock\n"
	"\t-timeout SECONDS   how long to wait; 10\n"
	"\t-json              print JSON\n"
	"\t-rpc               ask by JSON-RPC and print its result\n";

static const char *member(const struct json_doc *d, const struct json_node *object, const char *key,
                          const char *otherwise)
{
	const struct json_node *n = json_member(d, object, key);

	return n && n->type == JSON_STRING ? json_text(d, n) : otherwise;
}

/* To whole seconds: "2026-02-12T00:00:00.5Z" ends with "Z" at once. */
static const char *whole_seconds(const char *text, char out[TEXT_TIME_SIZE])
{
	int64_t ns;

	return text_parse_time(text, &ns, NULL) < 0 ? text : text_time_s(out, ns / 1000000);
}

static int show_list(struct json_doc *d)
{
	const struct json_node *list = json_member(d, d->nodes, "databases"), *n;
	struct buf out = { .data = NULL };
	char time[TEXT_TIME_SIZE];
	int status;

	if (!list || list->type != JSON_ARRAY)
		return output_errorf("failed to parse response: no databases");
	if (list->count == 0)
		buf_str(&out, "No databases configured\n");
	for (n = json_first(d, list); n; n = json_next(d, list, n))
		buf_fmt(&out, "%s [%s] (last sync: %s)\n", member(d, n, "path", ""), member(d, n, "status", ""),
		        whole_seconds(member(d, n, "last_sync_at", "never"), time));
	status = output_buf(&out);
	buf_free(&out);
	return status;
}

int applet_list(int argc, char **argv)
{
	struct remote r = REMOTE_DEFAULT("list", 10);
	bool watch = false;
	const struct flag flags[] = {
		{ .name = "watch", .type = FLAG_BOOL, .value = &watch },
		{ .name = "rpc", .type = FLAG_BOOL, .value = &r.rpc },
		REMOTE_FLAGS(r),
		{ .type = FLAG_END },
	};
	int first, status = applet_parse(flags, argc, argv, list_help, &first);
	struct json_doc d;

	if (status >= 0)
		return status;
	if (first < argc)
		return output_errorf("too many arguments");
	if ((status = remote_check(&r, true)) >= 0)
		return status;
	if (watch)
		return watch_databases(r.socket, r.json);
	if (r.rpc)
		return remote_call(&r, "list", NULL);
	if ((status = remote_ask(&r, "/list", NULL, &d, NULL)) >= 0)
		return status;
	return r.json ? remote_print(&d, d.nodes) : show_list(&d);
}

static int show_info(const struct json_doc *d)
{
	struct buf out = { .data = NULL };
	char uptime[TEXT_DURATION_SIZE], time[TEXT_TIME_SIZE];
	int64_t seconds = (int64_t)(remote_uint(d, "uptime_seconds") % 9000000000);
	int status;

	buf_fmt(&out, "Litestream %s\n", remote_text(d, "version"));
	buf_fmt(&out, "  PID:        %llu\n", (unsigned long long)remote_uint(d, "pid"));
	buf_fmt(&out, "  Uptime:     %s\n", text_duration(uptime, seconds * 1000000000));
	buf_fmt(&out, "  Started at: %s\n", whole_seconds(remote_text(d, "started_at"), time));
	buf_fmt(&out, "  Databases:  %llu\n", (unsigned long long)remote_uint(d, "database_count"));
	status = output_buf(&out);
	buf_free(&out);
	return status;
}

int applet_info(int argc, char **argv)
{
	struct remote r = REMOTE_DEFAULT("info", 10);
	const struct flag flags[] = {
		{ .name = "rpc", .type = FLAG_BOOL, .value = &r.rpc },
		REMOTE_FLAGS(r),
		{ .type = FLAG_END },
	};
	int first, status = applet_parse(flags, argc, argv, info_help, &first);
	struct json_doc d;

	if (status >= 0)
		return status;
	if (first < argc)
		return output_errorf("too many arguments");
	if ((status = remote_check(&r, true)) >= 0)
		return status;
	if (r.rpc)
		return remote_call(&r, "info", NULL);
	if ((status = remote_ask(&r, "/info", NULL, &d, NULL)) >= 0)
		return status;
	return r.json ? remote_print(&d, d.nodes) : show_info(&d);
}
