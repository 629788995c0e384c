/* SPDX-License-Identifier: MIT */
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "http/server_parts.h"
#include "lib/os/clock.h"
#include "lib/os/net.h"
#include "lib/os/process.h"

enum {
	CONNECTIONS_MAX = 10000, BODY_MAX = 1 << 20, IDLE_MS = 5 * 60 * 1000, REQUEST_MS = 60 * 1000,
	ACCEPTS_PER_ROUND = 64, ACCEPT_LATER_MS = 100,
};

/* ---- lists, states, timers ---- */

static void list_add(struct peer_list *list, struct peer *p)
{
	p->next = NULL;
	p->link = list->end;
	*list->end = p;
	list->end = &p->next;
}

static void list_remove(struct peer_list *list, struct peer *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	else
		list->end = p->link;
}

static struct peer_list *list_of(struct peer *p)
{
	return p->state == PEER_READING ? &p->s->waiting : &p->s->busy;
}

void peer_state(struct peer *p, enum peer_state state)
{
	list_remove(list_of(p), p);
	p->state = state;
	list_add(list_of(p), p);
}

void peer_timeout(struct peer *p, int64_t ms)
{
	int64_t slack_ms = ms / 8 < 1000 ? ms / 8 : 1000;

	loop_timer_set(p->s->o.loop, &p->timer, os_mono_us() + ms * 1000, slack_ms * 1000);
}

void peer_watch(struct peer *p)
{
	uint32_t events = 0;

	if (p->dead || p->broken)
		return;
	if ((p->state == PEER_READING && p->in.len == 0) || p->state == PEER_LINGER)
		events |= EPOLLIN;
	if (p->out.len > p->sent)
		events |= EPOLLOUT;
	if (events == p->events)
		return;
	if (loop_fd_change(p->s->o.loop, &p->w, events, NULL) == 0) {
		p->events = events;
		return;
	}
	p->broken = true;
	peer_timeout(p, 0);
}

/* ---- peers ---- */

static void accept_again(struct http_server *s);

void peer_drop(struct peer *p)
{
	struct http_server *s = p->s;
	struct exchange *x = p->x;

	if (p->dead)
		return;
	p->dead = true;
	list_remove(list_of(p), p);
	loop_fd_remove(s->o.loop, &p->w);
	loop_timer_clear(s->o.loop, &p->timer);
	os_net_close(p->w.fd);
	s->count--;
	if (x && (p->state == PEER_HANDLING || p->state == PEER_STREAMING)) {
		s->open_requests--;
		if (x->rq.gone)
			x->rq.gone(&x->rq);
	}
	exchange_end(p);
	buf_free(&p->in);
	buf_free(&p->out);
	if (p->depth == 0)
		free(p);
	if (loop_timer_armed(&s->accept_later))
		accept_again(s);
}

static void peer_add(struct listening *l, int fd)
{
	struct http_server *s = l->s;
	struct peer *p = calloc(1, sizeof(*p));

	if (p) {
		p->w.fd = fd;
		p->w.ready = peer_ready;
	}
	if (!p || loop_fd_add(s->o.loop, &p->w, EPOLLIN, NULL) < 0) {
		free(p);
		os_net_close(fd);
		return;
	}
	p->s = s;
	p->timer.fire = peer_timer;
	p->events = EPOLLIN;
	p->listener = l->number;
	p->is_unix = l->socket.path != NULL;
	p->fresh = true;
	p->state = PEER_READING;
	list_add(&s->waiting, p);
	s->count++;
	peer_timeout(p, s->o.idle_ms);
}

/* ---- accepting ---- */

/* Makes room by closing who keeps us waiting longest. */
static bool drop_oldest(struct http_server *s)
{
	if (!s->waiting.first)
		return false;
	peer_drop(s->waiting.first);
	return true;
}

static void refuse_connection(int fd)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
	                             "Content-Length: 0\r\nConnection: close\r\n\r\n";
	size_t sent;

	(void)os_net_send(fd, answer, sizeof(answer) - 1, false, &sent);
	os_net_close(fd);
}

static void accept_ready(struct loop_fd *w, uint32_t events)
{
	struct listening *l = (struct listening *)w;
	struct http_server *s = l->s;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
		int fd, errnum = os_accept(&l->socket, &fd);

		if (errnum == EAGAIN)
			return;
		if (errnum == ECONNABORTED || (errnum != 0 && drop_oldest(s)))
			continue;
		if (errnum != 0) {
			/* Nothing to give up: the kernel keeps them until something is closed,
			 * or a moment has passed. */
			for (int n = 0; n < s->listener_count; n++)
				(void)loop_fd_change(s->o.loop, &s->listeners[n]->w, 0, NULL);
			loop_timer_set(s->o.loop, &s->accept_later, os_mono_us() + ACCEPT_LATER_MS * 1000, 0);
			return;
		}
		if (s->count >= s->o.connections_max && !drop_oldest(s))
			refuse_connection(fd);
		else
			peer_add(l, fd);
	}
}

