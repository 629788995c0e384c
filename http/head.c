/* SPDX-License-Identifier: MIT */
#include "http/head.h"

#include <string.h>
#include <strings.h>

bool http_token_byte(uint8_t c)
{
	if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
		return true;
	return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool http_value_byte(uint8_t c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

static int refuse(struct err *e, int status, const char *text)
{
	err_set(e, status == 431 ? ERR_LIMIT : ERR_INVALID, "%s", text);
	return status;
}

/* ---- start line ---- */

/* "HTTP/1.x" at s; 0 or a status. */
static int parse_version(struct http_parser *p, const char *s, struct err *e)
{
	if (strncmp(s, "HTTP/", 5) != 0 || s[5] < '0' || s[5] > '9' || s[6] != '.' || s[7] < '0' || s[7] > '9')
		return refuse(e, 400, "malformed HTTP version");
	if (s[5] != '1')
		return refuse(e, 505, "unsupported protocol version");
	p->version_minor = s[7] == '0' ? 0 : 1;
	return 0;
}

static int parse_request_line(struct http_parser *p, char *line, struct err *e)
{
	char *base = (char *)p->head.data, *at = line, *target;

	while (http_token_byte((uint8_t)*at))
		at++;
	if (at == line || *at != ' ')
		return refuse(e, 400, "malformed HTTP request");
	*at++ = 0;
	target = at;
	while ((uint8_t)*at > ' ' && *at != 0x7f)
		at++;
	if (at == target || *at != ' ' || strlen(at + 1) != 8)
		return refuse(e, 400, "malformed HTTP request");
	*at++ = 0;
	p->method = (uint32_t)(line - base);
	p->target = (uint32_t)(target - base);
	return parse_version(p, at, e);
}

static int parse_status_line(struct http_parser *p, char *line, struct err *e)
{
	int rc = parse_version(p, line, e);
	char *at;

	if (rc != 0)
		return rc;
	at = line + 8;
	for (int i = 0; i < 4; i++)
		if (i == 0 ? at[i] != ' ' : at[i] < '0' || at[i] > '9')
			return refuse(e, 400, "malformed HTTP status code");
	p->status = (at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0');
	at += 4;
	if (p->status < 100 || (*at != 0 && *at != ' '))
		return refuse(e, 400, "malformed HTTP status code");
	if (*at == ' ')
		at++;
	for (const char *s = at; *s; s++)
		if (!http_value_byte((uint8_t)*s))
			return refuse(e, 400, "malformed HTTP status line");
	p->reason = (uint32_t)(at - (char *)p->head.data);
	return 0;
}

/* ---- fields ---- */

static int parse_field(struct http_parser *p, char *line, struct err *e)
{
	char *at = line, *base = (char *)p->head.data, *value, *end;

	if (*line == ' ' || *line == '\t')
		return refuse(e, 400, "malformed header field: folded line");
	for (; http_token_byte((uint8_t)*at); at++)
		if (*at >= 'A' && *at <= 'Z')
			*at |= 0x20;
	if (at == line || *at != ':')
		return refuse(e, 400, "malformed header field name");
	if (p->field_count == HTTP_FIELDS_MAX)
		return refuse(e, 431, "too many header fields");
	*at++ = 0;
	while (*at == ' ' || *at == '\t')
		at++;
	value = at;
	for (; *at; at++)
		if (!http_value_byte((uint8_t)*at))
			return refuse(e, 400, "invalid header field value");
	end = at;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = 0;
	p->fields[p->field_count++] = (struct http_field){ (uint32_t)(line - base), (uint32_t)(value - base) };
	return 0;
}

/* Cuts the head into lines; the first is the start line. */
static int parse_lines(struct http_parser *p, struct err *e)
{
	char *line = (char *)p->head.data, *end = line + p->scan, *lf;
	bool first = true;
	int rc;

	/* A NUL would end a text early. Everything else that may not stand in a line is found while it is read. */
	if (memchr(line, 0, (size_t)(end - line)))
		return refuse(e, 400, "NUL byte in header");
	for (; line < end; line = lf + 1) {
		lf = memchr(line, '\n', (size_t)(end - line));
		if (lf > line && lf[-1] == '\r')
			lf[-1] = 0;
		*lf = 0;
		if (!first)
			rc = parse_field(p, line, e);
		else if (p->kind == HTTP_REQUEST)
			rc = parse_request_line(p, line, e);
		else
			rc = parse_status_line(p, line, e);
		if (rc != 0)
			return rc;
		first = false;
	}
	return 0;
}

static bool same_name(const struct http_parser *p, int a, int b)
{
	return strcmp(http_text(p, p->fields[a].name), http_text(p, p->fields[b].name)) == 0;
}

/* The values of fields[first] and all later ones of its name as one text behind the head; the later ones go. */
static void join(struct http_parser *p, int first)
{
	uint32_t at = (uint32_t)p->head.len;
	int kept = first + 1;

	for (int i = first; i < p->field_count; i++) {
		if (i != first && !same_name(p, i, first)) {
			p->fields[kept++] = p->fields[i];
			continue;
		}
		if (i != first)
			buf_str(&p->head, ", ");
		/* The buffer may move while it grows, so room comes before the pointer. */
		size_t len = strlen(http_text(p, p->fields[i].value));

		if (!buf_reserve(&p->head, len))
			return;
		buf_append(&p->head, http_text(p, p->fields[i].value), len);
	}
	buf_char(&p->head, 0);
	p->fields[first].value = at;
	p->field_count = kept;
}

static int join_fields(struct http_parser *p, struct err *e)
{
	for (int i = 0; i < p->field_count; i++) {
		const char *name = http_text(p, p->fields[i].name);
		int again = i + 1;

		while (again < p->field_count && !same_name(p, i, again))
			again++;
		if (again == p->field_count || strcmp(name, "set-cookie") == 0)
			continue;
		if (strcmp(name, "content-length") == 0 || strcmp(name, "host") == 0 ||
		    strcmp(name, "transfer-encoding") == 0) {
			err_set(e, ERR_INVALID, "more than one %s field", name);
			return 400;
		}
		join(p, i);
	}
	if (buf_ok(&p->head))
		return 0;
	err_nomem(e);
	return 503;
}

/* ---- what the fields mean ---- */

/* Is the word in a list such as "keep-alive, upgrade"? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (list && *list) {
		list += strspn(list, " \t,");
		if (strncasecmp(list, word, len) == 0 && (list[len] == 0 || strchr(" \t,", list[len])))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

static bool parse_length(const char *s, int64_t *value)
{
	size_t digits = strspn(s, "0123456789");

	if (digits == 0 || digits > 18 || s[digits])
		return false;
	for (*value = 0; *s; s++)
		*value = *value * 10 + (*s - '0');
	return true;
}

static int find_length(struct http_parser *p, struct err *e)
{
	const char *coding = http_field(p, "transfer-encoding"), *length = http_field(p, "content-length");

	if (coding && length)
		return refuse(e, 400, "both Content-Length and Transfer-Encoding");
	if (coding && p->version_minor == 0)
		return refuse(e, 400, "Transfer-Encoding in an HTTP/1.0 message");
	if (coding && strcasecmp(coding, "chunked") != 0)
		return refuse(e, 501, "unsupported transfer encoding");
	if (length && !parse_length(length, &p->content_length))
		return refuse(e, 400, "bad Content-Length");
	p->chunked = coding != NULL;
	return 0;
}

static int find_meaning(struct http_parser *p, struct err *e)
{
	const char *connection = http_field(p, "connection"), *expect = http_field(p, "expect");
	int rc = find_length(p, e);

	if (rc != 0)
		return rc;
	p->keep_alive = !has_word(connection, "close") && (p->version_minor > 0 || has_word(connection, "keep-alive"));
	if (p->kind == HTTP_RESPONSE)
		return 0;
	if (p->version_minor > 0 && !http_field(p, "host"))
		return refuse(e, 400, "missing required Host header");
	if (expect && strcasecmp(expect, "100-continue") != 0)
		return refuse(e, 417, "unknown expectation");
	p->expect_continue = expect && p->version_minor > 0;
	return 0;
}

int http_head_parse(struct http_parser *p, struct err *e)
{
	int rc = parse_lines(p, e);

	if (rc == 0)
		rc = join_fields(p, e);
	return rc != 0 ? rc : find_meaning(p, e);
}
