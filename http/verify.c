/* SPDX-License-Identifier: MIT */
#include "http/verify.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"

enum { DAYS_TO_1970 = 719528 };

static struct verify *of(const br_x509_class **ctx)
{
	return (struct verify *)(void *)(uintptr_t)ctx; /* vtable is the first field */
}

static void start_chain(const br_x509_class **ctx, const char *server_name)
{
	struct verify *v = of(ctx);

	v->certificates = 0;
	v->error = 0;
	v->der_len = 0;
	br_x509_decoder_init(&v->leaf, NULL, NULL);
	v->minimal.vtable->start_chain(&v->minimal.vtable, server_name);
}

static void start_certificate(const br_x509_class **ctx, uint32_t length)
{
	struct verify *v = of(ctx);

	if (v->certificates == 0 && v->is_ip && !v->skip) {
		if (length <= VERIFY_LEAF_MAX && length > v->der_room) {
			free(v->der);
			v->der = malloc(length);
			v->der_room = v->der != NULL ? length : 0;
		}
	}
	if (!v->skip)
		v->minimal.vtable->start_cert(&v->minimal.vtable, length);
}

static void append(const br_x509_class **ctx, const unsigned char *bytes, size_t n)
{
	struct verify *v = of(ctx);

	if (v->certificates == 0) {
		br_x509_decoder_push(&v->leaf, bytes, n);
		if (v->der_room - v->der_len >= n) {
			memcpy(v->der + v->der_len, bytes, n);
			v->der_len += n;
		}
	}
	if (!v->skip)
		v->minimal.vtable->append(&v->minimal.vtable, bytes, n);
}

static void end_certificate(const br_x509_class **ctx)
{
	struct verify *v = of(ctx);

	v->certificates++;
	if (!v->skip)
		v->minimal.vtable->end_cert(&v->minimal.vtable);
}

static bool same_key(const br_x509_pkey *a, const br_x509_pkey *b)
{
	if (a->key_type != b->key_type)
		return false;
	if (a->key_type == BR_KEYTYPE_EC)
		return a->key.ec.curve == b->key.ec.curve && a->key.ec.qlen == b->key.ec.qlen &&
		       memcmp(a->key.ec.q, b->key.ec.q, a->key.ec.qlen) == 0;
	return a->key.rsa.nlen == b->key.rsa.nlen && a->key.rsa.elen == b->key.rsa.elen &&
	       memcmp(a->key.rsa.n, b->key.rsa.n, a->key.rsa.nlen) == 0 &&
	       memcmp(a->key.rsa.e, b->key.rsa.e, a->key.rsa.elen) == 0;
}

static bool leaf_is_trusted(struct verify *v)
{
	const br_x509_pkey *key = br_x509_decoder_get_pkey(&v->leaf);

	for (size_t i = 0; key != NULL && i < v->trust->count; i++)
		if (same_key(key, &v->trust->anchors[i].pkey))
			return true;
	return false;
}

static bool names_the_address(struct verify *v)
{
	bool four = v->ip.u.any.sa_family == AF_INET;
	const uint8_t *ip = four ? (const uint8_t *)&v->ip.u.v4.sin_addr : v->ip.u.v6.sin6_addr.s6_addr;

	return verify_has_address(v->der, v->der_len, ip, four ? 4 : 16, v->host) || leaf_is_trusted(v);
}

static unsigned end_chain(const br_x509_class **ctx)
{
	struct verify *v = of(ctx);

	if (v->skip) {
		if (v->certificates == 0)
			v->error = BR_ERR_X509_EMPTY_CHAIN;
		else if (br_x509_decoder_get_pkey(&v->leaf) == NULL)
			v->error = (unsigned)br_x509_decoder_last_error(&v->leaf);
		return v->error;
	}
	v->error = v->minimal.vtable->end_chain(&v->minimal.vtable);
	if (v->error == 0 && v->is_ip && !names_the_address(v))
		v->error = BR_ERR_X509_BAD_SERVER_NAME;
	return v->error;
}

static const br_x509_pkey *get_key(const br_x509_class *const *ctx, unsigned *usages)
{
	const struct verify *v = (const struct verify *)(const void *)ctx;

	if (!v->skip)
		return v->minimal.vtable->get_pkey(&v->minimal.vtable, usages);
	if (usages != NULL)
		*usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
	return &v->leaf.pkey;
}

static const br_x509_class verify_class = {
	sizeof(struct verify), start_chain, start_certificate, append, end_certificate, end_chain, get_key,
};

void verify_init(struct verify *v, const char *host, bool host_is_ip, const struct trust *trust, bool skip,
                 int64_t now_ms)
{
	static const unsigned char dns_name[] = { 0x00, 0x02 }, common_name[] = { 0x03, 0x55, 0x04, 0x03 };

	memset(v, 0, sizeof(*v));
	v->vtable = &verify_class;
	v->host = host;
	v->skip = skip;
	v->is_ip = host_is_ip && os_addr_literal(host, 0, &v->ip);
	v->trust = trust;
	br_x509_minimal_init(&v->minimal, &br_sha256_vtable, trust != NULL ? trust->anchors : NULL,
	                     trust != NULL ? trust->count : 0);
	br_x509_minimal_set_rsa(&v->minimal, br_rsa_pkcs1_vrfy_get_default());
	br_x509_minimal_set_ecdsa(&v->minimal, br_ec_get_default(), br_ecdsa_vrfy_asn1_get_default());
	br_x509_minimal_set_hash(&v->minimal, br_sha256_ID, &br_sha256_vtable);
	br_x509_minimal_set_hash(&v->minimal, br_sha384_ID, &br_sha384_vtable);
	br_x509_minimal_set_hash(&v->minimal, br_sha512_ID, &br_sha512_vtable);
	br_x509_minimal_set_time(&v->minimal, (uint32_t)(now_ms / 86400000) + DAYS_TO_1970,
	                         (uint32_t)(now_ms / 1000 % 86400));
	v->names[0] = (br_name_element){ dns_name, v->san, sizeof(v->san), 0 };
	v->names[1] = (br_name_element){ common_name, v->common, sizeof(v->common), 0 };
	br_x509_minimal_set_name_elements(&v->minimal, v->names, 2);
}

