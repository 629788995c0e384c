# SPDX-License-Identifier: MIT
"""`restore -f`: a copy that keeps up (cases.md 3.3, replication.md 7.3)."""
import os
import random
import re
import shutil
import signal
import time

import lib
import oracle


def follow(t, name="copy.db", *flags):
    return t.daemon("restore", "-f", "-follow-interval", "50ms", *flags, "-o", t.path(name), oracle.url(t.path("replica")))


def sidecar(t, name="copy.db"):
    return lib.read_file(t.path(name + "-txid")).decode()


def caught_up(t, name="copy.db"):
    newest = oracle.txids(t, t.path("replica"))[-1]
    t.wait(lambda: t.exists(name + "-txid") and sidecar(t, name) == "%016x\n" % newest, "TXID %d in the copy" % newest)


def same(t, db, name="copy.db"):
    """The copy is the source but for how it is journaled and its counters."""
    caught_up(t, name)
    same_state(t, db, name)


def same_state(t, db, name="copy.db"):
    got, want = bytearray(oracle.masked(lib.read_file(t.path(name)))), bytearray(oracle.masked(oracle.image(t, db)))
    lib.equal(bytes(got[18:20]), b"\x01\x01", "journal mode in the copy's header")
    want[18:20] = b"\x01\x01"
    oracle.same_bytes(bytes(got), bytes(want), oracle.page_size_of(want), "copy")


def test_live(t):
    db = oracle.create(t)
    d = oracle.start(t, db)
    f = follow(t)
    lib.contains(f.wait_log("entering follow mode"), "replica=file output=%s txid=0000000000000001 interval=50ms" %
                 t.path("copy.db"))
    w = oracle.Writer(t, db, ops="insert update delete vacuum", keep=60, seconds=4)
    reached, reader = {}, None
    while w.process.poll() is None:
        # An application that reads the copy all the while sees whole states only, and never an older one.
        reached = oracle.prefix(t.path("copy.db"), at_least=reached)
        time.sleep(0.05)
    last = {1: w.wait()}
    oracle.stop(d)
    same(t, db)
    oracle.prefix(t.path("copy.db"), last, last)
    lib.equal((f.stop(), f.err_text()), (0, ""), "outcome")
    lib.contains(f.text(), 'msg="follow mode stopped"')
    lib.check(re.search(r'msg="follow: applied updates" replica=file from_txid=0{15}1 to_txid=[0-9a-f]{16}', f.text()),
              f.text())
    lib.check("level=ERROR" not in f.text() and "level=WARN" not in f.text(), f.text())
    lib.check(reader is None and t.exists("copy.db") and t.exists("copy.db-txid"), "output and sidecar are kept")


def test_sigint_and_resume(t):
    db = oracle.create(t)
    oracle.stop(oracle.start(t, db))
    f = follow(t)
    f.wait_log("entering follow mode")
    lib.equal(f.stop(signal.SIGINT), 0, "exit status")
    last = {1: oracle.Writer(t, db, count=20).wait()}
    oracle.stop(oracle.start(t, db))
    f = follow(t)
    line = f.wait_log("resuming follow mode from crash recovery")
    lib.contains(line, "txid=0000000000000001 output=" + t.path("copy.db"))
    f.wait_log("entering follow mode")
    same(t, db)
    lib.equal(f.stop(), 0, "exit status")
    oracle.prefix(t.path("copy.db"), last, last)


@lib.limit(60)
def test_killed_again_and_again(t):
    rng = random.Random(5)
    db = oracle.create(t)
    d = oracle.start(t, db)
    w = oracle.Writer(t, db, ops="insert update delete vacuum", keep=60, sleep_ms=3)
    end, reached = time.monotonic() + 8, {}
    while time.monotonic() < end:
        f = follow(t)
        time.sleep(rng.random() * 0.5)
        f.kill()
        lib.check("level=ERROR" not in f.text(), f.text())
    last = {1: w.stop()}
    oracle.stop(d)
    f = follow(t)
    f.wait_log("entering follow mode")
    same(t, db)
    lib.equal(f.stop(), 0, "exit status")
    oracle.prefix(t.path("copy.db"), last, last)
    lib.equal(sorted(n for n in t.files() if n.startswith("copy")), ["copy.db", "copy.db-txid"], "files")
    lib.check(not reached)


