/* SPDX-License-Identifier: MIT */
#include "http/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/verify.h"
#include "lib/os/net.h"

struct tls {
	br_ssl_client_context client;
	struct verify *verify;     /* until the handshake is over */
	int fd;
	int64_t clock_ms;
	bool clock_wrong;
	bool truncated, resumed, offered;
	unsigned char offered_id[32], offered_id_len;
	const char *protocol;      /* what ALPN offers; BearSSL keeps the pointer */
	unsigned char *buffers;    /* BR_SSL_BUFSIZE_BIDI bytes: input, then output; NULL = at rest */
	char host[];
};

int64_t tls_time(int64_t now_ms, bool *wrong)
{
	int64_t built_ms = (int64_t)RIVULET_BUILD_EPOCH * 1000;

	*wrong = now_ms < built_ms;
	return *wrong ? built_ms : now_ms;
}

static void choose_suites(br_ssl_engine_context *eng)
{
	static const uint16_t aes_first[] = {
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,       BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,       BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	};
	static const uint16_t chacha_first[] = {
		BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,       BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,       BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	};
	bool aes = br_aes_x86ni_ctr_get_vtable() != NULL || br_aes_pwr8_ctr_get_vtable() != NULL;

	br_ssl_engine_set_suites(eng, aes ? aes_first : chacha_first, sizeof(aes_first) / sizeof(aes_first[0]));
}

