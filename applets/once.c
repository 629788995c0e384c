/* SPDX-License-Identifier: MIT */
/*
 * once.c - `replicate -once`: one sync, one upload, done. No loop, no threads, no monitors.
 */
#include "applets/applet.h"
#include "applets/output.h"
#include "applets/replicate.h"
#include "lib/base/log.h"
#include "lib/os/program.h"
#include "lib/store/upload.h"

static int sync_and_upload(struct db *db, struct upload *u, const atomic_bool *stop, struct err *e)
{
	struct db_sync_result r;
	int rc;

	log_info("syncing database", LS("path", db_path(db)));
	if (db_sync(db, 0, &r, e))
		return err_wrap(e, "sync database %s", db_path(db));
	u->verify_up_to = r.txid - (uint64_t)r.files;
	if (r.waiting)
		return err_set(e, ERR_NOT_FOUND, "sync replica for %s: no position, waiting for data", db_path(db));
	rc = upload_run(u, r.txid, 0, stop, e);
	if (rc == UPLOAD_NEEDS_RESET) {
		/* The replica is missing files that are gone here too: its history goes on with a full copy. */
		if (db_reset(db, "files that the replica needs are gone", e) || db_sync(db, 0, &r, e))
			return err_wrap(e, "sync database %s", db_path(db));
		rc = upload_run(u, r.txid, 0, stop, e);
	}
	return rc < 0 ? err_wrap(e, "sync replica for %s", db_path(db)) : 0;
}

/* As at every shutdown: what was committed meanwhile goes along. */
static int last_sync(struct db *db, struct upload *u, const atomic_bool *stop, struct err *e)
{
	struct db_sync_result r;

	if (db_sync(db, DB_SYNC_NO_CHECKPOINT, &r, e) || upload_run(u, r.txid, 0, stop, e) < 0)
		return -1;
	return 0;
}

int replicate_once(struct replicate *r)
{
	static const struct levels_policy policy = LEVELS_POLICY_DEFAULT;
	static atomic_bool stop;
	struct upload u = { .replica = r->managed.replicas[0].replica };
	struct err e = ERR_INIT;
	struct db *db = NULL;
	int status = 0;

	r->managed.db.replicas = &r->managed.replicas[0].replica;
	r->managed.db.replica_count = 1;
	r->managed.db.cancel = &stop;
	os_stop_on_signal(&stop);
	if (db_create(&r->managed.db, &db, &e)) {
		replica_free(r->managed.replicas[0].replica);
		return output_error(&e);
	}
	u.db = db;
	u.levels = levels_create(db, u.replica, &policy, &e);
	if (!u.levels) {
		db_free(db);
		replica_free(u.replica);
		return output_error(&e);
	}
	replica_log_target(u.replica, r->managed.replicas[0].sync_interval_ms);
	if (sync_and_upload(db, &u, &stop, &e)) {
		status = 1;
	} else {
		log_info("one-shot replication complete");
		log_info("replication complete, litestream shutting down");
		if (last_sync(db, &u, &stop, &e))
			log_error("failed to close database", LS("db", db_name(db)), LS("error", err_text(&e)));
	}
	levels_free(u.levels);
	db_free(db);
	replica_free(u.replica);
	log_info("litestream shut down");
	return status ? output_error(&e) : 0;
}
