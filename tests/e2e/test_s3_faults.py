# SPDX-License-Identifier: MIT
"""Databases in a bucket behind a server that has bad days: faults come and go while applications write and the daemon
is killed, stopped and started again. In the end nothing may be missing.

RIVULET_FAULTS_SECONDS: how long (30); RIVULET_FAULTS_SEED: which history (otherwise it is chosen, and printed).
"""
import os
import random
import time

import lib
import oracle
import s3_histories
from fake_s3 import FakeS3

SECONDS = float(os.environ.get("RIVULET_FAULTS_SECONDS", "30"))
DATABASES = 3

FAULTS = [
    {"status": 500, "code": "InternalError"},
    {"status": 503, "code": "SlowDown"},
    {"status": 503, "body": b"<html>busy</html>"},
    {"status": 429, "code": "TooManyRequests"},
    {"before": True},          # closed without an answer
    {"after": True},           # done, but nobody hears of it
    {"drop_after": 20},        # the answer ends in its body
    {"raw": b"HTTP/1.1 2"},    # or in its head
    {"length_off": 7},
    {"split": True},
]


class Weather:
    """Faults of random requests, while on."""

    def __init__(self, s3, rng):
        self.s3, self.rng, self.take, self.share, self.given = s3, rng, s3._take_fault, 0.0, 0
        s3._take_fault = self.fault

    def fault(self, request):
        if self.rng.random() >= self.share:
            return {}
        self.given += 1
        return self.rng.choice(FAULTS)

    def change(self):
        self.share = self.rng.choice([0.0, 0.0, 0.1, 0.3, 0.8])
        self.s3.latency = self.rng.choice([0, 0, 0, 0.02, 0.2])
        self.s3.refuse = self.rng.random() < 0.1
        # Less than S3 can do: whole objects for ranges, lists from their beginning, no batches of deletes.
        self.s3.ignore_range = self.rng.random() < 0.2
        self.s3.ignore_start_after = self.rng.random() < 0.2
        self.s3.batch_delete = self.rng.random() < 0.8

    def clear(self):
        self.share, self.s3.latency, self.s3.refuse = 0.0, 0, False


def has(t, path, w, last):
    """The follower's copy holds that transaction, and is whole."""
    try:
        return t.exists(path) and oracle.prefix(t.path(path)).get(w, 0) == last
    except lib.sqlite3.OperationalError:
        return False


