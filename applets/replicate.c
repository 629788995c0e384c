/* SPDX-License-Identifier: MIT */
/*
 * From the command line to what runs: checks in Litestream's order, the restore before the start, then once.c or
 * daemon.c.
 */
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/command.h"
#include "applets/output.h"
#include "applets/replicate.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/file.h"
#include "lib/os/program.h"
#include "lib/restore/restore.h"

static const char help[] =
	"Follows a database and keeps a replica of it up to date.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ replicate [arguments] DB_PATH REPLICA_URL\n"
	"\n"
	"REPLICA_URL is file:///folder or the path of a folder. Replication goes on\n"
	"until SIGINT or SIGTERM; a second signal skips what is not uploaded yet.\n"
	"\n"
	"Arguments:\n"
	"\n"
	"\t-exec COMMAND                run COMMAND, pass signals on to it, end with it and\n"
	"\t                             with its exit status\n"
	"\t-once                        replicate what is there now, then exit\n"
	"\t-restore-if-db-not-exists    first restore the database when it is missing\n"
	"\t-log-level LEVEL             trace, debug, info, warn or error; info\n"
	"\n"
	"Applications need a busy timeout (PRAGMA busy_timeout): for a few milliseconds\n"
	"now and then a checkpoint keeps writers out.\n"
	"\n"
	"Examples:\n"
	"\n"
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
		return err_set(e, ERR_INVALID, "flag \"%s\" must be positioned before DB_PATH and REPLICA_URL arguments", flag);
	if (argc - first == 1)
		return err_set(e, ERR_INVALID, "must specify at least one replica URL for %s", argv[first]);
	if (argc > first && r->config[0])
		return err_set(e, ERR_INVALID, "cannot specify a replica URL and the -config flag");
	if (r->once && r->exec[0])
		return err_set(e, ERR_INVALID, "cannot specify -once flag with -exec");
	return 0;
}

/* A folder may be given as a path; whatever looks like nothing of the kind was meant to be a URL. */
static int open_replica(const char *word, struct replica **out, struct err *e)
{
	char *cwd = NULL, *home, *path = NULL;
	int rc;

	if (replica_is_url(word) || !strchr("/.~", word[0]) || !word[0])
		return replica_from_url(word, out, e);
	if (os_cwd(&cwd, e))
		return -1;
	home = os_home();
	rc = text_path_expand(word, cwd, home, &path, e);
	if (!rc)
		rc = replica_file_create(path, out, e);
	free(path);
	free(home);
	free(cwd);
	return rc;
}

static int expand_path(const char *word, char **out, struct err *e)
{
	char *cwd = NULL, *home;
	int rc;

	if (os_cwd(&cwd, e))
		return -1;
	home = os_home();
	rc = text_path_expand(word, cwd, home, out, e);
	free(home);
	free(cwd);
	return rc;
}

/* control.md §5.3. Nothing to restore is a fresh start; anything else that fails ends the program. */
static int restore_first(struct replicate *r, struct err *e)
{
	static atomic_bool stop;
	const struct restore_target newest = { 0 };
	const struct restore_options o = { .output = r->managed.db.path, .cancel = &stop };
	struct restore_plan plan = { 0 };
	struct restore_result result;
	struct os_stat st;
	int rc;

	if (!os_stat(r->managed.db.path, &st, NULL)) {
		log_info("database exists, skipping restore", LS("path", r->managed.db.path));
		return 0;
	}
	log_info("attempting restore before replication", LS("path", r->managed.db.path));
	rc = restore_make(r->managed.replicas[0].replica, &newest, false, &o, &plan, &result, e);
	restore_plan_free(&plan);
	if (rc && err_is(e, ERR_UNAVAILABLE)) {
		log_info("no backup found, starting fresh", LS("path", r->managed.db.path));
		return 0;
	}
	if (rc)
		return err_wrap(e, "restore failed");
	log_info("restore completed", LS("path", r->managed.db.path));
	return 0;
}

static int run(struct replicate *r, char **words)
{
	struct err e = ERR_INIT;
	char **command = NULL, *path = NULL;
	int status;

	if (db_library_check(&e) || expand_path(words[0], &path, &e) || open_replica(words[1], &r->managed.replicas[0].replica, &e))
		goto fail;
	r->managed.db.path = path;
	if (words[2]) {
		err_set(&e, ERR_INVALID, "multiple replicas on a single database are no longer supported");
		goto fail;
	}
	if (r->exec[0] && command_split(r->exec, &command, &e))
		goto fail;
	if (r->restore && restore_first(r, &e))
		goto fail;
	status = r->once ? replicate_once(r) : replicate_daemon(r, command);
	free(command);
	free(path);
	return status;
fail:
	replica_free(r->managed.replicas[0].replica);
	free(path);
	return output_error(&e);
}

int applet_replicate(int argc, char **argv)
{
	struct replicate r = { .config = "", .exec = "", .log_level = "", .managed = MANAGED_OPTIONS_DEFAULT };
	bool no_expand = false;
	const struct flag flags[] = {
		{ .name = "config", .type = FLAG_TEXT, .value = &r.config },
		{ .name = "no-expand-env", .type = FLAG_BOOL, .value = &no_expand },
		{ .name = "exec", .type = FLAG_TEXT, .value = &r.exec },
		{ .name = "log-level", .type = FLAG_TEXT, .value = &r.log_level },
		{ .name = "restore-if-db-not-exists", .type = FLAG_BOOL, .value = &r.restore },
		{ .name = "once", .type = FLAG_BOOL, .value = &r.once },
		{ .type = FLAG_END },
	};
	const char *environment = getenv("LOG_LEVEL");
	enum log_level level = LOG_INFO;
	struct err e = ERR_INIT;
	int first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	if (check_words(&r, argc, argv, first, &e))
		return output_error(&e);
	applet_log(1);
	if (!r.log_level[0])
		r.log_level = environment && environment[0] ? environment : "INFO";
	log_parse_level(r.log_level, &level);
	log_set_level(level);
	if (first == argc) {
		/* For want of positionals the databases would be the configuration file's. */
		struct replica *none = NULL;

		applet_replica("", r.config, &none, &e);
		return output_error(&e);
	}
	log_info("litestream", LS("version", applet_version_text()), LS("level", r.log_level));
	return run(&r, argv + first);
}
