/* SPDX-License-Identifier: MIT */
#include "http/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/embed.h"
#include "lib/base/gzip.h"
#include "lib/base/text.h"
#include "lib/os/file.h"

/* ---- anchors ---- */

static bool same(const br_x509_trust_anchor *a, const br_x509_trust_anchor *b)
{
	if (a->dn.len != b->dn.len || a->pkey.key_type != b->pkey.key_type ||
	    memcmp(a->dn.data, b->dn.data, a->dn.len) != 0)
		return false;
	if (a->pkey.key_type == BR_KEYTYPE_EC)
		return a->pkey.key.ec.qlen == b->pkey.key.ec.qlen &&
		       memcmp(a->pkey.key.ec.q, b->pkey.key.ec.q, a->pkey.key.ec.qlen) == 0;
	return a->pkey.key.rsa.nlen == b->pkey.key.rsa.nlen &&
	       memcmp(a->pkey.key.rsa.n, b->pkey.key.rsa.n, a->pkey.key.rsa.nlen) == 0;
}

static br_x509_trust_anchor *add(struct trust *t, struct err *e)
{
	if (t->count >= TRUST_ANCHORS_MAX) {
		err_set(e, ERR_LIMIT, "%s: more than %d certificates", t->source, TRUST_ANCHORS_MAX);
		return NULL;
	}
	if (t->count == t->room) {
		size_t room = t->room > 0 ? t->room * 2 : 8;
		br_x509_trust_anchor *more = realloc(t->anchors, room * sizeof(*more));

		if (more == NULL) {
			err_nomem(e);
			return NULL;
		}
		t->anchors = more;
		t->room = room;
	}
	memset(&t->anchors[t->count], 0, sizeof(t->anchors[0]));
	return &t->anchors[t->count];
}

/* DN and key in one block, which dn.data begins. */
static int keep(struct trust *t, const struct buf *dn, const br_x509_pkey *key, bool is_ca, struct err *e)
{
	bool ec = key->key_type == BR_KEYTYPE_EC;
	size_t first = ec ? key->key.ec.qlen : key->key.rsa.nlen, second = ec ? 0 : key->key.rsa.elen;
	br_x509_trust_anchor *a = add(t, e);
	unsigned char *block;

	if (a == NULL)
		return -1;
	block = malloc(dn->len + first + second);
	if (block == NULL)
		return err_nomem(e);
	memcpy(block, dn->data, dn->len);
	memcpy(block + dn->len, ec ? key->key.ec.q : key->key.rsa.n, first);
	if (!ec)
		memcpy(block + dn->len + first, key->key.rsa.e, second);
	a->dn.data = block;
	a->dn.len = dn->len;
	a->flags = is_ca ? BR_X509_TA_CA : 0;
	a->pkey = *key;
	if (ec) {
		a->pkey.key.ec.q = block + dn->len;
	} else {
		a->pkey.key.rsa.n = block + dn->len;
		a->pkey.key.rsa.e = block + dn->len + first;
	}
	/* Folders hold the same certificate under several names. */
	for (size_t i = 0; i < t->count; i++)
		if (same(a, &t->anchors[i])) {
			free(block);
			return 0;
		}
	t->count++;
	return 0;
}

static void append_dn(void *ctx, const void *bytes, size_t n)
{
	buf_append(ctx, bytes, n);
}

static int add_certificate(struct trust *t, const struct buf *der, struct err *e)
{
	br_x509_decoder_context decoder;
	struct buf dn = { .limit = 16 << 10 };
	const br_x509_pkey *key;
	int rc = 0;

	br_x509_decoder_init(&decoder, append_dn, &dn);
	br_x509_decoder_push(&decoder, der->data, der->len);
	key = br_x509_decoder_get_pkey(&decoder);
	if (key == NULL || dn.len == 0 || !buf_ok(&dn))
		t->skipped++;
	else
		rc = keep(t, &dn, key, br_x509_decoder_isCA(&decoder), e);
	buf_free(&dn);
	return rc;
}

/* ---- PEM (RFC 7468) ---- */

