/* SPDX-License-Identifier: MIT */
/*
 * Which region is the bucket in? Asked once, and only where neither settings nor an endpoint say it (s3.md §3.2): an
 * unsigned HEAD tells it whoever asks; then the bucket's location, which needs a right; then the environment.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/log.h"
#include "s3/internal.h"

static const char first_region[] = "us-east-1";

static bool ask_head(struct s3_client *c, const atomic_bool *cancel, struct err *e)
{
	struct s3_call call = { .method = "HEAD", .operation = "HeadBucket", .verb = "find region of",
		.cancel = cancel };
	struct s3_attempt t = { .c = c, .call = &call, .region = first_region, .unsigned_ = true };
	struct http_exchange x;
	const char *region;
	bool found = false;

	if (s3_attempt_begin(&t, &x, e) != 0)
		return false;
	region = http_field(&x.answer, "x-amz-bucket-region");
	if (region && region[0])
		found = s3_client_set_region(c, region);
	else
		err_set(e, ERR_SYSTEM, "the endpoint does not tell the region of the bucket (HTTP %d)",
		        x.answer.status);
	http_end(&x);
	return found;
}

struct location {
	char region[64];
};

static int take_location(void *ctx, struct s3_reply *r, struct err *e)
{
	struct location *l = ctx;
	enum xml_event event;
	struct xml x;

	l->region[0] = '\0';
	xml_init(&x, s3_reply_read, r);
	event = xml_next(&x, e);
	if (event == XML_START && strcmp(x.name, "Error") == 0) {
		if (s3_error_take(&r->error, &x, e) == 0)
			event = XML_ERROR;
	}
	while (event == XML_START)
		event = xml_next(&x, e);
	if (event == XML_END)
		s3_error_text(l->region, sizeof(l->region), xml_text(&x));
	xml_free(&x);
	return event == XML_END ? 0 : -1;
}

/* The first region answers with nothing, the second by an old name. */
static const char *modern_name(const char *location)
{
	if (!location[0])
		return first_region;
	return strcmp(location, "EU") == 0 ? "eu-west-1" : location;
}

static bool ask_location(struct s3_client *c, const atomic_bool *cancel, struct err *e)
{
	struct s3_call call = { .method = "GET", .operation = "GetBucketLocation", .verb = "find region of",
		.cancel = cancel };
	struct s3_attempt t = { .c = c, .call = &call, .region = first_region };
	struct s3_reply r = { .debug = c->debug };
	struct location l;
	bool found = false;

	s3_call_param(&call, "location", "");
	if (s3_attempt_begin(&t, &r.x, e) == 0) {
		if (r.x.answer.status == 200 && take_location(&l, &r, e) == 0)
			found = s3_client_set_region(c, modern_name(l.region));
		http_end(&r.x);
	}
	s3_keys_release(t.keys);
	return found;
}

static bool take_environment(struct s3_client *c)
{
	const char *region = getenv("AWS_REGION");

	if (!region || !region[0])
		region = getenv("AWS_DEFAULT_REGION");
	return region && region[0] && s3_client_set_region(c, region);
}

int s3_client_need_region(struct s3_client *c, const atomic_bool *cancel, struct err *e)
{
	struct err why = ERR_INIT;
	char *known = s3_client_region(c);
	int rc = 0;

	free(known);
	if (known)
		return 0;
	pthread_mutex_lock(&c->region_lock);
	known = s3_client_region(c);
	free(known);
	if (!known && !ask_head(c, cancel, &why) && !(cancel && atomic_load(cancel)) &&
	    !ask_location(c, cancel, NULL) &&
	    !take_environment(c))
		rc = -1;
	pthread_mutex_unlock(&c->region_lock);
	if (rc != 0 && e) {
		*e = why;
		if (e->code != ERR_CANCELLED)
			e->code = ERR_SYSTEM;
		err_wrap(e, "s3: find the region of bucket %s (or set `region`)", c->settings.bucket);
	}
	return rc;
}
