# SPDX-License-Identifier: MIT
"""What is paid for: which requests a start, a write, the levels' work and rest cause (a fake server counts)."""
import collections
import os
import time

import lib
from fake_s3 import FakeS3

# Nothing but what the test wants happens by itself.
LONG = "levels: [{interval: 24h}]\nsnapshot: {interval: 240h}\n"


def setup(t, count, top):
    s3 = FakeS3()
    t.env.update(s3.env)
    dbs = [t.database("%d.db" % n) for n in range(count)]
    text = top + "dbs:\n" + "".join("  - path: %s\n    replica: {url: '%s', sync-interval: 50ms}\n" % (db, s3.url("db%d" % n))
                                    for n, db in enumerate(dbs))
    lib.write_file(t.path("c.yml"), text.encode())
    return s3, dbs


def bill(s3, since=0):
    return dict(collections.Counter(r.op for r in s3.requests[since:]))


def start(t):
    return t.daemon("replicate", "-config", t.path("c.yml"))


def sockets(d):
    folder = "/proc/%d/fd" % d.pid
    return sum(os.readlink(os.path.join(folder, n)).startswith("socket:") for n in os.listdir(folder))


def settled(t, s3, seconds=3, timeout=60):
    t.wait(lambda: s3.requests and time.monotonic() - s3.requests[-1].when > seconds, "quiet", timeout)


def test_start(t):
    """One LIST for each database, and a PUT for what is new; nothing new costs the LIST alone."""
    s3, dbs = setup(t, 3, LONG)
    d = start(t)
    t.wait(lambda: s3.count("PutObject", 200) >= 3, "three uploads")
    settled(t, s3)
    first = bill(s3)
    lib.equal(first["ListObjectsV2"], 3, "lists of the first start: %r" % first)
    lib.check("GetObject" not in first and "HeadObject" not in first, str(first))
    lib.equal(d.stop(), 0)
    before = len(s3.requests)
    d = start(t)
    t.wait(lambda: len(s3.requests) >= before + 3, "the lists")
    settled(t, s3)
    again = bill(s3, before)
    again.pop("PutObject", 0)  # a first snapshot that was due meanwhile
    lib.equal(again, {"ListObjectsV2": 3}, "of a start with nothing new")
    lib.equal(d.stop(), 0)


@lib.limit(240)
def test_rest(t):
    """Nothing is asked while nobody writes, and after a minute no connection is open; then a write is one PUT."""
    s3, dbs = setup(t, 2, LONG)
    d = start(t)
    # The first snapshots come with a jitter of half a minute.
    t.wait(lambda: d.text().count("snapshot complete") == 2, "the first snapshots", 60)
    settled(t, s3)
    before, connected = len(s3.requests), sockets(d)
    lib.check(connected >= 1, "no connection was kept")
    t.wait(lambda: sockets(d) == 0, "the end of idle connections", 90)
    lib.equal(bill(s3, before), {}, "requests at rest")
    t.insert(dbs[0], 1)
    t.wait(lambda: len(s3.requests) > before, "an upload")
    settled(t, s3, 2)
    lib.equal(bill(s3, before), {"PutObject": 1}, "requests of a write")
    lib.equal(d.stop(), 0)
    lib.equal(bill(s3, before), {"PutObject": 1}, "requests of a stop")


@lib.limit(120)
def test_levels(t):
    """A compaction is one PUT and reads nothing; what is let go of is deleted in batches."""
    s3, dbs = setup(t, 1, "levels: [{interval: 4s}]\nsnapshot: {interval: 240h}\nl0-retention: 1s\n"
                          "l0-retention-check-interval: 2s\n")
    d = start(t)
    t.wait(lambda: s3.count("PutObject", 200) >= 1, "the first upload")
    for n in range(20):
        t.insert(dbs[0], 1)
        time.sleep(0.2)
    t.wait(lambda: "compaction complete" in d.text() and s3.count("DeleteObjects"), "a compaction and its deletes", 60)
    t.wait(lambda: "snapshot complete" in d.text(), "the first snapshot, which comes with a jitter", 60)
    settled(t, s3, 6)
    found = bill(s3)
    lib.equal((found.get("GetObject", 0), found.get("HeadObject", 0)), (0, 0), "reads: %r" % found)
    lib.equal(found["ListObjectsV2"], 1, "lists: %r" % found)
    done = d.text().count("compaction complete") + d.text().count("snapshot complete")
    lib.equal(found["PutObject"], d.text().count("ltx file uploaded") + done, "PUTs: %r" % found)
    lib.check(found["DeleteObjects"] <= done + 2, "batches of deletes: %r" % found)
    before = len(s3.requests)
    time.sleep(9)
    lib.equal(bill(s3, before), {}, "requests after the levels have settled")
    lib.equal(d.stop(), 0)


def test_large_file_in_parts(t):
    """A large file travels over several connections at once, each part of it once."""
    s3, dbs = setup(t, 1, LONG)
    c = t.connect(dbs[0])
    for _ in range(12):
        c.execute("INSERT INTO t (text) VALUES (randomblob(1048576))")
    c.close()
    t.ok("replicate", "-once", "-config", t.path("c.yml"))
    before = len(s3.requests)
    t.ok("restore", "-o", t.path("out.db"), s3.url("db0"))
    lib.equal(lib.dump(t.path("out.db")), lib.dump(dbs[0]), "restored")
    ranges = sorted((int(r.headers.get("range", "bytes=0-").split("=")[1].split("-")[0]) for r in s3.requests[before:]
                     if r.op == "GetObject"))
    lib.equal(ranges, [n << 21 for n in range(len(ranges))], "where the parts begin")
    lib.check(len(ranges) >= 6, str(ranges))
    t.ok("restore", "-parallelism", "1", "-o", t.path("one.db"), s3.url("db0"))
    lib.equal(lib.read_file(t.path("one.db")), lib.read_file(t.path("out.db")), "with one connection")