static int digit_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 with any blanks in it; false when it holds something else or does not come out even. */
static bool decode(const uint8_t *text, size_t n, struct buf *out)
{
	uint8_t *to = buf_reserve(out, n / 4 * 3 + 3);
	uint32_t bits = 0, digits = 0, padding = 0;

	for (size_t i = 0; to != NULL && i < n; i++) {
		int value = digit_value(text[i]);

		if (value >= 0 && padding == 0) {
			bits = bits << 6 | (uint32_t)value;
			if (++digits % 4 == 0) {
				*to++ = (uint8_t)(bits >> 16);
				*to++ = (uint8_t)(bits >> 8);
				*to++ = (uint8_t)bits;
				out->len += 3;
			}
		} else if (text[i] == '=') {
			padding++;
		} else if (text[i] > ' ' || value >= 0) {
			return false;
		}
	}
	if (to == NULL || (digits + padding) % 4 != 0 || padding > 2)
		return false;
	if (padding > 0) {
		*to++ = (uint8_t)(bits << 6 * padding >> 16);
		*to = (uint8_t)(bits << 6 * padding >> 8);
		out->len += 3 - padding;
	}
	return true;
}

static bool begins(const uint8_t *at, const uint8_t *end, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(end - at) >= n && memcmp(at, text, n) == 0;
}

int trust_add_pem(struct trust *t, const uint8_t *bytes, size_t n, struct err *e)
{
	struct buf der = { .limit = 64 << 10 };
	const uint8_t *at = bytes, *end = bytes + n, *stop;
	int rc = 0;

	/* Comments stand between certificates, and keys in the same file. */
	while (rc == 0 && (at = memmem(at, (size_t)(end - at), "-----BEGIN ", 11)) != NULL) {
		at += 11;
		if (!begins(at, end, "CERTIFICATE-----") && !begins(at, end, "X509 CERTIFICATE-----"))
			continue;
		at = (const uint8_t *)memchr(at, '-', (size_t)(end - at)) + 5;
		stop = memmem(at, (size_t)(end - at), "-----", 5);
		buf_reset(&der);
		if (stop != NULL && begins(stop, end, "-----END ") && decode(at, (size_t)(stop - at), &der))
			rc = add_certificate(t, &der, e);
		else
			t->skipped++;
	}
	buf_free(&der);
	return rc;
}

/* ---- stores ---- */

static struct trust *create(const char *source, struct err *e)
{
	struct trust *t = calloc(1, sizeof(*t));

	if (t == NULL)
		err_nomem(e);
	else
		(void)snprintf(t->source, sizeof(t->source), "%s", source);
	return t;
}

void trust_free(struct trust *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->count; i++)
		free(t->anchors[i].dn.data);
	free(t->anchors);
	free(t);
}

static int add_file(struct trust *t, const char *path, struct err *e)
{
	struct os_file f;
	struct os_stat st;
	uint8_t *bytes = NULL;
	size_t got;
	int rc = -1;

	if (os_file_open(&f, path, O_RDONLY, 0, e) < 0)
		return -1;
	if (os_file_stat(&f, &st, e) < 0)
		goto out;
	if (!st.is_regular || st.size > TRUST_FILE_MAX) {
		err_set(e, ERR_INVALID, "%s: %s", path, st.is_regular ? "too large for certificates" : "is not a file");
		goto out;
	}
	bytes = malloc((size_t)st.size + 1);
	if (bytes == NULL)
		err_nomem(e);
	else if (os_file_read(&f, bytes, (size_t)st.size, 0, &got, e) == 0)
		rc = trust_add_pem(t, bytes, got, e);
out:
	free(bytes);
	os_file_close(&f);
	return rc;
}

int trust_load(const char *path, struct trust **out, struct err *e)
{
	struct trust *t = create(path, e);

	*out = NULL;
	if (t == NULL)
		return -1;
	if (add_file(t, path, e) < 0) {
		trust_free(t);
		return -1;
	}
	if (t->count == 0) {
		err_set(e, ERR_INVALID, "%s: holds no usable certificate", path);
		trust_free(t);
		return -1;
	}
	*out = t;
	return 0;
}

struct folder {
	struct trust *t;
	const char *path;
};

static int visit(void *ctx, const char *name, struct err *e)
{
	struct folder *f = ctx;
	char *path = text_path_join(f->path, name);
	struct err own = ERR_INIT;
	int rc;

	if (path == NULL)
		return err_nomem(e);
	rc = add_file(f->t, path, &own);
	free(path);
	if (rc == 0 || (!err_is(&own, ERR_NO_MEMORY) && !err_is(&own, ERR_LIMIT)))
		return 0; /* other files than certificates stand there too */
	if (e != NULL)
		*e = own;
	return -1;
}

