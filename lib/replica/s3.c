/* SPDX-License-Identifier: MIT */
/*
 * The S3 kind: PREFIX/LEVEL/MIN-MAX.ltx in a bucket, the level as four hex digits, the header's time in the metadata
 * (ltx.md §8.3, s3.md §3.1). Everything about the protocol is in s3/.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/replica/s3_kind.h"
#include "lib/replica/settings.h"
#include "lib/replica/stats.h"

enum { LEVEL_DIGITS = 4 };

/* ---- figures ---- */

/* GET LIST PUT DELETE, as the metrics have them; what else is asked counts as the one that it serves. */
static enum replica_operation operation_of(const char *operation)
{
	if (strcmp(operation, "ListObjectsV2") == 0)
		return REPLICA_LIST;
	if (strcmp(operation, "GetObject") == 0 || strcmp(operation, "HeadObject") == 0)
		return REPLICA_GET;
	return strncmp(operation, "DeleteObject", 12) == 0 ? REPLICA_DELETE : REPLICA_PUT;
}

static void observe(const struct s3_request_end *end)
{
	enum replica_operation op = operation_of(end->operation);
	bool failed = end->status < 200 || end->status > 299;

	replica_stats_done("s3", op, end->us);
	if (failed)
		replica_stats_failed("s3", op, end->code[0] ? end->code : "Network");
	else
		replica_stats_bytes("s3", op, op == REPLICA_PUT ? end->sent : op == REPLICA_GET ? end->received : 0);
}

/* ---- keys ---- */

/* Litestream's, byte for byte: the slash behind the prefix is there even if that is empty. malloc'ed. */
char *s3_item_key(const struct replica *r, const struct replica_item *item, struct err *e)
{
	char name[LTX_NAME_SIZE], *key = NULL;

	if (asprintf(&key, "%s/%04x/%s", r->prefix, (unsigned)item->level,
	             ltx_name(name, item->min_txid, item->max_txid)) >= 0)
		return key;
	err_nomem(e);
	return NULL;
}

/* "0009/MIN-MAX.ltx" and nothing else. */
static bool parse_name(const char *name, struct replica_item *item)
{
	if (strncmp(name, "000", LEVEL_DIGITS - 1) != 0 || name[LEVEL_DIGITS - 1] < '0' ||
	    name[LEVEL_DIGITS - 1] > '0' + LTX_LEVEL_MAX || name[LEVEL_DIGITS] != '/')
		return false;
	item->level = name[LEVEL_DIGITS - 1] - '0';
	return ltx_name_parse(name + LEVEL_DIGITS + 1, &item->min_txid, &item->max_txid);
}

/* ---- list ---- */

struct listing {
	const struct replica *replica;
	uint64_t seek;
	struct replica_list *out;
	int page_start; /* items before this page */
};

static int take_object(void *ctx, const struct s3_object *o, struct err *e)
{
	struct listing *l = ctx;
	size_t n = strlen(l->replica->prefix);
	struct replica_item item = { .size = o->size, .created_ms = o->modified_ms };

	if (strncmp(o->key, l->replica->prefix, n) != 0 || o->key[n] != '/' || !parse_name(o->key + n + 1, &item) ||
	    item.min_txid < l->seek)
		return 0;
	return replica_list_add(l->out, &item, e);
}

static void take_page(void *ctx, bool again)
{
	struct listing *l = ctx;

	if (again)
		l->out->count = l->page_start;
	l->page_start = l->out->count;
}

/* A page that came twice, or in disorder, must not make two files of one. */
static void drop_doubles(struct replica_list *l, int first)
{
	struct replica_list part = { .items = l->items + first, .count = l->count - first };
	int kept = 0;

	replica_list_sort(&part);
	for (int i = 0; i < part.count; i++) {
		if (kept == 0 || replica_item_compare(&part.items[kept - 1], &part.items[i]) != 0)
			part.items[kept++] = part.items[i];
	}
	l->count = first + kept;
}

