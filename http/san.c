/* SPDX-License-Identifier: MIT */
/* The names in a certificate's subjectAltName (RFC 5280 §4.2.1.6). Its form has been checked by BearSSL before, but
 * nothing here relies on that. */
#include <string.h>
#include <strings.h>

#include "http/verify.h"

struct der {
	const uint8_t *at, *end;
};

/* The next element of d: its tag, and its contents in *in. false at the end or when it does not fit. */
static bool next(struct der *d, uint8_t *tag, struct der *in)
{
	size_t left = (size_t)(d->end - d->at), len, head = 2;

	if (left < 2)
		return false;
	*tag = d->at[0];
	len = d->at[1];
	if (len >= 0x80) {
		size_t bytes = len & 0x7f;

		if (bytes < 1 || bytes > 3 || left < 2 + bytes)
			return false;
		for (len = 0; head < 2 + bytes; head++)
			len = len << 8 | d->at[head];
	}
	if (left - head < len)
		return false;
	in->at = d->at + head;
	in->end = in->at + len;
	d->at = in->end;
	return true;
}

/* The next element, which must have that tag. */
static bool enter(struct der *d, uint8_t want, struct der *in)
{
	uint8_t tag;

	return next(d, &tag, in) && tag == want;
}

static bool names_have(struct der names, const uint8_t *ip, size_t ip_len, const char *text)
{
	struct der name;
	uint8_t tag;

	while (next(&names, &tag, &name)) {
		size_t n = (size_t)(name.end - name.at);

		if (tag == 0x87 && n == ip_len && memcmp(name.at, ip, n) == 0)
			return true;
		if (tag == 0x82 && n == strlen(text) && strncasecmp((const char *)name.at, text, n) == 0)
			return true;
	}
	return false;
}

static bool extension_has(struct der extension, const uint8_t *ip, size_t ip_len, const char *text)
{
	static const uint8_t subject_alt_name[] = { 0x55, 0x1d, 0x11 };
	struct der oid, value, names;
	uint8_t tag;

	if (!enter(&extension, 0x06, &oid) || (size_t)(oid.end - oid.at) != sizeof(subject_alt_name) ||
	    memcmp(oid.at, subject_alt_name, sizeof(subject_alt_name)) != 0)
		return false;
	if (!next(&extension, &tag, &value) || (tag == 0x01 && !next(&extension, &tag, &value)))
		return false;
	return tag == 0x04 && enter(&value, 0x30, &names) && names_have(names, ip, ip_len, text);
}

bool verify_has_address(const uint8_t *der, size_t n, const uint8_t *ip, size_t ip_len, const char *text)
{
	struct der all = { der, der + n }, certificate, tbs, part, list, extension;
	uint8_t tag;

	if (!enter(&all, 0x30, &certificate) || !enter(&certificate, 0x30, &tbs))
		return false;
	while (next(&tbs, &tag, &part)) {
		if (tag != 0xa3 || !enter(&part, 0x30, &list))
			continue;
		while (enter(&list, 0x30, &extension))
			if (extension_has(extension, ip, ip_len, text))
				return true;
	}
	return false;
}
