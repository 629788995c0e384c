/* SPDX-License-Identifier: MIT */
/* Names to addresses: getaddrinfo() on a thread that may be left behind. */
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/os/net.h"
#include "lib/os/point.h"
#include "lib/os/thread.h"

/* glibc's plugins want more than musl; only touched pages cost anything. */
enum { STACK_BYTES = 256 << 10 };

/* Threads that run or were left behind, over the whole process: what a dead name server may cost. */
static atomic_int lookups;

/* Shared by the thread and the one who waits; the last of both frees it. */
struct lookup {
	atomic_int holders;
	atomic_bool answered;
	int fd;      /* eventfd, readable when the thread is done */
	int code;    /* of getaddrinfo */
	int errnum;  /* for EAI_SYSTEM */
	int port;
	int count;
	struct os_addr addrs[OS_ADDRS_MAX];
	char host[];
};

static void drop(struct lookup *l)
{
	if (atomic_fetch_sub(&l->holders, 1) > 1)
		return;
	close(l->fd);
	free(l);
}

static void collect(struct lookup *l, const struct addrinfo *list)
{
	for (; list != NULL && l->count < OS_ADDRS_MAX; list = list->ai_next) {
		struct os_addr *a = &l->addrs[l->count];

		if (list->ai_addrlen > sizeof(a->u))
			continue;
		memset(a, 0, sizeof(*a));
		memcpy(&a->u, list->ai_addr, list->ai_addrlen);
		a->len = list->ai_addrlen;
		if (a->u.any.sa_family == AF_INET)
			a->u.v4.sin_port = htons((uint16_t)l->port);
		else if (a->u.any.sa_family == AF_INET6)
			a->u.v6.sin6_port = htons((uint16_t)l->port);
		else
			continue;
		l->count++;
	}
}

static void *look_up(void *ctx)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	struct lookup *l = ctx;
	uint64_t one = 1;

	os_thread_begin("resolver");
	l->code = getaddrinfo(l->host, NULL, &hints, &list);
	l->errnum = errno;
	if (l->code == 0) {
		collect(l, list);
		freeaddrinfo(list);
	}
	atomic_store(&l->answered, true); /* what was written above is there for who sees this */
	if (write(l->fd, &one, sizeof(one)) < 0)
		l->errnum = errno; /* cannot be: the counter is 0 */
	drop(l);
	atomic_fetch_sub(&lookups, 1);
	return NULL;
}

static int start_thread(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	int rc;

	rc = pthread_attr_init(&attr);
	if (rc != 0)
		return rc;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	os_thread_creating();
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, look_up, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

/* Whatever it was, it may be better the next time. */
static int fail_sys(struct err *e, int errnum, const char *host)
{
	err_sys(e, errnum, "lookup %s", host);
	if (e != NULL)
		e->code = ERR_UNAVAILABLE;
	return -1;
}

static struct lookup *start(const char *host, int port, struct err *e)
{
	struct lookup *l = calloc(1, sizeof(*l) + strlen(host) + 1);
	int rc;

	if (l == NULL) {
		err_nomem(e);
		return NULL;
	}
	strcpy(l->host, host);
	l->port = port;
	l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	atomic_store(&l->holders, 2);
	rc = l->fd < 0 ? errno : start_thread(l);
	if (rc == 0)
		return l;
	if (l->fd >= 0)
		close(l->fd);
	free(l);
	fail_sys(e, rc, host);
	return NULL;
}

/* As Go says it where the meaning is the same. */
static int fail(const struct lookup *l, struct err *e)
{
	switch (l->code) {
	case EAI_NONAME:
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
	case EAI_NODATA:
#endif
		return err_set(e, ERR_UNAVAILABLE, "lookup %s: no such host", l->host);
	case EAI_AGAIN:
		return err_set(e, ERR_UNAVAILABLE, "lookup %s: no answer from the name servers", l->host);
	case EAI_SYSTEM:
		return fail_sys(e, l->errnum, l->host);
	default:
		return err_set(e, ERR_UNAVAILABLE, "lookup %s: %s", l->host, gai_strerror(l->code));
	}
}

static int finish(const struct lookup *l, struct os_addr out[OS_ADDRS_MAX], int *count, struct err *e)
{
	if (l->code != 0)
		return fail(l, e);
	if (l->count == 0)
		return err_set(e, ERR_UNAVAILABLE, "lookup %s: no such host", l->host);
	memcpy(out, l->addrs, (size_t)l->count * sizeof(out[0]));
	*count = l->count;
	return 0;
}

int os_resolve(const char *host, int port, const struct os_wait *w, struct os_addr out[OS_ADDRS_MAX], int *count,
               struct err *e)
{
	struct pollfd p = { .events = POLLIN };
	struct lookup *l;
	int rc = -1;

	*count = 0;
	if (os_addr_literal(host, port, &out[0])) {
		*count = 1;
		return 0;
	}
	if (os_point(OS_CALL_NET) < 0)
		return fail_sys(e, errno, host);
	if (atomic_fetch_add(&lookups, 1) >= OS_LOOKUPS_MAX) {
		atomic_fetch_sub(&lookups, 1);
		return err_set(e, ERR_UNAVAILABLE, "lookup %s: %d lookups are waiting for name servers already", host,
		               OS_LOOKUPS_MAX);
	}
	l = start(host, port, e);
	if (l == NULL) {
		atomic_fetch_sub(&lookups, 1);
		return -1;
	}
	p.fd = l->fd;
	switch (os_net_poll(&p, 1, w)) {
	case OS_WAIT_READY:
		rc = atomic_load(&l->answered) ? finish(l, out, count, e) : fail_sys(e, EIO, host);
		break;
	case OS_WAIT_TIME:
		err_set(e, ERR_UNAVAILABLE, "lookup %s: no answer from the name servers in time", host);
		break;
	case OS_WAIT_CANCELLED:
		err_set(e, ERR_CANCELLED, "lookup %s: cancelled", host);
		break;
	}
	drop(l);
	return rc;
}
