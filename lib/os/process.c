/* SPDX-License-Identifier: MIT */
#include "lib/os/process.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/crc64.h"
#include "lib/os/point.h"

/* The limit as we found it, for our children: a program that uses select() must not be given more than it expects. */
static struct rlimit found_limit;
static bool limit_raised;

/* Looks argv[0] up as Go does: a name with a slash is taken as it is, else the first executable file in PATH. Relative
 * entries of PATH are passed over. malloc'ed in *path. */
static int look_up(const char *name, char **path, struct err *e)
{
	const char *dirs = getenv("PATH"), *dir;
	size_t len = strlen(name), n;
	struct stat st;

	*path = NULL;
	if (strchr(name, '/') != NULL) {
		*path = strdup(name);
		return *path != NULL ? 0 : err_nomem(e);
	}
	for (dir = dirs != NULL ? dirs : ""; len > 0 && *dir != '\0'; dir += n + (dir[n] == ':')) {
		n = strcspn(dir, ":");
		if (*dir != '/')
			continue;
		*path = malloc(n + len + 2);
		if (*path == NULL)
			return err_nomem(e);
		memcpy(*path, dir, n);
		(*path)[n] = '/';
		memcpy(*path + n + 1, name, len + 1);
		if (stat(*path, &st) == 0 && S_ISREG(st.st_mode) && access(*path, X_OK) == 0)
			return 0;
		free(*path);
		*path = NULL;
	}
	return err_set(e, ERR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH", name);
}

/* In the child: only what is safe while other threads of the parent may have held any lock. */
__attribute__((noreturn)) static void run_child(const char *path, char *const argv[], int null_fd, int report_fd)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;
	int errnum;

	if (null_fd == STDIN_FILENO ? fcntl(null_fd, F_SETFD, 0) < 0 : dup2(null_fd, STDIN_FILENO) < 0)
		goto fail;
	if (limit_raised)
		(void)prlimit(0, RLIMIT_NOFILE, &found_limit, NULL); /* setrlimit() of musl may stop threads */
	/* We ignore SIGPIPE, and that outlives an exec. */
	sigemptyset(&action.sa_mask);
	sigaction(SIGPIPE, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(path, argv, environ);
fail:
	errnum = errno;
	if (write(report_fd, &errnum, sizeof(errnum)) < 0)
		_exit(126);
	_exit(127);
}

/* Waits until the child has become the program (0) or has failed to (its errno). */
static int read_report(int fd, pid_t pid)
{
	int errnum = 0;
	ssize_t n;

	do
		n = read(fd, &errnum, sizeof(errnum));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(errnum))
		return 0;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return errnum;
}

int os_spawn(char *const argv[], pid_t *pid, struct err *e)
{
	int null_fd = -1, report[2] = { -1, -1 }, errnum = 0, rc = -1;
	pid_t child = -1;
	char *path;

	if (look_up(argv[0], &path, e) < 0)
		return -1;
	/* First, so that it and not the pipe gets descriptor 0 where that is closed. */
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0) {
		err_sys(e, errno, "open /dev/null");
		goto out;
	}
	if (os_point(OS_CALL_OTHER) == 0 && pipe2(report, O_CLOEXEC) == 0)
		child = fork();
	if (child == 0)
		run_child(path, argv, null_fd, report[1]);
	if (child < 0) {
		errnum = errno;
	} else {
		close(report[1]);
		report[1] = -1;
		errnum = read_report(report[0], child);
	}
	if (errnum != 0) {
		err_sys(e, errnum, "fork/exec %s", path);
		goto out;
	}
	*pid = child;
	rc = 0;
out:
	if (report[0] >= 0)
		close(report[0]);
	if (report[1] >= 0)
		close(report[1]);
	if (null_fd >= 0)
		close(null_fd);
	free(path);
	return rc;
}

int os_reap(pid_t *pid, int *status)
{
	pid_t ended;

	do
		ended = waitpid(-1, status, WNOHANG);
	while (ended < 0 && errno == EINTR);
	if (ended <= 0)
		return 0;
	*pid = ended;
	return 1;
}

int os_kill(pid_t pid, int signal_number)
{
	assert(pid > 0);
	return kill(pid, signal_number);
}

long os_raise_descriptor_limit(void)
{
	struct rlimit limit, raised;

	if (prlimit(0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return -1;
	raised = limit;
	raised.rlim_cur = raised.rlim_max;
	if (limit.rlim_cur != limit.rlim_max && prlimit(0, RLIMIT_NOFILE, &raised, NULL) == 0) {
		found_limit = limit;
		limit_raised = true;
		limit = raised;
	}
	return limit.rlim_cur < (rlim_t)LONG_MAX ? (long)limit.rlim_cur : LONG_MAX;
}

const char *os_signal_name(int signal_number)
{
	static char name[40];
	const char *text = strsignal(signal_number);

	name[0] = '\0';
	strncat(name, text != NULL ? text : "unknown signal", sizeof(name) - 1);
	if (name[0] >= 'A' && name[0] <= 'Z')
		name[0] = (char)(name[0] + 'a' - 'A');
	return name;
}

void os_ignore_broken_pipes(void)
{
	signal(SIGPIPE, SIG_IGN);
}

/* ---- telling our parent ---- */

int os_notify(const char *text, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *name = getenv("NOTIFY_SOCKET");
	size_t n = name ? strlen(name) : 0, sent;
	int fd;

	if (!n)
		return 0;
	if (n >= sizeof(to.sun_path) || (name[0] != '/' && name[0] != '@'))
		return err_set(e, ERR_INVALID, "NOTIFY_SOCKET: not the name of a socket: %s", name);
	memcpy(to.sun_path, name, n);
	if (name[0] == '@')
		to.sun_path[0] = '\0'; /* of the abstract kind: as long as it is, without a NUL */
	fd = os_point(OS_CALL_OTHER) < 0 ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	do
		sent = (size_t)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to,
		                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	while (sent == SIZE_MAX && errno == EINTR);
	if (sent != strlen(text))
		err_sys(e, errno, "notify %s", name);
	close(fd);
	return sent == strlen(text) ? 0 : -1;
}

int os_inherit(int fd, struct err *e)
{
	if (fd < 3)
		return err_set(e, ERR_INVALID, "descriptor %d is not one to be taken over", fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, errno, "descriptor %d", fd);
	return 0;
}

int os_ready(int fd, struct err *e)
{
	ssize_t rc;

	do
		rc = os_point(OS_CALL_WRITE) < 0 ? -1 : write(fd, "\n", 1);
	while (rc < 0 && errno == EINTR);
	if (rc != 1)
		err_sys(e, errno, "write to descriptor %d", fd);
	close(fd);
	return rc == 1 ? 0 : -1;
}

pid_t os_pid(void)
{
	return getpid();
}

uint64_t os_boot_id(void)
{
	static _Atomic uint64_t known;
	uint64_t id = atomic_load(&known);
	char text[64];
	ssize_t n;
	int fd;

#ifdef OS_FAULTS
	if (os_fault_boot_id())
		return os_fault_boot_id();
#endif
	if (id)
		return id;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text));
	close(fd);
	id = n > 0 ? crc64(0, text, (size_t)n) : 0;
	atomic_store(&known, id);
	return id;
}
