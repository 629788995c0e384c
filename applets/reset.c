/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "applets/applet.h"
#include "applets/local.h"
#include "applets/output.h"
#include "applets/place.h"
#include "lib/base/log.h"
#include "lib/os/file.h"

static const char help[] =
	"Forgets the local state of a database, so that the next sync starts over with a\n"
	"full copy. For local LTX files that are damaged or missing. Neither the database\n"
	"nor its replica is touched.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ reset [arguments] DB_PATH\n"
	"\n"
	"Arguments:\n"
	"\n"
	"\t-config PATH     where a meta-path may be given; without it none is read\n"
	"\t                 (elsewhere the default is $LITESTREAM_CONFIG or /etc/litestream.yml)\n"
	"\t-no-expand-env   take $NAME in the configuration file as it is\n"
	"\t-dry-run         only say what would be removed\n"
	"\n"
	"Example:\n"
	"\n"
	"\t$ @ reset -dry-run /data/app.db\n";

static int meta_path(const char *path, const struct place_flags *f, char **meta, struct err *e)
{
	const char *relative = NULL;
	const struct config_db *db;
	struct config c;
	int rc;

	if (!f->config[0])
		return local_meta_path(path, NULL, NULL, meta, e);
	if (place_config(f, 1, &c, e))
		return err_wrap(e, "cannot read config");
	db = config_find(&c, path, &relative);
	rc = local_meta_path(path, db, relative, meta, e);
	config_free(&c);
	return rc;
}

static int add_file(void *ctx, const char *path, struct err *e)
{
	(void)e;
	buf_fmt(ctx, "  %s\n", path);
	return 0;
}

static int dry_run(const char *path, const char *meta)
{
	struct buf b = {0}, files = {0};
	struct err e = ERR_INIT;
	int status;

	if (local_files(meta, add_file, &files, &e) < 0) {
		buf_free(&files);
		err_wrap(&e, "dry run failed");
		return output_error(&e);
	}
	buf_fmt(&b, "Dry run: local Litestream state would be reset for: %s\nWould remove: %s/ltx\n", path, meta);
	if (files.len == 0)
		buf_str(&b, "No local LTX files would be removed.\n");
	else
		buf_fmt(&b, "Files that would be removed:\n%sNo files were removed.\n", buf_text(&files));
	b.failed |= files.failed;
	status = output_buf(&b);
	buf_free(&files);
	buf_free(&b);
	return status;
}

static int reset(const char *path, const char *meta)
{
	struct buf b = {0};
	struct err e = ERR_INIT;
	int status;

	buf_fmt(&b, "Resetting local Litestream state for: %s\nRemoving: %s/ltx\n", path, meta);
	status = output_buf(&b);
	buf_free(&b);
	if (status)
		return status;
	log_info("resetting local litestream state", LS("meta_path", meta));
	if (local_reset(path, meta, &e) < 0) {
		err_wrap(&e, "reset failed");
		return output_error(&e);
	}
	log_info("local state reset complete, next sync will create fresh snapshot");
	return output_text("Reset complete. Next replication sync will create a fresh snapshot.\n");
}

static int run(const char *path, const struct place_flags *f, bool dry)
{
	struct os_stat st;
	struct err e = ERR_INIT;
	struct buf b = {0};
	char *meta = NULL;
	int status;

	if (os_stat(path, &st, &e) < 0)
		return err_is(&e, ERR_NOT_FOUND) ? output_errorf("database does not exist: %s", path)
		                                 : output_errorf("cannot access database: %s", err_text(&e));
	if (meta_path(path, f, &meta, &e) < 0)
		return output_error(&e);
	if (os_stat(meta, &st, &e) < 0) {
		buf_fmt(&b, "No local state to reset for %s\nMeta directory does not exist: %s\n", path, meta);
		status = err_is(&e, ERR_NOT_FOUND) ? output_buf(&b) : output_error(&e);
		buf_free(&b);
	} else {
		status = dry ? dry_run(path, meta) : reset(path, meta);
	}
	free(meta);
	return status;
}

int applet_reset(int argc, char **argv)
{
	struct place_flags place_flags = PLACE_FLAGS_DEFAULT;
	bool dry = false;
	const struct flag flags[] = {
		PLACE_FLAGS(place_flags),
		{ "dry-run", FLAG_BOOL, &dry, NULL },
		{ .type = FLAG_END },
	};
	struct err e = ERR_INIT;
	char *path;
	int first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	if (first == argc || argv[first][0] == '\0')
		return output_try("database path required", "reset /path/to/db", "");
	if (argc - first > 1)
		return output_errorf("too many arguments");
	applet_log(1);
	if (place_expand(argv[first], &path, &e) < 0)
		return output_error(&e);
	status = run(path, &place_flags, dry);
	free(path);
	return status;
}
