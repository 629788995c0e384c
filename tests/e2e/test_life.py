# SPDX-License-Identifier: MIT
"""The daemon's life: signals, kills, a stopped clock, files that come, go and are exchanged while it runs."""
import os
import random
import shutil
import signal
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


def copies(d):
    return d.text().count("snap=true")


# ---- signals ----

def signalled(t, number, name):
    db = oracle.create(t)
    d = oracle.start(t, db)
    w = oracle.Writer(t, db)
    w.wait_for(20)
    lib.equal(d.stop(number), 0, "exit status")
    at_stop = w.acknowledged()
    w.stop()
    oracle.quiet(d)
    lines = d.text().splitlines()
    lib.contains(lines[-1], "litestream shut down", "last line")
    lib.contains(d.text(), 'msg="signal received, litestream shutting down" signal=' + name, "log")
    lib.check('msg="replica sync"' in "".join(lines[-4:]), "no last sync in the log:\n" + d.text())
    lib.check(at_stop >= 20)
    reached = oracle.prefix(oracle.restore(t, t.path("replica")))
    lib.check(reached[1] >= 20, "transactions before the signal are missing")


def test_sigterm(t):
    signalled(t, signal.SIGTERM, "terminated")


def test_sigint(t):
    signalled(t, signal.SIGINT, "interrupt")


def test_sighup_of_a_terminal_that_closes(t):
    """Only SIGINT and SIGTERM are caught."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    lib.equal(d.stop(signal.SIGHUP), -signal.SIGHUP, "exit status")


def test_second_signal_skips_the_retries(t):
    """The replica is out of reach: the last upload is retried for 30 s, unless the user is impatient."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    shutil.rmtree(t.path("replica"))
    lib.write_file(t.path("replica"), b"in the way")
    w = oracle.Writer(t, db, count=3)
    w.wait()
    time.sleep(0.3)
    d.send(signal.SIGTERM)
    d.wait_log("shutdown sync failed, retrying (press Ctrl+C again to skip)")
    began = time.monotonic()
    lib.equal(d.stop(signal.SIGINT), 0, "exit status")
    lib.check(time.monotonic() - began < 10, "it went on trying")
    lib.check("shutdown sync interrupted by signal" in d.text() or "shutdown sync skipped by user interrupt" in d.text(),
              "no word about the interrupt:\n" + d.text())
    # What was staged is sent at the next start.
    os.unlink(t.path("replica"))
    d = oracle.start(t, db)
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), {1: 3})


def test_shutdown_retries_until_the_replica_is_back(t):
    db = oracle.create(t)
    d = oracle.start(t, db)
    os.rename(t.path("replica"), t.path("away"))
    lib.write_file(t.path("replica"), b"in the way")
    oracle.Writer(t, db, count=3).wait()
    d.send(signal.SIGTERM)
    d.wait_log("shutdown sync failed, retrying")
    os.unlink(t.path("replica"))
    os.rename(t.path("away"), t.path("replica"))
    lib.equal(d.wait(), 0, "exit status")
    lib.contains(d.text(), "shutdown sync succeeded after retry", "log")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), {1: 3})


@lib.limit(120)
def test_killed_again_and_again(t):
    """kill -9 at random moments while an application writes; whatever the replica has is a state there was."""
    rng = random.Random(7)
    db = oracle.create(t)
    w = oracle.Writer(t, db, ops="insert update delete rollback", cache=6, sleep_ms=2)
    end, kills, before = time.monotonic() + 18, 0, {}
    while time.monotonic() < end:
        d = t.daemon("replicate", "-log-level", "debug", db, oracle.url(t.path("replica")))
        time.sleep(rng.choice((0.005, 0.02, 0.05, 0.2, 0.5, 1.3)) * rng.random())
        d.kill()
        oracle.quiet(d)
        kills += 1
        if kills % 5 == 0 and t.exists("replica/ltx/0") and t.files("replica/ltx/0"):
            before = oracle.prefix(oracle.restore(t, t.path("replica")), at_least=before)
    lib.check(kills > 15, "only %d kills" % kills)
    d = oracle.start(t, db)
    last = {1: w.stop()}
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    oracle.history(t, t.path("replica"), last, most=12)
    lib.equal([n for n in t.files(".app.db-litestream") + t.files("replica") if n.endswith(".tmp")], [], "staging files")


