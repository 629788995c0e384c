# SPDX-License-Identifier: MIT
"""Databases that nobody writes to cost nothing, and what happens meanwhile is not lost; too few descriptors for all of
them; replicas of which one fails."""
import os
import shutil
import sqlite3
import time

import disk
import lib


def write(t, text):
    return lib.write_file(t.path("c.yml"), text.encode())


def start(t, text, limit=None):
    """limit: of descriptors."""
    config = write(t, "idle-timeout: 1s\nlogging: {level: debug}\n" + text)
    if not limit:
        return t.daemon("replicate", "-config", config)
    return t.daemon("-c", 'ulimit -n %d; exec "$0" replicate -config "$1"' % limit, lib.BINARY, config, program="/bin/sh")


def entries(t, names, more=""):
    return "dbs:\n" + "".join("- {path: %s, replica: {path: %s}%s}\n" % (t.path(name), t.path("rep", name), more)
                              for name in names)


def restored(t, replica):
    out = t.path("check.db")
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(out + suffix):
            os.unlink(out + suffix)
    r = t.run("restore", "-o", out, "file://" + t.path(replica))
    return lib.dump(out) if r.code == 0 else None


def content(t, name):
    """What the database holds, by a copy of its files: whoever opened and closed it would be an application himself."""
    copy = t.path("copy.db")
    for suffix in ("-shm", "-wal", ""):
        if os.path.exists(copy + suffix):
            os.unlink(copy + suffix)
        if suffix != "-shm" and os.path.exists(t.path(name) + suffix):
            shutil.copyfile(t.path(name) + suffix, copy + suffix)
    try:
        return lib.dump(copy)
    except (lib.Failure, sqlite3.Error):
        return ()  # checkpointed between the two copies


def holds(t, name, replica=None, timeout=40):
    """Waits until a restore of the replica holds what the database holds."""
    t.wait(lambda: restored(t, replica or os.path.join("rep", name)) == content(t, name),
           "all of %s in %s" % (name, replica or "its replica"), timeout)


def at_rest(d, name, count=1, timeout=60):
    """Waits until it was put to rest as often as that; returns how often."""
    def times():
        return d.text().count('msg="database is at rest" system=store db=' + name)
    d.test.wait(lambda: times() >= count or not d.alive(), "%s at rest" % name, timeout)
    lib.check(d.alive(), d.text()[-3000:])
    return times()


def asleep(d, name, timeout=60):
    """Waits until it rests, and goes on resting for a moment: snapshots wake it once."""
    def quiet():
        before = d.text()
        time.sleep(0.3)
        words = [line for line in d.text().splitlines() if "db=" + name in line and ("at rest" in line or "wakes up" in line)]
        return words and "at rest" in words[-1] and d.text() == before
    d.test.wait(quiet, "rest of %s" % name, timeout)


def descriptors(d):
    return len(os.listdir("/proc/%d/fd" % d.pid))


def close_at_once(path, sql):
    """An application that comes and goes: its last close takes the WAL away."""
    db = lib.Test.connect(path)
    db.execute(sql)
    db.close()


def trouble(d, *allowed):
    return [line for line in d.text().splitlines()
            if ("level=ERROR" in line or "level=WARN" in line) and not any(word in line for word in allowed)]


# ---- at rest ----

@lib.limit(180)
def test_descriptors_are_let_go_of(t):
    names = ["%02d.db" % i for i in range(20)]
    for name in names:
        t.database(name)
    d = start(t, entries(t, names))
    for name in names:
        holds(t, name)
    for name in names:
        asleep(d, name)
    t.wait(lambda: descriptors(d) < 20, "few descriptors, not %d" % descriptors(d), 60)
    for i, name in enumerate(names[:4]):
        before = at_rest(d, name)
        db = lib.Test.connect(t.path(name))
        t.insert(t.path(name), i + 1, db)
        holds(t, name)
        at_rest(d, name, before + 1)
        t.insert(t.path(name), i + 1, db)
        db.close()
        holds(t, name)
    lib.equal(d.stop(), 0)
    lib.equal(trouble(d), [])


@lib.limit(120)
def test_open_write_close_at_rest(t):
    path = t.database("a.db", rows=5)
    d = start(t, entries(t, ["a.db"]))
    holds(t, "a.db")
    asleep(d, "a.db")
    close_at_once(path, "INSERT INTO t (text) VALUES ('a moment')")
    holds(t, "a.db")
    # Several in a row, and something that is undone.
    for i in range(5):
        close_at_once(path, "INSERT INTO t (text) VALUES ('moment %d')" % i)
    close_at_once(path, "UPDATE t SET text = 'other' WHERE id < 3")
    holds(t, "a.db")
    lib.equal(d.stop(), 0)
    lib.equal(trouble(d), [])
    lib.equal(restored(t, "rep/a.db"), lib.dump(path))


