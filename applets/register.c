/* SPDX-License-Identifier: MIT */
/* A running daemon takes a database in, or lets it go: register, unregister. */
#include <stdlib.h>
#include <string.h>

#include "applets/remote.h"

static const char register_help[] =
	"usage: @ register [OPTIONS] DB_PATH\n"
	"\n"
	"A running daemon takes a database in and replicates it.\n"
	"\n"
	"Options:\n"
	"\n"
	"\t-replica URL       where to: s3://bucket/prefix, file:///folder, …; required\n"
	"\t-strict            a database that is registered already is an error\n"
	"\t-socket PATH       control socket of the daemon; /var/run/litestream.sock\n"
	"\t-timeout SECONDS   how long to wait; 30\n"
	"\t-json              print JSON\n";

int applet_register(int argc, char **argv)
{
	struct remote r = REMOTE_DEFAULT("register", 30);
	const char *replica = "";
	bool strict = false;
	const struct flag flags[] = {
		{ .name = "replica", .type = FLAG_TEXT, .value = &replica },
		{ .name = "strict", .type = FLAG_BOOL, .value = &strict },
		REMOTE_FLAGS(r),
		{ .type = FLAG_END },
	};
	static const char hint[] = "register -replica s3://bucket/prefix /path/to/db";
	int first, status = applet_parse(flags, argc, argv, register_help, &first);
	struct remote_body body;
	struct json_doc d;
	char *path;

	if (status >= 0 || (status = remote_path(argc, argv, first, hint, &path)) >= 0)
		return status;
	if (!replica[0])
		return output_try("-replica is required", hint, "");
	if ((status = remote_check(&r, true)) >= 0)
		return status;
	remote_body_begin(&body);
	json_key(&body.w, "path");
	json_string(&body.w, path);
	json_key(&body.w, "replica_url");
	json_string(&body.w, replica);
	if (strict) {
		json_key(&body.w, "strict");
		json_bool(&body.w, true);
	}
	if ((status = remote_ask(&r, "/register", &body, &d, NULL)) >= 0)
		return status;

	const char *word = remote_text(&d, "status");
	const struct remote_field fields[] = {
		/* People read a blank, programs an underscore: so it is with Litestream. */
		{ .key = "status", .text =
		  !r.json && strcmp(word, "already_registered") == 0 ? "already registered" : word },
		{ .key = "db_path", .text = remote_text(&d, "path") },
		{ .key = "replica", .text = replica },
		{ .key = "socket", .text = r.socket },
		{ .key = NULL },
	};

	return remote_report(&r, fields);
}

static const char unregister_help[] =
	"usage: @ unregister [OPTIONS] DB_PATH\n"
	"\n"
	"A running daemon replicates what is there of a database and lets it go.\n"
	"\n"
	"Options:\n"
	"\n"
	"\t-dry-run           only show what would be asked of the daemon\n"
	"\t-socket PATH       control socket of the daemon; /var/run/litestream.sock\n"
	"\t-timeout SECONDS   how long to wait; 30\n"
	"\t-json              print JSON\n";

static int preview(const struct remote *r, const char *path)
{
	struct buf out = { .data = NULL };
	int status;

	buf_fmt(&out,
	        "Dry run: unregister request preview\n"
	        "  database: %s\n"
	        "  socket: %s\n"
	        "  replicas: daemon-managed replica for this database\n"
	        "  final sync: daemon close will sync the database and replica before the command completes\n"
	        "  timeout: %llds\n"
	        "No unregister request was sent.\n",
	        path, r->socket, (long long)r->timeout_s);
	status = output_buf(&out);
	buf_free(&out);
	return status;
}

int applet_unregister(int argc, char **argv)
{
	struct remote r = REMOTE_DEFAULT("unregister", 30);
	bool dry_run = false;
	const struct flag flags[] = {
		{ .name = "dry-run", .type = FLAG_BOOL, .value = &dry_run },
		REMOTE_FLAGS(r),
		{ .type = FLAG_END },
	};
	int first, status = applet_parse(flags, argc, argv, unregister_help, &first);
	struct remote_body body;
	struct json_doc d;
	char *path;

	if (status >= 0 || (status = remote_path(argc, argv, first, "unregister /path/to/db", &path)) >= 0 ||
	    (status = remote_check(&r, true)) >= 0)
		return status;
	if (dry_run)
		return preview(&r, path);
	remote_body_begin(&body);
	json_key(&body.w, "path");
	json_string(&body.w, path);
	json_key(&body.w, "timeout");
	json_int(&body.w, r.timeout_s);
	if ((status = remote_ask(&r, "/unregister", &body, &d, NULL)) >= 0)
		return status;

	const struct remote_field fields[] = {
		{ .key = "status", .text = remote_text(&d, "status") },
		{ .key = "db_path", .text = remote_text(&d, "path") },
		{ .key = "final_txid", .number = remote_uint(&d, "txid") },
		{ .key = "socket", .text = r.socket },
		{ .key = NULL },
	};

	return remote_report(&r, fields);
}