@lib.limit(90)
def test_application_killed_again_and_again(t):
    rng = random.Random(8)
    db = oracle.create(t)
    d = oracle.start(t, db)
    acknowledged = 0
    for i in range(12):
        w = oracle.Writer(t, db, ops="insert update delete rollback savepoint", cache=4, seed=i, autocheckpoint=(0, 8, 1000)[i % 3])
        w.wait_for(acknowledged + 1)
        time.sleep(rng.random() * 0.4)
        acknowledged = w.kill()
    oracle.stop(d)
    oracle.prefix(oracle.restore(t, t.path("replica")), {1: acknowledged}, {1: acknowledged + 1})
    # A commit that was written, but not published when its writer died, comes into being when the WAL is next recovered.
    oracle.stop(oracle.start(t, db))
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), {1: acknowledged}, {1: acknowledged + 1})


def test_stopped_and_continued(t):
    """SIGSTOP for a while: the application goes on, checkpoints and all; afterwards nothing is missing."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    w = oracle.Writer(t, db, autocheckpoint=8, seconds=4)
    w.wait_for(10)
    for _ in range(2):
        d.send(signal.SIGSTOP)
        k = w.acknowledged()
        time.sleep(0.7)
        lib.check(w.wait_for(k + 1) > k, "the application did not go on")
        d.send(signal.SIGCONT)
        time.sleep(0.2)
    last = {1: w.wait()}
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    lib.equal(copies(d), 1, "full copies")


# ---- files that come and go ----

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


def test_local_state_deleted_while_running(t):
    """Files that the replica still needs are gone: a full copy takes their place, TXIDs go on."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=10).wait()
    settled(t, db)
    shutil.rmtree(t.path(".app.db-litestream"))
    last = {1: oracle.Writer(t, db, count=10).wait()}
    settled(t, db)
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
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=10).wait()
    settled(t, db)
    shutil.rmtree(t.path("replica"))
    last = {1: oracle.Writer(t, db, count=10).wait()}
    settled(t, db)
    oracle.stop(d, "replica has lost its newest file")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


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


# ---- two of us ----

def test_second_daemon(t):
    db = oracle.create(t)
    first = oracle.start(t, db)
    second = t.daemon("replicate", db, oracle.url(t.path("replica2")))
    line = second.wait_log("level=ERROR")
    lib.contains(line, "another process replicates", "log line")
    lib.contains(line, db, "log line")
    time.sleep(0.5)
    lib.equal(second.text().count("level=ERROR"), 1, "lines about it")
    r = t.run("replicate", "-once", db, oracle.url(t.path("replica3")))
    lib.equal(r.code, 1, "exit status of -once")
    lib.contains(r.err, "another process replicates", "standard error")
    lib.equal(r.err.count("\n"), 1, "lines on standard error")
    # It takes over when the first one goes.
    last = {1: oracle.Writer(t, db, count=5).wait()}
    oracle.stop(first)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    second.wait_log("replica sync", 30)
    lib.equal(second.stop(), 0, "exit status")
    oracle.equals_source(t, t.path("replica2"), db)


def test_many_databases_of_many_daemons(t):
    """Daemons do not get in each other's way."""
    dbs = [oracle.create(t, "db%d.db" % i) for i in range(4)]
    ds = [oracle.start(t, db, t.path("r%d" % i)) for i, db in enumerate(dbs)]
    writers = [oracle.Writer(t, db, w=i + 1, seconds=1) for i, db in enumerate(dbs)]
    for i, (d, db, w) in enumerate(zip(ds, dbs, writers)):
        last = {i + 1: w.wait()}
        oracle.stop(d)
        oracle.prefix(oracle.equals_source(t, t.path("r%d" % i), db), last, last)


# ---- a long first copy ----

def copying(t):
    db = oracle.create(t, pad=80000)
    d = t.daemon("replicate", "-log-level", "debug", db, oracle.url(t.path("replica")))
    d.wait_log("snap=true")
    return db, d


