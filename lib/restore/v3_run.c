/* SPDX-License-Identifier: MIT */
/* Makes a database of a v0.3 snapshot and the WALs behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/ltx.h"
#include "lib/os/clock.h"
#include "lib/restore/internal.h"
#include "lib/restore/v3.h"
#include "lib/restore/v3_frame.h"
#include "lib/wal/wal.h"

enum { SCAN_BUFFER_SIZE = 256 << 10, NAME_SIZE = 96, REPORT_INTERVAL_US = 100000, DATABASE_MIN = 512 };

struct v3_run {
	struct replica *replica;
	const struct v3_plan *plan;
	const struct restore_options *options;
	struct restore_result *result;
	struct output output;
	uint32_t page_size;    /* 0 while the database is empty */
	int64_t size;          /* of the database */
	struct os_file wal;    /* the current one, unpacked */
	int64_t wal_size;
	uint32_t wal_index;
	struct wal_pages *pages;
	uint8_t *buffer;
	int64_t reported_us;
};

static char *object_name(char out[NAME_SIZE], const struct v3_object *o, bool snapshot)
{
	unsigned long long generation = o->generation, offset = o->offset;

	if (snapshot)
		snprintf(out, NAME_SIZE, "generations/%016llx/snapshots/%08x.snapshot.lz4", generation, o->index);
	else
		snprintf(out, NAME_SIZE, "generations/%016llx/wal/%08x_%0*llx.wal.lz4", generation, o->index,
		         o->digits, offset);
	return out;
}

static void report(struct v3_run *r, bool always)
{
	const struct restore_progress *p = &r->options->progress;
	int64_t now = os_mono_us();

	if (p->report && (always || now - r->reported_us >= REPORT_INTERVAL_US)) {
		r->reported_us = now;
		p->report(p->ctx, r->result->bytes_read, r->plan->total_bytes);
	}
}

/* ---- unpacking ---- */

static int unpack_frame(struct v3_run *r, struct v3_frame *f, struct os_file *to, int64_t *offset, struct err *e)
{
	int64_t before = r->result->bytes_read;
	const uint8_t *bytes;
	size_t n;
	int rc;

	while ((rc = v3_frame_next(f, &bytes, &n, e)) > 0) {
		if (restore_cancelled(r->options->cancel))
			return restore_set_cancelled(e);
		if (os_file_write(to, bytes, n, *offset, e) != 0)
			return -1;
		os_file_start_writeback(to, *offset, (int64_t)n);
		*offset += (int64_t)n;
		r->result->bytes_read = before + f->taken;
		report(r, false);
	}
	r->result->bytes_read = before + f->taken;
	return rc;
}

/* Appends an object's content at *offset, which moves on. */
static int unpack(struct v3_run *r, const struct v3_object *o, bool snapshot, struct os_file *to, int64_t *offset,
                  struct err *e)
{
	struct replica_reader *reader;
	char name[NAME_SIZE];
	struct v3_frame f;
	int rc;

	object_name(name, o, snapshot);
	if (replica_open_path_resumable(r->replica, name, o->size, r->options->cancel, &reader, e) != 0)
		return -1;
	v3_frame_begin(&f, reader);
	rc = unpack_frame(r, &f, to, offset, e);
	v3_frame_end(&f);
	reader->close(reader);
	return rc != 0 && err_is(e, ERR_CORRUPT) ? err_wrap(e, "decode database: %s", name) : rc;
}

/* ---- the snapshot ---- */

static int take_snapshot(struct v3_run *r, struct err *e)
{
	char name[NAME_SIZE];
	uint8_t head[18];
	bool sound;

	object_name(name, &r->plan->snapshot, true);
	if (unpack(r, &r->plan->snapshot, true, &r->output.file, &r->size, e) != 0)
		return -1;
	if (r->size == 0) /* nothing was checkpointed into it yet */
		return 0;
	sound = r->size >= DATABASE_MIN;
	if (sound && os_file_read_exact(&r->output.file, head, sizeof(head), 0, e) != 0)
		return -1;
	if (sound) {
		r->page_size = (uint32_t)head[16] << 8 | head[17];
		if (r->page_size == 1)
			r->page_size = 65536;
		sound = memcmp(head, "SQLite format 3", 16) == 0 && ltx_page_size_valid(r->page_size) &&
		        r->size % r->page_size == 0;
	}
	return sound ? 0 : err_set(e, ERR_CORRUPT, "decode database: %s: its content is not a database", name);
}

/* ---- a WAL ---- */

static int wal_read(void *ctx, void *bytes, size_t n, int64_t offset, size_t *got, struct err *e)
{
	return os_file_read(ctx, bytes, n, offset, got, e);
}

static int bad_wal(const struct v3_run *r, const char *what, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "decode database: WAL %08x of generation %016llx %s", r->wal_index,
	               (unsigned long long)r->plan->snapshot.generation, what);
}

