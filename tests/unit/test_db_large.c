/* SPDX-License-Identifier: MIT */
/* test_db_large.c - a database beyond the lock page: a sparse file of 1 GiB, in the largest pages. */
#include <fcntl.h>
#include <stdlib.h>

#include "tests/check.h"
#include "lib/ltx/file.h"
#include "lib/os/clock.h"
#include "tests/support/rig.h"
#include "tests/support/tmpdir.h"

enum { PAGE = 65536, LOCK = 0x40000000 / PAGE + 1, PAGES = LOCK + 2 };

static struct rig g;

struct seen {
	uint32_t pages;
	bool lock, last;
};

static int visit(void *ctx, const struct ltx_index_entry *entry, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	s->pages++;
	s->lock |= entry->pgno == LOCK;
	s->last |= entry->pgno == PAGES;
	return 0;
}

static bool index_of(uint64_t txid, struct seen *s, struct ltx_header *h)
{
	struct os_file f = OS_FILE_NONE;
	struct os_stat st;
	char path[400];
	bool ok = !os_file_open(&f, rig_local(&g, txid, path), O_RDONLY, 0, &g.e) && !os_file_stat(&f, &st, &g.e) &&
	          !ltx_index_walk(ltx_file_random(&f, st.size), h, visit, s, &g.e);

	os_file_close(&f);
	return ok;
}

/* A small database that says it has PAGES pages, and a hole for all but the first ones. */
static bool make_large(void)
{
	static const uint8_t count[] = { PAGES >> 24, PAGES >> 16 & 0xff, PAGES >> 8 & 0xff, PAGES & 0xff };
	struct os_file f = OS_FILE_NONE;
	bool ok;

	rig_app_close(&g);
	if (os_unlink(g.path, &g.e) || sqlite3_open(g.path, &g.app) ||
	    rig_sql(&g, "PRAGMA page_size=65536; PRAGMA journal_mode=wal; CREATE TABLE t(id INTEGER PRIMARY KEY, b)"))
		return false;
	rig_app_close(&g);
	ok = !rig_write_at(g.path, 28, count, sizeof(count)) && !os_file_open(&f, g.path, O_RDWR, 0, &g.e) &&
	     !os_file_truncate(&f, (int64_t)PAGES * PAGE, &g.e);
	os_file_close(&f);
	return ok && !sqlite3_open(g.path, &g.app) && rig_int(&g, "PRAGMA page_count") == PAGES;
}

TEST(the_lock_page_is_never_stored)
{
	struct seen s = { 0 };
	struct ltx_header h;

	CHECK(!rig_init(&g, "large"));
	CHECK(make_large());
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(rig_sync(&g), 0);
	CHECK(index_of(1, &s, &h));
	CHECK_INT(h.commit, PAGES);
	CHECK_INT(s.pages, PAGES - 1);
	CHECK(!s.lock);
	CHECK(s.last);
	/* Growth: pages behind it, in an increment. */
	CHECK_INT(rig_sql(&g, "INSERT INTO t VALUES(1, zeroblob(300000))"), SQLITE_OK);
	CHECK_INT(rig_sync(&g), 0);
	memset(&s, 0, sizeof(s));
	CHECK(index_of(2, &s, &h));
	CHECK(h.commit > PAGES);
	CHECK(s.pages >= 5);
	CHECK(!s.lock);
	CHECK_INT(rig_upload(&g), UPLOAD_DRAINED);
	rig_free(&g);
}

TEST_MAIN
