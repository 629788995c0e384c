/* SPDX-License-Identifier: MIT */
/* sources.h - where keys may come from (s3.md §2.1-2.3): 1 and keys, 0 where a source is not set up, -1 and why not. */
#ifndef RIVULET_S3_SOURCES_H
#define RIVULET_S3_SOURCES_H

#include "http/client.h"
#include "json/json.h"
#include "lib/base/buf.h"
#include "s3/credentials.h"

#define S3_INSTANCE_SOURCE "instance metadata"

struct s3_chain {
	const char *region; /* for STS; NULL = environment, else us-east-1 */
	const atomic_bool *cancel;
};

int s3_keys_from_environment(struct s3_keys **out, struct err *e);
int s3_keys_from_web_identity(const struct s3_chain *ch, struct s3_keys **out, struct err *e);
int s3_keys_from_profile(const struct s3_chain *ch, struct s3_keys **out, struct err *e);
int s3_keys_from_container(const struct s3_chain *ch, struct s3_keys **out, struct err *e);
int s3_keys_from_instance(const struct s3_chain *ch, struct s3_keys **out, struct err *e);

/* Role of a profile, assumed with a base; or with the token in a file. session, external_id may be NULL. */
struct s3_role {
	const char *arn, *session, *external_id, *token_file, *region;
	int64_t duration_s; /* 0 = 900 */
};
int s3_keys_from_role(const struct s3_chain *ch, const struct s3_role *role, const struct s3_keys *base,
                      struct s3_keys **out, struct err *e);
/* Of {"AccessKeyId": …, "SecretAccessKey": …, "Token" or "SessionToken": …, "Expiration": …}. */
int s3_keys_from_json(const char *text, size_t n, const char *source, struct s3_keys **out, struct err *e);

/* A number that changes whenever one of the shared files does; 0 = neither is there. */
int64_t s3_profile_files_changed(void);

/* ---- INI files ---- */

/* The last value of a key in a section ("name", or "profile name" in the config file); malloc'ed; NULL = not there. */
char *s3_ini_value(const char *text, const char *section, const char *key);
bool s3_ini_has_section(const char *text, const char *section);

#endif