/* Only what the suites need: each br_…_init_full() would link everything that BearSSL has. */
static void set_algorithms(br_ssl_client_context *cc)
{
	br_ssl_engine_context *eng = &cc->eng;

	br_ssl_client_zero(cc);
	br_ssl_engine_set_versions(eng, BR_TLS12, BR_TLS12);
	choose_suites(eng);
	br_ssl_engine_set_rsavrfy(eng, br_rsa_pkcs1_vrfy_get_default());
	br_ssl_engine_set_ec(eng, br_ec_get_default());
	br_ssl_engine_set_ecdsa(eng, br_ecdsa_vrfy_asn1_get_default());
	br_ssl_engine_set_hash(eng, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_hash(eng, br_sha384_ID, &br_sha384_vtable);
	br_ssl_engine_set_hash(eng, br_sha512_ID, &br_sha512_vtable);
	br_ssl_engine_set_prf_sha256(eng, &br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(eng, &br_tls12_sha384_prf);
	br_ssl_engine_set_default_aes_gcm(eng);
	br_ssl_engine_set_default_chapol(eng);
	/* A server that asks for a certificate of ours may still be content without one. */
	br_ssl_engine_set_all_flags(eng, BR_OPT_NO_RENEGOTIATION | BR_OPT_TOLERATE_NO_CLIENT_AUTH);
}

static int begin(struct tls *t, const struct tls_options *o, struct err *e)
{
	br_ssl_engine_context *eng = &t->client.eng;
	unsigned char entropy[32];

	set_algorithms(&t->client);
	br_ssl_engine_set_x509(eng, &t->verify->vtable);
	br_ssl_engine_set_buffer(eng, t->buffers, BR_SSL_BUFSIZE_BIDI, 1);
	t->protocol = "http/1.1";
	br_ssl_engine_set_protocol_names(eng, &t->protocol, 1);
	/* BearSSL would seed itself, but from RDRAND alone where there is one. */
	if (os_random(entropy, sizeof(entropy), e) < 0)
		return -1;
	br_ssl_engine_inject_entropy(eng, entropy, sizeof(entropy));
	explicit_bzero(entropy, sizeof(entropy));
	if (o->session != NULL) {
		br_ssl_engine_set_session_parameters(eng, &o->session->parameters);
		t->offered = true;
		t->offered_id_len = o->session->parameters.session_id_len;
		memcpy(t->offered_id, o->session->parameters.session_id, sizeof(t->offered_id));
	}
	if (br_ssl_client_reset(&t->client, o->host_is_ip ? NULL : t->host, o->session != NULL) != 1)
		return err_set(e, ERR_INVALID, "cannot begin with %s (code %d)", t->host,
		               br_ssl_engine_last_error(eng));
	return 0;
}

int tls_create(const struct tls_options *o, int fd, struct tls **out, struct err *e)
{
	struct tls *t = calloc(1, sizeof(*t) + strlen(o->host) + 1);
	int64_t now_ms;

	*out = NULL;
	if (t == NULL)
		return err_nomem(e);
	strcpy(t->host, o->host);
	t->fd = fd;
	t->clock_ms = o->now_ms;
	now_ms = tls_time(o->now_ms, &t->clock_wrong);
	t->verify = malloc(sizeof(*t->verify));
	t->buffers = malloc(BR_SSL_BUFSIZE_BIDI);
	if (t->verify == NULL || t->buffers == NULL) {
		free(t->verify);
		free(t->buffers);
		free(t);
		return err_nomem(e);
	}
	verify_init(t->verify, t->host, o->host_is_ip, o->trust, o->skip_verify, now_ms);
	if (begin(t, o, e) < 0) {
		tls_free(t);
		return -1;
	}
	*out = t;
	return 0;
}

static void end_handshake(struct tls *t)
{
	if (t->verify == NULL)
		return;
	/* BearSSL looks at it in a handshake only, and there will be no other. */
	br_ssl_engine_set_x509(&t->client.eng, NULL);
	verify_release(t->verify);
	free(t->verify);
	t->verify = NULL;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	end_handshake(t);
	free(t->buffers);
	explicit_bzero(t, sizeof(*t)); /* it held the keys */
	free(t);
}

/* ---- failures ---- */

static const char *alert_name(int alert)
{
	switch (alert) {
	case BR_ALERT_HANDSHAKE_FAILURE:
		return "no cipher in common, or it wants a certificate from us";
	case BR_ALERT_BAD_CERTIFICATE:
	case BR_ALERT_UNSUPPORTED_CERTIFICATE:
	case BR_ALERT_CERTIFICATE_REVOKED:
	case BR_ALERT_CERTIFICATE_EXPIRED:
	case BR_ALERT_CERTIFICATE_UNKNOWN:
	case BR_ALERT_UNKNOWN_CA:
		return "it wants a certificate from us";
	case BR_ALERT_ACCESS_DENIED:
		return "access denied";
	case BR_ALERT_PROTOCOL_VERSION:
		return "it does not speak TLS 1.2";
	case 112: /* unrecognized_name */
		return "it does not know this name";
	default:
		return "it gave no reason";
	}
}

static int fail_engine(const struct tls *t, struct err *e)
{
	int error = br_ssl_engine_last_error(&t->client.eng);

	if (error >= BR_ERR_X509_OK && error <= BR_ERR_X509_NOT_TRUSTED && t->verify != NULL)
		return verify_explain(t->verify, (unsigned)error, t->clock_ms, t->clock_wrong, e);
	if (error > BR_ERR_RECV_FATAL_ALERT && error < BR_ERR_SEND_FATAL_ALERT) {
		int alert = error - BR_ERR_RECV_FATAL_ALERT;
		bool passing = alert == BR_ALERT_INTERNAL_ERROR || alert == BR_ALERT_BAD_RECORD_MAC;

		return err_set(e, passing ? ERR_UNAVAILABLE : ERR_INVALID, "the server refused: %s (alert %d)",
		               alert_name(alert), alert);
	}
	switch (error) {
	case BR_ERR_UNSUPPORTED_VERSION:
	case BR_ERR_BAD_VERSION:
	case BR_ERR_UNKNOWN_TYPE:
		return err_set(e, ERR_INVALID, "what the server sends is not TLS 1.2");
	case BR_ERR_BAD_MAC:
		return err_set(e, ERR_UNAVAILABLE, "bytes were damaged on their way");
	default:
		return err_set(e, ERR_UNAVAILABLE, "the server broke the protocol (code %d)", error);
	}
}

static int fail_socket(int errnum, struct err *e)
{
	err_sys(e, errnum, "%s", ""); /* the caller names the peer */
	if (e != NULL)
		e->code = ERR_UNAVAILABLE;
	return -1;
}

/* ---- records ---- */

/* Gives records to the kernel: 1 something, 0 it has no room, -1. */
static int push(struct tls *t, struct err *e)
{
	size_t n, sent;
	unsigned char *bytes = br_ssl_engine_sendrec_buf(&t->client.eng, &n);
	int rc = os_net_send(t->fd, bytes, n, false, &sent);

	if (rc == EAGAIN)
		return 0;
	if (rc != 0)
		return fail_socket(rc, e);
	br_ssl_engine_sendrec_ack(&t->client.eng, sent);
	return 1;
}

/* Takes bytes from the kernel: 1 something, 0 nothing there, -1; *ended: the peer has closed. */
static int pull(struct tls *t, bool *ended, struct err *e)
{
	size_t n, got;
	unsigned char *bytes = br_ssl_engine_recvrec_buf(&t->client.eng, &n);
	int rc = os_net_recv(t->fd, bytes, n, &got);

	*ended = false;
	if (rc == EAGAIN)
		return 0;
	if (rc != 0)
		return fail_socket(rc, e);
	*ended = got == 0;
	if (got > 0)
		br_ssl_engine_recvrec_ack(&t->client.eng, got);
	return 1;
}

/* Both directions as far as they go without waiting: 1 something moved, 0 not, -1. A peer that has stopped listening
 * may have said something before, so what came is looked at even when sending fails. */
static int turn(struct tls *t, unsigned state, short *events, bool *ended, struct err *e)
{
	int out = 0, in = 0;

	*ended = false;
	*events = 0;
	if (state & BR_SSL_SENDREC) {
		out = push(t, e);
		if (out > 0)
			return 1;
		*events = POLLOUT;
	}
	if (state & BR_SSL_RECVREC) {
		in = pull(t, ended, out < 0 ? NULL : e);
		*events |= POLLIN;
	}
	if (out < 0 && (in <= 0 || *ended))
		return -1;
	return in;
}

int tls_handshake(struct tls *t, short *events, struct err *e)
{
	for (;;) {
		unsigned state = br_ssl_engine_current_state(&t->client.eng);
		bool ended;
		int rc;

		if (state & BR_SSL_CLOSED)
			return fail_engine(t, e);
		if (state & BR_SSL_SENDAPP)
			break;
		rc = turn(t, state, events, &ended, e);
		if (rc <= 0)
			return rc;
		if (ended)
			return err_set(e, ERR_UNAVAILABLE, "the server closed the connection in the handshake");
	}
	end_handshake(t);
	return 1;
}

bool tls_session(const struct tls *t, struct tls_session *out)
{
	br_ssl_engine_get_session_parameters(&t->client.eng, &out->parameters);
	return out->parameters.session_id_len > 0;
}

bool tls_resumed(const struct tls *t)
{
	const br_ssl_session_parameters *now = &t->client.eng.session;

	return t->offered && now->session_id_len == t->offered_id_len &&
	       memcmp(now->session_id, t->offered_id, t->offered_id_len) == 0;
}

int tls_recv(struct tls *t, void *bytes, size_t n, size_t *got, short *events, struct err *e)
{
	br_ssl_engine_context *eng = &t->client.eng;

	*got = 0;
	for (;;) {
		unsigned state = br_ssl_engine_current_state(eng);
		bool ended;
		int rc;

		if (state & BR_SSL_RECVAPP) {
			size_t have;
			const unsigned char *from = br_ssl_engine_recvapp_buf(eng, &have);

			*got = have < n ? have : n;
			memcpy(bytes, from, *got);
			br_ssl_engine_recvapp_ack(eng, *got);
			return 1;
		}
		if (state & BR_SSL_CLOSED)
			return br_ssl_engine_last_error(eng) == BR_ERR_OK ? 1 : fail_engine(t, e);
		rc = turn(t, state, events, &ended, e);
		if (rc <= 0)
			return rc;
		if (ended) {
			t->truncated = true;
			return 1;
		}
	}
}

bool tls_truncated(const struct tls *t)
{
	return t->truncated;
}

bool tls_has_input(const struct tls *t)
{
	return (br_ssl_engine_current_state(&t->client.eng) & BR_SSL_RECVAPP) != 0;
}

int tls_send(struct tls *t, const void *bytes, size_t n, bool more, size_t *sent, short *events, struct err *e)
{
	br_ssl_engine_context *eng = &t->client.eng;
	const uint8_t *from = bytes;
	bool flushed = more;

	*sent = 0;
	*events = POLLOUT;
	for (;;) {
		unsigned state = br_ssl_engine_current_state(eng);

		if (state & BR_SSL_CLOSED) {
			if (br_ssl_engine_last_error(eng) == BR_ERR_OK)
				return err_set(e, ERR_UNAVAILABLE, "the server has ended the connection");
			return fail_engine(t, e);
		}
		if (state & BR_SSL_SENDREC) {
			int rc = push(t, e);

			if (rc < 0)
				return -1;
			/* What was taken is a complete record by now and goes out with the next call,
			 * also of tls_recv. */
			if (rc == 0)
				return *sent > 0;
		} else if (*sent < n && (state & BR_SSL_SENDAPP)) {
			size_t room;
			unsigned char *to = br_ssl_engine_sendapp_buf(eng, &room);

			if (room > n - *sent)
				room = n - *sent;
			memcpy(to, from + *sent, room);
			br_ssl_engine_sendapp_ack(eng, room);
			*sent += room;
		} else if (flushed || *sent < n) {
			return *sent > 0;
		} else {
			br_ssl_engine_flush(eng, 0);
			flushed = true;
		}
	}
}

/*
 * BearSSL has no call for this, but it keeps its place in the buffers as offsets: between two records, with nothing
 * read of the next one and nothing written to the one being filled, the bytes themselves mean nothing.
 */
bool tls_rest(struct tls *t)
{
	br_ssl_engine_context *eng = &t->client.eng;

	if (t->buffers == NULL)
		return true;
	if (br_ssl_engine_current_state(eng) != (BR_SSL_SENDAPP | BR_SSL_RECVREC) || eng->ixa != 0 || eng->ixb != 0 ||
	    eng->ixc != 5 || eng->oxa != eng->oxc)
		return false;
	free(t->buffers);
	t->buffers = eng->ibuf = eng->obuf = NULL;
	return true;
}

bool tls_wake(struct tls *t)
{
	br_ssl_engine_context *eng = &t->client.eng;

	if (t->buffers != NULL)
		return true;
	t->buffers = malloc(BR_SSL_BUFSIZE_BIDI);
	if (t->buffers == NULL)
		return false;
	eng->ibuf = t->buffers;
	eng->obuf = t->buffers + eng->ibuf_len;
	return true;
}

void tls_say_goodbye(struct tls *t)
{
	if (!tls_wake(t) || !(br_ssl_engine_current_state(&t->client.eng) & BR_SSL_SENDAPP))
		return;
	br_ssl_engine_close(&t->client.eng);
	while (br_ssl_engine_current_state(&t->client.eng) & BR_SSL_SENDREC)
		if (push(t, NULL) <= 0)
			return;
}
