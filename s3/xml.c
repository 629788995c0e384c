/* SPDX-License-Identifier: MIT */
#include "s3/xml.h"

#include <assert.h>
#include <string.h>

enum { END_OF_INPUT = -1, FAILED = -2, TAG_MAX = 8 << 10, ENTITY_MAX = 12 };

void xml_init(struct xml *x, int (*read)(void *ctx, void *bytes, size_t n, size_t *got, struct err *e), void *ctx)
{
	memset(x, 0, offsetof(struct xml, piece));
	x->read = read;
	x->ctx = ctx;
	x->text.limit = XML_TEXT_MAX;
	x->name = "";
}

void xml_free(struct xml *x)
{
	buf_free(&x->text);
}

const char *xml_text(const struct xml *x)
{
	return buf_text(&x->text);
}

static int malformed(struct err *e, const char *what)
{
	err_set(e, ERR_CORRUPT, "malformed XML: %s", what);
	return FAILED;
}

/* ---- input ---- */

/* The next byte, which stays; END_OF_INPUT; FAILED. */
static int peek(struct xml *x, struct err *e)
{
	if (x->at == x->len) {
		size_t got = 0;

		if (x->read(x->ctx, x->piece, sizeof(x->piece), &got, e) != 0)
			return FAILED;
		x->at = 0;
		x->len = got;
		if (got == 0)
			return END_OF_INPUT;
	}
	if (x->piece[x->at] == 0)
		return malformed(e, "a NUL byte");
	return x->piece[x->at];
}

/* As peek, but inside something that must be closed, and the byte is taken. */
static int take(struct xml *x, struct err *e)
{
	int c = peek(x, e);

	if (c == END_OF_INPUT)
		return malformed(e, "it ends too early");
	if (c != FAILED)
		x->at++;
	return c;
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Goes behind the next `end`, whose bytes must be such that a failed match cannot begin inside it but by repeating
 * its first byte ("-->", "?>", "]]>"). What is passed is added to the text if wanted. */
static int pass(struct xml *x, const char *end, bool keep, struct err *e)
{
	size_t n = strlen(end), matched = 0;

	while (matched < n) {
		int c = take(x, e);

		if (c < 0)
			return FAILED;
		if (c == end[matched]) {
			matched++;
			continue;
		}
		/* "--->" and "]]]>": the oldest matched byte drops out, the rest of the match stands. */
		if (matched == n - 1 && c == end[0] && n > 2) {
			if (keep)
				buf_char(&x->text, end[0]);
			continue;
		}
		if (keep && matched > 0)
			buf_append(&x->text, end, matched);
		matched = c == end[0] ? 1 : 0;
		if (keep && matched == 0)
			buf_char(&x->text, (char)c);
	}
	return 0;
}

static int expect(struct xml *x, const char *word, struct err *e)
{
	for (; *word; word++) {
		int c = take(x, e);

		if (c == FAILED)
			return FAILED;
		if (c != *word)
			return malformed(e, "an unexpected declaration");
	}
	return 0;
}

/* ---- text ---- */

static void append_utf8(struct buf *out, uint32_t rune)
{
	if (rune < 0x80) {
		buf_char(out, (char)rune);
	} else if (rune < 0x800) {
		buf_append(out, (uint8_t[]){ (uint8_t)(0xc0 | rune >> 6), (uint8_t)(0x80 | (rune & 63)) }, 2);
	} else if (rune < 0x10000) {
		buf_append(out, (uint8_t[]){ (uint8_t)(0xe0 | rune >> 12), (uint8_t)(0x80 | (rune >> 6 & 63)),
		                             (uint8_t)(0x80 | (rune & 63)) }, 3);
	} else {
		buf_append(out, (uint8_t[]){ (uint8_t)(0xf0 | rune >> 18), (uint8_t)(0x80 | (rune >> 12 & 63)),
		                             (uint8_t)(0x80 | (rune >> 6 & 63)), (uint8_t)(0x80 | (rune & 63)) }, 4);
	}
}

/* "#65" or "#x41"; 0 = no character. */
static uint32_t numbered(const char *s)
{
	uint32_t base = s[1] == 'x' ? 16 : 10, rune = 0;

	s += base == 16 ? 2 : 1;
	if (!*s)
		return 0;
	for (; *s; s++) {
		uint32_t digit = *s >= '0' && *s <= '9' ? (uint32_t)(*s - '0')
		               : (*s | 0x20) >= 'a' && (*s | 0x20) <= 'f' ? (uint32_t)((*s | 0x20) - 'a' + 10) : 99;

		if (digit >= base)
			return 0;
		rune = rune * base + digit;
		if (rune > 0x10ffff)
			return 0;
	}
	return rune >= 0xd800 && rune <= 0xdfff ? 0 : rune;
}

/* Behind the '&'. */
static int take_entity(struct xml *x, struct err *e)
{
	static const struct { const char *name; char c; } known[] = {
		{ "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' },
	};
	char name[ENTITY_MAX];
	size_t n = 0;

	for (;;) {
		int c = take(x, e);

		if (c == FAILED)
			return FAILED;
		if (c == ';')
			break;
		if (n == sizeof(name) - 1)
			return malformed(e, "an unknown entity");
		name[n++] = (char)c;
	}
	name[n] = '\0';
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(name, known[i].name) == 0) {
			buf_char(&x->text, known[i].c);
			return 0;
		}
	}
	uint32_t rune = name[0] == '#' ? numbered(name) : 0;
	if (rune == 0)
		return malformed(e, "an unknown entity");
	append_utf8(&x->text, rune);
	return 0;
}

