/* SPDX-License-Identifier: MIT */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "lib/os/process.h"
#include "tests/support/tmpdir.h"

static struct err err;

/* Runs `sh -c script` and gives its wait status, or -1. */
static int shell(const char *script)
{
	char sh[] = "sh", c[] = "-c", text[512];
	char *argv[] = { sh, c, text, NULL };
	pid_t pid, ended;
	int status, i;

	snprintf(text, sizeof(text), "%s", script);
	if (os_spawn(argv, &pid, &err) < 0)
		return -1;
	for (i = 0; i < 5000; i++) {
		if (os_reap(&ended, &status) == 1)
			return ended == pid ? status : -1;
		os_sleep_ms(1);
	}
	return -1;
}

static int write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? chmod(path, mode) : -1;
}

TEST(spawn_and_reap)
{
	pid_t pid;
	int status;

	CHECK_INT(os_reap(&pid, &status), 0);
	status = shell("exit 42");
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 42);
	CHECK_INT(os_reap(&pid, &status), 0);
}

TEST(child_finds_a_clean_room)
{
	sigset_t all, old;
	char script[512];
	int status, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setenv("RIVULET_TEST", "a b", 1);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	signal(SIGPIPE, SIG_IGN);
	/* stdin is at its end, the environment is ours, no descriptor but 0, 1, 2 (and the one ls opens), no signal
	 * blocked, SIGPIPE (bit 12) not ignored. */
	snprintf(script, sizeof(script), "read x; test \"$x$RIVULET_TEST\" = 'a b' || exit 1; "
	         "test ! -e /proc/self/fd/%d || exit 2; "
	         "grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status || exit 3; "
	         "grep -q '^SigIgn:.*[02468ace][0-9a-f][0-9a-f][0-9a-f]$' /proc/self/status || exit 4", fd);
	status = shell(script);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	close(fd);
	CHECK_INT(status, 0);
}

TEST(stdin_may_be_closed)
{
	int keep = fcntl(0, F_DUPFD_CLOEXEC, 10), status;

	close(0);
	status = shell("read x; test -e /proc/self/fd/0");
	if (keep >= 0) {
		dup2(keep, 0);
		close(keep);
	}
	CHECK_INT(status, 0);
}

TEST(spawn_errors)
{
	char none[] = "/none/x", unknown[] = "no-such-program-here", empty[] = "", path[256], want[300];
	char *argv[] = { none, NULL };
	pid_t pid;
	int status;

	CHECK_INT(os_spawn(argv, &pid, &err), -1);
	CHECK_INT(err.code, ERR_NOT_FOUND);
	CHECK_STR(err.text, "fork/exec /none/x: no such file or directory");
	argv[0] = unknown;
	CHECK_INT(os_spawn(argv, &pid, &err), -1);
	CHECK_INT(err.code, ERR_NOT_FOUND);
	CHECK_STR(err.text, "exec: \"no-such-program-here\": executable file not found in $PATH");
	argv[0] = empty;
	CHECK_INT(os_spawn(argv, &pid, &err), -1);
	CHECK_STR(err.text, "exec: \"\": executable file not found in $PATH");
	snprintf(path, sizeof(path), "%s", tmppath("plain"));
	CHECK_INT(write_file(path, "x", 0644), 0);
	argv[0] = path;
	CHECK_INT(os_spawn(argv, &pid, &err), -1);
	snprintf(want, sizeof(want), "fork/exec %s: permission denied", path);
	CHECK_STR(err.text, want);
	CHECK_INT(os_reap(&pid, &status), 0); /* no zombie of the failures */
}

TEST(path_is_searched)
{
	const char *old = getenv("PATH");
	char dirs[800], name[] = "prog", *argv[] = { name, NULL };
	pid_t pid = 0, ended = 0;
	int status = -1, rc, i;

	old = strdup(old != NULL ? old : "");
	/* Passed over: a missing folder, a folder of that name, a file that is not executable, a relative one. */
	mkdir(tmppath("p1"), 0755);
	mkdir(tmppath("p1/prog"), 0755);
	mkdir(tmppath("p2"), 0755);
	mkdir(tmppath("p3"), 0755);
	CHECK_INT(write_file(tmppath("p2/prog"), "#!/bin/sh\nexit 1\n", 0644), 0);
	CHECK_INT(write_file(tmppath("p3/prog"), "#!/bin/sh\nexit 3\n", 0755), 0);
	CHECK_INT(write_file(tmppath("prog"), "#!/bin/sh\nexit 4\n", 0755), 0);
	CHECK_INT(chdir(tmpdir()), 0);
	snprintf(dirs, sizeof(dirs), "/none::.:%s:%s:%s", tmppath("p1"), tmppath("p2"), tmppath("p3"));
	setenv("PATH", dirs, 1);
	rc = os_spawn(argv, &pid, &err);
	setenv("PATH", old, 1);
	CHECK_OK(rc, &err);
	for (i = 0; i < 5000 && os_reap(&ended, &status) == 0; i++)
		os_sleep_ms(1);
	CHECK_INT(ended, pid);
	CHECK_INT(WEXITSTATUS(status), 3);
	unsetenv("PATH");
	rc = os_spawn(argv, &pid, &err);
	setenv("PATH", old, 1);
	CHECK_INT(rc, -1);
	free((void *)(uintptr_t)old);
}

