/* SPDX-License-Identifier: MIT */
/* upload.h - single PUTs and the steps of a multipart upload, for put.c and stream.c. */
#ifndef RIVULET_S3_UPLOAD_H
#define RIVULET_S3_UPLOAD_H

#include "s3/internal.h"
#include "s3/objects.h"

/* What a PUT sends, and its sum: filled by s3_source_memory or s3_source_file. */
struct s3_source {
	struct http_body body;
	char payload[SHA256_HEX_SIZE];
	uint8_t *held; /* bytes of a small file, to be freed by s3_source_free */
};
void s3_source_memory(struct s3_source *s, const struct s3_client *c, const void *bytes, size_t n);
/* A range of a file: read once for its sum, once more to be sent; small ones are kept. */
int s3_source_file(struct s3_source *s, const struct s3_client *c, struct os_file *f, int64_t offset, int64_t size,
                   struct err *e);
void s3_source_free(struct s3_source *s);

int s3_put_source(struct s3_client *c, const struct s3_write *w, const struct s3_source *s, struct err *e);

/* ETags keep their quotes. */
struct s3_part {
	char *etag;
};
struct s3_multipart {
	struct s3_client *c;
	struct s3_write w; /* key is owned */
	char *key, *id;
	struct s3_part *parts; /* [part_count]; part n + 1 is parts[n] */
	int part_count, part_cap;
	int64_t size;
};
int s3_multipart_begin(struct s3_multipart *m, struct s3_client *c, const struct s3_write *w, struct err *e);
/* Room for parts up to that many; more than S3_PARTS_MAX is ERR_LIMIT. Not while parts are under way. */
int s3_multipart_reserve(struct s3_multipart *m, int count, struct err *e);
/* Any thread, for different numbers (from 0). */
int s3_multipart_part(struct s3_multipart *m, int number, const struct s3_source *s, struct err *e);
int s3_multipart_complete(struct s3_multipart *m, struct err *e);
/* Tells the server to forget the parts; tries for some seconds, also after a cancellation. */
void s3_multipart_abort(struct s3_multipart *m);
void s3_multipart_free(struct s3_multipart *m);

/* A part size that is too small fails every write before any request. */
int s3_check_part_size(const struct s3_client *c, const char *key, struct err *e);

#endif