static void check_text(struct xml *x)
{
	if (buf_ok(&x->text))
		return;
	x->text_too_long = true;
	buf_reset(&x->text);
}

/* Text up to the next '<', which is taken. 1 = the input ended (only outside the root). */
static int take_text(struct xml *x, struct err *e)
{
	for (;;) {
		int c = peek(x, e);

		if (c == FAILED)
			return FAILED;
		if (c == END_OF_INPUT)
			return x->depth == 0 ? 1 : malformed(e, "it ends too early");
		x->at++;
		if (c == '<')
			return 0;
		if (x->depth == 0) {
			bool bom = !x->seen_root && (c == 0xef || c == 0xbb || c == 0xbf);

			if (!is_blank(c) && !bom)
				return malformed(e, "text outside of any element");
			continue;
		}
		if (c == '&') {
			if (take_entity(x, e) != 0)
				return FAILED;
		} else if (!x->skipping) {
			buf_char(&x->text, (char)c);
		}
		check_text(x);
	}
}

/* ---- tags ---- */

/* A name whose first byte is c; *next is the byte behind it. A prefix is dropped. */
static int take_name(struct xml *x, int c, char out[XML_NAME_SIZE], int *next, struct err *e)
{
	size_t n = 0;

	for (; c != FAILED && !is_blank(c) && c != '>' && c != '/'; c = take(x, e)) {
		if (c == '<' || c == '&' || c == '"' || c == '\'' || c == '=')
			return malformed(e, "a bad name");
		if (c == ':') {
			n = 0;
			continue;
		}
		if (n == XML_NAME_SIZE - 1)
			return malformed(e, "a name that is too long");
		out[n++] = (char)c;
	}
	out[n] = '\0';
	*next = c;
	if (c == FAILED)
		return FAILED;
	return n > 0 ? 0 : malformed(e, "a bad name");
}

