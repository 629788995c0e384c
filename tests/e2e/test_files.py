# SPDX-License-Identifier: MIT
"""Files that come, go and are exchanged while the daemon runs or while it does not: the database, its -wal and -shm,
the local state, the replica."""
import os
import shutil
import sqlite3
import time

import lib
import oracle


def settled(t, db, replica=None, timeout=15):
    """Waits until the newest state of the replica is the database's; returns it."""
    want = oracle.masked(oracle.image(t, db))

    def same():
        r = t.run("restore", "-force", "-o", t.path("settled.db"), oracle.url(replica or t.path("replica")))
        return r.code == 0 and oracle.masked(lib.read_file(t.path("settled.db"))) == want
    t.wait(same, "the database's state in the replica", timeout)
    return t.path("settled.db")


def test_database_that_appears_later(t):
    db = t.path("app.db")
    d = t.daemon("replicate", "-log-level", "debug", db, oracle.url(t.path("replica")))
    time.sleep(0.5)
    lib.check(d.alive())
    lib.equal([n for n in t.files() if not n.startswith("daemon")], [], "files before there is a database")
    oracle.create(t)
    d.wait_log("replica sync")
    last = {1: oracle.Writer(t, db, count=10).wait()}
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_folder_that_appears_later(t):
    db = t.path("later/app.db")
    d = t.daemon("replicate", db, oracle.url(t.path("replica")))
    time.sleep(0.3)
    lib.check(not t.exists("later"), "the folder was made")
    oracle.create(t, "later/app.db")
    d.wait_log("replica sync", 40)
    oracle.stop(d)
    oracle.equals_source(t, t.path("replica"), db)


def test_empty_file_becomes_a_database(t):
    db = lib.write_file(t.path("app.db"))
    d = t.daemon("replicate", db, oracle.url(t.path("replica")))
    time.sleep(0.5)
    lib.equal(os.stat(db).st_size, 0, "size of the empty file")
    lib.check(d.alive())
    c = t.connect(db)
    c.execute("PRAGMA page_size = 8192")
    c.execute("PRAGMA journal_mode = wal")
    c.execute("CREATE TABLE x (a)")
    c.execute("INSERT INTO x VALUES (1)")
    d.wait_log("replica sync", 30)
    oracle.stop(d)
    oracle.equals_source(t, t.path("replica"), db)
    c.close()
    lib.equal(oracle.page_size_of(lib.read_file(db)), 8192, "page size")


def test_rollback_journal_is_switched(t):
    db = oracle.create(t, wal=False)
    d = oracle.start(t, db)
    c = t.connect(db)
    lib.equal(c.execute("PRAGMA journal_mode").fetchone(), ("wal",), "journal mode")
    c.close()
    last = {1: oracle.Writer(t, db, count=10).wait()}
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_rollback_journal_in_use(t):
    """The switch needs a moment without others: until then it is retried, and the application is not harmed."""
    db = oracle.create(t, wal=False)
    c = t.connect(db)
    c.execute("BEGIN IMMEDIATE")
    c.execute("INSERT INTO log VALUES (1, 1, 'x', 0, 0)")
    d = t.daemon("replicate", db, oracle.url(t.path("replica")))
    line = d.wait_log("level=ERROR")
    lib.contains(line, "sync error", "log line")
    lib.contains(line, "database is locked", "log line")
    c.execute("COMMIT")
    c.close()
    d.wait_log("replica sync", 20)
    lib.contains(d.text(), "sync recovered", "log")
    lib.equal(d.stop(), 0, "exit status")
    oracle.equals_source(t, t.path("replica"), db)


def test_database_deleted_and_made_again(t):
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=20).wait()
    settled(t, db)
    at = oracle.txids(t, t.path("replica"))[-1]
    before = lib.read_file(t.path("settled.db"))
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(db + suffix):
            os.unlink(db + suffix)
    time.sleep(1.5)
    lib.check(d.alive())
    lib.equal([os.path.exists(db + s) for s in ("", "-wal", "-shm")], [False] * 3, "files made in place of the deleted ones")
    os.unlink(t.path("side1.log"))
    oracle.create(t, page_size=1024)
    last = {1: oracle.Writer(t, db, count=5).wait()}
    settled(t, db)
    oracle.stop(d, "was replaced")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    oracle.same_bytes(oracle.masked(lib.read_file(oracle.restore(t, t.path("replica"), txid=at))), oracle.masked(before),
                      what="the deleted database")


