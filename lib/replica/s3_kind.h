/* SPDX-License-Identifier: MIT */
/* s3_kind.h - what the files of the S3 kind know of each other: s3.c, s3_times.c, s3_folder.c. */
#ifndef RIVULET_REPLICA_S3_KIND_H
#define RIVULET_REPLICA_S3_KIND_H

#include "lib/replica/replica.h"
#include "s3/lease.h"
#include "s3/objects.h"

struct s3_replica {
	struct replica base;
	struct s3_settings settings;
	struct s3_client *client;
	struct s3_lease *lock; /* NULL until it is wanted */
};

static inline struct s3_replica *s3_self(struct replica *r)
{
	return (struct s3_replica *)r;
}

/* malloc'ed; NULL without memory. */
char *s3_item_key(const struct replica *r, const struct replica_item *item, struct err *e);
/* A reader of any key; size -1: not known. */
int s3_open_key(struct replica *r, const char *key, int64_t offset, int64_t length, int64_t size,
                struct replica_reader **reader, struct err *e);

/* Asks for the times in the metadata, several at once; where that fails, the listing's stays. -1: cancelled. */
int s3_exact_times(struct replica *r, struct replica_item *items, int count, struct err *e);

/* replica_ops.visit_folder and open_path. */
int s3_visit_folder(struct replica *r, const char *folder, replica_visit *visit, void *ctx, struct err *e);
int s3_open_path(struct replica *r, const char *path, int64_t offset, struct replica_reader **reader, struct err *e);

#endif