/* Attributes up to '>': 0, or 1 when the element closes itself. */
static int take_attributes(struct xml *x, int c, struct err *e)
{
	int quote = 0, before = 0;

	for (int n = 0; c != FAILED; n++) {
		if (n > TAG_MAX)
			return malformed(e, "a tag that is too long");
		if (quote) {
			if (c == quote)
				quote = 0;
		} else if (c == '>') {
			return before == '/';
		} else if (c == '<') {
			return malformed(e, "a tag inside a tag");
		} else if (c == '"' || c == '\'') {
			quote = c;
		}
		before = c;
		c = take(x, e);
	}
	return FAILED;
}

static enum xml_event close_element(struct xml *x, struct err *e)
{
	x->name = x->names[x->depth--];
	if (x->leaf && x->text_too_long && !x->skipping) {
		err_set(e, ERR_CORRUPT, "malformed XML: the text of %s is too long", x->name);
		return XML_ERROR;
	}
	if (!x->leaf)
		buf_reset(&x->text);
	x->leaf = false;
	return XML_END;
}

/* Behind "</". */
static enum xml_event end_tag(struct xml *x, struct err *e)
{
	char name[XML_NAME_SIZE];
	int c = take(x, e);

	if (c == FAILED || take_name(x, c, name, &c, e) != 0)
		return XML_ERROR;
	while (is_blank(c))
		c = take(x, e);
	if (c == FAILED)
		return XML_ERROR;
	if (c != '>' || x->depth == 0 || strcmp(name, x->names[x->depth]) != 0) {
		malformed(e, "a tag that closes nothing");
		return XML_ERROR;
	}
	return close_element(x, e);
}

/* Behind '<', c being the next byte. */
static enum xml_event start_tag(struct xml *x, int c, struct err *e)
{
	char name[XML_NAME_SIZE];
	int closed;

	if (x->depth == 0 && x->seen_root) {
		malformed(e, "a second root");
		return XML_ERROR;
	}
	if (take_name(x, c, name, &c, e) != 0 || (closed = take_attributes(x, c, e)) < 0)
		return XML_ERROR;
	if (x->depth == XML_DEPTH_MAX) {
		malformed(e, "elements too deep inside each other");
		return XML_ERROR;
	}
	x->depth++;
	memcpy(x->names[x->depth], name, sizeof(name));
	x->name = x->names[x->depth];
	x->seen_root = x->leaf = true;
	x->text_too_long = false;
	buf_reset(&x->text);
	x->close_now = closed;
	return XML_START;
}

/* Behind "<!": a comment or CDATA. */
static int take_markup(struct xml *x, struct err *e)
{
	int c = take(x, e);

	if (c == '-')
		return expect(x, "-", e) == 0 ? pass(x, "-->", false, e) : FAILED;
	if (c == '[' && x->depth > 0) {
		if (expect(x, "CDATA[", e) != 0 || pass(x, "]]>", !x->skipping, e) != 0)
			return FAILED;
		check_text(x);
		return 0;
	}
	return c == FAILED ? FAILED : malformed(e, "a document type declaration");
}

enum xml_event xml_next(struct xml *x, struct err *e)
{
	if (x->close_now) {
		x->close_now = false;
		return close_element(x, e);
	}
	if (!x->leaf) {
		buf_reset(&x->text);
		x->text_too_long = false;
	}
	for (;;) {
		int c = take_text(x, e);

		if (c == 1) {
			if (x->seen_root)
				return XML_EOF;
			malformed(e, "it is empty");
			return XML_ERROR;
		}
		if (c != 0 || (c = take(x, e)) == FAILED)
			return XML_ERROR;
		if (c == '/')
			return end_tag(x, e);
		if (c != '!' && c != '?')
			return start_tag(x, c, e);
		if ((c == '?' ? pass(x, "?>", false, e) : take_markup(x, e)) != 0)
			return XML_ERROR;
	}
}

int xml_skip(struct xml *x, struct err *e)
{
	int outer = x->depth - 1;

	assert(outer >= 0);
	x->skipping = true;
	while (x->depth > outer) {
		if (xml_next(x, e) == XML_ERROR)
			return -1;
	}
	x->skipping = false;
	return 0;
}