def test_reader_in_the_way(t):
    """A long read of the copy holds the next pages back, and does not break it."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    f = follow(t)
    f.wait_log("entering follow mode")
    oracle.Writer(t, db, count=5).wait()
    oracle.stop(d)
    caught_up(t)
    reader = t.connect(t.path("copy.db"))
    reader.execute("BEGIN")
    seen = reader.execute("SELECT count(*) FROM log").fetchone()
    at = sidecar(t)
    oracle.Writer(t, db, count=5).wait()
    oracle.stop(oracle.start(t, db))
    time.sleep(0.7)
    lib.equal((reader.execute("SELECT count(*) FROM log").fetchone(), sidecar(t)), (seen, at), "what the reader sees")
    reader.execute("COMMIT")
    same(t, db)
    lib.equal(reader.execute("SELECT count(*) FROM log").fetchone(), (10,), "what the reader sees next")
    reader.close()
    lib.equal(f.stop(), 0, "exit status")


def history(t, steps=4):
    """A replica of so many TXIDs, the database, and the images."""
    db = oracle.create(t)
    images = {}
    c = t.connect(db)
    for i in range(steps):
        c.execute("INSERT INTO log VALUES (9, ?, '', 0, 0)", (i,))
        c.execute("INSERT INTO data VALUES (9, ?, 0, randomblob(5000))", (i,))
        oracle.stop(oracle.start(t, db))
        images[i + 1] = oracle.image(t, db)
    c.close()
    lib.equal(oracle.txids(t, t.path("replica")), list(range(1, steps + 1)), "TXIDs")
    return db, images


def hide(t, *numbers):
    os.makedirs(t.path("hidden"), exist_ok=True)
    for n in numbers:
        os.rename(t.path("replica/ltx/0", lib.ltx_name(n, n)), t.path("hidden", lib.ltx_name(n, n)))


def show(t, *numbers):
    for n in numbers:
        os.rename(t.path("hidden", lib.ltx_name(n, n)), t.path("replica/ltx/0", lib.ltx_name(n, n)))


def test_gap_is_waited_for(t):
    db, images = history(t)
    hide(t, 2, 3, 4)
    f = follow(t)
    f.wait_log("entering follow mode")
    show(t, 4)
    time.sleep(0.4)
    lib.equal(sidecar(t), "%016x\n" % 1, "position before a gap")
    show(t, 2)
    t.wait(lambda: sidecar(t) == "%016x\n" % 2, "TXID 2")
    time.sleep(0.2)
    lib.equal(sidecar(t), "%016x\n" % 2, "position before a gap")
    show(t, 3)
    same(t, db)
    lib.equal(f.stop(), 0, "exit status")


def test_gap_is_bridged_by_a_higher_level(t):
    """Level 0 was pruned; a compacted file or a snapshot leads on."""
    db, images = history(t)
    hide(t, 2, 3, 4)
    f = follow(t)
    f.wait_log("entering follow mode")
    lib.write_file(t.path("at1.db"), images[1])
    lib.write_file(t.path("at3.db"), images[3])
    lib.write_file(t.path("at4.db"), images[4])
    before, _ = lib.database_pages(t.path("at1.db"))
    lib.put_change(t.path("replica"), before, t.path("at3.db"), 1, 2, 3)
    t.wait(lambda: sidecar(t) == "%016x\n" % 3, "TXID 3")
    lib.put_snapshot(t.path("replica"), t.path("at4.db"), 9, 4)
    t.wait(lambda: sidecar(t) == "%016x\n" % 4, "TXID 4")
    same_state(t, db)
    lib.equal(f.stop(), 0, "exit status")


def test_damaged_file_is_not_applied(t):
    db, images = history(t)
    hide(t, 3, 4)
    path = t.path("hidden", lib.ltx_name(3, 3))
    good = lib.read_file(path)
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 4
    os.unlink(path)
    lib.write_file(path, bytes(bad))
    f = follow(t)
    f.wait_log("entering follow mode")
    show(t, 3, 4)
    line = f.wait_log("follow: error applying updates")
    time.sleep(0.5)
    lib.equal(f.text().count("error applying updates"), 1, "lines about it, though it is tried at every look")
    lib.contains(line, "0000000000000003")
    lib.check(f.alive())
    lib.equal(sidecar(t), "%016x\n" % 2, "position")
    oracle.integrity(t.path("copy.db"))
    lib.write_file(t.path("replica/ltx/0", lib.ltx_name(3, 3)), good)
    same(t, db)
    lib.equal(f.stop(), 0, "exit status")


def test_replica_that_begins_anew(t):
    """The source and its replica were set up again: the copy follows the new ones."""
    db, images = history(t, 3)
    f = follow(t)
    f.wait_log("entering follow mode")
    same(t, db)
    for name in (".app.db-litestream", "replica"):
        shutil.rmtree(t.path(name))
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        if t.exists(name):
            os.unlink(t.path(name))
    db = oracle.create(t, "app.db")
    oracle.Writer(t, db, count=3).wait()
    oracle.stop(oracle.start(t, db))
    t.wait(lambda: t.exists("copy.db-txid") and sidecar(t) == "%016x\n" % 1, "the new history")
    same(t, db)
    lib.equal(f.stop(), 0, "exit status")


def test_page_size_changes(t):
    db, images = history(t, 2)
    f = follow(t)
    f.wait_log("entering follow mode")
    same(t, db)
    c = t.connect(db)
    c.execute("PRAGMA journal_mode = delete")
    c.execute("PRAGMA page_size = 1024")
    c.execute("VACUUM")
    c.close()
    oracle.stop(oracle.start(t, db))
    same(t, db)
    lib.equal(f.stop(), 0, "exit status")


def refused(t, message):
    before = oracle.files_of(t)
    r = t.run("restore", "-f", "-o", t.path("copy.db"), oracle.url(t.path("replica")))
    lib.equal((r.code, r.err), (1, "Error: %s\n" % message), repr(r))
    lib.equal(oracle.files_of(t), before, "files")


def test_start_refused(t):
    history(t, 2)
    lib.write_file(t.path("copy.db"))
    refused(t, "cannot resume follow mode: database exists but no -txid file found; delete the database to re-restore: " +
            t.path("copy.db"))
    lib.write_file(t.path("copy.db-txid"), b"zz\n")
    refused(t, 'read txid file for crash recovery: parse txid file: invalid formatted transaction id length: "zz"')
    lib.write_file(t.path("copy.db-txid"), b"%016x\n" % 1)
    refused(t, "read page size from database header: EOF")


def test_start_refused_after_pruning(t):
    db, images = history(t, 3)
    f = follow(t)
    f.wait_log("entering follow mode")
    lib.equal(f.stop(), 0, "exit status")
    shutil.rmtree(t.path("replica"))
    lib.write_file(t.path("at3.db"), images[3])
    pages, size = lib.database_pages(t.path("at3.db"))
    lib.put_ltx(t.path("replica"), 9, 100, 200, lib.ltx_bytes(pages, size, len(pages), 100, 200))
    os.unlink(t.path("copy.db-txid"))
    lib.write_file(t.path("copy.db-txid"), b"%016x\n" % 1)
    refused(t, "cannot resume follow mode: saved TXID 0000000000000001 is behind the earliest snapshot (min TXID "
            "0000000000000064); replica history has been pruned -- delete %s and %s-txid to re-restore" %
            (t.path("copy.db"), t.path("copy.db")))


def test_ahead_of_the_newest_snapshot(t):
    """The normal state a minute after a snapshot; Litestream refuses it."""
    db, images = history(t, 3)
    lib.write_file(t.path("at1.db"), images[1])
    lib.put_snapshot(t.path("replica"), t.path("at1.db"), 9, 1)
    f = follow(t)
    f.wait_log("entering follow mode")
    caught_up(t)
    lib.equal(f.stop(), 0, "exit status")
    f = follow(t)
    f.wait_log("entering follow mode")
    lib.equal(f.stop(), 0, "exit status")
    lib.check("Error" not in f.err_text(), f.err_text())


def test_empty_replica(t):
    os.mkdir(t.path("replica"))
    refused(t, "no matching backup files available")
    r = t.run("restore", "-f", "-if-replica-exists", "-o", t.path("copy.db"), oracle.url(t.path("replica")))
    lib.equal((r.code, r.err), (0, ""), repr(r))
    lib.check(not t.exists("copy.db"), "something was made")
