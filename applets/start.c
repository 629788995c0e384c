/* SPDX-License-Identifier: MIT */
/* A running daemon begins to look after a database that it knows, or rests: start, stop. */
#include <stdlib.h>
#include <string.h>

#include "applets/remote.h"
#include "lib/base/text.h"
#include "lib/os/file.h"

static const char start_help[] =
	"usage: @ start [OPTIONS] DB_PATH\n"
	"\n"
	"A running daemon begins to replicate a database that it knows.\n"
	"\n"
	"Options:\n"
	"\n"
	"\t-config PATH       take the database in as that configuration file describes it\n"
	"\t-wait              until the database is open\n"
	"\t-socket PATH       control socket of the daemon; /var/run/litestream.sock\n"
	"\t-timeout SECONDS   how long to wait; 30\n"
	"\t-json              print JSON\n"
	"\t-rpc               ask by JSON-RPC and print its result\n";

static const char stop_help[] =
	"usage: @ stop [OPTIONS] DB_PATH\n"
	"\n"
	"A running daemon replicates what is there of a database and lets it rest.\n"
	"\n"
	"Options:\n"
	"\n"
	"\t-socket PATH       control socket of the daemon; /var/run/litestream.sock\n"
	"\t-timeout SECONDS   how long to wait; 30\n"
	"\t-json              print JSON\n"
	"\t-rpc               ask by JSON-RPC and print its result\n";

static int ask(const struct remote *r, struct remote_body *body, const char *target, const char *state)
{
	struct json_doc d;
	int status;

	if (r->rpc)
		return remote_call(r, r->name, body);
	if ((status = remote_ask(r, target, body, &d, NULL)) >= 0)
		return status;

	const struct remote_field fields[] = {
		{ .key = "status", .text = remote_text(&d, "status") },
		{ .key = "db_path", .text = remote_text(&d, "path") },
		{ .key = "state", .text = state },
		{ .key = "txid", .number = remote_uint(&d, "txid") },
		{ .key = "socket", .text = r->socket },
		{ .key = NULL },
	};

	return remote_report(r, fields);
}

static void put_request(const struct remote *r, const char *path, struct remote_body *body)
{
	remote_body_begin(body);
	json_key(&body->w, "path");
	json_string(&body->w, path);
	json_key(&body->w, "timeout");
	json_int(&body->w, r->timeout_s);
}

/* The daemon reads the file, and it runs somewhere else. */
static int put_config(const char *config, struct remote_body *body)
{
	char *cwd = NULL, *home = os_home(), *path = NULL;
	struct err e = ERR_INIT;
	int rc = os_cwd(&cwd, &e);

	if (rc == 0)
		rc = text_path_expand(config, cwd, home, &path, &e);
	if (rc == 0) {
		json_key(&body->w, "config");
		json_string(&body->w, path);
	}
	free(cwd);
	free(home);
	free(path);
	return rc < 0 ? output_error(&e) : -1;
}

int applet_start(int argc, char **argv)
{
	struct remote r = REMOTE_DEFAULT("start", 30);
	const char *config = "";
	bool wait = false;
	const struct flag flags[] = {
		{ .name = "config", .type = FLAG_TEXT, .value = &config },
		{ .name = "wait", .type = FLAG_BOOL, .value = &wait },
		{ .name = "rpc", .type = FLAG_BOOL, .value = &r.rpc },
		REMOTE_FLAGS(r),
		{ .type = FLAG_END },
	};
	int first, status = applet_parse(flags, argc, argv, start_help, &first);
	struct remote_body body;
	char *path;

	if (status >= 0 || (status = remote_path(argc, argv, first, "start /path/to/db", &path)) >= 0 ||
	    (status = remote_check(&r, false)) >= 0)
		return status;
	put_request(&r, path, &body);
	if (wait) {
		json_key(&body.w, "wait");
		json_bool(&body.w, true);
	}
	if (config[0] && (status = put_config(config, &body)) >= 0)
		return status;
	return ask(&r, &body, "/start", "running");
}

int applet_stop(int argc, char **argv)
{
	struct remote r = REMOTE_DEFAULT("stop", 30);
	const struct flag flags[] = {
		{ .name = "rpc", .type = FLAG_BOOL, .value = &r.rpc },
		REMOTE_FLAGS(r),
		{ .type = FLAG_END },
	};
	int first, status = applet_parse(flags, argc, argv, stop_help, &first);
	struct remote_body body;
	char *path;

	if (status >= 0 || (status = remote_path(argc, argv, first, "stop /path/to/db", &path)) >= 0 ||
	    (status = remote_check(&r, false)) >= 0)
		return status;
	put_request(&r, path, &body);
	return ask(&r, &body, "/stop", "stopped");
}
