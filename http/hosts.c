/* SPDX-License-Identifier: MIT */
#include "http/hosts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/os/clock.h"

static struct host_slot *find(struct hosts *h, const char *key)
{
	for (int i = 0; i < HOSTS_MAX; i++) {
		struct host_slot *s = &h->slots[i];

		if (s->key != NULL && strcmp(s->key, key) == 0) {
			s->used = ++h->clock;
			return s;
		}
	}
	return NULL;
}

static void clear(struct host_slot *s)
{
	free(s->key);
	explicit_bzero(s, sizeof(*s)); /* it held the session's secret */
}

/* Never an error: without memory nothing is remembered. */
static struct host_slot *find_or_make(struct hosts *h, const char *key)
{
	struct host_slot *s = find(h, key), *oldest = &h->slots[0];

	if (s != NULL)
		return s;
	for (int i = 1; i < HOSTS_MAX; i++)
		if (h->slots[i].used < oldest->used)
			oldest = &h->slots[i];
	clear(oldest);
	oldest->key = strdup(key);
	oldest->used = oldest->key != NULL ? ++h->clock : 0;
	return oldest->key != NULL ? oldest : NULL;
}

int hosts_family(struct hosts *h, const char *key)
{
	struct host_slot *s = find(h, key);

	return s != NULL && os_mono_us() < s->family_until_us ? s->family : 0;
}

void hosts_set_family(struct hosts *h, const char *key, int family)
{
	struct host_slot *s = find_or_make(h, key);

	if (s == NULL)
		return;
	s->family = family;
	s->family_until_us = os_mono_us() + (int64_t)HOSTS_FAMILY_MS * 1000;
}

bool hosts_session(struct hosts *h, const char *key, struct tls_session *out)
{
	struct host_slot *s = find(h, key);

	if (s == NULL || !s->has_session)
		return false;
	*out = s->session;
	return true;
}

void hosts_set_session(struct hosts *h, const char *key, const struct tls_session *session)
{
	struct host_slot *s = session != NULL ? find_or_make(h, key) : find(h, key);

	if (s == NULL)
		return;
	s->has_session = session != NULL;
	if (session != NULL)
		s->session = *session;
	else
		explicit_bzero(&s->session, sizeof(s->session));
}

void hosts_free(struct hosts *h)
{
	for (int i = 0; i < HOSTS_MAX; i++)
		clear(&h->slots[i]);
}
