/* SPDX-License-Identifier: MIT */
#include "lib/os/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/os/point.h"

/* A small file of /proc as text. */
static int read_text(const char *path, char *text, size_t size, struct err *e)
{
	int fd = os_point(OS_CALL_OPEN) < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	n = read(fd, text, size - 1);
	if (n < 0)
		err_sys(e, errno, "read %s", path);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n < 0 ? -1 : 0;
}

static double clock_seconds(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The kernel gives ticks since the machine started. Computed once, so that no step of the clock moves it. */
static double start_time(double ticks)
{
	static _Atomic double known;
	double start = atomic_load(&known), fresh;

	if (start > 0)
		return start;
	fresh = clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_BOOTTIME) + ticks / (double)sysconf(_SC_CLK_TCK);
	return atomic_compare_exchange_strong(&known, &start, fresh) ? fresh : start;
}

/* /proc/self/stat: numbers behind a name in brackets that may hold anything. Counted from the third field,
 * as proc(5) does. */
static int parse_stat(char *text, struct os_usage *u, struct err *e)
{
	char *at = strrchr(text, ')'), *save = NULL, *word;
	double ticks = 0, field[25] = { 0 };

	word = at ? strtok_r(at + 1, " ", &save) : NULL;
	for (int i = 3; word && i < 25; i++, word = strtok_r(NULL, " ", &save))
		field[i] = (double)strtoll(word, NULL, 10);
	if (!word && !field[24])
		return err_set(e, ERR_CORRUPT, "/proc/self/stat is not understood");
	ticks = field[14] + field[15];
	u->cpu_seconds = ticks / (double)sysconf(_SC_CLK_TCK);
	u->threads = (int)field[20];
	u->start_seconds = start_time(field[22]);
	u->virtual_bytes = (int64_t)field[23];
	u->resident_bytes = (int64_t)field[24] * sysconf(_SC_PAGESIZE);
	return 0;
}

static int64_t kilobytes(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : 0;
}

static int64_t count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *entry;
	int64_t n = 0;

	if (!d)
		return 0;
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n - 1; /* without the one that reads the folder */
}

static int64_t limit(int which)
{
	struct rlimit l;

	if (prlimit(0, which, NULL, &l) < 0 || l.rlim_cur == RLIM_INFINITY)
		return -1;
	return (int64_t)l.rlim_cur;
}

int os_usage(struct os_usage *u, struct err *e)
{
	char text[4096];

	*u = (struct os_usage){ 0 };
	if (read_text("/proc/self/stat", text, sizeof(text), e) || parse_stat(text, u, e) ||
	    read_text("/proc/self/status", text, sizeof(text), e))
		return -1;
	u->anonymous_bytes = kilobytes(text, "\nRssAnon:");
	u->data_bytes = kilobytes(text, "\nVmData:") + kilobytes(text, "\nVmStk:");
	u->open_fds = count_descriptors();
	u->max_fds = limit(RLIMIT_NOFILE);
	u->virtual_max_bytes = limit(RLIMIT_AS);
	return 0;
}
