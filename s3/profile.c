/* SPDX-License-Identifier: MIT */
/* Shared files: profiles with keys, roles and processes (s3.md §2.2). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/os/capture.h"
#include "lib/os/file.h"
#include "s3/sources.h"

enum { FILE_MAX = 256 << 10, PROFILES_DEEP_MAX = 8, PROCESS_MS = 60 * 1000 };

/* ---- INI ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Without blanks at both ends. */
static void trim(const char **s, size_t *n)
{
	while (*n > 0 && is_blank(**s)) {
		++*s;
		--*n;
	}
	while (*n > 0 && is_blank((*s)[*n - 1]))
		--*n;
}

static bool equals(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(s, word, n) == 0;
}

/* "[name]", blanks inside allowed, runs of them counting as one. */
static bool is_header(const char *s, size_t n, const char *section)
{
	const char *close = memchr(s, ']', n);

	if (!close)
		return false;
	s++;
	n = (size_t)(close - s);
	trim(&s, &n);
	for (; n > 0 && *section; section++) {
		if (*section == ' ') {
			if (!is_blank(*s))
				return false;
			while (n > 0 && is_blank(*s)) {
				s++;
				n--;
			}
			continue;
		}
		if (*s != *section)
			return false;
		s++;
		n--;
	}
	return n == 0 && !*section;
}

/* Walks the lines of a section: the value of key, if any; *seen: the section is there. */
static char *walk(const char *text, const char *section, const char *key, bool *seen)
{
	char *found = NULL;
	bool inside = false;

	*seen = false;
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");
		const char *s = line, *equal;
		size_t len = n;

		line += n + (line[n] == '\n');
		/* Indented lines belong to a key above them. */
		if (len == 0 || is_blank(*s) || *s == '#' || *s == ';')
			continue;
		if (*s == '[') {
			inside = is_header(s, len, section);
			*seen |= inside;
			continue;
		}
		if (!inside || !key || !(equal = memchr(s, '=', len)))
			continue;
		const char *value = equal + 1;
		size_t name = (size_t)(equal - s), size = len - name - 1;
		trim(&s, &name);
		trim(&value, &size);
		if (!equals(s, name, key))
			continue;
		free(found);
		found = strndup(value, size);
	}
	return found;
}

char *s3_ini_value(const char *text, const char *section, const char *key)
{
	bool seen;

	return walk(text, section, key, &seen);
}

bool s3_ini_has_section(const char *text, const char *section)
{
	bool seen;

	free(walk(text, section, NULL, &seen));
	return seen;
}

/* ---- the two files ---- */

struct files {
	char *credentials, *config; /* texts; "" = not there */
};

/* The file's path, malloc'ed; NULL without a home or memory. */
static char *file_path(const char *variable, const char *below_home)
{
	const char *named = getenv(variable);
	char *home, *path = NULL;

	if (named && named[0])
		return strdup(named);
	home = os_home();
	if (home && asprintf(&path, "%s/.aws/%s", home, below_home) < 0)
		path = NULL;
	free(home);
	return path;
}

static char *read_text(const char *path, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	struct err why = ERR_INIT;
	char *text;
	size_t n = 0;

	if (!path || os_file_open(&f, path, O_RDONLY, 0, &why) != 0) {
		if (!path || why.code == ERR_NOT_FOUND)
			return strdup("");
		if (e)
			*e = why;
		return NULL;
	}
	text = malloc(FILE_MAX + 1);
	if (!text)
		err_nomem(e);
	else if (os_file_read(&f, text, FILE_MAX, 0, &n, e) != 0 || n == FILE_MAX) {
		if (n == FILE_MAX)
			err_set(e, ERR_LIMIT, "%s is too large", path);
		free(text);
		text = NULL;
	}
	os_file_close(&f);
	if (text)
		text[n] = '\0';
	return text;
}

static void files_free(struct files *f)
{
	if (f->credentials)
		explicit_bzero(f->credentials, strlen(f->credentials));
	if (f->config)
		explicit_bzero(f->config, strlen(f->config));
	free(f->credentials);
	free(f->config);
}

static int files_read(struct files *f, struct err *e)
{
	char *credentials = file_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	char *config = file_path("AWS_CONFIG_FILE", "config");

	f->credentials = read_text(credentials, e);
	f->config = f->credentials ? read_text(config, e) : NULL;
	free(credentials);
	free(config);
	if (f->config)
		return 0;
	files_free(f);
	return -1;
}

int64_t s3_profile_files_changed(void)
{
	char *paths[] = { file_path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
		file_path("AWS_CONFIG_FILE", "config") };
	int64_t sum = 0;

	for (int i = 0; i < 2; i++) {
		struct os_stat st;

		if (paths[i] && os_stat(paths[i], &st, NULL) == 0)
			sum = sum * 31 + st.mtime_ms + st.size + (int64_t)st.ino;
		free(paths[i]);
	}
	return sum;
}

/* ---- profiles ---- */

static char *config_section(const char *profile)
{
	char *section = NULL;

	if (strcmp(profile, "default") == 0)
		return strdup("default");
	return asprintf(&section, "profile %s", profile) < 0 ? NULL : section;
}

