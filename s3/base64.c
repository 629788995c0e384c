/* SPDX-License-Identifier: MIT */
#include "s3/base64.h"

#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(char *out, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	char *o = out;

	for (; n > 0; p += 3) {
		size_t take = n < 3 ? n : 3;
		uint32_t v = (uint32_t)p[0] << 16 | (take > 1 ? (uint32_t)p[1] << 8 : 0) | (take > 2 ? p[2] : 0);

		*o++ = letters[v >> 18];
		*o++ = letters[v >> 12 & 63];
		*o++ = take > 1 ? letters[v >> 6 & 63] : '=';
		*o++ = take > 2 ? letters[v & 63] : '=';
		n -= take;
	}
	*o = '\0';
	return out;
}

bool base64_decode(const char *s, uint8_t *out, size_t cap, size_t *n)
{
	size_t len = strlen(s), pad = 0;

	*n = 0;
	if (len % 4 != 0)
		return false;
	while (pad < 2 && pad < len && s[len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t v = 0;
		size_t take = i + 4 == len ? 3 - pad : 3;

		for (size_t j = 0; j < 4; j++) {
			const char *at = j <= take && s[i + j] ? strchr(letters, s[i + j]) : letters;

			if (!at || (j > take && s[i + j] != '='))
				return false;
			v = v << 6 | (uint32_t)(at - letters);
		}
		if (take < 3 && (v & (take == 1 ? 0xffff : 0xff)))
			return false;
		if (*n + take > cap)
			return false;
		for (size_t j = 0; j < take; j++)
			out[(*n)++] = (uint8_t)(v >> (16 - 8 * j));
	}
	return true;
}
