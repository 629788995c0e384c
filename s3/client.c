/* SPDX-License-Identifier: MIT */
/* Clients: what is shared by all requests to a bucket, and who shares it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "s3/internal.h"

/*
 * The clients of this process. A registry, because those who open replicas (a daemon's databases, one by one, as they
 * are found) know nothing of each other.
 */
static struct {
	pthread_mutex_t lock;
	struct s3_client *first;
	/* Connections are shared by all buckets; [1] is without a check of certificates. */
	struct http_client *http[2];
	int http_users[2];
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Both under the registry's lock. */
static struct http_client *take_http(bool skip_verify, struct err *e)
{
	const struct http_client_options o = { .skip_verify = skip_verify, .idle_timeout_ms = 60000,
		.pool_idle_ms = S3_IDLE_MS };

	if (!all.http[skip_verify] && http_client_create(&o, &all.http[skip_verify], e) != 0)
		return NULL;
	all.http_users[skip_verify]++;
	return all.http[skip_verify];
}

static void give_http(bool skip_verify)
{
	if (--all.http_users[skip_verify] > 0)
		return;
	http_client_free(all.http[skip_verify]);
	all.http[skip_verify] = NULL;
}

int64_t s3_clients_sweep(void)
{
	int64_t first = INT64_MAX;

	pthread_mutex_lock(&all.lock);
	for (int i = 0; i < 2; i++) {
		int64_t next = all.http[i] ? http_client_sweep(all.http[i]) : -1;

		if (next >= 0 && next < first)
			first = next;
	}
	pthread_mutex_unlock(&all.lock);
	return first;
}

/* Under the registry's lock. */
static void destroy(struct s3_client *c)
{
	if (c->http)
		give_http(c->settings.skip_verify);
	if (c->credentials)
		s3_credentials_free(c->credentials);
	s3_settings_free(&c->settings);
	free(c->region);
	buf_free(&c->identity);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->region_lock);
	free(c);
}

static char *copy(const char *s, bool *failed)
{
	char *text = s ? strdup(s) : NULL;

	if (s && !text)
		*failed = true;
	return text;
}

static int copy_settings(const struct s3_settings *from, struct s3_settings *to, struct err *e)
{
	bool failed = false;

	*to = *from;
	to->warnings = (struct buf){ .data = NULL };
	to->bucket = copy(from->bucket, &failed);
	to->prefix = NULL;
	to->region = copy(from->region, &failed);
	to->endpoint = copy(from->endpoint, &failed);
	to->storage_class = copy(from->storage_class, &failed);
	to->kms_key_id = copy(from->kms_key_id, &failed);
	to->sse_key = copy(from->sse_key, &failed);
	to->sse_key_md5 = copy(from->sse_key_md5, &failed);
	to->access_key_id = copy(from->access_key_id, &failed);
	to->secret_access_key = copy(from->secret_access_key, &failed);
	to->session_token = copy(from->session_token, &failed);
	to->problem = copy(from->problem, &failed);
	return failed ? err_nomem(e) : 0;
}

static unsigned debug_flags(void)
{
	const char *words = getenv("LITESTREAM_S3_DEBUG");
	struct buf unknown = { .limit = 1024 };
	unsigned flags;

	if (!words)
		return 0;
	flags = s3_debug_parse(words, &unknown);
	if (unknown.len > 0)
		log_warn("unknown words in LITESTREAM_S3_DEBUG", LS("words", buf_text(&unknown)));
	buf_free(&unknown);
	return flags;
}

static int create(const struct s3_settings *s, struct s3_client **out, struct err *e)
{
	struct s3_client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(e);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->region_lock, NULL);
	if (copy_settings(s, &c->settings, e) != 0 || !(c->http = take_http(s->skip_verify, e)) ||
	    s3_credentials_create(s->access_key_id, s->secret_access_key, s->session_token, s->region, &c->credentials,
	                          e) != 0) {
		destroy(c);
		return -1;
	}
	c->region = s->region ? strdup(s->region) : NULL;
	c->debug = debug_flags();
	s3_settings_identity(&c->identity, s);
	if ((s->region && !c->region) || !buf_ok(&c->identity)) {
		destroy(c);
		return err_nomem(e);
	}
	*out = c;
	return 0;
}

int s3_client_open(const struct s3_settings *s, s3_observer *observer, struct s3_client **out, struct err *e)
{
	struct buf identity = { .data = NULL };
	int rc = 0;

	*out = NULL;
	s3_settings_identity(&identity, s);
	pthread_mutex_lock(&all.lock);
	for (struct s3_client *c = all.first; c && !*out; c = c->next) {
		if (strcmp(buf_text(&c->identity), buf_text(&identity)) == 0)
			*out = c;
	}
	if (!*out && (rc = create(s, out, e)) == 0) {
		(*out)->observer = observer;
		(*out)->next = all.first;
		all.first = *out;
	}
	if (rc == 0)
		(*out)->users++;
	pthread_mutex_unlock(&all.lock);
	buf_free(&identity);
	return rc;
}

void s3_client_release(struct s3_client *c)
{
	pthread_mutex_lock(&all.lock);
	bool last = --c->users == 0;
	if (last) {
		struct s3_client **link = &all.first;

		while (*link != c)
			link = &(*link)->next;
		*link = c->next;
	}
	if (last)
		destroy(c);
	pthread_mutex_unlock(&all.lock);
}

const struct s3_settings *s3_client_settings(const struct s3_client *c)
{
	return &c->settings;
}

/* ---- the clock ---- */

int64_t s3_client_now_ms(struct s3_client *c)
{
	pthread_mutex_lock(&c->lock);
	int64_t now = c->clock_is_known ? os_mono_us() / 1000 + c->mono_to_server_ms : os_wall_ms();
	pthread_mutex_unlock(&c->lock);
	return now;
}

void s3_client_set_clock(struct s3_client *c, int64_t server_ms)
{
	int64_t off = server_ms - os_wall_ms();

	pthread_mutex_lock(&c->lock);
	c->mono_to_server_ms = server_ms - os_mono_us() / 1000;
	bool news = !c->clock_is_known;
	c->clock_is_known = true;
	pthread_mutex_unlock(&c->lock);
	if (news)
		log_warn("the clocks of this machine and of the S3 endpoint differ: requests are signed by the latter",
		         LS("bucket", c->settings.bucket), LD("offset", off * 1000000));
}

/* ---- the region ---- */

char *s3_client_region(struct s3_client *c)
{
	pthread_mutex_lock(&c->lock);
	char *region = c->region ? strdup(c->region) : NULL;
	pthread_mutex_unlock(&c->lock);
	return region;
}

bool s3_client_set_region(struct s3_client *c, const char *region)
{
	char *next = strdup(region);

	if (!next)
		return false;
	pthread_mutex_lock(&c->lock);
	bool changed = !c->region || strcmp(c->region, next) != 0;
	char *before = c->region;
	c->region = next;
	pthread_mutex_unlock(&c->lock);
	if (changed && before)
		log_warn("the bucket is in another region: set `region`", LS("bucket", c->settings.bucket),
		         LS("region", before), LS("reported", region));
	free(before);
	return changed;
}
