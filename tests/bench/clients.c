/* SPDX-License-Identifier: MIT */
/*
 * clients - who asks a control socket, many at a time from one thread, so that what is measured is the daemon.
 *
 *   clients ask SOCKET COUNT MS PAUSE_US DB TARGET [BODY]
 *           COUNT keep-alive connections ask one after the other for MS milliseconds; with a body it is a POST. After each
 *           answer PAUSE_US of rest. DB: the first connection commits a row there before each of its requests; "-": none.
 *           Prints {"answers":,"seconds":,"p50":,"p99":,"max":,"refused":}, times in milliseconds.
 *   clients hold SOCKET COUNT
 *           COUNT connections that have asked once; prints "held" and keeps them until standard input ends.
 *   clients churn SOCKET COUNT
 *           COUNT connections come, ask, and go, 200 at once; a third leaves without reading the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "sqlite3.h"

enum { HEAD_MAX = 4096, AT_ONCE = 200 };

struct client {
	int fd;
	char head[HEAD_MAX];
	size_t head_len;
	long long left; /* of the answer's body; -1: its head is not whole yet */
	double asked;
};

struct times {
	double *ms;
	size_t count, cap, refused;
};

struct commits {
	sqlite3 *db;
	sqlite3_stmt *insert;
};

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "clients: %s: %s\n", what, why);
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- one connection ---- */

static int dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket", strerror(errno));
	if (strlen(path) >= sizeof(a.sun_path))
		fail(path, "too long");
	strcpy(a.sun_path, path);
	while (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		if (errno != EAGAIN && errno != EINTR)
			fail(path, strerror(errno));
	return fd;
}

