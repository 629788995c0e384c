/* SPDX-License-Identifier: MIT */
/*
 * The order of the checks is Litestream's (control.md §3.4, cases.md §3.1), except that an existing output stays
 * until the verified new one takes its place: neither a typing error nor a bad network must cost a database.
 */
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/output.h"
#include "applets/place.h"
#include "applets/progress.h"
#include "applets/restore_plan.h"
#include "applets/target.h"
#include "json/json.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/os/program.h"
#include "lib/restore/restore.h"

static const char help[] =
	"Brings a database back from a replica.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ restore [arguments] -o PATH REPLICA_URL\n"
	"\t@ restore [arguments] -o PATH FOLDER\n"
	"\t@ restore [arguments] DB_PATH\n"
	"\n"
	"A FOLDER that holds an ltx folder is a replica too. A DB_PATH is looked up in the\n"
	"configuration file; of several replicas there, the first that can do it is taken.\n"
	"The database is whole and verified when it appears, or it does not appear.\n"
	"\n"
	"What to restore:\n"
	"\n"
	"\t-txid TXID             up to this transaction (16 hex digits); default: the newest\n"
	"\t-timestamp TIME        as it was then, e.g. 2026-02-12T08:00:00Z\n"
	"\t-config PATH           default $LITESTREAM_CONFIG, else /etc/litestream.yml\n"
	"\t-no-expand-env         take $NAME in the configuration file as it is\n"
	"\t-replica NAME          the replica of that name (or type) in the configuration file\n"
	"\n"
	"Where to:\n"
	"\n"
	"\t-o PATH                the database to write; default DB_PATH\n"
	"\t-force                 overwrite it, and remove its -wal, -shm and -journal\n"
	"\t-if-db-not-exists      do nothing and succeed when it is there already\n"
	"\t-if-replica-exists     do nothing and succeed when there is no backup\n"
	"\n"
	"How:\n"
	"\n"
	"\t-dry-run               only print what would be fetched\n"
	"\t-integrity-check MODE  let SQLite check the result: none (default), quick, full\n"
	"\t-parallelism N         files read at once; default 8\n"
	"\t-json                  print JSON; the log goes to standard error\n"
	"\t-f                     go on and follow the replica until SIGINT or SIGTERM; open\n"
	"\t                       the database only for reading meanwhile\n"
	"\t-follow-interval TIME  time between looks at the replica; default 1s\n"
	"\n"
	"Examples:\n"
	"\n"
	"\t$ @ restore -o /data/app.db file:///backup/app\n"
	"\t$ @ restore -if-db-not-exists -if-replica-exists -o /data/app.db file:///backup/app\n"
	"\t$ @ restore -f -o /data/copy.db file:///backup/app\n";

struct options {
	struct place_flags place;
	const char *output, *timestamp, *check_word, *replica;
	bool is_replica; /* the word names one; Litestream then looks at the times it covers */
	bool if_db_not_exists, if_replica_exists, dry_run, force, json, follow;
	int64_t parallelism, follow_interval_ns;
	enum restore_check check;
	struct restore_target target;
};

static atomic_bool stop;

static int parse_check(const char *word, enum restore_check *check, struct err *e)
{
	if (strcmp(word, "none") == 0)
		*check = RESTORE_CHECK_NONE;
	else if (strcmp(word, "quick") == 0)
		*check = RESTORE_CHECK_QUICK;
	else if (strcmp(word, "full") == 0)
		*check = RESTORE_CHECK_FULL;
	else
		return err_set(e, ERR_INVALID, "invalid -integrity-check value: %s", word);
	return 0;
}

static int parse_values(struct options *o, struct err *e)
{
	if (parse_check(o->check_word, &o->check, e) < 0)
		return -1;
	if (o->timestamp[0] == '\0')
		return 0;
	if (text_parse_time(o->timestamp, &o->target.time_ns, NULL) < 0)
		return err_set(e, ERR_INVALID,
		               "invalid -timestamp, must specify in ISO 8601 format (e.g. 2000-01-01T00:00:00Z)");
	o->target.has_time = true;
	return 0;
}

