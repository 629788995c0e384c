/* SPDX-License-Identifier: MIT */
/*
 * settings.h - everything that may be said about where a replica lies, whoever says it: a configuration file, a command
 * line, or a client of the control socket. One struct, one interpreter: replica_open() in lib/replica/open.c checks
 * what is common (control.md §4.8-4.10) and gives the struct to the kind that it names.
 *
 * Strings are borrowed and may be NULL (= not given); whoever opens copies what it keeps. Sources: control.md §4.8,
 * §4.9; s3.md §1.3-1.6, §2.1. Keys of kinds that are not built are kept here too, so that a configuration file holds
 * no surprise: replica_open() then fails with one sentence that names the kind.
 */
#ifndef RIVULET_REPLICA_SETTINGS_H
#define RIVULET_REPLICA_SETTINGS_H

#include <stdint.h>

#include "lib/replica/replica.h"

enum replica_tri { REPLICA_UNSET, REPLICA_NO, REPLICA_YES };

struct replica_settings {
	const char *type; /* "file", "s3", …; the scheme of url wins; NULL = file */
	const char *url;
	const char *path; /* a folder, or the prefix of the keys */
	const char *name; /* for `restore -replica NAME`; NULL = the type */
	/*
	 * Where the URL form is used by a directory entry (dbs[].dir): the database's path below it, appended to the path
	 * of the URL (before its query) or to `path`. NULL = nothing.
	 */
	const char *relative;

	/* s3 (several of them oss and gs too) */
	const char *bucket, *region, *endpoint, *access_key_id, *secret_access_key, *session_token, *storage_class;
	const char *sse_customer_algorithm, *sse_customer_key, *sse_customer_key_path, *sse_customer_key_md5, *sse_kms_key_id;
	enum replica_tri force_path_style, sign_payload, require_content_md5, skip_verify;
	int64_t part_size;   /* bytes; 0 = not given */
	int64_t concurrency; /* 0 = not given; negative values are as they were written */
	enum replica_tri lease; /* our extension: refuse a second writer (s3.md §3.9) */

	/* What decides whether a kind that is not built may complain first about a missing key (control.md §4.10). */
	const char *host, *user, *webdav_url, *client_cert, *client_key;
};

enum replica_open_flags {
	REPLICA_OPEN_REGISTER = 1, /* the words of POST /register (cases.md §2.2), not those of a configuration file */
	REPLICA_OPEN_CHECK = 2,    /* check only: kinds that are not built are no error, *out stays NULL for them */
};

/* "file", "s3", …: the scheme of url over type, file when neither is given; NULL for a scheme that nobody knows. */
const char *replica_settings_type(const struct replica_settings *s);

/*
 * Where it lies, in words that are the same only for the same place: "file /backup/app", "s3 bucket … path". malloc'ed.
 * Two databases there would overwrite each other's files.
 */
int replica_settings_place(const struct replica_settings *s, char **out, struct err *e);

/* Makes the replica that the settings describe; contacts nobody. The messages are those of control.md §4.8-4.10, §5.1 and
 * cases.md §2.2, §5.3. */
int replica_open(const struct replica_settings *s, unsigned flags, struct replica **out, struct err *e);

/* The kinds' own parts of it: what remains when type is known and url, if given, has the right scheme. */
int replica_s3_open(const struct replica_settings *s, unsigned flags, struct replica **out, struct err *e);

#endif
