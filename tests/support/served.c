/* SPDX-License-Identifier: MIT */
#include "tests/support/served.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- TLS ---- */

struct bytes {
	unsigned char data[8192];
	size_t len;
};

static void append(void *ctx, const void *data, size_t n)
{
	struct bytes *b = ctx;

	if (n > sizeof(b->data) - b->len)
		abort();
	memcpy(b->data + b->len, data, n);
	b->len += n;
}

/* The DER of each object of a PEM text; how many. */
static int decode(const char *pem, struct bytes *out, int max)
{
	br_pem_decoder_context d;
	size_t n = strlen(pem);
	int count = 0;

	br_pem_decoder_init(&d);
	while (n > 0) {
		size_t used = br_pem_decoder_push(&d, pem, n);

		pem += used;
		n -= used;
		switch (br_pem_decoder_event(&d)) {
		case BR_PEM_BEGIN_OBJ:
			if (count == max)
				abort();
			/* "EC PARAMETERS" may stand in front of a key, but not in ours. */
			out[count].len = 0;
			br_pem_decoder_setdest(&d, append, &out[count]);
			break;
		case BR_PEM_END_OBJ:
			count++;
			break;
		default:
			break;
		}
	}
	return count;
}

struct identity {
	struct bytes der[4], key_der;
	br_x509_certificate chain[4];
	int chain_len;
	br_skey_decoder_context key;
};

static struct identity *identity_make(const char *certificate, const char *key)
{
	struct identity *id = malloc(sizeof(*id));

	if (id == NULL || decode(key, &id->key_der, 1) != 1)
		abort();
	id->chain_len = decode(certificate, id->der, 4);
	for (int i = 0; i < id->chain_len; i++)
		id->chain[i] = (br_x509_certificate){ id->der[i].data, id->der[i].len };
	br_skey_decoder_init(&id->key);
	br_skey_decoder_push(&id->key, id->key_der.data, id->key_der.len);
	if (br_skey_decoder_last_error(&id->key) != 0)
		abort();
	return id;
}

static int socket_read(void *ctx, unsigned char *bytes, size_t n)
{
	ssize_t rc;

	do
		rc = recv(*(int *)ctx, bytes, n, 0);
	while (rc < 0 && errno == EINTR);
	return rc > 0 ? (int)rc : -1;
}

static int socket_write(void *ctx, const unsigned char *bytes, size_t n)
{
	ssize_t rc;

	do
		rc = send(*(int *)ctx, bytes, n, MSG_NOSIGNAL);
	while (rc < 0 && errno == EINTR);
	return rc > 0 ? (int)rc : -1;
}

static void tls_begin(struct wire *w, const struct identity *id)
{
	unsigned char seed[32];

	w->tls = malloc(sizeof(*w->tls));
	w->tls_buffer = malloc(BR_SSL_BUFSIZE_BIDI);
	if (w->tls == NULL || w->tls_buffer == NULL)
		abort();
	if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA)
		br_ssl_server_init_full_rsa(w->tls, id->chain, (size_t)id->chain_len, br_skey_decoder_get_rsa(&id->key));
	else
		br_ssl_server_init_full_ec(w->tls, id->chain, (size_t)id->chain_len, BR_KEYTYPE_EC, br_skey_decoder_get_ec(&id->key));
	br_ssl_engine_set_buffer(&w->tls->eng, w->tls_buffer, BR_SSL_BUFSIZE_BIDI, 1);
	memset(seed, w->number, sizeof(seed));
	br_ssl_engine_inject_entropy(&w->tls->eng, seed, sizeof(seed));
	if (!w->server->no_sessions)
		br_ssl_server_set_cache(w->tls, &w->server->sessions.vtable);
	br_ssl_server_reset(w->tls);
	br_sslio_init(&w->io, &w->tls->eng, socket_read, &w->fd, socket_write, &w->fd);
}

/* ---- bytes ---- */

static bool fill(struct wire *w)
{
	ssize_t rc;

	if (w->in_at < w->in_len)
		return true;
	if (w->tls != NULL)
		rc = br_sslio_read(&w->io, w->in, sizeof(w->in));
	else
		rc = socket_read(&w->fd, (unsigned char *)w->in, sizeof(w->in));
	w->in_at = 0;
	w->in_len = rc > 0 ? (size_t)rc : 0;
	return rc > 0;
}