static void accept_again(struct http_server *s)
{
	loop_timer_clear(s->o.loop, &s->accept_later);
	for (int n = 0; n < s->listener_count; n++)
		(void)loop_fd_change(s->o.loop, &s->listeners[n]->w, EPOLLIN, NULL);
}

static void accept_timer(struct loop_timer *t)
{
	accept_again((struct http_server *)((char *)t - offsetof(struct http_server, accept_later)));
}

/* ---- the server ---- */

int http_server_create(const struct http_server_options *o, struct http_server **out, struct err *e)
{
	struct http_server *s = calloc(1, sizeof(*s));
	long descriptors = os_raise_descriptor_limit();

	if (!s)
		return err_nomem(e);
	s->o = *o;
	if (s->o.connections_max == 0)
		s->o.connections_max = CONNECTIONS_MAX;
	/* The databases need theirs. */
	if (descriptors > 0 && s->o.connections_max > descriptors / 2)
		s->o.connections_max = (int)(descriptors / 2);
	if (s->o.body_max == 0)
		s->o.body_max = BODY_MAX;
	if (s->o.idle_ms == 0)
		s->o.idle_ms = IDLE_MS;
	if (s->o.request_ms == 0)
		s->o.request_ms = REQUEST_MS;
	s->waiting.end = &s->waiting.first;
	s->busy.end = &s->busy.first;
	s->accept_later.fire = accept_timer;
	*out = s;
	return 0;
}

static int add_listener(struct http_server *s, struct os_listener *socket, struct err *e)
{
	struct listening *l = calloc(1, sizeof(*l));

	assert(s->listener_count < HTTP_LISTENERS_MAX && !s->stopping);
	if (!l) {
		os_listener_close(socket);
		return err_nomem(e);
	}
	*l = (struct listening){
		.w = { .ready = accept_ready, .fd = socket->fd }, .s = s, .socket = *socket,
		.number = s->listener_count,
	};
	if (loop_fd_add(s->o.loop, &l->w, EPOLLIN, e) < 0) {
		os_listener_close(&l->socket);
		free(l);
		return -1;
	}
	s->listeners[s->listener_count++] = l;
	return l->number;
}

int http_server_listen_unix(struct http_server *s, const char *path, unsigned mode, struct err *e)
{
	struct os_listener socket;

	return os_listen_unix(&socket, path, mode, e) < 0 ? -1 : add_listener(s, &socket, e);
}

/* HOST:PORT, [HOST]:PORT; the host is cut out of addr. false if that is not its form. */
static bool split_address(char *addr, char **host, int *port)
{
	char *colon = strrchr(addr, ':'), *end;
	long value;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return false;
	value = strtol(colon + 1, &end, 10);
	if (*end || value > 65535)
		return false;
	*port = (int)value;
	*colon = 0;
	*host = addr;
	if (*addr != '[')
		return strchr(addr, ':') == NULL;
	if (colon[-1] != ']')
		return false;
	colon[-1] = 0;
	*host = addr + 1;
	return true;
}

int http_server_listen_tcp(struct http_server *s, const char *addr, struct err *e)
{
	struct os_listener socket;
	char *copy = strdup(addr), *host;
	int port, rc;

	if (!copy)
		return err_nomem(e);
	if (!split_address(copy, &host, &port))
		rc = err_set(e, ERR_INVALID, "must specify port for bind address: \"%s\"", addr);
	else
		rc = os_listen_tcp(&socket, host, port, e);
	free(copy);
	return rc < 0 ? -1 : add_listener(s, &socket, e);
}

int http_server_port(const struct http_server *s, int listener)
{
	assert(listener >= 0 && listener < s->listener_count);
	return os_listener_port(&s->listeners[listener]->socket);
}

void http_server_stop(struct http_server *s)
{
	struct peer *p, *next;

	s->stopping = true;
	loop_timer_clear(s->o.loop, &s->accept_later);
	for (int n = 0; n < s->listener_count; n++) {
		loop_fd_remove(s->o.loop, &s->listeners[n]->w);
		os_listener_close(&s->listeners[n]->socket);
		free(s->listeners[n]);
	}
	s->listener_count = 0;
	for (p = s->waiting.first; p; p = next) {
		next = p->next;
		peer_drop(p);
	}
}

int http_server_busy(const struct http_server *s)
{
	int busy = s->open_requests;

	for (const struct peer *p = s->busy.first; p; p = p->next)
		busy += p->state == PEER_SENDING;
	return busy;
}

int http_server_connections(const struct http_server *s)
{
	return s->count;
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	http_server_stop(s);
	while (s->busy.first)
		peer_drop(s->busy.first);
	assert(s->count == 0 && s->open_requests == 0);
	free(s);
}
