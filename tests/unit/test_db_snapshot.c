/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdlib.h>

#include "lib/db/snapshot.h"
#include "lib/os/fault.h"
#include "tests/check.h"
#include "tests/support/ltxmem.h"
#include "tests/support/rig.h"

/* Where a snapshot goes, and what happens while it does. */
struct shot {
	struct rig *g;
	struct mem out;
	void (*disturb)(struct shot *s); /* at each piece of output */
	int pieces, fail_at;
	unsigned seed;
	atomic_bool cancel;
	struct image want; /* the database as it stood at the beginning */
	uint64_t txid;
	struct err e;
};

static int shot_write(void *ctx, const void *bytes, size_t n, struct err *e)
{
	struct shot *s = ctx;

	if (++s->pieces == s->fail_at)
		return err_set(e, ERR_FULL, "no room");
	mem_add(&s->out, bytes, n);
	if (s->disturb)
		s->disturb(s);
	return 0;
}

/* Makes an image of what came out; false when it is no snapshot of all pages. */
static bool decode(struct shot *s, struct image *im, struct ltx_header *h)
{
	static uint8_t frame[LTX_FRAME_MAX], page[LTX_PAGE_SIZE_MAX];
	struct ltx_decoder d;
	uint32_t pgno;
	int more;

	s->out.pos = 0;
	if (ltx_decoder_begin(&d, mem_source(&s->out), frame, &s->e))
		return false;
	*h = d.header;
	im->page_size = d.header.page_size;
	im->pages = d.header.commit;
	im->bytes = calloc(im->pages, im->page_size);
	while ((more = ltx_decoder_next(&d, &pgno, page, &s->e)) > 0)
		memcpy(im->bytes + (size_t)(pgno - 1) * im->page_size, page, im->page_size);
	return !more && !ltx_decoder_end(&d, &s->e) && d.page_count == d.header.commit;
}

/* Begins, and remembers what must come out. */
static struct db_snapshot *begin(struct shot *s, struct rig *g)
{
	struct db_snapshot *snapshot = NULL;
	size_t n;

	*s = (struct shot){ .g = g };
	if (db_snapshot_begin(g->db, &snapshot, &s->e) || !rig_true(g)) {
		printf("begin: %s\n", s->e.text);
		db_snapshot_end(snapshot);
		return NULL;
	}
	n = (size_t)g->chain.page_size * g->chain.pages;
	s->want = g->chain;
	s->want.bytes = malloc(n);
	memcpy(s->want.bytes, g->chain.bytes, n);
	s->txid = db_txid(g->db);
	return snapshot;
}

static void forget(struct shot *s)
{
	mem_free(&s->out);
	free(s->want.bytes);
	s->want.bytes = NULL;
}

/* Writes, ends, compares. */
static bool finish(struct shot *s, struct db_snapshot *snapshot)
{
	struct image im = { 0 };
	struct ltx_header h;
	int64_t size = 0;
	bool ok = false;
	int rc = db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, s }, &s->cancel, &size, &s->e);

	if (rc)
		printf("write: %s\n", s->e.text);
	else if (size != (int64_t)s->out.len || !decode(s, &im, &h))
		printf("decode: %s\n", s->e.text);
	else if (h.min_txid != 1 || h.max_txid != s->txid || db_snapshot_txid(snapshot) != s->txid ||
	         h.timestamp_ms != db_snapshot_created_ms(snapshot) || db_snapshot_pages(snapshot) != h.commit)
		printf("header\n");
	else if (im.pages != s->want.pages || im.page_size != s->want.page_size)
		printf("%u pages instead of %u\n", im.pages, s->want.pages);
	else if (memcmp(im.bytes, s->want.bytes, (size_t)im.pages * im.page_size))
		printf("other pages\n");
	else
		ok = true;
	free(im.bytes);
	forget(s);
	db_snapshot_end(snapshot);
	return ok;
}