@lib.limit(120)
def test_readers_at_rest(t):
    """The first to open it recovers the log, the last to close it deletes the log; nothing was written all the same."""
    path = t.database("a.db", rows=5)
    d = start(t, entries(t, ["a.db"]))
    holds(t, "a.db")
    for n in range(3):
        asleep(d, "a.db")
        before = at_rest(d, "a.db")
        for _ in range(2):
            db = lib.Test.connect(path)
            lib.equal(db.execute("SELECT count(*) FROM t").fetchone(), (5 + n,))
            db.close()
        d.wait_log("wakes up")
        at_rest(d, "a.db", before + 1)
        asleep(d, "a.db")
        db = lib.Test.connect(path)
        db.execute("INSERT INTO t (text) VALUES ('new')")
        holds(t, "a.db")
        db.close()
    lib.equal(d.stop(), 0)
    lib.equal(d.text().count("snap=true"), 1, "full copies")
    lib.check("keeping it open" not in d.text(), "it is kept open")
    lib.equal(trouble(d), [])


@lib.limit(120)
def test_killed_at_rest(t):
    names = ["a.db", "b.db", "c.db", "d.db"]
    for name in names:
        t.database(name, rows=5)
    d = start(t, entries(t, names))
    for name in names:
        holds(t, name)
        asleep(d, name)
    d.kill()
    # Nothing; an application that stays; one that comes and goes; one that has moved everything and begun anew.
    stays = lib.Test.connect(t.path("b.db"))
    stays.execute("INSERT INTO t (text) VALUES ('stays')")
    close_at_once(t.path("c.db"), "INSERT INTO t (text) VALUES ('goes')")
    other = lib.Test.connect(t.path("d.db"))
    for mode in ("PASSIVE", "RESTART", "TRUNCATE"):
        t.insert(t.path("d.db"), 30, other)
        other.execute("PRAGMA wal_checkpoint(%s)" % mode).fetchall()
    d = start(t, entries(t, names))
    for name in names:
        holds(t, name)
    for db in (stays, other):
        db.execute("INSERT INTO t (text) VALUES ('later')")
    for name in names:
        holds(t, name)
    stays.close()
    other.close()
    lib.equal(d.stop(), 0)
    lib.equal(trouble(d), [])


@lib.limit(120)
def test_replaced_at_rest(t):
    path, new = t.database("a.db", rows=5), t.database("new.db", rows=50)
    d = start(t, entries(t, ["a.db"]))
    holds(t, "a.db")
    asleep(d, "a.db")
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    os.rename(new, path)
    holds(t, "a.db")
    t.insert(path, 3)
    holds(t, "a.db")
    # Taken away, and another one put there later.
    shutil.move(path, t.path("old.db"))
    time.sleep(0.5)
    shutil.copyfile(t.path("old.db"), t.path("again.db"))
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    t.insert(t.path("again.db"), 7)
    os.rename(t.path("again.db"), path)
    holds(t, "a.db")
    lib.equal(d.stop(), 0)
    lib.equal(restored(t, "rep/a.db"), lib.dump(path))


# ---- too few descriptors ----

@lib.limit(240)
def test_sixty_databases_and_64_descriptors(t):
    names = ["%02d.db" % i for i in range(60)]
    dbs = []
    for name in names:
        dbs.append(lib.Test.connect(t.database(name)))
    d = start(t, entries(t, names), limit=64)
    d.wait_log("limit of open files reached", 30)
    for n in range(6):
        for name, db in zip(names, dbs):
            t.insert(t.path(name), 1 + n, db)
            time.sleep(0.01)
        lib.check(descriptors(d) <= 64)
    # They take turns, however busy one of them is.
    until = time.monotonic() + 100
    waiting = set(names)
    while waiting and time.monotonic() < until:
        t.insert(t.path(names[0]), 1, dbs[0])
        waiting = {name for name in waiting if name != names[0] and restored(t, "rep/" + name) != content(t, name)}
    lib.equal(waiting, set(), "databases that never had their turn")
    # Each has something new when the end comes.
    for name, db in zip(names, dbs):
        t.insert(t.path(name), 2, db)
    lib.equal(d.stop(timeout=60), 0)
    for name, db in zip(names, dbs):
        lib.equal(restored(t, "rep/" + name), lib.dump(t.path(name)), name)
        db.close()
    limited = [line for line in trouble(d) if "limit of open files reached" in line]
    lib.equal(trouble(d, "limit of open files reached"), [])
    lib.check(1 <= len(limited) <= 6, "\n".join(limited))  # every 30 s
    lib.check("oo many open files" not in d.text(), "errors about descriptors")


