/* SPDX-License-Identifier: MIT */
/*
 * merge.c - any number of files of one level into one staged file, with bounded memory, descriptors and connections.
 *
 * Up to LEVELS_INPUTS_MAX files are merged at once; more of them in groups, whose results (unlinked files) are merged
 * in turn. Inputs come from their local copy where there is one of the right size, else as a stream from the replica.
 * ltx_merge reads every input to its verified end, so a damaged copy is found out here, whoever wrote it.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "lib/levels/internal.h"
#include "lib/ltx/file.h"

enum { SOURCE_BUFFER = 32 << 10, SINK_BUFFER = 128 << 10, INDEX_MEMORY = 64 << 10, WRITEBACK_EVERY = 8 << 20 };

/* One input: a local file, the result of a group, or a stream. */
struct feed {
	struct levels_merge *m;
	struct os_file file;
	int64_t offset;
	struct replica_reader *reader;
	struct ltx_buffered buffered;
	uint8_t page[LTX_PAGE_SIZE_MAX], frame[LTX_FRAME_MAX], buffer[SOURCE_BUFFER];
};

/* What one merge needs. Pages that are smaller than the largest leave most of it untouched, so it costs no memory. */
struct work {
	struct ltx_encoder encoder;
	uint8_t frame[LTX_FRAME_MAX], sink[SINK_BUFFER];
	struct ltx_merge_input inputs[LEVELS_INPUTS_MAX];
	struct feed *feeds[LEVELS_INPUTS_MAX];
	int count, remote;
};

static bool cancelled(const struct levels_merge *m)
{
	return m->cancel && atomic_load_explicit(m->cancel, memory_order_relaxed);
}

static int feed_read(void *ctx, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct feed *f = ctx;

	if (cancelled(f->m))
		return err_set(e, ERR_CANCELLED, "compaction was interrupted");
	if (f->reader) {
		int rc = f->reader->read(f->reader, bytes, n, got, e);

		f->m->missing |= rc && err_is(e, ERR_NOT_FOUND);
		return rc;
	}
	if (os_file_read(&f->file, bytes, n, f->offset, got, e))
		return -1;
	f->offset += (int64_t)*got;
	return 0;
}

static void feed_close(struct feed *f)
{
	if (f->reader)
		f->reader->close(f->reader);
	os_file_close(&f->file);
	free(f);
}

static struct feed *feed_create(struct levels_merge *m)
{
	struct feed *f = malloc(sizeof(*f));

	if (!f)
		return NULL;
	f->m = m;
	f->file = (struct os_file)OS_FILE_NONE;
	f->offset = 0;
	f->reader = NULL;
	ltx_buffered_init(&f->buffered, (struct ltx_source){ feed_read, f }, f->buffer, sizeof(f->buffer));
	return f;
}

/* Is there a local copy? Then it is open. A copy that cannot be read is none. */
static bool open_local(struct feed *f, const struct replica_item *item)
{
	const struct levels_merge *m = f->m;
	struct os_stat st;
	char *path;

	if (m->remote_only || (m->l->replica->local && item->level > 0))
		return false;
	path = levels_local_path(m->l, item);
	if (path && !os_file_open(&f->file, path, O_RDONLY, 0, NULL) &&
	    (os_file_stat(&f->file, &st, NULL) || st.size != item->size))
		os_file_close(&f->file);
	free(path);
	return os_file_is_open(&f->file);
}

static struct feed *open_input(struct levels_merge *m, const struct replica_item *item, struct err *e)
{
	struct feed *f = feed_create(m);

	if (!f) {
		err_nomem(e);
		return NULL;
	}
	if (open_local(f, item)) {
		m->used_local = true;
		return f;
	}
	if (replica_open_resumable(m->l->replica, item, m->cancel, &f->reader, e)) {
		feed_close(f);
		return NULL;
	}
	return f;
}

static void work_add(struct work *w, struct feed *f)
{
	w->feeds[w->count] = f;
	w->inputs[w->count] = (struct ltx_merge_input){
		.page = f->page, .frame = f->frame, .source = ltx_buffered_source(&f->buffered)
	};
	w->count++;
	w->remote += f->reader && !f->m->l->replica->local;
}

static void work_clear(struct work *w)
{
	for (int i = 0; i < w->count; i++)
		feed_close(w->feeds[i]);
	w->count = w->remote = 0;
}

