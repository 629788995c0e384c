/* SPDX-License-Identifier: MIT */
#include "lib/os/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"

enum { LOOK_MS = 50, WAIT_MS = 5000 };

/* The child leads a group of its own, so that what it starts ends with it; no signal is blocked in it. */
static int start(const char *command, int to, pid_t *pid, struct err *e)
{
	char *text = strdup(command), *sh[] = { (char[]){ "sh" }, (char[]){ "-c" }, text, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int rc;

	if (!text)
		return err_nomem(e);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn_file_actions_adddup2(&actions, to, 1);
	if (!rc)
		rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!rc)
		rc = posix_spawn(pid, "/bin/sh", &actions, &attributes, sh, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	free(text);
	return rc ? err_sys(e, rc, "run /bin/sh") : 0;
}

static int read_all(int from, char *out, size_t cap, size_t *n, int64_t timeout_ms, const atomic_bool *cancel,
                    struct err *e)
{
	int64_t end_us = os_mono_us() + timeout_ms * 1000;

	for (;;) {
		struct pollfd p = { .fd = from, .events = POLLIN };
		char more;

		if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
			return err_set(e, ERR_CANCELLED, "cancelled");
		if (os_mono_us() > end_us)
			return err_set(e, ERR_SYSTEM, "the command has not ended after %lld s",
			               (long long)(timeout_ms / 1000));
		int ready = poll(&p, 1, LOOK_MS);
		if (ready < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (ready <= 0)
			continue;
		ssize_t got = *n < cap ? read(from, out + *n, cap - *n) : read(from, &more, 1);
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(e, errno, "read the command's output");
		if (got == 0)
			return 0;
		if (got > 0 && *n == cap)
			return err_set(e, ERR_LIMIT, "the command writes more than %zu bytes", cap);
		if (got > 0)
			*n += (size_t)got;
	}
}

/* One that has closed its output but goes on is not waited for longer than a moment. */
static int wait_for(pid_t pid, struct err *e)
{
	int64_t kill_us = os_mono_us() + WAIT_MS * 1000;
	int status = 0;
	pid_t ended;

	while ((ended = waitpid(pid, &status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
		if (os_mono_us() > kill_us)
			kill(-pid, SIGKILL);
		os_sleep_ms(1);
	}
	if (ended < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return 0;
	return err_set(e, ERR_INVALID, "the command ended with status %d",
	               WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int os_capture(const char *command, char *out, size_t cap, size_t *n, int64_t timeout_ms, const atomic_bool *cancel,
               struct err *e)
{
	int ends[2], fault = os_fault_point(OS_CALL_OTHER, NULL), rc;
	pid_t pid;

	*n = 0;
	if (fault)
		return err_sys(e, fault, "run /bin/sh");
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, errno, "pipe");
	rc = start(command, ends[1], &pid, e);
	close(ends[1]);
	if (rc == 0) {
		rc = read_all(ends[0], out, cap, n, timeout_ms, cancel, e);
		if (rc != 0)
			kill(-pid, SIGKILL);
		if (wait_for(pid, rc == 0 ? e : NULL) != 0)
			rc = -1;
	}
	close(ends[0]);
	return rc;
}
