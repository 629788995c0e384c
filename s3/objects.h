/* SPDX-License-Identifier: MIT */
/*
 * objects.h - what is done with the objects of a bucket: list, read, write, delete (s3.md §3). Keys are whole keys.
 *
 * Everything blocks, is tried again as s3/client.h says, and ends soon after `cancel` (may be NULL) is set. Any thread,
 * but a reader or a writer belongs to one.
 */
#ifndef RIVULET_S3_OBJECTS_H
#define RIVULET_S3_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/os/file.h"
#include "s3/client.h"

#define S3_TIMESTAMP_FIELD "x-amz-meta-litestream-timestamp"

/* ---- list ---- */

struct s3_object {
	const char *key;
	int64_t size, modified_ms;
};

struct s3_list {
	const char *prefix, *start_after; /* start_after: NULL = from the beginning */
	bool one_level; /* what has a slash behind the prefix comes as a folder: once, without its content */
	/* Called for each object; the order is the server's, and an object may come twice. */
	int (*object)(void *ctx, const struct s3_object *o, struct err *e);
	/* With one_level: the key up to and with that slash. */
	int (*folder)(void *ctx, const char *key, struct err *e);
	/* A page begins; again: anew, so that what its first reading gave must be forgotten. */
	void (*page)(void *ctx, bool again);
	void *ctx;
};
/* A list that does not hold together (cut short without a token, endless, no list) is an error, never "empty". */
int s3_list(struct s3_client *c, const struct s3_list *l, const atomic_bool *cancel, struct err *e);

/* ---- read ---- */

struct s3_reader;
/*
 * From offset, length bytes (-1: to the end). size: of the object, as listed; -1 = not known. A missing object is
 * ERR_NOT_FOUND here already; one of another size ERR_CORRUPT. What breaks off is fetched again from there, as long as
 * bytes arrive, and only from the very same object.
 */
int s3_open(struct s3_client *c, const char *key, int64_t offset, int64_t length, int64_t size,
            const atomic_bool *cancel,
            struct s3_reader **out, struct err *e);
int s3_read(struct s3_reader *r, void *bytes, size_t n, size_t *got, struct err *e); /* *got == 0: the end */
void s3_reader_close(struct s3_reader *r);
/* The server was seen to answer with whole objects: each part that is asked for costs what lies before it, too. */
bool s3_ignores_ranges(const struct s3_client *c);

/* The time in the metadata that Litestream and we write; *ms is left as it is where there is none. */
int s3_head_time(struct s3_client *c, const char *key, int64_t *ms, const atomic_bool *cancel, struct err *e);

/* ---- write ---- */

struct s3_write {
	const char *key;
	int64_t time_ms; /* for the metadata */
	const atomic_bool *cancel;
};
/* size bytes of a file, which must not change meanwhile: one PUT up to the part size, else parts. */
int s3_put_file(struct s3_client *c, const struct s3_write *w, struct os_file *f, int64_t size, struct err *e);

/* An object of unknown size. At most two parts are held in memory. */
struct s3_stream;
int s3_stream_begin(struct s3_client *c, const struct s3_write *w, struct s3_stream **out, struct err *e);
int s3_stream_write(struct s3_stream *s, const void *bytes, size_t n, struct err *e);
int s3_stream_finish(struct s3_stream *s, struct err *e); /* frees s */
void s3_stream_abort(struct s3_stream *s);                /* frees s */

/* ---- delete ---- */

enum { S3_DELETE_MAX = 1000 };
/* At most S3_DELETE_MAX; missing ones are no error. */
int s3_delete(struct s3_client *c, const char *const *keys, int count, const atomic_bool *cancel, struct err *e);

#endif
