/* SPDX-License-Identifier: MIT */
#include "lib/control/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/escape.h"
#include "lib/base/text.h"
#include "lib/os/usage.h"
#include "lib/replica/stats.h"

struct writer {
	struct buf *out;
	const struct metrics_source *source;
	int *order; /* of the databases by path */
	int *named; /* and by base name */
	const char *family; /* the one whose head was written last */
};

/* ---- text ---- */

/* Written before the first sample of a family, so that one without samples leaves nothing. */
static void head(struct writer *w, const char *name, const char *type, const char *help)
{
	assert(!w->family || w->family == name || strcmp(w->family, name) < 0);
	if (w->family == name)
		return;
	w->family = name;
	buf_fmt(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Any byte that a path may have; the format wants UTF-8. */
static void quoted(struct buf *out, const char *text)
{
	size_t len;

	buf_char(out, '"');
	for (; *text; text += len) {
		if (escape_rune(text, &len) == ESCAPE_INVALID && len == 1)
			buf_str(out, "\xef\xbf\xbd");
		else if (*text == '\n')
			buf_str(out, "\\n");
		else if (*text == '"' || *text == '\\')
			buf_fmt(out, "\\%c", *text);
		else
			buf_append(out, text, len);
	}
	buf_char(out, '"');
}

static void number(struct buf *out, uint64_t value)
{
	buf_fmt(out, " %llu\n", (unsigned long long)value);
}

static void real(struct buf *out, double value)
{
	bool whole = value > -1e15 && value < 1e15 && value == (double)(int64_t)value;

	buf_fmt(out, whole ? " %.0f\n" : " %.10g\n", value);
}

static void simple(struct writer *w, const char *name, const char *type, const char *help, double value)
{
	head(w, name, type, help);
	buf_str(w->out, name);
	real(w->out, value);
}

/* ---- databases ---- */

struct figures {
	struct managed_facts f;
	struct db_checkpoint_counters c;
};

struct family {
	const char *name, *type, *help;
	uint64_t (*value)(const struct figures *x);
	bool nanoseconds;
};

static uint64_t verify_errors(const struct figures *x) { return x->f.compaction_verify_errors; }
static uint64_t db_size(const struct figures *x) { return (uint64_t)x->f.db_size; }
static uint64_t disk_full(const struct figures *x) { return x->f.disk_full; }
static uint64_t syncs(const struct figures *x) { return x->f.syncs; }
static uint64_t sync_errors(const struct figures *x) { return x->f.sync_errors; }
static uint64_t sync_ns(const struct figures *x) { return x->f.sync_ns; }
static uint64_t wal_bytes(const struct figures *x) { return x->f.wal_bytes; }
static uint64_t txid(const struct figures *x) { return x->f.txid; }
static uint64_t wal_size(const struct figures *x) { return (uint64_t)x->f.wal_size; }

static const struct family before_l0[] = {
	{ "litestream_compaction_verify_error_count", "counter", "Compactions whose result was found to be wrong.",
	  verify_errors, false },
	{ "litestream_db_size", "gauge", "Bytes of the database file.", db_size, false },
	{ "litestream_disk_full", "gauge", "1 while the last sync failed for want of space.", disk_full, false },
};
static const struct family after_replicas[] = {
	{ "litestream_sync_count", "counter", "Syncs of the WAL to local LTX files.", syncs, false },
	{ "litestream_sync_error_count", "counter", "Syncs that failed.", sync_errors, false },
	{ "litestream_sync_seconds", "counter", "Seconds spent in syncs.", sync_ns, true },
	{ "litestream_total_wal_bytes", "counter", "Bytes of WAL that went into level-0 LTX files.", wal_bytes, false },
	{ "litestream_txid", "gauge", "Newest transaction ID.", txid, false },
	{ "litestream_wal_size", "gauge", "Bytes of the WAL up to its last commit, without stale frames.", wal_size, false },
};

static void read_figures(struct writer *w, int i, struct figures *x)
{
	w->source->read(w->source->ctx, i, &x->f, &x->c);
}

static void databases(struct writer *w, const struct family *families, size_t n)
{
	struct figures x;

	for (const struct family *f = families; f < families + n; f++) {
		for (int i = 0; i < w->source->count; i++) {
			read_figures(w, w->order[i], &x);
			head(w, f->name, f->type, f->help);
			buf_fmt(w->out, "%s{db=", f->name);
			quoted(w->out, x.f.path);
			buf_char(w->out, '}');
			if (f->nanoseconds)
				real(w->out, (double)f->value(&x) / 1e9);
			else
				number(w->out, f->value(&x));
		}
	}
}

static const struct {
	const char *name, *help;
} checkpoint_families[] = {
	{ "litestream_checkpoint_count", "Checkpoints of ours; TRUNCATE also cuts the WAL's file." },
	{ "litestream_checkpoint_error_count", "Checkpoints that failed." },
	{ "litestream_checkpoint_seconds", "Seconds spent in checkpoints." },
};

/* A mode appears with its first checkpoint. */
static void checkpoints(struct writer *w)
{
	struct figures x;

	for (int f = 0; f < 3; f++) {
		for (int i = 0; i < w->source->count; i++) {
			read_figures(w, w->order[i], &x);
			for (int mode = 0; mode < DB_MODES; mode++) {
				if (!x.c.count[mode])
					continue;
				head(w, checkpoint_families[f].name, "counter", checkpoint_families[f].help);
				buf_fmt(w->out, "%s{db=", checkpoint_families[f].name);
				quoted(w->out, x.f.path);
				buf_fmt(w->out, ",mode=\"%s\"}",
				        db_checkpoint_mode_name((enum db_checkpoint_mode)mode));
				if (f == 2)
					real(w->out, (double)x.c.us[mode] / 1e6);
				else
					number(w->out, f ? x.c.errors[mode] : x.c.count[mode]);
			}
		}
	}
}

/* By base name, as Litestream labels it: databases that share one are told as one. */
static void l0_files(struct writer *w)
{
	static const char *const status[] = { "eligible", "not_compacted", "too_recent" };
	struct figures x;

	for (int i = 0; i < w->source->count;) {
		const char *name = text_path_base(w->source->path(w->source->ctx, w->named[i]));
		uint64_t n[3] = { 0 };

		do {
			read_figures(w, w->named[i], &x);
			n[0] += (uint64_t)x.f.l0_eligible;
			n[1] += (uint64_t)x.f.l0_not_compacted;
			n[2] += (uint64_t)x.f.l0_too_recent;
		} while (++i < w->source->count &&
		         !strcmp(text_path_base(w->source->path(w->source->ctx, w->named[i])), name));
		for (int k = 0; k < 3; k++) {
			head(w, "litestream_l0_retention_files_total", "gauge",
			     "Level-0 files by what retention does with them.");
			buf_str(w->out, "litestream_l0_retention_files_total{db=");
			quoted(w->out, name);
			buf_fmt(w->out, ",status=\"%s\"}", status[k]);
			number(w->out, n[k]);
		}
	}
}

/* ---- replicas ---- */

static void operation_labels(struct writer *w, const char *name, int op, int type)
{
	buf_fmt(w->out, "%s{operation=\"%s\",replica_type=\"%s\"", name,
	        replica_operation_name((enum replica_operation)op),
	        replica_stats_type(type));
}

static void operation_counter(struct writer *w, const char *name, const char *help, bool bytes)
{
	struct replica_stats s;

	for (int op = 0; op < REPLICA_OPERATIONS; op++) {
		for (int type = 0; type < REPLICA_STATS_TYPES; type++) {
			if (!replica_stats_read(type, (enum replica_operation)op, &s))
				continue;
			head(w, name, "counter", help);
			operation_labels(w, name, op, type);
			buf_char(w->out, '}');
			number(w->out, bytes ? s.bytes : s.total);
		}
	}
}

static void operation_durations(struct writer *w)
{
	static const char name[] = "litestream_replica_operation_duration_seconds";
	struct replica_stats s;

	for (int op = 0; op < REPLICA_OPERATIONS; op++) {
		for (int type = 0; type < REPLICA_STATS_TYPES; type++) {
			if (!replica_stats_read(type, (enum replica_operation)op, &s))
				continue;
			head(w, name, "histogram", "How long operations on replicas took; GET: until the first byte.");
			for (int i = 0; i <= REPLICA_STATS_BUCKETS; i++) {
				operation_labels(w, "litestream_replica_operation_duration_seconds_bucket", op, type);
				if (i < REPLICA_STATS_BUCKETS)
					buf_fmt(w->out, ",le=\"%g\"}", replica_stats_bounds[i]);
				else
					buf_str(w->out, ",le=\"+Inf\"}");
				number(w->out, i < REPLICA_STATS_BUCKETS ? s.buckets[i] : s.total);
			}
			operation_labels(w, "litestream_replica_operation_duration_seconds_sum", op, type);
			buf_char(w->out, '}');
			real(w->out, (double)s.us / 1e6);
			operation_labels(w, "litestream_replica_operation_duration_seconds_count", op, type);
			buf_char(w->out, '}');
			number(w->out, s.total);
		}
	}
}

static int by_code(const void *a, const void *b)
{
	const struct replica_stats_error *x = a, *y = b;
	int order = strcmp(x->code, y->code);

	if (!order)
		order = (x->op > y->op) - (x->op < y->op);
	return order ? order : strcmp(x->type, y->type);
}

static void operation_errors(struct writer *w)
{
	struct replica_stats_error e[64];
	int n = 0;

	while (n < 64 && replica_stats_error(n, &e[n]))
		n++;
	qsort(e, (size_t)n, sizeof(e[0]), by_code);
	for (int i = 0; i < n; i++) {
		head(w, "litestream_replica_operation_errors_total", "counter", "Operations on replicas that failed.");
		buf_str(w->out, "litestream_replica_operation_errors_total{code=");
		quoted(w->out, e[i].code);
		buf_fmt(w->out, ",operation=\"%s\",replica_type=\"%s\"}", replica_operation_name(e[i].op), e[i].type);
		number(w->out, e[i].count);
	}
}

static void replicas(struct writer *w)
{
	operation_counter(w, "litestream_replica_operation_bytes", "Bytes moved to and from replicas.", true);
	operation_durations(w);
	operation_errors(w);
	operation_counter(w, "litestream_replica_operation_total", "Operations on replicas.", false);
}

/* ---- the process ---- */

static void runtime(struct writer *w, const struct os_usage *u)
{
	double anonymous = (double)u->anonymous_bytes, data = (double)u->data_bytes;

	simple(w, "go_goroutines", "gauge", "Threads of the process (there are no goroutines).", u->threads);
	simple(w, "go_memstats_alloc_bytes", "gauge", "Resident anonymous memory: heap, stacks and written data.",
	       anonymous);
	simple(w, "go_memstats_heap_alloc_bytes", "gauge", "The same as go_memstats_alloc_bytes.", anonymous);
	simple(w, "go_memstats_heap_inuse_bytes", "gauge", "The same as go_memstats_alloc_bytes.", anonymous);
	simple(w, "go_memstats_heap_sys_bytes", "gauge", "Memory mapped for data and stacks, resident or not.", data);
	simple(w, "go_memstats_sys_bytes", "gauge", "The same as go_memstats_heap_sys_bytes.", data);
	simple(w, "go_threads", "gauge", "Threads of the process.", u->threads);
}

static void process(struct writer *w, const struct os_usage *u)
{
	simple(w, "process_cpu_seconds_total", "counter", "User and system CPU time in seconds.", u->cpu_seconds);
	simple(w, "process_max_fds", "gauge", "Most descriptors that may be open.", (double)u->max_fds);
	simple(w, "process_open_fds", "gauge", "Open descriptors.", (double)u->open_fds);
	simple(w, "process_resident_memory_bytes", "gauge", "Resident memory in bytes.", (double)u->resident_bytes);
	head(w, "process_start_time_seconds", "gauge", "Start of the process, in seconds since 1970.");
	buf_fmt(w->out, "process_start_time_seconds %.2f\n", u->start_seconds);
	simple(w, "process_virtual_memory_bytes", "gauge", "Virtual memory in bytes.", (double)u->virtual_bytes);
	simple(w, "process_virtual_memory_max_bytes", "gauge", "Most virtual memory in bytes; -1 is no limit.",
	       (double)u->virtual_max_bytes);
}

static void scrape_counters(struct writer *w, const struct metrics_scrapes *s)
{
	static const char name[] = "promhttp_metric_handler_requests_total";

	simple(w, "promhttp_metric_handler_requests_in_flight", "gauge", "Scrapes being served.", s->in_flight);
	head(w, name, "counter", "Scrapes served, by HTTP status code.");
	buf_fmt(w->out, "%s{code=\"200\"}", name);
	number(w->out, s->ok);
	buf_fmt(w->out, "%s{code=\"500\"}", name);
	number(w->out, s->failed);
	buf_fmt(w->out, "%s{code=\"503\"}", name);
	number(w->out, s->unavailable);
}

/* ---- all ---- */

static int by_path(const void *a, const void *b, void *source)
{
	const struct metrics_source *s = source;

	return strcmp(s->path(s->ctx, *(const int *)a), s->path(s->ctx, *(const int *)b));
}

static int by_name(const void *a, const void *b, void *source)
{
	const struct metrics_source *s = source;

	return strcmp(text_path_base(s->path(s->ctx, *(const int *)a)),
	              text_path_base(s->path(s->ctx, *(const int *)b)));
}

static int *sorted(const struct metrics_source *s, int (*compare)(const void *, const void *, void *))
{
	int *order = malloc((size_t)s->count * sizeof(*order) + 1);

	for (int i = 0; order && i < s->count; i++)
		order[i] = i;
	if (order)
		qsort_r(order, (size_t)s->count, sizeof(*order), compare, (void *)(uintptr_t)s);
	return order;
}

void metrics_write(struct buf *out, const struct metrics_source *source, const struct metrics_scrapes *scrapes)
{
	struct writer w = { .out = out, .source = source };
	struct os_usage usage;
	bool known = !os_usage(&usage, NULL);

	w.order = sorted(source, by_path);
	w.named = sorted(source, by_name);
	if (w.order && w.named) {
		if (known)
			runtime(&w, &usage);
		checkpoints(&w);
		databases(&w, before_l0, sizeof(before_l0) / sizeof(before_l0[0]));
		l0_files(&w);
		replicas(&w);
		databases(&w, after_replicas, sizeof(after_replicas) / sizeof(after_replicas[0]));
		if (known)
			process(&w, &usage);
		scrape_counters(&w, scrapes);
	} else {
		out->failed = true;
	}
	free(w.order);
	free(w.named);
}
