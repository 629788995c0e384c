/* SPDX-License-Identifier: MIT */
/* proc.c - child processes that take one command at a time, and may stop in the middle of it to let another one act. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "sqlite3.h"
#include "tests/model/model.h"

enum { PATIENCE_S = 60 }; /* for one command */

static bool put(int fd, const void *bytes, size_t n)
{
	return send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool get(int fd, void *bytes, size_t n)
{
	ssize_t got;

	do
		got = recv(fd, bytes, n, MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)n;
}

int proc_start(struct proc *p, void (*run)(int fd, struct model *m), struct model *m)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds))
		return -1;
	p->pid = fork();
	if (p->pid < 0)
		return -1;
	if (p->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		run(fds[1], m);
		_exit(0);
	}
	close(fds[1]);
	p->fd = fds[0];
	return 0;
}

static void reap(struct proc *p)
{
	close(p->fd);
	while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
}

bool proc_call(struct proc *p, const struct request *q, struct reply *r, void (*paused)(struct model *m),
               struct model *m)
{
	static const struct request go_on = { .cmd = CMD_GO_ON };

	if (!put(p->fd, q, sizeof(*q)))
		goto died;
	for (;;) {
		if (!get(p->fd, r, sizeof(*r)))
			goto died;
		if (!r->paused)
			return true;
		if (paused)
			paused(m);
		if (!put(p->fd, &go_on, sizeof(go_on)))
			goto died;
	}
died:
	reap(p);
	return false;
}

void proc_end(struct proc *p)
{
	if (!p->pid)
		return;
	kill(p->pid, SIGKILL);
	reap(p);
}

/* ---- the child's side ---- */

static struct {
	int fd;
	struct rng rng;
	uint32_t per_mille, left;
	uint64_t points;
} pauses;

static void on_point(void *ctx, enum os_call call)
{
	struct reply r = { .paused = true };
	struct request q;

	(void)ctx;
	(void)call;
	pauses.points++;
	if (!pauses.left || rng_below(&pauses.rng, 1000) >= pauses.per_mille)
		return;
	pauses.left--;
	if (!put(pauses.fd, &r, sizeof(r)) || !get(pauses.fd, &q, sizeof(q)))
		_exit(0);
}

void child_next(int fd, struct request *q)
{
	struct os_fault_plan plan;

	if (!get(fd, q, sizeof(*q)) || q->cmd == CMD_EXIT)
		_exit(0);
	alarm(PATIENCE_S);
	os_fault_clock(q->wall_ms, q->mono_us);
	os_fault_boot(q->boot);
	pauses.fd = fd;
	pauses.rng.s = q->seed ^ 0x9e3779b97f4a7c15;
	pauses.per_mille = q->pause_per_mille;
	pauses.left = q->pauses_max;
	pauses.points = 0;
	os_fault_hook(on_point, NULL);
	plan = (struct os_fault_plan){
		.mode = (enum os_fault_mode)q->fault_mode,
		.at = q->fault_at,
		.calls = q->fault_calls,
		.errnum = q->fault_errnum,
		.sqlite_too = true,
	};
	os_fault_set(&plan);
}

void child_reply(int fd, struct reply *r)
{
	os_fault_hook(NULL, NULL);
	r->hit = os_fault_hit();
	os_fault_set(NULL);
	r->points = pauses.points;
	r->mono_us = os_mono_us();
	alarm(0);
	if (!put(fd, r, sizeof(*r)))
		_exit(0);
}

/* ---- random numbers ---- */

uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return n ? (uint32_t)((rng_next(r) >> 32) * n >> 32) : 0;
}

bool rng_percent(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}