TEST(killing)
{
	char sleep_name[] = "sleep", long_time[] = "100", *argv[] = { sleep_name, long_time, NULL };
	pid_t pid, ended = 0;
	int status = 0, i;

	CHECK_OK(os_spawn(argv, &pid, &err), &err);
	CHECK_INT(os_reap(&ended, &status), 0);
	CHECK_INT(os_kill(pid, SIGTERM), 0);
	for (i = 0; i < 5000 && os_reap(&ended, &status) == 0; i++)
		os_sleep_ms(1);
	CHECK_INT(ended, pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	CHECK_INT(os_kill(pid, SIGTERM), -1);
}

TEST(descriptor_limit)
{
	struct rlimit old, low;
	int status;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), 0);
	if (old.rlim_max <= 100)
		SKIP("the hard limit of descriptors is too low");
	low = old;
	low.rlim_cur = 64;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
	CHECK_INT(os_raise_descriptor_limit(), old.rlim_max);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &low), 0);
	CHECK_INT(low.rlim_cur, old.rlim_max);
	CHECK_INT(os_raise_descriptor_limit(), old.rlim_max);
	status = shell("test $(ulimit -S -n) = 64"); /* children get what we were given */
	setrlimit(RLIMIT_NOFILE, &old);
	CHECK_INT(status, 0);
}

TEST(spawn_fault)
{
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = 1, .calls = OS_CALL_OTHER, .errnum = EAGAIN };
	int rc;

	os_fault_set(&plan);
	rc = shell("exit 0");
	os_fault_set(NULL);
	CHECK_INT(rc, -1);
	CHECK(strstr(err.text, "/sh: resource temporarily unavailable") != NULL);
}

/* A socket of a service manager, once with a name in the file system, once without. */
static int heard(const char *name, socklen_t len, char *out, size_t cap, const char *say)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), rc;
	ssize_t n;

	memcpy(at.sun_path, name, len);
	if (at.sun_path[0] == '@')
		at.sun_path[0] = '\0';
	if (bind(fd, (struct sockaddr *)&at, (socklen_t)offsetof(struct sockaddr_un, sun_path) + len))
		return -2;
	setenv("NOTIFY_SOCKET", name, 1);
	rc = os_notify(say, &err);
	unsetenv("NOTIFY_SOCKET");
	n = recv(fd, out, cap - 1, 0);
	out[n < 0 ? 0 : n] = '\0';
	close(fd);
	return rc;
}

TEST(notify)
{
	char got[100], name[64];
	const char *path = tmppath("notify");

	unsetenv("NOTIFY_SOCKET");
	CHECK_OK(os_notify("READY=1", &err), &err);
	CHECK_OK(heard(path, (socklen_t)strlen(path), got, sizeof(got), "READY=1\nSTATUS=x"), &err);
	CHECK_STR(got, "READY=1\nSTATUS=x");
	snprintf(name, sizeof(name), "@rivulet-test-%d", (int)getpid());
	CHECK_OK(heard(name, (socklen_t)strlen(name), got, sizeof(got), "STOPPING=1"), &err);
	CHECK_STR(got, "STOPPING=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	CHECK_INT(os_notify("x", &err), -1);
	setenv("NOTIFY_SOCKET", "/none/of/that/name", 1);
	CHECK_INT(os_notify("x", &err), -1);
	CHECK_STR(err.text, "notify /none/of/that/name: no such file or directory");
	unsetenv("NOTIFY_SOCKET");
}

TEST(ready)
{
	int ends[2];
	char got[4];

	CHECK_INT(pipe(ends), 0);
	CHECK_OK(os_inherit(ends[1], &err), &err);
	CHECK_INT(fcntl(ends[1], F_GETFD), FD_CLOEXEC);
	CHECK_OK(os_ready(ends[1], &err), &err);
	CHECK_INT(read(ends[0], got, sizeof(got)), 1);
	CHECK_INT(got[0], '\n');
	CHECK_INT(read(ends[0], got, sizeof(got)), 0); /* closed */
	close(ends[0]);
	CHECK_INT(os_inherit(ends[1], &err), -1);
	CHECK_INT(os_inherit(1, &err), -1);
	CHECK_INT(os_inherit(-1, &err), -1);
}

TEST_MAIN