static int check_combination(const struct options *o, struct err *e)
{
	if (o->target.txid != 0 && o->target.has_time)
		return err_set(e, ERR_INVALID, "cannot specify index & timestamp to restore");
	if (o->follow && o->target.txid != 0)
		return err_set(e, ERR_INVALID, "cannot use follow mode with -txid");
	if (o->follow && o->target.has_time)
		return err_set(e, ERR_INVALID, "cannot use follow mode with -timestamp");
	return 0;
}

/* The one answer that -if-replica-exists is about; a time that is not covered is another. */
static bool nothing_there(const struct err *e)
{
	return err_is(e, ERR_UNAVAILABLE) && strcmp(e->text, "no matching backup files available") == 0;
}

/*
 * Says why a restore that has a fault of ours cannot be. Litestream looks at the time that a replica covers before it
 * looks at these faults; so do we, but we ask the replica only then.
 */
static int refuse(struct replica *r, const struct options *o, const struct err *fault)
{
	const struct restore_target when = { .has_time = true, .time_ns = o->target.time_ns };
	struct restore_plan plan = {0};
	struct err e = ERR_INIT;
	bool wrong_time = o->is_replica && o->target.has_time && restore_plan_make(r, &when, true, &plan, &e) < 0 &&
		!err_is(&e, ERR_GAP) &&
	                  !nothing_there(&e);

	restore_plan_free(&plan);
	return output_error(wrong_time ? &e : fault);
}

static void report(void *ctx, int64_t done, int64_t total)
{
	progress_update(ctx, done, total);
}

static void warn(void *ctx, const char *msg, const struct err *why)
{
	progress_end(ctx);
	log_warn(msg, LS("error", err_text(why)));
}

static struct restore_options engine_options(const struct options *o, struct progress *p)
{
	return (struct restore_options){
		.output = o->output,
		.parallelism = o->parallelism < 1 ? 0 : o->parallelism > 64 ? 64 : (int)o->parallelism,
		.check = o->check,
		.replace = o->force,
		.cancel = &stop,
		.progress = { report, p },
		.warn = warn,
		.warn_ctx = p,
	};
}

static int print_result(const struct options *o, struct replica *r, uint64_t txid, int64_t started_us)
{
	char text[TEXT_TXID_SIZE];
	struct buf b = {0};
	struct json_writer w;
	int status;

	if (!o->json)
		return 0;
	json_writer_init(&w, &b, true);
	json_object_begin(&w);
	json_key(&w, "db_path");
	json_string(&w, o->output);
	json_key(&w, "replica");
	json_string(&w, replica_type(r));
	json_key(&w, "txid");
	json_string(&w, txid != 0 ? text_txid(text, txid) : "");
	json_key(&w, "duration_ms");
	json_int(&w, (os_mono_us() - started_us) / 1000);
	json_key(&w, "integrity_check");
	json_string(&w, o->check_word);
	json_object_end(&w);
	buf_char(&b, '\n');
	status = output_buf(&b);
	buf_free(&b);
	return status;
}

/* "Nothing there" may be what the user expects. */
static int fail(const struct options *o, struct err *e)
{
	if (err_is(e, ERR_CANCELLED))
		return output_errorf("restore interrupted, nothing was changed at %s", o->output);
	if (o->if_replica_exists && nothing_there(e)) {
		log_info("no matching backups found");
		return 0;
	}
	if (err_is(e, ERR_GAP) && strncmp(e->text, "non-contiguous", 14) == 0)
		err_wrap(e, "cannot calc restore plan");
	return output_error(e);
}

