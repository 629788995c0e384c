# SPDX-License-Identifier: MIT
"""The daemon beside applications of many kinds. After a clean stop the restored database is the source, byte for byte;
every TXID on the way is a state that the applications had committed (spec: the oracle)."""
import os
import shutil
import time

import lib
import oracle


def one(t, writers=({},), between=None, **database):
    """Writers run beside a daemon; then the daemon stops, then everything is compared."""
    db = oracle.create(t, **database)
    d = oracle.start(t, db)
    # SQLite's lock is unfair: without a pause between transactions one of several writers would get it all.
    pause = 3 if len(writers) > 1 else 0
    running = [oracle.Writer(t, db, **{"w": i + 1, "seconds": 1.6, "sleep_ms": pause, **o}) for i, o in enumerate(writers)]
    if between:
        between(t, db, d)
    last = {w.w: w.wait() for w in running}
    oracle.stop(d)
    out = oracle.equals_source(t, t.path("replica"), db)
    oracle.prefix(out, last, last)
    numbers = oracle.history(t, t.path("replica"), last)
    lib.check(sum(last.values()) > 4 * len(last), "the writers did nothing: %r" % last)
    return d, numbers


def test_default(t):
    one(t)


def test_autocheckpoint_off(t):
    one(t, [{"autocheckpoint": 0}])


def test_autocheckpoint_often(t):
    one(t, [{"autocheckpoint": 8}])


def test_synchronous_full(t):
    one(t, [{"synchronous": "FULL"}])


def test_synchronous_normal(t):
    one(t, [{"synchronous": "NORMAL", "autocheckpoint": 20}])


def test_synchronous_off(t):
    one(t, [{"synchronous": "OFF"}])


def test_vacuum(t):
    one(t, [{"ops": "insert update delete vacuum", "keep": 60, "rows": 12}])


def test_auto_vacuum_full(t):
    one(t, [{"keep": 40, "rows": 12}], auto_vacuum="FULL")


def test_auto_vacuum_incremental(t):
    one(t, [{"ops": "insert update delete incremental", "keep": 40, "rows": 12}], auto_vacuum="INCREMENTAL")


def page_size(size):
    def test(t):
        one(t, [{"seconds": 1.0, "ops": "insert update delete vacuum", "keep": 60, "rows": 10, "body": 3000},
                {"seconds": 1.0, "autocheckpoint": 8}], page_size=size)
    return test


test_pages_of_512 = page_size(512)
test_pages_of_1024 = page_size(1024)
test_pages_of_2048 = page_size(2048)
test_pages_of_8192 = page_size(8192)
test_pages_of_16384 = page_size(16384)
test_pages_of_32768 = page_size(32768)
test_pages_of_65536 = page_size(65536)


def test_big_blobs(t):
    one(t, [{"ops": "insert delete huge", "keep": 8, "cache": 20}])


def test_rollback(t):
    one(t, [{"ops": "insert update rollback", "cache": 4}])


def test_savepoints(t):
    one(t, [{"ops": "insert savepoint delete", "cache": 4, "keep": 200}])


def test_without_rowid(t):
    one(t, without_rowid=True)


def test_several_processes(t):
    one(t, [{}, {"autocheckpoint": 8}, {"autocheckpoint": 0, "synchronous": "FULL"},
            {"ops": "insert rollback savepoint", "cache": 4}])


def test_connection_per_transaction(t):
    """The last close of the application must neither checkpoint nor delete the WAL under us."""
    d, _ = one(t, [{"reopen": 1}])
    lib.equal(d.text().count("snap=true"), 1, "full copies")


def test_connection_per_transaction_autocheckpoint(t):
    one(t, [{"reopen": 1, "autocheckpoint": 4}, {"reopen": 3}])


def test_foreign_checkpoints(t):
    one(t, [{"checkpoint": ["PASSIVE", 3]}, {"checkpoint": ["FULL", 11]}, {"checkpoint": ["RESTART", 17]},
            {"checkpoint": ["TRUNCATE", 23]}])


def test_long_reader(t):
    def read(t, db, d):
        time.sleep(0.3)
        reader = t.connect(db)
        reader.execute("BEGIN")
        seen = reader.execute("SELECT count(*) FROM log").fetchone()
        time.sleep(1.0)
        lib.equal(reader.execute("SELECT count(*) FROM log").fetchone(), seen, "the reader's view")
        reader.execute("COMMIT")
        reader.close()
    one(t, [{"autocheckpoint": 8}, {"rows": 60, "body": 2000}], read)


def test_attached(t):
    first, second = oracle.create(t, "one.db"), oracle.create(t, "two.db", page_size=1024)
    d1, d2 = oracle.start(t, first, t.path("r1")), oracle.start(t, second, t.path("r2"))
    w = oracle.Writer(t, first, attach=second, seconds=1.6)
    last = {1: w.wait()}
    for d, db, replica in ((d1, first, t.path("r1")), (d2, second, t.path("r2"))):
        oracle.stop(d)
        oracle.prefix(oracle.equals_source(t, replica, db), last, last)
        oracle.history(t, replica, last)