static void ask(struct client *c, const char *request, size_t n)
{
	c->head_len = 0;
	c->left = -1;
	c->asked = now_ms();
	for (size_t at = 0; at < n;) {
		ssize_t sent = send(c->fd, request + at, n - at, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			fail("send", strerror(errno));
		at += sent > 0 ? (size_t)sent : 0;
	}
}

/* The head is whole: how much of the body is still to come. */
static void read_head(struct client *c, char *end)
{
	char *length;

	*end = 0;
	length = strcasestr(c->head, "\r\ncontent-length:");
	if (!length)
		fail("answer without a length", c->head);
	c->left = strtoll(length + 17, NULL, 10) - (long long)(c->head_len - (size_t)(end + 4 - c->head));
}

/* 1: the answer is whole. */
static int take(struct client *c)
{
	static char piece[64 << 10];
	char *end;
	ssize_t got;

	if (c->left >= 0) {
		got = recv(c->fd, piece, sizeof(piece), 0);
		c->left -= got > 0 ? got : 0;
	} else {
		got = recv(c->fd, c->head + c->head_len, HEAD_MAX - 1 - c->head_len, 0);
		c->head_len += got > 0 ? (size_t)got : 0;
		c->head[c->head_len] = 0;
		end = strstr(c->head, "\r\n\r\n");
		if (end)
			read_head(c, end);
		else if (c->head_len == HEAD_MAX - 1)
			fail("answer", "its head is too long");
	}
	if (got <= 0)
		fail("the daemon closed", got < 0 ? strerror(errno) : "too early");
	return c->left == 0;
}

static char *make_request(const char *target, const char *body)
{
	char *text = NULL;
	int n = body ? asprintf(&text, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", target, strlen(body), body)
	             : asprintf(&text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);

	if (n < 0)
		fail("memory", "none left");
	return text;
}

/* ---- commits ---- */

static void commits_open(struct commits *m, const char *path)
{
	*m = (struct commits){ .db = NULL };
	if (strcmp(path, "-") == 0)
		return;
	if (sqlite3_open(path, &m->db) || sqlite3_busy_timeout(m->db, 10000) ||
	    sqlite3_exec(m->db, "PRAGMA synchronous = normal; CREATE TABLE IF NOT EXISTS asked (data BLOB)", NULL, NULL, NULL) ||
	    sqlite3_prepare_v2(m->db, "INSERT INTO asked VALUES (randomblob(200))", -1, &m->insert, NULL))
		fail(path, sqlite3_errmsg(m->db));
}

static void commit(struct commits *m)
{
	if (!m->db)
		return;
	if (sqlite3_step(m->insert) != SQLITE_DONE || sqlite3_reset(m->insert))
		fail("commit", sqlite3_errmsg(m->db));
}

static void commits_close(struct commits *m)
{
	sqlite3_finalize(m->insert);
	sqlite3_close(m->db);
}

/* ---- ask ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void keep(struct times *t, const struct client *c)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 4096;
		t->ms = realloc(t->ms, t->cap * sizeof(*t->ms));
		if (!t->ms)
			fail("memory", "none left");
	}
	t->ms[t->count++] = now_ms() - c->asked;
	t->refused += strncmp(c->head + 9, "200", 3) != 0;
}

static void print_times(struct times *t, double seconds)
{
	if (t->count == 0)
		fail("answers", "there were none");
	qsort(t->ms, t->count, sizeof(*t->ms), by_value);
	printf("{\"answers\":%zu,\"seconds\":%.6f,\"p50\":%.4f,\"p99\":%.4f,\"max\":%.4f,\"refused\":%zu}\n", t->count, seconds,
	       t->ms[t->count / 2], t->ms[t->count * 99 / 100], t->ms[t->count - 1], t->refused);
}

static void watch(int epoll, struct client *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		fail("epoll", strerror(errno));
}

static void run(int argc, char **argv)
{
	int count = atoi(argv[3]), epoll = epoll_create1(EPOLL_CLOEXEC), open = count;
	double began, until;
	char *request = make_request(argv[7], argc > 8 ? argv[8] : NULL);
	size_t n = strlen(request);
	struct client *all = calloc((size_t)count, sizeof(*all));
	struct times t = { .ms = NULL };
	struct commits m;

	if (!all || epoll < 0)
		fail("start", strerror(errno));
	commits_open(&m, argv[6]);
	began = now_ms();
	until = began + atof(argv[4]);
	for (int i = 0; i < count; i++) {
		all[i].fd = dial(argv[2]);
		watch(epoll, &all[i]);
		if (i == 0)
			commit(&m);
		ask(&all[i], request, n);
	}
	while (open > 0) {
		struct epoll_event ev[64];
		int ready = epoll_wait(epoll, ev, 64, -1);

		for (int i = 0; i < ready; i++) {
			struct client *c = ev[i].data.ptr;

			if (!take(c))
				continue;
			keep(&t, c);
			if (atoi(argv[5]) > 0)
				usleep((useconds_t)atoi(argv[5]));
			if (now_ms() >= until) {
				close(c->fd);
				open--;
				continue;
			}
			if (c == all)
				commit(&m);
			ask(c, request, n);
		}
	}
	print_times(&t, (now_ms() - began) / 1e3);
	commits_close(&m);
	close(epoll);
	free(t.ms);
	free(all);
	free(request);
}

/* ---- hold, churn ---- */

static void hold(const char *path, int count)
{
	char *request = make_request("/info", NULL), byte;
	struct client c;

	for (int i = 0; i < count; i++) {
		c.fd = dial(path);
		ask(&c, request, strlen(request));
		while (!take(&c))
			;
	}
	free(request);
	puts("held");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

static void churn(const char *path, int count)
{
	char *request = make_request("/list", NULL);
	struct client *c = calloc(AT_ONCE, sizeof(*c));

	if (!c)
		fail("memory", "none left");
	for (int done = 0; done < count; done += AT_ONCE) {
		for (int i = 0; i < AT_ONCE; i++) {
			c[i].fd = dial(path);
			ask(&c[i], request, strlen(request));
		}
		for (int i = 0; i < AT_ONCE; i++) {
			while (i % 3 && !take(&c[i]))
				;
			close(c[i].fd);
		}
	}
	free(c);
	free(request);
}

int main(int argc, char **argv)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
	if (argc >= 8 && strcmp(argv[1], "ask") == 0) {
		run(argc, argv);
	} else if (argc == 4 && strcmp(argv[1], "hold") == 0) {
		hold(argv[2], atoi(argv[3]));
	} else if (argc == 4 && strcmp(argv[1], "churn") == 0) {
		churn(argv[2], atoi(argv[3]));
	} else {
		fprintf(stderr, "usage: clients ask|hold|churn SOCKET COUNT ... (see the source)\n");
		return 2;
	}
	return 0;
}
