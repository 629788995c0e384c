/* SPDX-License-Identifier: MIT */
#include "lib/base/escape.h"

#include <string.h>

uint32_t escape_rune(const char *s, size_t *len)
{
	const unsigned char *p = (const unsigned char *)s;
	/* Smallest code point that needs so many bytes: shorter ones must not be written longer. */
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t rune;
	size_t n;

	*len = 1;
	if (p[0] < 0x80)
		return p[0];
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return ESCAPE_INVALID;
	rune = p[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		/* The closing NUL is no continuation byte, so this never reads behind it. */
		if ((p[i] & 0xc0) != 0x80)
			return ESCAPE_INVALID;
		rune = rune << 6 | (p[i] & 0x3f);
	}
	if (rune < least[n] || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
		return ESCAPE_INVALID;
	*len = n;
	return rune;
}

bool escape_printable(uint32_t rune)
{
	/* Controls, format characters, blanks other than ' ', separators, private use, non-characters: below 64K. */
	static const struct {
		uint16_t first, last;
	} hidden[] = {
		{ 0x0000, 0x001f }, { 0x007f, 0x00a0 }, { 0x00ad, 0x00ad }, { 0x0600, 0x0605 }, { 0x061c, 0x061c },
		{ 0x06dd, 0x06dd }, { 0x070f, 0x070f }, { 0x0890, 0x0891 }, { 0x08e2, 0x08e2 }, { 0x1680, 0x1680 },
		{ 0x180e, 0x180e }, { 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 },
		{ 0xd800, 0xf8ff }, { 0xfeff, 0xfeff }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff },
	};

	if (rune > 0xffff)
		return rune < 0xe0000;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]) && hidden[i].first <= rune; i++)
		if (rune <= hidden[i].last)
			return false;
	return true;
}

/* A backslash, a letter and the low `digits` hex digits of value. */
static size_t put_hex(char *out, char letter, uint32_t value, unsigned digits)
{
	out[0] = '\\';
	out[1] = letter;
	for (unsigned i = 0; i < digits; i++)
		out[2 + i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 15];
	return 2 + digits;
}

/* The letter of a short escape out of pairs like "\nn", or 0. */
static char short_letter(const char *pairs, uint32_t rune)
{
	for (; *pairs; pairs += 2)
		if ((unsigned char)pairs[0] == rune)
			return pairs[1];
	return 0;
}

static size_t put_short(char *out, char letter)
{
	out[0] = '\\';
	out[1] = letter;
	return 2;
}

size_t escape_json(const char **s, char out[static ESCAPE_SIZE])
{
	const char *from = *s;
	size_t len;
	uint32_t rune = escape_rune(from, &len);
	char letter = short_letter("\"\"\\\\\bb\ff\nn\rr\tt", rune);
	bool invalid = rune == ESCAPE_INVALID && len == 1;

	*s += len;
	if (letter)
		return put_short(out, letter);
	if (rune < 0x20 || rune == '<' || rune == '>' || rune == '&' || rune == 0x2028 || rune == 0x2029 || invalid)
		return put_hex(out, 'u', rune, 4);
	memcpy(out, from, len);
	return len;
}

size_t escape_go(const char **s, char out[static ESCAPE_SIZE])
{
	const char *from = *s;
	size_t len;
	uint32_t rune = escape_rune(from, &len);
	char letter = short_letter("\"\"\\\\\aa\bb\ff\nn\rr\tt\vv", rune);

	*s += len;
	if (letter)
		return put_short(out, letter);
	if (rune == ESCAPE_INVALID && len == 1)
		return put_hex(out, 'x', (unsigned char)*from, 2);
	if (escape_printable(rune)) {
		memcpy(out, from, len);
		return len;
	}
	if (rune < 0x80)
		return put_hex(out, 'x', rune, 2);
	return rune < 0x10000 ? put_hex(out, 'u', rune, 4) : put_hex(out, 'U', rune, 8);
}