# ---- two replicas, one of which fails ----

def two(t):
    return "dbs:\n- path: %s\n  replicas: [{name: bad, path: %s}, {name: good, path: %s}]\n" % (
        t.path("a.db"), t.path("bad"), t.path("good"))


def both_go_on(t, d, path):
    t.insert(path)
    holds(t, "a.db", "bad")
    holds(t, "a.db", "good")
    lib.equal(d.stop(), 0)


@lib.limit(150)
def test_one_of_two_is_read_only(t):
    path = t.database("a.db", rows=3)
    os.makedirs(t.path("bad"))
    disk.read_only(t.path("bad"))
    d = start(t, two(t))
    for _ in range(5):
        t.insert(path)
        holds(t, "a.db", "good")
    lib.equal(t.files("bad"), [])
    lib.check(all("read-only" in line for line in trouble(d)), "\n".join(trouble(d)))
    disk.writable(t.path("bad"))
    holds(t, "a.db", "bad", 80)
    both_go_on(t, d, path)


@lib.limit(150)
def test_one_of_two_is_full(t):
    path = t.database("a.db", rows=3)
    disk.small(t.path("bad"), 400)
    lib.write_file(t.path("bad", "of another"), bytes(400 << 10))
    d = start(t, two(t))
    for _ in range(5):
        t.insert(path, 100)
        holds(t, "a.db", "good")
    line = [line for line in trouble(d) if "replica=file" in line][0]
    lib.contains(line, "no space left on device")
    lib.check(len(trouble(d)) <= 3, "\n".join(trouble(d)))
    disk.grow(t.path("bad"), 40000)
    holds(t, "a.db", "bad", 60)
    lib.equal([n for n in t.files("bad") if n.endswith(".tmp")], [], "half-written files")
    both_go_on(t, d, path)


@lib.limit(150)
def test_one_of_two_vanishes_and_comes_back(t):
    """Its folder is moved away (a disk that is not mounted), a file lies in its place, and later it is there again."""
    path = t.database("a.db", rows=3)
    d = start(t, two(t))
    holds(t, "a.db", "bad")
    holds(t, "a.db", "good")
    os.rename(t.path("bad"), t.path("bad.away"))
    lib.write_file(t.path("bad"), b"x")
    for _ in range(3):
        t.insert(path)
        holds(t, "a.db", "good")
    os.unlink(t.path("bad"))
    os.rename(t.path("bad.away"), t.path("bad"))
    holds(t, "a.db", "bad", 80)
    t.insert(path)
    holds(t, "a.db", "bad")
    lib.equal(d.stop(), 0)
    lib.equal(restored(t, "bad"), restored(t, "good"))


# ---- one place, two spellings ----

def test_one_place_spelled_two_ways(t):
    t.database("d/1.db")
    t.database("e/1.db", rows=9)
    os.makedirs(t.path("base"))
    os.symlink(t.path("base"), t.path("link"))
    for other in (t.path("base", "..", "base") + "/", t.path("d") + "/..//base", "./base", t.path("link"),
                  t.path("link", "..", "base")):
        d = start(t, "dbs:\n- {dir: d, pattern: '*.db', watch: true, replica: {path: base}}\n"
                     "- {dir: e, pattern: '*.db', replica: {path: %s}}\n" % other)
        line = d.wait_log('msg="cannot add database"')
        # Who comes first has it.
        holds(t, "e/1.db" if " path=" + t.path("d", "1.db") in line else "d/1.db", "base/1.db")
        lib.contains(line, "have their replicas in one place: file " + t.path("base", "1.db"), other)
        for name in ("d/1.db", "e/1.db"):
            lib.contains(line, t.path(name))
        lib.equal(d.stop(), 0)
    # Known from the configuration alone, it is an error of the start.
    config = write(t, "dbs:\n- {path: d/1.db, replica: {path: base}}\n- {path: e/1.db, replica: {path: link}}\n")
    r = t.run("replicate", "-config", config)
    lib.equal(r.code, 1)
    lib.contains(r.err, "have their replicas in one place: file " + t.path("base"))