static int list_prefix(struct replica *r, const char *prefix, const char *start_after, uint64_t seek, bool exact_times,
                       struct replica_list *out, struct err *e)
{
	struct listing l = { .replica = r, .seek = seek, .out = out, .page_start = out->count };
	const struct s3_list request = { .prefix = prefix, .start_after = start_after, .object = take_object,
		.page = take_page, .ctx = &l };
	int first = out->count;

	if (s3_list(s3_self(r)->client, &request, r->cancel, e) != 0) {
		out->count = first;
		return -1;
	}
	drop_doubles(out, first);
	return exact_times ? s3_exact_times(r, out->items + first, out->count - first, e) : 0;
}

static int s3_kind_list(struct replica *r, int level, uint64_t seek, bool exact_times, struct replica_list *out,
                        struct err *e)
{
	char *prefix = NULL, *after = NULL;
	int rc = -1;

	if (asprintf(&prefix, "%s/%04x/", r->prefix, (unsigned)level) < 0)
		prefix = NULL;
	if (prefix && seek > 0 && asprintf(&after, "%s%016llx", prefix, (unsigned long long)seek) < 0)
		after = NULL;
	if (!prefix || (seek > 0 && !after))
		err_nomem(e);
	else
		rc = list_prefix(r, prefix, after, seek, exact_times, out, e);
	free(prefix);
	free(after);
	return rc;
}

/* Levels are 0000 to 0009: what else may lie beside them (other databases, generations of old) is not listed. */
static int s3_kind_list_all(struct replica *r, bool exact_times, struct replica_list *out, struct err *e)
{
	char *prefix = NULL;
	int rc;

	if (asprintf(&prefix, "%s/000", r->prefix) < 0)
		return err_nomem(e);
	rc = list_prefix(r, prefix, NULL, 0, exact_times, out, e);
	free(prefix);
	return rc;
}

/* ---- read ---- */

struct s3_kind_reader {
	struct replica_reader reader;
	struct s3_reader *inner;
};

static int reader_read(struct replica_reader *reader, void *bytes, size_t n, size_t *got, struct err *e)
{
	return s3_read(((struct s3_kind_reader *)reader)->inner, bytes, n, got, e);
}

static void reader_close(struct replica_reader *reader)
{
	s3_reader_close(((struct s3_kind_reader *)reader)->inner);
	free(reader);
}

int s3_open_key(struct replica *r, const char *key, int64_t offset, int64_t length, int64_t size,
                    struct replica_reader **reader, struct err *e)
{
	struct s3_kind_reader *kr = calloc(1, sizeof(*kr));

	*reader = NULL;
	if (!kr)
		return err_nomem(e);
	if (s3_open(s3_self(r)->client, key, offset, length, size, r->cancel, &kr->inner, e) != 0) {
		free(kr);
		return -1;
	}
	if (s3_ignores_ranges(s3_self(r)->client))
		atomic_store_explicit(&r->whole_only, true, memory_order_relaxed);
	kr->reader = (struct replica_reader){ reader_read, reader_close };
	*reader = &kr->reader;
	return 0;
}

static int s3_kind_open(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
                        struct replica_reader **reader, struct err *e)
{
	char *key = s3_item_key(r, item, e);
	int rc = -1;

	assert(offset >= 0 && length >= -1);
	*reader = NULL;
	if (key)
		rc = s3_open_key(r, key, offset, length, item->size > 0 ? item->size : -1, reader, e);
	free(key);
	return rc;
}

/* ---- write ---- */

