/* SPDX-License-Identifier: MIT */
/*
 * Snapshots beside everything else: commits at every moment of the beginning; writers, syncs and checkpoints at each
 * piece of output; random histories; threads.
 */
#include <pthread.h>
#include <stdlib.h>

#include "lib/os/fault.h"
#include "tests/check.h"
#include "tests/support/shot.h"

static void truncate_wal(struct shot *s) { shot_checkpoints(s, SQLITE_CHECKPOINT_TRUNCATE); }

/* Not synced before the snapshot goes on: frames that no file has, and that a foreign checkpoint may want to move. */
static void passive_unsynced(struct shot *s)
{
	int frames, done;

	shot_writes(s);
	sqlite3_wal_checkpoint_v2(s->g->app, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &done);
}

static void vacuum(struct shot *s)
{
	if (s->pieces % 4 == 1)
		rig_sql(s->g, "DELETE FROM t WHERE id>%d", 3000 - s->pieces * 100);
	if (s->pieces % 4 == 2)
		rig_sql(s->g, "VACUUM");
	if (s->pieces % 4 == 3)
		rig_fill(s->g, 3500, 800);
	shot_passive(s);
}

static void remembers_mark(struct shot *s)
{
	shot_writes_and_syncs(s);
	db_read_end(s->g->db);      /* the engine's lock is gone for a moment, as when it is renewed */
	db_read_begin(s->g->db, NULL);
	shot_passive(s);
}

static bool all_backfilled(struct rig *g)
{
	struct wal_index index;

	return wal_index_read(g->db->index, &index) && index.frames && index.frames == index.backfilled;
}

static bool disturbed(const char *name, void (*disturb)(struct shot *), bool backfilled)
{
	struct rig g;
	struct shot s;
	struct db_snapshot *snapshot;
	bool ok;

	if (!shot_start(&g, name))
		return false;
	if (backfilled) {
		db_close(g.db);
		if (rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE))
			return false;
	}
	snapshot = shot_begin(&s, &g);
	if (!snapshot || (backfilled && !all_backfilled(&g)))
		return false;
	s.disturb = disturb;
	ok = shot_finish(&s, snapshot);
	ok = rig_good(&g) && ok;
	rig_free(&g);
	return ok;
}

TEST(beside_a_writer) { CHECK(disturbed("writer", shot_writes, false)); }
TEST(beside_syncs) { CHECK(disturbed("syncs", shot_writes_and_syncs, false)); }
TEST(beside_passive_checkpoints) { CHECK(disturbed("passive", shot_passive, false)); }
TEST(beside_checkpoints_of_unsynced_frames) { CHECK(disturbed("passive2", passive_unsynced, false)); }
TEST(beside_attempts_to_truncate) { CHECK(disturbed("truncate", truncate_wal, false)); }
TEST(beside_growth_and_vacuum) { CHECK(disturbed("vacuum", vacuum, false)); }
TEST(beside_a_renewed_lock) { CHECK(disturbed("renewed", remembers_mark, false)); }

/* Everything is in the file when it begins: the WAL may be restarted meanwhile. */
TEST(backfilled_beside_a_writer) { CHECK(disturbed("b-writer", shot_writes, true)); }
TEST(backfilled_beside_syncs) { CHECK(disturbed("b-syncs", shot_writes_and_syncs, true)); }
TEST(backfilled_beside_passive) { CHECK(disturbed("b-passive", shot_passive, true)); }
TEST(backfilled_beside_unsynced) { CHECK(disturbed("b-passive2", passive_unsynced, true)); }
TEST(backfilled_beside_truncate) { CHECK(disturbed("b-truncate", truncate_wal, true)); }
TEST(backfilled_beside_vacuum) { CHECK(disturbed("b-vacuum", vacuum, true)); }

/* Commits come at every moment of begin; whatever the mark of its connection is, the position is not behind it. */
static struct rig *committing;

static void commit_now(void *ctx, enum os_call call)
{
	unsigned *n = ctx;

	(void)call;
	if (++*n % 4 == 0)
		rig_sql(committing, "UPDATE t SET b=randomblob(500) WHERE id=%u", *n * 17 % 3000);
}

