/* SPDX-License-Identifier: MIT */
/*
 * sync_status.c - one database of GET /debug/sync-status (control.md §1.5): what it is doing at this moment, also while
 * that hangs. What is zero or empty is left out, but for path and active.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/control/internal.h"
#include "lib/db/diag.h"
#include "lib/os/clock.h"

static void put_text(struct json_writer *w, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	json_key(w, key);
	json_string(w, value);
}

static void put_number(struct json_writer *w, const char *key, uint64_t value)
{
	if (!value)
		return;
	json_key(w, key);
	json_uint(w, value);
}

static void put_flag(struct json_writer *w, const char *key, bool value)
{
	if (!value)
		return;
	json_key(w, key);
	json_bool(w, value);
}

static void put_time(struct json_writer *w, const char *key, int64_t ms)
{
	char time[TEXT_TIME_SIZE];

	if (ms)
		put_text(w, key, text_time_trim(time, ms));
}

/* Microseconds as seconds, without zeros at the end. */
static void put_seconds(struct json_writer *w, const char *key, int64_t us)
{
	char text[40];
	size_t n;

	if (us <= 0)
		return;
	n = (size_t)snprintf(text, sizeof(text), "%lld.%06d", (long long)(us / 1000000), (int)(us % 1000000));
	while (text[n - 1] == '0')
		n--;
	text[text[n - 1] == '.' ? n - 1 : n] = '\0';
	json_key(w, key);
	json_number(w, text);
}

static void put_operation(struct json_writer *w, const struct db_diag *d)
{
	put_text(w, "operation", d->operation);
	put_text(w, "phase", d->phase);
	put_time(w, "started_at", d->started_ms);
	put_time(w, "updated_at", d->updated_ms);
	put_seconds(w, "elapsed_seconds", d->elapsed_us);
}

void sync_status_write(struct managed *m, struct json_writer *w)
{
	struct managed_facts f;
	struct db_diag d;

	managed_facts(m, &f);
	db_diag(managed_db(m), &d);
	json_object_begin(w);
	put_text(w, "path", f.path);
	json_key(w, "active");
	json_bool(w, d.active);
	put_operation(w, &d);
	/* While it runs it knows better; at rest the store knows of what happened while the database was let go. */
	put_number(w, "txid", d.active && d.txid ? d.txid : f.txid);
	put_number(w, "wal_size", (uint64_t)(d.active && d.wal_size ? d.wal_size : f.wal_size));
	put_number(w, "last_synced_wal_offset", (uint64_t)(d.active && d.wal_offset ? d.wal_offset : f.wal_offset));
	put_flag(w, "snapshotting", d.snapshotting);
	put_text(w, "checkpoint_mode", d.mode);
	put_text(w, "reason", d.reason);
	put_text(w, "error", d.error);
	put_number(w, "executor_waiter_count", (uint64_t)f.waiting);
	put_time(w, "executor_wait_started_at", f.waiting_since_ms);
	if (f.waiting_since_ms)
		put_seconds(w, "executor_wait_seconds", (os_wall_ms() - f.waiting_since_ms) * 1000);
	json_object_end(w);
}