static int s3_kind_put(struct replica *r, const struct replica_item *item, const char *staged_path, struct err *e)
{
	char *key = s3_item_key(r, item, e);
	struct os_file f = OS_FILE_NONE;
	struct os_stat st;
	int rc = -1;

	if (key && os_file_open(&f, staged_path, O_RDONLY, 0, e) == 0 && os_file_stat(&f, &st, e) == 0) {
		const struct s3_write w = { .key = key, .time_ms = item->created_ms, .cancel = r->cancel };

		if (st.size != item->size)
			err_set(e, ERR_CORRUPT, "%s has %lld bytes instead of %lld", staged_path, (long long)st.size,
			        (long long)item->size);
		else
			rc = s3_put_file(s3_self(r)->client, &w, &f, st.size, e);
	}
	os_file_close(&f);
	free(key);
	return rc;
}

struct s3_kind_writer {
	struct replica_writer writer;
	struct s3_stream *stream;
};

static int writer_write(struct replica_writer *writer, const void *bytes, size_t n, struct err *e)
{
	return s3_stream_write(((struct s3_kind_writer *)writer)->stream, bytes, n, e);
}

static int writer_finish(struct replica_writer *writer, const struct replica_item *item, struct err *e)
{
	int rc = s3_stream_finish(((struct s3_kind_writer *)writer)->stream, e);

	(void)item;
	free(writer);
	return rc;
}

static void writer_abort(struct replica_writer *writer)
{
	s3_stream_abort(((struct s3_kind_writer *)writer)->stream);
	free(writer);
}

static int s3_kind_create(struct replica *r, const struct replica_item *item, struct replica_writer **writer,
                          struct err *e)
{
	struct s3_kind_writer *kw = calloc(1, sizeof(*kw));
	char *key = s3_item_key(r, item, e);
	const struct s3_write w = { .key = key, .time_ms = item->created_ms, .cancel = r->cancel };
	int rc = -1;

	*writer = NULL;
	if (!kw)
		err_nomem(e);
	else if (key)
		rc = s3_stream_begin(s3_self(r)->client, &w, &kw->stream, e);
	free(key);
	if (rc != 0) {
		free(kw);
		return -1;
	}
	kw->writer = (struct replica_writer){ writer_write, writer_finish, writer_abort };
	*writer = &kw->writer;
	return 0;
}

/* ---- delete ---- */

static int remove_batch(struct replica *r, const struct replica_item *items, int count, struct err *e)
{
	char **keys = calloc((size_t)count, sizeof(*keys));
	int rc = keys ? 0 : err_nomem(e);

	for (int i = 0; rc == 0 && i < count; i++) {
		keys[i] = s3_item_key(r, &items[i], e);
		rc = keys[i] ? 0 : -1;
	}
	if (rc == 0)
		rc = s3_delete(s3_self(r)->client, (const char *const *)keys, count, r->cancel, e);
	for (int i = 0; keys && i < count; i++)
		free(keys[i]);
	free(keys);
	return rc;
}

static int s3_kind_remove(struct replica *r, const struct replica_item *items, int count, struct err *e)
{
	for (int at = 0; at < count; at += S3_DELETE_MAX) {
		if (remove_batch(r, items + at, count - at < S3_DELETE_MAX ? count - at : S3_DELETE_MAX, e) != 0)
			return -1;
	}
	return 0;
}

/* ---- the lock ---- */

static int s3_kind_hold(struct replica *r, const char *owner, int64_t lease_ms, bool *fresh, int64_t *until_ms,
                        struct err *e)
{
	struct s3_replica *s = s3_self(r);

	if (!s->lock && s3_lease_create(s->client, r->prefix, &s->lock, e) != 0)
		return -1;
	return s3_lease_hold(s->lock, owner, lease_ms, r->cancel, fresh, until_ms, e);
}

static int s3_kind_let_go(struct replica *r, struct err *e)
{
	return s3_self(r)->lock ? s3_lease_release(s3_self(r)->lock, r->cancel, e) : 0;
}

/* ---- opening ---- */

static void s3_kind_free(struct replica *r)
{
	struct s3_replica *s = s3_self(r);

	s3_lease_free(s->lock);
	if (s->client)
		s3_client_release(s->client);
	s3_settings_free(&s->settings);
	free(s);
}