/* The gathered inputs into an open, empty file. */
static int merge_into(struct levels_merge *m, struct work *w, struct os_file *out, const char *folder, struct err *e)
{
	struct ltx_file_sink sink;
	struct os_spool index;
	int rc;

	os_spool_init(&index, folder, INDEX_MEMORY);
	rc = ltx_merge(w->inputs, w->count, &w->encoder, ltx_file_sink(&sink, out, 0, w->sink, sizeof(w->sink)),
	               ltx_spool_index(&index), w->frame, NULL, e);
	if (!rc)
		rc = ltx_file_sink_flush(&sink, e);
	os_spool_free(&index);
	if (rc)
		return -1;
	m->output = (struct replica_item){
		.min_txid = w->encoder.header.min_txid,
		.max_txid = w->encoder.header.max_txid,
		.size = w->encoder.offset,
		.created_ms = w->encoder.header.timestamp_ms,
	};
	return 0;
}

/* As many inputs as one group may have; *taken counts what was taken of items. */
static int gather(struct levels_merge *m, struct work *w, const struct replica_item *items, int count, int *taken,
                  struct err *e)
{
	for (*taken = 0; *taken < count && w->count < LEVELS_INPUTS_MAX && w->remote < LEVELS_INPUTS_REMOTE_MAX;
	     ++*taken) {
		struct feed *f = open_input(m, &items[*taken], e);

		if (!f)
			return -1;
		work_add(w, f);
	}
	return 0;
}

/* A group into an unlinked file, which takes its place among the inputs. */
static struct feed *merge_group(struct levels_merge *m, struct work *w, const char *folder, struct err *e)
{
	struct feed *f = feed_create(m);

	if (!f) {
		err_nomem(e);
		return NULL;
	}
	if (os_file_temp(&f->file, folder, e) || merge_into(m, w, &f->file, folder, e)) {
		feed_close(f);
		return NULL;
	}
	work_clear(w);
	return f;
}

/*
 * Group by group into temporary files, oldest first: once there are as many as a merge takes, they become one.
 * Leaves in w what is to be merged into the output.
 */
static int reduce(struct levels_merge *m, struct work *w, const char *folder, struct err *e)
{
	struct feed *groups[LEVELS_INPUTS_MAX];
	int n = 0, at = 0, taken, rc = -1;

	for (;;) {
		if (gather(m, w, m->inputs + at, m->count - at, &taken, e))
			goto out;
		at += taken;
		if (at == m->count && !n)
			return 0;
		groups[n] = merge_group(m, w, folder, e);
		if (!groups[n])
			goto out;
		n++;
		if (at < m->count && n < LEVELS_INPUTS_MAX)
			continue;
		for (int i = 0; i < n; i++)
			work_add(w, groups[i]);
		n = 0;
		if (at == m->count)
			return 0;
		groups[0] = merge_group(m, w, folder, e);
		if (!groups[0])
			goto out;
		n = 1;
	}
out:
	for (int i = 0; i < n; i++)
		feed_close(groups[i]);
	return rc;
}

static int write_output(struct levels_merge *m, struct work *w, const char *folder, struct err *e)
{
	const struct replica *r = m->l->replica;
	struct os_owner owner = r->owner_known ? r->file_owner : (struct os_owner){ 0600, (uint32_t)-1, (uint32_t)-1 };
	struct os_file out = OS_FILE_NONE;
	int rc = -1;

	if (reduce(m, w, folder, e))
		return -1;
	/* As the stored object shall be, so that a replica on the same file system can link it. */
	if (!os_file_open(&out, m->path, O_RDWR | O_CREAT | O_TRUNC, 0600, e) && !merge_into(m, w, &out, folder, e) &&
	    !os_set_owner(m->path, owner.mode, owner.uid, owner.gid, e) &&
	    !os_set_times(m->path, m->output.created_ms, e) && !os_file_sync(&out, e))
		rc = 0;
	os_file_close(&out);
	return rc;
}

int levels_merge_run(struct levels_merge *m, struct err *e)
{
	const struct replica *r = m->l->replica;
	struct os_owner owner = r->owner_known ? r->dir_owner : (struct os_owner){ 0700, (uint32_t)-1, (uint32_t)-1 };
	char *folder = levels_local_folder(m->l, m->inputs[0].level + 1);
	struct work *w = malloc(sizeof(*w));
	int rc = -1;

	m->used_local = m->missing = false;
	if (!folder || !w) {
		err_nomem(e);
		goto out;
	}
	w->count = w->remote = 0;
	if (os_dir_make(folder, &owner, e))
		goto out;
	rc = write_output(m, w, folder, e);
	work_clear(w);
	if (rc)
		os_unlink(m->path, NULL);
out:
	free(w);
	free(folder);
	return rc;
}
