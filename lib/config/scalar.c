/* SPDX-License-Identifier: MIT */
/* What a word of the file means when it stands there without quotes: Go's yaml.v2, so YAML 1.1 with 0o octal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/config/internal.h"

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(word, *list) == 0)
			return true;
	}
	return false;
}

static bool parse_number(const char *text, struct scalar *out)
{
	char digits[64];
	size_t n = 0;

	for (; *text; text++) {
		if (n == sizeof(digits) - 1)
			return false;
		if (*text != '_')
			digits[n++] = *text;
	}
	digits[n] = '\0';
	if (text_parse_int(digits, &out->integer, NULL) == 0) {
		out->type = SCALAR_INT;
		return true;
	}
	if (!text_parse_real(digits, &out->real))
		return false;
	out->type = SCALAR_FLOAT;
	return true;
}

struct scalar scalar_resolve(const struct tree_node *n)
{
	static const char *const nothing[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const yes[] = { "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE",
	                                   NULL };
	static const char *const no[] = { "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE",
	                                  NULL };
	struct scalar s = { .type = SCALAR_TEXT };
	bool text = n->tag ? strcmp(n->tag, YAML_TAG_TEXT) == 0 : !n->plain;

	if (text || strlen(n->text) != n->len)
		return s;
	if (is_one_of(n->text, nothing))
		s.type = SCALAR_NULL;
	else if (is_one_of(n->text, yes) || is_one_of(n->text, no))
		s = (struct scalar){ .type = SCALAR_BOOL, .truth = is_one_of(n->text, yes) };
	else if (strchr("+-.0123456789", n->text[0]))
		parse_number(n->text, &s);
	return s;
}

/* Powers of 1000 or, with an i, of 1024. */
static bool size_unit(const char *unit, double *factor)
{
	static const char letters[] = "kmgtpe";
	const char *at;
	double base = 1000;

	*factor = 1;
	if (!*unit || strcmp(unit, "b") == 0)
		return true;
	at = strchr(letters, *unit++);
	if (!at)
		return false;
	if (*unit == 'i') {
		base = 1024;
		unit++;
	}
	if (*unit == 'b')
		unit++;
	for (const char *l = letters; l <= at; l++)
		*factor *= base;
	return !*unit;
}

static bool is_blank(char c)
{
	return c && strchr(" \t\r\n\v\f", c);
}

int scalar_size(const char *text, int64_t *bytes, struct err *e)
{
	char number[128], unit[128], quoted[160];
	size_t n = 0, u = 0, digits;
	double value, factor;

	while (is_blank(*text))
		text++;
	if (!*text)
		return err_set(e, ERR_INVALID, "empty size string");
	digits = strspn(text, "0123456789.,");
	if (strlen(text) >= sizeof(number))
		return err_set(e, ERR_INVALID, "invalid size format: too long");
	for (size_t i = 0; i < digits; i++) {
		if (text[i] != ',')
			number[n++] = text[i];
	}
	number[n] = '\0';
	if (!text_parse_real(number, &value))
		return err_set(e, ERR_INVALID, "invalid size format: strconv.ParseFloat: parsing %s: invalid syntax",
		               text_quote(quoted, sizeof(quoted), number));
	for (text += digits; is_blank(*text); text++)
		;
	for (; *text; text++)
		unit[u++] = *text >= 'A' && *text <= 'Z' ? (char)(*text + 32) : *text;
	while (u && is_blank(unit[u - 1]))
		u--;
	unit[u] = '\0';
	if (!size_unit(unit, &factor))
		return err_set(e, ERR_INVALID, "invalid size format: unhandled size name: %s", unit);
	value *= factor;
	if (value >= 18446744073709551616.0)
		return err_set(e, ERR_INVALID, "invalid size format: too large: %s%s", number, unit);
	if (value >= 9223372036854775808.0)
		return err_set(e, ERR_INVALID, "size %llu exceeds maximum allowed value (9223372036854775807)",
		               (unsigned long long)value);
	*bytes = (int64_t)value;
	return 0;
}