def staged(t):
    return [n for n in t.files(".app.db-litestream") + t.files("replica") if n.endswith(".tmp")]


def test_two_signals_during_the_first_copy(t):
    db, d = copying(t)
    d.send(signal.SIGTERM)
    time.sleep(0.02)
    d.send(signal.SIGTERM)
    lib.equal(d.wait(10), 0, "exit status")
    lib.equal(staged(t), [], "staging files")
    oracle.stop(oracle.start(t, db))
    oracle.equals_source(t, t.path("replica"), db)


def test_one_signal_during_the_first_copy(t):
    """It is finished, and what was committed meanwhile is in the replica too."""
    db, d = copying(t)
    last = {1: oracle.Writer(t, db, count=3).wait()}
    lib.equal(d.stop(), 0, "exit status")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_killed_during_the_first_copy(t):
    db, d = copying(t)
    d.kill()
    oracle.stop(oracle.start(t, db))
    lib.equal(staged(t), [], "staging files")
    oracle.equals_source(t, t.path("replica"), db)


def test_commits_during_the_first_copy(t):
    db, d = copying(t)
    w = oracle.Writer(t, db, autocheckpoint=4, seconds=2)
    last = {1: w.wait()}
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    lib.equal(copies(d), 1, "full copies")


# ---- applications with habits ----

def test_exclusive_locking_mode(t):
    """Nobody else gets in; when the application lets go, we do."""
    db = oracle.create(t)
    c = t.connect(db)
    c.execute("PRAGMA locking_mode = EXCLUSIVE")
    c.execute("INSERT INTO log VALUES (9, 1, '', 0, 0)")
    d = t.daemon("replicate", db, oracle.url(t.path("replica")))
    lib.contains(d.wait_log("level=ERROR"), "database is locked", "log line")
    c.execute("INSERT INTO log VALUES (9, 2, '', 0, 0)")
    c.close()
    d.wait_log("replica sync", 20)
    lib.equal(d.stop(), 0, "exit status")
    oracle.equals_source(t, t.path("replica"), db)


def test_switch_to_a_rollback_journal(t):
    """SQLite refuses that while another connection is there, which we are."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    c = t.connect(db)
    c.execute("PRAGMA busy_timeout = 50")
    try:
        lib.equal(c.execute("PRAGMA journal_mode = delete").fetchone(), ("wal",), "journal mode")
    except sqlite3.OperationalError as e:
        lib.equal(str(e), "database is locked", "the application's error")
    c.execute("INSERT INTO log VALUES (9, 1, '', 0, 0)")
    c.close()
    oracle.stop(d)
    oracle.equals_source(t, t.path("replica"), db)


def test_application_without_a_busy_timeout(t):
    """It may meet our lock once in a while, for a moment, and then gets through."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    c = t.connect(db)
    c.execute("PRAGMA busy_timeout = 0")
    c.execute("PRAGMA wal_autocheckpoint = 0")
    busy, end = 0, time.monotonic() + 3
    k = 0
    while time.monotonic() < end:
        try:
            c.execute("INSERT INTO data VALUES (9, ?, 0, randomblob(20000))", (k,))
            k += 1
            busy = 0
        except sqlite3.OperationalError as e:
            lib.equal(str(e), "database is locked", "the application's error")
            busy += 1
            lib.check(busy < 200, "locked for more than 2 s")
            time.sleep(0.01)
    c.close()
    oracle.stop(d)
    oracle.equals_source(t, t.path("replica"), db)


def test_two_restores_to_one_place(t):
    db = oracle.create(t, pad=60000)
    oracle.stop(oracle.start(t, db))
    words = ("restore", "-o", t.path("out.db"), oracle.url(t.path("replica")))
    first, second = t.daemon(*words), t.daemon(*words)
    codes = sorted((first.wait(), second.wait()))
    lib.equal(codes, [0, 1], "exit statuses")
    text = first.err_text() + second.err_text()
    lib.equal(text.count("\n"), 1, "lines on standard error")
    lib.check("another restore to" in text or "already exists" in text, text)
    oracle.same_bytes(lib.read_file(t.path("out.db")), oracle.image(t, db))
    lib.equal([n for n in t.files() if n.startswith("out")], ["out.db"], "files")
