/* SPDX-License-Identifier: MIT */
/* A running daemon syncs a database now, or tells when it is replicated: sync, wait. */
#include <stdlib.h>

#include "applets/remote.h"

static const char sync_help[] =
	"usage: @ sync [OPTIONS] DB_PATH\n"
	"\n"
	"A running daemon copies what was committed to a database, now.\n"
	"\n"
	"Options:\n"
	"\n"
	"\t-wait              until the replica has it too\n"
	"\t-socket PATH       control socket of the daemon; /var/run/litestream.sock\n"
	"\t-timeout SECONDS   how long to wait; 30\n"
	"\t-json              print JSON\n"
	"\t-rpc               ask by JSON-RPC and print its result\n";

static const char wait_help[] =
	"usage: @ wait [OPTIONS] DB_PATH\n"
	"\n"
	"Returns once everything that is committed to a database by now is in its replica.\n"
	"\n"
	"Options:\n"
	"\n"
	"\t-txid N            until the replica holds that transaction\n"
	"\t-socket PATH       control socket of the daemon; /var/run/litestream.sock\n"
	"\t-timeout SECONDS   how long to wait; 30\n"
	"\t-json              print JSON\n"
	"\t-rpc               ask by JSON-RPC and print its result\n";

static void put_path(struct remote_body *body, const char *path, int64_t timeout_s)
{
	remote_body_begin(body);
	json_key(&body->w, "path");
	json_string(&body->w, path);
	json_key(&body->w, "timeout");
	json_int(&body->w, timeout_s);
}

int applet_sync(int argc, char **argv)
{
	struct remote r = REMOTE_DEFAULT("sync", 30);
	bool wait = false;
	const struct flag flags[] = {
		{ .name = "wait", .type = FLAG_BOOL, .value = &wait },
		{ .name = "rpc", .type = FLAG_BOOL, .value = &r.rpc },
		REMOTE_FLAGS(r),
		{ .type = FLAG_END },
	};
	int first, status = applet_parse(flags, argc, argv, sync_help, &first);
	struct remote_body body;
	struct json_doc d;
	int64_t ms;
	char *path;

	if (status >= 0 || (status = remote_path(argc, argv, first, "sync /path/to/db", &path)) >= 0 ||
	    (status = remote_check(&r, true)) >= 0)
		return status;
	put_path(&body, path, r.timeout_s);
	json_key(&body.w, "wait");
	json_bool(&body.w, wait);
	if (r.rpc)
		return remote_call(&r, "sync", &body);
	if ((status = remote_ask(&r, "/sync", &body, &d, &ms)) >= 0)
		return status;

	const struct remote_field fields[] = {
		{ .key = "db_path", .text = remote_text(&d, "path") },
		{ .key = "txid", .number = remote_uint(&d, "txid") },
		{ .key = "replica_txid", .number = remote_uint(&d, "replicated_txid"), .skip = !wait },
		{ .key = "duration_ms", .number = (uint64_t)ms },
		{ .key = NULL },
	};

	return remote_report(&r, fields);
}

int applet_wait(int argc, char **argv)
{
	struct remote r = REMOTE_DEFAULT("wait", 30);
	int64_t txid = 0, ms;
	const struct flag flags[] = {
		{ .name = "txid", .type = FLAG_INT, .value = &txid },
		{ .name = "rpc", .type = FLAG_BOOL, .value = &r.rpc },
		REMOTE_FLAGS(r),
		{ .type = FLAG_END },
	};
	int first, status = applet_parse(flags, argc, argv, wait_help, &first);
	struct remote_body body;
	struct json_doc d;
	char *path;

	if (status >= 0 || (status = remote_path(argc, argv, first, "wait /path/to/db", &path)) >= 0 ||
	    (status = remote_check(&r, true)) >= 0)
		return status;
	put_path(&body, path, r.timeout_s);
	if (txid != 0) {
		json_key(&body.w, "txid");
		json_int(&body.w, txid);
	}
	if (r.rpc)
		return remote_call(&r, "wait", &body);
	if ((status = remote_ask(&r, "/wait", &body, &d, &ms)) >= 0)
		return status;

	const struct remote_field fields[] = {
		{ .key = "db_path", .text = remote_text(&d, "path") },
		{ .key = "txid", .number = remote_uint(&d, "txid") },
		{ .key = "replica_txid", .number = remote_uint(&d, "replicated_txid") },
		{ .key = "duration_ms", .number = (uint64_t)ms },
		{ .key = NULL },
	};

	return remote_report(&r, fields);
}
