/* SPDX-License-Identifier: MIT */
/* What a request says: members of a JSON object, or values by position, and a path that means one file. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/control/internal.h"

#define PARAM(member, name, type) { name, type, offsetof(struct op_params, member) }

const struct param_table op_params_of[OP_KINDS] = {
	[OP_START] = { "StartRequest", { PARAM(path, "path", PARAM_TEXT), PARAM(wait, "wait", PARAM_BOOL),
	                                 PARAM(timeout, "timeout", PARAM_INT), PARAM(config, "config", PARAM_TEXT) } },
	[OP_STOP] = { "StopRequest", { PARAM(path, "path", PARAM_TEXT), PARAM(timeout, "timeout", PARAM_INT) } },
	[OP_REGISTER] = { "RegisterDatabaseRequest", { PARAM(path, "path", PARAM_TEXT),
	                                               PARAM(replica_url, "replica_url", PARAM_TEXT),
	                                               PARAM(strict, "strict", PARAM_BOOL) } },
	[OP_UNREGISTER] = { "UnregisterDatabaseRequest", { PARAM(path, "path", PARAM_TEXT),
	                                                   PARAM(timeout, "timeout", PARAM_INT) } },
	[OP_SYNC] = { "SyncRequest", { PARAM(path, "path", PARAM_TEXT), PARAM(wait, "wait", PARAM_BOOL),
	                               PARAM(timeout, "timeout", PARAM_INT) } },
	[OP_WAIT] = { "WaitRequest", { PARAM(path, "path", PARAM_TEXT), PARAM(txid, "txid", PARAM_UINT),
	                               PARAM(timeout, "timeout", PARAM_INT), PARAM(any, "any", PARAM_BOOL) } },
};
const struct param_table path_params = { "PathRequest", { PARAM(path, "path", PARAM_TEXT) } };
const struct param_table no_params = { "Request", { { .name = NULL } } };

void params_free(struct op_params *p)
{
	free(p->path);
	free(p->replica_url);
	free(p->config);
	*p = (struct op_params){ .path = NULL };
}

static const char *const go_names[] = {
	[JSON_NULL] = "null", [JSON_BOOL] = "bool", [JSON_NUMBER] = "number", [JSON_STRING] = "string",
	[JSON_ARRAY] = "array", [JSON_OBJECT] = "object",
};

static int wrong_type(const struct json_doc *d, const struct json_node *n, const struct param_table *t,
                      const struct param *p, struct err *e)
{
	static const char *const wanted[] = { "string", "bool", "int", "uint64" };
	bool number = n->type == JSON_NUMBER && (p->type == PARAM_INT || p->type == PARAM_UINT);

	return err_set(e, ERR_INVALID, "json: cannot unmarshal %s%s%.40s into Go struct field %s.%s of type %s",
	               go_names[n->type], number ? " " : "", number ? json_text(d, n) : "", t->request, p->name,
	               wanted[p->type]);
}

static int set_text(const struct json_doc *d, const struct json_node *n, char **out, struct err *e)
{
	const char *text = json_text(d, n);

	/* Nothing that is named by such a text can exist, and what it would be cut to is something else. */
	if (strlen(text) != n->len)
		return err_set(e, ERR_INVALID, "a text holds a NUL");
	free(*out);
	*out = strdup(text);
	return *out ? 0 : err_nomem(e);
}

static int set_param(const struct json_doc *d, const struct json_node *n, const struct param_table *t,
                     const struct param *p, struct op_params *out, struct err *e)
{
	void *value = (char *)out + p->offset;

	if (n->type == JSON_NULL)
		return 0;
	switch (p->type) {
	case PARAM_TEXT:
		return n->type == JSON_STRING ? set_text(d, n, value, e) : wrong_type(d, n, t, p, e);
	case PARAM_BOOL:
		if (n->type != JSON_BOOL)
			return wrong_type(d, n, t, p, e);
		*(bool *)value = n->truth;
		return 0;
	case PARAM_INT:
		return json_int64(d, n, value) ? 0 : wrong_type(d, n, t, p, e);
	default:
		out->has_txid = true;
		return json_uint64(d, n, value) ? 0 : wrong_type(d, n, t, p, e);
	}
}

int params_read(const struct json_doc *d, const struct json_node *n, const struct param_table *t, bool positional,
                struct op_params *out, struct err *e)
{
	const struct json_node *value = n->type == JSON_ARRAY ? json_first(d, n) : NULL;

	*out = (struct op_params){ .path = NULL };
	if (n->type == JSON_NULL)
		return 0;
	if (n->type != JSON_OBJECT && !(positional && n->type == JSON_ARRAY))
		return err_set(e, ERR_INVALID, "json: cannot unmarshal %s into Go value of type litestream.%s",
		               go_names[n->type],
		               t->request);
	for (const struct param *p = t->params; p->name; p++) {
		const struct json_node *member = n->type == JSON_OBJECT ? json_member(d, n, p->name) : value;

		if (member && set_param(d, member, t, p, out, e) < 0) {
			params_free(out);
			return -1;
		}
		if (n->type == JSON_ARRAY && value)
			value = json_next(d, n, value);
	}
	if (!value)
		return 0;
	params_free(out);
	return err_set(e, ERR_INVALID, "too many params");
}

int params_expand(const struct control *c, struct op_params *p, struct err *e)
{
	char *expanded;

	if (!p->path || !*p->path)
		return err_set(e, ERR_INVALID, "path required");
	if (text_path_expand(p->path, c->o.cwd, c->o.home, &expanded, e) < 0)
		return err_wrap(e, "invalid path");
	free(p->path);
	p->path = expanded;
	return 0;
}
