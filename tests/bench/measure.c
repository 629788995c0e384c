/* SPDX-License-Identifier: MIT */
/*
 * measure - runs a command and says what it cost.
 *
 *   measure COUNT COMMAND [ARGUMENT...]
 *
 * One line for each run on standard error: wall time, user and system time in microseconds, peak resident memory in KB,
 * exit status. What the command prints goes to our standard output.
 *
 * A program of its own, because a child's peak begins with its parent's: under a large parent it says nothing. With the
 * single argument "nothing" it does nothing: the floor of every start-up time.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long long micros(struct timeval t)
{
	return (long long)t.tv_sec * 1000000 + t.tv_usec;
}

int main(int argc, char **argv)
{
	struct rusage use;
	int status = 0;

	if (argc == 2 && !strcmp(argv[1], "nothing"))
		return 0;
	if (argc < 3) {
		fprintf(stderr, "usage: measure COUNT COMMAND [ARGUMENT...]\n");
		return 2;
	}
	for (int left = atoi(argv[1]); left > 0; left--) {
		long long began = now_ns(), ended;
		pid_t pid;

		if (posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ)) {
			perror(argv[2]);
			return 2;
		}
		if (wait4(pid, &status, 0, &use) != pid) {
			perror("wait4");
			return 2;
		}
		ended = now_ns();
		fprintf(stderr, "measured %.1f %lld %lld %ld %d\n", (double)(ended - began) / 1000, micros(use.ru_utime),
		        micros(use.ru_stime), use.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	return status != 0;
}
