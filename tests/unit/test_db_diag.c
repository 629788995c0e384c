/* SPDX-License-Identifier: MIT */
/* test_db_diag.c - what an operation tells of itself, while it runs and afterwards. */
#include <errno.h>
#include <string.h>

#include "tests/check.h"
#include "lib/os/fault.h"
#include "tests/support/rig.h"

static struct rig g;
static struct db_diag is;
static struct db_checkpoint_counters n;

static void look(void)
{
	db_diag(g.db, &is);
	db_checkpoint_counters(g.db, &n);
}

TEST(before_the_first_operation_there_is_nothing_to_tell)
{
	CHECK_INT(rig_init(&g, "diag"), 0);
	CHECK_INT(rig_start(&g), 0);
	look();
	CHECK(!is.operation && !is.phase && !is.active && !is.started_ms && !is.elapsed_us && !is.error[0]);
	rig_free(&g);
}

TEST(a_sync_ends_with_its_last_phase_and_its_figures)
{
	CHECK_INT(rig_init(&g, "diag"), 0);
	CHECK(!rig_fill(&g, 20, 300) && !rig_start(&g));
	CHECK_INT(rig_sync(&g), 0);
	look();
	CHECK_STR(is.operation, "sync");
	CHECK_STR(is.phase, "update_metrics");
	CHECK(!is.active && !is.snapshotting && !is.mode && is.started_ms > 0 && is.updated_ms >= is.started_ms);
	CHECK(is.reason != NULL); /* the first file is a full copy */
	CHECK_INT(is.txid, g.r.txid);
	CHECK_INT(is.wal_size, is.wal_offset);
	CHECK_INT(is.wal_offset, g.db->position.offset);
	CHECK_INT(n.count[DB_MODE_PASSIVE], 0);
	CHECK(!rig_fill(&g, 5, 300) && !rig_sync(&g));
	look();
	CHECK(is.reason == NULL);
	CHECK_INT(is.txid, 2);
	rig_free(&g);
}

TEST(checkpoints_are_counted_by_mode)
{
	CHECK_INT(rig_init(&g, "diag"), 0);
	g.o.min_checkpoint_pages = 20;
	CHECK(!rig_fill(&g, 60, 500) && !rig_start(&g) && !rig_sync(&g));
	look();
	CHECK_STR(is.operation, "checkpoint");
	CHECK_STR(is.mode, "PASSIVE");
	CHECK_INT(n.count[DB_MODE_PASSIVE], 1);
	CHECK_INT(n.count[DB_MODE_TRUNCATE], 0);
	rig_free(&g);
	CHECK_INT(rig_init(&g, "diag"), 0);
	g.o.min_checkpoint_pages = 10;
	g.o.truncate_pages = 20;
	CHECK(!rig_fill(&g, 60, 500) && !rig_start(&g) && !rig_sync(&g));
	look();
	CHECK_STR(is.mode, "TRUNCATE");
	CHECK_INT(n.count[DB_MODE_TRUNCATE], 1);
	rig_free(&g);
}

/* What a stuck sync shows: the state is read at each sync of a file, from inside the operation. */
static const char *phase_at_sync, *operation_at_sync;
static bool active_at_sync, snapshotting_at_sync;

static void at_call(void *ctx, enum os_call call)
{
	(void)ctx;
	if (call != OS_CALL_SYNC || phase_at_sync)
		return;
	look();
	phase_at_sync = is.phase;
	operation_at_sync = is.operation;
	active_at_sync = is.active;
	snapshotting_at_sync = is.snapshotting;
}

TEST(a_failure_leaves_its_phase_and_its_reason)
{
	CHECK_INT(rig_init(&g, "diag"), 0);
	CHECK(!rig_fill(&g, 20, 300) && !rig_start(&g));
	os_fault_hook(at_call, NULL);
	os_fault_set(&(struct os_fault_plan){ OS_FAULT_ONCE, 1, OS_CALL_SYNC, ENOSPC, false });
	CHECK_INT(rig_sync(&g), -1);
	os_fault_set(NULL);
	os_fault_hook(NULL, NULL);
	CHECK_STR(phase_at_sync, "fsync_ltx");
	CHECK_STR(operation_at_sync, "sync");
	CHECK(active_at_sync && snapshotting_at_sync);
	look();
	CHECK_STR(is.phase, "fsync_ltx");
	CHECK(!is.active && !is.snapshotting);
	CHECK(strstr(is.error, "no space left on device") != NULL);
	CHECK_INT(rig_sync(&g), 0);
	look();
	CHECK_STR(is.error, "");
	rig_free(&g);
}
TEST_MAIN
