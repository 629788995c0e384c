/* SPDX-License-Identifier: MIT */
/*
 * From settings to a replica: what is common to all kinds is checked here, in Litestream's words. A configuration file
 * and POST /register word some of it differently; both come here, so that one place knows what a replica needs.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/text.h"
#include "lib/os/file.h"
#include "lib/replica/settings.h"

static bool given(const char *text)
{
	return text && *text;
}

/* ---- the file kind ---- */

static int append_relative(char **path, const char *relative, struct err *e)
{
	char *joined;

	if (!given(relative))
		return 0;
	joined = text_path_join(*path, relative);
	free(*path);
	*path = joined;
	return joined ? 0 : err_nomem(e);
}

static int make_absolute(char **path, struct err *e)
{
	char *cwd = NULL, *home = NULL, *absolute = NULL;
	int rc;

	/* A fleet has thousands of these: the kernel is asked only for what is needed. */
	if (**path != '/' && os_cwd(&cwd, e))
		return -1;
	if (**path == '~')
		home = os_home();
	rc = text_path_expand(*path, cwd, home, &absolute, e);
	free(home);
	free(cwd);
	if (!rc) {
		free(*path);
		*path = absolute;
	}
	return rc;
}

static int file_path(const struct replica_settings *s, char **path, struct err *e)
{
	*path = NULL;
	if (given(s->url)) {
		if (replica_url_file_path(s->url, path, e))
			return -1;
	} else if (given(s->path) || given(s->relative)) {
		*path = strdup(given(s->path) ? s->path : "");
		if (!*path)
			return err_nomem(e);
	} else {
		return err_set(e, ERR_INVALID, "file replica path required");
	}
	if (append_relative(path, s->relative, e) == 0 && make_absolute(path, e) == 0)
		return 0;
	free(*path);
	*path = NULL;
	return -1;
}

static int open_file(const struct replica_settings *s, unsigned flags, struct replica **out, struct err *e)
{
	char *path, *url;
	int rc;

	(void)flags;
	if (file_path(s, &path, e))
		return -1;
	rc = replica_file_create(path, out, e);
	free(path);
	if (rc || !given(s->url) || given(s->relative))
		return rc;
	/* Messages and JSON show the URL as it was given. */
	url = strdup(s->url);
	if (!url) {
		replica_free(*out);
		*out = NULL;
		return err_nomem(e);
	}
	free((*out)->url);
	(*out)->url = url;
	return 0;
}

/* ---- kinds that are not built: what is missing in their settings is told all the same ---- */

/* user@host/path of a URL, as far as the checks need them: all are lengths of parts of it. */
struct url_parts {
	const char *user, *host, *path;
	size_t user_len, host_len, path_len;
};

static struct url_parts split_url(const char *url)
{
	struct url_parts p = { .user = "", .host = "", .path = "" };
	const char *s = given(url) ? strstr(url, "://") : NULL, *at;
	size_t n;

	if (!s)
		return p;
	s += 3;
	n = strcspn(s, "/?#");
	p.path = s + n;
	p.path_len = strcspn(p.path, "?#");
	while (p.path_len && *p.path == '/') {
		p.path++;
		p.path_len--;
	}
	at = memchr(s, '@', n);
	if (at) {
		p.user = s;
		p.user_len = strcspn(s, ":@");
		n -= (size_t)(at + 1 - s);
		s = at + 1;
	}
	p.host = s;
	p.host_len = n;
	return p;
}

static int missing(const char *what, const char *type, unsigned flags, struct err *e)
{
	return err_set(e, ERR_INVALID, "%s required for %s replica%s", what, type,
	               flags & REPLICA_OPEN_REGISTER ? " URL" : "");
}

static int check_keys(const char *type, const struct replica_settings *s, unsigned flags, struct err *e)
{
	struct url_parts u = split_url(s->url);

	if (strcmp(type, "sftp") == 0) {
		if (!given(s->host) && !u.host_len)
			return missing("host", type, flags, e);
		return given(s->user) || u.user_len ? 0 : missing("user", type, flags, e);
	}
	if (strcmp(type, "webdav") == 0)
		return given(s->webdav_url) || u.host_len ? 0
		       : missing(flags & REPLICA_OPEN_REGISTER ? "host" : "webdav-url", type, flags, e);
	if (strcmp(type, "nats") == 0) {
		/* Its bucket is the path of the URL, and only there can it be. */
		if (given(s->url) ? !u.path_len && (flags & REPLICA_OPEN_REGISTER) : !given(s->bucket))
			return missing("bucket", flags & REPLICA_OPEN_REGISTER ? "nats" : "NATS", flags, e);
		if (given(s->client_cert) != given(s->client_key))
			return err_set(e, ERR_INVALID,
			               "client-cert and client-key must both be specified for mutual TLS authentication");
		return 0;
	}
	return given(s->bucket) || u.host_len ? 0 : missing("bucket", type, flags, e);
}

static int not_built(const char *type, const struct replica_settings *s, unsigned flags, struct err *e)
{
	if (check_keys(type, s, flags, e))
		return -1;
	if (flags & REPLICA_OPEN_CHECK)
		return 0;
	return err_set(e, ERR_INVALID, "replicas of type \"%s\" are not supported", type);
}

/* ---- all kinds ---- */

