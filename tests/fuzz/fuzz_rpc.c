/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a client of the control socket of a daemon without databases. What comes back to a raw JSON value is
 * nothing, or one line of JSON that is a reply or a list of replies; and the daemon has nothing left of the client
 * afterwards.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "json/json.h"
#include "lib/control/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct store *store; /* these two live as long as the program */
static struct control *control;
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static int refuse(void *ctx, const char *path, const char *word, struct err *e)
{
	(void)ctx;
	return err_set(e, ERR_INVALID, "%s at %s", word, path);
}

static void end(void)
{
	unlink(address.sun_path);
}

static void begin(void)
{
	static struct store_options so = STORE_OPTIONS_DEFAULT;
	static struct control_options co = {
		.version = "1", .config_path = "", .socket_path = "", .http_addr = "", .cwd = "/", .register_url = refuse,
		.register_config = refuse,
	};
	struct err e = ERR_INIT;

	loop = loop_create(&e);
	assert(loop);
	so.loop = co.loop = loop;
	so.workers = 0;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/rivulet-fuzz-%d.sock", (int)getpid());
	if (store_create(&so, &store, &e) < 0)
		abort();
	co.store = store;
	if (control_create(&co, &control, &e) < 0 || control_listen_socket(control, address.sun_path, 0600, &e) < 0)
		abort();
	atexit(end);
}

static void check_reply(const struct json_doc *d, const struct json_node *n)
{
	const struct json_node *result, *error;

	assert(n->type == JSON_OBJECT && n->count == 3);
	assert(json_member(d, n, "jsonrpc") && json_member(d, n, "id"));
	result = json_member(d, n, "result");
	error = json_member(d, n, "error");
	assert(!result != !error);
	assert(!error || (json_member(d, error, "code") && json_member(d, error, "message")));
}

static void check_replies(const struct buf *got)
{
	struct json_doc d;

	if (got->len == 0)
		return;
	assert(got->data[got->len - 1] == '\n');
	assert(json_parse(&d, buf_text(got), got->len, NULL) == 0 && d.used == got->len - 1);
	assert(d.nodes->type != JSON_ARRAY || d.nodes->count > 0);
	if (d.nodes->type != JSON_ARRAY)
		check_reply(&d, d.nodes);
	else
		for (const struct json_node *n = json_first(&d, d.nodes); n; n = json_next(&d, d.nodes, n))
			check_reply(&d, n);
	json_doc_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf got = { .data = NULL };
	uint8_t piece[65536];
	size_t sent = 0, blanks = 0;
	ssize_t n;
	int fd;

	if (!loop)
		begin();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	for (int i = 0; i < 1000; i++) {
		if (sent < size && (n = send(fd, data + sent, size - sent, MSG_NOSIGNAL)) > 0)
			sent += (size_t)n;
		if (sent == size)
			shutdown(fd, SHUT_WR);
		loop_once(loop, 0, NULL);
		n = recv(fd, piece, sizeof(piece), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (n > 0)
			buf_append(&got, piece, (size_t)n);
	}
	while (blanks < size && memchr(" \t\r\n", data[blanks], 4))
		blanks++;
	if (blanks < size && (data[blanks] == '{' || data[blanks] == '['))
		check_replies(&got);
	else
		assert(got.len == 0 || strncmp(buf_text(&got), "HTTP/1.1 ", 9) == 0);
	close(fd);
	for (int i = 0; i < 4; i++)
		loop_once(loop, 0, NULL);
	buf_free(&got);
	return 0;
}
