# SPDX-License-Identifier: MIT
"""The daemon's life: signals, kills, a stopped clock, daemons beside each other, a long first copy, and habits of
applications."""
import os
import random
import shutil
import signal
import sqlite3
import time

import lib
import oracle


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
