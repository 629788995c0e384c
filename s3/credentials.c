/* SPDX-License-Identifier: MIT */
/* Who holds the keys, when they are fetched anew, and in which order they are looked for. */
#include "s3/credentials.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "s3/sources.h"

enum {
	EARLY_MS = 5 * 60 * 1000, INSTANCE_MAX_MS = 3600 * 1000, FILES_LOOK_MS = 10 * 1000, AGAIN_MS = 30 * 1000,
	EXTEND_MIN_MS = 5 * 60 * 1000,
};

struct s3_credentials {
	bool fixed;
	char *region;
	pthread_mutex_t fetching; /* one fetches, the others wait */

	pthread_mutex_t lock;     /* for what follows */
	struct s3_keys *keys;     /* NULL = none yet */
	int64_t fetched_ms;       /* monotonic */
	int64_t look_ms;          /* when the files were looked at last; monotonic */
	int64_t not_before_ms;    /* after a failed renewal of keys that still hold; monotonic */
	int64_t files_changed;
};

/* ---- keys ---- */

struct s3_keys *s3_keys_make(const char *access_key_id, const char *secret, const char *token, int64_t expires_ms,
                             const char *source)
{
	struct s3_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->access_key_id = strdup(access_key_id);
	k->secret = strdup(secret);
	k->token = token && token[0] ? strdup(token) : NULL;
	k->expires_ms = expires_ms;
	k->source = source;
	atomic_init(&k->users, 1);
	if (k->access_key_id && k->secret && (k->token || !token || !token[0]))
		return k;
	s3_keys_release(k);
	return NULL;
}

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void s3_keys_release(struct s3_keys *k)
{
	if (!k || atomic_fetch_sub(&k->users, 1) > 1)
		return;
	free(k->access_key_id);
	forget(k->secret);
	forget(k->token);
	free(k);
}

static struct s3_keys *hold(struct s3_keys *k)
{
	atomic_fetch_add(&k->users, 1);
	return k;
}

static bool same_keys(const struct s3_keys *a, const struct s3_keys *b)
{
	return strcmp(a->access_key_id, b->access_key_id) == 0 && strcmp(a->secret, b->secret) == 0 &&
	       strcmp(a->token ? a->token : "", b->token ? b->token : "") == 0;
}

/* ---- the environment ---- */

static const char *variable(const char *name, const char *alias, const char *ours)
{
	const char *value = getenv(name);

	/* Ours stands in for the first only where that is not even set to nothing (s3.md §2.1). */
	if (!value && ours)
		value = getenv(ours);
	if (!value || !value[0])
		value = getenv(alias);
	return value && value[0] ? value : NULL;
}

int s3_keys_from_environment(struct s3_keys **out, struct err *e)
{
	const char *id = variable("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "LITESTREAM_ACCESS_KEY_ID");
	const char *secret = variable("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "LITESTREAM_SECRET_ACCESS_KEY");

	if (!id || !secret)
		return 0;
	*out = s3_keys_make(id, secret, getenv("AWS_SESSION_TOKEN"), 0, "environment");
	return *out ? 1 : err_nomem(e);
}

/* ---- the chain ---- */

static int from_environment(const struct s3_chain *ch, struct s3_keys **out, struct err *e)
{
	(void)ch;
	return s3_keys_from_environment(out, e);
}

static int run_chain(const struct s3_chain *ch, struct s3_keys **out, struct err *e)
{
	static int (*const sources[])(const struct s3_chain *ch, struct s3_keys **out, struct err *e) = {
		from_environment, s3_keys_from_web_identity, s3_keys_from_profile, s3_keys_from_container,
		s3_keys_from_instance,
	};
	struct err why = ERR_INIT;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		int rc = sources[i](ch, out, &why);

		if (rc > 0)
			return 0;
		if (rc == 0)
			continue;
		/* Instance metadata is tried everywhere; its silence says only that this is no such machine. */
		if (i == sizeof(sources) / sizeof(sources[0]) - 1 && why.code != ERR_CANCELLED)
			break;
		if (e)
			*e = why;
		return -1;
	}
	return err_set(e, ERR_INVALID,
	               "no credentials: set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY, or "
	               "access-key-id and secret-access-key, or provide AWS credentials (%s)",
	               why.text[0] ? why.text : "none in the environment, shared files, or this machine's metadata");
}

/* ---- holding ---- */

int s3_credentials_create(const char *access_key_id, const char *secret, const char *token, const char *region,
                          struct s3_credentials **out, struct err *e)
{
	struct s3_credentials *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (!c)
		return err_nomem(e);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->fetching, NULL);
	c->region = region ? strdup(region) : NULL;
	c->fixed = access_key_id != NULL;
	if (c->fixed)
		c->keys = s3_keys_make(access_key_id, secret, token, 0, "settings");
	if ((region && !c->region) || (c->fixed && !c->keys)) {
		s3_credentials_free(c);
		return err_nomem(e);
	}
	*out = c;
	return 0;
}

