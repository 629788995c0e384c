/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/os/fault.h"
#include "lib/os/net.h"
#include "lib/os/socket.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

static const char *listen_at(struct os_listener *l, const char *path, unsigned mode)
{
	static struct err e;

	err_clear(&e);
	return os_listen_unix(l, path, mode, &e) == 0 ? NULL : e.text;
}

/* "PATH" in a sentence becomes @. */
static const char *shown(const char *text, const char *path)
{
	static char out[ERR_TEXT_SIZE];
	const char *at = text ? strstr(text, path) : NULL;

	if (!at)
		return text;
	snprintf(out, sizeof(out), "%.*s@%s", (int)(at - text), text, at + strlen(path));
	return out;
}

static int mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? -1 : S_ISSOCK(st.st_mode) ? (int)(st.st_mode & 07777) : -2;
}

TEST(modes)
{
	static const unsigned modes[] = { 0600, 0660, 0666, 0777, 0640 };
	struct os_listener l;
	mode_t old = umask(077);

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const char *problem = listen_at(&l, tmppath("m"), modes[i]);
		int got = mode_of(tmppath("m"));

		os_listener_close(&l);
		if (problem || got != (int)modes[i] || mode_of(tmppath("m")) != -1) {
			umask(old);
			CHECK_FAIL("%o: %s, %o", modes[i], problem ? problem : "ok", (unsigned)got);
		}
	}
	umask(old);
}

TEST(a_stale_socket_is_replaced_and_a_live_one_is_not)
{
	struct os_listener first, second;
	const char *path = tmppath("stale");
	int fd;

	CHECK_STR(listen_at(&first, path, 0600), NULL);
	CHECK_STR(shown(listen_at(&second, path, 0600), path), "listen on unix socket: listen unix @: bind: address already in use");
	CHECK_INT(second.fd, -1);
	CHECK_INT(mode_of(path), 0600);
	close(first.fd); /* as if the process had died */
	first.fd = -1;
	usleep(20000); /* the kernel's file times are that coarse */
	CHECK_STR(listen_at(&second, path, 0600), NULL);
	/* The first does not take the second's away. */
	os_listener_close(&first);
	CHECK_INT(mode_of(path), 0600);
	CHECK_INT(os_accept(&second, &fd), EAGAIN);
	os_listener_close(&second);
	CHECK_INT(mode_of(path), -1);
	os_listener_close(&second);
}

TEST(what_is_no_socket_stays)
{
	struct os_listener l;
	const char *file = tmppath("file"), *link = tmppath("link"), *dir = tmppath("dir");
	int fd = open(file, O_CREAT | O_WRONLY, 0600);

	CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	CHECK_INT(symlink(file, link), 0);
	CHECK_INT(mkdir(dir, 0700), 0);
	CHECK_STR(shown(listen_at(&l, file, 0600), file), "socket path exists but is not a socket: @");
	CHECK_STR(shown(listen_at(&l, link, 0600), link), "socket path exists but is not a socket: @");
	CHECK_STR(shown(listen_at(&l, dir, 0600), dir), "socket path exists but is not a socket: @");
	CHECK_INT(access(file, F_OK), 0);
}

TEST(bad_paths)
{
	struct os_listener l;
	char longest[200];

	CHECK_STR(listen_at(&l, "", 0600), "socket path required");
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[108] = 0;
	CHECK(strstr(listen_at(&l, longest, 0600), ": bind: invalid argument"));
	CHECK(strstr(listen_at(&l, tmppath("none/s"), 0600), "listen on unix socket: listen unix /"));
	CHECK(strstr(listen_at(&l, tmppath("none/s"), 0600), ": bind: no such file or directory"));
}

/* A socket that takes datagrams is somebody's too. */
TEST(a_socket_of_another_kind)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct os_listener l;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	strcpy(address.sun_path, tmppath("dgram"));
	CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK(strstr(listen_at(&l, address.sun_path, 0600), "address already in use"));
	close(fd);
}

TEST(a_connection)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct os_listener l;
	char text[10] = "";
	size_t n;
	int client = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	strcpy(address.sun_path, tmppath("c"));
	CHECK_STR(listen_at(&l, address.sun_path, 0600), NULL);
	CHECK_INT(os_listener_port(&l), 0);
	CHECK_INT(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_INT(os_accept(&l, &fd), 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_INT(os_net_send(fd, "hello", 5, false, &n), 0);
	os_finish_sending(fd);
	CHECK_INT(read(client, text, 9), 5);
	CHECK_INT(read(client, text, 9), 0);
	CHECK_INT(write(client, "x", 1), 1);
	CHECK_INT(os_net_recv(fd, text, 9, &n), 0);
	os_net_close(fd);
	close(client);
	os_listener_close(&l);
}

/* Whatever call fails: an error, no descriptor and no file left. */
TEST(every_call_fails_once)
{
	const char *path = tmppath("fault");
	struct os_listener l;
	bool hit = true;

	for (uint64_t n = 1; hit; n++) {
		struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = n, .errnum = EIO };
		int free_fd = open("/dev/null", O_RDONLY), rc, now;
		const char *problem;

		close(free_fd);
		os_fault_set(&plan);
		problem = listen_at(&l, path, 0600);
		hit = os_fault_hit();
		os_fault_set(NULL);
		rc = problem ? -1 : 0;
		os_listener_close(&l);
		now = open("/dev/null", O_RDONLY);
		close(now);
		CHECK_INT(rc, hit ? -1 : 0);
		CHECK_INT(now, free_fd);
		CHECK_INT(mode_of(path), -1);
		CHECK(!hit || strstr(problem, "input/output error"));
	}
}

TEST(ports)
{
	struct os_listener all, one, again;
	struct err e = ERR_INIT;
	char wanted[100];
	int port;

	CHECK_OK(os_listen_tcp(&all, "", 0, &e), &e);
	CHECK(os_listener_port(&all) > 0);
	CHECK_OK(os_listen_tcp(&one, "127.0.0.1", 0, &e), &e);
	port = os_listener_port(&one);
	CHECK_INT(os_listen_tcp(&again, "127.0.0.1", port, &e), -1);
	snprintf(wanted, sizeof(wanted), "listen tcp 127.0.0.1:%d: bind: address already in use", port);
	CHECK_STR(e.text, wanted);
	os_listener_close(&one);
	CHECK_OK(os_listen_tcp(&again, "localhost", port, &e), &e);
	os_listener_close(&again);
	os_listener_close(&all);
	CHECK_INT(os_listen_tcp(&again, "192.0.2.1", 1, &e), -1);
	CHECK_STR(e.text, "listen tcp 192.0.2.1:1: bind: cannot assign requested address");
}

TEST_MAIN