static int run_once(const struct options *o, struct replica *r)
{
	int64_t started_us = os_mono_us();
	struct progress progress;
	struct restore_options engine = engine_options(o, &progress);
	struct restore_plan plan = {0};
	struct restore_result result = {0};
	struct err e = ERR_INIT;
	int rc;

	if (target_check(o->output, o->force, &e) < 0 || check_combination(o, &e) < 0)
		return refuse(r, o, &e);
	/* An empty file means nothing, and its sidecars neither. */
	if (!o->force && target_clear(o->output, &e) < 0)
		return fail(o, &e);
	os_stop_on_signal(&stop);
	r->cancel = &stop;
	progress_begin(&progress, "restoring");
	rc = restore_make(r, &o->target, o->is_replica, &engine, &plan, &result, &e);
	progress_end(&progress);
	restore_plan_free(&plan);
	if (rc < 0)
		return fail(o, &e);
	if (o->check != RESTORE_CHECK_NONE)
		log_info("post-restore integrity check passed", LS("replica", replica_type(r)));
	return print_result(o, r, result.txid, started_us);
}

struct following {
	const struct options *options;
	struct replica *replica;
	struct progress progress;
};

static void started(void *ctx, uint64_t txid, bool resumed)
{
	struct following *f = ctx;
	const char *type = replica_type(f->replica);

	progress_end(&f->progress);
	f->progress.terminal = false; /* from here on there are log lines */
	if (resumed)
		log_info("resuming follow mode from crash recovery", LS("replica", type), LX("txid", txid),
		         LS("output", f->options->output));
	else if (f->options->check != RESTORE_CHECK_NONE)
		log_info("post-restore integrity check passed", LS("replica", type));
	log_info("entering follow mode", LS("replica", type), LS("output", f->options->output), LX("txid", txid),
	         LD("interval", f->options->follow_interval_ns > 0 ? f->options->follow_interval_ns : 1000000000));
}

static void applied(void *ctx, uint64_t from_txid, uint64_t to_txid)
{
	struct following *f = ctx;

	log_info("follow: applied updates", LS("replica", replica_type(f->replica)), LX("from_txid", from_txid),
	         LX("to_txid", to_txid));
}

static void follow_warn(void *ctx, const char *msg, const struct err *why)
{
	struct following *f = ctx;

	warn(&f->progress, msg, why);
}

static int run_following(const struct options *o, struct replica *r)
{
	int64_t started_us = os_mono_us();
	struct following following = { .options = o, .replica = r };
	struct restore_follow_options engine = {
		.restore = engine_options(o, &following.progress),
		.interval_ms = o->follow_interval_ns / 1000000 + (o->follow_interval_ns % 1000000 > 0),
		.started = started,
		.applied = applied,
		.warn = follow_warn,
		.ctx = &following,
	};
	struct err e = ERR_INIT;
	int rc;

	if (check_combination(o, &e) < 0)
		return refuse(r, o, &e);
	/* An existing output is always one to go on with: -force means nothing then. */
	if (!target_exists(o->output) && (target_check(o->output, o->force, &e) < 0 || target_clear(o->output, &e) < 0))
		return output_error(&e);
	os_stop_on_signal(&stop);
	r->cancel = &stop;
	progress_begin(&following.progress, "restoring");
	rc = restore_follow(r, &engine, &e);
	progress_end(&following.progress);
	if (rc < 0)
		return fail(o, &e);
	log_info("follow mode stopped", LS("replica", replica_type(r)));
	return print_result(o, r, 0, started_us);
}

static int run_dry(const struct options *o, const char *source, struct replica *r)
{
	struct restore_plan plan = {0};
	struct err e = ERR_INIT;
	int status;

	if (o->follow)
		err_set(&e, ERR_INVALID, "cannot use -dry-run with -f");
	else if (o->target.txid != 0 && o->target.has_time)
		err_set(&e, ERR_INVALID, "cannot specify both TXID & timestamp to restore");
	if (e.code != ERR_NONE)
		return refuse(r, o, &e);
	if (restore_plan_make(r, &o->target, o->is_replica, &plan, &e) < 0)
		status = output_error(&e);
	else
		status = restore_plan_print(&plan, source, o->output, replica_type(r), o->json);
	restore_plan_free(&plan);
	return status;
}