static int copy_pages(struct v3_run *r, uint32_t commit, struct err *e)
{
	struct wal_page page;
	int rc;

	if (wal_pages_sort(r->pages, commit, e) != 0)
		return -1;
	while ((rc = wal_pages_next(r->pages, &page, e)) > 0) {
		if (restore_cancelled(r->options->cancel))
			return restore_set_cancelled(e);
		if (os_file_read_exact(&r->wal, r->buffer, r->page_size, page.offset + WAL_FRAME_HEADER_SIZE, e) != 0 ||
		    os_file_write(&r->output.file, r->buffer, r->page_size, (int64_t)(page.pgno - 1) * r->page_size,
		                  e) != 0)
			return -1;
	}
	if (rc != 0)
		return -1;
	r->size = (int64_t)commit * r->page_size;
	return os_file_truncate(&r->output.file, r->size, e);
}

/*
 * What is committed in the WAL goes into the database. v0.3 stored only frames whose checksums it had verified, so a
 * chain that breaks off is damage: the state before it is still one that was, but nothing can follow it.
 */
static int apply_wal(struct v3_run *r, bool last, struct err *e)
{
	uint8_t head[WAL_HEADER_SIZE];
	struct err why = ERR_INIT;
	struct wal_header h;
	struct wal_scan scan;
	size_t got;

	if (os_file_read(&r->wal, head, sizeof(head), 0, &got, e) != 0)
		return -1;
	if (wal_header_parse(head, got, &h, NULL) != WAL_HEADER_OK)
		return bad_wal(r, "has no valid header", e);
	if (r->page_size != 0 && h.page_size != r->page_size)
		return bad_wal(r, "has another page size than its database", e);
	r->page_size = h.page_size;
	wal_pages_reset(r->pages);
	wal_scan_begin(&scan, h.page_size, h.big_endian, h.salt1, h.salt2, WAL_HEADER_SIZE, h.checksum);
	if (wal_scan_run(&scan, (struct wal_source){ wal_read, &r->wal }, INT64_MAX, 0, r->pages, r->buffer,
	                 SCAN_BUFFER_SIZE, e) < 0)
		return -1;
	if (scan.offset != r->wal_size) {
		bad_wal(r, "has a damaged frame", &why);
		if (!last) {
			if (e)
				*e = why;
			return -1;
		}
		if (r->options->warn)
			r->options->warn(r->options->warn_ctx, "restore goes up to a damaged frame, and no further",
			                 &why);
	}
	return scan.commit_pages == 0 ? 0 : copy_pages(r, scan.commit_pages, e);
}

/* The parts of a WAL must fit: a part that begins elsewhere than the ones before it end means that one is missing. */
static int check_place(const struct v3_run *r, const struct v3_object *o, struct err *e)
{
	if ((int64_t)o->offset == r->wal_size)
		return 0;
	return err_set(e, ERR_GAP, "missing WAL segment: expected %08x/%llx, got %08x/%llx", o->index,
	               (unsigned long long)r->wal_size, o->index, (unsigned long long)o->offset);
}

static int apply_wals(struct v3_run *r, struct err *e)
{
	const struct v3_objects *segments = &r->plan->segments;

	for (int i = 0; i < segments->count; i++) {
		const struct v3_object *o = &segments->items[i];

		if (o->offset == 0) {
			if (i > 0 && apply_wal(r, false, e) != 0)
				return -1;
			if (os_file_truncate(&r->wal, 0, e) != 0)
				return -1;
			r->wal_size = 0;
			r->wal_index = o->index;
		}
		if (check_place(r, o, e) != 0 || unpack(r, o, false, &r->wal, &r->wal_size, e) != 0)
			return -1;
	}
	return segments->count > 0 ? apply_wal(r, true, e) : 0;
}

/* ---- all of it ---- */

static int steps(struct v3_run *r, struct err *e)
{
	if (output_begin(&r->output, e) != 0 || take_snapshot(r, e) != 0)
		return -1;
	r->buffer = malloc(SCAN_BUFFER_SIZE);
	r->pages = wal_pages_create(r->output.dir);
	if (!r->buffer || !r->pages)
		return err_nomem(e);
	if (r->plan->segments.count > 0 && os_file_temp(&r->wal, r->output.dir, e) != 0)
		return -1;
	if (apply_wals(r, e) != 0)
		return -1;
	report(r, true);
	if (r->size == 0)
		return err_set(e, ERR_CORRUPT, "decode database: the backup holds no page");
	r->result->page_size = r->page_size;
	r->result->pages = r->size / r->page_size;
	return output_finish(&r->output, NULL, NULL, 0, e);
}

int v3_run(struct replica *replica, const struct v3_plan *plan, const struct restore_options *o,
           struct restore_result *result, struct err *e)
{
	struct v3_run r = { .replica = replica, .plan = plan, .options = o, .result = result, .output = OUTPUT_OF(o),
		            .wal = OS_FILE_NONE };
	int rc;

	*result = (struct restore_result){ .txid = 0 };
	rc = steps(&r, e);
	output_end(&r.output);
	os_file_close(&r.wal);
	wal_pages_free(r.pages);
	free(r.buffer);
	return rc;
}
