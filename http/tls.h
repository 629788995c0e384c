/* SPDX-License-Identifier: MIT */
/*
 * tls.h - the client side of TLS 1.2 over a socket that does not block; for this room only.
 *
 * BearSSL does the protocol: ECDHE with AES-GCM or ChaCha20-Poly1305, X25519, P-256, P-384, resumption by session ID.
 * Functions that move bytes return 1 (done), 0 (would wait: *events says for what, POLLIN or POLLOUT) or -1 with a
 * sentence. About 37 KB of memory per connection, 4 KB of them while it rests, and 6 KB more in the
 * handshake.
 * Source: s3.md §5.9.
 */
#ifndef RIVULET_HTTP_TLS_H
#define RIVULET_HTTP_TLS_H

#include <bearssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/trust.h"
#include "lib/base/err.h"

struct tls;

/* What a later handshake with the same host may continue. Holds a secret. */
struct tls_session {
	br_ssl_session_parameters parameters;
};

struct tls_options {
	const char *host;          /* whom the certificate must name; also sent as SNI unless it is an address */
	bool host_is_ip;
	const struct trust *trust; /* not looked at with skip_verify */
	bool skip_verify;          /* any certificate will do */
	int64_t now_ms;            /* the time to check certificates at */
	const struct tls_session *session; /* NULL = begin anew */
};

int tls_create(const struct tls_options *o, int fd, struct tls **out, struct err *e);
void tls_free(struct tls *t);

/* ERR_INVALID for what another attempt will not mend (the certificate, no common cipher), else ERR_UNAVAILABLE. */
int tls_handshake(struct tls *t, short *events, struct err *e);
/* After the handshake; false = it cannot be continued. */
bool tls_session(const struct tls *t, struct tls_session *out);
bool tls_resumed(const struct tls *t);

/* *got == 0: the peer has ended the stream; tls_truncated() tells whether it said so, or the connection just broke. */
int tls_recv(struct tls *t, void *bytes, size_t n, size_t *got, short *events, struct err *e);
bool tls_truncated(const struct tls *t);
bool tls_has_input(const struct tls *t); /* decrypted bytes wait for tls_recv */
/* Without `more` what was taken has been given to the kernel when it returns 1; *sent <= n counts what was taken. */
int tls_send(struct tls *t, const void *bytes, size_t n, bool more, size_t *sent, short *events, struct err *e);
/* close_notify, if that goes without waiting. */
void tls_say_goodbye(struct tls *t);

/* Gives the buffers back (false: something is under way, they stay), and takes new ones (false: no memory). In between
 * only tls_wake, tls_say_goodbye and tls_free. */
bool tls_rest(struct tls *t);
bool tls_wake(struct tls *t);

/* The time certificates are checked at when the clock says now_ms: not before this program was built. *wrong: the clock
 * stands before that. */
int64_t tls_time(int64_t now_ms, bool *wrong);

#endif
