# SPDX-License-Identifier: MIT
"""Full, read-only and foreign file systems: the application goes on, replication pauses, says so once, and heals."""
import os
import shutil
import time

import disk
import lib
import oracle


def growing(t, db, **options):
    """About 2 MB a second: the disk below is full at once, the larger one later is not."""
    return oracle.Writer(t, db, body=3000, rows=10, keep=100000, sleep_ms=20, **options)


def paused_once(d, part):
    line = d.wait_log(part, 20)
    lib.contains(line, "level=ERROR", "log line")
    lib.contains(line, "no space left on device", "log line")
    time.sleep(2.5)
    lib.check(d.alive())
    lib.equal(d.text().count(part), 1, "lines about the full disk")


def test_staging_on_a_full_disk(t):
    db = oracle.create(t)
    meta = disk.small(t.path(".app.db-litestream"), 300)
    d = oracle.start(t, db)
    w = growing(t, db)
    paused_once(d, "disk full")
    k = w.acknowledged()
    lib.check(w.wait_for(k + 3) > k, "the application does not go on")
    oracle.prefix(oracle.restore(t, t.path("replica")), at_most={1: w.acknowledged() + 1})
    disk.grow(meta, 300000)
    d.wait_log("sync recovered", 20)
    last = {1: w.stop()}
    lib.equal(d.stop(), 0, "exit status")
    lib.equal(d.text().count("disk full"), 1, "lines about the full disk")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)
    lib.equal([n for n in t.files(".app.db-litestream") if n.endswith(".tmp")], [], "staging files")


def test_replica_on_a_full_disk(t):
    db = oracle.create(t)
    replica = disk.small(t.path("replica"), 300)
    d = oracle.start(t, db)
    w = growing(t, db)
    paused_once(d, "monitor error")
    lib.equal([n for n in t.files("replica") if n.endswith(".tmp")], [], "half-written files in the replica")
    disk.grow(replica, 300000)
    d.wait_log("replica sync recovered", 20)
    last = {1: w.stop()}
    lib.equal(d.stop(), 0, "exit status")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_database_on_a_full_disk(t):
    """The application's own disk, where our staging is too. What it could commit is what the replica gets."""
    folder = disk.small(t.path("data"), 6000)
    db = oracle.create(t, "data/app.db")
    d = oracle.start(t, db)
    c = t.connect(db)
    c.execute("CREATE TABLE big (x BLOB)")
    stored = 0
    for _ in range(400):
        try:
            c.execute("INSERT INTO big VALUES (randomblob(50000))")
            stored += 1
        except Exception as e:
            lib.contains(str(e), "disk", "the application's error")
            break
    lib.check(5 < stored < 400, "the disk did not become full")
    time.sleep(1)
    lib.check(d.alive())
    disk.grow(folder, 60000)
    c.execute("INSERT INTO big VALUES ('the end')")
    t.wait(lambda: b"the end" in lib.read_file(oracle.restore(t, t.path("replica"))), "the last row in the replica", 20)
    lib.equal(d.stop(), 0, "exit status")
    oracle.equals_source(t, t.path("replica"), db)
    c.close()


def test_restore_to_a_full_disk(t):
    db = oracle.create(t, pad=3000)
    oracle.stop(oracle.start(t, db))
    disk.small(t.path("small"), 1000)
    r = t.run("restore", "-o", t.path("small/out.db"), oracle.url(t.path("replica")))
    lib.equal((r.code, r.out, r.err.count("\n")), (1, "", 1), repr(r))
    lib.contains(r.err, "no space left on device")
    lib.contains(r.err, "small/out.db")
    lib.equal(t.files("small"), [], "what is left")


def test_once_with_a_full_replica(t):
    db = oracle.create(t, pad=3000)
    disk.small(t.path("replica"), 1000)
    r = t.run("replicate", "-once", db, oracle.url(t.path("replica")))
    lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
    lib.contains(r.err, "sync replica for %s: " % db)
    lib.contains(r.err, "no space left on device")
    lib.equal([n for n in t.files("replica")], [], "what is left in the replica")


def test_read_only_replica(t):
    db = oracle.create(t)
    os.mkdir(t.path("replica"))
    disk.read_only(t.path("replica"))
    d = t.daemon("replicate", db, oracle.url(t.path("replica")))
    line = d.wait_log("monitor error")
    lib.contains(line, "level=ERROR", "log line")
    lib.contains(line, "read-only file system", "log line")
    last = {1: oracle.Writer(t, db, count=10).wait()}
    disk.writable(t.path("replica"))
    d.wait_log("replica sync recovered", 20)
    lib.equal(d.stop(), 0, "exit status")
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), last, last)


def test_read_only_database_folder(t):
    db = oracle.create(t, "data/app.db")
    disk.read_only(t.path("data"))
    r = t.run("replicate", "-once", db, oracle.url(t.path("replica")))
    lib.equal((r.code, r.err.count("\n")), (1, 1), repr(r))
    lib.contains(r.err, "Error: sync database %s: " % db)
    lib.check("read-only" in r.err or "readonly" in r.err or "cannot be written" in r.err, "no reason in: " + r.err)
    lib.check(not t.exists("replica"), "something was made in the replica")


def test_replica_on_another_file_system(t):
    """A hard link is not possible there: the files are copied."""
    db = oracle.create(t)
    replica = disk.small(t.path("replica"), 60000)
    d = oracle.start(t, db)
    last = {1: oracle.Writer(t, db, seconds=1.5).wait()}
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, replica, db), last, last)
    local = [n for n in t.files(".app.db-litestream/ltx/0")]
    lib.equal(t.files("replica/ltx/0"), local, "files of level 0")
    for name in local:
        lib.equal(lib.read_file(t.path("replica/ltx/0", name)), lib.read_file(t.path(".app.db-litestream/ltx/0", name)), name)
        lib.equal(int(os.stat(t.path("replica/ltx/0", name)).st_mtime_ns / 1e6),
                  int(os.stat(t.path(".app.db-litestream/ltx/0", name)).st_mtime_ns / 1e6), "time of " + name)


def test_replica_on_the_same_file_system(t):
    """One copy of the bytes under two names."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    oracle.Writer(t, db, count=20).wait()
    oracle.stop(d)
    for name in t.files("replica/ltx/0"):
        lib.equal(os.stat(t.path("replica/ltx/0", name)).st_ino, os.stat(t.path(".app.db-litestream/ltx/0", name)).st_ino,
                  "inode of " + name)


def test_local_files_deleted_after_a_full_disk(t):
    """An administrator makes room in the wrong place. A full copy, and nothing is lost but the states in between."""
    db = oracle.create(t)
    d = oracle.start(t, db)
    d.kill()
    oracle.Writer(t, db, count=10).wait()
    shutil.rmtree(t.path(".app.db-litestream/ltx"))
    d = oracle.start(t, db)
    oracle.stop(d)
    oracle.prefix(oracle.equals_source(t, t.path("replica"), db), {1: 10}, {1: 10})