/* The first whose files lead where we want; when none does, the first one says why. */
static struct replica *choose(const struct options *o, const struct place *place)
{
	for (int i = 0; place->count > 1 && i < place->count; i++) {
		struct replica *r = place->replicas[i];
		struct restore_plan plan = {0};
		struct err e = ERR_INIT;
		int rc = restore_plan_make(r, &o->target, false, &plan, &e);

		restore_plan_free(&plan);
		if (rc == 0)
			return r;
		log_warn("replica passed over", LS("replica", r->name ? r->name : replica_type(r)),
		         LS("error", err_text(&e)));
	}
	return place->replicas[0];
}

static int restore(struct options *o, const char *word, const struct place *place)
{
	struct replica *r;

	if (o->output[0] == '\0')
		o->output = place->database;
	if (o->if_db_not_exists && target_exists(o->output)) {
		log_info("database already exists, skipping");
		return 0;
	}
	r = choose(o, place);
	if (o->dry_run)
		return run_dry(o, place->database ? place->database : word, r);
	return o->follow ? run_following(o, r) : run_once(o, r);
}

static int run(struct options *o, const char *word)
{
	struct place place;
	struct err e = ERR_INIT;
	int status;

	if (parse_values(o, &e) < 0)
		return output_error(&e);
	if (replica_is_url(word) && o->place.config[0] != '\0')
		return output_errorf("cannot specify a replica URL and the -config flag");
	o->is_replica = place_is_replica(word, &o->place);
	if (o->is_replica && o->output[0] == '\0')
		return output_try("-o is required when restoring from a replica URL", "restore -o /path/to/db ", word);
	if (o->is_replica && o->replica[0] != '\0')
		return output_errorf("cannot specify a replica URL and the -replica flag");
	/* An output that is there needs no look at anything else. */
	if (o->is_replica && o->if_db_not_exists && target_exists(o->output)) {
		log_info("database already exists, skipping");
		return 0;
	}
	if (place_open(word, &o->place, o->replica, o->json ? 2 : 1, &place, &e) < 0)
		return output_error(&e);
	status = restore(o, word, &place);
	place_free(&place);
	return status;
}

int applet_restore(int argc, char **argv)
{
	struct options o = {
		.place = PLACE_FLAGS_DEFAULT, .output = "", .timestamp = "", .check_word = "none", .replica = "", .parallelism = 8,
		.follow_interval_ns = 1000000000,
	};
	const struct flag flags[] = {
		PLACE_FLAGS(o.place),
		{ "replica", FLAG_TEXT, &o.replica, NULL },
		{ "o", FLAG_TEXT, &o.output, NULL },
		{ "txid", FLAG_TXID, &o.target.txid, NULL },
		{ "timestamp", FLAG_TEXT, &o.timestamp, NULL },
		{ "parallelism", FLAG_INT, &o.parallelism, NULL },
		{ "if-db-not-exists", FLAG_BOOL, &o.if_db_not_exists, NULL },
		{ "if-replica-exists", FLAG_BOOL, &o.if_replica_exists, NULL },
		{ "dry-run", FLAG_BOOL, &o.dry_run, NULL },
		{ "force", FLAG_BOOL, &o.force, NULL },
		{ "json", FLAG_BOOL, &o.json, NULL },
		{ "f", FLAG_BOOL, &o.follow, NULL },
		{ "follow-interval", FLAG_DURATION, &o.follow_interval_ns, NULL },
		{ "integrity-check", FLAG_TEXT, &o.check_word, NULL },
		{ .type = FLAG_END },
	};
	int first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	if (first == argc || argv[first][0] == '\0')
		return output_try("database path or replica URL required", "restore -o /path/to/db s3://bucket/prefix",
		                  "");
	if (argc - first > 1)
		return output_errorf("too many arguments");
	applet_log(o.json ? 2 : 1);
	return run(&o, argv[first]);
}
