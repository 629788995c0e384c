/* SPDX-License-Identifier: MIT */
/* What the files on this machine say about the databases of the configuration; with -socket, what a daemon says of one. */
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/local.h"
#include "applets/output.h"
#include "applets/place.h"
#include "applets/remote.h"
#include "json/json.h"
#include "lib/base/text.h"
#include "lib/os/file.h"

static const char help[] =
	"Shows what is known locally about the databases of the configuration file.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ status [arguments] [DB_PATH]\n"
	"\n"
	"Arguments:\n"
	"\n"
	"\t-config PATH     default $LITESTREAM_CONFIG, else /etc/litestream.yml\n"
	"\t-no-expand-env   take $NAME in the configuration file as it is\n"
	"\t-json            print JSON\n"
	"\t-socket PATH     ask the daemon there about DB_PATH: open or closed\n"
	"\n"
	"Columns:\n"
	"\n"
	"\tdatabase         path\n"
	"\tstatus           ok, not initialized, no database or error\n"
	"\tlocal txid       the newest transaction in the local LTX files\n"
	"\twal size         size of the write-ahead log\n";

enum { CELL_SIZE = 32 }; /* of the texts of numbers */
_Static_assert((int)CELL_SIZE >= (int)TEXT_SIZE_SIZE && (int)CELL_SIZE >= (int)TEXT_TXID_SIZE, "cells too small");

struct row {
	char *path;
	const char *status;
	uint64_t txid;     /* 0 = "-" */
	int64_t wal_bytes; /* -1 = "-" */
};

struct rows {
	struct row *items;
	size_t count, cap;
	const char *only; /* NULL = all */
};

static int64_t wal_size(const char *path)
{
	char wal[4096 + 8];
	struct os_stat st;
	struct err why = ERR_INIT;
	size_t n = strlen(path);

	if (n > 4096)
		return -1;
	memcpy(wal, path, n);
	memcpy(wal + n, "-wal", 5);
	if (os_stat(wal, &st, &why) == 0)
		return st.size;
	return err_is(&why, ERR_NOT_FOUND) ? 0 : -1;
}

static int look(struct row *row, const struct config_db *db, const char *relative, struct err *e)
{
	struct os_stat st;
	struct err why = ERR_INIT;
	char *meta;

	row->wal_bytes = -1;
	if (os_stat(row->path, &st, &why) < 0 && err_is(&why, ERR_NOT_FOUND)) {
		row->status = "no database";
		return 0;
	}
	row->wal_bytes = wal_size(row->path);
	if (local_meta_path(row->path, db, relative, &meta, e))
		return -1;
	if (local_txid(meta, &row->txid, &why) < 0)
		row->status = "error";
	else
		row->status = row->txid ? "ok" : "not initialized";
	free(meta);
	return 0;
}

static int add_row(void *ctx, const struct config_db *db, const char *path, const char *relative, struct err *e)
{
	struct rows *rows = ctx;
	struct row *row;

	if (rows->only && strcmp(rows->only, path) != 0)
		return 0;
	if (rows->count == rows->cap) {
		size_t cap = rows->cap ? rows->cap * 2 : 64;
		struct row *items = realloc(rows->items, cap * sizeof(*items));

		if (!items)
			return err_nomem(e);
		rows->items = items;
		rows->cap = cap;
	}
	row = &rows->items[rows->count];
	*row = (struct row){ .path = strdup(path) };
	if (!row->path)
		return err_nomem(e);
	rows->count++;
	return look(row, db, relative, e);
}

static const char *txid_text(const struct row *r, char out[TEXT_TXID_SIZE])
{
	return r->txid ? text_txid(out, r->txid) : "-";
}

static const char *wal_text(const struct row *r, char out[TEXT_SIZE_SIZE])
{
	return r->wal_bytes >= 0 ? text_size(out, (uint64_t)r->wal_bytes) : "-";
}

static void table_cell(const void *ctx, size_t row, int column, struct buf *out)
{
	const struct row *r = &((const struct rows *)ctx)->items[row];
	char text[CELL_SIZE];

	switch (column) {
	case 0:
		buf_str(out, r->path);
		break;
	case 1:
		buf_str(out, r->status);
		break;
	case 2:
		buf_str(out, txid_text(r, text));
		break;
	default:
		buf_str(out, wal_text(r, text));
	}
}

static int print_json(const struct rows *rows)
{
	char text[CELL_SIZE];
	struct buf b = {0};
	struct json_writer w;
	int status = 0;

	json_writer_init(&w, &b, true);
	json_array_begin(&w);
	for (size_t i = 0; i < rows->count && status == 0; i++) {
		const struct row *r = &rows->items[i];

		json_object_begin(&w);
		json_key(&w, "database");
		json_string(&w, r->path);
		json_key(&w, "status");
		json_string(&w, r->status);
		json_key(&w, "local_txid");
		json_string(&w, txid_text(r, text));
		json_key(&w, "wal_size");
		json_string(&w, wal_text(r, text));
		json_object_end(&w);
		status = output_some(&b);
	}
	json_array_end(&w);
	buf_char(&b, '\n');
	if (status == 0)
		status = output_buf(&b);
	buf_free(&b);
	return status;
}

static int run(const struct config *c, const char *word, bool json)
{
	static const char *const header[] = { "database", "status", "local txid", "wal size" };
	struct rows rows = {0};
	struct err e = ERR_INIT;
	char *only = NULL;
	int status;

	if (word && place_expand(word, &only, &e) < 0)
		return output_error(&e);
	rows.only = only;
	if (config_check(c, &e) < 0 || place_each(c, add_row, &rows, &e) < 0)
		status = output_error(&e);
	else
		status = json ? print_json(&rows) :
			output_table(&(struct table){ 4, header, rows.count, table_cell, &rows });
	for (size_t i = 0; i < rows.count; i++)
		free(rows.items[i].path);
	free(rows.items);
	free(only);
	return status;
}

static int ask_daemon(const char *socket, int argc, char **argv, int first)
{
	struct remote r = REMOTE_DEFAULT("status", 30);
	struct remote_body params;
	char *path;
	int status;

	r.socket = socket;
	if ((status = remote_path(argc, argv, first, "status -socket /var/run/litestream.sock /path/to/db",
	                          &path)) >= 0 ||
	    (status = remote_check(&r, false)) >= 0)
		return status;
	remote_body_begin(&params);
	json_key(&params.w, "path");
	json_string(&params.w, path);
	return remote_call(&r, "status", &params);
}

int applet_status(int argc, char **argv)
{
	struct place_flags place_flags = PLACE_FLAGS_DEFAULT;
	const char *socket = NULL;
	bool json = false;
	const struct flag flags[] = {
		PLACE_FLAGS(place_flags),
		{ "json", FLAG_BOOL, &json, NULL },
		{ "socket", FLAG_TEXT, &socket, NULL },
		{ .type = FLAG_END },
	};
	struct config c;
	struct err e = ERR_INIT;
	int first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	if (socket)
		return ask_daemon(socket, argc, argv, first);
	applet_log(2);
	if (place_config(&place_flags, 2, &c, &e) < 0)
		return output_error(&e);
	status = run(&c, first < argc && argv[first][0] ? argv[first] : NULL, json);
	config_free(&c);
	return status;
}