/* Key by key the credentials file wins. */
static char *value_of(const struct files *f, const char *profile, const char *key)
{
	char *value = s3_ini_value(f->credentials, profile, key), *section;

	if (value)
		return value;
	section = config_section(profile);
	value = section ? s3_ini_value(f->config, section, key) : NULL;
	free(section);
	return value;
}

static bool has_profile(const struct files *f, const char *profile)
{
	char *section = config_section(profile);
	bool has = s3_ini_has_section(f->credentials, profile) || (section && s3_ini_has_section(f->config, section));

	free(section);
	return has;
}

static int from_process(const struct s3_chain *ch, const char *command, struct s3_keys **out, struct err *e)
{
	char *text = malloc(FILE_MAX);
	size_t n = 0;
	int rc = -1;

	if (!text)
		return err_nomem(e);
	if (os_capture(command, text, FILE_MAX, &n, PROCESS_MS, ch->cancel, e) == 0 &&
	    s3_keys_from_json(text, n, "credential process", out, e) == 0)
		rc = 1;
	else
		err_wrap(e, "credential_process");
	explicit_bzero(text, n);
	free(text);
	return rc;
}

static int from_named_source(const struct s3_chain *ch, const char *source, struct s3_keys **out, struct err *e)
{
	int rc;

	if (strcmp(source, "Environment") == 0)
		rc = s3_keys_from_environment(out, e);
	else if (strcmp(source, "Ec2InstanceMetadata") == 0)
		rc = s3_keys_from_instance(ch, out, e);
	else if (strcmp(source, "EcsContainer") == 0)
		rc = s3_keys_from_container(ch, out, e);
	else
		return err_set(e, ERR_INVALID, "credential_source \"%s\" is not known", source);
	return rc != 0 ? rc : err_set(e, ERR_INVALID, "credential_source %s holds no credentials", source);
}

static int from_profile(const struct s3_chain *ch, const struct files *f, const char *profile, int depth,
                        struct s3_keys **out, struct err *e);

/* What a profile is based on, before any role of its own: 1, 0 or -1. */
static int base_keys(const struct s3_chain *ch, const struct files *f, const char *profile, bool has_role, int depth,
                     struct s3_keys **out, struct err *e)
{
	char *source = has_role ? value_of(f, profile, "source_profile") : NULL;
	char *named = has_role ? value_of(f, profile, "credential_source") : NULL;
	char *id = value_of(f, profile, "aws_access_key_id"), *secret = value_of(f, profile, "aws_secret_access_key");
	char *token = value_of(f, profile, "aws_session_token"), *process = value_of(f, profile, "credential_process");
	int rc = 0;

	if (source && strcmp(source, profile) != 0) {
		rc = from_profile(ch, f, source, depth + 1, out, e);
	} else if (id && secret && id[0] && secret[0]) {
		*out = s3_keys_make(id, secret, token, 0, "shared files");
		rc = *out ? 1 : err_nomem(e);
	} else if (named) {
		rc = from_named_source(ch, named, out, e);
	} else if (process) {
		rc = from_process(ch, process, out, e);
	}
	free(source);
	free(named);
	free(id);
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
	free(token);
	free(process);
	return rc;
}

static int from_profile(const struct s3_chain *ch, const struct files *f, const char *profile, int depth,
                        struct s3_keys **out, struct err *e)
{
	struct s3_keys *base = NULL;
	char *arn, *token_file, *session, *external, *duration, *region;
	int rc;

	if (depth > PROFILES_DEEP_MAX)
		return err_set(e, ERR_INVALID, "profiles lead in a circle");
	arn = value_of(f, profile, "role_arn");
	token_file = value_of(f, profile, "web_identity_token_file");
	session = value_of(f, profile, "role_session_name");
	external = value_of(f, profile, "external_id");
	duration = value_of(f, profile, "duration_seconds");
	region = value_of(f, profile, "region");
	const struct s3_role role = { .arn = arn, .session = session, .external_id = external, .token_file = token_file,
		.duration_s = duration ? atoll(duration) : 0, .region = region };
	if (arn && token_file)
		rc = s3_keys_from_role(ch, &role, NULL, out, e);
	else if ((rc = base_keys(ch, f, profile, arn != NULL, depth, arn ? &base : out, e)) > 0 && arn)
		rc = s3_keys_from_role(ch, &role, base, out, e);
	s3_keys_release(base);
	free(arn);
	free(token_file);
	free(session);
	free(external);
	free(duration);
	free(region);
	return rc;
}

int s3_keys_from_profile(const struct s3_chain *ch, struct s3_keys **out, struct err *e)
{
	const char *profile = getenv("AWS_PROFILE");
	struct files f = { .config = NULL };
	bool named;
	int rc;

	if (!profile || !profile[0])
		profile = getenv("AWS_DEFAULT_PROFILE");
	named = profile && profile[0];
	if (!named)
		profile = "default";
	if (files_read(&f, e) != 0)
		return -1;
	if (named && !has_profile(&f, profile))
		rc = err_set(e, ERR_INVALID, "profile \"%s\" is in neither of the shared files", profile);
	else if ((rc = from_profile(ch, &f, profile, 0, out, e)) < 0)
		err_wrap(e, "profile %s", profile);
	files_free(&f);
	return rc;
}
