/* SPDX-License-Identifier: MIT */
/*
 * many - a long chain of small level-0 files.
 *
 *   many DB META COUNT   commits one small row COUNT times and writes a level-0 file after each into META/ltx/0
 *
 * The engine itself makes the files, without the daemon's waiting between them. DB is a database in WAL mode.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/db/db.h"
#include "sqlite3.h"

static int fail(const char *why)
{
	fprintf(stderr, "many: %s\n", why);
	return 1;
}

int main(int argc, char **argv)
{
	struct db_options o = DB_OPTIONS_DEFAULT;
	struct err e = ERR_INIT;
	struct db_sync_result r;
	struct db *d;
	sqlite3 *app;

	if (argc != 4)
		return fail("usage: many DB META COUNT");
	log_set_level(LOG_ERROR);
	o.path = argv[1];
	o.meta_path = argv[2];
	if (db_create(&o, &d, &e) || db_sync(d, DB_SYNC_NO_CHECKPOINT, &r, &e))
		return fail(err_text(&e));
	if (sqlite3_open(argv[1], &app) ||
	    sqlite3_exec(app, "CREATE TABLE many (id INTEGER PRIMARY KEY, data BLOB)", NULL, NULL, NULL))
		return fail(sqlite3_errmsg(app));
	for (int i = 0; i < atoi(argv[3]); i++) {
		if (sqlite3_exec(app, "INSERT INTO many (data) VALUES (randomblob(200))", NULL, NULL, NULL))
			return fail(sqlite3_errmsg(app));
		if (db_sync(d, DB_SYNC_NO_CHECKPOINT, &r, &e))
			return fail(err_text(&e));
	}
	db_free(d);
	sqlite3_close(app);
	printf("%llu\n", (unsigned long long)r.txid);
	return 0;
}
