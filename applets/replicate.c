/* SPDX-License-Identifier: MIT */
/*
 * From the command line to what runs: checks in Litestream's order, the configuration, then once.c or daemon.c.
 */
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/command.h"
#include "applets/derive.h"
#include "applets/output.h"
#include "applets/replicate.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/file.h"
#include "lib/os/process.h"

static const char help[] =
	"Follows databases and keeps replicas of them up to date.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ replicate [arguments]\n"
	"\t@ replicate [arguments] DB_PATH REPLICA_URL\n"
	"\n"
	"Without words the databases are those of the configuration file. REPLICA_URL may\n"
	"be the path of a folder. Replication goes on until SIGINT or SIGTERM; a second\n"
	"signal skips what is not uploaded yet. SIGHUP reads the configuration again,\n"
	"SIGUSR1 logs the state of every database.\n"
	"\n"
	"Arguments:\n"
	"\n"
	"\t-config PATH                 default $LITESTREAM_CONFIG, else /etc/litestream.yml\n"
	"\t-no-expand-env               take $NAME in the configuration file as it is\n"
	"\t-exec COMMAND                run COMMAND, pass signals on to it, end with it and\n"
	"\t                             with its exit status\n"
	"\t-once                        replicate what is there now, then exit\n"
	"\t-force-snapshot              with -once: take a snapshot of each database\n"
	"\t-enforce-retention           with -once: delete what retention lets go of\n"
	"\t-restore-if-db-not-exists    first restore databases that are missing\n"
	"\t-socket PATH                 listen for control commands there\n"
	"\t-ready-fd N                  write a newline to descriptor N when all are looked after\n"
	"\t-log-level LEVEL             trace, debug, info, warn or error; info\n"
	"\n"
	"Runtime control commands (start, stop, sync, register, unregister, info, list)\n"
	"require the daemon control socket. Enable it in the configuration file:\n"
	"\n"
	"\tsocket:\n"
	"\t  enabled: true\n"
	"\t  path: /var/run/litestream.sock\n"
	"\n"
	"Applications need a busy timeout (PRAGMA busy_timeout): for a few milliseconds\n"
	"now and then a checkpoint keeps writers out.\n"
	"\n"
	"Examples:\n"
	"\n"
	"\t$ @ replicate -config /etc/litestream.yml\n"
	"\t$ @ replicate /data/app.db file:///backup/app\n"
	"\t$ @ replicate -restore-if-db-not-exists -exec './server' /data/app.db /backup/app\n";

static const char *flag_behind(int argc, char **argv, int from)
{
	for (int i = from; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1])
			return argv[i];
	}
	return NULL;
}

static int check_words(const struct replicate *r, int argc, char **argv, int first, struct err *e)
{
	const char *flag = first < argc ? flag_behind(argc, argv, first + 1) : NULL;

	if (flag)
		return err_set(e, ERR_INVALID,
		               "flag \"%s\" must be positioned before DB_PATH and REPLICA_URL arguments", flag);
	if (argc - first == 1)
		return err_set(e, ERR_INVALID, "must specify at least one replica URL for %s", argv[first]);
	if (argc > first && r->place.config[0])
		return err_set(e, ERR_INVALID, "cannot specify a replica URL and the -config flag");
	return 0;
}

/* What is known only with the configuration. */
static int check_combination(const struct replicate *r, const struct config *c, struct err *e)
{
	if (r->once && c->exec[0])
		return err_set(e, ERR_INVALID, "cannot specify -once flag with -exec");
	if (r->force_snapshot && !r->once)
		return err_set(e, ERR_INVALID, "cannot specify -force-snapshot flag without -once");
	if (r->enforce_retention && !r->once)
		return err_set(e, ERR_INVALID, "cannot specify -enforce-retention flag without -once");
	return 0;
}

static void apply_flags(const struct replicate *r, struct config *c)
{
	if (r->exec[0])
		c->exec = r->exec;
	if (r->socket[0]) {
		c->socket.enabled = true;
		c->socket.path = r->socket;
	}
}

int replicate_read_config(const struct replicate *r, struct config *c, struct err *e)
{
	if (place_read_config(&r->place, c, e))
		return -1;
	apply_flags(r, c);
	return 0;
}