def all_is_there(t, s3, urls, dbs, last):
    for n, (url, db) in enumerate(zip(urls, dbs)):
        out = s3_histories.restore(t, s3, url, "-integrity-check", "full")
        oracle.same_bytes(lib.read_file(out), oracle.image(t, db), what="database %d" % n)
        oracle.prefix(out, {n + 1: last[n]}, {n + 1: last[n]})
        # Every TXID that the listing offers behind the oldest snapshot restores, to a longer prefix each.
        rows = [row.split() for row in t.ok("ltx", "-level", "all", url, env=s3.env).splitlines()[1:]]
        first = min([int(row[2], 16) for row in rows if row[0] == "9"] or [1])
        numbers = sorted({int(row[2], 16) for row in rows if row[0] == "0" and int(row[2], 16) >= first})
        before = {}
        for txid in numbers[:: max(1, len(numbers) // 6)]:
            before = oracle.prefix(s3_histories.restore(t, s3, url, "-txid", "%016x" % txid), at_least=before)


@lib.limit(240 + 3 * SECONDS)
def test_histories(t):
    """Random faults, kills, stops and restores on the way; afterwards everything that was committed is in the bucket."""
    seed = int(os.environ.get("RIVULET_FAULTS_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    rng = random.Random(seed)
    s3 = FakeS3()
    weather = Weather(s3, random.Random(seed + 1))
    dbs = [oracle.create(t, "db%d.db" % n, page_size=(1024, 4096, 512)[n]) for n in range(DATABASES)]
    urls = [s3.url("db%d" % n) for n in range(DATABASES)]
    lease = ["lease: true"]
    file = s3_histories.config(t, [(db, url, ["sync-interval: 50ms", *(lease if n == 0 else [])])
                                   for n, (db, url) in enumerate(zip(dbs, urls))],
                               s3_histories.SHORT + "shutdown-sync-timeout: 2s\nshutdown-sync-interval: 100ms\n")
    d = s3_histories.start(t, s3, file)
    writers = [oracle.Writer(t, db, w=n + 1, seconds=SECONDS, sleep_ms=(30, 80, 200)[n],
                             ops="insert update delete") for n, db in enumerate(dbs)]
    t.wait(lambda: any(key.startswith("db1/") for key in s3.objects), "something to follow", 60)
    follower = t.daemon("restore", "-f", "-follow-interval", "300ms", "-o", t.path("follow.db"), urls[1], env=s3.env)
    end, did = time.monotonic() + SECONDS, {"weather": 0, "kill": 0, "stop": 0, "restore": 0}
    while time.monotonic() < end:
        what = rng.choice(["weather"] * 6 + ["kill", "stop", "restore", "restore"])
        did[what] += 1
        if what == "weather":
            weather.change()
        elif what == "kill":
            d.kill()
            d = s3_histories.start(t, s3, file)
        elif what == "stop":
            lib.equal(d.stop(timeout=60), 0, "exit status")
            d = s3_histories.start(t, s3, file)
        else:
            # Whatever is there at any moment is whole, as soon as it can be read.
            n = rng.randrange(DATABASES)
            s3.refuse, weather.share = False, min(weather.share, 0.3)  # or it tries for minutes, in vain
            out = s3_histories.try_restore(t, s3, urls[n])
            if out:
                oracle.prefix(out)
        time.sleep(rng.uniform(0.1, 1.2))
    last = [w.wait(120) for w in writers]
    weather.clear()
    print(did, "faults", weather.given, "requests", len(s3.requests), "transactions", last)
    lib.check(d.alive(), "the daemon ended:\n" + d.text()[-3000:])

    # After a kill the locked one waits until the dead one's lock has run out.
    t.wait(lambda: s3_histories.holds(t, s3, urls, last), "all transactions in the bucket", 120)
    t.wait(lambda: has(t, "follow.db", 2, last[1]), "transaction %d in the follower's copy" % last[1], 120)
    lib.equal(follower.stop(), 0, "exit status of the follower")
    lib.equal(d.stop(timeout=60), 0, "exit status")
    all_is_there(t, s3, urls, dbs, last)


@lib.limit(180)
def test_outage(t):
    """The server is away for 20 s while all write: few requests are tried, and then nothing is missing."""
    s3 = FakeS3()
    dbs = [oracle.create(t, "db%d.db" % n) for n in range(DATABASES)]
    urls = [s3.url("db%d" % n) for n in range(DATABASES)]
    file = s3_histories.config(t, [(db, url, ["sync-interval: 50ms"]) for db, url in zip(dbs, urls)], s3_histories.SHORT)
    d = s3_histories.start(t, s3, file)
    writers = [oracle.Writer(t, db, w=n + 1, seconds=26, sleep_ms=20) for n, db in enumerate(dbs)]
    t.wait(lambda: d.text().count("ltx file uploaded") >= 6, "the first uploads", 30)
    before = s3.count("PutObject")
    for outage in ("refused", "errors"):
        asked, connected = len(s3.requests), s3.connections
        if outage == "refused":
            s3.refuse = True
            s3.fault("*", times=1000, before=True)
        else:
            s3.fault("*", times=100000, status=503, code="SlowDown")
        time.sleep(10)
        tried = max(len(s3.requests) - asked, s3.connections - connected)
        print(outage, "tried", tried, "in 10 s")
        # 200 transactions a second or so were committed; what is tried does not depend on that.
        lib.check(tried < DATABASES * 40, "%d requests in 10 s of outage" % tried)
        with s3.lock:
            s3.faults.clear()
        s3.refuse = False
    errors = d.text().count("level=ERROR")
    lib.check(errors <= DATABASES * 8, "%d errors were logged" % errors)
    last = [w.wait(120) for w in writers]
    lib.check(before and min(last) > 0)
    t.wait(lambda: s3_histories.holds(t, s3, urls, last), "all transactions in the bucket", 90)
    lib.equal(d.stop(timeout=60), 0, "exit status")
    all_is_there(t, s3, urls, dbs, last)
