/* SPDX-License-Identifier: MIT */
/* ListObjectsV2, page by page, each parsed as it arrives. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "s3/objects.h"
#include "s3/xml.h"

struct walk {
	const struct s3_list *l;
	bool page_begun;
	/* of this page */
	bool truncated, url_encoded;
	char *token;
};

/* One object, as far as it has been read. */
struct entry {
	char *key;
	int64_t size, modified_ms;
};

static int take_number(const char *text, int64_t *value, struct err *e)
{
	int64_t n = 0;

	*value = -1;
	for (const char *s = text; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, *s - '0', &n))
			return err_set(e, ERR_CORRUPT, "a list holds a size that is no number");
		*value = n;
	}
	return *value >= 0 ? 0 : err_set(e, ERR_CORRUPT, "a list holds a size that is no number");
}

/* Inside <Contents>. */
static int take_entry(struct walk *w, struct xml *x, struct err *e)
{
	struct entry o = { .size = -1 };
	int64_t ns = 0;
	int rc = -1;

	for (;;) {
		enum xml_event event = xml_next(x, e);

		if (event == XML_ERROR || event == XML_EOF)
			goto out;
		if (event == XML_START && x->depth == 3 && strcmp(x->name, "Key") && strcmp(x->name, "Size") &&
		    strcmp(x->name, "LastModified")) {
			if (xml_skip(x, e) != 0)
				goto out;
			continue;
		}
		if (event != XML_END)
			continue;
		if (x->depth == 1) /* </Contents> */
			break;
		if (strcmp(x->name, "Key") == 0) {
			free(o.key);
			if (!(o.key = strdup(xml_text(x)))) {
				err_nomem(e);
				goto out;
			}
		} else if (strcmp(x->name, "Size") == 0) {
			if (take_number(xml_text(x), &o.size, e) != 0)
				goto out;
		} else if (text_parse_time(xml_text(x), &ns, NULL) != 0) {
			err_set(e, ERR_CORRUPT, "a list holds a time that is none");
			goto out;
		}
	}
	if (!o.key || o.size < 0 || (w->url_encoded && !http_unescape(o.key, true))) {
		err_set(e, ERR_CORRUPT, "a list holds an object without key or size");
		goto out;
	}
	rc = w->l->object(w->l->ctx, &(struct s3_object){ o.key, o.size, ns / 1000000 }, e);
out:
	free(o.key);
	return rc;
}

/* Inside <CommonPrefixes>. */
static int take_folder(struct walk *w, struct xml *x, struct err *e)
{
	for (;;) {
		enum xml_event event = xml_next(x, e);

		if (event == XML_ERROR || event == XML_EOF)
			return -1;
		if (event != XML_END)
			continue;
		if (x->depth == 1)
			return 0;
		if (strcmp(x->name, "Prefix") != 0)
			continue;
		char *key = strdup(xml_text(x));
		if (!key)
			return err_nomem(e);
		int rc;
		if (w->url_encoded && !http_unescape(key, true))
			rc = err_set(e, ERR_CORRUPT, "a list holds a bad escape");
		else
			rc = w->l->folder(w->l->ctx, key, e);
		free(key);
		if (rc != 0)
			return rc;
	}
}

/* An element of the root that has a text of its own. */
static int take_scalar(struct walk *w, const struct xml *x, struct err *e)
{
	if (strcmp(x->name, "IsTruncated") == 0) {
		w->truncated = strcmp(xml_text(x), "true") == 0;
	} else if (strcmp(x->name, "EncodingType") == 0) {
		w->url_encoded = strcmp(xml_text(x), "url") == 0;
	} else if (strcmp(x->name, "NextContinuationToken") == 0 && xml_text(x)[0]) {
		free(w->token);
		w->token = strdup(xml_text(x));
		if (!w->token)
			return err_nomem(e);
	}
	return 0;
}

static int take_elements(struct walk *w, struct xml *x, struct err *e)
{
	for (;;) {
		enum xml_event event = xml_next(x, e);
		int rc = 0;

		if (event == XML_EOF)
			return 0;
		if (event == XML_ERROR)
			return -1;
		if (event == XML_START && strcmp(x->name, "Contents") == 0)
			rc = take_entry(w, x, e);
		else if (event == XML_START && strcmp(x->name, "CommonPrefixes") == 0)
			rc = w->l->folder ? take_folder(w, x, e) : xml_skip(x, e);
		else if (event == XML_END && x->depth == 1)
			rc = take_scalar(w, x, e);
		if (rc != 0)
			return -1;
	}
}

static int take_page(void *ctx, struct s3_reply *r, struct err *e)
{
	struct walk *w = ctx;
	struct xml x;
	int rc = -1;

	w->l->page(w->l->ctx, w->page_begun);
	w->page_begun = true;
	/* A server that writes the encoding behind the keys is not known; then they must not be guessed about. */
	w->truncated = w->url_encoded = false;
	free(w->token);
	w->token = NULL;
	xml_init(&x, s3_reply_read, r);
	if (xml_next(&x, e) == XML_START) {
		if (strcmp(x.name, "ListBucketResult") == 0)
			rc = take_elements(w, &x, e);
		else if (strcmp(x.name, "Error") == 0)
			(void)s3_error_take(&r->error, &x, e);
		else
			err_set(e, ERR_CORRUPT, "the answer is no list of objects but <%s>", x.name);
	} else if (e && e->code == ERR_CORRUPT) {
		err_wrap(e, "the answer is no list of objects");
	}
	xml_free(&x);
	if (rc == 0 && w->truncated && !w->token)
		rc = err_set(e, ERR_CORRUPT, "the list goes on, but the server does not say where");
	return rc;
}

/* XML 1.0 cannot hold these; a list of such names must be escaped. */
static bool needs_encoding(const char *prefix)
{
	for (; *prefix; prefix++) {
		if ((unsigned char)*prefix < 0x20)
			return true;
	}
	return false;
}

int s3_list(struct s3_client *c, const struct s3_list *l, const atomic_bool *cancel, struct err *e)
{
	struct walk w = { .l = l };
	char *token = NULL, *milestone = NULL;
	int rc = 0;

	for (uint64_t page = 0; rc == 0; page++) {
		struct s3_call call = { .method = "GET", .operation = "ListObjectsV2", .verb = "list",
			.cancel = cancel };
		struct s3_reply r;

		s3_call_param(&call, "list-type", "2");
		s3_call_param(&call, "prefix", l->prefix);
		if (token)
			s3_call_param(&call, "continuation-token", token);
		else if (l->start_after)
			s3_call_param(&call, "start-after", l->start_after);
		if (l->one_level)
			s3_call_param(&call, "delimiter", "/");
		if (needs_encoding(l->prefix))
			s3_call_param(&call, "encoding-type", "url");
		w.page_begun = false;
		rc = s3_call(c, &call, take_page, &w, &r, e);
		free(token);
		token = w.token;
		w.token = NULL;
		if (rc != 0 || !w.truncated)
			break;
		/* Every cycle of tokens comes back to the milestone some day: set anew after 1, 2, 4, 8 … pages. */
		if (milestone && strcmp(token, milestone) == 0)
			rc = err_set(e, ERR_CORRUPT, "s3: list %s: the server gives the same page again and again",
			             l->prefix);
		if ((page & (page + 1)) == 0) {
			free(milestone);
			milestone = strdup(token);
			if (!milestone && rc == 0)
				rc = err_nomem(e);
		}
	}
	free(token);
	free(w.token);
	free(milestone);
	return rc;
}