static const struct {
	const char *type;
	int (*open)(const struct replica_settings *s, unsigned flags, struct replica **out, struct err *e);
} kinds[] = {
	{ "file", open_file },
	{ "s3", replica_s3_open },
	{ "gs", NULL }, { "abs", NULL }, { "sftp", NULL }, { "webdav", NULL }, { "nats", NULL }, { "oss", NULL },
};

/* The scheme and length of what stands before the first colon, for messages. */
static int bad_scheme(const struct replica_settings *s, unsigned flags, struct err *e)
{
	if (flags & REPLICA_OPEN_REGISTER)
		return err_set(e, ERR_INVALID, "unsupported replica URL scheme: \"%.*s\"", (int)strcspn(s->url, ":"),
		               s->url);
	return err_set(e, ERR_INVALID, "unknown replica type in config: \"%s\"", s->type ? s->type : "");
}

/* Both say where it is. */
static int check_conflicts(const struct replica_settings *s, const char *type, struct err *e)
{
	const char *host = strcmp(type, "sftp") == 0 ? s->host : strcmp(type, "webdav") == 0 ? s->webdav_url :
		s->bucket;
	const char *what = strcmp(type, "sftp") == 0 ? "host" : strcmp(type, "webdav") == 0 ? "webdav-url" : "bucket";

	if (!given(s->url) || strcmp(type, "nats") == 0)
		return 0;
	if (given(s->path))
		return err_set(e, ERR_INVALID, "cannot specify url & path for %s replica", type);
	if (given(host) && strcmp(type, "file") != 0)
		return err_set(e, ERR_INVALID, "cannot specify url & %s for %s replica", what, type);
	return 0;
}

static int set_name(struct replica *r, const char *name, struct err *e)
{
	if (!r || !given(name))
		return 0;
	r->name = strdup(name);
	return r->name ? 0 : err_nomem(e);
}

static int check_lease(const struct replica_settings *s, const struct replica *r, const char *type, struct err *e)
{
	if (s->lease != REPLICA_YES || (r && r->ops->hold))
		return 0;
	return err_set(e, ERR_INVALID, "lease: a replica of type \"%s\" cannot keep a second writer out", type);
}

const char *replica_settings_type(const struct replica_settings *s)
{
	const char *type = given(s->url) ? replica_url_type(s->url) : NULL;

	if (type || (given(s->url) && replica_is_url(s->url)))
		return type;
	return given(s->type) ? s->type : "file";
}

static void put_part(struct buf *b, const char *part)
{
	buf_char(b, ' ');
	buf_str(b, given(part) ? part : "-");
}

/* Of what was said; for kinds that are not built. */
static void put_words(struct buf *b, const struct replica_settings *s)
{
	if (given(s->url)) {
		put_part(b, s->url);
		put_part(b, s->endpoint);
	} else {
		put_part(b, given(s->bucket) ? s->bucket : given(s->host) ? s->host : s->webdav_url);
		put_part(b, s->endpoint);
		put_part(b, s->path);
	}
	if (given(s->relative))
		put_part(b, s->relative);
}

int replica_settings_place(const struct replica_settings *s, char **out, struct err *e)
{
	const char *type = replica_settings_type(s);
	struct buf b = { .data = NULL };
	char *real = NULL;
	struct replica *r;

	if (replica_open(s, REPLICA_OPEN_CHECK, &r, e))
		return -1;
	buf_str(&b, type);
	if (r && r->bucket) {
		put_part(&b, r->bucket);
		put_part(&b, r->endpoint);
		put_part(&b, r->prefix);
	} else if (r) {
		/* Two spellings, or a link, are one place. */
		if (os_real_place(r->path, &real, e)) {
			replica_free(r);
			buf_free(&b);
			return -1;
		}
		put_part(&b, real);
		free(real);
	} else {
		put_words(&b, s);
	}
	replica_free(r);
	*out = buf_ok(&b) ? strdup(buf_text(&b)) : NULL;
	buf_free(&b);
	return *out ? 0 : err_nomem(e);
}

int replica_open(const struct replica_settings *s, unsigned flags, struct replica **out, struct err *e)
{
	const char *type = replica_settings_type(s);
	int rc = -1;

	*out = NULL;
	if (given(s->path) && replica_is_url(s->path))
		return err_set(e, ERR_INVALID, "replica path cannot be a url, please use the 'url' field instead: %s",
		               s->path);
	if (!type)
		return bad_scheme(s, flags, e);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].type, type) != 0)
			continue;
		if (check_conflicts(s, type, e))
			return -1;
		if (given(s->url) && !replica_is_url(s->url))
			return err_set(e, ERR_INVALID, "replica url scheme required: %s", s->url);
		rc = kinds[i].open ? kinds[i].open(s, flags, out, e) : not_built(type, s, flags, e);
		if (!rc && (check_lease(s, *out, type, e) || set_name(*out, s->name, e))) {
			replica_free(*out);
			*out = NULL;
			return -1;
		}
		return rc;
	}
	return err_set(e, ERR_INVALID, "unknown replica type in config: \"%s\"", type);
}

int replica_from_url(const char *url, struct replica **out, struct err *e)
{
	const struct replica_settings s = { .url = url };

	/* Not given() there, but given here: an empty word is no folder either. */
	if (!*url) {
		*out = NULL;
		return err_set(e, ERR_INVALID, "replica url scheme required: ");
	}
	return replica_open(&s, 0, out, e);
}
