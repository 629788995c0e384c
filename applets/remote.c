/* SPDX-License-Identifier: MIT */
#include "applets/remote.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "applets/socket_client.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/os/file.h"

enum { GRACE_S = 5 }; /* the daemon's own words about a time-out come first */

/* ---- the command line ---- */

int remote_set_timeout(void *value, const char *text, struct err *e)
{
	const int64_t second = 1000000000;
	int64_t ns;

	if (text_parse_int(text, value, e) == 0)
		return 0;
	if (err_is(e, ERR_LIMIT))
		return -1;
	if (text_parse_duration(text, &ns, e) < 0)
		return err_set(e, err_is(e, ERR_LIMIT) ? ERR_LIMIT : ERR_INVALID, "parse error");
	*(int64_t *)value = ns / second + (ns % second > 0);
	return 0;
}

/* A relative path is meant from here if there is something, else from where the daemon runs. */
static char *from_here(const char *word)
{
	char *cwd = NULL, *path = NULL;
	struct os_stat st;

	if (word[0] == '/' || word[0] == '~' || strstr(word, "://") || os_stat(word, &st, NULL) < 0 ||
	    os_cwd(&cwd, NULL) < 0)
		return strdup(word);
	path = text_path_join(cwd, word);
	free(cwd);
	return path;
}

int remote_path(int argc, char **argv, int first, const char *hint, char **path)
{
	if (first == argc || !argv[first][0])
		return output_try("database path required", hint, "");
	if (argc - first > 1)
		return output_errorf("too many arguments");
	*path = from_here(argv[first]);
	return *path ? -1 : output_errorf("out of memory");
}

int remote_check(const struct remote *r, bool positive)
{
	if (positive && r->timeout_s <= 0)
		return output_errorf("timeout must be greater than 0");
	if (!r->socket[0])
		return output_errorf("socket path required; use -socket flag");
	return -1;
}

/* ---- asking ---- */

void remote_body_begin(struct remote_body *b)
{
	*b = (struct remote_body){ .text = { .data = NULL } };
	json_writer_init(&b->w, &b->text, false);
	json_object_begin(&b->w);
}

static int64_t client_timeout(const struct remote *r)
{
	return r->timeout_s > 0 && r->timeout_s < INT64_MAX - GRACE_S ? r->timeout_s + GRACE_S : r->timeout_s;
}

/* An answer that is none of success: its error, or all of it. */
static int refused(const struct remote *r, const struct buf *answer)
{
	struct json_doc d;
	const char *text = buf_text(answer);
	const struct json_node *error = NULL;
	int status;

	if (json_parse(&d, text, answer->len, NULL) < 0)
		return output_errorf("%s failed: %.*s", r->name, (int)strcspn(text, "\n"), text);
	if (d.nodes->type == JSON_OBJECT)
		error = json_member(&d, d.nodes, "error");
	if (error && error->type == JSON_OBJECT)
		error = json_member(&d, error, "message");
	status = output_errorf("%s failed: %s", r->name, error ? json_text(&d, error) : text);
	json_doc_free(&d);
	return status;
}

static int exchange(const struct remote *r, const char *target, const char *body, struct json_doc *d)
{
	struct buf answer = { .data = NULL };
	struct err e = ERR_INIT;
	int status = 0, rc = -1;

	if (socket_client_ask(r->socket, client_timeout(r), target, body, &status, &answer, &e) < 0) {
		rc = output_error(&e);
	} else if (status != 200) {
		rc = refused(r, &answer);
	} else if (json_parse(d, buf_text(&answer), answer.len, &e) < 0) {
		rc = output_errorf("failed to parse response: %s", e.text);
	} else if (d->nodes->type != JSON_OBJECT) {
		json_doc_free(d);
		rc = output_errorf("failed to parse response: not an object");
	}
	buf_free(&answer);
	return rc;
}

int remote_ask(const struct remote *r, const char *target, struct remote_body *body, struct json_doc *d, int64_t *ms)
{
	int64_t began = os_mono_us();
	int status;

	if (body)
		json_object_end(&body->w);
	if (body && !buf_ok(&body->text))
		status = output_errorf("out of memory");
	else
		status = exchange(r, target, body ? buf_text(&body->text) : NULL, d);
	if (ms)
		*ms = (os_mono_us() - began) / 1000;
	if (body)
		buf_free(&body->text);
	return status;
}

int remote_call(const struct remote *r, const char *method, struct remote_body *params)
{
	const struct json_node *result, *error;
	struct buf call = { .data = NULL };
	struct json_doc d;
	int status;

	if (params)
		json_object_end(&params->w);
	buf_fmt(&call, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",", method);
	if (params)
		buf_fmt(&call, "\"params\":%s,", buf_text(&params->text));
	buf_str(&call, "\"id\":1}");
	status = buf_ok(&call) ? exchange(r, "/control/", buf_text(&call), &d) : output_errorf("out of memory");
	buf_free(&call);
	if (params)
		buf_free(&params->text);
	if (status >= 0)
		return status;
	error = json_member(&d, d.nodes, "error");
	result = json_member(&d, d.nodes, "result");
	if (error && error->type == JSON_OBJECT && json_member(&d, error, "message"))
		status = output_errorf("%s failed: %s", r->name, json_text(&d, json_member(&d, error, "message")));
	else if (!result)
		status = output_errorf("failed to parse response: no result");
	else
		return remote_print(&d, result);
	json_doc_free(&d);
	return status;
}

/* ---- showing ---- */

int remote_print(struct json_doc *d, const struct json_node *n)
{
	struct buf out = { .data = NULL };
	struct json_writer w;
	int status;

	json_writer_init(&w, &out, true);
	if (json_copy(&w, d, n)) {
		buf_char(&out, '\n');
		status = output_buf(&out);
	} else {
		status = output_errorf("failed to parse response: nested too deeply");
	}
	buf_free(&out);
	json_doc_free(d);
	return status;
}

const char *remote_text(const struct json_doc *d, const char *key)
{
	const struct json_node *n = json_member(d, d->nodes, key);

	return n ? json_text(d, n) : "";
}

uint64_t remote_uint(const struct json_doc *d, const char *key)
{
	const struct json_node *n = json_member(d, d->nodes, key);
	uint64_t value;

	return n && json_uint64(d, n, &value) ? value : 0;
}

static void put_text(struct buf *out, const struct remote_field *f)
{
	buf_fmt(out, "%s: ", f->key);
	if (f->text)
		buf_fmt(out, "%s\n", f->text);
	else
		buf_fmt(out, "%" PRIu64 "\n", f->number);
}

int remote_report(const struct remote *r, const struct remote_field *fields)
{
	struct buf out = { .data = NULL };
	struct json_writer w;
	int status;

	json_writer_init(&w, &out, true);
	if (r->json)
		json_object_begin(&w);
	for (const struct remote_field *f = fields; f->key; f++) {
		if (f->skip)
			continue;
		if (!r->json) {
			put_text(&out, f);
			continue;
		}
		json_key(&w, f->key);
		if (f->text)
			json_string(&w, f->text);
		else
			json_uint(&w, f->number);
	}
	if (r->json) {
		json_object_end(&w);
		buf_char(&out, '\n');
	}
	status = output_buf(&out);
	buf_free(&out);
	return status;
}
