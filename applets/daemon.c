/* SPDX-License-Identifier: MIT */
/*
 * daemon.c - `replicate` as a daemon: the loop, signals, the child of -exec, and the way out (control.md §5.5, §5.6).
 *
 * Without a child a signal stops the store. With one, it is passed on, the child's end is waited for, and that stops the
 * store; so the last rows the child writes are replicated too. As PID 1 we reap whoever ends.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "applets/applet.h"
#include "applets/output.h"
#include "applets/progress.h"
#include "applets/replicate.h"
#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/os/process.h"
#include "lib/os/program.h"

enum { PROGRESS_EVERY_US = 200 * 1000 };

struct daemon {
	struct loop *loop;
	struct store *store;
	struct loop_timer progress_timer;
	struct progress progress;
	bool progress_shown;
	pid_t child;    /* 0 = none, or ended */
	int wait_status; /* of the child */
	bool child_ended;
	int signals;    /* SIGINT and SIGTERM so far */
};

static void child_ended(struct daemon *d, int status)
{
	d->child = 0;
	d->child_ended = true;
	d->wait_status = status;
	if (!d->signals)
		log_info("subprocess exited, litestream shutting down");
	if (!store_is_stopping(d->store))
		store_stop(d->store);
}

static void reap(struct daemon *d)
{
	pid_t pid;
	int status;

	while (os_reap(&pid, &status) == 1) {
		if (pid == d->child)
			child_ended(d, status);
	}
}

static void asked_to_stop(struct daemon *d, int signal_number)
{
	if (!d->signals++)
		log_info("signal received, litestream shutting down",
		         LS("signal", signal_number == SIGINT ? "interrupt" : "terminated"));
	if (!d->child) {
		store_stop(d->store);
		return;
	}
	log_info("sending signal to exec process");
	os_kill(d->child, signal_number);
	if (d->signals == 1)
		log_info("waiting for exec process to close");
	else
		store_stop(d->store); /* it does not want to: we go, and take it along at the end */
}

static void on_signal(void *ctx, const struct signalfd_siginfo *info)
{
	struct daemon *d = ctx;

	if (info->ssi_signo == SIGCHLD)
		reap(d);
	else
		asked_to_stop(d, (int)info->ssi_signo);
}

static void on_stopped(void *ctx)
{
	struct daemon *d = ctx;

	loop_stop(d->loop);
}

/* A first copy may take long: a person at a terminal sees how far it is. */
static void on_progress(struct loop_timer *t)
{
	struct daemon *d = (struct daemon *)(void *)((char *)t - offsetof(struct daemon, progress_timer));
	int64_t done = 0, total = 0;

	for (int i = 0; i < store_count(d->store); i++) {
		struct managed_status s;

		store_status(d->store, i, &s);
		total += s.progress->pages_total * s.progress->page_size;
		done += s.progress->pages_done * s.progress->page_size;
	}
	if (total && !d->progress_shown)
		progress_begin(&d->progress, "first copy");
	if (total)
		progress_update(&d->progress, done, total);
	else if (d->progress_shown)
		progress_end(&d->progress);
	d->progress_shown = total;
	/* Fast while there is something to show, seldom otherwise: an idle daemon sleeps. */
	if (total || !d->signals)
		loop_timer_set(d->loop, t, os_mono_us() + (total ? 1 : 25) * PROGRESS_EVERY_US, 0);
}

/* The status that the child's end makes ours, after one line that says what it was. */
static int exit_status(const struct daemon *d)
{
	const char *wait = d->signals ? "cannot wait for exec process: " : "";

	if (!d->child_ended)
		return 0;
	if (WIFEXITED(d->wait_status)) {
		int code = WEXITSTATUS(d->wait_status);

		if (code)
			output_errorf("%sexit status %d", wait, code);
		return code;
	}
	/* Ended by the signal that we passed on: that is what was asked for. */
	if (d->signals && (WTERMSIG(d->wait_status) == SIGINT || WTERMSIG(d->wait_status) == SIGTERM))
		return 0;
	output_errorf("%ssignal: %s", wait, os_signal_name(WTERMSIG(d->wait_status)));
	return 128 + WTERMSIG(d->wait_status);
}

static int start(struct daemon *d, struct replicate *r, char **command, struct err *e)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGCHLD };
	struct store_options o = STORE_OPTIONS_DEFAULT;

	os_raise_descriptor_limit();
	os_ignore_broken_pipes();
	d->loop = loop_create(e);
	if (!d->loop || loop_on_signal(d->loop, signals, 3, on_signal, d, e))
		return -1;
	o.loop = d->loop;
	o.stopped = on_stopped;
	o.ctx = d;
	if (store_create(&o, &d->store, e))
		return -1;
	if (store_add(d->store, &r->managed, NULL, e))
		return err_wrap(e, "cannot open store");
	r->managed.replicas[0].replica = NULL; /* the store's now */
	if (command && os_spawn(command, &d->child, e)) {
		err_wrap(e, "cannot start exec command");
		store_stop(d->store);
		loop_run(d->loop, NULL);
		return -1;
	}
	d->progress_timer.fire = on_progress;
	if (os_std_is_terminal(2))
		loop_timer_set(d->loop, &d->progress_timer, os_mono_us() + PROGRESS_EVERY_US, 0);
	return 0;
}

int replicate_daemon(struct replicate *r, char **command)
{
	struct daemon d = { 0 };
	struct err e = ERR_INIT;
	int rc = start(&d, r, command, &e);

	if (!rc)
		rc = loop_run(d.loop, &e);
	if (d.child)
		os_kill(d.child, SIGKILL);
	store_free(d.store);
	replica_free(r->managed.replicas[0].replica);
	if (d.loop)
		loop_free(d.loop);
	if (rc)
		return output_error(&e);
	log_info("litestream shut down");
	return exit_status(&d);
}