/* A database with rows in the file and others in the WAL, synced. */
static bool start(struct rig *g, const char *name)
{
	return !rig_init(g, name) && !rig_fill(g, 3000, 700) && !rig_checkpoint(g, SQLITE_CHECKPOINT_TRUNCATE) &&
	       !rig_start(g) && rig_good(g) && !rig_sql(g, "UPDATE t SET b=randomblob(650) WHERE id%%7=0") && rig_good(g);
}

TEST(quiet)
{
	struct rig g;
	struct shot s;

	CHECK(start(&g, "quiet"));
	struct db_snapshot *snapshot = begin(&s, &g);
	CHECK(snapshot);
	CHECK(finish(&s, snapshot));
	CHECK(rig_good(&g));
	rig_free(&g);
}

/* What was committed before begin is in it, even if no sync has seen it. */
TEST(takes_what_was_not_synced)
{
	struct rig g;
	struct shot s;

	CHECK(start(&g, "unsynced"));
	CHECK_INT(rig_sql(&g, "DELETE FROM t WHERE id%%3=0"), 0);
	uint64_t before = db_txid(g.db);
	struct db_snapshot *snapshot = begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(db_txid(g.db), before + 1);
	CHECK(finish(&s, snapshot));
	rig_free(&g);
}

static void writes(struct shot *s)
{
	rig_sql(s->g, "UPDATE t SET b=randomblob(600) WHERE id%%50=%d", s->pieces % 50);
}

static void writes_and_syncs(struct shot *s)
{
	writes(s);
	rig_sync(s->g);
}

static void checkpoints(struct shot *s, int mode)
{
	int frames, done;

	writes_and_syncs(s);
	sqlite3_wal_checkpoint_v2(s->g->app, "main", mode, &frames, &done);
}

static void passive(struct shot *s) { checkpoints(s, SQLITE_CHECKPOINT_PASSIVE); }
static void truncate_wal(struct shot *s) { checkpoints(s, SQLITE_CHECKPOINT_TRUNCATE); }

/* Not synced before the snapshot goes on: frames that no file has, and that a foreign checkpoint may want to move. */
static void passive_unsynced(struct shot *s)
{
	int frames, done;

	writes(s);
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
	passive(s);
}

static void remembers_mark(struct shot *s)
{
	writes_and_syncs(s);
	db_read_end(s->g->db);      /* the engine's lock is gone for a moment, as when it is renewed */
	db_read_begin(s->g->db, NULL);
	passive(s);
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

	if (!start(&g, name))
		return false;
	if (backfilled) {
		db_close(g.db);
		if (rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE))
			return false;
	}
	snapshot = begin(&s, &g);
	if (!snapshot || (backfilled && !all_backfilled(&g)))
		return false;
	s.disturb = disturb;
	ok = finish(&s, snapshot);
	ok = rig_good(&g) && ok;
	rig_free(&g);
	return ok;
}

TEST(beside_a_writer) { CHECK(disturbed("writer", writes, false)); }
TEST(beside_syncs) { CHECK(disturbed("syncs", writes_and_syncs, false)); }
TEST(beside_passive_checkpoints) { CHECK(disturbed("passive", passive, false)); }
TEST(beside_checkpoints_of_unsynced_frames) { CHECK(disturbed("passive2", passive_unsynced, false)); }
TEST(beside_attempts_to_truncate) { CHECK(disturbed("truncate", truncate_wal, false)); }
TEST(beside_growth_and_vacuum) { CHECK(disturbed("vacuum", vacuum, false)); }
TEST(beside_a_renewed_lock) { CHECK(disturbed("renewed", remembers_mark, false)); }

/* Everything is in the file when it begins: the WAL may be restarted meanwhile. */
TEST(backfilled_beside_a_writer) { CHECK(disturbed("b-writer", writes, true)); }
TEST(backfilled_beside_syncs) { CHECK(disturbed("b-syncs", writes_and_syncs, true)); }
TEST(backfilled_beside_passive) { CHECK(disturbed("b-passive", passive, true)); }
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

		CHECK(start(&g, "begins"));
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
		CHECK(finish(&s, snapshot));
		rig_free(&g);
	}
}

