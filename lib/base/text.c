/* SPDX-License-Identifier: MIT */
/* Sizes, TXIDs, whole numbers, truth values, quoted text. */
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/escape.h"

char *text_size(char out[TEXT_SIZE_SIZE], uint64_t bytes)
{
	static const char prefix[] = "kMGTPE";
	uint64_t unit = 1, tenths, whole;
	int power = 0;

	if (bytes < 10) {
		(void)snprintf(out, TEXT_SIZE_SIZE, "%d B", (int)bytes);
		return out;
	}
	while (power < 6 && bytes / unit >= 1000) {
		unit *= 1000;
		power++;
	}
	/* The remainder is below 10^18, so that ten times it fits. */
	tenths = bytes / unit * 10 + (bytes % unit * 10 + unit / 2) / unit;
	whole = tenths / 10;
	/* Go rounds a second time when it prints without a fraction, and then half to even. */
	if (tenths >= 100 && (tenths % 10 > 5 || (tenths % 10 == 5 && whole % 2 == 1)))
		whole++;
	(void)snprintf(out, TEXT_SIZE_SIZE, "%d", (int)whole);

	char *end = out + strlen(out);

	if (tenths < 100) {
		*end++ = '.';
		*end++ = (char)('0' + tenths % 10);
	}
	*end++ = ' ';
	if (power > 0)
		*end++ = prefix[power - 1];
	*end++ = 'B';
	*end = 0;
	return out;
}

char *text_txid(char out[TEXT_TXID_SIZE], uint64_t txid)
{
	for (int i = 15; i >= 0; i--, txid >>= 4)
		out[i] = "0123456789abcdef"[txid & 15];
	out[16] = 0;
	return out;
}

/* The value of a digit in any base up to 36, or 36. */
static unsigned digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'z' ? (unsigned)(c - 'a') + 10 : 36;
}

bool text_parse_txid(const char *s, uint64_t *txid)
{
	uint64_t v = 0;

	for (int i = 0; i < 16; i++) {
		unsigned d = digit_of(s[i]);

		if (d > 15)
			return false;
		v = v << 4 | d;
	}
	if (s[16])
		return false;
	*txid = v;
	return true;
}

/* Digits with `_` between them. A prefix counts as a digit: 0x_1 and 0_7 are fine. */
static int parse_digits(const char *s, unsigned base, bool after_prefix, uint64_t *value, struct err *e)
{
	bool after_digit = after_prefix, misplaced = false;
	uint64_t v = 0;

	if (!*s)
		return err_set(e, ERR_INVALID, "parse error");
	for (; *s; s++) {
		unsigned d = digit_of(*s);

		if (*s == '_') {
			misplaced |= !after_digit;
			after_digit = false;
			continue;
		}
		if (d >= base)
			return err_set(e, ERR_INVALID, "parse error");
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
			return err_set(e, ERR_LIMIT, "value out of range");
		after_digit = true;
	}
	if (misplaced || !after_digit)
		return err_set(e, ERR_INVALID, "parse error");
	*value = v;
	return 0;
}

int text_parse_int(const char *s, int64_t *value, struct err *e)
{
	bool negative = *s == '-', prefix = false;
	unsigned base = 10;
	uint64_t v = 0;

	if (*s == '-' || *s == '+')
		s++;
	if (s[0] == '0' && s[1]) {
		char letter = (char)(s[1] | 0x20);

		prefix = true;
		base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
		s += letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1;
	}
	if (parse_digits(s, base, prefix, &v, e))
		return -1;
	if (v > (uint64_t)INT64_MAX + negative)
		return err_set(e, ERR_LIMIT, "value out of range");
	*value = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

/* Takes digits; those that no longer fit only count. */
static const char *take_digits(const char *s, uint64_t *mantissa, int *taken, int *cut)
{
	for (; *s >= '0' && *s <= '9'; s++, (*taken)++) {
		if (*mantissa < UINT64_C(100000000000000000))
			*mantissa = *mantissa * 10 + (uint64_t)(*s - '0');
		else
			(*cut)++;
	}
	return s;
}

/* Ten to the 22nd is the last power that a double holds exactly. */
static double scaled(double value, int power)
{
	double scale = 1;
	int n = power < 0 ? -power : power;

	for (; n > 22; n--)
		value = power < 0 ? value / 10 : value * 10;
	for (; n > 0; n--)
		scale *= 10;
	return power < 0 ? value / scale : value * scale;
}

bool text_parse_real(const char *s, double *value)
{
	enum { FURTHEST = 400 }; /* beyond the largest and below the smallest, with all digits of a mantissa */
	bool negative = *s == '-', below;
	uint64_t mantissa = 0, exponent = 0;
	int digits = 0, cut = 0, ignored = 0, places, power, n = 0;

	s = take_digits(s + (*s == '-' || *s == '+'), &mantissa, &digits, &cut);
	places = digits;
	power = cut;
	if (*s == '.')
		s = take_digits(s + 1, &mantissa, &digits, &cut);
	places = digits - places;
	power = cut - places;
	if (digits == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		below = *++s == '-';
		s = take_digits(s + (*s == '-' || *s == '+'), &exponent, &n, &ignored);
		if (n == 0)
			return false;
		n = exponent < FURTHEST ? (int)exponent : FURTHEST;
		power += below ? -n : n;
	}
	if (*s)
		return false;
	*value = scaled(negative ? -(double)mantissa : (double)mantissa, power);
	return true;
}

bool text_parse_bool(const char *s, bool *value)
{
	static const char words[2][6][6] = {
		{ "0", "f", "F", "FALSE", "false", "False" },
		{ "1", "t", "T", "TRUE", "true", "True" },
	};

	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 6; j++) {
			if (strcmp(s, words[i][j]) == 0) {
				*value = i == 1;
				return true;
			}
		}
	}
	return false;
}

char *text_quote(char *out, size_t cap, const char *s)
{
	char piece[ESCAPE_SIZE];
	size_t len = 0;
	bool whole = true;

	if (cap == 0)
		return out;
	if (cap > 1)
		out[len++] = '"';
	while (*s && whole) {
		size_t n = escape_go(&s, piece);

		whole = n < cap - len;
		if (whole) {
			memcpy(out + len, piece, n);
			len += n;
		}
	}
	if (whole && cap - len > 1)
		out[len++] = '"';
	out[len] = 0;
	return out;
}
