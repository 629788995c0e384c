/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>

#include "applets/applet.h"
#include "applets/output.h"
#include "applets/place.h"
#include "json/json.h"
#include "lib/base/text.h"
#include "lib/ltx/ltx.h"

static const char help[] =
	"Lists the LTX files of a replica: which transactions can be restored from what.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ ltx [arguments] REPLICA_URL\n"
	"\t@ ltx [arguments] FOLDER\n"
	"\t@ ltx [arguments] DB_PATH\n"
	"\n"
	"A FOLDER that holds an ltx folder is a replica too. A DB_PATH is looked up in the\n"
	"configuration file; of several replicas there, the first is shown.\n"
	"\n"
	"Arguments:\n"
	"\n"
	"\t-config PATH     default $LITESTREAM_CONFIG, else /etc/litestream.yml\n"
	"\t-no-expand-env   take $NAME in the configuration file as it is\n"
	"\t-level LEVEL     compaction level 0 to 9 (9: snapshots), or all; default 0\n"
	"\t-json            print JSON\n"
	"\n"
	"Example:\n"
	"\n"
	"\t$ @ ltx -level all file:///backup/app\n";

enum { LEVEL_ALL = -1 };

static int set_level(void *value, const char *text, struct err *e)
{
	char *end;
	long level;

	if (text[0] == 'a' && text[1] == 'l' && text[2] == 'l' && text[3] == '\0') {
		*(int *)value = LEVEL_ALL;
		return 0;
	}
	level = strtol(text, &end, 10);
	if (end == text || *end != '\0')
		return err_set(e, ERR_INVALID, "invalid level: must be 0-9 or \"all\"");
	if (level < 0 || level > LTX_LEVEL_MAX)
		return err_set(e, ERR_INVALID, "level must be between 0 and 9");
	*(int *)value = (int)level;
	return 0;
}

static void table_cell(const void *ctx, size_t row, int column, struct buf *out)
{
	const struct replica_item *item = &((const struct replica_list *)ctx)->items[row];
	char text[TEXT_TIME_SIZE];

	switch (column) {
	case 0:
		buf_fmt(out, "%d", item->level);
		break;
	case 1:
		buf_str(out, text_txid(text, item->min_txid));
		break;
	case 2:
		buf_str(out, text_txid(text, item->max_txid));
		break;
	case 3:
		buf_fmt(out, "%lld", (long long)item->size);
		break;
	default:
		buf_str(out, text_time_s(text, item->created_ms));
	}
}

static int print_json(const struct replica_list *list)
{
	char text[TEXT_TIME_SIZE];
	struct buf b = {0};
	struct json_writer w;
	int status = 0;

	json_writer_init(&w, &b, true);
	json_array_begin(&w);
	for (int i = 0; i < list->count && status == 0; i++) {
		const struct replica_item *item = &list->items[i];

		json_object_begin(&w);
		json_key(&w, "level");
		json_int(&w, item->level);
		json_key(&w, "min_txid");
		json_string(&w, text_txid(text, item->min_txid));
		json_key(&w, "max_txid");
		json_string(&w, text_txid(text, item->max_txid));
		json_key(&w, "size");
		json_int(&w, item->size);
		json_key(&w, "timestamp");
		json_string(&w, text_time_s(text, item->created_ms));
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

static int print_table(const struct replica_list *list)
{
	static const char *const header[] = { "level", "min_txid", "max_txid", "size", "created" };

	return output_table(&(struct table){ 5, header, (size_t)list->count, table_cell, list });
}

int applet_ltx(int argc, char **argv)
{
	struct place_flags place_flags = PLACE_FLAGS_DEFAULT;
	bool json = false;
	int level = 0;
	const struct flag flags[] = {
		PLACE_FLAGS(place_flags),
		{ "level", FLAG_OTHER, &level, set_level },
		{ "json", FLAG_BOOL, &json, NULL },
		{ .type = FLAG_END },
	};
	struct place place = { .database = NULL };
	struct replica_list list = {0};
	struct err e = ERR_INIT;
	const char *word;
	int from, to, first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	if (first == argc || argv[first][0] == '\0')
		return output_try("database path or replica URL required", "ltx /path/to/db", "");
	if (argc - first > 1)
		return output_errorf("too many arguments");
	word = argv[first];
	if (replica_is_url(word) && place_flags.config[0] != '\0')
		return output_errorf("cannot specify a replica URL and the -config flag");
	applet_log(1);
	if (level == LEVEL_ALL) {
		from = 0;
		to = LTX_LEVEL_MAX;
	} else {
		from = to = level;
	}
	if (place_open(word, &place_flags, "", 1, &place, &e) < 0 ||
	    replica_list_levels(place.replicas[0], from, to, false, &list, &e) < 0)
		status = output_error(&e);
	else
		status = json ? print_json(&list) : print_table(&list);
	replica_list_free(&list);
	place_free(&place);
	return status;
}

int applet_wal(int argc, char **argv)
{
	output_complain("Warning: 'wal' command is deprecated, please use 'ltx' instead");
	return applet_ltx(argc, argv);
}
