# SPDX-License-Identifier: MIT
"""What databases go through with a real S3 server behind them; the same for every server (s3_servers.py)."""
import os
import time

import lib
import oracle

# Everything that happens in hours happens in seconds.
SHORT = """levels: [{interval: 2s}, {interval: 5s}]
snapshot: {interval: 7s, retention: 10s}
l0-retention: 1s
l0-retention-check-interval: 1s
"""


def config(t, entries, top="", name="c.yml"):
    """entries: [(database, URL, more lines of the replica)]"""
    text = top + "dbs:\n"
    for db, url, more in entries:
        text += "  - path: '%s'\n    replica:\n      url: '%s'\n%s" % (db, url, "".join("      %s\n" % line for line in more))
    return lib.write_file(t.path(name), text.encode())


def start(t, server, file):
    return t.daemon("replicate", "-config", file, env=server.env)


def restore(t, server, url, *flags, name="restored.db", timeout=60):
    out = t.path(name)
    for end in ("", "-wal", "-shm", "-txid"):
        if os.path.exists(out + end):
            os.unlink(out + end)
    t.ok("restore", *flags, "-o", out, url, env=server.env, timeout=timeout)
    return out


def try_restore(t, server, url, name="now.db"):
    """What can be restored at this moment; None: there is nothing yet, or it cannot be read."""
    out = t.path(name)
    if os.path.exists(out):
        os.unlink(out)
    return out if t.run("restore", "-o", out, url, env=server.env, timeout=120).code == 0 else None


def holds(t, server, urls, last):
    """Is transaction last[n] of writer n + 1 in the copy at urls[n], for all of them?"""
    for n, url in enumerate(urls):
        out = try_restore(t, server, url)
        if not out or oracle.prefix(out).get(n + 1, 0) != last[n]:
            return False
    return True


def same(t, server, url, db, *flags, **more):
    lib.equal(lib.dump(restore(t, server, url, *flags, **more)), lib.dump(db), "restored from " + url)


def blob(t, db, megabytes):
    """Rows that do not compress."""
    c = t.connect(db)
    c.execute("BEGIN")
    for _ in range(megabytes):
        c.execute("INSERT INTO t (text) VALUES (randomblob(1048576))")
    c.execute("COMMIT")
    c.close()


def once(t, server, db, url, **more):
    return t.ok("replicate", "-once", db, url, env=server.env, **more)


# ---- histories ----

def steps(t, server):
    """-once after every change, under a key with characters that want escaping: newest, TXID, time, `ltx`."""
    server.bucket("steps")
    url, db = server.url("steps", "a%20b+c%25/%C3%A4%E6%96%87"), t.database(rows=20)
    states, times = [], []
    for _ in range(4):
        once(t, server, db, url)
        states.append(lib.dump(db))
        time.sleep(0.3)
        times.append(time.time())
        time.sleep(0.3)
        t.insert(db, 3)
    lib.equal(lib.dump(restore(t, server, url, "-integrity-check", "quick")), states[-1], "the newest")
    for n, state in enumerate(states):
        lib.equal(lib.dump(restore(t, server, url, "-txid", "%016x" % (n + 1))), state, "TXID %d" % (n + 1))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(times[n])) + ".%03dZ" % (times[n] % 1 * 1000)
        if n + 1 < len(states):  # a time behind everything that is there is refused, as by Litestream
            lib.equal(lib.dump(restore(t, server, url, "-timestamp", stamp)), state, "the time after TXID %d" % (n + 1))
    rows = t.ok("ltx", url, env=server.env).splitlines()[1:]
    lib.equal([row.split()[1] for row in rows], ["%016x" % n for n in (1, 2, 3, 4)], "ltx")
    lib.equal(t.error("restore", "-txid", "%016x" % 9, "-o", t.path("no.db"), url, env=server.env),
              ["Error: no matching backup files available"], "a TXID that is not there")