/* A folder may be given as a path; whatever looks like nothing of the kind was meant to be a URL. */
static int config_of(const struct replicate *r, char **words, struct config *c, struct err *e)
{
	struct config_context x = { .cwd = NULL };
	bool is_path = !replica_is_url(words[1]) && words[1][0] && strchr("/.~", words[1][0]);
	char *cwd = NULL, *home;
	int rc;

	if (os_cwd(&cwd, e))
		return -1;
	home = os_home();
	x.cwd = cwd;
	x.home = home;
	rc = config_of_words(words[0], words[1], is_path, &x, c, e);
	free(home);
	free(cwd);
	if (!rc)
		apply_flags(r, c);
	return rc;
}

void replicate_set_log(const struct replicate *r, const struct config *c)
{
	enum log_level level;

	applet_log_as(&c->logging, 1);
	if (!r->log_level[0])
		return;
	log_parse_level(r->log_level, &level);
	log_set_level(level);
}

static void say_hello(const struct replicate *r, const struct config *c)
{
	const char *level = r->log_level, *environment = getenv("LOG_LEVEL");

	if (!level[0] && environment && environment[0])
		level = environment;
	if (!level[0])
		level = r->from_words ? "INFO" : c->logging.level;
	log_info("litestream", LS("version", applet_version_text()), LS("level", level));
	if (c->mcp_addr[0])
		log_warn("this build has no MCP server; mcp-addr is ignored", LS("addr", c->mcp_addr));
	if (c->socket.permissions & ~0777u)
		log_warn("socket permissions have bits outside 0777; a leading 0 makes them octal",
		         LI("permissions", c->socket.permissions));
	if (c->unitless_count)
		log_warn("durations without a unit are nanoseconds", LI("count", c->unitless_count),
		         LI("line", c->unitless_line));
	if (!c->db_count)
		log_error("no databases specified in configuration");
}

static int run(struct replicate *r, struct config *c, char **words)
{
	struct err e = ERR_INIT;
	int status;

	say_hello(r, c);
	if (db_library_check(&e) < 0)
		goto fail;
	if (r->from_words && words[2]) {
		err_set(&e, ERR_INVALID, "multiple replicas on a single database are no longer supported");
		goto fail;
	}
	if (config_check(c, &e) || (c->exec[0] && command_split(c->exec, &r->command, &e)))
		goto fail;
	if (derive_policy(c, &r->policy, &e)) {
		err_wrap(&e, "cannot open store");
		goto fail;
	}
	status = r->once ? replicate_once(r, c) : replicate_daemon(r, c);
	free(r->command);
	return status;
fail:
	config_free(c);
	return output_error(&e);
}

int applet_replicate(int argc, char **argv)
{
	struct replicate r = { .place = PLACE_FLAGS_DEFAULT, .exec = "", .log_level = "", .socket = "", .ready_fd = -1 };
	const struct flag flags[] = {
		PLACE_FLAGS(r.place),
		{ .name = "exec", .type = FLAG_TEXT, .value = &r.exec },
		{ .name = "log-level", .type = FLAG_TEXT, .value = &r.log_level },
		{ .name = "restore-if-db-not-exists", .type = FLAG_BOOL, .value = &r.restore },
		{ .name = "once", .type = FLAG_BOOL, .value = &r.once },
		{ .name = "force-snapshot", .type = FLAG_BOOL, .value = &r.force_snapshot },
		{ .name = "enforce-retention", .type = FLAG_BOOL, .value = &r.enforce_retention },
		{ .name = "socket", .type = FLAG_TEXT, .value = &r.socket },
		{ .name = "ready-fd", .type = FLAG_INT, .value = &r.ready_fd },
		{ .type = FLAG_END },
	};
	struct config c = { .memory = NULL };
	struct err e = ERR_INIT;
	int first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	/* Before anything of ours is opened and could have that number. */
	if (r.ready_fd != -1 && os_inherit(r.ready_fd > INT32_MAX ? -1 : (int)r.ready_fd, &e)) {
		err_wrap(&e, "-ready-fd");
		return output_error(&e);
	}
	r.from_words = first < argc;
	if (check_words(&r, argc, argv, first, &e))
		return output_error(&e);
	if (r.from_words ? config_of(&r, argv + first, &c, &e) : replicate_read_config(&r, &c, &e))
		return output_error(&e);
	if (check_combination(&r, &c, &e)) {
		config_free(&c);
		return output_error(&e);
	}
	replicate_set_log(&r, &c);
	return run(&r, &c, argv + first);
}
