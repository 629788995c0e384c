/* SPDX-License-Identifier: MIT */
#include "json/token.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/escape.h"
#include "lib/base/text.h"

/* The byte at the current place, blanks included; -1 at the end. */
static int here(const struct json_input *in)
{
	return in->at < in->n ? (unsigned char)in->bytes[in->at] : -1;
}

int json_peek(struct json_input *in)
{
	int c = here(in);

	while (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
		in->at++;
		c = here(in);
	}
	return c;
}

static size_t put_rune(char out[static 4], uint32_t rune)
{
	if (rune < 0x80) {
		out[0] = (char)rune;
		return 1;
	}

	size_t n = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, rune >>= 6)
		out[i] = (char)(0x80 | (rune & 0x3f));
	out[0] = (char)(0xf00 >> n | rune); /* as many leading ones as bytes */
	return n;
}

int json_refuse(struct json_input *in, const char *context)
{
	int c = here(in);
	char rune[5] = "", quoted[16];

	if (c < 0) {
		err_set(in->e, ERR_INVALID, "unexpected EOF");
		if (in->e)
			in->e->sys = 1;
		return -1;
	}
	/* Go shows the byte as the character with that number. */
	put_rune(rune, (uint32_t)c);
	if (c == 0)
		(void)strcpy(quoted, "\"\\x00\"");
	else
		text_quote(quoted, sizeof(quoted), rune);
	if (c == '\'')
		(void)strcpy(quoted, "\"\\'\"");
	else if (c == '"')
		(void)strcpy(quoted, "\"\"\"");
	return err_set(in->e, ERR_INVALID, "invalid character '%.*s' %s", (int)strlen(quoted) - 2, quoted + 1, context);
}

/* ---- strings ---- */

/* Four hex digits. */
static int take_hex(struct json_input *in, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 4; i++, in->at++) {
		int c = here(in), low = c | 0x20;

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f' && c > 0)
			*value = *value << 4 | (uint32_t)(low - 'a' + 10);
		else
			return json_refuse(in, "in \\u hexadecimal character escape");
	}
	return 0;
}

/* Behind \u. A pair of surrogates is one character; a lonely one is none. */
static int take_unicode(struct json_input *in, struct buf *text)
{
	uint32_t rune, low;
	char out[4];

	if (take_hex(in, &rune) < 0)
		return -1;
	if (rune >= 0xd800 && rune < 0xdc00 && in->n - in->at >= 6 && memcmp(in->bytes + in->at, "\\u", 2) == 0) {
		size_t back = in->at;

		in->at += 2;
		if (take_hex(in, &low) < 0)
			return -1;
		if (low >= 0xdc00 && low < 0xe000)
			rune = 0x10000 + ((rune - 0xd800) << 10 | (low - 0xdc00));
		else
			in->at = back;
	}
	if (rune >= 0xd800 && rune < 0xe000)
		rune = ESCAPE_INVALID;
	buf_append(text, out, put_rune(out, rune));
	return 0;
}

/* At a backslash. */
static int take_escape(struct json_input *in, struct buf *text)
{
	static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	int c;

	in->at++;
	c = here(in);
	if (c == 'u') {
		in->at++;
		return take_unicode(in, text);
	}
	letter = c > 0 ? strchr(letters, c) : NULL;
	if (!letter)
		return json_refuse(in, "in string escape code");
	buf_char(text, bytes[letter - letters]);
	in->at++;
	return 0;
}

/* A byte beyond ASCII: with its followers a character, or U+FFFD for itself. */
static void take_rune(struct json_input *in, struct buf *text)
{
	char piece[5] = "", out[4];
	size_t room = in->n - in->at, len;
	uint32_t rune;

	memcpy(piece, in->bytes + in->at, room < 4 ? room : 4);
	rune = escape_rune(piece, &len);
	buf_append(text, out, put_rune(out, rune));
	in->at += len;
}

static bool is_plain(int c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

int json_take_string(struct json_input *in, struct buf *text, uint32_t *offset, uint32_t *len)
{
	int c;

	*offset = (uint32_t)text->len;
	in->at++;
	while ((c = here(in)) != '"') {
		size_t from = in->at;

		if (c >= 0x80) {
			take_rune(in, text);
		} else if (c == '\\') {
			if (take_escape(in, text) < 0)
				return -1;
		} else if (c < 0x20) {
			return json_refuse(in, "in string literal");
		} else {
			while (is_plain(here(in)))
				in->at++;
			buf_append(text, in->bytes + from, in->at - from);
		}
	}
	in->at++;
	*len = (uint32_t)(text->len - *offset);
	buf_char(text, 0);
	return 0;
}

/* ---- numbers and words ---- */

/* One digit or more. */
static int take_digits(struct json_input *in, const char *context)
{
	int c = here(in);

	if (c < '0' || c > '9')
		return json_refuse(in, context);
	while (c >= '0' && c <= '9') {
		in->at++;
		c = here(in);
	}
	return 0;
}

int json_take_number(struct json_input *in, struct buf *text, uint32_t *offset, uint32_t *len)
{
	size_t from = in->at;

	if (here(in) == '-')
		in->at++;
	if (here(in) == '0')
		in->at++; /* nothing may follow a leading zero */
	else if (take_digits(in, "in numeric literal") < 0)
		return -1;
	if (here(in) == '.') {
		in->at++;
		if (take_digits(in, "after decimal point in numeric literal") < 0)
			return -1;
	}
	if (here(in) == 'e' || here(in) == 'E') {
		in->at++;
		if (here(in) == '+' || here(in) == '-')
			in->at++;
		if (take_digits(in, "in exponent of numeric literal") < 0)
			return -1;
	}
	*offset = (uint32_t)text->len;
	*len = (uint32_t)(in->at - from);
	buf_append(text, in->bytes + from, in->at - from);
	buf_char(text, 0);
	return 0;
}

int json_take_word(struct json_input *in, const char *word)
{
	char context[48];

	for (const char *s = word; *s; s++, in->at++) {
		(void)snprintf(context, sizeof(context), "in literal %s (expecting '%c')", word, *s);
		if (here(in) != *s)
			return json_refuse(in, context);
	}
	return 0;
}
