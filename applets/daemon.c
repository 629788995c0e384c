/* SPDX-License-Identifier: MIT */
/*
 * daemon.c - `replicate` as a daemon: the loop, what runs on it, signals, the child of -exec, and the way out
 * (control.md §5.2, §5.5, §5.6).
 *
 * Without a child a signal stops the store. With one, it is passed on, the child's end is waited for, and that stops the
 * store; so the last rows the child writes are replicated too. As PID 1 we reap whoever ends.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "applets/applet.h"
#include "applets/before.h"
#include "applets/daemon_parts.h"
#include "applets/derive.h"
#include "applets/output.h"
#include "lib/base/log.h"
#include "lib/os/clock.h"
#include "lib/os/process.h"
#include "lib/os/program.h"

enum { PROGRESS_EVERY_US = 200 * 1000, POOL_THREADS = 4 };

/* ---- the way out: folders, requests, databases ---- */

static void on_served(void *ctx)
{
	struct daemon *d = ctx;

	store_stop(d->store);
}

static void stop(struct daemon *d)
{
	if (d->stopping) {
		store_stop(d->store); /* gives the retries up */
		return;
	}
	d->stopping = true;
	atomic_store(&d->cancel, true);
	daemon_notify("STOPPING=1");
	if (d->fleet)
		fleet_stop(d->fleet);
	heartbeat_stop(d->heartbeat);
	serve_stop(d->serve, on_served, d);
}

static void on_stopped(void *ctx)
{
	struct daemon *d = ctx;

	loop_stop(d->loop);
}

/* ---- signals and the child ---- */

static void child_ended(struct daemon *d, int status)
{
	d->child = 0;
	d->child_ended = true;
	d->wait_status = status;
	if (!d->signals)
		log_info("subprocess exited, litestream shutting down");
	if (!d->stopping)
		stop(d);
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
	atomic_store(&d->cancel, true);
	if (!d->store)
		return; /* still restoring: that ends soon now */
	if (!d->child) {
		stop(d);
		return;
	}
	log_info("sending signal to exec process");
	os_kill(d->child, signal_number);
	if (d->signals == 1)
		log_info("waiting for exec process to close");
	else
		stop(d); /* it does not want to: we go, and take it along at the end */
}