TEST(commits_while_it_begins)
{
	for (unsigned phase = 0; phase < 4; phase++) {
		struct rig g;
		struct shot s;
		struct db_snapshot *snapshot = NULL;
		unsigned n = phase;

		CHECK(shot_start(&g, "begins"));
		committing = &g;
		os_fault_hook(commit_now, &n);
		int rc = db_snapshot_begin(g.db, &snapshot, &s.e);
		os_fault_hook(NULL, NULL);
		CHECK_OK(rc, &s.e);
		/* What is wanted is the chain of files, not the database as it is now. */
		uint64_t txid = db_snapshot_txid(snapshot);
		rig_true(&g);
		CHECK_INT(g.applied, txid);
		s = (struct shot){ .g = &g, .txid = txid, .want = g.chain, .disturb = remembers_mark };
		s.want.bytes = malloc((size_t)s.want.pages * s.want.page_size);
		memcpy(s.want.bytes, g.chain.bytes, (size_t)s.want.pages * s.want.page_size);
		CHECK(shot_finish(&s, snapshot));
		rig_free(&g);
	}
}

/* ---- random histories ---- */

static unsigned next(struct shot *s, unsigned n)
{
	s->seed = s->seed * 1103515245 + 12345;
	return (s->seed >> 12) % n;
}

static void anything(struct shot *s)
{
	static const int modes[] = { SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
		                     SQLITE_CHECKPOINT_TRUNCATE };
	int frames, done;

	for (unsigned n = next(s, 4); n > 0; n--) {
		switch (next(s, 7)) {
		case 0:
			rig_sql(s->g, "UPDATE t SET b=randomblob(%u) WHERE id%%%u=0", next(s, 900), 3 + next(s, 90));
			break;
		case 1: rig_fill(s->g, (int)next(s, 400) + 1, (int)next(s, 1500)); break;
		case 2: rig_sql(s->g, "DELETE FROM t WHERE id%%%u=0", 2 + next(s, 20)); break;
		case 3: sqlite3_wal_checkpoint_v2(s->g->app, "main", modes[next(s, 4)], &frames, &done); break;
		case 4: rig_sync(s->g); break;
		case 5: if (!next(s, 3)) rig_sql(s->g, "VACUUM"); break;
		case 6: rig_sql(s->g, "PRAGMA wal_autocheckpoint=%u", next(s, 2) * 20); break;
		}
	}
}

TEST(random_histories)
{
	int whole = 0;

	for (unsigned seed = 1; seed <= 60; seed++) {
		struct rig g;
		struct shot s = { .seed = seed };
		char name[32];

		snprintf(name, sizeof(name), "random%u", seed);
		CHECK_INT(rig_init(&g, name), 0);
		g.o.min_checkpoint_pages = 50 + next(&s, 500);
		CHECK_INT(rig_fill(&g, 300, 900), 0);
		CHECK_INT(rig_start(&g), 0);
		CHECK(rig_good(&g));
		for (int i = 0; i < 4; i++) {
			s.g = &g;
			anything(&s);
			unsigned keep = s.seed;
			struct db_snapshot *snapshot = shot_begin(&s, &g);
			if (!snapshot)
				CHECK_FAIL("seed %u", seed);
			s.seed = keep;
			s.disturb = anything;
			keep = s.seed;
			if (!shot_finish(&s, snapshot))
				CHECK_FAIL("seed %u", seed);
			whole++;
			CHECK(rig_good(&g));
		}
		rig_free(&g);
	}
	CHECK_INT(whole, 240);
}

/* ---- threads ---- */

struct busy {
	struct rig *g;
	atomic_bool stop;
	int rc;
};

static void *keep_busy(void *arg)
{
	struct busy *b = arg;

	for (int i = 0; !atomic_load(&b->stop); i++) {
		struct db_sync_result r;

		rig_sql(b->g, "UPDATE t SET b=randomblob(700) WHERE id%%97=%d", i % 97);
		if (db_sync(b->g->db, 0, &r, NULL))
			b->rc = -1;
	}
	return NULL;
}