static const struct replica_ops s3_ops = {
	.type = "s3",
	.list = s3_kind_list,
	.open = s3_kind_open,
	.put = s3_kind_put,
	.create = s3_kind_create,
	.list_all = s3_kind_list_all,
	.remove = s3_kind_remove,
	.visit_folder = s3_visit_folder,
	.open_path = s3_open_path,
	.hold = s3_kind_hold,
	.let_go = s3_kind_let_go,
	.free = s3_kind_free,
};

static enum s3_tri tri(enum replica_tri t)
{
	return t == REPLICA_YES ? S3_YES : t == REPLICA_NO ? S3_NO : S3_UNSET;
}

static void log_warnings(const struct s3_settings *s)
{
	for (const char *line = buf_text(&s->warnings); *line;) {
		size_t n = strcspn(line, "\n");
		char text[512];

		snprintf(text, sizeof(text), "%.*s", (int)(n < sizeof(text) ? n : sizeof(text) - 1), line);
		log_warn(text, LS("bucket", s->bucket));
		line += n + (line[n] == '\n');
	}
}

static int init(struct s3_replica *r, const struct replica_settings *s, struct err *e)
{
	char *url = NULL;
	int rc;

	if (!s->url && asprintf(&url, "s3://%s/%s", r->settings.bucket, r->settings.prefix) < 0)
		return err_nomem(e);
	rc = replica_init(&r->base, &s3_ops, s->url ? s->url : url, NULL, e);
	free(url);
	if (rc != 0)
		return rc;
	r->base.bucket = r->settings.bucket;
	r->base.prefix = r->settings.prefix;
	r->base.region = r->settings.region;
	r->base.endpoint = r->settings.endpoint;
	r->base.lease = s->lease == REPLICA_YES;
	return s3_client_open(&r->settings, observe, &r->client, e);
}

int replica_s3_open(const struct replica_settings *s, unsigned flags, struct replica **out, struct err *e)
{
	const struct s3_given g = {
		.url = s->url, .path = s->path, .relative = s->relative, .bucket = s->bucket, .region = s->region,
		.endpoint = s->endpoint, .access_key_id = s->access_key_id, .secret_access_key = s->secret_access_key,
		.session_token = s->session_token, .storage_class = s->storage_class,
		.sse_customer_algorithm = s->sse_customer_algorithm, .sse_customer_key = s->sse_customer_key,
		.sse_customer_key_path = s->sse_customer_key_path, .sse_customer_key_md5 = s->sse_customer_key_md5,
		.sse_kms_key_id = s->sse_kms_key_id, .force_path_style = tri(s->force_path_style),
		.sign_payload = tri(s->sign_payload), .require_content_md5 = tri(s->require_content_md5),
		.skip_verify = tri(s->skip_verify), .part_size = s->part_size, .concurrency = s->concurrency,
		.registering = flags & REPLICA_OPEN_REGISTER,
	};
	struct s3_replica *r = calloc(1, sizeof(*r));

	*out = NULL;
	if (!r)
		return err_nomem(e);
	if (s3_settings_make(&g, &r->settings, e) != 0) {
		free(r);
		return -1;
	}
	/* A running daemon takes such a place and says what is wrong in its status; a start with it fails. */
	if (r->settings.problem && !g.registering) {
		err_set(e, ERR_INVALID, "s3: %s", r->settings.problem);
		s3_kind_free(&r->base);
		return -1;
	}
	if (init(r, s, e) != 0) {
		free(r->base.url);
		s3_kind_free(&r->base);
		return -1;
	}
	if (!(flags & REPLICA_OPEN_CHECK))
		log_warnings(&r->settings);
	*out = &r->base;
	return 0;
}

int64_t replica_sweep(void)
{
	return s3_clients_sweep();
}
