# SPDX-License-Identifier: MIT
"""Two daemons over copies of one database, one place in a bucket, `lease: true`: only one of them writes."""
import os
import shutil
import signal
import time

import lib
import oracle
import s3_histories
from fake_s3 import FakeS3

LOCK = "db/lock.json"


def setup(t):
    s3 = FakeS3()
    t.env.update(s3.env)
    one = oracle.create(t, "one/app.db")
    oracle.Writer(t, one, count=20).wait()
    os.makedirs(t.path("two"))
    shutil.copyfile(one, t.path("two/app.db"))
    return s3, one, t.path("two/app.db")


def config(t, s3, db, name, *more):
    return s3_histories.config(t, [(db, s3.url("db"), ["lease: true", "sync-interval: 100ms", *more])],
                               "socket: {enabled: true, path: '%s'}\n" % t.path(name + ".sock"), name + ".yml")


def start(t, s3, db, name):
    return t.daemon("replicate", "-log-level", "debug", "-config", config(t, s3, db, name))


def restore(t, s3, name="out.db", *flags):
    if t.exists(name):
        os.remove(t.path(name))
    t.ok("restore", *flags, "-o", t.path(name), s3.url("db"), timeout=60)
    return t.path(name)


def holds(t, s3, db):
    """The replica has all of a database at which nobody writes now."""
    want = lib.dump(db)
    t.wait(lambda: lib.dump(restore(t, s3)) == want, "all of " + db, 60)
    oracle.prefix(t.path("out.db"))


def every_txid(t, s3):
    """Each restores, to what somebody had committed."""
    rows = t.ok("ltx", s3.url("db")).splitlines()[1:]
    for txid in sorted({row.split()[2] for row in rows})[::5]:
        oracle.prefix(restore(t, s3, "any.db", "-txid", txid))


@lib.limit(150)
def test_second_is_paused(t):
    """While the first lives the second writes nothing and says why; when the first stops, the second has it at once."""
    s3, one, two = setup(t)
    first = start(t, s3, one, "first")
    first.wait_log("ltx file uploaded", 30)
    second = start(t, s3, two, "second")
    line = second.wait_log("held by", 30)
    lib.contains(line, ":%d until" % first.pid)
    lib.contains(t.ok("list", "-socket", t.path("second.sock")), "paused")
    writers = [oracle.Writer(t, one, w=2, count=60, sleep_ms=20), oracle.Writer(t, two, w=3, count=60, sleep_ms=20)]
    for w in writers:
        w.wait()
    holds(t, s3, one)
    lib.equal(second.text().count("ltx file uploaded"), 0, "uploads of the second one")
    lib.equal(second.text().count("compaction complete"), 0, "compactions of the second one")
    every_txid(t, s3)
    r = t.run("replicate", "-once", "-config", config(t, s3, two, "second"))
    lib.equal(r.code, 1, "exit status of -once while another has the lock: %r" % r)
    lib.equal(first.stop(), 0)
    lib.check(LOCK not in s3.objects, "the lock was not given back")
    stopped = time.monotonic()
    second.wait_log("ltx file uploaded", 60)
    holds(t, s3, two)
    every_txid(t, s3)
    lib.check("paused" not in t.ok("list", "-socket", t.path("second.sock")))
    lib.equal(second.stop(), 0)
    print("taken over after %.1f s" % (time.monotonic() - stopped))


@lib.limit(180)
def test_killed(t):
    """kill -9: the lock lapses by itself; when the killed one comes back it is the one that waits."""
    s3, one, two = setup(t)
    first = start(t, s3, one, "first")
    first.wait_log("ltx file uploaded", 30)
    second = start(t, s3, two, "second")
    second.wait_log("held by", 30)
    w = oracle.Writer(t, one, w=2, sleep_ms=20)
    w.wait_for(30)
    first.kill()
    w.stop()
    w = oracle.Writer(t, two, w=3, sleep_ms=50)
    second.wait_log("ltx file uploaded", 90)
    again = start(t, s3, one, "first")
    again.wait_log("held by", 30)
    w.stop()
    holds(t, s3, two)
    every_txid(t, s3)
    lib.equal(second.stop(), 0)
    again.wait_log("ltx file uploaded", 60)
    holds(t, s3, one)
    every_txid(t, s3)
    lib.equal(again.stop(), 0)