TEST(in_two_threads)
{
	struct rig g;
	struct shot s;
	struct busy b = { .g = &g };
	pthread_t thread;
	bool ok;

	CHECK(shot_start(&g, "threads"));
	g.db->o.min_checkpoint_pages = 100;
	for (int i = 0; i < 3; i++) {
		struct db_snapshot *snapshot = shot_begin(&s, &g);
		CHECK(snapshot);
		atomic_store(&b.stop, false);
		CHECK_INT(pthread_create(&thread, NULL, keep_busy, &b), 0);
		ok = shot_finish(&s, snapshot);
		atomic_store(&b.stop, true);
		pthread_join(thread, NULL);
		CHECK(ok);
		CHECK_INT(b.rc, 0);
		CHECK(rig_good(&g));
	}
	rig_free(&g);
}

/* An application with checkpoints of its own, syncs, and the snapshot, each in its thread. */
static void *be_an_application(void *arg)
{
	struct busy *b = arg;

	rig_sql(b->g, "PRAGMA wal_autocheckpoint=60");
	sqlite3_busy_timeout(b->g->app, 1000);
	for (int i = 1; !atomic_load(&b->stop); i++) {
		rig_sql(b->g, "UPDATE t SET b=randomblob(%d) WHERE id%%131=%d", 300 + i % 900, i % 131);
		if (i % 40 == 0)
			rig_sql(b->g, "DELETE FROM t WHERE id%%11=%d", i / 40 % 11);
		if (i % 40 == 20)
			rig_fill(b->g, 1500 + i % 700, 400);
		if (i % 150 == 149)
			rig_sql(b->g, "VACUUM");
	}
	return NULL;
}

struct writer {
	struct shot s;
	struct db_snapshot *snapshot;
	atomic_bool ended;
	int rc;
};

static void *write_snapshot(void *arg)
{
	struct writer *w = arg;
	int64_t size;

	w->rc = db_snapshot_write(w->snapshot, (struct ltx_sink){ shot_write, &w->s }, NULL, &size, &w->s.e);
	atomic_store(&w->ended, true);
	return NULL;
}

/* The files up to a TXID make what came out. */
static bool is_chain(struct rig *g, struct shot *s, uint64_t txid)
{
	struct image im = { 0 };
	struct ltx_header h;
	char path[400];
	bool ok = true;
	int64_t time_ms;

	for (; ok && g->applied < txid; g->applied++)
		ok = !image_apply(&g->chain, rig_local(g, g->applied + 1, path), g->applied + 1, &g->copy, &time_ms,
		                  &g->e);
	ok = ok && shot_decode(s, &im, &h) && h.max_txid == txid && im.pages == g->chain.pages &&
	     !memcmp(im.bytes, g->chain.bytes, (size_t)im.pages * im.page_size);
	free(im.bytes);
	return ok;
}

TEST(beside_an_application)
{
	struct rig g;
	struct busy b = { .g = &g };
	pthread_t application, thread;
	int good = 0;

	CHECK(shot_start(&g, "application"));
	g.db->o.min_checkpoint_pages = 200;
	CHECK_INT(pthread_create(&application, NULL, be_an_application, &b), 0);
	for (int i = 0; i < 6; i++) {
		struct writer w = { .rc = -1 };
		struct db_sync_result r;

		/* The log may change too fast to be read for a moment. */
		if (db_snapshot_begin(g.db, &w.snapshot, &w.s.e))
			continue;
		pthread_create(&thread, NULL, write_snapshot, &w);
		while (!atomic_load(&w.ended))
			b.rc |= db_sync(g.db, 0, &r, &g.e);
		pthread_join(thread, NULL);
		if (w.rc)
			printf("write: %s\n", w.s.e.text);
		else if (is_chain(&g, &w.s, db_snapshot_txid(w.snapshot)))
			good++;
		else
			good = -100;
		db_snapshot_end(w.snapshot);
		mem_free(&w.s.out);
		for (int n = 0; n < 3; n++)
			b.rc |= db_sync(g.db, 0, &r, &g.e);
	}
	atomic_store(&b.stop, true);
	pthread_join(application, NULL);
	CHECK_INT(b.rc, 0);
	CHECK(good >= 3);
	rig_free(&g);
}

TEST_MAIN
