# SPDX-License-Identifier: MIT
"""versitygw behind the program.

RIVULET_CUT_MB: how much goes up and down over connections that are cut (110 MB).
"""
import os
import signal
import time

import lib
import oracle
import s3_histories
import s3_servers


@lib.limit(180)
def test_steps(t):
    s3_histories.steps(t, s3_servers.versity(t))


@lib.limit(180)
def test_large(t):
    s3_histories.large(t, s3_servers.versity(t), 20)


@lib.limit(400)
def test_fleet(t):
    s3_histories.fleet(t, s3_servers.versity(t))


@lib.limit(180)
def test_follow(t):
    s3_histories.follow(t, s3_servers.versity(t))


# ---- TLS ----

@lib.limit(120)
def test_tls(t):
    """A certificate that is trusted and fits; one of an unknown authority; one for another name."""
    server = s3_servers.versity(t)
    server.bucket("backup")
    s3_servers.tls_front(t, server)
    db, url = t.database(rows=10), server.url("backup", "app")
    s3_histories.blob(t, db, 6)
    s3_histories.once(t, server, db, url)
    s3_histories.same(t, server, url, db)
    before = server.requests()
    lib.check(before, "no request was seen in the server's log")
    for env, address, part in ((dict(server.env, SSL_CERT_FILE=None), url, "certificate"),
                               (server.env, url.replace("localhost", "127.0.0.1"), "127.0.0.1")):
        for args in (("restore", "-if-replica-exists", "-o", t.path("no.db"), address), ("replicate", "-once", db, address)):
            r = t.run(*args, env=env)
            lib.equal(r.code, 1, args[0])
            lib.contains(r.out + r.err, part)
    lib.equal(server.requests(), before, "requests that came through")
    t.ok("restore", "-o", t.path("skip.db"), url + "&skipVerify=true", env=dict(server.env, SSL_CERT_FILE=None))


# ---- a bad network ----

CUT_MB = int(os.environ.get("RIVULET_CUT_MB", "110"))