TEST(page_sizes)
{
	for (int size = 512; size <= 65536; size *= 2) {
		struct rig g;
		struct shot s;
		char name[32];

		snprintf(name, sizeof(name), "size%d", size);
		CHECK_INT(rig_init(&g, name), 0);
		CHECK_INT(rig_sql(&g, "PRAGMA journal_mode=delete; PRAGMA page_size=%d; VACUUM; PRAGMA journal_mode=wal", size), 0);
		CHECK_INT(rig_fill(&g, 800, 900), 0);
		CHECK_INT(rig_checkpoint(&g, SQLITE_CHECKPOINT_PASSIVE), 0);
		CHECK_INT(rig_start(&g), 0);
		CHECK(rig_good(&g));
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=zeroblob(3000) WHERE id%%5=0"), 0);
		struct db_snapshot *snapshot = begin(&s, &g);
		CHECK(snapshot);
		CHECK_INT(s.want.page_size, size);
		s.disturb = passive;
		CHECK(finish(&s, snapshot));
		rig_free(&g);
	}
}

/* The header tells where in the WAL it ends. */
TEST(header_names_the_last_frame)
{
	struct rig g;
	struct shot s;
	struct image im = { 0 };
	struct ltx_header h;
	int64_t size;

	CHECK(start(&g, "header"));
	struct db_snapshot *snapshot = begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, NULL, &size, &s.e), 0);
	CHECK(decode(&s, &im, &h));
	CHECK_INT(h.wal_size, wal_frame_size(1024));
	CHECK_INT(h.wal_offset + h.wal_size, g.db->position.offset);
	CHECK_INT(h.wal_salt1, g.db->position.salt1);
	CHECK_INT(h.flags, LTX_FLAG_NO_CHECKSUM);
	free(im.bytes);
	forget(&s);
	db_snapshot_end(snapshot);
	rig_free(&g);
}

TEST(no_checkpoint_meanwhile)
{
	struct rig g;
	struct shot s;

	CHECK_INT(rig_init(&g, "nockpt"), 0);
	g.o.min_checkpoint_pages = 10;
	CHECK_INT(rig_start(&g), 0);
	CHECK(rig_good(&g));
	struct db_snapshot *snapshot = begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(rig_fill(&g, 100, 500), 0);
	CHECK(rig_good(&g));
	CHECK(!g.r.restarted);
	CHECK_INT(db_checkpoint_due_us(g.db), 0);
	CHECK(finish(&s, snapshot));
	CHECK(rig_good(&g));
	CHECK(g.r.restarted);
	/* Right behind the restart, when the WAL holds next to nothing. */
	snapshot = begin(&s, &g);
	CHECK(snapshot);
	s.disturb = passive;
	CHECK(finish(&s, snapshot));
	rig_free(&g);
}

TEST(interrupted)
{
	struct rig g;
	struct shot s;
	int64_t size;

	CHECK(start(&g, "interrupted"));
	struct db_snapshot *snapshot = begin(&s, &g);
	CHECK(snapshot);
	atomic_store(&s.cancel, true);
	CHECK_INT(db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, &s.cancel, &size, &s.e), -1);
	CHECK_INT(s.e.code, ERR_CANCELLED);
	db_snapshot_end(snapshot);
	forget(&s);

	snapshot = begin(&s, &g);
	CHECK(snapshot);
	s.fail_at = 3;
	CHECK_INT(db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, NULL, &size, &s.e), -1);
	CHECK_INT(s.e.code, ERR_FULL);
	CHECK(g.db->snapshotting);
	db_snapshot_end(snapshot);
	CHECK(!g.db->snapshotting);
	forget(&s);
	CHECK(rig_good(&g));
	rig_free(&g);
}

TEST(one_at_a_time_and_not_without_a_database)
{
	struct rig g;
	struct shot s;
	struct db_snapshot *second;
	char path[400];

	CHECK(start(&g, "one"));
	struct db_snapshot *snapshot = begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(db_snapshot_begin(g.db, &second, &s.e), -1);
	CHECK_INT(s.e.code, ERR_BUSY);
	CHECK(!second);
	/* The engine may even close meanwhile. */
	db_close(g.db);
	CHECK(finish(&s, snapshot));
	rig_free(&g);

	CHECK_INT(rig_init(&g, "none"), 0);
	rig_app_close(&g);
	CHECK_INT(os_unlink(rig_beside(&g, "", path), NULL), 0);
	CHECK_INT(rig_start(&g), 0);
	CHECK_INT(db_snapshot_begin(g.db, &second, &s.e), -1);
	CHECK_INT(s.e.code, ERR_BUSY);
	CHECK(!g.db->snapshotting);
	db_snapshot_end(NULL);
	rig_free(&g);
}