def large(t, server, megabytes=16):
    """A first copy in parts; one is killed on the way, and the next start makes up for it."""
    server.bucket("large")
    url, db = server.url("large", "app"), t.database(rows=5)
    blob(t, db, megabytes)
    d = t.daemon("replicate", db, url, env=server.env)
    t.wait(lambda: t.exists(".app.db-litestream", "ltx", "0"), "the first local file")
    time.sleep(0.1)
    d.kill()
    once(t, server, db, url)
    same(t, server, url, db, "-integrity-check", "full")


def fleet(t, server, seconds=12):
    """Two databases in one bucket through levels and retention, with writers, restores, a restart and a kill on the way."""
    server.bucket("fleet")
    urls = [server.url("fleet", path) for path in ("one", "one%202")]
    dbs = [oracle.create(t, name) for name in ("one.db", "two.db")]
    file = config(t, [(db, url, ["sync-interval: 100ms"]) for db, url in zip(dbs, urls)], SHORT)
    d = start(t, server, file)
    writers = [oracle.Writer(t, db, w=n + 1, seconds=seconds, sleep_ms=40) for n, db in enumerate(dbs)]
    d.wait_log("ltx file uploaded", 60)
    for n in range(int(seconds / 4)):
        time.sleep(2)
        if n == 1:
            d.kill()
            d = start(t, server, file)
        elif n == 2:
            lib.equal(d.stop(), 0, "exit status")
            d = start(t, server, file)
        w, url = writers[n % 2], urls[n % 2]
        if n == 0:  # what was acknowledged by now is soon in the bucket
            acknowledged = w.acknowledged()
            t.wait(lambda: oracle.prefix(restore(t, server, url)).get(w.w, 0) >= acknowledged,
                   "transaction %d in the bucket" % acknowledged, 60)
        else:
            oracle.prefix(restore(t, server, url))
    last = {w.w: w.wait() for w in writers}
    t.wait(lambda: "compaction complete" in d.text(), "a compaction", 60)
    t.wait(lambda: "snapshot complete" in d.text(), "a snapshot", 60)
    lib.equal(d.stop(timeout=60), 0, "exit status")
    for url, w, db in zip(urls, writers, dbs):
        out = restore(t, server, url)
        oracle.same_bytes(lib.read_file(out), oracle.image(t, db))
        oracle.prefix(out, {w.w: last[w.w]}, {w.w: last[w.w]})
        listed = t.ok("ltx", "-level", "all", url, env=server.env).splitlines()[1:]
        level0 = [row.split() for row in listed if row.split()[0] == "0"]
        lib.check(level0 and int(level0[0][1], 16) > 1, "level 0 was never shortened:\n" + "\n".join(listed))
        # What is left leads to every TXID behind the oldest snapshot, and none of it is damaged.
        before = {}
        first = min(int(row.split()[2], 16) for row in listed if row.split()[0] == "9")
        for txid in sorted({first, *(int(row[2], 16) for row in level0[:: max(1, len(level0) // 4)])}):
            before = oracle.prefix(restore(t, server, url, "-txid", "%016x" % txid), at_least=before)


def follow(t, server):
    """A reader elsewhere keeps up, over compactions and retention."""
    server.bucket("follow")
    url, db = server.url("follow", "app"), oracle.create(t)
    d = start(t, server, config(t, [(db, url, ["sync-interval: 100ms"])], SHORT))
    d.wait_log("ltx file uploaded", 60)
    f = t.daemon("restore", "-f", "-follow-interval", "200ms", "-o", t.path("copy.db"), url, env=server.env)
    t.wait(lambda: t.exists("copy.db"), "the first copy", 60)
    w = oracle.Writer(t, db, seconds=4, sleep_ms=30)
    last = w.wait()

    def there():
        try:
            return oracle.prefix(t.path("copy.db")).get(1, 0) == last
        except lib.sqlite3.OperationalError:
            return False
    t.wait(there, "transaction %d in the copy" % last, 60)
    lib.equal(f.stop(), 0, "exit status of the follower")
    lib.equal(d.stop(), 0, "exit status of the daemon")