void verify_release(struct verify *v)
{
	free(v->der);
	v->der = NULL;
	v->der_room = v->der_len = 0;
}

/* ---- messages ---- */

static int64_t date_ms(uint32_t days, uint32_t seconds)
{
	return ((int64_t)days - DAYS_TO_1970) * 86400000 + (int64_t)seconds * 1000;
}

static int explain_date(const struct verify *v, int64_t clock_ms, bool wrong, struct err *e)
{
	char when[TEXT_TIME_SIZE], clock[TEXT_TIME_SIZE];
	const char *clock_is = wrong ? ", which is before this program was made: the clock looks wrong" : "";
	int64_t from_ms = date_ms(v->leaf.notbefore_days, v->leaf.notbefore_seconds);
	int64_t to_ms = date_ms(v->leaf.notafter_days, v->leaf.notafter_seconds);
	/* The dates the check was made at. */
	int64_t now_ms = date_ms(v->minimal.days, v->minimal.seconds);

	text_time_s(clock, clock_ms);
	if (v->leaf.decoded && now_ms < from_ms)
		return err_set(e, ERR_INVALID, "the certificate of %s is not valid before %s (the clock says %s%s)",
		               v->host, text_time_s(when, from_ms), clock, clock_is);
	if (v->leaf.decoded && now_ms > to_ms)
		return err_set(e, ERR_INVALID, "the certificate of %s expired at %s (the clock says %s%s)", v->host,
		               text_time_s(when, to_ms), clock, clock_is);
	return err_set(e, ERR_INVALID,
	               "an issuer in the certificate chain of %s has expired or is not valid yet (the clock says %s%s)",
	               v->host, clock, clock_is);
}

static int explain_name(const struct verify *v, struct err *e)
{
	const char *name = v->names[0].status == 1 ? v->san : v->names[1].status == 1 ? v->common : NULL;

	if (v->is_ip)
		return err_set(e, ERR_INVALID, "the certificate does not name the address %s%s%s", v->host,
		               name != NULL ? ", it is for " : "", name != NULL ? name : "");
	if (name == NULL)
		return err_set(e, ERR_INVALID, "the certificate is not for %s", v->host);
	return err_set(e, ERR_INVALID, "the certificate is for %s, not for %s", name, v->host);
}

static int explain_untrusted(const struct verify *v, struct err *e)
{
	const br_x509_minimal_context *m = &v->minimal;
	bool self_signed = memcmp(m->next_dn_hash, m->current_dn_hash, br_sha256_SIZE) == 0;

	if (v->certificates == 1 && self_signed)
		return err_set(e, ERR_INVALID, "the certificate of %s is self-signed and not trusted by %s", v->host,
		               v->trust->source);
	return err_set(e, ERR_INVALID, "the certificate of %s is signed by an authority that is not trusted by %s",
	               v->host, v->trust->source);
}

int verify_explain(const struct verify *v, unsigned error, int64_t clock_ms, bool wrong, struct err *e)
{
	switch (error) {
	case BR_ERR_X509_EXPIRED:
		return explain_date(v, clock_ms, wrong, e);
	case BR_ERR_X509_BAD_SERVER_NAME:
		return explain_name(v, e);
	case BR_ERR_X509_NOT_TRUSTED:
		return explain_untrusted(v, e);
	case BR_ERR_X509_DN_MISMATCH:
		return err_set(e, ERR_INVALID,
		               "the certificate chain of %s is broken: an issuer is not the next subject", v->host);
	case BR_ERR_X509_CRITICAL_EXTENSION:
		return err_set(e, ERR_INVALID,
		               "the certificate chain of %s uses a critical extension that is not supported", v->host);
	case BR_ERR_X509_NOT_CA:
		return err_set(e, ERR_INVALID, "the certificate of %s is signed by one that is no authority", v->host);
	case BR_ERR_X509_BAD_SIGNATURE:
		return err_set(e, ERR_INVALID, "the certificate chain of %s has a wrong signature", v->host);
	case BR_ERR_X509_WEAK_PUBLIC_KEY:
		return err_set(e, ERR_INVALID, "a key in the certificate chain of %s is too short", v->host);
	case BR_ERR_X509_UNSUPPORTED:
	case BR_ERR_X509_WRONG_KEY_TYPE:
		return err_set(e, ERR_INVALID, "the certificate chain of %s uses an algorithm that is not supported",
		               v->host);
	case BR_ERR_X509_FORBIDDEN_KEY_USAGE:
		return err_set(e, ERR_INVALID, "the certificate of %s is not meant for servers", v->host);
	default:
		return err_set(e, ERR_INVALID, "the certificate of %s cannot be read (code %u)", v->host, error);
	}
}
