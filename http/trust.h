/* SPDX-License-Identifier: MIT */
/*
 * trust.h - certificate authorities: from PEM files, or those that were built in; for this room only.
 *
 * Of each certificate only the subject's name and the public key are kept (about 0.5 KB). What cannot be read is passed
 * over and counted. A store does not change after it was made: any thread may read it.
 */
#ifndef RIVULET_HTTP_TRUST_H
#define RIVULET_HTTP_TRUST_H

#include <bearssl.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

enum { TRUST_FILE_MAX = 8 << 20, TRUST_ANCHORS_MAX = 2048 };

struct trust {
	br_x509_trust_anchor *anchors;
	size_t count, room;
	size_t skipped;       /* certificates that could not be read */
	char source[512];     /* where they came from, for messages: a path, or "the built-in roots" */
};

/* ERR_NOT_FOUND, ERR_SYSTEM: cannot be read. ERR_INVALID: "PATH: holds no usable certificate". */
int trust_load(const char *path, struct trust **out, struct err *e);
/* All files of a folder that hold certificates. */
int trust_load_folder(const char *path, struct trust **out, struct err *e);
/* PEM text; adds to t. -1 only without memory or beyond TRUST_ANCHORS_MAX. */
int trust_add_pem(struct trust *t, const uint8_t *bytes, size_t n, struct err *e);
void trust_free(struct trust *t);

/*
 * The system's, the first source of s3.md §5.9 that has any: SSL_CERT_FILE, AWS_CA_BUNDLE, the usual files and folders,
 * the built-in roots. Loaded once per process, at the first call that succeeds, and never freed: the only state of
 * this room outside its structs. ERR_INVALID "no CA certificates found: …".
 */
int trust_system(const struct trust **out, struct err *e);

/* The roots compiled in, as records of: DN length (2 bytes, high first), DN, key type (0 = RSA, else BearSSL's number
 * of the curve), length and bytes of the modulus or the point, and for RSA length (1 byte) and bytes of the exponent.
 * Made by scripts/roots.c; packed in the program, because names and numbers repeat: 10 KB less. Empty when it was built
 * without. -1 only without memory. */
int trust_builtin(struct buf *out, struct err *e);

#endif
