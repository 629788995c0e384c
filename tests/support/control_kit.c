/* SPDX-License-Identifier: MIT */
#include "tests/support/control_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/os/clock.h"

/* ---- callbacks, simple ones ---- */

static int register_url(void *ctx, const char *path, const char *url, struct err *e)
{
	struct control_kit *t = ctx;
	struct managed_options o = MANAGED_OPTIONS_DEFAULT;

	if (replica_from_url(url, &o.replicas[0].replica, e)) {
		e->code = ERR_INVALID;
		return -1;
	}
	o.db.path = path;
	if (!store_add(t->k.store, &o, NULL, e))
		return 0;
	replica_free(o.replicas[0].replica);
	return err_wrap(e, "open db");
}

static int register_config(void *ctx, const char *path, const char *config, struct err *e)
{
	struct control_kit *t = ctx;

	if (strcmp(config, "/good.yml") != 0)
		return err_set(e, ERR_NOT_FOUND, "read config file: config file not found: %s", config);
	if (store_find(t->k.store, path))
		return 0;
	return register_url(ctx, path, "file:///tmp/rivulet-none", e);
}

static void persist(void *ctx, const char *path, bool enabled, const char *config, void (*done)(void *arg), void *arg)
{
	struct control_kit *t = ctx;
	size_t n = strlen(t->persisted);

	(void)path;
	snprintf(t->persisted + n, sizeof(t->persisted) - n, "%s %s\n", enabled ? "on" : "off", config ? config : "-");
	t->persist_done = done;
	t->persist_arg = arg;
	if (!t->persist_later)
		done(arg);
}

/* ---- begin, end ---- */

bool ck_start(struct control_kit *t)
{
	struct control *c;

	control_free(t->c);
	t->c = NULL;
	if (control_create(&t->o, &c, &t->k.e) || control_listen_socket(c, t->socket, 0600, &t->k.e)) {
		printf("%s\n", t->k.e.text);
		return false;
	}
	t->c = c;
	return true;
}

bool ck_begin(struct control_kit *t, const char *name, int databases)
{
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < 8; i++)
		t->fds[i] = -1;
	if (!sk_begin(&t->k, name, databases))
		return false;
	for (int i = 0; i < databases; i++)
		if (!sk_add(&t->k, i, 1))
			return false;
	snprintf(t->socket, sizeof(t->socket), "/tmp/rivulet-%s-%d.sock", name, (int)getpid());
	t->o = (struct control_options){
		.loop = t->k.loop, .store = t->k.store, .version = "1.2.3", .config_path = "/c.yml", .socket_path = "/s.sock",
		.http_addr = "", .cwd = "/work", .home = "/home/me", .register_url = register_url,
		.register_config = register_config, .persist_state = persist, .ctx = t,
	};
	return ck_start(t);
}

void ck_end(struct control_kit *t)
{
	for (int i = 0; i < 8; i++)
		ck_close(t, i);
	control_free(t->c);
	sk_run(&t->k, 0);
	unlink(t->socket);
	sk_end(&t->k);
}

/* ---- texts ---- */

static void replace(char *text, size_t room, const char *from, const char *to)
{
	char *at = text;

	while ((at = strstr(at, from)) != NULL) {
		size_t a = strlen(from), b = strlen(to), rest = strlen(at + a) + 1;

		if (strlen(text) + b + 1 > room + a)
			abort();
		memmove(at + b, at + a, rest);
		memcpy(at, to, b);
		at += b;
	}
}

static void paths(struct control_kit *t, char *text, size_t room, bool shorten)
{
	char name[4];

	for (int i = 0; i < SK_DATABASES && t->k.g[i].dir[0]; i++) {
		snprintf(name, sizeof(name), "P%d", i);
		replace(text, room, shorten ? t->k.g[i].path : name, shorten ? name : t->k.g[i].path);
	}
}

/* ---- asking ---- */

void ck_turn(struct control_kit *t, int rounds)
{
	while (rounds-- > 0)
		loop_once(t->k.loop, 0, NULL);
}

static int dial(struct control_kit *t)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, t->socket);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	return fd;
}

