/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/os/point.h"
#include "lib/os/program.h"

void os_std_reserve(void)
{
	/* O_PATH needs no device node, which a scratch image may lack,
	 * and reads and writes on it fail as on a closed one. */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH) < 0)
			return;
}

int os_std_write(int fd, const void *bytes, size_t n, struct err *e)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t done = os_point(OS_CALL_WRITE);

		if (done == 0)
			done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_sys(e, errno, "write /dev/%s", fd == STDERR_FILENO ? "stderr" : "stdout");
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

bool os_std_is_terminal(int fd)
{
	return isatty(fd) == 1;
}

/*
 * The C library protects what was relocated only in dynamic programs (musl 1.2.3); a static one must do it itself. One
 * segment has that mark; where the page size does not fit it, nothing is protected, and nothing breaks.
 */
static int protect_segment(struct dl_phdr_info *info, size_t size, void *ctx)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)ctx;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + h->p_vaddr) & ~(page - 1);
		uintptr_t to = (info->dlpi_addr + h->p_vaddr + h->p_memsz) & ~(page - 1);

		if (h->p_type == PT_GNU_RELRO && to > from)
			mprotect((void *)from, to - from, PROT_READ);
	}
	return 1; /* the program itself comes first; nothing else is of interest */
}

void os_protect_self(void)
{
	dl_iterate_phdr(protect_segment, NULL);
}

static atomic_bool *stop_flag;

static void on_stop(int signal_number)
{
	(void)signal_number;
	atomic_store(stop_flag, true);
}

void os_stop_on_signal(atomic_bool *flag)
{
	struct sigaction act;

	stop_flag = flag;
	memset(&act, 0, sizeof(act));
	act.sa_handler = on_stop;
	act.sa_flags = SA_RESTART | (int)SA_RESETHAND;
	sigemptyset(&act.sa_mask);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

int os_self_path(char **path, struct err *e)
{
	char *real = os_point(OS_CALL_LOOK) < 0 ? NULL : realpath("/proc/self/exe", NULL);

	if (real == NULL)
		return err_sys(e, errno, "readlink /proc/self/exe");
	*path = real;
	return 0;
}

void os_program_identity(char *out, size_t size)
{
	struct utsname u;

	if (uname(&u) < 0)
		u.nodename[0] = 0;
	snprintf(out, size, "%s:%ld", u.nodename[0] ? u.nodename : "unnamed", (long)getpid());
}

int os_symlink(const char *target, const char *path, struct err *e)
{
	if (os_point(OS_CALL_NAME) < 0 || symlink(target, path) < 0)
		return err_sys(e, errno, "symlink %s %s", target, path);
	return 0;
}