@lib.limit(300 + 4 * CUT_MB)
def test_connections_cut(t):
    """A large database up and down, although no connection lives for more than 20 MB."""
    server = s3_servers.versity(t)
    server.bucket("backup")
    db = t.database(rows=10)
    s3_histories.blob(t, db, CUT_MB)
    cutter = s3_servers.Cutter(t, server.port)
    server.port = cutter.port
    url, size = server.url("backup", "app"), os.path.getsize(db)
    cuts, passed, requests, started = 0, 0, 0, time.monotonic()

    def report(way):
        """What it took; resets the counts."""
        nonlocal cuts, passed, requests, started
        took = cutter.cuts - cuts, cutter.passed - passed, len(server.requests()) - requests, time.monotonic() - started
        cuts, passed, requests, started = cutter.cuts, cutter.passed, len(server.requests()), time.monotonic()
        print("%s: %d cuts, %.2f times the bytes, %d requests, %.1f s" % (way, took[0], took[1] / size, *took[2:]))
        lib.check(took[0] >= CUT_MB // 20, "%d cuts %s" % (took[0], way))
        # A cut part is sent again from its start, a cut answer goes on where it ended.
        lib.check(took[1] < (3 if way == "up" else 1.5) * size, "%d bytes %s for %d" % (took[1], way, size))
    s3_histories.once(t, server, db, url, timeout=120 + 2 * CUT_MB)
    report("up")
    out = s3_histories.restore(t, server, url, timeout=120 + 2 * CUT_MB)
    report("down")
    lib.equal(lib.read_file(out)[100:], oracle.image(t, db)[100:], "restored")
    uploads = [f for f in t.files("s3", "objects", "backup") if "multipart" in f]
    lib.equal(uploads, [], "uploads left open")


@lib.limit(180)
def test_outage(t):
    """The server is gone while a writer goes on; then it is there again: nothing is missing, and nobody hurries."""
    server = s3_servers.versity(t)
    server.bucket("backup")
    db = oracle.create(t)
    cutter = s3_servers.Cutter(t, server.port, most=1 << 40, least=1 << 39)
    server.port = cutter.port
    url = server.url("backup", "app")
    d = s3_histories.start(t, server, s3_histories.config(t, [(db, url, ["sync-interval: 100ms"])]))
    d.wait_log("ltx file uploaded", 30)
    w = oracle.Writer(t, db, seconds=12, sleep_ms=20)
    time.sleep(2)
    server.stop()
    cutter.cut_all()
    tried = cutter.connections
    time.sleep(8)
    tried = cutter.connections - tried
    lib.check(1 <= tried <= 30, "%d connections in 8 s without a server" % tried)
    server.launch()
    asked, cutter.down = len(server.requests()), False
    last = w.wait()
    t.wait(lambda: oracle.prefix(s3_histories.restore(t, server, url)).get(1) == last, "the last transaction", 90)
    lib.equal(d.stop(), 0, "exit status")
    out = s3_histories.restore(t, server, url)
    oracle.same_bytes(lib.read_file(out), oracle.image(t, db))
    puts = [r for r in server.requests()[asked:] if r.startswith("PutObject ") and r.endswith(" 200")]
    lib.check(puts, "no upload was seen in the server's log")
    lib.equal(len(puts), len(set(puts)), "uploads, each file once")
    lib.check(d.text().count("level=ERROR") <= 4, d.text())


# ---- the lock ----

def locked(t, server, db, name):
    """A daemon that wants its replica for itself."""
    entry = (db, server.url("backup", "app"), ["lease: true", "sync-interval: 100ms"])
    return s3_histories.start(t, server, s3_histories.config(t, [entry], name=name + ".yml"))


@lib.limit(180)
def test_lease(t):
    """A second daemon for the same place is kept out, and takes over when the first one stops; nothing is mixed up."""
    server = s3_servers.versity(t)
    server.bucket("backup")
    one, two = t.database("one/app.db", rows=10), t.database("two/app.db", rows=20)
    first = locked(t, server, one, "first")
    first.wait_log("ltx file uploaded", 30)
    lib.contains(first.text(), "replica is locked for us")
    second = locked(t, server, two, "second")
    second.wait_log("held by", 30)
    lib.contains(second.text(), ":%d until" % first.pid)
    second.send(signal.SIGUSR1)
    line = second.wait_log("state=paused")
    lib.contains(line, "held by")
    url = server.url("backup", "app")
    for _ in range(3):
        t.insert(one, 5)
        t.insert(two, 7)
        time.sleep(0.3)
    t.wait(lambda: lib.dump(s3_histories.restore(t, server, url)) == lib.dump(one), "what the first one has", 30)
    lib.equal(second.text().count("ltx file uploaded"), 0, "uploads of the second one")
    r = t.run("replicate", "-once", "-config", t.path("second.yml"), env=server.env)
    lib.check(r.code == 1, "%r" % r)
    lib.equal(first.stop(), 0, "exit status")
    second.wait_log("ltx file uploaded", 60)
    t.wait(lambda: lib.dump(s3_histories.restore(t, server, url)) == lib.dump(two), "what the second one has", 30)
    second.send(signal.SIGUSR1)
    second.wait_log("state=active")
    # Whoever is killed leaves a lock behind, which the next one waits for; who is kept out ends at once when asked.
    second.kill()
    third = locked(t, server, one, "first")
    third.wait_log("held by", 30)
    lib.equal(third.stop(timeout=20), 0, "exit status")
    lib.check(lib.dump(s3_histories.restore(t, server, url)) == lib.dump(two), "the replica of the second one")


@lib.limit(120)
def test_lease_is_kept_for_a_while(t):
    """It does not lapse as soon as nobody writes (the lock lasts for half a minute, so this one takes as long)."""
    server = s3_servers.versity(t)
    server.bucket("backup")
    first = locked(t, server, t.database("one/app.db"), "first")
    first.wait_log("ltx file uploaded", 30)
    time.sleep(33)
    second = locked(t, server, t.database("two/app.db"), "second")
    second.wait_log("held by", 30)
    lib.equal((first.stop(), second.text().count("ltx file uploaded")), (0, 0))