int trust_load_folder(const char *path, struct trust **out, struct err *e)
{
	struct folder f = { create(path, e), path };

	*out = NULL;
	if (f.t == NULL)
		return -1;
	if (os_dir_list(path, visit, &f, e) < 0) {
		trust_free(f.t);
		return -1;
	}
	if (f.t->count == 0) {
		err_set(e, ERR_INVALID, "%s: holds no usable certificate", path);
		trust_free(f.t);
		return -1;
	}
	*out = f.t;
	return 0;
}

/* ---- the built-in roots ---- */

EMBED(roots_gz, ROOTS_GZ);

int trust_builtin(struct buf *out, struct err *e)
{
	return gzip_expand(roots_gz_begin, (size_t)(roots_gz_end - roots_gz_begin), out, e);
}

/* The anchors point into the records, which stay as long as the process, like all that trust_system() gives. */
static int load_builtin(struct trust **out, struct err *e)
{
	struct trust *t = create("the built-in roots", e);
	struct buf records = { .data = NULL };
	const unsigned char *at, *end;

	*out = NULL;
	if (t == NULL)
		return -1;
	if (trust_builtin(&records, e) < 0) {
		buf_free(&records);
		trust_free(t);
		return -1;
	}
	at = records.data;
	end = at + records.len;
	while (at < end) {
		br_x509_trust_anchor *a = add(t, e);
		size_t n;

		if (a == NULL) {
			t->count = 0; /* nothing of it is malloc'ed by itself */
			buf_free(&records);
			trust_free(t);
			return -1;
		}
		a->flags = BR_X509_TA_CA;
		a->dn.len = (size_t)at[0] << 8 | at[1];
		a->dn.data = (unsigned char *)(uintptr_t)(at + 2);
		at += 2 + a->dn.len;
		n = (size_t)at[1] << 8 | at[2];
		if (at[0] == 0) {
			a->pkey.key_type = BR_KEYTYPE_RSA;
			a->pkey.key.rsa.n = (unsigned char *)(uintptr_t)(at + 3);
			a->pkey.key.rsa.nlen = n;
			a->pkey.key.rsa.elen = at[3 + n];
			a->pkey.key.rsa.e = (unsigned char *)(uintptr_t)(at + 3 + n + 1);
			at += 3 + n + 1 + a->pkey.key.rsa.elen;
		} else {
			a->pkey.key_type = BR_KEYTYPE_EC;
			a->pkey.key.ec.curve = at[0];
			a->pkey.key.ec.q = (unsigned char *)(uintptr_t)(at + 3);
			a->pkey.key.ec.qlen = n;
			at += 3 + n;
		}
		t->count++;
	}
	*out = t;
	return 0;
}

/* ---- the system's ---- */

static const char *const files[] = {
	"/etc/ssl/certs/ca-certificates.crt",                /* Debian, Alpine, OpenWrt */
	"/etc/pki/tls/certs/ca-bundle.crt",                  /* Fedora */
	"/etc/ssl/ca-bundle.pem",                            /* openSUSE */
	"/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* RHEL */
	"/etc/ssl/cert.pem",                                 /* Alpine, BSD */
};

static int find_system(struct trust **out, struct err *e)
{
	const char *named[] = { getenv("SSL_CERT_FILE"), getenv("AWS_CA_BUNDLE") };
	const char *folders[] = { getenv("SSL_CERT_DIR"), "/etc/ssl/certs", "/etc/pki/tls/certs" };

	for (size_t i = 0; i < 2; i++)
		if (named[i] != NULL && *named[i] != '\0' && trust_load(named[i], out, NULL) == 0)
			return 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (trust_load(files[i], out, NULL) == 0)
			return 0;
	for (size_t i = folders[0] == NULL || *folders[0] == '\0'; i < 3; i++)
		if (trust_load_folder(folders[i], out, NULL) == 0)
			return 0;
	if (load_builtin(out, e) < 0)
		return -1;
	if ((*out)->count > 0)
		return 0;
	trust_free(*out);
	*out = NULL;
	return err_set(e, ERR_INVALID,
	               "no CA certificates found: install the package ca-certificates or name a file in SSL_CERT_FILE");
}

int trust_system(const struct trust **out, struct err *e)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct trust *system_trust;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (system_trust == NULL)
		rc = find_system(&system_trust, e);
	*out = system_trust;
	pthread_mutex_unlock(&lock);
	return rc;
}