def replace_while_running(t, busy):
    """Another database takes the name by rename, as `mv` and many deployment tools do it."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    w = oracle.Writer(t, db, sleep_ms=1)
    w.wait_for(30)
    if not busy:
        w.stop()
        settled(t, db)
    other = oracle.create(t, "other.db", page_size=1024)
    last = {2: oracle.Writer(t, other, w=2, count=12, autocheckpoint=0).wait()}
    for suffix in ("-wal", "-shm"):
        if os.path.exists(db + suffix):
            os.unlink(db + suffix)
    os.rename(other, db)
    if busy:
        w.kill()  # it wrote into what has no name any more
    settled(t, db)
    last = {2: oracle.Writer(t, db, w=2, count=5).wait()}
    settled(t, db)
    oracle.stop(d, "was replaced")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_replaced_by_rename(t):
    replace_while_running(t, False)


def test_replaced_by_rename_under_load(t):
    replace_while_running(t, True)


def test_replaced_while_it_is_copied(t):
    """The rename comes while a sync reads the old file: nothing tells of it afterwards."""
    db = oracle.create(t, pad=60000)
    other = oracle.create(t, "other.db")
    last = {2: oracle.Writer(t, other, w=2, count=12).wait()}
    d = t.daemon("replicate", "-log-level", "debug", db, oracle.url(t.path("replica")))
    d.wait_log("snap=true")
    for suffix in ("-wal", "-shm"):
        os.unlink(db + suffix)
    os.rename(other, db)
    last = {2: oracle.Writer(t, db, w=2, count=5).wait()}
    settled(t, db)
    oracle.stop(d, "was replaced")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_unusable_file_is_replaced(t):
    """After some failures it is tried seldom, but a new file is taken at once."""
    db = lib.write_file(t.path("app.db"), b"this is not a database, and it is long enough to see that" * 20)
    d = t.daemon("replicate", "-log-level", "debug", db, oracle.url(t.path("replica")))
    lib.contains(d.wait_log("level=ERROR"), "file is not a database (26)", "log line")
    time.sleep(3.5)  # tries after 1, 3, 7 s
    lib.equal(d.text().count("level=ERROR"), 1, "lines about it")
    os.rename(oracle.create(t, "other.db"), db)
    d.wait_log("replica sync", 2)
    lib.equal(d.stop(), 0, "exit status")
    lib.contains(d.text(), "sync recovered", "log")
    oracle.equals_source(t, t.path("replica"), db)


def test_older_copy_put_back_while_running(t):
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=10).wait()
    image = oracle.image(t, db)
    oracle.Writer(t, db, count=30).wait()
    settled(t, db)
    for suffix in ("-wal", "-shm"):
        os.unlink(db + suffix)
    lib.write_file(t.path("copy.db"), image)
    os.rename(t.path("copy.db"), db)
    os.unlink(t.path("side1.log"))
    settled(t, db)
    lib.equal(oracle.prefix(t.path("settled.db")), {1: 10}, "transactions of the older copy")
    last = {1: oracle.Writer(t, db, count=5).wait()}
    oracle.stop(d, "was replaced")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def written(t, db):
    """With the -wal gone and the -shm that describes it still there, SQLite reports an I/O error for a moment."""
    c = t.connect(db)
    try:
        c.execute("CREATE TABLE IF NOT EXISTS after (x)")
        c.execute("INSERT INTO after VALUES (1)")
        return True
    except sqlite3.OperationalError as e:
        lib.contains(str(e), "disk I/O error")
        return False
    finally:
        c.close()


def companion_deleted(t, *suffixes):
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=10).wait()
    settled(t, db)
    for suffix in suffixes:
        os.unlink(db + suffix)
    last = {1: oracle.Writer(t, db, count=10).wait()} if "-wal" not in suffixes else None
    if last is None:  # the commits that were only in the WAL are gone with it
        os.unlink(t.path("side1.log"))
        t.wait(lambda: written(t, db), "a write to the database")
    settled(t, db)
    oracle.stop(d, "was replaced")
    oracle.equals_source(t, t.path("replica"), db)


def test_wal_and_shm_deleted(t):
    companion_deleted(t, "-wal", "-shm")


def test_shm_deleted(t):
    companion_deleted(t, "-shm")


def test_wal_deleted(t):
    companion_deleted(t, "-wal")


def test_moved_away_and_back(t):
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=10).wait()
    settled(t, db)
    os.mkdir(t.path("away"))
    for suffix in ("", "-wal", "-shm"):
        os.rename(db + suffix, t.path("away", "app.db" + suffix))
    time.sleep(1.3)
    for suffix in ("-shm", "-wal", ""):
        os.rename(t.path("away", "app.db" + suffix), db + suffix)
    last = {1: oracle.Writer(t, db, count=10).wait()}
    settled(t, db)
    oracle.stop(d, "was replaced")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def deleted_while_running(t, folder):
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=10).wait()
    settled(t, db)
    shutil.rmtree(t.path(folder))
    last = {1: oracle.Writer(t, db, count=10).wait()}
    settled(t, db)
    return db, d, last


def test_local_state_deleted_while_running(t):
    """Files that the replica still needs are gone: a full copy takes their place, TXIDs go on."""
    db, d, last = deleted_while_running(t, ".app.db-litestream")
    lib.equal(d.stop(), 0, "exit status")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    numbers = oracle.txids(t, t.path("replica"))
    lib.equal(numbers, list(range(1, len(numbers) + 1)), "TXIDs")


def test_local_state_deleted_between(t):
    db = oracle.create(t)
    oracle.stop(oracle.start(t, db))
    oracle.Writer(t, db, count=10).wait()
    oracle.stop(oracle.start(t, db))
    before = {n: lib.read_file(oracle.restore(t, t.path("replica"), txid=n)) for n in oracle.txids(t, t.path("replica"))}
    shutil.rmtree(t.path(".app.db-litestream"))
    last = {1: oracle.Writer(t, db, count=10).wait()}
    d = oracle.start(t, db)
    oracle.stop(d)
    lib.contains(d.text(), "detected database behind replica", "log")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    for n, image in before.items():
        oracle.same_bytes(lib.read_file(oracle.restore(t, t.path("replica"), txid=n)), image, what="TXID %d" % n)


def test_replica_deleted_while_running(t):
    db, d, last = deleted_while_running(t, "replica")
    oracle.stop(d, "replica has lost its newest file")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_file_where_the_replica_should_be(t):
    """It may hide a backup: it is not taken for an empty place, and goes on as soon as it is away."""
    place, db = t.path("replica"), t.database()
    lib.write_file(place)
    wrong = ["Error: open %s/ltx: not a directory" % place]
    lib.equal(t.error("restore", "-if-replica-exists", "-o", t.path("x.db"), oracle.url(place)), wrong)
    lib.equal(t.error("restore", "-o", t.path("x.db"), oracle.url(place)), wrong)
    lib.equal(t.error("ltx", oracle.url(place)), ["Error: open %s/ltx/0: not a directory" % place])
    d = t.daemon("replicate", db, oracle.url(place))
    d.wait_log("/ltx: not a directory")
    os.unlink(place)
    d.wait_log("replica sync", 40)
    # Exchanged while it runs: the error is of the place, not of what was to be cleared away in it.
    shutil.move(place, place + ".aside")
    lib.write_file(place)
    t.insert(db)
    t.wait(lambda: d.text().count("open %s/ltx: not a directory" % place) == 2, "the second error", 20)
    lib.check(".ltx.tmp" not in d.text(), "the error is about a leftover")
    os.unlink(place)
    shutil.move(place + ".aside", place)
    settled(t, db, timeout=60)
    lib.equal(d.stop(), 0)
    oracle.equals_source(t, place, db)


def test_replica_that_is_ahead(t):
    """The database was restored elsewhere from a replica; its history goes on behind the replica's."""
    db = oracle.create(t)
    for _ in range(3):
        oracle.Writer(t, db, count=5).wait()
        oracle.stop(oracle.start(t, db))
    high = oracle.txids(t, t.path("replica"))[-1]
    shutil.rmtree(t.path(".app.db-litestream"))
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(db + suffix):
            os.unlink(db + suffix)
    shutil.move(oracle.restore(t, t.path("replica")), db)
    last = {1: oracle.Writer(t, db, count=5).wait()}
    d = oracle.start(t, db)
    oracle.stop(d)
    lib.check(oracle.txids(t, t.path("replica"))[-1] > high, "TXIDs do not go on")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