/* Until the other side closes; false when that does not happen within the time. */
static bool hear_all(struct control_kit *t, int fd, int seconds)
{
	int64_t until = os_mono_us() + (int64_t)seconds * SK_SECOND;
	size_t n = 0;

	do {
		ssize_t got;

		ck_turn(t, 4);
		while ((got = recv(fd, t->text + n, sizeof(t->text) - 2000 - n, 0)) > 0)
			n += (size_t)got;
		t->text[n] = 0;
		if (got == 0)
			return true;
	} while (sk_run(&t->k, os_mono_us() < until ? 50000 : 0) && os_mono_us() < until);
	return false;
}

static void send_request(struct control_kit *t, int fd, const char *method, const char *target, const char *fields, const char *body)
{
	static char request[64 << 10];

	snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n%s", method, target,
	         body ? strlen(body) : 0, fields, body ? body : "");
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		perror("send");
	ck_turn(t, 2);
}

const char *ck_ask(struct control_kit *t, const char *method, const char *target, const char *body, const char *show, int seconds)
{
	int fd = dial(t);
	char *head_end, *field, value[200] = "", code[4] = "";
	bool whole;

	send_request(t, fd, method, target, "Connection: close\r\n", body);
	whole = hear_all(t, fd, seconds);
	close(fd);
	ck_turn(t, 3);
	if (!whole)
		return "no answer";
	head_end = strstr(t->text, "\r\n\r\n");
	if (strncmp(t->text, "HTTP/1.1 ", 9) != 0 || !head_end)
		return "no HTTP answer";
	memcpy(code, t->text + 9, 3);
	head_end[2] = 0;
	if (show && (field = strstr(t->text, show)) != NULL)
		snprintf(value, sizeof(value), " %.*s", (int)strcspn(field + strlen(show), "\r"), field + strlen(show));
	memmove(t->text + 300, head_end + 4, strlen(head_end + 4) + 1);
	memmove(t->text, t->text + 300, strlen(t->text + 300) + 1);
	if (*t->text && t->text[strlen(t->text) - 1] == '\n')
		t->text[strlen(t->text) - 1] = 0;
	memmove(t->text + strlen(value) + 4, t->text, strlen(t->text) + 1);
	memcpy(t->text, code, 3);
	memcpy(t->text + 3, value, strlen(value));
	t->text[3 + strlen(value)] = ' ';
	paths(t, t->text, sizeof(t->text), true);
	return t->text;
}

/* P0 and ' in what a test writes. */
static const char *written(struct control_kit *t, const char *text)
{
	static char out[64 << 10];

	snprintf(out, sizeof(out), "%s", text);
	for (char *s = out; *s; s++)
		if (*s == '\'')
			*s = '"';
	paths(t, out, sizeof(out), false);
	return out;
}

const char *ck_get(struct control_kit *t, const char *target)
{
	static char copy[1000];

	snprintf(copy, sizeof(copy), "%s", written(t, target));
	return ck_ask(t, "GET", copy, NULL, NULL, 40);
}

const char *ck_post(struct control_kit *t, const char *target, const char *body)
{
	return ck_ask(t, "POST", target, written(t, body), NULL, 40);
}

const char *ck_rpc(struct control_kit *t, const char *text)
{
	return ck_post(t, "/control/", text);
}

const char *ck_raw(struct control_kit *t, const char *text)
{
	const char *request = written(t, text);
	int fd = dial(t);
	bool whole;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		perror("send");
	whole = hear_all(t, fd, 40);
	close(fd);
	ck_turn(t, 3);
	paths(t, t->text, sizeof(t->text), true);
	return whole ? t->text : "no answer";
}

/* ---- connections that stay ---- */

int ck_open(struct control_kit *t, const char *method, const char *target, const char *fields, const char *body)
{
	int i = 0;

	while (t->fds[i] >= 0)
		i++;
	t->fds[i] = dial(t);
	ck_turn(t, 2);
	send_request(t, t->fds[i], method, target, fields, body ? written(t, body) : NULL);
	return i;
}

const char *ck_read(struct control_kit *t, int i)
{
	ssize_t got;

	ck_turn(t, 3);
	got = recv(t->fds[i], t->text, sizeof(t->text) - 1, 0);
	if (got == 0)
		return "<end>";
	t->text[got > 0 ? got : 0] = 0;
	paths(t, t->text, sizeof(t->text), true);
	return t->text;
}

void ck_close(struct control_kit *t, int i)
{
	if (t->fds[i] >= 0)
		close(t->fds[i]);
	t->fds[i] = -1;
	if (t->k.loop)
		ck_turn(t, 2);
}
