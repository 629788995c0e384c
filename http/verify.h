/* SPDX-License-Identifier: MIT */
/*
 * verify.h - the check of a server's certificates, as an X.509 engine that BearSSL calls during a handshake; for this
 * room only.
 *
 * BearSSL's "minimal" engine does the check. This one stands in front of it for three things that it lacks:
 * skip-verify, the names and dates that a message needs, and addresses as names (iPAddress in subjectAltName, or a leaf
 * that is itself in the CA file).
 */
#ifndef RIVULET_HTTP_VERIFY_H
#define RIVULET_HTTP_VERIFY_H

#include <bearssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "http/trust.h"
#include "lib/base/err.h"
#include "lib/os/net.h"

enum { VERIFY_LEAF_MAX = 32 << 10, VERIFY_NAME_MAX = 128 };

struct verify {
	const br_x509_class *vtable; /* first: BearSSL knows the engine by its address */
	br_x509_minimal_context minimal;
	br_x509_decoder_context leaf;
	const char *host;
	bool skip, is_ip;
	struct os_addr ip;
	const struct trust *trust;
	int certificates;            /* seen so far */
	unsigned error;              /* ours; 0 = what the minimal engine says counts */
	uint8_t *der;                /* the leaf, when its names must be looked at here */
	size_t der_len, der_room;
	br_name_element names[2];    /* the first DNS name, the common name */
	char san[VERIFY_NAME_MAX], common[VERIFY_NAME_MAX];
};

/* For addresses, whose check is done here, the handshake must be begun without a server name. now_ms: tls_time()'s. */
void verify_init(struct verify *v, const char *host, bool host_is_ip, const struct trust *trust, bool skip,
                 int64_t now_ms);
void verify_release(struct verify *v);

/* Says why the certificate was not accepted; error is BearSSL's. clock_ms: what the clock says; wrong: it cannot be
 * right. */
int verify_explain(const struct verify *v, unsigned error, int64_t clock_ms, bool wrong, struct err *e);

/* Does a certificate carry that address (4 or 16 bytes) as iPAddress, or its text as dNSName? */
bool verify_has_address(const uint8_t *der, size_t n, const uint8_t *ip, size_t ip_len, const char *text);

#endif
