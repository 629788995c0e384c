# SPDX-License-Identifier: MIT
"""POSIX locks belong to process and file: one close of a descriptor too many, and SQLite's are gone. While the daemon
runs, nobody can take the WAL away."""
import os
import re
import subprocess
import time

import lib
import oracle


def truncate(t, db):
    """A checkpoint by another process, without patience: 1 when it was refused."""
    r = subprocess.run(["/usr/bin/env", "python3", "-c",
                        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None); "
                        "print(db.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()[0])", db],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    text = r.stdout.decode().strip()
    return 1 if "locked" in text else int(text)


def test_foreign_truncate_is_refused(t):
    """After a start, after many syncs, after checkpoints of ours; and at the last close the WAL stays."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    for round_ in range(6):
        oracle.Writer(t, db, count=(3, 30, 300)[round_ % 3]).wait()  # it closes last but for us
        lib.check(os.path.exists(db + "-wal"), "the application's last close deleted the WAL")
        lib.equal(truncate(t, db), 1, "answer to a TRUNCATE in round %d" % round_)
        time.sleep(0.25)
        lib.equal(truncate(t, db), 1, "answer to a TRUNCATE after a while in round %d" % round_)
    oracle.stop(d)
    oracle.equals_source(t, t.path("replica"), db)


def test_foreign_truncate_works_when_we_are_gone(t):
    """The test above can fail: without a daemon the same checkpoint goes through."""
    db = oracle.create(t)
    oracle.stop(oracle.start(t, db))
    lib.equal(truncate(t, db), 0, "answer to a TRUNCATE")
    d = oracle.start(t, db)
    lib.equal(truncate(t, db), 1, "answer to a TRUNCATE")
    d.kill()
    lib.equal(truncate(t, db), 0, "answer to a TRUNCATE")


def test_truncate_while_a_sync_runs(t):
    db = oracle.create(t)
    d = oracle.start(t, db)
    w = oracle.Writer(t, db, seconds=3, sleep_ms=1)
    w.wait_for(5)
    while w.process.poll() is None:
        lib.equal(truncate(t, db), 1, "answer to a TRUNCATE")
    last = {1: w.wait()}
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    lib.equal(d.text().count("snap=true"), 1, "full copies")


def test_descriptors(t):
    """With strace: neither the database nor its -shm is closed while a connection of ours is open on it, and the -wal is
    only ever opened once for reading."""
    if not os.path.exists("/usr/bin/strace"):
        lib.skip("strace is not installed")
    db = oracle.create(t)
    trace = t.path("trace")
    d = t.daemon("-f", "-qq", "-s", "300", "-e", "trace=open,openat,close,dup,dup2,dup3,fcntl,kill,rt_sigtimedwait", "-o", trace,
                 t.binary, "replicate", "-log-level", "debug", db, oracle.url(t.path("replica")), program="/usr/bin/strace")
    d.wait_log("replica sync")
    oracle.Writer(t, db, count=500, sleep_ms=2).wait()
    t.wait(lambda: "msg=checkpoint" in d.text(), "a checkpoint of ours")
    time.sleep(1.2)
    lib.equal(truncate(t, db), 1, "answer to a TRUNCATE")
    lines = lib.read_file(trace).decode(errors="replace").splitlines()
    with open("/proc/%d/task/%d/children" % (d.pid, d.pid)) as f:
        os.kill(int(f.read().split()[0]), 15)
    lib.equal(d.wait(), 0, "exit status")
    held, opened, locks = {}, {}, 0
    for line in lines:
        m = re.search(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]*)".*\) = (\d+)', line)
        if m and (m.group(1) == db or m.group(1) == db + "-shm"):
            held[m.group(2)] = m.group(1)
            opened[m.group(1)] = opened.get(m.group(1), 0) + 1
        elif m and m.group(2) in held:
            lib.fail("descriptor %s of %s was reused: %s" % (m.group(2), held[m.group(2)], line))
        m = re.search(r"close\((\d+)\)", line)
        if m and m.group(1) in held:
            lib.fail("%s was closed: %s" % (held[m.group(1)], line))
        locks += "F_SETLK" in line
    lib.check(opened.get(db, 0) in (1, 2) and opened.get(db + "-shm") == 1, "opened: %r" % opened)
    lib.check(locks > 20, "the trace shows no locks: this test proves nothing")


def test_replication_follows_checkpoints_of_ours(t):
    """The WAL is restarted, again and again, and does not grow without bound; readers and writers are not in the way."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    w = oracle.Writer(t, db, autocheckpoint=0, seconds=5, body=2000)
    largest = 0
    while w.process.poll() is None:
        if os.path.exists(db + "-wal"):
            largest = max(largest, os.path.getsize(db + "-wal"))
        time.sleep(0.05)
    last = {1: w.wait()}
    oracle.stop(d)
    lib.check(largest < 200 << 20, "the WAL grew to %d MB" % (largest >> 20))
    results = re.findall(r"mode=(\w+) result=(\d),(\d+),(\d+)", d.text())
    lib.check(len(results) >= 2, "no checkpoints")
    lib.equal({mode for mode, *_ in results}, {"PASSIVE"}, "modes of checkpoints")
    lib.equal(d.text().count("snap=true"), 1, "full copies")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_reader_that_never_ends(t):
    """It keeps the WAL from being restarted; nothing is lost, nobody is held up, and it heals when the reader goes."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    reader = t.connect(db)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM log").fetchone()
    w = oracle.Writer(t, db, autocheckpoint=0, seconds=3, body=2000)
    last = {1: w.wait()}
    lib.check(os.path.getsize(db + "-wal") > 4 << 20, "the WAL was restarted under a reader")
    lib.equal(reader.execute("SELECT count(*) FROM log").fetchone(), (0,), "what the reader sees")
    reader.close()
    w = oracle.Writer(t, db, autocheckpoint=0, seconds=2)
    last = {1: w.wait()}
    oracle.stop(d)
    lib.equal(d.text().count("snap=true"), 1, "full copies")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
