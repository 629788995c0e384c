/* SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "applets/output.h"
#include "applets/restore_plan.h"
#include "json/json.h"
#include "lib/base/text.h"
#include "lib/ltx/ltx.h"

static void put_text(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value);
}

static int print_json(const struct restore_plan *plan, const char *source, const char *target, const char *type)
{
	char text[TEXT_TIME_SIZE], name[LTX_NAME_SIZE];
	struct buf b = {0};
	struct json_writer w;
	int status = 0;

	json_writer_init(&w, &b, true);
	json_object_begin(&w);
	put_text(&w, "source", source);
	put_text(&w, "target_path", target);
	put_text(&w, "replica", type);
	put_text(&w, "min_txid", text_txid(text, plan->min_txid));
	put_text(&w, "max_txid", text_txid(text, plan->max_txid));
	json_key(&w, "files");
	json_array_begin(&w);
	for (int i = 0; i < plan->count && status == 0; i++) {
		const struct replica_item *item = &plan->items[i];

		json_object_begin(&w);
		json_key(&w, "level");
		json_int(&w, item->level);
		put_text(&w, "name", ltx_name(name, item->min_txid, item->max_txid));
		put_text(&w, "min_txid", text_txid(text, item->min_txid));
		put_text(&w, "max_txid", text_txid(text, item->max_txid));
		json_key(&w, "size");
		json_int(&w, item->size);
		put_text(&w, "timestamp", text_time_s(text, item->created_ms));
		json_object_end(&w);
		status = output_some(&b);
	}
	json_array_end(&w);
	json_object_end(&w);
	buf_char(&b, '\n');
	if (status == 0)
		status = output_buf(&b);
	buf_free(&b);
	return status;
}

static void table_cell(const void *ctx, size_t row, int column, struct buf *out)
{
	const struct replica_item *item = &((const struct restore_plan *)ctx)->items[row];
	char text[TEXT_TIME_SIZE], name[LTX_NAME_SIZE];

	switch (column) {
	case 0:
		buf_fmt(out, "%d", item->level);
		break;
	case 1:
		buf_str(out, ltx_name(name, item->min_txid, item->max_txid));
		break;
	case 2:
		buf_str(out, text_txid(text, item->min_txid));
		break;
	case 3:
		buf_str(out, text_txid(text, item->max_txid));
		break;
	case 4:
		buf_fmt(out, "%lld", (long long)item->size);
		break;
	default:
		buf_str(out, text_time_s(text, item->created_ms));
	}
}

int restore_plan_print(const struct restore_plan *plan, const char *source, const char *target, const char *type,
                       bool json)
{
	static const char *const header[] = { "level", "file", "min_txid", "max_txid", "size", "timestamp" };
	char from[TEXT_TXID_SIZE], to[TEXT_TXID_SIZE];
	struct buf b = {0};
	int status;

	if (json)
		return print_json(plan, source, target, type);
	buf_fmt(&b, "Restore plan:\n  source: %s\n  target: %s\n  replica: %s\n  txid range: %s - %s\n\nFiles to fetch:\n",
	        source, target, type, text_txid(from, plan->min_txid), text_txid(to, plan->max_txid));
	status = output_buf(&b);
	buf_free(&b);
	return status != 0 ? status : output_table(&(struct table){ 6, header, (size_t)plan->count, table_cell, plan });
}