@lib.limit(180)
def test_asleep(t):
    """One that was stopped for longer than its lock lasts wakes up in the middle of its work and must not go on."""
    s3, one, two = setup(t)
    first = start(t, s3, one, "first")
    first.wait_log("ltx file uploaded", 30)
    second = start(t, s3, two, "second")
    second.wait_log("held by", 30)
    w = oracle.Writer(t, one, w=2, sleep_ms=20)
    w.wait_for(20)
    first.send(signal.SIGSTOP)
    second.wait_log("ltx file uploaded", 90)
    oracle.Writer(t, two, w=3, count=40, sleep_ms=20).wait()
    first.send(signal.SIGCONT)
    first.wait_log("held by", 60)
    w.stop()
    holds(t, s3, two)
    every_txid(t, s3)
    lib.equal(second.stop(), 0)
    before = first.text().count("ltx file uploaded")
    t.wait(lambda: first.text().count("ltx file uploaded") > before, "an upload of the first one", 60)
    holds(t, s3, one)
    every_txid(t, s3)
    lib.equal(first.stop(), 0)


@lib.limit(90)
def test_answers_are_lost(t):
    """Requests for the lock that succeed unheard do not make a daemon wait for itself."""
    s3, one, _ = setup(t)
    first = start(t, s3, one, "first")
    first.wait_log("ltx file uploaded", 30)
    w = oracle.Writer(t, one, w=2, sleep_ms=50)
    for _ in range(3):
        s3.fault("PutObject", times=3, after=True)
        time.sleep(4)
    w.stop()
    holds(t, s3, one)
    lib.check("held by" not in first.text(), first.text()[-3000:])
    lib.equal(first.stop(), 0)


@lib.limit(60)
def test_cannot_be_had(t):
    """A server that ignores conditions: refused in one sentence, nothing written; the other database goes on."""
    s3, one, two = setup(t)
    s3.conditional = False
    file = s3_histories.config(t, [(one, s3.url("db"), ["lease: true"]), (two, s3.url("other"), ["sync-interval: 100ms"])])
    d = t.daemon("replicate", "-config", file)
    lib.contains(d.wait_log("level=ERROR", 30), "does not guard writes by conditions")
    d.wait_log("ltx file uploaded", 30)
    time.sleep(2)
    lib.equal([key for key in s3.objects if key.startswith("db/")], [], "what was written without a lock")
    lib.check([key for key in s3.objects if key.startswith("other/")], "the other one was not written")
    lib.equal(d.stop(), 0)
    r = t.run("replicate", "-once", "-config", config(t, s3, one, "one"))
    lib.equal(r.code, 1)
    lib.contains(r.out + r.err, "does not guard writes by conditions")
    file = lib.write_file(t.path("file.yml"), ("dbs: [{path: '%s', replica: {path: '%s', lease: true}}]\n"
                                               % (one, t.path("replica"))).encode())
    r = t.run("replicate", "-config", file)
    lib.equal(r.code, 1)
    lib.contains(r.err, "cannot keep a second writer out")


@lib.limit(60)
def test_once(t):
    """-once takes it, writes, gives it back."""
    s3, one, _ = setup(t)
    file = config(t, s3, one, "one")
    for n in range(3):
        oracle.Writer(t, one, w=2, count=3).wait()
        t.ok("replicate", "-once", "-config", file)
        lib.equal(lib.dump(restore(t, s3)), lib.dump(one))
        lib.check(LOCK not in s3.objects, "the lock is still there")
    puts = [r.key for r in s3.of("PutObject") if r.status == 200]
    lib.equal(puts[0], LOCK, "the first write")