/* A WAL whose protection failed: the answer is an error, not an image. */
TEST(restarted_under_it)
{
	struct rig g;
	struct shot s;
	int64_t size;
	char wal[400];

	CHECK(start(&g, "restarted"));
	struct db_snapshot *snapshot = begin(&s, &g);
	CHECK(snapshot);
	CHECK_INT(rig_write_at(rig_beside(&g, "-wal", wal), 16, "\1\2\3\4", 4), 0); /* salt1 */
	CHECK_INT(db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, NULL, &size, &s.e), -1);
	CHECK_INT(s.e.code, ERR_BUSY);
	db_snapshot_end(snapshot);
	forget(&s);
	rig_free(&g);
}

/* Whatever call fails, of ours or of SQLite's: an error or the right image, and nothing stays behind. */
TEST(every_call_fails_once)
{
	int failed = 0;

	os_fault_vfs();
	for (uint64_t at = 1;; at += 1 + at / 100) {
		struct rig g;
		struct shot s;
		struct db_snapshot *snapshot = NULL;
		struct image im = { 0 };
		struct ltx_header h;
		int64_t size;
		int rc;

		CHECK(!rig_init(&g, "faults") && !rig_fill(&g, 100, 500) && !rig_checkpoint(&g, SQLITE_CHECKPOINT_TRUNCATE) &&
		      !rig_start(&g) && rig_good(&g));
		CHECK_INT(rig_sql(&g, "UPDATE t SET b=1 WHERE id<9"), 0);
		s = (struct shot){ .g = &g };
		os_fault_set(&(struct os_fault_plan){ .mode = OS_FAULT_ONCE, .at = at, .sqlite_too = true });
		rc = db_snapshot_begin(g.db, &snapshot, &s.e);
		if (!rc)
			rc = db_snapshot_write(snapshot, (struct ltx_sink){ shot_write, &s }, NULL, &size, &s.e);
		bool hit = os_fault_hit();
		os_fault_set(NULL);
		failed += rc != 0;
		CHECK(!rc || s.e.text[0]);
		CHECK(rc || (decode(&s, &im, &h) && h.max_txid == db_snapshot_txid(snapshot)));
		free(im.bytes);
		forget(&s);
		db_snapshot_end(snapshot);
		CHECK(!g.db->snapshotting);
		CHECK(rig_good(&g));
		rig_free(&g);
		if (!hit)
			break;
	}
	CHECK(failed > 20);
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
		case 0: rig_sql(s->g, "UPDATE t SET b=randomblob(%u) WHERE id%%%u=0", next(s, 900), 3 + next(s, 90)); break;
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
			struct db_snapshot *snapshot = begin(&s, &g);
			if (!snapshot)
				CHECK_FAIL("seed %u", seed);
			s.seed = keep;
			s.disturb = anything;
			keep = s.seed;
			if (!finish(&s, snapshot))
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

	CHECK(start(&g, "threads"));
	g.db->o.min_checkpoint_pages = 100;
	for (int i = 0; i < 3; i++) {
		struct db_snapshot *snapshot = begin(&s, &g);
		CHECK(snapshot);
		atomic_store(&b.stop, false);
		CHECK_INT(pthread_create(&thread, NULL, keep_busy, &b), 0);
		ok = finish(&s, snapshot);
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
		ok = !image_apply(&g->chain, rig_local(g, g->applied + 1, path), g->applied + 1, &g->copy, &time_ms, &g->e);
	ok = ok && decode(s, &im, &h) && h.max_txid == txid && im.pages == g->chain.pages &&
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

	CHECK(start(&g, "application"));
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