bool wire_read(struct wire *w, void *bytes, size_t n)
{
	char *to = bytes;

	while (n > 0) {
		size_t have;

		if (!fill(w))
			return false;
		have = w->in_len - w->in_at < n ? w->in_len - w->in_at : n;
		if (to != NULL) {
			memcpy(to, w->in + w->in_at, have);
			to += have;
		}
		w->in_at += have;
		n -= have;
	}
	return true;
}

bool wire_request(struct wire *w)
{
	size_t n = 0;

	while (n + 1 < sizeof(w->head)) {
		if (!wire_read(w, w->head + n, 1))
			return false;
		w->head[++n] = '\0';
		if (n >= 4 && memcmp(w->head + n - 4, "\r\n\r\n", 4) == 0) {
			atomic_fetch_add(&w->server->requests, 1);
			return true;
		}
	}
	return false;
}

bool wire_send(struct wire *w, const void *bytes, size_t n)
{
	const unsigned char *from = bytes;

	if (w->tls != NULL)
		return br_sslio_write_all(&w->io, from, n) == 0 && br_sslio_flush(&w->io) == 0;
	while (n > 0) {
		int rc = socket_write(&w->fd, from, n);

		if (rc < 0)
			return false;
		from += rc;
		n -= (size_t)rc;
	}
	return true;
}

bool wire_say(struct wire *w, const char *text)
{
	return wire_send(w, text, strlen(text));
}

bool wire_has(const struct wire *w, const char *text)
{
	return strcasestr(w->head, text) != NULL;
}

long long wire_length(const struct wire *w)
{
	const char *field = strcasestr(w->head, "\r\ncontent-length:");

	return field != NULL ? atoll(field + 17) : 0;
}

void wire_reset(struct wire *w)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	w->closed_by_reset = true;
}

/* ---- threads ---- */

static void *run_connection(void *ctx)
{
	struct wire *w = ctx;
	struct served *s = w->server;
	struct identity *id = NULL;

	if (s->certificate != NULL) {
		id = identity_make(s->certificate, s->key);
		tls_begin(w, id);
	}
	s->serve(w, s->ctx);
	free(w->tls);
	free(w->tls_buffer);
	free(id);
	pthread_mutex_lock(&s->lock);
	s->fds[w->number - 1] = -1;
	close(w->fd);
	pthread_mutex_unlock(&s->lock);
	free(w);
	return NULL;
}

static void *run_server(void *ctx)
{
	struct served *s = ctx;

	for (;;) {
		int one = 1, fd = accept(s->fd, NULL, NULL), n;
		struct wire *w;

		if (fd < 0 || atomic_load(&s->stopping)) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		w = calloc(1, sizeof(*w));
		pthread_mutex_lock(&s->lock);
		n = atomic_load(&s->connections);
		if (w == NULL || n == SERVED_CONNECTIONS_MAX)
			abort();
		w->server = s;
		w->fd = s->fds[n] = fd;
		w->number = n + 1;
		atomic_store(&s->connections, n + 1); /* before the client can hear of it */
		if (pthread_create(&s->threads[n], NULL, run_connection, w) != 0)
			abort();
		pthread_mutex_unlock(&s->lock);
	}
}

int served_start(struct served *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	pthread_mutex_init(&s->lock, NULL);
	br_ssl_session_cache_lru_init(&s->sessions, s->session_store, sizeof(s->session_store));
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s->fd, 64) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&a, &len) < 0)
		return -1;
	s->port = ntohs(a.sin_port);
	return pthread_create(&s->thread, NULL, run_server, s) == 0 ? 0 : -1;
}

void served_stop(struct served *s)
{
	atomic_store(&s->stopping, true);
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < atomic_load(&s->connections); i++)
		if (s->fds[i] >= 0)
			shutdown(s->fds[i], SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	for (int i = 0; i < atomic_load(&s->connections); i++)
		pthread_join(s->threads[i], NULL);
	pthread_mutex_destroy(&s->lock);
}
