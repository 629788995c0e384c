/* SPDX-License-Identifier: MIT */
/*
 * hosts.h - what the client remembers of the hosts it has talked to: the address family that worked, and the TLS
 * session to resume; for this room only.
 *
 * A few slots; the one used longest ago makes room. Whoever calls holds the client's lock.
 */
#ifndef RIVULET_HTTP_HOSTS_H
#define RIVULET_HTTP_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include "http/tls.h"

enum { HOSTS_MAX = 16, HOSTS_FAMILY_MS = 600000 };

struct host_slot {
	char *key; /* NULL = free */
	uint64_t used;
	int family;
	int64_t family_until_us;
	bool has_session;
	struct tls_session session;
};

struct hosts {
	uint64_t clock;
	struct host_slot slots[HOSTS_MAX];
};

int hosts_family(struct hosts *h, const char *key); /* AF_INET, AF_INET6; 0 = not known */
void hosts_set_family(struct hosts *h, const char *key, int family);
bool hosts_session(struct hosts *h, const char *key, struct tls_session *out);
void hosts_set_session(struct hosts *h, const char *key, const struct tls_session *s); /* NULL = forget */
void hosts_free(struct hosts *h);

#endif
