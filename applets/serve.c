/* SPDX-License-Identifier: MIT */
#include "applets/serve.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/derive.h"
#include "lib/base/log.h"
#include "lib/config/persist.h"
#include "lib/control/control.h"
#include "lib/control/observe.h"
#include "lib/os/clock.h"
#include "lib/os/file.h"

enum { STOP_LOOK_US = 10 * 1000, STOP_MOST_US = 5000 * 1000 };

/* A start or stop that is written to the configuration file: one after the other, on the pool. */
struct persist {
	struct pool_job job;
	struct serve *s;
	struct persist *next;
	char *path, *source; /* source: the file that a start named, or NULL */
	bool enabled, changed;
	void (*done)(void *arg);
	void *arg;
	int rc;
	struct err why;
};

struct serve {
	struct loop *loop;
	struct store *store;
	struct pool *pool;
	struct control *control;
	struct observe *observe; /* the page, metrics, profiles */
	struct persist *persists, **persists_end; /* the first one is on its way */
	char *config_path;
	int64_t idle_timeout_ms; /* of databases that clients register */
	struct loop_timer stop_timer;
	int64_t stop_us;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* ---- registering ---- */

static int add(struct serve *s, struct managed_options *o, const char *path, struct err *e)
{
	o->db.path = path;
	if (store_add(s->store, o, NULL, e) == 0)
		return 0;
	derive_undo(o);
	return -1;
}

static int register_url(void *ctx, const char *path, const char *url, struct err *e)
{
	struct serve *s = ctx;
	const struct replica_settings settings = { .url = url };
	struct managed_options o = MANAGED_OPTIONS_DEFAULT;

	if (replica_open(&settings, REPLICA_OPEN_REGISTER, &o.replicas[0].replica, e) < 0) {
		if (e->code != ERR_NO_MEMORY)
			e->code = ERR_INVALID;
		return -1;
	}
	o.idle_timeout_ms = s->idle_timeout_ms;
	return add(s, &o, path, e) < 0 ? err_wrap(e, "open db") : 0;
}

static int add_of_config(struct serve *s, const struct config *c, const char *path, const char *file, struct err *e)
{
	const char *relative = NULL;
	const struct config_db *db = config_find(c, path, &relative);
	struct managed_options o;
	char *meta = NULL;
	int rc;

	if (!db)
		return err_set(e, ERR_NOT_FOUND, "database path %s not found in config file %s", path, file);
	rc = derive_managed(db, path, relative, &o, &meta, e);
	if (rc == 0) {
		o.enabled = false; /* what follows is the start */
		rc = add(s, &o, path, e);
	}
	free(meta);
	return rc < 0 ? err_wrap(e, "create database from config") : 0;
}

static int register_config(void *ctx, const char *path, const char *file, struct err *e)
{
	struct serve *s = ctx;
	struct os_stat st;
	struct config c;
	int rc;

	if (store_find(s->store, path))
		return 0;
	/* Nothing that could keep the loop waiting for a writer. */
	if (os_stat(file, &st, NULL) == 0 && !st.is_regular)
		return err_set(e, ERR_INVALID, "read config file: %s is no regular file", file);
	if (config_load(file, true, &c, e) < 0)
		return err_wrap(e, "read config file");
	rc = add_of_config(s, &c, path, file, e);
	config_free(&c);
	return rc;
}

/* ---- persist-to-config ---- */

static void persist_run(struct pool_job *job)
{
	struct persist *p = (struct persist *)job;

	p->rc = config_persist(p->s->config_path, p->path, p->enabled, p->source, &p->changed, &p->why);
}

static void persist_done(struct pool_job *job)
{
	struct persist *p = (struct persist *)job;
	struct serve *s = p->s;

	if (p->rc < 0)
		log_warn("failed to persist config", LS("path", p->path), LS("error", p->why.text));
	else if (p->changed)
		log_info("persisted db state to config", LS("path", p->path), LB("enabled", p->enabled));
	s->persists = p->next;
	if (s->persists)
		pool_submit(s->pool, &s->persists->job);
	else
		s->persists_end = &s->persists;
	p->done(p->arg);
	free(p->path);
	free(p->source);
	free(p);
}

static void persist_state(void *ctx, const char *path, bool enabled, const char *source, void (*done)(void *arg),
                          void *arg)
{
	struct serve *s = ctx;
	struct persist *p = calloc(1, sizeof(*p));

	if (p) {
		*p = (struct persist){
			.job = { .run = persist_run, .done = persist_done }, .s = s, .path = strdup(path),
			.source = source && *source ? strdup(source) : NULL,
			.enabled = enabled, .done = done, .arg = arg,
		};
	}
	if (!p || !p->path || (source && *source && !p->source)) {
		log_warn("failed to persist config", LS("path", path), LS("error", "out of memory"));
		if (p) {
			free(p->path);
			free(p->source);
		}
		free(p);
		done(arg);
		return;
	}
	*s->persists_end = p;
	s->persists_end = &p->next;
	if (s->persists == p)
		pool_submit(s->pool, &p->job);
}

/* ---- listening ---- */

static void listen_socket(struct serve *s, const struct config_socket *socket)
{
	struct err e = ERR_INIT;

	if (control_listen_socket(s->control, socket->path, socket->permissions, &e) < 0)
		log_warn("failed to start control server", LS("error", e.text));
	else
		log_info("control socket listening", LS("system", "server"), LS("path", socket->path));
}

/* As a URL that a person can follow. */
static void log_metrics(const struct serve *s, const char *addr)
{
	const char *colon = strrchr(addr, ':');
	struct buf url = { .data = NULL };

	if (strncmp(addr, "unix:", 5) == 0)
		buf_str(&url, addr);
	else
		buf_fmt(&url, "http://%.*s:%d/metrics", colon == addr ? 9 : (int)(colon - addr),
		        colon == addr ? "localhost" : addr, control_port(s->control));
	log_info("serving metrics on", LS("url", buf_text(&url)));
	buf_free(&url);
}

static int listen_addr(struct serve *s, const char *addr, struct err *e)
{
	struct err why = ERR_INIT;

	if (control_listen_addr(s->control, addr, &why) == 0) {
		log_metrics(s, addr);
		return 0;
	}
	if (why.code == ERR_INVALID && strncmp(addr, "unix:", 5) != 0) {
		*e = why;
		return -1;
	}
	log_error("cannot start metrics server", LS("error", why.text));
	return 0;
}

static int make_control(struct serve *s, const struct serve_options *o, struct err *e)
{
	const struct config *c = o->config;
	char *cwd = NULL, *home = os_home();
	struct control_options co = {
		.loop = s->loop, .store = s->store, .version = applet_version_text(),
		.config_path = c->file ? c->file : "", .socket_path = c->socket.enabled ? c->socket.path : "",
		.http_addr = c->addr, .persist = c->socket.persist && c->file,
		.home = home, .register_url = register_url,
		.register_config = register_config, .persist_state = persist_state, .ctx = s,
		.routes = observe_routes(),
	};
	int rc = os_cwd(&cwd, e);

	co.cwd = cwd;
	if (rc == 0)
		rc = observe_create(s->loop, s->store, &s->observe, e);
	co.routes_ctx = s->observe;
	if (rc == 0)
		rc = control_create(&co, &s->control, e);
	free(cwd);
	free(home);
	return rc;
}

int serve_start(const struct serve_options *o, struct serve **out, struct err *e)
{
	const struct config *c = o->config;
	struct serve *s;

	*out = NULL;
	if (!c->socket.enabled && !c->addr[0])
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_nomem(e);
	s->loop = o->loop;
	s->store = o->store;
	s->pool = o->pool;
	s->persists_end = &s->persists;
	s->idle_timeout_ms = derive_ms(c->idle_timeout_ns);
	s->config_path = c->file ? strdup(c->file) : NULL;
	if ((c->file && !s->config_path && err_nomem(e) < 0) || make_control(s, o, e) < 0) {
		serve_free(s);
		return -1;
	}
	if (c->socket.enabled)
		listen_socket(s, &c->socket);
	if (c->addr[0] && listen_addr(s, c->addr, e) < 0) {
		serve_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

/* ---- the end ---- */

static void on_stop_timer(struct loop_timer *t)
{
	struct serve *s = (struct serve *)(void *)((char *)t - offsetof(struct serve, stop_timer));
	int64_t now = os_mono_us();

	if (control_busy(s->control) && now < s->stop_us) {
		loop_timer_set(s->loop, t, now + STOP_LOOK_US, 0);
		return;
	}
	if (control_busy(s->control))
		log_error("http server shutdown error", LS("error", "context deadline exceeded"));
	s->stopped(s->stopped_ctx);
}

void serve_stop(struct serve *s, void (*stopped)(void *ctx), void *ctx)
{
	if (!s) {
		stopped(ctx);
		return;
	}
	observe_stop(s->observe);
	control_stop(s->control);
	s->stopped = stopped;
	s->stopped_ctx = ctx;
	s->stop_us = os_mono_us() + STOP_MOST_US;
	s->stop_timer.fire = on_stop_timer;
	on_stop_timer(&s->stop_timer);
}

void serve_free(struct serve *s)
{
	if (!s)
		return;
	loop_timer_clear(s->loop, &s->stop_timer);
	observe_free(s->observe);
	control_free(s->control);
	free(s->config_path);
	free(s);
}
