/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/output.h"
#include "applets/place.h"
#include "json/json.h"

static const char help[] =
	"Lists the databases of the configuration file and where their replicas are. Of a\n"
	"folder, what a scan of it finds now.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ databases [arguments]\n"
	"\n"
	"Arguments:\n"
	"\n"
	"\t-config PATH     default $LITESTREAM_CONFIG, else /etc/litestream.yml\n"
	"\t-no-expand-env   take $NAME in the configuration file as it is\n"
	"\t-json            print JSON\n";

struct row {
	char *path;
	const struct config_db *db;
};

struct rows {
	struct row *items;
	size_t count, cap;
};

static int add_row(void *ctx, const struct config_db *db, const char *path, const char *relative, struct err *e)
{
	struct rows *rows = ctx;

	(void)relative;
	if (rows->count == rows->cap) {
		size_t cap = rows->cap ? rows->cap * 2 : 64;
		struct row *items = realloc(rows->items, cap * sizeof(*items));

		if (!items)
			return err_nomem(e);
		rows->items = items;
		rows->cap = cap;
	}
	rows->items[rows->count].db = db;
	rows->items[rows->count].path = strdup(path);
	return rows->items[rows->count++].path ? 0 : err_nomem(e);
}

/* Of several replicas all types, in their order. */
static void put_types(const struct config_db *db, struct buf *out)
{
	for (int i = 0; i < db->replica_count; i++) {
		if (i)
			buf_char(out, ',');
		buf_str(out, replica_settings_type(&db->replicas[i].settings));
	}
}

static void table_cell(const void *ctx, size_t row, int column, struct buf *out)
{
	const struct row *r = &((const struct rows *)ctx)->items[row];

	if (column == 0)
		buf_str(out, r->path);
	else
		put_types(r->db, out);
}

static int print_json(const struct rows *rows)
{
	struct buf b = {0}, types = {0};
	struct json_writer w;
	int status = 0;

	json_writer_init(&w, &b, true);
	json_array_begin(&w);
	for (size_t i = 0; i < rows->count && status == 0; i++) {
		buf_reset(&types);
		put_types(rows->items[i].db, &types);
		json_object_begin(&w);
		json_key(&w, "path");
		json_string(&w, rows->items[i].path);
		json_key(&w, "replica");
		json_string(&w, buf_text(&types));
		json_object_end(&w);
		status = output_some(&b);
	}
	json_array_end(&w);
	buf_char(&b, '\n');
	if (status == 0)
		status = output_buf(&b);
	buf_free(&types);
	buf_free(&b);
	return status;
}

int applet_databases(int argc, char **argv)
{
	static const char *const header[] = { "path", "replica" };
	struct place_flags place_flags = PLACE_FLAGS_DEFAULT;
	bool json = false;
	const struct flag flags[] = {
		PLACE_FLAGS(place_flags),
		{ "json", FLAG_BOOL, &json, NULL },
		{ .type = FLAG_END },
	};
	struct rows rows = {0};
	struct config c;
	struct err e = ERR_INIT;
	int first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	if (first < argc)
		return output_errorf("too many arguments");
	applet_log(2);
	if (place_config(&place_flags, 2, &c, &e) < 0)
		return output_error(&e);
	if (config_check(&c, &e) < 0 || place_each(&c, add_row, &rows, &e) < 0)
		status = output_error(&e);
	else
		status = json ? print_json(&rows) :
			output_table(&(struct table){ 2, header, rows.count, table_cell, &rows });
	for (size_t i = 0; i < rows.count; i++)
		free(rows.items[i].path);
	free(rows.items);
	config_free(&c);
	return status;
}