void s3_credentials_free(struct s3_credentials *c)
{
	s3_keys_release(c->keys);
	free(c->region);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->fetching);
	free(c);
}

static int64_t mono_ms(void)
{
	return os_mono_us() / 1000;
}

static bool is_of_instance(const struct s3_keys *k)
{
	return strcmp(k->source, S3_INSTANCE_SOURCE) == 0;
}

/* Under the lock: may the keys be used as they are? */
static bool are_fresh(struct s3_credentials *c)
{
	const struct s3_keys *k = c->keys;
	int64_t now = mono_ms();

	if (!k)
		return false;
	if (c->fixed || now < c->not_before_ms)
		return true;
	if (k->expires_ms != 0 && os_wall_ms() >= k->expires_ms - EARLY_MS)
		return false;
	if (is_of_instance(k) && now - c->fetched_ms > INSTANCE_MAX_MS)
		return false;
	if (now - c->look_ms >= FILES_LOOK_MS) {
		c->look_ms = now;
		if (s3_profile_files_changed() != c->files_changed)
			return false;
	}
	return true;
}

static bool still_hold(const struct s3_keys *k)
{
	return k && (k->expires_ms == 0 || os_wall_ms() < k->expires_ms);
}

/* Under `fetching`. Replaces the keys; where that fails, those that are there may have to do. */
static int fetch(struct s3_credentials *c, const atomic_bool *cancel, bool must, struct err *e)
{
	const struct s3_chain ch = { .region = c->region, .cancel = cancel };
	int64_t changed = s3_profile_files_changed();
	struct s3_keys *next = NULL, *before;
	int rc = run_chain(&ch, &next, e);

	pthread_mutex_lock(&c->lock);
	c->look_ms = mono_ms();
	c->files_changed = changed;
	before = c->keys;
	if (rc == 0) {
		c->keys = next;
		c->fetched_ms = mono_ms();
		c->not_before_ms = 0;
	} else if (!must && still_hold(before)) {
		c->not_before_ms = mono_ms() + AGAIN_MS;
		before = NULL;
		rc = 0;
	} else if (!must && before && is_of_instance(before)) {
		/* Metadata may fail for a while; Amazon's tools go on with the old keys meanwhile. */
		c->not_before_ms = mono_ms() + EXTEND_MIN_MS + os_mono_us() % (2 * EXTEND_MIN_MS);
		before = NULL;
		rc = 0;
	} else {
		before = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	if (rc == 0 && next)
		log_debug("s3 credentials", LS("source", next->source), LB("expire", next->expires_ms != 0));
	s3_keys_release(before);
	return rc;
}

int s3_credentials_get(struct s3_credentials *c, const atomic_bool *cancel, struct s3_keys **out, struct err *e)
{
	bool fresh;
	int rc = 0;

	*out = NULL;
	pthread_mutex_lock(&c->lock);
	fresh = are_fresh(c);
	if (fresh)
		*out = hold(c->keys);
	pthread_mutex_unlock(&c->lock);
	if (fresh)
		return 0;
	pthread_mutex_lock(&c->fetching);
	pthread_mutex_lock(&c->lock);
	fresh = are_fresh(c); /* another thread may have been faster */
	pthread_mutex_unlock(&c->lock);
	if (!fresh)
		rc = fetch(c, cancel, false, e);
	if (rc == 0) {
		pthread_mutex_lock(&c->lock);
		*out = hold(c->keys);
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&c->fetching);
	return rc;
}

bool s3_credentials_renew(struct s3_credentials *c, const struct s3_keys *used, const atomic_bool *cancel)
{
	bool other;

	if (c->fixed)
		return false;
	pthread_mutex_lock(&c->fetching);
	pthread_mutex_lock(&c->lock);
	other = c->keys && !same_keys(c->keys, used);
	pthread_mutex_unlock(&c->lock);
	if (!other && fetch(c, cancel, true, NULL) == 0) {
		pthread_mutex_lock(&c->lock);
		other = !same_keys(c->keys, used);
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&c->fetching);
	return other;
}
