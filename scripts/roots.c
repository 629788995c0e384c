/* SPDX-License-Identifier: MIT */
/*
 * roots.c - of each CA certificate of a PEM bundle only the name and the key, in the form that http/trust.h describes. A
 * tool of the build; the bundle is the system's own and trusted.
 *
 * usage: roots BUNDLE|0 >FILE
 *
 * A bundle that is not there gives an empty file, so a program without built-in certificates, and a line that says so.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct der {
	const uint8_t *start, *at, *end; /* start: with tag and length */
	uint8_t tag;
};

static uint8_t out[1 << 20];
static size_t total;

static int next(struct der *d, struct der *in)
{
	size_t left = (size_t)(d->end - d->at), len, head = 2;

	if (left < 2)
		return 0;
	len = d->at[1];
	if (len >= 0x80) {
		size_t bytes = len & 0x7f;

		if (bytes < 1 || bytes > 3 || left < 2 + bytes)
			return 0;
		for (len = 0; head < 2 + bytes; head++)
			len = len << 8 | d->at[head];
	}
	if (left - head < len)
		return 0;
	in->start = d->at;
	in->tag = d->at[0];
	in->at = d->at + head;
	in->end = in->at + len;
	d->at = in->end;
	return 1;
}

static int enter(struct der *d, uint8_t tag, struct der *in)
{
	return next(d, in) && in->tag == tag;
}

static void put(const uint8_t *bytes, size_t n)
{
	if (n > sizeof(out) - total) {
		fprintf(stderr, "the bundle is too large\n");
		exit(1);
	}
	memcpy(out + total, bytes, n);
	total += n;
}

static void put_length(size_t n)
{
	put((uint8_t[]){ (uint8_t)(n >> 8), (uint8_t)n }, 2);
}

static int put_ec(struct der *algorithm, struct der *key)
{
	static const struct curve {
		uint8_t number, oid_len, oid[8];
	} curves[] = {
		{ 23, 8, { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 } },
		{ 24, 5, { 0x2b, 0x81, 0x04, 0x00, 0x22 } },
		{ 25, 5, { 0x2b, 0x81, 0x04, 0x00, 0x23 } },
	};
	struct der oid;

	if (!enter(algorithm, 0x06, &oid))
		return 0;
	for (size_t i = 0; i < 3; i++)
		if ((size_t)(oid.end - oid.at) == curves[i].oid_len && memcmp(oid.at, curves[i].oid, curves[i].oid_len) == 0) {
			put(&curves[i].number, 1);
			put_length((size_t)(key->end - key->at));
			put(key->at, (size_t)(key->end - key->at));
			return 1;
		}
	return 0;
}

static int put_rsa(struct der *key)
{
	struct der pair, n, e;
	uint8_t len;

	if (!enter(key, 0x30, &pair) || !enter(&pair, 0x02, &n) || !enter(&pair, 0x02, &e))
		return 0;
	while (n.at < n.end && *n.at == 0)
		n.at++;
	while (e.at < e.end && *e.at == 0)
		e.at++;
	put((uint8_t[]){ 0 }, 1);
	put_length((size_t)(n.end - n.at));
	put(n.at, (size_t)(n.end - n.at));
	len = (uint8_t)(e.end - e.at);
	put(&len, 1);
	put(e.at, len);
	return 1;
}

static int put_certificate(const uint8_t *bytes, size_t n)
{
	static const uint8_t rsa[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01 };
	struct der all = { .at = bytes, .end = bytes + n }, certificate, tbs, skip, subject, info, algorithm, oid, key;

	if (!enter(&all, 0x30, &certificate) || !enter(&certificate, 0x30, &tbs) || !next(&tbs, &skip))
		return 0;
	if (skip.tag == 0xa0 && !next(&tbs, &skip)) /* version; then serial */
		return 0;
	/* algorithm, issuer, validity */
	if (!next(&tbs, &skip) || !next(&tbs, &skip) || !next(&tbs, &skip) || !enter(&tbs, 0x30, &subject) ||
	    !enter(&tbs, 0x30, &info) || !enter(&info, 0x30, &algorithm) || !enter(&algorithm, 0x06, &oid) ||
	    !enter(&info, 0x03, &key) || key.at >= key.end)
		return 0;
	key.at++; /* unused bits: none */
	put_length((size_t)(subject.end - subject.start));
	put(subject.start, (size_t)(subject.end - subject.start));
	if ((size_t)(oid.end - oid.at) == sizeof(rsa) && memcmp(oid.at, rsa, sizeof(rsa)) == 0)
		return put_rsa(&key);
	return put_ec(&algorithm, &key);
}

static size_t decode(const char *line, uint8_t *to, uint32_t *bits, int *count)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;

	for (; *line != '\0'; line++) {
		const char *digit = strchr(digits, *line);

		if (digit == NULL)
			continue;
		*bits = *bits << 6 | (uint32_t)(digit - digits);
		*count += 6;
		if (*count >= 8) {
			*count -= 8;
			to[n++] = (uint8_t)(*bits >> *count);
		}
	}
	return n;
}

/* What cannot be read (an algorithm that BearSSL does not know) is passed over. */
static void read_bundle(FILE *f)
{
	static uint8_t der[64 << 10];
	char line[256];
	uint32_t bits = 0;
	int count = 0, inside = 0;
	size_t n = 0, before;

	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "-----BEGIN CERTIFICATE-----", 27) == 0) {
			inside = 1;
			n = bits = 0;
			count = 0;
		} else if (inside && strncmp(line, "-----END CERTIFICATE-----", 25) == 0) {
			inside = 0;
			before = total;
			if (!put_certificate(der, n))
				total = before;
		} else if (inside && n + sizeof(line) < sizeof(der)) {
			n += decode(line, der + n, &bits, &count);
		}
	}
}

int main(int argc, char **argv)
{
	FILE *f = NULL;

	if (argc == 2 && strcmp(argv[1], "0") != 0) {
		f = fopen(argv[1], "r");
		if (f == NULL)
			fprintf(stderr, "%s: not there, so no CA certificates are compiled in (ROOTS=FILE names another)\n", argv[1]);
	}
	if (f != NULL)
		read_bundle(f);
	fwrite(out, 1, total, stdout);
	return fflush(stdout) != 0;
}
