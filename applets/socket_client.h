/* SPDX-License-Identifier: MIT */
/*
 * socket_client.h - a client of the control socket: one request, one answer, or an answer that goes on. Blocks until a
 * deadline. Small, because scripts call it often.
 */
#ifndef RIVULET_APPLETS_SOCKET_CLIENT_H
#define RIVULET_APPLETS_SOCKET_CLIENT_H

#include "http/message.h"

struct socket_client {
	int fd;
	int64_t until_us;    /* as os_mono_us(); INT64_MAX = no deadline */
	struct http_parser answer;
	uint8_t piece[4096];
	size_t at, len;      /* of what was read and not used yet */
};

/*
 * Connects and sends. timeout_s: 0 = for ever. body: JSON, NULL for GET. "failed to connect to control socket: dial
 * unix P: connect: no such file or directory". On failure nothing is open.
 */
int socket_client_begin(struct socket_client *c, const char *path, int64_t timeout_s, const char *target,
                        const char *body, struct err *e);
/* The head of the answer: its status in c->answer.status. */
int socket_client_head(struct socket_client *c, struct err *e);
/* More of the body; *bytes points into c until the next call; *n == 0: it is complete. "failed to read response: …" */
int socket_client_read(struct socket_client *c, const uint8_t **bytes, size_t *n, struct err *e);
void socket_client_end(struct socket_client *c);

/* All three at once. */
int socket_client_ask(const char *path, int64_t timeout_s, const char *target, const char *body, int *status,
                      struct buf *answer, struct err *e);

#endif