def test_transaction_larger_than_a_chunk(t):
    """max-sync-wal-bytes is 64 MiB: a transaction beyond it is still one file, and what follows goes on from there."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    c = t.connect(db)
    c.execute("PRAGMA cache_size = 100")
    c.execute("CREATE TABLE big (x BLOB)")
    c.execute("BEGIN")
    for _ in range(90):
        c.execute("INSERT INTO big VALUES (randomblob(1000000))")
    c.execute("COMMIT")
    c.execute("UPDATE big SET x = zeroblob(1000000) WHERE rowid % 2")
    c.close()
    last = {1: oracle.Writer(t, db, count=20).wait()}
    t.wait(lambda: any(os.path.getsize(t.path("replica", name)) > 50 << 20 for name in t.files("replica")), "the large file in the replica", 30)
    with open("/proc/%d/status" % d.pid) as f:
        peak = int([line for line in f if line.startswith("VmHWM")][0].split()[1])
    lib.check(peak < 32 << 10, "peak memory: %d MB" % (peak >> 10))
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_many_chunks(t):
    """120 MB written while nobody looked: read in several chunks at commit boundaries."""
    db = oracle.create(t)
    oracle.stop(oracle.start(t, db))
    c = t.connect(db)
    c.execute("PRAGMA wal_autocheckpoint = 0")
    c.execute("CREATE TABLE big (x BLOB)")
    for _ in range(12):
        c.execute("BEGIN")
        for _ in range(10):
            c.execute("INSERT INTO big VALUES (randomblob(1000000))")
        c.execute("COMMIT")
    d = oracle.start(t, db)
    oracle.stop(d)
    oracle.equals_source(t, t.path("replica"), db)
    c.close()


def test_schema_that_only_the_application_knows(t):
    """Functions, collations and UTF-16 of the application's own are none of our business."""
    db = t.path("app.db")
    c = t.connect(db)
    c.execute("PRAGMA encoding = 'UTF-16le'")
    c.execute("PRAGMA journal_mode = wal")
    c.create_collation("mine", lambda a, b: (a > b) - (a < b))
    c.create_function("triple", 1, lambda x: x * 3, deterministic=True)
    c.execute("CREATE TABLE x (a TEXT COLLATE mine, b INT CHECK (triple(b) > 0))")
    c.execute("CREATE INDEX xi ON x (a, triple(b))")
    c.execute("CREATE VIRTUAL TABLE f USING fts5(a)")
    d = oracle.start(t, db)
    for i in range(200):
        c.execute("INSERT INTO x VALUES (?, ?)", ("näme %d" % i, i + 1))
        c.execute("INSERT INTO f VALUES (?)", ("word%d" % i,))
    oracle.stop(d)
    want = oracle.image(t, db)
    oracle.same_bytes(lib.read_file(oracle.restore(t, t.path("replica"))), want)
    r = t.run("restore", "-integrity-check", "full", "-o", t.path("checked.db"), oracle.url(t.path("replica")))
    lib.equal((r.code, r.err), (0, ""), "restore with a check")
    c.close()


def test_nothing_is_added_to_the_database(t):
    db = oracle.create(t)
    before = sorted(lib.dump(db))
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=5).wait()
    oracle.stop(d)
    c = t.connect(db)
    lib.equal(c.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE '%litestream%'").fetchone(), (0,), "tables of ours")
    lib.equal(c.execute("PRAGMA user_version").fetchone(), (0,), "user_version")
    c.close()
    lib.check(len(before) > 2)


@lib.limit(120)
def test_beyond_the_lock_page(t):
    """The page at 1 GiB is SQLite's for its locks and in no file; databases go on behind it."""
    if shutil.disk_usage(t.dir).free < 5 << 30:
        lib.skip("needs 5 GB")
    db = t.path("app.db")
    c = t.connect(db)
    c.execute("PRAGMA page_size = 65536")
    c.execute("PRAGMA journal_mode = off")
    c.execute("PRAGMA synchronous = off")
    c.execute("CREATE TABLE x (id INTEGER PRIMARY KEY, body BLOB)")
    c.execute("BEGIN")
    c.executemany("INSERT INTO x (body) VALUES (zeroblob(?))", [(64 << 20,)] * 16)
    c.execute("COMMIT")
    c.execute("PRAGMA journal_mode = wal")
    size = os.path.getsize(db)
    lib.check(size > 1 << 30, "%d bytes" % size)
    d = t.daemon("replicate", "-log-level", "debug", db, oracle.url(t.path("replica")))
    d.wait_log("replica sync", 60)
    c.execute("INSERT INTO x (body) VALUES (randomblob(300000))")
    c.execute("UPDATE x SET body = zeroblob(1000) WHERE id = 3")
    c.execute("INSERT INTO x (body) VALUES (randomblob(3000000))")
    oracle.stop(d)
    out = oracle.restore(t, t.path("replica"))
    c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    c.close()
    r = t.run("-s", db, out, program="/usr/bin/cmp")
    lib.equal((r.code, r.out), (0, ""), "comparison with the source")