static void on_signal(void *ctx, const struct signalfd_siginfo *info)
{
	struct daemon *d = ctx;

	switch (info->ssi_signo) {
	case SIGCHLD:
		reap(d);
		break;
	case SIGHUP:
		if (d->fleet)
			daemon_reload(d);
		break;
	case SIGUSR1:
		if (d->store)
			daemon_log_states(d);
		break;
	default:
		asked_to_stop(d, (int)info->ssi_signo);
	}
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

/* A first copy may take long: a person at a terminal sees how far it is. */
static void on_progress(struct loop_timer *t)
{
	struct daemon *d = (struct daemon *)(void *)((char *)t - offsetof(struct daemon, progress_timer));
	int64_t done = 0, total = 0;

	for (struct managed *m = store_next(d->store, NULL); m; m = store_next(d->store, m)) {
		const struct db_progress *p = db_progress(managed_db(m));

		total += p->pages_total * p->page_size;
		done += p->pages_done * p->page_size;
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

/* ---- the start ---- */

static void collect(void *ctx)
{
	struct daemon *d = ctx;

	pool_collect(d->pool);
}

static void turn(void *ctx)
{
	struct daemon *d = ctx;

	loop_once(d->loop, -1, NULL);
}

static int make_loop(struct daemon *d, struct err *e)
{
	/* Without a file to read again, SIGHUP is what it always was: the terminal is gone. */
	static const int signals[] = { SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGHUP };
	int count = (int)(sizeof(signals) / sizeof(signals[0])) - d->r->from_words;

	os_raise_descriptor_limit();
	os_ignore_broken_pipes();
	d->loop = loop_create(e);
	if (!d->loop || loop_on_signal(d->loop, signals, count, on_signal, d, e))
		return -1;
	d->pool = pool_create(POOL_THREADS, loop_wake, d->loop, e);
	if (!d->pool)
		return -1;
	loop_on_wake(d->loop, collect, d);
	return 0;
}

static void log_monitors(const struct levels_policy *p)
{
	for (int i = 1; i <= p->count; i++)
		log_info("starting compaction monitor", LS("system", "store"), LI("level", i),
		         LD("interval", p->interval_ms[i] * 1000000));
	log_info("starting compaction monitor", LS("system", "store"), LI("level", LTX_LEVEL_MAX),
	         LD("interval", p->snapshot_interval_ms * 1000000));
	if (p->l0_retention_ms)
		log_info("starting L0 retention monitor", LS("system", "store"),
		         LD("interval", p->l0_check_interval_ms * 1000000),
		         LD("retention", p->l0_retention_ms * 1000000));
	if (p->validation_interval_ms)
		log_info("starting validation monitor", LS("system", "store"),
		         LD("interval", p->validation_interval_ms * 1000000));
	if (p->retention_disabled)
		log_warn("retention disabled; cloud provider lifecycle policies must handle retention");
}

/*
 * An open database takes up to eight descriptors: two connections with database and log each, one that SQLite may keep for
 * later, the wal-index, the log for ourselves, the lock. A quarter of all, within bounds, is for everything else.
 */
static void share_descriptors(struct store_options *o)
{
	enum { EACH = 8, OTHERS_MIN = 40, OTHERS_MAX = 512, FEW = 256 };
	long limit = os_raise_descriptor_limit(), others = limit / 4;

	if (limit <= 0)
		return;
	others = others < OTHERS_MIN ? OTHERS_MIN : others > OTHERS_MAX ? OTHERS_MAX : others;
	o->open_max = limit - others >= INT32_MAX ? 0 : limit - others < EACH ? 1 : (int)((limit - others) / EACH);
	if (limit < FEW)
		o->workers = o->upload_workers = 4;
}

static int make_store(struct daemon *d, const struct config *c, struct err *e)
{
	struct store_options o = STORE_OPTIONS_DEFAULT;

	share_descriptors(&o);
	o.loop = d->loop;
	o.policy = d->r->policy;
	o.shutdown_timeout_ms = derive_ms(c->shutdown_timeout_ns);
	o.shutdown_interval_ms = derive_ms(c->shutdown_interval_ns);
	o.stopped = on_stopped;
	o.ctx = d;
	log_monitors(&o.policy);
	if (store_create(&o, &d->store, e))
		return err_wrap(e, "cannot open store");
	return heartbeat_create(d->loop, d->pool, d->store, &d->heartbeat, e);
}

static int start(struct daemon *d, struct config *c, struct err *e)
{
	struct fleet_options fo = { .cancel = &d->cancel, .restore_all = d->r->restore };
	struct serve_options so = { .config = c, .started_ms = os_wall_ms() };
	struct census census = { .found = NULL };

	if (make_loop(d, e) || before_all(c, d->r->restore, d->pool, &d->cancel, turn, d, e))
		return -1;
	if (d->signals)
		return err_set(e, ERR_CANCELLED, "interrupted before replication began");
	if (make_store(d, c, e))
		return -1;
	d->fixed = daemon_fixed(c);
	heartbeat_set(d->heartbeat, c);
	so.loop = fo.loop = d->loop;
	so.store = fo.store = d->store;
	so.pool = fo.pool = d->pool;
	if (serve_start(&so, &d->serve, e) || fleet_create(&fo, &d->fleet, e) || census_take(c, false, &census, e) ||
	    fleet_begin(d->fleet, &census, e))
		return -1;
	if (d->r->command && os_spawn(d->r->command, &d->child, e))
		return err_wrap(e, "cannot start exec command");
	d->progress_timer.fire = on_progress;
	if (os_std_is_terminal(2))
		loop_timer_set(d->loop, &d->progress_timer, os_mono_us() + PROGRESS_EVERY_US, 0);
	daemon_await_ready(d);
	return 0;
}

/* What the pool still has is waited for; nobody listens to the results. */
static void drain(struct daemon *d)
{
	atomic_store(&d->cancel, true);
	d->stopping = true;
	heartbeat_stop(d->heartbeat);
	if (d->fleet)
		fleet_stop(d->fleet);
	while (d->pool && pool_pending(d->pool))
		loop_once(d->loop, -1, NULL);
}

int replicate_daemon(struct replicate *r, struct config *c)
{
	struct daemon d = { .r = r };
	struct err e = ERR_INIT;
	int rc = start(&d, c, &e);

	if (!rc) {
		rc = loop_run(d.loop, &e);
	} else if (d.store) {
		/* What was begun ends well all the same. */
		stop(&d);
		loop_run(d.loop, NULL);
	}
	if (d.child)
		os_kill(d.child, SIGKILL);
	drain(&d);
	serve_free(d.serve);
	store_free(d.store);
	fleet_free(d.fleet);
	heartbeat_free(d.heartbeat);
	pool_free(d.pool);
	if (d.loop)
		loop_free(d.loop);
	config_free(c);
	if (rc)
		return output_error(&e);
	log_info("litestream shut down");
	return exit_status(&d);
}
